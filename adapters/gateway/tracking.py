"""What tells that a link was followed (`/l/{token}`) or a message opened (`/o/{token}.gif`).

`routes` is mounted by `adapters.app`; the links are written by `adapters.channels.links`.

*Rules*
- A link leads only where it was written to lead: the address is in the signed token, and what we
  did not sign leads nowhere.
- People get to their page whatever else fails: a click that can't be stored is lost, not they.
- What a machine did is no engagement. Programs that follow every link (scanners, previews,
  prefetching browsers, HEAD) are sent on and not counted, and so is what follows a link within two
  seconds of the decision to send it. Opens by Apple's privacy proxy, which loads all pictures of
  all mail, by what Gmail loads ahead, by programs, or within five seconds, are `machine_opened`.
  Gmail's own proxy (GoogleImageProxy) loads pictures when a person opens the mail, so it counts;
  what it loads ahead it loads under another name (SparkPost, "Gmail is Prefetching Images", 2022).
- Repeated within a minute, it is the same click or open.
"""

import re
from contextlib import suppress
from urllib.parse import quote

from aiohttp import web

from adapters.gateway.host import Host
from adapters.gateway.pages import refuse_link, words_for
from adapters.signing import Opening, Signer
from engine.errors import OverloadError, StoreError
from engine.events import Receipt, ReceiptStatus
from engine.ids import stable_hash
from engine.instants import MINUTE_MS, SECOND_MS

SOURCE = "tracking"
_CLICK_MS_MIN = 2 * SECOND_MS
_OPEN_MS_MIN = 5 * SECOND_MS

# The smallest GIF there is: one transparent pixel.
_PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
_HEADERS = {
    "Cache-Control": "no-store, private",
    "Referrer-Policy": "no-referrer",  # the token is nobody else's
    "X-Robots-Tag": "noindex",
}
# As these programs name themselves; those that don't are told by their haste.
_PROGRAM = re.compile(
    r"bot\b|crawl|spider|slurp|preview|scan|curl|wget|python|java/|okhttp|go-http|headless|libwww"
    r"|facebookexternalhit|facebot|whatsapp|telegram|slack|discord|skype|viber|pinterest"
    r"|barracuda|mimecast|proofpoint|symantec|fireeye|trend ?micro|sophos|forcepoint|safelinks"
    r"|google-safety|google-read-aloud|virustotal|urlscan",
    re.IGNORECASE,
)
# Apple's privacy proxy, and what Gmail loads for somebody who is logged in: exactly so.
_APPLE = "Mozilla/5.0"
_GMAIL_AHEAD = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0"
)
_AHEAD = ("Purpose", "Sec-Purpose", "X-Purpose", "X-Moz")  # say prefetch, or preview
_ADDRESS_SAFE = "%/:=&?~#+!$,;'@()*[]"


def routes(host: Host, signer: Signer) -> list[web.RouteDef]:
    """List the routes; `signer` is the one the channels make their links with."""

    async def follow(request: web.Request) -> web.Response:
        click = signer.read_click(request.match_info["token"])
        if click is None:
            return refuse_link(words_for(host.runtime.program, None))
        now = host.runtime.clock.now()
        if not is_program(request) and now - click.at >= _CLICK_MS_MIN:
            await _note(host, click.customer, click.message, ReceiptStatus.CLICKED, now)
        headers = {**_HEADERS, "Location": quote(click.url, safe=_ADDRESS_SAFE)}
        return web.Response(status=302, headers=headers)

    async def show(request: web.Request) -> web.Response:
        opening = signer.read_opening(request.match_info["token"])
        if opening is None:
            return web.Response(status=404, headers=_HEADERS)
        if request.method == "GET":
            now = host.runtime.clock.now()
            status = judge_open(request, opening, now)
            await _note(host, opening.customer, opening.message, status, now)
        return web.Response(body=_PIXEL, content_type="image/gif", headers=_HEADERS)

    return [web.get("/l/{token}", follow), web.get(r"/o/{token:[\w-]+}.gif", show)]


def is_program(request: web.Request) -> bool:
    """Say whether a program asks, rather than a person."""
    agent = request.headers.get("User-Agent", "")
    is_ahead = any(
        word in request.headers.get(name, "").lower()
        for name in _AHEAD
        for word in ("prefetch", "preview")
    )
    return request.method != "GET" or is_ahead or not agent or bool(_PROGRAM.search(agent))


def judge_open(request: web.Request, opening: Opening, now: int) -> ReceiptStatus:
    """Tell an open by a person from one by a machine."""
    is_early = now - opening.at < _OPEN_MS_MIN
    is_proxy = request.headers.get("User-Agent", "").strip() in (_APPLE, _GMAIL_AHEAD)
    by_machine = is_early or is_proxy or is_program(request)
    return ReceiptStatus.MACHINE_OPENED if by_machine else ReceiptStatus.OPENED


async def _note(host: Host, customer: str, message: str, status: ReceiptStatus, now: int) -> None:
    """Store what was seen, as a receipt like a provider's."""
    named = stable_hash(customer, message, status.value, str(now // MINUTE_MS)).hex()
    receipt = Receipt(f"{SOURCE}:{named}", customer, message, status, now, now, source=SOURCE)
    with suppress(OverloadError, StoreError):
        await host.runtime.submit([receipt])
