"""The way out of a mailing: what the link in a message and the button of a mail client lead to.

RFC 8058: the mail client posts to the link and that acts at once, with no login, no cookie and no
redirect. Opening the link shows a page with a button and does nothing, because scanners open
every link they find.
"""

from contextlib import suppress

from aiohttp import web

from adapters.gateway.host import Host
from adapters.gateway.pages import Words, notice, refuse_link, say, words_for
from adapters.signing import Signer, Unsubscribe
from engine.errors import OverloadError, StoreError
from engine.events import KIND_NAMES, ConsentStatement, ConsentStatus, Event, EventKind
from engine.ids import stable_hash
from engine.profile import Profile

_PATH = "/v1/unsubscribe/{token}"


def routes(host: Host, signer: Signer) -> list[web.RouteDef]:
    """List the routes; `signer` is the one the channels make their links with."""

    async def show(request: web.Request) -> web.Response:
        found, words = await _open(host, signer, request)
        if found is None:
            return refuse_link(words)
        text = _fill(words, "unsubscribe_text", found)
        return notice(
            200,
            words["unsubscribe_title"],
            text,
            button=words["unsubscribe_button"],
            language=words.language,
        )

    async def act(request: web.Request) -> web.Response:
        found, words = await _open(host, signer, request)
        if found is None:
            return refuse_link(words)
        event = withdrawal(found, request.match_info["token"], host.runtime.clock.now())
        try:
            await host.runtime.submit([event])
        except (OverloadError, StoreError):
            return say(words, "busy", 503, button=words["unsubscribe_button"])
        text = _fill(words, "unsubscribed_text", found)
        return notice(200, words["unsubscribed_title"], text, language=words.language)

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


async def _open(
    host: Host, signer: Signer, request: web.Request
) -> tuple[Unsubscribe | None, Words]:
    """Read the link, and choose the words; not knowing the customer is no reason not to act."""
    found = signer.read_unsubscribe(request.match_info["token"])
    profile: Profile | None = None
    if found is not None:
        with suppress(StoreError):
            profile = await host.runtime.seek(found.customer)
    return found, words_for(host.runtime.program, profile)


def _fill(words: Words, key: str, found: Unsubscribe) -> str:
    """Put in what it is about, in the customer's words."""
    purpose, channel = words.name("purpose", found.purpose), words.name("channel", found.channel)
    return words[key].replace("PURPOSE", purpose).replace("CHANNEL", channel)
