"""Twilio's stand-in: text messages, WhatsApp and RCS by `Messages.json`, calls by `Calls.json`.

Requests, answers and callbacks are those of the API of 2010-04-01, as its documentation has them
(twilio.com/docs/messaging/api/message-resource, /docs/voice/api/call-resource, /docs/api/errors,
/docs/usage/security for the signature).
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import sha1
from hmac import digest
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from adapters.sandbox.book import Draft, Message
from adapters.sandbox.fates import Fate, Stage
from adapters.sandbox.standin import Accounts, Answer, Callback, Take, json_answer
from engine.instants import SECOND_MS

PREFIX = "/twilio"
_API = "2010-04-01"
_PATH = f"{PREFIX}/{_API}/Accounts/{{sid}}"
_FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
_E164 = re.compile(r"\+[1-9]\d{6,14}")
_TEXT_MAX = 1_600
_VOICE = "voice"
_READS = ("whatsapp", "rcs")
_OPT_OUTS = {"STOP": "STOP", "START": "START", "HELP": "HELP"}
_COMPLETED = ("completed",)  # what is called for where nothing is asked for

# What is wrong: status of HTTP, code, words.
_Fault = tuple[int, int, str]
_UNAUTHORIZED = (401, 20003, "Authenticate")
_NO_ACCOUNT = (404, 20404, "The requested resource was not found")
_REFUSALS: Mapping[Fate, _Fault] = {
    Fate.INVALID: (400, 21211, "The 'To' number is not a valid phone number."),
    Fate.OPTED_OUT: (400, 21610, "Attempt to send to unsubscribed recipient"),
    Fate.RATE: (429, 20429, "Too Many Requests"),
    Fate.BROKEN: (500, 20500, "An internal server error has occurred"),
    Fate.DOWN: (503, 20503, "Service Unavailable"),
}
# The code of a message that fails later, by channel.
_CODES: Mapping[str, Mapping[Fate, int]] = {
    "sms": {Fate.UNREACHABLE: 30003, Fate.GONE: 30005, Fate.LANDLINE: 30006},
    "whatsapp": {
        Fate.ABSENT: 63024,
        Fate.GONE: 63024,
        Fate.LANDLINE: 63024,
        Fate.WINDOW: 63016,
    },
    "rcs": {
        Fate.ABSENT: 63106,
        Fate.GONE: 63106,
        Fate.LANDLINE: 63106,
        Fate.UNREACHABLE: 30003,
    },
}


class TwilioStandIn:
    """Twilio."""

    name = "twilio"

    def __init__(self, accounts: Accounts, gateway_url: str) -> None:
        self._sid = accounts["NEXTBEAT_TWILIO_ACCOUNT_SID"]
        self._token = accounts["NEXTBEAT_TWILIO_AUTH_TOKEN"]
        self._own = accounts["NEXTBEAT_TWILIO_FROM"]
        self._hook = f"{gateway_url}/v1/receipts/twilio"

    def routes(self, take: Take) -> list[web.RouteDef]:
        """List the routes."""
        return [web.post(f"{_PATH}/Messages.json", take), web.post(f"{_PATH}/Calls.json", take)]

    async def read(self, request: web.Request) -> Draft | web.Response:
        """Read a message or a call."""
        if not _is_basic(request.headers.get("Authorization", ""), self._sid, self._token):
            return _explain(_UNAUTHORIZED)
        if request.match_info["sid"] != self._sid:
            return _explain(_NO_ACCOUNT)
        pairs = parse_qsl(await request.text())
        form = dict(pairs)
        is_call = request.path.endswith("/Calls.json")
        fault = _check_call(form) if is_call else _check_message(form)
        if fault is not None:
            return _explain(fault)
        prefix, _, number = form["To"].rpartition(":")
        events = [value for name, value in pairs if name == "StatusCallbackEvent"]
        return Draft(
            provider=self.name,
            channel=_VOICE if is_call else prefix or "sms",
            to=number,
            text=form.get("Body") or form.get("Twiml") or form.get("Url") or form["ContentSid"],
            sender=form.get("From") or form["MessagingServiceSid"],
            callback=form.get("StatusCallback", ""),
            fields={**form, "StatusCallbackEvent": " ".join(events or _COMPLETED)},
            is_template="ContentSid" in form,
        )

    def refuse(self, draft: Draft, fate: Fate) -> web.Response | None:
        """Refuse as the API does."""
        if draft.channel == _VOICE and fate is Fate.OPTED_OUT:
            return None  # whoever wants no text messages can be called
        fault = _REFUSALS.get(fate)
        return None if fault is None else _explain(fault)

    def accept(self, message: Message) -> web.Response:
        """Give the resource that was made."""
        draft = message.draft
        sid, written = _sid(message), format_datetime(_date(message.at))
        common: dict[str, object] = {
            "sid": sid,
            "account_sid": self._sid,
            "api_version": _API,
            "date_created": written,
            "date_updated": written,
            "status": "queued",
            "to": draft.fields["To"],
            "from": draft.fields.get("From"),
            "direction": "outbound-api",
            "price": None,
            "price_unit": "USD",
        }
        if draft.channel == _VOICE:
            uri = f"/{_API}/Accounts/{self._sid}/Calls/{sid}.json"
            return json_answer({**common, "uri": uri, "duration": None}, 201)
        uri = f"/{_API}/Accounts/{self._sid}/Messages/{sid}"
        return json_answer(
            {
                **common,
                "body": draft.fields.get("Body", ""),
                "date_sent": None,
                "error_code": None,
                "error_message": None,
                "messaging_service_sid": draft.fields.get("MessagingServiceSid"),
                "num_media": "1" if "MediaUrl" in draft.fields else "0",
                "num_segments": "1",
                "subresource_uris": {"media": f"{uri}/Media.json"},
                "uri": f"{uri}.json",
            },
            201,
        )

    def tell(self, message: Message, stage: Stage, now: int) -> Sequence[Callback]:
        """Call the address for receipts."""
        draft = message.draft
        if not draft.callback:
            return ()
        if draft.channel == _VOICE:
            forms = self._tell_call(message, stage, now)
        elif stage is Stage.READ and draft.channel not in _READS:
            forms = []
        else:
            forms = [self._tell_message(message, stage)]
        return [self._sign(draft.callback, form) for form in forms]

    def forward(self, answer: Answer, now: int) -> Callback | None:  # noqa: ARG002 - as all have it
        """Bring what somebody wrote; the words of opting out are known to a messaging service."""
        if answer.channel not in {"sms", *_READS}:
            return None
        prefix = "" if answer.channel == "sms" else f"{answer.channel}:"
        sid = f"SM{answer.id}"
        form = {
            "MessageSid": sid,
            "SmsMessageSid": sid,
            "SmsSid": sid,
            "AccountSid": self._sid,
            "ApiVersion": _API,
            "From": f"{prefix}{answer.sender}",
            "To": f"{prefix}{self._own}",
            "Body": answer.text,
            "NumMedia": "0",
            "NumSegments": "1",
            "SmsStatus": "received",
        }
        if answer.text.strip().upper() in _OPT_OUTS:
            form["OptOutType"] = _OPT_OUTS[answer.text.strip().upper()]
        if answer.latest is not None and answer.channel in _READS:
            form["OriginalRepliedMessageSid"] = _sid(answer.latest)
        return self._sign(self._hook, form)

    def _tell_message(self, message: Message, stage: Stage) -> dict[str, str]:
        draft = message.draft
        status = stage.value
        if stage is Stage.FAILED:
            status = "undelivered" if draft.channel == "sms" else "failed"
        form = {
            "MessageSid": _sid(message),
            "SmsSid": _sid(message),
            "AccountSid": self._sid,
            "ApiVersion": _API,
            "From": draft.fields.get("From", self._own),
            "To": draft.fields["To"],
            "MessageStatus": status,
            "SmsStatus": status,
        }
        if stage is Stage.FAILED:
            form["ErrorCode"] = str(_CODES[draft.channel].get(message.fate, 30008))
        elif draft.channel in _READS:
            form |= {"ChannelPrefix": draft.channel, "EventType": status.upper()}
        return form

    def _tell_call(self, message: Message, stage: Stage, now: int) -> list[dict[str, str]]:
        """Tell the steps of a call: it rings, somebody answers and listens, or nobody does."""
        if stage is Stage.SENT:
            steps = [("initiated", "initiated"), ("ringing", "ringing")]
        elif stage is Stage.DELIVERED:
            steps = [("answered", "in-progress"), ("completed", "completed")]
        elif stage is Stage.FAILED:
            ending = "no-answer" if message.fate is Fate.UNREACHABLE else "failed"
            steps = [("completed", ending)]
        else:
            steps = []
        wanted = message.draft.fields["StatusCallbackEvent"].split()
        return [self._call_form(message, status, now) for event, status in steps if event in wanted]

    def _call_form(self, message: Message, status: str, now: int) -> dict[str, str]:
        form = {
            "CallSid": _sid(message),
            "AccountSid": self._sid,
            "ApiVersion": _API,
            "From": message.draft.sender,
            "To": message.draft.to,
            "Direction": "outbound-api",
            "CallStatus": status,
            "CallbackSource": "call-progress-events",
            "Timestamp": format_datetime(_date(now)),
            "SequenceNumber": str(len(message.told)),
        }
        if status == "completed":
            form["CallDuration"] = "12"
        if status == "failed":
            form["SipResponseCode"] = "404"
        return form

    def _sign(self, url: str, form: Mapping[str, str]) -> Callback:
        """Sign the address followed by all names and values, in order of the names."""
        text = url + "".join(name + form[name] for name in sorted(form))
        signature = b64encode(digest(self._token.encode(), text.encode(), sha1)).decode()
        headers = {**_FORM, "X-Twilio-Signature": signature}
        return Callback(url, headers, urlencode(form).encode())


def _check_message(form: Mapping[str, str]) -> _Fault | None:
    fault: _Fault | None = None
    to = form.get("To", "")
    if not to:
        fault = (400, 21604, "A 'To' phone number is required.")
    elif not _E164.fullmatch(to.rpartition(":")[2]):
        fault = (400, 21211, f"The 'To' number {to} is not a valid phone number.")
    elif "From" not in form and "MessagingServiceSid" not in form:
        fault = (400, 21603, "A 'From' phone number is required.")
    elif not any(form.get(name) for name in ("Body", "MediaUrl", "ContentSid")):
        fault = (400, 21602, "Message body is required.")
    elif len(form.get("Body", "")) > _TEXT_MAX:
        text = f"The concatenated message body exceeds the {_TEXT_MAX} character limit"
        fault = (400, 21617, text)
    return fault


def _check_call(form: Mapping[str, str]) -> _Fault | None:
    fault: _Fault | None = None
    if not form.get("To"):
        fault = (400, 21201, "No 'To' number is specified")
    elif not _E164.fullmatch(form["To"]):
        fault = (400, 21211, f"The 'To' number {form['To']} is not a valid phone number.")
    elif not form.get("From"):
        fault = (400, 21213, "No 'From' number is specified")
    elif not any(form.get(name) for name in ("Twiml", "Url", "ApplicationSid")):
        fault = (400, 21205, "Url parameter is required.")
    return fault


def _is_basic(header: str, name: str, password: str) -> bool:
    scheme, _, encoded = header.partition(" ")
    try:
        said = b64decode(encoded, validate=True).decode()
    except ValueError:
        return False
    return scheme.lower() == "basic" and said == f"{name}:{password}"


def _explain(fault: _Fault) -> web.Response:
    status, code, text = fault
    more = f"https://www.twilio.com/docs/errors/{code}"
    body = {"code": code, "message": text, "more_info": more, "status": status}
    return json_answer(body, status, {"Retry-After": "1"} if status == 429 else None)  # noqa: PLR2004


def _sid(message: Message) -> str:
    kinds = {_VOICE: "CA"}
    return kinds.get(message.draft.channel, "SM") + message.id


def _date(at: int) -> datetime:
    return datetime.fromtimestamp(at / SECOND_MS, UTC)
