"""What is refused when a workspace is checked: the place, what is wrong, and what to write."""

import pytest

from engine.errors import NextbeatError
from engine.program.cel.compiler import CelError, compile_condition, compile_value


def refusal(source: str) -> CelError:
    with pytest.raises(CelError) as caught:
        compile_condition(source)
    return caught.value


@pytest.mark.parametrize(
    ("source", "column", "message", "hint"),
    [
        ("", 1, "is empty", "true"),
        ("event.price >", 14, "ends where a value should follow", ""),
        ("event.price > )", 15, "unexpected ')'", ""),
        ("(event.price > 1", 17, "')' should follow", ""),
        ("event.a event.b", 9, "expected an operator", ""),
        ("event.price = 1", 13, "unexpected character '='", "=="),
        ("event.a & event.b", 9, "unexpected character '&'", "&&"),
        ("event.a and event.b", 9, "unexpected 'and'", "&&"),
        ("not event.a", 5, "unexpected 'event'", "write !"),
        ("event.a is null", 9, "unexpected 'is'", "=="),
        ("if", 1, "reserved word", "?"),
        ("event.in", 7, "a name after the point", ""),
        ('"abc', 1, "unexpected character", "no closing quote"),
        (r'"a\qb" == event.a', 3, "unknown escape", "\\"),
        (r'"\ud800" == event.a', 2, "unknown escape", ""),
        ("9223372036854775808 > event.a", 1, "64 bits", ""),
        ("1e999 > event.a", 1, "too large", ""),
        ("30d > 1", 3, "after a number", "duration"),
        ("1u == event.a", 2, "unsigned", ""),
        ('b"x" == event.a', 1, "bytes", ""),
        ('Person{name: "x"} == event.a', 7, "building messages", "map"),
        ("true ? 1", 9, "':' should follow", ""),
    ],
)
def test_bad_syntax_is_refused_with_its_place(
    source: str, column: int, message: str, hint: str
) -> None:
    error = refusal(source)
    assert message in error.message
    assert hint in error.hint
    assert (error.line, error.column) == (1, column)


@pytest.mark.parametrize(
    ("source", "column", "message", "hint"),
    [
        ("evnt.price > 1", 1, "unknown name 'evnt'", "did you mean event?"),
        ("profil.a == 1", 1, "unknown name 'profil'", "did you mean profile?"),
        ("price > 1", 1, "unknown name 'price'", "event.price or profile.price"),
        ("event.a == True", 12, "unknown name 'True'", "did you mean true?"),
        ('event.a == "b" || pro', 19, "unknown name 'pro'", "quotes"),
        ("cuont('A', '1d') > 1", 1, "unknown function 'cuont'", "did you mean count?"),
        ("event.a.startswith('b')", 9, "unknown method", "did you mean startsWith?"),
        ("len(event.a) > 1", 1, "unknown function", "did you mean size?"),
        ("event.a.any(x, x)", 9, "unknown method", "did you mean exists?"),
        ('event.items.map(x, x.y).join(",")', 25, "join is not supported", ""),
        ("type(event.a) == 1", 1, "type is not supported", ""),
        ("startsWith(event.a, 'b')", 1, "is a method", "value.startsWith"),
        ("event.a.timestamp() > now", 9, "is not a method", "timestamp(…)"),
        ("has(event)", 1, "has needs one field", "has(event.sku)"),
        ('has(event["a b"])', 1, "has needs one field", '"a b" in event'),
        ("event.a.exists(x.y, true)", 16, "can't be the name of an element", "item"),
        ("event.a.exists(event, true)", 16, "can't be the name of an element", ""),
        ("event.a.exists(x)", 9, "takes a name and an expression", "exists"),
        ("event.a.exists(x, x > 1) && x > 1", 29, "unknown name 'x'", ""),
    ],
)
def test_unknown_names_are_refused_with_a_suggestion(
    source: str, column: int, message: str, hint: str
) -> None:
    error = refusal(source)
    assert message in error.message
    assert hint in error.hint
    assert error.column == column


@pytest.mark.parametrize(
    ("source", "column", "message", "hint"),
    [
        ('1 == "a"', 6, "can't be compared", ""),
        ('size(event.a) > "3"', 17, "can't be compared", ""),
        ("event.a < [1]", 11, "no order", ""),
        ("event.a < null", 11, "no order", ""),
        ("1 < 2 < 3", 9, "can't be compared", ""),
        ("now > event.at", 7, "JSON value", "timestamp(event.at)"),
        ('now > "2026-01-01"', 7, "a text", 'timestamp("2026-01-01")'),
        ('event.age > duration("1d")', 1, "JSON value", "duration(event.age)"),
        ("last('A') == null", 14, "can't be compared", "absent"),
        ("now == duration('1d')", 8, "can't be compared", ""),
        ("now + now == now", 1, "does not work", ""),
        ("now - 1 < now", 1, "does not work", "duration(1)"),
        ("!5", 2, "needs true or false", ""),
        ('event.a && "x"', 12, "needs true or false", ""),
        ('1 ? "a" : "b"', 1, "needs true or false", ""),
        ("[1].filter(x, 1) == []", 15, "needs true or false", ""),
        ('1 + "a" == 2', 1, "can't be joined", "string(1)"),
        ('-"a" == 2', 2, "needs a number", ""),
        ("2.5 % 2 == 1", 1, "whole number", ""),
        ('1 in "abc"', 6, "needs a list or a map", "contains"),
        ("now in [1]", 1, "can't be looked up", ""),
        ("[now] == []", 2, "can't be put into a list", "string(now)"),
        ("{1: 2} == {}", 2, "keys are texts", ""),
        ('{"a": 1, "a": 2} == {}', 10, "comes twice", ""),
        ('"abc".x == 1', 7, "has no field", ""),
        ('[1]["a"] == 1', 5, "has no element", ""),
        ("size(1) == 1", 6, "needs a text, a list or a map", ""),
        ("size() == 1", 1, "takes 1 argument, not 0", "size(event.items)"),
        ("event.a.startsWith(1)", 20, "needs a text", ""),
        ("(event.b ? now : 1) > now", 18, "the other a number", "one kind"),
        ("event.at.getHours() > 1", 1, "needs a timestamp", "timestamp(event.at).getHours()"),
        ('now.getHours("Mars/Base") > 1', 14, "unknown time zone", "Africa"),
        ('timestamp("soon") > now', 11, "not an instant", "2026"),
        ('timestamp("3026-01-01T00:00:00Z") > now', 11, "1900 to 2100", ""),
        ('duration("1 day") > duration("1d")', 10, "not a duration", "30d"),
        ('event.a.matches("(")', 17, "no )", "character 1"),
        ('event.a.matches("(?=a)")', 17, "plain groups", ""),
        ("event.a.matches(event.b)", 17, "in quotes", ""),
        ('count(event.a, "30d") > 1', 7, "in quotes", ""),
        ('count("A", "month") > 1', 12, "is not a window", "30d"),
        ('count("A", "0d") > 1', 12, "is not a window", ""),
        ('count("A") > 1', 1, "takes 2 arguments, not 1", 'count("Order Completed", "30d")'),
        ('count("", "1d") > 1', 7, "1 to 256 characters", ""),
        ('engagement("email", "openned", "7d") > 1', 21, "unknown status", "opened"),
    ],
)
def test_what_can_never_be_true_is_refused(
    source: str, column: int, message: str, hint: str
) -> None:
    error = refusal(source)
    assert message in error.message
    assert hint in error.hint
    assert error.column == column


@pytest.mark.parametrize(
    ("source", "noun"),
    [
        ("1 + 1", "a number"),
        ('"a"', "a text"),
        ("now", "a timestamp"),
        ("[true]", "a list"),
        ("null", "null"),
        ('since("A")', "a duration"),
    ],
)
def test_a_condition_must_give_true_or_false(source: str, noun: str) -> None:
    assert refusal(source).message == f"this gives {noun}; a condition must give true or false"
    assert compile_value(source).condition.source == source


def test_the_place_counts_lines() -> None:
    error = refusal('event.price > 1 &&\n  // a comment\n  pofile.plan == "pro"')
    assert (error.line, error.column) == (3, 3)
    assert str(error) == "3:3: unknown name 'pofile' (did you mean profile?)"
    assert isinstance(error, NextbeatError)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("(" * 100 + "true" + ")" * 100, "nested more than 24 deep"),
        ("!" * 100 + "true", "nested more than 24 deep"),
        ("event.a" + " + 1" * 100 + " > 1", "nested more than 24 deep"),
        ("event" + ".a" * 100, "nested more than 24 deep"),
        (" && ".join(["event.a == 1"] * 300), "more than 1,000 parts"),
        ("true" + " " * 20_000, "longer than 16,384 characters"),
        ("[1].all(a, [1].all(b, [1].all(c, true)))", "no more than 2 macros"),
        (f'event.a.matches("{"a" * 201}")', "longer than 200 characters"),
        ('event.a.matches("((a{50}){50}){50}")', "repeats too much"),
        ('event.a.matches("(a|b)*a(a|b){12}")', "too complicated"),
    ],
)
def test_what_would_cost_too_much_is_refused(source: str, message: str) -> None:
    assert message in refusal(source).message


@pytest.mark.parametrize(
    "source",
    [
        "(" * 20 + "event.a" + ")" * 20,
        "event.a" + "[event.b" * 20 + "]" * 20,
        "event.a" + ".b" * 20 + " > 1",
        " && ".join(["event.a == 1"] * 200),
        "event.a == 1 ? true : " * 20 + "false",
        "((event.a.b < 1 ? event.c : event.d) < 2 ? event.e[0] : event.f) < 3 || " * 30 + "true",
    ],
)
def test_what_is_within_the_limits_compiles(source: str) -> None:
    assert compile_condition(source).condition.source == source


def test_a_message_repeats_little_of_what_was_written() -> None:
    error = refusal("x" * 5_000)
    assert len(str(error)) < 250
