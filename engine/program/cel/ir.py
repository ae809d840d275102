"""A checked condition: every node has a kind, and says whether it may be absent.

`checker` makes these, `emitter` turns them into Python, `explain` walks them. A kind is what is
known before any customer is seen; `dynamic` is whatever JSON an event or a profile holds.
"""

from enum import StrEnum

import msgspec

from engine.program.cel.pattern import Pattern

Scalar = str | float | bool | None


class Kind(StrEnum):
    """What an expression gives. `number` is an int or a double, which of them is not known yet."""

    BOOL = "bool"
    INT = "int"
    DOUBLE = "double"
    NUMBER = "number"
    STRING = "string"
    NULL = "null"
    LIST = "list"
    MAP = "map"
    TIMESTAMP = "timestamp"
    DURATION = "duration"
    DYNAMIC = "dynamic"


NUMBERS = frozenset({Kind.INT, Kind.DOUBLE, Kind.NUMBER})
TIMES = frozenset({Kind.TIMESTAMP, Kind.DURATION})
SPOKEN = {
    Kind.BOOL: "true or false",
    Kind.INT: "a number",
    Kind.DOUBLE: "a number",
    Kind.NUMBER: "a number",
    Kind.STRING: "a text",
    Kind.NULL: "null",
    Kind.LIST: "a list",
    Kind.MAP: "a map",
    Kind.TIMESTAMP: "a timestamp",
    Kind.DURATION: "a duration",
    Kind.DYNAMIC: "a JSON value",
}


class Typed(msgspec.Struct, frozen=True, kw_only=True):
    """Something that gives a value of a kind; `partial` where it may be absent."""

    kind: Kind
    partial: bool = False
    start: int = 0
    end: int = 0


class Constant(Typed, frozen=True, kw_only=True):
    """A value known when compiling; instants and durations are ms."""

    value: Scalar


class Name(Typed, frozen=True, kw_only=True):
    """A Python name or attribute that is always there: `s.now`, a macro's variable."""

    code: str


class Root(Typed, frozen=True, kw_only=True):
    """All of `event`, `profile`, `context` or another root."""

    root: str


class Trait(Typed, frozen=True, kw_only=True):
    """`root.key`: one entry of what a condition can see; `is_computed` if it's worked out."""

    root: str
    key: str
    is_computed: bool = False


class Field(Typed, frozen=True, kw_only=True):
    """`target.key`: one entry of a JSON value."""

    target: Typed
    key: str


class Operation(Typed, frozen=True, kw_only=True):
    """Everything that computes: operators, functions, lists and maps, by name."""

    name: str
    args: tuple[Typed, ...]


class Match(Typed, frozen=True, kw_only=True):
    """`target.matches(pattern)`."""

    target: Typed
    pattern: Pattern


class Loop(Typed, frozen=True, kw_only=True):
    """A macro over the elements of a list, or the keys of a map."""

    macro: str
    variable: str
    source: Typed
    body: Typed
    transform: Typed | None = None
    count_max: int
