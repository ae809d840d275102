"""What starts journeys by the calendar: schedules, and dates of the profile.

Compiled by `engine.program.entry` for the triggers `schedule` and `date`, asked by
`engine.journeys.agenda`. Hands on instants.

Rules
- An occurrence on the customer's clock is one of that clock: who moves to another zone does not
  come by it twice. `Mark` says up to where either clock was looked at.
- A date that comes every year is the day and the time of day of the first one, from that one on; 29
  February is the 28th in other years. What is added to it is added each year.
"""

from calendar import isleap
from collections.abc import Callable
from datetime import date
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from engine.instants import DAY_MS
from engine.localtime import day_date, day_number, local_parts, wall_instant
from engine.program.cron import Cron, next_due
from engine.program.scope import Scope
from engine.program.until import Dated, apply_shift

_FEBRUARY, _LEAP_DAY = 2, 29
_YEAR_LAST = 2099


class Mark(NamedTuple):
    """Up to which instant was looked for occurrences.

    `local_at` is the same for those on the customer's clock. It lies ahead of the present where the
    customer went to a zone whose clocks are behind: what comes until then was there before.
    """

    at: int
    local_at: int


Occurs = Callable[[Scope, ZoneInfo, Mark], int | None]


class Plan(msgspec.Struct, frozen=True):
    """A trigger by the calendar: `occurs` gives its first occurrence after a mark, or None.

    It is for who is in `segment`, where one is named; `trait` is what its date is read from, `text`
    what people read.
    """

    occurs: Occurs
    event_name: str
    segment: str = ""
    trait: str = ""
    text: str = ""


def plan_schedule(cron: Cron, zone: ZoneInfo | None, segment: str, text: str) -> Plan:
    """Plan a schedule, on the clock of a zone or, with None, on the customer's."""

    def occurs(_scope: Scope, customer_zone: ZoneInfo, mark: Mark) -> int | None:
        if zone is not None:
            return next_due(cron, zone, mark.at)
        return next_due(cron, customer_zone, mark.local_at)

    shown = f"on schedule {text}" + (f" for {segment}" if segment else "")
    return Plan(occurs, "Schedule Reached", segment, text=shown)


def plan_date(dated: Dated, text: str, *, yearly: bool) -> Plan:
    """Plan a date of the profile, once or every year."""
    occurs = _yearly(dated) if yearly else _once(dated)
    shown = f"on {text}" + (" every year" if yearly else "")
    return Plan(occurs, "Date Reached", trait=dated.trait, text=shown)


def _once(dated: Dated) -> Occurs:
    def occurs(scope: Scope, zone: ZoneInfo, mark: Mark) -> int | None:
        value = dated.read(scope)
        at = None if value is None else apply_shift(value, dated.shift, zone)
        if at is None:
            return None
        is_local = dated.shift.minute is not None or not isinstance(value, int)
        return at if at > (mark.local_at if is_local else mark.at) else None

    return occurs


def _yearly(dated: Dated) -> Occurs:
    def occurs(scope: Scope, zone: ZoneInfo, mark: Mark) -> int | None:
        value = dated.read(scope)
        if value is None:
            return None
        first, day_ms = _on_calendar(value, zone)
        # The year before is looked at, too: what is added may take an occurrence into the next.
        guess = day_date(local_parts(zone, mark.local_at - dated.shift.elapsed_ms)[2]).year - 1
        begin = max(first.year, guess)
        for year in range(begin, min(begin + 4, _YEAR_LAST) + 1):
            day = _in_year(first, year)
            same = day if day_ms is None else wall_instant(zone, day_number(day) * DAY_MS + day_ms)
            at = apply_shift(same, dated.shift, zone)
            if at is not None and at > mark.local_at:
                return at
        return None

    return occurs


def _on_calendar(value: int | date, zone: ZoneInfo) -> tuple[date, int | None]:
    """Give the day of a date or an instant, and the time of that day, which a date has not."""
    if not isinstance(value, int):
        return value, None
    _, day_ms, number = local_parts(zone, value)
    return day_date(number), day_ms


def _in_year(day: date, year: int) -> date:
    if day.month == _FEBRUARY and day.day == _LEAP_DAY and not isleap(year):
        return date(year, _FEBRUARY, _LEAP_DAY - 1)
    return day.replace(year=year)
