"""SendGrid's Event Webhook: what became of mail that left by SMTP through its relay.

Set the channel's `relay: sendgrid`, so that every event has our message id. The public key is the
one the console shows where the Signed Event Webhook is switched on.

Formats: twilio.com/docs/sendgrid/for-developers/tracking-events/event, and for the signature
…/getting-started-event-webhook-security-features: ECDSA over P-256 and SHA-256 of the header's
timestamp followed by the raw body, in DER and base64; the key is a SubjectPublicKeyInfo in base64.
"""

from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from adapters.channels.bounces import find_code, judge_bounce, read_own_id
from adapters.channels.hooks import ForgedError, HookKind, HookRequest, Notice, Said
from adapters.channels.proofs import (
    Fields,
    check_age,
    expect_header,
    find_seconds,
    find_text,
    read_digits,
    read_fields,
    read_json,
)
from engine.errors import InputError
from engine.events import Failure, ReceiptStatus
from engine.ids import stable_hash
from engine.instants import DAY_MS
from engine.intake.shapes import is_array

KEY_VARIABLE = "NEXTBEAT_SENDGRID_WEBHOOK_KEY"
OWN_ID = "message_id"  # the unique argument that `letter` gives along

_PATIENCE_MS = DAY_MS  # how long SendGrid repeats what is not answered
_STATUSES = {
    "processed": ReceiptStatus.ACCEPTED,
    "delivered": ReceiptStatus.DELIVERED,
    "deferred": ReceiptStatus.FAILED,
    "bounce": ReceiptStatus.FAILED,
    "dropped": ReceiptStatus.FAILED,
    "open": ReceiptStatus.OPENED,
    "click": ReceiptStatus.CLICKED,
    "spamreport": ReceiptStatus.COMPLAINED,
    "unsubscribe": ReceiptStatus.UNSUBSCRIBED,
    "group_unsubscribe": ReceiptStatus.UNSUBSCRIBED,
}
# Why SendGrid did not even try, by what its `reason` begins with.
_DROPS = {
    "bounced address": Failure.ADDRESS_DEAD,
    "invalid": Failure.ADDRESS_DEAD,
    "unsubscribed address": Failure.CONSENT,
    "spam reporting address": Failure.CONSENT,
    "spam content": Failure.CONTENT,
    "invalid smtpapi header": Failure.CONTENT,
    "recipient list over package quota": Failure.CONFIG,
}


class SendgridHook:
    """The receiving side of the Event Webhook."""

    def __init__(self, key: str) -> None:
        """Take the public key. Raises ValueError where it is none."""
        loaded = load_der_public_key(b64decode(key, validate=True))
        if not isinstance(loaded, EllipticCurvePublicKey):
            message = f"{KEY_VARIABLE} is a key of another kind than SendGrid's, which is ECDSA"
            raise ValueError(message)  # noqa: TRY004 - as for every key that is none
        self._key = loaded

    def verify(self, request: HookRequest, present: datetime) -> None:
        """Check the signature, which is over time and body."""
        prefix = "x-twilio-email-event-webhook"
        timestamp = expect_header(request, f"{prefix}-timestamp")
        try:
            signature = b64decode(expect_header(request, f"{prefix}-signature"), validate=True)
            signed = timestamp.encode() + request.body
            self._key.verify(signature, signed, ECDSA(SHA256()))
        except (InvalidSignature, ValueError):
            raise ForgedError("the signature is not SendGrid's") from None
        check_age(read_digits(timestamp), _PATIENCE_MS, present)

    def read(self, request: HookRequest) -> list[Notice | Said]:
        """Read a list of events."""
        events = read_json(request.body)
        if not is_array(events):
            raise InputError("invalid_type", "expected a list of events")
        read = (_read_event(read_fields(event, f"[{index}]")) for index, event in enumerate(events))
        return [notice for notice in read if notice is not None]

    def greet(self, request: HookRequest) -> bytes | None:  # noqa: ARG002 - as hooks are asked
        """SendGrid asks nothing."""
        return None


def _read_event(event: Fields) -> Notice | None:
    name = find_text(event, "event")
    status = _STATUSES.get(name)
    if status is None:
        return None
    if status is ReceiptStatus.OPENED and event.get("sg_machine_open") is True:
        status = ReceiptStatus.MACHINE_OPENED
    told = Notice(
        id=find_text(event, "sg_event_id") or stable_hash(msgspec.json.encode(event).hex()).hex(),
        status=status,
        at=find_seconds(event, "timestamp"),
        message_id=read_own_id(find_text(event, OWN_ID) or find_text(event, "smtp-id")),
        provider_id=find_text(event, "smtp-id"),
    )
    return _explain(told, name, event) if status is ReceiptStatus.FAILED else told


def _explain(told: Notice, name: str, event: Fields) -> Notice:
    """Add to a failure what it asks for."""
    reason = find_text(event, "reason") or find_text(event, "response")
    code = find_code(find_text(event, "status"), reason)
    is_final = name != "deferred"
    failure = judge_bounce(code, reason, is_final=is_final)
    if name == "dropped":
        words = reason.lower()
        dropped = (each for start, each in _DROPS.items() if words.startswith(start))
        failure = next(dropped, failure)
    elif failure is Failure.ADDRESS_DEAD and find_text(event, "type") == "blocked":
        failure = Failure.UNREACHABLE  # it speaks of this message, and not of the address
    return msgspec.structs.replace(told, code=code or name, permanent=is_final, failure=failure)


def _make(environment: Mapping[str, str]) -> SendgridHook:
    try:
        return SendgridHook(environment[KEY_VARIABLE])
    except ValueError as error:
        message = "expected the verification key as SendGrid's console shows it, in base64"
        raise ValueError(message) from error


HOOK = HookKind((KEY_VARIABLE,), _make)
