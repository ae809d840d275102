"""Answers to "may this be sent now, if not why, when will it, and what would change it"."""

from typing import Any

import msgspec
import pytest

from engine.eligibility import assess, next_eligible
from engine.events import ConsentStatement, ConsentStatus
from engine.instants import DAY_MS, HOUR_MS, format_instant, parse_instant
from engine.measures.reach import Reach
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.program.program import Program
from engine.reasons import Outcome, Reason
from engine.traits.reach import reach_key
from tests.cases import customer, slot, workspace
from tests.stories import Story, at

NOON = parse_instant("2026-03-02T12:00:00Z")
NIGHT = parse_instant("2026-03-02T22:00:00Z")
MAIL = {"adapter": "log", "identity": "email"}
PROMO: dict[str, Any] = {"purpose": "marketing", "channels": ["email"]}
LAW = (
    "email: nothing of ours: it is the law where the customer is "
    "(regions.ZA.direct_marketing_hours)"
)
DAYTIME = workspace(channel={"window": "09:00-20:00"})


def written(profile: Profile) -> bytes:
    return msgspec.msgpack.encode(profile)


def told(profile: Profile, program: Program, now: int) -> str:
    """Tell the answer in a line."""
    answer = assess(profile, program, program.messages["a"], now)
    until = "never" if answer.next_eligible is None else format_instant(answer.next_eligible)
    return f"{answer.outcome} {answer.reason} {answer.channel} {until}"


# What would be decided.


def test_what_may_go_now_is_said_to_go_now() -> None:
    profile = customer(phone="1")
    answer = assess(profile, DAYTIME, DAYTIME.messages["a"], NOON)
    assert (answer.outcome, answer.reason, answer.channel) == (Outcome.SEND, Reason.SENT, "email")
    assert answer.next_eligible == answer.at == NOON
    assert [one.channel for one in answer.channels] == ["email", "sms"]
    assert all(one.is_open and one.next_eligible == NOON for one in answer.channels)
    assert answer.changes == ()
    assert answer.program == DAYTIME.version
    assert (answer.customer, answer.message) == ("u1", "a")


def test_what_may_not_is_said_to_go_later_with_the_reason() -> None:
    profile = customer()
    answer = assess(profile, DAYTIME, DAYTIME.messages["a"], NIGHT)
    assert (answer.outcome, answer.reason) == (Outcome.DEFER, Reason.OUTSIDE_WINDOW)
    assert answer.next_eligible == parse_instant("2026-03-03T09:00:00Z")
    email, sms = answer.channels
    assert (email.is_open, email.next_eligible) == (False, answer.next_eligible)
    assert [block.rule for block in email.blocks] == ["channels.email.window"]
    assert (sms.is_open, sms.next_eligible) == (False, None)
    assert [block.reason for block in sms.blocks] == [Reason.UNREACHABLE]


def test_what_will_never_go_is_said_so() -> None:
    assert told(customer(do_not_disturb=True), DAYTIME, NOON) == "drop do_not_disturb email never"
    stranger = Profile("u1")
    assert told(stranger, DAYTIME, NOON) == "drop unreachable email never"
    opt_in = workspace(consent={})
    assert told(customer(), opt_in, NOON) == "drop no_consent email never"


def test_a_substitute_is_part_of_the_answer() -> None:
    ours = workspace(
        channels={
            "email": {**MAIL, "window": "09:00-20:00", "substitute": "inbox"},
            "sms": {"adapter": "log", "identity": "phone"},
            "inbox": {"adapter": "inbox"},
        }
    )  # fmt: skip
    answer = assess(customer(), ours, ours.messages["a"], NIGHT)
    assert (answer.outcome, answer.channel) == (Outcome.SUBSTITUTE, "inbox")
    assert answer.reason is Reason.OUTSIDE_WINDOW
    assert answer.next_eligible == NIGHT


def test_any_instant_can_be_asked_about() -> None:
    profile = customer(slot(NOON))
    ours = workspace(channel={"window": "09:00-20:00", "caps": ["1 / 24h"]})
    answers = [told(profile, ours, NOON + hours * HOUR_MS) for hours in (1, 10, 21, 24)]
    assert answers == [
        "defer channel_cap email 2026-03-03T12:00:00Z",
        "defer channel_cap email 2026-03-03T12:00:00Z",
        "defer channel_cap email 2026-03-03T12:00:00Z",
        "send sent email 2026-03-03T12:00:00Z",
    ]


def test_asking_changes_nothing() -> None:
    profile = customer(slot(NOON), quiet_hours="12:00-14:00")
    profile.suppressed["x"] = NOON + DAY_MS
    before = written(profile)
    for now in (NOON, NIGHT, NOON + 400 * DAY_MS):
        assess(profile, DAYTIME, DAYTIME.messages["a"], now)
        next_eligible(profile, DAYTIME.messages["a"], DAYTIME.channels["email"], DAYTIME, now)
    assert written(profile) == before


def test_what_is_answered_is_what_is_decided() -> None:
    """The same history, asked just before the event and decided by it."""
    source: dict[str, Any] = {
        "workspace": "answers",
        "consent": {"marketing": "opt_out"},
        "channels": {
            "email": {**MAIL, "window": "09:00-12:00", "caps": ["1 / 3h"]},
        },
        "message_types": {"promo": {**PROMO, "expires": "30h"}},
        "messages": {"a": {"type": "promo", "content": {"default": {"body": "a"}}}},
        "journeys": {"j": {"trigger": {"event": "A"}, "steps": [{"send": "a"}]}},
        "policies": {"cooldown": {"gap": "4h"}, "release": {"spread": "20m"}},
    }  # fmt: skip
    for hour in ("06:30", "09:30", "10:30", "13:00"):
        before = Story(source).identify("06:00", email="a@example.com", timezone="UTC")
        before.track("09:15", "A").until(max(hour, "09:15"))
        program = compile_source(source)
        answer = assess(before.profile(), program, program.messages["a"], at(hour))
        after = before.track(hour, "A").until(max(hour, "09:15"))
        (decided,) = [one for one in after.decisions() if one["at"].endswith(f"T{hour}:00Z")]
        assert decided["outcome"] == answer.outcome.value
        assert decided["reason"] == answer.reason.value


def test_the_place_says_where_the_zone_is_from() -> None:
    answer = assess(customer(phone="+27821234567"), DAYTIME, DAYTIME.messages["a"], NOON)
    assert answer.place.zones[0].key == "Africa/Johannesburg"
    assert (answer.place.source, answer.place.country) == ("phone", "ZA")


# What would change it.


@pytest.mark.parametrize(
    ("program", "profile", "now", "change"),
    [
        (DAYTIME, customer(), NIGHT, "email: hours in channels.email.window that are open now"),
        (
            workspace(),
            customer(quiet_hours="11:00-13:00"),
            NOON,
            "email: the customer's quiet hours not covering this time",
        ),
        (
            workspace(channel={"caps": ["1 / 24h"]}),
            customer(slot(NOON)),
            NOON,
            "email: a larger channels.email.caps[0], or a send that fails and gives its slot back",
        ),
        (
            workspace(policies={"regions": ["ZA"]}),
            customer(country="ZA"),
            NIGHT,
            LAW,
        ),
        (
            workspace(channel={"reply_window": "24h"}),
            customer(),
            NOON,
            "email: the customer writing on this channel, or content with a `template`",
        ),
        (
            workspace(consent={}),
            customer(),
            NOON,
            "email: the customer's consent to this purpose on this channel",
        ),
        (
            workspace(policies={"cooldown": {"gap": "1h"}}),
            customer(slot(NOON)),
            NOON,
            "email: a shorter policies.cooldown",
        ),
        (
            workspace(policies={"same_message": "24h"}),
            customer(slot(NOON)),
            NOON,
            "email: another message, or a shorter policies.same_message",
        ),
        (
            workspace(policies={"blackouts": [{"name": "x", "from": "2026-03-02"}]}),
            customer(),
            NOON,
            "email: the day in `except` of policies.blackouts[0]",
        ),
    ],
)
def test_what_would_change_it_is_said_in_words(
    program: Program, profile: Profile, now: int, change: str
) -> None:
    assert change in assess(profile, program, program.messages["a"], now).changes


# The solver, for programs.


def solved(profile: Profile, program: Program, now: int, **keys: Any) -> tuple[str, list[str]]:
    timing = next_eligible(
        profile, program.messages["a"], program.channels["email"], program, now, **keys
    )
    when = "never" if timing.at is None else format_instant(timing.at)
    return when, [block.check for block in timing.blocks]


def test_the_earliest_instant_satisfies_everything_together() -> None:
    ours = workspace(
        channel={"window": "09:00-20:00", "caps": ["1 / 24h"]},
        policies={"same_message": "25h", "cooldown": {"gap": "1h"}},
    )
    profile = customer(slot(NOON), quiet_hours="12:00-13:30")
    assert solved(profile, ours, NOON + 1) == (
        "2026-03-03T13:30:00Z",
        ["same_message", "channel_cap", "cooldown", "quiet_hours"],
    )


def test_an_instant_at_or_after_the_expiry_is_none() -> None:
    opens_at = parse_instant("2026-03-03T09:00:00Z")
    profile = customer()
    assert solved(profile, DAYTIME, NIGHT, expires_at=opens_at + 1)[0] == "2026-03-03T09:00:00Z"
    assert solved(profile, DAYTIME, NIGHT, expires_at=opens_at) == ("never", ["window"])
    assert solved(profile, DAYTIME, NOON, expires_at=NOON) == ("never", [])


def test_the_same_message_holds_until_its_time_and_then_the_rest_is_asked() -> None:
    ours = workspace(channel={"window": "09:00-20:00"}, policies={"same_message": "10h"})
    profile = customer(slot(NOON, "sms"))
    assert solved(profile, ours, NOON) == ("2026-03-03T09:00:00Z", ["same_message"])
    short = workspace(channel={"window": "09:00-20:00"}, policies={"same_message": "2h"})
    assert solved(profile, short, NOON)[0] == "2026-03-02T14:00:00Z"
    other = customer(slot(NOON, "sms", message="b"))
    assert solved(other, ours, NOON) == ("2026-03-02T12:00:00Z", [])


def test_the_same_message_is_no_reason_to_look_further_ahead() -> None:
    closed = {"name": "rest", "from": "2026-03-03", "to": "2027-04-06"}  # for 400 days and a half
    ours = workspace(policies={"same_message": "24h", "blackouts": [closed]})
    assert solved(customer(slot(NOON)), ours, NOON)[0] == "never"
    shorter = {**closed, "to": "2027-04-05"}
    ours = workspace(policies={"same_message": "24h", "blackouts": [shorter]})
    assert solved(customer(slot(NOON)), ours, NOON)[0] == "2027-04-06T00:00:00Z"


def test_while_the_same_message_waits_nobody_can_say_when() -> None:
    ours = workspace(channel={"window": "09:00-20:00"}, policies={"same_message": "10h"})
    source = Story({
        "workspace": "waiting",
        "consent": {"marketing": "opt_out"},
        "channels": {"email": {**MAIL, "window": "09:00-20:00"}},
        "message_types": {"promo": PROMO},
        "messages": {"a": {"type": "promo", "content": {"default": {"body": "a"}}}},
        "journeys": {"j": {"trigger": {"event": "A"}, "steps": [{"send": "a"}]}},
    }).identify("06:00", email="a@example.com", timezone="UTC")  # fmt: skip
    waiting = source.track("22:00", "A").profile()
    when, checks = solved(waiting, ours, NIGHT)
    assert (when, checks[0]) == ("never", "same_message")
    both = customer(slot(NIGHT, "sms"))
    both.pending = waiting.pending
    assert solved(both, ours, NIGHT)[0] == "never"


def test_a_channel_that_cannot_carry_it_has_no_instant() -> None:
    profile = customer()
    profile.consents["marketing/*"] = ConsentStatement(
        "marketing", "*", ConsentStatus.WITHDRAWN, NOON, "test"
    )
    assert solved(profile, DAYTIME, NOON) == ("never", ["consent"])
    assert solved(Profile("u1"), DAYTIME, NOON) == ("never", ["reachable"])


def test_an_address_that_is_given_up_for_a_time_is_open_after_it() -> None:
    profile = customer()
    profile.reach = {reach_key("email", "a@example.com"): Reach(0, "not_there", "", NOON + DAY_MS)}
    program = workspace(kind={"channels": ["email"]})
    answer = assess(profile, program, program.messages["a"], NOON)
    assert (answer.outcome, answer.reason) == ("drop", "unreachable")
    assert answer.channels[0].next_eligible == NOON + DAY_MS
