"""The two shapes of JSON that hold others, told apart in a way type checkers follow.

Used wherever a decoded value may be anything.
"""

from typing import Any, TypeGuard


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Say whether a decoded value is an object; its keys are texts then."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Say whether a decoded value is an array."""
    return isinstance(value, list)
