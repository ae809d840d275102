"""MessageBird's stand-in: text messages by `/messages`, reports by GET at the message's address.

Formats are those of developers.messagebird.com/api/sms-messaging, and of its `webhooks` chapter for
the signature.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, cast
from urllib.parse import urlencode

import jwt
import msgspec
from aiohttp import web

from adapters.sandbox.book import Draft, Message
from adapters.sandbox.fates import Fate, Stage
from adapters.sandbox.standin import Accounts, Answer, Callback, Take, json_answer
from engine.instants import SECOND_MS

PREFIX = "/messagebird"
_SIGNED_FOR_S = 60

_Fault = tuple[int, int, str, str]  # status of HTTP, code, words, parameter
_UNAUTHORIZED: _Fault = (
    401,
    2,
    "Request not allowed (incorrect access_key)",
    "access_key",
)
_NO_RECIPIENTS: _Fault = (422, 9, "no (correct) recipients found", "recipients")
_REFUSALS: Mapping[Fate, _Fault] = {
    Fate.INVALID: _NO_RECIPIENTS,
    Fate.RATE: (429, 101, "too many requests", "access_key"),
    Fate.BROKEN: (500, 98, "internal error", ""),
    Fate.DOWN: (503, 99, "service unavailable", ""),
}
# Of a message that fails later: status, reason, code.
_FAILURES: Mapping[Fate, tuple[str, str, str]] = {
    Fate.UNREACHABLE: ("expired", "unavailable subscriber", "27"),
    Fate.GONE: ("delivery_failed", "unknown subscriber", "1"),
    Fate.LANDLINE: ("delivery_failed", "unknown subscriber", "11"),
    Fate.OPTED_OUT: ("delivery_failed", "opted out", "103"),
}


class MessageBirdStandIn:
    """MessageBird."""

    name = "messagebird"

    def __init__(self, accounts: Accounts, gateway_url: str) -> None:
        self._key = accounts["NEXTBEAT_MESSAGEBIRD_ACCESS_KEY"]
        self._signing = accounts["NEXTBEAT_MESSAGEBIRD_SIGNING_KEY"]
        self._own = accounts["NEXTBEAT_MESSAGEBIRD_FROM"]
        self._hook = f"{gateway_url}/v1/receipts/messagebird"

    def routes(self, take: Take) -> list[web.RouteDef]:
        """List the routes."""
        return [web.post(f"{PREFIX}/messages", take)]

    async def read(self, request: web.Request) -> Draft | web.Response:
        """Read a message to one recipient."""
        if request.headers.get("Authorization") != f"AccessKey {self._key}":
            return _explain(_UNAUTHORIZED)
        try:
            body = msgspec.json.decode(await request.read(), type=dict[str, Any])
        except msgspec.DecodeError:
            return _explain(_NO_RECIPIENTS)
        for name in ("originator", "body"):
            if not body.get(name):
                return _explain((422, 9, f"{name} is required", name))
        recipients = body.get("recipients", "")
        is_list = isinstance(recipients, list)
        listed = cast("list[Any]", recipients) if is_list else str(recipients).split(",")
        numbers = [str(number).removeprefix("+") for number in listed]
        if not all(number.isascii() and number.isdigit() for number in numbers):
            return _explain(_NO_RECIPIENTS)
        return Draft(
            provider=self.name,
            channel="sms",
            to=f"+{numbers[0]}",
            text=str(body["body"]),
            sender=str(body["originator"]),
            callback=str(body.get("reportUrl", "")),
            reference=str(body.get("reference", "")),
        )

    def refuse(self, draft: Draft, fate: Fate) -> web.Response | None:  # noqa: ARG002 - as all
        """Refuse as the API does."""
        fault = _REFUSALS.get(fate)
        return None if fault is None else _explain(fault)

    def accept(self, message: Message) -> web.Response:
        """Give the message that was made."""
        draft = message.draft
        item = {
            "recipient": int(draft.to.removeprefix("+")),
            "status": "sent",
            "statusDatetime": _write(message.at),
        }
        body = {
            "id": message.id,
            "href": f"https://rest.messagebird.com/messages/{message.id}",
            "direction": "mt",
            "type": "sms",
            "originator": draft.sender,
            "body": draft.text,
            "reference": draft.reference or None,
            "createdDatetime": _write(message.at),
            "recipients": {
                "totalCount": 1,
                "totalSentCount": 1,
                "totalDeliveredCount": 0,
                "totalDeliveryFailedCount": 0,
                "items": [item],
            },
        }
        return json_answer(body, 201)

    def tell(self, message: Message, stage: Stage, now: int) -> Sequence[Callback]:
        """Report at the address that came with the message."""
        draft = message.draft
        if not draft.callback or stage is Stage.READ:
            return ()
        status, reason, code = stage.value, "successfully delivered", ""
        if stage is Stage.SENT:
            reason = "pending DLR"
        elif stage is Stage.FAILED:
            failed = ("delivery_failed", "generic delivery failure", "7")
            status, reason, code = _FAILURES.get(message.fate, failed)
        query = {
            "id": message.id,
            "reference": draft.reference,
            "recipient": draft.to.removeprefix("+"),
            "status": status,
            "statusReason": reason,
            "statusDatetime": _write(now),
            "mccmnc": "20408",
        }
        if code:
            query["statusErrorCode"] = code
        mark = "&" if "?" in draft.callback else "?"
        return [self._sign("GET", f"{draft.callback}{mark}{urlencode(query)}", b"")]

    def forward(self, answer: Answer, now: int) -> Callback | None:
        """Bring what somebody wrote."""
        if answer.channel != "sms":
            return None
        form = {
            "id": answer.id,
            "message_id": answer.id,
            "originator": answer.sender.removeprefix("+"),
            "recipient": self._own.removeprefix("+"),
            "body": answer.text,
            "createdDatetime": _write(now),
        }
        return self._sign("POST", self._hook, urlencode(form).encode())

    def _sign(self, method: str, url: str, raw: bytes) -> Callback:
        """Sign the hashes of address and body."""
        present = int(datetime.now(UTC).timestamp())
        claims: dict[str, object] = {
            "iss": "MessageBird",
            "nbf": present - 1,
            "exp": present + _SIGNED_FOR_S,
            "jti": sha256(url.encode() + raw + str(present).encode()).hexdigest()[:32],
            "url_hash": sha256(url.encode()).hexdigest(),
        }
        headers: dict[str, str] = {}
        if raw:
            claims["payload_hash"] = sha256(raw).hexdigest()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        token = jwt.encode(claims, self._signing, algorithm="HS256")
        return Callback(url, {**headers, "MessageBird-Signature-JWT": token}, raw, method)


def _explain(fault: _Fault) -> web.Response:
    status, code, text, parameter = fault
    error = {"code": code, "description": text, "parameter": parameter or None}
    return json_answer({"errors": [error]}, status)


def _write(at: int) -> str:
    return datetime.fromtimestamp(at / SECOND_MS, UTC).isoformat(timespec="seconds")
