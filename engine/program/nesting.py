"""The lists of steps that stand within a step: the one place that knows all of them.

Used by whoever walks a journey's steps: `steps` to compile them, `flow` and `check` to check them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec import UNSET

from engine.program.journeymodel import JourneySpec, StepSpec
from engine.program.places import Path, format_path


class Placed(NamedTuple):
    """A step and where it stands."""

    step: StepSpec
    path: Path

    @property
    def name(self) -> str:
        """Give the step's id."""
        return name_step(self.step, self.path)


class Nested(NamedTuple):
    """A list of steps within a step, and where it stands."""

    steps: tuple[StepSpec, ...]
    path: Path


def name_step(step: StepSpec, path: Path) -> str:
    """Give a step's id: its own, or its path within the journey (`steps[1].else[0]`)."""
    return step.id or format_path(path[2:])


def place_steps(steps: Sequence[StepSpec], path: Path) -> Iterator[Placed]:
    """Give each step of a list and where it stands; `path` is the list's."""
    for index, step in enumerate(steps):
        yield Placed(step, (*path, index))


def walk_steps(steps: Sequence[StepSpec], path: Path) -> Iterator[Placed]:
    """Give each step, those within others included, in the order in which they are written."""
    for placed in place_steps(steps, path):
        yield placed
        for nested in nested_steps(*placed):
            yield from walk_steps(*nested)


def walk_journeys(journeys: Mapping[str, JourneySpec]) -> Iterator[Placed]:
    """Give each step of all journeys; the second part of its path is the journey's name."""
    for name, journey in journeys.items():
        yield from walk_steps(journey.steps, ("journeys", name, "steps"))


def nested_steps(step: StepSpec, path: Path) -> list[Nested]:
    """List the lists of steps within a step, in the order in which they are explained.

    Of cases and branches also those without steps, since they say that there is nothing to do.
    """
    found = [Nested(step.then, (*path, "then"))] if step.then else []
    found += [Nested(steps, (*path, "cases", name)) for name, steps in step.cases.items()]
    found += [Nested(steps, (*path, "parallel", name)) for name, steps in step.parallel.items()]
    if step.else_:
        found.append(Nested(step.else_, (*path, "else")))
    if step.steps:
        found.append(Nested(step.steps, (*path, "steps")))
    return found


def may_skip(step: StepSpec) -> bool:
    """Say whether there is a way past a step that goes through none of the lists within it."""
    if step.parallel:
        return False
    if step.split:
        return any(arm not in step.cases for arm in step.split)
    if step.switch:
        return not step.else_
    if step.repeat is not UNSET:
        return bool(step.while_) or not step.steps
    return not (step.then and step.else_)


def holds_for(step: StepSpec, ways: Sequence[bool], *, always: bool) -> bool:
    """Say whether what holds for some of the lists within a step holds for going through it.

    `always`: for every way there is through it, else for one. All branches of a `parallel` step
    are gone through at once.
    """
    if step.parallel and step.join != "any":
        always = not always
    return all(ways) if always else any(ways)
