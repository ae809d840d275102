"""What a shard promises its callers, over memory and over SQLite."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.memory import MemoryStore
from actors.ports import Store
from actors.rows import DecisionQuery
from adapters.sqlite.store import SqliteStore
from engine.errors import OverloadError
from engine.events import ReceiptStatus
from tests.shards import Shard


@pytest.fixture(params=["memory", "sqlite"])
async def shard(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shard]:
    store: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "data")
    shard = await Shard(store).start()
    yield shard
    if not (shard.is_over or shard.runtime.unready()):
        await shard.runtime.stop()


async def kill(shard: Shard) -> Shard:
    """End a shard without stopping it; what was committed is all the next one has."""
    if isinstance(shard.store, MemoryStore):
        return await shard.crash()
    await shard.store.close()
    await shard.abandon()
    return await shard.restart()


async def test_what_was_answered_is_there(shard: Shard) -> None:
    await shard.submit(shard.known("u1"), shard.track("u1", "Pay"))
    profile = await shard.profile("u1")
    assert profile.traits["email"] == "u1@example.com"
    assert profile.history["Pay"].count == 1
    rows = (await shard.store.decisions(DecisionQuery(customer="u1"))).rows
    assert [(row.outcome, row.channel) for row in rows] == [("send", "email")]


async def test_an_unknown_customer_has_no_profile_and_no_past(shard: Shard) -> None:
    assert await shard.runtime.profile("nobody") is None
    assert await shard.runtime.timeline("nobody", None, 10) == []
    await shard.submit(shard.track("u1"))
    assert await shard.runtime.profile("nobody") is None


async def test_a_submission_without_inputs_is_answered(shard: Shard) -> None:
    await shard.runtime.submit([])
    assert shard.balance() == (0, 0)


async def test_everything_is_as_before_after_a_kill(shard: Shard) -> None:
    inputs = [shard.known("u1"), shard.track("u1", "Wait"), shard.track("u2", "Later")]
    await shard.submit(*inputs, shard.anonymous("a1"), shard.identify("u3", anonymous="a1"))
    before = await shard.state("u1", "u2", "u3", "anon:a1")
    timers = await shard.store.timers(-1, 10**15, 10)
    again = await kill(shard)
    assert again.folded > 0
    assert await again.state("u1", "u2", "u3", "anon:a1") == before
    assert await again.store.timers(-1, 10**15, 10) == timers
    await again.submit(again.anonymous("a1"))
    assert (await again.profile("u3")).history["Seen"].count == 2  # one came with the visitor
    await again.runtime.stop()


async def test_after_a_stop_nothing_has_to_be_folded(shard: Shard) -> None:
    inputs = [shard.track(f"u{number % 300}") for number in range(1_000)]
    await shard.submit(*inputs)
    before = await shard.state("u7", "u299")
    await shard.runtime.stop()
    again = await shard.restart()
    assert again.folded == 0
    assert await again.state("u7", "u299") == before
    await again.runtime.stop()


async def test_an_event_sent_again_is_answered_and_stored_once(shard: Shard) -> None:
    event = shard.track("u1")
    await shard.submit(event, event)
    await shard.submit(event)
    again = await kill(shard)
    await again.submit(event)
    assert again.runtime.counters.duplicates == 1
    assert (await again.profile("u1")).history["Seen"].count == 1
    assert len(await again.runtime.timeline("u1", None, 10)) == 1
    await again.runtime.stop()


async def test_a_customers_journal_is_listed_newest_first_in_pages(shard: Shard) -> None:
    for name in ("u1", "u2"):
        await shard.submit(*[shard.track(name) for _ in range(5)])
    first = await shard.runtime.timeline("u1", None, 3)
    rest = await shard.runtime.timeline("u1", first[-1].seq, 10)
    assert [entry.seq for entry in (*first, *rest)] == [5, 4, 3, 2, 1]
    assert await shard.runtime.timeline("u1", 7, 10) == []  # an entry of somebody else


async def test_customers_are_kept_in_order_also_while_they_are_read(shard: Shard) -> None:
    waiting = [
        shard.runtime.submit([shard.identify(f"u{number}", step=value)])
        for value in range(20)
        for number in range(50)
    ]
    await asyncio.gather(*waiting)
    for number in range(50):
        profile = await shard.profile(f"u{number}")
        assert profile.traits["step"] == 19
        assert profile.history["Identified"].count == 20
        entries = await shard.runtime.timeline(f"u{number}", None, 50)
        assert len(entries) == 20


async def test_an_anonymous_id_belongs_to_who_it_was_linked_with(shard: Shard) -> None:
    await shard.submit(shard.anonymous("a1"), shard.identify("u1", anonymous="a1"))
    await shard.submit(shard.anonymous("a1"), shard.alias("u2", "a2"), shard.anonymous("a2"))
    assert (await shard.profile("anon:a1")).merged_into == "u1"
    assert (await shard.profile("u1")).history["Seen"].count == 2
    assert (await shard.profile("u2")).history["Seen"].count == 1
    assert await shard.runtime.resolve("anonymous_id", "a2") == "u2"
    again = await kill(shard)  # with nothing remembered
    await again.submit(again.anonymous("a1"), again.anonymous("a2"), again.anonymous("a3"))
    assert (await again.profile("u1")).history["Seen"].count == 3
    assert (await again.profile("u2")).history["Seen"].count == 2
    assert (await again.profile("anon:a3")).history["Seen"].count == 1
    await again.runtime.stop()


async def test_a_receipt_that_speaks_of_nothing_is_kept_all_the_same(shard: Shard) -> None:
    await shard.submit(shard.receipt("u1", "m_unknown", ReceiptStatus.OPENED))
    assert shard.runtime.counters.stored == 1
    assert len(await shard.runtime.timeline("u1", None, 10)) == 1


async def test_before_the_start_and_after_the_stop_nothing_is_taken(shard: Shard) -> None:
    fresh = Shard()
    with pytest.raises(OverloadError, match="not started"):
        fresh.runtime.submit([fresh.track("u1")])
    await shard.runtime.stop()
    with pytest.raises(OverloadError, match="stopping"):
        shard.runtime.submit([shard.track("u1")])
