"""Changes of traits that rest on the value a customer has: more, less, one more in a list.

Called by `engine.intake.normalise` for calls that have any. They come as Braze writes them:
`{"visits": {"inc": 1}, "sizes": {"add": ["M"], "remove": ["S"]}}`.
"""

from engine.errors import InputError
from engine.events import ChangeKind, TraitChange
from engine.intake.shapes import is_array, is_object
from engine.limits import TRAIT_ITEMS_MAX

_PLACE = "traitChanges"
_KINDS = {kind.value: kind for kind in ChangeKind}
_EXPECTED = 'expected {"inc": number}, {"add": [...]} or {"remove": [...]}'


def read_changes(changes: object) -> tuple[TraitChange, ...]:
    """Read a map of traits to changes. Raises InputError."""
    if not is_object(changes):
        raise InputError("bad_change", "expected an object of traits and their changes", _PLACE)
    read: list[TraitChange] = []
    for trait, told in changes.items():
        path = f"{_PLACE}.{trait}"
        if not is_object(told) or not told:
            raise InputError("bad_change", _EXPECTED, path)
        # What is added is there, whatever is removed with it.
        for kind, value in sorted(told.items(), reverse=True):
            read.append(TraitChange(trait, *_read_change(kind, value, path)))
    return tuple(read)


def _read_change(
    name: str, value: object, path: str
) -> tuple[ChangeKind, int | float | list[object]]:
    kind = _KINDS.get(name)
    if kind is None:
        raise InputError("bad_change", _EXPECTED, path)
    if kind is ChangeKind.INCREASE:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError("bad_change", "expected a number to increase by", f"{path}.inc")
        return kind, value
    if not is_array(value) or len(value) > TRAIT_ITEMS_MAX:
        message = f"expected a list of at most {TRAIT_ITEMS_MAX} values"
        raise InputError("bad_change", message, f"{path}.{name}")
    return kind, value
