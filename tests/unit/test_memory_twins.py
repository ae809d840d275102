"""What the in-memory twins can do beyond their ports: fail, hold back, crash."""

import asyncio

import pytest

from actors.memory import MemoryChannel, MemoryStore, settle
from actors.ports import Permanent, Temporary
from actors.rows import Commit, Entry, StoreState
from engine.effects import Send
from engine.errors import StoreError


def entry(seq: int) -> Entry:
    return Entry(seq, "u1", 0, 1, "v1", b"in", b"out")


def send(number: int) -> Send:
    return Send(f"m_{number}", "d", "u1", "email", "a@b", "m", "t", "p", "j", "s", {}, 0, None)


async def test_a_store_told_to_fail_writes_nothing_and_goes_on() -> None:
    store = MemoryStore()
    await store.open()
    store.fail_next(2, "no room")
    for _ in range(2):
        with pytest.raises(StoreError, match="no room"):
            await store.commit(Commit(entries=[entry(1)]))
    assert [portion async for portion in store.tail(0)] == []
    await store.commit(Commit(entries=[entry(1)]))
    assert [portion async for portion in store.tail(0)] == [[entry(1)]]


async def test_a_crash_keeps_what_was_committed_and_drops_what_waited() -> None:
    store = MemoryStore()
    await store.open()
    await store.commit(Commit(entries=[entry(1)], covered_seq=1))
    store.hold()
    waiting = store.commit(Commit(entries=[entry(2)]))
    survivor = store.crash()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(StoreError, match="closed"):
        await store.commit(Commit(entries=[entry(2)]))
    assert await survivor.open() == StoreState(1, 1)


async def test_held_commits_are_done_in_order_when_released() -> None:
    store = MemoryStore()
    await store.open()
    store.hold()
    waiting = [store.commit(Commit(entries=[entry(seq)])) for seq in (1, 2)]
    await settle()
    assert not any(future.done() for future in waiting)
    store.release()
    await asyncio.gather(*waiting)
    await store.commit(Commit(entries=[entry(3)]))


async def test_a_store_is_opened_by_one_at_a_time() -> None:
    store = MemoryStore()
    await store.open()
    with pytest.raises(StoreError, match="in use"):
        await store.open()
    await store.close()
    await store.open()


async def test_a_channel_fails_as_scripted_and_remembers_what_it_took() -> None:
    channel = MemoryChannel()
    await channel.start()
    channel.fail_next(Temporary("busy"), None, Permanent("gone", code="550"))
    with pytest.raises(Temporary, match="busy"):
        await channel.deliver(send(1))
    assert await channel.deliver(send(1)) == "memory-1"
    with pytest.raises(Permanent, match="gone"):
        await channel.deliver(send(2))
    assert [row.message_id for row in channel.attempts] == ["m_1", "m_1", "m_2"]
    assert [row.message_id for row in channel.taken] == ["m_1"]


async def test_a_provider_may_have_taken_what_it_did_not_answer() -> None:
    channel = MemoryChannel()
    channel.fail_next(Temporary("timeout", maybe_taken=True))
    with pytest.raises(Temporary):
        await channel.deliver(send(1))
    assert channel.taken == [send(1)]


async def test_a_held_channel_waits_for_its_release() -> None:
    channel = MemoryChannel()
    channel.hold()
    delivery = asyncio.create_task(channel.deliver(send(1)))
    await settle()
    assert not delivery.done()
    channel.release()
    assert await delivery == "memory-1"
