"""A disk that tears, fills up, fails and dawdles, behind `actors.ports.Store`.

Made by `world` for each process; `survivor` gives what the next process finds. What is durable is
kept by the store in memory, which passes the same contract as the real one.

*Rules*
- A commit is written first and durable later. A crash in between keeps a prefix of what was
  written; as in SQLite's log, a commit counts only with its last piece, so it is there whole or
  not at all, and may be there though nobody was told.
- After a sync that failed only the disk knows what it holds: nothing more is taken until the store
  is opened anew.
- A full disk refuses commits and goes on answering reads.
"""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

import msgspec

from actors.cuts import ErasureState, Scope
from actors.directory import decode_entry
from actors.memory import MemoryStore
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
    Erased,
    ErasureRow,
    Graves,
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
from actors.simulate.dice import Dice
from actors.simulate.hazards import Hazards
from actors.simulate.letters import KeptLetters
from actors.simulate.scene import MARKETING
from actors.simulate.witness import Wishes
from engine.errors import StoreError
from engine.events import Departed, Event, EventKind, Merged, Receipt, Restored
from engine.identities import ANONYMOUS_PREFIX
from engine.profile import Profile
from engine.records import ConsentNoted, Decided

_LATEST = 1 << 60
_PROFILE = msgspec.msgpack.Decoder(Profile)
_FULL_S = (1.0, 200.0)  # how long a disk stays full


class Seen:
    """What is durable, in the forms in which others look at it; it outlives every process."""

    def __init__(self) -> None:
        self.decided: dict[str, tuple[str, Decided]] = {}  # message id -> (customer, decision)
        self.wakes: list[tuple[int, str, int]] = []  # ascending
        self.snapshots: dict[str, SnapshotRow] = {}
        self.wishes: dict[str, Wishes] = {}
        self.links: dict[tuple[str, str], None] = {}  # (anonymous id, customer)
        self.taken: dict[str, str] = {}  # input id -> customer
        self.cuts: dict[str, int] = {}  # customer who was erased -> their last entry before that
        self.became: dict[str, str] = {}  # customer who departed -> who they are
        self.ever_became: dict[str, dict[str, None]] = {}  # the same, also of who was parted since
        self.last_seq = 0
        self.graves: dict[tuple[str, str], int] = {}  # identity -> erased up to
        self.grave_seqs: dict[tuple[str, str], int] = {}  # identity -> the last entry before that
        self.gone_inputs: dict[str, None] = {}  # ids of inputs that were erased
        self.gone_messages: dict[str, str] = {}  # message id -> customer who was erased
        self.unfinished: dict[int, None] = {}  # erasures
        self.blanked: dict[int, None] = {}  # entries of others that told of somebody erased
        self._inputs: dict[int, str] = {}  # seq -> input id

    def take(self, commit: Commit) -> None:
        """Take in a commit that is durable."""
        for entry in commit.entries:
            self._take_entry(entry)
        for row in commit.timers_set:
            self._wake((row.at, row.customer, row.timer))
        for key in commit.timers_cleared:
            self._unwake(key)
        for snapshot in commit.snapshots:
            self.snapshots[snapshot.customer] = snapshot
        self.links |= {(link[1], link[2]): None for link in commit.links}
        for _, value, customer in commit.erased.links:
            self.links.pop((value, customer), None)
        if commit.erased.blanked:
            self._blank(commit.erased)
        for erasure in commit.erased.rows:
            self._note_erasure(erasure)

    def _wake(self, key: tuple[int, str, int]) -> None:
        place = bisect_left(self.wakes, key)
        if self.wakes[place : place + 1] != [key]:
            self.wakes.insert(place, key)

    def _unwake(self, key: tuple[int, str, int]) -> None:
        place = bisect_left(self.wakes, key)
        if self.wakes[place : place + 1] == [key]:
            del self.wakes[place]

    def _take_entry(self, entry: Entry) -> None:
        given, records = decode_entry(entry)
        self.last_seq = entry.seq
        if isinstance(given, Merged):
            self._wishes(entry.customer).unite(self._wishes(given.customer))
        elif isinstance(given, Departed):
            self.became[entry.customer] = given.into
            self.ever_became.setdefault(entry.customer, {})[given.into] = None
        elif isinstance(given, Restored):
            self.became.pop(entry.customer, None)
            profile = _PROFILE.decode(given.profile)
            self.wishes[entry.customer] = Wishes(profile.consents.values())
        if isinstance(given, (Event, Receipt)):
            self.taken[given.id] = entry.customer
            self._inputs[entry.seq] = given.id
        if isinstance(given, Event):
            for said in given.consents:
                self._wishes(entry.customer).take(said)
        for record in records:
            if isinstance(record, Decided) and record.message_id:
                self.decided[record.message_id] = (entry.customer, record)
            elif isinstance(record, ConsentNoted):
                self._wishes(entry.customer).take(record.statement)

    def _blank(self, erased: Erased) -> None:
        """Take in that entries in the middle of somebody's are gone, and what they led to."""
        self.blanked |= dict.fromkeys(erased.blanked)
        names = (self._inputs.get(seq, "") for seq in erased.blanked)
        self.gone_inputs |= dict.fromkeys(name for name in names if name)
        for name in erased.messages:
            if name in self.decided:
                self.gone_messages.setdefault(name, self.decided[name][0])

    def _note_erasure(self, row: ErasureRow) -> None:
        """Take in how far an erasure is; with its first row its customers are gone."""
        is_first = row.number not in self.unfinished
        self.unfinished[row.number] = None
        if row.state == ErasureState.DONE:
            del self.unfinished[row.number]
        elif row.state == ErasureState.ERASING and is_first:
            scope = msgspec.msgpack.decode(row.scope, type=Scope)
            for identity in scope.identities:
                self.graves[identity] = max(row.erased_at, self.graves.get(identity, 0))
                self.grave_seqs[identity] = self.last_seq
            for customer, last_seq in scope.chains.items():
                self.cuts[customer] = max(last_seq, self.cuts.get(customer, 0))
                self._bury(customer)

    def _bury(self, customer: str) -> None:
        self.gone_inputs |= {name: None for name, who in self.taken.items() if who == customer}
        gone = [name for name, (who, _) in self.decided.items() if who == customer]
        self.gone_messages |= dict.fromkeys(gone, customer)
        self.snapshots.pop(customer, None)
        self.wishes.pop(customer, None)
        self.became.pop(customer, None)
        for key in [key for key in self.links if key[1] == customer]:
            del self.links[key]

    def was_cut(self, customer: str) -> bool:
        """Say whether somebody was erased who had a name, or was who it stood for at some time."""
        names = {customer: None}
        waiting = [customer]
        while waiting:
            further = [one for one in self.ever_became.get(waiting.pop(), {}) if one not in names]
            names |= dict.fromkeys(further)
            waiting += further
        return any(name in self.cuts for name in names)

    def refuses(self, given: Event | Receipt, seq: int = _LATEST) -> bool:
        """Say whether an input happened before somebody it names was erased.

        With the seq of its entry: before somebody who was erased when it came.
        """
        names: list[tuple[str, Any]] = [("user_id", given.user)]
        if isinstance(given, Event):
            names.append(("anonymous_id", given.anonymous))
            if given.kind is EventKind.ALIAS:
                names.append(("anonymous_id", given.properties.get("previousId")))
            if given.user is None:
                names += given.traits.items()
        found = [
            self.graves[identity]
            for identity in names
            if self.grave_seqs.get(identity, _LATEST) < seq
        ]
        return given.at <= max(found, default=-1)

    def who(self, customer: str) -> str:
        """Tell who a customer is by now."""
        while customer in self.became:
            customer = self.became[customer]
        return customer

    def names(self, customer: str) -> list[str]:
        """List whom a customer is made of, with themselves."""
        return [customer, *(name for name in self.became if self.who(name) == customer)]

    def has_link(self, anonymous: str, customer: str) -> bool:
        """Say whether an anonymous id was linked with a customer."""
        now = self.who(customer)
        if now == ANONYMOUS_PREFIX + anonymous:
            return True  # who was made a part of a visitor: the visitor's own id needs no link
        return any(key == anonymous and self.who(owner) == now for key, owner in self.links)

    def is_no(self, customer: str, channel: str) -> bool:
        """Say whether a customer wants no marketing on a channel."""
        return self._wishes(self.who(customer)).is_no(MARKETING, channel)

    def _wishes(self, customer: str) -> Wishes:
        return self.wishes.setdefault(customer, Wishes())

    def next_wake(self, after_at: int) -> int | None:
        """Tell when the first timer after an instant is due."""
        place = bisect_left(self.wakes, (after_at + 1, "", 0))
        return self.wakes[place][0] if place < len(self.wakes) else None


class SimStore(KeptLetters):
    """One process' hold on the disk."""

    def __init__(
        self,
        dice: Dice,
        hazards: Hazards,
        kept: MemoryStore | None = None,
        seen: Seen | None = None,
    ) -> None:
        self._dice = dice
        self._hazards = hazards
        self.kept = kept or MemoryStore()
        self.seen = seen or Seen()
        self._unsynced: Commit | None = None
        self._broken = ""
        self.breaking = asyncio.Event()
        self._full_until = 0.0
        self._is_busy = False
        self._writing: dict[asyncio.Task[None], None] = {}

    @property
    def broken(self) -> str:
        """Say why nothing more is taken, or "" while all is well."""
        return self._broken

    async def survivor(self) -> "SimStore":
        """End without ceremony; gives what the next process finds."""
        kept = self.kept.crash()
        unsynced, self._unsynced = self._unsynced, None
        if unsynced is not None and self._is_whole(unsynced):
            await kept.open()
            await kept.commit(unsynced)
            await kept.close()
            self.seen.take(unsynced)
        return SimStore(self._dice, self._hazards, kept, self.seen)

    def _is_whole(self, commit: Commit) -> bool:
        """Choose how many pieces of a commit reached the disk, and say whether all did."""
        pieces = len(commit.entries) + len(commit.outbox_changes) + 1
        reached = self._dice.below(pieces + 1) if self._dice.chance(0.5) else pieces
        self._hazards.note("whole" if reached == pieces else "torn")
        return reached == pieces

    async def open(self) -> StoreState:
        """Take hold of the store."""
        return await self.kept.open()

    async def close(self) -> None:
        """Finish what is being written, and let go of the store."""
        while self._writing:
            await asyncio.wait(list(self._writing))
        await self.kept.close()

    def commit(self, commit: Commit) -> asyncio.Future[None]:
        """Make everything in a commit durable together."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        assert not self._is_busy, "one commit at a time"
        self._is_busy = True
        task = asyncio.get_running_loop().create_task(self._write(commit, done), name="disk")
        self._writing[task] = None
        task.add_done_callback(self._writing.pop)
        return done

    async def _write(self, commit: Commit, done: asyncio.Future[None]) -> None:
        failure: StoreError | None = None
        try:
            await self._make_durable(commit)
        except StoreError as error:
            failure = error
        self._is_busy = False
        if done.done():
            return
        if failure is None:
            done.set_result(None)
        else:
            done.set_exception(failure)

    async def _make_durable(self, commit: Commit) -> None:
        dice, hazards = self._dice, self._hazards
        if self._broken:
            raise StoreError(self._broken)
        await hazards.operate()
        self._refuse_when_full()
        self._unsynced = commit
        await asyncio.sleep(dice.span(0.5, 20.0) if hazards.strikes("slow") else 0.002)
        await hazards.operate()
        if hazards.strikes("eio"):
            self._broken = "a sync failed: open the store again"
            self.breaking.set()
            raise StoreError(self._broken)
        self._unsynced = None
        await self.kept.commit(commit)
        self.seen.take(commit)
        await hazards.operate()

    def _refuse_when_full(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._full_until <= now and self._hazards.strikes("enospc"):
            self._full_until = now + self._dice.span(*_FULL_S)
        if self._full_until > now and not self._hazards.is_over:
            raise StoreError("the disk is full")

    async def _read(self) -> None:
        await self._hazards.operate()
        if self._hazards.strikes("read"):
            raise StoreError("the disk can't be read")
        await asyncio.sleep(0.001)

    async def load(self, customers: Sequence[str]) -> dict[str, SnapshotRow]:
        """Read snapshots; customers without one are left out."""
        await self._read()
        return await self.kept.load(customers)

    async def timers(self, after_at: int, until_at: int, limit: int) -> list[TimerRow]:
        """List timers due after `after_at`, up to and with `until_at`, by (at, seq, place)."""
        await self._read()
        return await self.kept.timers(after_at, until_at, limit)

    async def outbox_open(self) -> list[OutboxRow]:
        """List messages that are not done, in order of storing."""
        await self._read()
        return await self.kept.outbox_open()

    async def tail(self, after_seq: int) -> AsyncIterator[list[Entry]]:
        """Give the entries after a seq, in order, in portions."""
        await self._read()
        async for portion in self.kept.tail(after_seq):
            yield portion

    async def entries(self, last_seq: int, limit: int) -> list[Entry]:
        """Walk one customer's entries backwards by `prev`, starting at `last_seq`."""
        await self._read()
        return await self.kept.entries(last_seq, limit)

    async def mentioning(self, names: Collection[str], after_seq: int) -> Mentioning:
        """Look for names in the next entries that are about who is who."""
        await self._read()
        return await self.kept.mentioning(names, after_seq)

    async def remembering(self, names: Collection[str], after: str) -> Remembering:
        """Look for names in the next snapshots, in the order of their customers' ids."""
        await self._read()
        return await self.kept.remembering(names, after)

    async def resolve(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Find the customers of (namespace, value) identities; unknown ones are left out."""
        await self._read()
        return await self.kept.resolve(keys)

    async def decisions(self, query: DecisionQuery) -> Page:
        """List decisions, newest first."""
        return await self.kept.decisions(query)

    async def decision(self, decision_id: str) -> DecisionRow | None:
        """Find a decision by its id."""
        return await self.kept.decision(decision_id)

    async def quarantine(self, before: int | None, limit: int) -> list[QuarantineRow]:
        """List quarantined items, newest first, with numbers below `before`."""
        return await self.kept.quarantine(before, limit)

    async def customers(self, after: str, limit: int) -> list[str]:
        """List customers who have snapshots, in the order of their ids, from behind `after` on."""
        await self._read()
        return await self.kept.customers(after, limit)

    async def customer_count(self) -> int:
        """Count the customers who have snapshots."""
        await self._read()
        return await self.kept.customer_count()

    async def segment_sizes(self) -> dict[str, int]:
        """Count who is in each segment; empty segments are left out."""
        return await self.kept.segment_sizes()

    async def members(self, segment: str, after: str, limit: int) -> list[MemberRow]:
        """List who is in a segment, in the order of their ids, from behind `after` on."""
        return await self.kept.members(segment, after, limit)

    async def crossings(self, since_at: int) -> list[CrossingsRow]:
        """Count who came into segments and left them, by segment, from an instant on."""
        return await self.kept.crossings(since_at)

    async def stays_filled(self) -> bool:
        """Say whether the store has the stays of everybody; one of an older format has not."""
        await self._read()
        return await self.kept.stays_filled()

    async def stay_counts(self) -> list[StayCount]:
        """Count who is where in which journey, by journey, version and position."""
        return await self.kept.stay_counts()

    async def journey_sizes(self) -> dict[str, int]:
        """Count the customers who are in each journey; those with nobody in them are left out."""
        return await self.kept.journey_sizes()

    async def stays(self, journey: str, after: tuple[str, int], limit: int) -> list[StayRow]:
        """List who is in a journey from behind (customer, instance) on, in that order."""
        return await self.kept.stays(journey, after, limit)

    async def review(self) -> ReviewRow | None:
        """Tell how far the customers were looked at since the segments changed, if ever."""
        await self._read()
        return await self.kept.review()

    async def old(self, cutoffs: Cutoffs, limit: int) -> Retired:
        """Find what is too old, at most so many rows of each kind."""
        return await self.kept.old(cutoffs, limit)

    async def acts(self, query: ActQuery) -> list[ActRow]:
        """List administrative acts, newest first."""
        return await self.kept.acts(query)

    async def catalogue(
        self, after: tuple[str, str], limit: int, *, kind: str = ""
    ) -> list[CatalogueRow]:
        """List items of the catalogue after a (kind, id), in that order; of one kind if named."""
        return await self.kept.catalogue(after, limit, kind=kind)

    async def graves(self) -> Graves:
        """Read who was erased, by hashes, and who is being erased."""
        await self._read()
        return await self.kept.graves()

    async def erasure(self, number: int) -> ErasureRow | None:
        """Find an erasure by its number."""
        await self._read()
        return await self.kept.erasure(number)

    async def links_of(self, customer: str) -> list[tuple[str, str]]:
        """List the identities that belong to a customer."""
        await self._read()
        return await self.kept.links_of(customer)

    async def cleanse(self) -> None:
        """Take away what erased rows have left behind."""
        await self._read()
        await self.kept.cleanse()

    async def save_program(self, version: str, at: int, source: bytes) -> None:
        """Keep the text of a workspace that comes into force; once for each version."""
        await self.kept.save_program(version, at, source)

    async def programs(self) -> list[tuple[str, int, bytes]]:
        """List the workspaces that were in force: (version, since, source), oldest first."""
        return await self.kept.programs()
