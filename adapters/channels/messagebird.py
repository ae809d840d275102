"""MessageBird, now Bird: short messages by its REST API, what it tells of them, and answers.

Requests, statuses and reasons: https://developers.messagebird.com/api/sms-messaging; answers that
are errors: https://developers.messagebird.com/api/#errors. The `statusErrorCode` of a network is
that of GSM MAP (3GPP TS 29.002), with MessageBird's own from 100. Signatures:
https://developers.messagebird.com/api/#verifying-http-requests, a token with the hashes of the URL
as a whole and of the body.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from adapters.channels.adapter import Adapter, Workshop
from adapters.channels.answers import read_answer
from adapters.channels.bodies import JSON, expect_field, read_flat, write_json
from adapters.channels.claims import check_body, check_hash, find_moment, read_token
from adapters.channels.hooks import ForgedError, HookKind, HookRequest, Notice, Said
from adapters.channels.phone import (
    USER_AGENT,
    Codes,
    find_number,
    lifetime_s,
    read_body,
    read_number,
    refuse_content,
)
from adapters.channels.proofs import (
    check_age,
    expect_header,
    find_text,
)
from adapters.channels.provider import HttpChannel, Refusal
from adapters.channels.wire import Reply, Request
from engine.effects import Send
from engine.events import Failure, ReceiptStatus
from engine.instants import DAY_MS, MINUTE_MS, SECOND_MS, parse_instant
from engine.program.smstext import GSM_7, measure_sms

_KEY_VARIABLE = "NEXTBEAT_MESSAGEBIRD_SIGNING_KEY"
_LIFETIME_S = (60, 604_800)
_SKEW_MS = MINUTE_MS
_ISSUER = "MessageBird"
_STATUSES = {
    "sent": ReceiptStatus.ACCEPTED,
    "delivered": ReceiptStatus.DELIVERED,
    "expired": ReceiptStatus.FAILED,
    "delivery_failed": ReceiptStatus.FAILED,
}

_ANSWERS = Codes(
    "MessageBird",
    {
        "2": Failure.CONFIG,  # not allowed: the access key
        "20": Failure.CONFIG,  # not found
        "25": Failure.CONFIG,  # not enough balance
        "98": Failure.CONFIG,  # no such API
        "99": Failure.TRANSIENT,  # internal error
        # Missing and invalid parameters, by the parameter.
        "9 recipient": Failure.ADDRESS_DEAD,
        "10 recipient": Failure.ADDRESS_DEAD,
        "9 originator": Failure.CONFIG,
        "10 originator": Failure.CONFIG,
        "9": Failure.CONTENT,
        "10": Failure.CONTENT,
        "21": Failure.CONTENT,  # a bad request
    },
)
_REASONS: Mapping[str, Failure] = {
    "incorrect number": Failure.ADDRESS_DEAD,
    "unknown subscriber": Failure.ADDRESS_DEAD,
    "unavailable subscriber": Failure.UNREACHABLE,
    "expired": Failure.UNREACHABLE,
    "DLR not received": Failure.UNREACHABLE,
    "carrier rejected": Failure.UNREACHABLE,
    "carrier violation": Failure.UNREACHABLE,
    "generic delivery failure": Failure.UNREACHABLE,
    "opted out": Failure.CONSENT,
    "capacity limit reached": Failure.RATE,
    "received network error": Failure.TRANSIENT,
    "insufficient balance": Failure.CONFIG,
}
_NETWORK: Mapping[Failure, Sequence[int]] = {
    Failure.ADDRESS_DEAD: (1, 5),  # unknown, unidentified subscriber
    Failure.NOT_THERE: (10, 11, 21),  # no service for short messages; none in the network
    # Absent, roaming not allowed, illegal, illegal equipment, barred, absent, busy, the handset
    # failed, too much waits for it.
    Failure.UNREACHABLE: (6, 8, 9, 12, 13, 27, 31, 32, 33),
    Failure.TRANSIENT: (34, 35, 36),  # system failure, missing and unexpected data
    Failure.CONSENT: (103,),  # they have opted out
    Failure.CONFIG: (104,),  # the sender is not registered
}
NETWORK_FAILURES = {str(code): failure for failure, codes in _NETWORK.items() for code in codes}


class MessagebirdSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The account's key, and who messages come from: a number, or up to 11 letters and digits."""

    access_key: str
    from_address: str = msgspec.field(name="from")
    url: str = "https://rest.messagebird.com"

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        if not self.access_key or not self.from_address:
            raise ValueError("access_key and from must not be empty")
        if not self.url.startswith(("https://", "http://")):
            raise ValueError("url must begin with https:// or http://")


class MessagebirdProvider:
    """Short messages."""

    def __init__(self, settings: MessagebirdSettings, public_url: str) -> None:
        """`public_url` is where receipts can reach us, or ""."""
        self._settings = settings
        self._public_url = public_url
        self._headers = {
            "Authorization": f"AccessKey {settings.access_key}",
            "Content-Type": f"{JSON}; charset=UTF-8",
            "Accept": JSON,
            "User-Agent": USER_AGENT,
        }

    def build(self, send: Send, present: datetime) -> Request:
        """Write the JSON that makes a message."""
        body = read_body(send)
        if send.content.get("media_url"):
            raise refuse_content("media_url is not carried by short messages here", "no_media")
        message: dict[str, object] = {
            "reference": send.message_id,
            "datacoding": "plain" if measure_sms(body).encoding == GSM_7 else "unicode",
            "originator": self._settings.from_address.removeprefix("+"),
            "body": body,
            "recipients": read_number(send).removeprefix("+"),
        }
        if self._public_url:
            message["reportUrl"] = f"{self._public_url}/v1/receipts/messagebird"
        validity_s = lifetime_s(send, _LIFETIME_S, present)
        if validity_s is not None:
            message["validity"] = validity_s
        url = f"{self._settings.url.rstrip('/')}/messages"
        return Request("POST", url, self._headers, write_json(message))

    def classify(self, reply: Reply, present: datetime) -> str | Refusal:
        """Read the message's `id`, or the first of what is wrong."""
        answer = read_answer(reply.body, _Answer)
        if reply.is_success and answer.id:
            return answer.id
        return _ANSWERS.refuse(_find_code(answer.errors), reply, present)


class _Error(msgspec.Struct, frozen=True):
    """One thing that is wrong, and the parameter it is about."""

    code: int = 0
    parameter: str | None = None


class _Answer(msgspec.Struct, frozen=True):
    """All we look for in what MessageBird says."""

    id: str = ""
    errors: list[_Error] = []


def _find_code(errors: Sequence[_Error]) -> str:
    if not errors:
        return ""
    code, parameter = str(errors[0].code), errors[0].parameter or ""
    precise = f"{code} {parameter.removesuffix('s')}"
    return precise if precise in _ANSWERS.failures else code


class MessagebirdHook:
    """The receiving side of one account."""

    def __init__(self, signing_key: str) -> None:
        self._key = signing_key

    def verify(self, request: HookRequest, present: datetime) -> None:
        """Raise ForgedError unless a token that is good now is about this URL and this body."""
        claims = read_token(expect_header(request, "messagebird-signature-jwt"), self._key)
        if find_text(claims, "iss") != _ISSUER:
            raise ForgedError(f"the token is not issued by {_ISSUER}")
        if find_moment(claims, "exp") + _SKEW_MS < present.timestamp() * SECOND_MS:
            raise ForgedError("the token has expired")
        if "nbf" in claims:
            check_age(find_moment(claims, "nbf"), DAY_MS, present)
        check_hash(claims, "url_hash", request.url.encode())
        check_body(claims, request)

    def read(self, request: HookRequest) -> list[Notice | Said]:
        """Read a status, or what somebody wrote."""
        fields = read_flat(request)
        read = _read_status(fields) if "status" in fields else _read_said(fields)
        return [] if read is None else [read]

    def greet(self, request: HookRequest) -> bytes | None:  # noqa: ARG002 - MessageBird asks nothing
        """MessageBird asks nothing."""
        return None


def _read_status(fields: Mapping[str, str]) -> Notice | None:
    told = fields["status"]
    name = expect_field(fields, "id")
    status = _STATUSES.get(told)
    if status is None:
        return None
    is_failed = status is ReceiptStatus.FAILED
    reason, code = fields.get("statusReason", ""), fields.get("statusErrorCode", "")
    failure = NETWORK_FAILURES.get(code) or _REASONS.get(reason)
    return Notice(
        f"{name}:{told}",
        status,
        at=_read_time(fields, "statusDatetime"),
        message_id=fields.get("reference", ""),
        provider_id=name,
        code=(code or reason or told) if is_failed else "",
        permanent=is_failed,
        failure=failure if is_failed else None,
    )


def _read_said(fields: Mapping[str, str]) -> Said:
    return Said(
        expect_field(fields, "id"),
        find_number(expect_field(fields, "originator")),
        fields.get("body", ""),
        at=_read_time(fields, "createdDatetime"),
    )


def _read_time(fields: Mapping[str, str], name: str) -> int:
    try:
        # The plus of an offset that was not escaped in the query has become a space.
        return parse_instant(fields.get(name, "").replace(" ", "+"))
    except ValueError:
        return 0


def _build(_name: str, settings: MessagebirdSettings, workshop: Workshop) -> HttpChannel:
    return HttpChannel(MessagebirdProvider(settings, workshop.public_url), workshop.wire)


ADAPTER = Adapter(
    MessagebirdSettings,
    _build,
    {
        "access_key": "NEXTBEAT_MESSAGEBIRD_ACCESS_KEY",
        "from": "NEXTBEAT_MESSAGEBIRD_FROM",
        "url": "NEXTBEAT_MESSAGEBIRD_URL",
    },
    secrets=("access_key",),
)
HOOK = HookKind((_KEY_VARIABLE,), lambda environment: MessagebirdHook(environment[_KEY_VARIABLE]))
