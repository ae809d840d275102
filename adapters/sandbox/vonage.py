"""Vonage's stand-in: `/sms/json` for text messages, `/v1/messages` for SMS, WhatsApp and RCS.

Formats are those of the SMS API and the Messages API (developer.vonage.com/en/api/sms,
/en/api/messages, /en/messages/concepts/messages-status-callbacks, and
/en/getting-started/concepts/webhooks for signed webhooks).
"""

import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import jwt
import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from adapters.sandbox.book import Draft, Message
from adapters.sandbox.fates import Fate, Stage
from adapters.sandbox.standin import Accounts, Answer, Callback, Take, json_answer
from engine.instants import SECOND_MS

PREFIX = "/vonage"
_SMS_PATH, _MESSAGES_PATH = f"{PREFIX}/sms/json", f"{PREFIX}/v1/messages"
_NUMBER = re.compile(r"[1-9]\d{6,14}")
_READS = ("whatsapp", "rcs")
_ERRORS = "https://developer.vonage.com/api-errors"
_SIGNED_FOR_S = 300

# Of the SMS API, which answers 200 whatever happens: status, words.
_SMS_REFUSALS: Mapping[Fate, tuple[str, str]] = {
    Fate.INVALID: ("3", "Invalid value for param: to"),
    Fate.OPTED_OUT: ("7", "Number barred"),
    Fate.RATE: ("1", "Throughput Rate Exceeded"),
    Fate.BROKEN: ("5", "Internal Error"),
    Fate.DOWN: ("5", "Internal Error"),
}
# Of the Messages API: status of HTTP, what stands behind the `#`, title, words.
_REFUSALS: Mapping[Fate, tuple[int, str, str, str]] = {
    Fate.INVALID: (
        422,
        "/messages#1150",
        "Invalid params",
        "The value of one or more parameters is invalid.",
    ),
    Fate.RATE: (429, "#throttled", "Rate Limit Hit", "Please wait, then retry your request"),
    Fate.BROKEN: (500, "#internal", "Internal Error", "An error has occurred"),
    Fate.DOWN: (503, "#unavailable", "Service Unavailable", "Please retry later"),
}
_UNAUTHORIZED = (
    401,
    "#unauthorized",
    "Unauthorized",
    "You did not provide correct credentials.",
)
# Of a message that fails later: code and words.
_CODES: Mapping[Fate, tuple[int, str]] = {
    Fate.UNREACHABLE: (1180, "Absent Subscriber - Temporary"),
    Fate.GONE: (1190, "Absent Subscriber - Permanent"),
    Fate.LANDLINE: (1260, "Destination unreachable"),
    Fate.ABSENT: (1260, "Destination unreachable"),
    Fate.WINDOW: (1340, "Outside allowed window"),
}
_SMS_CODES: Mapping[Fate, tuple[str, str]] = {
    Fate.UNREACHABLE: ("expired", "1"),
    Fate.GONE: ("failed", "2"),
    Fate.LANDLINE: ("failed", "9"),
}


class VonageStandIn:
    """Vonage."""

    name = "vonage"

    def __init__(self, accounts: Accounts, gateway_url: str) -> None:
        self._key = accounts["NEXTBEAT_VONAGE_API_KEY"]
        self._secret = accounts["NEXTBEAT_VONAGE_API_SECRET"]
        self._application = accounts["NEXTBEAT_VONAGE_APPLICATION_ID"]
        self._own = accounts["NEXTBEAT_VONAGE_FROM"]
        self._signing = accounts["NEXTBEAT_VONAGE_SIGNATURE_SECRET"]
        private = load_pem_private_key(accounts["NEXTBEAT_VONAGE_PRIVATE_KEY"].encode(), None)
        public = private.public_key()
        assert isinstance(public, RSAPublicKey)
        self._public = public
        self._hook = f"{gateway_url}/v1/receipts/vonage"

    def routes(self, take: Take) -> list[web.RouteDef]:
        """List the routes."""
        return [web.post(_SMS_PATH, take), web.post(_MESSAGES_PATH, take)]

    async def read(self, request: web.Request) -> Draft | web.Response:
        """Read a message of either API."""
        if request.path == _SMS_PATH:
            return self._read_sms(dict(parse_qsl(await request.text())), request)
        return self._read_message(await request.read(), request)

    def refuse(self, draft: Draft, fate: Fate) -> web.Response | None:
        """Refuse as either API does."""
        if draft.fields["api"] == "sms":
            said = _SMS_REFUSALS.get(fate)
            return None if said is None else _explain_sms(*said)
        if fate is Fate.OPTED_OUT:
            return None  # told later
        fault = _REFUSALS.get(fate)
        return None if fault is None else _explain(fault)

    def accept(self, message: Message) -> web.Response:
        """Say that a message was taken."""
        uuid = _uuid(message)
        if message.draft.fields["api"] != "sms":
            return json_answer({"message_uuid": uuid}, 202)
        taken = {
            "to": message.draft.to.removeprefix("+"),
            "message-id": uuid,
            "status": "0",
            "remaining-balance": "3.14",
            "message-price": "0.03",
            "network": "12345",
        }
        return json_answer({"message-count": "1", "messages": [taken]})

    def tell(self, message: Message, stage: Stage, now: int) -> Sequence[Callback]:
        """Call the message's own address, or that of the account."""
        draft = message.draft
        if stage is Stage.READ and draft.channel not in _READS:
            return ()
        url = draft.callback or self._hook
        if draft.fields["api"] == "sms":
            return [self._sign(url, self._sms_receipt(message, stage, now))]
        return [self._sign(url, self._receipt(message, stage, now))]

    def forward(self, answer: Answer, now: int) -> Callback | None:
        """Bring what somebody wrote, as the Messages API does."""
        if answer.channel not in {"sms", *_READS}:
            return None
        body: dict[str, Any] = {
            "message_uuid": str(UUID(answer.id)),
            "to": self._own.removeprefix("+"),
            "from": answer.sender.removeprefix("+"),
            "timestamp": _write(now),
            "channel": answer.channel,
            "message_type": "text",
            "text": answer.text,
        }
        if answer.channel == "sms":
            body["sms"] = {"num_messages": "1", "keyword": answer.text.split(" ")[0].upper()}
        elif answer.latest is not None:
            body["context"] = {"message_uuid": _uuid(answer.latest), "message_from": body["to"]}
        return self._sign(self._hook, body)

    def _read_sms(self, form: Mapping[str, str], request: web.Request) -> Draft | web.Response:
        header = request.headers.get("Authorization", "")
        named = (form.get("api_key"), form.get("api_secret")) == (self._key, self._secret)
        if not named and not self._is_basic(header):
            return _explain_sms("4", "Bad Credentials")
        for name in ("to", "from"):
            if not form.get(name):
                return _explain_sms("2", f"Missing {name} param")
        if not form.get("text"):
            return _explain_sms("2", "Missing text param")
        if not _NUMBER.fullmatch(form["to"].removeprefix("+")):
            return _explain_sms("3", "Invalid value for param: to")
        return Draft(
            provider=self.name,
            channel="sms",
            to="+" + form["to"].removeprefix("+"),
            text=form["text"],
            sender=form["from"],
            callback=form.get("callback", ""),
            reference=form.get("client-ref", ""),
            fields={**form, "api": "sms"},
        )

    def _read_message(self, raw: bytes, request: web.Request) -> Draft | web.Response:
        if not self._is_ours(request.headers.get("Authorization", "")):
            return _explain(_UNAUTHORIZED)
        try:
            body = msgspec.json.decode(raw, type=dict[str, Any])
        except msgspec.DecodeError:
            return _explain(_REFUSALS[Fate.INVALID])
        missing = [name for name in ("to", "from", "channel", "message_type") if not body.get(name)]
        kind = body.get("message_type")
        if not missing and not body.get(str(kind)):
            missing = [str(kind)]
        if missing or not _NUMBER.fullmatch(str(body["to"]).removeprefix("+")):
            named = missing or ["to"]
            wrong = [{"name": name, "reason": "Missing or invalid value."} for name in named]
            return _explain(_REFUSALS[Fate.INVALID], {"invalid_parameters": wrong})
        content = body[str(kind)]
        return Draft(
            provider=self.name,
            channel=str(body["channel"]),
            to="+" + str(body["to"]).removeprefix("+"),
            text=content if isinstance(content, str) else msgspec.json.encode(content).decode(),
            sender=str(body["from"]),
            callback=str(body.get("webhook_url", "")),
            reference=str(body.get("client_ref", "")),
            fields={"api": "messages"},
            is_template=kind in {"template", "custom"},
        )

    def _is_basic(self, header: str) -> bool:
        scheme, _, encoded = header.partition(" ")
        try:
            said = b64decode(encoded, validate=True).decode()
        except ValueError:
            return False
        return scheme.lower() == "basic" and said == f"{self._key}:{self._secret}"

    def _is_ours(self, header: str) -> bool:
        """Say whether a request is the application's: a token of its key, or name and secret."""
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            return self._is_basic(header)
        try:
            claims = jwt.decode(token, self._public, algorithms=["RS256"])
        except jwt.InvalidTokenError:
            return False
        return claims.get("application_id") == self._application

    def _receipt(self, message: Message, stage: Stage, now: int) -> dict[str, Any]:
        draft = message.draft
        body: dict[str, Any] = {
            "message_uuid": _uuid(message),
            "to": draft.to.removeprefix("+"),
            "from": draft.sender,
            "timestamp": _write(now),
            "status": "submitted" if stage is Stage.SENT else stage.value,
            "channel": draft.channel,
        }
        if draft.reference:
            body["client_ref"] = draft.reference
        if stage is Stage.FAILED:
            code, text = _CODES.get(message.fate, (1000, "Unknown"))
            body["status"] = "rejected"
            body["error"] = {
                "type": f"{_ERRORS}/messages#{code}",
                "title": code,
                "detail": text,
                "instance": _uuid(message),
            }
        return body

    def _sms_receipt(self, message: Message, stage: Stage, now: int) -> dict[str, Any]:
        status, code = "delivered" if stage is Stage.DELIVERED else "accepted", "0"
        if stage is Stage.FAILED:
            status, code = _SMS_CODES.get(message.fate, ("failed", "1"))
        at = datetime.fromtimestamp(now / SECOND_MS, UTC)
        return {
            "msisdn": message.draft.to.removeprefix("+"),
            "to": message.draft.sender,
            "network-code": "12345",
            "messageId": _uuid(message),
            "price": "0.03",
            "status": status,
            "scts": at.strftime("%y%m%d%H%M"),
            "err-code": code,
            "api-key": self._key,
            "message-timestamp": at.strftime("%Y-%m-%d %H:%M:%S"),
            "client-ref": message.draft.reference,
        }

    def _sign(self, url: str, body: Mapping[str, Any]) -> Callback:
        """Sign as signed webhooks are: a token that holds the hash of the body."""
        raw = msgspec.json.encode(body)
        present = int(datetime.now(UTC).timestamp())
        claims = {
            "iat": present,
            "exp": present + _SIGNED_FOR_S,
            "jti": sha256(raw + str(present).encode()).hexdigest()[:32],
            "iss": "Vonage",
            "payload_hash": sha256(raw).hexdigest(),
            "api_key": self._key,
            "application_id": self._application,
        }
        token = jwt.encode(claims, self._signing, algorithm="HS256")
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        return Callback(url, headers, raw)


def _explain(
    fault: tuple[int, str, str, str], more: Mapping[str, object] | None = None
) -> web.Response:
    status, kind, title, text = fault
    body = {"type": _ERRORS + kind, "title": title, "detail": text, "instance": "sandbox"}
    return json_answer({**body, **(more or {})}, status)


def _explain_sms(status: str, text: str) -> web.Response:
    refused = {"status": status, "error-text": text}
    return json_answer({"message-count": "1", "messages": [refused]})


def _uuid(message: Message) -> str:
    return str(UUID(message.id))


def _write(at: int) -> str:
    return datetime.fromtimestamp(at / SECOND_MS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
