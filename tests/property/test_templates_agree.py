"""A text that is rendered the quick way is what python-liquid would render, byte for byte.

Texts are drawn from the grammar that the quick way knows, names from all that JSON can be. The same
text with `SLOWLY` before it is left to the library: both must give the same, or fail the same.
"""

from collections.abc import Mapping

import pytest
from hypothesis import example, given, settings, strategies as st
from liquid import Environment

from engine.program.dialect import dialect
from engine.program.quick_templates import Quick, compile_quick
from engine.program.templates import TemplateAbort, TemplateError, compile_template

SLOWLY = "{% capture nothing %}{% endcapture %}"  # writes nothing, and no quick template has it

KEYS = ["b", "b", "c", "size", "first", "last"]
ROOTS = ["a", "b", "x", "x", "y", "now", "forloop"]
LOOP_KEYS = ["index", "index0", "rindex", "rindex0", "first", "last", "length"]
SIGNS = "ab <>&'\u00e9\U0001f600"

TEXT = st.text(st.sampled_from("ab <&\n\u00e9{}%-"), max_size=6).filter(
    lambda text: not any(sign in text for sign in ("{{", "{%", "}}", "%}")) and text[-1:] != "{"
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(st.sampled_from(SIGNS), max_size=4),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
    st.sampled_from(["a", "2", " ", "&lt;", "2026-03-02T05:12:00Z", '<b>Tom\'s "x"</b>']),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=10,
)
NAMES = st.fixed_dictionaries({"a": VALUES, "b": VALUES}, optional=dict.fromkeys(ROOTS[2:], VALUES))

QUOTED = st.text(st.sampled_from('ab <&"\u00e9{'), max_size=3).map(lambda text: f"'{text}'")
NUMBERS = st.sampled_from(["0", "1", "2", "-1", "3", "0.5", "2.0", "12345678901234567890"])
WORDS = st.sampled_from(["true", "false", "nil"])
LITERALS = QUOTED | NUMBERS | WORDS | st.sampled_from(["empty", "blank"])
STEPS = st.one_of(
    st.sampled_from(KEYS).map(lambda key: f".{key}"),
    st.sampled_from(KEYS).map(lambda key: f"['{key}']"),
    st.integers(-2, 2).map(lambda index: f"[{index}]"),
    st.sampled_from(["[a]", "[b.c]", "[x]", "[0]"]),
)
PATHS = st.one_of(
    st.tuples(st.sampled_from(ROOTS), st.lists(STEPS, max_size=2).map("".join)).map("".join),
    st.sampled_from(LOOP_KEYS).map(lambda key: f"forloop.{key}"),
)
OPERANDS = PATHS | LITERALS
ARGUMENTS = PATHS | QUOTED | NUMBERS | WORDS
FILTERS = st.one_of(
    st.sampled_from(
        [
            "upcase", "downcase", "capitalize", "escape", "size", "strip", "lstrip", "rstrip",
            "truncate", "truncate: 3", "truncate: 4, '<'", "truncatewords: 1", "abs", "ceil",
            "floor", "round", "round: 1", "newline_to_br", "strip_html", "strip_newlines",
            "url_encode", "json", "join", "join: '<'", "date: '%Y'", "date: '<%d'", "default",
            "money: 'EUR'", "number: 1", "percent", "local_date", "plural: one: '<', other: '# b'",
        ]
    ),
    st.tuples(
        st.sampled_from(
            [
                "default", "default", "append", "prepend", "plus", "minus", "times", "divided_by",
                "modulo", "at_most", "at_least", "remove", "remove_first", "join", "date",
            ]
        ),
        ARGUMENTS,
    ).map(": ".join),
    st.tuples(st.sampled_from(["replace: 'a', ", "replace_first: 'b', "]), ARGUMENTS).map("".join),
)  # fmt: skip
OPERATORS = st.sampled_from(["==", "!=", "<>", "<", ">", "<=", ">=", "contains"])
TERMS = OPERANDS | st.tuples(OPERANDS, OPERATORS, OPERANDS).map(" ".join)
CONDITIONS = st.lists(TERMS, min_size=1, max_size=3).flatmap(
    lambda terms: st.sampled_from([" and ", " or "]).map(lambda word: word.join(terms))
)
FILTERED = st.tuples(OPERANDS, st.lists(FILTERS, max_size=2)).map(
    lambda parts: " | ".join([parts[0], *parts[1]])
)
OUTPUTS = st.tuples(st.sampled_from(["{{", "{{-"]), FILTERED, st.sampled_from(["}}", "-}}"])).map(
    " ".join
)


def tag(text: str) -> st.SearchStrategy[str]:
    """Write a tag, with or without the dashes that take the white space around it away."""
    ends = st.tuples(st.sampled_from(["{%", "{%-"]), st.sampled_from(["%}", "-%}"]))
    return ends.map(lambda pair: f"{pair[0]} {text} {pair[1]}")


@st.composite
def choices(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    word = draw(st.sampled_from(["if", "unless"]))
    text = draw(tag(f"{word} {draw(CONDITIONS)}")) + draw(inner)
    if draw(st.booleans()):
        text += draw(tag(f"elsif {draw(CONDITIONS)}")) + draw(inner)
    if draw(st.booleans()):
        text += draw(tag("else")) + draw(inner)
    return text + draw(tag(f"end{word}"))


@st.composite
def loops(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    head = f"for {draw(st.sampled_from(['x', 'y', 'a']))} in {draw(PATHS)}"
    for part in ("limit", "offset"):
        if draw(st.integers(0, 3)) == 0:
            head += f" {part}: {draw(st.integers(-1, 3))}"
    head += draw(st.sampled_from(["", "", " reversed"]))
    text = draw(tag(head)) + draw(inner)
    if draw(st.booleans()):
        text += draw(tag("else")) + draw(inner)
    return text + draw(tag("endfor"))


ASSIGNS = st.tuples(st.sampled_from(["a", "x", "z"]), FILTERED).flatmap(
    lambda parts: tag(f"assign {parts[0]} = {parts[1]}")
)
# What is not known is left to the library, but only where it is come to.
STRANGE = st.sampled_from(
    ["{% break %}", "{% abort_message a %}", "{{ (1..3) }}", "{% increment a %}", "{{ a | last }}"]
)
LEAVES = st.one_of(TEXT, OUTPUTS, OUTPUTS, ASSIGNS, st.just("{% comment %}{{ a }}{% endcomment %}"))
BLOCKS = st.recursive(
    st.lists(LEAVES, min_size=1, max_size=3).map("".join),
    lambda inner: st.lists(
        st.one_of(
            LEAVES,
            choices(inner),
            loops(inner),
            inner.map(lambda text: f"{{% if y %}}{text}{{% break %}}{{% endif %}}"),
            st.tuples(PATHS, STRANGE).map(lambda at: f"{{% if {at[0]} %}}{at[1]}{{% endif %}}"),
        ),
        min_size=1,
        max_size=3,
    ).map("".join),
    max_leaves=5,
)


def quicken(source: str, *, html: bool) -> Quick | None:
    return compile_quick(dialect(html=html).from_string(source), html=html)


def outcome(source: str, names: Mapping[str, object], *, html: bool, before: str = "") -> object:
    """Render a text; what goes wrong is a result too, and where, but for what stands before it."""
    try:
        return compile_template(before + source, html=html, rule="r").render(names)
    except TemplateAbort as abort:
        return "abort", str(abort)
    except TemplateError as error:
        shift = len(before) if error.line == 1 else 0
        return error.message, error.line, error.column - shift


@pytest.mark.parametrize("html", [False, True])
@given(source=BLOCKS, names=NAMES)
@example(source="{% for x in a %}{{ x }}{% assign x = 1 %}{% endfor %}{{ x }}", names={"a": [5, 6]})
@example(source="{% for x in x %}{{ x }}{{ forloop.last }}{% endfor %}{{ x }}", names={"x": [5, 6]})
@example(source="{% for x in a limit: 0 %}{{ x }}{% endfor %}", names={"a": [5, 6]})
@example(source="{% for x in a %}{{ x[0] }}={{ x[1] }}{{ x }}{% endfor %}", names={"a": {"b": 1}})
@example(source="{{ a.size }}{{ a.first }}{{ a.last }}", names={"a": {"b": 1}})
@example(
    source="{% if a %} {% if b %}{% else %} {% endif %} {% else %}x{% endif %}", names={"a": 1}
)
@example(source="{% if a == true %}1{% endif %}{% if true != a %}2{% endif %}", names={"a": 1})
@example(source="{% if a contains 1 %}2{% endif %}", names={"a": 1})
@example(source="{% for x in a %} {% endfor %}|{% for x in a %} .{% endfor %}", names={"a": [1]})
@example(
    source="{{ '<' | append: a }}{{ a | append: '<' }}{{ a | default: '<' }}", names={"a": "&"}
)
@settings(max_examples=300, deadline=None)
def test_a_text_is_what_the_library_would_render(
    source: str,
    names: dict[str, object],
    *,
    html: bool,
) -> None:
    expected = outcome(source, names, html=html, before=SLOWLY)
    assert outcome(source, names, html=html) == expected
    quick = quicken(source, html=html)
    if quick is not None and not isinstance(expected, str):
        with pytest.raises(Exception):  # noqa: B017, PT011 - any: the library then says which
            quick(names)


@pytest.mark.parametrize("html", [False, True])
@given(value=SCALARS)
@settings(deadline=None)
def test_a_value_is_written_as_the_library_alone_would_write_it(
    value: object, *, html: bool
) -> None:
    source = "[{{ a }}|{{ a | default: '<i>' }}|{{ b | default: '<i>' }}]"
    alone = Environment(autoescape=html).from_string(source).render({"a": value})
    assert outcome(source, {"a": value}, html=html) == alone


def test_what_is_left_to_the_library_is_known() -> None:
    assert quicken("{{ a }}" + SLOWLY, html=False) is None
