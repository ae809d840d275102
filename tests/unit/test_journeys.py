"""How people move through journeys, told as short histories."""

from typing import Any

from tests.stories import Story


def story(steps: list[Any], **journey: Any) -> Story:
    """Begin a history in a workspace with one journey of these steps."""
    content = {"email": {"subject": "s", "body": "b"}, "sms": {"body": "b"}}
    workspace: dict[str, Any] = {
        "workspace": "journeys",
        "defaults": {"timezone": "UTC", "country": "GB"},
        "channels": {
            "email": {"adapter": "log", "identity": "email"},
            "sms": {"adapter": "log", "identity": "phone"},
        },
        "message_types": {"note": {"purpose": "service", "channels": ["email", "sms"]}},
        "messages": {name: {"type": "note", "content": content} for name in ("a", "b", "c")},
        "segments": {"vip": "profile.plan == 'gold'"},
        "journeys": {
            "main": {"trigger": {"event": "Go"}, "steps": steps, **journey},
            "other": {"trigger": {"event": "Other"}, "steps": [{"send": "c", "id": "other"}]},
        },
    }
    return Story(workspace).identify("07:00", email="a@example.com", phone="+447700900123")


def test_a_wait_is_elapsed_time_from_when_the_step_is_reached() -> None:
    world = story([{"send": "a"}, {"wait": "90m"}, {"send": "b"}]).track("08:00", "Go")
    assert world.until("10:00").told() == ["08:00 a send sent email", "09:30 b send sent email"]


def test_if_takes_one_branch_and_both_join_again() -> None:
    steps = [
        {"if": "event.price > 50", "then": [{"send": "a"}], "else": [{"send": "b"}]},
        {"send": "c"},
    ]
    high = story(steps).track("08:00", "Go", price=60).told()
    low = story(steps).track("08:00", "Go", price=50).told()
    none = story(steps).track("08:00", "Go").told()
    assert [line.split()[1] for line in high] == ["a", "c"]
    assert [line.split()[1] for line in low] == ["b", "c"]
    assert [line.split()[1] for line in none] == ["b", "c"]


def test_wait_for_an_event_ends_with_the_event_or_with_time() -> None:
    steps = [
        {
            "wait_for": {"event": "Paid", "if": "event.total > 10", "up_to": "2h"},
            "then": [{"send": "a"}],
            "else": [{"send": "b"}],
        }
    ]
    paid = story(steps).track("08:00", "Go").track("09:00", "Paid", total=5)
    assert paid.track("09:30", "Paid", total=11).until("12:00").told() == [
        "09:30 a send sent email"
    ]
    assert story(steps).track("08:00", "Go").until("12:00").told() == ["10:00 b send sent email"]


def test_wait_for_a_segment_ends_when_the_customer_is_in_it() -> None:
    steps = [{"wait_for": {"segment": "vip", "up_to": "2h"}, "then": [{"send": "a"}]}]
    world = story(steps).track("08:00", "Go").identify("09:00", plan="gold")
    assert world.until("12:00").told() == ["09:00 a send sent email"]
    already = story(steps).identify("07:30", plan="gold").track("08:00", "Go")
    assert already.told() == ["08:00 a send sent email"]


def test_engagement_before_the_wait_began_counts() -> None:
    steps = [
        {"send": "a", "id": "first"},
        {"wait": "2h"},
        {
            "wait_for": {"engagement": "first", "kinds": ["opened"], "up_to": "1h"},
            "then": [{"exit": "engaged"}],
            "else": [{"send": "b"}],
        },
    ]
    world = story(steps).track("08:00", "Go").receipt("08:30", "a", "opened")
    assert world.until("14:00").told() == ["08:00 a send sent email"]
    assert world.endings() == {"main/engaged": 1}


def test_a_journey_can_start_another_and_go_on() -> None:
    world = story([{"start": "other"}, {"send": "a"}]).track("08:00", "Go")
    assert [line.split()[1] for line in world.told()] == ["c", "a"]


def test_set_writes_a_trait_that_later_conditions_see() -> None:
    steps = [
        {"set": {"stage": "warm"}},
        {"if": "profile.stage == 'warm'", "then": [{"send": "a"}]},
    ]
    world = story(steps).track("08:00", "Go")
    assert world.told() == ["08:00 a send sent email"]
    assert world.traits()["stage"] == "warm"


def test_nobody_is_in_the_same_journey_twice_at_once() -> None:
    world = story([{"wait": "1h"}, {"send": "a"}]).track("08:00", "Go").track("08:30", "Go")
    assert world.until("12:00").told() == ["09:00 a send sent email"]


def test_reentry_waits_for_its_time_since_the_last_entry() -> None:
    world = story([{"send": "a"}], reentry="2h").track("08:00", "Go").track("09:59", "Go")
    assert world.track("10:00", "Go").told() == [
        "08:00 a send sent email",
        "10:00 a send sent email",
    ]


def test_without_a_reentry_time_one_may_come_back_after_the_exit() -> None:
    world = story([{"send": "a"}]).track("08:00", "Go").track("08:00:01", "Go")
    assert len(world.told()) == 2


def test_a_goal_ends_the_journey_wherever_it_stands() -> None:
    world = story([{"wait": "1h"}, {"send": "a"}], goal={"event": "Bought", "within": "3d"})
    world.track("08:00", "Go").track("08:30", "Bought").until("12:00")
    assert world.told() == []
    assert world.endings() == {"main/goal_met": 1}


def test_a_goal_after_its_time_is_not_met() -> None:
    world = story([{"wait": "3h"}, {"send": "a"}], goal={"event": "Bought", "within": "1h"})
    assert world.track("08:00", "Go").track("09:30", "Bought").until("12:00").told() == [
        "11:00 a send sent email"
    ]


def test_a_deferred_message_holds_its_instance_at_the_step() -> None:
    steps = [{"send": "a", "channel": "email"}, {"wait": "1h"}, {"send": "b"}]
    world = story(steps)
    world.workspace["channels"]["email"]["window"] = "10:00-20:00"
    assert world.track("08:00", "Go").until("12:00").told() == [
        "08:00 a defer outside_window email -> 10:00",
        "10:00 a send sent email",
        "11:00 b send sent email",
    ]


def test_a_wait_until_a_wall_clock_moment_is_in_customer_time() -> None:
    steps = [{"wait": {"until": "09:00"}}, {"send": "a"}]
    world = story(steps).identify("01:00", timezone="Africa/Johannesburg").track("02:00", "Go")
    assert world.until("12:00").told() == ["07:00 a send sent email"]


def test_history_functions_see_the_event_that_triggers() -> None:
    world = story([{"send": "a"}], trigger={"event": "Go", "if": 'count("Go", "1h") >= 2'})
    assert world.track("08:00", "Go").track("08:30", "Go").told() == ["08:30 a send sent email"]
    spread = story([{"send": "a"}], trigger={"event": "Go", "if": 'count("Go", "1h") >= 2'})
    assert spread.track("08:00", "Go").track("09:00", "Go").told() == []


def test_leaving_drops_what_is_pending_with_a_decision() -> None:
    world = story([{"send": "a", "channel": "email"}], goal={"event": "Bought"})
    world.workspace["channels"]["email"]["window"] = "10:00-20:00"
    assert world.track("08:00", "Go").track("08:30", "Bought").until("12:00").told() == [
        "08:00 a defer outside_window email -> 10:00",
        "08:30 a drop goal_met email",
    ]


def test_an_event_at_the_instant_of_a_timer_comes_first() -> None:
    world = story([{"wait": "1h"}, {"send": "a"}], goal={"event": "Bought"})
    assert world.track("08:00", "Go").track("09:00", "Bought").until("12:00").told() == []
