"""Links that lead over this server, and the picture that tells of an open: put into a text.

Called by `links` as a message leaves, for content the engine has marked (`TRACKING` of
`engine.effects`). What a link becomes is the caller's to say; this finds the links, and leaves the
rest as it is.

Rules
- Only what begins with http:// or https:// is a link. Stand-ins and links of our own (`is_own`)
  are never wrapped: the way out and the preference centre are not for counting.
- In HTML it is the `href` of `a` and `area`; in a text, what stands there as an address, without
  the point or bracket behind it. Addresses of pictures are no links.
- All is linear in the length of the text.
"""

import re
from collections.abc import Callable, Mapping
from html import escape, unescape

from engine.effects import BODY_FORMAT, HTML

Wrap = Callable[[str], str]  # the address a link is to lead to, or the same where it can't

_TEXTS = ("body", "text", "url", "link")  # the fields with links in them, where they are no HTML
_HREF = re.compile(
    r"(<(?:a|area)(?=\s)(?:[^<>\"']|\"[^\"<]*\"|'[^'<]*')*?\shref\s*=\s*)"
    r"(?:\"(https?://[^\"<>\s]+)\"|'(https?://[^'<>\s]+)')",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"\bhttps?://[^\s<>\"'`{}|\\^\[\]]+", re.IGNORECASE)
_BEHIND = ".,;:!?)*_~"  # marks that end a sentence rather than an address
_BODY_END = re.compile(r"</body\s*>", re.IGNORECASE)


def wrap_links(content: Mapping[str, str], wrap: Wrap) -> dict[str, str]:
    """Wrap every link of a content."""
    pages = html_fields(content)
    wrapped = dict(content)
    for field in pages:
        wrapped[field] = _wrap_html(content[field], wrap)
    for field in _TEXTS:
        if field in content and field not in pages:
            wrapped[field] = _wrap_text(content[field], wrap)
    return wrapped


def add_picture(content: Mapping[str, str], url: str) -> dict[str, str]:
    """Put a picture nobody sees at the end of each part that is HTML."""
    picture = (
        f'<img src="{escape(url)}" width="1" height="1" alt="" role="presentation" '
        'style="display:block;width:1px;height:1px;border:0">'
    )
    return {**content, **{name: _insert(content[name], picture) for name in html_fields(content)}}


def html_fields(content: Mapping[str, str]) -> tuple[str, ...]:
    """Name the fields that are HTML."""
    is_html = {"html": True, "body": content.get(BODY_FORMAT) == HTML}
    return tuple(name for name, holds in is_html.items() if holds and content.get(name))


def _wrap_html(text: str, wrap: Wrap) -> str:
    def write(found: re.Match[str]) -> str:
        url = unescape(found[2] or found[3])
        return f'{found[1]}"{escape(wrap(url))}"'

    return _HREF.sub(write, text)


def _wrap_text(text: str, wrap: Wrap) -> str:
    def write(found: re.Match[str]) -> str:
        url = found[0].rstrip(_BEHIND)
        if found[0][len(url) : len(url) + 1] == ")" and url.count("(") > url.count(")"):
            url += ")"  # one that was opened in the address belongs to it
        return wrap(url) + found[0][len(url) :]

    return _ADDRESS.sub(write, text)


def _insert(text: str, picture: str) -> str:
    ends = [found.start() for found in _BODY_END.finditer(text)]
    at = ends[-1] if ends else len(text)
    return text[:at] + picture + text[at:]
