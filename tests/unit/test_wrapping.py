"""Links are found where they are, and nothing else is changed."""

import pytest

from adapters.channels.wrapping import add_picture, html_fields, wrap_links


def wrap(url: str) -> str:
    return f"[{url}]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("See https://a.example/x?y=1&z=2.", "See [https://a.example/x?y=1&z=2]."),
        ("(http://a.example/x)", "([http://a.example/x])"),
        ("https://a.example/x_(y) z", "[https://a.example/x_(y)] z"),
        ("https://a.example,https://b.example", "[https://a.example,https://b.example]"),
        ("a https://a.example\nb HTTP://b.example/ä!", "a [https://a.example]\nb [HTTP://b.example/ä]!"),
        ("mailto:a@b.example tel:+27 www.a.example", "mailto:a@b.example tel:+27 www.a.example"),
        ("xhttps://a.example", "xhttps://a.example"),
        ("", ""),
    ],
)  # fmt: skip
def test_links_of_a_text_are_what_stands_there_as_an_address(text: str, expected: str) -> None:
    assert wrap_links({"body": text}, wrap)["body"] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('<a href="https://a.example">x</a>', '<a href="[https://a.example]">x</a>'),
        (
            "<A class='b>c' HREF='https://a.example/?a=1&amp;b=2' id=z>",
            "<A class='b>c' HREF=\"[https://a.example/?a=1&amp;b=2]\" id=z>",
        ),
        ('<area href="http://a.example"/>', '<area href="[http://a.example]"/>'),
        ('<img src="https://a.example/i.png">', '<img src="https://a.example/i.png">'),
        ('<link href="https://a.example/s.css">', '<link href="https://a.example/s.css">'),
        ('<a href="mailto:a@b.example">', '<a href="mailto:a@b.example">'),
        ('<a href="/x">https://a.example</a>', '<a href="/x">https://a.example</a>'),
        ('<a data-href="https://a.example">', '<a data-href="https://a.example">'),
        ("<a\nhref = 'https://a.example'\n>", '<a\nhref = "[https://a.example]"\n>'),
        ("<a href='https://a.example\"'>", '<a href="[https://a.example&quot;]">'),
    ],
)
def test_links_of_html_are_those_of_its_anchors(text: str, expected: str) -> None:
    assert wrap_links({"html": text}, wrap)["html"] == expected
    page = {"body": text, "body_format": "html"}
    assert wrap_links(page, wrap)["body"] == expected


def test_other_fields_are_left_alone() -> None:
    content = {
        "subject": "https://a.example",
        "image": "https://a.example/i.png",
        "url": "https://b",
    }
    assert wrap_links(content, wrap) == {**content, "url": "[https://b]"}


def test_the_picture_is_the_last_of_each_page() -> None:
    content = {"html": "<body>x</body></html>", "text": "x", "body": "y"}
    told = add_picture(content, "https://n.example/o/t.gif")
    assert html_fields(content) == ("html",)
    assert told["html"].startswith('<body>x<img src="https://n.example/o/t.gif" width="1"')
    assert told["html"].endswith("</body></html>")
    assert (told["text"], told["body"]) == ("x", "y")
    assert add_picture({"html": "<p>x"}, "u")["html"].startswith("<p>x<img")


def test_a_text_made_to_be_slow_is_not() -> None:
    for text in (
        "<a" + " href=" * 20_000,
        "<a " * 20_000,
        "<a href='" * 20_000,
        '<a "' * 20_000,
        "https://" * 20_000,
    ):
        wrap_links({"html": text, "text": text}, wrap)
