"""Africa's Talking's stand-in: text messages by `/version1/messaging`.

Formats are those of developers.africastalking.com/docs/sms: sending, delivery reports, incoming
messages. Reports go to the account's one address; nothing signs them, so the address holds a key.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlencode

from aiohttp import web

from adapters.sandbox.book import Draft, Message
from adapters.sandbox.fates import Fate, Stage
from adapters.sandbox.standin import Accounts, Answer, Callback, Take, json_answer
from engine.instants import SECOND_MS

PREFIX = "/africastalking"
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_NUMBER = re.compile(r"\+[1-9]\d{6,14}")
_NETWORK = "65510"
_SENT, _INVALID = (101, "Success"), (403, "InvalidPhoneNumber")

# What the recipient's line in the answer says.
_LINES: Mapping[Fate, tuple[int, str]] = {
    Fate.INVALID: _INVALID,
    Fate.OPTED_OUT: (406, "UserInBlacklist"),
    Fate.LANDLINE: (404, "UnsupportedNumberType"),
    Fate.BROKEN: (500, "InternalServerError"),
}
_REASONS: Mapping[Fate, str] = {
    Fate.UNREACHABLE: "AbsentSubscriber",
    Fate.GONE: "UserDoesNotExist",
}


class AfricasTalkingStandIn:
    """Africa's Talking."""

    name = "africastalking"

    def __init__(self, accounts: Accounts, gateway_url: str) -> None:
        self._username = accounts["NEXTBEAT_AFRICASTALKING_USERNAME"]
        self._key = accounts["NEXTBEAT_AFRICASTALKING_API_KEY"]
        self._own = accounts["NEXTBEAT_AFRICASTALKING_FROM"]
        secret = quote(accounts["NEXTBEAT_AFRICASTALKING_KEY"], safe="")
        self._hook = f"{gateway_url}/v1/receipts/africastalking?key={secret}"

    def routes(self, take: Take) -> list[web.RouteDef]:
        """List the routes."""
        return [web.post(f"{PREFIX}/version1/messaging", take)]

    async def read(self, request: web.Request) -> Draft | web.Response:
        """Read a message to one recipient."""
        form = dict(parse_qsl(await request.text()))
        is_ours = request.headers.get("apiKey") == self._key
        if not is_ours or form.get("username") != self._username:
            return web.Response(status=401, text="The supplied authentication is invalid")
        for name in ("to", "message"):
            if not form.get(name):
                text = f"Request is missing required form field '{name}'"
                return web.Response(status=400, text=text)
        number = form["to"].partition(",")[0]
        if not _NUMBER.fullmatch(number):
            return _answer(number, _INVALID, "None")
        return Draft(
            provider=self.name,
            channel="sms",
            to=number,
            text=form["message"],
            sender=form.get("from", ""),
        )

    def refuse(self, draft: Draft, fate: Fate) -> web.Response | None:
        """Refuse as the API does, mostly within an answer of 201."""
        if fate is Fate.RATE:
            return web.Response(status=429, text="Too Many Requests")
        if fate is Fate.DOWN:
            return web.Response(status=503, text="Service Unavailable")
        line = _LINES.get(fate)
        return None if line is None else _answer(draft.to, line, "None")

    def accept(self, message: Message) -> web.Response:
        """Say that a message was taken."""
        return _answer(message.draft.to, _SENT, _id(message))

    def tell(self, message: Message, stage: Stage, now: int) -> Sequence[Callback]:  # noqa: ARG002 - as all have it
        """Report at the account's address."""
        if stage is Stage.READ:
            return ()
        form = {
            "id": _id(message),
            "status": {Stage.SENT: "Sent", Stage.DELIVERED: "Success"}.get(stage, "Failed"),
            "phoneNumber": message.draft.to,
            "networkCode": _NETWORK,
            "retryCount": "0",
        }
        if stage is Stage.FAILED:
            form["failureReason"] = _REASONS.get(message.fate, "DeliveryFailure")
        return [Callback(self._hook, _FORM, urlencode(form).encode())]

    def forward(self, answer: Answer, now: int) -> Callback | None:
        """Bring what somebody wrote."""
        if answer.channel != "sms":
            return None
        form = {
            "date": datetime.fromtimestamp(now / SECOND_MS, UTC).strftime("%Y-%m-%d %H:%M:%S"),
            "from": answer.sender,
            "id": answer.id,
            "linkId": "",
            "networkCode": _NETWORK,
            "text": answer.text,
            "to": self._own,
        }
        return Callback(self._hook, _FORM, urlencode(form).encode())


def _answer(number: str, line: tuple[int, str], name: str) -> web.Response:
    code, status = line
    is_sent = line == _SENT
    recipient = {
        "statusCode": code,
        "number": number,
        "status": status,
        "cost": "KES 0.8000" if is_sent else "0",
        "messageId": name,
    }
    text = f"Sent to {int(is_sent)}/1 Total Cost: {'KES 0.8000' if is_sent else '0'}"
    return json_answer({"SMSMessageData": {"Message": text, "Recipients": [recipient]}}, 201)


def _id(message: Message) -> str:
    return f"ATXid_{message.id}"
