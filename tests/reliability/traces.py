"""Looks for texts in the files of a folder, in every form in which they could be there."""

import base64
from collections.abc import Iterable
from pathlib import Path


def forms_of(text: str) -> list[bytes]:
    """Give the bytes a text may be written as: as it is, wide, as hex, and in base64.

    In base64 a text looks different at each of three offsets; the characters that depend on what
    stands around it are left out.
    """
    raw = text.encode()
    wide = [text.encode("utf-16-le"), text.encode("utf-16-be")]
    digits = [raw.hex().encode(), raw.hex().upper().encode()]
    offsets: list[bytes] = []
    for offset in range(3):
        coded = base64.b64encode(b"\0" * offset + raw)
        start = (0, 2, 3)[offset]
        end = len(coded) - (0, 4, 4)[(len(raw) + offset) % 3]
        offsets.append(coded[start:end])
    return [raw, *wide, *digits, *offsets]


def find_traces(folder: Path, texts: Iterable[str]) -> list[str]:
    """Say which texts are in which files."""
    forms = [(text, form) for text in texts for form in forms_of(text)]
    found: list[str] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        found += [
            f"{text} at {data.find(form)} of {path.name}" for text, form in forms if form in data
        ]
    return found
