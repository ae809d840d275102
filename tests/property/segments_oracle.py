"""Segments by brute force: conditions as Python functions, asked again at every millisecond.

Nothing of the engine is used. A past is kept as it came in, and every function goes through all of
it.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

ORIGIN_AT = 1_772_445_600_000
LENGTH_MS = 60
NAMES = ("A", "B")

Ask = Callable[["Past", int], bool]
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass
class Past:
    """What has come in so far, and who is in which segment by it."""

    events: list[tuple[int, str, float | None]] = field(
        default_factory=list[tuple[int, str, float | None]]
    )
    opened: list[int] = field(default_factory=list[int])
    traits: dict[str, Any] = field(default_factory=dict[str, Any])
    members: dict[str, bool] = field(default_factory=dict[str, bool])

    def inside(self, name: str, window_ms: int, now: int) -> list[float | None]:
        found = [one for one in self.events if one[1] == name and now - window_ms < one[0] <= now]
        return [value for _, _, value in sorted(found, key=lambda one: one[0])]

    def last(self, name: str) -> int | None:
        return max((at for at, known, _ in self.events if known == name), default=None)


@dataclass(frozen=True)
class Expression:
    """A condition as CEL, and what it means."""

    text: str
    ask: Ask


def compared(left: Any, op: str, right: Any) -> bool:
    """Compare as conditions do: with something absent every comparison is false."""
    return left is not None and right is not None and _OPERATORS[op](left, right)


ops = st.sampled_from(sorted(_OPERATORS))
names = st.sampled_from(NAMES)
windows = st.integers(1, 25)
counts = st.sampled_from([-1, 0, 1, 1, 2, 2, 3, 4, 0.5, 2.0, 2.5])
amounts = st.sampled_from([-1.0, 0.0, 0.1, 0.3, 0.6, 1.0, 1.1])


@st.composite
def count_terms(draw: st.DrawFn) -> Expression:
    name, window_ms, op, number = draw(names), draw(windows), draw(ops), draw(counts)
    text = f'count("{name}", "{window_ms}ms")'
    if draw(st.booleans()):
        return Expression(
            f"{text} {op} {number}",
            lambda past, now: compared(len(past.inside(name, window_ms, now)), op, number),
        )
    return Expression(
        f"{number} {op} {text}",
        lambda past, now: compared(number, op, len(past.inside(name, window_ms, now))),
    )


@st.composite
def two_counts(draw: st.DrawFn) -> Expression:
    """Terms whose shape nothing is known about."""
    one, two, op = draw(windows), draw(windows), draw(ops)
    return Expression(
        f'count("A", "{one}ms") + 1 {op} count("B", "{two}ms") * 2',
        lambda past, now: compared(
            len(past.inside("A", one, now)) + 1, op, len(past.inside("B", two, now)) * 2
        ),
    )


@st.composite
def sum_terms(draw: st.DrawFn) -> Expression:
    name, window_ms, op, number = draw(names), draw(windows), draw(ops), draw(amounts)
    return Expression(
        f'sum("{name}", "v", "{window_ms}ms") {op} {number}',
        lambda past, now: compared(
            sum(round((value or 0.0) * 10) for value in past.inside(name, window_ms, now)) / 10,
            op,
            number,
        ),
    )


@st.composite
def opened_terms(draw: st.DrawFn) -> Expression:
    window_ms, op, number = draw(windows), draw(ops), draw(counts)
    return Expression(
        f'engagement("email", "opened", "{window_ms}ms") {op} {number}',
        lambda past, now: compared(sum(at > now - window_ms for at in past.opened), op, number),
    )


@st.composite
def since_terms(draw: st.DrawFn) -> Expression:
    name, op, length_ms = draw(names), draw(ops), draw(st.integers(0, 25))

    def ask(past: Past, now: int) -> bool:
        last_at = past.last(name)
        return compared(None if last_at is None else now - last_at, op, length_ms)

    text = f'since("{name}") {op} duration("{length_ms}ms")'
    if draw(st.booleans()):
        text = f'last("{name}") + duration("{length_ms}ms") {_turned(op)} now'
    return Expression(text, ask)


def _turned(op: str) -> str:
    return {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(op, op)


@st.composite
def date_terms(draw: st.DrawFn) -> Expression:
    op, length_ms = draw(ops), draw(st.integers(-10, 25))

    def ask(past: Past, now: int) -> bool:
        until_at = past.traits.get("until")
        return compared(None if until_at is None else now - until_at, op, length_ms)

    sign, size = ("-", -length_ms) if length_ms < 0 else ("", length_ms)
    text = f'now - timestamp(profile.until) {op} duration("{sign}{size}ms")'
    if draw(st.booleans()):
        text = f'now - duration("{sign}{size}ms") {op} timestamp(profile.until)'
    return Expression(text, ask)


plan_terms = st.just(
    Expression('profile.plan == "pro"', lambda past, _: past.traits.get("plan") == "pro")
)
terms = st.one_of(
    count_terms(), count_terms(), two_counts(), sum_terms(), opened_terms(), since_terms(),
    date_terms(), plan_terms,
)  # fmt: skip


def _joined(parts: Sequence[Expression], word: str) -> Expression:
    test = all if word == "&&" else any
    return Expression(
        "(" + f" {word} ".join(part.text for part in parts) + ")",
        lambda past, now: test([part.ask(past, now) for part in parts]),
    )


def _denied(part: Expression) -> Expression:
    return Expression(f"!({part.text})", lambda past, now: not part.ask(past, now))


def _chosen(parts: tuple[Expression, Expression, Expression]) -> Expression:
    test, then, other = parts
    return Expression(
        f"({test.text} ? {then.text} : {other.text})",
        lambda past, now: (then if test.ask(past, now) else other).ask(past, now),
    )


def _grown(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(inner, min_size=2, max_size=3)
    return st.one_of(
        several.map(lambda parts: _joined(parts, "&&")),
        several.map(lambda parts: _joined(parts, "||")),
        inner.map(_denied),
        st.tuples(inner, inner, inner).map(_chosen),
    )


expressions = st.recursive(terms, _grown, max_leaves=5)


@st.composite
def segments(draw: st.DrawFn) -> dict[str, Expression]:
    """Make up to four segments; later ones may ask for earlier ones."""
    made: dict[str, Expression] = {}
    for number in range(draw(st.integers(1, 4))):
        expression = draw(expressions)
        asks = draw(st.booleans())
        if made and asks:
            known = draw(st.sampled_from(sorted(made)))
            asked = Expression(f'in_segment("{known}")', _member(known))
            expression = _joined([expression, asked], draw(st.sampled_from(["&&", "||"])))
        made[f"s{number}"] = expression
    return made


def _member(name: str) -> Ask:
    return lambda past, _: past.members[name]


@dataclass(frozen=True)
class Happening:
    """Something that comes in at `at`, and is about `happened_at`."""

    at: int
    kind: str  # A, B, until, plan, opened
    happened_at: int
    value: Any = None


@st.composite
def happenings(draw: st.DrawFn) -> list[Happening]:
    """Make what happens, in order; some of it arrives late, some is told ahead of its time."""
    made: list[Happening] = []
    for offset_ms in sorted(draw(st.lists(st.integers(0, LENGTH_MS // 3), max_size=16))):
        at = ORIGIN_AT + offset_ms
        kind = draw(st.sampled_from(["A", "A", "A", "B", "until", "plan", "opened", "noise"]))
        late_ms = draw(st.sampled_from([0, 0, 0, 3, 11, -4])) if kind in NAMES else 0
        value: Any = None
        if kind in NAMES:
            value = draw(st.sampled_from([None, 0.1, 0.2, 0.7, -0.3]))
        elif kind == "until":
            value = draw(st.one_of(st.none(), st.integers(0, 40).map(lambda ms: ORIGIN_AT + ms)))
        elif kind == "plan":
            value = draw(st.sampled_from([None, "pro", "free"]))
        made.append(Happening(at, kind, at - late_ms, value))
    return made


Crossing = tuple[int, str, bool]


def crossings(made: dict[str, Expression], happened: Sequence[Happening]) -> list[Crossing]:
    """Say who came in and left when: after everything that happens, and at every millisecond."""
    past = Past(members=dict.fromkeys(made, False))
    found: list[Crossing] = []
    is_known = False
    for now in range(ORIGIN_AT, ORIGIN_AT + LENGTH_MS + 1):
        due = [one for one in happened if one.at == now]
        for one in due:
            is_known = True
            _take(past, one)
            found += _ask(past, made, now)
        if is_known and not due:
            found += _ask(past, made, now)
    return found


def _take(past: Past, one: Happening) -> None:
    if one.kind in NAMES:
        past.events.append((one.happened_at, one.kind, one.value))
    elif one.kind == "opened":
        past.opened.append(one.happened_at)
    elif one.kind in ("until", "plan"):
        if one.value is None:
            past.traits.pop(one.kind, None)
        else:
            past.traits[one.kind] = one.value


def _ask(past: Past, made: dict[str, Expression], now: int) -> list[Crossing]:
    found: list[Crossing] = []
    for name, expression in made.items():
        holds = expression.ask(past, now)
        if holds != past.members[name]:
            past.members[name] = holds
            found.append((now, name, holds))
    return found
