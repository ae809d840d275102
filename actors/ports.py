"""What the runtime needs from the outside: clock, store, channels, programs.

The lowest layer of `actors`. `actors.memory` has an in-memory twin of each port, `adapters` the
real ones; both pass the same contract tests. An adapter imports this module and `engine` words
only.
"""

from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from engine.effects import Send


class Clock(Protocol):
    """The present, in epoch ms."""

    def now(self) -> int:
        """Tell the present instant. Never goes backwards."""
        ...

    async def sleep_until(self, at: int) -> None:
        """Wait until the present is at least `at`."""
        ...


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

    `body` is the `Send` effect as msgpack.
    """

    message_id: str
    customer: str
    channel: str
    state: str
    attempts: int
    body: bytes


class OutboxChange(NamedTuple):
    """A new state of a message in the outbox. `done` rows need not be kept for recovery."""

    message_id: str
    state: str
    attempts: int
    detail: str


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


class Erased(msgspec.Struct):
    """What one commit erases: rows by their keys, as if they had never been.

    Of `entries` the row stays, with its place, its time and its hash, so that the chain still
    verifies. `tombstones` are (hash of an identity, until when it is refused).
    """

    customers: list[str] = []  # their snapshots, and all links to them
    entries: list[int] = []
    decisions: list[str] = []
    messages: list[str] = []
    acts: list[tuple[str, str]] = []  # a name in administrative acts, and what stands for it then
    tombstones: list[tuple[bytes, int]] = []
    rows: list[ErasureRow] = []

    def is_empty(self) -> bool:
        """Say whether there is nothing to erase."""
        return not (
            self.customers
            or self.entries
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
    acts: list[ActRow] = []
    retired: Retired | None = None
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
            or self.acts
            or self.retired
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


class Page(msgspec.Struct, frozen=True):
    """Some decisions, and the cursor for the next page, None at the end."""

    rows: list[DecisionRow]
    next: int | None


class Keeper(Protocol):
    """Something besides the store that keeps what customers were told, or did."""

    async def erase(self, customer: str) -> None:
        """Remove everything of a customer so that no trace is left. Raises StoreError."""
        ...


class Store(Protocol):
    """One shard's durable memory. `commit` is the only way to write.

    `commit` returns when the whole commit is on disk (power loss included), or raises `StoreError`
    and has written nothing. One commit runs at a time; the caller waits. Reads see what is
    committed. Everything else may run concurrently with a commit.
    """

    @property
    def broken(self) -> str:
        """Say why nothing more can be committed until the store is opened anew, or ""."""
        ...

    async def open(self) -> StoreState:
        """Take hold of the store, alone; raises StoreError where it is damaged or in use."""
        ...

    async def close(self) -> None:
        """Let go of the store; what was committed stays."""
        ...

    def commit(self, commit: Commit) -> Awaitable[None]:
        """Make everything in a commit durable together."""
        ...

    async def load(self, customers: Sequence[str]) -> dict[str, SnapshotRow]:
        """Read snapshots; customers without one are left out."""
        ...

    async def timers(self, after_at: int, until_at: int, limit: int) -> list[TimerRow]:
        """List timers due after `after_at`, up to and with `until_at`, by (at, seq, place)."""
        ...

    async def outbox_open(self) -> list[OutboxRow]:
        """List messages that are not done, in order of storing."""
        ...

    def tail(self, after_seq: int) -> AsyncIterator[list[Entry]]:
        """Give the entries after a seq, in order, in portions; erased ones are left out."""
        ...

    async def entries(self, last_seq: int, limit: int) -> list[Entry]:
        """Walk one customer's entries backwards by `prev`, starting at `last_seq`."""
        ...

    async def resolve(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Find the customers of (namespace, value) identities; unknown ones are left out."""
        ...

    async def decisions(self, query: DecisionQuery) -> Page:
        """List decisions, newest first."""
        ...

    async def decision(self, decision_id: str) -> DecisionRow | None:
        """Find a decision by its id."""
        ...

    async def quarantine(self, before: int | None, limit: int) -> list[QuarantineRow]:
        """List quarantined items, newest first, with numbers below `before`."""
        ...

    async def old(self, cutoffs: Cutoffs, limit: int) -> Retired:
        """Find what is too old, at most so many rows of each kind.

        Entries that no snapshot covers, and messages that are not done, are never too old.
        """
        ...

    async def messages(self, ids: Sequence[str]) -> list[OutboxRow]:
        """Find messages that left, or are to leave, by their ids; unknown ones are left out."""
        ...

    async def acts(self, query: ActQuery) -> list[ActRow]:
        """List administrative acts, newest first."""
        ...

    async def graves(self) -> Graves:
        """Read who was erased, by hashes, and who is being erased."""
        ...

    async def erasure(self, number: int) -> ErasureRow | None:
        """Find an erasure by its number."""
        ...

    async def links_of(self, customer: str) -> list[tuple[str, str]]:
        """List the (namespace, value) identities that belong to a customer."""
        ...

    async def cleanse(self) -> None:
        """Take away what erased rows have left behind in the files.

        Raises StoreError where somebody who reads for long holds that up: ask again later.
        """
        ...

    async def save_program(self, version: str, at: int, source: bytes) -> None:
        """Keep the text of a workspace that comes into force; once for each version."""
        ...

    async def programs(self) -> list[tuple[str, int, bytes]]:
        """List the workspaces that were in force: (version, since, source), oldest first."""
        ...


class Temporary(Exception):  # noqa: N818 - named for what the caller does next, like kopf's
    """The provider can't take it now; try again after `retry_after_ms` (None: as you see fit).

    `maybe_taken` is True where the provider may have taken the message all the same.
    """

    def __init__(
        self, message: str, *, retry_after_ms: int | None = None, maybe_taken: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms
        self.maybe_taken = maybe_taken


class Permanent(Exception):  # noqa: N818 - see Temporary
    """The channel will never take this message; `code` is the provider's."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class OptOutRegistry(Protocol):
    """A list of addresses that are to be left alone. `as_of` is when it was made, epoch ms."""

    as_of: int

    def lists(self, address: str) -> bool:
        """Say whether it has an address: E.164, or e-mail in small letters. At once, no waiting."""
        ...


class Channel(Protocol):
    """One configured way out. `deliver` returns the provider's id when the message was taken.

    It raises `Temporary` or `Permanent` and nothing else. `message_id` of the effect is the
    idempotency key. It may be called concurrently.
    """

    async def start(self) -> None:
        """Connect, where the channel keeps connections."""
        ...

    async def close(self) -> None:
        """Let go of connections; calls in progress have ended."""
        ...

    async def deliver(self, send: Send) -> str:
        """Hand a message to the provider and give the id it has there."""
        ...
