"""YAML 1.2 and JSON files as plain values, with the place of each value.

Called by `adapters.files.workspaces`. YAML is read with the scalars of the 1.2 core schema on the
C parser: plain PyYAML reads `21:30` as 1290, `NO` as false and `on:` as true. It is built from
parser events rather than nodes, because then nesting, aliases and places are all in our hands.

*Rules.* Mapping keys are text and unique. Only the core schema's tags. One document per file.
Aliases are allowed, but count as often as they are used, so that a small file stays small.
Numbers that look like telephone numbers are refused: as numbers they lose their zeros and plus.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import yaml

from engine.errors import Problem
from engine.limits import WORKSPACE_DEPTH_MAX, WORKSPACE_VALUES_MAX
from engine.program.places import Path, Place, format_path

_NULL = ("", "~", "null", "Null", "NULL")
_BOOLS = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_PHONE = re.compile(r"(?:\+[0-9]|0[0-9])[0-9]{5,}")
_CORE = "tag:yaml.org,2002:"
_TEXT_TAGS = (_CORE + "str", "!")
_INT_DIGITS_MAX = 18
_SHOWN_MAX = 80


class Document(msgspec.Struct):
    """One file, read: its value, where each part of it stands, and what was wrong with it.

    `readable` is False where the text could not be read at all; `value` is None then.
    """

    value: Any
    places: dict[Path, Place]
    problems: list[Problem]
    readable: bool = True


def read_yaml(text: str, file: str) -> Document:
    """Read a YAML 1.2 text; faults become problems with their line."""
    reader = _Reader(file)
    try:
        value = reader.read(text)
    except _UnreadableError as error:
        return Document(None, {}, [*reader.problems, error.problem], readable=False)
    except yaml.MarkedYAMLError as error:
        return Document(None, {}, [*reader.problems, _explain(error, text, file)], readable=False)
    except yaml.YAMLError as error:
        problem = Problem("$", f"is not YAML: {error}".split("\n")[0][:_SHOWN_MAX], file=file)
        return Document(None, {}, [problem], readable=False)
    return Document(value, reader.places, reader.problems)


def read_json(text: str, file: str) -> Document:
    """Read a JSON text. Its places come from reading it as YAML too, of which JSON is a part."""
    try:
        value = json.loads(text, object_pairs_hook=_refuse_twice, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        problem = Problem("$", f"is not JSON: {error.msg}", "", file, error.lineno, error.colno)
        return Document(None, {}, [problem], readable=False)
    except RecursionError:
        problem = Problem("$", "is nested too deeply", "", file, 1, 1)
        return Document(None, {}, [problem], readable=False)
    except ValueError as error:
        problems = read_yaml(text, file).problems or [Problem("$", str(error), "", file, 1, 1)]
        return Document(None, {}, problems, readable=False)
    # Where the YAML reading fails (it knows no surrogate pairs) the values are right all the same.
    return Document(value, read_yaml(text, file).places, [])


class _UnreadableError(Exception):
    """A file breaks a rule after which reading on makes no sense."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class _Reader:
    """Builds the value of one file from its parser events, keeping places on the way."""

    def __init__(self, file: str) -> None:
        self.places: dict[Path, Place] = {}
        self.problems: list[Problem] = []
        self._file = file
        self._lines: list[str] = []
        self._values = 0
        self._anchors: dict[str, tuple[object, int]] = {}  # name -> value, and how many it holds

    def read(self, text: str) -> object:
        self._lines = text.splitlines()
        value: object = None
        documents = 0
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.CSafeLoader)
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._unreadable(event, (), "a second document begins here", "split it")
                value = self._read_node(next(self._events), (), 0)
        return value

    def _read_node(self, event: yaml.Event, path: Path, depth: int) -> object:
        if depth > WORKSPACE_DEPTH_MAX:
            raise self._unreadable(event, path[:4], "is nested too deeply")
        self._values += 1
        if isinstance(event, yaml.AliasEvent):
            return self._read_alias(event, path)
        before = self._values
        if isinstance(event, yaml.MappingStartEvent):
            value: object = self._read_mapping(event, path, depth)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._read_sequence(event, path, depth)
        else:
            assert isinstance(event, yaml.ScalarEvent)  # nothing else stands where a value does
            value = self._read_scalar(event, path)
        if event.anchor is not None:
            self._anchors[event.anchor] = value, self._values - before + 1
        return value

    def _read_alias(self, event: yaml.AliasEvent, path: Path) -> object:
        assert event.anchor is not None
        if event.anchor not in self._anchors:
            shown = event.anchor[:_SHOWN_MAX]
            raise self._unreadable(event, path, f"there is no '&{shown}' before this '*{shown}'")
        value, size = self._anchors[event.anchor]
        self._values += size
        if self._values > WORKSPACE_VALUES_MAX:
            raise self._unreadable(event, path, "aliases make this file too large")
        self._place(event, path)
        return value

    def _read_mapping(
        self, event: yaml.CollectionStartEvent, path: Path, depth: int
    ) -> dict[str, object]:
        self._check_tag(event, path, (_CORE + "map",))
        mapping: dict[str, object] = {}
        while not isinstance(key_event := next(self._events), yaml.MappingEndEvent):
            key = self._read_key(key_event, path)
            key_path = (*path, key)
            if key in mapping:
                self._note(key_event, key_path, f"duplicate key {key[:_SHOWN_MAX]!r}", key_path)
                self._read_node(next(self._events), (*path, f"{key} (again)"), depth + 1)
                continue
            value_event = next(self._events)
            mapping[key] = self._read_node(value_event, key_path, depth + 1)
            self._place(value_event, key_path, _position(key_event))
        return mapping

    def _read_sequence(
        self, event: yaml.CollectionStartEvent, path: Path, depth: int
    ) -> list[object]:
        self._check_tag(event, path, (_CORE + "seq",))
        sequence: list[object] = []
        while not isinstance(item_event := next(self._events), yaml.SequenceEndEvent):
            item_path = (*path, len(sequence))
            sequence.append(self._read_node(item_event, item_path, depth + 1))
            self._place(item_event, item_path)
        return sequence

    def _read_key(self, event: yaml.Event, path: Path) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            is_braced = isinstance(event, yaml.MappingStartEvent)
            hint = "quote a text that begins with '{{'" if is_braced else ""
            raise self._unreadable(event, path, "a key must be plain text", hint)
        if event.implicit[0] and not isinstance(_resolve(event.value), str):
            shown = event.value[:_SHOWN_MAX]
            self._note(event, path, f"the key {shown} is not text", None, f'quote it: "{shown}"')
        return str(event.value)

    def _read_scalar(self, event: yaml.ScalarEvent, path: Path) -> object:
        if not event.implicit[0]:
            self._check_tag(event, path, _TEXT_TAGS)
            return str(event.value)
        text = event.value
        if _PHONE.fullmatch(text):
            message = f"{text[:_SHOWN_MAX]} would be read as a number and lose its '+' or '0'"
            self._note(event, path, message, None, f'quote it: "{text[:_SHOWN_MAX]}"')
            return str(text)
        value = _resolve(text)
        if isinstance(value, float) and not math.isfinite(value):
            self._note(event, path, f"{text[:_SHOWN_MAX]} is not a number to decide with")
            return 0.0
        if isinstance(value, int) and len(text) > _INT_DIGITS_MAX:
            message = "is too large for a number"
            self._note(event, path, message, None, f'quote it: "{text[:_SHOWN_MAX]}"')
            return str(text)
        return value

    def _check_tag(
        self,
        event: yaml.CollectionStartEvent | yaml.ScalarEvent,
        path: Path,
        known: tuple[str, ...],
    ) -> None:
        if event.tag is not None and event.tag not in known:
            tag = event.tag.replace(_CORE, "!!")[:_SHOWN_MAX]
            self._note(event, path, f"the tag {tag} is not known", None, "leave it out")

    def _place(self, event: yaml.Event, path: Path, key: tuple[int, int] = (0, 0)) -> None:
        if isinstance(event, yaml.ScalarEvent):
            line, column = _position(event)
            text_line, text_column = self._place_text(event)
        else:
            line, column = key if key[0] else _position(event)
            text_line, text_column = 0, 0
        self.places[path] = Place(self._file, line, column, key[0], key[1], text_line, text_column)

    def _place_text(self, event: yaml.ScalarEvent) -> tuple[int, int]:
        line, column = _position(event)
        if event.style == "|":
            first = self._lines[line] if line < len(self._lines) else ""
            return line + 1, len(first) - len(first.lstrip(" ")) + 1
        assert event.end_mark is not None
        quotes = 1 if event.style in {"'", '"'} else 0
        length = event.end_mark.column + 1 - column
        is_verbatim = event.end_mark.line + 1 == line and length == len(event.value) + 2 * quotes
        return (line, column + quotes) if is_verbatim and event.style != ">" else (0, 0)

    def _note(
        self, event: yaml.Event, path: Path, message: str, first: Path | None = None, hint: str = ""
    ) -> None:
        if first is not None and (place := self.places.get(first)) is not None:
            hint = f"it is also in line {place.key_line}"
        self.problems.append(self._problem(event, path, message, hint))

    def _unreadable(
        self, event: yaml.Event, path: Path, message: str, hint: str = ""
    ) -> _UnreadableError:
        return _UnreadableError(self._problem(event, path, message, hint))

    def _problem(self, event: yaml.Event, path: Path, message: str, hint: str) -> Problem:
        line, column = _position(event)
        return Problem(format_path(path), message, hint, self._file, line, column)


def _position(event: yaml.Event) -> tuple[int, int]:
    """Give the line and column at which something begins, counted from 1."""
    assert event.start_mark is not None
    return event.start_mark.line + 1, event.start_mark.column + 1


def _resolve(text: str) -> str | int | float | bool | None:
    """Give a plain scalar the meaning of the YAML 1.2 core schema."""
    if text in _NULL:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in {"0o", "0x"} else int(text[: _INT_DIGITS_MAX + 1])
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NOT_FINITE.fullmatch(text):
        return math.nan
    return text


def _explain(error: yaml.MarkedYAMLError, text: str, file: str) -> Problem:
    began = error.context_mark
    mark = error.problem_mark or began
    is_quote = "quoted scalar" in (error.context or "")
    if is_quote and began is not None:
        mark = began  # the end of the file is where it was noticed, not where it is wrong
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
    written = text.splitlines()[line - 1 : line]
    hint = ""
    if written and written[0][: column + 1].strip(" ").startswith("\t"):
        hint = "indent with spaces, not tabs"
    elif "mapping values" in (error.problem or ""):
        hint = "quote a text that holds ': '"
    elif is_quote:
        hint = "the quote that opens here is not closed"
    elif "flow" in (error.context or "") and began is not None:
        hint = f"the bracket in line {began.line + 1} is not closed, or a text wants quotes"
    return Problem("$", f"is not YAML: {error.problem}", hint, file, line, column)


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        message = f"duplicate key {twice[:_SHOWN_MAX]!r}"
        raise ValueError(message)
    return mapping


def _refuse_constant(name: str) -> object:
    message = f"{name} is not JSON"
    raise ValueError(message)
