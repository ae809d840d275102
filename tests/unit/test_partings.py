"""Two customers made one because somebody says so, and two again because somebody says so."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from actors.rows import MemberRow
from engine.errors import InputError, StoreError
from engine.events import ConsentStatement, ConsentStatus, Event, ReceiptStatus
from engine.instants import HOUR_MS, MINUTE_MS
from engine.program.compile import compile_source
from tests.shards import WORKSPACE, GatedStore, Shard, changed


@pytest.fixture
async def shard() -> AsyncIterator[Shard]:
    shard = await Shard(GatedStore()).start()
    yield shard
    await shard.runtime.stop()


def with_address(event: Event, address: str = "a@b.example") -> Event:
    return msgspec.structs.replace(event, traits={"email": address})


def withdrawing(event: Event) -> Event:
    said = ConsentStatement("marketing", "*", ConsentStatus.WITHDRAWN, event.at, "test")
    return msgspec.structs.replace(event, consents=(said,))


def store_of(shard: Shard) -> GatedStore:
    assert isinstance(shard.store, GatedStore)
    return shard.store


async def merged(shard: Shard) -> None:
    """A customer who waits for a paper, and a visitor who does, turn out to be one."""
    await shard.submit(shard.known("u1"), shard.track("u1", "Wait"))
    visitor = with_address(shard.anonymous("a1", "Later"), "v@b.example")
    await shard.submit(visitor, shard.anonymous("a1", "Seen"))
    await shard.submit(shard.identify("u1", anonymous="a1"))


async def test_a_merge_takes_journeys_along(shard: Shard) -> None:
    await merged(shard)
    profile = await shard.profile("u1")
    assert sorted(one.journey for one in profile.instances.values()) == ["later", "wait"]
    assert len(profile.timers) == 2
    await shard.advance(2 * HOUR_MS + MINUTE_MS)
    told = [line for line in shard.told() if "paper" in line]
    assert told == ["u1 paper send sent email", "u1 paper send sent email"]


async def test_parted_customers_are_as_if_they_had_never_met(shard: Shard) -> None:
    apart = await Shard(GatedStore()).start()
    await apart.submit(apart.known("u1"), apart.track("u1", "Wait"))
    visitor = with_address(apart.anonymous("a1", "Later"), "v@b.example")
    await apart.submit(visitor, apart.anonymous("a1", "Seen"), apart.identify("u1"))
    await merged(shard)
    await shard.runtime.partings.unmerge("u1", "anon:a1")
    for name in ("u1", "anon:a1"):
        was, now = await apart.profile(name), await shard.profile(name)
        assert now.traits == was.traits
        assert {k: h.count for k, h in now.history.items()} == {
            k: h.count for k, h in was.history.items()
        }
        assert [i.journey for i in now.instances.values()] == [
            i.journey for i in was.instances.values()
        ]
        assert [timer.at for timer in now.timers.values()] == [
            timer.at for timer in was.timers.values()
        ]
    assert await shard.runtime.resolve("anonymous_id", "a1") == "anon:a1"
    await shard.advance(2 * HOUR_MS + MINUTE_MS)
    told = sorted(line for line in shard.told() if "paper" in line)
    assert told == ["anon:a1 paper send sent email", "u1 paper send sent email"]
    await apart.runtime.stop()


async def test_what_happened_since_goes_to_whom_it_names(shard: Shard) -> None:
    await merged(shard)
    await shard.submit(shard.anonymous("a1", "Since"), shard.track("u1", "Since"))
    assert (await shard.profile("u1")).history["Since"].count == 2
    await shard.runtime.partings.unmerge("u1", "anon:a1")
    assert (await shard.profile("u1")).history["Since"].count == 1
    assert (await shard.profile("anon:a1")).history["Since"].count == 1
    await shard.submit(shard.anonymous("a1", "Since"))
    assert (await shard.profile("anon:a1")).history["Since"].count == 2


async def test_parted_customers_stay_parted_though_a_device_names_both(shard: Shard) -> None:
    await merged(shard)
    await shard.runtime.partings.unmerge("u1", "anon:a1")
    await shard.submit(shard.identify("u1", anonymous="a1"))
    assert (await shard.profile("anon:a1")).merged_into == ""
    assert await shard.runtime.resolve("anonymous_id", "a1") == "u1"


async def test_a_send_after_the_merge_keeps_its_slot_with_both(shard: Shard) -> None:
    await merged(shard)
    await shard.submit(shard.track("u1", "Buy"))
    await shard.runtime.partings.unmerge("u1", "anon:a1")
    ours, theirs = await shard.profile("u1"), await shard.profile("anon:a1")
    assert [slot.message for slot in ours.ledger] == ["offer"]
    assert [slot.message for slot in theirs.ledger] == ["offer"]
    assert not theirs.sends


async def test_consent_goes_with_who_said_it(shard: Shard) -> None:
    await shard.submit(shard.known("u1"), withdrawing(shard.anonymous("a1")))
    await shard.submit(shard.identify("u1", anonymous="a1"))
    assert "marketing/*" in (await shard.profile("u1")).consents
    await shard.runtime.partings.unmerge("u1", "anon:a1")
    assert "marketing/*" not in (await shard.profile("u1")).consents
    assert "marketing/*" in (await shard.profile("anon:a1")).consents


async def test_a_visitor_who_had_said_no_stops_what_waits(shard: Shard) -> None:
    await shard.submit(shard.known("u1"), withdrawing(shard.anonymous("a1")))
    event = msgspec.structs.replace(shard.track("u1", "Buy"), anonymous="a1")
    await shard.submit(event)
    assert shard.told() == ["u1 offer drop no_consent email"]


async def test_everything_is_as_before_after_a_restart(shard: Shard) -> None:
    await merged(shard)
    await shard.submit(shard.track("u1", "Buy"), shard.anonymous("a1", "Since"))
    await shard.runtime.partings.unmerge("u1", "anon:a1")
    before = await shard.state("u1", "anon:a1")
    again = await shard.crash()
    assert await again.state("u1", "anon:a1") == before
    await again.submit(again.anonymous("a1", "Since"))
    assert (await again.profile("anon:a1")).history["Since"].count == 2
    await again.runtime.stop()


async def test_several_are_parted_one_after_another(shard: Shard) -> None:
    await merged(shard)
    await shard.submit(with_address(shard.anonymous("a2", "Later"), "w@b.example"))
    await shard.submit(shard.identify("u1", anonymous="a2"), shard.anonymous("a2", "Since"))
    await shard.submit(shard.anonymous("a1", "Since"))
    await shard.runtime.partings.unmerge("u1", "anon:a2")
    await shard.runtime.partings.unmerge("u1", "anon:a1")
    ours = await shard.profile("u1")
    assert "Since" not in ours.history
    assert [one.journey for one in ours.instances.values()] == ["wait"]
    for name in ("anon:a1", "anon:a2"):
        assert (await shard.profile(name)).history["Since"].count == 1


async def test_known_customers_are_merged_when_somebody_says_so(shard: Shard) -> None:
    await shard.submit(shard.known("u1"), shard.known("u2"), shard.track("u2", "Later"))
    await shard.runtime.partings.merge("u1", "u2")
    await shard.submit(shard.track("u2", "Since"))
    profile = await shard.profile("u1")
    assert profile.history["Since"].count == 1
    assert [one.journey for one in profile.instances.values()] == ["later"]
    assert profile.absorbed.keys() == {"u2"}
    await shard.runtime.partings.unmerge("u1", "u2")
    assert (await shard.profile("u2")).history["Since"].count == 1
    await shard.submit(shard.track("u2", "Since"))
    assert (await shard.profile("u2")).history["Since"].count == 2
    await shard.runtime.partings.merge("u1", "u2")
    assert (await shard.profile("u1")).history["Since"].count == 2


async def test_an_alias_makes_known_customers_one(shard: Shard) -> None:
    await shard.submit(shard.known("old"), shard.track("old", "Seen"))
    await shard.submit(shard.alias("new", "old"), shard.track("old", "Seen"))
    assert (await shard.profile("new")).history["Seen"].count == 2
    assert (await shard.profile("old")).merged_into == "new"


async def test_who_was_given_back_meanwhile_can_not_be_told_apart_any_more(shard: Shard) -> None:
    await merged(shard)
    await shard.submit(shard.known("u2"))
    await shard.runtime.partings.merge("u2", "u1")
    await shard.runtime.partings.unmerge("u2", "u1")
    with pytest.raises(InputError, match="a part of another one itself since then"):
        await shard.runtime.partings.unmerge("u1", "anon:a1")
    assert (await shard.profile("u1")).absorbed.keys() == {"anon:a1"}


async def test_an_alias_holds_for_what_comes_after_it(shard: Shard) -> None:
    await shard.submit(shard.alias("new", "old"))
    await shard.submit(shard.track("old", "Seen"))
    assert (await shard.profile("new")).history["Seen"].count == 1


@pytest.mark.parametrize(
    ("customer", "other", "code"),
    [("u1", "u1", "same_customer"), ("u1", "u9", "unknown_customer"), ("u1", "anon:a1", "merged")],
)
async def test_a_merge_that_can_not_be_is_explained(
    shard: Shard, customer: str, other: str, code: str
) -> None:
    await merged(shard)
    with pytest.raises(InputError) as caught:
        await shard.runtime.partings.merge(customer, other)
    assert caught.value.code == code


async def test_only_what_was_merged_can_be_parted(shard: Shard) -> None:
    await merged(shard)
    with pytest.raises(InputError, match="was not merged into this customer"):
        await shard.runtime.partings.unmerge("u1", "u9")
    await shard.submit(shard.track("u1"), shard.track("u9"))
    assert shard.runtime.gauges()["mailbox_depth"] == 0


async def test_who_was_stopped_goes_on_where_the_other_one_can_not_be_read(shard: Shard) -> None:
    await merged(shard)
    store_of(shard).loads_failing = 1
    with pytest.raises(StoreError, match="could not be read"):
        await shard.runtime.partings.unmerge("u1", "u9")
    await shard.submit(shard.track("u1", "Later"))
    assert "Later" in (await shard.profile("u1")).history


async def test_who_is_just_becoming_one_of_two_does_not_keep_them_from_being_parted(
    shard: Shard,
) -> None:
    """The move waits for the customer who is stopped, and the halt waits for the move."""
    await shard.submit(shard.known("u1"), shard.anonymous("a1"))
    parting = asyncio.ensure_future(shard.runtime.partings.unmerge("u1", "anon:a1"))
    asked = asyncio.ensure_future(shard.submit(shard.identify("u1", anonymous="a1")))
    with pytest.raises(InputError, match="was not merged into this customer"):
        await asyncio.wait_for(parting, 1)
    await asyncio.wait([asked], timeout=1)
    assert asked.done()
    asked.exception()
    await shard.submit(shard.track("u1"), shard.anonymous("a1"))


async def test_a_parting_nobody_waits_for_any_more_stops_nobody(shard: Shard) -> None:
    await merged(shard)
    store_of(shard).hold_reads()
    parting = asyncio.ensure_future(shard.runtime.partings.unmerge("u1", "u9"))
    first = shard.runtime.directory.get("u1")
    for _ in range(20):
        await asyncio.sleep(0)
    assert first.is_stopped
    parting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await parting
    store_of(shard).release_reads()
    await shard.submit(shard.track("u1"), shard.known("u9"))
    assert shard.runtime.gauges()["mailbox_depth"] == 0


async def test_two_who_were_parted_can_be_made_one_the_other_way_round_and_parted(
    shard: Shard,
) -> None:
    await shard.submit(shard.known("u1"), shard.known("u2"), shard.track("u2"))
    for one, other in (("u1", "u2"), ("u2", "u1"), ("u1", "u2")):
        await shard.runtime.partings.merge(one, other)
        await shard.submit(shard.track("u2"))
        await shard.runtime.partings.unmerge(one, other)
        with pytest.raises(InputError, match="was not merged into this customer"):
            await shard.runtime.partings.unmerge(one, other)
    assert (await shard.profile("u2")).history["Seen"].count == 4
    assert "Seen" not in (await shard.profile("u1")).history


async def test_a_device_somebody_else_has_by_now_stays_theirs(shard: Shard) -> None:
    await merged(shard)
    await shard.submit(shard.known("u2"))
    await shard.submit(shard.identify("u2", anonymous="a1"))
    await shard.runtime.partings.unmerge("u1", "anon:a1")
    assert await shard.runtime.resolve("anonymous_id", "a1") == "u2"
    assert "a1" in (await shard.profile("u2")).identities["anonymous_id"]
    assert (await shard.profile("u1")).identities == {}
    await shard.submit(shard.anonymous("a1", "Later"))
    assert "Later" in (await shard.profile("u2")).history


async def test_since_when_they_are_in_a_segment_is_their_own_again() -> None:
    segments = {"keen": 'count("Seen", "1h") >= 2'}
    shard = await Shard(program=compile_source(changed(WORKSPACE, segments=segments))).start()
    await shard.submit(shard.known("u1"), shard.known("u2"))
    await shard.runtime.partings.merge("u1", "u2")
    await shard.submit(shard.track("u2"), shard.track("u1"))  # keen together, neither of them alone
    await shard.advance(MINUTE_MS)
    await shard.submit(shard.anonymous("a1"), shard.anonymous("a1"))
    since = shard.clock.now()
    await shard.submit(shard.identify("u1", anonymous="a1"))
    await shard.runtime.partings.unmerge("u1", "u2")
    assert (await shard.profile("u1")).segments["keen"] == since
    assert await shard.store.members("keen", "", 9) == [MemberRow("u1", since)]
    await shard.runtime.stop()


async def test_a_visitor_does_not_take_along_a_device_that_was_given_away(shard: Shard) -> None:
    await merged(shard)
    await shard.runtime.partings.unmerge("u1", "anon:a1")
    await shard.submit(shard.identify("u1", anonymous="a1"))
    assert await shard.runtime.resolve("anonymous_id", "a1") == "u1"
    await shard.submit(shard.known("u2"))
    await shard.runtime.partings.merge("u2", "anon:a1")
    assert (await shard.profile("anon:a1")).merged_into == "u2"
    assert await shard.runtime.resolve("anonymous_id", "a1") == "u1"
    assert "a1" in (await shard.profile("u1")).identities["anonymous_id"]
    assert "a1" not in (await shard.profile("u2")).identities.get("anonymous_id", {})


async def test_who_became_another_customer_is_not_parted(shard: Shard) -> None:
    await merged(shard)
    await shard.submit(shard.known("u2"))
    await shard.runtime.partings.merge("u2", "u1")
    with pytest.raises(InputError, match="'u1' is 'u2' by now"):
        await shard.runtime.partings.unmerge("u1", "anon:a1")
    assert (await shard.profile("u1")).merged_into == "u2"


async def test_who_came_while_two_were_one_stays_when_they_part(shard: Shard) -> None:
    await shard.submit(shard.known("u1"), shard.anonymous("a1"))
    await shard.submit(shard.identify("u1", anonymous="a1"), shard.anonymous("a1", "Later"))
    third = with_address(shard.anonymous("a2", "Wait"), "w@b.example")
    await shard.submit(third, shard.identify("u1", anonymous="a2"))
    before = {one.journey: one.id for one in (await shard.profile("u1")).instances.values()}
    await shard.runtime.partings.unmerge("u1", "anon:a1")
    ours = await shard.profile("u1")
    assert set(ours.absorbed) == {"anon:a2"}
    assert {one.journey: one.id for one in ours.instances.values()} == {"wait": before["wait"]}


async def test_a_send_that_failed_is_held_against_neither_of_two_who_part(shard: Shard) -> None:
    await merged(shard)
    await shard.advance(2 * HOUR_MS + MINUTE_MS)
    message = next(iter((await shard.profile("u1")).sends))
    failed = shard.receipt("u1", message, ReceiptStatus.FAILED)
    await shard.submit(msgspec.structs.replace(failed, permanent=True))
    await shard.runtime.partings.unmerge("u1", "anon:a1")
    for name in ("u1", "anon:a1"):
        assert message not in {slot.message_id for slot in (await shard.profile(name)).ledger}


@pytest.mark.parametrize("status", [ReceiptStatus.UNSUBSCRIBED, ReceiptStatus.FAILED])
async def test_an_answer_to_what_was_sent_for_the_other_one_is_heard_after_they_part(
    shard: Shard, status: ReceiptStatus
) -> None:
    await shard.submit(shard.known("u1"))
    visitor = with_address(shard.anonymous("a1", "Later"), "v@b.example")
    await shard.submit(visitor, shard.identify("u1", anonymous="a1"))
    await shard.advance(2 * HOUR_MS + MINUTE_MS)
    message = next(iter((await shard.profile("u1")).sends))
    await shard.runtime.partings.unmerge("u1", "anon:a1")
    before = len(shard.told())
    receipt = msgspec.structs.replace(shard.receipt("u1", message, status), permanent=True)
    await shard.submit(receipt)
    profile = await shard.profile("u1")
    is_no = status is ReceiptStatus.UNSUBSCRIBED
    assert bool(profile.consents) == is_no
    assert (message in {slot.message_id for slot in profile.ledger}) == is_no
    assert profile.engagement == {}
    assert shard.told()[before:] == []
    assert not (await shard.profile("anon:a1")).sends[message].is_apart


async def test_a_message_is_whose_it_was_when_they_are_one_again(shard: Shard) -> None:
    await merged(shard)
    await shard.advance(2 * HOUR_MS + MINUTE_MS)
    await shard.runtime.partings.unmerge("u1", "anon:a1")
    assert [sent.is_apart for sent in (await shard.profile("u1")).sends.values()] == [False, True]
    await shard.runtime.partings.merge("u1", "anon:a1")
    assert [sent.is_apart for sent in (await shard.profile("u1")).sends.values()] == [False] * 2


async def test_who_was_given_back_keeps_it_when_parted_from_another(shard: Shard) -> None:
    await merged(shard)
    await shard.runtime.partings.unmerge("u1", "anon:a1")
    before = await shard.profile("anon:a1")
    await shard.submit(shard.anonymous("a2"))
    await shard.runtime.partings.merge("anon:a1", "anon:a2")
    await shard.runtime.partings.unmerge("anon:a1", "anon:a2")
    after = await shard.profile("anon:a1")
    assert after.traits == before.traits
    assert {name: one.count for name, one in after.history.items()} == {"Later": 1, "Seen": 1}


async def test_an_address_of_who_became_a_visitor_and_then_another_is_settled() -> None:
    rules = {"rules": [{"same": "email"}], "user_ids": 3}
    shard = await Shard(program=compile_source(changed(WORKSPACE, identity=rules))).start()
    await shard.submit(shard.known("u1"), shard.anonymous("a1"), shard.known("u2"))
    await shard.submit(with_address(shard.known("u3"), "u3@b.example"))
    await shard.runtime.partings.merge("anon:a1", "u1")
    await shard.submit(shard.identify("u2", anonymous="a1"))
    await asyncio.wait_for(shard.submit(with_address(shard.known("u1"), "u3@b.example")), 5)
    assert "u1" in {**(await shard.profile("u2")).absorbed, **(await shard.profile("u3")).absorbed}
    await shard.runtime.stop()
