"""Journeys' steps as written → a flat list of instructions with jumps.

Called by `compile` for each journey. `if` and `wait_for` become an instruction that goes on when
the condition held (or what was waited for came) and jumps to the `else` steps otherwise; the
`then` steps end with a jump over the `else` steps. `switch` and `split` jump to the steps of a
case, which end with a jump behind them all; the branches of `parallel` each have an end. `repeat`
counts in a variable, which it begins with; its steps end with a jump to where it counts.
"""

from collections.abc import Callable, Mapping

from msgspec import UNSET

from engine.program.calls import compile_call
from engine.program.condition import Condition
from engine.program.journey import Instruction, Op, WaitFor
from engine.program.journeymodel import StepSpec, ValueSpec, WaitForSpec, WaitUntilSpec
from engine.program.leaves import Leaves
from engine.program.nesting import name_step, nested_steps, place_steps
from engine.program.places import Path

ENGAGEMENT_DEFAULT = ("opened", "clicked", "replied")

# The keys that say what a step does; each step has exactly one.
ACTIONS = (
    *("send", "decide", "wait", "until", "wait_for", "if", "switch", "split", "parallel", "repeat"),
    *("start", "webhook", "emit", "set", "exit"),
)
VARIABLE = "journey."  # what the names of variables begin with, in `set`


def name_actions(step: StepSpec) -> list[str]:
    """List what a step says it does; a right step says one thing."""
    stated = {
        "send": bool(step.send),
        "decide": bool(step.decide),
        "wait": step.wait is not UNSET,
        "until": bool(step.until),
        "wait_for": step.wait_for is not UNSET,
        "if": bool(step.if_),
        "switch": bool(step.switch),
        "split": bool(step.split),
        "parallel": bool(step.parallel),
        "repeat": step.repeat is not UNSET,
        "start": bool(step.start),
        "emit": bool(step.emit),
        "set": bool(step.set),
        "exit": bool(step.exit),
        "webhook": step.webhook is not UNSET,
    }
    return [action for action in ACTIONS if stated[action]]


def compile_steps(steps: tuple[StepSpec, ...], path: Path, leaves: Leaves) -> list[Instruction]:
    """Compile a journey's steps; `path` is that of the list of steps."""
    code: list[Instruction] = []
    _compile_list(steps, path, leaves, code)
    return code


def _compile_list(
    steps: tuple[StepSpec, ...], path: Path, leaves: Leaves, code: list[Instruction]
) -> None:
    for step, step_path in place_steps(steps, path):
        for action in name_actions(step)[:1]:
            if action in _NESTING:
                _NESTING[action](step, step_path, leaves, code)
            else:
                code.extend(_PLAIN[action](step, name_step(step, step_path), step_path, leaves))


def _compile_branches(step: StepSpec, path: Path, leaves: Leaves, code: list[Instruction]) -> None:
    name = name_step(step, path)
    head = len(code)
    code.append(Instruction(Op.JUMP, name))  # its place is kept until its target is known
    _compile_list(step.then, (*path, "then"), leaves, code)
    skip = len(code)
    if step.else_:
        code.append(Instruction(Op.JUMP, name))
    target = len(code)
    _compile_list(step.else_, (*path, "else"), leaves, code)
    if step.else_:
        code[skip] = Instruction(Op.JUMP, name, target=len(code))
    if step.webhook is not UNSET:
        plan = compile_call(step.webhook, step.into, (*path, "webhook"), leaves)
        code[head] = Instruction(Op.CALL, name, call=plan, target=target)
    elif step.wait_for is UNSET:
        condition = leaves.condition(step.if_, (*path, "if"))
        code[head] = Instruction(Op.IF, name, condition=condition, target=target)
    else:
        code[head] = _compile_wait_for(step.wait_for, name, target, path, leaves)


def _compile_cases(step: StepSpec, path: Path, leaves: Leaves, code: list[Instruction]) -> None:
    name, head = name_step(step, path), len(code)
    code.append(Instruction(Op.JUMP, name))  # its place is kept, as are those of the jumps below
    begins: dict[Path, int] = {}
    ends: list[int] = []
    for steps, within in nested_steps(step, path):
        begins[within] = len(code)
        _compile_list(steps, within, leaves, code)
        ends.append(len(code))
        code.append(Instruction(Op.JUMP, name))
    behind = len(code)
    for end in ends:
        code[end] = Instruction(Op.JUMP, name, target=behind)
    cases = {case: begins[*path, "cases", case] for case in step.cases}
    if step.split:
        weights = tuple(step.split.items())
        code[head] = Instruction(Op.SPLIT, name, weights=weights, cases=cases, target=behind)
    else:
        value, target = leaves.value(step.switch, (*path, "switch")), begins.get((*path, "else"))
        code[head] = Instruction(
            Op.SWITCH, name, condition=value, cases=cases, target=target or behind
        )


def _compile_parallel(step: StepSpec, path: Path, leaves: Leaves, code: list[Instruction]) -> None:
    name, head = name_step(step, path), len(code)
    code.append(Instruction(Op.JUMP, name))
    begins: dict[str, int] = {}
    for steps, within in nested_steps(step, path):
        begins[str(within[-1])] = len(code)
        _compile_list(steps, within, leaves, code)
        code.append(Instruction(Op.END, name))
    joins_any = step.join == "any"
    code[head] = Instruction(Op.PARALLEL, name, cases=begins, joins_any=joins_any, target=len(code))


def _compile_repeat(step: StepSpec, path: Path, leaves: Leaves, code: list[Instruction]) -> None:
    assert step.repeat is not UNSET
    name = name_step(step, path)
    counter = f"repeat:{name}"
    code.append(Instruction(Op.REMEMBER, name, trait=counter, condition=_constant(0)))
    head = len(code)
    code.append(Instruction(Op.JUMP, name))
    _compile_list(step.steps, (*path, "steps"), leaves, code)
    code.append(Instruction(Op.JUMP, name, target=head))
    condition = leaves.condition_or_none(step.while_, (*path, "while"))
    code[head] = Instruction(
        Op.REPEAT, name, trait=counter, times=step.repeat, condition=condition, target=len(code)
    )


def _compile_wait_for(
    spec: WaitForSpec, name: str, target: int, path: Path, leaves: Leaves
) -> Instruction:
    path = (*path, "wait_for")
    wait_for = WaitFor(
        event=spec.event,
        condition=leaves.condition_or_none(spec.if_, (*path, "if")),
        segment=spec.segment,
        engagement=spec.engagement,
        kinds=(spec.kinds or ENGAGEMENT_DEFAULT) if spec.engagement else (),
    )
    longest_ms = 0 if spec.up_to is UNSET else leaves.duration(spec.up_to, (*path, "up_to"))
    return Instruction(Op.WAIT_FOR, name, duration_ms=longest_ms, wait_for=wait_for, target=target)


def _send(step: StepSpec, name: str, _path: Path, _leaves: Leaves) -> list[Instruction]:
    return [Instruction(Op.SEND, name, message=step.send, channel=step.channel)]


def _wait(step: StepSpec, name: str, path: Path, leaves: Leaves) -> list[Instruction]:
    wait = step.wait
    assert wait is not UNSET
    if isinstance(wait, WaitUntilSpec):
        until = leaves.until(wait.until, (*path, "wait", "until"))
        return [Instruction(Op.WAIT_UNTIL, name, until=until)]
    return [Instruction(Op.WAIT, name, duration_ms=leaves.duration(wait, (*path, "wait")))]


def _until(step: StepSpec, name: str, path: Path, leaves: Leaves) -> list[Instruction]:
    until = leaves.until(step.until, (*path, "until"))
    return [Instruction(Op.WAIT_UNTIL, name, until=until)]


def _start(step: StepSpec, name: str, _path: Path, _leaves: Leaves) -> list[Instruction]:
    return [Instruction(Op.START, name, journey=step.start)]


def _set(step: StepSpec, name: str, path: Path, leaves: Leaves) -> list[Instruction]:
    return [
        Instruction(
            Op.REMEMBER if trait.startswith(VARIABLE) else Op.SET,
            name,
            trait=trait.removeprefix(VARIABLE),
            condition=condition,
        )
        for trait, condition in compile_values(step.set, (*path, "set"), leaves)
    ]


def _emit(step: StepSpec, name: str, path: Path, leaves: Leaves) -> list[Instruction]:
    properties = compile_values(step.properties, (*path, "properties"), leaves)
    return [Instruction(Op.EMIT, name, event=step.emit, properties=properties)]


def _decide(step: StepSpec, name: str, _path: Path, _leaves: Leaves) -> list[Instruction]:
    return [Instruction(Op.DECIDE, name, messages=step.decide, channel=step.channel)]


def compile_values(
    values: Mapping[str, str | float | ValueSpec], path: Path, leaves: Leaves
) -> tuple[tuple[str, Condition], ...]:
    """Compile names and their new values, constants or computed, in order of the names."""
    return tuple(
        (
            trait,
            leaves.value(value.cel, (*path, trait, "cel"))
            if isinstance(value, ValueSpec)
            else _constant(value),
        )
        for trait, value in sorted(values.items())
    )


def _exit(step: StepSpec, name: str, _path: Path, _leaves: Leaves) -> list[Instruction]:
    return [Instruction(Op.EXIT, name, reason=step.exit)]


def _constant(value: str | float) -> Condition:
    return Condition(repr(value), test=lambda _: value is True, evaluate=lambda _: value)


_Plain = Callable[[StepSpec, str, Path, Leaves], list[Instruction]]
_PLAIN: dict[str, _Plain] = {
    "send": _send,
    "decide": _decide,
    "wait": _wait,
    "until": _until,
    "start": _start,
    "emit": _emit,
    "set": _set,
    "exit": _exit,
}

# Steps with lists of steps within them.
_Nesting = Callable[[StepSpec, Path, Leaves, list[Instruction]], None]
_NESTING: dict[str, _Nesting] = {
    "if": _compile_branches,
    "wait_for": _compile_branches,
    "webhook": _compile_branches,
    "switch": _compile_cases,
    "split": _compile_cases,
    "parallel": _compile_parallel,
    "repeat": _compile_repeat,
}
