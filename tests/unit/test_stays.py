"""Who is where in which journey: what the store is told of it, and when."""

import asyncio
from typing import Any

import pytest

from actors.memory import MemoryStore
from actors.rows import StayCount, StayRow
from engine.errors import StoreError
from engine.program.compile import compile_source
from engine.program.program import Program
from tests.shards import WORKSPACE, Shard, changed

HOUR_MS = 60 * 60_000


def program(**journeys: Any) -> Program:
    return compile_source(changed(WORKSPACE, journeys=journeys))


async def stays(shard: Shard, journey: str = "later") -> list[StayRow]:
    return await shard.store.stays(journey, ("", 0), 100)


async def test_a_stay_is_in_the_store_from_entry_to_exit_with_the_place_where_it_stands() -> None:
    two = [{"wait": "1h"}, {"wait": "2h", "id": "second"}]
    shard = await Shard(program=program(twice={"trigger": {"event": "Go"}, "steps": two})).start()
    await shard.submit(shard.track("u1", "Go"))
    entered_at = shard.clock.now()
    version = shard.runtime.program.journeys["twice"].version
    assert await stays(shard, "twice") == [StayRow("u1", 1, "twice", version, 0, entered_at)]
    await shard.advance(HOUR_MS)
    assert await stays(shard, "twice") == [StayRow("u1", 1, "twice", version, 1, entered_at)]
    assert await shard.store.stay_counts() == [StayCount("twice", version, 1, 1, 1)]
    await shard.advance(2 * HOUR_MS)
    assert await stays(shard, "twice") == []
    await shard.runtime.stop()


async def test_who_enters_and_leaves_with_one_input_leaves_no_row() -> None:
    shard = await Shard().start()
    await shard.submit(shard.known("u1"), shard.track("u1", "Buy"))
    assert shard.told() == ["u1 offer send sent email"]
    assert await shard.store.stay_counts() == []
    await shard.runtime.stop()


async def test_a_deferred_message_holds_its_stay_before_the_step_that_sends_it() -> None:
    night = {"adapter": "log", "identity": "email", "window": "00:00-00:01"}
    mailed = {"purpose": "marketing", "channels": ["email"]}
    source = changed(WORKSPACE, channels={"email": night}, message_types={"promo": mailed})
    shard = await Shard(program=compile_source(source)).start()
    await shard.submit(shard.known("u1"), shard.track("u1", "Buy"))
    assert [row.position for row in await stays(shard, "buy")] == [0]
    await shard.runtime.stop()


async def test_stays_go_with_a_visitor_to_the_customer_it_turns_out_to_be_and_back() -> None:
    shard = await Shard().start()
    await shard.submit(shard.anonymous("a1", "Later"), shard.track("u1", "Wait"))
    assert [row.customer for row in await stays(shard)] == ["anon:a1"]
    await shard.submit(shard.identify("u1", anonymous="a1"))
    came = await stays(shard)
    assert [row.customer for row in came] == ["u1"]
    there = (await shard.profile("u1")).instances
    assert [there[row.instance].journey for row in came] == ["later"]
    await shard.runtime.partings.unmerge("u1", "anon:a1")
    back = {journey: await stays(shard, journey) for journey in ("later", "wait")}
    assert {name: [row.customer for row in rows] for name, rows in back.items()} == {
        "later": ["anon:a1"],
        "wait": ["u1"],
    }
    await shard.runtime.stop()


async def test_a_commit_that_fails_leaves_people_where_they_were() -> None:
    store = MemoryStore()
    shard = await Shard(store).start()
    await shard.submit(shard.track("u1", "Later"))
    before = await stays(shard)
    store.fail_next()
    with pytest.raises(StoreError):
        await shard.submit(shard.track("u2", "Later"))
    assert await stays(shard) == before
    await shard.runtime.stop()


async def looked_at(shard: Shard) -> None:
    """Wait until everybody has been looked at for the workspace that came into force."""
    async with asyncio.timeout(20):
        while True:
            row = await shard.store.review()
            if row is not None and row.version == shard.runtime.program.edition and row.ended_at:
                return
            await asyncio.sleep(0)


async def test_another_workspace_moves_people_who_are_in_memory_and_those_who_are_not() -> None:
    shard = await Shard().start()
    names = [f"u{number:02}" for number in range(20)]
    await shard.submit(*(shard.track(name, "Later") for name in names))
    shard = await shard.restart_reading()
    await shard.submit(shard.track("u03", "Seen"), shard.track("u07", "Seen"))
    assert len(shard.runtime.directory) == 2
    steps = [{"wait": "5h", "id": "long"}, {"send": "paper", "id": "s"}]
    newer = {"trigger": {"event": "Later"}, "steps": steps, "migrate": {"steps[0]": "long"}}
    old = shard.runtime.program.journeys
    next_program = program(later=newer).with_archive({one.version: one for one in old.values()})
    shard.runtime.use(next_program)
    await looked_at(shard)
    version = next_program.journeys["later"].version
    assert [(row.customer, row.version) for row in await stays(shard)] == [
        (name, version) for name in names
    ]
    without = changed(WORKSPACE)
    without["journeys"] = {"buy": WORKSPACE["journeys"]["buy"]}
    shard.runtime.use(compile_source(without))
    await looked_at(shard)
    assert await shard.store.stay_counts() == []
    assert await shard.store.timers(0, 10**15, 10) == []
    await shard.runtime.stop()
