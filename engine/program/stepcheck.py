"""Whether each step of a journey makes sense on its own: one action, with what belongs to it.

Called by `flow` for every step, those within others included.
"""

import re
from collections.abc import Sequence

from msgspec import UNSET

from engine.program.calls import check_call
from engine.program.faults import Faults, enumerate_names, quote, suggest
from engine.program.journeymodel import StepSpec
from engine.program.nesting import Placed
from engine.program.places import Path
from engine.program.steps import ACTIONS, VARIABLE, name_actions

_WHAT_WAITS = ("event", "segment", "engagement")
_NAMES = ("event.", "entry.", "journey.", "profile.", "context.")  # what conditions begin with
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# The keys that say more about an action, and the actions they belong to.
_OWNERS = {
    "channel": ("send", "decide"),
    "then": ("if", "wait_for", "webhook"),
    "else": ("if", "wait_for", "switch", "webhook"),
    "into": ("webhook",),
    "cases": ("switch", "split"),
    "join": ("parallel",),
    "while": ("repeat",),
    "steps": ("repeat",),
    "properties": ("emit",),
}


def check_step(placed: Placed, faults: Faults) -> None:
    """Note what is wrong with a step, whatever stands around it."""
    step, path = placed
    actions = name_actions(step)
    if not actions and not faults.touches(path):
        faults.add(path, "this step does nothing", f"give it one of {', '.join(ACTIONS)}")
    if len(actions) > 1:
        message = f"one step can't {actions[0]} and {actions[1]}"
        faults.add((*path, actions[1]), message, "make it two steps", at_key=True)
    _check_strays(step, actions, path, faults)
    if step.if_ and not step.then and not step.else_ and not faults.touches(path):
        faults.add(path, "this `if` has no steps", "give it `then:` or `else:`")
    if step.wait_for is not UNSET:
        _check_wait_for(placed, faults)
    _check_webhook(step, path, faults)
    _check_cases(step, path, faults)
    _check_parallel(step, path, faults)
    if step.repeat is not UNSET and not step.steps and not faults.touches(path):
        faults.add(path, "there is nothing to repeat", "give it `steps:`")
    _check_values(step, path, faults)


def _check_strays(step: StepSpec, actions: list[str], path: Path, faults: Faults) -> None:
    """Note keys that belong to an action the step does not have, unless that was refused."""
    stated = {
        "channel": step.channel,
        "then": step.then,
        "else": step.else_,
        "cases": step.cases,
        "join": step.join is not UNSET,
        "while": step.while_,
        "steps": step.steps,
        "properties": step.properties,
        "into": step.into,
    }
    for key, owners in _OWNERS.items():
        is_owned = any(owner in actions or faults.touches((*path, owner)) for owner in owners)
        if stated[key] and not is_owned:
            note_stray(key, _enumerate_owners(owners), path, faults)


def _enumerate_owners(owners: Sequence[str]) -> str:
    """List the actions a key belongs to."""
    *others, last = owners
    return f"{', '.join(others)} or {last}" if others else last


def note_stray(key: str, owner: str, path: Path, faults: Faults) -> None:
    """Note a key that is of no use where it stands."""
    faults.add((*path, key), f"{key!r} belongs to {owner}", "", at_key=True)


def _check_wait_for(placed: Placed, faults: Faults) -> None:
    spec = placed.step.wait_for
    assert spec is not UNSET
    path = (*placed.path, "wait_for")
    stated = [key for key in _WHAT_WAITS if getattr(spec, key)]
    if not stated and not faults.touches(path):
        faults.add(path, "nothing is waited for", f"name one of {', '.join(_WHAT_WAITS)}")
    if len(stated) > 1:
        message = f"one wait can't be for {stated[0]} and {stated[1]}"
        faults.add((*path, stated[1]), message, "wait for one of them", at_key=True)
    if spec.if_ and not spec.event:
        note_stray("if", "event", path, faults)
    if spec.kinds and not spec.engagement:
        note_stray("kinds", "engagement", path, faults)
    if placed.step.else_ and spec.up_to is UNSET and not faults.touches(path):
        message = "these steps can't be reached: the wait has no end"
        faults.add((*placed.path, "else"), message, "give `wait_for` an `up_to:`", at_key=True)


def _check_webhook(step: StepSpec, path: Path, faults: Faults) -> None:
    if step.webhook is not UNSET:
        check_call(step.webhook, (*path, "webhook"), faults)
    if step.into and _PLAIN_NAME.fullmatch(step.into) is None:
        message = f"{quote(step.into)} can't be the name of a variable"
        hint = "use letters, digits and _, and no digit first"
        faults.add((*path, "into"), message, hint)


def _check_cases(step: StepSpec, path: Path, faults: Faults) -> None:
    where = (*path, "cases")
    if (step.switch or step.split) and not step.cases and not faults.touches(where):
        action = "switch" if step.switch else "split"
        faults.add(path, f"this `{action}` has no steps", "give it `cases:`")
    if not step.split or faults.touches((*path, "split")):
        return
    if len(step.split) == 1:
        hint = "name two or more, like {control: 50, offer: 50}"
        faults.add((*path, "split"), "everybody goes into the one arm there is", hint)
    for case in step.cases:
        if case not in step.split:
            hint = suggest(case, step.split) or f"arms: {enumerate_names(step.split)}"
            faults.add((*where, case), f"there is no arm {quote(case)}", hint, at_key=True)


def _check_parallel(step: StepSpec, path: Path, faults: Faults) -> None:
    where = (*path, "parallel")
    if len(step.parallel) == 1 and not faults.touches(where):
        message = "there is nothing beside this branch"
        faults.add(where, message, "write its steps here, without `parallel`")
    for name, steps in step.parallel.items():
        if not steps and not faults.touches((*where, name)):
            faults.add((*where, name), "this branch has no steps", "leave it out", at_key=True)


def _check_values(step: StepSpec, path: Path, faults: Faults) -> None:
    for key, values in (("set", step.set), ("properties", step.properties)):
        for name, value in values.items():
            if isinstance(value, str) and value.startswith(_NAMES):
                message = f"{name!r} would become the text {quote(value)}"
                faults.add((*path, key, name), message, f"for its value write {{cel: {value}}}")
    for name in step.set:
        plain = name.removeprefix(VARIABLE)
        if name.startswith(VARIABLE) and _PLAIN_NAME.fullmatch(plain) is None:
            message = f"{quote(plain)} can't be the name of a variable"
            hint = "use letters, digits and _, and no digit first"
            faults.add((*path, "set", name), message, hint, at_key=True)
