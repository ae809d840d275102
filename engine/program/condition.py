"""A compiled condition, as everything that decides by one holds it."""

from collections.abc import Callable
from typing import Any

import msgspec

from engine.program.scope import Scope


class Condition(msgspec.Struct, frozen=True):
    """A CEL condition: its source, and the Python function it was compiled to.

    `test` never raises and treats an absent value as false; `evaluate` gives the value itself,
    None where it is absent.
    """

    source: str
    test: Callable[[Scope], bool]
    evaluate: Callable[[Scope], Any]
