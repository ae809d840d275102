"""Who is in memory: hydration in batches, snapshots, and leaving under a budget."""

from collections.abc import Sequence

import msgspec
import pytest

from actors.customer import MEMORY_BYTES_BASE, Customer
from actors.directory import Directory
from actors.memory import MemoryStore, settle
from actors.rows import Commit, Entry, SnapshotRow
from engine.errors import StoreError
from engine.events import Event, EventKind, Input
from engine.evolve import fold
from engine.profile import Profile


class CountingStore(MemoryStore):
    """A store that tells how many customers each read was for."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[int] = []

    async def load(self, customers: Sequence[str]) -> dict[str, SnapshotRow]:
        self.loads.append(len(customers))
        return await super().load(customers)


class House:
    """A directory and what it told its owner."""

    def __init__(self, memory_bytes_max: int = 10**9) -> None:
        self.store = CountingStore()
        self.hydrated: list[str] = []
        self.failed: list[str] = []
        self.directory = Directory(
            self.store,
            lambda actor: self.hydrated.append(actor.id),
            lambda actor, _: self.failed.append(actor.id),
            memory_bytes_max,
        )
        self.seq = 0

    async def open(self) -> "House":
        await self.store.open()
        return self

    async def hold(self, customer: str) -> Customer:
        actor = self.directory.get(customer)
        await settle()
        return actor

    def step(self, actor: Customer) -> Entry:
        """Have something happen to a customer; gives the entry to be stored."""
        assert actor.profile is not None
        self.seq += 1
        event = Event(f"e{self.seq}", EventKind.TRACK, "Seen", actor.id, None, self.seq, self.seq)
        given: Input = event
        fold(actor.profile, given, [], self.seq)
        entry = Entry(
            self.seq,
            actor.id,
            actor.last_seq,
            self.seq,
            "p",
            msgspec.msgpack.encode(given),
            b"\x90",
        )
        actor.last_seq = self.seq
        self.directory.changed(actor, self.seq)
        return entry

    async def commit(self, *entries: Entry, snapshots: Sequence[SnapshotRow] = ()) -> None:
        await self.store.commit(Commit(entries=list(entries), snapshots=list(snapshots)))
        for entry in entries:
            actor = self.directory.find(entry.customer)
            if actor is not None:
                actor.durable_seq = entry.seq
        self.directory.durable(self.seq)


def seen(actor: Customer) -> int:
    assert actor.profile is not None
    return actor.profile.history["Seen"].count


async def test_many_customers_are_read_at_once_and_each_once() -> None:
    house = await House().open()
    for number in range(50):
        house.directory.get(f"u{number}")
        house.directory.get(f"u{number}")
    assert house.directory.get("u7").profile is None
    await settle()
    assert house.store.loads == [50]
    assert house.hydrated == [f"u{number}" for number in range(50)]
    assert house.directory.get("u7").profile == Profile("u7")


async def test_those_wanted_while_others_are_read_come_next() -> None:
    house = await House().open()
    house.directory.get("u1")
    await settle()
    house.directory.get("u2")
    house.directory.get("u3")
    await settle()
    assert house.store.loads == [1, 2]


async def test_a_failed_reading_is_told_and_leaves_nobody_in_memory() -> None:
    house = await House().open()
    await house.store.close()
    house.directory.get("u1")
    await settle()
    assert house.failed == ["u1"]
    assert len(house.directory) == 0
    assert house.directory.memory_bytes == 0


async def test_what_no_snapshot_covers_begins_with_the_oldest_unsaved_entry() -> None:
    house = await House().open()
    one, two = await house.hold("u1"), await house.hold("u2")
    entries = [house.step(one), house.step(two), house.step(one)]
    await house.commit(*entries)
    assert house.directory.covered_seq(3) == 0
    rows = house.directory.snapshots(1)
    assert [(row.customer, row.seq) for row in rows] == [("u1", 3)]
    assert house.directory.covered_seq(3) == 1
    rows += house.directory.snapshots(9)
    assert house.directory.covered_seq(3) == 3
    await house.commit(snapshots=rows)
    assert house.directory.snapshots(9) == []


async def test_snapshots_that_were_lost_are_owed_again() -> None:
    house = await House().open()
    one, two = await house.hold("u1"), await house.hold("u2")
    await house.commit(house.step(one), house.step(two))
    house.directory.snapshots(9)
    house.directory.lost_snapshots()
    assert house.directory.covered_seq(2) == 0
    assert [row.customer for row in house.directory.snapshots(9)] == ["u1", "u2"]


async def test_a_discarded_actor_is_built_from_its_snapshot_and_its_entries() -> None:
    house = await House().open()
    one = await house.hold("u1")
    await house.commit(house.step(one))
    await house.commit(snapshots=house.directory.snapshots(9))
    await house.commit(*[house.step(one) for _ in range(3)])
    house.step(one)  # never durable
    house.directory.discard(one)
    house.directory.discard(one)
    assert house.directory.memory_bytes == 0
    assert seen((await house.directory.recall(["u1"]))["u1"]) == 4
    assert len(house.directory) == 0
    again = await house.hold("u1")
    assert again is not one
    assert (seen(again), again.last_seq, again.saved_seq) == (4, 4, 1)


async def test_an_entry_missing_from_the_journal_is_not_passed_over() -> None:
    house = await House().open()
    one = await house.hold("u1")
    house.step(one)
    one.durable_seq = 1  # as if the disk had lost it
    house.directory.discard(one)
    await house.hold("u1")
    assert house.failed == ["u1"]
    with pytest.raises(StoreError, match="no entry 1"):
        await house.directory.recall(["u1"])


async def test_an_actor_that_failed_is_built_anew_once_its_entries_are_durable() -> None:
    house = await House().open()
    one = await house.hold("u1")
    entry = house.step(one)
    house.directory.rebuild(one)
    assert one.profile is None
    house.directory.durable(0)
    await settle()
    assert house.hydrated == ["u1"]  # still waiting for entry 1
    await house.commit(entry)
    await settle()
    assert house.hydrated == ["u1", "u1"]
    assert seen(one) == 1


async def test_only_the_idle_the_saved_and_the_oldest_leave() -> None:
    house = await House(memory_bytes_max=1).open()
    busy, fresh, saved = [await house.hold(name) for name in ("busy", "fresh", "saved")]
    event = Event("x", EventKind.TRACK, "Seen", "busy", None, 1, 1)
    busy.mailbox.append((event, None))
    entry = house.step(fresh)
    rows = house.directory.sweep()
    assert [row.customer for row in rows] == ["fresh"]
    assert house.directory.find("saved") is None
    assert house.directory.sweep() == []  # its snapshot is on its way and may yet be lost
    assert house.directory.find("fresh") is fresh
    await house.commit(entry, snapshots=rows)
    assert house.directory.sweep() == []
    assert [house.directory.find(name) for name in ("busy", "fresh")] == [busy, None]
    assert house.directory.memory_bytes == busy.memory_bytes
    assert house.directory.passivated_count == 2
    assert saved.profile is not None


async def test_nobody_leaves_before_their_snapshot_is_durable() -> None:
    house = await House(memory_bytes_max=1).open()
    one = await house.hold("u1")
    await house.commit(house.step(one))  # the entry is; the snapshot that follows is not yet
    rows = house.directory.sweep()
    assert house.directory.sweep() == []
    assert house.directory.find("u1") is one
    await house.commit(snapshots=rows)
    house.directory.sweep()
    assert house.directory.find("u1") is None


async def test_who_was_used_last_stays_longest() -> None:
    house = await House(memory_bytes_max=2 * MEMORY_BYTES_BASE).open()
    for name in ("u1", "u2", "u3"):
        await house.hold(name)
    house.directory.get("u1")
    house.directory.sweep()
    assert [actor.id for actor in house.directory.everyone()] == ["u3", "u1"]


async def test_under_budget_nobody_leaves() -> None:
    house = await House().open()
    await house.hold("u1")
    assert house.directory.sweep() == []
    assert len(house.directory) == 1
