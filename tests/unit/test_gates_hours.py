"""Hours of channel, type, law and customer: each holds, in every zone, and the last is named."""

from datetime import date
from typing import Any

import msgspec
import pytest

from engine.gates.hours import check_hours, open_hours
from engine.gates.order import blocks_at, next_eligible
from engine.instants import format_instant, parse_instant
from engine.localtime import day_number
from engine.profile import Profile
from engine.program.program import Program
from engine.reasons import Reason
from tests.cases import ask, blocks, customer, opens, solve, workspace

DAYTIME = workspace(channel={"window": "09:00-20:00"})
TEXAN = customer(country="US", state="TX", timezone="America/Chicago", phone="+12145550123")


def checks(program: Program, profile: Profile, at: str) -> list[tuple[str, str]]:
    return [(block.check, block.rule) for block in blocks(program, profile, at)]


# The type's own hours.


def test_the_hours_of_a_type_hold_together_with_those_of_the_channel() -> None:
    both = workspace(channel={"window": "09:00-20:00"}, kind={"window": {"mon-fri": "07:00-12:00"}})
    friday, saturday = "2026-03-06T08:59:59.999Z", "2026-03-07T21:00:00Z"
    assert (
        opens(both, customer(), friday) == "2026-03-06T09:00:00Z after window channels.email.window"
    )
    assert (
        opens(both, customer(), saturday)
        == "2026-03-09T09:00:00Z after window channels.email.window"
    )
    assert checks(both, customer(), saturday) == [
        ("window", "channels.email.window"),
        ("window", "message_types.promo.window"),
    ]
    assert opens(both, customer(), "2026-03-06T09:00:00Z") == "2026-03-06T09:00:00Z"
    assert checks(both, customer(), "2026-03-06T12:00:00Z") == [
        ("window", "message_types.promo.window")
    ]


def test_hours_that_never_meet_never_open() -> None:
    apart = workspace(channel={"window": "23:00-23:30"}, kind={"window": "09:00-10:00"})
    timing = solve(apart, customer(), "2026-03-02T09:30:00Z")
    assert timing.at is None
    assert timing.last is not None
    assert timing.last.reason is Reason.OUTSIDE_WINDOW


def test_a_type_above_windows_is_above_the_customers_hours_but_not_above_the_law() -> None:
    above = workspace(
        channel={"window": "09:00-20:00"},
        kind={"ignores": ["window"], "window": "10:00-11:00"},
        policies={"regions": ["ZA"]},
    )
    at_night = "2026-03-02T21:00:00Z"
    assert checks(above, customer(quiet_hours="22:00-07:00"), at_night) == []
    assert checks(above, customer(country="ZA"), at_night) == [
        ("region", "regions.ZA.direct_marketing_hours")
    ]


# The customer's own.


@pytest.mark.parametrize(
    ("quiet", "at", "opens_at"),
    [
        ("22:00-10:30", "2026-03-02T09:00:00Z", "2026-03-02T10:30:00Z"),
        ("22:00-10:30", "2026-03-02T10:30:00Z", "2026-03-02T10:30:00Z"),
        ("12:00-14:00", "2026-03-02T11:59:59.999Z", "2026-03-02T11:59:59.999Z"),
        ("12:00-14:00", "2026-03-02T12:00:00Z", "2026-03-02T14:00:00Z"),
        (["09:00-11:00", "11:00-11:45"], "2026-03-02T09:00:00Z", "2026-03-02T11:45:00Z"),
        ({"mon": "00:00-24:00"}, "2026-03-02T09:00:00Z", "2026-03-03T09:00:00Z"),
        ({"weekend": "00:00-24:00"}, "2026-03-07T09:00:00Z", "2026-03-09T09:00:00Z"),
        ({"fri": "18:00-10:00"}, "2026-03-06T19:00:00Z", "2026-03-07T10:00:00Z"),
        ({"sun": "18:00-10:00"}, "2026-03-02T09:00:00Z", "2026-03-02T10:00:00Z"),
    ],
)
def test_quiet_hours_are_closed_and_the_rest_of_the_week_is_open(
    quiet: object, at: str, opens_at: str
) -> None:
    timing = solve(DAYTIME, customer(quiet_hours=quiet), at)
    assert timing.at == parse_instant(opens_at)
    if timing.blocks:
        assert {block.reason for block in timing.blocks} == {Reason.QUIET_HOURS}
        assert {block.rule for block in timing.blocks} == {"profile.quiet_hours"}


def test_quiet_hours_say_what_they_are_in_words() -> None:
    (block,) = blocks(
        DAYTIME,
        customer(quiet_hours="12:00-14:00", timezone="Africa/Johannesburg"),
        "2026-03-02T10:00:00Z",
    )
    assert block.seen == "not 12:00-14:00 in Africa/Johannesburg (profile)"


@pytest.mark.parametrize(
    "quiet",
    [
        *("evenings", "", "25:00-26:00", 7, True, False, None),
        *([], ["9"], {}, {"someday": "09:00-10:00"}, {"mon": 7}),
    ],
)
def test_what_cannot_be_read_as_hours_is_no_choice(quiet: object) -> None:
    at = "2026-03-02T09:00:00Z"
    assert blocks(DAYTIME, customer(quiet_hours=quiet), at) == []


def test_who_is_always_quiet_is_never_reached() -> None:
    timing = solve(DAYTIME, customer(quiet_hours="00:00-24:00"), "2026-03-02T09:00:00Z")
    assert timing.at is None
    assert timing.last is not None
    assert timing.last.reason is Reason.QUIET_HOURS


# Several plausible zones.


def test_where_several_zones_are_plausible_it_is_open_in_all_of_them() -> None:
    moved = customer(country="US", phone="+18005550123")  # toll-free: anywhere in the country
    case = ask(DAYTIME, moved, 0)
    keys = [zone.key for zone in case.place.zones]
    assert {"America/New_York", "Pacific/Honolulu"} <= set(keys)
    # 09:00 in Honolulu is 14:00 in New York and 15:00 in Puerto Rico
    at = parse_instant("2026-01-12T12:00:00Z")
    timing = next_eligible(case, at)
    assert timing.at is not None
    assert timing.at >= parse_instant("2026-01-12T19:00:00Z")
    assert blocks_at(case, timing.at) == []
    assert blocks_at(case, timing.at - 1) != []
    assert timing.last is not None
    assert timing.last.seen.endswith("(phone)")


def test_zones_that_leave_no_common_hour_leave_none() -> None:
    narrow = workspace(channel={"window": "09:00-10:00"})
    timing = solve(narrow, customer(country="US", phone="+18005550123"), "2026-01-12T12:00:00Z")
    assert timing.at is None


def test_a_zone_that_is_stated_is_the_only_one_and_the_source_is_named() -> None:
    known = customer(phone="+18005550123", timezone="America/New_York")
    (block,) = blocks(DAYTIME, known, "2026-01-12T12:00:00Z")
    assert block.seen == "09:00-20:00 in America/New_York (profile)"
    (guessed,) = blocks(DAYTIME, customer(), "2026-01-12T02:00:00Z")
    assert guessed.seen == "09:00-20:00 in UTC (workspace)"


# The law's.


def test_the_hours_of_a_region_hold_with_their_version() -> None:
    ours = workspace(policies={"regions": ["ZA"]})
    at_home = customer(country="ZA", timezone="Africa/Johannesburg")
    (block,) = blocks(ours, at_home, "2026-03-07T11:00:00Z")  # Saturday, 13:00
    assert (block.check, block.reason) == ("region", Reason.REGION_RULE)
    assert block.version.startswith("ZA/")
    assert block.until == parse_instant("2026-03-09T06:00:00Z")
    assert blocks(ours, customer(country="FR"), "2026-03-07T11:00:00Z") == []


def test_the_law_of_a_region_concerns_neither_service_nor_channels_that_reach_nobody() -> None:
    ours = workspace(
        channels={
            "email": {"adapter": "log", "identity": "email"},
            "sms": {"adapter": "log", "identity": "phone"},
            "inbox": {"adapter": "inbox"},
        },
        policies={"regions": ["ZA"]},
    )
    at_home, sunday = customer(country="ZA"), parse_instant("2026-03-08T10:00:00Z")
    assert blocks_at(ask(ours, at_home, sunday, channel="inbox"), sunday) == []
    assert blocks_at(ask(ours, at_home, sunday, message="n", channel="sms"), sunday) == []
    assert blocks_at(ask(ours, at_home, sunday), sunday) != []
    above = workspace(kind={"ignores": ["regions"]}, policies={"regions": ["ZA"]})
    assert blocks_at(ask(above, at_home, sunday), sunday) == []


@pytest.mark.parametrize(
    ("at", "opens_at"),
    [
        ("2025-08-31T13:30:00Z", "2025-08-31T13:30:00Z"),  # Sunday 08:30, the day before
        ("2025-09-01T04:59:59.999Z", "2025-09-01T14:00:00Z"),  # 23:59:59.999, federal hours hold
        ("2025-09-01T13:30:00Z", "2025-09-01T14:00:00Z"),  # Monday 08:30: from nine on now
        ("2025-09-07T16:30:00Z", "2025-09-07T17:00:00Z"),  # Sunday 11:30: from noon on now
    ],
)
def test_a_rule_of_law_holds_from_the_local_day_of_its_effect(at: str, opens_at: str) -> None:
    texas = workspace(policies={"regions": ["US"]})
    assert solve(texas, TEXAN, at, channel="sms").at == parse_instant(opens_at)


def test_a_rule_of_law_holds_until_the_local_day_it_ends() -> None:
    texas = workspace(policies={"regions": ["US"]})
    at = parse_instant("2026-03-02T13:30:00Z")  # Monday 08:30
    case = ask(texas, TEXAN, at, channel="sms")
    (rule,) = [one for one in case.regions if one.id == "tx_hours"]
    case.regions = (msgspec.structs.replace(rule, effective_until=day_number(date(2026, 3, 3))),)
    assert next_eligible(case, at).at == parse_instant("2026-03-02T15:00:00Z")
    in_the_evening = parse_instant("2026-03-03T04:00:00Z")  # 22:00: it would open at nine again
    assert next_eligible(case, in_the_evening).at == parse_instant("2026-03-03T06:00:00Z")
    case.regions = (msgspec.structs.replace(rule, effective_until=day_number(date(2026, 3, 2))),)
    assert check_hours(case, at) == []


# Which one is the reason.


@pytest.mark.parametrize(
    ("quiet", "kind", "rule"),
    [
        ("06:00-09:30", "08:30-20:00", "profile.quiet_hours"),
        ("06:00-08:30", "08:30-20:00", "channels.email.window"),
        ("06:00-08:30", "09:15-20:00", "message_types.promo.window"),
        ("06:00-07:30", "00:00-07:30", "message_types.promo.window"),
    ],
)
def test_the_hours_that_open_last_are_the_reason(quiet: str, kind: str, rule: str) -> None:
    ours = workspace(
        channel={"window": "09:00-20:00"},
        kind={"window": [kind, "19:00-20:00"]},
        policies={"regions": ["ZA"]},
    )
    known = customer(country="ZA", timezone="UTC", quiet_hours=quiet)
    timing = solve(ours, known, "2026-03-03T07:15:00Z")
    assert timing.last is not None
    assert timing.last.rule == rule
    assert timing.at == timing.last.until
    assert {"window", "quiet_hours", "region"} == {block.check for block in timing.blocks}


def test_the_reason_is_the_one_that_opens_last_also_where_it_is_open_now() -> None:
    # at 19:50 only the type is closed; when it opens at 20:30 the channel has closed
    pair = workspace(channel={"window": "09:00-20:00"}, kind={"window": "20:30-10:00"})
    timing = solve(pair, customer(), "2026-03-02T19:50:00Z")
    assert timing.at == parse_instant("2026-03-03T09:00:00Z")
    assert [block.rule for block in timing.blocks] == ["message_types.promo.window"]
    assert timing.last is not None
    assert timing.last.rule == "channels.email.window"


def test_open_hours_ends_where_it_is_told_to() -> None:
    at, end_at = parse_instant("2026-03-02T21:00:00Z"), parse_instant("2026-03-03T09:00:00Z")
    case = ask(DAYTIME, customer(), at)
    assert open_hours(case, at, end_at)[0] is None
    found, last = open_hours(case, at, end_at + 1)
    assert found is not None
    assert format_instant(found) == "2026-03-03T09:00:00Z"
    assert last is not None
    assert last.until == found


def test_traits_of_any_kind_never_raise() -> None:
    strange: list[Any] = [{"mon": {"a": 1}}, [[]], [None], {"mon": [None]}, 1e308, "x" * 10_000]
    for value in strange:
        assert blocks(DAYTIME, customer(quiet_hours=value), "2026-03-02T10:00:00Z") == []
