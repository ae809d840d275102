"""Where in a workspace something is: paths within it, and the places of those paths in files.

Made by the file loader, which is the only one that sees files; read by `engine.program.faults`,
so that each fault is reported at its line.
"""

from collections.abc import Mapping

import msgspec

Path = tuple[str | int, ...]


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a value is written. Lines and columns count from 1.

    A scalar's `line` and `column` are those of its first character; a mapping's or a list's are
    those of the key that holds it, since that is where a reader looks. `text_line` and
    `text_column` say where the text of a scalar begins inside its quotes, as far as positions in
    the text are positions in the file; 0 where they are not (folded text, escapes).
    """

    file: str
    line: int
    column: int
    key_line: int = 0
    key_column: int = 0
    text_line: int = 0
    text_column: int = 0


Places = Mapping[Path, Place]
NOWHERE = Place("", 0, 0)


def nearest_place(path: Path, places: Places) -> Place | None:
    """Find where in the files something is, or else the nearest thing that it is a part of."""
    for length in range(len(path), -1, -1):
        place = places.get(path[:length])
        if place is not None:
            return place
    return None


def format_path(path: Path) -> str:
    """Write a path the way people do: `journeys.cart.steps[1].send`."""
    written = ""
    for part in path:
        if isinstance(part, int):
            written += f"[{part}]"
        else:
            written += f".{part}" if written else part
    return written or "$"
