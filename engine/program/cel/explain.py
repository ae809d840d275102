"""Why a condition gave what it gave, term by term.

Called by `nextbeat explain` and by whoever writes a trace for people; never on the way of an
event. It evaluates the very functions conditions are compiled to, one for each term.
"""

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from engine.program.cel.checker import check
from engine.program.cel.compiler import build, parts_of
from engine.program.cel.computed import computed_kinds
from engine.program.cel.emitter import write_export, write_value
from engine.program.cel.ir import Constant, Field, Kind, Loop, Name, Operation, Trait, Typed
from engine.program.cel.operations import ABSENT, Json
from engine.program.cel.parser import parse
from engine.program.scope import Scope

_LOGIC = frozenset({"&&", "||", "!", "?:"})
_PAST = frozenset({"count", "sum", "last", "since", "in_segment", "engagement", "reachable"})
_CACHE_MAX = 256
_SHOWN_MAX = 80


class Reading(msgspec.Struct, frozen=True):
    """One thing a term looked at, and what was there; `value` is None where it was absent."""

    text: str
    value: Any
    is_absent: bool


class Term(msgspec.Struct, frozen=True):
    """One comparison, test or function of a condition, and what it gave.

    `decided` marks the terms that made the whole condition what it was: in a false `&&` the first
    false one, in a true `||` the first true one, otherwise all of them.
    """

    text: str
    value: Any
    decided: bool
    was: tuple[Reading, ...] = ()

    def __str__(self) -> str:
        """Write it like `profile.country in ["PT", "ES"] -> false, profile.country was "FR"`."""
        seen = "".join(f", {one.text} was {_written(one)}" for one in self.was)
        return f"{self.text} -> {_shown(self.value)}{seen}"


def explain(source: str, scope: Scope) -> list[Term]:
    """Evaluate every term of a condition on a scope. Raises CelError."""
    logic, leaves = _prepare(source, tuple(computed_kinds(scope.book.traits).items()))
    values = [leaf.value(scope) for leaf in leaves]
    _, deciding = _decide(logic, [value is True for value in values])
    return [
        Term(
            leaf.text,
            value,
            index in deciding,
            tuple(_read(text, raw, export, scope) for text, raw, export in leaf.reads),
        )
        for index, (leaf, value) in enumerate(zip(leaves, values, strict=True))
    ]


class _Leaf(msgspec.Struct, frozen=True):
    """A term with its function, and the functions that read what it looks at."""

    text: str
    value: Callable[[Scope], Any]
    reads: tuple[tuple[str, Callable[[Scope], Any], Callable[[Scope], Any]], ...]


class _Logic(msgspec.Struct, frozen=True):
    """How terms are joined; a term is `op` "" and the number of its leaf."""

    op: str
    leaf: int = 0
    parts: tuple["_Logic", ...] = ()


@lru_cache(_CACHE_MAX)
def _prepare(source: str, traits: tuple[tuple[str, Kind], ...]) -> tuple[_Logic, tuple[_Leaf, ...]]:
    leaves: list[_Leaf] = []
    logic = _split(source, check(source, parse(source), dict(traits), in_journey=True), leaves)
    return logic, tuple(leaves)


def _split(source: str, node: Typed, leaves: list[_Leaf]) -> _Logic:
    """Take the logical operators off; what remains are the terms."""
    is_logical = isinstance(node, Operation) and node.name in _LOGIC
    if is_logical and node.kind in (Kind.BOOL, Kind.DYNAMIC) and isinstance(node, Operation):
        return _Logic(node.name, 0, tuple(_split(source, part, leaves) for part in node.args))
    reads = tuple(
        (source[one.start : one.end], build(write_value(one)), build(write_export(one)))
        for one in dict.fromkeys(_looks_at(node))
        if one is not node
    )
    leaves.append(_Leaf(source[node.start : node.end], build(write_export(node)), reads))
    return _Logic("", len(leaves) - 1)


def _looks_at(node: Typed) -> list[Typed]:
    """Find the entries and functions a term reads, outside of its macros' bodies."""
    is_past = isinstance(node, Operation) and node.name in _PAST
    if isinstance(node, Trait | Field) or is_past:
        return [node] if _is_closed(node) else []
    if isinstance(node, Name | Constant):
        return [node] if isinstance(node, Name) and node.code == "s.event_name" else []
    parts = (node.source,) if isinstance(node, Loop) else parts_of(node)
    return [one for part in parts for one in _looks_at(part)]


def _is_closed(node: Typed) -> bool:
    """Tell that a node can be evaluated on its own: it names no variable of a macro."""
    is_variable = isinstance(node, Name) and not node.code.startswith("s.")
    return not is_variable and all(_is_closed(part) for part in parts_of(node))


def _decide(logic: _Logic, truths: list[bool]) -> tuple[bool, frozenset[int]]:
    """Give the outcome and the terms that decided it."""
    if not logic.op:
        return truths[logic.leaf], frozenset({logic.leaf})
    parts = [_decide(part, truths) for part in logic.parts]
    if logic.op == "!":
        return not parts[0][0], parts[0][1]
    if logic.op == "?:":
        chosen = parts[1] if parts[0][0] else parts[2]
        return chosen[0], parts[0][1] | chosen[1]
    stops_at = logic.op == "||"
    for truth, deciding in parts:
        if truth is stops_at:
            return truth, deciding
    return not stops_at, frozenset[int]().union(*(deciding for _, deciding in parts))


def _read(
    text: str, raw: Callable[[Scope], Any], export: Callable[[Scope], Any], scope: Scope
) -> Reading:
    return Reading(text, export(scope), raw(scope) is ABSENT)


def _written(reading: Reading) -> str:
    return "absent" if reading.is_absent else _shown(reading.value)


def _shown(value: Json) -> str:
    # Not msgspec: unlike it, json takes what only odd senders send, like half a surrogate pair.
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "…"
