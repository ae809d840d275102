"""What another workspace would do to the people in flight, before it is in force.

Asked by `journeys` for a server, and by the command line for a data folder. Nothing is changed;
what is said holds for who is where at this moment.
"""

from collections.abc import Iterable

from actors.rows import StayCount
from adapters.gateway.journeyviews import Plan, PlannedChange
from engine.journeys.migrations import find_fate
from engine.program.outline import outline
from engine.program.program import Program
from engine.proposals import find_deleted


def make_plan(counts: Iterable[StayCount], running: Program, planned: Program) -> Plan:
    """Tell what becomes of people where they are; `running` has the versions they are in."""
    archive = {**running.archive, **{one.version: one for one in running.journeys.values()}}
    after = planned.with_archive(archive)
    changes = [_change(count, after) for count in counts]
    return Plan(
        program=planned.version,
        in_force=running.version,
        people=sum(one.people for one in changes),
        changes=changes,
    )


def _change(count: StayCount, after: Program) -> PlannedChange:
    step = after.step_at(count.journey, count.version, count.position)
    fate = find_fate(after, count.journey, count.version, [count.position])
    current = after.journeys.get(count.journey)
    becomes, to = "stays", ""
    if fate.leaves:
        becomes, to = "leaves", fate.leaves
    elif fate.position is not None and current is not None:
        becomes, to = "moves", current.code[fate.position].step
    elif current is not None and current.version == count.version:
        becomes = "same"
    return PlannedChange(
        journey=count.journey,
        version=count.version,
        step=step,
        people=count.people,
        becomes=becomes,  # type: ignore[arg-type]
        to=to,
        skipped=_skipped(count, step, after) if becomes == "stays" else [],
    )


def _skipped(count: StayCount, step: str, after: Program) -> list[str]:
    """Name the steps ahead in the version people stay in that would send nothing."""
    journey = after.journey(count.journey, count.version)
    if journey is None:
        return []
    ahead = outline(journey).ahead(step)
    return [
        name
        for name, messages in journey.offers.items()
        if name in ahead
        and all(find_deleted(after, count.journey, name, one) is not None for one in messages)
    ]
