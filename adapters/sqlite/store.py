"""The durable store: one SQLite file, one hand that writes, a few that read.

Built by `adapters.app` and the command line; used by `actors.runtime` and the gateway through
`actors.ports.Store`. A data directory holds `nextbeat.db` with its log, `head` (see `chain`) and
`lock`.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypedDict

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
from adapters.sqlite.lock import DataLock
from adapters.sqlite.readers import Readers, check_format
from adapters.sqlite.schema import FILE_NAME, PAGE_BYTES
from adapters.sqlite.scribe import CLEANSE_PAGES, Cleanse, Job, Program
from adapters.sqlite.writer import Writer, WriterThread
from adapters.sqlite.writer_process import WriterProcess
from engine.errors import StoreError

_LOCK_WAIT_S = 1.0


class WriterKind(StrEnum):
    """Where the writing connection lives.

    In a thread it shares the interpreter's lock with the event loop: beside a loop that is busy
    all the time a commit waits for several turns. A process of its own shares nothing.
    """

    THREAD = "thread"
    PROCESS = "process"


class _Limits(TypedDict):
    """What a store may take of the disk, in bytes, as every host of a scribe is told it."""

    size_max: int | None
    ballast_bytes: int


class _Reading:
    """The reads of a store, which are the same whoever writes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._readers = Readers(folder)

    @property
    def broken(self) -> str:
        """Say why nothing more can be committed; a store that is only read can't break."""
        return ""

    async def load(self, customers: Sequence[str]) -> dict[str, SnapshotRow]:
        """Read snapshots; customers without one are left out."""
        return await self._readers.load(customers)

    async def timers(self, after_at: int, until_at: int, limit: int) -> list[TimerRow]:
        """List timers due after `after_at`, up to and with `until_at`, by (at, seq, place)."""
        return await self._readers.timers(after_at, until_at, limit)

    async def outbox_open(self) -> list[OutboxRow]:
        """List messages that are not done, in order of storing."""
        return await self._readers.outbox_open()

    def tail(self, after_seq: int) -> AsyncIterator[list[Entry]]:
        """Give the entries after a seq, in order, in portions."""
        return self._readers.tail(after_seq)

    async def entries(self, last_seq: int, limit: int) -> list[Entry]:
        """Walk one customer's entries backwards by `prev`, starting at `last_seq`."""
        return await self._readers.entries(last_seq, limit)

    async def mentioning(self, names: Collection[str], after_seq: int) -> Mentioning:
        """Look for names in the next entries that are about who is who."""
        return await self._readers.mentioning(names, after_seq)

    async def remembering(self, names: Collection[str], after: str) -> Remembering:
        """Look for names in the next snapshots, in the order of their customers' ids."""
        return await self._readers.remembering(names, after)

    async def resolve(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Find the customers of (namespace, value) identities; unknown ones are left out."""
        return await self._readers.resolve(keys)

    async def decisions(self, query: DecisionQuery) -> Page:
        """List decisions, newest first."""
        return await self._readers.decisions(query)

    async def decision(self, decision_id: str) -> DecisionRow | None:
        """Find a decision by its id."""
        return await self._readers.decision(decision_id)

    async def quarantine(self, before: int | None, limit: int) -> list[QuarantineRow]:
        """List quarantined items, newest first, with numbers below `before`."""
        return await self._readers.quarantine(before, limit)

    async def customers(self, after: str, limit: int) -> list[str]:
        """List customers who have snapshots, in the order of their ids, from behind `after` on."""
        return await self._readers.customers(after, limit)

    async def customer_count(self) -> int:
        """Count the customers who have snapshots."""
        return await self._readers.customer_count()

    async def segment_sizes(self) -> dict[str, int]:
        """Count who is in each segment; empty segments are left out."""
        return await self._readers.segment_sizes()

    async def members(self, segment: str, after: str, limit: int) -> list[MemberRow]:
        """List who is in a segment, in the order of their ids, from behind `after` on."""
        return await self._readers.members(segment, after, limit)

    async def crossings(self, since_at: int) -> list[CrossingsRow]:
        """Count who came into segments and left them, by segment, from an instant on."""
        return await self._readers.crossings(since_at)

    async def stays_filled(self) -> bool:
        """Say whether the store has the stays of everybody; one of an older format has not."""
        return await self._readers.stays_filled()

    async def stay_counts(self) -> list[StayCount]:
        """Count who is where in which journey, by journey, version and position."""
        return await self._readers.stay_counts()

    async def journey_sizes(self) -> dict[str, int]:
        """Count the customers who are in each journey; those with nobody in them are left out."""
        return await self._readers.journey_sizes()

    async def stays(self, journey: str, after: tuple[str, int], limit: int) -> list[StayRow]:
        """List who is in a journey from behind (customer, instance) on, in that order."""
        return await self._readers.stays(journey, after, limit)

    async def review(self) -> ReviewRow | None:
        """Tell how far the customers were looked at since the segments changed, if ever."""
        return await self._readers.review()

    async def old(self, cutoffs: Cutoffs, limit: int) -> Retired:
        """Find what is too old, at most so many rows of each kind."""
        return await self._readers.old(cutoffs, limit)

    async def messages(self, ids: Sequence[str]) -> list[OutboxRow]:
        """Find messages that left, or are to leave, by their ids; unknown ones are left out."""
        return await self._readers.messages(ids)

    async def messages_by_provider(
        self, provider: str, provider_ids: Sequence[str]
    ) -> dict[str, OutboxRow]:
        """Find messages by what a provider calls them; unknown ones are left out."""
        return await self._readers.messages_by_provider(provider, provider_ids)

    async def addressees(self, address: str, channels: Sequence[str]) -> list[str]:
        """Name the customers whom messages went to at an address lately, the latest first."""
        return await self._readers.addressees(address, channels)

    async def dead_letters(self, query: LetterQuery) -> list[OutboxRow]:
        """List messages that did not arrive as far as we know, newest first."""
        return await self._readers.dead_letters(query)

    async def spending(self, day: int) -> dict[str, int]:
        """Tell what was spent on a day, by channel, in millionths."""
        return await self._readers.spending(day)

    async def acts(self, query: ActQuery) -> list[ActRow]:
        """List administrative acts, newest first."""
        return await self._readers.acts(query)

    async def catalogue(
        self, after: tuple[str, str], limit: int, *, kind: str = ""
    ) -> list[CatalogueRow]:
        """List items of the catalogue after a (kind, id), in that order; of one kind if named."""
        return await self._readers.catalogue(after, limit, kind=kind)

    async def graves(self) -> Graves:
        """Read who was erased, by hashes, and who is being erased."""
        return await self._readers.graves()

    async def erasure(self, number: int) -> ErasureRow | None:
        """Find an erasure by its number."""
        return await self._readers.erasure(number)

    async def links_of(self, customer: str) -> list[tuple[str, str]]:
        """List the (namespace, value) identities that belong to a customer."""
        return await self._readers.links_of(customer)

    async def programs(self) -> list[tuple[str, int, bytes]]:
        """List the workspaces that were in force: (version, since, source), oldest first."""
        return await self._readers.programs()


class SqliteStore(_Reading):
    """One shard's durable memory on one SQLite file."""

    def __init__(
        self,
        path: Path,
        *,
        writer: WriterKind = WriterKind.THREAD,
        size_max: int | None = None,
        ballast_bytes: int = 0,
        lock_wait_s: float = _LOCK_WAIT_S,
    ) -> None:
        """Name a data directory; it is made, for its owner's eyes only, when the store opens.

        `size_max` bounds the database file in bytes: beyond it commits fail as on a full disk.
        `ballast_bytes` are held back on the disk, for an orderly end when it is full.
        """
        super().__init__(path)
        self._kind = writer
        self._limits = _Limits(size_max=size_max, ballast_bytes=ballast_bytes)
        self._lock_wait_s = lock_wait_s
        self._lock: DataLock | None = None
        self._writer: Writer | None = None

    @property
    def broken(self) -> str:
        """Say why the store takes nothing more until it is opened anew, or "" if it does."""
        return self._writer.broken if self._writer is not None else ""

    async def open(self) -> StoreState:
        """Take hold of the data directory, alone; raises StoreError: damaged, newer or in use."""
        loop = asyncio.get_running_loop()
        self._lock = lock = await loop.run_in_executor(None, self._take)
        try:
            self._writer = self._host(lock)
            state = await self._writer.open()
            await self._readers.open()
        except BaseException:
            await self.close()
            raise
        return state

    def _take(self) -> DataLock:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return DataLock(self._folder, wait_s=self._lock_wait_s)
        except OSError as error:
            raise StoreError(f"the data directory can't be used: {error}") from error

    def _host(self, lock: DataLock) -> Writer:
        if self._kind is WriterKind.PROCESS:
            return WriterProcess(self._folder, lock.descriptor, **self._limits)
        return WriterThread(self._folder, **self._limits)

    async def close(self) -> None:
        """Finish what is queued, then let go of the data directory."""
        # Readers first: the last connection to close folds the log into the file, and that has to
        # be the writer.
        await self._readers.close()
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close()
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

    def commit(self, commit: Commit) -> asyncio.Future[None]:
        """Make everything in a commit durable together.

        The lists must not change until the future is done. It fails with StoreError, and then
        nothing was written; `broken` tells whether the next one may succeed.
        """
        return self._submit(commit)

    async def save_program(self, version: str, at: int, source: bytes) -> None:
        """Keep the text of a workspace that comes into force; once for each version."""
        await self._submit(Program(version, at, source))

    async def cleanse(self) -> None:
        """Take away what erased rows have left behind in the files, in portions.

        Raises StoreError where somebody who reads for long holds that up: ask again later.
        """
        first, path = 1, self._folder / FILE_NAME
        while (first - 1) * PAGE_BYTES < path.stat().st_size:
            await self._submit(Cleanse(first, CLEANSE_PAGES))
            first += CLEANSE_PAGES

    def _submit(self, job: Job) -> asyncio.Future[None]:
        if self._writer is None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            future.set_exception(StoreError("the store is closed"))
            return future
        return self._writer.submit(job)


class StoreReader(_Reading):
    """A store that is only looked at, also while another process writes to it."""

    async def open(self) -> StoreState:
        """Connect to what is there; nothing is created. Raises StoreError."""
        if not (self._folder / FILE_NAME).is_file():
            raise StoreError(f"{self._folder} holds no Nextbeat store")
        await asyncio.to_thread(check_format, self._folder)
        await self._readers.open()
        return await self._readers.state()

    async def close(self) -> None:
        """Disconnect."""
        await self._readers.close()

    async def commit(self, commit: Commit) -> None:  # noqa: ARG002 - refuses whatever it is
        """Refuse: this store is only looked at."""
        raise StoreError(f"{self._folder} is open for reading only")

    async def cleanse(self) -> None:
        """Refuse: this store is only looked at."""
        raise StoreError(f"{self._folder} is open for reading only")

    async def save_program(self, version: str, at: int, source: bytes) -> None:  # noqa: ARG002 - as above
        """Refuse: this store is only looked at."""
        raise StoreError(f"{self._folder} is open for reading only")


async def open_reader(path: Path) -> StoreReader:
    """Open a data directory for looking only, beside a running server or without one."""
    reader = StoreReader(path)
    await reader.open()
    return reader
