"""Vonage: short messages, RCS and WhatsApp by its Messages API, short messages by its SMS API too.

Requests are those of https://developer.vonage.com/en/api/messages and
https://developer.vonage.com/en/api/sms. Both give our id back in what they tell `vonage_hooks`;
neither knows an idempotency key.

*Rules*
- The token is made anew every five minutes and is good for fifteen. Its time is all it is made of,
  so that the same moment has the same token.
"""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from uuid import NAMESPACE_URL, uuid5

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from adapters.channels.adapter import Adapter, Workshop
from adapters.channels.answers import read_answer
from adapters.channels.bodies import FORM, JSON, write_form, write_json
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
from adapters.channels.provider import HttpChannel, Provider, Refusal
from adapters.channels.vonage_codes import MESSAGES, SMS
from adapters.channels.wire import Reply, Request
from engine.effects import Send
from engine.errors import Problem, ProgramError
from engine.instants import SECOND_MS
from engine.program.smstext import GSM_7, measure_sms

_TOKEN_EVERY_S, _TOKEN_S = 300, 900
_LIFETIME_S = (20, 259_200)
_KINDS = (Kind.SMS, Kind.RCS, Kind.WHATSAPP)
_URLS = {"messages": "https://api.nexmo.com", "sms": "https://rest.nexmo.com"}
_TAKEN = "0"


class Api(StrEnum):
    """By which of its APIs Vonage is asked."""

    MESSAGES = "messages"
    SMS = "sms"


class VonageSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The account, and who messages come from.

    The Messages API takes an application's `private_key`, or the account's `api_secret`; the SMS
    API only the latter. `kind` is the channel's own name where that says it.
    """

    from_address: str = msgspec.field(name="from")
    api: Api = Api.MESSAGES
    kind: Kind | None = None
    api_key: str = ""
    api_secret: str = ""
    application_id: str = ""
    private_key: str = ""
    url: str = ""

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        if not self.from_address:
            raise ValueError("from must not be empty")
        if self.url and not self.url.startswith(("https://", "http://")):
            raise ValueError("url must begin with https:// or http://")
        if self.has_application and self.api is Api.MESSAGES:
            _read_key(self.private_key)
        elif not (self.api_key and self.api_secret):
            needed = "api_key and api_secret"
            if self.api is Api.MESSAGES:
                needed = f"application_id and private_key, or {needed},"
            raise ValueError(f"{needed} must be set")

    @property
    def has_application(self) -> bool:
        """Say whether an application's key is what we are known by."""
        return bool(self.application_id and self.private_key)

    @property
    def base_url(self) -> str:
        """Tell where the API is."""
        return (self.url or _URLS[self.api]).rstrip("/")

    @property
    def basic(self) -> str:
        """Write the account's key and secret as a header has them."""
        return f"Basic {b64encode(f'{self.api_key}:{self.api_secret}'.encode()).decode()}"


class MessagesProvider:
    """One kind of message by the Messages API."""

    def __init__(self, settings: VonageSettings, kind: Kind, public_url: str) -> None:
        """`public_url` is where receipts can reach us, or ""."""
        self._settings = settings
        self._kind = kind
        self._public_url = public_url
        self._key = _read_key(settings.private_key) if settings.has_application else None
        self._token = (0, settings.basic)  # since when it is good, and what it is

    def build(self, send: Send, present: datetime) -> Request:
        """Write the JSON that makes a message."""
        message: dict[str, object] = {
            "to": read_number(send).removeprefix("+"),
            "from": self._settings.from_address.removeprefix("+"),
            "channel": self._kind,
            "client_ref": send.message_id,
            **self._content(send),
        }
        if self._public_url:
            message["webhook_url"] = f"{self._public_url}/v1/receipts/vonage"
        ttl_s = lifetime_s(send, _LIFETIME_S, present)
        if ttl_s is not None and self._kind is not Kind.WHATSAPP:  # which has none
            message["ttl"] = ttl_s
        headers = {
            "Authorization": self._authorize(present),
            "Content-Type": JSON,
            "Accept": JSON,
            "User-Agent": USER_AGENT,
        }
        url = f"{self._settings.base_url}/v1/messages"
        return Request("POST", url, headers, write_json(message))

    def classify(self, reply: Reply, present: datetime) -> str | Refusal:
        """Read the `message_uuid`, or what is wrong."""
        answer = read_answer(reply.body, _Answer)
        if reply.is_success and answer.message_uuid:
            return answer.message_uuid
        return MESSAGES.refuse(find_code(answer.type, answer.title), reply, present)

    def _content(self, send: Send) -> Mapping[str, object]:
        media_url = send.content.get("media_url", "")
        if self._kind is not Kind.WHATSAPP:
            if media_url:
                raise refuse_content("media_url is only carried by WhatsApp here", "no_media")
            return {"message_type": "text", "text": read_body(send)}
        template, variables = read_template(send)
        if template:
            return {
                "message_type": "template",
                "whatsapp": {"locale": send.content.get("language") or "en"},
                "template": {"name": template, "parameters": _in_order(variables)},
            }
        if media_url:
            image = {"url": media_url}
            if send.content.get("body"):
                image["caption"] = send.content["body"]
            return {"message_type": "image", "image": image}
        return {"message_type": "text", "text": read_body(send)}

    def _authorize(self, present: datetime) -> str:
        if self._key is None:
            return self._settings.basic
        since = int(present.timestamp()) // _TOKEN_EVERY_S * _TOKEN_EVERY_S
        if self._token[0] != since:
            application = self._settings.application_id
            claims = {
                "application_id": application,
                "iat": since,
                "jti": str(uuid5(NAMESPACE_URL, f"{application}/{since}")),
                "exp": since + _TOKEN_S,
            }
            self._token = (since, f"Bearer {jwt.encode(claims, self._key, algorithm='RS256')}")
        return self._token[1]


class SmsProvider:
    """Short messages by the SMS API."""

    def __init__(self, settings: VonageSettings, public_url: str) -> None:
        """`public_url` is where receipts can reach us, or ""."""
        self._settings = settings
        self._public_url = public_url

    def build(self, send: Send, present: datetime) -> Request:
        """Write the form that makes a message."""
        text = read_body(send)
        fields = [
            ("to", read_number(send).removeprefix("+")),
            ("from", self._settings.from_address.removeprefix("+")),
            ("text", text),
            ("client-ref", send.message_id),
        ]
        if send.content.get("media_url"):
            raise refuse_content("media_url is not carried by short messages here", "no_media")
        if measure_sms(text).encoding != GSM_7:
            fields.append(("type", "unicode"))
        if self._public_url:
            fields.append(("callback", f"{self._public_url}/v1/receipts/vonage"))
        ttl_s = lifetime_s(send, _LIFETIME_S, present)
        if ttl_s is not None:
            fields.append(("ttl", str(ttl_s * SECOND_MS)))
        headers = {
            "Authorization": self._settings.basic,
            "Content-Type": FORM,
            "Accept": JSON,
            "User-Agent": USER_AGENT,
        }
        url = f"{self._settings.base_url}/sms/json"
        return Request("POST", url, headers, write_form(fields))

    def classify(self, reply: Reply, present: datetime) -> str | Refusal:
        """Read what became of the first part: 200 is answered whatever became of it."""
        parts = read_answer(reply.body, _Parts).messages
        part = parts[0] if parts else _Part()
        if reply.is_success and part.status == _TAKEN and part.message_id:
            return part.message_id
        return SMS.refuse("" if part.status == _TAKEN else part.status, reply, present)


class _Answer(msgspec.Struct, frozen=True):
    """All we look for in what the Messages API says."""

    message_uuid: str = ""
    type: str = ""
    title: str = ""


class _Part(msgspec.Struct, frozen=True):
    """One part of a short message, as the SMS API tells of it."""

    status: str = ""
    message_id: str = msgspec.field(name="message-id", default="")


class _Parts(msgspec.Struct, frozen=True):
    """All we look for in what the SMS API says."""

    messages: list[_Part] = []


def find_code(kind: str, title: str) -> str:
    """Find the code in the type of a problem, which is a link to it, or in its title."""
    link, mark, code = kind.rpartition("#")
    if link and mark:
        return code
    return title if title.isdigit() else ""


def _in_order(variables: Mapping[str, str]) -> list[str]:
    """Write numbered variables as a list; other names can't be told to Vonage."""
    try:
        return [variables[name] for name in sorted(variables, key=int)]
    except ValueError:
        message = "variables must be numbered from 1, or be a list"
        raise refuse_content(message, "bad_variables") from None


def _read_key(text: str) -> RSAPrivateKey:
    """Read a key in PEM, whose lines may have been joined to fit a variable."""
    try:
        key = load_pem_private_key(text.replace("\\n", "\n").encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, RSAPrivateKey):
        return key
    raise ValueError("private_key must be an RSA key in PEM, as the application's page gives it")


def _build(name: str, settings: VonageSettings, workshop: Workshop) -> HttpChannel:
    kind = read_kind(name, settings.kind, _KINDS)
    provider: Provider
    if settings.api is Api.MESSAGES:
        provider = MessagesProvider(settings, kind, workshop.public_url)
    elif kind is Kind.SMS:
        provider = SmsProvider(settings, workshop.public_url)
    else:
        message = f"the SMS API does not carry {kind}"
        raise ProgramError([Problem("api", message, "write `api: messages`")])
    return HttpChannel(provider, workshop.wire)


ADAPTER = Adapter(
    VonageSettings,
    _build,
    {
        "from": "NEXTBEAT_VONAGE_FROM",
        "api_key": "NEXTBEAT_VONAGE_API_KEY",
        "api_secret": "NEXTBEAT_VONAGE_API_SECRET",
        "application_id": "NEXTBEAT_VONAGE_APPLICATION_ID",
        "private_key": "NEXTBEAT_VONAGE_PRIVATE_KEY",
        "url": "NEXTBEAT_VONAGE_URL",
    },
    secrets=("api_secret", "private_key"),
)
