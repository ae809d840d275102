"""Several opening hours at once: when all of them are open, and when that ends."""

from zoneinfo import ZoneInfo

import pytest

from engine.hours import Hours, closed_of, closes_together, opens_together
from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS, format_instant, parse_instant
from engine.localtime import offsets_at, zone
from engine.windows import Window, parse_window

MONDAY_NOON = "2026-03-02T12:00:00Z"


def place(name: str) -> ZoneInfo:
    found = zone(name)
    assert found is not None
    return found


def hours(*written: tuple[object, str]) -> Hours:
    return [(parse_window(value, "w"), place(name)) for value, name in written]


def at_utc(*values: object) -> Hours:
    return hours(*((value, "UTC") for value in values))


def opens(asked: Hours, now: str, *, days: int = 400) -> str | None:
    since = parse_instant(now)
    at = opens_together(asked, since, until=since + days * DAY_MS)
    return None if at is None else format_instant(at)


def closes(asked: Hours, now: str, *, days: int = 400) -> str:
    since = parse_instant(now)
    return format_instant(closes_together(asked, since, until=since + days * DAY_MS))


# In one zone.


def test_no_hours_at_all_are_open_now_and_close_never() -> None:
    assert opens([], MONDAY_NOON) == MONDAY_NOON
    assert closes([], MONDAY_NOON, days=1) == "2026-03-03T12:00:00Z"
    assert closed_of([], parse_instant(MONDAY_NOON)) == ()


def test_nothing_opens_before_now() -> None:
    now = parse_instant(MONDAY_NOON)
    for asked in (at_utc(), at_utc("09:00-20:00"), at_utc("09:00-20:00", "10:00-21:00")):
        assert opens_together(asked, now, until=now) is None
        assert opens_together(asked, now, until=now - 1) is None
        assert opens_together(asked, now, until=now + 1) == now
        assert closes_together(asked, now, until=now) == now


def test_one_window_opens_as_it_does_alone() -> None:
    assert opens(at_utc("14:00-20:00"), MONDAY_NOON) == "2026-03-02T14:00:00Z"
    assert opens(at_utc("08:00-10:00"), MONDAY_NOON) == "2026-03-03T08:00:00Z"


def test_overlapping_hours_open_at_the_later_start_and_close_at_the_earlier_end() -> None:
    asked = at_utc("09:00-18:00", "11:00-20:00", "10:00-19:00")
    assert opens(asked, "2026-03-02T08:00:00Z") == "2026-03-02T11:00:00Z"
    assert opens(asked, MONDAY_NOON) == MONDAY_NOON
    assert closes(asked, MONDAY_NOON) == "2026-03-02T18:00:00Z"
    assert opens(asked, "2026-03-02T18:00:00Z") == "2026-03-03T11:00:00Z"


def test_an_opening_is_exact_to_the_millisecond() -> None:
    asked = at_utc("09:00-18:00", "11:00-20:00")
    eleven, six = parse_instant("2026-03-02T11:00:00Z"), parse_instant("2026-03-02T18:00:00Z")
    assert opens_together(asked, eleven - 1, until=eleven + 1) == eleven
    assert opens_together(asked, eleven - 1, until=eleven) is None
    assert opens_together(asked, six - 1, until=six) == six - 1
    assert opens_together(asked, six, until=six + 17 * HOUR_MS) is None
    assert opens_together(asked, six, until=six + 17 * HOUR_MS + 1) == eleven + DAY_MS
    assert closes_together(asked, six - 1, until=six) == six
    assert closes_together(asked, eleven - 1, until=six) == eleven - 1


def test_one_window_opens_exactly_up_to_the_end_too() -> None:
    nine = parse_instant("2026-03-02T09:00:00Z")
    assert opens_together(at_utc("09:00-18:00"), nine - 1, until=nine) is None
    assert opens_together(at_utc("09:00-18:00"), nine - 1, until=nine + 1) == nine


def test_of_nested_hours_the_inner_ones_count() -> None:
    asked = at_utc("00:00-24:00", "12:30-13:00", "09:00-20:00")
    assert opens(asked, MONDAY_NOON) == "2026-03-02T12:30:00Z"
    assert closes(asked, "2026-03-02T12:45:00Z") == "2026-03-02T13:00:00Z"


def test_hours_that_only_touch_never_meet() -> None:
    assert opens(at_utc("09:00-12:00", "12:00-18:00"), "2026-03-02T08:00:00Z") is None


def test_hours_of_different_days_never_meet() -> None:
    assert opens(at_utc({"mon": "09:00-18:00"}, {"tue": "09:00-18:00"}), MONDAY_NOON) is None


def test_two_pieces_of_one_window_meet_another_in_turn() -> None:
    asked = at_utc(["09:00-12:00", "14:00-18:00"], "11:00-15:00")
    assert opens(asked, "2026-03-02T08:00:00Z") == "2026-03-02T11:00:00Z"
    assert opens(asked, MONDAY_NOON) == "2026-03-02T14:00:00Z"
    assert opens(asked, "2026-03-02T15:00:00Z") == "2026-03-03T11:00:00Z"


def test_nights_meet_across_midnight() -> None:
    asked = at_utc({"fri": "20:00-02:00"}, "01:00-05:00")
    assert opens(asked, MONDAY_NOON) == "2026-03-07T01:00:00Z"
    assert closes(asked, "2026-03-07T01:00:00Z") == "2026-03-07T02:00:00Z"


def test_a_common_night_is_not_cut_at_the_end_of_the_week() -> None:
    asked = at_utc({"sun": "22:00-03:00"}, {"sun": "23:00-02:00"})
    assert opens(asked, MONDAY_NOON) == "2026-03-08T23:00:00Z"
    assert closes(asked, "2026-03-08T23:30:00Z") == "2026-03-09T02:00:00Z"
    assert opens(asked, "2026-03-09T01:00:00Z") == "2026-03-09T01:00:00Z"
    assert opens(asked, "2026-03-09T02:00:00Z") == "2026-03-15T23:00:00Z"


def test_the_same_hours_said_twice_are_the_same_hours() -> None:
    asked = at_utc("14:00-20:00", "14:00-20:00")
    assert opens(asked, MONDAY_NOON) == "2026-03-02T14:00:00Z"


def test_hours_that_never_open_keep_all_others_closed() -> None:
    never = (Window(edges=(), text="", rule="w"), place("UTC"))
    now = parse_instant(MONDAY_NOON)
    for asked in ([never], [*at_utc("00:00-24:00"), never]):
        assert opens_together(asked, now, until=now + 400 * DAY_MS) is None
        assert closes_together(asked, now, until=now + DAY_MS) == now


def test_hours_without_an_end_close_never() -> None:
    asked = at_utc("00:00-24:00", "00:00-24:00")
    assert opens(asked, MONDAY_NOON) == MONDAY_NOON
    assert closes(asked, MONDAY_NOON, days=2) == "2026-03-04T12:00:00Z"


def test_what_is_closed_is_told_by_its_place() -> None:
    asked = at_utc("09:00-18:00", "13:00-20:00", "00:00-24:00", {"tue": "00:00-24:00"})
    assert closed_of(asked, parse_instant(MONDAY_NOON)) == (1, 3)
    assert closed_of(asked, parse_instant("2026-03-03T13:00:00Z")) == ()


# In several zones.


def test_each_window_is_read_in_its_own_zone() -> None:
    """17:00 to 18:00 in Johannesburg is 10:00 to 11:00 in New York, in winter."""
    asked = hours(("09:00-18:00", "Africa/Johannesburg"), ("10:00-20:00", "America/New_York"))
    assert opens(asked, "2026-03-02T08:00:00Z") == "2026-03-02T15:00:00Z"
    assert closes(asked, "2026-03-02T15:00:00Z") == "2026-03-02T16:00:00Z"
    assert closed_of(asked, parse_instant("2026-03-02T08:00:00Z")) == (1,)


def test_a_zone_that_comes_twice_with_another_between_is_still_read_right() -> None:
    asked = hours(("09:00-18:00", "UTC"), ("09:00-20:00", "Asia/Tokyo"), ("08:00-10:00", "UTC"))
    assert opens(asked, "2026-03-02T03:00:00Z") == "2026-03-02T09:00:00Z"
    assert opens(asked, "2026-03-02T10:00:00Z") == "2026-03-03T09:00:00Z"


def test_the_same_hours_from_coast_to_coast_open_with_the_west_and_close_with_the_east() -> None:
    names = ("America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles")
    asked = hours(*(("08:00-21:00", name) for name in names))
    assert opens(asked, "2026-03-02T12:00:00Z") == "2026-03-02T16:00:00Z"
    assert closes(asked, "2026-03-02T16:00:00Z") == "2026-03-03T02:00:00Z"


def test_local_weekdays_meet_across_the_date_line() -> None:
    """Monday 00:00 to 01:00 on Kiritimati is Sunday 00:00 to 01:00 in Honolulu."""
    monday, sunday = {"mon": "00:00-24:00"}, {"sun": "00:00-01:00"}
    asked = hours((monday, "Pacific/Kiritimati"), (sunday, "Pacific/Honolulu"))
    assert opens(asked, MONDAY_NOON) == "2026-03-08T10:00:00Z"
    assert closes(asked, "2026-03-08T10:00:00Z") == "2026-03-08T11:00:00Z"


def test_hours_of_opposite_sides_of_the_earth_never_meet() -> None:
    asked = hours(("09:00-17:00", "Asia/Tokyo"), ("09:00-17:00", "America/Sao_Paulo"))
    assert opens(asked, MONDAY_NOON) is None


def test_hours_that_meet_only_after_a_change_of_clocks_open_then() -> None:
    """From 29 March 2026 on, 17:00 in Berlin is 15:00 UTC and no longer 16:00."""
    asked = hours(("17:00-18:00", "Europe/Berlin"), ("15:00-16:00", "UTC"))
    assert opens(asked, MONDAY_NOON) == "2026-03-29T15:00:00Z"
    assert opens(asked, MONDAY_NOON, days=20) is None
    assert opens(asked, "2026-10-24T16:00:00Z") == "2027-03-28T15:00:00Z"


def test_hours_that_meet_only_in_the_weeks_between_two_changes_open_there() -> None:
    """New York changes three weeks before Berlin: only then are they five hours apart."""
    asked = hours(("17:00-17:30", "Europe/Berlin"), ("12:00-12:30", "America/New_York"))
    assert opens(asked, MONDAY_NOON) == "2026-03-08T16:00:00Z"
    assert opens(asked, "2026-03-28T17:00:00Z") == "2026-10-25T16:00:00Z"


# Where clocks jump, or are set back.


def test_a_skipped_opening_time_means_the_first_instant_after_the_gap() -> None:
    asked = hours(("02:30-05:00", "America/New_York"), ("00:00-24:00", "UTC"))
    assert opens(asked, "2026-03-08T01:00:00Z") == "2026-03-08T07:00:00Z"


def test_hours_that_lie_in_a_gap_of_one_zone_open_a_day_later() -> None:
    asked = hours(("02:15-02:45", "America/New_York"), ("00:00-24:00", "UTC"))
    assert opens(asked, "2026-03-08T01:00:00Z") == "2026-03-09T06:15:00Z"


def test_a_wall_time_that_happens_twice_meets_at_its_second_time_too() -> None:
    asked = hours(("01:00-01:30", "America/New_York"), ("06:15-07:00", "UTC"))
    assert opens(asked, "2026-11-01T04:00:00Z") == "2026-11-01T06:15:00Z"
    assert closes(asked, "2026-11-01T06:15:00Z") == "2026-11-01T06:30:00Z"


@pytest.mark.parametrize(
    ("value", "utc", "now", "expected"),
    [
        # It jumps from 02:00 to 02:30, and is set back from 02:00 to 01:30.
        ("02:15-04:00", "00:00-24:00", "2026-10-03T12:00:00Z", "2026-10-03T15:30:00Z"),
        ("02:00-02:30", "00:00-24:00", "2026-10-03T12:00:00Z", "2026-10-04T15:00:00Z"),
        ("01:30-02:00", "15:10-16:00", "2026-04-04T14:00:00Z", "2026-04-04T15:10:00Z"),
        ("01:30-02:00", "15:00-16:00", "2026-04-03T12:00:00Z", "2026-04-04T15:00:00Z"),
    ],
)
def test_lord_howe_changes_by_half_an_hour(value: str, utc: str, now: str, expected: str) -> None:
    assert opens(hours((value, "Australia/Lord_Howe"), (utc, "UTC")), now) == expected


@pytest.mark.parametrize(
    ("value", "utc", "now", "expected"),
    [
        ({"fri": "09:00-10:00"}, "00:00-24:00", "2011-12-30T00:00:00Z", "2012-01-05T19:00:00Z"),
        ({"sat": "00:00-10:00"}, "09:00-12:00", "2011-12-29T12:00:00Z", "2011-12-30T10:00:00Z"),
        ({"thu": "23:00-01:00"}, "00:00-24:00", "2011-12-30T09:59:59Z", "2011-12-30T09:59:59Z"),
        ({"thu": "23:00-01:00"}, "00:00-24:00", "2011-12-30T10:00:00Z", "2012-01-05T09:00:00Z"),
    ],
)
def test_samoa_had_no_30_december_2011(value: object, utc: object, now: str, expected: str) -> None:
    assert opens(hours((value, "Pacific/Apia"), (utc, "UTC")), now) == expected


@pytest.mark.parametrize(
    ("value", "utc", "now", "expected"),
    [
        # It jumps from 01:00 to 03:00, and is set back from 03:00 to 01:00.
        ("01:30-02:30", "00:00-24:00", "2026-03-29T00:00:00Z", "2026-03-29T23:30:00Z"),
        ("02:45-04:00", "00:50-02:00", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"),
        ("01:30-02:30", "00:30-02:00", "2026-10-24T23:00:00Z", "2026-10-25T01:30:00Z"),
        ("01:30-02:30", "23:00-00:30", "2026-10-24T12:00:00Z", "2026-10-24T23:30:00Z"),
    ],
)
def test_troll_changes_by_two_hours(value: str, utc: str, now: str, expected: str) -> None:
    assert opens(hours((value, "Antarctica/Troll"), (utc, "UTC")), now) == expected


# What it rests on.


def test_offsets_of_several_zones_hold_until_the_first_of_them_changes() -> None:
    zones = (place("America/New_York"), place("Europe/Berlin"), place("Asia/Tokyo"))
    offsets_ms, until = offsets_at(zones, parse_instant(MONDAY_NOON))
    assert [offset_ms // HOUR_MS for offset_ms in offsets_ms] == [-5, 1, 9]
    assert until == parse_instant("2026-03-08T07:00:00Z")
    offsets_ms, until = offsets_at(zones, until)
    assert [offset_ms // HOUR_MS for offset_ms in offsets_ms] == [-4, 1, 9]
    assert until == parse_instant("2026-03-29T01:00:00Z")


def test_windows_of_a_minute_in_sixty_zones_are_searched_over_years() -> None:
    """The offset of each zone differs by some hours: there is no minute that suits them all."""
    names = ("America/New_York", "Europe/Berlin", "Asia/Tokyo", "Australia/Lord_Howe")
    asked = hours(*((f"09:{minute:02}-10:00", name) for minute in range(15) for name in names))
    now = parse_instant(MONDAY_NOON)
    assert opens_together(asked, now, until=now + 3_000 * DAY_MS) is None
    assert closed_of(asked, now + 21 * HOUR_MS + 5 * MINUTE_MS) != ()
