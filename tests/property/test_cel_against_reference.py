"""Random conditions on random customers: CEL's own answer where it has one, and never a crash."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from cel_expr_python import (  # pyright: ignore[reportMissingTypeStubs]
    cel,
)
from hypothesis import HealthCheck, assume, given, reject, settings, strategies as st

from engine.profile import Profile
from engine.program.cel.compiler import CelError, compile_condition, compile_value
from engine.program.cel.explain import explain
from engine.program.cel.pattern import PatternError, compile_pattern
from engine.program.scope import Scope

NOW_MS = 1_767_225_600_000
NOW = datetime(2026, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MAP = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
REFERENCE = cel.NewEnv(variables={"event": _MAP, "profile": _MAP, "now": cel.Type.TIMESTAMP})

INTS = st.sampled_from(["0", "1", "2", "3", "7", "-2", "100", "9223372036854775807"])
DOUBLES = st.sampled_from(["0.0", "1.0", "2.5", "-0.5", "3.0", "1e3", ".25"])
TEXTS = st.sampled_from(
    ['""', '"a"', "'ab'", '"shoes/red"', 'r"\\d"', '"h\\u00e9"', '"12"', '"2.5"']
)
INSTANTS = st.sampled_from(
    ["now", 'timestamp("2025-12-31T00:00:00Z")', "timestamp(event.at)", "timestamp(1767225600)"]
)
SPANS = st.sampled_from(['duration("24h")', 'duration("90m")', 'duration("-1.5h")'])
PATTERNS = st.sampled_from(
    ["^a", "b$", "s.*r", "^[a-z/]+$", "\\\\d{2}", "(a|h)(b|é)?", "a*", "x+y?"]
)
VARIABLES = ("x", "y")


def _join(template: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda texts: template.format(*texts))


def _of_kind(depth: int) -> dict[str, st.SearchStrategy[str]]:
    """Give expressions of each kind, up to a depth."""
    leaves = {
        "int": INTS | st.sampled_from(["event.i", "event.j", "profile.i", "event.m.k"]),
        "double": DOUBLES | st.sampled_from(["event.d", "event.e", "profile.d"]),
        "text": TEXTS | st.sampled_from(["event.s", "event.t", "profile.s", 'event["s"]']),
        "bool": st.sampled_from(["true", "false", "event.b", "profile.b", "has(event.s)"]),
        "ints": st.sampled_from(["[1, 2, 3]", "[]", "event.l", "profile.l", "[event.i, 2]"]),
        "instant": INSTANTS,
        "span": SPANS,
    }
    if depth == 0:
        return leaves
    below = _of_kind(depth - 1)
    int_, double, text, bool_, ints = (below[k] for k in ("int", "double", "text", "bool", "ints"))
    order = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
    some_word = st.sampled_from(["startsWith", "endsWith", "contains"])
    macro = st.sampled_from(["exists", "all", "exists_one"])
    element = st.sampled_from(
        ["x > 1", "x == event.i", "x % 2 == 0", "x != null", "x < 3 && x > 0"]
    )
    field = st.sampled_from(["getHours", "getDayOfWeek", "getMonth", "getFullYear", "getDate"])
    same = st.sampled_from([int_, double, text]).flatmap(lambda one: st.tuples(one, order, one))
    dynamic = st.sampled_from([f"event.{name}" for name in "ijdestbcnlmz"])
    return {
        "int": leaves["int"]
        | _join("({} {} {})", int_, st.sampled_from(list("+-*/%")), int_)
        | _join("size({})", text | ints)
        | _join("({} ? {} : {})", bool_, int_, int_)
        | _join("int({})", double | text)
        | _join("{}[{}]", ints, int_)
        | _join("({}).{}()", below["instant"], field)
        | _join("-({})", int_),
        "double": leaves["double"]
        | _join("({} {} {})", double, st.sampled_from(list("+-*")), double)
        | _join("({} / 4.0)", double)
        | _join("double({})", int_ | text),
        "text": leaves["text"]
        | _join("({} + {})", text, text)
        | _join("string({})", int_ | double | bool_ | below["instant"] | below["span"])
        | _join("({} ? {} : {})", bool_, text, text),
        "bool": leaves["bool"]
        | same.map(lambda parts: f"({' '.join(parts)})")
        | _join("({} {} {})", dynamic, order, dynamic | int_ | text | double)
        | _join("({} {} null)", dynamic, st.sampled_from(["==", "!="]))
        | _join("({} && {})", bool_, bool_)
        | _join("({} || {} || {})", bool_, bool_, bool_)
        | _join("!({})", bool_)
        | _join("({} in {})", int_ | dynamic, ints)
        | _join('({} in ["a", "ab", event.s])', text | dynamic)
        | _join('("{}" in event)', st.sampled_from("isz"))
        | _join("({}).{}({})", text, some_word, text)
        | _join('({}).matches("{}")', text, PATTERNS)
        | _join("{}.{}(x, {})", ints, macro, element)
        | _join("event.m.{}(k, k == {})", macro, text)
        | _join("({} {} {})", below["instant"], order, below["instant"])
        | _join("({} {} {})", below["span"], order, below["span"])
        | _join("has(event.m.{})", st.sampled_from("kz")),
        "ints": leaves["ints"]
        | _join("{}.filter(x, {})", ints, element)
        | _join("{}.map(x, x + {})", ints, int_)
        | _join("{}.map(x, {}, x)", ints, element)
        | _join("({} + {})", ints, ints),
        "instant": leaves["instant"]
        | _join("({} {} {})", below["instant"], st.sampled_from("+-"), below["span"]),
        "span": leaves["span"]
        | _join("({} - {})", below["instant"], below["instant"])
        | _join("({} {} {})", below["span"], st.sampled_from("+-"), below["span"]),
    }


KINDS = _of_kind(3)
FLAT_KINDS = _of_kind(1)
EXPRESSIONS = st.one_of(*FLAT_KINDS.values(), *KINDS.values(), KINDS["bool"])

_INT = st.integers(-5, 12) | st.sampled_from([2**63 - 1, -(2**63), 0])
_DOUBLE = st.sampled_from([0.0, -0.0, 1.0, 2.5, -3.75, 7.0, 1e6, 123456.75, 1e-7])
_TEXT = st.sampled_from(["", "a", "ab", "b", "shoes/red", "hé", "12", "2.5", "😀b"])
_MISFIT = st.none() | st.booleans() | _INT | _DOUBLE | _TEXT | st.lists(_INT, max_size=2)


def _mostly(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Give values as an expression expects them, and now and then another kind."""
    return st.one_of(values, values, values, values, _MISFIT)


def _fields() -> st.SearchStrategy[dict[str, Any]]:
    fields = {
        **dict.fromkeys("ij", _mostly(_INT)),
        **dict.fromkeys("de", _mostly(_DOUBLE)),
        **dict.fromkeys("st", _mostly(_TEXT)),
        **dict.fromkeys("bc", _mostly(st.booleans())),
        "n": st.none(),
        "l": _mostly(st.lists(_INT, max_size=4)),
        "m": _mostly(st.dictionaries(st.sampled_from(["k", "a", ""]), _INT, max_size=3)),
        "at": _mostly(st.just("2026-01-01T02:00:00.250+02:00")),
    }
    required = st.fixed_dictionaries(fields)
    dropped = st.sets(st.sampled_from(sorted(fields)), max_size=2)
    return st.tuples(required, dropped).map(
        lambda drawn: {key: value for key, value in drawn[0].items() if key not in drawn[1]}
    )


def _plain(value: object) -> object:
    """Write the reference's result as ours is written: times as text, all else as it is."""
    if isinstance(value, datetime):
        text = value.strftime("%Y-%m-%dT%H:%M:%S")
        return f"{text}.{value.microsecond // 1000:03d}Z" if value.microsecond else f"{text}Z"
    return value


def _is_same(ours: object, theirs: object) -> bool:
    if isinstance(theirs, list):
        one, two = cast("list[object]", ours), cast("list[object]", theirs)
        return isinstance(ours, list) and len(one) == len(two) and all(map(_is_same, one, two))
    return type(ours) is type(theirs) and ours == theirs


# Between an integer and a double beyond 2**53 the reference compares rounded, we compare exactly.
NUMBERS: list[Any] = [0, 1, -1, 7, -3, 2**63 - 1, -(2**63), 0.0, -0.0, 1.0, 2.5, -7.5, 1e300]
OTHERS: list[Any] = ["", "a", "b", "ab", "é", "😀", "\uffff", True, False, None]
LISTS: list[Any] = [[], [1], [1.0, "a"], [True, None], {}, {"a": 1}, {"a": 1.0}]
VALUES = [*NUMBERS, *OTHERS, *LISTS]
OPERATORS = ["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "in"]


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_on_every_pair_of_values_gives_what_cel_gives(operator: str) -> None:
    source = f"event.a {operator} event.b"
    theirs, ours = REFERENCE.compile(source), compile_value(source).condition
    compared = 0
    for event in ({"a": one, "b": two} for one in VALUES for two in VALUES):
        scope = Scope(Profile("u1"), NOW_MS, event=event)
        found = ours.evaluate(scope)
        result = theirs.eval(data={"event": event, "profile": {}, "now": NOW})
        is_infinite = result.plain_value() in (float("inf"), float("-inf"))
        is_infinite |= operator == "/" and event["b"] == 0
        if result.type() != cel.Type.ERROR and not is_infinite:
            compared += 1
            assert _is_same(found, result.plain_value()), (event, found, result)
        elif {type(event["a"]), type(event["b"])} != {int, float}:
            assert found is None or found is False, event
    assert compared > 30


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(source=EXPRESSIONS, event=_fields(), profile=_fields())
def test_where_cel_has_a_result_ours_is_the_same(
    source: str, event: dict[str, Any], profile: dict[str, Any]
) -> None:
    try:
        theirs = REFERENCE.compile(source)
    except RuntimeError:
        reject()  # the reference refuses what it knows in advance to fail, so do we
    result = theirs.eval(data={"event": event, "profile": profile, "now": NOW})
    assume(result.type() != cel.Type.ERROR)
    wanted = result.plain_value()
    scope = Scope(Profile("u1", traits=profile), NOW_MS, event=event)
    ours = compile_value(source).condition
    if isinstance(wanted, timedelta):
        ours = compile_value(f"string({source})").condition
        wanted = (
            REFERENCE.compile(f"string({source})")
            .eval(data={"event": event, "profile": profile, "now": NOW})
            .plain_value()
        )
    assert _is_same(ours.evaluate(scope), _plain(wanted)), (ours.evaluate(scope), wanted)
    assert ours.test(scope) is (wanted is True)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, -(2**70), 10**400])
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["\ud800", "9" * 5000, "2026-01-01", "9999-12-31T23:59:59-23:59", "1e999"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=3), below),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abcijdestlmn") | st.just("at"), JSON)
EVERYTHING = [
    "event.a + event.b",
    "event.a - event.b",
    "event.a * event.b",
    "event.a / event.b",
    "event.a % event.b",
    "-event.a",
    "event.a == event.b",
    "event.a != event.b",
    "event.a < event.b || event.a >= event.b",
    "event.a > 5 && 5 > event.b",
    'event.a < "m" || "m" <= event.b',
    "event.a < true",
    "event.a in event.b",
    'event.a in ["a", "b"]',
    "event.a in [1, 2.5]",
    "event.a in [1, null, true, 'x', [event.b]]",
    '"x" in event.a',
    "event.a in profile",
    "event[event.a]",
    "event.a[event.b]",
    "event.a.b.c",
    "event.a[0].b",
    "has(event.a.b)",
    "size(event.a) + event.b.size()",
    "event.a.startsWith(event.b)",
    "event.a.endsWith('x') || event.a.contains(event.b)",
    "event.a.lower() == event.a.upper()",
    "event.a.matches('^[a-z]+@x')",
    "event.a ? event.b : event.c",
    "!event.a && !event.b",
    "event.a.exists(x, x > 1)",
    "event.a.all(x, x.b == event.b)",
    "event.a.exists_one(x, x)",
    "event.a.filter(x, x != null)",
    "event.a.map(x, x + 1)",
    "event.a.map(x, event.b.map(y, [x, y]))",
    "event.exists(k, event[k] == 1)",
    "[event.a, event.b]",
    "{'a': event.a, event.b: 1}",
    "int(event.a)",
    "double(event.a)",
    "string(event.a)",
    "timestamp(event.a)",
    "timestamp(event.a) - timestamp(event.b)",
    "timestamp(event.a) + duration(event.b)",
    "timestamp(event.a) - duration('10000w')",
    "duration(event.a) + duration(event.b) - duration(event.c)",
    "string(timestamp(event.a)) + string(duration(event.b))",
    "timestamp(event.a).getHours('America/New_York') + timestamp(event.a).getFullYear()",
    "duration(event.a).getMinutes()",
    "int(timestamp(event.a))",
    "now > timestamp(event.a) && now - timestamp(event.a) < duration('3d')",
    "scores.churn > 0.5 || context.ip == event.a",
    "count('A', '1d') + sum('A', 'v', '1d') > event.a || since('A') < duration('1d')",
]
CONDITIONS = [(source, compile_value(source).condition) for source in EVERYTHING]


def _is_json(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_is_json, cast("list[object]", value)))
    if isinstance(value, dict):
        items = cast("dict[object, object]", value).items()
        return all(isinstance(key, str) and _is_json(one) for key, one in items)
    return value is None or isinstance(value, str | int | float | bool)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(event=OBJECTS, profile=OBJECTS)
def test_nothing_raises_on_any_json(event: dict[str, Any], profile: dict[str, Any]) -> None:
    scope = Scope(Profile("u1", traits=profile), NOW_MS, event=event, event_name="A")
    for source, condition in CONDITIONS:
        assert type(condition.test(scope)) is bool, source
        assert _is_json(condition.evaluate(scope)), source


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(source=KINDS["bool"], event=OBJECTS, profile=OBJECTS)
def test_an_explanation_agrees_with_the_condition(
    source: str, event: dict[str, Any], profile: dict[str, Any]
) -> None:
    scope = Scope(Profile("u1", traits=profile), NOW_MS, event=event)
    try:
        condition = compile_condition(source).condition
    except CelError:
        reject()
    terms = explain(source, scope)
    assert any(term.decided for term in terms)
    if len(terms) == 1 and not source.startswith("!"):
        assert (terms[0].value is True) is condition.test(scope)
    assert all(str(term) for term in terms)


WORDS = 'event profile x true null has size exists matches timestamp duration count in if 1u b""'
SIGNS = ". ( ) [ ] { } ? : , && || ! == < + - * / % # @ = & // ' \" \\ 1 2.5 0x 9e999 é 😀 \ud800"
TOKENS = st.sampled_from([*WORDS.split(), *SIGNS.split(), '"a"', "\n"])


@settings(max_examples=400, deadline=None)
@given(st.lists(TOKENS, max_size=30).map(" ".join) | st.text())
def test_any_text_compiles_or_is_refused_with_its_place(source: str) -> None:
    error: CelError | None = None
    try:
        compile_value(source)
    except CelError as caught:
        error = caught
    if error is not None:
        lines = source.split("\n")
        assert 1 <= error.line <= len(lines)
        assert 1 <= error.column <= len(lines[error.line - 1]) + 1
        assert len(error.message) < 200


ATOMS = st.sampled_from(["a", "b", "é", ".", "[ab]", "[^a]", "\\d", "(a|b)", "(?:ab|c)", "\\w"])
QUANTIFIERS = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,2}", "{2,}", "*?"])
PARTS = st.tuples(ATOMS, QUANTIFIERS).map("".join) | st.sampled_from(["^", "$"])
REGEXES = st.lists(PARTS, min_size=1, max_size=5).map("".join)


@settings(max_examples=400, deadline=None)
@given(REGEXES | st.tuples(REGEXES, REGEXES).map(lambda two: f"({two[0]})*{two[1]}|b"), st.data())
def test_patterns_match_what_python_matches(pattern: str, data: st.DataObject) -> None:
    try:
        ours = compile_pattern(pattern)
    except PatternError:
        reject()
    python = re.compile(pattern.replace("$", "\\Z"), re.ASCII)
    for text in data.draw(st.lists(st.text("abc1.\né", max_size=7), min_size=3, max_size=8)):
        assert ours.search(text) is (python.search(text) is not None), text


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(a|aa)+$", ".*.*.*.*=.*"])
def test_no_pattern_takes_longer_than_its_text(pattern: str) -> None:
    # With backtracking each of these would take longer than the universe has existed.
    assert compile_pattern(pattern).search("a" * 50_000 + "!") is False
