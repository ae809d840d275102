"""In-memory twins of all ports, shipped: for tests, replay, bench, and your own experiments.

They pass the same contract tests as the real ones. Besides, they can be told to fail, to hold back
and to crash.
"""

import asyncio
import heapq
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import AsyncIterator, Collection, Sequence

from actors.aging import DONE_STATES
from actors.letters import LetterReads, LetterTables
from actors.members import SegmentReads, SegmentTables
from actors.ports import Permanent, Temporary
from actors.rows import (
    WHO_IS_WHO,
    ActQuery,
    ActRow,
    CatalogueRow,
    Commit,
    Cutoffs,
    DecisionQuery,
    DecisionRow,
    Entry,
    ErasureRow,
    Graves,
    Mentioning,
    OutboxRow,
    Page,
    QuarantineRow,
    Remembering,
    Retired,
    SnapshotRow,
    StoreState,
    TimerRow,
)
from actors.tables import Tables
from engine.effects import Send
from engine.errors import StoreError

_TAIL_ROWS = 5_000
_SALT = bytes(32)  # what is in memory needs no secret
_SETTLE_PASSES = 16  # turns of the loop that what a woken sleeper does may take


class VirtualClock:
    """Time that passes only when it is told to, or, with `auto`, whenever everybody sleeps.

    With `auto` the clock jumps to the earliest sleeper's instant when the event loop has turned
    `_SETTLE_PASSES` times and nobody else came to sleep: right for code that waits for nothing but
    this clock.
    """

    def __init__(self, origin_at: int = 0, *, auto: bool = False) -> None:
        self._now = origin_at
        self._auto = auto
        self._count = 0
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._jumper: asyncio.Task[None] | None = None

    def now(self) -> int:
        """Tell the present instant."""
        return self._now

    async def sleep_until(self, at: int) -> None:
        """Wait until the present is at least `at`."""
        if at <= self._now:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (at, self._count, woken))
        if self._auto and (self._jumper is None or self._jumper.done()):
            self._jumper = asyncio.create_task(self._jump())
        await woken

    def jump_to(self, at: int) -> None:
        """Make it `at` now and wake everybody who is due. Time never goes backwards."""
        self._now = max(self._now, at)
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)

    async def advance_to(self, at: int) -> None:
        """Let time pass up to `at`, stopping for each sleeper at its instant."""
        await settle()
        while (due_at := self._next_at()) is not None and due_at <= at:
            self.jump_to(due_at)
            await settle()
        self.jump_to(at)
        await settle()

    async def advance(self, duration_ms: int) -> None:
        """Let so much time pass."""
        await self.advance_to(self._now + duration_ms)

    def _next_at(self) -> int | None:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)  # whoever was cancelled does not hold time up
        return self._sleepers[0][0] if self._sleepers else None

    async def _jump(self) -> None:
        while True:
            before = self._count
            await settle()
            if self._count != before:
                continue
            due_at = self._next_at()
            if due_at is None:
                return
            self.jump_to(due_at)


async def settle() -> None:
    """Let everything that is ready to run have its turns."""
    for _ in range(_SETTLE_PASSES):
        await asyncio.sleep(0)


class MemoryStore(SegmentReads, LetterReads):
    """A store in memory: what is committed is kept until the process ends.

    `fail_next` makes commits fail, `hold` keeps them waiting as a slow disk does, and `crash` gives
    the store that a new process would find.
    """

    def __init__(self) -> None:
        self.broken = ""  # for tests to set
        self._tables = Tables()
        self._is_open = False
        self._failures: deque[StoreError] = deque()
        self._held: deque[tuple[Commit, asyncio.Future[None]]] | None = None

    def fail_next(self, count: int = 1, message: str = "the disk is full") -> None:
        """Let the next commits fail with StoreError, having written nothing."""
        self._failures.extend(StoreError(message) for _ in range(count))

    def hold(self) -> None:
        """Keep commits from here on waiting until `release`."""
        if self._held is None:
            self._held = deque()

    def release(self) -> None:
        """Do the commits that wait, in order, and wait no more."""
        held, self._held = self._held, None
        for commit, future in held or ():
            if not future.done():
                self._finish(commit, future)

    def crash(self) -> "MemoryStore":
        """End without ceremony; gives what a new process finds: exactly what was committed."""
        survivor = MemoryStore()
        survivor._tables = self._tables
        self._is_open = False
        for _, future in self._held or ():
            future.cancel()
        self._held = None
        self._tables = Tables()
        return survivor

    async def open(self) -> StoreState:
        """Take hold of the store."""
        if self._is_open:
            raise StoreError("the store is in use: close it first")
        self._is_open = True
        return StoreState(self._tables.last_seq(), self._tables.covered_seq)

    async def close(self) -> None:
        """Let go of the store; what was committed stays."""
        self.release()
        self._is_open = False

    def commit(self, commit: Commit) -> asyncio.Future[None]:
        """Make everything in a commit durable together, as far as memory is."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._held is None:
            self._finish(commit, future)
        else:
            self._held.append((commit, future))
        return future

    def _finish(self, commit: Commit, future: asyncio.Future[None]) -> None:
        try:
            self._refuse_when_told()
            self._tables.check(commit)
        except StoreError as error:
            future.set_exception(error)
            return
        self._tables.apply(commit)
        future.set_result(None)

    def _refuse_when_told(self) -> None:
        self._check_open()
        if self._failures:
            raise self._failures.popleft()

    def _check_open(self) -> None:
        if not self._is_open:
            raise StoreError("the store is closed")

    async def load(self, customers: Sequence[str]) -> dict[str, SnapshotRow]:
        """Read snapshots; customers without one are left out."""
        self._check_open()
        snapshots = self._tables.snapshots
        return {name: snapshots[name] for name in customers if name in snapshots}

    async def timers(self, after_at: int, until_at: int, limit: int) -> list[TimerRow]:
        """List timers due after `after_at`, up to and with `until_at`, by (at, seq, place)."""
        self._check_open()
        order = self._tables.timer_order
        start = bisect_right(order, after_at, key=_at_of)
        end = bisect_right(order, until_at, key=_at_of)
        due = order[start : min(end, start + limit)]
        return [TimerRow(at, who, timer, seq, place) for at, seq, place, who, timer in due]

    async def outbox_open(self) -> list[OutboxRow]:
        """List messages that are not done, in order of storing."""
        self._check_open()
        return [row for row in self._tables.outbox.values() if row.state not in DONE_STATES]

    async def tail(self, after_seq: int) -> AsyncIterator[list[Entry]]:
        """Give the entries after a seq, in order, in portions."""
        self._check_open()
        tables = self._tables
        while True:
            start = tables.place_of(after_seq)
            portion = tables.journal[start : start + _TAIL_ROWS]
            if not portion:
                return
            kept = [entry for entry in portion if entry.customer]
            if kept:
                yield kept
            after_seq = portion[-1].seq

    async def entries(self, last_seq: int, limit: int) -> list[Entry]:
        """Walk one customer's entries backwards by `prev`, starting at `last_seq`."""
        self._check_open()
        walked: list[Entry] = []
        while last_seq and len(walked) < limit:
            place = self._tables.place_of(last_seq) - 1
            if place < 0 or self._tables.journal[place].seq != last_seq:
                break
            entry = self._tables.journal[place]
            if entry.customer:
                walked.append(entry)
            last_seq = entry.prev
        return walked

    async def mentioning(self, names: Collection[str], after_seq: int) -> Mentioning:
        """Look for names in the next entries that are about who is who."""
        self._check_open()
        start = self._tables.place_of(after_seq)
        portion = self._tables.journal[start : start + _TAIL_ROWS]
        wanted = [name.encode() for name in names]
        found = {
            entry.customer: entry.seq
            for entry in portion
            if entry.input[2:6] in WHO_IS_WHO and any(name in entry.input for name in wanted)
        }
        return Mentioning(found, portion[-1].seq if portion else 0)

    async def remembering(self, names: Collection[str], after: str) -> Remembering:
        """Look for names in the next snapshots, in the order of their customers' ids."""
        portion = await self.load(await self.customers(after, _TAIL_ROWS))
        wanted = [name.encode() for name in names]
        found = [
            row.customer for row in portion.values() if any(name in row.body for name in wanted)
        ]
        return Remembering(found, max(portion, default=""))

    async def resolve(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Find the customers of (namespace, value) identities; unknown ones are left out."""
        self._check_open()
        links = self._tables.links
        return {key: links[key] for key in keys if key in links}

    async def decisions(self, query: DecisionQuery) -> Page:
        """List decisions, newest first."""
        self._check_open()
        tables = self._tables
        rows: list[DecisionRow] = []
        last: int | None = None
        for _, number in reversed(tables.decision_order[: self._end_of(query.before)]):
            row = tables.decisions[number - 1]
            if not _is_wanted(row, query):
                continue
            if len(rows) == query.limit:
                return Page(rows, last)
            rows.append(row)
            last = number
        return Page(rows, None)

    def _end_of(self, before: int | None) -> int:
        tables = self._tables
        if before is None:
            return len(tables.decisions)
        if not tables.decisions or before < 1:
            return 0
        at = tables.decisions[min(before, len(tables.decisions)) - 1].at
        return bisect_left(tables.decision_order, (at, before))

    async def decision(self, decision_id: str) -> DecisionRow | None:
        """Find a decision by its id."""
        self._check_open()
        number = self._tables.decision_numbers.get(decision_id)
        return None if number is None else self._tables.decisions[number - 1]

    async def quarantine(self, before: int | None, limit: int) -> list[QuarantineRow]:
        """List quarantined items, newest first, with numbers below `before`."""
        self._check_open()
        rows = reversed(self._tables.quarantine.values())
        return [row for row in rows if before is None or row.number < before][:limit]

    def segment_tables(self) -> SegmentTables:
        """Give the tables that segments are read from."""
        self._check_open()
        return self._tables

    async def old(self, cutoffs: Cutoffs, limit: int) -> Retired:
        """Find what is too old, at most so many rows of each kind."""
        self._check_open()
        return self._tables.old(cutoffs, limit)

    def letter_tables(self) -> LetterTables:
        """Give the tables that messages are read from."""
        self._check_open()
        return self._tables

    async def acts(self, query: ActQuery) -> list[ActRow]:
        """List administrative acts, newest first."""
        self._check_open()
        rows = reversed(self._tables.acts)
        return [row for row in rows if _is_asked_for(row, query)][: query.limit]

    async def catalogue(
        self, after: tuple[str, str], limit: int, *, kind: str = ""
    ) -> list[CatalogueRow]:
        """List items of the catalogue after a (kind, id), in that order; of one kind if named."""
        self._check_open()
        return self._tables.shelf.rows(after, limit, kind)

    def keys(self) -> list[tuple[str, str, int]]:
        """List what is stored of whom: kind of row, customer, the entry it is of."""
        return self._tables.keys()

    def message_ids(self) -> list[str]:
        """Name every message there is."""
        return list(self._tables.outbox)

    def links(self) -> dict[tuple[str, str], str]:
        """Tell whose every identity is that was linked."""
        return self._tables.links

    async def graves(self) -> Graves:
        """Read who was erased, by hashes, and who is being erased."""
        self._check_open()
        tables = self._tables
        rows = tables.erasures.values()
        last_number = max(tables.erasures, default=0)
        unfinished = [row for row in rows if row.state != "done"]
        return Graves(_SALT, list(tables.tombstones.items()), last_number, unfinished)

    async def erasure(self, number: int) -> ErasureRow | None:
        """Find an erasure by its number."""
        self._check_open()
        return self._tables.erasures.get(number)

    async def links_of(self, customer: str) -> list[tuple[str, str]]:
        """List the (namespace, value) identities that belong to a customer."""
        self._check_open()
        return self._tables.keys_of(customer)

    async def cleanse(self) -> None:
        """Do nothing: in memory nothing is left behind."""
        self._check_open()

    async def save_program(self, version: str, at: int, source: bytes) -> None:
        """Keep the text of a workspace that comes into force; once for each version."""
        self._refuse_when_told()
        self._tables.programs.setdefault(version, (version, at, source))

    async def programs(self) -> list[tuple[str, int, bytes]]:
        """List the workspaces that were in force: (version, since, source), oldest first."""
        self._check_open()
        return sorted(self._tables.programs.values(), key=_since)


class MemoryChannel:
    """A provider in memory: it keeps what it took, and fails when it was told to."""

    def __init__(self) -> None:
        self.attempts: list[Send] = []  # every call of deliver
        self.taken: list[Send] = []  # those that were not refused
        self.is_started = False
        self._failures: deque[Temporary | Permanent | None] = deque()
        self._open = asyncio.Event()
        self._open.set()

    def fail_next(self, *failures: Temporary | Permanent | None) -> None:
        """Answer the next deliveries so, one each; None takes the message as usual."""
        self._failures.extend(failures)

    def hold(self) -> None:
        """Keep deliveries from here on waiting until `release`."""
        self._open.clear()

    def release(self) -> None:
        """Let deliveries through again."""
        self._open.set()

    async def start(self) -> None:
        """Begin to take messages."""
        self.is_started = True

    async def close(self) -> None:
        """Take no more."""
        self.is_started = False

    async def deliver(self, send: Send) -> str:
        """Take a message and name it, or fail as scripted."""
        self.attempts.append(send)
        failure = self._failures.popleft() if self._failures else None
        await self._open.wait()
        if failure is not None:
            if isinstance(failure, Temporary) and failure.maybe_taken:
                self.taken.append(send)
            raise failure
        self.taken.append(send)
        return f"memory-{len(self.taken)}"


def _at_of(key: tuple[int, int, int, str, int]) -> int:
    return key[0]


def _since(program: tuple[str, int, bytes]) -> int:
    return program[1]


def _is_wanted(row: DecisionRow, query: DecisionQuery) -> bool:
    return (
        query.customer in ("", row.customer)
        and query.journey in ("", row.journey)
        and query.reason in ("", row.reason)
        and query.outcome in ("", row.outcome)
        and (query.since_at is None or row.at >= query.since_at)
        and (query.until_at is None or row.at < query.until_at)
    )


def _is_asked_for(row: ActRow, query: ActQuery) -> bool:
    return (
        query.who in ("", row.who)
        and query.act in ("", row.act)
        and query.subject in ("", row.subject)
        and (query.before is None or row.number < query.before)
        and (query.since_at is None or row.at >= query.since_at)
        and (query.until_at is None or row.at <= query.until_at)
    )
