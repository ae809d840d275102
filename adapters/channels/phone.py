"""What providers of phone channels share: numbers, what a message holds, what refusals mean.

Called by `twilio`, `vonage`, `messagebird` and `africastalking`.

*Rules*
- A code we know says that the message was not taken. An answer that says nothing we understand
  leaves it open, unless its status alone rules it out.
- What a provider says in words is not handed on: it quotes numbers.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus

import msgspec

from actors.ports import Permanent
from adapters.channels.exchange import read_retry_after
from adapters.channels.provider import PASSING, Refusal
from adapters.channels.wire import Reply
from engine.effects import Send
from engine.errors import Problem, ProgramError
from engine.events import Failure
from engine.instants import SECOND_MS
from engine.program.contentmodel import TEMPLATE_FIELD

USER_AGENT = "Nextbeat"
_NUMBER = re.compile(r"\+[1-9][0-9]{5,14}")
_SERVER_ERROR = 500
_STATUS_FAILURES: Mapping[int, Failure] = {
    HTTPStatus.UNAUTHORIZED: Failure.CONFIG,
    HTTPStatus.PAYMENT_REQUIRED: Failure.CONFIG,
    HTTPStatus.FORBIDDEN: Failure.CONFIG,
    HTTPStatus.NOT_FOUND: Failure.CONFIG,
    HTTPStatus.METHOD_NOT_ALLOWED: Failure.CONFIG,
    HTTPStatus.REQUEST_TIMEOUT: Failure.TRANSIENT,
    HTTPStatus.TOO_EARLY: Failure.RATE,
    HTTPStatus.TOO_MANY_REQUESTS: Failure.RATE,
}


class Kind(StrEnum):
    """What travels over a phone number."""

    SMS = "sms"
    RCS = "rcs"
    WHATSAPP = "whatsapp"
    VOICE = "voice"


class Codes(msgspec.Struct, frozen=True):
    """What the codes of one provider ask for."""

    provider: str
    failures: Mapping[str, Failure]

    def refuse(self, code: str, reply: Reply, present: datetime) -> Refusal:
        """Say why a message was not taken; what we don't know means what the status means."""
        known = self.failures.get(code)
        failure = known or _read_status(reply)
        pause_ms = read_retry_after(reply.headers.get("retry-after"), present)
        is_open = known is None and reply.status != HTTPStatus.SERVICE_UNAVAILABLE
        told = code or str(reply.status)
        return Refusal(
            failure,
            told,
            f"{self.provider} did not take the message ({told})",
            retry_after_ms=pause_ms if failure in PASSING else None,
            maybe_taken=is_open and failure is Failure.TRANSIENT,
        )


def _read_status(reply: Reply) -> Failure:
    status = reply.status
    if status >= _SERVER_ERROR or reply.is_success:
        return Failure.TRANSIENT
    if status < HTTPStatus.BAD_REQUEST:
        return Failure.CONFIG  # a redirect: this is not where the provider is
    return _STATUS_FAILURES.get(status, Failure.CONTENT)


def read_kind(name: str, written: Kind | None, kinds: Iterable[Kind]) -> Kind:
    """Tell what a channel carries: what is written, or its own name. Raises ProgramError."""
    kinds = tuple(kinds)
    kind = next((kind for kind in kinds if kind == (written or name)), None)
    if kind is not None:
        return kind
    message = f"the channel's name does not say what it carries: {name[:80]!r}"
    if written is not None:
        message = f"this provider does not carry {written}"
    raise ProgramError([Problem("kind", message, f"one of {', '.join(kinds)}")])


def read_number(send: Send) -> str:
    """Read the address, E.164 with its plus. Raises Permanent."""
    number = send.address.strip()
    if _NUMBER.fullmatch(number) is None:
        message = "the address is not a phone number in E.164, like +15558675310"
        raise Permanent(message, code="bad_address", failure=Failure.ADDRESS_DEAD)
    return number


def read_body(send: Send) -> str:
    """Read what a message says. Raises Permanent where it says nothing."""
    body = send.content.get("body", "")
    if not body:
        raise refuse_content("the message has no body", "no_body")
    return body


def read_template(send: Send) -> tuple[str, dict[str, str]]:
    """Read the name of what the provider has approved, "" for none, and what is put into it."""
    return send.content.get(TEMPLATE_FIELD, ""), _read_variables(send.content.get("variables", ""))


def _read_variables(text: str) -> dict[str, str]:
    if not text:
        return {}
    try:
        values: _Variables = msgspec.json.decode(text, type=_Variables)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        message = "variables is neither a JSON object nor a list of texts"
        raise refuse_content(message, "bad_variables") from None
    named = values.items() if isinstance(values, dict) else enumerate(values, start=1)
    return {str(name): str(value) for name, value in named}


_Value = str | int | float
_Variables = dict[str, _Value] | list[_Value]


def refuse_content(message: str, code: str) -> Permanent:
    """Say that a message can't be said on this channel as it is."""
    return Permanent(message, code=code, failure=Failure.CONTENT)


def lifetime_s(send: Send, bounds_s: tuple[int, int], present: datetime) -> int | None:
    """Say how long the provider may try, from what is left until the message expires.

    None where it never does. Where business time is not real time, what is left can't be told,
    and it is as long as it was from the decision on.
    """
    if send.expires_at is None:
        return None
    span_ms = send.expires_at - send.decided_at
    left_ms = send.expires_at - round(present.timestamp() * SECOND_MS)
    if not 0 < left_ms < span_ms:
        left_ms = span_ms
    least_s, most_s = bounds_s
    return max(least_s, min(left_ms // SECOND_MS, most_s))


def find_number(text: str) -> str:
    """Write a number that came without its plus, or with a channel before it, as E.164."""
    digits = text.rpartition(":")[2].strip().removeprefix("+").removeprefix("00")
    is_number = digits.isascii() and digits.isdigit()
    return f"+{digits}" if is_number else digits
