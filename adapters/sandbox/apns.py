"""The stand-in of Apple's push service: `/3/device/{token}` over HTTP/2, without TLS.

Answers are those of developer.apple.com/documentation/usernotifications: "Sending notification
requests to APNs", "Handling notification responses from APNs", and "Establishing a token-based
connection to APNs" for the tokens.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self, cast
from uuid import UUID

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from adapters.sandbox.book import Draft, Message
from adapters.sandbox.fates import Fate, Stage
from adapters.sandbox.http2 import Http2Request, Http2Response, Http2Server
from adapters.sandbox.office import Office
from adapters.sandbox.standin import Accounts, Answer, Callback
from engine.instants import HOUR_MS, SECOND_MS

_PATH = "/3/device/"
_PAYLOAD_MAX = 4_096

_Fault = tuple[int, str]  # status of HTTP, reason
_REFUSALS: Mapping[Fate, _Fault] = {
    Fate.GONE: (410, "Unregistered"),
    Fate.OPTED_OUT: (410, "Unregistered"),
    Fate.INVALID: (400, "BadDeviceToken"),
    Fate.RATE: (429, "TooManyRequests"),
    Fate.BROKEN: (500, "InternalServerError"),
    Fate.DOWN: (503, "ServiceUnavailable"),
}


class ApnsStandIn:
    """Apple's push service. Use it as a context manager."""

    name = "apns"

    def __init__(self, office: Office, accounts: Accounts) -> None:
        self._office = office
        self._key_id = accounts["NEXTBEAT_APNS_KEY_ID"]
        self._team = accounts["NEXTBEAT_APNS_TEAM_ID"]
        self._topic = accounts["NEXTBEAT_APNS_TOPIC"]
        public = load_pem_private_key(accounts["NEXTBEAT_APNS_KEY"].encode(), None).public_key()
        assert isinstance(public, EllipticCurvePublicKey)
        self._public = public
        self._server = Http2Server(self._answer)

    async def start(self, host: str, port: int) -> int:
        """Listen; gives the port."""
        return await self._server.start(host, port)

    async def __aenter__(self) -> Self:
        """Be closed at the end."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hang up on everybody."""
        await self._server.close()

    def tell(self, message: Message, stage: Stage, now: int) -> Sequence[Callback]:  # noqa: ARG002 - as all have it
        """Tell nothing: the app does."""
        return ()

    def forward(self, answer: Answer, now: int) -> Callback | None:  # noqa: ARG002 - as all have it
        """Nobody can answer."""
        return None

    async def _answer(self, request: Http2Request) -> Http2Response | None:
        office, name = self._office, request.headers.get("apns-id", "")
        fault = self._check(request)
        if fault is not None:
            return _refuse(fault, name, office.clock.now())
        draft = _read(request)
        fate = office.judge(draft)
        fault = _REFUSALS.get(fate)
        message = office.keep(self, draft, fate, refused=fault is not None)
        if fault is not None:
            return _refuse(fault, name, message.at)
        if fate is Fate.TIMEOUT:
            await office.hold()
            return None
        return Http2Response(200, {"apns-id": name or str(UUID(message.id))})

    def _check(self, request: Http2Request) -> _Fault | None:
        if request.method != "POST":
            return (405, "MethodNotAllowed")
        if not request.path.startswith(_PATH) or "/" in request.path.removeprefix(_PATH):
            return (404, "BadPath")
        fault = self._check_token(request.headers.get("authorization", ""))
        if fault is not None:
            return fault
        topic = request.headers.get("apns-topic", "")
        if topic != self._topic:
            return (400, "DeviceTokenNotForTopic" if topic else "MissingTopic")
        if not request.body:
            return (400, "PayloadEmpty")
        return (413, "PayloadTooLarge") if len(request.body) > _PAYLOAD_MAX else None

    def _check_token(self, header: str) -> _Fault | None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            return (403, "MissingProviderToken")
        try:
            head = jwt.get_unverified_header(token)
            options: Any = {"verify_iat": False}
            claims = jwt.decode(token, self._public, algorithms=["ES256"], options=options)
        except jwt.InvalidTokenError:
            return (403, "InvalidProviderToken")
        if head.get("kid") != self._key_id or claims.get("iss") != self._team:
            return (403, "InvalidProviderToken")
        age_ms = self._office.clock.now() - int(claims.get("iat", 0)) * SECOND_MS
        return (403, "ExpiredProviderToken") if age_ms > HOUR_MS else None


def _read(request: Http2Request) -> Draft:
    try:
        payload = msgspec.json.decode(request.body, type=dict[str, Any])
    except msgspec.DecodeError:
        payload = {}
    shown: object = payload.get("aps", {}).get("alert", "")
    if isinstance(shown, dict):
        alert = cast("dict[str, object]", shown)
        shown = " · ".join(str(alert[name]) for name in ("title", "body") if alert.get(name))
    return Draft(
        provider=ApnsStandIn.name,
        channel="push",
        to=request.path.removeprefix(_PATH),
        text=str(shown),
        reference=request.headers.get("apns-id", ""),
        fields={name: value for name, value in request.headers.items() if name.startswith("apns-")},
    )


def _refuse(fault: _Fault, name: str, now: int) -> Http2Response:
    status, reason = fault
    body: dict[str, object] = {"reason": reason}
    if reason == "Unregistered":
        body["timestamp"] = now
    headers = {"content-type": "application/json", **({"apns-id": name} if name else {})}
    return Http2Response(status, headers, msgspec.json.encode(body))
