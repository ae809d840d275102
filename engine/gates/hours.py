"""Hours: whether this is a time at which a message may reach a customer, by everybody's clock.

Called by `gates.order`. The hours of the channel, of the type, of the law and of the customer's own
choice hold together, each in every time zone the customer may be in.

*Rules*
- A customer's quiet hours are the times at which they do not want to hear from us: what is left of
  the week is open. What can't be read as hours is no choice.
- A rule of law holds from the local day it comes into effect until the day it ends.
- Of several hours that are closed, the one that opens last is the reason.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec

from engine.gates.case import Case
from engine.gates.verdict import Block, latest_by_rule
from engine.hours import (
    Gathered,
    Hours,
    closed_of,
    gather,
    opens_gathered,
    opens_together,
)
from engine.instants import WEEK_MS
from engine.localtime import day_instant
from engine.program.regions import RegionRule
from engine.reasons import Reason
from engine.windows import Window, is_open, opens_at, parse_window
from engine.wishes import QUIET_HOURS

_QUIET_MAX = 4_096
_FOR_EVER = 1 << 62
_FEW = 4  # hours that are faster asked one by one than put together


class Cause(msgspec.Struct, frozen=True, gc=False):
    """Whose hours they are: what the trace calls them."""

    check: str
    reason: Reason
    rule: str
    version: str = ""


class Opening:
    """Hours that hold from one instant to another, in each plausible zone, and whose they are."""

    __slots__ = ("_gathered", "causes", "hours", "since", "until")

    def __init__(self, hours: Hours, causes: tuple[Cause, ...], *, since: int, until: int) -> None:
        self.hours = hours
        self.causes = causes  # as long as `hours`
        self.since = since
        self.until = until
        self._gathered: Gathered | None = None

    def opens_at(self, now: int, *, until: int) -> int | None:
        """Find the first instant from `now` on at which all are open; few are asked one by one."""
        if len(self.hours) <= _FEW:
            return opens_together(self.hours, now, until=until)
        if self._gathered is None:
            self._gathered = gather(self.hours)
        return opens_gathered(self._gathered, now, until=until)


def check_hours(case: Case, at: int) -> list[Block]:
    """List the hours that are closed at an instant, each with its own next opening."""
    if _is_plainly_open(case, at):
        return []
    opening = _opening(case, at)
    blocks = [
        _block(case, opening, place, opens_at(*opening.hours[place], at))
        for place in closed_of(opening.hours, at)
    ]
    return latest_by_rule(blocks) if len(case.place.zones) > 1 else blocks


def open_hours(case: Case, at: int, end_at: int) -> tuple[int | None, Block | None]:
    """Find the first instant from `at` on, before `end_at`, at which all the hours are open.

    Gives that instant (None where there is none) and the hours that open last, if any were closed.
    """
    if at < end_at and _is_plainly_open(case, at):
        return at, None
    moment, last = at, None
    while moment < end_at:
        opening = _opening(case, moment)
        found = opening.opens_at(moment, until=min(opening.until, end_at))
        if found is not None and found == at:
            return at, None
        before_at = moment if found is None or found == moment else found - 1
        closed = closed_of(opening.hours, before_at)
        if closed:
            last = _block(case, opening, closed[0], found)
        elif found is not None and last is not None:  # it opens because a rule of law ends
            last = msgspec.structs.replace(last, until=found)
        if found is not None:
            return found, last
        moment = opening.until
    return None, last


def _is_plainly_open(case: Case, at: int) -> bool:
    """Say that hours are open, where they are read in one zone and nobody wrote quiet hours.

    That is nearly everybody nearly always, and costs a tenth of gathering whose hours they are.
    """
    zones = case.place.zones
    if len(zones) != 1 or case.profile.traits.get(QUIET_HOURS):
        return False
    zone = zones[0]
    for rule in case.regions:
        if rule.effective_from is not None or rule.effective_until is not None:
            return False
        if rule.window is not None and not is_open(rule.window, zone, at):
            return False
    if "window" in case.kind.ignores:
        return True
    own, of_kind = case.channel.window, case.kind.window
    return (own is None or is_open(own, zone, at)) and (
        of_kind is None or is_open(of_kind, zone, at)
    )


def _block(case: Case, opening: Opening, place: int, until: int | None) -> Block:
    (window, zone), cause = opening.hours[place], opening.causes[place]
    seen = f"{window.text} in {zone.key} ({case.place.source})"
    return Block(cause.check, cause.reason, until, cause.rule, seen, cause.version)


def _opening(case: Case, at: int) -> Opening:
    """Gather the hours that hold at an instant; mostly they are those that held before."""
    known = case.opening
    if isinstance(known, Opening) and known.since <= at < known.until:
        return known
    case.opening = opening = _gather(case, at)
    return opening


def _gather(case: Case, at: int) -> Opening:
    found: list[tuple[Window, Cause]] = []
    if "window" not in case.kind.ignores:
        found += _written(case)
    until = _FOR_EVER
    for rule in case.regions:
        if rule.window is not None:
            is_held, changes_at = _holds(case, rule, at)
            until = min(until, changes_at)
            if is_held:
                found.append((rule.window, _by_law(rule)))
    zones = case.place.zones
    return Opening(
        tuple([(window, zone) for window, _ in found for zone in zones]),
        tuple([cause for _, cause in found for _ in zones]),
        since=at,
        until=until,
    )


def _written(case: Case) -> Iterator[tuple[Window, Cause]]:
    for window in (case.channel.window, case.kind.window):
        if window is not None:
            yield window, Cause("window", Reason.OUTSIDE_WINDOW, window.rule)
    quiet: Any = case.profile.traits.get(QUIET_HOURS)
    if quiet:
        own = _read_quiet(msgspec.json.encode(quiet))
        if own is not None:
            yield own, Cause("quiet_hours", Reason.QUIET_HOURS, own.rule)


def _by_law(rule: RegionRule) -> Cause:
    return Cause("region", Reason.REGION_RULE, rule.rule, rule.stamp)


def _holds(case: Case, rule: RegionRule, at: int) -> tuple[bool, int]:
    """Say whether a rule is in effect, and until when that stays so.

    It is from where its first day begins anywhere the customer may be, to where its last day ends.
    """
    zones = case.place.zones
    if rule.effective_from is not None:
        begins_at = min(day_instant(zone, rule.effective_from) for zone in zones)
        if at < begins_at:
            return False, begins_at
    if rule.effective_until is not None:
        ends_at = max(day_instant(zone, rule.effective_until) for zone in zones)
        return at < ends_at, ends_at if at < ends_at else _FOR_EVER
    return True, _FOR_EVER


@lru_cache(_QUIET_MAX)
def _read_quiet(written: bytes) -> Window | None:
    """Read quiet hours, and give the hours that are left; None where they can't be read."""
    try:
        quiet = parse_window(msgspec.json.decode(written), f"profile.{QUIET_HOURS}")
    except ValueError:
        return None
    return Window(_complement(quiet.edges), f"not {quiet.text}", quiet.rule)


def _complement(edges: tuple[int, ...]) -> tuple[int, ...]:
    """Give the rest of the week."""
    if not edges:
        return (0, WEEK_MS)
    turned = edges[1:] if edges[0] == 0 else (0, *edges)
    return turned[:-1] if turned and turned[-1] == WEEK_MS else (*turned, WEEK_MS)
