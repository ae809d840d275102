"""Erasing a customer: nothing of them is left, nothing leaves, and nothing comes back."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from actors.memory import settle
from actors.rows import DecisionQuery, QuarantineRow
from engine.errors import StoreError
from engine.events import Event, EventKind, ReceiptStatus
from tests.shards import ORIGIN_AT, GatedStore, Shard

AT = ORIGIN_AT


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


async def meet(shard: Shard, user: str) -> None:
    """Have a visitor who turns out to be a customer, and gets a message."""
    await shard.submit(shard.anonymous(f"a-{user}"))
    await shard.submit(shard.identify(user, anonymous=f"a-{user}", email=f"{user}@example.com"))
    await shard.submit(shard.track(user, "Buy"), shard.track(user, "Later"))


# Nothing is left.


async def test_nothing_of_somebody_erased_is_in_the_store(shard: Shard) -> None:
    await meet(shard, "ursula")
    await meet(shard, "walter")
    assert b"ursula" in written(shard)
    done = await shard.erase("ursula")
    assert done.scope == b""
    assert done.entries == 7  # the visitor's, and those of the customer
    assert b"ursula" not in written(shard)
    assert await shard.runtime.profile("ursula") is None
    assert await shard.runtime.seek("a-ursula") is None
    assert (await shard.store.decisions(DecisionQuery(customer="ursula"))).rows == []


async def test_nobody_else_is_touched(shard: Shard) -> None:
    await meet(shard, "ursula")
    await meet(shard, "walter")
    before = await shard.state("walter", "anon:a-walter")
    decided = await shard.store.decisions(DecisionQuery(customer="walter"))
    await shard.erase("ursula")
    assert await shard.state("walter", "anon:a-walter") == before
    assert await shard.store.decisions(DecisionQuery(customer="walter")) == decided
    assert await shard.runtime.resolve("anonymous_id", "a-walter") == "walter"


async def test_an_anonymous_id_names_the_customer_it_belongs_to(shard: Shard) -> None:
    await meet(shard, "ursula")
    await shard.erase("a-ursula")
    assert b"ursula" not in written(shard)


async def test_a_visitor_nobody_knows_by_name_can_be_erased(shard: Shard) -> None:
    await shard.submit(shard.anonymous("a-9"))
    assert (await shard.erase("a-9")).entries == 1
    assert b"a-9" not in written(shard)


async def test_somebody_who_is_not_in_memory_is_erased_like_everybody(shard: Shard) -> None:
    await meet(shard, "ursula")
    again = await shard.restart_reading()
    await again.erase("ursula")
    assert b"ursula" not in written(again)
    await again.runtime.stop()


async def test_nobody_is_made_of_what_is_left_after_a_restart(shard: Shard) -> None:
    await meet(shard, "ursula")
    await meet(shard, "walter")
    before = await shard.state("walter")
    await shard.erase("ursula")
    again = await shard.crash()
    assert await again.runtime.profile("ursula") is None
    assert await again.state("walter") == before
    await again.runtime.stop()


async def test_items_in_quarantine_that_mention_them_go(shard: Shard) -> None:
    await meet(shard, "ursula")
    for payload in (b'{"userId":"ursula","type":"x"}', b'{"userId":"other"', b'{"a":"ursula"'):
        row = QuarantineRow(0, AT, "segment", "bad", "type", "expected", payload)
        await shard.runtime.submit([], [row])
    await shard.erase("ursula")
    assert [row.payload for row in await shard.store.quarantine(None, 9)] == [b'{"userId":"other"']


async def test_a_long_history_is_erased_in_portions(shard: Shard) -> None:
    await shard.submit(*(shard.track("ursula") for _ in range(350)))
    commits = shard.runtime.counters.commits
    assert (await shard.erase("ursula")).entries == 350
    assert shard.runtime.counters.commits - commits >= 4
    assert b"ursula" not in written(shard)


# Nothing leaves.


async def test_a_message_that_waits_does_not_leave(shard: Shard) -> None:
    shard.email.hold()
    await shard.submit(shard.known("ursula"), shard.track("ursula", "Buy"))
    await shard.submit(shard.track("ursula", "Buy"))
    assert len(shard.email.attempts) == 1
    task = asyncio.create_task(shard.erase("ursula"))
    await settle()
    shard.email.release()
    await task
    await shard.runtime.outbox.settle()
    assert len(shard.email.attempts) == 1  # it was with the provider, and was let end
    assert b"ursula" not in written(shard)


async def test_a_timer_that_was_set_does_not_fire(shard: Shard) -> None:
    await shard.submit(shard.known("ursula"), shard.track("ursula", "Wait"))
    await shard.erase("ursula")
    await shard.advance(10 * 60_000)
    assert shard.email.attempts == []
    assert await shard.runtime.profile("ursula") is None
    assert shard.runtime.counters.deaths == 0


async def test_a_receipt_for_an_erased_message_vanishes(shard: Shard) -> None:
    await meet(shard, "ursula")
    message = shard.email.taken[0].message_id
    await shard.erase("ursula")
    shard.clock.jump_to(shard.clock.now() + 5_000)
    await shard.submit(shard.receipt("ursula", message, ReceiptStatus.DELIVERED))
    assert await shard.runtime.profile("ursula") is None
    assert b"ursula" not in written(shard)
    assert shard.runtime.counters.erased == 1


# Nothing comes back.


async def test_what_happened_before_is_refused_and_acknowledged(shard: Shard) -> None:
    await meet(shard, "ursula")
    late = [shard.track("ursula"), shard.anonymous("a-ursula"), shard.alias("ursula", "a-7")]
    await shard.erase("ursula")
    await shard.submit(*late, shard.track("walter"))
    assert b"ursula" not in written(shard)
    assert shard.runtime.counters.erased == 3
    assert await shard.runtime.profile("walter") is not None


async def test_a_late_visit_that_says_it_is_them_is_refused(shard: Shard) -> None:
    await meet(shard, "ursula")
    says = {"email": "ursula@example.com"}
    visit = Event("v-1", EventKind.IDENTIFY, "Identified", None, "new", AT - 9, AT - 9, traits=says)
    await shard.erase("ursula")
    await shard.submit(visit)
    assert b"ursula" not in written(shard)


async def test_somebody_elses_late_event_is_taken_without_the_erased_id(shard: Shard) -> None:
    await meet(shard, "ursula")
    shared = shard.identify("walter", anonymous="a-ursula", email="w@example.com")
    alias = shard.alias("walter", "a-ursula")
    await shard.erase("ursula")
    await shard.submit(shared, alias)
    assert (await shard.profile("walter")).traits["email"] == "w@example.com"
    assert b"ursula" not in written(shard)


async def test_what_is_not_understood_is_refused_as_well(shard: Shard) -> None:
    await meet(shard, "ursula")
    await shard.erase("ursula")
    early = b'{"userId": "ursula", "timestamp": "2026-03-02T09:00:00Z", "type": 7}'
    late = b'{"userId": "ursula", "timestamp": "2027-03-02T09:00:00Z", "type": 7}'
    now = shard.clock.now() + 9
    rows = [QuarantineRow(0, now, "segment", "bad", "type", "no", one) for one in (early, late)]
    await shard.runtime.submit([], rows)
    assert [row.payload for row in await shard.store.quarantine(None, 9)] == [late]
    assert shard.runtime.counters.erased == 1


async def test_what_happens_later_begins_a_new_customer(shard: Shard) -> None:
    await meet(shard, "ursula")
    old = shard.email.taken[0].message_id
    await shard.erase("ursula")
    shard.clock.jump_to(shard.clock.now() + 1_000)
    await shard.submit(shard.known("ursula"), shard.track("ursula", "Buy"))
    profile = await shard.profile("ursula")
    assert profile.history["Buy"].count == 1
    assert "Seen" not in profile.history
    assert len(shard.email.taken) == 2
    assert shard.email.taken[1].message_id != old  # the provider would take it for the first
    await shard.submit(shard.receipt("ursula", old, ReceiptStatus.DELIVERED))
    assert shard.runtime.counters.erased == 1
    assert (await shard.profile("ursula")).sends.keys() == {shard.email.taken[1].message_id}


async def test_a_new_customer_is_the_same_after_a_restart(shard: Shard) -> None:
    await meet(shard, "ursula")
    await shard.erase("ursula")
    shard.clock.jump_to(shard.clock.now() + 1_000)
    await shard.submit(shard.known("ursula"), shard.track("ursula", "Buy"))
    before = await shard.state("ursula")
    again = await shard.crash()
    assert await again.state("ursula") == before
    await again.runtime.stop()


async def test_an_id_that_comes_back_is_not_the_customers_it_was(shard: Shard) -> None:
    await meet(shard, "ursula")
    await shard.erase("ursula")
    shard.clock.jump_to(shard.clock.now() + 1_000)
    await shard.submit(shard.anonymous("a-ursula"))
    assert await shard.runtime.profile("ursula") is None
    assert await shard.runtime.profile("anon:a-ursula") is not None


async def test_somebody_nobody_knows_is_refused_from_then_on(shard: Shard) -> None:
    late = shard.track("never-seen")
    assert (await shard.erase("never-seen")).entries == 0
    await shard.submit(late)
    assert await shard.runtime.profile("never-seen") is None


async def test_everything_received_is_accounted_for(shard: Shard) -> None:
    await meet(shard, "ursula")
    late = shard.track("ursula")
    await shard.erase("ursula")
    await shard.submit(late, shard.track("walter"))
    received, became = shard.balance()
    assert received == became + shard.runtime.counters.erased


# While it is under way.


async def test_what_arrives_meanwhile_waits_and_is_looked_at_anew(shard: Shard) -> None:
    await meet(shard, "ursula")
    store_of(shard).hold()
    task = asyncio.create_task(shard.erase("ursula"))
    for _ in range(4):
        await settle()
    early = asyncio.ensure_future(shard.runtime.submit([shard.track("ursula")]))
    await settle()
    assert not early.done()
    store_of(shard).release()
    await task
    await early
    assert b"ursula" not in written(shard)


async def test_what_happens_later_by_its_own_clock_is_refused_from_the_cut_on(
    shard: Shard,
) -> None:
    """The clock was set back, say; their app sends again before the rows are gone."""
    await meet(shard, "ursula")
    early = msgspec.structs.replace(shard.track("ursula"), at=shard.clock.now() + 5_000)
    await shard.submit(early)
    await shard.runtime.erasures.erase("ursula")
    await shard.submit(early)
    assert shard.runtime.counters.erased == 1
    assert (await shard.runtime.profile("ursula")) is None
    shard.clock.jump_to(shard.clock.now() + 1_000)
    await shard.submit(shard.track("ursula"))
    profile = await shard.profile("ursula")
    assert sum(history.count for history in profile.history.values()) == 1


async def test_what_waits_in_a_mailbox_is_answered(shard: Shard) -> None:
    await meet(shard, "ursula")
    await settle()
    task = asyncio.create_task(shard.erase("ursula"))
    waiting = [
        asyncio.ensure_future(shard.runtime.submit([shard.track("ursula")])) for _ in range(9)
    ]
    await task
    await asyncio.gather(*waiting)
    assert b"ursula" not in written(shard)
    assert shard.runtime.gauges()["mailbox_depth"] == 0


async def test_a_link_that_is_just_being_made_is_erased_with_them(shard: Shard) -> None:
    await shard.submit(shard.anonymous("a-1"), shard.track("ursula"))
    store_of(shard).hold()
    link = asyncio.ensure_future(
        shard.runtime.submit([shard.identify("ursula", anonymous="a-1", email="ursula@x.test")])
    )
    await settle()
    task = asyncio.create_task(shard.erase("ursula"))
    await settle()
    store_of(shard).release()
    await task
    await asyncio.gather(link, return_exceptions=True)
    assert b"ursula" not in written(shard)
    assert b"'a-1'" not in written(shard)


async def test_an_erasure_that_can_not_be_stored_has_erased_nothing(shard: Shard) -> None:
    await meet(shard, "ursula")
    before = await shard.state("ursula")
    store_of(shard).fail_next(1)
    with pytest.raises(StoreError):
        await shard.runtime.erasures.erase("ursula")
    shard.clock.jump_to(shard.clock.now() + 2_000)
    await settle()
    assert await shard.state("ursula") == before
    await shard.submit(shard.track("ursula"))
    assert b"ursula" in written(shard)
    assert shard.runtime.gauges()["mailbox_depth"] == 0


@pytest.mark.parametrize("commits", range(7))
async def test_an_erasure_that_was_interrupted_is_finished_at_the_next_start(
    shard: Shard, commits: int
) -> None:
    await meet(shard, "ursula")
    await shard.submit(*(shard.track("ursula") for _ in range(250)))
    store_of(shard).hold()
    task = asyncio.create_task(shard.erase("ursula"))
    for _ in range(commits):
        for _ in range(4):
            await settle()
        store_of(shard).release()
        store_of(shard).hold()
    for _ in range(4):
        await settle()
    task.cancel()
    again = await shard.crash()
    if commits:
        for _ in range(40):
            await settle()
            again.clock.jump_to(again.clock.now() + 20)
        assert b"ursula" not in written(again)
        assert again.runtime.gauges()["erasures_open"] == 0
    else:
        assert await again.runtime.profile("ursula") is not None
    await again.runtime.stop()


async def test_a_second_erasure_of_the_same_person_is_done_as_well(shard: Shard) -> None:
    await meet(shard, "ursula")
    rows = await asyncio.gather(
        shard.runtime.erasures.erase("ursula"), shard.runtime.erasures.erase("ursula")
    )
    assert [row.number for row in rows] == [1, 2]
    for _ in range(40):
        await settle()
        shard.clock.jump_to(shard.clock.now() + 20)
    assert shard.runtime.gauges()["erasures_open"] == 0
