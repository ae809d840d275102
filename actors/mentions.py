"""Whether an item that was not understood mentions somebody.

Used by `actors.erasures`. Such an item is whatever a client sent, so there is no field to look in.

*Rules*
- A value that is exactly one of the names is a mention wherever it stands; a longer text is one
  only of a name that is long enough to be nobody else's, as a word of its own.
- A number is compared where its key says that it is an id: else the price of somebody's order
  would be the id of somebody else.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec

from actors.rows import QuarantineRow

LENGTH_MIN = 6  # of a name that is looked for within texts
_decode = msgspec.json.Decoder().decode


class Mentions:
    """Looks for any of several names."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)
        long = sorted((name for name in self._names if len(name) >= LENGTH_MIN), key=len)
        pattern = "|".join(map(re.escape, reversed(long)))
        self._within = re.compile(rf"(?<!\w)(?:{pattern})(?!\w)") if long else None

    def are_in(self, row: QuarantineRow) -> bool:
        """Say whether an item, or what was said of it, mentions one of them."""
        if self._finds(row.message) or self._finds(row.path):
            return True
        try:
            value = _decode(row.payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
            return self._finds(row.payload.decode("utf-8", "replace"), is_broken=True)
        return any(self._is_one(text, key) for key, text in _leaves(value))

    def _is_one(self, value: object, key: str) -> bool:
        if isinstance(value, str):
            return value in self._names or self._finds(value)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and key.lower().endswith("id") and str(value) in self._names

    def _finds(self, text: str, *, is_broken: bool = False) -> bool:
        """Look within a text; in one that breaks off a short name counts between quotes."""
        if self._within is not None and self._within.search(text):
            return True
        return is_broken and any(f'"{name}"' in text for name in self._names)


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, object]]:  # noqa: ANN401 - JSON
    """Give all texts and numbers with the key they stand under; keys are texts, too."""
    waiting: list[tuple[str, Any]] = [(key, value)]
    while waiting:
        name, found = waiting.pop()
        if isinstance(found, dict):
            for inner, each in cast("dict[str, Any]", found).items():
                yield "", inner
                waiting.append((inner, each))
        elif isinstance(found, list):
            waiting.extend((name, each) for each in cast("Sequence[Any]", found))
        else:
            yield name, found
