"""When something in a test happens or is to happen, as a team writes it.

Used by `engine.program.trials`. A moment is an instant, a time after the entry before, or the next
such time on the customer's clock.
"""

import re
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from engine.instants import INSTANT_MAX, INSTANT_MIN, parse_duration, parse_instant
from engine.localtime import day_instant, day_number
from engine.profile import Profile
from engine.program.scope import Scope
from engine.program.until import parse_until

Moment = Callable[[int], int]  # from the instant of the entry before

_CLOCK = re.compile(r"(?:[A-Za-z]+\s+)?\d{1,2}:\d\d")
_DAY_BEGINS = re.compile(r"\d{4}-")
_FORM = (
    'write "2026-03-02T10:00", "+2h", "10:00", "Mon 10:00" or "tomorrow 10:00"; an instant without '
    "an offset is in the customer's time"
)


def parse_moment(text: str, zone: ZoneInfo) -> Moment:
    """Read a moment on a customer's clock. Raises ValueError that says the accepted forms."""
    stripped = text.strip()
    if stripped.startswith("+"):
        return _after(stripped[1:].strip(), text)
    if _DAY_BEGINS.match(stripped):
        at = read_wall(stripped, zone)
        return lambda _before: at
    if not _CLOCK.fullmatch(stripped):
        raise _refuse(text)
    until = parse_until(stripped)

    def next_at(before: int) -> int:
        # One ms earlier, so that the moment of the entry before is a next one too.
        found = until(Scope(Profile(""), before - 1), zone)
        return before if found is None else found

    return next_at


def read_wall(text: str, zone: ZoneInfo) -> int:
    """Read an instant, or a date and a time on a zone's clock. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return parse_instant(text)
    except ValueError:
        raise _refuse(text) from None
    minutes = moment.hour * 60 + moment.minute
    at = day_instant(zone, day_number(moment.date()), minutes)
    at += moment.second * 1_000 + moment.microsecond // 1_000
    if not INSTANT_MIN <= at <= INSTANT_MAX:
        raise _refuse(text)
    return at


def _after(duration: str, text: str) -> Moment:
    try:
        duration_ms = parse_duration(duration)
    except ValueError:
        raise _refuse(text) from None
    if duration_ms > INSTANT_MAX:
        raise _refuse(text)
    return lambda before: before + duration_ms


def _refuse(text: str) -> ValueError:
    return ValueError(f"{text[:80]!r} is not a moment: {_FORM}")
