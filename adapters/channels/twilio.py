"""Twilio: short messages, RCS, WhatsApp, and calls that speak.

Requests are those of https://www.twilio.com/docs/messaging/api/message-resource and
https://www.twilio.com/docs/voice/api/call-resource. Twilio knows no idempotency key: a message
that may have been taken is not asked for again unless its type says so. What became of it comes
back to `twilio_hooks`, with our id in the URL.
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime
from html import escape
from urllib.parse import quote

import msgspec

from adapters.channels.adapter import Adapter, Workshop
from adapters.channels.answers import read_answer
from adapters.channels.bodies import FORM, JSON, write_form
from adapters.channels.phone import (
    USER_AGENT,
    Kind,
    lifetime_s,
    read_body,
    read_kind,
    read_number,
    read_template,
    refuse_content,
)
from adapters.channels.provider import HttpChannel, Refusal
from adapters.channels.twilio_codes import CODES
from adapters.channels.wire import Reply, Request
from engine.effects import Send
from engine.errors import Problem, ProgramError

_VALIDITY_S = (1, 36_000)
_TWIML_LENGTH_MAX = 4_000
_CALL_EVENTS = ("initiated", "ringing", "answered", "completed")
_RING_S_MAX = 600

# XML 1.0 has no way to write these; a voice has none to say them.
_UNSPEAKABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

Fields = Iterator[tuple[str, str]]


class TwilioSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The account, and who messages come from: `messaging_service` goes before `from`.

    `kind` is the channel's own name where that says it. `url` is where Twilio is. `ring_s` and
    `machine_detection` are of calls.
    """

    account_sid: str
    auth_token: str
    from_address: str = msgspec.field(name="from", default="")
    messaging_service: str = ""
    kind: Kind | None = None
    url: str = "https://api.twilio.com"
    ring_s: int = 20
    machine_detection: bool = False

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        if not re.fullmatch(r"[A-Za-z0-9]+", self.account_sid):
            raise ValueError("account_sid must be letters and digits, like AC and 32 of them")
        if not self.auth_token:
            raise ValueError("auth_token must not be empty")
        if not 1 <= self.ring_s <= _RING_S_MAX:
            raise ValueError(f"ring_s must be 1 to {_RING_S_MAX}")
        if not self.url.startswith(("https://", "http://")):
            raise ValueError("url must begin with https:// or http://")


class TwilioProvider:
    """One kind of message, sent from one account."""

    def __init__(self, settings: TwilioSettings, kind: Kind, public_url: str) -> None:
        """`public_url` is where receipts can reach us, or ""."""
        self._settings = settings
        self._kind = kind
        self._public_url = public_url
        account = f"{settings.account_sid}:{settings.auth_token}".encode()
        self._headers = {
            "Authorization": f"Basic {b64encode(account).decode()}",
            "Content-Type": FORM,
            "Accept": JSON,
            "User-Agent": USER_AGENT,
        }
        resource = "Calls" if kind is Kind.VOICE else "Messages"
        path = f"/2010-04-01/Accounts/{settings.account_sid}/{resource}.json"
        self._url = settings.url.rstrip("/") + path

    def build(self, send: Send, present: datetime) -> Request:
        """Write the form that makes a message or a call."""
        fields = self._call(send) if self._kind is Kind.VOICE else self._message(send, present)
        return Request("POST", self._url, self._headers, write_form(fields))

    def classify(self, reply: Reply, present: datetime) -> str | Refusal:
        """Read the `sid`, or the code of what is wrong."""
        answer = read_answer(reply.body, _Answer)
        if reply.is_success and answer.sid:
            return answer.sid
        return CODES.refuse("" if answer.code is None else str(answer.code), reply, present)

    def _message(self, send: Send, present: datetime) -> Fields:
        yield "To", self._prefix(read_number(send))
        yield from self._callback(send)
        validity_s = lifetime_s(send, _VALIDITY_S, present)
        if validity_s is not None:
            yield "ValidityPeriod", str(validity_s)
        if self._settings.messaging_service:
            yield "MessagingServiceSid", self._settings.messaging_service
        else:
            yield "From", self._prefix(self._settings.from_address)
        template, variables = read_template(send)
        media_url = send.content.get("media_url", "")
        if template:
            yield "ContentSid", template
            if variables:
                yield "ContentVariables", msgspec.json.encode(variables).decode()
        elif send.content.get("body", "") or not media_url:
            yield "Body", read_body(send)
        if media_url and not template:
            yield "MediaUrl", media_url

    def _call(self, send: Send) -> Fields:
        yield "To", read_number(send)
        yield "From", self._settings.from_address
        if self._public_url:
            yield from self._callback(send)
            for event in _CALL_EVENTS:
                yield "StatusCallbackEvent", event
        yield "Timeout", str(self._settings.ring_s)
        if self._settings.machine_detection:
            yield "MachineDetection", "Enable"
        yield "Twiml", write_twiml(send)

    def _callback(self, send: Send) -> Fields:
        if self._public_url:
            query = f"m={quote(send.message_id, safe='')}"
            yield "StatusCallback", f"{self._public_url}/v1/receipts/twilio?{query}"

    def _prefix(self, address: str) -> str:
        """Write an address with its channel before it, as all but plain numbers have it."""
        if self._kind is Kind.SMS or address.startswith(f"{self._kind}:"):
            return address
        return f"{self._kind}:{address}"


class _Answer(msgspec.Struct, frozen=True):
    """All we look for in what Twilio says."""

    sid: str = ""
    code: int | None = None


def write_twiml(send: Send) -> str:
    """Write what a call says: the body, in the content's `language` and by its `voice`."""
    body = read_body(send)
    attributes = "".join(
        f' {name}="{escape(send.content[name])}"'
        for name in ("language", "voice")
        if send.content.get(name)
    )
    twiml = f"<Response><Say{attributes}>{escape(body, quote=False)}</Say></Response>"
    if _UNSPEAKABLE.search(twiml):
        raise refuse_content("the message holds text that can't be spoken", "bad_content")
    if len(twiml) > _TWIML_LENGTH_MAX:
        message = f"a call can say at most {_TWIML_LENGTH_MAX} characters"
        raise refuse_content(message, "content_too_long")
    return twiml


def _build(name: str, settings: TwilioSettings, workshop: Workshop) -> HttpChannel:
    kind = read_kind(name, settings.kind, Kind)
    has_sender = settings.from_address or (settings.messaging_service and kind is not Kind.VOICE)
    if not has_sender:
        hint = "set NEXTBEAT_TWILIO_FROM"
        if kind is not Kind.VOICE:
            hint += " or NEXTBEAT_TWILIO_MESSAGING_SERVICE_SID"
        raise ProgramError([Problem("from", "nobody is said to send it", hint)])
    return HttpChannel(TwilioProvider(settings, kind, workshop.public_url), workshop.wire)


ADAPTER = Adapter(
    TwilioSettings,
    _build,
    {
        "account_sid": "NEXTBEAT_TWILIO_ACCOUNT_SID",
        "auth_token": "NEXTBEAT_TWILIO_AUTH_TOKEN",
        "from": "NEXTBEAT_TWILIO_FROM",
        "messaging_service": "NEXTBEAT_TWILIO_MESSAGING_SERVICE_SID",
        "url": "NEXTBEAT_TWILIO_URL",
    },
    secrets=("auth_token",),
)
