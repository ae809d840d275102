"""What hours, days, durations and clocks mean, read anew with the standard library.

For the solver's oracle and for drawing its worlds: nothing of the engine is in here. The zones are
those of `tzdata`, the wall clock is `datetime`, the holidays are those of the `holidays` library.
"""

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from importlib import resources
from typing import Any, cast
from zoneinfo import ZoneInfo

from holidays import country_holidays
from holidays.registry import COUNTRIES

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
GROUPS = {"daily": DAYS, "weekdays": DAYS[:5], "weekend": DAYS[5:]}
UNITS = {"ms": 1, "s": 1_000, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
CODES = {code for _, code, *_ in COUNTRIES.values()}


# The clock.


@cache
def clock(zone: str) -> ZoneInfo:
    with resources.files("tzdata").joinpath("zoneinfo", *zone.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=zone)


@lru_cache(1_000)
def wall(zone: str, at: int) -> datetime:
    return datetime.fromtimestamp(at // 1_000, clock(zone))


def instant(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


def shown(zone: str, midnight: int, edges: Iterable[int]) -> Iterator[int]:
    """Give the instants near a day of UTC at which a clock shows one of these minutes.

    Also those at which it is changed: a minute that is jumped over is never shown.
    """
    first = wall(zone, midnight).date()
    changed = (*changes(zone, midnight - DAY), *changes(zone, midnight))
    yield from changed
    for day in (first + timedelta(days) for days in range(3 if changed else 2)):
        for minute in edges:
            face = datetime(day.year, day.month, day.day, minute // 60, minute % 60)  # noqa: DTZ001
            for fold in (0, 1) if changed else (0,):
                yield instant(face.replace(tzinfo=clock(zone), fold=fold))


@lru_cache(100_000)
def changes(zone: str, midnight: int) -> tuple[int, ...]:
    """Find, minute by minute, when a clock is changed within a day of UTC."""
    if wall(zone, midnight).utcoffset() == wall(zone, midnight + DAY).utcoffset():
        return ()
    minutes = range(midnight + MINUTE, midnight + DAY + MINUTE, MINUTE)
    return tuple(
        at for at in minutes if wall(zone, at).utcoffset() != wall(zone, at - MINUTE).utcoffset()
    )


def minute_of_week(zone: str, at: int) -> int:
    face = wall(zone, at)
    return face.weekday() * 1440 + face.hour * 60 + face.minute


# How things are written.


def duration(text: str) -> int:
    return sum(int(count) * UNITS[unit] for count, unit in re.findall(r"(\d+)(ms|[smhdw])", text))


@lru_cache(10_000)
def minutes_of(interval: str) -> range:
    """Read `20:00-02:00` as minutes of the day it starts, those after midnight beyond 1440."""
    start, end = (
        int(clock[:2]) * 60 + int(clock[3:]) for clock in re.findall(r"\d\d:\d\d", interval)
    )
    return range(start, end if end > start else end + 1440)


def week(written: Any) -> tuple[frozenset[int], frozenset[int]]:
    """Read hours: the minutes of the week that are in them, and the minutes of a day they meet."""
    return _week(json.dumps(written))


@lru_cache(10_000)
def _week(text: str) -> tuple[frozenset[int], frozenset[int]]:
    written: object = json.loads(text)
    chosen: dict[str, tuple[int, Any]] = {}
    daily: dict[str, Any] = {"daily": written}
    by_days = cast("dict[str, Any]", written) if isinstance(written, dict) else daily
    for key, hours in by_days.items():
        days = days_of(key)
        for day in days:
            if len(days) < chosen.get(day, (8, None))[0]:
                chosen[day] = (len(days), hours)
    inside: set[int] = set()
    edges: set[int] = set()
    for day, (_, hours) in chosen.items():
        for interval in [hours] if isinstance(hours, str) else hours:
            minutes = minutes_of(interval)
            inside.update((DAYS.index(day) * 1440 + minute) % 10_080 for minute in minutes)
            edges |= {minutes.start % 1440, minutes.stop % 1440}
    return frozenset(inside), frozenset(edges)


def days_of(key: str) -> tuple[str, ...]:
    """Read which days a key names: `sat`, `mon-fri`, `mon,wed` or a group."""
    if key in GROUPS:
        return GROUPS[key]
    first, dash, last = key.partition("-")
    if dash:
        start, stop = DAYS.index(first), DAYS.index(last)
        return tuple(DAYS[(start + step) % 7] for step in range((stop - start) % 7 + 1))
    return tuple(key.split(","))


def is_holiday(country: str, part: str, day: date) -> bool:
    return day in holidays_of(country, part, day.year)


@lru_cache(10_000)
def holidays_of(country: str, part: str, year: int) -> frozenset[date]:
    if country not in CODES:
        return frozenset()
    known = part in country_holidays(country).subdivisions
    return frozenset(country_holidays(country, subdiv=part if known else None, years=year))
