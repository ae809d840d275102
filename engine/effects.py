"""Requests in the imperative, derived from records: what `actors` does once they are durable."""

from typing import Any

import msgspec

# A field of `content` beside `body`: its template is HTML, and what was filled in is escaped.
BODY_FORMAT = "body_format"
HTML = "html"

# Another one: what is to be noticed of this message, taken out of the content as it leaves.
TRACKING = "tracking"
CLICKS, OPENS = "clicks", "opens"


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


class Call(msgspec.Struct, frozen=True, array_like=True, tag="call", gc=False):
    """Make this request for a journey, and tell what was answered.

    `secrets` are headers whose values are in environment variables of these names, `signed_with` is
    the variable of the secret the request is signed with. Nothing is sent from `expires_at` on.
    """

    call_id: str
    customer: str
    journey: str
    step: str
    method: str
    url: str
    headers: dict[str, str]
    secrets: dict[str, str]
    body: str
    called_at: int
    expires_at: int
    signed_with: str = ""
    takes_answer: bool = False  # what was answered is wanted, not only whether it went well
    allow_private: bool = False


class Recall(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Don't make a call any more that nobody waits for, if it did not leave."""

    customer: str
    call_id: str


class Withhold(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Don't hand over a message any more, if it did not leave: another took its place."""

    customer: str
    message_id: str


Effect = Send | Wake | Unwake | Call | Recall | Withhold
