"""A visitor turns out to be a customer: all of it goes over, whatever happens meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from actors.directory import decode_entry
from actors.memory import settle
from actors.replay import Replay
from adapters.gateway.readable import entry_view
from engine.errors import StoreError
from engine.events import Departed, Event, Input, Linked, Merged, Unlinked
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.step import StepResult, step as real_step
from tests.shards import ORIGIN_AT, WORKSPACE, GatedStore, Shard

AT = ORIGIN_AT
CRASHES = range(6)


@pytest.fixture
async def shard() -> AsyncIterator[Shard]:
    shard = await Shard(GatedStore()).start()
    yield shard
    await shard.runtime.stop()


def store_of(shard: Shard) -> GatedStore:
    assert isinstance(shard.store, GatedStore)
    return shard.store


async def seen_count(shard: Shard, *customers: str) -> int:
    """Count what was taken in of the events named Seen, over customers."""
    profiles = [await shard.runtime.profile(name) for name in customers]
    told = [one.history["Seen"].count for one in profiles if one and "Seen" in one.history]
    return sum(told)


async def inputs_of(shard: Shard, customer: str) -> list[Input]:
    """Give a customer's inputs, oldest first."""
    entries = await shard.runtime.timeline(customer, None, 99)
    return [decode_entry(entry)[0] for entry in reversed(entries)]


async def one_commit(shard: Shard) -> None:
    """Let one commit become durable, and no more."""
    store_of(shard).release()
    store_of(shard).hold()
    await settle()


# An event that is sent again after the link.


async def test_it_is_a_duplicate(shard: Shard) -> None:
    event = shard.anonymous("a1")
    await shard.submit(event)
    await shard.submit(shard.identify("u1", anonymous="a1"))
    await shard.submit(event)
    assert shard.runtime.counters.duplicates == 1
    assert await seen_count(shard, "anon:a1", "u1") == 1
    given = await inputs_of(shard, "u1")
    assert [type(one) for one in given] == [Merged, Event]
    assert isinstance(given[0], Merged)
    assert (given[0].customer, given[0].at) == ("anon:a1", AT)
    assert [type(one) for one in await inputs_of(shard, "anon:a1")] == [Event, Departed]
    assert shard.balance() == (3, 3)


async def test_a_merge_is_shown_in_the_timelines_of_both(shard: Shard) -> None:
    await shard.submit(shard.anonymous("a1"), shard.identify("u1", anonymous="a1"))
    shown = entry_view((await shard.runtime.timeline("u1", None, 2))[1])
    assert (shown.kind, shown.name, shown.records) == ("merged", "anon:a1", [])
    left = entry_view((await shard.runtime.timeline("anon:a1", None, 1))[0])
    assert (left.kind, left.name) == ("departed", "u1")


async def test_it_is_a_duplicate_though_nothing_of_it_was_answered(shard: Shard) -> None:
    event = shard.anonymous("a1")
    store_of(shard).hold()
    waiting = [
        shard.runtime.submit([event]),
        shard.runtime.submit([shard.identify("u1", anonymous="a1")]),
        shard.runtime.submit([event, shard.anonymous("a1", "Next")]),
    ]
    await settle()
    assert not any(done.done() for done in waiting)
    store_of(shard).release()
    await asyncio.gather(*waiting)
    assert await seen_count(shard, "anon:a1", "u1") == 1
    assert "Next" in (await shard.profile("u1")).history
    assert shard.balance() == (4, 4)


async def test_it_is_a_duplicate_of_an_anonymous_customer_who_had_left_memory() -> None:
    shard = await Shard(GatedStore(), memory_bytes_max=1, snapshot_after_ms=0).start()
    event = shard.anonymous("a1")
    await shard.submit(event)
    for _ in range(3):
        await shard.submit(shard.track("other"))
    assert shard.runtime.directory.find("anon:a1") is None
    await shard.submit(shard.identify("u1", anonymous="a1"))
    await shard.submit(event)
    assert await seen_count(shard, "anon:a1", "u1") == 1
    await shard.runtime.stop()


async def test_it_is_a_duplicate_of_what_waits_for_the_anonymous_customer_to_be_read() -> None:
    shard = await Shard(GatedStore(), memory_bytes_max=1, snapshot_after_ms=0).start()
    await shard.submit(shard.anonymous("a1", "First"))
    for _ in range(3):
        await shard.submit(shard.track("other"))
    assert shard.runtime.directory.find("anon:a1") is None
    event = shard.anonymous("a1")
    store_of(shard).hold_reads()
    waiting = [shard.runtime.submit([event]), *link_and_more(shard, event)]
    await settle()
    store_of(shard).release_reads()
    await asyncio.gather(*waiting)
    assert await seen_count(shard, "anon:a1") == 0
    assert await seen_count(shard, "u1") == 1
    assert shard.runtime.counters.duplicates == 1
    await shard.runtime.stop()


async def test_it_is_a_duplicate_after_a_restart_and_a_fold(shard: Shard) -> None:
    event = shard.anonymous("a1")
    await shard.submit(event, shard.identify("u1", anonymous="a1"))
    before = await shard.state("u1")
    again = await shard.crash()
    assert await again.state("u1") == before
    last = await again.restart_reading()
    assert last.folded == 0
    assert await last.state("u1") == before
    await last.submit(event)
    assert last.runtime.counters.duplicates == 1
    await last.runtime.stop()


@pytest.mark.parametrize("commits", CRASHES)
async def test_it_is_a_duplicate_wherever_the_process_ends(commits: int) -> None:
    shard = await Shard(GatedStore()).start()
    event, introduction = shard.anonymous("a1"), shard.identify("u1", anonymous="a1")
    store_of(shard).hold()
    shard.runtime.submit([event])
    await settle()
    shard.runtime.submit([introduction])
    await settle()
    shard.runtime.submit([event])
    for _ in range(commits):
        await one_commit(shard)
    again = await shard.crash()
    rows = await again.store.resolve([("anonymous_id", "a1")])
    kinds = [type(given) for given in await inputs_of(again, "u1")]
    assert bool(rows) == (Merged in kinds)  # in one commit
    await again.submit(event)
    await again.submit(introduction)
    await again.submit(event)
    assert await seen_count(again, "anon:a1", "u1") == 1
    assert await again.runtime.resolve("anonymous_id", "a1") == "u1"
    await again.runtime.stop()


@pytest.mark.parametrize("commits", CRASHES)
async def test_an_answer_to_a_link_means_that_the_link_is_there(commits: int) -> None:
    shard = await Shard(GatedStore()).start()
    await shard.submit(shard.anonymous("a1"))
    store_of(shard).hold()
    linking = shard.runtime.submit([shard.identify("u1", anonymous="a1")])
    await settle()
    for _ in range(commits):
        await one_commit(shard)
    is_answered = linking.done()
    again = await shard.crash()
    assert (await again.runtime.resolve("anonymous_id", "a1") == "u1") or not is_answered
    await again.runtime.stop()


# What a link does to others, and does not.


async def test_the_event_that_links_is_decided_by_all_that_is_known() -> None:
    """What the visitor was sent is in the ledger before anything more is decided."""
    strict = compile_source({**WORKSPACE, "policies": {"same_message": "24h"}})
    shard = await Shard(GatedStore(), program=strict).start()
    visitor = msgspec.structs.replace(shard.anonymous("a1", "Buy"), traits={"email": "a@b.example"})
    await shard.submit(visitor)
    event = msgspec.structs.replace(shard.track("u1", "Buy"), anonymous="a1")
    await shard.submit(event)
    assert shard.told() == ["anon:a1 offer send sent email", "u1 offer drop same_message "]
    await shard.runtime.stop()


async def test_events_held_meanwhile_arrive_in_order(shard: Shard) -> None:
    await shard.submit(shard.anonymous("a1"))
    store_of(shard).hold_reads()
    waiting = [
        shard.runtime.submit([shard.identify("u1", anonymous="a1"), shard.anonymous("a1", "A")]),
        shard.runtime.submit([shard.anonymous("a1", "B"), shard.track("u1", "C")]),
        shard.runtime.submit([shard.anonymous("a1", "D")]),
    ]
    await settle()
    assert shard.runtime.gauges()["mailbox_depth"] == 6  # five inputs and the move
    store_of(shard).release_reads()
    await asyncio.gather(*waiting)
    names = [given.name for given in await inputs_of(shard, "u1") if isinstance(given, Event)]
    assert names == ["Identified", "A", "B", "C", "D"]
    assert (await shard.profile("anon:a1")).merged_into == "u1"
    assert shard.runtime.gauges()["mailbox_depth"] == 0


async def test_where_there_was_no_visitor_only_the_link_is_journaled(shard: Shard) -> None:
    await shard.submit(shard.identify("u1", anonymous="a1"), shard.anonymous("a1"))
    assert [type(given) for given in await inputs_of(shard, "u1")] == [Linked, Event, Event]
    assert await shard.runtime.resolve("anonymous_id", "a1") == "u1"
    assert shard.runtime.directory.find("anon:a1") is None


async def test_a_link_that_is_known_is_not_made_again(shard: Shard) -> None:
    await shard.submit(shard.anonymous("a1"), shard.identify("u1", anonymous="a1"))
    commits = shard.runtime.counters.commits
    await shard.submit(shard.identify("u1", anonymous="a1"))
    assert shard.runtime.counters.commits == commits + 1
    again = await shard.crash()
    await again.submit(again.identify("u1", anonymous="a1"))  # it has to ask
    assert again.runtime.directory.find("anon:a1") is None or again.folded
    kinds = [type(given) for given in await inputs_of(again, "u1")]
    assert kinds == [Merged, Event, Event, Event]
    await again.runtime.stop()


async def test_a_device_that_changes_hands_takes_nothing_along(shard: Shard) -> None:
    await shard.submit(shard.anonymous("a1"), shard.identify("u1", anonymous="a1"))
    await shard.submit(shard.identify("u2", anonymous="a1"))
    assert await seen_count(shard, "u1") == 1
    assert await seen_count(shard, "u2") == 0
    assert await shard.runtime.resolve("anonymous_id", "a1") == "u2"
    kinds = [type(given) for given in await inputs_of(shard, "u1")]
    assert kinds == [Merged, Event, Unlinked]


async def test_what_was_seen_under_an_id_is_known_wherever_it_goes(shard: Shard) -> None:
    await shard.submit(shard.identify("u1", anonymous="a1"))
    event = shard.anonymous("a1")
    await shard.submit(event)  # it is u1's, and nobody was told so
    await shard.submit(shard.identify("u2", anonymous="a1"), event)
    assert await seen_count(shard, "anon:a1", "u1", "u2") == 1
    await shard.submit(shard.identify("u1", anonymous="a1"), event)
    assert await seen_count(shard, "anon:a1", "u1", "u2") == 1
    assert shard.runtime.counters.duplicates == 2


async def test_of_links_made_meanwhile_the_last_one_stands(shard: Shard) -> None:
    event = shard.anonymous("a1")
    await shard.submit(event)
    store_of(shard).hold()
    users = ("u1", "u1", "u2", "u3", "u3", "u1", "u4")
    waiting = [shard.runtime.submit([shard.identify(user, anonymous="a1")]) for user in users]
    waiting.append(shard.runtime.submit([event]))
    await settle()
    store_of(shard).release()
    await asyncio.gather(*waiting)
    assert await shard.runtime.resolve("anonymous_id", "a1") == "u4"
    assert await seen_count(shard, "anon:a1", *dict.fromkeys(users)) == 1
    assert [type(given) for given in await inputs_of(shard, "u1")][-2:] == [Event, Unlinked]
    assert shard.balance() == (9, 9)
    assert shard.runtime.gauges()["mailbox_depth"] == 0


# When it fails.


async def fails(*waiting: asyncio.Future[None]) -> None:
    for done in waiting:
        with pytest.raises(StoreError):
            await asyncio.wait_for(done, 1)


async def goes_on(shard: Shard, event: Event) -> None:
    """See that all is as if nothing had been, and that it works when it is tried again."""
    await settle()
    assert shard.runtime.gauges()["mailbox_depth"] == 0
    assert await shard.runtime.resolve("anonymous_id", "a1") is None
    await shard.submit(shard.identify("u1", anonymous="a1"))
    await shard.submit(event)
    assert await seen_count(shard, "anon:a1", "u1") == 1
    assert await shard.runtime.resolve("anonymous_id", "a1") == "u1"
    received, became = shard.balance()
    assert received == became


def link_and_more(shard: Shard, event: Event) -> list[asyncio.Future[None]]:
    return [
        shard.runtime.submit([shard.identify("u1", anonymous="a1")]),
        shard.runtime.submit([event]),
    ]


async def test_a_commit_that_fails_is_told_to_all_who_wait(shard: Shard) -> None:
    event = shard.anonymous("a1")
    await shard.submit(event)
    store_of(shard).fail_next()
    await fails(*link_and_more(shard, event))
    await goes_on(shard, event)


async def test_the_commit_of_the_link_that_fails_is_told_to_all_who_wait(shard: Shard) -> None:
    event = shard.anonymous("a1")
    await shard.submit(event)
    await shard.submit(shard.known("u1"))
    store_of(shard).hold()
    other = shard.runtime.submit([shard.track("u2")])
    await settle()
    waiting = link_and_more(shard, event)
    await settle()
    store_of(shard).release()
    store_of(shard).fail_next()
    await other
    await fails(*waiting)
    await goes_on(shard, event)


async def test_what_was_lost_is_not_handed_over(shard: Shard) -> None:
    """Ids of events that never became durable: the customer must take those as news."""
    event = shard.anonymous("a1")
    await shard.submit(shard.track("other"))
    store_of(shard).hold()
    other = shard.runtime.submit([shard.track("other")])
    lost = shard.runtime.submit([event])
    await settle()
    store_of(shard).hold_reads()  # the customer is not there yet, what was seen waits for it
    waiting = link_and_more(shard, event)
    await settle()
    store_of(shard).release()
    store_of(shard).fail_next()
    await other
    await fails(lost)
    store_of(shard).release_reads()
    await fails(waiting[0])
    await settle()
    await goes_on(shard, event)


@pytest.mark.parametrize("fault", ["loads_failing", "resolves_failing"])
@pytest.mark.parametrize("cold", [True, False])
async def test_a_read_that_fails_is_told_to_all_who_wait(fault: str, cold: bool) -> None:  # noqa: FBT001
    shard = await Shard(GatedStore()).start()
    event = shard.anonymous("a1")
    await shard.submit(event, shard.known("u1"))
    if cold:
        await shard.runtime.stop()
        shard = await shard.restart()
    else:
        await shard.submit(shard.known("u1"))
        shard = await shard.crash()  # both are in memory, the id is not known
        fault = "resolves_failing"
    setattr(shard.store, fault, 1)
    waiting = link_and_more(shard, event)
    await fails(waiting[0])
    await asyncio.wait(waiting, timeout=1)
    assert waiting[1].done()
    await goes_on(shard, event)
    await shard.runtime.stop()


async def test_a_customer_who_dies_of_it_is_told_to_all_who_wait(
    shard: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(profile: Profile, given: Input, *more: Any) -> StepResult:
        if isinstance(given, Merged):
            raise ZeroDivisionError
        return real_step(profile, given, *more)

    event = shard.anonymous("a1")
    await shard.submit(event)
    with monkeypatch.context() as patch:
        patch.setattr("actors.deciding.step", step)
        await fails(*link_and_more(shard, event))
    assert shard.runtime.counters.deaths == 1
    kept = await shard.store.quarantine(None, 9)
    assert [row.source for row in kept] == ["engine/internal"]
    await goes_on(shard, event)


async def test_an_anonymous_customer_who_dies_hands_over_when_read_again(
    shard: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(profile: Profile, given: Input, *more: Any) -> StepResult:
        if isinstance(given, Event) and given.name == "Poison":
            raise ZeroDivisionError
        return real_step(profile, given, *more)

    monkeypatch.setattr("actors.deciding.step", step)
    event = shard.anonymous("a1")
    await shard.submit(shard.track("u1"), shard.anonymous("a1", "First"))
    store_of(shard).hold()
    waiting = [
        shard.runtime.submit([event, shard.anonymous("a1", "Poison")]),
        *link_and_more(shard, event),
    ]
    await settle()
    store_of(shard).release()
    await asyncio.gather(*waiting)
    assert shard.runtime.counters.deaths == 1
    assert await seen_count(shard, "anon:a1") == 0
    assert await seen_count(shard, "u1") == 2  # one of them its own
    received, became = shard.balance()
    assert received == became


async def test_a_stop_finishes_what_is_under_way() -> None:
    shard = await Shard(GatedStore()).start()
    event = shard.anonymous("a1")
    await shard.submit(event)
    store_of(shard).hold_reads()
    waiting = link_and_more(shard, event)
    stopping = asyncio.ensure_future(shard.runtime.stop())
    await settle()
    store_of(shard).release_reads()
    await asyncio.gather(stopping, *waiting)
    again = await shard.restart()
    assert await again.runtime.resolve("anonymous_id", "a1") == "u1"
    await again.runtime.stop()


async def test_a_stop_that_takes_too_long_answers_all_who_wait() -> None:
    shard = await Shard(GatedStore()).start()
    event = shard.anonymous("a1")
    await shard.submit(event, shard.known("u1"))
    again = await shard.crash()
    store_of(again).hold_reads()
    waiting = link_and_more(again, event)
    await settle()
    await again.runtime.stop(timeout_s=0.01)
    await fails(*waiting)
    await again.abandon()


def test_a_file_of_events_merges_as_a_shard_does() -> None:
    shard = Shard()
    event = shard.anonymous("a1")
    replay = Replay(compile_source(WORKSPACE))
    list(replay.run([event, shard.identify("u1", anonymous="a1"), event], None))
    assert replay.profiles["u1"].history["Seen"].count == 1
    assert replay.profiles["anon:a1"].merged_into == "u1"
