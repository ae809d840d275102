"""A stay and its branches, as records make them."""

import pytest

from engine.evolve import evolve
from engine.instants import parse_instant
from engine.lineage import family, stays, topmost, variables
from engine.profile import Profile
from engine.program.cel.compiler import CelError, compile_condition
from engine.program.scope import Scope
from engine.records import Branched, BranchEnded, Emitted, Entered, Remembered

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
