"""Days on which nothing goes out: public holidays and the workspace's own blackouts.

Called by `gates.order`. A day is the customer's local date, in every time zone they may be in.

*Rules*
- The workspace's holidays are those of the customer's country and subdivision, or those of the one
  country the workspace names; the law's are always those of where the customer is.
- A rule releases at the start of the first day it does not close: a run of closed days is one
  block.
"""

from collections.abc import Callable, Iterator
from zoneinfo import ZoneInfo

from engine.calendars import HOLIDAYS_VERSION, holiday_name
from engine.gates.case import Case
from engine.gates.verdict import Block
from engine.instants import DAY_MS
from engine.limits import SOLVER_HORIZON_MS
from engine.localtime import day_instant, local_parts
from engine.program.program import Blackout, Holidays
from engine.program.regions import RegionRule
from engine.reasons import Reason

_DAYS_MAX = SOLVER_HORIZON_MS // DAY_MS + 2
_VERSION = f"holidays {HOLIDAYS_VERSION}"

Naming = Callable[[int], str]  # of a day: what closes it, or ""


def check_days(case: Case, at: int) -> Iterator[Block]:
    """Give the rules that close the local day of an instant."""
    program, kind = case.program, case.kind
    if "holidays" not in kind.ignores:
        if program.holidays is not None and case.concerns(program.holidays.purposes):
            yield from _check_holidays(case, program.holidays, at)
        for blackout in program.blackouts:
            if _is_about(case, blackout):
                yield from _check_blackout(case, blackout, at)
    for rule in case.regions:
        if rule.closed_on_holidays:
            yield from _check_law(case, rule, at)


def _check_holidays(case: Case, policy: Holidays, at: int) -> Iterator[Block]:
    country = policy.calendar or case.place.country
    subdivision = "" if policy.calendar else case.place.subdivision

    def name(day: int) -> str:
        return "" if day in policy.except_on else holiday_name(country, subdivision, day)

    for until, seen in _closed(case, name, at):
        rule = "policies.holidays"
        yield Block("holidays", Reason.HOLIDAY, until, rule, f"{seen} in {country}", _VERSION)


def _is_about(case: Case, blackout: Blackout) -> bool:
    return (
        case.concerns(blackout.purposes)
        and (not blackout.channels or case.channel.name in blackout.channels)
        and (not blackout.countries or case.place.country in blackout.countries)
    )


def _check_blackout(case: Case, blackout: Blackout, at: int) -> Iterator[Block]:
    def name(day: int) -> str:
        is_closed = blackout.first_on <= day <= blackout.last_on and day not in blackout.except_on
        return blackout.name if is_closed else ""

    for until, seen in _closed(case, name, at):
        yield Block("blackout", Reason.BLACKOUT, until, blackout.rule, seen)


def _check_law(case: Case, rule: RegionRule, at: int) -> Iterator[Block]:
    country, subdivision = case.place.country, case.place.subdivision
    since = rule.effective_from if rule.effective_from is not None else -_DAYS_MAX
    end = rule.effective_until

    def name(day: int) -> str:
        if day < since or (end is not None and day >= end):
            return ""
        return holiday_name(country, subdivision, day)

    for until, seen in _closed(case, name, at):
        where = f"{seen} in {country}"
        yield Block("region", Reason.REGION_RULE, until, rule.rule, where, rule.stamp)


def _closed(case: Case, name: Naming, at: int) -> Iterator[tuple[int | None, str]]:
    """Give, for each zone in which the day is closed, the start of the first that is not."""
    for zone in case.place.zones:
        day = local_parts(zone, at)[2]
        seen = name(day)
        if seen:
            yield _reopens_at(zone, name, day), seen


def _reopens_at(zone: ZoneInfo, name: Naming, day: int) -> int | None:
    for later in range(day + 1, day + _DAYS_MAX):
        if not name(later):
            return day_instant(zone, later)
    return None
