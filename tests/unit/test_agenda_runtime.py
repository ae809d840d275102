"""What begins by the calendar, in a shard: over restarts, down time, changes of the workspace, and
customers who turn out to be one."""

from typing import Any

import pytest

from actors.reviews import PORTION
from engine.instants import DAY_MS, HOUR_MS, format_instant
from engine.program.compile import compile_source
from engine.program.program import Program
from tests.shards import WORKSPACE, GatedStore, Shard, changed, reviewed

NAMES = [f"u{number:03}" for number in range(2 * PORTION)]
NOON = {"trigger": {"schedule": "0 12 * * *"}, "steps": [{"send": "paper"}]}


def program(**journeys: Any) -> Program:
    return compile_source(changed(WORKSPACE, journeys=journeys))


async def shop(**journeys: Any) -> Shard:
    shard = await Shard(GatedStore(), program=program(**journeys)).start()
    for name in NAMES:
        await shard.submit(shard.known(name))
    return shard


def hours(shard: Shard) -> dict[str, list[str]]:
    """Tell when each customer was sent something."""
    found: dict[str, list[str]] = {}
    for user, decided in shard.decided:
        found.setdefault(user, []).append(format_instant(decided.at)[5:16])
    return found


def everybody(*hours: str) -> dict[str, list[str]]:
    return {name: [*hours] for name in NAMES}


@pytest.mark.parametrize("place", ["in memory", "on disk"])
async def test_a_schedule_that_is_new_reaches_everybody_in_memory_or_not(place: str) -> None:
    shard = await shop()
    if place == "on disk":
        shard = await shard.restart_reading()
    shard.runtime.use(program(noon=NOON))
    await reviewed(shard)
    await shard.advance(3 * HOUR_MS)
    assert hours(shard) == everybody("03-02T12:00")
    shard.runtime.use(program(noon={**NOON, "trigger": {"schedule": "0 14 * * *"}}))
    await reviewed(shard)
    await shard.advance(DAY_MS)
    assert hours(shard) == everybody("03-02T12:00", "03-02T14:00")
    shard.runtime.use(program())
    await reviewed(shard)
    await shard.advance(2 * DAY_MS)
    assert hours(shard) == everybody("03-02T12:00", "03-02T14:00")
    assert await shard.store.timers(0, shard.clock.now() + 400 * DAY_MS, 10) == []
    await shard.runtime.stop()


async def test_after_down_time_each_enters_once_and_late() -> None:
    shard = await shop(noon=NOON)
    await shard.runtime.stop()
    shard.clock.jump_to(shard.clock.now() + 3 * DAY_MS)
    again = await shard.restart()
    await again.advance(1)
    await again.advance(DAY_MS)
    assert hours(again) == everybody("03-05T10:00", "03-05T12:00")
    await again.runtime.stop()


async def test_a_crash_loses_no_occurrence_and_doubles_none() -> None:
    shard = await shop(noon=NOON)
    await shard.advance(HOUR_MS)
    shard = await shard.crash()
    await shard.advance(2 * HOUR_MS)
    first = hours(shard)
    shard = await shard.crash()
    await shard.advance(DAY_MS)
    assert first == everybody("03-02T12:00")
    assert hours(shard) == everybody("03-03T12:00")
    await shard.runtime.stop()


async def test_a_visitor_who_becomes_known_enters_once() -> None:
    shard = await Shard(program=program(noon=NOON)).start()
    await shard.submit(shard.anonymous("a1"))
    await shard.submit(shard.known("u1"))
    await shard.advance(HOUR_MS)
    await shard.submit(shard.identify("u1", anonymous="a1"))
    await shard.advance(2 * DAY_MS)
    assert hours(shard) == {"u1": ["03-02T12:00", "03-03T12:00"]}
    await shard.runtime.stop()


async def test_what_a_profile_holds_of_the_agenda_is_what_its_journal_makes_of_it() -> None:
    shard = await shop(noon=NOON)
    await shard.advance(3 * HOUR_MS)
    await shard.submit(shard.identify(NAMES[0], timezone="Asia/Tokyo"))
    before = await shard.state(*NAMES)
    shard = await shard.crash()
    assert await shard.state(*NAMES) == before
    await shard.runtime.stop()
