"""Parts of an instant or a duration: its year, its weekday, its hours.

`emitter` puts these behind CEL's `getFullYear()` and the like. Months and days of the month count
from zero except in `getDate()`, and Sunday is day 0, because CEL has it so.
"""

from collections.abc import Callable
from datetime import date

from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from engine.localtime import stretch_at, zone
from engine.program.cel.operations import ABSENT, Value, divide

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_EPOCH_WEEKDAY = 4  # a Thursday, counted from Sunday
_WEEK_DAYS = 7
_UNITS_MS = {"getHours": HOUR_MS, "getMinutes": MINUTE_MS, "getSeconds": SECOND_MS}


def _day(local_ms: int) -> date:
    return date.fromordinal(_EPOCH_ORDINAL + local_ms // DAY_MS)


FIELDS: dict[str, Callable[[int], int]] = {
    "getFullYear": lambda local_ms: _day(local_ms).year,
    "getMonth": lambda local_ms: _day(local_ms).month - 1,
    "getDate": lambda local_ms: _day(local_ms).day,
    "getDayOfMonth": lambda local_ms: _day(local_ms).day - 1,
    "getDayOfYear": lambda local_ms: _day(local_ms).timetuple().tm_yday - 1,
    "getDayOfWeek": lambda local_ms: (local_ms // DAY_MS + _EPOCH_WEEKDAY) % _WEEK_DAYS,
    "getHours": lambda local_ms: local_ms % DAY_MS // HOUR_MS,
    "getMinutes": lambda local_ms: local_ms % HOUR_MS // MINUTE_MS,
    "getSeconds": lambda local_ms: local_ms % MINUTE_MS // SECOND_MS,
    "getMilliseconds": lambda local_ms: local_ms % SECOND_MS,
}
DURATION_FIELDS = frozenset(_UNITS_MS)


def date_part(at: Value, field: str, zone_name: str) -> Value:
    """Give a part of an instant on the clocks of a zone."""
    place = zone(zone_name)
    if type(at) is not int or place is None:
        return ABSENT
    return FIELDS[field](at + stretch_at(place, at)[0])


def duration_part(duration_ms: Value, field: str) -> Value:
    """Give a whole duration in hours, minutes or seconds, rounded toward zero."""
    return divide(duration_ms, _UNITS_MS[field]) if type(duration_ms) is int else ABSENT
