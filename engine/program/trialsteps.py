"""The steps that a test of a workspace speaks of: found by their id, or by journey and id.

Called by `trialanswers` and `trialarms`.
"""

from collections.abc import Callable, Mapping

import msgspec

from engine.program.faults import Faults, enumerate_names, quote, suggest
from engine.program.journeymodel import StepSpec
from engine.program.model import WorkspaceSpec
from engine.program.nesting import Placed, walk_journeys
from engine.program.places import Path

Asking = tuple[str, str]  # a journey, and a step of it


class Sought(msgspec.Struct, frozen=True):
    """Which steps can be meant, and how that is said where one of another kind is named."""

    is_meant: Callable[[StepSpec], bool]
    does: str
    does_not: str
    hint: str


def list_steps(workspace: WorkspaceSpec) -> dict[Asking, Placed]:
    """Give all steps of a workspace by journey and id."""
    return {(str(one.path[1]), one.name): one for one in walk_journeys(workspace.journeys)}


def find_step(
    name: str, known: Mapping[Asking, Placed], sought: Sought, path: Path, faults: Faults
) -> Asking | None:
    """Find the step that is meant by its id, or by its journey and its id."""
    could_be = [one for one, placed in known.items() if sought.is_meant(placed.step)]
    named = [one for one in known if name in (one[1], "/".join(one))]
    meant = [one for one in could_be if one in named]
    if len(meant) == 1:
        return meant[0]
    written = enumerate_names(["/".join(one) for one in meant or could_be])
    if meant:
        hint = f"write {written}"
        message = f"{quote(name)} {sought.does} in several journeys"
    elif named:
        hint = f"steps that do: {written}" if could_be else sought.hint
        message = f"{quote(name)} {sought.does_not}"
    else:
        texts = [text for one in could_be for text in (one[1], "/".join(one))]
        hint = suggest(name, texts, f"steps that {_plural(sought.does)}")
        message = f"unknown step {quote(name)}"
    faults.add(path, message, hint, at_key=True)
    return None


def _plural(does: str) -> str:
    verb, _, rest = does.partition(" ")
    return f"{verb.removesuffix('s')} {rest}"
