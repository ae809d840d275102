"""What Twilio tells us: statuses of messages and calls, and what people write back.

Signatures are as https://www.twilio.com/docs/usage/webhooks/webhooks-security has them: over the
URL and the sorted fields of the form, or over the URL, with the body's SHA-256 in it, where the
body is no form. They hold no time, so a copy is as good as the original; it has the same id, and
so no second effect. Statuses: https://www.twilio.com/docs/messaging/guides/track-outbound-message-status
and https://www.twilio.com/docs/voice/api/call-resource#statuscallbackevent.
"""

import hmac
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha1, sha256

from yarl import URL

from adapters.channels.bodies import read_form
from adapters.channels.hooks import ForgedError, HookKind, HookRequest, Notice, Said
from adapters.channels.phone import find_number
from adapters.channels.proofs import expect_header, is_same
from adapters.channels.twilio_codes import CODES
from engine.errors import InputError
from engine.events import Failure, ReceiptStatus
from engine.instants import SECOND_MS

_TOKEN_VARIABLE = "NEXTBEAT_TWILIO_AUTH_TOKEN"  # noqa: S105 - the name of it
_BODY_HASH = "bodySHA256"
_STATUSES = {
    "sent": ReceiptStatus.ACCEPTED,
    "delivered": ReceiptStatus.DELIVERED,
    "read": ReceiptStatus.OPENED,
    "undelivered": ReceiptStatus.FAILED,
    "failed": ReceiptStatus.FAILED,
    "canceled": ReceiptStatus.FAILED,
}
_CALL_STATUSES = {
    "initiated": ReceiptStatus.ACCEPTED,
    "completed": ReceiptStatus.DELIVERED,
    "busy": ReceiptStatus.FAILED,
    "no-answer": ReceiptStatus.FAILED,
    "failed": ReceiptStatus.FAILED,
    "canceled": ReceiptStatus.FAILED,
}
# Of SIP, https://www.rfc-editor.org/rfc/rfc3261#section-21: not found, gone, incomplete, nowhere.
_SIP_DEAD = ("404", "410", "484", "604")
_KEYWORDS = ("STOP", "START", "HELP")

Form = Mapping[str, str]


class TwilioHook:
    """The receiving side of one account."""

    def __init__(self, auth_token: str) -> None:
        self._key = auth_token.encode()

    def verify(self, request: HookRequest, present: datetime) -> None:  # noqa: ARG002 - no time in it
        """Raise ForgedError unless the account's token signed this URL and this form."""
        given = expect_header(request, "x-twilio-signature")
        told = request.query.get(_BODY_HASH, "")
        fields = ""
        if not told:
            try:
                fields = "".join(name + value for name, value in _signed(request))
            except ValueError:
                raise ForgedError("the body is not the form that was signed") from None
        elif not is_same(told, sha256(request.body).hexdigest()):
            raise ForgedError("the body is not the one that was signed")
        # Twilio itself is not of one mind on whether a port that goes without saying is said.
        urls = (request.url, _switch_port(request.url))
        if not any(is_same(given, self._sign(url + fields)) for url in urls):
            raise ForgedError("the signature is not that of this account's token")

    def read(self, request: HookRequest) -> list[Notice | Said]:
        """Read a status of a message or a call, or what somebody wrote."""
        try:
            form = dict(_fields(request))
        except ValueError:
            raise InputError("unreadable_form", "the body is not a form") from None
        message_id = request.query.get("m", "")
        read = _read_call(form, message_id) if "CallSid" in form else _read(form, message_id)
        return [] if read is None else [read]

    def greet(self, request: HookRequest) -> bytes | None:  # noqa: ARG002 - Twilio asks nothing
        """Twilio asks nothing."""
        return None

    def _sign(self, text: str) -> str:
        return b64encode(hmac.new(self._key, text.encode(), sha1).digest()).decode()


def _fields(request: HookRequest) -> list[tuple[str, str]]:
    """Read what is told: in a form, or in the query where the request is a GET."""
    return read_form(request.body) if request.method == "POST" else list(request.query.items())


def _signed(request: HookRequest) -> list[tuple[str, str]]:
    """Give the fields that are signed besides the URL, in their order."""
    return sorted(set(read_form(request.body))) if request.method == "POST" else []


def _switch_port(text: str) -> str:
    """Write a URL with its port where it has none, and without where it has one."""
    url = URL(text, encoded=True)
    head, mark, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    has_port = url.explicit_port is not None
    host = host.rpartition(":")[0] if has_port else f"{host}:{url.port}"
    return f"{head}{mark}{host}{slash}{path}"


def _read(form: Form, message_id: str) -> Notice | Said | None:
    sid = form.get("MessageSid") or form.get("SmsSid", "")
    if not sid:
        raise InputError("missing_field", "expected MessageSid or CallSid")
    told = form.get("MessageStatus") or form.get("SmsStatus", "")
    if told in ("received", "receiving", "") and form.get("From"):
        return _read_said(form, sid)
    status = _STATUSES.get(told)
    if status is None:
        return None
    code = form.get("ErrorCode", "")
    is_failed = status is ReceiptStatus.FAILED
    return Notice(
        f"{sid}:{told}",
        status,
        message_id=message_id,
        provider_id=sid,
        code=(code or told) if is_failed else "",
        permanent=is_failed,
        failure=CODES.failures.get(code) if is_failed else None,
    )


def _read_said(form: Form, sid: str) -> Said:
    keyword = form.get("OptOutType", "").upper()
    return Said(
        sid,
        find_number(form["From"]),
        form.get("ButtonText") or form.get("Body", ""),
        answers=form.get("OriginalRepliedMessageSid", ""),
        keyword=keyword if keyword in _KEYWORDS else "",
    )


def _read_call(form: Form, message_id: str) -> Notice | None:
    """Read how a call went; one that a machine took has reached nobody."""
    told = form.get("CallStatus", "")
    status = _CALL_STATUSES.get(told)
    if status is None or form.get("Direction", "").startswith("inbound"):
        return None
    code, failure = "", None
    if status is ReceiptStatus.FAILED:
        code, failure = _explain_call(form, told)
    elif told == "completed" and form.get("AnsweredBy", "").startswith(("machine", "fax")):
        status, code, failure = ReceiptStatus.FAILED, "answered_by_machine", Failure.UNREACHABLE
    return Notice(
        f"{form['CallSid']}:{told}",
        status,
        at=_read_time(form.get("Timestamp", "")),
        message_id=message_id,
        provider_id=form["CallSid"],
        code=code,
        permanent=failure is not None,
        failure=failure,
    )


def _explain_call(form: Form, told: str) -> tuple[str, Failure]:
    code = form.get("ErrorCode", "")
    known = CODES.failures.get(code)
    if known is not None:
        return code, known
    sip = form.get("SipResponseCode", "")
    if told == "failed" and sip in _SIP_DEAD:
        return sip, Failure.ADDRESS_DEAD
    return code or told, Failure.UNREACHABLE


def _read_time(text: str) -> int:
    """Read a date as in mails; 0 where there is none."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 0
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * SECOND_MS


HOOK = HookKind((_TOKEN_VARIABLE,), lambda environment: TwilioHook(environment[_TOKEN_VARIABLE]))
