"""Hours that are to be open together, against an oracle that asks every clock in turn.

The oracle shares nothing with the engine: its zones are the standard library's over the files of
`tzdata`, its wall clock is `datetime`, and its hours are those that were drawn. Near by it asks at
every minute of UTC, where all hours and changes since 2020 fall. Far away it asks whenever a clock
shows the time at which some hours begin or end, and around each change of an offset: nothing opens
or closes at any other time.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from functools import cache
from importlib import resources
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from engine import localtime
from engine.hours import Hours, closed_of, closes_together, opens_together
from engine.windows import Window, parse_window

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 24 * 60
MINUTE_MS = 60_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2035, 12, 31, tzinfo=UTC)

NAMES = resources.files("tzdata").joinpath("zones").read_text("ascii").split()
KNOWN = [name for name in NAMES if localtime.zone(name)]
NEIGHBOURS = [
    "America/New_York", "America/Indiana/Knox", "America/Chicago", "America/Denver",
    "America/Phoenix", "America/Los_Angeles", "America/Anchorage", "America/Adak",
    "Pacific/Honolulu",
]  # fmt: skip
STRANGE = [
    "Africa/Cairo", "Africa/Casablanca", "Africa/Juba", "America/Havana", "America/Nuuk",
    "America/Scoresbysund", "America/St_Johns", "Antarctica/Casey", "Antarctica/Troll",
    "Asia/Amman", "Asia/Beirut", "Asia/Gaza", "Asia/Kathmandu", "Australia/Lord_Howe",
    "Europe/Dublin", "Pacific/Apia", "Pacific/Chatham", "Pacific/Kiritimati",
]  # fmt: skip

few = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

Drawn = dict[int, list[tuple[int, int]]]  # by weekday, in minutes; beyond 1440 is the next day


class Case(NamedTuple):
    """Hours by the name of their zone, and the time in which they are asked for."""

    hours: list[tuple[Drawn, str]]
    now: int
    until: int


@st.composite
def drawn_hours(draw: st.DrawFn, lengths: tuple[int, ...]) -> Drawn:
    """Draw opening hours that often begin in the small hours, where clocks are changed."""
    small, half, any_time = range(0, 240, 30), range(0, DAY, 30), range(DAY)
    starts = draw(st.sampled_from([small, half, any_time]))
    interval = st.tuples(st.sampled_from(starts), st.sampled_from(lengths)).map(
        lambda pair: (pair[0], sum(pair))
    )
    if draw(st.booleans()):
        return dict.fromkeys(range(7), draw(st.lists(interval, min_size=1, max_size=2)))
    days = draw(st.lists(st.sampled_from(range(7)), min_size=2, max_size=7, unique=True))
    return {day: draw(st.lists(interval, min_size=1, max_size=2)) for day in days}


@st.composite
def cases(draw: st.DrawFn, lengths: tuple[int, ...], days: tuple[int, ...]) -> Case:
    """Draw up to five hours in one zone, in neighbouring ones, or anywhere; often at a change.

    Counts are sampled and not drawn as numbers, because of those Hypothesis prefers small ones.
    """
    pool = draw(st.sampled_from([KNOWN, STRANGE, NEIGHBOURS]))
    names = [draw(st.sampled_from(pool)) for _ in range(draw(st.sampled_from([1, 2, 2, 3])))]
    count = draw(st.sampled_from([1, 2, 2, 3, 5]))
    hours = [(draw(drawn_hours(lengths)), names[index % len(names)]) for index in range(count)]
    turns = changes(names[0], FIRST, LAST)
    at_a_change = draw(st.booleans())
    if turns and at_a_change:
        begin = draw(st.sampled_from(turns)) + timedelta(minutes=draw(st.integers(-3_000, 300)))
    else:
        begin = FIRST + timedelta(minutes=draw(st.sampled_from(range(15 * 365 * DAY))))
    now = instant(begin) + draw(st.sampled_from([0, 0, 1, 30_000, 59_999]))
    length_ms = draw(st.sampled_from(days)) * DAY * MINUTE_MS
    return Case(hours=hours, now=now, until=now + length_ms + draw(st.integers(-MINUTE_MS, 1)))


def instant(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


def moment(at: int) -> datetime:
    return EPOCH + timedelta(milliseconds=at)


@cache
def clock(name: str) -> ZoneInfo:
    """A zone as the standard library reads it from tzdata's file."""
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


@cache
def changes(name: str, first: datetime, last: datetime) -> list[datetime]:
    """Find where a zone's offset changes, asking every six hours, then every minute of those."""
    found: list[datetime] = []
    zone, part, minute = clock(name), timedelta(hours=6), timedelta(minutes=1)
    at, offset = first, first.astimezone(zone).utcoffset()
    while at < last:
        if (at + part).astimezone(zone).utcoffset() != offset:
            while at.astimezone(zone).utcoffset() == offset:
                at += minute
            found.append(at)
            offset = at.astimezone(zone).utcoffset()
        else:
            at += part
    return found


def shown_open(drawn: Drawn, name: str, at: int) -> bool:
    """Read the clock on the wall."""
    wall = datetime.fromtimestamp(at // 1_000, clock(name))
    minute, weekday = wall.hour * 60 + wall.minute, wall.weekday()
    if any(start <= minute < end for start, end in drawn.get(weekday, [])):
        return True
    return any(minute < end - DAY for _, end in drawn.get((weekday - 1) % 7, []))


def all_shown_open(case: Case, at: int) -> bool:
    return all(shown_open(drawn, name, at) for drawn, name in case.hours)


def every_minute(case: Case, end: int) -> Iterator[int]:
    """`now`, and each minute of UTC before an instant."""
    if case.now < end:
        yield case.now
        yield from range(case.now + -case.now % MINUTE_MS, end, MINUTE_MS)


def every_turn(case: Case, end: int) -> Iterator[int]:
    """`now`, and each instant before another at which some clock shows a beginning or an end."""
    if case.now < end:
        yield case.now
    for drawn, name in case.hours:
        minutes = {minute % DAY for pairs in drawn.values() for pair in pairs for minute in pair}
        for at in (*shown_at(name, {0, *minutes}, case.now, end), *around_changes(name)):
            if case.now <= at < end:
                yield at


def shown_at(name: str, minutes: set[int], now: int, end: int) -> Iterator[int]:
    """Tell when a clock shows given times of day, both times where it does twice."""
    day, last = moment(now).date() - timedelta(days=2), moment(end).date() + timedelta(days=2)
    while day <= last:
        for minute in minutes:
            for fold in (0, 1):
                wall = time(minute // 60, minute % 60, tzinfo=clock(name), fold=fold)
                yield instant(datetime.combine(day, wall).astimezone(UTC))
        day += timedelta(days=1)


def around_changes(name: str) -> Iterator[int]:
    for change in changes(name, FIRST, LAST + timedelta(days=500)):
        yield from (instant(change) + step * MINUTE_MS for step in range(-2, 3))


def written(case: Case) -> Hours:
    """Write drawn hours the way a workspace does."""

    def shown(minute: int) -> str:
        return f"{minute // 60:02}:{minute % 60:02}"

    def end(minute: int) -> str:
        return shown(minute if minute <= DAY else minute - DAY)

    hours: list[tuple[Window, ZoneInfo]] = []
    for drawn, name in case.hours:
        value = {
            DAYS[day]: [f"{shown(begin)}-{end(finish)}" for begin, finish in pairs]
            for day, pairs in drawn.items()
        }
        zone = localtime.zone(name)
        assert zone is not None
        hours.append((parse_window(value, "w"), zone))
    return hours


def holds_opening(case: Case, asked: Callable[[Case, int], Iterator[int]]) -> None:
    hours = written(case)
    found = opens_together(hours, case.now, until=case.until)
    end = case.until if found is None else found
    assert not any(all_shown_open(case, at) for at in asked(case, end))
    if found is not None:
        assert case.now <= found < case.until
        assert all_shown_open(case, found)
        assert opens_together(hours, case.now, until=found) is None
        assert opens_together(hours, case.now, until=found + 1) == found


def holds_closing(case: Case) -> None:
    hours = written(case)
    found = closes_together(hours, case.now, until=case.until)
    assert case.now <= found <= case.until
    assert found == case.until or not all_shown_open(case, found)
    assert all(all_shown_open(case, at) for at in every_minute(case, found))
    shut = [index for index, one in enumerate(case.hours) if not shown_open(*one, found)]
    assert closed_of(hours, found) == tuple(shut)


near = cases((30, 150, 480, 720, 1020, 1439), (1, 3, 5))
far = cases((1, 20, 45, 60, 150), (30, 100, 250, 400))
wide = cases((480, 1020, 1380, 1439), (1, 3))


@given(near)
@settings(few, max_examples=450)
def test_hours_open_together_at_the_first_minute_that_every_clock_shows_open(case: Case) -> None:
    holds_opening(case, every_minute)


@given(far)
@settings(few, max_examples=75)
def test_hours_that_seldom_or_never_meet_are_searched_to_the_end(case: Case) -> None:
    holds_opening(case, every_turn)


@given(wide)
@settings(few, max_examples=300)
def test_hours_close_together_at_the_first_minute_some_clock_shows_closed(case: Case) -> None:
    holds_closing(case)


@pytest.mark.long
@given(near)
@settings(few, max_examples=9_000)
def test_hours_open_together_at_the_first_minute_often_enough(case: Case) -> None:
    holds_opening(case, every_minute)


@pytest.mark.long
@given(far)
@settings(few, max_examples=1_500)
def test_hours_that_seldom_or_never_meet_often_enough(case: Case) -> None:
    holds_opening(case, every_turn)


@pytest.mark.long
@given(wide)
@settings(few, max_examples=6_000)
def test_hours_close_together_often_enough(case: Case) -> None:
    holds_closing(case)
