"""The stand-in of browsers' push services: it makes subscriptions, takes messages and reads them.

As RFC 8030 (the protocol), RFC 8291 and 8188 (the encryption) and RFC 8292 (VAPID) have it. A
browser keeps its keys to itself; here they follow from the subscription's name, so that the
sandbox can show what was sent to it.
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib import import_module
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.sandbox.book import Draft, Message
from adapters.sandbox.fates import Fate, Stage
from adapters.sandbox.standin import Answer, Callback, Take, json_answer

_ECE: Any = import_module("http_ece")  # it has no types
PREFIX = "/webpush"
_VAPID = re.compile(r"vapid\s+(?=.*\bt=[\w.-]+)(?=.*\bk=[\w-]+).*", re.IGNORECASE)
_BODY_MAX = 4_096
_AUTH_LENGTH = 16
_GONE = "push subscription has unsubscribed or expired."

_REFUSALS: Mapping[Fate, tuple[int, str]] = {
    Fate.GONE: (410, _GONE),
    Fate.OPTED_OUT: (410, _GONE),
    Fate.INVALID: (404, "not found"),
    Fate.RATE: (429, "too many requests"),
    Fate.BROKEN: (500, "internal server error"),
    Fate.DOWN: (503, "service unavailable"),
}


class WebPushStandIn:
    """A push service."""

    name = "webpush"

    def __init__(self, url: str) -> None:
        self._url = url

    def routes(self, take: Take) -> list[web.RouteDef]:
        """List the routes; GET gives the subscription that messages then go to."""
        path = f"{PREFIX}/{{name}}"
        return [web.get(path, self._subscribe), web.post(path, take)]

    async def read(self, request: web.Request) -> Draft | web.Response:
        """Read a message, and what it says where it was encrypted for its subscription."""
        if not _VAPID.fullmatch(request.headers.get("Authorization", "")):
            return web.Response(status=401, text="missing or invalid VAPID")
        if not request.headers.get("TTL", "").isdigit():
            return web.Response(status=400, text="missing or invalid TTL header")
        raw = await request.read()
        if len(raw) > _BODY_MAX:
            return web.Response(status=413, text="payload too large")
        if raw and request.headers.get("Content-Encoding") != "aes128gcm":
            return web.Response(status=400, text="unknown content encoding")
        name = request.match_info["name"]
        fields = {
            header: request.headers[header]
            for header in ("TTL", "Urgency", "Topic")
            if header in request.headers
        }
        return Draft(
            provider=self.name, channel="push", to=name, text=_decrypt(name, raw), fields=fields
        )

    def refuse(self, draft: Draft, fate: Fate) -> web.Response | None:  # noqa: ARG002 - as all
        """Refuse as push services do."""
        said = _REFUSALS.get(fate)
        if said is None:
            return None
        status, text = said
        headers = {"Retry-After": "1"} if fate is Fate.RATE else None
        return web.Response(status=status, text=text, headers=headers)

    def accept(self, message: Message) -> web.Response:
        """Say that a message was taken."""
        return web.Response(status=201, headers={"Location": f"{self._url}{PREFIX}/m/{message.id}"})

    def tell(self, message: Message, stage: Stage, now: int) -> Sequence[Callback]:  # noqa: ARG002 - as all have it
        """Tell nothing: the page does."""
        return ()

    def forward(self, answer: Answer, now: int) -> Callback | None:  # noqa: ARG002 - as all have it
        """Nobody can answer."""
        return None

    async def _subscribe(self, request: web.Request) -> web.Response:
        """Give what `PushSubscription.toJSON()` gives in a browser."""
        name = request.match_info["name"]
        key, auth = _derive(name)
        public = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        keys = {"p256dh": _encode(public), "auth": _encode(auth)}
        endpoint = f"{self._url}{PREFIX}/{name}"
        return json_answer({"endpoint": endpoint, "expirationTime": None, "keys": keys})


def _derive(name: str) -> tuple[EllipticCurvePrivateKey, bytes]:
    """Make a subscription's key and secret of its name."""
    secret = int.from_bytes(sha256(b"key " + name.encode()).digest()) >> 1  # below the order
    auth = sha256(b"auth " + name.encode()).digest()[:_AUTH_LENGTH]
    return derive_private_key(secret, SECP256R1()), auth


def _decrypt(name: str, raw: bytes) -> str:
    key, auth = _derive(name)
    try:
        plain: bytes = _ECE.decrypt(raw, private_key=key, auth_secret=auth)
    except (_ECE.ECEException, ValueError):
        return "(encrypted for somebody else)" if raw else ""
    return plain.decode(errors="replace")


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
