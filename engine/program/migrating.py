"""What `migrate` says: whether the steps it leads to are there, and can be led to.

Called by `flow` for each journey. Which steps older versions had is not known here; a name that
nobody stands at does nothing.
"""

from collections.abc import Mapping

from engine.program.faults import Faults, quote, suggest
from engine.program.journeymodel import EXIT, STAY, JourneySpec
from engine.program.places import Path

_PARALLEL = "parallel"


def check_migrate(
    name: str, journey: JourneySpec, places: Mapping[str, Path], faults: Faults
) -> None:
    """Note where `migrate` leads nowhere; `places` are the paths of this journey's steps by id."""
    for old, new in journey.migrate.items():
        path: Path = ("journeys", name, "migrate", old)
        if new in (EXIT, STAY):
            if new in places:
                message = f"{quote(new)} is a word of `migrate`, and a step has it for an id"
                faults.add(path, message, "give the step another id")
        elif new not in places:
            known = [*places, EXIT, STAY]
            faults.add(path, f"unknown step {quote(new)}", suggest(new, known, "steps"))
        elif _is_in_branch(places[new]):
            message = f"the step {quote(new)} is in a branch, and people move as a whole"
            faults.add(path, message, "name the `parallel` step, or one outside of it")


def _is_in_branch(path: Path) -> bool:
    """Say whether a path leads through a branch: the key `parallel` of a step in a list."""
    return any(
        key == _PARALLEL and isinstance(path[place], int) for place, key in enumerate(path[1:])
    )
