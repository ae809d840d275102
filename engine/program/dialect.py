"""The Liquid that templates are written in: python-liquid's, made safe and repeatable.

Used by `templates`.

Rules
- Nothing is read from outside: no files (`include` and `render` do not exist) and no clock. `now`
  is the name the caller passes, and so are `"now"` and `"today"` in the `date` filter.
- Loops, nesting, variables and output are bounded.
- `{% abort_message 'reason' %}` ends the rendering: this customer gets nothing, for this reason.
- Beside the library's filters there are `json` and those of `localised`.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cache, wraps
from typing import Any, TextIO

import msgspec
from liquid import BoundTemplate, Environment, Markup, Node, RenderContext, Tag, Token, TokenStream
from liquid.builtin.expressions import parse_primitive, tokenize
from liquid.builtin.filters import array
from liquid.exceptions import FilterArgumentError
from liquid.expression import Expression
from liquid.filter import liquid_filter, with_context
from liquid.output import LimitedStringIO
from liquid.stringify import to_liquid_string
from liquid.token import TOKEN_EOF, TOKEN_EXPRESSION, TOKEN_TAG
from liquid.undefined import is_undefined
from liquid.utils import ReadOnlyChainMap

from engine.limits import (
    TEMPLATE_BYTES_MAX,
    TEMPLATE_DEPTH_MAX,
    TEMPLATE_LOCALS_BYTES_MAX,
    TEMPLATE_LOOPS_MAX,
)
from engine.localtime import zone as find_zone
from engine.program.dates import format_moment, read_moment
from engine.program.faults import quote
from engine.program.localised import FILTERS

_REASON_LENGTH_MAX = 80
_READ_FROM_FILES = ("include", "render")


class Abort(Exception):  # noqa: N818 - not an error: the author asked for it
    """A template came to an `abort_message`."""


class Names(RenderContext):
    """What a template sees. The library's own names for the present, which it clocks, are gone."""

    __slots__ = ()

    def __init__(self, template: BoundTemplate, names: Mapping[str, Any]) -> None:
        super().__init__(template, globals=names)
        self.scope = ReadOnlyChainMap(self.locals, names, self.counters)

    def get_buffer(self, buf: TextIO | None = None) -> LimitedStringIO:
        """Open a buffer inside another, for `capture`; both together have one limit."""
        return open_buffer(buf.size if isinstance(buf, LimitedStringIO) else 0)


def open_buffer(used: int = 0) -> LimitedStringIO:
    """Open a buffer that leaves line ends as they are; the library's default rewrites them."""
    return LimitedStringIO(TEMPLATE_BYTES_MAX - used, newline="")


@cache
def dialect(*, html: bool) -> Environment:
    """Set the language up, for texts that are HTML or for those that are not."""
    language = _Language(autoescape=html)
    for name in _READ_FROM_FILES:
        del language.tags[name]
    language.add_tag(_AbortTag)
    for name, function in language.filters.items():
        if function.__module__ == array.__name__ or name == "slice":
            language.filters[name] = _bound_ranges(function)
    language.add_filter("date", _date)
    language.add_filter("json", _json)
    for name, function in FILTERS.items():
        language.add_filter(name, function)
    return language


class _Language(Environment):
    """Python-liquid's language, within our limits."""

    loop_iteration_limit = TEMPLATE_LOOPS_MAX
    output_stream_limit = TEMPLATE_BYTES_MAX
    local_namespace_limit = TEMPLATE_LOCALS_BYTES_MAX
    block_nesting_limit = TEMPLATE_DEPTH_MAX
    context_depth_limit = TEMPLATE_DEPTH_MAX


class _AbortNode(Node):
    """An `abort_message` in a template's tree."""

    __slots__ = ("reason",)

    def __init__(self, token: Token, reason: Expression | None) -> None:
        super().__init__(token)
        self.reason = reason
        self.blank = False

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:  # noqa: ARG002
        """End the rendering."""
        value = None if self.reason is None else self.reason.evaluate(context)
        text = to_liquid_string(value, autoescape=False)
        raise Abort(text[:_REASON_LENGTH_MAX] or "the template aborted without a reason")

    def expressions(self) -> Iterable[Expression]:
        """Show the checks which values the reason uses."""
        return () if self.reason is None else (self.reason,)


class _AbortTag(Tag):
    """`{% abort_message 'reason' %}`, or with the reason in parentheses, as Braze writes it."""

    name = "abort_message"
    block = False

    def parse(self, stream: TokenStream) -> Node:
        """Read the tag and its reason, if it has one."""
        token = stream.expect(TOKEN_TAG)
        if stream.peek.kind != TOKEN_EXPRESSION:
            return _AbortNode(token, None)
        next(stream)
        _, written, index, source = stream.current
        text = written.strip()
        if text.startswith("(") and text.endswith(")"):
            text = text[1:-1].strip()
        if not text:
            return _AbortNode(token, None)
        inner = Token(TOKEN_EXPRESSION, text, index + written.index(text), source)
        tokens = TokenStream(tokenize(text, inner))
        reason = parse_primitive(self.env, tokens)
        tokens.expect(TOKEN_EOF)
        return _AbortNode(token, reason)


@with_context
@liquid_filter
def _date(value: object, pattern: object, zone: object = None, *, context: RenderContext) -> str:
    """Write a date or instant by a pattern, on the clock of a zone if one is named.

    What is no date is written as it is, as Liquid does.
    """
    if value is None or is_undefined(value):
        return ""
    if is_undefined(pattern):
        return str(value)
    clock = None
    if zone is not None and not is_undefined(zone):
        clock = find_zone(zone)
        if clock is None:
            message = f"{quote(zone)} is not a time zone: write one like 'Europe/Paris'"
            raise FilterArgumentError(message, token=None)
    now = context.globals.get("now")
    present = datetime.fromisoformat(now) if isinstance(now, str) else None
    moment = read_moment(value, clock, present)
    if moment is None:
        return to_liquid_string(value, autoescape=False)
    written = format_moment(moment, str(pattern))
    # The author's pattern is trusted, and digits and names add nothing that needs escaping.
    return Markup(written) if isinstance(pattern, Markup) else written


@liquid_filter
def _json(value: object) -> str:
    """Write a value as JSON: a text with its quotes, nothing as null."""
    try:
        plain = None if is_undefined(value) else value
        return msgspec.json.encode(plain, enc_hook=_unmark).decode()
    except (TypeError, ValueError, RecursionError):
        message = "json: this value can't be written as JSON"
        raise FilterArgumentError(message, token=None) from None


def _unmark(value: object) -> str:
    """Give markup as the text it is. Raises TypeError for what is no text."""
    if isinstance(value, str):
        return str(value)
    raise TypeError(type(value).__name__)


def _bound_ranges(function: Callable[..., Any]) -> Callable[..., Any]:
    """Keep a filter from laying out a range like `(1..1000000000)` in memory."""

    @wraps(function)
    def bounded(*args: object, **named: object) -> object:
        for arg in args:
            if isinstance(arg, range) and len(arg) > TEMPLATE_LOOPS_MAX:
                message = f"a range of more than {TEMPLATE_LOOPS_MAX} numbers"
                raise FilterArgumentError(message, token=None)
        return function(*args, **named)

    return bounded
