"""Pages that customers see: in their language, without a script, and with nothing from elsewhere.

Used by the modules whose links stand in messages. The texts are the workspace's, or English.
"""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from aiohttp import web

from engine.profile import Profile
from engine.program.centretexts import CENTRE_LANGUAGE, CENTRE_TEXTS
from engine.program.program import Program, Template
from engine.program.templates import compile_template

_FOLDER = Path(__file__).parent / "html"
_STYLE = (_FOLDER / "style.css").read_text("utf-8")
_STYLE_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
}


def _load(name: str) -> Template:
    # The style is ours and its hash is in the policy, so it goes in as it is.
    text = (_FOLDER / name).read_text("utf-8").replace("{{ style }}", _STYLE)
    return compile_template(text, html=True, rule=name)


_NOTICE = _load("notice.html")
PREFERENCES = _load("preferences.html")


class Words:
    """The texts of the pages in one language of the workspace, over its default, over English."""

    def __init__(self, program: Program, language: str) -> None:
        texts = program.centre.texts
        default = next(iter(texts), CENTRE_LANGUAGE)
        self.language = language if language in texts else default
        self._texts: dict[str, str] = {
            **CENTRE_TEXTS,
            **texts.get(default, {}),
            **texts.get(self.language, {}),
        }

    def __getitem__(self, key: str) -> str:
        """Give the text of a key."""
        return self._texts[key]

    def name(self, group: str, name: str) -> str:
        """Give what customers call a purpose, a type or a channel."""
        return self._texts.get(f"{group}.{name}", name.replace("_", " "))

    def all(self) -> Mapping[str, str]:
        """Give every text by its key."""
        return self._texts


def words_for(program: Program, profile: Profile | None) -> Words:
    """Choose the language: the customer's, or its plain form (`fr` for `fr-CA`)."""
    texts = program.centre.texts
    locale = profile.traits.get("locale") if profile is not None else None
    said = locale if isinstance(locale, str) else program.defaults.locale
    wanted = said.replace("_", "-").lower()
    by_name = {name.lower(): name for name in texts}
    return Words(program, by_name.get(wanted) or by_name.get(wanted.partition("-")[0], ""))


def write_page(template: Template, names: Mapping[str, Any], status: int = 200) -> web.Response:
    """Answer with a page."""
    text = template.render(names)
    return web.Response(text=text, status=status, content_type="text/html", headers=_HEADERS)


def notice(
    status: int, title: str, text: str, *, button: str = "", language: str = CENTRE_LANGUAGE
) -> web.Response:
    """Answer with a page of one sentence, and a button that posts to the same address."""
    names = {"title": title, "text": text, "button": button, "language": language}
    response = write_page(_NOTICE, names, status)
    if status == web.HTTPServiceUnavailable.status_code:
        response.headers["Retry-After"] = "5"
    return response


def say(words: Words, what: str, status: int = 200, *, button: str = "") -> web.Response:
    """Answer with a notice in a customer's words: their `_title` and `_text`."""
    title, text = words[f"{what}_title"], words[f"{what}_text"]
    return notice(status, title, text, button=button, language=words.language)


def refuse_link(words: Words) -> web.Response:
    """Answer to a link we did not make, or which was cut."""
    return say(words, "link", 404)


def mask_address(address: str) -> str:
    """Show enough of an address to know it again, and not enough to write to it."""
    local, at, domain = address.rpartition("@")
    if at:
        name, dot, rest = domain.partition(".")
        return f"{local[:1]}•••@{name[:1]}•••{dot}{rest}"
    return f"•••{address[-2:]}" if len(address) > _TAIL_OF else "•••"


_TAIL_OF = 6  # characters from which on the last two may be shown
