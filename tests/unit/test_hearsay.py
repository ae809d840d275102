"""Who was taken for somebody else, and is erased: of what others' journals say nothing is left."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from actors.directory import decode_entry
from actors.memory import settle
from actors.rows import DecisionQuery
from engine.errors import InputError
from engine.events import Abridged, Event, Input
from engine.instants import HOUR_MS, MINUTE_MS
from engine.profile import Profile
from engine.program.compile import compile_source
from tests.shards import WORKSPACE, GatedStore, Shard


@pytest.fixture
async def shard() -> AsyncIterator[Shard]:
    shard = await Shard(GatedStore()).start()
    yield shard
    await shard.runtime.stop()


def store_of(shard: Shard) -> GatedStore:
    assert isinstance(shard.store, GatedStore)
    return shard.store


def written(shard: Shard) -> bytes:
    """Give everything the store remembers."""
    return store_of(shard).written()


async def inputs_of(shard: Shard, name: str) -> list[Input]:
    entries = await shard.runtime.timeline(name, None, 99)
    return [decode_entry(entry)[0] for entry in reversed(entries)]


def facts(profile: Profile) -> bytes:
    """Give all of a customer but that there was somebody who is not them."""
    return msgspec.msgpack.encode(msgspec.structs.replace(profile, apart=[], refused=[]))


async def meet(shard: Shard) -> None:
    """Have two taken for one, on and off; each has messages that left, and some that wait."""
    await shard.submit(shard.known("walter"), shard.track("walter", "Buy"))
    await shard.submit(shard.track("walter", "Later"))
    await shard.submit(shard.known("ursula"), shard.track("ursula", "Buy"))
    await shard.submit(shard.track("ursula", "Wait"))
    await shard.runtime.partings.merge("walter", "ursula")
    await shard.submit(shard.track("ursula", "Pay", note="ursulas"), shard.track("walter", "Pay"))
    await shard.advance(6 * MINUTE_MS)


async def part(shard: Shard) -> None:
    await meet(shard)
    await shard.runtime.partings.unmerge("walter", "ursula")
    await shard.submit(shard.track("walter", "Seen"))


async def test_nothing_is_left_with_whom_they_were_taken_for(shard: Shard) -> None:
    await part(shard)
    assert b"ursula" in written(shard)
    done = await shard.erase("ursula")
    assert b"ursula" not in written(shard)
    assert done.scope == b""
    assert done.entries > 7


async def test_the_other_one_is_as_before(shard: Shard) -> None:
    await part(shard)
    before = await shard.profile("walter")
    await shard.erase("ursula")
    after = await shard.profile("walter")
    assert after.apart == []
    assert facts(after) == facts(before)
    told = len(shard.told())
    await shard.advance(3 * HOUR_MS)
    assert shard.told()[told:] == ["walter paper send sent email"]


async def test_what_happened_before_they_met_and_since_can_still_be_read(shard: Shard) -> None:
    await part(shard)
    await shard.erase("ursula")
    given = await inputs_of(shard, "walter")
    assert [one.name for one in given if isinstance(one, Event)] == [
        "Identified", "Buy", "Later", "Seen",
    ]  # fmt: skip
    assert isinstance(given[-1], Abridged)
    decided = (await shard.store.decisions(DecisionQuery(customer="walter"))).rows
    assert [row.message for row in decided] == ["offer"]


async def test_a_restart_finds_them_as_they_were(shard: Shard) -> None:
    await part(shard)
    await shard.erase("ursula")
    await shard.submit(shard.track("walter", "Buy"))
    before = await shard.state("walter")
    again = await shard.crash()
    assert await again.state("walter") == before
    reading = await again.restart_reading()
    assert await reading.state("walter") == before
    await reading.runtime.stop()


async def test_they_are_made_again_of_what_is_left_of_the_journal(shard: Shard) -> None:
    await part(shard)
    await shard.erase("ursula")
    await shard.submit(shard.track("walter", "Buy"))
    before = await shard.state("walter")
    snapshots = store_of(shard).snapshots()
    snapshots["walter"] = snapshots["walter"]._replace(body=b"")
    again = await shard.crash()
    assert await again.state("walter") == before
    await again.runtime.stop()


async def test_the_one_who_stayed_may_be_erased_as_well(shard: Shard) -> None:
    await part(shard)
    await shard.erase("walter")
    assert b"walter" not in written(shard)
    given = await inputs_of(shard, "ursula")
    assert [one.name for one in given if isinstance(one, Event)] == ["Identified", "Buy", "Wait"]
    await shard.erase("ursula")
    assert b"ursula" not in written(shard)


async def test_who_is_a_part_of_another_is_erased_with_them(shard: Shard) -> None:
    await meet(shard)
    await shard.erase("ursula")
    assert b"ursula" not in written(shard)
    assert b"walter" not in written(shard)


async def test_nothing_is_left_with_whom_both_were_taken_for(shard: Shard) -> None:
    await meet(shard)
    await shard.submit(shard.known("third"), shard.track("third", "Wait"))
    await shard.runtime.partings.merge("third", "walter")
    await shard.submit(shard.track("ursula", "Pay", note="ursulas"))
    await shard.runtime.partings.unmerge("third", "walter")
    before = await shard.profile("third")
    await shard.erase("ursula")
    for name in (b"ursula", b"walter"):
        assert name not in written(shard)
    assert facts(await shard.profile("third")) == facts(before)


async def test_whom_the_other_became_since_forgets_the_name(shard: Shard) -> None:
    await part(shard)
    await shard.submit(shard.known("third"))
    await shard.runtime.partings.merge("third", "walter")
    assert (await shard.profile("third")).apart == ["ursula"]
    before = await shard.profile("third")
    await shard.erase("ursula")
    assert b"ursula" not in written(shard)
    assert facts(await shard.profile("third")) == facts(before)
    assert (await shard.profile("walter")).merged_into == "third"
    state = await shard.state("third", "walter")
    again = await shard.crash()
    assert await again.state("third", "walter") == state
    await again.runtime.stop()


async def test_who_was_taken_for_them_several_times_keeps_nothing(shard: Shard) -> None:
    await part(shard)
    await shard.runtime.partings.merge("walter", "ursula")
    await shard.submit(shard.track("ursula", "Pay", note="ursulas"))
    await shard.runtime.partings.unmerge("walter", "ursula")
    await shard.runtime.partings.merge("ursula", "walter")
    await shard.submit(shard.track("walter", "Pay"))
    await shard.runtime.partings.unmerge("ursula", "walter")
    before = await shard.profile("walter")
    await shard.erase("ursula")
    assert b"ursula" not in written(shard)
    assert facts(await shard.profile("walter")) == facts(before)


async def test_a_visitor_who_was_no_customer_leaves_nothing(shard: Shard) -> None:
    await shard.submit(shard.known("walter"), shard.anonymous("a-ursula", "Later"))
    await shard.submit(shard.identify("walter", anonymous="a-ursula"))
    await shard.submit(shard.anonymous("a-ursula", "Pay"))
    await shard.runtime.partings.unmerge("walter", "anon:a-ursula")
    await shard.erase("a-ursula")
    assert b"a-ursula" not in written(shard)


async def test_an_alias_that_was_none_leaves_nothing(shard: Shard) -> None:
    await shard.submit(shard.known("ursula"), shard.known("walter"))
    await shard.submit(shard.alias("walter", "ursula"))
    await shard.runtime.partings.unmerge("walter", "ursula")
    await shard.submit(shard.alias("walter", "ursula"))  # refused now
    await shard.erase("ursula")
    assert b"ursula" not in written(shard)


async def test_a_merge_that_was_refused_leaves_no_name(shard: Shard) -> None:
    await shard.runtime.stop()
    rules = {"rules": [{"same": "email"}]}
    ruled = await Shard(program=compile_source({**WORKSPACE, "identity": rules})).start()
    await ruled.submit(ruled.identify("walter", email="hall@b.example"))
    await ruled.submit(ruled.identify("ursula", email="hall@b.example"))
    assert (await ruled.profile("walter")).refused == ["email/ursula"]
    await ruled.erase("ursula")
    profile = await ruled.profile("walter")
    assert profile.refused == []
    assert profile.traits["email"] == "hall@b.example"
    entries = await ruled.runtime.timeline("walter", None, 99)
    assert not [entry for entry in entries if b"ursula" in entry.input]
    again = await ruled.crash()
    assert facts(await again.profile("walter")) == facts(profile)
    await again.runtime.stop()


async def test_who_had_a_device_before_does_not_know_who_has_it(shard: Shard) -> None:
    await shard.submit(shard.known("walter"), shard.anonymous("a-1"))
    await shard.submit(shard.identify("walter", anonymous="a-1"))
    await shard.submit(shard.known("ursula"), shard.identify("ursula", anonymous="a-1"))
    before = await shard.profile("walter")
    await shard.erase("ursula")
    assert b"ursula" not in written(shard)
    assert facts(await shard.profile("walter")) == facts(before)
    assert (await shard.profile("walter")).absorbed.keys() == {"anon:a-1"}
    again = await shard.crash()
    assert facts(await again.profile("walter")) == facts(before)
    await again.runtime.stop()


async def test_an_erasure_asked_for_again_changes_nothing_more(shard: Shard) -> None:
    await part(shard)
    await shard.erase("ursula")
    before = await inputs_of(shard, "walter")
    assert (await shard.erase("ursula")).entries == 0
    assert await inputs_of(shard, "walter") == before


async def test_others_do_not_begin_anew(shard: Shard) -> None:
    await part(shard)
    await shard.submit(shard.identify("third", friend="ursula"))
    await shard.erase("ursula")
    assert not [one for one in await inputs_of(shard, "third") if isinstance(one, Abridged)]


async def test_who_came_since_can_still_be_parted_again(shard: Shard) -> None:
    await part(shard)
    await shard.erase("ursula")
    await shard.submit(shard.known("third"), shard.track("third", "Wait"))
    alone = await shard.profile("walter")
    await shard.runtime.partings.merge("walter", "third")
    await shard.submit(shard.track("third", "Seen"))
    await shard.runtime.partings.unmerge("walter", "third")
    ours = await shard.profile("walter")
    assert {name: one.count for name, one in ours.history.items()} == {
        name: one.count for name, one in alone.history.items()
    }
    assert [one.journey for one in ours.instances.values()] == ["later"]
    assert (await shard.profile("third")).history["Seen"].count == 1


async def test_who_came_before_can_not_be_parted_any_more(shard: Shard) -> None:
    await shard.submit(shard.known("third"), shard.known("walter"))
    await shard.runtime.partings.merge("walter", "third")
    await part(shard)
    await shard.erase("ursula")
    with pytest.raises(InputError) as caught:
        await shard.runtime.partings.unmerge("walter", "third")
    assert caught.value.code == "too_old"


async def test_a_message_of_both_that_waits_does_not_leave(shard: Shard) -> None:
    await meet(shard)
    shard.email.hold()
    await shard.submit(shard.track("ursula", "Pay"), shard.track("walter", "Pay"))
    await shard.runtime.partings.unmerge("walter", "ursula")
    flying = len(shard.email.attempts)
    row = await shard.runtime.erasures.erase("ursula")
    for _ in range(9):
        await settle()
        shard.clock.jump_to(shard.clock.now() + 20)
    found = await shard.store.erasure(row.number)
    assert found is not None
    assert found.state == "erasing"  # one is with the provider
    shard.email.release()
    for _ in range(40):
        await settle()
        shard.clock.jump_to(shard.clock.now() + 20)
    assert len(shard.email.attempts) == flying
    assert b"ursula" not in written(shard)


@pytest.mark.parametrize("commits", range(9))
async def test_an_erasure_that_was_interrupted_is_finished(shard: Shard, commits: int) -> None:
    await part(shard)
    before = await shard.profile("walter")
    store_of(shard).hold()
    task = asyncio.create_task(shard.erase("ursula"))
    for _ in range(commits):
        for _ in range(4):
            await settle()
            shard.clock.jump_to(shard.clock.now() + 20)
        store_of(shard).release()
        store_of(shard).hold()
    for _ in range(4):
        await settle()
    task.cancel()
    again = await shard.crash()
    await again.erase("ursula")
    for _ in range(40):
        await settle()
        again.clock.jump_to(again.clock.now() + 20)
    assert again.runtime.gauges()["erasures_open"] == 0
    assert b"ursula" not in written(again)
    assert facts(await again.profile("walter")) == facts(before)
    given = await inputs_of(again, "walter")
    assert sum(isinstance(one, Abridged) for one in given) == 1
    await again.runtime.stop()
