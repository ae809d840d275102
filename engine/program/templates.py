"""Liquid texts: compiled once, when a workspace is loaded, and rendered for one customer.

`compile_template` is called by `engine.program.compile`; what it returns is called by
`engine.choice.content` with the names a template can use. `template_variables` serves the checks.

Rules
- The language is python-liquid's. A missing value is empty; an unknown tag or filter, or a filter
  given the wrong number of arguments, is an error when the workspace is loaded.
- Nothing is read from outside: no files (`include` and `render` do not exist) and no clock. `now`
  is the name the caller passes, and so are `"now"` and `"today"` in the `date` filter.
- HTML is escaped where the template is HTML; what the author wrote is not.
- Loops, nesting, variables and output are bounded. Whatever goes wrong is a `TemplateError`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache, wraps
from inspect import signature
from io import StringIO
from typing import Any, TextIO

from liquid import BoundTemplate, Environment, Markup, Node, RenderContext, Tag, Token, TokenStream
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import (
    Filter,
    FilteredExpression,
    KeywordArgument,
    Path,
    PositionalArgument,
    StringLiteral,
    parse_primitive,
    tokenize,
)
from liquid.builtin.filters import array
from liquid.builtin.filters.misc import default
from liquid.builtin.output import OutputNode
from liquid.exceptions import FilterArgumentError, LiquidError, LiquidInterrupt
from liquid.expression import Expression
from liquid.filter import liquid_filter, with_context
from liquid.output import LimitedStringIO
from liquid.stringify import to_liquid_string
from liquid.token import TOKEN_EOF, TOKEN_EXPRESSION, TOKEN_OUTPUT, TOKEN_TAG
from liquid.undefined import is_undefined
from liquid.utils import ReadOnlyChainMap

from engine.errors import NextbeatError
from engine.limits import (
    TEMPLATE_BYTES_MAX,
    TEMPLATE_DEPTH_MAX,
    TEMPLATE_LOCALS_BYTES_MAX,
    TEMPLATE_LOOPS_MAX,
)
from engine.localtime import zone as find_zone
from engine.program.dates import format_moment, read_moment
from engine.program.faults import quote, suggest
from engine.program.program import Template

_SHOWN_MAX = 80
_ABORT_TAG = "abort_message"


class TemplateError(NextbeatError):
    """A Liquid text can't be read or rendered; `line` and `column` count from 1, 0 is unknown."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        place = f"line {line}, column {column}: " if line else ""
        super().__init__(f"{place}{message}")
        self.message = message
        self.line = line
        self.column = column


class TemplateAbort(NextbeatError):  # noqa: N818 - not an error: the author asked for it
    """The template's author decided that this customer gets nothing; the text is the reason."""


Render = Callable[[Mapping[str, Any]], str]


def compile_template(source: str, *, html: bool, rule: str) -> Template:
    """Read a Liquid text. Raises TemplateError with the position of the fault.

    `rule` is where the text is written; it stands in front of what goes wrong while rendering.
    """
    bound = _parse(source, html=html)
    render = _compile_constant(bound) or _compile_plain(bound, rule=rule, html=html)
    return Template(source=source, render=render or _compile_tree(bound, rule=rule))


def template_variables(source: str) -> list[str]:
    """List the paths a template takes from the names it is given, in order of appearance."""
    found = _parse(source, html=False).analyze(include_partials=False).globals
    variables = [variable for uses in found.values() for variable in uses]
    variables.sort(key=lambda variable: variable.span.index)
    return list(dict.fromkeys(str(variable) for variable in variables))


# The language.


class _Language(Environment):
    """Python-liquid's language, within our limits."""

    loop_iteration_limit = TEMPLATE_LOOPS_MAX
    output_stream_limit = TEMPLATE_BYTES_MAX
    local_namespace_limit = TEMPLATE_LOCALS_BYTES_MAX
    block_nesting_limit = TEMPLATE_DEPTH_MAX
    context_depth_limit = TEMPLATE_DEPTH_MAX


class _Names(RenderContext):
    """What a template sees. The library's own names for the present, which it clocks, are gone."""

    __slots__ = ()

    def __init__(self, template: BoundTemplate, names: Mapping[str, Any]) -> None:
        super().__init__(template, globals=names)
        self.scope = ReadOnlyChainMap(self.locals, names, self.counters)

    def get_buffer(self, buf: TextIO | None = None) -> StringIO:
        used = buf.size if isinstance(buf, LimitedStringIO) else 0
        return _open_buffer(TEMPLATE_BYTES_MAX - used)


def _open_buffer(limit: int) -> LimitedStringIO:
    """Open a buffer that leaves line ends as they are; the library's default rewrites them."""
    return LimitedStringIO(limit, newline="")


class _AbortNode(Node):
    """An `abort_message` in a template's tree."""

    __slots__ = ("reason",)

    def __init__(self, token: Token, reason: Expression | None) -> None:
        super().__init__(token)
        self.reason = reason
        self.blank = False

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:  # noqa: ARG002
        value = None if self.reason is None else self.reason.evaluate(context)
        text = to_liquid_string(value, autoescape=False)
        raise TemplateAbort(text[:_SHOWN_MAX] or "the template aborted without a reason")

    def expressions(self) -> Iterable[Expression]:
        return () if self.reason is None else (self.reason,)


class _AbortTag(Tag):
    """`{% abort_message 'reason' %}`; parentheses around the reason are allowed, as elsewhere."""

    name = _ABORT_TAG
    block = False

    def parse(self, stream: TokenStream) -> Node:
        token = stream.expect(TOKEN_TAG)
        if stream.peek.kind != TOKEN_EXPRESSION:
            return _AbortNode(token, None)
        next(stream)
        written = stream.current
        text = written.value.strip()
        if text.startswith("(") and text.endswith(")"):
            text = text[1:-1].strip()
        if not text:
            return _AbortNode(token, None)
        start = written.start_index + written.value.index(text)
        inner = Token(TOKEN_EXPRESSION, text, start, written.source)
        tokens = TokenStream(tokenize(text, inner))
        reason = parse_primitive(self.env, tokens)
        tokens.expect(TOKEN_EOF)
        return _AbortNode(token, reason)


@with_context
@liquid_filter
def _date(value: object, pattern: object, zone: object = None, *, context: RenderContext) -> str:
    """Write a date or instant by a pattern, on the clock of a zone if one is named."""
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
    moment = read_moment(value, datetime.fromisoformat(now) if isinstance(now, str) else None, clock)
    if moment is None:
        if value in ("now", "today"):
            raise FilterArgumentError("the present is not among the names given", token=None)
        return to_liquid_string(value, autoescape=False)
    written = format_moment(moment, str(pattern))
    # The author's pattern is trusted markup, and digits and names add nothing to be escaped.
    return Markup(written) if isinstance(pattern, Markup) else written  # noqa: S704


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


@cache
def _language(*, html: bool) -> Environment:
    language = _Language(autoescape=html)
    for name in ("include", "render"):
        del language.tags[name]
    language.add_tag(_AbortTag)
    for name, function in language.filters.items():
        if function.__module__ == array.__name__ or name == "slice":
            language.filters[name] = _bound_ranges(function)
    language.add_filter("date", _date)
    return language


# Reading.


def _parse(source: str, *, html: bool) -> BoundTemplate:
    language = _language(html=html)
    try:
        bound = language.from_string(source)
        _check_filters(bound)
    except LiquidError as error:
        raise _translate(error, language, source) from None
    return bound


def _check_filters(bound: BoundTemplate) -> None:
    """Refuse unknown filters and wrong numbers of arguments, which the library meets too late."""
    known = bound.env.filters
    for used in _find_filters(bound.nodes, RenderContext(bound)):
        function = known.get(used.name)
        if function is None:
            hint = suggest(used.name, known)
            message = f"unknown filter {quote(used.name)}" + (f": {hint}" if hint else "")
            raise FilterArgumentError(message, token=used.token)
        positional = [arg for arg in used.args if isinstance(arg, PositionalArgument)]
        named = {arg.name: arg for arg in used.args if isinstance(arg, KeywordArgument)}
        if getattr(function, "with_context", False):
            named["context"] = None
        if getattr(function, "with_environment", False):
            named["environment"] = None
        try:
            signature(function).bind(None, *positional, **named)
        except TypeError as error:
            message = f"filter {used.name!r}: {error}"
            raise FilterArgumentError(message, token=used.token) from None


def _find_filters(nodes: Iterable[Node], context: RenderContext) -> Iterator[Filter]:
    for node in nodes:
        for expression in node.expressions():
            yield from _find_filters_within(expression)
        yield from _find_filters(node.children(context, include_partials=False), context)


def _find_filters_within(expression: Expression) -> Iterator[Filter]:
    if isinstance(expression, FilteredExpression):
        yield from expression.filters or ()
    for child in expression.children():
        yield from _find_filters_within(child)


def _translate(error: LiquidError, language: Environment, source: str) -> TemplateError:
    """Say what the library found, and where, in terms of this text."""
    index = error.token.start_index if error.token is not None else -1
    message = str(error.message)
    if index < 0:
        index = _locate(message, language, source)
    if message.startswith("unexpected tag 'end of expression'"):
        message = "a tag is not closed"
    elif message.startswith("unexpected tag") and error.token is not None:
        hint = suggest(error.token.value, [name for name in language.tags if name.isidentifier()])
        message = f"unknown tag {quote(error.token.value)}" + (f": {hint}" if hint else "")
    elif "{{${" in source.replace(" ", ""):
        message += ": write {{ profile.first_name }}, not {{${first_name}}}"
    if index < 0:
        return TemplateError(_shorten(message))
    line_start = source.rfind("\n", 0, index) + 1
    return TemplateError(_shorten(message), source.count("\n", 0, index) + 1, index - line_start + 1)


def _locate(message: str, language: Environment, source: str) -> int:
    """Find where a fault is of which the library does not say where, or -1.

    It is the innermost block that was not closed; else the first statement with that very fault.
    """
    tokens = list(language.tokenizer()(source))
    open_blocks: list[tuple[str, int]] = []
    for token in tokens:
        tag = language.tags.get(token.value) if token.kind == TOKEN_TAG else None
        if tag is not None and tag.block:
            open_blocks.append((tag.end, token.start_index))
        elif open_blocks and token.kind == TOKEN_TAG and token.value == open_blocks[-1][0]:
            open_blocks.pop()
    if open_blocks:
        return open_blocks[-1][1]
    for index, token in enumerate(tokens):
        if token.kind not in (TOKEN_OUTPUT, TOKEN_TAG):
            continue
        name = TOKEN_OUTPUT if token.kind == TOKEN_OUTPUT else token.value
        try:
            language.tags[name].get_node(TokenStream(iter(tokens[index : index + 2])))
        except LiquidError as error:
            if error.message == message:
                return token.start_index
        except KeyError:
            continue
    return -1


def _shorten(text: str) -> str:
    return text if len(text) <= 2 * _SHOWN_MAX else text[: 2 * _SHOWN_MAX - 1] + "…"


# Rendering, from the cheapest to the general way.


def _compile_constant(bound: BoundTemplate) -> Render | None:
    """Make a text without markup a constant."""
    if not all(type(node) is ContentNode for node in bound.nodes):
        return None
    text = "".join(str(node) for node in bound.nodes)
    if len(text.encode()) > TEMPLATE_BYTES_MAX:
        message = f"the text is longer than {TEMPLATE_BYTES_MAX} bytes"
        raise TemplateError(message, 1, 1)
    return lambda _: text


# A piece of a plain text: what stands there, or a path (and what takes its place if it is empty).
_Piece = str | tuple[str, tuple[str, ...], str | None]


def _compile_plain(bound: BoundTemplate, *, rule: str, html: bool) -> Render | None:
    """Compile a text of plain values, `{{ a.b }}` or `{{ a.b | default: "c" }}`; None for others.

    The library takes 19 µs for a subject line with one value, most of it to set up what such a
    text does not need; this takes 2 µs. It leaves to the library how a value is written.
    """
    pieces: list[_Piece] = []
    for node in bound.nodes:
        piece = _read_piece(node, html=html)
        if piece is None:
            return None
        pieces.append(piece)
    fast = tuple(pieces)

    def render(names: Mapping[str, Any]) -> str:
        try:
            text = "".join(
                [
                    piece if isinstance(piece, str) else _write_value(names, *piece, html=html)
                    for piece in fast
                ]
            )
            size = len(text.encode())
        except Exception as error:  # noqa: BLE001 - as below
            raise _explain(error, rule) from error
        if size > TEMPLATE_BYTES_MAX:
            message = f"{rule}: output stream limit reached"
            raise TemplateError(message)
        return text

    return render
