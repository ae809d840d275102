"""A stay and its branches, as records make them."""

import msgspec
import pytest

from engine.events import Event, EventKind, Input, Merged, Tick
from engine.evolve import evolve
from engine.instants import parse_instant
from engine.lineage import family, stays, topmost, variables
from engine.profile import Profile
from engine.program.cel.compiler import CelError, compile_condition
from engine.program.compile import compile_source
from engine.program.program import Program
from engine.program.scope import Scope
from engine.records import Branched, BranchEnded, Emitted, Entered, Exited, Remembered
from engine.step import step
from engine.unmerge import Happening, part
from tests.stories import Story, at
from tests.unit.test_journeys import story

AT = parse_instant("2026-03-02T06:00:00Z")


def branched() -> Profile:
    """Give someone who is in a journey that branched, and branched again; and in another."""
    profile = Profile("u1")
    entered = Entered(1, "j", "v", AT, {"p": 1}, "Go", 2, "k", AT - 9)
    for record in (
        entered,
        Entered(2, "other", "v", AT),
        Branched(3, 1, 4, AT + 1),
        Branched(4, 1, 7, AT + 1),
        Branched(5, 4, 9, AT + 2),
    ):
        evolve(profile, record, AT + 2)
    return profile


def test_a_branch_knows_what_its_stay_began_with() -> None:
    branch = branched().instances[3]
    assert (branch.journey, branch.version, branch.position, branch.entered_at) == (
        "j", "v", 4, AT + 1,
    )  # fmt: skip
    assert (branch.event, branch.event_name, branch.depth) == ({"p": 1}, "Go", 2)
    assert (branch.key, branch.since_at, branch.parent) == ("k", AT - 9, 1)


def test_the_family_of_an_instance_is_all_that_began_with_it() -> None:
    profile = branched()
    assert [one.id for one in family(profile, profile.instances[1])] == [1, 3, 4, 5]
    assert [one.id for one in family(profile, profile.instances[4])] == [4, 5]
    assert [one.id for one in stays(profile)] == [1, 2]
    assert [topmost(profile, one).id for one in profile.instances.values()] == [1, 2, 1, 1, 1]


def test_variables_are_the_stays_and_every_branch_has_them() -> None:
    profile = branched()
    evolve(profile, Remembered(1, "offer", "gold"), AT)
    assert variables(profile, profile.instances[5]) == {"offer": "gold"}
    assert variables(profile, profile.instances[2]) == {}
    evolve(profile, Remembered(1, "offer", None), AT)
    assert variables(profile, profile.instances[5]) == {}


def test_the_end_of_a_branch_is_no_exit() -> None:
    profile = branched()
    evolve(profile, BranchEnded(5), AT)
    evolve(profile, BranchEnded(3), AT)
    assert list(profile.instances) == [1, 2, 4]
    assert (profile.exited, profile.journeys_done, profile.instance_count) == ({}, {}, 5)


def test_an_event_of_our_own_is_counted_and_is_no_sign_of_life() -> None:
    profile = Profile("u1", active_at=AT, first_at=AT, session_at=AT)
    evolve(profile, Emitted("Page Viewed", AT + 9), AT + 9)
    evolve(profile, Emitted("Page Viewed", AT + 5), AT + 9)
    history = profile.history["Page Viewed"]
    assert (history.count, history.first_at, history.last_at) == (2, AT + 5, AT + 9)
    assert (profile.active_at, profile.session_pages) == (AT, 0)


def test_conditions_about_a_stay_see_what_it_began_with_and_its_variables() -> None:
    compiled = compile_condition(
        "event.cart == entry.cart && journey.n > 1 && !has(journey.m)", in_journey=True
    )
    scope = Scope(Profile("u1"), AT, event={"cart": 7})
    assert not compiled.condition.test(scope)
    scope.entry, scope.journey = {"cart": 7}, {"n": 2}
    assert compiled.condition.test(scope)


@pytest.mark.parametrize("name", ["entry", "journey"])
def test_other_conditions_are_told_who_has_those_names(name: str) -> None:
    with pytest.raises(CelError) as caught:
        compile_condition(f"event.a == 1 && {name}.b == 2")
    assert caught.value.message == f"{name!r} is not known here"
    assert caught.value.column == 17
    assert "journey" in caught.value.hint


PARALLEL = [
    {"set": {"journey.n": 1}},
    {
        "parallel": {
            "mail": [{"wait": "2h"}, {"send": "a"}],
            "text": [{"wait": "1h"}, {"set": {"journey.n": 2}}, {"send": "b"}],
        }
    },
    {"send": "c"},
]


def others() -> tuple[Program, Profile, Profile]:
    """Give two customers who are in the same two-branched journey, the second since later."""
    workspace = story(PARALLEL).workspace
    program = compile_source(workspace)
    one = story(PARALLEL).track("08:00", "Other").profile()
    two = Story(workspace, customer="u2").identify("07:00", email="b@example.com")
    return program, one, two.track("08:30", "Go").until("08:30").profile()


def test_branches_of_another_customer_go_on_under_new_numbers() -> None:
    program, one, two = others()
    told = Merged("u2", 1, msgspec.msgpack.encode(two), (), "test", at("08:40"))
    step(one, told, program, at("08:40"))
    parents = {instance.id: instance.parent for instance in one.instances.values()}
    assert parents == {2: 0, 3: 2, 4: 2}
    assert sorted(timer.target for timer in one.timers.values()) == [3, 4]


def test_branches_that_came_in_go_back_with_what_they_did_meanwhile() -> None:
    program, _, two = others()
    one, told = Profile("u1"), list[Happening]()

    def take(given: Input, now: int) -> None:
        told.append(Happening(given, step(one, given, program, now).records, now))

    for given in story(PARALLEL).track("08:00", "Other").inputs():
        take(given, given.at)
    take(Merged("u2", 1, msgspec.msgpack.encode(two), (), "test", at("08:40")), at("08:40"))
    (number,) = [number for number, timer in one.timers.items() if timer.at == at("09:30")]
    take(Tick(number, at("09:30")), at("09:30"))
    ours, theirs = part("u1", "u2", told)
    assert ours.instances == {}
    assert {one.id: one.parent for one in theirs.instances.values()} == {1: 0, 2: 1}
    assert theirs.instances[1].vars == {"n": 2}
    assert [(sent.message, sent.instance) for sent in theirs.sends.values()] == [("b", 1)]


def test_of_two_stays_in_one_journey_the_later_one_leaves_with_its_branches() -> None:
    program, one, two = others()
    go = Event("g", EventKind.TRACK, "Go", "u1", None, at("08:00"), at("08:00"))
    step(one, go, program, at("08:00"))
    told = Merged("u2", 1, msgspec.msgpack.encode(two), (), "test", at("08:40"))
    records = step(one, told, program, at("08:40")).records
    assert [type(record) for record in records if isinstance(record, (Exited, BranchEnded))] == [
        BranchEnded, BranchEnded, Exited,
    ]  # fmt: skip
    assert {instance.id: instance.parent for instance in one.instances.values()} == {
        2: 0, 3: 2, 4: 2,
    }  # fmt: skip
    assert one.journeys_done == {"other/completed": 1, "main/merged": 1}
