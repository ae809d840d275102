"""Requests in the imperative, derived from records: what `actors` does once they are durable."""

from typing import Any

import msgspec

# A field of `content` beside `body`: its template is HTML, and what was filled in is escaped.
BODY_FORMAT = "body_format"
HTML = "html"


class Send(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Hand this message to its channel."""

    message_id: str
    decision_id: str
    customer: str
    channel: str
    address: str
    message: str
    message_type: str
    purpose: str
    journey: str
    step: str
    content: dict[str, str]
    decided_at: int
    expires_at: int | None
    extra: dict[str, Any] = {}


class Wake(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Give this customer a `Tick` at `at`, never before."""

    customer: str
    timer: int
    at: int


class Unwake(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Forget a timer set earlier."""

    customer: str
    timer: int
    at: int


Effect = Send | Wake | Unwake
