"""The flow of journeys: whether every step can be reached and every wait can end.

Called by `check` with journeys whose shape is right. Looks at how steps follow each other; each on
its own is the business of `stepcheck`, whether the things they name exist that of `check`.
"""

from collections.abc import Mapping

from msgspec import UNSET

from engine.limits import VARIABLES_MAX
from engine.program.faults import Faults, enumerate_names, quote, suggest
from engine.program.journeymodel import JourneySpec, StepSpec
from engine.program.loops import check_loops
from engine.program.migrating import check_migrate
from engine.program.nesting import (
    Placed,
    holds_for,
    may_skip,
    name_step,
    nested_steps,
    place_steps,
    walk_journeys,
    walk_steps,
)
from engine.program.places import Path, format_path
from engine.program.stepcheck import check_step
from engine.program.steps import VARIABLE


def check_flow(journeys: Mapping[str, JourneySpec], faults: Faults) -> None:
    """Note what is wrong with the steps of each journey, and with how journeys start each other."""
    for name, journey in journeys.items():
        path: Path = ("journeys", name, "steps")
        placed = list(walk_steps(journey.steps, path))
        for one in placed:
            check_step(one, faults)
        _check_ids(placed, faults)
        check_migrate(name, journey, {one.name: one.path for one in placed}, faults)
        _check_variables(placed, faults)
        _check_ends(journey.steps, path, faults)
        _check_engagements(journey.steps, path, {}, placed, faults)
    _check_entries(journeys, faults)
    check_loops(journeys, faults)


def _check_ids(placed: list[Placed], faults: Faults) -> None:
    first: dict[str, Path] = {}
    for one in placed:
        if one.name in first:
            message = f"two steps have the id {quote(one.name)}"
            faults.add((*one.path, "id"), message, f"the other is {format_path(first[one.name])}")
        first.setdefault(one.name, one.path)


def _check_variables(placed: list[Placed], faults: Faults) -> None:
    """Note variables for which there is no room; `repeat` steps count in one of their own."""
    known: dict[str, Path] = {}
    for step, path in placed:
        if step.repeat is not UNSET:
            known[f"repeat {format_path(path)}"] = (*path, "repeat")
        for name in step.set:
            if name.startswith(VARIABLE):
                known.setdefault(name, (*path, "set", name))
    for path in list(known.values())[VARIABLES_MAX : VARIABLES_MAX + 1]:
        message = f"a journey has at most {VARIABLES_MAX} variables, and this is one more"
        faults.add(path, message, "put several values into one, or write traits", at_key=True)


def _check_ends(steps: tuple[StepSpec, ...], path: Path, faults: Faults) -> bool:
    """Note the first step behind an end; say whether the steps always end in an exit."""
    ended_by = ""
    for step, step_path in place_steps(steps, path):
        if ended_by:
            message = "this step can't be reached"
            faults.add(step_path, message, f"{ended_by} leaves the journey before it")
            break
        ends = [_check_ends(*nested, faults) for nested in nested_steps(step, step_path)]
        if step.exit or (ends and not may_skip(step) and holds_for(step, ends, always=True)):
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
    for step, step_path in place_steps(steps, path):
        wanted = "" if step.wait_for is UNSET else step.wait_for.engagement
        if wanted and wanted not in seen:
            where = (*step_path, "wait_for", "engagement")
            message, hint = _explain_engagement(wanted, seen, placed)
            faults.add(where, message, hint)
        if sends(step):
            seen[name_step(step, step_path)] = None
        lists = nested_steps(step, step_path)
        if step.repeat is not UNSET:  # what comes later in it came before, the time before
            seen.update(_sends_within(step.steps, (*step_path, "steps")))
        after = [_check_engagements(*nested, seen, placed, faults) for nested in lists]
        for sent in after:
            seen.update(sent)
    return seen


def sends(step: StepSpec) -> bool:
    """Say whether a step sends a message."""
    return bool(step.send or step.decide)


def _sends_within(steps: tuple[StepSpec, ...], path: Path) -> dict[str, None]:
    return {one.name: None for one in walk_steps(steps, path) if sends(one.step)}


def _explain_engagement(
    wanted: str, seen: dict[str, None], placed: list[Placed]
) -> tuple[str, str]:
    known = [one.name for one in placed if sends(one.step)]
    earlier = (
        f"sends before it: {enumerate_names(seen)}" if seen else "no message is sent before it"
    )
    if wanted in known:
        return f"the send step {quote(wanted)} is not before this wait", earlier
    if any(one.name == wanted for one in placed):
        return f"the step {quote(wanted)} sends nothing", earlier
    return f"unknown send step {quote(wanted)}", suggest(wanted, known, "send steps")


def _check_entries(journeys: Mapping[str, JourneySpec], faults: Faults) -> None:
    started = {one.step.start: None for one in walk_journeys(journeys) if one.step.start}
    for name, journey in journeys.items():
        path = ("journeys", name)
        if journey.trigger is UNSET and name not in started and not faults.touches(path):
            hint = "give it a `trigger:`, or a `start:` step in another journey"
            faults.add(path, "nothing starts this journey", hint)
