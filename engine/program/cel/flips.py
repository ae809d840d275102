"""When a condition's answer changes though nothing happens: because windows end and clocks run on.

Called by `engine.program.segments` for each segment, once, when a workspace is loaded. Hands on a
`Flip`: a function that gives the condition's answer now, and an instant before which it can't be
another by time alone.

*Rules*
- The answer is the compiled condition's own, always.
- The instant is never too late. It is the very flip where a count, a sum, an engagement or a time
  is compared with something that stands still; otherwise the next instant at which anything the
  term looks at may change, which is the next full hour where the clock itself is read.
- A false `&&` can't change before each of its false terms has, a true `||` not before each of its
  true ones: nobody is woken for the sake of a term that does not matter.
"""

import math
import operator
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS, NEVER_AT, SECOND_MS
from engine.measures.outlook import enough_until, foretell, foretell_times
from engine.measures.series import MILLION, read
from engine.program.cel.compiler import build, parts_of
from engine.program.cel.datefields import date_part
from engine.program.cel.emitter import write_truth, write_value
from engine.program.cel.ir import TIMES, Constant, Kind, Name, Operation, Trait, Typed
from engine.program.scope import Scope

Answer = tuple[bool, int]
Flip = Callable[[Scope], Answer]
Watch = Callable[[Scope], int]
_Value = Callable[[Scope], object]

_NOW = "s.present()"
_QUARTER_MS = 15 * MINUTE_MS  # clocks are set forward and back at full quarters
_MOVING = frozenset({"count", "sum", "engagement", "since", "reachable"})
_COMPARISONS = frozenset({"<", "<=", ">", ">=", "==", "!="})
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_WINDOWED = frozenset({"count", "sum", "engagement"})
_SLOPES = {"shift": 1, "span": 1, "unshift": -1, "unspan": -1, "between": -1}
_DURATION_UNITS_MS = {"getHours": HOUR_MS, "getMinutes": MINUTE_MS, "getSeconds": SECOND_MS}


def compile_flip(typed: Typed) -> Flip:
    """Compile a checked condition."""
    return _flip(typed)


def runs_with_time(typed: Typed) -> bool:
    """Say whether a condition's answer may change by time alone."""
    return any(_is_moving(node) for node in walk(typed))


def _flip(node: Typed) -> Flip:
    """Take the logical operators off; what remains are the terms."""
    if isinstance(node, Operation) and node.kind in (Kind.BOOL, Kind.DYNAMIC):
        parts = node.args
        if node.name in ("&&", "||"):
            return _chain([_flip(part) for part in parts], stops_at=node.name == "||")
        if node.name == "!":
            return _negation(_flip(parts[0]))
        if node.name == "?:":
            return _ternary(_flip(parts[0]), _flip(parts[1]), _flip(parts[2]))
    return _term(node)


def _chain(parts: Sequence[Flip], *, stops_at: bool) -> Flip:
    """Join terms: one that is `stops_at` decides, and then all that are so hold it there."""
    joined = parts[0]
    for part in parts[1:]:
        joined = _pair(joined, part, stops_at=stops_at)
    return joined


def _pair(one: Flip, two: Flip, *, stops_at: bool) -> Flip:
    def flip(scope: Scope) -> Answer:
        truth, at = one(scope)
        other, other_at = two(scope)
        if truth is not stops_at:
            if other is stops_at or other_at < at:
                return other, other_at
        elif other is stops_at and other_at > at:
            return other, other_at
        return truth, at

    return flip


def _negation(part: Flip) -> Flip:
    def flip(scope: Scope) -> Answer:
        truth, at = part(scope)
        return not truth, at

    return flip


def _ternary(test: Flip, then: Flip, other: Flip) -> Flip:
    def flip(scope: Scope) -> Answer:
        is_then, test_at = test(scope)
        truth, at = (then if is_then else other)(scope)
        return truth, min(test_at, at)

    return flip


def _term(node: Typed) -> Flip:
    """Find the closest way to tell when a term changes."""
    if isinstance(node, Operation) and node.name in _COMPARISONS:
        left, right = node.args
        for one, two, op in ((left, right, node.name), (right, left, _MIRRORED[node.name])):
            if isinstance(one, Operation) and isinstance(two, Constant):
                number = two.value
                if isinstance(number, int | float) and one.name in _WINDOWED:
                    return _WINDOWS[one.name](one, op, number)
        if left.kind in TIMES and right.kind in TIMES:
            drift = _drift(left), _drift(right)
            if None not in drift:
                return _race(node, cast("int", drift[0]) - cast("int", drift[1]))
    return _watched(node, tuple(_watches(node)))


# Counts and sums against a number.


def _count_flip(node: Operation, op: str, number: float) -> Flip:
    name, window_ms, compare = _text(node.args[0]), _ms(node.args[1]), _COMPARERS[op]
    if number == 0 and op in ("==", "!="):
        return _enough_flip(name, window_ms, 1, is_wanted=op == "!=")
    if op not in ("==", "!=") and math.isfinite(number):
        least = math.ceil(number) if op in (">=", "<") else math.floor(number) + 1
        if least >= 1:
            return _enough_flip(name, window_ms, least, is_wanted=op in (">=", ">"))

    def flip(scope: Scope) -> Answer:
        history = scope.owner.history.get(name)
        series = None if history is None else history.recent
        return foretell(series, window_ms, lambda count, _: compare(count, number), scope.now)

    return flip


def _enough_flip(name: str, window_ms: int, least: int, *, is_wanted: bool) -> Flip:
    too_few = not is_wanted, NEVER_AT

    def flip(scope: Scope) -> Answer:
        history = scope.owner.history.get(name)
        if history is None or history.recent is None:
            return too_few
        is_enough, at = enough_until(history.recent, window_ms, least, scope.now)
        return is_enough is is_wanted, at

    return flip


def _sum_flip(node: Operation, op: str, number: float) -> Flip:
    name, value, compare = _text(node.args[0]), _text(node.args[1]), _COMPARERS[op]
    window_ms = _ms(node.args[2])

    def flip(scope: Scope) -> Answer:
        history = scope.owner.history.get(name)
        series = None if history is None else history.recent

        def ask(_: int, total: int) -> bool:
            return compare(total / MILLION, number)

        return foretell(series, window_ms, ask, scope.now, name=value)

    return flip


def _engagement_flip(node: Operation, op: str, number: float) -> Flip:
    name, compare = f"{_text(node.args[0])}/{_text(node.args[1])}", _COMPARERS[op]
    window_ms = _ms(node.args[2])

    def flip(scope: Scope) -> Answer:
        times = scope.owner.engagement.get(name, ())
        return foretell_times(times, window_ms, lambda count, _: compare(count, number), scope.now)

    return flip


_COMPARERS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_WINDOWS: dict[str, Callable[[Operation, str, float], Flip]] = {
    "count": _count_flip,
    "sum": _sum_flip,
    "engagement": _engagement_flip,
}


# Instants and durations against each other.


def _drift(node: Typed) -> int | None:
    """Tell by how much a time grows while 1 ms passes; None where that is not known."""
    if isinstance(node, Name):
        return 1 if node.code == _NOW else None
    if isinstance(node, Operation):
        if node.name == "since":
            return 1
        if node.name in _SLOPES:
            one, two = map(_drift, node.args)
            return None if one is None or two is None else one + _SLOPES[node.name] * two
    return None if any(map(_is_moving, walk(node))) else 0


def _race(node: Operation, drift: int) -> Flip:
    """Flip when one time catches up with another; `drift` is how fast the left one gains."""
    op, sides = node.name, node.args
    if abs(drift) > 1:
        return _watched(node, (_next_hour,))
    if drift < 0:
        op, sides = _MIRRORED[op], sides[::-1]
    left, right = (cast("_Value", build(write_value(side))) for side in sides)

    def watch(scope: Scope) -> int:
        one, two = left(scope), right(scope)
        if type(one) is not int or type(two) is not int:
            return NEVER_AT  # absent, and absent it stays
        missing_ms = two - one
        # `<` and `>=` change when they are even, `<=` and `>` 1 ms later, `==` both times.
        if missing_ms > 0 and op not in ("<=", ">"):
            return scope.now + missing_ms
        return scope.now + missing_ms + 1 if missing_ms >= 0 and op not in ("<", ">=") else NEVER_AT

    return _watched(node, (watch,) if drift else ())


# Everything else: the next instant at which something it looks at may be different.


def _watched(node: Typed, watches: Sequence[Watch]) -> Flip:
    test = cast("Callable[[Scope], bool]", build(write_truth(node)))
    # What is worked out tells the scope when it changes; all else is known here, and better.
    heeds_scope = any(map(_is_computed, walk(node)))

    def flip(scope: Scope) -> Answer:
        scope.changes_at = None
        truth = test(scope)
        at = min([watch(scope) for watch in watches], default=NEVER_AT)
        noted_at = _noted_at(scope) if heeds_scope else None
        return truth, at if noted_at is None else min(at, noted_at)

    return flip


def _noted_at(scope: Scope) -> int | None:
    return scope.changes_at


def _watches(node: Typed) -> Iterator[Watch]:
    """Find what in a term changes by time, and when."""
    if isinstance(node, Operation):
        if node.name in _WINDOWED:
            yield _window_watch(node)
            return
        if node.name == "reachable":
            yield _reach_watch(_text(node.args[0]))
            return
        if node.name in ("date_part", "duration_part") and _is_closed(node):
            drift = _drift(node.args[0])
            if drift in (0, 1):
                if drift:
                    yield _part_watch(node)
                return
        if node.name == "since":
            yield _next_hour
            return
    if isinstance(node, Name) and node.code == _NOW:
        yield _next_hour
    for part in parts_of(node):
        yield from _watches(part)


def _window_watch(node: Operation) -> Watch:
    """Watch for something to leave a window, or to come into it that was told ahead of its time."""
    name, window_ms = _text(node.args[0]), _ms(node.args[-1])
    key = f"{name}/{_text(node.args[1])}" if node.name == "engagement" else ""

    def watch(scope: Scope) -> int:
        if key:
            times = scope.owner.engagement.get(key, ())
            first = bisect_right(times, scope.now - window_ms)
            return times[first] + window_ms if first < len(times) else NEVER_AT
        history = scope.owner.history.get(name)
        if history is None or history.recent is None:
            return NEVER_AT
        at = read(history.recent, window_ms, scope.now).changes_at
        return NEVER_AT if at is None else at

    return watch


def _reach_watch(channel: str) -> Watch:
    """Watch for an address that is given up for a time."""

    def watch(scope: Scope) -> int:
        until = scope.reach(channel)[1]
        return NEVER_AT if until is None else until

    return watch


def _part_watch(node: Operation) -> Watch:
    """Watch a part of an instant or a duration that grows as time does."""
    value = cast("_Value", build(write_value(node.args[0])))
    field = _text(node.args[1])
    if node.name == "duration_part":
        unit_ms = max(_DURATION_UNITS_MS[field], MINUTE_MS)
        return lambda scope: _next_multiple(scope, value(scope), unit_ms)
    place = _text(node.args[2])

    def watch(scope: Scope) -> int:
        at = value(scope)
        if type(at) is not int:
            return NEVER_AT
        return scope.now - at + _next_part(at, field, place)

    return watch


def _next_multiple(scope: Scope, value: object, unit_ms: int) -> int:
    if type(value) is not int:
        return NEVER_AT
    return scope.now + unit_ms - value % unit_ms


def _next_part(at: int, field: str, place: str) -> int:
    """Find the next instant at which a part is another one; seconds are looked at each minute."""
    if field in ("getMinutes", "getSeconds", "getMilliseconds"):
        return at + MINUTE_MS - at % MINUTE_MS
    known = date_part(at, field, place)
    later_at = at + _QUARTER_MS - at % _QUARTER_MS
    until_at = at + DAY_MS
    while later_at < until_at and date_part(later_at, field, place) == known:
        later_at += _QUARTER_MS
    return later_at


def _next_hour(scope: Scope) -> int:
    return scope.now + HOUR_MS - scope.now % HOUR_MS


def walk(node: Typed) -> Iterator[Typed]:
    """Give a node and all below it."""
    yield node
    for part in parts_of(node):
        yield from walk(part)


def _is_moving(node: Typed) -> bool:
    """Say whether a node itself may change by time."""
    if isinstance(node, Name):
        return node.code == _NOW
    return _is_computed(node) or (isinstance(node, Operation) and node.name in _MOVING)


def _is_computed(node: Typed) -> bool:
    return isinstance(node, Trait) and node.is_computed


def _is_closed(node: Typed) -> bool:
    """Tell that a node can be evaluated on its own: it names no variable of a macro."""
    return all(not isinstance(one, Name) or one.code.startswith("s.") for one in walk(node))


def _text(node: Typed) -> str:
    assert isinstance(node, Constant)
    assert isinstance(node.value, str)
    return node.value


def _ms(node: Typed) -> int:
    assert isinstance(node, Constant)
    assert isinstance(node.value, int)
    return node.value
