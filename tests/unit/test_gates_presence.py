"""Channels that work only while the customer is there, or has just written."""

from typing import Any

import pytest

from engine.gates.order import next_eligible
from engine.gates.verdict import Block
from engine.instants import HOUR_MS, MINUTE_MS, parse_instant
from engine.profile import History, Profile
from engine.program.program import Program
from engine.reasons import Reason
from tests.cases import ask, customer, find, workspace
from tests.stories import Story

NOON = parse_instant("2026-03-02T12:00:00Z")
WHATSAPP = {"reply_window": "24h", "reply_event": "Message Received"}


def check(program: Program, profile: Profile, at: int) -> Block | None:
    return find(ask(program, profile, at), at, "window", "reply_window")


def active(at: int) -> Profile:
    profile = customer()
    profile.active_at = at
    return profile


def wrote(at: int, *, by: str = "Message Received") -> Profile:
    profile = customer()
    profile.history[by] = History(1, at, at)
    return profile


def replied(*instants: int, channel: str = "email") -> Profile:
    profile = customer()
    profile.engagement[f"{channel}/replied"] = list(instants)
    return profile


# Sessions.


def test_a_session_is_open_as_long_as_the_last_event_is_no_older_than_it() -> None:
    ours = workspace(channel={"window": "session"})
    assert check(ours, active(NOON), NOON) is None
    assert check(ours, active(NOON), NOON + 30 * MINUTE_MS) is None
    block = check(ours, active(NOON), NOON + 30 * MINUTE_MS + 1)
    assert block is not None
    assert (block.check, block.reason) == ("window", Reason.OUTSIDE_WINDOW)
    assert (block.until, block.seen) == (None, "no session open")
    short = workspace(channel={"window": "session"}, session="5m")
    assert check(short, active(NOON), NOON + 5 * MINUTE_MS + 1) is not None


def test_who_was_never_there_has_no_session() -> None:
    ours = workspace(channel={"window": "session"})
    assert check(ours, customer(), NOON) is not None
    above = workspace(channel={"window": "session"}, kind={"ignores": ["window"]})
    assert check(above, customer(), NOON) is None


# Reply windows.


@pytest.mark.parametrize("profile", [wrote(NOON), replied(NOON - HOUR_MS, NOON)])
def test_a_reply_window_is_open_for_its_time_after_the_customer_wrote(profile: Profile) -> None:
    ours = workspace(channel=WHATSAPP)
    assert check(ours, profile, NOON) is None
    assert check(ours, profile, NOON + 24 * HOUR_MS - 1) is None
    block = check(ours, profile, NOON + 24 * HOUR_MS)
    assert block is not None
    assert (block.check, block.reason) == ("reply_window", Reason.REPLY_WINDOW)
    assert (block.until, block.rule) == (None, "channels.email.reply_window")
    assert block.seen == "closed 1d after they last wrote"


def test_the_latest_of_replies_and_events_counts() -> None:
    ours = workspace(channel=WHATSAPP)
    both = wrote(NOON)
    both.engagement["email/replied"] = [NOON + 2 * HOUR_MS]
    assert check(ours, both, NOON + 25 * HOUR_MS) is None
    assert check(ours, both, NOON + 26 * HOUR_MS) is not None


@pytest.mark.parametrize(
    "profile", [customer(), replied(NOON, channel="sms"), wrote(NOON, by="Order Completed")]
)
def test_who_never_wrote_here_has_no_reply_window(profile: Profile) -> None:
    block = check(workspace(channel=WHATSAPP), profile, NOON)
    assert block is not None
    assert block.seen == "never wrote here"


def test_without_a_reply_event_only_replies_open_it() -> None:
    ours = workspace(channel={"reply_window": "24h"})
    assert check(ours, wrote(NOON), NOON) is not None
    assert check(ours, replied(NOON), NOON) is None


def test_content_with_a_template_goes_outside_of_it() -> None:
    ours = workspace(channel=WHATSAPP, content={"template": "order_update"})
    assert check(ours, customer(), NOON) is None


def test_the_template_must_be_in_the_content_of_this_channel() -> None:
    content = {
        "email": {"body": "free"},
        "default": {"body": "fixed", "template": "order_update"},
    }
    ours = workspace(
        channel=WHATSAPP, messages={"a": {"type": "promo", "content": content}}, journeys={}
    )
    assert check(ours, customer(), NOON) is not None


def test_nobody_can_know_when_it_opens() -> None:
    ours = workspace(channel={**WHATSAPP, "window": "09:00-10:00"})
    timing = next_eligible(ask(ours, customer(), NOON), NOON)
    assert timing.at is None
    assert [block.check for block in timing.blocks] == ["reply_window", "window"]
    assert timing.last is not None
    assert timing.last.reason is Reason.REPLY_WINDOW


def test_a_window_that_closes_before_hours_open_leaves_no_instant() -> None:
    ours = workspace(
        channel={"reply_window": "2h", "reply_event": "Message Received", "window": "09:00-10:00"}
    )
    timing = next_eligible(ask(ours, wrote(NOON), NOON), NOON)
    assert timing.at is None
    assert [block.check for block in timing.blocks] == ["window"]
    assert timing.last is not None
    assert timing.last.reason is Reason.REPLY_WINDOW


# Whole decisions.


def story(**changes: Any) -> Story:
    return Story({
        "workspace": "presence",
        "consent": {"marketing": "opt_out"},
        "channels": {
            "whatsapp": {"adapter": "log", "identity": "phone", **WHATSAPP},
            "sms": {"adapter": "log", "identity": "phone"},
        },
        "message_types": {"promo": {"purpose": "marketing", "channels": ["whatsapp", "sms"],
                                    "on_block": ["fallback", "drop"]}},
        "messages": {"a": {"type": "promo", "content": {"default": {"body": "a"}}}},
        "journeys": {"j": {"trigger": {"event": "A"}, "steps": [{"send": "a"}]}},
        **changes,
    }).identify("07:00", phone="+447700900123", timezone="UTC")  # fmt: skip


def test_outside_the_reply_window_the_message_goes_another_way() -> None:
    assert story().track("08:00", "A").told() == ["08:00 a send sent sms"]


def test_an_event_by_which_the_customer_wrote_opens_the_channel() -> None:
    world = story().track("07:30", "Message Received").track("08:00", "A")
    assert world.told() == ["08:00 a send sent whatsapp"]


def test_a_reply_to_a_message_opens_the_channel() -> None:
    content = {"whatsapp": {"body": "a", "template": "hello"}, "sms": {"body": "a"}}
    messages = {
        "a": {"type": "promo", "content": content},
        "b": {"type": "promo", "content": {"default": {"body": "b"}}},
    }
    journeys = {
        "j": {"trigger": {"event": "A"}, "steps": [{"send": "a"}]},
        "k": {"trigger": {"event": "B"}, "steps": [{"send": "b"}]},
    }
    world = story(messages=messages, journeys=journeys)
    world.track("08:00", "A").track("08:10", "B").receipt("08:20", "a", "replied")
    world.track("08:30", "B")
    assert world.told() == [
        "08:00 a send sent whatsapp",
        "08:10 b send sent sms",
        "08:30 b send sent whatsapp",
    ]
