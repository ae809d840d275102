"""What follows from what became of a message, told as short histories of one customer."""

from typing import Any

import pytest

from engine.ids import message_id
from engine.measures.engaged import Engaged
from tests.stories import Story

_PHONE = {"adapter": "log", "identity": "phone"}
_BODY = {"body": "Hello"}


def _story(kind: dict[str, Any], **changes: Any) -> Story:
    """Begin a history in a workspace with one type of message and every channel it may want."""
    channels = {
        "email": {"adapter": "log", "identity": "email", "cost": 0.01},
        "sms": {**_PHONE, "cost": 0.35},
        "voice": {**_PHONE, "cost": 1.2},
        "whatsapp": {**_PHONE, "cost": 0.12},
        "rcs": {**_PHONE, "supports": ["rich"], "cost": 0.2},
    }
    return Story({
        "workspace": "deliveries",
        "defaults": {"timezone": "UTC", "country": "GB"},
        "consent": {"marketing": "opt_out"},
        "channels": channels,
        "message_types": {"it": kind},
        "messages": {
            "a": {"type": "it", "content": {
                "default": {**_BODY, "code": "{{ event.code }}"}, "sms": {"body": "short"},
            }},
        },
        "journeys": {
            "j": {
                "trigger": {"event": "A"}, "reentry": "1s",
                "goal": {"event": "Bought"}, "exit_on": [{"event": "Left", "reason": "left"}],
                "steps": [{"send": "a", "id": "s"}, {"wait": "5h"}],
            },
        },
        **changes,
    }).identify("07:00", email="a@example.com", phone="+447700900123")  # fmt: skip


def _id(attempt: int, *, proposal: int = 1) -> str:
    return message_id("u1", proposal, attempt)


def _otp(**more: Any) -> dict[str, Any]:
    fallback = {"unless": "delivered", "within": "2m"}
    channels = ["sms", "voice"]
    return {
        "purpose": "service", "channels": channels, "expires": "10m", "fallback": fallback, **more
    }  # fmt: skip


# A transactional SMS, then a call.


def test_a_message_that_is_not_delivered_in_time_goes_to_the_next_channel() -> None:
    world = _story(_otp()).track("08:00", "A").until("09:00")
    assert world.told() == ["08:00 a send sent sms", "08:02 a send sent voice"]
    assert world.decisions()[1]["cause"].keys() == {"timer"}
    assert "nothing came back in time" in str(world.decisions()[1]["trace"])


def test_one_that_is_delivered_in_time_stays_where_it_is() -> None:
    world = _story(_otp()).track("08:00", "A").receipt("08:01", "a", "delivered").until("09:00")
    assert world.told() == ["08:00 a send sent sms"]
    assert not any(timer.kind == "fallback" for timer in world.profile().timers.values())


def test_that_it_was_accepted_or_opened_by_a_machine_says_whether_it_arrived() -> None:
    accepted = _story(_otp()).track("08:00", "A").receipt("08:01", "a", "accepted")
    assert len(accepted.until("09:00").told()) == 2
    opened = _story(_otp()).track("08:00", "A").receipt("08:01", "a", "machine_opened")
    assert len(opened.until("09:00").told()) == 1


def test_time_counts_from_when_the_provider_took_it() -> None:
    late = _story(_otp()).track("08:00", "A").receipt("08:01", "a", "accepted").until("09:00")
    assert late.told()[1] == "08:03 a send sent voice"


def test_a_failure_goes_to_the_next_channel_at_once_and_the_timer_leads_to_nothing() -> None:
    world = _story(_otp()).track("08:00", "A").receipt("08:01", "a", "failed", permanent=True)
    assert world.until("09:00").told() == ["08:00 a send sent sms", "08:01 a send sent voice"]


def test_a_failure_after_the_fallback_does_not_lead_to_a_third() -> None:
    kind = _otp(channels=["sms", "voice", "whatsapp"])
    world = _story(kind).track("08:00", "A")
    world.receipt("08:03", _id(0), "failed", permanent=True).receipt("08:03", "a", "delivered")
    assert world.until("09:00").told() == ["08:00 a send sent sms", "08:02 a send sent voice"]


def test_what_arrived_late_ends_the_chain() -> None:
    kind = _otp(channels=["sms", "voice", "whatsapp"])
    world = _story(kind).track("08:00", "A").receipt("08:03", _id(0), "delivered")
    assert world.until("09:00").told() == ["08:00 a send sent sms", "08:02 a send sent voice"]
    failed = world.receipt("08:03:30", "a", "failed", permanent=True)
    assert failed.told()[2] == "08:03:30 a drop same_message voice"
    assert "delivered on sms meanwhile" in str(failed.decisions()[2]["trace"])


def test_a_chain_ends_at_the_expiry_of_the_message() -> None:
    slow = _otp(fallback={"unless": "delivered", "within": "15m"})
    told = _story(slow).track("08:00", "A").until("09:00").told()
    assert told == ["08:00 a send sent sms", "08:15 a drop expired"]


@pytest.mark.parametrize("happening", ["Bought", "Left"])
def test_nothing_follows_where_the_goal_is_met_or_the_journey_was_left(happening: str) -> None:
    world = _story(_otp()).track("08:00", "A").track("08:01", happening).until("09:00")
    assert world.told() == ["08:00 a send sent sms"]
    failed = world.receipt("08:01:30", "a", "failed", permanent=True).told()
    because = "goal_met" if happening == "Bought" else "journey_exited"
    assert failed[1] == f"08:01:30 a drop {because} sms"


def test_nothing_follows_a_withdrawal() -> None:
    world = _story(_otp()).track("08:00", "A")
    told = world.consent("08:01", purpose="service", status="withdrawn").until("09:00").told()
    assert told == ["08:00 a send sent sms", "08:02 a drop no_consent voice"]


def test_the_next_channel_waits_for_its_hours_and_not_if_the_first_arrives_meanwhile() -> None:
    channels = {
        "sms": _PHONE, "voice": {**_PHONE, "window": "09:00-18:00"},
    }  # fmt: skip
    world = _story(_otp(expires="5h"), channels=channels).track("08:00", "A")
    waits = ["08:00 a send sent sms", "08:02 a defer outside_window voice -> 09:00"]
    assert world.until("10:00").told() == [*waits, "09:00 a send sent voice"]
    world.receipt("08:30", _id(0), "delivered")
    assert world.told() == [*waits, "08:30 a drop same_message voice"]


def test_the_first_message_keeps_its_slot_when_the_second_goes() -> None:
    caps = {"caps": [{"channels": ["sms", "voice"], "limit": "1 / 24h"}], "on_block": ["drop"]}
    world = _story(_otp(), policies=caps).track("08:00", "A").until("09:00")
    assert world.told() == ["08:00 a send sent sms", "08:02 a drop shared_cap voice"]
    failed = _story(_otp(), policies=caps).track("08:00", "A")
    failed.receipt("08:01", "a", "failed", permanent=True)
    assert failed.told()[1] == "08:01 a send sent voice"


def test_the_same_message_does_not_stand_in_the_way_of_its_own_fallback() -> None:
    world = _story(_otp(), policies={"same_message": "24h"}).track("08:00", "A").until("08:30")
    assert world.told()[1] == "08:02 a send sent voice"


# A promotional e-mail, then WhatsApp for the engaged.


def _promotion() -> dict[str, Any]:
    condition = 'engagement("whatsapp", "replied", "90d") > 0'
    fallback = {"unless": "engaged", "within": "2h", "if": condition}
    return {"purpose": "marketing", "channels": ["email", "whatsapp"], "fallback": fallback}


def test_who_does_not_engage_in_time_hears_of_it_on_the_next_channel_if_that_is_for_them() -> None:
    world = _story(_promotion()).track("08:00", "A").receipt("08:01", "a", "delivered")
    world.receipt("08:02", "a", "machine_opened")
    assert world.until("12:00").told() == ["08:00 a send sent email"]
    chats = [{"send": "a", "channel": "whatsapp"}]
    chat = {"trigger": {"event": "C"}, "steps": chats}
    mails = {"trigger": {"event": "A"}, "steps": [{"send": "a"}]}
    engaged = _story(_promotion(), journeys={"c": chat, "j": mails})
    engaged.track("07:10", "C").receipt("07:11", "a", "replied").track("08:00", "A")
    assert engaged.until("12:00").told()[1:] == [
        "08:00 a send sent email",
        "10:00 a send sent whatsapp",
    ]
    assert engaged.receipt("09:59", "a", "clicked").told()[1:] == ["08:00 a send sent email"]


def test_of_several_rules_each_has_its_time() -> None:
    rules = [{"unless": "delivered", "within": "2m"}, {"unless": "engaged", "within": "2h"}]
    kind = {"purpose": "marketing", "channels": ["email", "whatsapp"], "fallback": rules}
    silent = _story(kind).track("08:00", "A").until("12:00")
    assert silent.told()[1] == "08:02 a send sent whatsapp"
    arrived = _story(kind).track("08:00", "A").receipt("08:01", "a", "delivered").until("12:00")
    assert arrived.told()[1] == "10:00 a send sent whatsapp"
    opened = _story(kind).track("08:00", "A").receipt("08:01", "a", "opened").until("12:00")
    assert len(opened.told()) == 1


# Service on WhatsApp, then SMS; rich on RCS, then WhatsApp, or SMS as it is written for that.


def test_who_is_not_on_whatsapp_gets_an_sms_now_and_from_then_on() -> None:
    world = _story({"purpose": "service", "channels": ["whatsapp", "sms"]}).track("08:00", "A")
    world.receipt("08:01", "a", "failed", failure="not_there", code="131026")
    world.track("14:00", "A")
    assert world.told() == [
        "08:00 a send sent whatsapp",
        "08:01 a send sent sms",
        "14:00 a send sent sms",
    ]
    assert "not on whatsapp, told on 2026-03-02T08:01:00Z: 131026" in str(world.decisions()[2])


def test_where_rcs_is_not_supported_the_sms_says_it_in_its_own_words() -> None:
    world = _story({"purpose": "service", "channels": ["rcs", "sms"]}).track("08:00", "A")
    world.receipt("08:01", "a", "failed", failure="not_there")
    assert [sent["body"] for sent in world.sent()] == ["Hello", "short"]


def test_a_rich_message_goes_only_where_it_can_be_shown() -> None:
    rich = {"purpose": "marketing", "channels": ["rcs", "whatsapp"], "requires": ["rich"]}
    world = _story(rich).track("08:00", "A").receipt("08:01", "a", "failed", failure="not_there")
    assert world.told() == ["08:00 a send sent rcs", "08:01 a drop provider_failed rcs"]
    channels = {
        "rcs": {**_PHONE, "supports": ["rich"]}, "whatsapp": {**_PHONE, "supports": ["rich"]},
    }  # fmt: skip
    both = _story(rich, channels=channels, messages={"a": {"type": "it", "content": {
        "default": _BODY,
    }}}).track("08:00", "A").receipt("08:01", "a", "failed", failure="not_there")  # fmt: skip
    assert both.told()[1] == "08:01 a send sent whatsapp"


# An urgent call, and an SMS after it.


def _urgent(**more: Any) -> dict[str, Any]:
    return {"purpose": "service", "channels": ["voice"], "follow_up": "sms", **more}


def test_a_follow_up_goes_out_once_the_message_did() -> None:
    world = _story(_urgent()).track("08:00", "A")
    assert world.told() == ["08:00 a send sent voice"]
    world.receipt("08:01", "a", "accepted").receipt("08:02", _id(0), "delivered")
    assert world.told() == ["08:00 a send sent voice", "08:01 a send sent sms"]
    assert [sent["body"] for sent in world.sent()] == ["Hello", "short"]


def test_a_follow_up_passes_every_check() -> None:
    world = _story(_urgent(), policies={"cooldown": {"gap": "30m"}}).track("08:00", "A")
    world.receipt("08:01", "a", "accepted").until("09:00")
    assert world.told()[1:] == [
        "08:01 a defer cooldown sms -> 08:30",
        "08:30 a send sent sms",
    ]
    mute = _story(_urgent()).track("08:00", "A")
    mute.consent("08:00:30", purpose="service", status="withdrawn", channel="sms")
    assert mute.receipt("08:01", "a", "accepted").told()[1] == "08:01 a drop no_consent sms"


def test_who_can_not_be_called_gets_the_follow_up_at_least() -> None:
    world = _story(_urgent()).track("08:00", "A").receipt("08:01", "a", "failed", permanent=True)
    assert world.told() == [
        "08:00 a send sent voice",
        "08:01 a drop provider_failed voice",
        "08:01 a send sent sms",
    ]


def test_there_is_one_follow_up_whatever_becomes_of_the_rest() -> None:
    world = _story(_urgent(channels=["voice", "whatsapp"])).track("08:00", "A")
    world.receipt("08:01", "a", "accepted").receipt("08:02", _id(0), "failed", permanent=True)
    world.receipt("08:03", _id(1), "accepted").receipt("08:04", _id(1, proposal=2), "accepted")
    world.receipt("08:05", _id(1, proposal=2), "failed", permanent=True)
    assert world.told() == [
        "08:00 a send sent voice",
        "08:01 a send sent sms",
        "08:02 a send sent whatsapp",
        "08:05 a drop provider_failed sms",
    ]


def test_the_same_message_does_not_stand_in_the_way_of_its_follow_up() -> None:
    world = _story(_urgent(), policies={"same_message": "24h"}).track("08:00", "A")
    assert world.receipt("08:01", "a", "accepted").told()[1] == "08:01 a send sent sms"


# What a failure asks for.


def test_a_message_refused_as_it_is_written_goes_nowhere_else() -> None:
    world = _story(_otp()).track("08:00", "A")
    world.receipt("08:01", "a", "failed", failure="content", code="30007").until("09:00")
    assert world.told() == ["08:00 a send sent sms", "08:01 a drop provider_failed sms"]
    assert "refused as it is written: 30007" in str(world.decisions()[1]["trace"])


def test_who_stopped_us_at_the_provider_has_withdrawn_their_consent_there() -> None:
    promo = {"purpose": "marketing", "channels": ["sms", "whatsapp"]}
    world = _story(promo).track("08:00", "A")
    world.receipt("08:01", "a", "failed", failure="consent", code="21610").track("14:00", "A")
    assert [line.split()[-1] for line in world.told()] == ["sms", "whatsapp", "whatsapp"]
    said = world.profile().consents["marketing/sms"]
    assert (said.status.value, said.source) == ("withdrawn", "provider")


@pytest.mark.parametrize("failure", ["window", "unreachable", "address_dead", "not_there"])
def test_other_failures_that_are_for_good_go_to_the_next_channel(failure: str) -> None:
    world = _story(_otp()).track("08:00", "A").receipt("08:01", "a", "failed", failure=failure)
    assert world.told() == ["08:00 a send sent sms", "08:01 a send sent voice"]


@pytest.mark.parametrize("failure", ["rate", "transient", "config", ""])
def test_failures_of_the_moment_go_nowhere_so_far(failure: str) -> None:
    world = _story(_otp()).track("08:00", "A").receipt("08:01", "a", "failed", failure=failure)
    assert world.told() == ["08:00 a send sent sms"]


# Cost.


def test_a_channel_that_would_cost_too_much_is_passed_over() -> None:
    kind = _otp(channels=["voice", "sms", "whatsapp"], max_cost=0.5)
    world = _story(kind).track("08:00", "A").receipt("08:01", "a", "failed", permanent=True)
    assert world.told() == ["08:00 a send sent sms", "08:01 a send sent whatsapp"]
    assert "1.2 is more than 0.5" in str(world.decisions()[0]["trace"])


def test_what_the_channels_before_cost_counts() -> None:
    world = _story(_otp(max_cost=1.5)).track("08:00", "A").until("09:00")
    assert world.told() == ["08:00 a send sent sms", "08:02 a drop too_costly voice"]
    assert "0.35 spent + 1.2 is more than 1.5" in str(world.decisions()[1]["trace"])


def test_prices_add_up_as_people_add_them() -> None:
    channels = {"sms": {**_PHONE, "cost": 0.1}, "voice": {**_PHONE, "cost": 0.2}}
    world = _story(_otp(max_cost=0.3), channels=channels).track("08:00", "A").until("09:00")
    assert world.told()[1] == "08:02 a send sent voice"


def test_a_message_no_channel_is_cheap_enough_for_is_dropped() -> None:
    world = _story(_otp(max_cost=0.1)).track("08:00", "A")
    assert world.told() == ["08:00 a drop too_costly sms"]
    assert world.decisions()[0]["reason_class"] == "healthy"


# Opened by a machine.


def test_what_a_machine_opened_nobody_has_read() -> None:
    waits = {"engagement": "s", "kinds": ["opened", "clicked", "replied"], "up_to": "1h"}
    steps = [
        {"send": "a", "id": "s"},
        {"wait_for": waits, "then": [{"exit": "read"}], "else": [{"exit": "unread"}]},
    ]
    journeys = {"j": {"trigger": {"event": "A"}, "steps": steps}}
    mail = {"purpose": "service", "channels": ["email"]}
    read = 'engagement("email", "opened", "7d") > 0'
    world = _story(mail, journeys=journeys, segments={"reader": read}).track("08:00", "A")
    world.receipt("08:01", "a", "machine_opened").until("10:00")
    assert world.endings() == {"j/unread": 1}
    assert world.profile().segments == {}
    scores = world.profile().measures["engaged/email"]
    assert isinstance(scores, Engaged)
    assert (scores.sent, scores.opened) == (1, 0)
    assert world.receipt("08:30", "a", "opened").endings() == {"j/read": 1}
