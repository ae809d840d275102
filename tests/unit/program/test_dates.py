"""Reading dates from customers' data, and writing them by a pattern."""

from datetime import UTC, date, datetime

import pytest

from engine.localtime import zone
from engine.program.dates import format_moment, read_epoch, read_iso, read_moment

MOMENT = datetime(2026, 3, 2, 5, 7, 9, 45_678, tzinfo=UTC)  # a Monday
EVENING = datetime(2026, 12, 31, 21, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("%Y-%m-%d %H:%M:%S", "2026-03-02 05:07:09"),
        ("%A %a %B %b %h", "Monday Mon March Mar Mar"),
        ("%-d/%-m %e|%_m|%0e", "2/3  2| 3|02"),
        ("%I %l %-I %p %P", "05  5 5 AM am"),
        ("%j %U %W %V %G %g %u %w", "061 09 09 10 2026 26 1 1"),
        ("%y %C %L %N", "26 20 045 045678000"),
        ("%s", "1772428029"),
        ("%z %:z %Z", "+0000 +00:00 UTC"),
        ("%D %F %R %T %X %x", "03/02/26 2026-03-02 05:07 05:07:09 05:07:09 03/02/26"),
        ("%c", "Mon Mar  2 05:07:09 2026"),
        ("%r %v", "05:07:09 AM  2-MAR-2026"),
        ("%+", "Mon Mar  2 05:07:09 UTC 2026"),
        ("%^a %#B %#p", "MON MARCH am"),
        ("%10B|%4d|%-H", "     March|0002|5"),
        ("100%% %n%t", "100% \n\t"),
        ("%Q %", "%Q %"),
        ("no directive", "no directive"),
        ("", ""),
    ],
)
def test_a_pattern_is_written_as_ruby_does(pattern: str, expected: str) -> None:
    assert format_moment(MOMENT, pattern) == expected


def test_the_hours_after_noon() -> None:
    assert format_moment(EVENING, "%I:%M %p, %k, week %V of %G") == "09:00 PM, 21, week 53 of 2026"


@pytest.mark.parametrize("day", range(1, 32))
@pytest.mark.parametrize("month", [1, 12])
def test_weeks_are_counted_as_the_library_does(month: int, day: int) -> None:
    for year in (2023, 2024, 2026, 2028):
        moment = datetime(year, month, day, 12, tzinfo=UTC)
        assert format_moment(moment, "%U %W %G %V %j %u %w") == moment.strftime(
            "%U %W %G %V %j %u %w"
        )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-02", date(2026, 3, 2)),
        ("20260302", date(2026, 3, 2)),
        ("2026-03-02T05:07:09", datetime(2026, 3, 2, 5, 7, 9, tzinfo=UTC)),
        ("2026-03-02T07:07:09+02:00", datetime(2026, 3, 2, 5, 7, 9, tzinfo=UTC)),
        ("", None),
        ("soon", None),
        ("2026-02-30", None),
        ("1899-12-31", None),
        ("2100-01-01", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("2012120112345", None),  # epoch ms, which would do for 23:45 on 1 December 2012
    ],
)
def test_a_text_is_a_date_an_instant_or_neither(text: str, expected: date | None) -> None:
    assert read_iso(text) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, 0),
        (1_780_304_400, 1_780_304_400_000),
        (1_780_304_400_123, 1_780_304_400_123),
        (1_780_304_400.5, 1_780_304_400_500),
        (-86_400, -86_400_000),
        (10**400, None),
        (5e14, None),
        (float("nan"), None),
        (float("-inf"), None),
    ],
)
def test_a_number_is_seconds_or_ms(number: float, expected: int | None) -> None:
    assert read_epoch(number) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-02", "2026-03-02 00:00"),
        ("2026-03-02T23:30:00Z", "2026-03-03 01:30"),
        ("2026-03-02T23:30:00", "2026-03-03 01:30"),
        (" now ", "2026-03-02 07:07"),
        (1_772_494_200, "2026-03-03 01:30"),
        ("1772494200", "2026-03-03 01:30"),
        ("1772494200000", "2026-03-03 01:30"),
    ],
)
def test_a_moment_is_shown_on_the_clock_of_a_zone(value: object, expected: str) -> None:
    moment = read_moment(value, zone("Africa/Johannesburg"), MOMENT)
    assert moment is not None
    assert format_moment(moment, "%F %R") == expected


def test_without_a_zone_a_moment_keeps_its_own_offset() -> None:
    moment = read_moment("2026-03-02T23:30:00+05:30", None, None)
    assert moment is not None
    assert format_moment(moment, "%R %z") == "23:30 +0530"


@pytest.mark.parametrize("value", [None, True, [], {}, "soon", "9" * 5_000, "\u0661\u0662", 1e300])
def test_what_is_no_date_is_no_moment(value: object) -> None:
    assert read_moment(value, None, MOMENT) is None


def test_without_a_present_now_is_no_moment() -> None:
    assert read_moment("now", None, None) is None
