"""When a journey that waits `until` a moment goes on.

Parsed once by `engine.program.compile`; the result is called by journeys with the scope and the
customer's zone. Hands on an instant, which may lie in the past, or None where there is none.

Rules
- `09:00` and `Mon 09:00` are the next such moment on the customer's clock; `tomorrow 09:00` is on
  the next local date.
- A trait may hold an ISO instant, an ISO date (local midnight begins it) or epoch seconds or ms.
- Hours and minutes added to it are elapsed time. Whole days and weeks are calendar days where the
  value is a date or a time of day follows (`at 09:00`), because "a week before, at nine" means
  nine on the clock whether or not clocks were changed in between; elsewhere they are elapsed time.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec

from engine.instants import (
    DAY_MS,
    INSTANT_MAX,
    INSTANT_MIN,
    parse_duration,
)
from engine.localtime import day_instant, day_number, local_parts, next_wall
from engine.program.dates import read_epoch, read_iso, to_instant
from engine.program.faults import quote
from engine.program.scope import Scope

Until = Callable[[Scope, ZoneInfo], int | None]

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONG_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAY_NUMBERS = {
    name: day for names in (_WEEKDAYS, _LONG_WEEKDAYS) for day, name in enumerate(names)
}
_CLOCK = re.compile(r"(?:([A-Za-z]+)\s+)?(\d{1,2}):(\d\d)")
_VALUE = re.compile(
    r"(?P<base>[^\s]+)"
    r"(?:\s+(?P<sign>[+-])\s*(?P<duration>\w[\w.]*))?"
    r"(?:\s+at\s+(?P<hours>\d{1,2}):(?P<minutes>\d\d))?"
)
_PATH = re.compile(r"(?:profile|event|context)(?:\.[A-Za-z_]\w*)+")
_FORMS = (
    'write "09:00", "Mon 09:00", "tomorrow 09:00", an instant like "2026-03-01T09:00:00Z", or '
    '"profile.renewal_date", with "- 7d" or "+ 2h" and "at 09:00" after it as needed'
)


class Shift(msgspec.Struct, frozen=True):
    """What is done to a value: time added, and a time of day set."""

    elapsed_ms: int = 0
    minute: int | None = None


class Dated(msgspec.Struct, frozen=True):
    """A moment relative to what a trait of the profile holds; `trait` is its name."""

    trait: str
    read: Callable[[Scope], int | date | None]
    shift: Shift


def parse_until(text: str) -> Until:
    """Read what a `wait: {until: …}` waits for. Raises ValueError that says the accepted forms."""
    stripped = text.strip()
    clock = _CLOCK.fullmatch(stripped)
    if clock is not None:
        return _parse_clock(clock, text)
    match = _VALUE.fullmatch(stripped)
    if match is None:
        raise ValueError(_explain(text))
    shift = _parse_shift(match, text)
    base = match["base"]
    if _PATH.fullmatch(base):
        root, *path = base.split(".")
        return _compile_path(root, tuple(path), shift)
    constant = _read_value(base)
    if constant is None:
        raise ValueError(_explain(text))
    return lambda _scope, zone: apply_shift(constant, shift, zone)


def parse_dated(text: str) -> Dated:
    """Read a moment relative to a date of the profile. Raises ValueError that says the form."""
    match = _VALUE.fullmatch(text.strip())
    root, *path = match["base"].split(".") if match is not None else [""]
    if match is None or root != "profile" or not _PATH.fullmatch(match["base"]):
        message = (
            f"{quote(text)} is not a date of the profile: write "
            '"profile.renewal_date", with "- 7d" or "+ 2h" and "at 09:00" after it as needed'
        )
        raise ValueError(message)
    return Dated(path[0], _compile_read(root, tuple(path)), _parse_shift(match, text))


def _parse_clock(match: re.Match[str], text: str) -> Until:
    """Read a time of day, on any day, a weekday or tomorrow."""
    minute = _parse_minute(match[2], match[3], text)
    day = (match[1] or "").lower()
    if day == "tomorrow":
        return lambda scope, zone: day_instant(zone, local_parts(zone, scope.now)[2] + 1, minute)
    if day and day not in _WEEKDAY_NUMBERS:
        raise ValueError(_explain(text))
    weekday = _WEEKDAY_NUMBERS[day] if day else None
    return lambda scope, zone: next_wall(zone, weekday, minute, scope.now)


def _parse_shift(match: re.Match[str], text: str) -> Shift:
    elapsed_ms, minute = 0, None
    if match["duration"]:
        try:
            elapsed_ms = parse_duration(match["duration"])
        except (ValueError, OverflowError):
            raise ValueError(_explain(text)) from None
        if elapsed_ms > INSTANT_MAX:
            message = f"{quote(text)} is more than a century away"
            raise ValueError(message)
        if match["sign"] == "-":
            elapsed_ms = -elapsed_ms
    if match["hours"]:
        minute = _parse_minute(match["hours"], match["minutes"], text)
    return Shift(elapsed_ms=elapsed_ms, minute=minute)


def _parse_minute(hours: str, minutes: str, text: str) -> int:
    if int(hours) > 23 or int(minutes) > 59:  # noqa: PLR2004 - the last hour and minute of a day
        message = f"{quote(text)}: {hours}:{minutes} is not a time of day, write 00:00 to 23:59"
        raise ValueError(message)
    return int(hours) * 60 + int(minutes)


def _compile_path(root: str, path: tuple[str, ...], shift: Shift) -> Until:
    read = _compile_read(root, path)

    def until(scope: Scope, zone: ZoneInfo) -> int | None:
        value = read(scope)
        return None if value is None else apply_shift(value, shift, zone)

    return until


def _compile_read(root: str, path: tuple[str, ...]) -> Callable[[Scope], int | date | None]:
    first, *rest = path

    def read(scope: Scope) -> int | date | None:
        found: object = scope.trait(first) if root == "profile" else getattr(scope, root).get(first)
        for name in rest:
            if not isinstance(found, Mapping):
                return None
            found = cast("Mapping[str, Any]", found).get(name)
        return _read_value(found)

    return read


def _read_value(value: object) -> int | date | None:
    """Read an instant or a date from what a trait holds."""
    if isinstance(value, str):
        return _read_text(value.strip())
    if isinstance(value, int | float) and not isinstance(value, bool):
        return read_epoch(value)
    return None


def _read_text(text: str) -> int | date | None:
    found = read_iso(text)
    return to_instant(found) if isinstance(found, datetime) else found


def _check_range(at: int) -> int | None:
    return at if INSTANT_MIN <= at <= INSTANT_MAX else None


def apply_shift(value: int | date, shift: Shift, zone: ZoneInfo) -> int | None:
    """Add the time, on the calendar or as elapsed time, and set the time of day."""
    days, rest_ms = divmod(shift.elapsed_ms, DAY_MS)
    on_calendar = rest_ms == 0 and (shift.minute is not None or not isinstance(value, int))
    if isinstance(value, int):
        at = value if on_calendar else value + shift.elapsed_ms
        day = local_parts(zone, at)[2]
    else:
        day = day_number(value)
        at = day_instant(zone, day)
        if not on_calendar:
            at += shift.elapsed_ms
            day = local_parts(zone, at)[2]
    if on_calendar:
        day += days
    if on_calendar or shift.minute is not None:
        at = day_instant(zone, day, shift.minute or 0)
    return _check_range(at)


def _explain(text: str) -> str:
    return f"{quote(text)} is not a moment to wait for: {_FORMS}"
