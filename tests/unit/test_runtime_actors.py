"""Actors that fail, actors that leave memory, and workspaces that change under them."""

import random
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec
import pytest

from actors.directory import MEMORY_BYTES_MAX
from actors.memory import MemoryStore, settle
from actors.rows import DecisionQuery
from engine.errors import StoreError
from engine.events import Input
from engine.program.compile import compile_source
from engine.program.condition import Condition
from engine.program.program import Message, Program
from engine.program.scope import Scope
from tests.shards import ORIGIN_AT, WORKSPACE, GatedStore, Shard, changed


def poisoned() -> Program:
    """Give a program on which a step raises, once it has changed the profile."""

    def explode(scope: Scope) -> bool:
        if scope.event.get("poison"):
            raise ZeroDivisionError("poison\ud800")
        return False

    program = compile_source(WORKSPACE)
    journey = program.journeys["buy"]
    trap = Condition("trap", explode, explode)
    trigger = msgspec.structs.replace(journey.trigger, event="Seen", condition=trap)
    trapped = msgspec.structs.replace(journey, trigger=trigger)
    triggers = {**program.triggers, "Seen": (trapped,)}
    return msgspec.structs.replace(program, triggers=triggers).with_archive(program.archive)


async def test_a_step_that_raises_ends_its_own_actor_only() -> None:
    shard = await Shard(program=poisoned()).start()
    await shard.submit(shard.known("u1"), shard.track("u1", "Wait"))
    before = await shard.state("u1")
    await shard.submit(
        shard.track("u2"), shard.track("u1", poison=True), shard.track("u3"), shard.track("u2")
    )
    assert await shard.state("u1") == before
    assert (await shard.profile("u2")).history["Seen"].count == 2
    kept = await shard.store.quarantine(None, 9)
    assert [(row.code, row.source) for row in kept] == [("step_failed", "engine")]
    assert "ZeroDivisionError" in kept[0].message
    assert b"poison" in kept[0].payload
    assert shard.runtime.counters.deaths == 1
    assert shard.balance() == (6, 6)
    await shard.submit(shard.track("u1", price=1))  # and the actor itself goes on
    assert (await shard.profile("u1")).history["Seen"].count == 1
    await shard.advance(300_000)
    assert shard.told() == ["u1 paper send sent email"]
    await shard.runtime.stop()


async def test_what_waits_behind_the_input_an_actor_fails_on_is_not_lost() -> None:
    shard = await Shard(program=poisoned()).start()
    inputs = [shard.track("u1", poison=number in (0, 3, 4)) for number in range(8)]
    await shard.submit(*inputs)
    assert (await shard.profile("u1")).history["Seen"].count == 5
    assert shard.runtime.counters.deaths == 3
    assert shard.balance() == (8, 8)
    await shard.runtime.stop()


async def test_what_cannot_be_written_down_kills_like_a_step_that_raises() -> None:
    shard = await Shard().start()
    await shard.submit(shard.track("u1"))
    before = await shard.state("u1")
    await shard.submit(shard.identify("u1", wealth=2**70), shard.track("u2"))
    await shard.submit(shard.identify("u1", name="\ud800"))
    assert await shard.state("u1") == before
    assert len(await shard.store.quarantine(None, 9)) == 2
    await shard.submit(shard.track("u1"))
    entries = await shard.runtime.timeline("u1", None, 9)
    assert [(entry.seq, entry.prev) for entry in entries] == [(3, 1), (1, 0)]
    await shard.runtime.stop()


async def test_an_actor_that_failed_goes_on_when_the_commit_it_waited_for_fails() -> None:
    store = MemoryStore()
    shard = await Shard(store, program=poisoned()).start()
    await shard.submit(shard.track("u1"))
    store.hold()
    shard.runtime.submit([shard.track("u2")]).add_done_callback(lambda done: done.exception())
    await settle()
    buried = shard.runtime.submit([shard.track("u1", poison=True)])
    behind = shard.runtime.submit([shard.track("u1")])
    await settle()
    store.fail_next(2)
    store.release()
    with pytest.raises(StoreError):
        await buried
    await settle()
    store.fail_next(0)
    with pytest.raises(StoreError):
        await behind  # answered, and not left waiting for a commit that never comes
    await shard.submit(shard.track("u1"))
    assert (await shard.profile("u1")).history["Seen"].count == 2
    await shard.runtime.stop()


async def test_a_timer_an_actor_fails_on_is_kept_for_people_and_does_not_come_again() -> None:
    shard = await Shard(GatedStore()).start()
    await shard.submit(shard.known("u1"), shard.track("u1", "Wait"), shard.track("u2", "Wait"))
    program = shard.runtime.program

    class Exploding(dict[str, Message]):
        def get(self, name: str, default: object = None) -> NoReturn:
            raise ZeroDivisionError(name)

    shard.runtime.use(msgspec.structs.replace(program, messages=Exploding()))
    await shard.advance(300_000)
    kept = await shard.store.quarantine(None, 9)
    assert [row.source for row in kept] == ["engine/internal"] * 2
    assert await shard.store.timers(-1, 10**15, 9) == []
    assert shard.runtime.counters.timers_fired == 2
    assert shard.balance() == (5, 5)
    await shard.runtime.stop()


# Memory.


def traffic(shard: Shard, customers: int, count: int) -> list[list[Input]]:
    """Give submissions of customers who come and go, the same each time."""
    dice = random.Random(7)
    told: dict[int, None] = {}
    submissions: list[list[Input]] = []
    for _ in range(count):
        inputs: list[Input] = []
        for _ in range(dice.randrange(1, 9)):
            number = min(dice.randrange(customers), dice.randrange(customers))
            if number not in told:
                told[number] = None
                inputs.append(shard.known(f"u{number}"))
            name = dice.choice(["Seen", "Buy", "Pay", "Wait", "Later"])
            inputs.append(shard.track(f"u{number}", name, price=dice.randrange(100)))
        submissions.append(inputs)
    return submissions


async def live_through(
    customers: int, count: int, memory_bytes_max: int = MEMORY_BYTES_MAX
) -> tuple[Shard, list[str]]:
    shard = await Shard(snapshot_after_ms=60_000, memory_bytes_max=memory_bytes_max).start()
    users = [f"u{number}" for number in range(customers)]
    for inputs in traffic(shard, customers, count):
        await shard.submit(*inputs)
        await shard.advance(20_000)
    state = await shard.state(*users)
    told = sorted(f"{user} {one.at} {one.decision_id}" for user, one in shard.decided)
    return shard, [*told, *(f"{user} {body!r}" for user, body in state.items())]


async def test_ten_customers_in_memory_decide_as_three_hundred_do() -> None:
    roomy, expected = await live_through(300, 150)
    tight, found = await live_through(300, 150, memory_bytes_max=50_000)
    assert found == expected
    assert roomy.runtime.directory.passivated_count == 0
    assert tight.runtime.directory.passivated_count > 300
    assert len(tight.runtime.directory) < 100
    assert len(roomy.decided) > 300
    for shard in (roomy, tight):
        # What is accounted for is what is there, however often customers came and went.
        actors = shard.runtime.directory.everyone()
        assert shard.runtime.directory.memory_bytes == sum(one.memory_bytes for one in actors)
    again = await tight.crash()
    users = [f"u{number}" for number in range(300)]
    assert await again.state(*users) == await roomy.state(*users)
    await again.runtime.stop()
    await roomy.runtime.stop()


async def test_a_snapshot_and_the_entries_after_it_are_the_whole_past() -> None:
    """However often snapshots were taken, what is folded at the start is the same."""
    found: list[dict[str, bytes]] = []
    for interval_ms in (1, 90_000, 10**12):
        shard = await Shard(snapshot_after_ms=interval_ms).start()
        for inputs in traffic(shard, 20, 60):
            await shard.submit(*inputs)
            await shard.advance(20_000)
        before = await shard.state(*[f"u{number}" for number in range(20)])
        again = await shard.crash()
        after = await again.state(*[f"u{number}" for number in range(20)])
        assert after == before
        found.append(after)
        await again.runtime.stop()
    assert found[0] == found[1] == found[2]


# Workspaces.


def with_steps(steps: list[dict[str, Any]], **sections: object) -> Program:
    source = changed(WORKSPACE, journeys={"wait": {"trigger": {"event": "Wait"}, "steps": steps}})
    return compile_source({**source, **sections})


async def test_a_workspace_changes_between_two_events() -> None:
    shard = await Shard().start()
    await shard.submit(shard.known("u1"), shard.track("u1", "Go"))
    journeys = {"go": {"trigger": {"event": "Go"}, "steps": [{"send": "paper", "id": "s"}]}}
    program = compile_source(changed(WORKSPACE, journeys=journeys))
    shard.runtime.use(program)
    await shard.submit(shard.track("u1", "Go"))
    assert shard.told() == ["u1 paper send sent email"]
    rows = (await shard.store.decisions(DecisionQuery())).rows
    assert len(rows) == 1
    entries = await shard.runtime.timeline("u1", None, 9)
    assert entries[1].program == program.version != entries[2].program
    await shard.runtime.stop()


async def test_a_journey_is_finished_as_it_was_entered() -> None:
    before = with_steps([{"wait": "5m"}, {"send": "paper", "id": "old"}])
    after = with_steps([{"wait": "5m"}, {"send": "offer", "id": "old"}])
    shard = await Shard(program=before).start()
    await shard.submit(shard.known("u1"), shard.known("u2"), shard.track("u1", "Wait"))
    archive = {journey.version: journey for journey in before.journeys.values()}
    shard.runtime.use(after.with_archive(archive))
    await shard.submit(shard.track("u2", "Wait"))
    await shard.advance(300_000)
    assert shard.told() == ["u1 paper send sent email", "u2 offer send sent email"]
    await shard.runtime.stop()


async def test_an_old_journey_still_hears_what_it_waits_for_and_meets_its_goal() -> None:
    waiting = {"event": "Rare", "up_to": "1h"}
    steps = [{"wait_for": waiting, "then": [{"send": "paper"}], "else": [{"send": "offer"}]}]
    goal = {"trigger": {"event": "Hope"}, "goal": {"event": "Gone"}, "steps": [{"wait": "1d"}]}
    source = changed(
        WORKSPACE,
        journeys={"wait": {"trigger": {"event": "Wait"}, "steps": steps}, "hope": goal},
    )
    before = compile_source(source)
    shard = await Shard(program=before).start()
    await shard.submit(shard.known("u1"), shard.track("u1", "Wait"), shard.track("u1", "Hope"))
    archive = {journey.version: journey for journey in before.journeys.values()}
    hope = {"trigger": {"event": "Hope"}, "steps": [{"wait": "2d"}]}
    after = compile_source(changed(WORKSPACE, journeys={"hope": hope}))
    shard.runtime.use(after.with_archive(archive))
    await shard.submit(shard.track("u1", "Rare"), shard.track("u1", "Gone"))
    assert shard.told() == ["u1 paper send sent email"]
    assert (await shard.profile("u1")).journeys_done["hope/goal_met"] == 1
    await shard.runtime.stop()


async def test_without_its_version_an_instance_leaves_and_says_so() -> None:
    before = with_steps([{"wait": "5m"}, {"send": "paper", "id": "old"}])
    shard = await Shard(program=before).start()
    await shard.submit(shard.known("u1"), shard.track("u1", "Wait"))
    shard.runtime.use(with_steps([{"wait": "1h"}, {"send": "paper", "id": "new"}]))
    await shard.advance(300_000)
    assert (await shard.profile("u1")).journeys_done == {"wait/version_gone": 1}
    assert shard.told() == []
    await shard.runtime.stop()


Steps = list[dict[str, Any]]


def old_pin() -> Steps:
    return [{"wait": "5m"}, {"send": "paper", "channel": "fax", "id": "s"}, {"send": "offer"}]


def old_segment() -> Steps:
    waiting = {"segment": "vip", "up_to": "5m"}
    return [{"wait_for": waiting, "then": [{"send": "offer"}], "else": [{"send": "paper"}]}]


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        (old_pin, ["u1 paper drop unreachable fax", "u1 offer drop step_deleted "]),
        (old_segment, ["u1 paper send sent email"]),
    ],
)
async def test_an_old_journey_goes_on_without_what_the_workspace_has_lost(
    steps: Callable[[], Steps], told: list[str]
) -> None:
    channels = {"fax": {"adapter": "log", "identity": "fax"}}
    content = {**WORKSPACE["messages"]["paper"]["content"], "fax": {"body": "b"}}
    source = changed(
        WORKSPACE,
        channels=channels,
        messages={"paper": {"type": "note", "content": content}},
        segments={"vip": "profile.vip == true"},
        journeys={"wait": {"trigger": {"event": "Wait"}, "steps": steps()}},
    )
    source["message_types"] = {
        **source["message_types"],
        "note": {"purpose": "service", "channels": ["email", "sms", "fax"]},
    }
    before = compile_source(source)
    shard = await Shard(program=before).start()
    await shard.submit(shard.known("u1"), shard.track("u1", "Wait"))
    archive = {journey.version: journey for journey in before.journeys.values()}
    shard.runtime.use(compile_source(WORKSPACE).with_archive(archive))
    await shard.submit(shard.track("u1"))
    await shard.advance(300_000)
    assert shard.told() == told
    assert shard.runtime.counters.deaths == 0
    assert shard.clock.now() == ORIGIN_AT + 300_000
    await shard.runtime.stop()
