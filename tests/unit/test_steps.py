"""The steps that choose a way, run side by side, go round, or make something happen."""

from typing import Any

import pytest

from engine.limits import EMITS_MAX, STEP_MOVES_MAX, VARIABLE_BYTES_MAX, VARIABLES_MAX
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.records import (
    Allotted,
    Branched,
    BranchEnded,
    Decided,
    Emitted,
    Record,
    Remembered,
    Truncated,
)
from engine.step import step
from tests.stories import Story, at
from tests.unit.test_journeys import story


def sent(world: Story) -> list[str]:
    """Give what was sent, as `hour message`."""
    return [" ".join(line.split()[:-3]) for line in world.told() if " sent " in f"{line} "]


def one(message: str, **more: Any) -> dict[str, Any]:
    return {"send": message, **more}


WAY = [
    {"switch": "event.n", "cases": {"3": [one("a")], "2.5": [one("b")]}, "else": [one("c")]},
    {"wait": "1h"},
    one("b", id="behind"),
]


@pytest.mark.parametrize(
    ("value", "case"), [(3, "a"), (2.5, "b"), ("3", "a"), (True, "c"), (None, "c"), ({}, "c")]
)
def test_switch_takes_the_case_its_value_is_written_as(value: Any, case: str) -> None:
    world = story(WAY).track("08:00", "Go", n=value).until("10:00")
    assert sent(world) == [f"08:00 {case}", "09:00 b"]


def test_switch_knows_true_and_goes_on_behind_where_no_case_fits() -> None:
    steps = [{"switch": "event.n > 1", "cases": {"true": [one("a")]}}, one("b")]
    assert sent(story(steps).track("08:00", "Go", n=2)) == ["08:00 a", "08:00 b"]
    assert sent(story(steps).track("08:00", "Go", n=1)) == ["08:00 b"]


SPLIT = [
    {
        "split": {"control": 1, "offer": 3},
        "cases": {"offer": [one("a")]},
        "id": "test",
    },
    one("b"),
]


def arms(count: int, **parts: Any) -> list[bool]:
    """Say of so many customers whether they got the offer."""
    found: list[bool] = []
    for number in range(count):
        world = story(SPLIT)
        world.workspace.update(parts)
        world.customer = f"u{number}"
        whole = Story(world.workspace, customer=f"u{number}").identify(
            "07:00", email="a@example.com"
        )
        found.append("08:00 a" in sent(whole.track("08:00", "Go")))
    return found


def test_split_shares_customers_out_by_weight_and_by_nothing_but_names() -> None:
    first = arms(200)
    assert 130 <= sum(first) <= 170  # of 150 expected
    assert arms(40) == first[:40]
    assert arms(40, seed=1) != first[:40]


def test_split_puts_down_the_arm_each_time_and_keeps_to_it() -> None:
    program = compile_source(story(SPLIT).workspace)
    replay = story(SPLIT).track("08:00", "Go").track("09:00", "Go").track("10:00", "Go")
    allotted = [record for record in records(replay) if isinstance(record, Allotted)]
    assert len({record.arm for record in allotted}) == 1
    assert [(r.journey, r.step, r.at) for r in allotted] == [
        ("main", "test", at(hour)) for hour in ("08:00", "09:00", "10:00")
    ]
    assert program.journeys["main"].code[0].weights == (("control", 1.0), ("offer", 3.0))


def records(world: Story) -> list[Record]:
    """Give every record a history leads to, input after input, without timers."""
    program, profile = compile_source(world.workspace), Profile(world.customer)
    found: list[Record] = []
    for given in world.inputs():
        found += step(profile, given, program, given.at).records
    return found


def contents(world: Story) -> list[dict[str, str]]:
    return [record.content for record in records(world) if isinstance(record, Decided)]


BRANCHES = {
    "mail": [{"wait": "1h"}, one("a")],
    "text": [{"wait": "2h"}, one("b")],
}


def test_branches_run_side_by_side_and_join_when_all_have_ended() -> None:
    world = story([{"parallel": BRANCHES}, one("c")]).track("08:00", "Go").until("12:00")
    assert sent(world) == ["09:00 a", "10:00 b", "10:00 c"]
    assert world.endings() == {"main/completed": 1}
    assert world.profile().instances == {}


def test_a_branch_that_ends_at_once_is_waited_for_no_longer() -> None:
    steps = [{"parallel": {"now": [one("a")], "later": [{"wait": "1h"}]}}, one("c")]
    assert sent(story(steps).track("08:00", "Go").until("12:00")) == ["08:00 a", "09:00 c"]
    both = [{"parallel": {"now": [one("a")], "too": [one("b")]}}, one("c")]
    assert sent(story(both).track("08:00", "Go")) == ["08:00 a", "08:00 b", "08:00 c"]


def test_join_any_goes_on_with_the_first_and_ends_the_others() -> None:
    steps = [{"parallel": BRANCHES, "join": "any"}, {"wait": "3h"}, one("c")]
    world = story(steps).track("08:00", "Go")
    assert [one.parent for one in world.until("08:30").profile().instances.values()] == [0, 1, 1]
    assert [one.parent for one in world.until("09:30").profile().instances.values()] == [0]
    assert len(world.profile().timers) == 1
    assert sent(world.until("13:00")) == ["09:00 a", "12:00 c"]


def test_what_an_ended_branch_has_pending_is_dropped() -> None:
    branches = {"mail": [one("a")], "wait": [{"wait": "1h"}]}
    world = story([{"parallel": branches, "join": "any"}, one("c", channel="sms")])
    world.workspace["channels"]["email"]["window"] = "10:00-12:00"
    world.workspace["message_types"]["note"]["channels"] = ["email"]
    world.workspace["message_types"]["text"] = {"purpose": "service", "channels": ["sms"]}
    world.workspace["messages"]["c"]["type"] = "text"
    assert world.track("08:00", "Go").until("13:00").told() == [
        "08:00 a defer outside_window email -> 10:00",
        "09:00 a drop branch_ended email",
        "09:00 c send sent sms",
    ]
    assert world.profile().pending == {}


def test_a_deferred_message_holds_its_branch_and_no_other() -> None:
    branches = {"mail": [one("a"), {"wait": "1h"}], "text": [{"wait": "30m"}, one("b")]}
    world = story([{"parallel": branches}, one("c")])
    world.workspace["channels"]["email"]["window"] = "10:00-12:00"
    for name in ("b", "c"):
        world.workspace["messages"][name]["content"] = {"sms": {"body": "b"}}
    assert sent(world.track("08:00", "Go").until("13:00")) == ["08:30 b", "10:00 a", "11:00 c"]


@pytest.mark.parametrize("how", ["exit", "goal"])
def test_the_end_of_a_stay_ends_all_its_branches(how: str) -> None:
    leaving = [{"wait_for": {"event": "Stop"}, "then": [{"exit": "stopped"}]}]
    steps = [{"parallel": {**BRANCHES, "stop": leaving}}, one("c")]
    world = story(steps, goal={"event": "Bought"}).track("08:00", "Go")
    world.track("09:30", "Stop" if how == "exit" else "Bought").until("12:00")
    assert sent(world) == ["09:00 a"]
    assert world.endings() == {"main/stopped" if how == "exit" else "main/goal_met": 1}
    profile = world.profile()
    assert (profile.instances, profile.timers, profile.pending) == ({}, {}, {})


def test_an_event_can_end_the_wait_of_a_branch_that_another_branch_ends_meanwhile() -> None:
    """Both wait for the event; the first to get it leaves, and the second is gone by then."""
    waits = {"event": "Stop"}
    steps = [
        {
            "parallel": {
                "a": [{"wait_for": waits, "then": [{"exit": "first"}]}],
                "b": [{"wait_for": waits, "then": [one("b")]}],
            }
        }
    ]
    world = story(steps).track("08:00", "Go").track("09:00", "Stop")
    assert (world.endings(), world.told()) == ({"main/first": 1}, [])


def test_branches_can_branch_and_an_end_reaches_all_the_way_up() -> None:
    inner = {"parallel": {"x": [{"wait": "1h"}], "y": [{"wait": "3h"}]}, "join": "any"}
    steps = [{"parallel": {"deep": [inner, one("a")], "flat": [{"wait": "2h"}]}}, one("c")]
    world = story(steps).track("08:00", "Go")
    assert len(world.until("08:30").profile().instances) == 5
    assert sent(world.until("12:00")) == ["09:00 a", "10:00 c"]


def test_a_branch_waits_for_engagement_with_what_was_sent_before_it() -> None:
    wait = {
        "wait_for": {"engagement": "first", "kinds": ["opened"], "up_to": "2h"},
        "then": [one("b")],
    }
    steps = [one("a", id="first"), {"parallel": {"x": [wait], "y": [{"wait": "3h"}]}}, one("c")]
    world = story(steps).track("08:00", "Go").receipt("09:00", "a", "opened").until("12:00")
    assert sent(world) == ["08:00 a", "09:00 b", "11:00 c"]


def test_a_goal_met_in_a_branch_keeps_what_it_sent_from_following() -> None:
    steps = [{"parallel": {"x": [one("a"), {"wait": "5h"}], "y": [{"wait": "5h"}]}}]
    world = story(steps, goal={"event": "Bought"}).track("08:00", "Go").track("09:00", "Bought")
    world.receipt("10:00", "a", "failed", permanent=True)
    assert world.told()[-1] == "10:00 a drop goal_met email"


def test_repeat_goes_round_so_many_times() -> None:
    steps = [{"repeat": 3, "steps": [one("a"), {"wait": "1h"}]}, one("c")]
    world = story(steps).track("08:00", "Go").until("14:00")
    assert sent(world) == ["08:00 a", "09:00 a", "10:00 a", "11:00 c"]


def test_while_is_asked_before_each_time() -> None:
    steps = [
        {"repeat": 9, "while": "!profile.done", "steps": [one("a"), {"wait": "1h"}]},
        one("c"),
    ]
    world = story(steps).track("08:00", "Go").identify("09:30", done=True).until("14:00")
    assert sent(world) == ["08:00 a", "09:00 a", "10:00 c"]
    never = story(steps).identify("07:30", done=True).track("08:00", "Go")
    assert sent(never) == ["08:00 c"]


def test_a_repeat_within_a_repeat_begins_anew_each_time() -> None:
    inner = {"repeat": 2, "steps": [one("b"), {"wait": "10m"}]}
    steps = [{"repeat": 2, "steps": [one("a"), inner]}]
    world = story(steps).track("08:00", "Go").until("14:00")
    assert sent(world) == ["08:00 a", "08:00 b", "08:10 b", "08:20 a", "08:20 b", "08:30 b"]
    assert world.profile().instances == {}


def test_a_wait_in_a_repeat_is_for_engagement_with_what_was_sent_last() -> None:
    wait = {
        "wait_for": {"engagement": "first", "kinds": ["opened"], "up_to": "2h"},
        "then": [one("b")],
        "else": [one("c")],
    }
    steps = [{"repeat": 2, "steps": [one("a", id="first"), wait]}]
    world = story(steps).track("08:00", "Go").receipt("09:00", "a", "opened").until("14:00")
    assert sent(world) == ["08:00 a", "09:00 b", "09:00 a", "11:00 c"]


def test_many_branches_that_join_at_once_are_no_deep_recursion() -> None:
    fork = {"parallel": {"x": [{"set": {"x": 1}}], "y": [{"set": {"y": 1}}]}}
    steps = [{"repeat": 20, "steps": [fork]}, one("c")]
    assert sent(story(steps).track("08:00", "Go")) == ["08:00 c"]


def test_variables_are_seen_by_conditions_and_content_and_end_with_the_stay() -> None:
    steps = [
        {"set": {"journey.n": {"cel": "event.price * 2"}, "journey.who": "Ada"}},
        {"if": "journey.n > 10", "then": [one("a")], "else": [one("b")]},
        {"set": {"journey.n": {"cel": "journey.missing"}}},
        {"if": "has(journey.n)", "then": [one("c")]},
    ]
    world = story(steps).track("08:00", "Go", price=6)
    body = "{{ journey.who }} {{ journey.n }} {{ entry.price }} {{ event.price }}"
    world.workspace["messages"]["a"]["content"] = {"email": {"body": body}}
    assert sent(world) == ["08:00 a"]
    assert [said for said in contents(world) if said] == [{"body": "Ada 12 6 6"}]
    assert "n" not in world.traits()


def test_the_event_at_hand_is_held_against_the_one_it_began_with() -> None:
    steps = [{"wait_for": {"event": "Paid", "if": "event.cart == entry.cart"}}, one("a")]
    goal = {"event": "Bought", "if": "event.cart == entry.cart"}
    world = story(steps, goal=goal).track("08:00", "Go", cart=7)
    world.track("08:10", "Paid", cart=8).track("08:20", "Bought", cart=8).track("08:30", "Paid")
    assert sent(world.track("09:00", "Paid", cart=7)) == ["09:00 a"]
    met = story(steps, goal=goal).track("08:00", "Go", cart=7).track("09:00", "Bought", cart=7)
    assert met.endings() == {"main/goal_met": 1}


def test_a_deferred_message_says_what_its_journey_knows_when_it_goes() -> None:
    branches = {
        "mail": [one("a")],
        "set": [{"wait": "1h"}, {"set": {"journey.n": 2}}],
    }
    world = story([{"set": {"journey.n": 1}}, {"parallel": branches}])
    world.workspace["channels"]["email"]["window"] = "10:00-12:00"
    world.workspace["messages"]["a"]["content"] = {
        "email": {
            "body": "n={{ journey.n }}{% if journey.n == 1 %}{% abort_message 'old' %}{% endif %}"
        }
    }
    assert sent(world.track("08:00", "Go").until("11:00")) == ["10:00 a"]


def test_the_next_channel_says_it_with_the_variables_of_a_journey_that_is_over() -> None:
    world = story([{"set": {"journey.n": 5}}, one("a")])
    world.workspace["messages"]["a"]["content"]["sms"]["body"] = (
        "{% unless journey.n == 5 %}{% abort_message 'lost' %}{% endunless %}{{ journey.n }}"
    )
    world.track("08:00", "Go").receipt("09:00", "a", "failed", permanent=True)
    assert sent(world) == ["08:00 a", "09:00 a"]


def test_there_is_room_for_so_many_variables_of_so_many_bytes() -> None:
    names = {f"journey.v{n:02}": n for n in range(VARIABLES_MAX)}
    big = {"journey.v00": {"cel": "event.text"}}
    world = story([{"set": names}, {"set": big}, {"wait": "1h"}])
    world.track("08:00", "Go", text="x" * VARIABLE_BYTES_MAX)
    assert world.profile().instances[1].vars["v00"] == 0
    kept = [record for record in records(world) if isinstance(record, Truncated)]
    assert [(one.bound, one.detail) for one in kept] == [("variable_bytes", "main.v00")]


EMIT = {
    "emit": "Left",
    "properties": {"a": 1, "b": {"cel": "entry.price"}, "c": {"cel": "event.x"}},
}


def test_an_event_is_emitted_with_properties_and_starts_what_waits_for_it() -> None:
    world = story([EMIT, one("a")])
    world.workspace["journeys"]["other"]["trigger"] = {
        "event": "Left", "if": "event.a == 1 && event.b == 7 && !has(event.c)",
    }  # fmt: skip
    world.track("08:00", "Go", price=7)
    assert sent(world) == ["08:00 c", "08:00 a"]
    emitted = [record for record in records(world) if isinstance(record, Emitted)]
    assert emitted == [Emitted("Left", at("08:00"), {"a": 1, "b": 7}, 1)]


def test_an_event_of_our_own_is_counted_and_moves_segments_waits_and_goals() -> None:
    world = story([{"wait": "1h"}, EMIT, {"if": "in_segment('left')", "then": [one("a")]}])
    world.workspace["segments"]["left"] = "count('Left', '1d') >= 1"
    journeys = world.workspace["journeys"]
    journeys["seg"] = {"trigger": {"segment": "left"}, "steps": [one("b")]}
    journeys["waits"] = {
        "trigger": {"event": "Go"},
        "steps": [{"wait_for": {"event": "Left"}, "then": [one("c")]}],
    }
    journeys["aims"] = {
        "trigger": {"event": "Go"}, "goal": {"event": "Left"}, "steps": [{"wait": "9h"}],
    }  # fmt: skip
    world.track("08:00", "Go").until("10:00")
    assert sorted(sent(world)) == ["09:00 a", "09:00 b", "09:00 c"]
    assert world.endings()["aims/goal_met"] == 1
    profile = world.profile()
    assert profile.history["Left"].count == 1
    assert profile.active_at == at("08:00")


def test_a_journey_does_not_go_on_where_its_own_event_is_its_goal() -> None:
    world = story([EMIT, one("a")], goal={"event": "Left"}).track("08:00", "Go")
    assert (world.endings(), world.told()) == ({"main/goal_met": 1}, [])


def test_a_wait_behind_an_emit_is_for_the_next_such_event() -> None:
    world = story([EMIT, {"wait_for": {"event": "Left"}}, one("a")]).track("08:00", "Go")
    assert sent(world) == []
    assert sent(world.track("09:00", "Left")) == ["09:00 a"]


def test_an_event_that_a_timer_leads_to_is_emitted_then() -> None:
    steps = [{"parallel": {"x": [{"wait": "1h"}, EMIT], "y": [{"wait_for": {"event": "Left"}}]}}]
    world = story([*steps, one("a")]).track("08:00", "Go").until("12:00")
    assert sent(world) == ["09:00 a"]


def test_events_that_lead_to_each_other_stop_somewhere() -> None:
    world = story([{"emit": "Ping"}])
    world.workspace["journeys"]["other"] = {
        "trigger": {"event": "Ping", "if": "true"}, "steps": [{"emit": "Go"}],
    }  # fmt: skip
    world.workspace["journeys"]["main"]["trigger"]["if"] = "true"
    found = records(world.track("08:00", "Go"))
    assert len([record for record in found if isinstance(record, Emitted)]) == EMITS_MAX
    assert [record.bound for record in found if isinstance(record, Truncated)] == ["emits"]


def deciding(**channels: Any) -> Story:
    """Begin a history in which the best of three messages is decided on."""
    world = story([{"decide": ["a", "b", "c"], "id": "best"}, {"wait": "1h"}])
    messages = world.workspace["messages"]
    messages["a"].update(value=5)
    messages["b"].update(value=9)
    messages["c"].update(priority=10)  # of a service message: 100
    world.workspace["channels"]["email"].update(channels)
    world.workspace["message_types"]["note"]["channels"] = ["email"]
    return world.track("08:00", "Go")


def test_decide_sends_the_highest_that_can_go() -> None:
    assert deciding().told() == ["08:00 b send sent email"]
    world = deciding()
    world.workspace["messages"]["b"]["content"] = {
        "sms": {"body": "b"},
        "default": {"body": "{% abort_message %}"},
    }
    decisions = world.decisions()
    assert [(one["message"], one["step"]) for one in decisions] == [("a", "best")]
    (passed,) = [one for one in decisions[0]["trace"] if one["check"] == "decide"]
    assert (passed["rule"], passed["seen"]) == ("messages.b", "drop: no_content")
    assert passed["result"] == "passed_over"


def test_decide_waits_with_the_highest_where_none_can_go_now() -> None:
    world = deciding(window="10:00-12:00").until("10:30")
    assert world.told() == [
        "08:00 b defer outside_window email -> 10:00", "10:00 b send sent email",
    ]  # fmt: skip
    assert world.profile().instances[1].position == 1  # it went on once that was sent


def test_decide_prefers_what_can_go_now_to_what_must_wait() -> None:
    world = deciding(window="10:00-12:00")
    kinds = world.workspace["message_types"]
    kinds["any"] = {"purpose": "service", "channels": ["email"], "ignores": ["window"]}
    world.workspace["messages"]["c"]["type"] = "any"
    (decision,) = world.decisions()
    assert (decision["message"], decision["outcome"]) == ("c", "send")
    seen = [one["seen"] for one in decision["trace"] if one["check"] == "decide"]
    assert seen == ["defer: outside_window", "defer: outside_window"]


def test_decide_drops_the_highest_where_none_can_go_at_all() -> None:
    world = deciding(identity="nowhere").until("10:00")
    assert world.told() == ["08:00 b drop unreachable email"]


def test_too_many_moves_still_end_the_whole_stay() -> None:
    chain = [{"set": {"n": 1}}] * STEP_MOVES_MAX
    world = story([{"parallel": {"x": chain, "y": [{"wait": "1h"}]}}]).track("08:00", "Go")
    assert world.endings() == {"main/loop": 1}
    assert (world.profile().instances, world.profile().timers) == ({}, {})


def test_what_branches_and_variables_do_is_put_down() -> None:
    steps = [{"parallel": {"x": [{"set": {"journey.n": 1}}], "y": [{"wait": "1h"}]}, "join": "any"}]
    found = records(story(steps).track("08:00", "Go"))
    kinds = (Branched, BranchEnded, Remembered)
    assert [record for record in found if isinstance(record, kinds)] == [
        Branched(2, 1, 1, at("08:00")),
        Branched(3, 1, 3, at("08:00")),
        Remembered(1, "n", 1),
        BranchEnded(2),
        BranchEnded(3),
    ]
