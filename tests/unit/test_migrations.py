"""People in flight when the workspace changes: who stays, who goes on where, and who leaves."""

import pytest

from engine.errors import ProgramError
from engine.program.compile import compile_source
from engine.reasons import Reason
from engine.records import CallRecalled, Migrated
from tests.editions import Customer, Steps, edition

TWO: Steps = [
    {"wait": "4h", "id": "pause"},
    {"send": "a", "id": "first"},
    {"wait": "4h", "id": "rest"},
    {"send": "b", "id": "second"},
]


def standing(steps: Steps = TWO) -> Customer:
    """Give a customer who has just entered the journey `main`."""
    return Customer(edition({"main": steps})).track("Go")


def main(steps: Steps, **migrate: str) -> dict[str, object]:
    return {"trigger": {"event": "Go"}, "steps": steps, "migrate": migrate}


def test_who_is_in_an_older_version_goes_on_in_it() -> None:
    newer = edition({"main": [*TWO[:2], {"send": "b", "id": "second"}, {"send": "c"}]})
    world = standing().use(newer).review()
    assert world.places() == ["pause (older)"]
    assert world.advance(24).told == ["4h a send sent", "8h b send sent", "8h left main: completed"]


def test_a_send_step_that_was_deleted_sends_nothing_and_its_journey_goes_on() -> None:
    newer = edition({"main": [{"wait": "4h"}, {"send": "c", "id": "second"}]})
    world = standing().use(newer).review().advance(24)
    assert world.told == ["4h a drop step_deleted", "8h b send sent", "8h left main: completed"]
    assert [send.message for send in world.sends] == ["b"]


def test_a_step_without_an_id_is_there_while_some_step_sends_its_message() -> None:
    steps: Steps = [{"wait": "1h"}, {"send": "a"}, {"send": "b"}]
    newer = edition(
        {"main": [{"send": "c"}, {"wait": "1h"}, {"if": "true", "then": [{"send": "b"}]}]}
    )
    world = standing(steps).use(newer).advance(2)
    assert world.told[:2] == ["1h a drop step_deleted", "1h b send sent"]


def test_who_is_in_a_journey_that_was_deleted_leaves_it_and_gets_nothing_more() -> None:
    world = standing().use(edition({"other": [{"send": "c"}]})).review()
    assert world.told == ["0h left main: journey_deleted"]
    assert world.profile.timers == {}
    assert world.review().advance(24).sends == []


def test_a_deferral_of_a_step_or_a_journey_that_was_deleted_is_dropped_at_the_review() -> None:
    steps: Steps = [{"send": "x", "id": "night"}, {"wait": "1h", "id": "after"}]
    world = standing(steps).use(edition({"main": [{"send": "a", "id": "day"}]})).review()
    assert world.told[1:] == ["0h x drop step_deleted"]
    assert world.places() == ["after (older)"]
    gone = standing(steps).use(edition({"other": [{"send": "a"}]})).review()
    assert gone.told[1:] == ["0h x drop journey_deleted", "0h left main: journey_deleted"]


def test_without_a_review_a_deferral_of_a_deleted_step_is_dropped_when_it_is_due() -> None:
    steps: Steps = [{"send": "x", "id": "night"}]
    world = standing(steps).use(edition({"main": [{"send": "a", "id": "day"}]})).advance(24)
    assert world.told[1:] == ["12h x drop step_deleted", "12h left main: completed"]


def test_the_next_channel_of_a_send_is_not_tried_where_its_step_was_deleted() -> None:
    world = standing([{"send": "a", "id": "first"}, {"wait": "9h"}])
    world.use(edition({"main": [{"wait": "1h"}, {"send": "b", "id": "second"}]}))
    world.fail(world.sends[0].message_id)
    assert world.told == ["0h a send sent", "0h a drop step_deleted"]
    kept = standing([{"send": "a", "id": "first"}, {"wait": "9h"}])
    kept.use(edition({"main": [{"send": "a", "id": "first"}]})).fail(kept.sends[0].message_id)
    assert kept.told == ["0h a send sent", "0h a send sent"]


def test_migrate_puts_people_before_the_step_it_names_in_the_version_of_today() -> None:
    newer = edition({"main": main([{"send": "c", "id": "news"}, *TWO], pause="news")})
    world = standing().use(newer).advance(1).review()
    assert world.told == ["1h c send sent"]
    assert world.places() == ["pause"]
    assert any(isinstance(record, Migrated) for record in world.records)
    assert world.review().advance(24).told[1:] == [
        "5h a send sent", "9h b send sent", "9h left main: completed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("newer", "told"),
    [("6h", "6h c send sent"), ("4h", "4h c send sent"), ("2h", "3h c send sent")],
)
def test_a_wait_that_takes_the_place_of_a_wait_counts_the_time_waited_so_far(
    newer: str, told: str
) -> None:
    steps: Steps = [{"wait": newer, "id": "longer"}, {"send": "c"}]
    world = standing().use(edition({"main": main(steps, pause="longer")})).advance(3).review()
    assert len(world.profile.timers) == len(world.profile.instances)
    assert world.advance(24).told[0] == told


def test_a_wait_for_something_takes_over_the_time_of_a_wait_and_ends_at_its_longest() -> None:
    wait = {"wait_for": {"event": "Pay", "up_to": "5h"}, "id": "paid"}
    steps: Steps = [{**wait, "then": [{"send": "b"}], "else": [{"send": "c"}]}]
    newer = edition({"main": main(steps, pause="paid")})
    assert standing().use(newer).advance(1).review().advance(9).told[0] == "5h c send sent"
    assert standing().use(newer).advance(1).review().track("Pay").told[0] == "1h b send sent"
    late = edition(
        {"main": main([{**steps[0], "wait_for": {"event": "Pay", "up_to": "1h"}}], pause="paid")}
    )
    assert standing().use(late).advance(3).review().told[0] == "3h c send sent"


def test_what_is_said_of_all_others_counts_for_steps_that_are_not_named() -> None:
    newer = main([{"send": "c", "id": "bye"}], rest="stay", **{"*": "exit"})
    assert standing().use(edition({"main": newer})).review().told == ["0h left main: migrated"]
    later = standing().advance(5).use(edition({"main": newer})).review()
    assert later.places() == ["rest (older)"]
    assert later.told == ["4h a send sent"]


def test_who_comes_to_stand_at_a_named_step_later_is_moved_then() -> None:
    newer = edition(
        {
            "main": main(
                [{"wait": "9h", "id": "long"}, {"send": "c"}, {"send": "a", "id": "first"}],
                rest="long",
            )
        }
    )
    world = standing().use(newer).review()
    assert world.places() == ["pause (older)"]
    assert world.advance(5).track("Anything").places() == ["long"]
    assert world.advance(24).told[:2] == ["4h a send sent", "13h c send sent"]


def test_a_deferral_stays_where_the_same_step_is_there_again_and_goes_where_it_is_not() -> None:
    steps: Steps = [{"send": "x", "id": "night"}, {"send": "a"}]
    same = main([{"send": "x", "id": "night"}, {"send": "b"}], night="night")
    world = standing(steps).use(edition({"main": same})).review()
    assert len(world.profile.pending) == 1
    assert world.advance(24).told[1:] == [
        "12h x send sent", "12h b send sent", "12h left main: completed",
    ]  # fmt: skip
    other = main([{"send": "x", "id": "night"}, {"send": "b", "id": "day"}], night="day")
    moved = standing(steps).use(edition({"main": other})).review()
    assert moved.told[1:] == ["0h x drop migrated", "0h b send sent", "0h left main: completed"]


def test_any_input_finds_out_first_that_the_workspace_has_changed() -> None:
    newer = edition({"main": main([{"send": "c"}], pause="exit")})
    assert standing().use(newer).track("Seen").told == ["0h left main: migrated"]
    assert standing().use(newer).advance(4).told == ["4h left main: migrated"]


def test_migrate_makes_no_version_of_its_own_and_another_edition() -> None:
    plain, moving = edition({"main": TWO}), edition({"main": main(TWO, rest="pause")})
    one, two = compile_source(plain), compile_source(moving)
    assert one.journeys["main"].version == two.journeys["main"].version
    assert one.edition != two.edition
    assert standing().use(moving).review().places() == ["pause"]


def test_the_edition_is_another_where_journeys_are_and_none_without_any() -> None:
    first = compile_source(edition({"main": TWO})).edition
    assert first == compile_source(edition({"main": TWO}, seed=9)).edition
    assert first != compile_source(edition({"main": TWO, "more": TWO})).edition
    assert first != compile_source(edition({"main": TWO[:2]})).edition
    assert compile_source(edition({})).edition == 0


@pytest.mark.parametrize(
    ("migrate", "steps", "words"),
    [
        ({"old": "frist"}, TWO, ("unknown step 'frist'", "did you mean 'first'")),
        ({"*": "nowhere"}, TWO, ("unknown step 'nowhere'", "")),
        ({"old": "stay"}, [{"send": "a", "id": "stay"}], ("a word of `migrate`", "another id")),
    ],
)
def test_migrate_that_leads_nowhere_is_told(
    migrate: dict[str, str], steps: Steps, words: tuple[str, str]
) -> None:
    source = edition({"main": {**main(steps), "migrate": migrate}})
    with pytest.raises(ProgramError) as caught:
        compile_source(source)
    (problem,) = caught.value.problems
    assert problem.path == f"journeys.main.migrate.{next(iter(migrate))}"
    assert words[0] in problem.message
    assert words[1] in problem.hint


def test_the_trace_says_what_is_missing() -> None:
    world = standing().use(edition({"main": [{"send": "b", "id": "second"}]})).advance(4)
    decided = next(
        one for one in world.records if getattr(one, "reason", "") == Reason.STEP_DELETED
    )
    assert "the step first is not in the workspace any more" in repr(decided)


def test_who_stands_in_branches_moves_as_a_whole_and_what_they_have_pending_is_dropped() -> None:
    branches = {"left": [{"send": "x", "id": "night"}], "right": [{"wait": "9h", "id": "long"}]}
    steps: Steps = [{"parallel": branches, "id": "both"}, {"send": "b"}]
    newer = edition(
        {"main": main([{"send": "x", "id": "night"}, {"send": "c", "id": "c"}], long="c")}
    )
    world = standing(steps)
    assert len(world.profile.instances) == 3
    world.use(newer).review()
    assert world.told[1:] == ["0h x drop migrated", "0h c send sent", "0h left main: completed"]
    assert (world.profile.instances, world.profile.timers) == ({}, {})


def test_of_several_messages_only_those_are_decided_about_that_a_step_still_sends() -> None:
    steps: Steps = [{"wait": "1h"}, {"decide": ["a", "b"]}]
    newer = edition({"main": [{"wait": "2h"}, {"send": "b"}]})
    assert standing(steps).use(newer).advance(1).told[0] == "1h b send sent"
    gone = edition({"main": [{"wait": "2h"}, {"send": "c"}]})
    assert standing(steps).use(gone).advance(1).told[0] == "1h a drop step_deleted"


def test_nobody_can_be_led_into_a_branch() -> None:
    branches = {"left": [{"send": "a", "id": "in"}], "right": [{"wait": "9h"}]}
    with pytest.raises(ProgramError, match="the step 'in' is in a branch"):
        compile_source(edition({"main": main([{"parallel": branches}], old="in")}))


def test_who_is_moved_while_a_call_is_under_way_takes_it_back() -> None:
    call: Steps = [{"webhook": {"url": "https://crm.example/"}, "id": "ask"}, {"send": "a"}]
    newer = main([{"wait": "1h", "id": "pause"}, {"send": "b"}], ask="pause")
    world = standing(call)
    (waiting,) = world.profile.instances.values()
    taken = waiting.call
    world.use(edition({"main": newer})).review()
    (moved,) = world.profile.instances.values()
    assert taken
    assert moved.call == ""
    assert [one.call_id for one in world.records if isinstance(one, CallRecalled)] == [taken]
    assert world.advance(2).told[-1] == "1h left main: completed"
