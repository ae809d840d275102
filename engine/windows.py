"""Opening hours in customer time: when a channel may speak.

Parsed once by `engine.program.compile`; asked by the gates for the first instant at which a
message may go out. Hands on instants.

Rules
- An instant is open if its local wall-clock time lies in one of the intervals `[start, end)`.
- An interval belongs to the day it starts: `fri: "20:00-02:00"` is open on Saturday at 01:00.
- Where clocks jump forward, the first instant whose wall time lies in an interval counts; where
  they are set back, both occurrences of a wall time are inside.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import cast
from zoneinfo import ZoneInfo

import msgspec

from engine.instants import DAY_MS, MINUTE_MS, WEEK_MS
from engine.localtime import stretch_at

_MONDAY_SHIFT_MS = 3 * DAY_MS  # 1970-01-01 was a Thursday
_DAY_MINUTES = 24 * 60
_WEEK_MINUTES = 7 * _DAY_MINUTES

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONG_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY_NUMBERS = {name: day for names in (_DAYS, _LONG_DAYS) for day, name in enumerate(names)}
_GROUPS = {"daily": range(7), "weekdays": range(5), "weekend": range(5, 7)}
_INTERVAL = re.compile(r"(\d{1,2}):(\d\d)\s*[-\u2013]\s*(\d{1,2}):(\d\d)")
_SHOWN_MAX = 80

Interval = tuple[int, int]


class Window(msgspec.Struct, frozen=True):
    """Weekly opening hours.

    `edges` are ms since Monday 00:00 on the local clock, strictly ascending: it opens at the first,
    closes at the second, opens at the third, and so on. An interval over the week's end is two.
    """

    edges: tuple[int, ...]
    text: str  # as written, for people
    rule: str  # where it is written, like `channels.email.window`


def is_open(window: Window, zone: ZoneInfo, now: int) -> bool:
    """Tell whether the local wall-clock time lies in the window."""
    week_ms = (now + stretch_at(zone, now)[0] + _MONDAY_SHIFT_MS) % WEEK_MS
    return bisect_right(window.edges, week_ms) % 2 == 1


def opens_at(window: Window, zone: ZoneInfo, now: int) -> int | None:
    """Tell the first instant from `now` on that is open (`now` itself, if it is); None for never.

    Between two changes of the UTC offset the local clock runs evenly, so there the next opening is
    a subtraction away; at a change the question is asked again. A stretch of a week settles it.
    """
    edges = window.edges
    if not edges:
        return None
    at = now
    while True:
        offset_ms, until = stretch_at(zone, at)
        week_ms = (at + offset_ms + _MONDAY_SHIFT_MS) % WEEK_MS
        index = bisect_right(edges, week_ms)
        if index % 2 == 1:
            return at
        opening_ms = edges[index] if index < len(edges) else edges[0] + WEEK_MS
        candidate = at + opening_ms - week_ms
        if candidate < until:
            return candidate
        at = until


def closes_at(window: Window, zone: ZoneInfo, now: int) -> int | None:
    """Tell the first instant from `now` on that is closed (`now` itself, if so); None for never."""
    edges = window.edges
    if edges == (0, WEEK_MS):
        return None
    at = now
    while True:
        offset_ms, until = stretch_at(zone, at)
        week_ms = (at + offset_ms + _MONDAY_SHIFT_MS) % WEEK_MS
        index = bisect_right(edges, week_ms)
        if index % 2 == 0:
            return at
        closing_ms = edges[index]
        if closing_ms == WEEK_MS and edges[0] == 0:  # open over the week's end: one interval
            closing_ms += edges[1]
        candidate = at + closing_ms - week_ms
        if candidate < until:
            return candidate
        at = until


def parse_window(value: object, rule: str) -> Window:
    """Read opening hours as a workspace writes them. Raises ValueError.

    They are `"09:00-20:00"` for every day, a list of those, or a map from days to either. A day
    the map does not name is closed.
    """
    if isinstance(value, Mapping):
        days, text = _parse_days(cast("Mapping[object, object]", value))
    else:
        intervals, text = _parse_intervals(value)
        if not intervals:
            message = "the list is empty: write when it is open, or leave it out for any time"
            raise ValueError(message)
        days = [intervals] * 7
    return Window(edges=_join_edges(days), text=text, rule=rule)


def _parse_days(value: Mapping[object, object]) -> tuple[list[list[Interval]], str]:
    """Read a map by days; where several keys name a day, the one that names fewest days wins."""
    if not value:
        message = "the map is empty: write when it is open, or leave it out for any time"
        raise ValueError(message)
    chosen: dict[int, tuple[int, str]] = {}
    intervals: dict[str, list[Interval]] = {}
    texts: list[str] = []
    for key, written in value.items():
        name, days = _parse_day_key(key)
        try:
            intervals[name], text = _parse_intervals(written)
        except ValueError as error:
            message = f"{name}: {error}"
            raise ValueError(message) from None
        texts.append(f"{name} {text or 'closed'}")
        for day in days:
            width, other = chosen.get(day, (8, ""))
            if width == len(days):
                message = f"{_DAYS[day]} is in both {other!r} and {name!r}: name it once"
                raise ValueError(message)
            if len(days) < width:
                chosen[day] = (len(days), name)
    by_day = [intervals[chosen[day][1]] if day in chosen else [] for day in range(7)]
    return by_day, "; ".join(texts)


def _parse_day_key(key: object) -> tuple[str, list[int]]:
    """Read which days a key names: a day, a range, a group, or several with commas."""
    if not isinstance(key, str):
        message = (
            f"{_show(key)} is not a day: write mon to sun, mon-fri, weekdays, weekend or daily"
        )
        raise ValueError(message)  # noqa: TRY004 - for the reader it is a bad value
    days: list[int] = []
    for part in key.lower().split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        if not dash and first in _GROUPS:
            days += _GROUPS[first]
        elif first in _DAY_NUMBERS and (not dash or last in _DAY_NUMBERS):
            start = _DAY_NUMBERS[first]
            count = (_DAY_NUMBERS[last] - start) % 7 + 1 if dash else 1
            days += [(start + step) % 7 for step in range(count)]
        else:
            message = (
                f"{_show(part.strip())} is not a day: "
                "write mon to sun, mon-fri, weekdays, weekend or daily"
            )
            raise ValueError(message)
    if len(set(days)) != len(days):
        message = f"{_show(key)} names a day twice"
        raise ValueError(message)
    return key.strip().lower(), days


def _parse_intervals(value: object) -> tuple[list[Interval], str]:
    """Read one interval or a list of them, and give back how they were written."""
    if not isinstance(value, list | tuple):
        text = _expect_text(value)
        return [_parse_interval(text)], text.strip()
    texts = [_expect_text(item) for item in cast("Sequence[object]", value)]
    return [_parse_interval(text) for text in texts], ", ".join(text.strip() for text in texts)


def _expect_text(value: object) -> str:
    """Refuse what YAML made of hours that were not written in quotes."""
    if isinstance(value, str):
        return value
    hint = 'write the hours in quotes, like "09:00-21:30"'
    if isinstance(value, int) and not isinstance(value, bool):
        hint += " (without them 21:30 may be read as the number 1290)"
    message = f"{_show(value)} is not opening hours: {hint}"
    raise ValueError(message)


def _parse_interval(text: str) -> Interval:
    """Read `09:00-20:00` as minutes of the day it starts; past midnight they go beyond 1440."""
    match = _INTERVAL.fullmatch(text.strip())
    if match is None:
        message = f"{_show(text)} is not opening hours: write them like 09:00-20:00"
        raise ValueError(message)
    start = _parse_minute(match[1], match[2], last=_DAY_MINUTES - 1)
    end = _parse_minute(match[3], match[4], last=_DAY_MINUTES)
    if start == end:
        message = f"{_show(text)} opens and closes at once: for the whole day write 00:00-24:00"
        raise ValueError(message)
    return start, end if end > start else end + _DAY_MINUTES


def _parse_minute(hours: str, minutes: str, *, last: int) -> int:
    minute = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or minute > last:  # noqa: PLR2004 - an hour has 60 minutes
        latest = "24:00" if last == _DAY_MINUTES else "23:59"
        message = f"{hours}:{minutes} is not a time of day here: write 00:00 to {latest}"
        raise ValueError(message)
    return minute


def _join_edges(days: Iterable[Iterable[Interval]]) -> tuple[int, ...]:
    """Lay the days' intervals on one week, joining those that touch or overlap."""
    pieces: list[Interval] = []
    for day, intervals in enumerate(days):
        for start, end in intervals:
            begin, finish = day * _DAY_MINUTES + start, day * _DAY_MINUTES + end
            pieces.append((begin, min(finish, _WEEK_MINUTES)))
            if finish > _WEEK_MINUTES:  # Sunday night runs into Monday
                pieces.append((0, finish - _WEEK_MINUTES))
    edges: list[int] = []
    for begin, finish in sorted(pieces):
        if edges and begin <= edges[-1]:
            edges[-1] = max(edges[-1], finish)
        else:
            edges += (begin, finish)
    return tuple(edge * MINUTE_MS for edge in edges)


def _show(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN_MAX else shown[: _SHOWN_MAX - 1] + "\u2026"
