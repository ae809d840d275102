"""Moves that choose a way or change what a stay knows: `switch`, `split`, `repeat`, `set`, `emit`.

Called by `moves`, which runs instances. Each gives where to go on, or None to stop here.

*Rules*
- The arm of a `split` is a hash of the workspace's seed, the journey, the step and the customer:
  who was in an arm once is in it again, as long as the arms and their weights stay.
- A variable belongs to the stay, so branches share it. A counter of `repeat` is one, too; it begins
  anew whenever its step is reached.
- An event that a journey emits happens once everything else that the input led to is done; the
  journey stops at the step until then, so it sees what its event changed.
"""

from itertools import accumulate
from typing import Any

import msgspec

from engine.events import Event, EventKind
from engine.ids import stable_hash
from engine.journeys.scopes import step_scope
from engine.limits import EMIT_BYTES_MAX, EMITS_MAX, VARIABLE_BYTES_MAX, VARIABLES_MAX
from engine.lineage import topmost, variables
from engine.profile import Instance
from engine.program.journey import Instruction
from engine.program.quick_values import write_text
from engine.records import Allotted, Moved, Remembered, Truncated
from engine.turn import Emission, Turn

_DRAWN_BITS = 64  # of a hash


def switch(turn: Turn, instance: Instance, instruction: Instruction, _position: int) -> int:
    """Go to the case that is called what the value is written as."""
    assert instruction.condition is not None
    value = instruction.condition.evaluate(step_scope(turn, instance))
    return instruction.cases.get(write_text(value), instruction.target)


def split(turn: Turn, instance: Instance, instruction: Instruction, _position: int) -> int:
    """Go to the customer's arm, and put down which that is."""
    arm = _draw(turn, instance, instruction)
    turn.note(Allotted(instance.id, instance.journey, instruction.step, arm, turn.now))
    return instruction.cases.get(arm, instruction.target)


def _draw(turn: Turn, instance: Instance, instruction: Instruction) -> str:
    names = (str(turn.program.seed), instance.journey, instruction.step, turn.profile.customer)
    drawn = int.from_bytes(stable_hash("split", *names), "big") / 2**_DRAWN_BITS
    ends = list(accumulate(weight for _, weight in instruction.weights))
    for (arm, _), end in zip(instruction.weights, ends, strict=True):
        if drawn * ends[-1] < end:
            return arm
    return instruction.weights[-1][0]


def repeat(turn: Turn, instance: Instance, instruction: Instruction, position: int) -> int:
    """Go through the steps once more, unless that was often enough."""
    count = variables(turn.profile, instance).get(instruction.trait, 0)
    condition = instruction.condition
    is_over = count >= instruction.times
    if is_over or not (condition is None or condition.test(step_scope(turn, instance))):
        _put(turn, instance, instruction.trait, None)
        return instruction.target
    _put(turn, instance, instruction.trait, count + 1)
    return position + 1


def remember(turn: Turn, instance: Instance, instruction: Instruction, position: int) -> int:
    """Set a variable, if there is room for it; absent, it is taken away."""
    assert instruction.condition is not None
    value = instruction.condition.evaluate(step_scope(turn, instance))
    keep(turn, instance, instruction.trait, value)
    return position + 1


def keep(turn: Turn, instance: Instance, name: str, value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Set a variable of a stay, if there is room for it; None takes it away."""
    known = variables(turn.profile, instance)
    if value is not None and name not in known and len(known) >= VARIABLES_MAX:
        turn.note(Truncated("variables", f"{instance.journey}.{name}"))
    elif _size(value) > VARIABLE_BYTES_MAX:
        turn.note(Truncated("variable_bytes", f"{instance.journey}.{name}"))
    else:
        _put(turn, instance, name, value)


def _put(turn: Turn, instance: Instance, name: str, value: Any) -> None:  # noqa: ANN401 - any JSON value
    turn.note(Remembered(topmost(turn.profile, instance).id, name, value))


def emit(turn: Turn, instance: Instance, instruction: Instruction, position: int) -> int | None:
    """Stop here for an event to happen, which is seen to when the input is."""
    name, now, scope = instruction.event, turn.now, step_scope(turn, instance)
    told = {key: value.evaluate(scope) for key, value in instruction.properties}
    properties = {key: value for key, value in told.items() if value is not None}
    if turn.emits >= EMITS_MAX:
        turn.note(Truncated("emits", name))
        return position + 1
    if _size(properties) > EMIT_BYTES_MAX:
        turn.note(Truncated("emit_bytes", name))
        return position + 1
    turn.emits += 1
    if position != instance.position:
        turn.note(Moved(instance.id, position))
    event = Event("", EventKind.TRACK, name, None, None, now, now, properties)
    turn.emissions.append(Emission(event, instance.id))
    return None


def _size(value: Any) -> int:  # noqa: ANN401 - any JSON value
    return len(msgspec.json.encode(value))
