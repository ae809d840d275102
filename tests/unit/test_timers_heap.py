"""The heap of due times: order, horizon, and what is read from the store again."""

import random

import pytest

from actors.memory import MemoryStore, settle
from actors.rows import Commit, TimerRow
from actors.timers import HORIZON_MS, Timers
from engine.errors import StoreError
from engine.instants import HOUR_MS, MINUTE_MS, SECOND_MS
from tests.shards import ORIGIN_AT, GatedStore, Shard


class ReadingStore(MemoryStore):
    """A store whose reads of timers are counted, can fail, and can be looked into."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.failing = 0
        self.meanwhile: list[TimerRow] = []  # pushed while the store is read
        self.timers_to_push: Timers | None = None
        self.reread_at: int | None = None

    async def timers(self, after_at: int, until_at: int, limit: int) -> list[TimerRow]:
        self.reads += 1
        rows = await super().timers(after_at, until_at, limit)
        if self.failing:
            self.failing -= 1
            raise StoreError("the disk can't be read")
        if self.timers_to_push is not None:
            for row in self.meanwhile:
                self.timers_to_push.push(row)
            if self.reread_at is not None:
                self.timers_to_push.reread(self.reread_at)
                self.reread_at = None
        return rows


async def loaded(*rows: TimerRow, now: int = 0) -> Timers:
    store = await filled(*rows)
    timers = Timers(store)
    await timers.load(now)
    return timers


async def filled(*rows: TimerRow) -> ReadingStore:
    store = ReadingStore()
    await store.open()
    await store.commit(Commit(timers_set=list(rows)))
    return store


def row(at: int, number: int = 1, *, seq: int = 1, place: int = 0, who: str = "u1") -> TimerRow:
    return TimerRow(at, who, number, seq, place)


async def test_timers_come_by_time_and_then_as_they_were_set() -> None:
    rows = [
        row(20, 1, seq=1),
        row(10, 2, seq=9, who="a"),
        row(10, 3, seq=2, place=1, who="z"),
        row(10, 4, seq=2, place=0, who="z"),
    ]
    random.Random(3).shuffle(rows)
    timers = await loaded(now=0)
    for one in rows:
        timers.push(one)
    assert [found.timer for found in timers.due(20)] == [4, 3, 2, 1]


async def test_a_timer_is_never_early() -> None:
    timers = await loaded(row(10), row(11, 2))
    assert timers.due(9) == []
    assert timers.due(10) == [row(10)]
    assert timers.due(10) == []
    assert timers.next_at() == 11


async def test_a_limit_leaves_the_rest_for_the_next_time() -> None:
    timers = await loaded(*[row(10, number, seq=number) for number in range(1, 8)])
    found = [[one.timer for one in timers.due(10, 3)] for _ in range(4)]
    assert found == [[1, 2, 3], [4, 5, 6], [7], []]


async def test_a_timer_is_in_the_heap_once_however_often_it_is_pushed() -> None:
    timers = await loaded(row(10))
    timers.push(row(10))
    assert len(timers) == 1
    assert timers.due(10) == [row(10)]
    assert timers.due(10) == []


async def test_a_forgotten_timer_does_not_fire_and_can_be_set_again() -> None:
    timers = await loaded(row(10), row(12, 2))
    timers.forget("u1", 1)
    timers.forget("nobody", 7)
    assert timers.next_at() == 12
    assert [one.timer for one in timers.due(20)] == [2]
    assert timers.next_at() is None


async def test_what_lies_beyond_the_horizon_is_not_in_memory() -> None:
    timers = await loaded()
    timers.push(row(HORIZON_MS))
    timers.push(row(HORIZON_MS + 1, 2))
    assert len(timers) == 1


async def test_the_horizon_moves_on_with_time() -> None:
    store = await filled(*[row(minute * MINUTE_MS, minute) for minute in range(1, 61)])
    timers = Timers(store)
    fired: list[int] = []
    for now in range(0, 61 * MINUTE_MS, 30 * SECOND_MS):
        if timers.needs_load(now):
            await timers.load(now)
        fired += [one.timer for one in timers.due(now)]
        assert len(timers) <= HORIZON_MS // MINUTE_MS
    assert fired == list(range(1, 61))
    assert store.reads < 16


async def test_a_load_that_is_not_needed_reads_nothing() -> None:
    store = await filled()
    timers = Timers(store)
    await timers.load(100)
    await timers.load(100)
    assert store.reads == 1
    assert not timers.needs_load(100 + HORIZON_MS // 2)
    assert timers.needs_load(101 + HORIZON_MS // 2)


async def test_more_than_can_be_read_at_once_come_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.timers.LOAD_MAX", 10)
    rows = [row(at, seq * 100 + at, seq=seq) for at in range(1, 8) for seq in range(1, 5)]
    store = await filled(*rows)
    timers = Timers(store)
    fired: list[TimerRow] = []
    for now in range(10):
        while timers.needs_load(now) and timers.horizon_at < now + HORIZON_MS:
            await timers.load(now)
        fired += timers.due(now)
    assert fired == sorted(rows)
    assert store.reads > 1


async def test_more_of_one_instant_than_can_be_read_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actors.timers.LOAD_MAX", 10)
    crowd = [row(5, number, seq=number) for number in range(1, 96)]
    store = await filled(row(4, 500), *crowd, row(6, 501))
    timers = Timers(store)
    while timers.needs_load(5):
        await timers.load(5)
    found = timers.due(5)
    assert [one.timer for one in found] == [500, *range(1, 96)]
    assert [one.timer for one in timers.due(6)] == [501]


async def test_what_is_set_while_the_store_is_read_is_there_once() -> None:
    store = await filled(row(10))
    timers = Timers(store)
    store.timers_to_push = timers
    store.meanwhile = [row(10), row(7, 2)]
    await timers.load(0)
    assert [one.timer for one in timers.due(10)] == [2, 1]


async def test_what_fired_in_a_commit_that_failed_is_read_again() -> None:
    timers = await loaded(row(10), row(20, 2))
    assert len(timers.due(10)) == 1
    timers.reread(10)
    assert timers.needs_load(10)
    await timers.load(10)
    assert [one.timer for one in timers.due(20)] == [1, 2]


async def test_a_reading_that_fails_is_made_up_for() -> None:
    store = await filled(row(10), row(20, 2))
    timers = Timers(store)
    store.failing = 1
    with pytest.raises(StoreError):
        await timers.load(HOUR_MS)
    assert timers.needs_load(HOUR_MS)
    await timers.load(HOUR_MS)
    assert [one.timer for one in timers.due(HOUR_MS)] == [1, 2]


async def test_what_has_to_be_read_again_is_not_forgotten_over_a_reading_in_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actors.timers.LOAD_MAX", 2)
    store = await filled(row(10), row(20, 2), row(30, 3))
    timers = Timers(store)
    store.timers_to_push = timers
    store.reread_at = 5
    await timers.load(0)
    assert timers.horizon_at < 10


# In a shard.


async def test_far_timers_fire_at_their_instant() -> None:
    shard = await Shard().start()
    await shard.submit(shard.known("u1"), shard.track("u1", "Later"), shard.track("u1", "Wait"))
    assert len(shard.runtime.timers) == 1  # the one two hours away is on disk alone
    await shard.advance(3 * HOUR_MS)
    assert [one.at - ORIGIN_AT for _, one in shard.decided] == [5 * MINUTE_MS, 2 * HOUR_MS]
    assert shard.runtime.counters.timers_early == 0
    assert shard.runtime.counters.timer_lateness[0] == 2
    assert await shard.store.timers(-1, 10**15, 9) == []
    await shard.runtime.stop()


async def test_timers_that_came_due_while_the_process_was_away_fire_at_once_in_order() -> None:
    shard = await Shard().start()
    for number in (3, 1, 2):
        await shard.submit(shard.known(f"u{number}"), shard.track(f"u{number}", "Wait"))
        shard.clock.jump_to(shard.clock.now() + SECOND_MS)
    again = await shard.crash()
    await again.runtime.stop()
    again.clock.jump_to(again.clock.now() + HOUR_MS)
    last = await again.restart()
    await settle()
    assert [user for user, _ in last.decided] == ["u3", "u1", "u2"]
    await last.runtime.stop()


async def test_a_timer_whose_commit_failed_fires_again() -> None:
    store = MemoryStore()
    shard = await Shard(store).start()
    await shard.submit(shard.known("u1"), shard.track("u1", "Wait"))
    store.fail_next()
    await shard.advance(5 * MINUTE_MS)
    assert shard.runtime.counters.commit_failures == 1
    await shard.advance(1_000)
    assert shard.told() == ["u1 paper send sent email"]
    assert await store.timers(-1, 10**15, 9) == []
    await shard.runtime.stop()


async def test_a_timer_waiting_behind_a_failed_commit_fires_again() -> None:
    """The tick is in the mailbox of an actor that is thrown away."""
    store = GatedStore()
    shard = await Shard(store).start()
    await shard.submit(shard.known("u1"), shard.track("u1", "Wait"))
    again = await shard.restart_reading()
    store.hold_reads()
    again.clock.jump_to(again.clock.now() + 5 * MINUTE_MS)
    await settle()
    store.loads_failing = 1
    store.release_reads()
    await settle()
    await again.advance(20)
    assert again.told() == ["u1 paper send sent email"]
    await again.runtime.stop()


async def test_a_timer_nobody_waits_for_any_more_is_taken_off_the_disk() -> None:
    store = MemoryStore()
    shard = await Shard(store).start()
    await shard.submit(shard.track("u1"))
    stale = TimerRow(ORIGIN_AT + SECOND_MS, "u1", 77, 1, 0)
    await store.commit(Commit(timers_set=[stale]))
    shard.runtime.timers.push(stale)
    before = await shard.state("u1")
    await shard.advance(2 * SECOND_MS)
    assert await store.timers(-1, 10**15, 9) == []
    assert await shard.state("u1") == before
    assert shard.runtime.counters.timers_fired == 1
    assert shard.balance() == (1, 1)
    await shard.runtime.stop()


async def test_more_timers_of_one_instant_than_may_wait_at_once_all_fire(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actors.timers.LOAD_MAX", 7)
    monkeypatch.setattr("actors.runtime.TICKS_MAX", 5)
    shard = await Shard().start()
    for number in range(40):
        await shard.submit(shard.known(f"u{number}"), shard.track(f"u{number}", "Later"))
    await shard.advance(2 * HOUR_MS)
    for _ in range(10):
        await shard.advance(1)
    assert [user for user, _ in shard.decided] == [f"u{number}" for number in range(40)]
    assert shard.runtime.counters.timers_early == 0
    await shard.runtime.stop()
