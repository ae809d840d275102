"""Schedules as cron writes them, and when they are next due on a zone's clock.

Read by `engine.program.agenda` for the trigger `schedule`. Hands on instants.

Rules
- Five fields: minute, hour, day of the month, month, weekday; numbers, names, `*`, lists, ranges
  and steps. Sunday is 0 and 7.
- Where day and weekday are both restricted either is enough, as in Vixie cron; a field that begins
  with `*` restricts nothing in this sense, so that `*/2` and `mon` must both hold.
- A time that a jump of the clock skips is due at the first instant after the jump; one that happens
  twice is due the first time. On a day that a zone skipped altogether nothing is due.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import msgspec

from engine.instants import DAY_MS, MINUTE_MS
from engine.localtime import day_date, day_instant, day_number, local_parts, stretch_at
from engine.program.faults import quote

_DAYS_AHEAD_MAX = 8 * 366 + 31  # from one 29 February to the next, over a year like 2100
_PART = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\w+))?", re.ASCII)
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = (
    *("jan", "feb", "mar", "apr", "may", "jun"),
    *("jul", "aug", "sep", "oct", "nov", "dec"),
)


class Cron(msgspec.Struct, frozen=True):
    """A schedule: at these minutes of the day, on the days that match."""

    minutes: tuple[int, ...]  # of the day, ascending
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # Monday is 0
    is_either: bool  # day and weekday are both restricted: one of them is enough

    def falls_on(self, day: date) -> bool:
        """Say whether the schedule is due on a day."""
        if day.month not in self.months:
            return False
        on_day, on_weekday = day.day in self.days, day.weekday() in self.weekdays
        return on_day or on_weekday if self.is_either else on_day and on_weekday


class _Field(msgspec.Struct, frozen=True):
    """What one field may hold."""

    name: str
    low: int
    high: int
    names: Mapping[str, int] = {}


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    _Field("weekday", 0, 7, {name: number for number, name in enumerate(_WEEKDAYS)}),
)


def parse_cron(text: str) -> Cron:
    """Read a schedule. Raises ValueError that says what was expected."""
    words = text.lower().split()
    if len(words) != len(_FIELDS):
        message = (
            f"{quote(text)} is not a schedule: write five fields: minute, hour, day of the month, "
            'month and weekday, like "0 9 * * mon"'
        )
        raise ValueError(message)
    fields = [_read_field(word, field) for word, field in zip(words, _FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = fields
    cron = Cron(
        minutes=tuple(sorted(hour * 60 + minute for hour in hours for minute in minutes)),
        days=frozenset(days),
        months=frozenset(months),
        weekdays=frozenset((number - 1) % 7 for number in weekdays),
        is_either=not words[2].startswith("*") and not words[4].startswith("*"),
    )
    if _next_day(cron, day_date(0)) is None:
        message = f"{quote(text)} never comes: write a day that the month has"
        raise ValueError(message)
    return cron


def _read_field(word: str, field: _Field) -> set[int]:
    numbers: set[int] = set()
    for part in word.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(_explain(part, field))
        numbers.update(_read_part(match, field))
    return numbers


def _read_part(match: re.Match[str], field: _Field) -> range:
    """Read one part of a list: `*`, a number or a range, perhaps with a step."""
    first, last, step = match["first"], match["last"], match["step"]
    if first == "*":
        low, high = field.low, field.high
        if last:
            raise ValueError(_explain(match[0], field))
    else:
        low = _read_number(first, field)
        high = _read_number(last, field) if last else low
        if last == "sun":
            high = 7  # a week that ends on Sunday
    if step is None:
        every = 1
    elif (first == "*" or last) and step.isdigit() and 0 < int(step) <= field.high:
        every = int(step)
    else:
        message = (
            f"{quote(match[0])} is no {field.name}: write a step behind `*` or a range, like "
            f"{field.low}-{field.high}/2"
        )
        raise ValueError(message)
    if high < low:
        message = (
            f"{quote(match[0])} goes backwards: write the smaller one first, or a list like "
            f"{field.high},{field.low}"
        )
        raise ValueError(message)
    return range(low, high + 1, every)


def _read_number(word: str, field: _Field) -> int:
    number = int(word) if word.isdigit() and len(word) <= 2 else field.names.get(word, -1)  # noqa: PLR2004 - digits of the largest
    if not field.low <= number <= field.high:
        raise ValueError(_explain(word, field))
    return number


def _explain(word: str, field: _Field) -> str:
    names = f", {next(iter(field.names))} …" if field.names else ""
    return f"{quote(word)} is no {field.name}: write {field.low} to {field.high}{names} or *"


def next_due(cron: Cron, zone: ZoneInfo, after: int) -> int | None:
    """Find the first instant after another one at which a schedule is due, or None."""
    wall = after + stretch_at(zone, after)[0]
    today, day_ms = divmod(wall, DAY_MS)
    # What the clock shows now or has passed today is behind us; in the second turn of a time that
    # happens twice, some of what is still to come on the clock is, too.
    first = bisect_right(cron.minutes, day_ms // MINUTE_MS)
    day = _next_day(cron, day_date(today))
    while day is not None:
        number = day_number(day)
        if number != today:
            first = 0
        if _exists(zone, number):
            for minute in cron.minutes[first:]:
                at = day_instant(zone, number, minute)
                if at > after:
                    return at
        day = _next_day(cron, day + timedelta(days=1))
    return None


def _exists(zone: ZoneInfo, number: int) -> bool:
    return local_parts(zone, day_instant(zone, number))[2] == number


def _next_day(cron: Cron, day: date) -> date | None:
    """Find the first day from a day on that a schedule falls on."""
    end = day + timedelta(days=_DAYS_AHEAD_MAX)
    while day <= end:
        if day.month not in cron.months:
            day = (day.replace(day=1) + timedelta(days=31)).replace(day=1)
        elif cron.falls_on(day):
            return day
        else:
            day += timedelta(days=1)
    return None
