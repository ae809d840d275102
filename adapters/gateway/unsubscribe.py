"""The way out of a mailing: what the link in a message and the button of a mail client lead to.

RFC 8058: the mail client posts to the link and that acts at once, with no login, no cookie and no
redirect. Opening the link shows a page with a button and does nothing, because scanners open
every link they find.
"""

from html import escape

from aiohttp import web

from adapters.gateway.host import Host
from adapters.signing import Signer, Unsubscribe
from engine.errors import OverloadError, StoreError
from engine.events import KIND_NAMES, ConsentStatement, ConsentStatus, Event, EventKind
from engine.ids import stable_hash

_PATH = "/v1/unsubscribe/{token}"
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body><h1>{title}</h1><p>{text}</p>{form}</body></html>
"""
_BUTTON = '<form method="post"><button type="submit">Unsubscribe</button></form>'


def routes(host: Host, signer: Signer) -> list[web.RouteDef]:
    """List the routes; `signer` is the one the channels make their links with."""

    async def show(request: web.Request) -> web.Response:
        found = signer.read_unsubscribe(request.match_info["token"])
        if found is None:
            return _refuse_link()
        text = f"Do you want no more {escape(found.purpose)} messages by {escape(found.channel)}?"
        return _page(200, "Unsubscribe", text, _BUTTON)

    async def act(request: web.Request) -> web.Response:
        found = signer.read_unsubscribe(request.match_info["token"])
        if found is None:
            return _refuse_link()
        event = withdrawal(found, request.match_info["token"], host.runtime.clock.now())
        try:
            await host.runtime.submit([event])
        except (OverloadError, StoreError):
            response = _page(503, "Please try again", "We could not note it just now.", _BUTTON)
            response.headers["Retry-After"] = "5"
            return response
        text = f"You will get no more {escape(found.purpose)} messages by {escape(found.channel)}."
        return _page(200, "You are unsubscribed", text)

    return [web.get(_PATH, show), web.post(_PATH, act)]


def withdrawal(found: Unsubscribe, token: str, now: int) -> Event:
    """State that a customer wants no more of this.

    Each press is an event of its own: after a new grant the old link must work again, so the id
    holds the instant as well.
    """
    statement = ConsentStatement(
        found.purpose, found.channel, ConsentStatus.WITHDRAWN, now, "unsubscribe_link"
    )
    return Event(
        id=f"unsubscribe:{stable_hash(token, str(now)).hex()}",
        kind=EventKind.CONSENT,
        name=KIND_NAMES[EventKind.CONSENT],
        user=found.customer,
        anonymous=None,
        at=now,
        received_at=now,
        consents=(statement,),
        source="unsubscribe_link",
    )


def _refuse_link() -> web.Response:
    text = "Please use the link exactly as it stands in the message, to its very end."
    return _page(404, "This link is not complete", text)


def _page(status: int, title: str, text: str, form: str = "") -> web.Response:
    page = _PAGE.format(title=title, text=text, form=form)
    return web.Response(text=page, status=status, content_type="text/html", headers=_HEADERS)
