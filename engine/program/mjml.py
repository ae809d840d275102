"""MJML, the markup of e-mail that holds in every mail client, made into HTML.

Called by `sections` when a workspace is compiled. Liquid stays in it: every `{{ … }}` and `{% … %}`
is a word to the compiler, and is put back where that word comes out.

Rules
- The compiler (mrml) passes over elements it does not know, and tells no line of what it can't
  read; so the elements are looked at here first.
- Liquid that would be lost, as in an attribute that MJML calculates with, is an error. Between
  sections and columns it has its place in `mj-raw`.
- Nothing is included from files: a workspace is whole without any.
- What comes out depends on the compiler's version, which is `MJML_VERSION`.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import version

from mrml import to_html

from engine.errors import NextbeatError
from engine.program.faults import quote, suggest

MJML_VERSION = f"mrml-{version('mrml')}"

_SOURCES_MAX = 512
_LIQUID = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_WORD = "nbliquid{}x"  # no letters that mark-up or a URL would change
_WORDS = re.compile(r"nbliquid([0-9]+)x")
_TAG = re.compile(r"<!--.*?-->|<(/?)(mj[\w-]*)((?:[^<>\"']|\"[^\"]*\"|'[^']*')*?)(/?)>", re.DOTALL)
_ELEMENTS = frozenset(
    f"mj-{name}"
    for name in (
        *("accordion", "accordion-element", "accordion-text", "accordion-title", "all"),
        *("attributes", "body", "breakpoint", "button", "carousel", "carousel-image", "class"),
        *("column", "divider", "font", "group", "head", "hero", "html-attribute"),
        *("html-attributes", "image", "navbar", "navbar-link", "preview", "raw", "section"),
        *("selector", "social", "social-element", "spacer", "style", "table", "text", "title"),
        "wrapper",
    )
) | {"mjml"}
_INCLUDE = "mj-include"


class MjmlError(NextbeatError):
    """MJML that can't be compiled; `line` and `column` count from 1, 0 is unknown."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


@lru_cache(_SOURCES_MAX)
def compile_mjml(source: str) -> str:
    """Compile MJML with Liquid in it to HTML with Liquid in it. Raises MjmlError."""
    if (found := _WORDS.search(source)) is not None:
        raise _fault(f"{quote(found[0])} is a word of our own", source, found.start())
    liquid = list(_LIQUID.finditer(source))
    numbers = iter(range(len(liquid)))
    # As many lines as before, so that lines are still those of the source.
    plain = _LIQUID.sub(
        lambda found: _WORD.format(next(numbers)) + "\n" * found[0].count("\n"), source
    )
    _check_elements(plain, source)
    try:
        html = str(to_html(plain).content)
    except OSError as error:
        raise MjmlError(f"this is no MJML: {error}") from None
    kept = {int(number) for number in _WORDS.findall(html)}
    for number, found in enumerate(liquid):
        if number not in kept:
            message = f"{quote(found[0])} would be lost: MJML makes nothing of it here"
            raise _fault(message, source, found.start())
    return _WORDS.sub(lambda found: liquid[int(found[1])][0], html)


def _check_elements(plain: str, source: str) -> None:
    """Refuse elements there are not, and those that are not closed where they should be."""
    open_: list[tuple[str, int, int]] = []
    for name, is_end, line, column in _walk_tags(plain):
        if name == _INCLUDE:
            message = "nothing is included: write it here, or keep the whole text in one file"
            raise MjmlError(message, line, column)
        if name not in _ELEMENTS:
            hint = suggest(name, _ELEMENTS)
            raise MjmlError(
                f"there is no element {quote(name)}" + (f", {hint}" if hint else ""), line, column
            )
        if not is_end:
            open_.append((name, line, column))
        elif not open_ or open_[-1][0] != name:
            before = f", but <{open_[-1][0]}> of line {open_[-1][1]} is open" if open_ else ""
            raise MjmlError(f"</{name}> closes nothing{before}", line, column)
        else:
            open_.pop()
    if open_:
        name, line, column = open_[-1]
        raise MjmlError(f"<{name}> is not closed", line, column)
    if not source.strip():
        raise MjmlError("there is nothing here", 1, 1)


def _walk_tags(plain: str) -> Iterator[tuple[str, bool, int, int]]:
    """Give the tags of MJML's own elements that open or close: name, which, line and column."""
    for found in _TAG.finditer(plain):
        slash, name, _, closed = found.groups()
        if name is None:
            continue  # a comment
        line, column = _locate(plain, found.start())
        if closed and name in _ELEMENTS:
            continue
        yield name, bool(slash), line, column


def _locate(text: str, index: int) -> tuple[int, int]:
    """Tell line and column; behind one of our words only the line is that of the source."""
    begin = text.rfind("\n", 0, index) + 1
    column = 1 if _WORDS.search(text, begin, index) else index - begin + 1
    return text.count("\n", 0, index) + 1, column


def _fault(message: str, source: str, index: int) -> MjmlError:
    return MjmlError(message, *_locate(source, index))
