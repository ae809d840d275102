"""Chance: the one seeded generator from which everything random in a simulation comes.

Used by every module here. Only `random()` of the generator is called: what else the standard
library makes of it has changed between versions of Python.
"""

from collections.abc import Sequence
from random import Random
from typing import Any, TypeVar

_T = TypeVar("_T")


class Dice:
    """Throws that a seed decides, the same on every Python."""

    def __init__(self, seed: int) -> None:
        self._generator = Random(seed)  # noqa: S311 - it is to be predictable

    def chance(self, share: float) -> bool:
        """Say yes in this share of all throws."""
        return self._generator.random() < share

    def below(self, limit: int) -> int:
        """Choose a whole number from 0 up to, not with, `limit`."""
        return int(self._generator.random() * limit)

    def among(self, low: int, high: int) -> int:
        """Choose a whole number from `low` up to and with `high`."""
        return low + self.below(high - low + 1)

    def span(self, low: float, high: float) -> float:
        """Choose a number between two."""
        return low + self._generator.random() * (high - low)

    def pick(self, choices: Sequence[_T]) -> _T:
        """Choose one of several."""
        return choices[self.below(len(choices))]

    def shuffle(self, items: list[Any]) -> None:
        """Put a list into another order."""
        for place in range(len(items) - 1, 0, -1):
            other = self.below(place + 1)
            items[place], items[other] = items[other], items[place]
