"""What the reading half of the gateway answers: one struct for each JSON object.

Filled by `adapters.gateway.readable`, sent by `query`, described by `openapi`. They are the
outside's view and never travel inwards. Instants are text (`2026-03-02T05:12:00Z`), absent values
are null, so that a reader sees what there could have been.
"""

from typing import Annotated, Any, Literal

import msgspec

Instant = Annotated[
    str,
    msgspec.Meta(
        description="An instant in UTC, with milliseconds only where they are not zero.",
        examples=["2026-03-02T05:12:00Z"],
        extra_json_schema={"format": "date-time"},
    ),
]
Cursor = Annotated[
    str | None,
    msgspec.Meta(description="Give this back as `cursor` for the next page; null at the end."),
]


class TraceLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one rule said about one channel."""

    channel: str
    check: str
    result: Literal["passed", "blocked", "passed_over"]
    rule: str = ""
    until: Instant | None = None
    seen: str = ""
    version: str = ""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One decision about one proposed message, with everything that led to it."""

    decision_id: str
    at: Instant
    customer: str
    cause: dict[str, str]
    journey: str
    step: str
    message: str
    message_type: str
    outcome: Literal["send", "defer", "drop", "substitute"]
    reason: str
    reason_class: Literal["healthy", "blocking", "error"]
    channel: str | None
    next_eligible: Instant | None
    proposed_at: Instant
    expires_at: Instant | None
    trace: list[TraceLine]
    program: str
    message_id: str | None = None


class DecisionPage(msgspec.Struct, frozen=True):
    """Decisions, newest first."""

    decisions: list[Decision]
    next: Cursor


class Identity(msgspec.Struct, frozen=True):
    """What a customer is known by, and the channels it makes them reachable on."""

    namespace: str
    value: str
    channels: list[str]
    since: Instant | None = None


class Owner(msgspec.Struct, frozen=True):
    """Whose an identity is."""

    namespace: str
    value: str
    customer: str


class Consent(msgspec.Struct, frozen=True):
    """The latest statement for a purpose on a channel (`*` means all), or for a message type.

    `in_force` says whether it is consent now: granted, confirmed where that is asked, not over.
    """

    purpose: str
    channel: str
    status: Literal["granted", "denied", "withdrawn", "pending"]
    at: Instant
    source: str
    basis: str
    proof: str
    expires_at: Instant | None
    message_type: str
    in_force: bool


class Session(msgspec.Struct, frozen=True):
    """Whether the customer is here now."""

    open: bool
    since: Instant | None
    last_active_at: Instant | None


class JourneyStay(msgspec.Struct, frozen=True):
    """Where in a journey the customer stands, and until when it waits there."""

    journey: str
    version: str
    instance: int
    step: str
    entered_at: Instant
    entered_by: str
    waiting_until: Instant | None
    waiting_for: Literal["time", "event", "message", "answer", "nothing"]


class PendingMessage(msgspec.Struct, frozen=True):
    """A message that was deferred: it is decided again at `next_eligible`."""

    message: str
    message_type: str
    channel: str
    journey: str
    step: str
    next_eligible: Instant
    reason: str | None
    decision_id: str | None
    proposed_at: Instant
    expires_at: Instant | None


class SentMessage(msgspec.Struct, frozen=True):
    """A message that left, and what came back about it."""

    message_id: str
    message: str
    message_type: str
    channel: str
    at: Instant
    journey: str
    step: str
    statuses: list[str]


class Suppression(msgspec.Struct, frozen=True):
    """A rule that keeps messages back at the moment."""

    rule: str
    until: Instant


class Place(msgspec.Struct, frozen=True):
    """Where a customer is, as contact rules take it, and where that is known from.

    Where several zones are plausible a rule must hold in each; the first is shown to people.
    """

    timezone: str
    timezones: list[str]
    source: Literal["profile", "device", "phone", "address", "workspace"]
    confidence: Literal["high", "medium", "low"]
    country: str | None
    subdivision: str | None


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known and pending about one customer."""

    customer: str
    first_seen_at: Instant | None
    timezone: str | None
    place: Place
    traits: dict[str, Any]
    live: dict[str, Any]
    identities: list[Identity]
    consents: list[Consent]
    session: Session
    journeys: list[JourneyStay]
    pending: list[PendingMessage]
    sends: list[SentMessage]
    suppressions: list[Suppression]
    journeys_done: dict[str, int]
    decisions_made: int
    merged: list[str]  # customers who turned out to be this one
    apart: list[str]  # customers this one was parted from
    segments: dict[str, Instant]  # those they are in, and since when


InputKind = Literal[
    "event",
    "receipt",
    "timer",
    "scrubbed",
    "linked",
    "unlinked",
    "merged",
    "departed",
    "refused",
    "restored",
    "review",
    "rebirth",
    "abridged",
    "answered",
    "redeliver",
]


Topic = Literal[
    "event",
    "receipt",
    "timer",
    "decision",
    "consent",
    "journey",
    "segment",
    "listing",
    "change",
    "merge",
    "rebirth",
    "abridged",
    "call",
]


class ProfileChange(msgspec.Struct, frozen=True):
    """One thing that is otherwise since an input.

    `was` is null where there was nothing, and absent where it lies too far back to be known.
    """

    of: Literal[
        "trait",
        "timezone",
        "locale",
        "consent",
        "session",
        "suppression",
        "listing",
        "journey",
        "segment",
    ]
    name: str
    now: Any
    was: Any = msgspec.UNSET


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One input as it is in the journal, with what it was about and what it led to.

    `customer` is whose entry it was when it was written: that of who was merged into this customer
    may be another. `changes` are what the input, which is their cause, changed in the profile.
    """

    seq: int
    at: Instant
    kind: InputKind
    name: str
    program: str
    input: dict[str, Any]
    records: list[dict[str, Any]]
    customer: str
    about: list[Topic]
    channels: list[str]
    cause: dict[str, str]
    changes: list[ProfileChange]


class TimelinePage(msgspec.Struct, frozen=True):
    """Journal entries of one customer, newest first.

    A page may have few entries, or none, and go on: looking for what is rare is done in portions.
    """

    customer: str
    entries: list[TimelineEntry]
    next: Cursor
    timezone: str  # where the customer is taken to be, for showing local times


class QuarantinedItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item that was not understood, and why; the payload is shown up to a length."""

    number: int
    received_at: Instant
    source: str
    code: str
    path: str
    message: str
    payload: str
    payload_bytes: int
    truncated: bool


class QuarantinePage(msgspec.Struct, frozen=True):
    """Quarantined items, newest first."""

    items: list[QuarantinedItem]
    next: Cursor


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that did not arrive as far as we know: how it ended, and who had it last."""

    message_id: str
    customer: str
    channel: str
    state: str
    code: str
    detail: str
    attempts: int
    provider: str
    message: str
    message_type: str
    journey: str
    step: str
    address: str
    decided_at: Instant | None


class DeadLetterPage(msgspec.Struct, frozen=True):
    """Dead letters, newest first; `next` is to be given back as `before` for the next page."""

    letters: list[DeadLetter]
    next: str | None


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A segment of the workspace: how many are in it, and how many came and left today."""

    segment: str
    condition: str
    size: int
    entered_today: int
    left_today: int


class SegmentReview(msgspec.Struct, frozen=True, kw_only=True):
    """How far all customers have been looked at since the workspace's segments changed."""

    done: bool
    looked_at: int
    total: int
    changed: int
    began_at: Instant | None
    ended_at: Instant | None


class SegmentList(msgspec.Struct, frozen=True, kw_only=True):
    """All segments; `today_since` is when the day began in the workspace's time zone."""

    segments: list[Segment]
    today_since: Instant
    review: SegmentReview | None


class Member(msgspec.Struct, frozen=True):
    """A customer who is in a segment, and since when."""

    customer: str
    since: Instant


class MemberPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some who are in a segment, in the order of their ids."""

    segment: str
    members: list[Member]
    next: Cursor


class Act(msgspec.Struct, frozen=True):
    """An administrative act: who did what, to whom or what."""

    number: int
    at: Instant
    who: str
    act: str
    subject: str
    detail: str


class ActPage(msgspec.Struct, frozen=True):
    """Administrative acts, newest first."""

    acts: list[Act]
    next: Cursor


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """An erasure of a customer: `state` is `done` when nothing is left, in the files as well.

    What happened up to `erased_at` is refused from then on; `entries` is how much there was.
    """

    number: int
    state: Literal["erasing", "cleaning", "done"]
    asked_at: Instant
    erased_at: Instant
    entries: int


class RuleBlock(msgspec.Struct, frozen=True):
    """A rule that stands in the way, and until when; null where nobody knows."""

    check: str
    reason: str
    rule: str
    version: str  # of the rule, where it is not the workspace's own
    until: Instant | None
    seen: str


class ChannelAnswer(msgspec.Struct, frozen=True):
    """What stands in the way on one channel, and when it is next free, if it ever is."""

    channel: str
    eligible: bool
    next_eligible: Instant | None
    blocks: list[RuleBlock]


class Eligibility(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a message may go to a customer at an instant, why not, when, and what would help.

    `outcome`, `reason`, `channel`, `next_eligible` and `trace` are those of the decision that would
    be made then; `channels` looks at every channel by itself.
    """

    customer: str
    known: bool
    message: str
    at: Instant
    eligible: bool
    outcome: Literal["send", "defer", "drop", "substitute"]
    reason: str
    reason_class: Literal["healthy", "blocking", "error"]
    channel: str | None
    next_eligible: Instant | None
    place: Place
    channels: list[ChannelAnswer]
    trace: list[TraceLine]
    changes: list[str]
    program: str


class Health(msgspec.Struct, frozen=True):
    """Whether this process lives, or can take inputs."""

    status: Literal["ok", "unready"]
    reason: str = ""
    # What is wrong with providers of channels, if anything; the process itself is well.
    providers: list[str] | msgspec.UnsetType = msgspec.UNSET


class CatalogueKinds(msgspec.Struct, frozen=True):
    """How many items of each kind the catalogue has."""

    kinds: dict[str, int]


class CatalogueItem(msgspec.Struct, frozen=True):
    """One item of the catalogue."""

    id: str
    fields: dict[str, Any]


class CataloguePage(msgspec.Struct, frozen=True):
    """Some items of one kind, by id."""

    kind: str
    items: list[CatalogueItem]
    next: Cursor


class CatalogueErrorView(msgspec.Struct, frozen=True):
    """One line that was left out; of an array, the number of the element. Both count from 1."""

    line: int
    code: str
    path: str
    message: str


class CatalogueLoad(msgspec.Struct, frozen=True):
    """What became of the items of one request. `removed` stays 0 where there were errors."""

    success: bool
    stored: int = 0
    unchanged: int = 0
    removed: int = 0
    errors: list[CatalogueErrorView] = []
    errors_total: int = 0
