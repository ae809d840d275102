"""The faults found in a workspace, collected, so that one run shows all of them.

Used by every part of `engine.program` that reads what a team wrote; `compile` raises what was
collected as one `ProgramError`.
"""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from engine.errors import Problem
from engine.program.places import NOWHERE, Path, Places, format_path, nearest_place

_QUOTE_LENGTH_MAX = 80
_LISTED_MAX = 8


class Faults:
    """A list of problems that knows where each path stands in the files."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._found: list[tuple[Path, Problem]] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, path: Path, message: str, hint: str = "", *, at_key: bool = False) -> None:
        """Note a fault of the value at `path`; or of its key, where the key is what is wrong."""
        place = self._places.get(path)
        if place is not None and at_key and place.key_line:
            self._note(path, message, hint, (place.file, place.key_line, place.key_column))
        elif place is not None:
            self._note(path, message, hint, (place.file, place.line, place.column))
        else:
            parent = nearest_place(path, self._places) or NOWHERE
            self._note(path, message, hint, (parent.file, parent.line, parent.column))

    def add_within(self, path: Path, message: str, hint: str, *, line: int, column: int) -> None:
        """Note a fault at a position inside the text at `path`, both counted from 1."""
        place = self._places.get(path)
        if place is None or not place.text_line or line < 1:
            self.add(path, message, hint)
            return
        at = (place.file, place.text_line + line - 1, place.text_column + max(column, 1) - 1)
        self._note(path, message, hint, at)

    def touches(self, path: Path) -> bool:
        """Say whether a fault was found at `path` or anywhere below it."""
        length = len(path)
        return any(found[:length] == path for found, _ in self._found)

    def problems(self) -> list[Problem]:
        """List what was found in the order of the files, as a reader would fix it."""
        found = [problem for _, problem in self._found]
        return sorted(found, key=lambda problem: (problem.file, problem.line, problem.column))

    def _note(self, path: Path, message: str, hint: str, at: tuple[str, int, int]) -> None:
        file, line, column = at
        problem = Problem(format_path(path), message, hint, file=file, line=line, column=column)
        if (path, problem) not in self._found:
            self._found.append((path, problem))


def quote(value: object) -> str:
    """Show a value that someone wrote, shortened so that a message stays a message."""
    text = repr(value)
    return text if len(text) <= _QUOTE_LENGTH_MAX else text[: _QUOTE_LENGTH_MAX - 1] + "…"


def suggest(name: str, known: Iterable[str], noun: str = "") -> str:
    """Say what a misspelt name may have meant; or, where nothing is near, what there is."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1) or _match_case(name, names)
    if near:
        return f"did you mean {near[0]!r}?"
    if not noun:
        return ""
    return f"{noun}: {enumerate_names(names)}" if names else f"there are no {noun} yet"


def enumerate_names(names: Collection[str]) -> str:
    """List names for a message, the first few when there are many."""
    shown = [name if len(name) <= _QUOTE_LENGTH_MAX else quote(name) for name in names]
    more = len(shown) - _LISTED_MAX
    return ", ".join(shown[:_LISTED_MAX]) + (f" and {more} more" if more > 0 else "")


def _match_case(name: str, names: list[str]) -> list[str]:
    return [known for known in names if known.lower() == name.lower()]
