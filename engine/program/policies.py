"""The contact policy, compiled to its frozen tables.

Called by `compile`, like `sections`, with a spec whose parts fit together.
"""

import msgspec
from msgspec import UNSET

from engine.limits import BLACKOUT_DAYS_MAX
from engine.program.leaves import Leaves
from engine.program.places import Path, format_path
from engine.program.policymodel import CUSTOMER_CALENDAR, EngagementLevelSpec, PoliciesSpec
from engine.program.program import (
    Backoff,
    Blackout,
    Cooldown,
    EngagementPolicy,
    Holidays,
    SharedCap,
    Suppression,
    WorkspacePace,
)


def compile_shared_caps(policies: PoliciesSpec, leaves: Leaves) -> tuple[SharedCap, ...]:
    """Compile the caps over several channels."""
    shared: list[SharedCap] = []
    for index, spec in enumerate(policies.caps):
        rule: Path = ("policies", "caps", index)
        cap = leaves.cap(spec.limit, (*rule, "limit"))
        if cap is not None:
            cap = msgspec.structs.replace(cap, rule=format_path(rule))
            shared.append(SharedCap(cap, spec.channels, spec.purposes))
    return tuple(shared)


def compile_backoff(policies: PoliciesSpec, leaves: Leaves) -> Backoff | None:
    """Compile the growing gap."""
    spec = policies.backoff
    if spec is UNSET:
        return None
    gap_ms = leaves.duration(spec.gap, ("policies", "backoff", "gap"))
    return Backoff(spec.from_, gap_ms, spec.factor)


def compile_cooldown(policies: PoliciesSpec, leaves: Leaves) -> Cooldown | None:
    """Compile the least gap."""
    spec = policies.cooldown
    if spec is UNSET:
        return None
    gap_ms = leaves.duration(spec.gap, ("policies", "cooldown", "gap"))
    return Cooldown(gap_ms, spec.purposes)


def compile_suppressions(policies: PoliciesSpec, leaves: Leaves) -> list[Suppression]:
    """Compile the silences after events, in the order in which they are written."""
    rules: list[Suppression] = []
    for index, spec in enumerate(policies.suppress):
        path: Path = ("policies", "suppress", index)
        rules.append(
            Suppression(
                name=spec.name,
                event=spec.after,
                condition=leaves.condition_or_none(spec.if_, (*path, "if")),
                for_ms=leaves.duration(spec.for_, (*path, "for")),
                purposes=spec.purposes,
                rule=format_path(path),
            )
        )
    return rules


def compile_holidays(policies: PoliciesSpec, leaves: Leaves) -> Holidays | None:
    """Compile the public holidays."""
    spec = policies.holidays
    if spec is UNSET:
        return None
    calendar = "" if spec.calendar == CUSTOMER_CALENDAR else spec.calendar
    except_on = leaves.days(spec.except_, ("policies", "holidays", "except"))
    return Holidays(calendar, spec.purposes, except_on)


def compile_blackouts(policies: PoliciesSpec, leaves: Leaves) -> dict[int, tuple[Blackout, ...]]:
    """Compile the days on which nothing goes out, each with what closes it."""
    closed: dict[int, tuple[Blackout, ...]] = {}
    for blackout in _read_blackouts(policies, leaves):
        for day in range(blackout.first_on, blackout.last_on + 1):
            if day not in blackout.except_on:
                closed[day] = (*closed.get(day, ()), blackout)
    return closed


def _read_blackouts(policies: PoliciesSpec, leaves: Leaves) -> list[Blackout]:
    blackouts: list[Blackout] = []
    for index, spec in enumerate(policies.blackouts):
        path: Path = ("policies", "blackouts", index)
        first_on = leaves.day(spec.from_, (*path, "from"))
        last_on = first_on if spec.to is UNSET else leaves.day(spec.to, (*path, "to"))
        if last_on < first_on:
            message = "the last day lies before the first"
            leaves.faults.add((*path, "to"), message, "write the later of the two as `to`")
        if last_on - first_on > BLACKOUT_DAYS_MAX:
            message = f"a blackout has {BLACKOUT_DAYS_MAX} days at most"
            leaves.faults.add(
                (*path, "to"), message, "leave the channel or the journey out instead"
            )
            last_on = first_on
        blackouts.append(
            Blackout(
                name=spec.name,
                first_on=first_on,
                last_on=last_on,
                except_on=leaves.days(spec.except_, (*path, "except")),
                purposes=spec.purposes,
                channels=spec.channels,
                countries=spec.countries,
                rule=format_path(path),
            )
        )
    return blackouts


def compile_engagement(policies: PoliciesSpec, leaves: Leaves) -> EngagementPolicy | None:
    """Compile how engagement changes caps."""
    spec = policies.engagement
    if spec is UNSET:
        return None
    return EngagementPolicy(
        window_ms=leaves.duration(spec.window, ("policies", "engagement", "window")),
        least=spec.least,
        high=None if spec.high is UNSET else _level(spec.high),
        low=None if spec.low is UNSET else _level(spec.low),
        purposes=spec.purposes,
    )


def _level(spec: EngagementLevelSpec) -> tuple[float, float]:
    return spec.rate, spec.factor


def compile_pacing(policies: PoliciesSpec) -> WorkspacePace | None:
    """Compile the pace of all channels together."""
    spec = policies.pacing
    return None if spec is UNSET else WorkspacePace(spec.per_second, spec.burst)
