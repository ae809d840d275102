"""Mistakes that systems of this kind are known for, each with a case that would show it."""

import pytest

from engine.gates.order import blocks_at
from engine.instants import DAY_MS, format_instant, parse_instant
from engine.profile import Profile
from engine.program.program import Program
from tests.cases import ask, blocks, customer, opens, slot, solve, workspace
from tests.stories import Story, at

NIGHTS = workspace(channel={"window": "20:00-02:00"})


def opens_at(program: Program, profile: Profile, now: str) -> str:
    timing = solve(program, profile, now)
    return "never" if timing.at is None else format_instant(timing.at)


# The offset of now, taken for that of the instant that is computed.


@pytest.mark.parametrize(
    ("zone", "now", "opening"),
    [
        # Clocks go forward in the night: nine o'clock is an hour earlier in UTC than yesterday.
        ("Europe/Berlin", "2026-03-28T21:00:00Z", "2026-03-29T07:00:00Z"),
        ("America/New_York", "2026-03-08T02:00:00Z", "2026-03-08T13:00:00Z"),
        # They are set back: it is an hour later.
        ("Europe/Berlin", "2026-10-24T21:00:00Z", "2026-10-25T08:00:00Z"),
        ("Australia/Sydney", "2026-04-04T11:00:00Z", "2026-04-04T23:00:00Z"),
        # By half an hour, at two in the morning.
        ("Australia/Lord_Howe", "2026-10-03T11:00:00Z", "2026-10-03T22:00:00Z"),
    ],
)
def test_nine_in_the_morning_is_nine_by_the_clock_of_that_morning(
    zone: str, now: str, opening: str
) -> None:
    program = workspace(channel={"window": "09:00-20:00"})
    assert opens_at(program, customer(timezone=zone), now) == opening


@pytest.mark.parametrize(
    ("sent_at", "frees_at"),
    [
        ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),  # 23 hours
        ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),  # 25 hours
    ],
)
def test_a_calendar_day_ends_at_midnight_however_many_hours_it_has(
    sent_at: str, frees_at: str
) -> None:
    program = workspace(channel={"caps": ["1 / calendar_day"]})
    full = customer(slot(parse_instant(sent_at)), timezone="Europe/Berlin")
    assert opens_at(program, full, sent_at) == frees_at


def test_a_message_deferred_over_a_change_of_clocks_goes_at_nine() -> None:
    source = {
        "workspace": "clocks",
        "consent": {"marketing": "opt_out"},
        "channels": {"email": {"adapter": "log", "identity": "email", "window": "09:00-20:00"}},
        "message_types": {"promo": {"purpose": "marketing", "channels": ["email"]}},
        "messages": {"a": {"type": "promo", "content": {"default": {"body": "a"}}}},
        "journeys": {"j": {"trigger": {"event": "A"}, "steps": [{"wait": "26d"}, {"send": "a"}]}},
    }
    world = Story(source).identify("06:00", email="a@example.com", timezone="Europe/Berlin")
    deferred, sent = world.track("20:00", "A").until("+30d 00:00").decisions()
    assert deferred["at"] == "2026-03-28T20:00:00Z"
    assert deferred["next_eligible"] == sent["at"] == "2026-03-29T07:00:00Z"
    assert at("+27d 07:00") == parse_instant(sent["at"])


# The weekday, taken in UTC.


@pytest.mark.parametrize(
    ("zone", "now", "opening"),
    [
        # Sunday evening in UTC is Monday morning in Auckland, which is open.
        ("Pacific/Auckland", "2026-03-01T20:30:00Z", "2026-03-01T20:30:00Z"),
        # Friday evening in UTC is Saturday morning there, which is closed.
        ("Pacific/Auckland", "2026-03-06T20:30:00Z", "2026-03-08T20:00:00Z"),
        # Saturday in UTC is still Friday afternoon in Los Angeles.
        ("America/Los_Angeles", "2026-03-07T00:30:00Z", "2026-03-07T00:30:00Z"),
        # Monday in UTC is still Sunday there.
        ("America/Los_Angeles", "2026-03-02T02:00:00Z", "2026-03-02T17:00:00Z"),
        ("Pacific/Kiritimati", "2026-03-01T19:30:00Z", "2026-03-01T19:30:00Z"),
    ],
)
def test_the_weekday_is_that_of_the_customer(zone: str, now: str, opening: str) -> None:
    program = workspace(channel={"window": {"mon-fri": "09:00-20:00"}})
    assert opens_at(program, customer(timezone=zone), now) == opening


def test_the_day_of_a_holiday_is_that_of_the_customer() -> None:
    program = workspace(policies={"holidays": {"calendar": "ZA"}})
    in_apia = customer(timezone="Pacific/Apia")  # 13 hours ahead
    assert blocks(program, in_apia, "2026-12-24T10:59:59.999Z") == []
    assert blocks(program, in_apia, "2026-12-24T11:00:00Z") != []


# Windows over midnight, with their ends swapped.


@pytest.mark.parametrize(
    ("now", "is_open"),
    [
        ("2026-03-02T19:59:59.999Z", False),
        ("2026-03-02T20:00:00Z", True),
        ("2026-03-02T23:59:59.999Z", True),
        ("2026-03-03T00:00:00Z", True),
        ("2026-03-03T01:59:59.999Z", True),
        ("2026-03-03T02:00:00Z", False),
        ("2026-03-03T12:00:00Z", False),
    ],
)
def test_a_window_over_midnight_is_open_at_night_and_closed_by_day(
    now: str, *, is_open: bool
) -> None:
    assert (blocks(NIGHTS, customer(), now) == []) is is_open


def test_quiet_hours_over_midnight_are_quiet_at_night_and_not_by_day() -> None:
    sleeper = customer(quiet_hours="22:00-07:00")
    bare = workspace()
    assert opens(bare, sleeper, "2026-03-02T12:00:00Z") == "2026-03-02T12:00:00Z"
    assert opens_at(bare, sleeper, "2026-03-02T23:00:00Z") == "2026-03-03T07:00:00Z"
    assert opens_at(bare, sleeper, "2026-03-03T03:00:00Z") == "2026-03-03T07:00:00Z"


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    fridays = workspace(channel={"window": {"fri": "20:00-02:00"}})
    assert opens_at(fridays, customer(), "2026-03-07T01:00:00Z") == "2026-03-07T01:00:00Z"
    assert opens_at(fridays, customer(), "2026-03-06T01:00:00Z") == "2026-03-06T20:00:00Z"


# Bounds that are strict on the wrong side.


def test_quiet_hours_begin_at_their_first_minute_and_end_with_their_last() -> None:
    """Strict bounds leave 22:00 itself open, and the whole of its minute."""
    sleeper = customer(quiet_hours="22:00-07:00")
    bare = workspace()
    assert blocks(bare, sleeper, "2026-03-02T21:59:59.999Z") == []
    for quiet in ("22:00:00Z", "22:00:00.001Z", "22:00:59.999Z"):
        assert blocks(bare, sleeper, f"2026-03-02T{quiet}") != []
    assert blocks(bare, sleeper, "2026-03-03T06:59:59.999Z") != []
    assert blocks(bare, sleeper, "2026-03-03T07:00:00Z") == []


def test_a_window_that_ends_at_ten_is_closed_at_ten() -> None:
    evenings = workspace(channel={"window": "09:00-22:00"})
    assert blocks(evenings, customer(), "2026-03-02T21:59:59.999Z") == []
    assert blocks(evenings, customer(), "2026-03-02T22:00:00Z") != []
    assert blocks(evenings, customer(), "2026-03-02T09:00:00Z") == []


def test_a_slot_is_free_at_the_very_end_of_its_window() -> None:
    program = workspace(channel={"caps": ["1 / 24h"]})
    now = parse_instant("2026-03-02T12:00:00Z")
    case = ask(program, customer(slot(now)), now)
    assert blocks_at(case, now + DAY_MS - 1) != []
    assert blocks_at(case, now + DAY_MS) == []


# A day later, instead of at the instant of release.


def test_a_message_waits_for_the_release_and_not_for_tomorrow() -> None:
    program = workspace(
        channel={"window": "09:00-20:00", "caps": ["2 / 4h"]}, policies={"cooldown": {"gap": "45m"}}
    )
    sent = [slot(parse_instant(f"2026-03-02T{hour}:07Z")) for hour in ("10:00", "13:20")]
    assert opens_at(program, customer(*sent), "2026-03-02T13:30:00Z") == "2026-03-02T14:05:07Z"
    assert opens_at(program, customer(), "2026-03-02T06:30:00Z") == "2026-03-02T09:00:00Z"


def test_where_several_rules_release_one_after_another_none_adds_its_own_delay() -> None:
    """Each rule alone would say: in two hours, in three, at nine. Together it is nine, no later."""
    program = workspace(
        channel={"window": "09:00-20:00", "caps": ["1 / 3h"]}, policies={"cooldown": {"gap": "2h"}}
    )
    sent = slot(parse_instant("2026-03-02T05:30:00Z"))
    assert opens_at(program, customer(sent), "2026-03-02T06:00:00Z") == "2026-03-02T09:00:00Z"
    late = slot(parse_instant("2026-03-02T18:30:00Z"))
    assert opens_at(program, customer(late), "2026-03-02T19:00:00Z") == "2026-03-03T09:00:00Z"


def test_a_deferral_over_a_holiday_ends_when_the_day_does() -> None:
    program = workspace(policies={"holidays": {"calendar": "ZA"}})
    assert opens_at(program, customer(), "2026-08-10T10:00:00Z") == "2026-08-11T00:00:00Z"


# And two that are not in any list: an unknown zone, and a zone that is nonsense.


def test_an_unknown_zone_is_not_no_zone() -> None:
    program = workspace(
        channel={"window": "09:00-20:00"}, defaults={"timezone": "Africa/Johannesburg"}
    )
    assert opens_at(program, customer(), "2026-03-02T18:00:00Z") == "2026-03-03T07:00:00Z"
    lost = customer(timezone="Mars/Olympus")
    assert opens_at(program, lost, "2026-03-02T18:00:00Z") == "2026-03-03T07:00:00Z"
