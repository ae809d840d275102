"""Days on which nothing goes out: public holidays and the workspace's own blackouts.

Called by `gates.order`. A day is the customer's local date, in every time zone they may be in.

*Rules*
- The workspace's holidays are those of the customer's country and subdivision, or those of the one
  country the workspace names; the law's are always those of where the customer is.
- A rule releases at the start of the first day it does not close: a run of closed days is one
  block.
"""

from collections.abc import Callable, Iterator
from typing import cast
from zoneinfo import ZoneInfo

import msgspec

from engine.calendars import HOLIDAYS_VERSION, holiday_name
from engine.gates.case import Case
from engine.gates.verdict import Block, latest_by_rule, release_at
from engine.instants import DAY_MS
from engine.limits import SOLVER_HORIZON_MS
from engine.localtime import day_instant, local_parts, next_day_start
from engine.program.program import Blackout
from engine.program.regions import RegionRule
from engine.reasons import Reason

_DAYS_MAX = SOLVER_HORIZON_MS // DAY_MS + 2
_NEVER_ON = 1 << 62
_VERSION = f"holidays {HOLIDAYS_VERSION}"

Naming = Callable[[int], str]  # of a day: what closes it, or ""


class Closed(msgspec.Struct, frozen=True, gc=False):
    """A rule closes a day, up to a later one; None where it closes all that can be looked at."""

    check: str
    reason: Reason
    rule: str
    seen: str
    version: str
    reopens_on: int | None


def check_days(case: Case, at: int) -> list[Block]:
    """List the rules that close the local day of an instant."""
    blocks: list[Block] = []
    program = case.program
    if not (case.regions or program.blackouts_on or program.holidays):
        return blocks
    zones = case.place.zones
    if len(zones) == 1 and not _closed_on(case, local_parts(zones[0], at)[2]):
        return blocks  # nearly everybody, on nearly all days
    for zone in zones:
        blocks += [_block(zone, one, at) for one in _closed_on(case, local_parts(zone, at)[2])]
    return latest_by_rule(blocks) if len(blocks) > 1 else blocks


def pass_closed(case: Case, at: int, count: int) -> list[Block]:
    """List the last `count` rules that close days in a row from an instant on; none: it is open.

    The last of them releases last. In several zones it is only those of the first day.
    """
    zone, *others = case.place.zones
    if others:
        blocks = check_days(case, at)
        return [max(blocks, key=release_at)] if blocks else []
    day = local_parts(zone, at)[2]
    end_on = day + _DAYS_MAX
    closed: list[tuple[int, Closed]] = []
    while day < end_on and (found := _closed_on(case, day)):
        longest = max(found, key=_reopening)
        closed.append((day, longest))
        day = end_on if longest.reopens_on is None else longest.reopens_on
    return [_block(zone, one, max(at, day_instant(zone, day))) for day, one in closed[-count:]]


def _reopening(closed: Closed) -> int:
    return _NEVER_ON if closed.reopens_on is None else closed.reopens_on


def _block(zone: ZoneInfo, closed: Closed, at: int) -> Block:
    until = None if closed.reopens_on is None else _reopens_at(zone, closed.reopens_on, at)
    return Block(closed.check, closed.reason, until, closed.rule, closed.seen, closed.version)


def _reopens_at(zone: ZoneInfo, day: int, at: int) -> int:
    """Tell when a day begins: again, where a clock set back past midnight returns to the last."""
    return max(day_instant(zone, day), next_day_start(zone, at))


def _closed_on(case: Case, day: int) -> tuple[Closed, ...]:
    """Give what closes a day; found once for a case, whose zones mostly have the same day."""
    if day not in case.days:
        case.days[day] = tuple(_find_closed(case, day)) if _may_be_closed(case, day) else ()
    return cast("tuple[Closed, ...]", case.days[day])


def _may_be_closed(case: Case, day: int) -> bool:
    """Say whether there is anything about a day: about nearly all there is nothing."""
    program, place = case.program, case.place
    calendar = program.holidays.calendar if program.holidays is not None else ""
    return (
        day in program.blackouts_on
        or bool(holiday_name(place.country, place.subdivision, day))
        or (bool(calendar) and bool(holiday_name(calendar, "", day)))
    )


def _find_closed(case: Case, day: int) -> Iterator[Closed]:
    program = case.program
    if "holidays" not in case.kind.ignores:
        if program.holidays is not None and case.concerns(program.holidays.purposes):
            yield from _holiday(case, day)
        for blackout in program.blackouts_on.get(day, ()):
            if _is_about(case, blackout):
                yield _blackout(blackout, day)
    for rule in case.regions:
        if rule.closed_on_holidays and rule.is_in_force(day):
            yield from _law(case, rule, day)


def _holiday(case: Case, day: int) -> Iterator[Closed]:
    policy = case.program.holidays
    assert policy is not None
    country = policy.calendar or case.place.country
    subdivision = "" if policy.calendar else case.place.subdivision

    def name(day: int) -> str:
        return "" if day in policy.except_on else holiday_name(country, subdivision, day)

    if found := name(day):
        seen, until = f"{found} in {country}", _reopens_on(name, day)
        yield Closed("holidays", Reason.HOLIDAY, "policies.holidays", seen, _VERSION, until)


def _law(case: Case, rule: RegionRule, day: int) -> Iterator[Closed]:
    place = case.place
    found = holiday_name(place.country, place.subdivision, day)

    def name(day: int) -> str:
        is_held = rule.is_in_force(day)
        return holiday_name(place.country, place.subdivision, day) if is_held else ""

    if found:
        seen, until = f"{found} in {place.country}", _reopens_on(name, day)
        yield Closed("region", Reason.REGION_RULE, rule.rule, seen, rule.stamp, until)


def _is_about(case: Case, blackout: Blackout) -> bool:
    return (
        case.concerns(blackout.purposes)
        and (not blackout.channels or case.channel.name in blackout.channels)
        and (not blackout.countries or case.place.country in blackout.countries)
    )


def _blackout(blackout: Blackout, day: int) -> Closed:
    def name(day: int) -> str:
        is_closed = blackout.first_on <= day <= blackout.last_on and day not in blackout.except_on
        return blackout.name if is_closed else ""

    until = _reopens_on(name, day) if blackout.except_on else blackout.last_on + 1
    return Closed("blackout", Reason.BLACKOUT, blackout.rule, blackout.name, "", until)


def _reopens_on(name: Naming, day: int) -> int | None:
    return next((later for later in range(day + 1, day + _DAYS_MAX) if not name(later)), None)
