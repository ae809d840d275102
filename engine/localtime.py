"""Calendar arithmetic in a customer's own time zone, exact to the millisecond.

Called by `engine.windows`, by the gates (calendar caps) and by journeys that wait for a wall-clock
moment. Hands on instants.

Rules
- Zones come from the pinned `tzdata` package, never from the machine: the same program decides the
  same on every machine, and `TZDATA_VERSION` is part of what a decision depends on.
- Within a stretch of constant UTC offset the local clock runs evenly. All functions walk from
  stretch to stretch and do plain integer arithmetic inside one; no minute is ever probed.
- A local day, week or month begins at the first instant whose local date lies in it (or, where
  the whole date was skipped, after it). Where clocks jump over midnight that is 01:00.
- A wall time that a jump skips means the first instant after the jump. A wall time that happens
  twice means the first of the two.
"""

import re
from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

import tzdata

from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

TZDATA_VERSION: str = tzdata.IANA_VERSION

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = _EPOCH.toordinal()
_EPOCH_WEEKDAY = _EPOCH.weekday()

# Offsets are kept by era, a power of two of about 398 days, so that the first use of a zone costs
# 0.3 ms rather than the 60 ms of two centuries. Probes are three days apart: since 1900 no zone
# came back to an offset within six days of leaving it (a test holds that against tzdata's files).
_ERA_BITS = 35
_ERAS_MAX = 4_096
_PROBE_S = 3 * 86_400

# No offset has ever been further from UTC than 16 hours, so this long before a wall time in UTC
# it was not yet reached anywhere.
_OFFSET_MS_MAX = 26 * HOUR_MS

_PLACE = re.compile(r"[A-Z][A-Za-z_]+(?:/[A-Za-z0-9_+-]+){1,2}")
_UTC_NAMES = ("UTC", "Etc/UTC")


def zone(name: object) -> ZoneInfo | None:
    """Find a time zone by its IANA name (`Area/Location` or `UTC`), or None; never raises.

    Names are case-sensitive. Fixed offsets (`GMT+0000`, `Etc/GMT+5`, `EST`) are not zones: they are
    wrong for half of the year, and a wrong zone is worse than the workspace's default.
    """
    if not isinstance(name, str) or name not in _zone_names():
        return None
    return _load_zone(name)


@cache
def _zone_names() -> frozenset[str]:
    lines = resources.files(tzdata).joinpath("zones").read_text("ascii").split()
    places = (name for name in lines if _PLACE.fullmatch(name) and not name.startswith("Etc/"))
    return frozenset((*places, *_UTC_NAMES))


@cache
def _load_zone(name: str) -> ZoneInfo:
    path = resources.files(tzdata).joinpath("zoneinfo", *name.split("/"))
    with path.open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def stretch_at(zone: ZoneInfo, at: int) -> tuple[int, int]:
    """Tell the UTC offset at an instant, in ms, and an instant up to which it stays the same.

    The offset may well go on after that instant: ask again there.
    """
    starts, offsets_ms = _load_era(zone, at >> _ERA_BITS)
    index = bisect_right(starts, at)
    return offsets_ms[index - 1], starts[index]


@lru_cache(_ERAS_MAX)
def _load_era(zone: ZoneInfo, era: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Find an era's stretches: their starts, closed by the era's end, and their offsets."""
    begin_at, end_at = era << _ERA_BITS, (era + 1) << _ERA_BITS
    low_s, last_s = begin_at // SECOND_MS, (end_at - 1) // SECOND_MS
    low_ms = _offset_ms(zone, low_s)
    starts, offsets_ms = [begin_at], [low_ms]
    while low_s < last_s:
        high_s = min(low_s + _PROBE_S, last_s)
        high_ms = _offset_ms(zone, high_s)
        if high_ms != low_ms:
            high_s = _find_change_s(zone, low_s, high_s)
            high_ms = _offset_ms(zone, high_s)
            starts.append(high_s * SECOND_MS)
            offsets_ms.append(high_ms)
        low_s, low_ms = high_s, high_ms
    return (*starts, end_at), tuple(offsets_ms)


def offsets_at(zones: tuple[ZoneInfo, ...], at: int) -> tuple[tuple[int, ...], int]:
    """Tell the UTC offset of each zone, in ms, and an instant up to which all stay the same.

    Some may well go on after that instant: ask again there.
    """
    starts, offsets_ms = _load_eras(zones, at >> _ERA_BITS)
    index = bisect_right(starts, at)
    return offsets_ms[index - 1], starts[index]


@lru_cache(_ERAS_MAX)
def _load_eras(
    zones: tuple[ZoneInfo, ...], era: int
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """Find the stretches in which no zone's offset changes: starts, the era's end, and offsets."""
    at, end_at = era << _ERA_BITS, (era + 1) << _ERA_BITS
    starts: list[int] = []
    offsets_ms: list[tuple[int, ...]] = []
    while at < end_at:
        stretches = [stretch_at(zone, at) for zone in zones]
        starts.append(at)
        offsets_ms.append(tuple([offset_ms for offset_ms, _ in stretches]))
        at = min(until for _, until in stretches)
    return (*starts, end_at), tuple(offsets_ms)


def _find_change_s(zone: ZoneInfo, low_s: int, high_s: int) -> int:
    """Find the first second after `low_s` with another offset than there."""
    low_ms = _offset_ms(zone, low_s)
    while high_s - low_s > 1:
        middle_s = (low_s + high_s) // 2
        if _offset_ms(zone, middle_s) == low_ms:
            low_s = middle_s
        else:
            high_s = middle_s
    return high_s


def _offset_ms(zone: ZoneInfo, at_s: int) -> int:
    offset = datetime.fromtimestamp(at_s, zone).utcoffset()
    assert offset is not None
    return offset.days * DAY_MS + offset.seconds * SECOND_MS


def local_parts(zone: ZoneInfo, at: int) -> tuple[int, int, int]:
    """Read the local clock: weekday (Monday is 0), ms of the day, and days since 1970-01-01."""
    day, day_ms = divmod(at + stretch_at(zone, at)[0], DAY_MS)
    return (day + _EPOCH_WEEKDAY) % 7, day_ms, day


def day_start(zone: ZoneInfo, at: int) -> int:
    """Tell when the local day of an instant began."""
    return day_instant(zone, local_parts(zone, at)[2])


def next_day_start(zone: ZoneInfo, at: int) -> int:
    """Tell when the local date is next a later one than at an instant."""
    return _reach(zone, (local_parts(zone, at)[2] + 1) * DAY_MS, at)


def week_start(zone: ZoneInfo, at: int) -> int:
    """Tell when the local week of an instant, from Monday, began."""
    weekday, _, day = local_parts(zone, at)
    return day_instant(zone, day - weekday)


def next_week_start(zone: ZoneInfo, at: int) -> int:
    """Tell when the next local week begins, on Monday."""
    weekday, _, day = local_parts(zone, at)
    return _reach(zone, (day - weekday + 7) * DAY_MS, at)


def month_start(zone: ZoneInfo, at: int) -> int:
    """Tell when the local month of an instant began."""
    today = day_date(local_parts(zone, at)[2])
    return day_instant(zone, day_number(today.replace(day=1)))


def next_month_start(zone: ZoneInfo, at: int) -> int:
    """Tell when the next local month begins."""
    today = day_date(local_parts(zone, at)[2])
    month = today.replace(day=1) + timedelta(days=31)
    return _reach(zone, day_number(month.replace(day=1)) * DAY_MS, at)


def day_number(day: date) -> int:
    """Count the days from 1970-01-01 to a date."""
    return day.toordinal() - _EPOCH_ORDINAL


def day_date(day: int) -> date:
    """Give the date that is so many days from 1970-01-01."""
    return date.fromordinal(day + _EPOCH_ORDINAL)


def day_instant(zone: ZoneInfo, day: int, minute: int = 0) -> int:
    """Tell when the local clock first reaches a minute of a day (counted from 1970-01-01)."""
    return wall_instant(zone, day * DAY_MS + minute * MINUTE_MS)


def wall_instant(zone: ZoneInfo, wall: int) -> int:
    """Tell when the local clock first reaches a wall time, in ms since its own 1970-01-01."""
    return _reach(zone, wall, wall - _OFFSET_MS_MAX)


def furthest_wall(zone: ZoneInfo, at: int) -> int:
    """Tell the latest wall time that the local clock has shown up to an instant.

    It is what the clock shows, but where it was set back a short time ago.
    """
    begin_at, wall = at - _OFFSET_MS_MAX, 0
    while begin_at <= at:
        offset_ms, until = stretch_at(zone, begin_at)
        wall = max(wall, min(until - 1, at) + offset_ms)
        begin_at = until
    return wall


def next_wall(zone: ZoneInfo, weekday: int | None, minute: int, now: int) -> int:
    """Tell when, after `now`, the local clock next shows a minute of a weekday (or of any day).

    Days that a zone skipped altogether (Apia's 30 December 2011) have no wall times at all.
    """
    today_weekday, _, today = local_parts(zone, now)
    # Yesterday is a candidate where a fold has set the date back past midnight.
    day = today - 1 if weekday is None else today - 7 + (weekday - today_weekday) % 7
    while True:
        at = day_instant(zone, day, minute)
        if at > now and local_parts(zone, day_instant(zone, day))[2] == day:
            return at
        day += 1 if weekday is None else 7


def _reach(zone: ZoneInfo, wall: int, since: int) -> int:
    """Find the first instant from `since` on at which the local clock is at or past `wall`."""
    at = since
    while True:
        offset_ms, until = stretch_at(zone, at)
        if at + offset_ms >= wall:
            return at
        if wall - offset_ms < until:
            return wall - offset_ms
        at = until
