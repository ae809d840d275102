"""From the text of a condition to a function: the way in to this package.

Called by `engine.program.compile` for every `if:`, segment, goal and `set:` of a workspace, once,
when it is loaded. Hands on a `Condition`, and what the condition looks at, so that the program
knows how much of the past to keep.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import msgspec

from engine.program.cel.checker import check
from engine.program.cel.emitter import NAMESPACE, Written, write_export, write_truth
from engine.program.cel.ir import (
    SPOKEN,
    Constant,
    Field,
    Kind,
    Loop,
    Match,
    Operation,
    Root,
    Scalar,
    Trait,
    Typed,
)
from engine.program.cel.parser import parse
from engine.program.cel.syntax import CelError
from engine.program.condition import Condition
from engine.program.scope import Scope

__all__ = ["EVERYTHING", "CelError", "Compiled", "build", "compile_condition", "compile_value"]

EVERYTHING = "*"  # stands for all traits or fields, where a condition goes through them

_HISTORY = frozenset({"count", "sum", "last", "since"})
_NO_TRAITS: Mapping[str, Kind] = {}
_OF_CHANNELS = ("engagement", "reachable")
_PAST = _HISTORY | {"in_segment", *_OF_CHANNELS}


class Compiled(msgspec.Struct, frozen=True):
    """A condition and what it looks at.

    `history` has an event's name, how far back (0: only the last one) and the property summed, for
    each function over history. `traits` and `event_fields` are top-level names; `*` is all of them.
    """

    condition: Condition
    history: tuple[tuple[str, int, str | None], ...] = ()
    segments: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    traits: tuple[str, ...] = ()
    event_fields: tuple[str, ...] = ()
    kind: Kind = Kind.DYNAMIC


def compile_condition(
    source: str, traits: Mapping[str, Kind] = _NO_TRAITS, *, in_journey: bool = False
) -> Compiled:
    """Compile what must be true or false. Raises CelError.

    `traits` are those that are worked out rather than stated, each with its kind. `in_journey`
    where it is asked of someone's stay in a journey.
    """
    typed = check(source, parse(source), traits, in_journey=in_journey)
    if typed.kind not in (Kind.BOOL, Kind.DYNAMIC):
        raise CelError(
            f"this gives {SPOKEN[typed.kind]}; a condition must give true or false",
            hint="compare it, like … > 3" if typed.kind is not Kind.NULL else "",
        )
    return _compile(source, typed)


def compile_value(
    source: str, traits: Mapping[str, Kind] = _NO_TRAITS, *, in_journey: bool = False
) -> Compiled:
    """Compile what may be any value, as for `set:`. Raises CelError."""
    return _compile(source, check(source, parse(source), traits, in_journey=in_journey))


def _compile(source: str, typed: Typed) -> Compiled:
    test = cast("Callable[[Scope], bool]", build(write_truth(typed)))
    evaluate = test if typed.kind is Kind.BOOL else build(write_export(typed))
    calls = list(calls_of(typed))
    segments = (str(args[0]) for name, args in calls if name == "in_segment")
    channels = (str(args[0]) for name, args in calls if name in _OF_CHANNELS)
    history = (_look_back(args) for name, args in calls if name in _HISTORY)
    return Compiled(
        condition=Condition(source, test, evaluate),
        history=tuple(dict.fromkeys(history)),
        segments=tuple(dict.fromkeys(segments)),
        channels=tuple(dict.fromkeys(channels)),
        traits=tuple(dict.fromkeys(entries_of(typed, "profile"))),
        event_fields=tuple(dict.fromkeys(entries_of(typed, "event"))),
        kind=typed.kind,
    )


def _look_back(args: tuple[Scalar, ...]) -> tuple[str, int, str | None]:
    """Read the arguments of count (name, window), sum (name, property, window), last or since."""
    name, *rest = args
    window_ms = rest[-1] if rest else 0
    assert isinstance(window_ms, int)
    return str(name), window_ms, str(rest[0]) if rest[1:] else None


def build(written: Written) -> Callable[[Scope], Any]:
    """Make one Python function of a written expression."""
    roots = "".join(f"    {root} = s.{root}\n" for root in written.roots)
    text = f"def condition(s):\n{roots}    return {written.text}\n"
    namespace = {**NAMESPACE, **written.objects}
    # The text holds nothing but operators, numbers, quoted texts and names of this namespace.
    exec(compile(text, "<condition>", "exec"), namespace)  # noqa: S102
    return cast("Callable[[Scope], Any]", namespace["condition"])


def parts_of(node: Typed) -> tuple[Typed, ...]:
    """Give the nodes directly below a node."""
    if isinstance(node, Operation):
        return node.args
    if isinstance(node, Field | Match):
        return (node.target,)
    if isinstance(node, Loop):
        transform = () if node.transform is None else (node.transform,)
        return (node.source, node.body, *transform)
    return ()


def calls_of(node: Typed) -> Iterator[tuple[str, tuple[Scalar, ...]]]:
    """Give the functions over the customer's past: their names and their arguments."""
    if isinstance(node, Operation) and node.name in _PAST:
        yield node.name, tuple(arg.value for arg in node.args if isinstance(arg, Constant))
    for part in parts_of(node):
        yield from calls_of(part)


def entries_of(node: Typed, root: str) -> Iterator[str]:
    """Give the entries of a root that are looked at."""
    if isinstance(node, Trait):
        yield from (node.key,) if node.root == root else ()
        return
    if isinstance(node, Operation) and node.name in ("has", "in"):
        container, key = node.args if node.name == "has" else node.args[::-1]
        if isinstance(key, Constant) and isinstance(container, Root):
            yield from (str(key.value),) if container.root == root else ()
            return
    if isinstance(node, Root) and node.root == root:
        yield EVERYTHING
    for part in parts_of(node):
        yield from entries_of(part, root)
