"""The shape of a condition as written: errors with a place, and the nodes the parser builds.

`parser` makes these nodes from tokens, `checker` gives them kinds. Every node knows the part of
the text it stands for, so that each fault can be pointed at and each term can be shown.
"""

import msgspec

from engine.errors import NextbeatError

ECHO_MAX = 40  # characters of a condition that an error message repeats


class CelError(NextbeatError):
    """A condition can't be compiled; `line` and `column` are 1-based within its own text."""

    def __init__(self, message: str, *, line: int = 1, column: int = 1, hint: str = "") -> None:
        super().__init__(f"{line}:{column}: {message}" + (f" ({hint})" if hint else ""))
        self.message = message
        self.line = line
        self.column = column
        self.hint = hint


def fault(source: str, offset: int, message: str, hint: str = "") -> CelError:
    """Make the error for an offset into the source."""
    return CelError(
        message,
        line=source.count("\n", 0, offset) + 1,
        column=offset - source.rfind("\n", 0, offset),
        hint=hint,
    )


def quoted(text: str) -> str:
    """Repeat a piece of the source in a message, short enough to be harmless."""
    return repr(text if len(text) <= ECHO_MAX else text[:ECHO_MAX] + "…")


class Node(msgspec.Struct, frozen=True):
    """A part of the text, from offset `start` up to `end`."""

    start: int
    end: int


class Literal(Node, frozen=True):
    """A number, string, bool or null written out."""

    value: str | float | bool | None


class Ident(Node, frozen=True):
    """A bare name."""

    name: str


class Select(Node, frozen=True):
    """`target.field`."""

    target: Node
    field: str
    field_at: int


class Index(Node, frozen=True):
    """`target[key]`."""

    target: Node
    key: Node


class Call(Node, frozen=True):
    """`function(args)`, or `target.function(args)` where there is a target."""

    function: str
    function_at: int
    target: Node | None
    args: tuple[Node, ...]


class ListOf(Node, frozen=True):
    """`[items]`."""

    items: tuple[Node, ...]


class MapOf(Node, frozen=True):
    """`{key: value}`."""

    keys: tuple[Node, ...]
    values: tuple[Node, ...]


class Unary(Node, frozen=True):
    """`!operand` or `-operand`."""

    op: str
    operand: Node


class Binary(Node, frozen=True):
    """`left op right`."""

    op: str
    op_at: int
    left: Node
    right: Node


class Chain(Node, frozen=True):
    """`a && b && c` or `a || b || c`, flat, so that long conditions are not deep ones."""

    op: str
    items: tuple[Node, ...]


class Ternary(Node, frozen=True):
    """`test ? then : other`."""

    test: Node
    then: Node
    other: Node
