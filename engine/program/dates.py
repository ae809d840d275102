"""Dates as customers' data holds them, and Liquid's way of writing them out.

Used by `until`, which waits for them, and by `dialect`, whose `date` filter this is. The library's
own filter asks the machine for the present, for its time zone and for its language; this one is
told all three, so that a message reads the same wherever and whenever it is rendered again.

Rules
- A value is an ISO 8601 date or instant between 1900 and 2100, or epoch seconds or milliseconds;
  `"now"` and `"today"` are the present of the decision. Anything else is none.
- Without a zone, an instant is written with the offset it came with (epoch numbers in UTC). With
  one, it is written on that zone's clock; a date without a time is the same date everywhere.
- Directives and flags are those of Ruby's strftime, in English.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from engine.instants import INSTANT_MAX, INSTANT_MIN, SECOND_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_MAX = 100_000_000_000  # a larger number is ms: as seconds it would be after the year 5000

_FIRST_DAY, _LAST_DAY = date(1900, 1, 1), date(2099, 12, 31)
_COMPACT_DATE_LENGTH = 8

_DIRECTIVE = re.compile(r"%([-0_^#]*)(\d{0,2})(:?[A-Za-z%+])")
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

_COMPOSITES = {
    "D": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "R": "%H:%M",
    "T": "%H:%M:%S",
    "X": "%H:%M:%S",
    "c": "%a %b %e %H:%M:%S %Y",
    "r": "%I:%M:%S %p",
    "v": "%e-%^b-%Y",
    "x": "%m/%d/%y",
    "+": "%a %b %e %H:%M:%S %Z %Y",
}


def _day_of_year(moment: datetime) -> int:
    return moment.timetuple().tm_yday


# Directive: its number, and the width and character it is filled up to.
_NUMBERS: dict[str, tuple[Callable[[datetime], int], int, str]] = {
    "C": (lambda moment: moment.year // 100, 2, "0"),
    "G": (lambda moment: moment.isocalendar().year, 4, "0"),
    "H": (lambda moment: moment.hour, 2, "0"),
    "I": (lambda moment: moment.hour % 12 or 12, 2, "0"),
    "L": (lambda moment: moment.microsecond // 1_000, 3, "0"),
    "M": (lambda moment: moment.minute, 2, "0"),
    "N": (lambda moment: moment.microsecond * 1_000, 9, "0"),
    "S": (lambda moment: moment.second, 2, "0"),
    "U": (lambda moment: (_day_of_year(moment) + 6 - moment.isoweekday() % 7) // 7, 2, "0"),
    "V": (lambda moment: moment.isocalendar().week, 2, "0"),
    "W": (lambda moment: (_day_of_year(moment) + 6 - moment.weekday()) // 7, 2, "0"),
    "Y": (lambda moment: moment.year, 4, "0"),
    "d": (lambda moment: moment.day, 2, "0"),
    "e": (lambda moment: moment.day, 2, " "),
    "g": (lambda moment: moment.isocalendar().year % 100, 2, "0"),
    "j": (_day_of_year, 3, "0"),
    "k": (lambda moment: moment.hour, 2, " "),
    "l": (lambda moment: moment.hour % 12 or 12, 2, " "),
    "m": (lambda moment: moment.month, 2, "0"),
    "s": (lambda moment: (moment - _EPOCH) // timedelta(seconds=1), 1, "0"),
    "u": (lambda moment: moment.isoweekday(), 1, "0"),
    "w": (lambda moment: moment.isoweekday() % 7, 1, "0"),
    "y": (lambda moment: moment.year % 100, 2, "0"),
}

_TEXTS: dict[str, Callable[[datetime], str]] = {
    "%": lambda _: "%",
    "A": lambda moment: _WEEKDAYS[moment.weekday()],
    "B": lambda moment: _MONTHS[moment.month - 1],
    "P": lambda moment: "am" if moment.hour < 12 else "pm",  # noqa: PLR2004 - noon
    "Z": lambda moment: moment.tzname() or "",
    "a": lambda moment: _WEEKDAYS[moment.weekday()][:3],
    "b": lambda moment: _MONTHS[moment.month - 1][:3],
    "h": lambda moment: _MONTHS[moment.month - 1][:3],
    "n": lambda _: "\n",
    "p": lambda moment: "AM" if moment.hour < 12 else "PM",  # noqa: PLR2004 - noon
    "t": lambda _: "\t",
    "z": lambda moment: moment.isoformat()[-6:].replace(":", ""),
    ":z": lambda moment: moment.isoformat()[-6:],
}


def read_epoch(number: float) -> int | None:
    """Read epoch seconds or milliseconds as an instant; None where it is none."""
    if not -INSTANT_MAX <= number <= INSTANT_MAX:  # NaN is not in any range either
        return None
    at = round(number if abs(number) >= _SECONDS_MAX else number * SECOND_MS)
    return at if INSTANT_MIN <= at <= INSTANT_MAX else None


def read_iso(text: str) -> date | datetime | None:
    """Read an ISO 8601 date, or an instant (in UTC where no offset is written), or None."""
    if text.isdigit() and len(text) != _COMPACT_DATE_LENGTH:
        return None  # an epoch in a text, which would pass for a date and a time now and then
    try:
        day = date.fromisoformat(text)
    except ValueError:
        pass
    else:
        return day if _FIRST_DAY <= day <= _LAST_DAY else None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment if _FIRST_DAY <= moment.date() <= _LAST_DAY else None


def to_instant(moment: datetime) -> int:
    """Tell a moment as an instant."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def read_moment(value: object, zone: ZoneInfo | None, now: datetime | None) -> datetime | None:
    """Read a value as a moment on a zone's clock, or None where it is none."""
    if isinstance(value, str):
        return _read_text(value.strip(), zone, now)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _read_number(value, zone)
    return None


def _read_text(text: str, zone: ZoneInfo | None, now: datetime | None) -> datetime | None:
    if text in ("now", "today"):
        return now if now is None else _place(now, zone)
    found = read_iso(text)
    if isinstance(found, datetime):
        return _place(found, zone)
    if found is not None:
        return datetime(found.year, found.month, found.day, tzinfo=zone or UTC)
    return _read_number(float(text), zone) if text.isascii() and text.isdigit() else None


def _read_number(number: float, zone: ZoneInfo | None) -> datetime | None:
    at = read_epoch(number)
    return None if at is None else _place(_EPOCH + timedelta(milliseconds=at), zone)


def _place(moment: datetime, zone: ZoneInfo | None) -> datetime:
    return moment if zone is None else moment.astimezone(zone)


def format_moment(moment: datetime, pattern: str) -> str:
    """Write a moment by a strftime pattern; a directive that does not exist is left as it is."""

    def write(match: re.Match[str]) -> str:
        flags, width, letter = match.groups()
        if letter in _NUMBERS:
            read, digits, filler = _NUMBERS[letter]
            return _fill(str(read(moment)), flags, int(width or digits), filler)
        if letter in _COMPOSITES:
            text = format_moment(moment, _COMPOSITES[letter])
        elif letter in _TEXTS:
            text = _TEXTS[letter](moment)
        else:
            return match[0]
        return _fill(_change_case(text, flags, letter), flags, int(width or 0), " ")

    return _DIRECTIVE.sub(write, pattern)


def _fill(text: str, flags: str, width: int, filler: str) -> str:
    if "-" in flags:
        return text
    if "_" in flags:
        return text.rjust(width, " ")
    return text.rjust(width, "0" if "0" in flags else filler)


def _change_case(text: str, flags: str, letter: str) -> str:
    if "^" in flags:
        return text.upper()
    if "#" in flags:
        return text.lower() if letter in ("p", "Z") else text.upper()
    return text
