"""Quick templates: most texts are rendered without the library, and all of them as it would."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from engine.program.dialect import dialect
from engine.program.quick_templates import compile_quick
from engine.program.templates import TemplateError, compile_template

# Renders nothing, and no quick template has it: the same text is then rendered by the library.
SLOWLY = "{% capture nothing %}{% endcapture %}"

ORDER: Mapping[str, object] = {
    "profile": {"first_name": "Ada", "tier": "gold", "tags": ["new", "tea"]},
    "event": {
        "name": "Wool & silk",
        "total": 149.5,
        "quantity": 2,
        "one": 1,
        "products": [{"name": "Tea <2>", "price": 100}, {"name": "Cup", "quantity": 3}],
        "bare": [],
        "rows": [[1, 2], [3]],
        "sizes": {"s": 1, "m": 2},
    },
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{% for x in event.products %}{{ x.quantity | default: 1 }} ", "1 3 "),
        ("{% for x in event.products %}{{ forloop.index }}/{{ forloop.length }} ", "1/2 2/2 "),
        ("{% for x in event.products reversed %}{{ x.name | downcase }},", "cup,tea <2>,"),
        ("{% for x in event.products limit: 1 offset: 1 %}{{ x.name }}", "Cup"),
        ("{% for x in event.bare %}x{% else %}none", "none"),
        ("{% for x in event.nothing %}x{% else %}none", "none"),
        ("{% for x in event.name %}[{{ x }}]", "[Wool & silk]"),
        ("{% for x in event.sizes %}{{ x[0] }}={{ x[1] }} ", "s=1 m=2 "),
        ("{% for x in event.rows %}{% for x in x %}{{ x }}{% endfor %};", "12;3;"),
        ("{% for x in event.rows %}{% assign x = 9 %}{{ x[0] }}", "13"),
    ],
)
def test_a_loop_is_quick(source: str, expected: str) -> None:
    assert render_quickly(source + "{% endfor %}", ORDER) == expected


@pytest.mark.parametrize(
    ("condition", "is_true"),
    [
        ("profile.first_name", True),
        ("profile.nickname", False),
        ("event.bare", True),
        ("profile.tier == 'gold' and event.quantity > 1", True),
        ("profile.tier == 'silver' or event.quantity < 2", False),
        ("event.quantity >= 2.0", True),
        ("event.one == true", False),
        ("profile.nickname < 3", False),
        ("profile.nickname == nil", True),
        ("profile.nickname != blank", True),
        ("event.bare == empty", True),
        ("profile.tags contains 'tea'", True),
        ("event.name contains 'wool'", False),
        ("event.name contains 'silk'", True),
        ("event.products.size == 2", True),
        ("event.products[-1].name <= 'Cup'", True),
        ("event.products[2].name", False),
    ],
)
def test_a_condition_is_quick(condition: str, *, is_true: bool) -> None:
    source = "{% if " + condition + " %}yes{% else %}no{% endif %}"
    assert render_quickly(source, ORDER) == ("yes" if is_true else "no")
    unless = "{% unless " + condition + " %}no{% else %}yes{% endunless %}"
    assert render_quickly(unless, ORDER) == ("yes" if is_true else "no")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ event.products[0].name | default: 'it' }}", "Tea &lt;2&gt;"),
        ("{{ event.products[7].name | default: '<i>it</i>' }}", "<i>it</i>"),
        ("{{ event.name | truncate: 7 }}", "Wool..."),
        ("{{ event.name | upcase | append: '<br>' }}", "WOOL &amp; SILK<br>"),
        ("{{ event.name | size }} {{ event.total | plus: 1 }}", "11 150.5"),
        ("{{ profile.tags | join: '<br>' }} {{ profile.tags }}", "new<br>tea newtea"),
        ("{% assign a = event.total | round %}{{ a }}{{ a.size }}", "150"),
        (
            "{{ a }}{% assign a = '<b>' %}{{ a }}{% assign a = event.name %}{{ a }}",
            "<b>Wool &amp; silk",
        ),
        ("{% if profile.tier == 'gold' %} {% endif %}|{% comment %}x{% endcomment %}", "|"),
        ("{% if profile %} {% else %}x{% endif %}|", " |"),
        ("{% if profile.none %}{% break %}{% abort_message %}{% endif %}x", "x"),
    ],
)
def test_a_text_in_html_is_quick(source: str, expected: str) -> None:
    assert render_quickly(source, ORDER, html=True) == expected
    assert render(source + SLOWLY, ORDER, html=True) == expected


def render(source: str, names: Mapping[str, object], *, html: bool = False) -> str:
    return compile_template(source, html=html, rule="r").render(names)


def render_quickly(source: str, names: Mapping[str, object], *, html: bool = False) -> str:
    """Render without the library to fall back on."""
    quick = compile_quick(dialect(html=html).from_string(source), html=html)
    assert quick is not None
    return quick(names)


@pytest.mark.parametrize(
    ("sign", "escaped"),
    [
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("'", "&#39;"),
        ('"', "&#34;"),
        ("\u00e9", "\u00e9"),
    ],
)
def test_each_sign_that_means_something_in_html_is_escaped(sign: str, escaped: str) -> None:
    assert render_quickly("{{ a }}", {"a": f"x{sign}y"}, html=True) == f"x{escaped}y"
    assert render("{{ a }}" + SLOWLY, {"a": f"x{sign}y"}, html=True) == f"x{escaped}y"


CONTENT = Path(__file__).parents[3] / "adapters/demo/workspace/content"


@pytest.mark.parametrize("path", sorted(CONTENT.glob("*.liquid")), ids=lambda path: path.stem)
def test_the_texts_of_the_demo_are_quick(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    written = render_quickly(source, ORDER, html=True)
    assert written == render(source + SLOWLY, ORDER, html=True)


@pytest.mark.parametrize(
    "source",
    [
        SLOWLY,
        "{% for x in (1..3) %}{{ x }}{% endfor %}",
        "{% for x in a %}{{ forloop.parentloop.index }}{% endfor %}",
        "{% for x in a %}{{ forloop }}{% endfor %}",
        "{% for forloop in a %}{{ forloop }}{% endfor %}",
        "{% for x in a offset: continue %}{{ x }}{% endfor %}",
        "{% for x in a limit: b %}{{ x }}{% endfor %}",
        "{% for x in a %}{% break %}{% endfor %}",
        "{{ a | last }}",
        "{{ a | default: b, allow_false: true }}",
        "{{ [a].b }}",
        "{{ a" + ".b" * 50 + " }}",
        "{{ a" + " | upcase" * 50 + " }}",
        "{% if a" + " and a" * 50 + " %}{% endif %}",
        "{{ a }}" * 2_000,
        "{% assign a = 1 %}" * 50,
        "{% for x in a %}" * 20 + "{% endfor %}" * 20,
        "{% case a %}{% when 1 %}{% endcase %}",
    ],
)
def test_what_is_not_known_is_left_to_the_library(source: str) -> None:
    assert compile_quick(dialect(html=False).from_string(source), html=False) is None
    assert isinstance(render(source, {"a": [1], "b": 1}), str)


@pytest.mark.parametrize(
    "source",
    [
        "{% for x in many %}{% for y in many %}{% endfor %}{% endfor %}",
        "{% for x in many %}{{ long }}{% endfor %}",
        "{% for x in many %}{% assign a = a | append: long %}{% endfor %}",
        "{% if many %}{% capture a %}{{ long }}{% endcapture %}{{ a }}{% endif %}",
        "{% for x in long limit: -1 %}{{ x }}{% endfor %}",
        "{% if many > 1 %}{% endif %}",
        "{{ half }}",
        "{{ set }}",
        "{{ none | join }}",
    ],
)
def test_what_is_out_of_the_ordinary_is_for_the_library_to_judge(source: str) -> None:
    names = {"many": [1] * 300, "long": "\u00e9" * 1_000, "half": "\ud800", "none": None}
    with pytest.raises(Exception):  # noqa: B017, PT011 - any will do: the library says which
        render_quickly(source, names | {"set": Strange()})
    assert outcome(source, names) == outcome(source + SLOWLY, names)


class Strange:
    """Something that is not JSON, and can't be written."""

    def __str__(self) -> str:
        raise ValueError


def outcome(source: str, names: Mapping[str, object]) -> object:
    try:
        return render(source, names)
    except TemplateError as error:
        return error.message, error.line, error.column
