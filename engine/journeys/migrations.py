"""Another workspace is in force: whose stays end, who goes on in the new version, and where.

Called by `step` and `decide` before anything else is decided for a customer, and asked by
`actors.reviews`, which looks at everybody, and by whoever plans a workspace.

*Rules*
- Who is in a journey that is not there any more leaves it.
- Who is in an older version goes on in it, unless today's `migrate` says where in today's version
  they go on, or that they leave. What is said of the step they stand at counts before `"*"`.
- Who stands in branches of a `parallel` step moves as a whole: the branches end.
- A wait that takes the place of a wait has the time counted that was waited so far.
- A deferred message whose step is not there any more is dropped.
"""

from collections.abc import Iterable
from typing import NamedTuple

from engine.journeys.moves import UNBOUNDED_WAIT_MS, current, halt, leave, resume, run, waited_from
from engine.journeys.releases import go_on
from engine.lineage import family, stays
from engine.profile import Instance, Pending, Profile
from engine.program.journey import Instruction, Op
from engine.program.journeymodel import EVERY_STEP, EXIT, STAY
from engine.program.program import Program
from engine.proposals import find_deleted, withdraw
from engine.reasons import Reason
from engine.records import Migrated, WakeCleared, WakeSet
from engine.turn import Turn

JOURNEY_DELETED, MIGRATED = "journey_deleted", "migrated"  # why people leave
_WAITS = (Op.WAIT, Op.WAIT_FOR)


class Fate(NamedTuple):
    """What becomes of a stay: it ends for a reason, or goes on before a position, or as it was."""

    leaves: str = ""
    position: int | None = None


_GOES_ON = Fate()


def find_fate(program: Program, journey: str, version: str, positions: Iterable[int]) -> Fate:
    """Tell what a workspace makes of a stay that stands at some places of a version.

    Several places are those of a stay in branches, its own first.
    """
    current = program.journeys.get(journey)
    if current is None:
        return Fate(JOURNEY_DELETED)
    if current.version == version:
        return _GOES_ON
    rule = current.migrate.get(EVERY_STEP, STAY)
    for position in positions:
        step = program.step_at(journey, version, position)
        if step in current.migrate:
            rule = current.migrate[step]
            break
    if rule == EXIT:
        return Fate(MIGRATED)
    return _GOES_ON if rule == STAY else Fate(position=current.position_of(rule))


def is_outdated(profile: Profile, program: Program) -> bool:
    """Say whether today's workspace ends a stay of a customer, moves it, or drops a deferral."""
    journeys = program.journeys
    for instance in profile.instances.values():
        if instance.parent:
            continue
        current = journeys.get(instance.journey)
        is_current = current is not None and current.version == instance.version
        if not is_current and _fate_of(profile, program, instance) != _GOES_ON:
            return True
    for pending in profile.pending.values():  # noqa: SIM110 - asked with every input
        if _is_deleted(program, pending):
            return True
    return False


def migrate(turn: Turn) -> None:
    """Do what today's workspace makes of the stays and deferrals of a customer."""
    profile, program = turn.profile, turn.program
    for stay in stays(profile):
        if stay.id not in profile.instances:
            continue
        fate = _fate_of(profile, program, stay)
        if fate.leaves:
            gone = Reason.JOURNEY_DELETED if fate.leaves == JOURNEY_DELETED else Reason.MIGRATED
            leave(turn, stay, fate.leaves, gone)
        elif fate.position is not None:
            _move(turn, stay, fate.position)
    for pending in list(profile.pending.values()):
        reason = find_deleted(program, pending.journey, pending.step, pending.message)
        if reason is not None and profile.pending.get(pending.proposal) is pending:
            withdraw(turn, pending, reason)
            go_on(turn, pending)


def _fate_of(profile: Profile, program: Program, stay: Instance) -> Fate:
    places = [one.position for one in family(profile, stay)]
    return find_fate(program, stay.journey, stay.version, places)


def _is_deleted(program: Program, pending: Pending) -> bool:
    return find_deleted(program, pending.journey, pending.step, pending.message) is not None


def _move(turn: Turn, stay: Instance, position: int) -> None:
    """Put a stay before a step of today's version, and go on from there."""
    profile, journey = turn.profile, turn.program.journeys[stay.journey]
    since_at = waited_from(stay, current(turn, stay))
    instruction = journey.code[position]
    is_kept = _drop_pending(turn, family(profile, stay), instruction)
    halt(turn, family(profile, stay))
    turn.note(Migrated(stay.id, journey.version, position))
    if is_kept:
        return  # it stands there already, before the same message
    run(turn, stay.id)
    if since_at is not None:
        _count_waited(turn, stay, instruction, position, since_at)


def _drop_pending(turn: Turn, members: list[Instance], instruction: Instruction) -> bool:
    """Drop what is deferred where a stay stood, unless it stands there again; says whether so."""
    stay, branches = members[0], [one.id for one in members[1:]]
    for pending in list(turn.profile.pending.values()):
        is_awaited = pending.proposal == stay.proposal
        is_there = pending.step == instruction.step and pending.message in instruction.offered
        if is_awaited and is_there:
            return True
        if is_awaited or pending.instance in branches:
            withdraw(turn, pending, Reason.MIGRATED)
    return False


def _count_waited(
    turn: Turn, stay: Instance, instruction: Instruction, position: int, since_at: int
) -> None:
    """Have a wait that took the place of another end as if it had begun when that did."""
    instance = turn.profile.instances.get(stay.id)
    if instance is None or instance.position != position or instruction.op not in _WAITS:
        return
    timer = turn.profile.timers.get(instance.timer)
    if timer is None:
        return
    until_at = since_at + (instruction.duration_ms or UNBOUNDED_WAIT_MS)
    if until_at <= turn.now:
        is_over = instruction.op is Op.WAIT_FOR
        resume(turn, instance, instruction.target if is_over else position + 1)
    elif until_at != timer.at:
        turn.note(WakeCleared(instance.timer, timer.at))
        turn.note(WakeSet(turn.profile.timer_count + 1, until_at, "instance", instance.id))
