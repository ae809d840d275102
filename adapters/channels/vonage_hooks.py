"""What Vonage tells us: statuses and what people write, by the Messages API and by the SMS API.

The Messages API signs by a token in `Authorization`, whose `payload_hash` is that of the body:
https://developer.vonage.com/en/getting-started/concepts/webhooks#decoding-signed-webhooks. The SMS
API signs the fields by `sig`, to be set to SHA-256 HMAC in the dashboard:
https://developer.vonage.com/en/getting-started/concepts/signing-messages. Neither signs the URL,
so nothing is read from it but fields that are signed.
"""

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256

from adapters.channels.bodies import expect_field, read_flat
from adapters.channels.claims import check_body, find_moment, read_token
from adapters.channels.hooks import ForgedError, HookKind, HookRequest, Notice, Said
from adapters.channels.phone import find_number
from adapters.channels.proofs import (
    Fields,
    check_age,
    find_fields,
    find_instant,
    find_text,
    is_same,
    read_digits,
    read_fields,
    read_json,
)
from adapters.channels.vonage import find_code
from adapters.channels.vonage_codes import MESSAGES, RECEIPTS
from engine.errors import InputError
from engine.events import Failure, ReceiptStatus
from engine.instants import DAY_MS, parse_instant

_SECRET_VARIABLE = "NEXTBEAT_VONAGE_SIGNATURE_SECRET"  # noqa: S105 - the name of it
_PATIENCE_MS = DAY_MS  # how long Vonage repeats what is not answered
_SIGNATURE = "sig"
_STATUSES = {
    "submitted": ReceiptStatus.ACCEPTED,
    "delivered": ReceiptStatus.DELIVERED,
    "read": ReceiptStatus.OPENED,
    "rejected": ReceiptStatus.FAILED,
    "undeliverable": ReceiptStatus.FAILED,
    # Of the SMS API.
    "accepted": ReceiptStatus.ACCEPTED,
    "failed": ReceiptStatus.FAILED,
    "expired": ReceiptStatus.FAILED,
}
_EXPIRED = "expired"


class VonageHook:
    """The receiving side of one account."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def verify(self, request: HookRequest, present: datetime) -> None:
        """Raise ForgedError unless the body, or its fields, are signed with the secret."""
        if "authorization" not in request.headers:
            try:
                fields = read_flat(request)
            except InputError:
                raise ForgedError("the body holds nothing that could be signed") from None
            self._verify_fields(fields, present)
            return
        kind, _, token = request.headers["authorization"].partition(" ")
        if kind != "Bearer":
            raise ForgedError("the authorization is not a token")
        claims = read_token(token, self._secret)
        check_age(find_moment(claims, "iat"), _PATIENCE_MS, present)
        check_body(claims, request)
        if not request.body:
            raise ForgedError("there is no body, and only a body is signed")

    def read(self, request: HookRequest) -> list[Notice | Said]:
        """Read a status, or what somebody wrote; a token may also stand over what is flat."""
        fields: Fields = read_flat(request)
        if "message_uuid" in fields:
            fields = read_fields(read_json(request.body))
            read = _read_status(fields) if "status" in fields else _read_said(fields)
        else:
            read = _read_receipt(fields) if "status" in fields else _read_short(fields)
        return [] if read is None else [read]

    def greet(self, request: HookRequest) -> bytes | None:  # noqa: ARG002 - Vonage asks nothing
        """Vonage asks nothing."""
        return None

    def _verify_fields(self, fields: Mapping[str, str], present: datetime) -> None:
        given = fields.get(_SIGNATURE, "")
        if not given:
            raise ForgedError("there is neither a token nor a signature")
        signed = "".join(
            f"&{name}={value.translate(_HIDDEN)}"
            for name, value in sorted(fields.items())
            if name != _SIGNATURE
        )
        expected = hmac.new(self._secret.encode(), signed.encode(), sha256).hexdigest()
        # The documents write it in small letters, and what comes has been seen in capitals.
        if not (is_same(given, expected) or is_same(given, expected.upper())):
            raise ForgedError("the signature is not that of this secret")
        check_age(read_digits(fields.get("timestamp", "")), _PATIENCE_MS, present)


_HIDDEN = str.maketrans("&=", "__")


def _read_status(fields: Fields) -> Notice | None:
    told = find_text(fields, "status")
    uuid = expect_field(fields, "message_uuid")
    status = _STATUSES.get(told)
    if status is None:
        return None
    is_failed = status is ReceiptStatus.FAILED
    error = find_fields(fields, "error")
    code = find_code(find_text(error, "type"), find_text(error, "title")) or find_text(
        error, "code"
    )
    return Notice(
        f"{uuid}:{told}",
        status,
        at=find_instant(fields, "timestamp"),
        message_id=find_text(fields, "client_ref"),
        provider_id=uuid,
        code=(code or told) if is_failed else "",
        permanent=is_failed,
        failure=MESSAGES.failures.get(code) if is_failed else None,
    )


def _read_said(fields: Fields) -> Said | None:
    uuid = expect_field(fields, "message_uuid")
    text = (
        find_text(fields, "text")
        or find_text(find_fields(fields, "button"), "text")
        or find_text(find_fields(fields, "reply"), "title")
    )
    return Said(
        uuid,
        find_number(expect_field(fields, "from")),
        text,
        at=find_instant(fields, "timestamp"),
        answers=find_text(find_fields(fields, "context"), "message_uuid"),
    )


def _read_receipt(fields: Mapping[str, str]) -> Notice | None:
    told = fields["status"]
    uuid = expect_field(fields, "messageId")
    status = _STATUSES.get(told)
    if status is None:
        return None
    is_failed = status is ReceiptStatus.FAILED
    code = fields.get("err-code", "")
    failure = RECEIPTS.failures.get(code)
    if told == _EXPIRED and failure is None:
        failure = Failure.UNREACHABLE
    return Notice(
        f"{uuid}:{told}",
        status,
        at=_read_time(fields),
        message_id=fields.get("client-ref", ""),
        provider_id=uuid,
        code=(code or told) if is_failed else "",
        permanent=is_failed,
        failure=failure if is_failed else None,
    )


def _read_short(fields: Mapping[str, str]) -> Said:
    uuid = expect_field(fields, "messageId")
    sender = find_number(expect_field(fields, "msisdn"))
    return Said(uuid, sender, fields.get("text", ""), at=_read_time(fields))


def _read_time(fields: Mapping[str, str]) -> int:
    """Read `message-timestamp`, UTC without saying so; 0 where it is none."""
    try:
        moment = datetime.fromisoformat(fields.get("message-timestamp", ""))
        return parse_instant(moment.replace(tzinfo=UTC).isoformat())
    except ValueError:
        return 0


HOOK = HookKind((_SECRET_VARIABLE,), lambda environment: VonageHook(environment[_SECRET_VARIABLE]))
