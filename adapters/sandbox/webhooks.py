"""The stand-in of whoever takes webhooks: checks Standard Webhooks, and knows repeats by their id.

As github.com/standard-webhooks/standard-webhooks, `spec`, has it. `/apprise/{name}` takes what
apprise's `json://` sends, which nothing signs.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from adapters.sandbox.book import Draft, Message
from adapters.sandbox.fates import Fate, Stage
from adapters.sandbox.standin import Accounts, Answer, Callback, Take

PREFIX = "/webhook"
APPRISE = "/apprise"
_TEXTS = ("text", "body", "message", "title", "subject")

_REFUSALS: Mapping[Fate, int] = {
    Fate.GONE: 410,
    Fate.OPTED_OUT: 410,
    Fate.INVALID: 400,
    Fate.RATE: 429,
    Fate.BROKEN: 500,
    Fate.DOWN: 503,
}


class WebhookStandIn:
    """An endpoint, by whatever name."""

    name = "webhook"

    def __init__(self, accounts: Accounts) -> None:
        self._signer = Webhook(accounts["NEXTBEAT_WEBHOOK_SECRET"])

    def routes(self, take: Take) -> list[web.RouteDef]:
        """List the routes."""
        return [web.post(f"{PREFIX}/{{name}}", take), web.post(f"{APPRISE}/{{name}}", take)]

    async def read(self, request: web.Request) -> Draft | web.Response:
        """Read a message, once its signature is found to be good."""
        raw, key = await request.read(), ""
        is_signed = request.path.startswith(PREFIX)
        if is_signed:
            try:
                self._signer.verify(raw.decode(), dict(request.headers))
            except (WebhookVerificationError, UnicodeDecodeError) as error:
                return web.Response(status=401, text=str(error))
            key = request.headers["webhook-id"]
        try:
            body = msgspec.json.decode(raw, type=dict[str, Any])
        except msgspec.DecodeError:
            return web.Response(status=400, text="the body is not JSON")
        return Draft(
            provider=self.name,
            channel="webhook" if is_signed else "apprise",
            to=request.match_info["name"],
            text=_read_text(body),
            reference=key,
            key=key,
            fields={"body": raw.decode()},
        )

    def refuse(self, draft: Draft, fate: Fate) -> web.Response | None:  # noqa: ARG002 - as all
        """Refuse with a status."""
        status = _REFUSALS.get(fate)
        if status is None:
            return None
        headers = {"Retry-After": "1"} if fate is Fate.RATE else None
        return web.Response(status=status, headers=headers)

    def accept(self, message: Message) -> web.Response:  # noqa: ARG002 - as all have it
        """Say that a message was taken."""
        return web.Response(status=200)

    def tell(self, message: Message, stage: Stage, now: int) -> Sequence[Callback]:  # noqa: ARG002 - as all have it
        """Tell nothing: an endpoint has answered."""
        return ()

    def forward(self, answer: Answer, now: int) -> Callback | None:  # noqa: ARG002 - as all have it
        """Nobody can answer."""
        return None


def _read_text(body: Mapping[str, Any]) -> str:
    """Find what a message says, in its content where it has one."""
    inner = _within(body, "data")
    place = _within(inner, "content")
    return next((str(place[name]) for name in _TEXTS if place.get(name)), "")


def _within(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = body.get(name)
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else body
