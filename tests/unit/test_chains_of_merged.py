"""Messages that are watched, and addresses that are known, of customers who turn out to be one."""

from actors.memory import settle
from engine.events import Receipt, ReceiptStatus
from engine.program.compile import compile_source
from engine.traits.reach import reach_key
from tests.shards import WORKSPACE, Shard, changed

_FALLBACK = {"unless": "delivered", "within": "2m"}
_PROMO = {**WORKSPACE["message_types"]["promo"], "fallback": _FALLBACK}
_PROGRAM = compile_source(changed(WORKSPACE, message_types={"promo": _PROMO}))


async def _two() -> Shard:
    """Begin with two customers of whom one was sent a message that is watched."""
    shard = await Shard(program=_PROGRAM).start()
    await shard.submit(shard.known("u1"), shard.known("u2"))
    await shard.submit(shard.track("u2", "Buy"))
    await settle()
    return shard


def _sent(shard: Shard) -> list[str]:
    return [line for line in shard.told() if " send " in line]


async def test_what_was_watched_of_the_one_who_went_is_watched_of_the_one_who_stays() -> None:
    shard = await _two()
    await shard.runtime.partings.merge("u1", "u2")
    await shard.advance(600_000)
    assert _sent(shard) == ["u2 offer send sent email", "u1 offer send sent sms"]
    await shard.runtime.stop()


async def test_what_arrives_after_a_merge_ends_the_watch() -> None:
    shard = await _two()
    await shard.runtime.partings.merge("u1", "u2")
    (sent,) = (await shard.profile("u1")).sends.values()
    now = shard.clock.now()
    receipt = Receipt("r", "u1", sent.message_id, ReceiptStatus.DELIVERED, now, now)
    await shard.submit(receipt)
    await shard.advance(600_000)
    assert len(_sent(shard)) == 1
    assert (await shard.profile("u1")).timers == {}
    await shard.runtime.stop()


async def test_who_is_parted_again_takes_the_watch_along() -> None:
    shard = await _two()
    await shard.runtime.partings.merge("u1", "u2")
    await shard.runtime.partings.unmerge("u1", "u2")
    await shard.advance(600_000)
    assert _sent(shard) == ["u2 offer send sent email", "u2 offer send sent sms"]
    await shard.runtime.stop()


async def test_addresses_that_are_given_up_come_along_and_go_back() -> None:
    shard = await _two()
    (sent,) = (await shard.profile("u2")).sends.values()
    now = shard.clock.now()
    failed = Receipt("r", "u2", sent.message_id, ReceiptStatus.FAILED, now, now, "550",
                     failure="address_dead")  # fmt: skip
    await shard.submit(failed)
    assert list((await shard.profile("u2")).reach) == [reach_key("email", "u2@example.com")]
    await shard.runtime.partings.merge("u1", "u2")
    assert list((await shard.profile("u1")).reach) == [reach_key("email", "u2@example.com")]
    await shard.runtime.partings.unmerge("u1", "u2")
    assert (await shard.profile("u1")).reach == {}
    assert list((await shard.profile("u2")).reach) == [reach_key("email", "u2@example.com")]
    await shard.runtime.stop()
