"""Caps as people write them: how many, in which time.

Read by `leaves` for the caps of a workspace, by `regions` for those of the law, and by `gates.caps`
for what a customer asked for.
"""

import re

from engine.instants import parse_duration
from engine.limits import CAP_COUNT_MAX
from engine.program.faults import quote, suggest
from engine.program.program import SESSION, Cap

_PERIODS = ("calendar_day", "calendar_week", "calendar_month", SESSION)
_CAP = re.compile(r"\s*(\d+)\s*/\s*(\S.*?)\s*")
_CAP_FORM = "write it like '2 / 24h' or '1 / calendar_day'"
_DURATION_FORM = "write a number and a unit: 30m, 2h, 1d, 1w"


class CapError(ValueError):
    """A text that is no cap; `hint` says what would be one."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def read_cap(text: str, rule: str) -> Cap:
    """Read a cap like `2 / 24h` or `1 / calendar_day`. Raises CapError."""
    match = _CAP.fullmatch(text)
    if match is None:
        message = f"{quote(text)} is not a cap"
        raise CapError(message, _CAP_FORM)
    count, window = match[1], match[2]
    if len(count) > len(str(CAP_COUNT_MAX)) or not 1 <= int(count) <= CAP_COUNT_MAX:
        hint = f"a cap is 1 to {CAP_COUNT_MAX}; a channel that is never used is left out"
        message = f"{quote(text)} counts out of range"
        raise CapError(message, hint)
    period = window if window in _PERIODS else ""
    return Cap(int(count), 0 if period else _read_window_ms(window), period, rule, text)


def _read_window_ms(window: str) -> int:
    if window[0].isalpha():
        message = f"{quote(window)} is not a time a cap can have"
        raise CapError(message, suggest(window, _PERIODS, "times"))
    try:
        window_ms = parse_duration(window)
    except ValueError:
        message = f"{quote(window)} is not a duration"
        raise CapError(message, _DURATION_FORM) from None
    if window_ms <= 0:
        message = f"{quote(window)} is out of range"
        raise CapError(message, "it must be longer than nothing")
    return window_ms
