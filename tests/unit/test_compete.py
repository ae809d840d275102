"""Competition: who goes first, and who leaves the last slot to a message that is planned."""

from typing import Any

import pytest

from tests.stories import Story


def story(
    *,
    messages: dict[str, dict[str, Any]] | None = None,
    kinds: dict[str, dict[str, Any]] | None = None,
    channel: dict[str, Any] | None = None,
    wait: object = "2h",
    **policies: Any,
) -> Story:
    """Tell of `low`, sent at once on the event L, and `high`, sent on H after a wait."""
    promo = {"purpose": "marketing", "channels": ["email"]}
    own = messages or {"high": {"priority": 80}, "low": {"priority": 20}}
    steps = {"low": [{"send": "low"}], "high": [{"wait": wait}, {"send": "high"}]}
    world = Story({
        "workspace": "compete",
        "consent": {"marketing": "opt_out"},
        "channels": {
            "email": {"adapter": "log", "identity": "email", "caps": ["1 / 24h"], **(channel or {})}
        },
        "message_types": kinds or {"promo": promo},
        "messages": {
            name: {"type": "promo", "content": {"default": {"body": name}}, **own.get(name, {})}
            for name in ("high", "low")
        },
        "journeys": {
            "h": {"trigger": {"event": "H"}, "steps": steps["high"]},
            "l": {"trigger": {"event": "L"}, "steps": steps["low"]},
        },
        "policies": {"look_ahead": "6h", **policies},
    })  # fmt: skip
    return world.identify("06:00", email="a@example.com", timezone="UTC")


def test_a_low_message_leaves_the_last_slot_to_a_high_one_that_follows_a_wait() -> None:
    world = story().track("07:00", "H").track("08:00", "L").until("+2d 12:00")
    assert world.told() == [
        "08:00 low defer lower_priority email -> 09:00",
        "09:00 high send sent email",
        "09:00 low defer channel_cap email -> +1d 09:00",
        "+1d 09:00 low send sent email",
    ]


def test_the_trace_says_which_message_is_planned_and_when() -> None:
    world = story().track("07:00", "H").track("08:00", "L")
    (check,) = world.decisions()[0]["trace"]
    assert check["check"] == "competition"
    assert check["rule"] == "messages.high.priority"
    assert check["seen"] == "high is planned for 2026-03-02T09:00:00Z"
    assert check["until"] == "2026-03-02T09:00:00Z"


def test_a_high_message_that_is_deferred_keeps_its_place_too() -> None:
    world = story(wait="1m", suppress=[{"name": "s", "after": "S", "for": "2h"}])
    world.track("07:00", "S").track("07:00", "H").until("08:30")
    assert world.told() == ["07:01 high defer suppressed email -> 09:00"]
    rules = [{"name": "s", "after": "S", "for": "2h", "purposes": ["service"]}]
    kinds = {
        "promo": {"purpose": "marketing", "channels": ["email"]},
        "other": {"purpose": "service", "channels": ["email"]},
    }
    apart = story(
        wait="1m",
        kinds=kinds,
        messages={"high": {"priority": 80, "type": "other"}, "low": {"priority": 20}},
        suppress=rules,
    )
    apart.track("07:00", "S").track("07:00", "H").track("08:00", "L").until("12:00")
    assert apart.told() == [
        "07:01 high defer suppressed email -> 09:00",
        "08:00 low defer lower_priority email -> 09:00",
        "09:00 high send sent email",
        "09:00 low defer channel_cap email -> +1d 09:00",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"look_ahead": "59m"},  # it is planned later than that
        {"channel": {"caps": ["2 / 24h"]}},  # there is room for both
        {"channel": {"caps": ["1 / 1h"]}},  # the slot is free again in time
        {"messages": {"high": {"priority": 20}, "low": {"priority": 20}}},
        {"messages": {"high": {"priority": 20}, "low": {"priority": 80}}},
        {"messages": {"high": {"value": 5.0}, "low": {"value": 5.0}}},
        {"messages": {"high": {"priority": 20, "value": 900}, "low": {"priority": 21}}},
    ],
)
def test_a_message_that_takes_nothing_from_a_higher_one_goes(changes: dict[str, Any]) -> None:
    world = story(**changes).track("07:00", "H").track("08:00", "L").until("08:30")
    assert world.told() == ["08:00 low send sent email"]


@pytest.mark.parametrize("priority", [20, 19])
def test_a_message_does_not_wait_for_one_that_is_deferred_and_no_higher(priority: int) -> None:
    kinds = {
        "promo": {"purpose": "marketing", "channels": ["email"]},
        "other": {"purpose": "service", "channels": ["email"]},
    }
    world = story(
        wait="1m",
        kinds=kinds,
        messages={"high": {"priority": priority, "type": "other"}, "low": {"priority": 20}},
        suppress=[{"name": "s", "after": "S", "for": "2h", "purposes": ["service"]}],
    )
    world.track("07:00", "S").track("07:00", "H").track("08:00", "L").until("08:30")
    assert world.told() == [
        "07:01 high defer suppressed email -> 09:00",
        "08:00 low send sent email",
    ]


def test_without_looking_ahead_who_comes_first_is_served_first() -> None:
    world = story(look_ahead="1ms").track("07:00", "H").track("08:00", "L").until("12:00")
    assert world.told() == [
        "08:00 low send sent email",
        "09:00 high defer channel_cap email -> +1d 08:00",
    ]


def test_of_one_priority_the_more_valuable_is_higher() -> None:
    values = {"high": {"value": 120.0}, "low": {"value": 5.0}}
    world = story(messages=values).track("07:00", "H").track("08:00", "L").until("12:00")
    assert world.told()[0] == "08:00 low defer lower_priority email -> 09:00"


def test_a_message_without_a_priority_has_that_of_its_type() -> None:
    kinds: dict[str, dict[str, Any]] = {
        "promo": {"purpose": "marketing", "channels": ["email"], "priority": 70},
        "minor": {"purpose": "marketing", "channels": ["email"]},  # 50
    }
    lower = {"low": {"type": "minor"}, "high": {}}
    world = story(kinds=kinds, messages=lower).track("07:00", "H").track("08:00", "L")
    assert world.told() == ["08:00 low defer lower_priority email -> 09:00"]
    raised = {"low": {"type": "minor", "priority": 90}, "high": {}}
    again = story(kinds=kinds, messages=raised).track("07:00", "H").track("08:00", "L")
    assert again.told() == ["08:00 low send sent email"]


def test_service_goes_before_marketing_unless_it_is_said_otherwise() -> None:
    kinds: dict[str, dict[str, Any]] = {
        "promo": {"purpose": "marketing", "channels": ["email"], "priority": 99},
        "note": {"purpose": "service", "channels": ["email"]},
    }
    world = story(kinds=kinds, messages={"low": {}, "high": {"type": "note"}})
    assert world.track("07:00", "H").track("08:00", "L").told() == [
        "08:00 low defer lower_priority email -> 09:00"
    ]
    kinds["note"]["priority"] = 50
    lowered = story(kinds=kinds, messages={"low": {}, "high": {"type": "note"}})
    assert lowered.track("07:00", "H").track("08:00", "L").told() == ["08:00 low send sent email"]


def test_a_gap_is_no_place_for_it_only_moves_the_higher_a_little() -> None:
    world = story(channel={"caps": []}, cooldown={"gap": "90m"})
    world.track("07:00", "H").track("08:00", "L").until("12:00")
    assert world.told() == [
        "08:00 low send sent email",
        "09:00 high defer cooldown email -> 09:30",
        "09:30 high send sent email",
    ]


def test_a_wait_for_a_moment_is_planned_and_a_wait_for_an_event_is_not() -> None:
    moment = story(wait={"until": "09:00"}).track("07:00", "H").track("08:00", "L").until("08:30")
    assert moment.told() == ["08:00 low defer lower_priority email -> 09:00"]
    wait_for = {"event": "X", "up_to": "2h"}
    steps = [{"wait_for": wait_for, "then": [{"exit": "x"}], "else": [{"send": "high"}]}]
    event = story()
    event.workspace["journeys"]["h"]["steps"] = steps
    assert event.track("07:00", "H").track("08:00", "L").until("08:30").told() == [
        "08:00 low send sent email"
    ]


def test_a_planned_message_that_cannot_go_then_anyway_is_not_waited_for() -> None:
    """No address, or hours that never open: nobody gains by waiting for it."""
    shut = story(channel={"caps": ["1 / 24h"]}, wait="2h")
    shut.workspace["channels"]["sms"] = {"adapter": "log", "identity": "phone"}
    shut.workspace["message_types"]["texts"] = {"purpose": "marketing", "channels": ["sms"]}
    shut.workspace["messages"]["high"]["type"] = "texts"
    assert shut.track("07:00", "H").track("08:00", "L").until("08:30").told() == [
        "08:00 low send sent email"
    ]


def test_a_planned_message_whose_hours_never_open_is_not_waited_for() -> None:
    kinds: dict[str, dict[str, Any]] = {
        "promo": {"purpose": "marketing", "channels": ["email"]},
        "night": {"purpose": "marketing", "channels": ["email"], "window": "03:00-04:00"},
    }
    own: dict[str, dict[str, Any]] = {
        "high": {"priority": 80, "type": "night"},
        "low": {"priority": 20},
    }
    world = story(kinds=kinds, messages=own, channel={"window": "08:00-20:00"})
    assert world.track("07:00", "H").track("08:00", "L").until("08:30").told() == [
        "08:00 low send sent email"
    ]


def test_what_competes_at_one_instant_is_decided_in_order_of_priority() -> None:
    """Both wait for the same hour; the low one was first, and its timer is the first to fire."""
    world = story(channel={"window": "09:00-10:00"}, wait="1m", look_ahead="1ms")
    world.track("07:00", "L").track("07:10", "H").until("12:00")
    assert world.told() == [
        "07:00 low defer outside_window email -> 09:00",
        "07:11 high defer outside_window email -> 09:00",
        "09:00 high send sent email",
        "09:00 low defer channel_cap email -> +1d 09:00",
    ]


def test_a_wait_that_ends_at_the_very_instant_is_still_higher() -> None:
    """The low one's timer was set first, so it fires before the wait of the high one is over."""
    world = story(channel={"window": "09:00-10:00"}, wait="1h")
    world.track("07:00", "L").track("08:00", "H").until("09:30")
    assert world.told() == [
        "07:00 low defer outside_window email -> 09:00",
        "09:00 low defer lower_priority email -> 09:00:00.001",
        "09:00 high send sent email",
        "09:00:00.001 low defer channel_cap email -> +1d 09:00",
    ]


def test_of_journeys_that_one_event_starts_the_higher_message_goes() -> None:
    world = story()
    world.workspace["journeys"]["h"] = {"trigger": {"event": "L"}, "steps": [{"send": "high"}]}
    world.workspace["journeys"]["l"] = {"trigger": {"event": "L"}, "steps": [{"send": "low"}]}
    assert world.track("08:00", "L").until("09:00").told() == [
        "08:00 high send sent email",
        "08:00 low defer channel_cap email -> +1d 08:00",
    ]


def test_a_low_message_that_waits_still_expires() -> None:
    kinds = {"promo": {"purpose": "marketing", "channels": ["email"], "expires": "30m"}}
    world = story(kinds=kinds).track("07:00", "H").track("08:00", "L").until("08:30")
    assert world.told() == ["08:00 low drop expired email"]


def test_the_highest_of_several_messages_that_follow_a_wait_keeps_its_place() -> None:
    world = story()
    world.workspace["journeys"]["h"]["steps"][1] = {"decide": ["low", "high"]}
    world.track("07:00", "H").track("08:00", "L").until("09:30")
    assert world.told()[:2] == [
        "08:00 low defer lower_priority email -> 09:00",
        "09:00 high send sent email",
    ]
