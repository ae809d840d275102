"""What comes out when hours open, and what is decided again when the ground under it moves."""

from typing import Any

import pytest

from engine.instants import HOUR_MS
from tests.stories import Story, at

MORNING = {"window": "09:00-18:00"}
NAMES = ("a", "b", "c")


def story(
    *,
    kind: dict[str, Any] | None = None,
    messages: dict[str, dict[str, Any]] | None = None,
    channel: dict[str, Any] | None = None,
    customer: str = "u1",
    policies: dict[str, Any] | None = None,
    **changes: Any,
) -> Story:
    """Tell of the messages a, b and c, each sent on an event of its own name, in capitals."""
    promo = {"purpose": "marketing", "channels": ["email"], **(kind or {})}
    own = messages or {}
    world = Story(
        {
            "workspace": "releases",
            "consent": {"marketing": "opt_out"},
            "channels": {
                "email": {"adapter": "log", "identity": "email", **MORNING, **(channel or {})}
            },
            "message_types": {"promo": promo},
            "messages": {
                name: {"type": "promo", "content": {"default": {"body": name}}, **own.get(name, {})}
                for name in NAMES
            },
            "journeys": {
                name: {"trigger": {"event": name.upper()}, "steps": [{"send": name}]}
                for name in NAMES
            },
            "policies": policies or {},
            **changes,
        },
        customer=customer,
    )
    return world.identify("06:00", email="a@example.com", timezone="UTC")


def piled(world: Story) -> Story:
    return world.track("07:00", "A").track("07:30", "B").track("08:00", "C")


def outcomes(world: Story) -> list[str]:
    """Tell what came of what was deferred."""
    return [line for line in world.told() if " defer outside_window " not in line]


# What piled up while hours were closed.


def test_all_go_unless_it_is_said_otherwise() -> None:
    assert outcomes(piled(story()).until("12:00")) == [
        "09:00 a send sent email",
        "09:00 b send sent email",
        "09:00 c send sent email",
    ]


@pytest.mark.parametrize("kind", [{"release": "newest"}, {}])
def test_only_the_newest_goes(kind: dict[str, Any]) -> None:
    policies = {} if kind else {"release": {"policy": "newest"}}
    assert outcomes(piled(story(kind=kind, policies=policies)).until("12:00")) == [
        "09:00 a drop superseded email",
        "09:00 b drop superseded email",
        "09:00 c send sent email",
    ]


def test_only_the_best_goes() -> None:
    ranks: dict[str, dict[str, Any]] = {
        "a": {"value": 10.0},
        "b": {"priority": 60},
        "c": {"value": 900.0},
    }
    world = piled(story(kind={"release": "best"}, messages=ranks)).until("12:00")
    assert sorted(outcomes(world)) == [
        "09:00 a drop lower_priority email",
        "09:00 b send sent email",
        "09:00 c drop lower_priority email",
    ]
    equal = piled(story(kind={"release": "best"})).until("12:00")
    assert "09:00 a send sent email" in outcomes(equal)  # of equals the first


def test_messages_of_different_purposes_are_different_piles() -> None:
    """A newsletter that came later does not take the place of an order's confirmation."""
    notes = {"purpose": "service", "channels": ["email"], "ignores": ["caps"]}
    for policy in ("newest", "best"):
        world = story(policies={"release": {"policy": policy}}, messages={"c": {"priority": 100}})
        world.workspace["message_types"]["note"] = notes
        world.workspace["messages"]["a"]["type"] = "note"
        sent = [line for line in outcomes(piled(world).until("12:00")) if " send " in line]
        assert sorted(line.split()[1] for line in sent) == ["a", "c"]


def test_a_message_that_gives_way_does_not_take_its_whole_journey_with_it() -> None:
    """One stay has two messages pending: a, on its next channel, and b. Only the best goes."""
    channels = {
        "email": {"adapter": "log", "identity": "email"},
        "sms": {"adapter": "log", "identity": "phone", "window": "20:00-21:00"},
    }
    kind = {"channels": ["email", "sms"], "release": "best"}
    world = story(kind=kind, channels=channels, messages={"a": {"priority": 80}})
    world.workspace["journeys"]["a"]["steps"] = [
        {"send": "a", "channel": "email"},
        {"send": "b", "channel": "sms"},
    ]
    world.identify("06:30", phone="+447700900123", timezone="UTC").track("08:00", "A")
    world.receipt("08:10", "a", "failed", permanent=True).until("22:00")
    assert world.told() == [
        "08:00 a send sent email",
        "08:00 b defer outside_window sms -> 20:00",
        "08:10 a defer outside_window sms -> 20:00",
        "20:00 b drop lower_priority sms",
        "20:00 a send sent sms",
    ]
    assert world.endings() == {"a/completed": 1}


def test_nothing_waits_for_hours_where_what_piles_up_is_dropped() -> None:
    world = piled(story(kind={"release": "drop"})).until("12:00")
    assert world.told() == [
        "07:00 a drop outside_window email",
        "07:30 b drop outside_window email",
        "08:00 c drop outside_window email",
    ]


def test_what_is_dropped_may_go_another_way_first() -> None:
    channels = {
        "email": {"adapter": "log", "identity": "email", **MORNING},
        "sms": {"adapter": "log", "identity": "phone"},
    }
    kind = {"release": "drop", "channels": ["email", "sms"], "on_block": ["defer", "fallback"]}
    world = story(kind=kind, channels=channels).identify("06:10", phone="+447700900123")
    assert world.track("07:00", "A").told() == ["07:00 a send sent sms"]


def test_a_release_is_about_hours_and_days_and_not_about_caps() -> None:
    capped: dict[str, Any] = {"window": "00:00-24:00", "caps": ["1 / 2h"]}
    for policy in ("newest", "best", "drop"):
        world = piled(story(kind={"release": policy}, channel=capped)).until("+1d 00:00")
        sent = [line for line in world.told() if " send " in line]
        assert [line.split()[1] for line in sent] == ["a", "b", "c"]


def test_the_policy_of_a_type_goes_before_that_of_the_workspace() -> None:
    policies = {"release": {"policy": "drop"}}
    world = piled(story(kind={"release": "all"}, policies=policies)).until("12:00")
    assert len(outcomes(world)) == len(NAMES)
    assert all(" send " in line for line in outcomes(world))


def test_a_journey_goes_on_when_its_message_gave_way() -> None:
    world = story(kind={"release": "newest"})
    world.workspace["journeys"]["a"]["steps"] = [{"send": "a"}, {"set": {"went_on": True}}]
    assert piled(world).until("12:00").traits()["went_on"] is True
    assert world.endings() == {"a/completed": 1, "b/completed": 1, "c/completed": 1}


def test_what_is_due_at_one_instant_is_decided_by_priority_then_value() -> None:
    ranks: dict[str, dict[str, Any]] = {
        "a": {"priority": 10},
        "b": {"value": 5.0},
        "c": {"value": 7.0},
    }
    world = piled(story(messages=ranks, channel={"caps": ["2 / 24h"]})).until("12:00")
    assert outcomes(world) == [
        "09:00 c send sent email",
        "09:00 b send sent email",
        "09:00 a defer channel_cap email -> +1d 09:00",
    ]


# Spread.


def spread(customer: str, *, seed: int = 7, **changes: Any) -> int:
    """Tell how many ms after 09:00 a message of this customer goes."""
    world = story(
        customer=customer, seed=seed, policies={"release": {"spread": "30m"}}, **changes
    ).track("07:00", "A").until("+1d 20:00")  # fmt: skip
    (deferred, sent) = world.decisions()
    assert (deferred["outcome"], sent["outcome"]) == ("defer", "send")
    assert deferred["next_eligible"] == sent["at"]
    return world.profile().ledger[0].at - at("09:00")


def test_customers_come_out_one_after_another_over_the_spread() -> None:
    delays = [spread(f"u{number}") for number in range(40)]
    assert all(0 <= delay < HOUR_MS // 2 for delay in delays)
    assert len(set(delays)) == len(delays)
    halves = sum(delay < HOUR_MS // 4 for delay in delays)
    assert 10 <= halves <= 30


def test_the_spread_of_a_customer_is_the_same_each_time_and_another_by_another_seed() -> None:
    assert spread("u1") == spread("u1")
    assert spread("u1") != spread("u1", seed=8)


def test_who_comes_late_one_morning_need_not_the_next() -> None:
    delays: list[int] = []
    for day in ("", "+1d "):
        world = story(policies={"release": {"spread": "30m"}}).track(f"{day}07:00", "A")
        sent_at = world.until("+2d 00:00").profile().ledger[0].at
        delays.append(sent_at - at(f"{day}09:00"))
    assert delays[0] != delays[1]


def test_a_spread_never_reaches_into_hours_that_are_closed() -> None:
    """Ten minutes of opening, and a spread of half an hour: who would come too late comes first."""
    short = {"window": "09:00-09:10"}
    delays = [spread(f"u{number}", channel=short) for number in range(30)]
    assert all(delay < HOUR_MS // 6 for delay in delays)
    assert 0 in delays


def test_a_spread_makes_no_message_expire() -> None:
    kind = {"expires": "2h1m"}
    for number in range(20):
        world = story(
            customer=f"u{number}", kind=kind, policies={"release": {"spread": "30m"}}
        ).track("07:00", "A").until("12:00")  # fmt: skip
        assert [one["outcome"] for one in world.decisions()] == ["defer", "send"]


def test_what_waits_for_a_cap_is_not_spread() -> None:
    world = story(
        channel={"window": "00:00-24:00", "caps": ["1 / 2h"]},
        policies={"release": {"spread": "30m"}},
    )
    assert piled(world).told()[1] == "07:30 b defer channel_cap email -> 09:00"


# Silent enrichment.


def test_what_is_not_sent_can_be_written_into_the_profile_and_the_journey_goes_on() -> None:
    enrich: dict[str, Any] = {
        "hint": "show the offer",
        "price": {"cel": "event.price * 2.0"},
        "seen": True,
    }
    world = story(kind={"on_block": ["enrich", "defer"]}, messages={"a": {"enrich": enrich}})
    world.workspace["journeys"]["a"]["steps"] = [
        {"send": "a"},
        {"if": "profile.seen", "then": [{"exit": "shown"}]},
    ]
    world.track("07:00", "A", price=21.0)
    assert world.told() == ["07:00 a drop outside_window email"]
    traits = world.traits()
    assert {name: traits[name] for name in enrich} == {
        "hint": "show the offer",
        "price": 42.0,
        "seen": True,
    }
    assert world.endings() == {"a/shown": 1}


def test_a_message_with_nothing_to_write_goes_the_next_way() -> None:
    world = story(kind={"on_block": ["enrich", "defer"]}, messages={"a": {"enrich": {"hint": "x"}}})
    assert world.track("07:00", "B").told() == ["07:00 b defer outside_window email -> 09:00"]


def test_a_message_that_nothing_blocks_is_sent_and_writes_nothing() -> None:
    world = story(kind={"on_block": ["enrich", "defer"]}, messages={"a": {"enrich": {"hint": "x"}}})
    assert world.track("10:00", "A").told() == ["10:00 a send sent email"]
    assert "hint" not in world.traits()


# What moves what is pending.


def test_who_moves_to_another_zone_has_what_is_pending_decided_again() -> None:
    world = story().track("07:00", "A").identify("07:30", timezone="Asia/Kolkata").until("12:00")
    assert world.told() == [
        "07:00 a defer outside_window email -> 09:00",
        "07:30 a send sent email",
    ]
    back = story().track("07:00", "A").identify("07:30", timezone="America/New_York")
    assert back.until("23:00").told() == [
        "07:00 a defer outside_window email -> 09:00",
        "07:30 a defer outside_window email -> 14:00",
        "14:00 a send sent email",
    ]


def test_a_device_that_reports_another_zone_moves_what_is_pending() -> None:
    world = story()
    world.identify("06:30", timezone=None)
    world.track("07:00", "A")
    world.report("07:30", timezone="Asia/Kolkata")
    assert world.told() == [
        "07:00 a defer outside_window email -> 09:00",
        "07:30 a send sent email",
    ]


def test_quiet_hours_move_what_is_pending_both_ways() -> None:
    world = story().track("07:00", "A")
    world.identify("07:30", quiet_hours="06:00-11:00").identify("08:00", quiet_hours=None)
    assert world.until("12:00").told() == [
        "07:00 a defer outside_window email -> 09:00",
        "07:30 a defer quiet_hours email -> 11:00",
        "08:00 a defer outside_window email -> 09:00",
        "09:00 a send sent email",
    ]


def test_who_asks_to_be_left_alone_for_good_has_what_is_pending_dropped() -> None:
    world = story().track("07:00", "A").identify("07:30", do_not_disturb=True).until("12:00")
    assert world.told() == [
        "07:00 a defer outside_window email -> 09:00",
        "07:30 a drop do_not_disturb email",
    ]
    assert world.endings() == {"a/completed": 1}


def test_a_cap_of_the_customers_moves_what_is_pending() -> None:
    world = story().track("07:00", "A").track("07:00", "B")
    world.identify("07:30", frequency_caps="1 / 24h").until("+1d 12:00")
    assert world.told() == [
        "07:00 a defer outside_window email -> 09:00",
        "07:00 b defer outside_window email -> 09:00",
        "09:00 a send sent email",
        "09:00 b defer customer_cap email -> +1d 09:00",
        "+1d 09:00 b send sent email",
    ]


def test_a_cap_of_the_customers_holds_at_once_for_what_waits() -> None:
    world = story(channel={"window": "00:00-24:00", "caps": ["1 / 12h"]})
    world.track("07:00", "A").track("07:10", "B").identify("07:30", frequency_caps="1 / 24h")
    assert world.told() == [
        "07:00 a send sent email",
        "07:10 b defer channel_cap email -> 19:00",
        "07:30 b defer customer_cap email -> +1d 07:00",
    ]


def test_a_slot_that_is_given_back_brings_what_waits_for_it_forward() -> None:
    world = story(channel={"window": "00:00-24:00", "caps": ["1 / 24h"]})
    world.track("07:00", "A").track("07:30", "B")
    world.receipt("08:00", "a", "failed", permanent=True).until("12:00")
    assert world.told() == [
        "07:00 a send sent email",
        "07:30 b defer channel_cap email -> +1d 07:00",
        "08:00 a drop provider_failed email",
        "08:00 b send sent email",
    ]


def test_the_highest_takes_the_slot_that_is_given_back() -> None:
    world = story(
        channel={"window": "00:00-24:00", "caps": ["1 / 24h"]}, messages={"c": {"priority": 90}}
    )
    piled(world).receipt("08:30", "a", "failed", permanent=True).until("12:00")
    assert world.told()[-3:] == [
        "08:30 a drop provider_failed email",
        "08:30 c send sent email",
        "08:30 b defer channel_cap email -> +1d 08:30",
    ]


def test_where_nothing_changes_nothing_is_put_down() -> None:
    world = story(channel={"caps": ["5 / 24h"]}).track("07:00", "A").identify("07:30", plan="gold")
    world.identify("07:40", timezone="Europe/Lisbon")  # another zone, the same clock
    world.identify("07:50", quiet_hours="22:00-06:00")
    assert world.until("08:30").told() == ["07:00 a defer outside_window email -> 09:00"]
    assert world.profile().timer_count == 1


def test_a_deferral_that_is_spread_stays_where_it_is_when_nothing_changes() -> None:
    world = story(policies={"release": {"spread": "30m"}}).track("07:00", "A")
    world.identify("07:30", quiet_hours="22:00-06:00").until("12:00")
    assert [one["outcome"] for one in world.decisions()] == ["defer", "send"]


def test_a_journey_goes_on_when_what_moved_sent_its_message() -> None:
    world = story()
    world.workspace["journeys"]["a"]["steps"] = [{"send": "a"}, {"set": {"went_on": True}}]
    world.track("07:00", "A").identify("07:30", timezone="Asia/Kolkata")
    assert world.traits()["went_on"] is True
