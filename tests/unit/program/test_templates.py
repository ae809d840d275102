"""Liquid texts: what they render, what they refuse, and what they can't do."""

from collections.abc import Mapping

import msgspec
import pytest

from engine.choice.content import find_content, render as render_content
from engine.errors import NextbeatError
from engine.limits import TEMPLATE_BYTES_MAX, TEMPLATE_LOOPS_MAX
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.program.program import Template
from engine.program.templates import (
    TEMPLATE_NAMES,
    TemplateAbort,
    TemplateError,
    compile_template,
    find_misspelt,
    template_variables,
)

NAMES: Mapping[str, object] = {
    "profile": {
        "first_name": "Ada",
        "html": "<b>&\"'",
        "bare": "",
        "none": None,
        "age": 36,
        "cart": {"total": 12.5, "items": ["shoes", "hat"]},
        "active": True,
        "timezone": "Africa/Johannesburg",
    },
    "event": {"name": "Shoes", "price": 50},
    "customer": "u1",
    "message_id": "m_1",
    "now": "2026-03-02T05:12:00Z",
}

# Renders nothing, and no quick template has it: the same text is then rendered by the library.
SLOWLY = "{% capture nothing %}{% endcapture %}"


def render(source: str, names: Mapping[str, object] = NAMES, *, html: bool = False) -> str:
    return compile_template(source, html=html, rule="messages.m.content.email.body").render(names)


def refuse(source: str) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        compile_template(source, html=False, rule="r")
    return caught.value


def fail(source: str, names: Mapping[str, object] = NAMES) -> TemplateError:
    template = compile_template(source, html=False, rule="messages.m.content.email.body")
    with pytest.raises(TemplateError) as caught:
        template.render(names)
    return caught.value


# What they render.


@pytest.mark.parametrize("rest", ["", SLOWLY])
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", ""),
        ("Hello", "Hello"),
        ("a } b }} c %} d { e", "a } b }} c %} d { e"),
        ("line\r\nline\rline\n", "line\r\nline\rline\n"),
        ("Hi {{ profile.first_name }}!", "Hi Ada!"),
        ("Hi {{ profile.first_name | default: 'you' }}!", "Hi Ada!"),
        ("Hi {{ profile.nickname | default: 'you' }}!", "Hi you!"),
        ("Hi {{ profile.bare | default: 'you' }}!", "Hi you!"),
        ("Hi {{ profile.none | default: 'you' }}!", "Hi you!"),
        ("Hi {{ profile.nickname }}!", "Hi !"),
        ("Hi {{ nobody.at.all }}!", "Hi !"),
        ("Hi {{ profile.first_name.more }}!", "Hi !"),
        ("{{ profile['first_name'] }} {{ profile.cart.total }}", "Ada 12.5"),
        ("{{ profile.active }} {{ profile.age }}", "true 36"),
        ("{{ profile.cart.items }}", "shoeshat"),
        ("{{ profile.cart.items.size }} {{ profile.cart.items.first }}", "2 shoes"),
        ("{{ profile.cart.items[1] }}", "hat"),
        (" {{- event.name -}} ", "Shoes"),
        ("{% if profile.age > 18 %}yes{% else %}no{% endif %}", "yes"),
        ("{% for item in profile.cart.items %}{{ item | upcase }} {% endfor %}", "SHOES HAT "),
        ("{% assign a = event.price | times: 2 %}{{ a }}", "100"),
        ("{% capture a %}x\r\ny{% endcapture %}{{ a }}", "x\r\ny"),
        ("{{ now }} {{ customer }} {{ message_id }}", "2026-03-02T05:12:00Z u1 m_1"),
        ("{# not a comment #}", "{# not a comment #}"),
        ("{% comment %}{{ nothing }}{% endcomment %}", ""),
    ],
)
def test_a_text_renders_with_the_names_it_is_given(source: str, expected: str, rest: str) -> None:
    assert render(source + rest) == expected


def test_values_are_escaped_in_html_and_nowhere_else() -> None:
    source = "<p>{{ profile.html }}</p>{{ profile.none | default: '<i>' }}"
    assert render(source, html=True) == "<p>&lt;b&gt;&amp;&#34;&#39;</p><i>"
    assert render(source) == "<p><b>&\"'</p><i>"


@pytest.mark.parametrize("rest", ["", SLOWLY])
@pytest.mark.parametrize(
    "path",
    [
        "profile.__class__",
        "profile.first_name.__class__.__mro__",
        "profile.cart.items.__len__",
        "profile['__class__']",
        "profile.keys",
        "__builtins__",
        "self",
    ],
)
def test_nothing_of_python_can_be_seen(path: str, rest: str) -> None:
    assert render("[{{ " + path + " }}]" + rest) == "[]"


# What they refuse.


@pytest.mark.parametrize(
    ("source", "line", "column", "said"),
    [
        ("a {{ x | nope }}", 1, 10, "unknown filter 'nope'"),
        ("{{ x | upcas }}", 1, 8, "unknown filter 'upcas', did you mean 'upcase'?"),
        ("a\n  {% assing x = 1 %}", 2, 6, "unknown tag 'assing', did you mean 'assign'?"),
        ("{% if x %}{% for y in x %}{{ y | nope }}{% endfor %}{% endif %}", 1, 34, "'nope'"),
        ("{% assign y = x | nope %}", 1, 19, "'nope'"),
        ("{{ x | upcase: 1 }}", 1, 8, "filter 'upcase': too many positional arguments"),
        ("{{ x | date }}", 1, 8, "filter 'date': missing a required argument: 'pattern'"),
        ("{{ x | default: 1, nope: 2 }}", 1, 8, "unexpected keyword argument 'nope'"),
        ("\n{{ x", 2, 1, "expected '}}'"),
        ("a\n{% if x %}\n{% if y %}{% endif %}", 2, 4, "expected tag endif"),
        ("\n\n{% case x %}", 3, 4, "not closed"),
        ("{% if x %}{{ }}{% endif %}", 1, 11, "expected a primitive expression"),
        ("b {% for x in %}{% endfor %}", 1, 6, "expected a primitive expression"),
        ("{{ x y }}", 1, 6, "found word"),
        ("{% if x = 2 %}{% endif %}", 1, 9, "found '='"),
        ("{% include 'other' %}", 1, 4, "unknown tag 'include'"),
        ("{% render 'other' %}", 1, 4, "unknown tag 'render'"),
        ("{{ ${first_name} }}", 1, 4, "names are written {{ profile.first_name }}"),
        ("{{${first_name}}}", 1, 3, "names are written {{ profile.first_name }}"),
        ("{% abort_message a b %}", 1, 20, "found word"),
        ("{% abort_message x | nope %}", 1, 20, "found '|'"),
    ],
)
def test_a_fault_is_found_when_the_text_is_compiled(
    source: str, line: int, column: int, said: str
) -> None:
    error = refuse(source)
    assert said in error.message
    assert (error.line, error.column) == (line, column)
    assert str(error) == f"line {line}, column {column}: {error.message}"
    assert isinstance(error, NextbeatError)


def test_a_long_fault_is_not_echoed_in_full() -> None:
    assert len(refuse("{{ x | " + "n" * 10_000 + " }}").message) < 200


def test_blocks_may_not_be_nested_without_end() -> None:
    source = "{% if x %}" * 100 + "{% endif %}" * 100
    assert "nesting limit" in refuse(source).message


def test_a_text_that_is_longer_than_any_output_is_refused() -> None:
    assert "longer than" in refuse("x" * (TEMPLATE_BYTES_MAX + 1)).message


def test_half_a_character_is_refused() -> None:
    assert "is not a character" in refuse("a \ud800").message


# What goes wrong while rendering.


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ event.price | divided_by: 0 }}", "divided_by"),
        ("{{ event.price | times: 'x' | slice: 'y' }}", "slice expected an integer"),
        ("{% break %}", "outside of a loop"),
        ("{{ now | date: '%Y', 'GMT+5' }}", "'GMT+5' is not a time zone"),
        ("{{ 'not base64!' | base64_decode }}", ""),
        ("{{ '/w==' | base64_decode }}", "UnicodeDecodeError while rendering"),
        ("{% for i in (1..1000000000) %}x{% endfor %}", "loop iteration limit"),
        ("{% tablerow i in (1..1000000000) %}x{% endtablerow %}", "loop iteration limit"),
        ("{{ (1..1000000000) | join: ',' }}", f"more than {TEMPLATE_LOOPS_MAX} numbers"),
        ("{{ (1..1000000000) | sort | first }}", "numbers"),
        ("{{ profile.cart.items | concat: (1..1000000000) | size }}", "numbers"),
        ("{{ (1..1000000000) | slice: 0, 1000000000 }}", "numbers"),
        ("{{ (1..100000000000000000000) | join }}", "OverflowError while rendering"),
        (
            "{% assign a = 'x' %}{% for i in (1..50) %}{% assign a = a | append: a %}{% endfor %}",
            "local namespace limit",
        ),
        (
            "{% for i in (1..9999) %}{{ profile.first_name }} 123456789012345678901234{% endfor %}",
            "output stream limit",
        ),
        (
            "{% capture t %}{% for i in (1..9999) %}{{ now }}{{ now }}{% endfor %}{% endcapture %}",
            "output stream limit",
        ),
    ],
)
def test_a_failure_while_rendering_says_where_the_text_is(source: str, said: str) -> None:
    error = fail(source)
    assert error.message.startswith("messages.m.content.email.body: ")
    assert said in error.message
    assert len(error.message) <= 160


def test_a_failure_while_rendering_has_a_position() -> None:
    error = fail("a\n{{ event.price | divided_by: 0 }}")
    assert error.line == 2


@pytest.mark.parametrize("rest", ["", SLOWLY])
def test_the_output_is_bounded(rest: str) -> None:
    long = {"profile": {"text": "\u00e9" * (TEMPLATE_BYTES_MAX // 2)}}
    assert render("{{ profile.text }}" + rest, long) == "\u00e9" * (TEMPLATE_BYTES_MAX // 2)
    assert "output stream limit" in fail("{{ profile.text }}." + rest, long).message


@pytest.mark.parametrize("rest", ["", SLOWLY])
def test_half_a_character_in_a_value_is_a_failure(rest: str) -> None:
    error = fail("{{ profile.text }}" + rest, {"profile": {"text": "\ud800"}})
    assert "UnicodeEncodeError while rendering" in error.message


# Aborting.


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{% abort_message 'no name' %}", "no name"),
        ("{% abort_message('no name') %}", "no name"),
        ('{% abort_message ( "no name" ) %}', "no name"),
        ("{% abort_message event.name %}", "Shoes"),
        ("{% abort_message %}", "the template aborted without a reason"),
        ("{% abort_message() %}", "the template aborted without a reason"),
        ("{% abort_message profile.nickname %}", "the template aborted without a reason"),
        ("{% liquid\n if profile.age > 18\n abort_message 'too old'\n endif %}", "too old"),
        ("{% for i in (1..3) %}{% abort_message 'in a loop' %}{% endfor %}", "in a loop"),
    ],
)
def test_an_author_can_abort_with_a_reason(source: str, reason: str) -> None:
    template = compile_template("Hello" + source, html=True, rule="r")
    with pytest.raises(TemplateAbort) as caught:
        template.render(NAMES)
    assert str(caught.value) == reason
    assert not isinstance(caught.value, TemplateError)


def test_a_reason_is_short_whatever_it_is_made_of() -> None:
    template = compile_template("{% abort_message profile.text %}", html=False, rule="r")
    with pytest.raises(TemplateAbort) as caught:
        template.render({"profile": {"text": "x" * 10_000}})
    assert len(str(caught.value)) == 80


def test_an_abort_that_is_not_reached_does_nothing() -> None:
    assert render("{% if profile.age < 18 %}{% abort_message 'young' %}{% endif %}Hi") == "Hi"


# Dates, and the present.


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ 'now' | date: '%Y-%m-%dT%H:%M:%SZ' }}", "2026-03-02T05:12:00Z"),
        ("{{ 'today' | date: '%F' }}", "2026-03-02"),
        ("{{ now | date: '%F %R' }}", "2026-03-02 05:12"),
        ("{{ now | date: '%R', profile.timezone }}", "07:12"),
        ("{{ 'now' | date: '%R %z', 'Asia/Kathmandu' }}", "10:57 +0545"),
        ("{{ now | date: '%R', profile.no_zone }}", "05:12"),
        ("{{ profile.none | date: '%F' }}", ""),
        ("{{ profile.nothing | date: '%F' }}", ""),
        ("{{ profile.first_name | date: '%F' }}", "Ada"),
        ("{{ profile.active | date: '%F' }}", "true"),
        ("{{ now | date: profile.nothing }}", "2026-03-02T05:12:00Z"),
        ("{{ today }}", ""),
    ],
)
def test_the_present_is_the_one_that_was_given(source: str, expected: str) -> None:
    assert render(source) == expected


def test_without_a_present_there_is_none() -> None:
    assert render("{{ 'now' | date: '%F' }}{{ now }}", {}) == "now"


def test_a_pattern_from_data_is_escaped_in_html() -> None:
    names = {"now": NAMES["now"], "profile": {"pattern": "<b>%Y"}}
    assert render("{{ now | date: '<b>%Y' }}", names, html=True) == "<b>2026"
    assert render("{{ now | date: profile.pattern }}", names, html=True) == "&lt;b&gt;2026"


# What they use.


def test_the_variables_of_a_template_are_those_it_is_given() -> None:
    source = (
        "{{ profile.first_name | default: event.name }} {% assign a = profile.cart.total %}{{ a }}"
        "{% for item in event.items %}{{ item.name }}{{ forloop.index }}{% endfor %}"
        "{% if profile.first_name == 'x' %}{% abort_message context.reason %}{% endif %}"
    )
    assert template_variables(source) == [
        "profile.first_name",
        "event.name",
        "profile.cart.total",
        "event.items",
        "context.reason",
    ]


def test_a_template_that_can_not_be_read_has_no_variables() -> None:
    with pytest.raises(TemplateError):
        template_variables("{{ x | nope }}")


def test_a_template_keeps_its_source_and_does_not_change_what_it_is_given() -> None:
    names = {"profile": {"cart": {"items": ["b", "a"]}}}
    template = compile_template("{{ profile.cart.items | sort | join }}", html=False, rule="r")
    assert template.source == "{{ profile.cart.items | sort | join }}"
    assert template.render(names) == template.render(names) == "a b"
    assert names == {"profile": {"cart": {"items": ["b", "a"]}}}


@pytest.mark.parametrize(
    "source",
    [
        "{{ profile.a }} {{ event.b }} {{ now }}",
        "{% assign profil = 1 %}{{ profil }}",
        "{% for even in event.items %}{{ even }}{{ forloop.index }}{% endfor %}",
        "{{ coupon }}",
    ],
)
def test_a_name_of_its_own_and_one_like_no_other_are_left_alone(source: str) -> None:
    assert find_misspelt(source) is None


def test_a_misspelt_name_is_found_at_its_place() -> None:
    fault = find_misspelt("Hi\n{{ evnt.name }}")
    assert fault is not None
    assert (fault.message, fault.line) == ("unknown name 'evnt', did you mean 'event'?", 2)


def test_the_names_of_a_template_are_those_it_is_given() -> None:
    program = compile_source(
        {
            "workspace": "shop",
            "channels": {"sms": {"adapter": "log", "identity": "phone"}},
            "message_types": {"promo": {"purpose": "marketing", "channels": ["sms"]}},
            "messages": {"a": {"type": "promo", "content": {"sms": {"body": "hi"}}}},
        }
    )
    given: list[str] = []

    def note(names: Mapping[str, object]) -> str:
        given.extend(names)
        return ""

    # Some are given only to who asks.
    content = {"sms": {"body": Template("{{ now }}", note, is_local=True)}}
    message = msgspec.structs.replace(program.messages["a"], content=content)
    profile = Profile("u1")
    found = find_content(profile, program, message, "sms")
    render_content(profile, program, found, event={}, message_id="m", timezone="UTC", now=0)
    assert tuple(sorted(given)) == TEMPLATE_NAMES


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ text | json }}", '"say \\"ä\\""'),
        ("{{ none | json }}", "null"),
        ("{{ 'a' | append: text | json }}", '"asay \\"ä\\""'),
        ("{{ list | json }}", '[1,{"a":null}]'),
    ],
)  # fmt: skip
def test_a_value_is_written_as_json(source: str, expected: str) -> None:
    names = {"text": 'say "ä"', "list": [1, {"a": None}]}
    assert render(source, names) == expected
    assert render("{% capture x %}{% endcapture %}" + source, names) == expected
    if "append" not in source:  # which escapes by itself, where one of its texts is markup
        assert render(source, names, html=True) == expected.replace('"', "&#34;")
    with pytest.raises(TemplateError, match="json: this value can't be written as JSON"):
        render("{{ (1..3) | json }}", names)
