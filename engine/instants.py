"""Instants and durations as whole milliseconds, and their text forms.

Used by everybody. An instant is an `int`: milliseconds since 1970-01-01T00:00:00Z, its name ends
in `_at`. A duration is an `int` of milliseconds, its name ends in `_ms`.
"""

import re
from datetime import UTC, datetime

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS

INSTANT_MIN = -2_208_988_800_000  # 1900-01-01; earlier times are typing errors, not events
INSTANT_MAX = 4_102_444_800_000  # 2100-01-01; later times are too
NEVER_AT = 1 << 62  # stands for an instant that does not come

_UNITS_MS = {
    "ms": 1,
    "s": SECOND_MS,
    "m": MINUTE_MS,
    "h": HOUR_MS,
    "d": DAY_MS,
    "w": WEEK_MS,
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_DURATION_LENGTH_MAX = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_instant(text: str) -> int:
    """Read an ISO 8601 instant; without an offset it is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - _EPOCH
    at = delta.days * DAY_MS + delta.seconds * SECOND_MS + delta.microseconds // 1_000
    if not INSTANT_MIN <= at <= INSTANT_MAX:
        message = f"{text[:80]!r} is outside 1900 to 2100"
        raise ValueError(message)
    return at


def format_instant(at: int) -> str:
    """Write an instant as `YYYY-MM-DDTHH:MM:SSZ`, with milliseconds where they are not zero."""
    seconds, ms = divmod(at, SECOND_MS)
    text = datetime.fromtimestamp(seconds, UTC).isoformat()[:19]
    return f"{text}.{ms:03d}Z" if ms else f"{text}Z"


def parse_duration(text: str) -> int:
    """Read `15m`, `1h`, `2d`, `1w`, or several together (`1h30m`). Raises ValueError."""
    position, total_ms = 0, 0.0
    # Bounded first: over a long run of digits the search is quadratic.
    for match in _DURATION.finditer(text if len(text) <= _DURATION_LENGTH_MAX else ""):
        if match.start() != position:
            break
        total_ms += float(match[1]) * _UNITS_MS[match[2]]
        position = match.end()
    if position == 0 or position != len(text):
        message = (
            f"{text[:80]!r} is not a duration: write a number and ms, s, m, h, d or w, like 2h"
        )
        raise ValueError(message)
    return round(total_ms)


def format_duration(duration_ms: int) -> str:
    """Write a duration in its largest exact unit, like `2h` or `90m`."""
    for unit in ("w", "d", "h", "m", "s"):
        size_ms = _UNITS_MS[unit]
        if duration_ms and duration_ms % size_ms == 0:
            return f"{duration_ms // size_ms}{unit}"
    return f"{duration_ms}ms"
