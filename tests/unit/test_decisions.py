"""What the engine decides, told as short histories of one customer."""

from typing import Any

from engine.events import Event, EventKind, Receipt, ReceiptStatus
from engine.records import ReceiptNoted
from engine.step import step
from tests.cases import customer, workspace
from tests.stories import Story


def story(**changes: Any) -> Story:
    """Begin a history in a workspace with two channels and a message on each."""
    workspace: dict[str, Any] = {
        "workspace": "stories",
        "defaults": {"timezone": "UTC", "country": "GB"},
        "consent": {"marketing": "opt_out"},
        "channels": {
            "email": {"adapter": "log", "identity": "email"},
            "sms": {"adapter": "log", "identity": "phone"},
            "in_app": {"adapter": "inbox", "window": "session"},
        },
        "message_types": {
            "promo": {"purpose": "marketing", "channels": ["email", "sms"], "expires": "48h"},
            "note": {"purpose": "service", "channels": ["email"]},
        },
        "messages": {
            "a": {"type": "promo", "content": {"email": _mail("a"), "sms": {"body": "a"}}},
            "b": {"type": "promo", "content": {"email": _mail("b"), "sms": {"body": "b"}}},
            "n": {"type": "note", "content": {"email": _mail("n")}},
        },
        "journeys": {
            "ja": {"trigger": {"event": "A"}, "steps": [{"send": "a", "id": "sa"}]},
            "jb": {"trigger": {"event": "B"}, "steps": [{"send": "b", "id": "sb"}]},
            "jn": {"trigger": {"event": "N"}, "steps": [{"send": "n", "id": "sn"}]},
        },
    }
    for path, value in changes.items():
        section, _, name = path.partition("__")
        if name:
            workspace.setdefault(section, {})[name] = value
        else:
            workspace[section] = value
    return Story(workspace).identify("07:00", email="a@example.com", phone="+447700900123")


def _mail(text: str) -> dict[str, str]:
    return {"subject": text, "body": text}


def test_an_event_that_triggers_nothing_decides_nothing() -> None:
    assert story().track("08:00", "Unknown").told() == []


def test_a_message_with_nothing_in_its_way_is_sent_on_the_first_channel() -> None:
    assert story().track("08:00", "A").told() == ["08:00 a send sent email"]


def test_a_customer_without_an_address_gets_the_next_channel() -> None:
    told = story().identify("07:30", email=None).track("08:00", "A").told()
    assert told == ["08:00 a send sent sms"]


def test_a_customer_without_any_address_gets_nothing_and_the_first_channel_says_why() -> None:
    told = story().identify("07:30", email=None, phone=None).track("08:00", "A").told()
    assert told == ["08:00 a drop unreachable email"]


def test_the_customers_own_preference_for_a_type_goes_first() -> None:
    preferring = story().identify("07:30", channel_preferences={"promo": "sms"})
    assert preferring.track("08:00", "A").told() == ["08:00 a send sent sms"]


def test_a_preference_for_a_channel_the_type_does_not_offer_is_ignored() -> None:
    preferring = story().identify("07:30", channel_preferences={"promo": "in_app"})
    assert preferring.track("08:00", "A").told() == ["08:00 a send sent email"]


def test_a_pinned_channel_is_the_only_candidate() -> None:
    pinned = {"trigger": {"event": "A"}, "steps": [{"send": "a", "channel": "sms", "id": "s"}]}
    told = story(journeys__ja=pinned).identify("07:30", phone=None).track("08:00", "A").told()
    assert told == ["08:00 a drop unreachable sms"]


# Caps, cooldown, backoff, suppression.


def test_a_slot_is_free_again_exactly_a_window_after_the_send() -> None:
    capped = {"adapter": "log", "identity": "email", "caps": ["1 / 2h"]}
    told = story(channels__email=capped).track("08:00", "A").track("09:00", "B").until("12:00")
    assert told.told() == [
        "08:00 a send sent email",
        "09:00 b defer channel_cap email -> 10:00",
        "10:00 b send sent email",
    ]


def test_a_calendar_cap_frees_at_local_midnight() -> None:
    capped = {"adapter": "log", "identity": "email", "caps": ["1 / calendar_day"]}
    world = story(channels__email=capped).identify("07:30", timezone="Africa/Johannesburg")
    told = world.track("20:00", "A").track("20:30", "B").until("23:00").told()
    assert told[1:] == ["20:30 b defer channel_cap email -> 22:00", "22:00 b send sent email"]


def test_a_shared_cap_counts_over_its_channels_and_purposes_only() -> None:
    policies = {
        "caps": [{"channels": ["email", "sms"], "purposes": ["marketing"], "limit": "1 / 3h"}]
    }
    world = story(policies=policies).track("08:00", "N").track("08:10", "A").track("09:00", "B")
    assert world.until("12:00").told() == [
        "08:00 n send sent email",
        "08:10 a send sent email",
        "09:00 b defer shared_cap email -> 11:10",
        "11:10 b send sent email",
    ]


def test_messages_that_do_not_count_leave_the_cap_alone_and_those_that_ignore_it_pass() -> None:
    note = {"purpose": "service", "channels": ["email"], "ignores": ["caps"], "counts": False}
    capped = {"adapter": "log", "identity": "email", "caps": ["1 / 24h"]}
    world = story(channels__email=capped, message_types__note=note)
    told = world.track("08:00", "N").track("08:10", "A").track("08:20", "N").told()
    assert [line.split()[2] for line in told] == ["send", "send", "send"]


def test_cooldown_is_the_least_time_since_the_last_message_on_any_channel() -> None:
    world = story(policies={"cooldown": {"purposes": ["marketing"], "gap": "30m"}})
    told = world.track("08:00", "N").track("08:10", "A").track("08:10", "N").until("09:00").told()
    assert told == [
        "08:00 n send sent email",
        "08:10 a defer cooldown email -> 08:30",
        "08:10 n send sent email",
        "08:30 a defer cooldown email -> 08:40",
        "08:40 a send sent email",
    ]


def test_backoff_shrinks_as_sends_leave_the_window() -> None:
    policies = {
        "caps": [{"limit": "2 / 2h"}],
        "backoff": {"from": 0.5, "gap": "6h", "factor": 2},
    }
    told = story(policies=policies).track("08:00", "A").track("08:30", "B").until("12:00").told()
    # one of two used asks for 6 h, but at 10:00 that send has left the window
    assert told[1:] == ["08:30 b defer backoff email -> 10:00", "10:00 b send sent email"]


def test_suppression_holds_back_its_purposes_for_its_time() -> None:
    rule = {"name": "bought", "after": "Bought", "for": "3h", "purposes": ["marketing"]}
    world = story(policies={"suppress": [rule]}).track("08:00", "Bought")
    told = world.track("08:10", "A").track("08:20", "N").until("12:00").told()
    assert told == [
        "08:10 a defer suppressed email -> 11:00",
        "08:20 n send sent email",
        "11:00 a send sent email",
    ]


def test_suppression_asks_its_condition_of_the_event() -> None:
    rule = {"name": "big", "after": "Transfer", "if": "event.amount > 100", "for": "3h"}
    world = story(policies={"suppress": [rule]}).track("08:00", "Transfer", amount=100)
    assert world.track("08:10", "A").told() == ["08:10 a send sent email"]


# Several rules at once.


def test_the_reason_is_the_rule_that_releases_last_and_the_trace_lists_all() -> None:
    email = {"adapter": "log", "identity": "email", "caps": ["1 / 2h"]}
    world = story(channels__email=email, policies={"cooldown": {"gap": "1h"}})
    decisions = world.track("08:00", "A").track("08:30", "B").until("08:30").decisions()
    assert decisions[1]["reason"] == "channel_cap"
    assert {check["check"] for check in decisions[1]["trace"]} == {"channel_cap", "cooldown"}


def test_a_release_inside_a_shut_window_waits_for_the_window() -> None:
    email = {"adapter": "log", "identity": "email", "caps": ["1 / 2h"], "window": "07:00-09:30"}
    world = story(channels__email=email).track("08:00", "A").track("09:00", "B").until("23:00")
    assert world.told() == [
        "08:00 a send sent email",
        "09:00 b defer outside_window email -> +1d 07:00",
    ]


def test_a_message_that_expires_at_its_release_is_dropped() -> None:
    promo = {"purpose": "marketing", "channels": ["email"], "expires": "2h"}
    email = {"adapter": "log", "identity": "email", "window": "10:00-12:00"}
    world = story(channels__email=email, message_types__promo=promo)
    assert world.track("08:00", "A").told() == ["08:00 a drop expired email"]
    later = story(channels__email=email, message_types__promo=promo)
    assert later.track("08:01", "A").told() == ["08:01 a defer outside_window email -> 10:00"]


# What to do about a block.


def test_on_block_is_tried_in_order_and_the_first_that_can_succeed_wins() -> None:
    email = {"adapter": "log", "identity": "email", "window": "10:00-12:00"}
    fallback = {"on_block": ["fallback", "defer"]}
    assert story(channels__email=email, policies=fallback).track("08:00", "A").told() == [
        "08:00 a send sent sms"
    ]
    drop = {"on_block": ["drop"]}
    assert story(channels__email=email, policies=drop).track("08:00", "A").told() == [
        "08:00 a drop outside_window email"
    ]


def test_a_substitute_needs_content_and_an_open_window_of_its_own() -> None:
    email = {
        "adapter": "log",
        "identity": "email",
        "window": "10:00-12:00",
        "substitute": "in_app",
    }
    with_content = {
        "type": "promo",
        "content": {"email": _mail("a"), "in_app": {"title": "a", "body": "a"}},
    }
    world = story(channels__email=email, messages__a=with_content)
    assert world.track("08:00", "A").told() == ["08:00 a substitute outside_window in_app"]
    without = story(channels__email=email)
    assert without.track("08:00", "A").told() == ["08:00 a defer outside_window email -> 10:00"]


def test_default_content_serves_channels_without_their_own() -> None:
    email = {
        "adapter": "log",
        "identity": "email",
        "window": "10:00-12:00",
        "substitute": "in_app",
    }
    message = {"type": "promo", "content": {"email": _mail("a"), "default": {"body": "a"}}}
    world = story(channels__email=email, messages__a=message)
    assert world.track("08:00", "A").told() == ["08:00 a substitute outside_window in_app"]


# The same thing twice.


def test_a_repeated_proposal_is_dropped_while_the_first_still_waits() -> None:
    email = {"adapter": "log", "identity": "email", "window": "10:00-12:00"}
    journeys = {
        "one": {"trigger": {"event": "A"}, "steps": [{"send": "a", "id": "s"}]},
        "two": {"trigger": {"event": "B"}, "steps": [{"send": "a", "id": "s"}]},
    }
    world = story(channels__email=email, journeys=journeys, policies={"same_message": "24h"})
    assert world.track("08:00", "A").track("08:30", "B").until("11:00").told() == [
        "08:00 a defer outside_window email -> 10:00",
        "08:30 a drop same_message",
        "10:00 a send sent email",
    ]


def test_the_same_message_may_go_again_exactly_when_its_time_is_over() -> None:
    world = story(policies={"same_message": "1h"}).track("08:00", "A").track("08:59:59.999", "A")
    assert world.track("09:00", "A").told() == [
        "08:00 a send sent email",
        "08:59:59.999 a drop same_message",
        "09:00 a send sent email",
    ]


def test_missing_consent_is_named_before_a_repeat() -> None:
    world = story(policies={"same_message": "24h"}).track("08:00", "A")
    world.consent("08:30", purpose="marketing", status="withdrawn").track("09:00", "A")
    assert world.told() == ["08:00 a send sent email", "09:00 a drop no_consent email"]
    trace = world.decisions()[-1]["trace"]
    assert [(line["channel"], line["check"]) for line in trace] == [
        ("email", "consent"),
        ("sms", "consent"),
    ]


def test_a_repeat_is_a_repeat_while_one_channel_has_consent() -> None:
    world = story(policies={"same_message": "24h"}).track("08:00", "A")
    world.consent("08:30", purpose="marketing", status="withdrawn", channel="email")
    assert world.track("09:00", "A").told()[-1] == "09:00 a drop same_message"


# Consent.


def test_marketing_needs_a_grant_and_service_does_not() -> None:
    world = story(consent={}).track("08:00", "A").track("08:00", "N")
    assert world.told() == ["08:00 a drop no_consent email", "08:00 n send sent email"]


def test_a_withdrawal_of_one_channel_leaves_the_others() -> None:
    world = story().consent("07:30", purpose="marketing", channel="email", status="withdrawn")
    assert world.track("08:00", "A").told() == ["08:00 a send sent sms"]


def test_service_messages_obey_a_withdrawal_of_the_channel() -> None:
    world = story().consent("07:30", purpose="service", channel="email", status="withdrawn")
    assert world.track("08:00", "N").told() == ["08:00 n drop no_consent email"]


def test_the_latest_statement_counts_between_a_channel_and_all() -> None:
    world = story(consent={}).consent("07:30", purpose="marketing", status="granted")
    world.consent("07:40", purpose="marketing", channel="email", status="withdrawn")
    assert world.track("08:00", "A").told() == ["08:00 a send sent sms"]
    world.consent("08:10", purpose="marketing", status="granted")
    assert world.track("08:20", "B").told()[-1] == "08:20 b send sent email"


def test_opt_out_may_hold_for_a_country_only() -> None:
    rule = {"marketing": {"GB": "opt_out", "default": "opt_in"}}
    assert story(consent=rule).track("08:00", "A").told() == ["08:00 a send sent email"]
    world = story(consent=rule).identify("07:30", country="FR")
    assert world.track("08:00", "A").told() == ["08:00 a drop no_consent email"]


def test_a_deferral_moves_to_another_channel_when_consent_closes_its_own() -> None:
    email = {"adapter": "log", "identity": "email", "window": "10:00-12:00"}
    world = story(channels__email=email).track("08:00", "A")
    world.consent("08:30", purpose="marketing", channel="email", status="withdrawn")
    assert world.until("11:00").told() == [
        "08:00 a defer outside_window email -> 10:00",
        "08:30 a send sent sms",
    ]


def test_an_unsubscribe_withdraws_consent_for_that_channel() -> None:
    world = story().track("08:00", "A").receipt("08:10", "a", "unsubscribed").track("08:20", "B")
    assert world.told()[-1] == "08:20 b send sent sms"


# What comes back.


def test_a_permanent_failure_gives_the_slot_back_and_tries_the_next_channel() -> None:
    email = {"adapter": "log", "identity": "email", "caps": ["1 / 24h"]}
    world = story(channels__email=email).track("08:00", "A")
    world.receipt("08:01", "a", "failed", permanent=True).track("08:10", "B")
    assert world.told() == [
        "08:00 a send sent email",
        "08:01 a send sent sms",
        "08:10 b send sent email",
    ]


def test_when_every_channel_failed_the_message_ends_as_provider_failed() -> None:
    world = story().track("08:00", "A").receipt("08:01", "a", "failed", permanent=True)
    world.receipt("08:02", "a", "failed", permanent=True)
    assert world.told()[-1] == "08:02 a drop provider_failed sms"
    trace = world.decisions()[-1]["trace"]
    assert [(line["channel"], line["check"], line["result"]) for line in trace] == [
        ("email", "provider", "passed_over"),
        ("sms", "provider", "passed_over"),
    ]


def test_a_substitute_that_failed_for_good_is_not_tried_again() -> None:
    email = {"adapter": "log", "identity": "email", "window": "10:00-12:00", "substitute": "sms"}
    world = story(channels__email=email).track("08:00", "A")
    world.receipt("08:01", "a", "failed", permanent=True).until("11:00")
    assert world.told() == [
        "08:00 a substitute outside_window sms",
        "08:01 a defer outside_window email -> 10:00",
        "10:00 a send sent email",
    ]


def test_a_temporary_failure_changes_nothing() -> None:
    world = story().track("08:00", "A").receipt("08:01", "a", "failed", permanent=False)
    assert world.told() == ["08:00 a send sent email"]


def test_a_slot_is_given_back_once_however_often_a_failure_is_told() -> None:
    program, profile = workspace(), customer()
    step(profile, Event("e1", EventKind.TRACK, "A", "u1", None, 1, 1), program, 1)
    told = [
        step(profile, Receipt(name, "u1", "a", ReceiptStatus.FAILED, at, at, permanent=True),
             program, at)
        for name, at in (("r1", 2), ("r2", 3))
    ]  # fmt: skip
    noted = [one for result in told for one in result.records if isinstance(one, ReceiptNoted)]
    assert [one.released for one in noted] == [True, False]


def test_the_same_failure_twice_falls_back_once() -> None:
    world = story().track("08:00", "N").track("08:00", "A")
    world.receipt("08:01", "a", "failed", permanent=True, name="r1")
    world.receipt("08:02", "a", "failed", permanent=True, name="r1")
    assert [line for line in world.told() if " a " in line] == [
        "08:00 a send sent email",
        "08:01 a send sent sms",
    ]


def test_content_that_cannot_be_rendered_is_dropped_never_sent_broken() -> None:
    aborting = {"type": "promo", "content": {"email": _mail("{% abort_message 'no name' %}")}}
    world = story(messages__a=aborting)
    assert world.track("08:00", "A").told() == ["08:00 a drop no_content email"]
    assert "no name" in world.decisions()[0]["trace"][-1]["seen"]


def test_a_failure_after_the_goal_was_met_tries_no_other_channel() -> None:
    journey = {
        "trigger": {"event": "A"},
        "goal": {"event": "Paid"},
        "steps": [{"send": "a"}, {"wait": "2h"}, {"send": "b"}],
    }
    told = (
        story(journeys__ja=journey)
        .track("08:00", "A")
        .track("08:10", "Paid")
        .receipt("08:20", "a", "failed", permanent=True)
        .told()
    )
    assert told == ["08:00 a send sent email", "08:20 a drop goal_met email"]


def test_the_next_channel_knows_the_event_though_the_journey_is_over() -> None:
    content = {
        "email": _mail("code {{ event.code }}"),
        "sms": {
            "body": "{% unless event.code %}{% abort_message %}{% endunless %}{{ event.code }}"
        },
    }
    told = (
        story(messages__a={"type": "promo", "content": content})
        .track("08:00", "A", code=7)
        .receipt("08:01", "a", "failed", permanent=True)
        .told()
    )
    assert told == ["08:00 a send sent email", "08:01 a send sent sms"]


def test_a_wait_for_a_segment_ends_whatever_brought_the_customer_there() -> None:
    told = (
        story(
            segments={"vip": "profile.plan == 'pro'"},
            journeys={
                "ja": {
                    "trigger": {"event": "A"},
                    "steps": [{"wait_for": {"segment": "vip"}}, {"send": "a"}],
                },
                "jz": {
                    "trigger": {"event": "B"},
                    "steps": [{"wait": "1h"}, {"set": {"plan": "pro"}}],
                },
            },
        )
        .track("08:00", "A")
        .track("08:30", "B")
        .until("12:00")
        .told()
    )
    assert told == ["09:30 a send sent email"]


def test_a_trace_names_the_holiday_between_now_and_the_next_opening() -> None:
    waiting = story(
        channels__email={
            "adapter": "log",
            "identity": "email",
            "window": {"weekdays": "09:00-17:00"},
        },
        policies={"holidays": {"calendar": "DE"}},
        message_types__promo={"purpose": "marketing", "channels": ["email"]},
        messages={"a": {"type": "promo", "content": {"email": _mail("a")}}},
        journeys={
            "ja": {"trigger": {"event": "A"}, "steps": [{"wait": "32d"}, {"send": "a"}]},
        },
    )
    # The Friday is Good Friday, the Monday after it Easter Monday.
    (decision,) = waiting.track("18:00", "A").until("+33d 09:00").decisions()
    assert decision["next_eligible"] == "2026-04-07T08:00:00Z"
    told = [(check["check"], check.get("seen", "")) for check in decision["trace"]]
    assert ("holidays", "Easter Monday in DE") in told


def test_a_wish_that_a_journey_writes_holds_for_what_waits_already() -> None:
    told = (
        story(
            channels__email={"adapter": "log", "identity": "email", "window": "09:00-17:00"},
            message_types__promo={"purpose": "marketing", "channels": ["email"]},
            messages={"a": {"type": "promo", "content": {"email": _mail("a")}}},
            journeys={
                "ja": {"trigger": {"event": "A"}, "steps": [{"send": "a"}]},
                "jq": {
                    "trigger": {"event": "Q"},
                    "steps": [{"set": {"quiet_hours": "08:00-12:00"}}],
                },
            },
        )
        .track("08:00", "A")
        .track("08:30", "Q")
        .until("18:00")
        .told()
    )
    assert told == [
        "08:00 a defer outside_window email -> 09:00",
        "08:30 a defer quiet_hours email -> 12:00",
        "12:00 a send sent email",
    ]
