"""Africa's Talking: short messages in bulk, what it tells of them, and answers.

Requests and codes: https://developers.africastalking.com/docs/sms/sending/bulk; delivery reports:
…/docs/sms/notifications, with the reasons of failure. It has no name for our id, so its own is
what a report is known by.

*Rules*
- Nothing it sends is signed. The addresses that are set in its dashboard end in `?key=` and a
  secret of ours, and nothing without that secret is believed. Whoever sees the address can forge
  what it tells: it must be https, and must be in no log.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from adapters.channels.adapter import Adapter, Workshop
from adapters.channels.answers import read_answer
from adapters.channels.bodies import FORM, JSON, expect_field, read_flat, write_form
from adapters.channels.hooks import ForgedError, HookKind, HookRequest, Notice, Said
from adapters.channels.phone import (
    USER_AGENT,
    Codes,
    find_number,
    read_body,
    read_number,
    refuse_content,
)
from adapters.channels.proofs import is_same
from adapters.channels.provider import HttpChannel, Refusal
from adapters.channels.wire import Reply, Request
from engine.effects import Send
from engine.events import Failure, ReceiptStatus
from engine.instants import parse_instant

_KEY_VARIABLE = "NEXTBEAT_AFRICASTALKING_KEY"
_KEY_LENGTH_MIN = 16
_TAKEN = (100, 101, 102)  # processed, sent, queued
_STOP = "STOP"

_STATUSES = {
    "Sent": ReceiptStatus.ACCEPTED,
    "Submitted": ReceiptStatus.ACCEPTED,
    "Success": ReceiptStatus.DELIVERED,
    "Rejected": ReceiptStatus.FAILED,
    "Failed": ReceiptStatus.FAILED,
    "AbsentSubscriber": ReceiptStatus.FAILED,
    "Expired": ReceiptStatus.FAILED,
}
# Codes of recipients in an answer.
_ANSWERS: Mapping[Failure, Sequence[int]] = {
    Failure.ADDRESS_DEAD: (403,),  # invalid phone number
    Failure.NOT_THERE: (404, 407),  # a type of number it has not; could not be routed
    Failure.UNREACHABLE: (502,),  # rejected by the gateway
    Failure.CONSENT: (406, 409),  # on the blacklist; do not disturb
    Failure.TRANSIENT: (500, 501),  # internal error; error of the gateway
    Failure.CONFIG: (401, 402, 405),  # held for risk; invalid sender; no balance
}
# The same as words, which is all that is said where no recipient is told of.
_WORDS: Mapping[str, Failure] = {
    "InvalidSenderId": Failure.CONFIG,
    "InsufficientBalance": Failure.CONFIG,
    "InvalidPhoneNumber": Failure.ADDRESS_DEAD,
    "RiskHold": Failure.CONFIG,
}
ANSWERS = Codes(
    "Africa's Talking",
    {str(code): failure for failure, codes in _ANSWERS.items() for code in codes} | dict(_WORDS),
)
REASONS: Mapping[str, Failure] = {
    "UserDoesNotExist": Failure.ADDRESS_DEAD,
    "UserIsInactive": Failure.ADDRESS_DEAD,
    "NotNetworkSubscriber": Failure.ADDRESS_DEAD,
    "NotNetworkSubcriber": Failure.ADDRESS_DEAD,  # as its documents spell it
    "UserNotSubscribedToProduct": Failure.NOT_THERE,
    "UserAccountSuspended": Failure.UNREACHABLE,
    "InsufficientCredit": Failure.UNREACHABLE,  # theirs, to receive it
    "DeliveryFailure": Failure.UNREACHABLE,
    "AbsentSubscriber": Failure.UNREACHABLE,
    "Expired": Failure.UNREACHABLE,
    "UserInBlackList": Failure.CONSENT,
    "UserInBlacklist": Failure.CONSENT,
    "DoNotDisturbRejection": Failure.CONSENT,
    "InvalidLinkId": Failure.CONTENT,
}


class AfricastalkingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The account, and who messages come from: a short code or a registered name.

    Without `from` they come from a sender that all customers of Africa's Talking share.
    """

    username: str
    api_key: str
    from_address: str = msgspec.field(name="from", default="")
    url: str = "https://api.africastalking.com"

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        if not self.username or not self.api_key:
            raise ValueError("username and api_key must not be empty")
        if not self.url.startswith(("https://", "http://")):
            raise ValueError("url must begin with https:// or http://")


class AfricastalkingProvider:
    """Short messages in bulk, one at a time."""

    def __init__(self, settings: AfricastalkingSettings) -> None:
        self._settings = settings
        self._headers = {
            "apiKey": settings.api_key,
            "Content-Type": FORM,
            "Accept": JSON,
            "User-Agent": USER_AGENT,
        }

    def build(self, send: Send, present: datetime) -> Request:  # noqa: ARG002 - it knows no lifetime
        """Write the form that makes a message."""
        fields = [
            ("username", self._settings.username),
            ("to", read_number(send)),
            ("message", read_body(send)),
            ("bulkSMSMode", "1"),
            ("enqueue", "1"),
        ]
        if send.content.get("media_url"):
            raise refuse_content("media_url is not carried by short messages here", "no_media")
        if self._settings.from_address:
            fields.append(("from", self._settings.from_address))
        url = f"{self._settings.url.rstrip('/')}/version1/messaging"
        return Request("POST", url, self._headers, write_form(fields))

    def classify(self, reply: Reply, present: datetime) -> str | Refusal:
        """Read what became of the one recipient: 201 is answered whatever became of them."""
        data = read_answer(reply.body, _Answer).data
        if not data.recipients:
            word = data.message if data.message in ANSWERS.failures else ""
            return ANSWERS.refuse(word, reply, present)
        recipient = data.recipients[0]
        if reply.is_success and recipient.code in _TAKEN and recipient.message_id:
            return recipient.message_id
        is_told = recipient.code not in _TAKEN
        return ANSWERS.refuse(str(recipient.code) if is_told else "", reply, present)


class _Recipient(msgspec.Struct, frozen=True):
    """What became of one recipient."""

    code: int = msgspec.field(name="statusCode", default=0)
    message_id: str = msgspec.field(name="messageId", default="")


class _Outcome(msgspec.Struct, frozen=True):
    """The recipients, and a sentence about all of them."""

    message: str = msgspec.field(name="Message", default="")
    recipients: list[_Recipient] = msgspec.field(name="Recipients", default=[])


class _Answer(msgspec.Struct, frozen=True):
    """All we look for in what Africa's Talking says."""

    data: _Outcome = msgspec.field(name="SMSMessageData", default=_Outcome())


class AfricastalkingHook:
    """The receiving side of one account."""

    def __init__(self, key: str) -> None:
        if len(key) < _KEY_LENGTH_MIN:
            message = (
                f"{_KEY_VARIABLE} must have {_KEY_LENGTH_MIN} characters or more, like the output "
                "of `openssl rand -hex 32`: nothing else shows that a request is genuine"
            )
            raise ValueError(message)
        self._key = key

    def verify(self, request: HookRequest, present: datetime) -> None:  # noqa: ARG002 - no time in it
        """Raise ForgedError unless the address it was sent to has our key."""
        if not is_same(request.query.get("key", ""), self._key):
            raise ForgedError("the address was not called with the key that is set")

    def read(self, request: HookRequest) -> list[Notice | Said]:
        """Read a delivery report, what somebody wrote, or that they want no more."""
        form = read_flat(request)
        if "status" in form:
            read = _read_report(form)
            return [] if read is None else [read]
        return [_read_said(form) if "text" in form else _read_stop(form)]

    def greet(self, request: HookRequest) -> bytes | None:  # noqa: ARG002 - it asks nothing
        """Africa's Talking asks nothing."""
        return None


def _read_report(form: Mapping[str, str]) -> Notice | None:
    told = form["status"]
    name = expect_field(form, "id")
    status = _STATUSES.get(told)
    if status is None:
        return None
    is_failed = status is ReceiptStatus.FAILED
    reason = form.get("failureReason", "") or told
    return Notice(
        f"{name}:{told}",
        status,
        provider_id=name,
        code=reason if is_failed else "",
        permanent=is_failed,
        failure=REASONS.get(reason) if is_failed else None,
    )


def _read_said(form: Mapping[str, str]) -> Said:
    return Said(
        expect_field(form, "id"),
        find_number(expect_field(form, "from")),
        form["text"],
        at=_read_time(form),
    )


def _read_stop(form: Mapping[str, str]) -> Said:
    """Read that somebody opted out: that alone names a number and a sender, and no message."""
    address = find_number(expect_field(form, "phoneNumber"))
    sender = expect_field(form, "senderId")
    return Said(f"stop:{address}:{sender}", address, _STOP, keyword=_STOP)


def _read_time(form: Mapping[str, str]) -> int:
    try:
        return parse_instant(form.get("date", ""))
    except ValueError:
        return 0


def _build(_name: str, settings: AfricastalkingSettings, workshop: Workshop) -> HttpChannel:
    return HttpChannel(AfricastalkingProvider(settings), workshop.wire)


ADAPTER = Adapter(
    AfricastalkingSettings,
    _build,
    {
        "username": "NEXTBEAT_AFRICASTALKING_USERNAME",
        "api_key": "NEXTBEAT_AFRICASTALKING_API_KEY",
        "from": "NEXTBEAT_AFRICASTALKING_FROM",
        "url": "NEXTBEAT_AFRICASTALKING_URL",
    },
    secrets=("api_key",),
)
HOOK = HookKind(
    (_KEY_VARIABLE,), lambda environment: AfricastalkingHook(environment[_KEY_VARIABLE])
)
