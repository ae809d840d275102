"""What the runtime needs from the outside: clock, store, channels, programs.

The lowest layer of `actors`. `actors.memory` has an in-memory twin of each port, `adapters` the
real ones; both pass the same contract tests. An adapter imports this module and `engine` words
only.
"""

from collections.abc import AsyncIterator, Awaitable, Collection, Sequence
from typing import Any, NamedTuple, Protocol

from actors.rows import (
    ActQuery,
    ActRow,
    CatalogueRow,
    Commit,
    CrossingsRow,
    Cutoffs,
    DecisionQuery,
    DecisionRow,
    Entry,
    ErasureRow,
    Graves,
    LetterQuery,
    MemberRow,
    Mentioning,
    OutboxRow,
    Page,
    QuarantineRow,
    Remembering,
    Retired,
    ReviewRow,
    SnapshotRow,
    StayCount,
    StayRow,
    StoreState,
    TimerRow,
)
from engine.effects import Call, Send
from engine.events import Failure


class Clock(Protocol):
    """The present, in epoch ms."""

    def now(self) -> int:
        """Tell the present instant. Never goes backwards."""
        ...

    async def sleep_until(self, at: int) -> None:
        """Wait until the present is at least `at`."""
        ...


class Keeper(Protocol):
    """Something besides the store that keeps what customers were told, or did."""

    async def erase(self, customer: str) -> None:
        """Remove everything of a customer so that no trace is left. Raises StoreError."""
        ...

    async def erase_messages(self, message_ids: Collection[str]) -> None:
        """Remove some messages in the same way, whoever they were for. Raises StoreError."""
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
        """Walk one customer's entries backwards by `prev`, starting at `last_seq`.

        Those that were blanked are passed over.
        """
        ...

    async def mentioning(self, names: Collection[str], after_seq: int) -> Mentioning:
        """Look for names in the next entries that are about who is who."""
        ...

    async def remembering(self, names: Collection[str], after: str) -> Remembering:
        """Look for names in the next snapshots, in the order of their customers' ids."""
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

    async def customers(self, after: str, limit: int) -> list[str]:
        """List customers who have snapshots, in the order of their ids, from behind `after` on."""
        ...

    async def customer_count(self) -> int:
        """Count the customers who have snapshots."""
        ...

    async def segment_sizes(self) -> dict[str, int]:
        """Count who is in each segment; empty segments are left out."""
        ...

    async def members(self, segment: str, after: str, limit: int) -> list[MemberRow]:
        """List who is in a segment, in the order of their ids, from behind `after` on."""
        ...

    async def crossings(self, since_at: int) -> list[CrossingsRow]:
        """Count who came into segments and left them, by segment, from an instant on.

        That is exact where `since_at` begins a quarter of an hour.
        """
        ...

    async def stays_filled(self) -> bool:
        """Say whether the store has the stays of everybody; one of an older format has not."""
        ...

    async def stay_counts(self) -> list[StayCount]:
        """Count who is where in which journey, by journey, version and position."""
        ...

    async def journey_sizes(self) -> dict[str, int]:
        """Count the customers who are in each journey; those with nobody in them are left out."""
        ...

    async def stays(self, journey: str, after: tuple[str, int], limit: int) -> list[StayRow]:
        """List who is in a journey from behind (customer, instance) on, in that order."""
        ...

    async def review(self) -> ReviewRow | None:
        """Tell how far the customers were looked at since the segments changed, if ever."""
        ...

    async def old(self, cutoffs: Cutoffs, limit: int) -> Retired:
        """Find what is too old, at most so many rows of each kind.

        Entries that no snapshot covers, and messages that are not done, are never too old.
        """
        ...

    async def messages(self, ids: Sequence[str]) -> list[OutboxRow]:
        """Find messages that left, or are to leave, by their ids; unknown ones are left out."""
        ...

    async def messages_by_provider(
        self, provider: str, provider_ids: Sequence[str]
    ) -> dict[str, OutboxRow]:
        """Find messages by what a provider calls them; unknown ones are left out."""
        ...

    async def addressees(self, address: str, channels: Sequence[str]) -> list[str]:
        """Name the customers whom messages went to at an address lately, the latest first."""
        ...

    async def dead_letters(self, query: LetterQuery) -> list[OutboxRow]:
        """List messages that did not arrive as far as we know, newest first; no calls."""
        ...

    async def spending(self, day: int) -> dict[str, int]:
        """Tell what was spent on a day (since 1970-01-01), by channel, in millionths."""
        ...

    async def acts(self, query: ActQuery) -> list[ActRow]:
        """List administrative acts, newest first."""
        ...

    async def catalogue(
        self, after: tuple[str, str], limit: int, *, kind: str = ""
    ) -> list[CatalogueRow]:
        """List items of the catalogue after a (kind, id), in that order; of one kind if named."""
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

    `maybe_taken` is True where the provider may have taken the message all the same, `code` is the
    provider's, where it gave one, `failure` what its code asks for, where the channel can tell.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after_ms: int | None = None,
        maybe_taken: bool = False,
        code: str = "",
        failure: Failure | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms
        self.maybe_taken = maybe_taken
        self.code = code
        self.failure = failure


class Permanent(Exception):  # noqa: N818 - see Temporary
    """The channel will never take this message; `code` and `failure` are as in `Temporary`."""

    def __init__(self, message: str, *, code: str = "", failure: Failure | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.failure = failure


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


class Answer(NamedTuple):
    """What a service answered to a call, and won't answer otherwise.

    `status` is HTTP's. `body` is the answer as JSON, where it is wanted; `code` says what is wrong
    with the answer, where that is more than the status.
    """

    status: int
    body: Any = None
    code: str = ""


class Caller(Protocol):
    """What makes the calls of journeys. `call_id` is the idempotency key.

    `call` raises `Temporary` where it is worth another try, `Permanent` where the call can't be
    made at all, and nothing else. It may be called concurrently.
    """

    async def start(self) -> None:
        """Open what connections are made from."""
        ...

    async def close(self) -> None:
        """Let go of connections; calls in progress have ended."""
        ...

    async def call(self, call: Call) -> Answer:
        """Make a request once and give what was answered."""
        ...
