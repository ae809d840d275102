"""The stand-in of the WhatsApp Cloud API: `/v26.0/{phone id}/messages`, and its webhooks.

Formats are those of developers.facebook.com/docs/whatsapp/cloud-api: reference/messages,
webhooks/components, support/error-codes; the signature is that of Graph API webhooks.
"""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from hmac import digest
from typing import Any, cast

import msgspec
from aiohttp import web

from adapters.sandbox.book import Draft, Message
from adapters.sandbox.fates import Fate, Stage
from adapters.sandbox.standin import Accounts, Answer, Callback, Take, json_answer
from engine.instants import SECOND_MS

PREFIX = "/whatsapp"
_NUMBER = re.compile(r"\+?[\d\s()-]{7,20}")
_ACCOUNT = "102290129340398"

_Fault = tuple[int, int, str, str]  # status of HTTP, code, message, details
_UNAUTHORIZED: _Fault = (401, 190, "Invalid OAuth access token - Cannot parse access token", "")
_REFUSALS: Mapping[Fate, _Fault] = {
    Fate.WINDOW: (
        400,
        131047,
        "(#131047) Re-engagement message",
        (
            "Message failed to send because more than 24 hours have passed since the customer last "
            "replied to this number."
        ),
    ),
    Fate.RATE: (
        429,
        130429,
        "(#130429) Rate limit hit",
        (
            "Message failed to send because there were too many messages sent from this phone "
            "number in a short period of time."
        ),
    ),
    Fate.BROKEN: (500, 131000, "(#131000) Something went wrong", "Message failed to send."),
    Fate.DOWN: (503, 131016, "(#131016) Service unavailable", "A service is unavailable."),
}
# Of a message that fails later: code, title, details.
_UNDELIVERABLE = (131026, "Message undeliverable", "Message Undeliverable.")
_FAILURES: Mapping[Fate, tuple[int, str, str]] = {
    Fate.OPTED_OUT: (
        131050,
        "User has stopped marketing messages",
        (
            "Unable to deliver the message. This recipient has chosen to stop receiving marketing "
            "messages on WhatsApp from your business."
        ),
    ),
}
_LATER = frozenset({Fate.INVALID, Fate.OPTED_OUT})  # refused by others, told later here


class WhatsAppStandIn:
    """The WhatsApp Cloud API."""

    name = "whatsapp"

    def __init__(self, accounts: Accounts, gateway_url: str) -> None:
        self._token = accounts["NEXTBEAT_WHATSAPP_TOKEN"]
        self._phone_id = accounts["NEXTBEAT_WHATSAPP_PHONE_ID"]
        self._secret = accounts["NEXTBEAT_WHATSAPP_APP_SECRET"]
        self._hook = f"{gateway_url}/v1/receipts/whatsapp_cloud"

    def routes(self, take: Take) -> list[web.RouteDef]:
        """List the routes."""
        return [web.post(f"{PREFIX}/{{version:v\\d+\\.\\d}}/{{phone}}/messages", take)]

    async def read(self, request: web.Request) -> Draft | web.Response:
        """Read a message."""
        fault = self._check(request)
        if fault is not None:
            return _explain(fault)
        try:
            body = msgspec.json.decode(await request.read(), type=dict[str, Any])
        except msgspec.DecodeError:
            return _explain((400, 100, "(#100) Invalid parameter", "The body is not JSON."))
        kind = str(body.get("type", "text"))
        to = str(body.get("to") or body.get("recipient") or "")
        content = body.get(kind)
        if body.get("messaging_product") != "whatsapp":
            return _require("messaging_product")
        if not to or not isinstance(content, dict):
            return _require(kind if to else "to")
        return Draft(
            provider=self.name,
            channel="whatsapp",
            to="+" + re.sub(r"\D", "", to) if _NUMBER.fullmatch(to) else to,
            text=_read_text(kind, cast("dict[str, Any]", content)),
            sender=self._phone_id,
            reference=str(body.get("biz_opaque_callback_data", "")),
            fields={"to": to, "type": kind},
            is_template=kind == "template",
        )

    def refuse(self, draft: Draft, fate: Fate) -> web.Response | None:  # noqa: ARG002 - as all
        """Refuse as the API does."""
        fault = _REFUSALS.get(fate)
        return None if fault is None else _explain(fault)

    def accept(self, message: Message) -> web.Response:
        """Say that a message was taken."""
        given = message.draft.fields["to"]
        contact = {"input": given, "wa_id": _bare(message.draft.to)}
        taken = {"id": _wamid(message), "message_status": "accepted"}
        body = {"messaging_product": "whatsapp", "contacts": [contact], "messages": [taken]}
        return json_answer(body)

    def tell(self, message: Message, stage: Stage, now: int) -> Sequence[Callback]:
        """Call the app's webhook."""
        is_failure = stage is Stage.FAILED or message.fate in _LATER
        if is_failure and stage is Stage.DELIVERED:
            stage = Stage.FAILED
        status: dict[str, Any] = {
            "id": _wamid(message),
            "status": stage.value,
            "timestamp": str(now // SECOND_MS),
            "recipient_id": _bare(message.draft.to),
        }
        if message.draft.reference:
            status["biz_opaque_callback_data"] = message.draft.reference
        if stage is Stage.FAILED:
            code, title, details = _FAILURES.get(message.fate, _UNDELIVERABLE)
            error = {"code": code, "title": title, "message": title}
            status["errors"] = [{**error, "error_data": {"details": details}}]
        else:
            pricing = {"billable": True, "pricing_model": "PMP", "category": "utility"}
            status["pricing"] = pricing
        return [self._sign({"statuses": [status]})]

    def forward(self, answer: Answer, now: int) -> Callback | None:
        """Bring what somebody wrote."""
        if answer.channel != "whatsapp":
            return None
        sender = _bare(answer.sender)
        message: dict[str, Any] = {
            "from": sender,
            "id": f"wamid.{answer.id}",
            "timestamp": str(now // SECOND_MS),
            "type": "text",
            "text": {"body": answer.text},
        }
        if answer.latest is not None:
            message["context"] = {"from": self._phone_id, "id": _wamid(answer.latest)}
        contact = {"profile": {"name": "Somebody"}, "wa_id": sender}
        return self._sign({"contacts": [contact], "messages": [message]})

    def _check(self, request: web.Request) -> _Fault | None:
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            return _UNAUTHORIZED
        if request.match_info["phone"] != self._phone_id:
            text = "Unsupported post request. Object with ID does not exist"
            return (400, 100, text, "")
        return None

    def _sign(self, what: Mapping[str, Any]) -> Callback:
        metadata = {"display_phone_number": "15550000000", "phone_number_id": self._phone_id}
        value = {"messaging_product": "whatsapp", "metadata": metadata, **what}
        entry = {"id": _ACCOUNT, "changes": [{"value": value, "field": "messages"}]}
        raw = msgspec.json.encode({"object": "whatsapp_business_account", "entry": [entry]})
        signature = digest(self._secret.encode(), raw, sha256).hex()
        headers = {
            "Content-Type": "application/json",
            "X-Hub-Signature-256": f"sha256={signature}",
        }
        return Callback(self._hook, headers, raw)


def _read_text(kind: str, content: Mapping[str, Any]) -> str:
    """Give what a message says, as well as one line can."""
    if kind == "text":
        return str(content.get("body", ""))
    if kind == "template":
        components: list[dict[str, Any]] = content.get("components", [])
        values = [
            str(parameter.get("text", ""))
            for component in components
            for parameter in component.get("parameters", [])
        ]
        return f"{content.get('name', '')}({', '.join(values)})"
    return msgspec.json.encode(content).decode()


def _require(name: str) -> web.Response:
    text = f"(#100) The parameter {name} is required."
    return _explain((400, 100, text, ""))


def _explain(fault: _Fault) -> web.Response:
    status, code, text, details = fault
    error: dict[str, Any] = {"message": text, "type": "OAuthException", "code": code}
    if details:
        error["error_data"] = {"messaging_product": "whatsapp", "details": details}
    return json_answer({"error": {**error, "fbtrace_id": "Sandbox"}}, status)


def _bare(address: str) -> str:
    return address.removeprefix("+")


def _wamid(message: Message) -> str:
    return f"wamid.{message.id}"
