"""Counts and sums over windows of time: exact to the millisecond, by the events' own time.

Kept in a profile for each event that conditions count over, and for each live trait with a window.
Changed by `evolve` alone, read by `engine.program.scope` and `engine.traits`, united where two
profiles become one.

*Rules*
- A row is an instant: how many events there were up to it, and what their amounts add up to. What
  happened in a window is the difference of two rows, found by bisection, whatever the length.
- Amounts are whole millionths, rounded once, so that sums are exact and do not depend on order.
- The newest `SERIES_EXACT_MAX` instants are kept as they are. Older ones share a row with what
  happened in the same hour, before that in the same day, and at last one row holds the rest:
  nothing is lost but how sharp the far edge of a window is. A row stands at its newest instant.
- Which rows there are depends on the events alone, not on the order in which they came or on which
  profiles they came to. So uniting is commutative and associative.
- What no window reaches any more is dropped.
"""

import struct
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from math import isfinite
from sys import byteorder
from typing import NamedTuple

import msgspec

from engine.instants import DAY_MS, HOUR_MS
from engine.limits import (
    AMOUNT_MAX,
    SERIES_DAYS_MAX,
    SERIES_EXACT_MAX,
    SERIES_HOURS_MAX,
)

MILLION = 1_000_000  # of the parts that amounts are counted in

_AT, _COUNT, _TOTALS = 0, 1, 2  # where things are in a row
_BYTES = 8
_WRAP, _HALF = 2**64, 2**63
_ONE = struct.Struct("<q")
_PAIR = struct.Struct("<2q")  # a row without totals, or the beginning of any
_read_one, _read_pair = _ONE.unpack_from, _PAIR.unpack_from
_NO_AMOUNTS: Mapping[str, int] = {}

# Rows are read in place, as the processor has its numbers, and kept so in the file.
assert byteorder == "little"


class Series(msgspec.Struct, array_like=True, gc=False, tag=1):
    """Rows of whole numbers, ascending: the instant, and running totals up to it.

    `rows` holds, for each row, the instant, the count and one total for each of `names`, as signed
    64-bit numbers. The first row is the state before the second; its instant means nothing. Totals
    wrap around, which cancels out in differences below nine trillion units.
    """

    names: tuple[str, ...] = ()
    rows: bytearray = bytearray()


class Stretch(NamedTuple):
    """What happened in a window: how much, from when, and when it changes as time goes by."""

    number: int
    total: int  # in millionths
    first_at: int
    last_at: int
    changes_at: int | None


NOTHING = Stretch(0, 0, 0, 0, None)


class Row(NamedTuple):
    """One row on its own: what happened since the row before."""

    at: int
    number: int
    amounts: tuple[int, ...]


def amount_of(value: object) -> int | None:
    """Give a number as whole millionths; None for what is no number, or not a plausible one."""
    if type(value) is int:
        return value * MILLION if -AMOUNT_MAX <= value <= AMOUNT_MAX else None
    if type(value) is float and isfinite(value) and -AMOUNT_MAX <= value <= AMOUNT_MAX:
        return round(value * MILLION)
    return None


def add(series: Series, at: int, amounts: Mapping[str, int] = _NO_AMOUNTS, *, edge_at: int) -> None:
    """Take in one event with its amounts in millionths; drop what is not after `edge_at`."""
    if at <= edge_at:
        expire(series, edge_at)
        return
    if amounts or series.names or not _append(series.rows, at):
        _enter(series, at, amounts)
    if _instant(series.rows, (len(series.names) + _TOTALS) * _BYTES) <= edge_at:
        expire(series, edge_at)


def _enter(series: Series, at: int, amounts: Mapping[str, int]) -> None:
    """Take in what may be of any kind, wherever it belongs."""
    for name in amounts:
        if name not in series.names:
            _widen(series, amounts)
    rows, names = series.rows, series.names
    layout = _layout(len(names) + _TOTALS)
    if not rows:
        rows += bytes(layout.size)
    newest = layout.unpack_from(rows, len(rows) - layout.size)
    is_first = len(rows) == layout.size
    if at > newest[_AT] or is_first:
        rows += layout.pack(at, newest[_COUNT] + 1, *_raise(newest, names, amounts))
        if len(rows) > layout.size * (SERIES_EXACT_MAX + 2):
            _thin(rows, layout.size)
    elif at == newest[_AT]:
        row = at, newest[_COUNT] + 1, *_raise(newest, names, amounts)
        layout.pack_into(rows, len(rows) - layout.size, *row)
    else:
        _add_late(series, at, amounts, layout)


def _append(rows: bytearray, at: int) -> bool:
    """Take in what is the newest yet and only counted, as it nearly always is; else gives False."""
    if not rows:
        return False
    last_at, count = _read_pair(rows, len(rows) - _PAIR.size)
    if at <= last_at:
        return False
    rows += _PAIR.pack(at, count + 1)
    if len(rows) > _PAIR.size * (SERIES_EXACT_MAX + 2):
        _thin(rows, _PAIR.size)
    return True


def expire(series: Series, edge_at: int) -> None:
    """Drop the rows that are not after an instant; the last of them stays as the state before."""
    rows = series.rows
    size = (len(series.names) + _TOTALS) * _BYTES
    if len(rows) <= size or _instant(rows, size) > edge_at:
        return
    with memoryview(rows).cast("q") as view:
        width = size // _BYTES
        gone = bisect_right(view[width::width], edge_at)
    del rows[: gone * size]
    if len(rows) == size:
        rows.clear()
        series.names = ()


def read(series: Series, window_ms: int | None, now: int, *, name: str = "") -> Stretch:
    """Say what happened in `(now - window_ms, now]`; without a window, in all that is kept."""
    rows, names = series.rows, series.names
    width = len(names) + _TOTALS
    if len(rows) <= width * _BYTES:
        return NOTHING
    newest = len(rows) - width * _BYTES
    last_at, count = _read_pair(rows, newest)
    if last_at <= now:
        # Most windows hold nothing, or everything there is: seen without a search.
        if window_ms is not None and last_at <= now - window_ms:
            return NOTHING
        (first_at,) = _read_one(rows, width * _BYTES)
        if window_ms is None or first_at > now - window_ms:
            total = _whole(series, name, newest) if name in names else 0
            changes_at = None if window_ms is None else first_at + window_ms
            _, gone = _read_pair(rows, 0)
            return Stretch(count - gone, total, first_at, last_at, changes_at)
    view = memoryview(rows).cast("q")
    instants = view[width::width]
    above = len(instants)
    changes_at = None
    if instants[-1] > now:  # told ahead of its time: not yet
        above = bisect_right(instants, now)
        changes_at = instants[above]
    below = 0 if window_ms is None else bisect_right(instants, now - window_ms)
    if above <= below:
        return Stretch(0, 0, 0, 0, changes_at)
    first_at = instants[below]
    if window_ms is not None and (changes_at is None or first_at + window_ms < changes_at):
        changes_at = first_at + window_ms
    low, high = below * width, above * width  # the state before, and the last one within
    total = 0
    if name in names:
        place = _TOTALS + names.index(name)
        total = _wrap(view[high + place] - view[low + place])
    count = view[high + _COUNT] - view[low + _COUNT]
    return Stretch(count, total, first_at, instants[above - 1], changes_at)


def _whole(series: Series, name: str, newest: int) -> int:
    """Give a total over everything there is; `newest` is where the last row begins."""
    place = (_TOTALS + series.names.index(name)) * _BYTES
    return _wrap(_instant(series.rows, newest + place) - _instant(series.rows, place))


def rows_of(series: Series) -> list[Row]:
    """List the rows on their own, oldest first."""
    width = len(series.names) + _TOTALS
    listed: list[Row] = []
    before: tuple[int, ...] | None = None
    for row in struct.iter_unpack(f"<{width}q", series.rows):
        if before is not None:
            amounts = (_wrap(b - a) for a, b in zip(before[2:], row[2:], strict=True))
            listed.append(Row(row[_AT], row[_COUNT] - before[_COUNT], tuple(amounts)))
        before = row
    return listed


def unite_series(one: Series, two: Series) -> Series:
    """Make one series of two: commutative and associative, an empty one changes nothing."""
    names = tuple(sorted({*one.names, *two.names}))
    by_instant: dict[int, Row] = {}
    for series in (one, two):
        places = [series.names.index(name) if name in series.names else -1 for name in names]
        for row in rows_of(series):
            amounts = tuple(row.amounts[place] if place >= 0 else 0 for place in places)
            same = by_instant.get(row.at)
            by_instant[row.at] = (
                row._replace(amounts=amounts)
                if same is None
                else _join(same, Row(row.at, row.number, amounts))
            )
    united = Series(names)
    _write(united, [by_instant[at] for at in sorted(by_instant)])
    return united


# Parts.


@cache
def _layout(width: int) -> struct.Struct:
    return struct.Struct(f"<{width}q")


def _instant(rows: bytearray, start: int) -> int:
    """Read the instant of the row that starts at a byte."""
    at: int = _ONE.unpack_from(rows, start)[0]
    return at


def _wrap(total: int) -> int:
    return (total + _HALF) % _WRAP - _HALF


def _raise(row: Sequence[int], names: tuple[str, ...], amounts: Mapping[str, int]) -> Iterable[int]:
    """Give the running totals of a row with an event's amounts on top."""
    if not amounts:
        return row[_TOTALS:]
    totals = list(row[_TOTALS:])
    for name, amount in amounts.items():
        place = names.index(name)
        totals[place] = _wrap(totals[place] + amount)
    return totals


def _widen(series: Series, amounts: Mapping[str, int]) -> None:
    """Make room for amounts that were not added up so far: they begin with nothing."""
    new = [name for name in amounts if name not in series.names]
    if not new:
        return
    names = tuple(sorted((*series.names, *new)))
    if not series.rows:
        series.names = names
        return
    listed = rows_of(series)
    places = [series.names.index(name) if name in series.names else -1 for name in names]
    series.names = names
    _write(
        series,
        [
            Row(at, count, tuple(own[place] if place >= 0 else 0 for place in places))
            for at, count, own in listed
        ],
    )


def _thin(rows: bytearray, size: int) -> None:
    """Let the row that is no longer among the newest share one with its hour, and so on down."""
    position = len(rows) // size - SERIES_EXACT_MAX - 1
    for bucket_ms, kept in (
        (HOUR_MS, SERIES_HOURS_MAX),
        (DAY_MS, SERIES_DAYS_MAX),
        (0, 0),
    ):
        # `position` is that of the row that came over the last bound, `position - 1` is older.
        if position <= 1:
            return
        end = position * size
        older_at = _instant(rows, end - size)
        if not bucket_ms or _instant(rows, end) // bucket_ms == older_at // bucket_ms:
            del rows[end - size : end]  # its totals are part of the next row's already
            return
        position -= kept


def _add_late(series: Series, at: int, amounts: Mapping[str, int], layout: struct.Struct) -> None:
    """Put an event where it happened, and raise what follows."""
    rows, names, size = series.rows, series.names, layout.size
    width = size // _BYTES
    count = len(rows) // size - 1
    with memoryview(rows).cast("q") as view:
        place = bisect_right(view[width::width], at)
        is_there = place > 0 and view[place * width] == at
    if count - place >= SERIES_EXACT_MAX:
        _add_old(series, at, amounts)
        return
    if not is_there:
        before = layout.unpack_from(rows, place * size)
        place += 1
        rows[place * size : place * size] = layout.pack(at, *before[1:])
        count += 1
    # From here on every row has one event more; `place` is that of the event's own.
    for start in range(place * size, (count + 1) * size, size):
        row = layout.unpack_from(rows, start)
        layout.pack_into(rows, start, row[_AT], row[_COUNT] + 1, *_raise(row, names, amounts))
    if not is_there:
        _thin(rows, size)


def _add_old(series: Series, at: int, amounts: Mapping[str, int]) -> None:
    """Put an event among the rows of hours and days, which are then told apart afresh."""
    late = Row(at, 1, tuple(amounts.get(name, 0) for name in series.names))
    listed = rows_of(series)
    place = bisect_right(listed, at, key=lambda row: row.at)
    if place and listed[place - 1].at == at:
        listed[place - 1] = _join(listed[place - 1], late)
    else:
        listed.insert(place, late)
    _write(series, listed)


def _join(one: Row, two: Row) -> Row:
    amounts = (_wrap(a + b) for a, b in zip(one.amounts, two.amounts, strict=True))
    return Row(max(one.at, two.at), one.number + two.number, tuple(amounts))


def _write(series: Series, listed: list[Row]) -> None:
    """Write rows afresh, those beyond the newest joined by hour, by day, and the rest as one."""
    hours = _group(listed[:-SERIES_EXACT_MAX], HOUR_MS)
    days = _group(hours[:-SERIES_HOURS_MAX], DAY_MS)
    rest = _group(days[:-SERIES_DAYS_MAX], 0)
    kept = rest + days[-SERIES_DAYS_MAX:] + hours[-SERIES_HOURS_MAX:] + listed[-SERIES_EXACT_MAX:]
    layout = _layout(len(series.names) + _TOTALS)
    rows = bytearray(layout.size if kept else 0)
    count, totals = 0, [0] * len(series.names)
    for row in kept:
        count += row.number
        totals = [_wrap(a + b) for a, b in zip(totals, row.amounts, strict=True)]
        rows += layout.pack(row.at, count, *totals)
    series.rows = rows
    if not kept:
        series.names = ()


def _group(listed: list[Row], bucket_ms: int) -> list[Row]:
    grouped: list[Row] = []
    for row in listed:
        if grouped and (not bucket_ms or grouped[-1].at // bucket_ms == row.at // bucket_ms):
            grouped[-1] = _join(grouped[-1], row)
        else:
            grouped.append(row)
    return grouped
