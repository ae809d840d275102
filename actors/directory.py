"""Who is in memory: hydration in batches, and passivation under a memory budget.

Owned by `actors.runtime`, which asks for a customer's actor for every input and gets one at once;
its profile arrives when the store has been read, many customers at a time.

*Rules*
- An actor leaves memory only when its snapshot covers all its entries and is durable.
- `unsaved` is ordered by the first entry a snapshot does not cover, so the oldest is at the front
  and everything before it is covered.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

import msgspec

from actors.customer import Customer
from actors.ports import Store
from actors.rows import Entry, SnapshotRow
from engine.errors import StoreError
from engine.events import Abridged, Input
from engine.evolve import fold
from engine.records import Record

LOAD_MAX = 2_000  # customers read from the store at once
MEMORY_BYTES_MAX = 128 * 1024 * 1024
SWEEP_MAX = 4_000  # actors looked at in one sweep; twice the largest batch a client may send

_log = logging.getLogger("nextbeat.directory")

_INPUT = msgspec.msgpack.Decoder(Input)
_RECORDS = msgspec.msgpack.Decoder(list[Record])


def decode_entry(entry: Entry) -> tuple[Input, list[Record]]:
    """Read a journal entry's input and records."""
    return _INPUT.decode(entry.input), _RECORDS.decode(entry.records)


async def revive(
    store: Store, names: Sequence[str], rows: Mapping[str, SnapshotRow]
) -> dict[str, Customer]:
    """Make actors from their snapshots; those whose snapshot is damaged from the whole journal.

    They stand as their snapshots do, or after their last entry and then with nothing saved. Raises
    StoreError where the journal has not all of a customer whose snapshot is damaged.
    """
    damaged = [name for name in names if name in rows and not rows[name].body]
    revived = await _fold_all(store, damaged) if damaged else {}
    for name in names:
        if name not in revived:
            row = rows.get(name)
            revived[name] = actor = Customer(name)
            actor.hydrate(row.body if row else None, row.seq if row else 0)
    return revived


async def _fold_all(store: Store, names: Sequence[str]) -> dict[str, Customer]:
    """Make actors from all their entries: a walk through the whole journal, and so the last way."""
    actors = {name: Customer(name) for name in names}
    for actor in actors.values():
        _log.warning("the snapshot of %r is damaged: made again from the journal", actor.id)
        actor.hydrate(None, 0)
    last_seqs = dict.fromkeys(names, 0)
    async for portion in store.tail(0):
        for entry in portion:
            if entry.customer in actors:
                _fold_next(actors[entry.customer], entry)
                last_seqs[entry.customer] = entry.seq
    for actor in actors.values():
        if not actor.last_seq or actor.last_seq != last_seqs[actor.id]:
            raise _unrevivable(actor.id)
        actor.snapshot()  # measures it, too
    return actors


def _fold_next(actor: Customer, entry: Entry) -> None:
    """Bring an actor from before its next journal entry to after it.

    After entries that are gone nothing can be folded but one that says all: those between are
    passed over, and the actor does not come to its last one unless there is such an entry.
    """
    assert actor.profile is not None
    given, records = decode_entry(entry)
    if entry.prev == actor.last_seq or isinstance(given, Abridged):
        fold(actor.profile, given, records, entry.at)
        actor.last_seq = actor.durable_seq = entry.seq


def _unrevivable(customer: str) -> StoreError:
    return StoreError(
        f"the snapshot of {customer!r:.80} is damaged, and the journal does not have all of their"
        " entries to make it again: restore the data directory from a backup"
    )


class Directory:
    """The actors of one shard, least recently used first."""

    def __init__(
        self,
        store: Store,
        hydrated: Callable[[Customer], None],
        failed: Callable[[Customer, Exception], None],
        memory_bytes_max: int = MEMORY_BYTES_MAX,
    ) -> None:
        self._store = store
        self._hydrated = hydrated
        self._failed = failed
        self._memory_bytes_max = memory_bytes_max
        self._actors: OrderedDict[str, Customer] = OrderedDict()
        self._wanted: dict[str, Customer] = {}
        self._stale: dict[str, int] = {}  # discarded with entries no snapshot covers -> last entry
        self._writing: dict[str, tuple[int, int]] = {}  # snapshots not durable -> what was before
        self._rebuilding: dict[str, tuple[Customer, int]] = {}  # -> entry to wait for
        self._loading: asyncio.Task[None] | None = None
        self._pressing: dict[str, None] = {}  # whose snapshot goes with the next commit
        self.unsaved: OrderedDict[str, int] = OrderedDict()  # -> first entry not in a snapshot
        self.memory_bytes = 0
        self.hydrated_count = 0
        self.passivated_count = 0

    def __len__(self) -> int:
        """Count the actors in memory."""
        return len(self._actors)

    def find(self, customer: str) -> Customer | None:
        """Give a customer's actor if it is in memory."""
        return self._actors.get(customer)

    def get(self, customer: str) -> Customer:
        """Give a customer's actor, at once; it is hydrated when it is not in memory."""
        actor = self._actors.get(customer)
        if actor is not None:
            self._actors.move_to_end(customer)
            return actor
        actor = Customer(customer)
        self._actors[customer] = actor
        self.memory_bytes += actor.memory_bytes
        self._want(actor)
        return actor

    def _want(self, actor: Customer) -> None:
        self._wanted[actor.id] = actor
        if self._loading is None:
            self._loading = asyncio.get_running_loop().create_task(self._load())

    def adopt(self, actor: Customer) -> None:
        """Take in an actor that recovery has built."""
        self._actors[actor.id] = actor
        self.memory_bytes += actor.memory_bytes

    def changed(self, actor: Customer, seq: int) -> None:
        """Note that an actor has an entry that no snapshot covers."""
        if actor.id not in self.unsaved:
            self.unsaved[actor.id] = seq

    def discard(self, actor: Customer) -> None:
        """Throw away an actor whose memory is ahead of the disk; it is rebuilt when next wanted."""
        if self._actors.get(actor.id) is not actor:
            return
        del self._actors[actor.id]
        self._wanted.pop(actor.id, None)
        self._rebuilding.pop(actor.id, None)
        self.memory_bytes -= actor.memory_bytes
        if actor.durable_seq > actor.saved_seq:
            self._stale[actor.id] = actor.durable_seq
        elif actor.id not in self._stale:  # one whose reading failed is as stale as before
            self.unsaved.pop(actor.id, None)

    def forget(self, customer: str) -> None:
        """Let go of a customer of whom nothing is left on disk."""
        actor = self._actors.pop(customer, None)
        if actor is not None:
            self.memory_bytes -= actor.memory_bytes
        for known in (self._wanted, self._rebuilding, self._stale, self._writing, self.unsaved):
            known.pop(customer, None)

    def rebuild(self, actor: Customer) -> None:
        """Have an actor that failed read again from the disk, once its entries are there.

        What waits in its mailbox goes on waiting.
        """
        actor.profile = None
        actor.scheduled = False
        self._rebuilding[actor.id] = (actor, actor.last_seq)

    def durable(self, seq: int) -> None:
        """Note that everything up to an entry is on disk, and the snapshots that went with it."""
        self._writing.clear()
        for customer, (actor, awaited_seq) in list(self._rebuilding.items()):
            if awaited_seq <= seq:
                del self._rebuilding[customer]
                if awaited_seq > 0:
                    self._stale[customer] = awaited_seq
                self._want(actor)

    def durable_seq(self, customer: str) -> int:
        """Tell a customer's latest entry on disk, as far as memory knows better than snapshots."""
        actor = self._actors.get(customer)
        return max(actor.durable_seq if actor is not None else 0, self._stale.get(customer, 0))

    async def recall(self, customers: Sequence[str]) -> dict[str, Customer]:
        """Read customers as the disk has them, apart from whatever is in memory."""
        last_seqs = [self.durable_seq(name) for name in customers]
        revived = await revive(self._store, customers, await self._store.load(customers))
        for name, last_seq in zip(customers, last_seqs, strict=True):
            await self._catch_up(revived[name], last_seq)
        return revived

    def everyone(self) -> list[Customer]:
        """List the actors in memory."""
        return list(self._actors.values())

    def lost_snapshots(self) -> None:
        """Take back what the snapshots of a failed commit had covered."""
        for customer, (first_seq, saved_seq) in self._writing.items():
            actor = self._actors.get(customer)
            if actor is not None:
                actor.saved_seq = saved_seq
            if first_seq:
                self.unsaved[customer] = first_seq
        self._writing.clear()
        ordered = sorted(self.unsaved.items(), key=lambda pair: pair[1])
        self.unsaved = OrderedDict(ordered)

    def covered_seq(self, last_seq: int) -> int:
        """Tell up to which entry everything is in snapshots."""
        if not self.unsaved:
            return last_seq
        return next(iter(self.unsaved.values())) - 1

    def snapshots(self, limit: int) -> list[SnapshotRow]:
        """Write down the actors that have waited longest for a snapshot.

        The rows must go into the commit that is being filled: what they hold is durable with it.
        """
        rows: list[SnapshotRow] = []
        for customer in list(islice(self.unsaved, limit)):
            actor = self._actors.get(customer)
            if actor is None:  # thrown away after a failed commit: have it rebuilt first
                self.get(customer)
            elif actor.profile is not None:
                rows.append(self._snapshot(actor))
        return rows

    def press(self, actor: Customer) -> None:
        """Have an actor's snapshot go with the commit that is being filled.

        What the one before holds must be gone as soon as what is in this commit is there.
        """
        self._pressing[actor.id] = None

    def pressed(self) -> list[SnapshotRow]:
        """Write down the actors whose snapshots can't wait."""
        pressing, self._pressing = self._pressing, {}
        actors = [self._actors.get(customer) for customer in pressing]
        return [
            self._snapshot(actor)
            for actor in actors
            if actor is not None and actor.profile is not None and actor.last_seq > actor.saved_seq
        ]

    def sweep(self) -> list[SnapshotRow]:
        """Bring memory under its budget: drop idle saved actors, give snapshots of the others.

        Who gets a snapshot leaves with the next sweep, when it is durable and nothing happened to
        them meanwhile; until then they count as gone, or twice as many would be written down.
        """
        rows: list[SnapshotRow] = []
        excess_bytes = self.memory_bytes - self._memory_bytes_max
        if excess_bytes <= 0:
            return rows
        for customer in list(islice(self._actors, SWEEP_MAX)):
            actor = self._actors[customer]
            if actor.mailbox or actor.profile is None or actor.is_stopped:
                continue
            excess_bytes -= actor.memory_bytes
            if actor.last_seq > actor.saved_seq:
                rows.append(self._snapshot(actor))
            elif actor.durable_seq == actor.last_seq and customer not in self._writing:
                del self._actors[customer]
                self.memory_bytes -= actor.memory_bytes
                self.passivated_count += 1
            if excess_bytes <= 0:
                break
        return rows

    def _snapshot(self, actor: Customer) -> SnapshotRow:
        before_bytes = actor.memory_bytes
        row = SnapshotRow(actor.id, actor.last_seq, actor.snapshot())
        self.memory_bytes += actor.memory_bytes - before_bytes
        self._writing[actor.id] = (self.unsaved.pop(actor.id, 0), actor.saved_seq)
        actor.saved_seq = actor.last_seq
        return row

    async def _load(self) -> None:
        """Hydrate whoever is wanted, in batches, until nobody is."""
        try:
            while self._wanted:
                names = list(self._wanted)[:LOAD_MAX]
                wanted = {name: self._wanted.pop(name) for name in names}
                try:
                    await self._hydrate(wanted)
                except Exception as error:  # noqa: BLE001 - whatever it was, each caller is told
                    for actor in wanted.values():
                        self.discard(actor)
                        self._failed(actor, error)
        finally:
            self._loading = None

    async def _hydrate(self, wanted: dict[str, Customer]) -> None:
        """Read those who are wanted; who is done is no longer among them."""
        # Built apart: an actor with half a past must not take inputs in the meantime.
        names = list(wanted)
        revived = await revive(self._store, names, await self._store.load(names))
        for name, actor in list(wanted.items()):
            if self._actors.get(name) is not actor:
                del wanted[name]  # let go of meanwhile
                continue
            built = revived[name]
            await self._catch_up(built, self._stale.get(name, 0))
            self._stale.pop(name, None)
            del wanted[name]
            self.memory_bytes += built.memory_bytes - actor.memory_bytes
            actor.become(built)
            if actor.last_seq > actor.saved_seq:
                self.changed(actor, actor.last_seq)
            self.hydrated_count += 1
            self._hydrated(actor)

    async def _catch_up(self, actor: Customer, last_seq: int) -> None:
        """Fold what follows an actor's snapshot, found by walking back from the last entry."""
        entries: list[Entry] = []
        seq = last_seq
        while seq > actor.last_seq:
            portion = await self._store.entries(seq, 500)
            if not portion:
                raise StoreError(f"the journal has no entry {seq}, which {actor.id!r:.80} needs")
            entries += [entry for entry in portion if entry.seq > actor.last_seq]
            seq = portion[-1].prev
        assert actor.profile is not None
        for entry in reversed(entries):
            given, records = decode_entry(entry)
            fold(actor.profile, given, records, entry.at)
            actor.last_seq = actor.durable_seq = entry.seq
