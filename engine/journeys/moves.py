"""The journey machine: from where an instance stands to where it waits or ends.

Called by `decide` for instances that entered, whose wait is over or whose message was decided.

*Rules*
- An instance moves until it waits: for time, for an event, or for its message to be decided.
- A deferred message holds its instance at the send step; once the message is sent or dropped, the
  instance goes on.
- Moves of one input are bounded; an instance that exceeds the bound leaves with reason `loop`.
- A branch is an instance of its own, whose parent stands at the `parallel` step. When the branches
  have ended, or the first of them has, the others are ended and the parent goes on.
- Whatever makes an instance leave ends the whole stay, with all its branches.
- Only the place where an instance stops is put down: an input commits as a whole, so the places
  between are nobody's past.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from engine.choice.ways import Proposal
from engine.events import Answered
from engine.instants import DAY_MS
from engine.journeys.calls import find_waiting, prepare
from engine.journeys.forks import emit, keep, remember, repeat, split, switch
from engine.journeys.scopes import step_scope
from engine.journeys.triggers import admit
from engine.limits import INSTANCES_MAX, PENDING_MAX, STEP_MOVES_MAX
from engine.lineage import family, topmost, variables
from engine.place import find_place
from engine.profile import Instance
from engine.program.journey import Instruction, Journey, Op, WaitFor
from engine.proposals import propose, propose_best, withdraw
from engine.reasons import Outcome, Reason
from engine.records import (
    Branched,
    BranchEnded,
    CallRecalled,
    Exited,
    Moved,
    Truncated,
    Unmatched,
    WakeCleared,
    WakeSet,
)
from engine.segments import assign
from engine.turn import Turn

UNBOUNDED_WAIT_MS = 3_650 * DAY_MS  # a `wait_for` without `up_to`: ten years is for ever here

# A move answers where to go on, or None when the instance stopped here.
Move = Callable[[Turn, Instance, Instruction, int], int | None]


def run(turn: Turn, number: int) -> None:
    """Move an instance on until it waits or ends; after its last branch, a parent goes on."""
    following: int | None = number
    while following is not None:
        following = _advance(turn, following)


def _advance(turn: Turn, number: int) -> int | None:
    """Move one instance until it waits or ends; gives its parent where that is to go on now."""
    instance = turn.profile.instances.get(number)
    if instance is None:
        return None
    journey = turn.program.journey(instance.journey, instance.version)
    if journey is None:
        leave(turn, instance, "version_gone", Reason.JOURNEY_EXITED)
        return None
    code = journey.code
    position: int | None = instance.position
    while position is not None and number in turn.profile.instances:
        if position >= len(code):
            leave(turn, instance, "completed")
            return None
        turn.moves += 1
        if turn.moves > STEP_MOVES_MAX:
            turn.note(Truncated("moves", journey.name))
            leave(turn, instance, "loop", Reason.JOURNEY_EXITED)
            return None
        instruction = code[position]
        if instruction.op is Op.END:
            return _join(turn, instance)
        position = _MOVES[instruction.op](turn, instance, instruction, position)
    return None


def resume(turn: Turn, instance: Instance, position: int) -> None:
    """Go on from another place: a wait is over or a message was decided."""
    if instance.timer:
        timer = turn.profile.timers.get(instance.timer)
        if timer is not None:
            turn.note(WakeCleared(instance.timer, timer.at))
    turn.note(Moved(instance.id, position))
    run(turn, instance.id)


def leave(
    turn: Turn,
    instance: Instance,
    reason: str,
    dropped: Reason = Reason.JOURNEY_EXITED,
    *,
    converted: bool = False,
    taken_out: bool = False,
) -> None:
    """End a stay: what it has pending is dropped first, its timers and branches are forgotten."""
    stay = topmost(turn.profile, instance)
    _stop(turn, family(turn.profile, stay), dropped)
    turn.note(Exited(stay.id, stay.journey, reason, turn.now, converted, taken_out))


def _stop(turn: Turn, members: Sequence[Instance], dropped: Reason) -> None:
    """Drop what instances have pending, and halt them."""
    profile = turn.profile
    if profile.pending:
        numbers = [one.id for one in members]
        for pending in list(profile.pending.values()):
            if pending.instance in numbers:
                withdraw(turn, pending, dropped)
    halt(turn, members)


def halt(turn: Turn, members: Sequence[Instance]) -> None:
    """Forget the timers of instances, take back their calls, and end those that are branches."""
    for one in reversed(members):
        timer = turn.profile.timers.get(one.timer)
        if timer is not None:
            turn.note(WakeCleared(one.timer, timer.at))
        if one.call:
            turn.note(CallRecalled(one.call))
        if one.parent:
            turn.note(BranchEnded(one.id))


def time_out(turn: Turn, instance: Instance) -> None:
    """Go on where the time of waiting is over: with what comes next, or with the `else` steps."""
    instruction = current(turn, instance)
    has_failed = instruction is not None and instruction.op in (Op.WAIT_FOR, Op.CALL)
    resume(
        turn, instance, instruction.target if has_failed and instruction else instance.position + 1
    )


def take_answer(turn: Turn, answered: Answered) -> None:
    """Go on with what was answered to a call, if its instance still waits for that."""
    instance = find_waiting(turn, answered)
    instruction = current(turn, instance) if instance is not None else None
    if instance is None or instruction is None or instruction.call is None:
        turn.note(Unmatched("answer"))
        return
    if answered.is_good and instruction.call.into:
        keep(turn, instance, instruction.call.into, answered.body)
    resume(turn, instance, instance.position + 1 if answered.is_good else instruction.target)


def waited_from(instance: Instance, instruction: Instruction | None) -> int | None:
    """Tell since when an instance waits for time to pass, or up to some time for something.

    What was waited in an older version counts. None where it does not wait so.
    """
    if instruction is None or instance.waiting_until is None:
        return None
    if instruction.op not in (Op.WAIT, Op.WAIT_FOR):
        return None
    return instance.waiting_until - (instruction.duration_ms or UNBOUNDED_WAIT_MS)


def current(turn: Turn, instance: Instance) -> Instruction | None:
    """Give the instruction an instance stands before."""
    journey = turn.program.journey(instance.journey, instance.version)
    if journey is None or instance.position >= len(journey.code):
        return None
    return journey.code[instance.position]


def waiting(
    turn: Turn, versions: Collection[str] | None = None
) -> Iterator[tuple[Instance, WaitFor]]:
    """Give the instances that wait for something; one that goes on may end others meanwhile.

    Where `versions` are named, only those in one of them.
    """
    for instance in list(turn.profile.instances.values()):
        if versions is not None and instance.version not in versions:
            continue
        if not instance.timer or instance.id not in turn.profile.instances:
            continue
        instruction = current(turn, instance)
        if instruction is not None and instruction.wait_for is not None:
            yield instance, instruction.wait_for


def has_engaged(turn: Turn, instance: Instance, wait: WaitFor) -> bool:
    """Say whether the customer engaged with what an earlier step of this stay sent last."""
    stay, proposal = topmost(turn.profile, instance).id, 0
    for sent in reversed(turn.profile.sends.values()):
        if sent.instance != stay or sent.step != wait.engagement:
            continue
        if proposal not in (0, sent.proposal):
            break  # of an earlier time around
        proposal = sent.proposal
        if any(status in wait.kinds for status in sent.statuses):
            return True
    return False


def _send(turn: Turn, instance: Instance, instruction: Instruction, position: int) -> int | None:
    profile = turn.profile
    names = instruction.messages or (instruction.message,)
    if len(profile.pending) >= PENDING_MAX:
        turn.note(Truncated("pending", names[0]))
        return position + 1
    if position != instance.position:
        turn.note(Moved(instance.id, position))
    proposal = Proposal(
        profile.proposal_count + 1,
        names[0],
        instance.journey,
        instance.id,
        instruction.step,
        turn.now,
        instruction.channel,
        event=instance.event,
        vars=variables(profile, instance),
    )
    outcome = propose(turn, proposal) if len(names) == 1 else propose_best(turn, proposal, names)
    return None if outcome is Outcome.DEFER else position + 1


def _wait(turn: Turn, instance: Instance, instruction: Instruction, position: int) -> None:
    _pause(turn, instance, position, turn.now + instruction.duration_ms)


def _wait_until(
    turn: Turn, instance: Instance, instruction: Instruction, position: int
) -> int | None:
    assert instruction.until is not None
    zone = find_place(turn.profile, turn.program).zones[0]
    until_at = instruction.until(step_scope(turn, instance), zone)
    if until_at is None or until_at <= turn.now:
        return position + 1  # a date that is unknown or past is nothing to wait for
    _pause(turn, instance, position, until_at)
    return None


def _wait_for(
    turn: Turn, instance: Instance, instruction: Instruction, position: int
) -> int | None:
    wait = instruction.wait_for
    assert wait is not None
    if wait.engagement and has_engaged(turn, instance, wait):
        return position + 1
    if wait.segment and step_scope(turn, instance).in_segment(wait.segment):
        return position + 1
    _pause(turn, instance, position, turn.now + (instruction.duration_ms or UNBOUNDED_WAIT_MS))
    return None


def _if(turn: Turn, instance: Instance, instruction: Instruction, position: int) -> int:
    assert instruction.condition is not None
    holds = instruction.condition.test(step_scope(turn, instance))
    return position + 1 if holds else instruction.target


def _jump(_turn: Turn, _instance: Instance, instruction: Instruction, _position: int) -> int:
    return instruction.target


def _call(turn: Turn, instance: Instance, instruction: Instruction, position: int) -> int | None:
    assert instruction.call is not None
    called = prepare(turn, instance, instruction.step, instruction.call, step_scope(turn, instance))
    if called.refused:
        turn.note(called)
        return instruction.target
    if position != instance.position:
        turn.note(Moved(instance.id, position))
    turn.note(called)
    _pause(turn, instance, position, turn.now + called.timeout_ms)
    return None


def _start(turn: Turn, instance: Instance, instruction: Instruction, position: int) -> int:
    journey: Journey | None = turn.program.journeys.get(instruction.journey)
    if journey is not None:
        scope = turn.scope(instance.event, instance.event_name)
        number = admit(turn, journey, scope, since_at=instance.since_at, depth=instance.depth + 1)
        if number is not None:
            run(turn, number)
    return position + 1


def _parallel(
    turn: Turn, instance: Instance, instruction: Instruction, position: int
) -> int | None:
    """Begin all branches, then move each; gives where to go on if they are joined at once."""
    profile = turn.profile
    if len(profile.instances) + len(instruction.cases) > INSTANCES_MAX:
        turn.note(Truncated("instances", instance.journey))
        return instruction.target
    if position != instance.position:
        turn.note(Moved(instance.id, position))
    numbers: list[int] = []
    for begins in instruction.cases.values():
        numbers.append(profile.instance_count + 1)
        turn.note(Branched(numbers[-1], instance.id, begins, turn.now))
    # Not by `run`: what follows the join is moved by whoever moves this instance, not within it.
    joined = [number for number in numbers if _advance(turn, number) is not None]
    return instruction.target if joined else None


def _join(turn: Turn, branch: Instance) -> int | None:
    """End a branch; gives its parent if that was what it stood waiting for."""
    parent = turn.profile.instances[branch.parent]
    parallel = current(turn, parent)
    turn.note(BranchEnded(branch.id))
    others = [one for one in turn.profile.instances.values() if one.parent == parent.id]
    if parallel is None or parallel.op is not Op.PARALLEL or (others and not parallel.joins_any):
        return None
    for other in others:
        _stop(turn, family(turn.profile, other), Reason.BRANCH_ENDED)
    turn.note(Moved(parent.id, parallel.target))
    return parent.id


def _set(turn: Turn, instance: Instance, instruction: Instruction, position: int) -> int:
    assert instruction.condition is not None
    value: Any = instruction.condition.evaluate(step_scope(turn, instance))
    assign(turn, instruction.trait, value)
    return position + 1


def _exit(turn: Turn, instance: Instance, instruction: Instruction, _position: int) -> None:
    leave(turn, instance, instruction.reason)


def _pause(turn: Turn, instance: Instance, position: int, until_at: int) -> None:
    if position != instance.position:
        turn.note(Moved(instance.id, position))
    turn.note(WakeSet(turn.profile.timer_count + 1, until_at, "instance", instance.id))


_MOVES: dict[Op, Move] = {
    Op.SEND: _send,
    Op.WAIT: _wait,
    Op.WAIT_UNTIL: _wait_until,
    Op.WAIT_FOR: _wait_for,
    Op.IF: _if,
    Op.JUMP: _jump,
    Op.START: _start,
    Op.SET: _set,
    Op.EXIT: _exit,
    Op.CALL: _call,
    Op.SWITCH: switch,
    Op.SPLIT: split,
    Op.REPEAT: repeat,
    Op.REMEMBER: remember,
    Op.EMIT: emit,
    Op.PARALLEL: _parallel,
    Op.DECIDE: _send,
}
