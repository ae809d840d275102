"""Postmark's webhooks: what became of mail that left by SMTP through its relay.

Set the channel's `relay: postmark`, so that every event has our message id.

Formats: postmarkapp.com/developer/webhooks (bounce, delivery, open, click, spam complaint and
subscription change), and for the types of bounces …/developer/api/bounce-api#bounce-types.
Postmark signs nothing: it sends the user and password of the webhook's address as HTTP Basic
authentication, so these are the proof. Use them over HTTPS only.
"""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime

from adapters.channels.bounces import find_code, read_own_id
from adapters.channels.hooks import ForgedError, HookKind, HookRequest, Notice, Said
from adapters.channels.proofs import (
    Fields,
    expect_header,
    find_fields,
    find_instant,
    find_text,
    is_same,
    read_fields,
    read_json,
)
from engine.errors import InputError
from engine.events import Failure, ReceiptStatus

CREDENTIALS_VARIABLE = "NEXTBEAT_POSTMARK_CREDENTIALS"
OWN_ID = "message_id"  # the metadata that `letter` gives along

_SECRET_LENGTH_MIN = 16
# The kinds of records, and where each says when it happened.
_KINDS = {
    "Delivery": (ReceiptStatus.DELIVERED, "DeliveredAt"),
    "Bounce": (ReceiptStatus.FAILED, "BouncedAt"),
    "SpamComplaint": (ReceiptStatus.COMPLAINED, "BouncedAt"),
    "Open": (ReceiptStatus.OPENED, "ReceivedAt"),
    "Click": (ReceiptStatus.CLICKED, "ReceivedAt"),
    "SubscriptionChange": (ReceiptStatus.UNSUBSCRIBED, "ChangedAt"),
}
_BOUNCES = {
    "HardBounce": Failure.ADDRESS_DEAD,
    "BadEmailAddress": Failure.ADDRESS_DEAD,
    "AddressChange": Failure.ADDRESS_DEAD,
    "Transient": Failure.TRANSIENT,  # it is still being tried
    "SoftBounce": Failure.UNREACHABLE,
    "DnsError": Failure.UNREACHABLE,
    "Unknown": Failure.UNREACHABLE,
    "ManuallyDeactivated": Failure.UNREACHABLE,
    "Blocked": Failure.CONTENT,
    "SpamNotification": Failure.CONTENT,
    "VirusNotification": Failure.CONTENT,
    "SMTPApiError": Failure.CONTENT,
    "TemplateRenderingFailed": Failure.CONTENT,
    "DMARCPolicy": Failure.CONFIG,
    "Unconfirmed": Failure.CONFIG,
}
# Bounces that are in truth something the recipient said.
_SAID = {
    "Unsubscribe": ReceiptStatus.UNSUBSCRIBED,
    "SpamComplaint": ReceiptStatus.COMPLAINED,
}


class PostmarkHook:
    """The receiving side of the webhooks."""

    def __init__(self, credentials: str) -> None:
        """Take `user:password`. Raises ValueError where that can be guessed."""
        user, colon, password = credentials.partition(":")
        if not user or not colon or len(password) < _SECRET_LENGTH_MIN:
            message = f"expected user:password, the password of {_SECRET_LENGTH_MIN} characters"
            raise ValueError(message)
        self._expected = "Basic " + b64encode(credentials.encode()).decode()

    def verify(self, request: HookRequest, present: datetime) -> None:
        """Check who calls."""
        del present  # nothing tells when it was sent
        if not is_same(expect_header(request, "authorization"), self._expected):
            raise ForgedError("the user or the password is not the webhook's")

    def read(self, request: HookRequest) -> list[Notice | Said]:
        """Read one record."""
        record = read_fields(read_json(request.body))
        kind = find_text(record, "RecordType")
        if kind not in _KINDS:
            return []
        status, dated = _KINDS[kind]
        sent = find_text(record, "MessageID")
        if not sent:  # an address was put on, or off, a list by hand: that is of no message
            if kind == "SubscriptionChange":
                return []
            raise InputError("missing_field", "expected the id of a message", "MessageID")
        told = _read_bounce(record) if kind == "Bounce" else _read_plain(record, status)
        if told is None:
            return []
        number = find_text(record, "ID") or find_text(record, dated)
        notice = Notice(
            id=f"{sent}:{kind}:{number}",
            status=told.status,
            at=find_instant(record, dated),
            message_id=read_own_id(find_text(find_fields(record, "Metadata"), OWN_ID)),
            provider_id=sent,
            code=told.code,
            permanent=told.permanent,
            failure=told.failure,
        )
        return [notice]

    def greet(self, request: HookRequest) -> bytes | None:  # noqa: ARG002 - as hooks are asked
        """Postmark asks nothing."""
        return None


def _read_plain(record: Fields, status: ReceiptStatus) -> Notice | None:
    """Read what is no bounce; of subscriptions only those a recipient ended."""
    if status is ReceiptStatus.UNSUBSCRIBED:
        by_recipient = find_text(record, "Origin") == "Recipient"
        if record.get("SuppressSending") is not True or not by_recipient:
            return None
        if find_text(record, "SuppressionReason") != "ManualSuppression":
            return None  # a bounce or a complaint, which is told by a record of its own
    return Notice("", status)


def _read_bounce(record: Fields) -> Notice | None:
    """Read a bounce; out-of-office answers and the like are none."""
    kind = find_text(record, "Type")
    if kind in _SAID:
        return Notice("", _SAID[kind])
    failure = _BOUNCES.get(kind)
    if failure is None:
        return None
    code = find_code(find_text(record, "Details"), find_text(record, "Description")) or kind
    is_final = failure is not Failure.TRANSIENT
    return Notice("", ReceiptStatus.FAILED, code=code, permanent=is_final, failure=failure)


def _make(environment: Mapping[str, str]) -> PostmarkHook:
    return PostmarkHook(environment[CREDENTIALS_VARIABLE])


HOOK = HookKind((CREDENTIALS_VARIABLE,), _make)
