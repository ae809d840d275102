"""The flow of journeys: whether every step can be reached and every wait can end.

Called by `check` with journeys whose shape is right. Looks at steps only; whether the things they
name exist is the business of `check`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from msgspec import UNSET

from engine.program.calls import check_call, is_variable
from engine.program.faults import Faults, enumerate_names, quote, suggest
from engine.program.journeymodel import JourneySpec, StepSpec, WaitUntilSpec
from engine.program.places import Path, format_path
from engine.program.steps import ACTIONS, BRANCHING, name_actions, name_step

_NEXT_CLOCK = re.compile(r"\s*(?:[A-Za-z]+\s+)?\d{1,2}:\d\d\s*")  # always in the future
_WHAT_WAITS = ("event", "segment", "engagement")


class Placed(NamedTuple):
    """A step and where it stands."""

    step: StepSpec
    path: Path

    @property
    def name(self) -> str:
        """Give the step's id."""
        return name_step(self.step, self.path)


def walk_steps(steps: tuple[StepSpec, ...], path: Path) -> Iterator[Placed]:
    """Give each step, those in branches included, in the order in which they are written."""
    for index, step in enumerate(steps):
        step_path = (*path, index)
        yield Placed(step, step_path)
        yield from walk_steps(step.then, (*step_path, "then"))
        yield from walk_steps(step.else_, (*step_path, "else"))


def check_flow(journeys: Mapping[str, JourneySpec], faults: Faults) -> None:
    """Note what is wrong with the steps of each journey, and with how journeys start each other."""
    for name, journey in journeys.items():
        path: Path = ("journeys", name, "steps")
        placed = list(walk_steps(journey.steps, path))
        for one in placed:
            _check_step(one, faults)
            _check_webhook(one, faults)
        _check_ids(placed, faults)
        _check_ends(journey.steps, path, faults)
        _check_engagements(journey.steps, path, {}, placed, faults)
    _check_entries(journeys, faults)
    _check_loops(journeys, faults)


def _check_step(placed: Placed, faults: Faults) -> None:
    step, path = placed
    actions = name_actions(step)
    if not actions and not faults.touches(path):
        faults.add(path, "this step does nothing", f"give it one of {', '.join(ACTIONS)}")
    if len(actions) > 1:
        message = f"one step can't {actions[0]} and {actions[1]}"
        faults.add((*path, actions[1]), message, "make it two steps", at_key=True)
    if step.channel and not step.send:
        _note_stray("channel", "send", path, faults)
    if not any(action in BRANCHING for action in actions):
        for key, branch in (("then", step.then), ("else", step.else_)):
            if branch:
                _note_stray(key, "if, wait_for or webhook", path, faults)
    if step.if_ and not step.then and not step.else_ and not faults.touches(path):
        faults.add(path, "this `if` has no steps", "give it `then:` or `else:`")
    if step.wait_for is not UNSET:
        _check_wait_for(placed, faults)
    _check_values(step, path, faults)


def _check_webhook(placed: Placed, faults: Faults) -> None:
    step, path = placed
    if step.webhook is not UNSET:
        check_call(step.webhook, (*path, "webhook"), faults)
        if step.into and not is_variable(step.into):
            message = f"{quote(step.into)} can't be the name of a variable"
            faults.add((*path, "into"), message, "write letters, digits and _, like quote")
    elif step.into:
        _note_stray("into", "webhook", path, faults)


def _note_stray(key: str, owner: str, path: Path, faults: Faults) -> None:
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
        _note_stray("if", "event", path, faults)
    if spec.kinds and not spec.engagement:
        _note_stray("kinds", "engagement", path, faults)
    if placed.step.else_ and spec.up_to is UNSET and not faults.touches(path):
        message = "these steps can't be reached: the wait has no end"
        faults.add((*placed.path, "else"), message, "give `wait_for` an `up_to:`", at_key=True)


def _check_values(step: StepSpec, path: Path, faults: Faults) -> None:
    for trait, value in step.set.items():
        if isinstance(value, str) and value.startswith(("event.", "profile.", "context.")):
            message = f"{trait!r} would become the text {quote(value)}"
            faults.add((*path, "set", trait), message, f"for its value write {{cel: {value}}}")


def _check_ids(placed: list[Placed], faults: Faults) -> None:
    first: dict[str, Path] = {}
    for one in placed:
        if one.name in first:
            message = f"two steps have the id {quote(one.name)}"
            faults.add((*one.path, "id"), message, f"the other is {format_path(first[one.name])}")
        first.setdefault(one.name, one.path)


def _check_ends(steps: tuple[StepSpec, ...], path: Path, faults: Faults) -> bool:
    """Note the first step behind an end; say whether the steps always end in an exit."""
    ended_by = ""
    for index, step in enumerate(steps):
        step_path = (*path, index)
        if ended_by:
            message = "this step can't be reached"
            faults.add(step_path, message, f"{ended_by} leaves the journey before it")
            break
        then_ends = _check_ends(step.then, (*step_path, "then"), faults)
        else_ends = _check_ends(step.else_, (*step_path, "else"), faults)
        if step.exit or (then_ends and else_ends):
            ended_by = name_step(step, step_path)
    return bool(ended_by)


def _check_engagements(
    steps: tuple[StepSpec, ...],
    path: Path,
    before: dict[str, None],
    placed: list[Placed],
    faults: Faults,
) -> dict[str, None]:
    """Note waits for sends that can't have happened; give the sends that can have by the end."""
    seen = dict(before)
    for index, step in enumerate(steps):
        step_path = (*path, index)
        wanted = "" if step.wait_for is UNSET else step.wait_for.engagement
        if wanted and wanted not in seen:
            where = (*step_path, "wait_for", "engagement")
            message, hint = _explain_engagement(wanted, seen, placed)
            faults.add(where, message, hint)
        if step.send:
            seen[name_step(step, step_path)] = None
        branches = (("then", step.then), ("else", step.else_))
        after = [
            _check_engagements(branch, (*step_path, key), seen, placed, faults)
            for key, branch in branches
        ]
        for sends in after:
            seen.update(sends)
    return seen


def _explain_engagement(
    wanted: str, seen: dict[str, None], placed: list[Placed]
) -> tuple[str, str]:
    sends = [one.name for one in placed if one.step.send]
    earlier = (
        f"sends before it: {enumerate_names(seen)}" if seen else "no message is sent before it"
    )
    if wanted in sends:
        return f"the send step {quote(wanted)} is not before this wait", earlier
    if any(one.name == wanted for one in placed):
        return f"the step {quote(wanted)} sends nothing", earlier
    return f"unknown send step {quote(wanted)}", suggest(wanted, sends, "send steps")


def _check_entries(journeys: Mapping[str, JourneySpec], faults: Faults) -> None:
    started = {
        one.step.start: None
        for name, journey in journeys.items()
        for one in walk_steps(journey.steps, ("journeys", name, "steps"))
        if one.step.start
    }
    for name, journey in journeys.items():
        path = ("journeys", name)
        _check_trigger(journey, (*path, "trigger"), faults)
        if journey.trigger is UNSET and name not in started and not faults.touches(path):
            hint = "give it a `trigger:`, or a `start:` step in another journey"
            faults.add(path, "nothing starts this journey", hint)


def _check_trigger(journey: JourneySpec, path: Path, faults: Faults) -> None:
    trigger = journey.trigger
    if trigger is UNSET or faults.touches(path):
        return
    if not trigger.event and not trigger.segment:
        hint = "name an `event`, or a `segment` to enter or leave"
        faults.add(path, "this trigger is nothing that happens", hint)
    if trigger.event and trigger.segment:
        message = "one trigger can't be an event and a segment"
        faults.add((*path, "segment"), message, "make it two journeys", at_key=True)
    if trigger.on is not UNSET and not trigger.segment:
        _note_stray("on", "segment", path, faults)


def _check_loops(journeys: Mapping[str, JourneySpec], faults: Faults) -> None:
    """Note journeys that start each other in a circle in which nothing waits."""
    starts: dict[str, list[Placed]] = {}
    for name, journey in journeys.items():
        starts[name] = []
        _gather_starts(journey.steps, ("journeys", name, "steps"), starts[name])
    while _strip_ends(starts):
        circle = _find_circle(starts)
        names = [str(one.path[1]) for one in circle]
        message = f"journeys start each other without a wait: {' → '.join([*names, names[0]])}"
        faults.add((*circle[-1].path, "start"), message, "put a `wait:` before this step")
        for name in names:
            del starts[name]


def _strip_ends(starts: dict[str, list[Placed]]) -> bool:
    """Take away journeys that lead into no circle, until none is left or only circles are."""
    ends: list[str] = [""]
    while ends:
        for name, placed in starts.items():
            starts[name] = [one for one in placed if one.step.start in starts]
        ends = [name for name, placed in starts.items() if not placed]
        for name in ends:
            del starts[name]
    return bool(starts)


def _find_circle(starts: Mapping[str, list[Placed]]) -> list[Placed]:
    """Follow the first start of each journey until one comes again."""
    trail: dict[str, Placed] = {}
    name = min(starts)
    while name not in trail:
        trail[name] = starts[name][0]
        name = trail[name].step.start
    names = list(trail)
    return [trail[one] for one in names[names.index(name) :]]


def _gather_starts(steps: tuple[StepSpec, ...], path: Path, found: list[Placed]) -> bool:
    """Gather the `start` steps reached in the moment of entry; say whether the end is, too."""
    for index, step in enumerate(steps):
        step_path = (*path, index)
        if step.start:
            found.append(Placed(step, step_path))
        if step.exit or _surely_waits(step):
            return False
        goes_on = [_gather_starts(step.then, (*step_path, "then"), found)]
        if step.wait_for is UNSET:
            goes_on.append(_gather_starts(step.else_, (*step_path, "else"), found))
        if not any(goes_on):
            return False
    return True


def _surely_waits(step: StepSpec) -> bool:
    """Say whether time passes here. A date may be past and a segment may hold already."""
    if step.webhook is not UNSET:
        return True
    if step.wait_for is not UNSET:
        return not step.wait_for.segment
    if isinstance(step.wait, WaitUntilSpec):
        return _NEXT_CLOCK.fullmatch(step.wait.until) is not None
    return step.wait is not UNSET or _NEXT_CLOCK.fullmatch(step.until) is not None
