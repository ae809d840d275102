"""Schedules by brute force: a clock is watched minute by minute, and what it comes past is due.

Nothing of the engine's calendar is used but the names of zones.
"""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings, strategies as st

from engine.instants import MINUTE_MS
from engine.localtime import zone
from engine.program.cron import next_due, parse_cron

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BEGINS = {
    "Europe/Paris": ("2026-03-28", "2026-10-24"),
    "America/New_York": ("2026-03-07", "2026-10-31"),
    "America/Sao_Paulo": ("2018-11-03", "2018-02-17"),  # changed at midnight
    "Australia/Lord_Howe": ("2026-10-03", "2026-04-04"),  # by half an hour
    "Pacific/Apia": ("2011-12-28", "2026-06-01"),  # went without 30 December
    "Asia/Kathmandu": ("2026-02-27", "2028-02-28"),
}
MINUTES = 3 * 24 * 60

fields = st.tuples(
    st.sampled_from(["0", "30", "*/20", "59", "15,45", "*"]),
    st.sampled_from(["*", "0", "1", "2", "2-3", "23", "*/6", "0,2,9"]),
    st.sampled_from(["*", "*", "29", "1-15", "*/2", "30,31"]),
    st.sampled_from(["*", "*", "mar,oct", "2-12/2"]),
    st.sampled_from(["*", "*", "sun", "mon-fri", "*/3", "7,2"]),
)
NAMES = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
MONTHS = ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


def numbers(text: str, low: int, high: int, names: list[str]) -> set[int]:
    """Read a field in another way than the engine does: number by number, is it meant?"""

    def number(word: str) -> int:
        return names.index(word) if word in names else int(word)

    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        begin = low if span == "*" else number(first)
        end = high if span == "*" else number(last or first)
        found |= {one for one in range(begin, end + 1) if (one - begin) % int(step or 1) == 0}
    return found


def falls_on(day: date, words: tuple[str, ...]) -> bool:
    weekdays = {one % 7 for one in numbers(words[4], 0, 7, NAMES)}
    on_day = day.day in numbers(words[2], 1, 31, [])
    on_weekday = day.isoweekday() % 7 in weekdays
    if words[2][0] != "*" and words[4][0] != "*":
        meant = on_day or on_weekday
    else:
        meant = on_day and on_weekday
    return meant and day.month in numbers(words[3], 1, 12, MONTHS)


def watch(words: tuple[str, ...], place: ZoneInfo, begin: str) -> list[int]:
    """Watch a clock go, and note the instants at which it comes to or past a time that is meant."""
    hours, minutes = numbers(words[1], 0, 23, []), numbers(words[0], 0, 59, [])
    start = datetime.fromisoformat(begin).replace(tzinfo=place).astimezone(UTC)
    ticks = [start + timedelta(minutes=number) for number in range(MINUTES)]
    shown = [tick.astimezone(place).replace(tzinfo=None) for tick in ticks]
    days = {one.date() for one in shown}
    reached, due = shown[0], list[int]()
    for tick, clock in zip(ticks, shown, strict=True):
        passed = False
        while reached < clock:
            reached += timedelta(minutes=1)
            meant = reached.hour in hours and reached.minute in minutes
            passed |= meant and reached.date() in days and falls_on(reached.date(), words)
        if passed:
            due.append((tick - EPOCH) // timedelta(milliseconds=1))
    return due


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    fields, st.sampled_from(sorted(BEGINS)), st.sampled_from([0, 1]), st.integers(0, MINUTES - 1)
)
def test_a_schedule_is_due_when_the_clock_comes_to_it(
    words: tuple[str, ...], name: str, which: int, minute: int
) -> None:
    place = zone(name)
    assert place is not None
    begin = BEGINS[name][which]
    cron = parse_cron(" ".join(words))
    start_at = int(datetime.fromisoformat(begin).replace(tzinfo=place).timestamp() * 1_000)
    expected = watch(words, place, begin)
    end_at = start_at + (MINUTES - 1) * MINUTE_MS
    found: list[int] = []
    at = next_due(cron, place, start_at)
    while at is not None and at <= end_at:
        found.append(at)
        at = next_due(cron, place, at)
    assert found == expected
    # From any instant between, too: that is what a timer is set from.
    between_at = start_at + minute * MINUTE_MS
    later = next((one for one in expected if one > between_at), None)
    if later is not None:
        assert next_due(cron, place, between_at) == later
