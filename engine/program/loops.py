"""Circles in which nothing waits: journeys that lead to each other, and steps that repeat.

Called by `flow`. One journey leads to another where a `start` step names it, and where an `emit`
step has the event happen that is its trigger; a trigger with a condition may be the end of a
circle, so only those without are followed.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from msgspec import UNSET

from engine.limits import STEP_MOVES_MAX
from engine.program.faults import Faults
from engine.program.journeymodel import JourneySpec, StepSpec, WaitUntilSpec
from engine.program.nesting import (
    Placed,
    holds_for,
    may_skip,
    nested_steps,
    place_steps,
    walk_steps,
)
from engine.program.places import Path

_NEXT_CLOCK = re.compile(r"\s*(?:[A-Za-z]+\s+)?\d{1,2}:\d\d\s*")  # always in the future
_MOVES_AROUND = 2  # of each time: to count, and to jump back


class _Lead(NamedTuple):
    """A step that leads to a journey, by `start` or by `emit`."""

    placed: Placed
    action: str
    journey: str


def check_loops(journeys: Mapping[str, JourneySpec], faults: Faults) -> None:
    """Note journeys that lead to each other, and steps that repeat, without a wait."""
    leads: dict[str, list[_Lead]] = {}
    for name, journey in journeys.items():
        path: Path = ("journeys", name, "steps")
        found: list[Placed] = []
        _gather(journey.steps, path, found)
        leads[name] = [lead for one in found for lead in _leads_of(one, journeys)]
        for one in walk_steps(journey.steps, path):
            _check_repeat(one, faults)
    while _strip_ends(leads):
        circle = _find_circle(leads)
        names = [str(one.placed.path[1]) for one in circle]
        message = f"journeys start each other without a wait: {' → '.join([*names, names[0]])}"
        where = (*circle[-1].placed.path, circle[-1].action)
        faults.add(where, message, "put a `wait:` before this step")
        for name in names:
            del leads[name]


def _leads_of(one: Placed, journeys: Mapping[str, JourneySpec]) -> list[_Lead]:
    if one.step.start:
        return [_Lead(one, "start", one.step.start)]
    return [
        _Lead(one, "emit", name)
        for name, journey in journeys.items()
        if journey.trigger is not UNSET
        and journey.trigger.event == one.step.emit
        and not journey.trigger.if_
    ]


def _strip_ends(leads: dict[str, list[_Lead]]) -> bool:
    """Take away journeys that lead into no circle, until none is left or only circles are."""
    ends: list[str] = [""]
    while ends:
        for name, found in leads.items():
            leads[name] = [one for one in found if one.journey in leads]
        ends = [name for name, found in leads.items() if not found]
        for name in ends:
            del leads[name]
    return bool(leads)


def _find_circle(leads: Mapping[str, list[_Lead]]) -> list[_Lead]:
    """Follow the first lead of each journey until one comes again."""
    trail: dict[str, _Lead] = {}
    name = min(leads)
    while name not in trail:
        trail[name] = leads[name][0]
        name = trail[name].journey
    names = list(trail)
    return [trail[one] for one in names[names.index(name) :]]


def _gather(steps: tuple[StepSpec, ...], path: Path, found: list[Placed]) -> bool:
    """Gather the steps that lead on and are reached in the moment of entry.

    Says whether the end of these steps is reached in it, too.
    """
    for placed in place_steps(steps, path):
        step = placed.step
        if step.start or step.emit:
            found.append(placed)
        if step.exit or _surely_waits(step):
            return False
        if not _goes_through(placed, found):
            return False
    return True


def _goes_through(placed: Placed, found: list[Placed]) -> bool:
    """Say whether what is behind a step that does not wait itself is reached in the moment."""
    step, lists = placed.step, nested_steps(*placed)
    if step.wait_for is not UNSET:  # a segment, or it would wait: `else` is for when time ran out
        return _gather(step.then, (*placed.path, "then"), found)
    goes_on = [_gather(*nested, found) for nested in lists]
    return not lists or may_skip(step) or holds_for(step, goes_on, always=False)


def _surely_waits(step: StepSpec) -> bool:
    """Say whether time passes here. A date may be past and a segment may hold already."""
    if step.webhook is not UNSET:
        return True
    if step.wait_for is not UNSET:
        return not step.wait_for.segment
    if isinstance(step.wait, WaitUntilSpec):
        return _NEXT_CLOCK.fullmatch(step.wait.until) is not None
    return step.wait is not UNSET or _NEXT_CLOCK.fullmatch(step.until) is not None


def _check_repeat(placed: Placed, faults: Faults) -> None:
    """Note steps that would be too many in one go, were nobody kept waiting on the way."""
    step, path = placed
    if step.repeat is UNSET or not _gather(step.steps, (*path, "steps"), []):
        return
    moves = step.repeat * (len(list(walk_steps(step.steps, path))) + _MOVES_AROUND)
    if moves > STEP_MOVES_MAX:
        message = f"these may be {moves} moves in one go, and {STEP_MOVES_MAX} are the most"
        hint = "put a `wait:` among its steps, or repeat them less often"
        faults.add((*path, "repeat"), message, hint)
