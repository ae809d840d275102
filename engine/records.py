"""Facts in the past tense: the only things that change a profile.

Made by `decide`, folded by `evolve`, journaled as msgpack arrays by `actors`. Fields are added at
the end, never moved; tags are never reused.
"""

from enum import StrEnum
from typing import Any

import msgspec

from engine.events import ConsentStatement
from engine.origins import Origin
from engine.reasons import Outcome, Reason


class Check(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One line of a trace: what one rule said about one channel."""

    channel: str
    check: str  # consent, reachable, capability, content, same_message, suppress, channel_cap …
    result: str  # passed, blocked, or passed_over (the channel can't carry it at all)
    rule: str = ""  # where the rule is written, like `channels.email.window`
    until: int | None = None  # when it releases; None: no known instant
    seen: str = ""  # what the rule looked at, in words
    version: str = ""  # of a rule that is not the workspace's own, like a region's


class Decided(msgspec.Struct, frozen=True, array_like=True, tag="decided", gc=False):
    """One decision about one proposed message: the audit trail's unit.

    `proposal` joins the decisions about one proposal, from its first deferral to its end.
    `message_id`, `address`, `content` and `purpose` are set where something is to be sent.
    """

    decision_id: str
    at: int
    cause_kind: str  # event, receipt, answer, timer …
    cause: str
    journey: str
    instance: int
    step: str
    message: str
    message_type: str
    outcome: Outcome
    reason: Reason
    channel: str
    next_eligible: int | None
    trace: tuple[Check, ...]
    program: str
    proposal: int
    proposed_at: int
    expires_at: int | None
    pinned: str  # the channel the step insists on, or ""
    failed: tuple[str, ...]  # channels that already failed for good with this proposal
    attempt: int = 0  # sends of this proposal before this one
    message_id: str = ""
    address: str = ""
    content: dict[str, str] = {}
    purpose: str = ""
    counts: bool = True
    event: dict[str, Any] = {}  # for content on another channel, if this one fails for good
    vars: dict[str, Any] = {}  # and the variables its journey had set by then
    follows: int = 0  # the proposal whose message this one follows up on another channel, or 0


class Shape(StrEnum):
    """The kinds of measures."""

    SERIES = "series"
    SUMMARY = "summary"
    DISTINCT = "distinct"
    FIRSTS = "firsts"
    AFFINITY = "affinity"


class Counted(msgspec.Struct, frozen=True, array_like=True, tag="counted", gc=False):
    """An event some condition counts over was kept with the properties that are summed.

    `keep_ms` is how far back the longest condition looks.
    """

    name: str
    at: int
    keep_ms: int
    values: dict[str, float] = {}


class Gathered(msgspec.Struct, frozen=True, array_like=True, tag="gathered", gc=False):
    """An event went into a measure that live traits are read from.

    `keep_ms` is the longest window looked at, or the half-life; 0 is for ever.
    """

    key: str
    shape: Shape
    at: int
    value: str | int | float | bool | None = None
    keep_ms: int = 0
    weight: float = 1.0


class Suppressed(msgspec.Struct, frozen=True, array_like=True, tag="suppressed", gc=False):
    """A suppression rule was set off; it holds until `until`."""

    rule: str
    until: int


class Entered(msgspec.Struct, frozen=True, array_like=True, tag="entered", gc=False):
    """The customer entered a journey in the given version, because of `event`."""

    instance: int
    journey: str
    version: str
    at: int
    event: dict[str, Any] = {}
    event_name: str = ""
    depth: int = 0  # how many `start` steps led here
    key: str = ""  # what tells this stay from others in the same journey
    since_at: int = 0  # when what it began with happened, by its own clock
    keep_ms: int = 0  # how long entries are counted, or 0


class Branched(msgspec.Struct, frozen=True, array_like=True, tag="branched", gc=False):
    """A branch of a `parallel` step began: an instance of its own, with what its parent knows."""

    instance: int
    parent: int
    position: int
    at: int


class BranchEnded(msgspec.Struct, frozen=True, array_like=True, tag="branch_ended", gc=False):
    """A branch came to its end, or was ended with what it was a branch of."""

    instance: int


class Remembered(msgspec.Struct, frozen=True, array_like=True, tag="remembered", gc=False):
    """A variable of a stay was set; None takes it away."""

    instance: int
    name: str
    value: Any


class Allotted(msgspec.Struct, frozen=True, array_like=True, tag="allotted", gc=False):
    """An instance passed a `split` step, and this is the arm it went into."""

    instance: int
    journey: str
    step: str
    arm: str
    at: int


class Emitted(msgspec.Struct, frozen=True, array_like=True, tag="emitted", gc=False):
    """An `emit` step of an instance made an event happen to the customer."""

    name: str
    at: int
    properties: dict[str, Any] = {}
    instance: int = 0


class Called(msgspec.Struct, frozen=True, array_like=True, tag="called", gc=False):
    """A journey decided to call somebody else's service, and waits for the answer.

    `secrets` are the environment variables that hold the values of headers, by header, and
    `signed_with` that of the secret it is signed with; what they hold is nowhere here. Where the
    call can't be made, `refused` says why, and nothing is sent.
    """

    instance: int
    journey: str
    step: str
    call_id: str
    method: str
    url: str
    headers: dict[str, str]
    body: str  # JSON
    at: int
    timeout_ms: int
    secrets: dict[str, str] = {}
    signed_with: str = ""
    takes_answer: bool = False
    allow_private: bool = False
    refused: str = ""


class CallRecalled(msgspec.Struct, frozen=True, array_like=True, tag="call_recalled", gc=False):
    """An instance left that waited for an answer: nobody does any more."""

    call_id: str


class Moved(msgspec.Struct, frozen=True, array_like=True, tag="moved", gc=False):
    """An instance stands before the instruction `position` of its journey."""

    instance: int
    position: int


class Migrated(msgspec.Struct, frozen=True, array_like=True, tag="migrated", gc=False):
    """An instance goes on in another version of its journey, before that one's `position`."""

    instance: int
    version: str
    position: int


class Exited(msgspec.Struct, frozen=True, array_like=True, tag="exited", gc=False):
    """An instance left its journey, for a named reason; `converted` when its goal was met."""

    instance: int
    journey: str
    reason: str
    at: int
    converted: bool = False
    taken_out: bool = False  # by `exit_on`: nothing follows what it sent


class Assigned(msgspec.Struct, frozen=True, array_like=True, tag="assigned", gc=False):
    """A `set` step wrote a trait."""

    trait: str
    value: Any


class WakeSet(msgspec.Struct, frozen=True, array_like=True, tag="wake_set", gc=False):
    """A timer was set: for a waiting instance, a deferred proposal, the segments or the agenda."""

    timer: int
    at: int
    kind: str  # instance, proposal, fallback, segments or agenda
    target: int


class WakeCleared(msgspec.Struct, frozen=True, array_like=True, tag="wake_cleared", gc=False):
    """A timer fired or is no longer needed."""

    timer: int
    at: int


class ReceiptNoted(msgspec.Struct, frozen=True, array_like=True, tag="receipt_noted", gc=False):
    """A receipt was matched with the send it speaks of."""

    message_id: str
    status: str
    at: int
    code: str = ""
    released: bool = False  # a definitive failure: the slot is given back
    hour: int = -1  # of the customer's week, from Monday at midnight, where they did something


class ReachNoted(msgspec.Struct, frozen=True, array_like=True, tag="reach_noted", gc=False):
    """A channel's provider said that an address can't be reached there.

    It is given up until `until`, for good where that is None; 0 is not yet.
    """

    channel: str
    address: str
    failure: str  # one of `Failure`
    code: str
    at: int
    until: int | None


class Overtaken(msgspec.Struct, frozen=True, array_like=True, tag="overtaken", gc=False):
    """A message had not left when its proposal went to another channel: it is to stay here."""

    message_id: str


class SessionBegan(msgspec.Struct, frozen=True, array_like=True, tag="session_began", gc=False):
    """The customer came back after the workspace's session time: a new session started."""

    at: int
    name: str = ""  # of the event
    origin: Origin | None = None  # where from, if it told


class ConsentNoted(msgspec.Struct, frozen=True, array_like=True, tag="consent_noted", gc=False):
    """A receipt spoke of consent: an unsubscribe or a complaint."""

    statement: ConsentStatement


class SegmentEntered(msgspec.Struct, frozen=True, array_like=True, tag="segment_entered", gc=False):
    """The customer came into a segment; `reviewed` where only the workspace had changed."""

    segment: str
    at: int
    reviewed: bool = False


class SegmentLeft(msgspec.Struct, frozen=True, array_like=True, tag="segment_left", gc=False):
    """The customer is no longer in a segment; `reviewed` where only the workspace had changed."""

    segment: str
    at: int
    reviewed: bool = False


class SegmentsReviewed(
    msgspec.Struct, frozen=True, array_like=True, tag="segments_reviewed", gc=False
):
    """All segments of a version were looked at for this customer."""

    version: int


class AgendaKept(msgspec.Struct, frozen=True, array_like=True, tag="agenda_kept", gc=False):
    """What begins by the calendar was looked at by another clock than before, or has an end.

    `from_at` is up to when that clock was looked at where it is behind the one before, else 0;
    `next_at` is when the next journey begins, if one does.
    """

    zone: str
    from_at: int
    next_at: int


class Duplicated(msgspec.Struct, frozen=True, array_like=True, tag="duplicated", gc=False):
    """The input had been seen before; nothing else happened."""

    id: str


class Unmatched(msgspec.Struct, frozen=True, array_like=True, tag="unmatched", gc=False):
    """A receipt or a tick found nothing it could speak of; an event, not the customer it is for."""

    what: str


class Truncated(msgspec.Struct, frozen=True, array_like=True, tag="truncated", gc=False):
    """A bound was reached and something was left out, by name of the bound."""

    bound: str
    detail: str = ""


Record = (
    Decided
    | Counted
    | Gathered
    | Suppressed
    | Entered
    | Moved
    | Migrated
    | Exited
    | Branched
    | BranchEnded
    | Remembered
    | Allotted
    | Emitted
    | Assigned
    | WakeSet
    | WakeCleared
    | ReceiptNoted
    | SessionBegan
    | ConsentNoted
    | SegmentEntered
    | SegmentLeft
    | SegmentsReviewed
    | AgendaKept
    | Duplicated
    | Unmatched
    | Truncated
    | Called
    | CallRecalled
    | ReachNoted
    | Overtaken
)
