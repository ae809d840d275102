"""Whether a shard says that it can take inputs, when its store can't commit them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from actors.memory import MemoryStore, settle
from actors.rows import Commit
from engine.errors import StoreError
from tests.shards import Shard


class WatchedStore(MemoryStore):
    """A store that tells when the next commit has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.committed = asyncio.Event()
        self.commits: list[Commit] = []

    def commit(self, commit: Commit) -> asyncio.Future[None]:
        self.commits.append(commit)
        future = super().commit(commit)
        future.add_done_callback(lambda _: self.committed.set())
        return future


@pytest.fixture
async def shard() -> AsyncIterator[Shard]:
    shard = await Shard(WatchedStore()).start()
    yield shard
    await shard.runtime.stop()


def store_of(shard: Shard) -> WatchedStore:
    assert isinstance(shard.store, WatchedStore)
    return shard.store


async def lose(shard: Shard, user: str = "u1") -> None:
    with pytest.raises(StoreError):
        await shard.runtime.submit([shard.track(user)])
    await settle()


async def test_a_shard_whose_last_commit_failed_is_unready_until_one_succeeds(
    shard: Shard,
) -> None:
    assert shard.runtime.unready() == ""
    store_of(shard).fail_next(2)
    for _ in range(2):
        await lose(shard)
        assert shard.runtime.unready() == "the last commit failed: the disk is full"
    await shard.submit(shard.track("u1"))
    assert shard.runtime.unready() == ""


async def test_inputs_go_on_being_tried_while_it_is_unready(shard: Shard) -> None:
    store_of(shard).fail_next()
    await lose(shard)
    await shard.submit(shard.track("u1"), shard.track("u2"))
    assert (await shard.profile("u2")).history["Seen"].count == 1


async def test_it_is_logged_once_when_it_begins_and_once_when_it_ends(
    shard: Shard, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "nextbeat.commits")
    store_of(shard).fail_next(3)
    for _ in range(3):
        await lose(shard)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "the disk is full" in caplog.messages[0]
    for _ in range(2):
        await shard.submit(shard.track("u1"))
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


async def test_a_failed_commit_without_inputs_counts_too(shard: Shard) -> None:
    store_of(shard).fail_next()
    with pytest.raises(StoreError):
        await shard.runtime.submit([])
    await settle()
    assert shard.runtime.unready()
    await shard.runtime.submit([])
    await settle()
    assert shard.runtime.unready() == ""


async def test_due_timers_are_tried_once_a_second_while_the_store_refuses(shard: Shard) -> None:
    await shard.submit(shard.known("u1"), shard.track("u1", "Wait"))
    store_of(shard).fail_next(3)
    await shard.advance(300_000)
    for failures in (1, 2, 3):
        for _ in range(49):
            assert shard.runtime.counters.commit_failures == failures
            shard.clock.jump_to(shard.clock.now() + 20)
            await settle()
        shard.clock.jump_to(shard.clock.now() + 20)
        await settle()
    assert shard.told() == ["u1 paper send sent email"]


@pytest.mark.slow
async def test_a_store_is_tried_again_though_nobody_sends_anything() -> None:
    store = WatchedStore()
    shard = await Shard(store, snapshot_after_ms=1).start()
    await shard.submit(shard.track("u1"))
    store.fail_next()
    await lose(shard)
    assert shard.runtime.unready()
    shard.clock.jump_to(shard.clock.now() + 10)
    store.committed.clear()
    await asyncio.wait_for(store.committed.wait(), 5)
    await settle()
    assert shard.runtime.unready() == ""
    await shard.runtime.stop()


@pytest.mark.slow
async def test_what_is_tried_by_itself_changes_something_on_the_disk() -> None:
    store = WatchedStore()
    shard = await Shard(store, snapshot_after_ms=1).start()
    shard.clock.jump_to(shard.clock.now() + 10)
    await shard.submit(shard.track("u1"))
    await shard.submit()
    before = [commit.covered_seq for commit in store.commits if commit.covered_seq is not None][-1]
    store.fail_next()
    await lose(shard)
    shard.clock.jump_to(shard.clock.now() + 10)
    store.committed.clear()
    await asyncio.wait_for(store.committed.wait(), 5)
    tried = store.commits[-1]
    assert tried.snapshots or tried.covered_seq != before
    await shard.runtime.stop()
    again = await shard.restart()
    assert (await again.profile("u1")).history["Seen"].count == 1
    await again.runtime.stop()
