"""Several opening hours at once, each read in a time zone of its own: when all of them are open.

Asked by the gates where a channel, a region and a customer have hours, and where it is not known
in which of several zones the customer is. Hands on instants.

Rules
- Open together is open in each, by the rules of `engine.windows`, gaps and folds included. No
  hours at all are always open.
- Between two changes of any zone's UTC offset, what all the hours have in common is a fixed part
  of the week in UTC. It is put together once and kept; after that an opening is one look-up away,
  and where nothing is in common the search goes on at the next change. No minute is ever probed,
  and the work grows with the number of changes before `until`, not with the time.
- What is kept is found again by the hours themselves, gathered under one object, because hashing
  the edges of thirty windows once for every change is most of what an answer would cost.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from engine.instants import DAY_MS, WEEK_MS
from engine.localtime import offsets_at, stretch_at
from engine.windows import Window, closes_at, is_open, opens_at

_MONDAY_SHIFT_MS = 3 * DAY_MS  # 1970-01-01 was a Thursday
_GATHERED_MAX = 4_096
_WEEKS_MAX = 8_192

Hours = Sequence[tuple[Window, ZoneInfo]]
Edges = tuple[int, ...]


class Gathered(msgspec.Struct, frozen=True, eq=False):
    """Hours without repetition. Compared by identity, so that it is a key that costs nothing."""

    zones: tuple[ZoneInfo, ...]
    windows: tuple[tuple[Edges, int], ...]  # each with its place in `zones`


def opens_together(hours: Hours, now: int, *, until: int) -> int | None:
    """Tell the first instant in `[now, until)` at which all are open; None if there is none."""
    if now >= until:
        return None
    if _are_open(hours, now):
        return now
    if len(hours) == 1:
        found = opens_at(*hours[0], now)
        return found if found is not None and found < until else None
    return opens_gathered(gather(hours), now, until=until)


def gather(hours: Hours) -> Gathered:
    """Put hours together once, for who asks for many instants."""
    return _gather(tuple([(window.edges, zone) for window, zone in hours]))


def opens_gathered(gathered: Gathered, now: int, *, until: int) -> int | None:
    """Tell the same as `opens_together`."""
    at = now
    while at < until:
        offsets_ms, end_at = offsets_at(gathered.zones, at)
        found = _opens_in(_join_week(gathered, offsets_ms), at)
        if found is not None and found < end_at:
            return found if found < until else None
        at = end_at
    return None


def closes_together(hours: Hours, now: int, *, until: int) -> int:
    """Tell the first instant in `[now, until)` at which one of them is closed, else `until`."""
    first_at = until
    for window, zone in hours:
        closing_at = closes_at(window, zone, now)
        if closing_at is not None and closing_at < first_at:
            first_at = closing_at
    return first_at


def closed_of(hours: Hours, at: int) -> tuple[int, ...]:
    """Tell which of them are closed at an instant, by their place in the sequence."""
    return tuple(
        index for index, (window, zone) in enumerate(hours) if not is_open(window, zone, at)
    )


def _are_open(hours: Hours, now: int) -> bool:
    """Tell whether all are open. Neighbours are mostly of one zone, so its clock is kept."""
    read: ZoneInfo | None = None
    week_ms = 0
    for window, zone in hours:
        if zone is not read:
            read = zone
            week_ms = (now + stretch_at(zone, now)[0] + _MONDAY_SHIFT_MS) % WEEK_MS
        if bisect_right(window.edges, week_ms) % 2 == 0:
            return False
    return True


@lru_cache(_GATHERED_MAX)
def _gather(pairs: tuple[tuple[Edges, ZoneInfo], ...]) -> Gathered:
    places: dict[ZoneInfo, int] = {}
    for _, zone in pairs:
        places.setdefault(zone, len(places))
    windows = dict.fromkeys((edges, places[zone]) for edges, zone in pairs)
    return Gathered(zones=tuple(places), windows=tuple(windows))


def _opens_in(edges: Edges, at: int) -> int | None:
    """Tell the first instant from `at` on that is open by a week of UTC."""
    if not edges:
        return None
    week_ms = (at + _MONDAY_SHIFT_MS) % WEEK_MS
    index = bisect_right(edges, week_ms)
    if index % 2 == 1:
        return at
    opening_ms = edges[index] if index < len(edges) else edges[0] + WEEK_MS
    return at + opening_ms - week_ms


@lru_cache(_WEEKS_MAX)
def _join_week(gathered: Gathered, offsets_ms: tuple[int, ...]) -> Edges:
    """Lay all hours on one week of UTC; what is left is open in each. Edges as in a `Window`."""
    shifted = dict.fromkeys((edges, offsets_ms[place]) for edges, place in gathered.windows)
    turns: dict[int, int] = {}  # how many more are open from here on
    open_count = 0
    for edges, offset_ms in shifted:
        open_count += bisect_right(edges, offset_ms % WEEK_MS) % 2
        for index, edge in enumerate(edges):
            moment_ms = (edge - offset_ms) % WEEK_MS
            turns[moment_ms] = turns.get(moment_ms, 0) + (-1 if index % 2 else 1)
    turns.pop(0, None)  # the count began with it
    joined = [0] if open_count == len(shifted) else []
    for moment_ms in sorted(turns):
        open_count += turns[moment_ms]
        if (open_count == len(shifted)) != len(joined) % 2:
            joined.append(moment_ms)
    return (*joined, WEEK_MS) if len(joined) % 2 else tuple(joined)
