"""Messages on their way through a shard: consent taken back, channels that fail, restarts."""

from typing import Any

import msgspec
import pytest

from actors.lanes import Pacing
from actors.memory import MemoryChannel, settle
from actors.ports import Permanent, Temporary
from engine.effects import Send
from engine.events import ReceiptStatus
from engine.program.compile import compile_source
from engine.program.program import Program
from tests.shards import WORKSPACE, GatedStore, Shard, changed


def sent_over(channel: MemoryChannel) -> list[str]:
    return [send.message for send in channel.taken]


async def ended(shard: Shard, *messages: str) -> dict[str, list[str]]:
    """Give what each of a customer's messages heard, by name and channel."""
    profile = await shard.profile("u1")
    return {f"{one.message} {one.channel}": one.statuses for one in profile.sends.values()}


def twice() -> Program:
    """Give a workspace whose promotional messages may be sent twice rather than not at all."""
    promo = {**WORKSPACE["message_types"]["promo"], "delivery": "at_least_once"}
    return compile_source(changed(WORKSPACE, message_types={"promo": promo}))


def falls_back() -> Program:
    """Give a workspace whose promotional messages go on where nothing is heard in time."""
    fallback = {"unless": "delivered", "within": "2m"}
    promo = {**WORKSPACE["message_types"]["promo"], "fallback": fallback}
    return compile_source(changed(WORKSPACE, message_types={"promo": promo}))


@pytest.mark.parametrize("program", [compile_source(WORKSPACE), twice()])
async def test_a_withdrawal_in_the_same_commit_stops_a_message(program: Program) -> None:
    store = GatedStore()
    shard = await Shard(store, program=program).start()
    await shard.submit(shard.known("u1"), shard.known("u2"))
    await shard.submit(
        shard.track("u1", "Buy"),
        shard.track("u2", "Buy"),
        shard.track("u1", "Pay"),
        shard.consent("u1", "withdrawn"),
    )
    await settle()
    assert [(send.customer, send.message) for send in shard.email.taken] == [
        ("u1", "paper"),  # of service, so before all others
        ("u2", "offer"),
    ]
    assert await ended(shard) == {"offer email": ["failed"], "paper email": ["accepted"]}
    assert shard.told()[-1] == "u1 offer drop provider_failed email"
    states = sorted(row.state for row in store.outbox().values())
    assert states == ["failed", "sent", "sent"]
    assert shard.runtime.outbox.depth() == 0
    await shard.runtime.stop()


async def test_a_withdrawal_of_one_channel_leaves_the_other() -> None:
    shard = await Shard().start()
    await shard.submit(shard.known("u1"))
    await shard.submit(shard.track("u1", "Buy"), shard.consent("u1", "denied", channel="email"))
    await settle()
    assert sent_over(shard.email) == []
    assert sent_over(shard.sms) == ["offer"]
    assert shard.told() == ["u1 offer send sent email", "u1 offer send sent sms"]
    await shard.runtime.stop()


async def test_a_withdrawal_stops_what_waits_for_another_try() -> None:
    shard = await Shard().start()
    await shard.submit(shard.known("u1"))
    shard.email.fail_next(Temporary("busy", retry_after_ms=60_000))
    await shard.submit(shard.track("u1", "Buy"))
    await settle()
    assert len(shard.email.attempts) == 1
    await shard.submit(shard.consent("u1", "withdrawn"))
    await shard.advance(600_000)
    assert len(shard.email.attempts) == 1
    assert shard.sms.attempts == []
    assert await ended(shard) == {"offer email": ["failed"]}
    assert await shard.store.outbox_open() == []
    await shard.runtime.stop()


async def test_a_grant_stops_nothing() -> None:
    shard = await Shard().start()
    await shard.submit(shard.known("u1"))
    await shard.submit(shard.track("u1", "Buy"), shard.consent("u1", "granted"))
    await settle()
    assert sent_over(shard.email) == ["offer"]
    await shard.runtime.stop()


async def test_an_unsubscribe_by_receipt_stops_what_is_queued() -> None:
    shard = await Shard().start()
    await shard.submit(shard.known("u1"), shard.track("u1", "Buy"))
    await settle()
    first = shard.email.taken[0].message_id
    shard.email.fail_next(Temporary("busy", retry_after_ms=60_000))
    await shard.submit(shard.track("u1", "Buy"))
    await shard.submit(shard.receipt("u1", first, ReceiptStatus.UNSUBSCRIBED))
    await shard.advance(600_000)
    assert len(shard.email.attempts) == 2
    assert sent_over(shard.sms) == ["offer"]  # it closes the channel it came by, and no other
    await shard.runtime.stop()


async def test_a_message_that_waited_while_the_process_was_away_is_checked_for_consent() -> None:
    store = GatedStore()
    shard = await Shard(store).start()
    await shard.submit(shard.known("u1"), shard.known("u2"))
    shard.email.fail_next(*[Temporary("busy", retry_after_ms=60_000)] * 2)
    await shard.submit(shard.track("u1", "Buy"), shard.track("u2", "Buy"))
    await settle()
    assert {row.state for row in await store.outbox_open()} == {"queued"}
    store.hold()
    withdrawing = shard.runtime.submit([shard.consent("u1", "withdrawn")])
    await settle()
    store.release()
    store.hold()
    await withdrawing  # durable; the end of what it stops is not, when the process dies
    assert {row.state for row in await store.outbox_open()} == {"queued"}
    again = await shard.crash()
    await settle()
    assert [send.customer for send in again.email.taken] == ["u2"]
    assert await ended(again) == {"offer email": ["failed"]}
    assert await again.store.outbox_open() == []
    await again.runtime.stop()


async def test_a_channel_that_refuses_for_good_is_followed_by_the_next() -> None:
    shard = await Shard().start()
    await shard.submit(shard.known("u1"))
    shard.email.fail_next(Permanent("no such box", code="550"))
    await shard.submit(shard.track("u1", "Pay"))
    await settle()
    assert sent_over(shard.email) == []
    assert sent_over(shard.sms) == ["paper"]
    assert shard.told() == ["u1 paper send sent email", "u1 paper send sent sms"]
    assert shard.decided[1][1].cause_kind == "receipt"
    shard.email.fail_next(Permanent("no such box"))
    shard.sms.fail_next(Permanent("no such number"))
    await shard.submit(shard.track("u1", "Pay"))
    await settle()
    assert shard.told()[-1] == "u1 paper drop provider_failed sms"
    assert await shard.store.outbox_open() == []
    await shard.runtime.stop()


async def test_a_message_leaves_once_whatever_the_process_does_meanwhile() -> None:
    shard = await Shard(program=twice()).start()
    await shard.submit(shard.known("u1"))
    shard.email.fail_next(Temporary("busy", retry_after_ms=60_000))
    await shard.submit(shard.track("u1", "Buy"))
    again = await shard.crash()
    await settle()
    assert len(again.email.taken) == 1
    last = await again.crash()
    await settle()
    assert last.email.taken == []
    assert await ended(last) == {"offer email": ["accepted"]}
    await last.runtime.stop()


async def test_a_message_of_unknown_fate_is_reported_and_not_sent_again() -> None:
    shard = await Shard().start()
    await shard.submit(shard.known("u1"))
    shard.email.hold()
    await shard.submit(shard.track("u1", "Buy"))
    await settle()
    assert len(shard.email.attempts) == 1
    again = await shard.crash()
    await settle()
    assert again.email.attempts == []
    assert await ended(again) == {"offer email": ["in_doubt"]}
    await again.runtime.stop()


async def test_a_message_whose_row_can_not_be_read_ends_and_holds_up_nothing() -> None:
    store = GatedStore()
    shard = await Shard(store).start()
    await shard.submit(shard.known("u1"))
    shard.email.fail_next(Temporary("busy", retry_after_ms=60_000))
    await shard.submit(shard.track("u1", "Buy"))
    name, row = next(iter(store.outbox().items()))
    store.outbox()[name] = row._replace(body=b"\x00 not a message")
    again = await shard.crash()
    await settle()
    assert again.email.attempts == []
    assert await again.store.outbox_open() == []
    await again.runtime.stop()


async def test_a_full_outbox_refuses_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.outbox.OUTBOX_DEPTH_MAX", 1)
    shard = await Shard().start()
    await shard.submit(shard.known("u1"))
    shard.email.hold()
    await shard.submit(shard.track("u1", "Buy"))
    with pytest.raises(Exception, match="too much"):
        shard.runtime.submit([shard.track("u1")])
    shard.email.release()
    await settle()
    await shard.submit(shard.track("u1"))
    await shard.runtime.stop()


async def test_a_channel_keeps_its_pace_over_a_withdrawal() -> None:
    """What is stopped before it left does not keep a slow channel from the next message."""
    pacing = {"email": Pacing(rate_per_second=1, burst=1)}
    shard = await Shard(program=compile_source(WORKSPACE), pacing=pacing).start()
    await shard.submit(*[shard.known(f"u{number}") for number in (1, 2, 3)])
    await shard.submit(
        *[shard.track(f"u{number}", "Buy") for number in (1, 2, 3)], shard.consent("u2", "denied")
    )
    await shard.advance(5_000)
    assert [send.customer for send in shard.email.taken] == ["u1", "u3"]
    await shard.runtime.stop()


def test_a_send_is_stored_as_it_is_sent() -> None:
    parts: dict[str, Any] = {name: name for name in ("message_id", "decision_id", "customer")}
    send = Send(
        **parts,
        channel="c",
        address="a",
        message="m",
        message_type="t",
        purpose="p",
        journey="j",
        step="s",
        content={"body": "b"},
        decided_at=1,
        expires_at=None,
    )
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(send), type=Send) == send


async def test_a_message_that_waits_for_another_try_stays_when_another_channel_takes_over() -> None:
    shard = await Shard(program=falls_back()).start()
    await shard.submit(shard.known("u1"), shard.known("u2"))
    shard.email.fail_next(Temporary("busy", retry_after_ms=600_000))
    await shard.submit(shard.track("u1", "Buy"), shard.track("u2", "Buy"))
    await settle()
    await shard.submit(shard.receipt("u2", "offer", ReceiptStatus.DELIVERED))
    await shard.advance(1_200_000)
    assert shard.told() == [
        "u1 offer send sent email",
        "u2 offer send sent email",
        "u1 offer send sent sms",
    ]
    assert await ended(shard) == {"offer email": ["failed"], "offer sms": ["accepted"]}
    assert [send.customer for send in shard.email.taken] == ["u2"]
    assert shard.runtime.outbox.depth() == 0
    await shard.runtime.stop()


async def test_a_message_that_was_overtaken_stays_though_the_process_died_of_it() -> None:
    store = GatedStore()
    shard = await Shard(store, program=falls_back()).start()
    await shard.submit(shard.known("u1"))
    shard.email.fail_next(Temporary("busy", retry_after_ms=600_000))
    await shard.submit(shard.track("u1", "Buy"))
    await settle()
    store.hold()
    await shard.advance(120_001)
    store.release()
    store.hold()
    await settle()  # the other channel is durable; the end of what it overtook is not
    assert [row.state for row in await store.outbox_open()] == ["queued", "queued"]
    again = await shard.crash()
    await again.advance(1_200_000)
    assert sent_over(again.email) == []
    assert sent_over(again.sms) == ["offer"]
    assert await ended(again) == {"offer email": ["failed"], "offer sms": ["accepted"]}
    assert await again.store.outbox_open() == []
    await again.runtime.stop()
