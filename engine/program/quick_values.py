"""What quick templates do with the values they meet, where an operator is not enough.

The functions that `quick_templates` writes calls to. Each deals with the plain kinds that JSON has
and hands every other case to python-liquid itself, so that the meaning stays the library's.

Rules
- None stands for a missing value too: nothing that gets here can tell the two apart, and `need`
  keeps None from what could.
- `Unsure` is never seen outside: the text is then rendered by the library from the beginning.
"""

from collections.abc import Callable
from sys import getsizeof
from typing import Any, Protocol, cast

from liquid import RenderContext
from liquid.builtin.expressions import Literal
from liquid.builtin.expressions.logical import (
    ContainsExpression,
    EqExpression,
    GeExpression,
    GtExpression,
    LeExpression,
    LtExpression,
    NeExpression,
)
from liquid.builtin.expressions.primitive import Blank, Empty
from liquid.builtin.filters.misc import default
from liquid.expression import Expression
from liquid.stringify import to_liquid_string
from liquid.token import Token

from engine.limits import TEMPLATE_BYTES_MAX, TEMPLATE_LOCALS_BYTES_MAX

ASSIGNS_MAX = 32
# With no value longer than this, all of them are within the limit, even as the library counts.
_KEPT_BYTES_MAX = TEMPLATE_LOCALS_BYTES_MAX // ASSIGNS_MAX - 1024

_PLAIN = frozenset({str, int, float, type(None), list, dict, Blank, Empty})  # not bool
_NUMBERS = frozenset({int, float})

Judge = Callable[[object, object], bool]


class Unsure(Exception):  # noqa: N818 - not an error: another way is taken
    """A quick template met what only the library can judge."""


class Comparison(Protocol):
    """An expression of the library with two sides."""

    token: Token
    left: Expression
    right: Expression


# Writing.


def write_text(value: object) -> str:
    """Write a value that is no text, where the template is not HTML."""
    if value is None:
        return ""
    kind = type(value)
    if kind is int or kind is float:
        return str(value)
    return str(to_liquid_string(value, autoescape=False))


def write_html(value: object) -> str:
    """Write a value as HTML, escaped if it isn't markup.

    The tests come first because nearly no value needs escaping, and `markupsafe.escape` takes four
    times as long: most of that is for the object it returns.
    """
    if type(value) is str:
        if "&" in value or "<" in value or ">" in value or "'" in value or '"' in value:
            return _escape(value)
        return value
    if value is None:
        return ""
    kind = type(value)
    if kind is int or kind is float:
        return str(value)
    return str(to_liquid_string(value, autoescape=True))


def _escape(text: str) -> str:
    """Escape as `markupsafe.escape` does."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("'", "&#39;").replace('"', "&#34;")


def measure(text: str) -> str:
    """Give a whole text back if it's not too long, and made of characters."""
    if len(text.encode()) > TEMPLATE_BYTES_MAX:
        raise Unsure
    return text


def compact(out: list[str]) -> None:
    """Make one text of the pieces of a long loop, so that a text without end is found early."""
    out[:] = [measure("".join(out))]


# Reading.


def bind_pick(get_item: Callable[[Any, Any], object]) -> Callable[[Any, Any], object]:
    """Make the function that takes one step of a path; None is nothing."""

    def pick(value: object, key: object) -> object:
        if value is None:
            return None
        try:
            if type(value) is list and type(key) is int:
                return cast("list[object]", value)[key]
            return get_item(value, key)
        except (LookupError, TypeError):
            return None

    return pick


def choose(value: object, fallback: object) -> object:
    """Give a value, or the fallback in place of nothing, false and what is empty."""
    kind = type(value)
    if kind is str or kind is list or kind is dict:
        return value or fallback
    if value is None or value is False:
        return fallback
    if kind is int or kind is float:
        return value
    return default(value, fallback)


def need(value: object) -> object:
    """Keep None from what could tell that it isn't a missing value."""
    if value is None:
        raise Unsure
    return value


def keep(value: object) -> object:
    """Give a value that is assigned to a name, if it's surely not too long."""
    if getsizeof(value, 0) > _KEPT_BYTES_MAX:
        raise Unsure
    return value


# Looping.


def list_items(value: object) -> list[Any]:
    """List what a loop goes through, for a value that is no list."""
    if value is None:
        return []
    if type(value) is str:
        return [value] if value else []
    if type(value) is dict:
        return list(cast("dict[str, Any]", value).items())
    if isinstance(value, bool | int | float):
        return []
    raise Unsure


def cut(items: list[Any], limit: int | None, offset: int, *, backwards: bool) -> list[Any]:
    """Take a part of a list. As in the library, a limit of nothing is none."""
    start = min(max(offset, 0), len(items))
    stop = None if limit is None else limit + offset
    stop = min(stop or len(items), len(items))
    if stop < 0:
        raise Unsure
    part = items[start:stop]
    return part[::-1] if backwards else part


# Comparing.


def bind_comparison(node: Comparison, context: RenderContext) -> Judge:
    """Make the function for a comparison: ours for plain kinds, else the library's."""

    def judge(left: object, right: object) -> bool:
        sides = Literal(node.token, left), Literal(node.token, right)
        return bool(kind(node.token, *sides).evaluate(context))

    kind: Any = type(node)
    return _COMPARISONS[kind](judge)


def _bind_equal(judge: Judge) -> Judge:
    def equal(left: object, right: object) -> bool:
        if type(left) in _PLAIN and type(right) in _PLAIN:
            return left == right
        return judge(left, right)

    return equal


def _bind_differ(judge: Judge) -> Judge:
    def differ(left: object, right: object) -> bool:
        if type(left) in _PLAIN and type(right) in _PLAIN:
            same = left == right
            return not same
        return judge(left, right)

    return differ


def _bind_order(compare: Callable[[Any, Any], bool]) -> Callable[[Judge], Judge]:
    def bind(judge: Judge) -> Judge:
        def ordered(left: object, right: object) -> bool:
            if left is None or right is None:
                return False
            if type(left) in _NUMBERS and type(right) in _NUMBERS:
                return compare(left, right)
            if type(left) is str and type(right) is str:
                return compare(left, right)
            return judge(left, right)

        return ordered

    return bind


def _bind_contains(judge: Judge) -> Judge:
    def contains(left: object, right: object) -> bool:
        if left is None or right is None:
            return False
        if type(right) is str and (type(left) is str or type(left) is list):
            return right in left
        return judge(left, right)

    return contains


_COMPARISONS: dict[type, Callable[[Judge], Judge]] = {
    EqExpression: _bind_equal,
    NeExpression: _bind_differ,
    LtExpression: _bind_order(lambda left, right: left < right),
    LeExpression: _bind_order(lambda left, right: left <= right),
    GtExpression: _bind_order(lambda left, right: left > right),
    GeExpression: _bind_order(lambda left, right: left >= right),
    ContainsExpression: _bind_contains,
}
