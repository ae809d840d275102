"""When a shard answers, what shares a commit, and what a failed commit leaves: nothing."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from actors.directory import decode_entry
from actors.memory import MemoryStore, settle
from actors.rows import Commit, QuarantineRow
from engine.errors import OverloadError, StoreError
from engine.events import Event
from tests.shards import GatedStore, Shard

ODD = QuarantineRow(0, 5, "http", "odd", "$.x", "not that", b"{}")


@pytest.fixture
async def shard() -> AsyncIterator[Shard]:
    shard = await Shard(GatedStore()).start()
    yield shard
    await shard.runtime.stop()


def store_of(shard: Shard) -> GatedStore:
    assert isinstance(shard.store, GatedStore)
    return shard.store


# Answers come after commits.


async def test_nothing_is_answered_sent_or_set_before_it_is_durable(shard: Shard) -> None:
    await shard.submit(shard.known("u1"))
    store_of(shard).hold()
    done = shard.runtime.submit([shard.track("u1", "Pay"), shard.track("u1", "Wait")])
    await settle()
    assert not done.done()
    assert shard.runtime.outbox.depth() == 0
    assert shard.email.attempts == []
    assert len(shard.runtime.timers) == 0
    assert shard.decided == []
    store_of(shard).release()
    await settle()
    assert done.done()
    assert len(shard.email.taken) == 1
    assert len(shard.runtime.timers) == 1
    assert shard.told() == ["u1 paper send sent email"]


async def test_what_gathers_while_the_store_is_busy_becomes_one_commit(shard: Shard) -> None:
    store_of(shard).hold()
    first = shard.runtime.submit([shard.track("u1")])
    await settle()
    later = [shard.runtime.submit([shard.track(f"u{n}")]) for n in range(50)]
    await settle()
    store_of(shard).release()
    await asyncio.gather(first, *later)
    assert shard.runtime.counters.commits == 2
    assert shard.runtime.counters.stored == 51


async def test_a_duplicate_is_answered_with_the_original(shard: Shard) -> None:
    store_of(shard).hold()
    event = shard.track("u1")
    first = shard.runtime.submit([event])
    await settle()
    again = shard.runtime.submit([event])
    await settle()
    assert not again.done()
    store_of(shard).release()
    await asyncio.gather(first, again)
    assert shard.runtime.counters.stored == 1
    assert shard.runtime.counters.duplicates == 1


async def test_a_duplicate_fails_with_the_original(shard: Shard) -> None:
    store_of(shard).hold()
    event = shard.track("u1")
    first = shard.runtime.submit([event])
    await settle()
    again = shard.runtime.submit([event])
    await settle()
    store_of(shard).fail_next()
    store_of(shard).release()
    for done in (first, again):
        with pytest.raises(StoreError, match="disk is full"):
            await done
    await shard.submit(event)
    assert shard.runtime.counters.stored == 1
    assert shard.balance() == (1, 1)


async def test_a_duplicate_is_known_after_its_customer_left_memory() -> None:
    shard = await Shard(memory_bytes_max=1).start()
    event = shard.track("u1")
    for number in range(3):
        await shard.submit(event, shard.track("other", event_id=f"x{number}"))
        await shard.submit()
    assert len(shard.runtime.directory) < 2
    await shard.submit(event)
    assert shard.runtime.counters.duplicates == 3
    assert (await shard.profile("u1")).history["Seen"].count == 1
    await shard.runtime.stop()


# A commit that fails.


async def test_a_failed_commit_is_told_to_everybody_and_leaves_no_trace(shard: Shard) -> None:
    await shard.submit(shard.known("u1"), shard.track("u1", "Wait"), shard.track("u2"))
    before = await shard.state("u1", "u2", "anon:a1")
    timers = await shard.store.timers(-1, 10**15, 9)
    store_of(shard).fail_next()
    lost = [
        shard.runtime.submit([shard.track("u1", "Pay"), shard.track("u1", "Later")]),
        shard.runtime.submit([shard.track("u2"), shard.identify("u1", anonymous="a1")]),
        shard.runtime.submit([], [ODD]),
    ]
    for done in lost:
        with pytest.raises(StoreError, match="disk is full"):
            await done
    await settle()
    assert await shard.state("u1", "u2", "anon:a1") == before
    assert len(await shard.runtime.timeline("u1", None, 9)) == 2
    assert await shard.store.timers(-1, 10**15, 9) == timers
    assert len(shard.runtime.timers) == 1
    assert shard.email.attempts == []
    assert await shard.store.outbox_open() == []
    assert await shard.store.quarantine(None, 9) == []
    assert await shard.runtime.resolve("anonymous_id", "a1") is None
    assert shard.decided == []
    assert shard.runtime.counters.commit_failures == 1
    assert shard.balance() == (3, 3)
    assert shard.runtime.gauges()["mailbox_depth"] == 0


async def test_what_is_sent_again_after_a_failure_leads_to_what_it_would_have() -> None:
    async def play(failing: int) -> tuple[dict[str, bytes], list[str]]:
        store = MemoryStore()
        shard = await Shard(store).start()
        for number in range(12):
            user = f"u{number % 3}"
            inputs = [shard.known(user), shard.track(user, ("Pay", "Buy", "Wait")[number % 3])]
            if number % 2:
                store.fail_next(failing)
            for _ in range(failing if number % 2 else 0):
                with pytest.raises(StoreError):
                    await shard.runtime.submit(inputs)
                await settle()
            await shard.submit(*inputs)
        state, told = await shard.state("u0", "u1", "u2"), shard.told()
        assert shard.balance()[0] == shard.balance()[1]
        await shard.runtime.stop()
        return state, told

    assert await play(0) == await play(1)
    assert await play(0) == await play(3)


async def test_what_was_decided_on_top_of_a_failed_commit_fails_with_it(shard: Shard) -> None:
    store_of(shard).hold()
    first = shard.runtime.submit([shard.track("u1")])
    await settle()
    second = shard.runtime.submit([shard.track("u2"), shard.track("u1")])
    await settle()
    store_of(shard).fail_next()
    store_of(shard).release()
    for done in (first, second):
        with pytest.raises(StoreError):
            await done
    await settle()
    assert await shard.runtime.profile("u1") is None
    assert await shard.runtime.profile("u2") is None
    await shard.submit(shard.track("u2"))
    entries = await shard.runtime.timeline("u2", None, 9)
    assert [(entry.seq, entry.prev) for entry in entries] == [(1, 0)]


async def test_a_submission_fails_when_only_its_first_part_was_lost(shard: Shard) -> None:
    await shard.submit(shard.track("u1"))
    store_of(shard).hold_reads()
    store_of(shard).fail_next()
    done = shard.runtime.submit([shard.track("u1"), shard.track("cold")])
    await settle()  # the part of u1 has failed, cold is still being read
    store_of(shard).release_reads()
    with pytest.raises(StoreError, match="disk is full"):
        await done
    assert (await shard.profile("u1")).history["Seen"].count == 1


async def test_a_submission_fails_when_only_its_quarantined_items_were_lost(shard: Shard) -> None:
    await shard.submit(shard.track("u1"))
    store_of(shard).hold_reads()
    store_of(shard).fail_next()
    done = shard.runtime.submit([shard.track("cold")], [ODD])
    other = shard.runtime.submit([shard.track("u1")])
    with pytest.raises(StoreError):
        await other
    store_of(shard).release_reads()
    with pytest.raises(StoreError):
        await done


async def test_a_submission_fails_when_only_its_link_was_lost(shard: Shard) -> None:
    await shard.submit(shard.track("u1"))
    store_of(shard).hold_reads()
    store_of(shard).fail_next()
    done = shard.runtime.submit([shard.identify("cold", anonymous="a1")])
    other = shard.runtime.submit([shard.track("u1")])
    with pytest.raises(StoreError):
        await other
    store_of(shard).release_reads()
    with pytest.raises(StoreError):
        await done
    await shard.submit(shard.identify("cold", anonymous="a1"))
    assert await shard.runtime.resolve("anonymous_id", "a1") == "cold"


async def test_a_newer_link_survives_that_an_older_one_becomes_durable(shard: Shard) -> None:
    store_of(shard).hold()
    waiting = [
        shard.runtime.submit([shard.identify(user, anonymous="a1")]) for user in ("u1", "u2")
    ]
    await settle()
    waiting.append(shard.runtime.submit([shard.identify("u1", anonymous="a1")]))
    await settle()
    store_of(shard).release()
    await asyncio.gather(*waiting)
    await shard.submit(shard.anonymous("a1"))
    assert (await shard.profile("u1")).history["Seen"].count == 1


async def test_snapshots_that_were_on_their_way_are_written_again() -> None:
    store = MemoryStore()
    shard = await Shard(store, snapshot_after_ms=10).start()
    await shard.submit(shard.track("u1"), shard.track("u2"))
    for _ in range(3):
        shard.clock.jump_to(shard.clock.now() + 50)
        store.fail_next()  # the commit has an entry of u1 and the snapshots of both
        with pytest.raises(StoreError):
            await shard.runtime.submit([shard.track("u1")])
        await shard.submit(shard.track("u2"))
    before = await shard.state("u1", "u2")
    again = await shard.crash()
    assert await again.state("u1", "u2") == before
    assert (await again.profile("u2")).history["Seen"].count == 4
    await again.runtime.stop()
    last = await again.restart()
    assert last.folded == 0
    assert await last.state("u1", "u2") == before
    await last.runtime.stop()


# Reading from the store: late, failing, and of what was thrown away.


async def rolled_back(shard: Shard) -> None:
    """Leave u1 out of memory, with an entry on disk that no snapshot covers."""
    shard.clock.jump_to(shard.clock.now() + 1)
    await shard.submit(shard.track("u1"))
    await shard.submit(shard.track("u1"))
    store_of(shard).fail_next()
    with pytest.raises(StoreError):
        await shard.runtime.submit([shard.track("u1")])
    await settle()
    assert shard.runtime.directory.find("u1") is None
    entries = await shard.runtime.timeline("u1", None, 1)
    rows = await shard.store.load(["u1"])
    assert "u1" not in rows or rows["u1"].seq < entries[0].seq


async def test_a_profile_thrown_away_is_read_with_what_no_snapshot_covers(shard: Shard) -> None:
    await rolled_back(shard)
    assert (await shard.profile("u1")).history["Seen"].count == 2
    assert len(await shard.runtime.timeline("u1", None, 9)) == 2


async def test_an_actor_takes_no_inputs_while_its_past_is_read(shard: Shard) -> None:
    await rolled_back(shard)
    store_of(shard).hold_reads()
    waiting = [shard.runtime.submit([shard.track("u1")])]
    await settle()
    waiting.append(shard.runtime.submit([shard.track("u1")]))
    await settle()
    store_of(shard).release_reads()
    await asyncio.gather(*waiting)
    assert (await shard.profile("u1")).history["Seen"].count == 4
    again = await shard.crash()
    assert (await again.profile("u1")).history["Seen"].count == 4
    await again.runtime.stop()


@pytest.mark.parametrize("what", ["loads_failing", "entries_failing"])
async def test_an_actor_that_could_not_be_read_loses_nothing(shard: Shard, what: str) -> None:
    await rolled_back(shard)
    setattr(store_of(shard), what, 1)
    with pytest.raises(StoreError, match="can't be read"):
        await shard.runtime.submit([shard.track("u1")])
    await shard.submit(shard.track("u2"))
    await shard.submit(shard.track("u1"))
    assert (await shard.profile("u1")).history["Seen"].count == 3
    again = await shard.crash()
    assert (await again.profile("u1")).history["Seen"].count == 3
    await again.runtime.stop()


async def test_an_unreadable_actor_is_covered_by_no_later_snapshot() -> None:
    store = GatedStore()
    shard = await Shard(store, snapshot_after_ms=10).start()
    await shard.submit(shard.track("u2"))
    await rolled_back(shard)
    store.loads_failing = 1
    with pytest.raises(StoreError):
        await shard.runtime.submit([shard.track("u1")])
    store.loads_failing = 1  # so that the snapshots to come can't have u1 among them
    shard.clock.jump_to(shard.clock.now() + 50)
    await shard.submit(shard.track("u2"))
    again = await shard.crash()
    assert (await again.profile("u1")).history["Seen"].count == 2
    await again.runtime.stop()


async def test_one_unreadable_customer_does_not_fail_those_read_before(shard: Shard) -> None:
    await rolled_back(shard)
    store_of(shard).entries_failing = 1
    good = shard.runtime.submit([shard.track("cold")])
    bad = shard.runtime.submit([shard.track("u1")])
    with pytest.raises(StoreError):
        await bad
    await good
    assert (await shard.profile("cold")).history["Seen"].count == 1


async def test_an_anonymous_customer_that_cannot_be_found_out_is_told(shard: Shard) -> None:
    store_of(shard).resolves_failing = 1
    done = shard.runtime.submit([shard.anonymous("a1"), shard.track("u1")])
    with pytest.raises(StoreError, match="can't be read"):
        await done
    assert shard.runtime.gauges()["mailbox_depth"] == 0
    await shard.submit(shard.anonymous("a1"))
    assert (await shard.profile("anon:a1")).history["Seen"].count == 1


async def test_a_submission_keeps_its_order_while_an_anonymous_id_is_looked_up(
    shard: Shard,
) -> None:
    await shard.submit(shard.identify("u1", anonymous="a1"))
    cold = await shard.crash()
    store = store_of(cold)
    store.resolved.clear()
    store.hold_reads()
    inputs = [
        cold.anonymous("a1", "First"),
        cold.anonymous("a2", "First"),
        cold.track("u1", "Second"),
        cold.identify("u1", anonymous="a2"),
        cold.anonymous("a2", "Third"),
    ]
    done = cold.runtime.submit(inputs)
    await settle()
    assert store.resolved == ["a1", "a2"]  # all were asked for at once
    store.release_reads()
    await done
    entries = await cold.runtime.timeline("u1", None, 5)
    given = [decode_entry(entry)[0] for entry in reversed(entries)]
    names = [one.name for one in given if isinstance(one, Event)]
    assert names == ["First", "Second", "Identified", "Third"]
    assert (await cold.profile("anon:a2")).merged_into == "u1"
    assert (await cold.profile("u1")).history["First"].count == 2
    await cold.runtime.stop()


# Too much.


async def test_a_full_shard_refuses_at_once_and_takes_nothing() -> None:
    store = GatedStore()
    shard = await Shard(store, queue_max=10).start()
    store.hold_reads()
    taken = shard.runtime.submit([shard.track("u1") for _ in range(8)])
    with pytest.raises(OverloadError):
        shard.runtime.submit([shard.track("u2") for _ in range(3)], [ODD])
    more = shard.runtime.submit([shard.track("u1") for _ in range(2)])
    store.release_reads()
    await asyncio.gather(taken, more)
    assert shard.runtime.counters.stored == 10
    assert await shard.runtime.profile("u2") is None
    assert await shard.store.quarantine(None, 9) == []
    await shard.submit(shard.track("u2"))  # once it has drained there is room again
    await shard.runtime.stop()


async def test_one_customers_mailbox_is_bounded(
    shard: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.runtime.MAILBOX_MAX", 3)
    store_of(shard).hold_reads()
    first = shard.runtime.submit([shard.track("u1") for _ in range(3)])
    refused = shard.runtime.submit([shard.track("u1"), shard.track("u2")])
    with pytest.raises(OverloadError, match="one customer"):
        await refused
    store_of(shard).release_reads()
    await first
    await settle()
    assert (await shard.profile("u1")).history["Seen"].count == 3
    assert (await shard.profile("u2")).history["Seen"].count == 1
    assert shard.balance() == (4, 4)
    assert shard.runtime.gauges()["mailbox_depth"] == 0


# The end.


async def test_a_stop_answers_everything_that_was_taken() -> None:
    shard = await Shard(GatedStore()).start()
    store_of(shard).hold_reads()
    waiting = [shard.runtime.submit([shard.track(f"u{n % 7}")]) for n in range(50)]
    stopping = asyncio.ensure_future(shard.runtime.stop())
    await settle()
    store_of(shard).release_reads()
    await asyncio.gather(stopping, *waiting)
    again = await shard.restart()
    assert again.folded == 0
    assert (await again.profile("u0")).history["Seen"].count == 8
    await again.runtime.stop()


async def test_a_stop_that_takes_too_long_tells_everybody() -> None:
    shard = await Shard(GatedStore()).start()
    await shard.submit(shard.track("u1"))
    store_of(shard).hold_reads()
    store_of(shard).hold()
    waiting = [
        shard.runtime.submit([shard.track("u1")]),  # at the store
        shard.runtime.submit([shard.track("cold")]),  # being read
        shard.runtime.submit([shard.anonymous("a1")]),  # being looked up
    ]
    await settle()
    waiting.append(shard.runtime.submit([shard.track("u1")]))  # in the batch behind
    await settle()
    await shard.runtime.stop(timeout_s=0.01)
    assert all(done.done() for done in waiting)
    for done in waiting:
        with pytest.raises(StoreError, match="stopped"):
            await done
    await shard.abandon()


class BrokenStore(MemoryStore):
    """A store that fails before it even promises anything."""

    def __init__(self) -> None:
        super().__init__()
        self.is_broken_inside = False

    def commit(self, commit: Commit) -> asyncio.Future[None]:
        if self.is_broken_inside:
            raise ZeroDivisionError
        return super().commit(commit)


async def test_a_store_that_fails_at_once_keeps_nobody_waiting() -> None:
    store = BrokenStore()
    shard = await Shard(store).start()
    store.is_broken_inside = True
    with pytest.raises(StoreError):
        await asyncio.wait_for(shard.runtime.submit([shard.track("u1", "Pay")]), 1)
    store.is_broken_inside = False
    await shard.submit(shard.track("u1", "Pay"))
    assert shard.runtime.counters.stored == 1
    await shard.runtime.stop()
