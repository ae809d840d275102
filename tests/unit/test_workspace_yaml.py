"""YAML 1.2 as workspaces are written in: scalars, places, and what is refused."""

import pytest

from adapters.files.yaml12 import Document, read_json, read_yaml
from engine.limits import WORKSPACE_DEPTH_MAX

SCALARS = {
    "NO": "NO",
    "yes": "yes",
    "on": "on",
    "21:30": "21:30",
    "09:00-20:00": "09:00-20:00",
    "2026-11-22": "2026-11-22",
    "12": 12,
    "-3": -3,
    "+3": 3,
    "010": 10,
    "0o17": 15,
    "0x1F": 31,
    "1.20": 1.2,
    "1e3": 1000.0,
    ".5": 0.5,
    "true": True,
    "FALSE": False,
    "~": None,
    "null": None,
    "": None,
    "1_000": "1_000",
    "'12'": "12",
    '"true"': "true",
    "!!str 12": "12",
    "48h": "48h",
}


@pytest.mark.parametrize(("text", "value"), SCALARS.items())
def test_a_scalar_means_what_yaml_1_2_says(text: str, value: object) -> None:
    document = read_yaml(f"a: {text}", "f")
    assert document.problems == []
    assert document.value == {"a": value}
    assert type(document.value["a"]) is type(value)


def test_a_value_knows_its_place_and_that_of_its_key() -> None:
    places = read_yaml("a:\n  b: [x, {c: 'y'}]\n", "f").places
    assert (places["a",].line, places["a",].column) == (1, 1)
    inner = places["a", "b", 1, "c"]
    assert (inner.line, inner.column, inner.key_line, inner.key_column) == (2, 14, 2, 11)
    assert (inner.text_line, inner.text_column) == (2, 15)
    assert (places["a", "b", 0].line, places["a", "b", 0].column) == (2, 7)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: plain", (1, 4)),
        ("a: 'quoted'", (1, 5)),
        ("a: 'it''s'", (0, 0)),
        ('a: "tab\\t"', (0, 0)),
        ("a: |\n  first\n  second\n", (2, 3)),
        ("a: >\n  folded\n  text\n", (0, 0)),
        ("a: two\n  lines\n", (0, 0)),
    ],
)
def test_the_place_of_a_text_is_known_where_it_is_written_as_it_is(
    text: str, place: tuple[int, int]
) -> None:
    found = read_yaml(text, "f").places["a",]
    assert (found.text_line, found.text_column) == place


def refused(text: str) -> tuple[str, str, int, bool]:
    document = read_yaml(text, "f")
    (problem,) = document.problems
    assert problem.file == "f"
    return problem.message, problem.hint, problem.line, document.readable


def test_a_duplicate_key_is_refused_and_the_first_value_kept() -> None:
    document = read_yaml("a: 1\nb:\n  c: 1\n  c: {d: 2}\n", "f")
    (problem,) = document.problems
    assert (problem.path, problem.message, problem.line) == ("b.c", "duplicate key 'c'", 4)
    assert problem.hint == "it is also in line 3"
    assert document.value == {"a": 1, "b": {"c": 1}}


@pytest.mark.parametrize("number", ["+27821234567", "0821234567", "00351912345678"])
def test_a_telephone_number_must_be_quoted(number: str) -> None:
    message, hint, line, readable = refused(f"x: 1\na: {number}")
    assert message.startswith(number)
    assert (hint, line, readable) == (f'quote it: "{number}"', 2, True)
    assert read_yaml(f'a: "{number}"', "f").problems == []


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("a: 12345678901234567890", "too large for a number", 'quote it: "12345678901234567890"'),
        ("a: " + "9" * 10_000, "too large for a number", "quote it"),
        ("a: .nan", "not a number to decide with", ""),
        ("a: 1e999", "not a number to decide with", ""),
        ("1: a", "the key 1 is not text", 'quote it: "1"'),
        ("true: a", "the key true is not text", 'quote it: "true"'),
        ("a: !!python/name:os.system x", "the tag !!python/name:os.system is not known", "leave"),
        ("a: !secret x", "the tag !secret is not known", "leave it out"),
        ("a: !!set {b: 1}", "the tag !!set is not known", "leave it out"),
    ],
)
def test_what_has_no_place_in_a_workspace_is_refused(text: str, message: str, hint: str) -> None:
    found, hinted, line, readable = refused(text)
    assert message in found
    assert hinted.startswith(hint)
    assert len(found) < 200
    assert (line, readable) == (1, True)


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("a: [1, 2\nb: 3", "is not YAML", 2),
        ("a: 1\n\tb: 2", "is not YAML", 2),
        ("a: b: c", "mapping values are not allowed", 1),
        ("a: 1\n---\nb: 2", "a second document begins here", 2),
        ("? [a]\n: b", "a key must be plain text", 1),
        ("a: *b", "there is no '&b' before this '*b'", 1),
        ("a: &x [*x]", "there is no '&x' before this '*x'", 1),
        ("[" * (WORKSPACE_DEPTH_MAX + 2) + "]" * (WORKSPACE_DEPTH_MAX + 2), "too deeply", 1),
        ("a: \x00", "is not YAML", 0),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, message: str, line: int) -> None:
    found, _, at, readable = refused(text)
    assert message in found
    assert (at, readable) == (line, False)


def test_a_tab_is_explained() -> None:
    assert refused("a:\n\tb: 2")[1] == "indent with spaces, not tabs"


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ("a: {{ profile.x }}", 1, "quote a text that begins with '{{'"),
        ('a: 1\nb: "open\nc: 2\n', 2, "the quote that opens here is not closed"),
        ("a: {b: 1\nc: 2\n", 2, "the bracket in line 1 is not closed, or a text wants quotes"),
        ("a: {b: c: d}", 1, "the bracket in line 1 is not closed, or a text wants quotes"),
    ],
)
def test_what_is_not_closed_or_not_quoted_is_explained(text: str, line: int, hint: str) -> None:
    _, hinted, at, readable = refused(text)
    assert (hinted, at, readable) == (hint, line, False)


def test_a_hundred_thousand_brackets_are_refused_and_do_not_crash() -> None:
    for opening in ("[", "{a: ", "- "):
        document = read_yaml(opening * 100_000, "f")
        assert not document.readable
        assert document.problems[0].message


def test_an_alias_repeats_a_value() -> None:
    document = read_yaml("a: &x {b: [1, 2]}\nc: *x\n", "f")
    assert document.value == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}
    assert document.places["c",].line == 2


def test_a_bomb_of_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 10):
        uses = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} [{uses}]")
    message, _, line, readable = refused("\n".join(lines))
    assert message == "aliases make this file too large"
    assert line > 1
    assert not readable


def test_an_empty_file_is_nothing() -> None:
    assert read_yaml("# only a comment\n", "f") == Document(None, {}, [])


def test_json_is_read_as_json() -> None:
    document = read_json('{"a": {"b": "\\ud83d\\ude00", "c": [1, 2.5, null, true]}}', "f")
    assert document.value == {"a": {"b": "😀", "c": [1, 2.5, None, True]}}
    assert document.problems == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{'a': 1}", "is not JSON"),
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": 1, "a": 2}', "duplicate key 'a'"),
        ("[" * 100_000, "is nested too deeply"),
    ],
)
def test_what_is_not_json_is_refused(text: str, message: str) -> None:
    document = read_json(text, "f")
    assert not document.readable
    assert message in document.problems[0].message
    assert document.problems[0].line == 1
