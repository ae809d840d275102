"""What is stored, row by row, and what one commit makes durable together.

Beneath `actors.ports`, whose `Store` takes and gives these; both twins of it keep them.
"""

from typing import NamedTuple

import msgspec

from engine.instants import MINUTE_MS

# How the tags of inputs begin that name other customers, or carry a profile that does. They stand
# behind two bytes: the array's, and the tag's own.
WHO_IS_WHO = (b"link", b"unli", b"merg", b"depa", b"refu", b"rest", b"abri")
QUARTER_MS = 15 * MINUTE_MS  # what crossings of segments are counted by


class Entry(NamedTuple):
    """One row of the journal: an input and the records it led to, of one customer.

    `prev` is the seq of this customer's entry before, or 0: following it walks the customer's
    history backwards without an index. `input` and `records` are msgpack.
    """

    seq: int
    customer: str
    prev: int
    at: int
    program: str
    input: bytes
    records: bytes


class DecisionRow(NamedTuple):
    """One decision with the columns it can be searched by; `body` is the `Decided` record."""

    decision_id: str
    seq: int
    customer: str
    at: int
    journey: str
    message: str
    outcome: str
    reason: str
    channel: str
    body: bytes


class TimerRow(NamedTuple):
    """A wake: due at `at`; `seq` and `place` order timers of one instant as they were set."""

    at: int
    customer: str
    timer: int
    seq: int
    place: int


class SnapshotRow(NamedTuple):
    """A profile as it was after entry `seq` of its customer.

    A `body` that is empty was read from a row that is damaged: nothing in it may be believed.
    """

    customer: str
    seq: int
    body: bytes


class OutboxRow(NamedTuple):
    """A message that is to leave, or has left: `state` is one of `OutboxState`.

    `body` is the `Send` effect as msgpack. `provider` is who had it last, `provider_id` what it is
    called there. `code` and `detail` say how it ended, or why it was put off.
    """

    message_id: str
    customer: str
    channel: str
    state: str
    attempts: int
    body: bytes
    detail: str = ""
    code: str = ""
    provider: str = ""
    provider_id: str = ""


class Spent(NamedTuple):
    """What was spent on a channel on a day (since 1970-01-01), in millionths; less than 0: back."""

    channel: str
    day: int
    micros: int


class OutboxChange(NamedTuple):
    """A new state of a message in the outbox. `done` rows need not be kept for recovery.

    `spent` becomes durable with it, and counts even where a later change of the same commit hides
    the state.
    """

    message_id: str
    state: str
    attempts: int
    detail: str
    code: str = ""
    provider: str = ""
    provider_id: str = ""
    spent: Spent | None = None


class MemberChange(NamedTuple):
    """A customer came into a segment at `at`, or left it."""

    segment: str
    customer: str
    at: int
    is_in: bool


class MemberRow(NamedTuple):
    """A customer who is in a segment, and since when."""

    customer: str
    since: int


class CrossingsRow(NamedTuple):
    """How many came into a segment, and left it, in some time."""

    segment: str
    entered: int
    left: int


class StayRow(NamedTuple):
    """A customer's stay in a journey: before which instruction of which version, since when in it.

    In a commit a row without a journey says that the stay is over, and one of instance 0 that all
    stays of the customer are that came before it.
    """

    customer: str
    instance: int
    journey: str
    version: str
    position: int
    entered_at: int


class StayCount(NamedTuple):
    """How many stays are before one instruction of one version, and of how many customers."""

    journey: str
    version: str
    position: int
    stays: int
    people: int


class ReviewRow(NamedTuple):
    """How far customers were looked at since the segments changed to `version`.

    Customers up to `cursor`, in the order of their ids, are done; `ended_at` is 0 until all are.
    """

    version: int
    cursor: str
    total: int
    looked: int
    changed: int
    began_at: int
    ended_at: int


class QuarantineRow(NamedTuple):
    """An item that was not understood, kept with the reason. `number` is 0 until it is stored."""

    number: int
    received_at: int
    source: str
    code: str
    path: str
    message: str
    payload: bytes


class ActRow(NamedTuple):
    """An administrative act: who did what, to whom or what. `number` is 0 until it is stored.

    `who` is the name of a key, or "command line". `subject` is a customer id, a quarantined item's
    number or a version, as the act has it; of who was erased only a salted hash.
    """

    number: int
    at: int
    who: str
    act: str
    subject: str
    detail: str


class Cutoffs(msgspec.Struct, frozen=True):
    """What is too old to be kept: whatever is from before these instants; None: nothing is."""

    events_at: int | None = None
    decisions_at: int | None = None
    outbox_at: int | None = None
    quarantine_at: int | None = None


class Retired(msgspec.Struct, frozen=True):
    """What one commit takes away because it is old: a portion of each kind.

    Of journal entries up to `seq` the row stays, with its place, its time and its hash, so that the
    chain still verifies. The instants say from when on everything is still there.
    """

    seq: int = 0  # 0: no entries
    events_at: int = 0
    decisions: list[int] = []  # their numbers
    decisions_at: int = 0
    messages: list[str] = []  # that are done
    outbox_at: int = 0
    quarantined: list[int] = []

    def is_empty(self) -> bool:
        """Say whether nothing is too old."""
        return not (self.seq or self.decisions or self.messages or self.quarantined)


class CatalogueRow(NamedTuple):
    """One item of the catalogue: `body` is its fields as msgpack.

    In a commit an empty `body` removes the item; one that was read so was damaged in the store.
    """

    kind: str
    id: str
    body: bytes


class ErasureRow(NamedTuple):
    """An erasure, from when it was asked for until nothing is left: `state` is an `ErasureState`.

    `erased_at` is the instant up to which everything of the person is refused, `entries` how many
    journal entries have been erased. `scope` (msgpack) names whom it is about while there is
    something to be erased; afterwards it is empty, and the row says nothing of anybody.
    """

    number: int
    asked_at: int
    erased_at: int
    state: str
    entries: int
    scope: bytes


class Mentioning(NamedTuple):
    """Whose entries may say one of some names, each with their last that does.

    `reached` is the last entry that was looked at, 0 where there were none.
    """

    customers: dict[str, int]
    reached: int


class Remembering(NamedTuple):
    """Whose snapshots may say one of some names; `reached` is who was looked at last, or ""."""

    customers: list[str]
    reached: str


class Erased(msgspec.Struct):
    """What one commit erases: rows by their keys, as if they had never been.

    Of `entries` the row stays, with its place, its time and its hash, so that the chain still
    verifies. `blanked` are entries in the middle of somebody else's: of these it stays, too, which
    entry was before. `tombstones` are (hash of an identity, until when it is refused).
    """

    customers: list[str] = []  # their snapshots, and all links to them
    links: list[tuple[str, str, str]] = []  # (namespace, value, customer), where it is still so
    entries: list[int] = []
    blanked: list[int] = []
    decisions: list[str] = []
    messages: list[str] = []
    acts: list[tuple[str, str]] = []  # a name in administrative acts, and what stands for it then
    tombstones: list[tuple[bytes, int]] = []
    rows: list[ErasureRow] = []

    def is_empty(self) -> bool:
        """Say whether there is nothing to erase."""
        return not (
            self.customers
            or self.links
            or self.entries
            or self.blanked
            or self.decisions
            or self.messages
            or self.acts
            or self.tombstones
            or self.rows
        )


class Graves(msgspec.Struct, frozen=True):
    """What a store knows of those who were erased, and of those who are being erased."""

    salt: bytes  # the key of the hashes in `tombstones`
    tombstones: list[tuple[bytes, int]]
    last_number: int
    open: list[ErasureRow]  # that are not done


class Commit(msgspec.Struct):
    """Everything one group commit makes durable together. Lists may be empty."""

    entries: list[Entry] = []
    decisions: list[DecisionRow] = []
    timers_set: list[TimerRow] = []
    timers_cleared: list[tuple[int, str, int]] = []  # (at, customer, timer)
    outbox: list[OutboxRow] = []
    outbox_changes: list[OutboxChange] = []
    snapshots: list[SnapshotRow] = []
    links: list[tuple[str, str, str]] = []  # (namespace, value, customer)
    quarantined: list[QuarantineRow] = []
    released: list[int] = []  # numbers of quarantine rows that were replayed
    covered_seq: int | None = None  # all entries up to here are in snapshots
    members: list[MemberChange] = []  # in order
    stays: list[StayRow] = []  # in order
    stays_filled: bool = False  # with this commit the store has the stays of everybody
    review: ReviewRow | None = None
    acts: list[ActRow] = []
    retired: Retired | None = None
    catalogue: list[CatalogueRow] = []  # each item at most once
    erased: Erased = msgspec.field(default_factory=Erased)  # after all the others

    def is_empty(self) -> bool:
        """Say whether there is nothing to write."""
        return not (
            self.entries
            or self.timers_set
            or self.timers_cleared
            or self.outbox
            or self.outbox_changes
            or self.snapshots
            or self.links
            or self.quarantined
            or self.released
            or self.covered_seq is not None
            or self.members
            or self.stays
            or self.stays_filled
            or self.review is not None
            or self.acts
            or self.retired
            or self.catalogue
            or not self.erased.is_empty()
        )


class StoreState(msgspec.Struct, frozen=True):
    """Where a store stands when it is opened."""

    last_seq: int
    covered_seq: int


class DecisionQuery(msgspec.Struct, frozen=True):
    """Which decisions to list: newest first, at most `limit`, before the `before` cursor."""

    customer: str = ""
    journey: str = ""
    reason: str = ""
    outcome: str = ""
    since_at: int | None = None
    until_at: int | None = None
    before: int | None = None  # the cursor: the `rowid` of the last one seen
    limit: int = 50


class ActQuery(msgspec.Struct, frozen=True):
    """Which acts to list: newest first, at most `limit`, with numbers below `before`."""

    who: str = ""
    act: str = ""
    subject: str = ""
    since_at: int | None = None
    until_at: int | None = None
    before: int | None = None
    limit: int = 50


class LetterQuery(msgspec.Struct, frozen=True):
    """Which dead letters to list: newest first, from behind the message `before` on.

    `state` is one of `DEAD_STATES`; empty means any.
    """

    state: str = ""
    channel: str = ""
    customer: str = ""
    before: str = ""
    limit: int = 50


class Page(msgspec.Struct, frozen=True):
    """Some decisions, and the cursor for the next page, None at the end."""

    rows: list[DecisionRow]
    next: int | None
