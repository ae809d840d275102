"""What customers ask for themselves: to be left alone, and how often to hear from us."""

from typing import Any

import pytest

from engine.gates.caps import own_caps
from engine.gates.order import blocks_at
from engine.gates.verdict import Block
from engine.instants import HOUR_MS, format_instant, parse_instant
from engine.profile import Profile
from engine.program.program import Program
from engine.reasons import Reason
from tests.cases import ask, blocks, customer, find, slot, solve, workspace

NOON = parse_instant("2026-03-02T12:00:00Z")
AT = "2026-03-02T12:00:00Z"
BARE = workspace()
FLORIDIAN: dict[str, Any] = {
    "country": "US",
    "state": "FL",
    "timezone": "America/New_York",
    "phone": "+13055550123",
}


# To be left alone.


@pytest.mark.parametrize(
    "wish", [True, "yes", "please", "true", "2026-13-45", ["evenings"], {"until": "x"}, "later"]
)
def test_who_wants_to_be_left_alone_is_for_good_also_where_it_cannot_be_read(wish: object) -> None:
    (block,) = blocks(BARE, customer(do_not_disturb=wish), AT)
    assert (block.check, block.reason) == ("do_not_disturb", Reason.DO_NOT_DISTURB)
    assert (block.until, block.rule, block.seen) == (None, "profile.do_not_disturb", "for good")
    assert solve(BARE, customer(do_not_disturb=wish), AT).at is None


@pytest.mark.parametrize("wish", [False, None, "", " ", "false", "No", "off", "0", 0])
def test_who_does_not_is_reached(wish: object) -> None:
    assert blocks(BARE, customer(do_not_disturb=wish), AT) == []


@pytest.mark.parametrize(
    ("wish", "until"),
    [
        ("2026-03-05T10:30:00Z", "2026-03-05T10:30:00Z"),
        ("2026-03-05T10:30:00+02:00", "2026-03-05T08:30:00Z"),
        ("2026-03-05", "2026-03-04T22:00:00Z"),  # the customer's midnight
        (1_772_706_600, "2026-03-05T10:30:00Z"),
        (1_772_706_600_000, "2026-03-05T10:30:00Z"),
    ],
)
def test_a_wish_can_end_at_an_instant(wish: object, until: str) -> None:
    known = customer(do_not_disturb=wish, timezone="Africa/Johannesburg")
    (block,) = blocks(BARE, known, AT)
    assert block.until is not None
    assert format_instant(block.until) == until
    assert block.seen == "until then"
    assert solve(BARE, known, AT).at == parse_instant(until)
    assert blocks(BARE, known, until) == []


def test_a_wish_until_a_day_holds_until_it_begins_wherever_the_customer_may_be() -> None:
    american = customer(do_not_disturb="2026-03-05", country="US", phone="+18005550123")
    (block,) = blocks(BARE, american, AT)
    assert block.until == parse_instant("2026-03-05T10:00:00Z")  # midnight in Honolulu


def test_a_wish_that_has_ended_holds_nothing_back() -> None:
    assert blocks(BARE, customer(do_not_disturb="2026-03-02T12:00:00Z"), AT) == []
    assert blocks(BARE, customer(do_not_disturb="2020-01-01"), AT) == []


def test_only_a_type_above_suppression_disturbs() -> None:
    above = workspace(kind={"ignores": ["suppression"]})
    assert blocks(above, customer(do_not_disturb=True), AT) == []
    case = ask(BARE, customer(do_not_disturb=True, phone="1"), NOON, message="n", channel="sms")
    assert blocks_at(case, NOON) != []  # it is a wish for silence, whatever the purpose


# How often.


def own(profile: Profile, program: Program = BARE, *, message: str = "a") -> Block | None:
    channel = "sms" if message == "n" else "email"
    case = ask(program, profile, NOON, message=message, channel=channel)
    return find(case, NOON, "customer_cap")


def weekly(**traits: Any) -> Profile:
    return customer(slot(NOON - HOUR_MS), **traits)


def test_a_cap_of_the_customers_holds_over_all_channels_and_purposes() -> None:
    block = own(weekly(frequency_caps="1 / 7d"))
    assert block is not None
    assert block.reason is Reason.CUSTOMER_CAP
    assert block.rule == "profile.frequency_caps"
    assert block.seen == "1 used of 1 / 7d"
    assert block.until == NOON - HOUR_MS + 7 * 24 * HOUR_MS
    assert own(weekly(frequency_caps="1 / 7d"), message="n") is not None
    assert own(weekly(frequency_caps="2 / 7d")) is None
    by_sms = customer(slot(NOON, "sms"), frequency_caps="1 / 7d")
    assert own(by_sms) is not None


def test_a_cap_by_purpose_counts_and_holds_for_that_purpose() -> None:
    wishes = {"marketing": "1 / 7d"}
    block = own(weekly(frequency_caps=wishes))
    assert block is not None
    assert block.rule == "profile.frequency_caps.marketing"
    assert own(weekly(frequency_caps=wishes), message="n") is None
    service = customer(slot(NOON, "sms", purpose="service", kind="note"), frequency_caps=wishes)
    assert own(service) is None


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("1 / calendar_day", "2026-03-02T22:00:00Z"),
        ("1 / calendar_week", "2026-03-08T22:00:00Z"),
        ("1 / calendar_month", "2026-03-31T22:00:00Z"),
    ],
)
def test_a_calendar_cap_of_the_customers_is_on_their_own_calendar(text: str, until: str) -> None:
    block = own(weekly(frequency_caps=text, timezone="Africa/Johannesburg"))
    assert block is not None
    assert block.until == parse_instant(until)


@pytest.mark.parametrize(
    "wish",
    [
        *("seldom", "1", "0 / 7d", "1 / fortnight", "-1 / 7d", "1 / 0s", ""),
        *(1, True, None, ["seldom"], [7], {}),
        *({"marketing": 1}, {"marketing": "seldom"}, {"service": "1 / 7d"}),
    ],
)
def test_what_cannot_be_read_as_a_cap_is_no_choice(wish: object) -> None:
    profile = weekly(frequency_caps=wish)
    assert own_caps(ask(BARE, profile, NOON)) == []
    assert own(profile) is None


def test_ignoring_caps_is_above_all_of_them_and_counting_is_a_switch_of_its_own() -> None:
    policies: dict[str, Any] = {"caps": [{"limit": "1 / 24h"}]}
    above = workspace(
        channel={"caps": ["1 / 24h"]},
        kind={"ignores": ["caps"], "caps": ["1 / 24h"]},
        policies=policies,
    )
    assert blocks(above, weekly(frequency_caps="1 / 24h"), AT) == []
    under = workspace(channel={"caps": ["1 / 24h"]}, kind={"caps": ["1 / 24h"]}, policies=policies)
    profile = weekly(frequency_caps="1 / 24h")
    assert [block.check for block in blocks(under, profile, AT)] == [
        "channel_cap",
        "type_cap",
        "shared_cap",
        "customer_cap",
    ]
    uncounted = customer(slot(NOON - HOUR_MS, counts=False), frequency_caps="1 / 24h")
    assert blocks(under, uncounted, AT) == []


def test_a_cap_of_a_type_counts_that_type_on_all_its_channels() -> None:
    ours = workspace(kind={"caps": ["2 / 24h"]})
    other = slot(NOON - 3, kind="other")
    assert blocks(ours, customer(slot(NOON - 1), other), AT) == []
    (block,) = blocks(ours, customer(slot(NOON - 1), slot(NOON - 2, "sms"), other), AT)
    assert (block.check, block.reason) == ("type_cap", Reason.TYPE_CAP)
    assert block.rule == "message_types.promo.caps[0]"


def test_the_laws_cap_counts_what_we_do_not_and_is_not_ours_to_ignore() -> None:
    law = workspace(kind={"ignores": ["caps"]}, policies={"regions": ["US"]})
    at = parse_instant("2026-03-02T17:00:00Z")
    sent = [slot(at - n * HOUR_MS, "sms", counts=False) for n in (1, 2, 3)]
    case = ask(law, customer(*sent, **FLORIDIAN), at, channel="sms")
    (block,) = blocks_at(case, at)
    assert (block.check, block.reason) == ("region", Reason.REGION_RULE)
    assert block.rule == "regions.US.fl_frequency"
    assert block.until == at - 3 * HOUR_MS + 24 * HOUR_MS
    service = [slot(at - n, "sms", purpose="service", kind="note") for n in (1, 2, 3)]
    assert blocks_at(ask(law, customer(*service, **FLORIDIAN), at, channel="sms"), at) == []
    assert blocks_at(ask(law, customer(*sent, **FLORIDIAN), at, channel="email"), at) == []


def test_a_cap_of_the_law_holds_from_the_day_of_its_effect() -> None:
    law = workspace(policies={"regions": ["US"]})
    for at, is_held in (("2021-06-30T17:00:00Z", False), ("2021-07-01T17:00:00Z", True)):
        now = parse_instant(at)
        sent = [slot(now - n * HOUR_MS, "sms") for n in (1, 2, 3)]
        case = ask(law, customer(*sent, **FLORIDIAN), now, channel="sms")
        assert bool(blocks_at(case, now)) is is_held
