"""Whether the contact policy of a workspace fits together: purposes, countries and days that exist.

Called by `check`, which also uses what it knows of countries and purposes.
"""

from collections.abc import Iterable

from msgspec import UNSET

from engine.program.countries import COUNTRIES
from engine.program.faults import Faults, quote, suggest
from engine.program.model import PURPOSES_KNOWN, WorkspaceSpec
from engine.program.names import Names
from engine.program.places import Path
from engine.program.policymodel import (
    CUSTOMER_CALENDAR,
    BlackoutSpec,
    EngagementSpec,
    HolidaysSpec,
    SuppressionSpec,
)
from engine.program.regions import load_packs


def check_policies(spec: WorkspaceSpec, names: Names, faults: Faults) -> None:
    """Note everything in the policies that does not fit together."""
    policies, path = spec.policies, ("policies",)
    for index, cap in enumerate(policies.caps):
        names.check_all("channels", cap.channels, (*path, "caps", index, "channels"))
        check_purposes(cap.purposes, (*path, "caps", index), spec, faults)
    if policies.cooldown is not UNSET:
        check_purposes(policies.cooldown.purposes, (*path, "cooldown"), spec, faults)
    _check_suppressions(policies.suppress, spec, faults)
    if policies.holidays is not UNSET:
        _check_holidays(policies.holidays, spec, faults)
    _check_blackouts(policies.blackouts, spec, names, faults)
    _check_regions(policies.regions, faults)
    if policies.engagement is not UNSET:
        _check_engagement(policies.engagement, spec, faults)


def _check_suppressions(
    rules: Iterable[SuppressionSpec], spec: WorkspaceSpec, faults: Faults
) -> None:
    seen: dict[str, None] = {}
    for index, rule in enumerate(rules):
        where: Path = ("policies", "suppress", index)
        check_purposes(rule.purposes, where, spec, faults)
        _check_twice(rule.name, "suppressions", seen, where, faults)


def _check_twice(name: str, noun: str, seen: dict[str, None], where: Path, faults: Faults) -> None:
    if name in seen:
        message = f"two {noun} are named {quote(name)}"
        faults.add((*where, "name"), message, "the audit trail needs two names")
    seen[name] = None


def _check_holidays(holidays: HolidaysSpec, spec: WorkspaceSpec, faults: Faults) -> None:
    path: Path = ("policies", "holidays")
    check_purposes(holidays.purposes, path, spec, faults)
    if holidays.calendar == CUSTOMER_CALENDAR:
        return
    if holidays.calendar.upper() in COUNTRIES:
        check_country(holidays.calendar, (*path, "calendar"), faults)
    else:
        message = f"unknown calendar {quote(holidays.calendar)}"
        hint = suggest(holidays.calendar, (CUSTOMER_CALENDAR,)) or "write customer, or a country"
        faults.add((*path, "calendar"), message, hint)


def _check_blackouts(
    blackouts: Iterable[BlackoutSpec], spec: WorkspaceSpec, names: Names, faults: Faults
) -> None:
    seen: dict[str, None] = {}
    for index, blackout in enumerate(blackouts):
        where: Path = ("policies", "blackouts", index)
        check_purposes(blackout.purposes, where, spec, faults)
        names.check_all("channels", blackout.channels, (*where, "channels"))
        for place, country in enumerate(blackout.countries):
            check_country(country, (*where, "countries", place), faults)
        _check_twice(blackout.name, "blackouts", seen, where, faults)


def _check_regions(regions: Iterable[str], faults: Faults) -> None:
    for index, name in enumerate(regions):
        if name not in load_packs():
            message = f"unknown region {quote(name)}"
            hint = suggest(name, load_packs(), "regions")
            faults.add(("policies", "regions", index), message, hint)


def _check_engagement(engagement: EngagementSpec, spec: WorkspaceSpec, faults: Faults) -> None:
    path: Path = ("policies", "engagement")
    check_purposes(engagement.purposes, path, spec, faults)
    high, low = engagement.high, engagement.low
    if high is UNSET and low is UNSET and not faults.touches(path):
        message = "without `high` and `low` engagement changes nothing"
        faults.add(path, message, "write high: {rate: 0.5, factor: 1.5}, or low")
    if high is not UNSET and low is not UNSET and low.rate >= high.rate:
        message = "the low rate must lie below the high one"
        faults.add((*path, "low", "rate"), message, f"write less than {high.rate:g}")


def check_country(country: str, path: Path, faults: Faults, *, at_key: bool = False) -> None:
    """Note what is no country, with what it may have meant."""
    if country in COUNTRIES:
        return
    hint = "write two capital letters, like ZA"
    if country.upper() in COUNTRIES:
        hint = f"did you mean {country.upper()!r}?"
    faults.add(path, f"unknown country {quote(country)}", hint, at_key=at_key)


def _purposes(spec: WorkspaceSpec) -> list[str]:
    kinds = spec.message_types.values()
    return list(dict.fromkeys((*PURPOSES_KNOWN, *(kind.purpose for kind in kinds))))


def check_purpose(
    purpose: str, path: Path, spec: WorkspaceSpec, faults: Faults, *, at_key: bool = False
) -> None:
    """Note a purpose that no message type has."""
    known = _purposes(spec)
    if purpose not in known and not faults.touches(("message_types",)):
        hint = suggest(purpose, known, "purposes")
        faults.add(path, f"no message type has the purpose {quote(purpose)}", hint, at_key=at_key)


def check_purposes(
    purposes: Iterable[str], path: Path, spec: WorkspaceSpec, faults: Faults
) -> None:
    """Note purposes that no message type has."""
    for index, purpose in enumerate(purposes):
        check_purpose(purpose, (*path, "purposes", index), spec, faults)
