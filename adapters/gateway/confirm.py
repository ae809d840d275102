"""The link that confirms consent: `/c/{token}` shows a button, and pressing it confirms.

Opening the link does nothing, because scanners open every link they find. Whether it confirms is
for `engine.journeys.confirmations` to say; this page tells what came of it.
"""

from aiohttp import web

from adapters.gateway.host import Host
from adapters.gateway.pages import Words, refuse_link, say, words_for
from adapters.signing import Confirm, Signer
from engine.consents import is_granted
from engine.errors import OverloadError, StoreError
from engine.events import Event, EventKind
from engine.ids import stable_hash
from engine.links import CONFIRM_SOURCE, CONFIRMED

_PATH = "/c/{token}"


def routes(host: Host, signer: Signer) -> list[web.RouteDef]:
    """List the routes; `signer` is the one messages get their links from."""

    async def show(request: web.Request) -> web.Response:
        link, words = await _open(host, signer, request)
        if link is None:
            return refuse_link(words)
        if link.expires_at <= host.runtime.clock.now():
            return _too_late(words)
        return say(words, "confirm", button=words["confirm_button"])

    async def act(request: web.Request) -> web.Response:
        link, words = await _open(host, signer, request)
        if link is None:
            return refuse_link(words)
        event = confirmation(link, request.match_info["token"], host.runtime.clock.now())
        try:
            await host.runtime.submit([event])
            is_confirmed = await _is_confirmed(host, link)
        except (OverloadError, StoreError):
            return say(words, "busy", 503, button=words["confirm_button"])
        if not is_confirmed:
            return _too_late(words)
        return say(words, "confirmed")

    return [web.get(_PATH, show), web.post(_PATH, act)]


async def _open(host: Host, signer: Signer, request: web.Request) -> tuple[Confirm | None, Words]:
    link = signer.read_confirm(request.match_info["token"])
    profile = await host.runtime.seek(link.customer) if link is not None else None
    return link, words_for(host.runtime.program, profile)


def _too_late(words: Words) -> web.Response:
    return say(words, "unconfirmed", 410)


def confirmation(link: Confirm, token: str, now: int) -> Event:
    """Say that a link was followed; each press is an event of its own, by its instant."""
    return Event(
        id=f"confirm:{stable_hash(token, str(now)).hex()}",
        kind=EventKind.CONSENT,
        name=CONFIRMED,
        user=link.customer,
        anonymous=None,
        at=now,
        received_at=now,
        properties={
            "channel": link.channel,
            "message": link.message,
            "expires_at": link.expires_at,
            "address": link.address,
        },
        source=CONFIRM_SOURCE,
    )


async def _is_confirmed(host: Host, link: Confirm) -> bool:
    """Say whether a link of this message has confirmed what now holds on its channel."""
    profile = await host.runtime.seek(link.customer)
    if profile is None:
        return False
    now = host.runtime.clock.now()
    return any(
        said.source == CONFIRM_SOURCE and said.channel == link.channel and is_granted(said, now)
        for said in profile.consents.values()
    )
