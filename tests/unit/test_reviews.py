"""The segments change while a shard runs: everybody is looked at again, and nothing is lost."""

import asyncio
from typing import Any

from actors.memory import settle
from actors.reviews import PORTION
from actors.rows import MemberRow
from engine.instants import HOUR_MS
from engine.program.compile import compile_source
from engine.program.program import Program
from tests.shards import WORKSPACE, GatedStore, Shard, changed, reviewed

OLD = {"vip": 'profile.plan == "gold"', "often": 'count("Seen", "1h") >= 5'}
NEW = {"vip": 'profile.plan == "silver"', "hot": 'count("Seen", "1h") >= 1'}
NAMES = [f"u{number:03}" for number in range(3 * PORTION)]


def program(segments: dict[str, str], **journeys: Any) -> Program:
    return compile_source(changed(WORKSPACE, segments=segments, journeys=journeys))


async def shop() -> Shard:
    """Start a shard in which every third customer has another plan."""
    shard = await Shard(GatedStore(), program=program(OLD)).start()
    for number, name in enumerate(NAMES):
        plan = ("gold", "silver", "none")[number % 3]
        await shard.submit(shard.identify(name, plan=plan), shard.track(name, "Seen"))
    return shard


async def members(shard: Shard, segment: str) -> list[str]:
    return [row.customer for row in await shard.store.members(segment, "", 1_000)]


async def test_who_is_in_a_segment_is_in_the_store_with_the_instant() -> None:
    shard = await shop()
    await reviewed(shard)
    assert await members(shard, "vip") == NAMES[::3]
    assert (await shard.store.members("vip", "", 1)) == [MemberRow("u000", shard.clock.now())]
    await shard.submit(shard.identify("u000", plan=None))
    assert await members(shard, "vip") == NAMES[3::3]
    await shard.runtime.stop()


async def test_another_definition_reaches_everybody_in_memory_or_not() -> None:
    shard = await (await shop()).restart_reading()
    assert len(shard.runtime.directory) == 0
    shard.runtime.use(program(NEW))
    await reviewed(shard)
    assert await members(shard, "vip") == NAMES[1::3]
    assert await members(shard, "hot") == NAMES
    review = await shard.store.review()
    assert review is not None
    assert (review.total, review.looked, review.changed) == (len(NAMES), len(NAMES), len(NAMES))
    await shard.advance(HOUR_MS)
    assert await members(shard, "hot") == []
    assert shard.runtime.gauges()["segment_review_left"] == 0
    await shard.runtime.stop()


async def test_who_does_not_change_is_not_brought_into_memory() -> None:
    shard = await (await shop()).restart_reading()
    shard.runtime.use(program({"vip": NEW["vip"]}))
    await reviewed(shard)
    assert await members(shard, "vip") == NAMES[1::3]
    assert len(shard.runtime.directory) == len(NAMES[::3]) + len(NAMES[1::3])
    await shard.runtime.stop()


async def test_a_definition_starts_no_journeys_and_what_happens_does() -> None:
    trigger = {"trigger": {"segment": "vip"}, "steps": [{"send": "paper"}]}
    shard = await shop()
    shard.runtime.use(program(NEW, come=trigger))
    await reviewed(shard)
    assert shard.told() == []
    await shard.submit(shard.known("u000"), shard.identify("u000", plan="silver"))
    assert shard.told() == ["u000 paper send sent email"]
    await shard.runtime.stop()


async def test_a_review_goes_on_after_a_crash_where_it_was() -> None:
    shard = await (await shop()).restart_reading()
    assert isinstance(shard.store, GatedStore)
    shard.runtime.use(program(NEW))
    async with asyncio.timeout(20):
        row = await shard.store.review()
        while row is None or row.ended_at or row.looked < PORTION:
            await asyncio.sleep(0)
            row = await shard.store.review()
    shard = await shard.crash()
    await reviewed(shard)
    assert await members(shard, "vip") == NAMES[1::3]
    after = await shard.store.review()
    assert after is not None
    assert (after.began_at, after.looked) == (row.began_at, len(NAMES))
    await shard.runtime.stop()


async def test_a_commit_that_fails_does_not_lose_anybody() -> None:
    shard = await (await shop()).restart_reading()
    assert isinstance(shard.store, GatedStore)
    shard.store.fail_next(2)
    shard.runtime.use(program(NEW))
    await reviewed(shard)
    assert await members(shard, "vip") == NAMES[1::3]
    assert await members(shard, "hot") == NAMES
    received, became = shard.balance()
    assert received == became
    await shard.runtime.stop()


async def test_without_segments_and_journeys_nobody_is_looked_at() -> None:
    bare = compile_source({**WORKSPACE, "journeys": {}})
    shard = await Shard(program=bare).start()
    await shard.submit(shard.track("u1"))
    assert await shard.store.review() is None
    await shard.runtime.stop()


async def test_who_comes_to_a_new_shard_need_not_be_looked_at_again() -> None:
    shard = await Shard().start()
    await shard.submit(shard.track("u1"))
    row = await shard.store.review()
    assert row is not None
    assert (row.total, row.ended_at) == (0, row.began_at)
    again = await shard.restart_reading()
    await settle()
    assert await again.store.review() == row
    assert again.runtime.directory.find("u1") is None  # nobody brought them into memory
    await again.runtime.stop()
