"""Schedules as cron writes them: when they are due, and what is said of those that are none."""

import pytest

from engine.instants import format_instant, parse_instant
from engine.localtime import zone
from engine.program.cron import next_due, parse_cron


def due(text: str, after: str, *, place: str = "Europe/Paris", count: int = 3) -> list[str]:
    found = zone(place)
    assert found is not None
    cron, at = parse_cron(text), parse_instant(after)
    told: list[str] = []
    for _ in range(count):
        later = next_due(cron, found, at)
        assert later is not None
        at = later
        told.append(format_instant(at))
    return told


def test_a_time_of_day_follows_the_clock_over_its_changes() -> None:
    assert due("0 9 * * *", "2026-03-27T10:00:00Z") == [
        "2026-03-28T08:00:00Z",
        "2026-03-29T07:00:00Z",
        "2026-03-30T07:00:00Z",
    ]


def test_a_time_that_is_skipped_is_due_right_after_and_no_second_time() -> None:
    assert due("0,30 2 * * *", "2026-03-28T12:00:00Z") == [
        "2026-03-29T01:00:00Z",  # 02:00 and 02:30 are both not there: once, at 03:00
        "2026-03-30T00:00:00Z",
        "2026-03-30T00:30:00Z",
    ]


def test_a_time_that_happens_twice_is_due_the_first_time() -> None:
    assert due("30 2 * * *", "2026-10-24T12:00:00Z", count=2) == [
        "2026-10-25T00:30:00Z",
        "2026-10-26T01:30:00Z",
    ]
    assert due("30 2 * * *", "2026-10-25T00:30:00Z", count=1) == ["2026-10-26T01:30:00Z"]
    assert due("*/30 2 * * *", "2026-10-25T00:59:00Z", count=1) == ["2026-10-26T01:00:00Z"]


def test_on_a_day_that_a_zone_went_without_nothing_is_due() -> None:
    assert due("0 9 * * *", "2011-12-29T12:00:00Z", place="Pacific/Apia", count=2) == [
        "2011-12-29T19:00:00Z",
        "2011-12-30T19:00:00Z",  # it is the 31st there
    ]


def test_a_day_and_a_weekday_are_alternatives_unless_one_begins_with_a_star() -> None:
    assert due("0 0 1 * mon", "2026-05-28T00:00:00Z", place="UTC") == [
        "2026-06-01T00:00:00Z",
        "2026-06-08T00:00:00Z",
        "2026-06-15T00:00:00Z",
    ]
    assert due("0 0 */2 * mon", "2026-06-02T00:00:00Z", place="UTC", count=2) == [
        "2026-06-15T00:00:00Z",
        "2026-06-29T00:00:00Z",
    ]


def test_the_29th_of_february_is_found_over_a_century_that_has_none() -> None:
    assert due("0 0 29 feb *", "2096-03-01T00:00:00Z", place="UTC", count=1) == [
        "2104-02-29T00:00:00Z"
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0 9 * * sun", "0 9 * * 7"),
        ("0 9 * * fri-sun", "0 9 * * 5,6,0"),
        ("0 9 1 JAN-MAR *", "0 9 1 1,2,3 *"),
        ("0-59/30 9 * * *", "*/30 9 * * *"),
        ("  0   9 * * * ", "0 9 * * 0-6"),
    ],
)
def test_what_is_written_in_two_ways_is_due_alike(one: str, other: str) -> None:
    after = "2026-01-01T00:00:00Z"
    assert due(one, after, count=10) == due(other, after, count=10)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "write five fields"),
        ("@daily", "write five fields"),
        ("0 9 * *", "write five fields"),
        ("0 0 9 * * *", "write five fields"),
        ("60 9 * * *", "'60' is no minute: write 0 to 59 or *"),
        ("0 24 * * *", "'24' is no hour: write 0 to 23 or *"),
        ("0 9 0 * *", "'0' is no day of the month: write 1 to 31 or *"),
        ("0 9 * 13 *", "'13' is no month: write 1 to 12, jan … or *"),
        ("0 9 * * monday", "'monday' is no weekday: write 0 to 7, sun … or *"),
        ("0 9 * * mon#1", "'mon#1' is no weekday: write 0 to 7, sun … or *"),
        ("0 9 * * sat-mon", "'sat-mon' goes backwards"),
        ("0 5/2 * * *", "write a step behind `*` or a range"),
        ("0 */0 * * *", "write a step behind `*` or a range"),
        ("0 9 ? * *", "'?' is no day of the month"),
        ("0 *-5 * * *", "'*-5' is no hour"),
        ("0 9 30 2 *", "never comes"),
        ("0 9 31 4,6 *", "never comes"),
        ("0, 9 * * *", "'' is no minute"),
        ("٣ 9 * * *", "is no minute"),
    ],
)
def test_what_is_no_schedule_is_said(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_cron(text)
    assert said in str(caught.value)
