"""Numbers, money, dates and plurals in the customer's language; and texts with a gap are errors."""

from typing import Any

import pytest

from engine.program.localised import is_local
from engine.program.templates import TemplateError, compile_template

NAMES = {
    "event": {
        "total": 1234.5, "count": 3, "one": 1, "whole": 2.0, "text": "19.90", "word": "many",
        "at": "2026-03-02T22:12:00Z", "on": "2026-03-02", "share": 0.256, "list": [1], "huge": 1e30,
    },
    "currency": "ZAR",
    "timezone": "Africa/Johannesburg",
}  # fmt: skip
SLOWLY = "{% capture nothing %}{% endcapture %}"  # no quick template has it


def render(text: str, locale: str = "en-ZA", *, html: bool = False, **names: Any) -> str:
    given = {**NAMES, "locale": locale, **names}
    quick = compile_template(text, html=html, rule="r").render(given)
    assert compile_template(SLOWLY + text, html=html, rule="r").render(given) == quick
    return quick


@pytest.mark.parametrize(
    ("text", "locale", "expected"),
    [
        ("{{ event.total | money }}", "en-ZA", "R1\u00a0234,50"),
        ("{{ event.total | money }}", "zu", "R1,234.50"),
        ("{{ event.total | money: 'EUR' }}", "de", "1.234,50\u00a0€"),
        ("{{ event.total | money: 'JPY' }}", "ja", "￥1,234"),
        ("{{ event.text | money: 'USD' }}", "en-US", "$19.90"),
        ("{{ event.total | times: 2 | money: 'USD' }}", "en-US", "$2,469.00"),
        ("{{ event.none | default: 0 | money: 'USD' }}", "en-US", "$0.00"),
        ("{{ event.total | number }}", "de", "1.234,5"),
        ("{{ event.total | number: 2 }}", "fr", "1\u202f234,50"),
        ("{{ event.share | percent }}", "en", "26%"),
        ("{{ event.share | percent: 1 }}", "de", "25,6\u00a0%"),
        ("{{ event.at | local_date }}", "en-ZA", "03 Mar 2026"),
        ("{{ event.at | local_date: 'full' }}", "de", "Dienstag, 3. März 2026"),
        ("{{ event.at | local_date: 'long', 'UTC' }}", "pt-BR", "2 de março de 2026"),
        ("{{ event.on | local_date: 'short' }}", "en-US", "3/2/26"),
        ("{{ event.at | local_time }}", "de", "00:12"),
        ("{{ event.at | local_time: 'short', 'America/New_York' }}", "de", "17:12"),
        ("{{ event.one | plural: one: '# item', other: '# items' }}", "en", "1 item"),
        ("{{ event.whole | plural: one: '# item', other: '# items' }}", "en", "2 items"),
        ("{{ event.count | plural: one: '# a', few: '# b', other: '# c' }}", "pl", "3 b"),
        ("{{ event.count | plural: one: '# a', other: '# c' }}", "pl", "3 c"),
        ("{{ event.total | plural: other: '# items' }}", "en", "1,234.5 items"),
        ("{{ event.total | number }}", "xx", "1,234.5"),
        ("{{ event.total | number }}", "", "1,234.5"),
    ],
)
def test_values_are_written_as_the_language_does(text: str, locale: str, expected: str) -> None:
    assert render(text, locale) == expected


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{{ event.none | money }}", "money: nothing is not a number"),
        ("{{ event.word | money }}", "money: this text is not a number"),
        ("{{ event.list | number }}", "number: this value is not a number"),
        ("{{ true | number }}", "number: this number is not a number"),
        ("{{ event.total | money: 'zar' }}", "money: this text is not a currency"),
        ("{{ event.total | money: 5 }}", "money: this number is not a currency"),
        ("{{ event.total | number: 9 }}", "no count of decimals from 0 to 6"),
        ("{{ event.none | percent }}", "percent: nothing is not a number"),
        ("{{ event.none | local_date }}", "local_date: nothing is not a date"),
        ("{{ event.word | local_time }}", "local_time: this text is not a date"),
        ("{{ event.at | local_date: 'nice' }}", "one of short, medium, long, full"),
        ("{{ event.at | local_date: 'long', 'Mars' }}", "not a time zone"),
        ("{{ event.none | plural: other: '#' }}", "plural: nothing is not a number"),
        ("{{ event.one | plural: one: 5, other: '#' }}", "plural: this number is not a text"),
        ("{{ event.huge | number }}", "number: this number is not a number"),
    ],
)
def test_what_cannot_be_written_is_an_error_that_shows_no_value(text: str, fault: str) -> None:
    for before in ("", SLOWLY):
        template = compile_template(before + text, html=False, rule="r")
        with pytest.raises(TemplateError) as caught:
            template.render({**NAMES, "locale": "en"})
        assert fault in caught.value.message
        assert "many" not in caught.value.message


def test_without_a_currency_there_is_no_amount() -> None:
    with pytest.raises(TemplateError, match=r"there is no currency: write one like money: 'ZAR'"):
        render("{{ event.total | money }}", currency="")


@pytest.mark.parametrize(
    "text",
    ["{{ 1 | plural: one: 'a' }}", "{{ 1 | plural: oen: 'a', other: 'b' }}", "{{ 1 | mony }}"],
)
def test_a_filter_used_wrongly_is_an_error_when_the_workspace_is_loaded(text: str) -> None:
    with pytest.raises(TemplateError):
        compile_template(text, html=False, rule="r")


def test_what_customers_are_called_is_escaped_in_html_and_markup_is_not() -> None:
    text = "{{ event.one | plural: one: '# <i>x</i>', other: '' }}{{ event.total | money: 'EUR' }}"
    assert render(text, html=True) == "1 <i>x</i>€1\u00a0234,50"
    assert (
        render("{{ 2 | plural: other: profile.unit }}", html=True, profile={"unit": "<b>"})
        == "&lt;b&gt;"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [("{{ x | money }}", True), ("{{ locale }}", True), ("Hi {{ profile.name }}", False)],
)
def test_only_texts_that_ask_for_a_locale_are_given_one(text: str, *, expected: bool) -> None:
    assert is_local(text) is expected
    assert compile_template(text, html=False, rule="r").is_local is expected
