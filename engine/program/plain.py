"""Plain values, as JSON and YAML have them, seen through the eyes of the type checkers.

Used where a workspace is read before its shape is known. JSON has text for keys only, which is
what these casts rest on.
"""

from typing import cast


def dict_or_none(value: object) -> dict[str, object] | None:
    """Give a mapping, or None where the value is something else."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def list_or_none(value: object) -> list[object] | None:
    """Give a list, or None where the value is something else."""
    return cast("list[object]", value) if isinstance(value, list) else None
