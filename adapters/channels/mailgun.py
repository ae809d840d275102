"""Mailgun's webhooks: what became of mail that left by SMTP through its relay.

Set the channel's `relay: mailgun`, so that every event has our message id.

Formats: documentation.mailgun.com, "Webhooks" and "Events"; for the signature "Securing Webhooks":
HMAC-SHA256 with the webhook signing key over timestamp and token, in hex, within the body.

*Rules*
- The signature does not cover what is told, so its token may be used for one body only: the same
  body again is a repetition, another one is forged. Tokens are remembered for as long as they are
  valid, in memory.
"""

import hmac
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

import msgspec

from adapters.channels.bounces import find_code, judge_bounce, read_own_id
from adapters.channels.hooks import ForgedError, HookKind, HookRequest, Notice, Said
from adapters.channels.proofs import (
    Fields,
    check_age,
    find_fields,
    find_seconds,
    find_text,
    is_same,
    read_digits,
    read_fields,
    read_json,
)
from engine.errors import InputError
from engine.events import Failure, ReceiptStatus
from engine.instants import HOUR_MS

KEY_VARIABLE = "NEXTBEAT_MAILGUN_SIGNING_KEY"
OWN_ID = "message_id"  # the user variable that `letter` gives along

_PATIENCE_MS = 8 * HOUR_MS  # how long Mailgun repeats what is not answered
_TOKENS_MAX = 100_000
_PERMANENT = "permanent"
_STATUSES = {
    "accepted": ReceiptStatus.ACCEPTED,
    "delivered": ReceiptStatus.DELIVERED,
    "failed": ReceiptStatus.FAILED,
    "rejected": ReceiptStatus.FAILED,
    "opened": ReceiptStatus.OPENED,
    "clicked": ReceiptStatus.CLICKED,
    "complained": ReceiptStatus.COMPLAINED,
    "unsubscribed": ReceiptStatus.UNSUBSCRIBED,
}
_BY_MACHINES = (ReceiptStatus.OPENED, ReceiptStatus.CLICKED)
# Why Mailgun did not even try, by `reason`.
_SUPPRESSED = {
    "suppress-bounce": Failure.ADDRESS_DEAD,
    "suppress-complaint": Failure.CONSENT,
    "suppress-unsubscribe": Failure.CONSENT,
}


class MailgunHook:
    """The receiving side of the webhooks."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        self._used: OrderedDict[bytes, bytes] = OrderedDict()  # token -> its body, as hashes

    def verify(self, request: HookRequest, present: datetime) -> None:
        """Check the signature within the body, and that its token was not used for another one."""
        try:
            body = read_fields(read_json(request.body))
        except InputError:
            raise ForgedError("the body is no object, so there is no signature in it") from None
        signature = find_fields(body, "signature")
        timestamp, token = find_text(signature, "timestamp"), find_text(signature, "token")
        expected = hmac.new(self._key, (timestamp + token).encode(), sha256).hexdigest()
        if not token or not is_same(find_text(signature, "signature"), expected):
            raise ForgedError("the signature is not Mailgun's")
        check_age(read_digits(timestamp), _PATIENCE_MS, present)
        self._spend(token, request.body)

    def _spend(self, token: str, body: bytes) -> None:
        spent, told = sha256(token.encode()).digest(), sha256(body).digest()
        if self._used.setdefault(spent, told) != told:
            raise ForgedError("the token of the signature was used before, for something else")
        if len(self._used) > _TOKENS_MAX:
            self._used.popitem(last=False)

    def read(self, request: HookRequest) -> list[Notice | Said]:
        """Read one event."""
        body = read_fields(read_json(request.body))
        event = read_fields(body.get("event-data"), "event-data")
        status = _STATUSES.get(find_text(event, "event"))
        if status is None:
            return []
        if not find_text(event, "id"):
            raise InputError("missing_field", "expected the id of the event", "event-data.id")
        if status in _BY_MACHINES and find_text(find_fields(event, "client-info"), "bot"):
            status = ReceiptStatus.MACHINE_OPENED
        sent = find_text(find_fields(event, "message", "headers"), "message-id")
        own = find_text(find_fields(event, "user-variables"), OWN_ID)
        told = Notice(
            id=find_text(event, "id"),
            status=status,
            at=find_seconds(event, "timestamp"),
            message_id=read_own_id(own or sent),
            provider_id=f"<{sent}>" if sent else "",
        )
        return [_explain(told, event) if status is ReceiptStatus.FAILED else told]

    def greet(self, request: HookRequest) -> bytes | None:  # noqa: ARG002 - as hooks are asked
        """Mailgun asks nothing."""
        return None


def _explain(told: Notice, event: Fields) -> Notice:
    """Add to a failure what it asks for."""
    status = find_fields(event, "delivery-status")
    text = f"{find_text(status, 'message')} {find_text(status, 'description')}"
    code = find_code(find_text(status, "enhanced-code"), text, find_text(status, "code"))
    reason = find_text(event, "reason")
    is_rejected = find_text(event, "event") == "rejected"
    is_final = is_rejected or find_text(event, "severity") == _PERMANENT
    failure = Failure.CONTENT if is_rejected else judge_bounce(code, text, is_final=is_final)
    return msgspec.structs.replace(
        told,
        code=code or reason or "failed",
        permanent=is_final,
        failure=_SUPPRESSED.get(reason, failure),
    )


def _make(environment: Mapping[str, str]) -> MailgunHook:
    return MailgunHook(environment[KEY_VARIABLE])


HOOK = HookKind((KEY_VARIABLE,), _make)
