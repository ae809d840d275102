"""Windows and calendar boundaries against an oracle that asks the clock minute by minute.

The oracle shares nothing with the engine but the zone: it reads the wall clock with `datetime` and
compares it with the hours as they were drawn. Offsets since 2000 are whole minutes, so hours and
boundaries fall on whole minutes of UTC, and asking at each of them proves that nothing earlier
would have done.
"""

import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings, strategies as st

from engine import localtime
from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS, parse_instant
from engine.windows import closes_at, is_open, opens_at, parse_window

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60

ZONES = [name for name in sorted(zoneinfo.available_timezones()) if localtime.zone(name)]

# Where calendars are strange: gaps and folds at night, at midnight, of half an hour, of a whole
# day, twice within a month, and for good.
STRANGE = [
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("Europe/London", "2026-10-25T01:00:00Z"),
    ("America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ("America/Sao_Paulo", "2018-02-18T02:00:00Z"),
    ("America/St_Johns", "2010-11-07T02:31:00Z"),
    ("America/Nuuk", "2026-03-29T01:00:00Z"),
    ("America/Scoresbysund", "2025-03-30T01:00:00Z"),
    ("America/Havana", "2026-11-01T05:00:00Z"),
    ("Asia/Beirut", "2026-03-28T22:00:00Z"),
    ("Asia/Kathmandu", "2026-01-01T00:00:00Z"),
    ("Asia/Pyongyang", "2018-05-04T15:00:00Z"),
    ("Asia/Kolkata", "2026-01-01T00:00:00Z"),
    ("Africa/Cairo", "2026-04-23T22:00:00Z"),
    ("Africa/Cairo", "2026-10-29T21:00:00Z"),
    ("Africa/Casablanca", "2026-02-15T02:00:00Z"),
    ("Africa/Casablanca", "2026-03-22T02:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("Pacific/Chatham", "2026-04-04T14:00:00Z"),
    ("Pacific/Kwajalein", "1993-08-21T12:00:00Z"),
]

Hours = dict[int, list[tuple[int, int]]]
Place = tuple[ZoneInfo, int]


@st.composite
def places(draw: st.DrawFn) -> Place:
    """Draw a zone and an instant, half of the time close to a strange moment of that zone."""
    if draw(st.booleans()):
        name, text = draw(st.sampled_from(STRANGE))
        at = parse_instant(text) + draw(st.integers(-2 * DAY_MS, 2 * DAY_MS))
    else:
        name = draw(st.sampled_from(ZONES))
        span = (parse_instant("2016-01-01T00:00:00Z"), parse_instant("2035-12-31T00:00:00Z"))
        at = draw(st.integers(*span))
    if draw(st.booleans()):
        at -= at % MINUTE_MS
    zone = localtime.zone(name)
    assert zone is not None
    return zone, at


@st.composite
def hours(draw: st.DrawFn) -> Hours:
    """Draw opening hours by weekday; an end past 1440 is on the next day."""
    interval = st.tuples(
        st.integers(0, DAY_MINUTES - 1), st.sampled_from([1, 30, 60, 150, 480, 1020, 1439])
    ).map(lambda pair: (pair[0], pair[0] + pair[1]))
    days = draw(st.lists(st.integers(0, 6), min_size=1, max_size=7, unique=True))
    return {day: draw(st.lists(interval, min_size=1, max_size=2)) for day in days}


def write(drawn: Hours) -> dict[str, list[str]]:
    """Write drawn hours the way a workspace does."""

    def clock(minute: int) -> str:
        return f"{minute // 60:02}:{minute % 60:02}"

    def end(minute: int) -> str:
        return clock(minute if minute <= DAY_MINUTES else minute - DAY_MINUTES)

    return {
        DAYS[day]: [f"{clock(start)}-{end(stop)}" for start, stop in intervals]
        for day, intervals in drawn.items()
    }


def wall(zone: ZoneInfo, at: int) -> datetime:
    return datetime.fromtimestamp(at // 1_000, UTC).astimezone(zone)


def open_by_the_clock(drawn: Hours, zone: ZoneInfo, at: int) -> bool:
    shown = wall(zone, at)
    minute, weekday = shown.hour * 60 + shown.minute, shown.weekday()
    today = any(start <= minute < end for start, end in drawn.get(weekday, []))
    night = drawn.get((weekday - 1) % 7, [])
    return today or any(minute < end - DAY_MINUTES for _, end in night)


def nothing_before(now: int, found: int, holds: Callable[[int], bool]) -> bool:
    """Say whether a statement holds nowhere in `[now, found)`, asking at every whole minute."""
    first = now + -now % MINUTE_MS
    asked = (now, *range(first, found, MINUTE_MS))
    return now == found or not any(holds(at) for at in asked)


@given(places(), hours())
@settings(max_examples=300, deadline=None)
def test_a_window_opens_at_the_first_instant_the_clock_shows_it_open(
    place: Place, drawn: Hours
) -> None:
    zone, now = place
    window = parse_window(write(drawn), "w")
    found = opens_at(window, zone, now)
    assert found is not None
    assert open_by_the_clock(drawn, zone, found)
    assert nothing_before(now, found, lambda at: open_by_the_clock(drawn, zone, at))
    assert is_open(window, zone, now) == (found == now)


@given(places(), hours())
@settings(max_examples=150, deadline=None)
def test_a_window_closes_at_the_first_instant_the_clock_shows_it_closed(
    place: Place, drawn: Hours
) -> None:
    zone, now = place
    found = closes_at(parse_window(write(drawn), "w"), zone, now)
    assume(found is not None)
    assert found is not None
    assert not open_by_the_clock(drawn, zone, found)
    assert nothing_before(now, found, lambda at: not open_by_the_clock(drawn, zone, at))


@given(places())
@settings(max_examples=150, deadline=None)
def test_a_day_begins_at_the_first_instant_that_shows_its_date(place: Place) -> None:
    zone, now = place
    today = wall(zone, now).date()
    found = localtime.day_start(zone, now)
    assert found <= now
    assert wall(zone, found).date() == today
    assert nothing_before(found - 26 * HOUR_MS, found, lambda at: wall(zone, at).date() >= today)


@given(places())
@settings(max_examples=150, deadline=None)
def test_the_next_day_begins_at_the_first_later_date_after_now(place: Place) -> None:
    zone, now = place
    today = wall(zone, now).date()
    found = localtime.next_day_start(zone, now)
    assert found > now
    assert wall(zone, found).date() > today
    assert nothing_before(now, found, lambda at: wall(zone, at).date() > today)


@given(places(), st.integers(0, DAY_MINUTES - 1), st.sampled_from([None, *range(7)]))
@settings(max_examples=150, deadline=None)
def test_the_next_wall_time_is_never_passed_over(
    place: Place, minute: int, weekday: int | None
) -> None:
    """Between now and the answer the clock shows it only as the second half of a fold."""
    zone, now = place
    found = localtime.next_wall(zone, weekday, minute, now)
    assert found > now

    def first_time_shown(at: int) -> bool:
        shown = wall(zone, at)
        if (shown.hour * 60 + shown.minute, at % MINUTE_MS, shown.fold) != (minute, 0, 0):
            return False
        return weekday in (None, shown.weekday())

    assert nothing_before(now + 1, found, first_time_shown)


@pytest.mark.parametrize(("name", "text"), STRANGE)
def test_parts_are_what_the_clock_shows_around_a_strange_moment(name: str, text: str) -> None:
    zone = localtime.zone(name)
    assert zone is not None
    middle = parse_instant(text)
    for at in range(middle - 30 * HOUR_MS, middle + 30 * HOUR_MS, 7 * MINUTE_MS + 1):
        shown = wall(zone, at)
        day_ms = ((shown.hour * 60 + shown.minute) * 60 + shown.second) * 1_000 + at % 1_000
        day = localtime.day_number(shown.date())
        assert localtime.local_parts(zone, at) == (shown.weekday(), day_ms, day)
