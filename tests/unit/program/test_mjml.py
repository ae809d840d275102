"""MJML becomes HTML with its Liquid in place; what it can't say is an error at its line."""

import re

import pytest

from engine.program.mjml import MjmlError, compile_mjml

LETTER = """<mjml>
  <mj-head><mj-preview>{{ profile.first_name }}</mj-preview></mj-head>
  <mj-body>
    <mj-raw>{% if event.n < 3 && event.m > 1 %}</mj-raw>
    <mj-section background-color="{{ event.colour }}">
      <mj-column>
        <mj-text>Hi {{ profile.first_name | default: "you" }}, <b>{{ event.total | money }}</b>
          {% for item in event.items %}<p>{{ item.name }}</p>{% endfor %}</mj-text>
        <mj-button href="{{ event.url }}?a=1&amp;b={{ event.b | url_encode }}">Go</mj-button>
      </mj-column>
    </mj-section>
    <mj-raw>{% endif %}</mj-raw>
  </mj-body>
</mjml>
"""


def test_liquid_survives_in_text_attributes_and_raw_parts() -> None:
    html = compile_mjml(LETTER)
    assert html.lower().startswith("<!doctype html>")
    tags = re.findall(r"\{\{.*?\}\}|\{%.*?%\}", LETTER)
    assert [tag for tag in tags if tag not in html] == []
    assert 'href="{{ event.url }}?a=1' in html
    assert "nbliquid" not in html


def test_the_same_source_gives_the_same_html() -> None:
    assert compile_mjml(LETTER) == compile_mjml(str(LETTER))


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        ("<mjml><mj-body>\n<mj-sektion/></mj-body></mjml>", 2, "did you mean 'mj-section'?"),
        ("<mjml><mj-body>\n<mj-section>\n</mj-body></mjml>", 3, "<mj-section> of line 2 is open"),
        ("<mjml>\n<mj-body>", 2, "<mj-body> is not closed"),
        ('<mjml><mj-body><mj-include path="a"/></mj-body></mjml>', 1, "nothing is included"),
        ('<mjml><mj-body>\n<mj-image width="{{ w }}"/></mj-body></mjml>', 2, "would be lost"),
        ("", 1, "there is nothing here"),
        ("hello", 0, "this is no MJML"),
        ("<mjml><mj-body>nbliquid0x</mj-body></mjml>", 1, "is a word of our own"),
    ],
)
def test_what_is_no_mjml_is_said_with_its_line(text: str, line: int, fault: str) -> None:
    with pytest.raises(MjmlError) as caught:
        compile_mjml(text)
    assert caught.value.line == line
    assert fault in caught.value.message
