"""Liquid texts: compiled once, when a workspace is loaded, and rendered for one customer.

`compile_template` is called by `engine.program.compile`; what it returns is called by
`engine.choice.content` with the names a template can use. `template_variables` serves the checks.

Rules
- The language is that of `dialect`. A missing value is empty; an unknown tag or filter, or a filter
  with the wrong number of arguments, is an error when the workspace is loaded.
- HTML is escaped where the template is HTML; what its author wrote is not.
- Whatever goes wrong is a `TemplateError`, and costs this one message only.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from inspect import signature
from typing import Any

from liquid import BoundTemplate, Environment, Node, RenderContext, TokenStream
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import (
    Filter,
    FilteredExpression,
    KeywordArgument,
    PositionalArgument,
)
from liquid.exceptions import FilterArgumentError, LiquidError, LiquidInterrupt
from liquid.expression import Expression
from liquid.token import TOKEN_OUTPUT, TOKEN_TAG

from engine.errors import NextbeatError
from engine.limits import TEMPLATE_BYTES_MAX
from engine.program.dialect import Abort, Names, dialect, open_buffer
from engine.program.faults import quote, suggest
from engine.program.localised import PLURAL, is_local
from engine.program.program import Template
from engine.program.quick_templates import compile_quick

# What `engine.choice.content` gives a template.
TEMPLATE_NAMES = (
    *("currency", "customer", "entry", "event", "journey", "locale", "message_id", "now"),
    *("preferences_url", "profile", "timezone", "unsubscribe_url", "workspace"),
)
CONFIRM_NAME = "confirm_url"  # and this, to the message that asks for a confirmation

_LIKENESS_MIN = 0.8
_MESSAGE_LENGTH_MAX = 160
_BRAZE_NAME = "${"


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

    `rule` is where the text is written; it stands before what goes wrong while rendering.
    """
    bound = _parse(source, html=html)
    render = _compile_constant(bound)
    if render is None:
        tree = _compile_tree(bound, rule)
        render = _compile_quick(bound, tree, html=html) or tree
    return Template(source=source, render=render, is_local=is_local(source))


def template_variables(source: str) -> list[str]:
    """List the paths a template takes from the names it is given, in order of appearance."""
    found = _parse(source, html=False).analyze(include_partials=False).globals
    variables = [variable for uses in found.values() for variable in uses]
    variables.sort(key=lambda variable: variable.span.index)
    return list(dict.fromkeys(str(variable) for variable in variables))


def fixed_text(source: str) -> str:
    """Give what is in a text whoever it is for: all that stands outside of its tags."""
    nodes = _parse(source, html=False).nodes
    return "".join(node.text for node in nodes if isinstance(node, ContentNode))


def plural_forms(source: str) -> list[frozenset[str]]:
    """List which forms each use of the filter `plural` in a text has."""
    bound = _parse(source, html=False)
    return [
        frozenset(one.name for one in used.args if isinstance(one, KeywordArgument))
        for used in _find_filters(bound.nodes, RenderContext(bound))
        if used.name == PLURAL
    ]


def is_fixed(source: str) -> bool:
    """Say whether a text is the same for everybody."""
    return "{{" not in source and "{%" not in source


def shown_traits(source: str) -> list[str]:
    """List the traits a template shows, by name."""
    found = _parse(source, html=False).analyze(include_partials=False).globals.get("profile", ())
    names = (use.segments[1] for use in found if len(use.segments) > 1)
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))


def find_misspelt(source: str) -> TemplateError | None:
    """Find a name that is nearly one a template is given, and would be empty for everybody.

    Names like none of those are left alone: in Liquid what is not there is empty.
    """
    for name, uses in _parse(source, html=False).analyze(include_partials=False).globals.items():
        near = get_close_matches(name, (*TEMPLATE_NAMES, CONFIRM_NAME), n=1, cutoff=_LIKENESS_MIN)
        if near and near[0] != name:
            message = f"unknown name {quote(name)}, did you mean {near[0]!r}?"
            return TemplateError(message, *_find_position(source, uses[0].span.index))
    return None


# Reading.


def _parse(source: str, *, html: bool) -> BoundTemplate:
    language = dialect(html=html)
    try:
        bound = language.from_string(source)
        for used in _find_filters(bound.nodes, RenderContext(bound)):
            _check_filter(used, language)
    except LiquidError as error:
        raise _translate(error, language, source) from None
    return bound


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


def _check_filter(used: Filter, language: Environment) -> None:
    """Refuse an unknown filter or a wrong number of arguments, which the library meets too late."""
    function = language.filters.get(used.name)
    if function is None:
        message = _name_unknown("filter", used.name, language.filters)
        raise FilterArgumentError(message, token=used.token)
    positional = [arg for arg in used.args if isinstance(arg, PositionalArgument)]
    named: dict[str, object] = {
        arg.name: arg for arg in used.args if isinstance(arg, KeywordArgument)
    }
    for passed in ("context", "environment"):
        if getattr(function, f"with_{passed}", False):
            named[passed] = None
    try:
        signature(function).bind(None, *positional, **named)
    except TypeError as error:
        message = f"filter {used.name!r}: {error}"
        raise FilterArgumentError(message, token=used.token) from None


def _translate(error: LiquidError, language: Environment, source: str) -> TemplateError:
    """Say what the library found, and where, in terms of this text."""
    message, token = str(error.message), error.token
    index = token.start_index if token is not None else -1
    if index < 0:
        index = _locate(message, language, source)
    if message.startswith("unexpected tag") and token is not None:
        tags = [name for name in language.tags if name.isidentifier()]
        message = (
            _name_unknown("tag", token.value, tags) if token.start_index >= 0 else "not closed"
        )
    if _BRAZE_NAME in source:
        message += ", because names are written {{ profile.first_name }}, not {{${first_name}}}"
    return TemplateError(_shorten(message), *_find_position(source, index))


def _find_position(source: str, index: int) -> tuple[int, int]:
    """Tell the line and column of an index, from 1; zeros where there is none."""
    if index < 0:
        return 0, 0
    return source.count("\n", 0, index) + 1, index - source.rfind("\n", 0, index)


def _name_unknown(noun: str, name: str, known: Iterable[str]) -> str:
    hint = suggest(name, known)
    return f"unknown {noun} {quote(name)}" + (f", {hint}" if hint else "")


def _locate(message: str, language: Environment, source: str) -> int:
    """Find where a fault is of which the library does not say where; -1 if that can't be said.

    It is the innermost block that was not closed, else the first statement with that very fault.
    """
    tokens = list(language.tokenizer()(source))
    blocks: list[tuple[str, int]] = []
    for token in tokens:
        tag = language.tags.get(token.value) if token.kind == TOKEN_TAG else None
        if tag is not None and tag.block:
            blocks.append((tag.end, token.start_index))
        elif blocks and token.kind == TOKEN_TAG and token.value == blocks[-1][0]:
            blocks.pop()
    if blocks:
        return blocks[-1][1]
    for position, token in enumerate(tokens):
        if token.kind in (TOKEN_OUTPUT, TOKEN_TAG):
            name = TOKEN_OUTPUT if token.kind == TOKEN_OUTPUT else token.value
            statement = TokenStream(iter(tokens[position : position + 2]))
            try:
                language.tags[name].get_node(statement)
            except LiquidError as error:
                if error.message == message:
                    return token.start_index
            except KeyError:
                continue  # the end of a block
    return -1


def _shorten(text: str) -> str:
    if len(text) <= _MESSAGE_LENGTH_MAX:
        return text
    return text[: _MESSAGE_LENGTH_MAX - 1] + "\u2026"


# Rendering, from the cheapest way to the general one.


def _compile_constant(bound: BoundTemplate) -> Render | None:
    """Make a text without markup a constant."""
    if not all(isinstance(node, ContentNode) for node in bound.nodes):
        return None
    text = "".join(str(node) for node in bound.nodes)
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        message = f"{quote(error.object[error.start])} is not a character"
        raise TemplateError(message) from None
    if size > TEMPLATE_BYTES_MAX:
        message = f"the text is longer than {TEMPLATE_BYTES_MAX} bytes"
        raise TemplateError(message, 1, 1)
    return lambda _: text


def _compile_quick(bound: BoundTemplate, tree: Render, *, html: bool) -> Render | None:
    """Compile what most texts are made of to a function, or give None.

    Where that meets anything out of the ordinary, all is rendered again by the library, which then
    says what is wrong. A test holds both to the same output.
    """
    quick = compile_quick(bound, html=html)
    if quick is None:
        return None

    def render(names: Mapping[str, Any]) -> str:
        try:
            return quick(names)
        except Exception:  # noqa: BLE001 - whatever it is, the library has the last word
            return tree(names)

    return render


def _compile_tree(bound: BoundTemplate, rule: str) -> Render:
    """Render with the library."""

    def render(names: Mapping[str, Any]) -> str:
        context, buffer = Names(bound, names), open_buffer()
        for node in bound.nodes:
            try:
                node.render(context, buffer)
            except LiquidError as error:
                error.token = error.token or node.token
                raise
        return buffer.getvalue()

    return _guard(render, rule)


def _guard(render: Render, rule: str) -> Render:
    """Turn whatever goes wrong into a TemplateError that says where."""

    def guarded(names: Mapping[str, Any]) -> str:
        try:
            return render(names)
        except Abort as abort:
            raise TemplateAbort(str(abort)) from None
        except LiquidError as error:
            token = error.token
            position = _find_position(token.source, token.start_index) if token else (0, 0)
            raise TemplateError(_shorten(f"{rule}: {error.message}"), *position) from error
        except LiquidInterrupt as error:
            message = f"{rule}: {error} outside of a loop"
            raise TemplateError(message) from error
        except Exception as error:  # what a filter raises is its own secret
            message = f"{rule}: {type(error).__name__} while rendering"
            raise TemplateError(message) from error

    return guarded
