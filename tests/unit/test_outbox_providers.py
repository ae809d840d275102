"""Providers that are down, slow down or step in for each other: what becomes of messages."""

import asyncio

import pytest

from actors.breakers import BreakerState
from actors.lanes import Pacing
from actors.ports import Permanent, Temporary
from engine.events import Failure
from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from tests.outgoing import START, Outgoing, a_row, a_send, sends

DOWN = Temporary("no connection")
ONE = Pacing(concurrency=1)


def who(world: Outgoing) -> list[tuple[str, str]]:
    return [(name, message_id) for _, name, message_id in world.calls]


def providers(world: Outgoing) -> dict[str, tuple[str, str, str]]:
    return {one.message_id: (one.state, one.provider, one.provider_id) for one in world.changes}


async def test_what_the_first_surely_did_not_take_goes_to_the_other_at_once() -> None:
    world = Outgoing()
    world.sms.fails = {"s0": [DOWN]}
    world.outbox.offer(sends("s", 2, channel="sms"))
    await world.outbox.settle()
    assert who(world) == [("sms", "s0"), ("other", "s0"), ("sms", "s1")]
    assert providers(world) == {
        "s0": ("sent", "second", "taken"),
        "s1": ("sent", "first", "taken"),
    }
    assert {one.attempts for one in world.changes if one.message_id == "s0"} == {1, 2}
    assert sorted(world.outbox.attempts()) == [
        ("sms", "first", "taken", 1),
        ("sms", "first", "transient", 1),
        ("sms", "second", "taken", 1),
    ]


@pytest.mark.parametrize("at_least_once", [False, True])
async def test_what_may_have_been_taken_goes_to_no_other_at_once(*, at_least_once: bool) -> None:
    world = Outgoing(at_least_once=at_least_once, is_hasty=True)
    world.sms.fails = {"s0": [Temporary("hung up", maybe_taken=True)]}
    world.outbox.offer(sends("s", 1, channel="sms"))
    await world.outbox.settle()
    again = [("sms", "s0")] if at_least_once else []  # who knows its id already
    assert who(world) == [("sms", "s0"), *again]
    assert world.told()[-1][1] == ("accepted" if at_least_once else "in_doubt")


async def test_a_refusal_for_good_is_not_taken_to_the_other() -> None:
    world = Outgoing()
    world.sms.fails = {"s0": [Permanent("no such number", failure=Failure.ADDRESS_DEAD)]}
    world.outbox.offer(sends("s", 1, channel="sms"))
    await world.outbox.settle()
    assert who(world) == [("sms", "s0")]
    assert world.receipts[0].failure == "address_dead"


async def test_while_the_first_is_down_the_other_is_asked_right_away() -> None:
    world = Outgoing(sms=ONE)
    world.sms.fails_all = DOWN
    world.outbox.offer(sends("s", 30, channel="sms"))
    await world.outbox.settle()
    assert world.sms.name not in [name for _, name, _ in world.calls[20:]]
    assert [name for _, name, _ in world.calls].count("sms") == 10
    assert {told[1] for told in world.told()} == {"accepted"}
    standing = {one.provider: one.state for one in world.outbox.standings()}
    assert standing == {"first": BreakerState.OPEN, "second": BreakerState.CLOSED}


async def test_one_message_finds_out_whether_the_first_is_well_again() -> None:
    world = Outgoing(sms=ONE)
    world.sms.fails_all = DOWN
    world.outbox.offer(sends("s", 20, channel="sms"))
    await world.outbox.settle()
    world.sms.fails_all = None
    await world.clock.advance(5 * SECOND_MS)
    world.calls.clear()
    world.outbox.offer(sends("t", 3, channel="sms"))
    await world.outbox.settle()
    assert [name for name, _ in who(world)] == ["sms", "other", "other"]
    world.outbox.offer(sends("u", 3, channel="sms"))
    await world.outbox.settle()
    assert [name for name, _ in who(world)][3:] == ["sms"] * 3


async def test_messages_wait_while_their_only_provider_is_down_and_none_is_lost() -> None:
    world = Outgoing()
    world.email.fails_all = DOWN
    world.outbox.offer(sends("e", 40))
    await world.clock.advance(HOUR_MS)
    asked = len(world.calls)
    assert asked < 80  # not each message again and again: one at a time finds out
    assert world.receipts == []
    world.email.fails_all = None
    await world.clock.advance(20 * MINUTE_MS)
    assert sorted(world.told()) == sorted((f"e{n}", "accepted", "") for n in range(40))


async def test_other_lanes_go_on_while_one_is_down() -> None:
    world = Outgoing()
    world.email.fails_all = DOWN
    world.outbox.offer(sends("e", 40))
    await world.clock.advance(MINUTE_MS)
    world.calls.clear()
    world.outbox.offer(sends("s", 5, channel="sms"))
    await world.clock.advance(0)
    assert {at for at, name, _ in world.calls if name == "sms"} == {MINUTE_MS}


async def test_a_message_that_could_only_leave_too_late_ends_at_once() -> None:
    world = Outgoing()
    world.email.fails_all = DOWN
    world.outbox.offer(sends("e", 10))
    world.outbox.offer([a_send("soon", expires_at=START + 2_000), a_send("late")])
    await world.clock.advance(0)
    assert world.told() == []  # all were asked about at once, and wait for their next try
    await world.clock.advance(MINUTE_MS)
    assert world.told() == [("soon", "failed", "provider_down")]
    world.outbox.offer([a_send("new", expires_at=START + MINUTE_MS + 10)])
    await world.clock.advance(0)
    assert world.told()[1:] == [("new", "failed", "provider_down")]
    assert world.receipts[1].failure == "transient"


async def test_after_a_day_without_a_provider_messages_end_so_that_others_take_over() -> None:
    world = Outgoing()
    world.email.fails_all = DOWN
    world.outbox.offer(sends("e", 20))
    await world.clock.advance(DAY_MS + HOUR_MS)
    codes = {(status, code) for _, status, code in world.told()}
    assert codes <= {("failed", "provider_down"), ("failed", "retries_exhausted")}
    assert world.outbox.depth() == 0


async def test_a_trouble_of_the_account_is_told_once_and_its_messages_wait() -> None:
    world = Outgoing(email=ONE)
    told: list[str] = []
    world.outbox.watch = lambda one: told.append(f"{one.channel} {one.state} {one.cause}")
    world.email.fails_all = Temporary("401", failure=Failure.CONFIG)
    world.outbox.offer(sends("e", 5))
    await world.clock.advance(20 * SECOND_MS)
    assert len(world.calls) == 1
    assert told == ["email open config"]
    world.email.fails_all = None
    await world.clock.advance(MINUTE_MS)
    assert told == ["email open config", "email closed "]
    assert len(world.told()) == 5


async def test_a_provider_that_asks_to_slow_down_slows_its_whole_lane() -> None:
    world = Outgoing(email=ONE)
    slow = Temporary("429", failure=Failure.RATE, retry_after_ms=8 * SECOND_MS)
    world.email.fails = {"e0": [slow]}
    world.outbox.offer(sends("e", 4))
    await world.clock.advance(8 * SECOND_MS - 1)
    assert world.order() == ["e0"]
    await world.clock.advance(10 * SECOND_MS)
    assert sorted(world.order()) == ["e0", "e0", "e1", "e2", "e3"]
    assert world.outbox.standings()[0].state is BreakerState.CLOSED


async def test_what_is_limited_goes_to_the_other_provider() -> None:
    world = Outgoing(sms=ONE)
    world.sms.fails_all = Temporary("429", failure=Failure.RATE, retry_after_ms=HOUR_MS)
    world.outbox.offer(sends("s", 5, channel="sms"))
    await world.outbox.settle()
    assert [name for name, _ in who(world)] == ["sms"] + ["other"] * 5


async def test_a_message_a_channel_chokes_on_holds_up_no_other_and_ends() -> None:
    world = Outgoing(email=ONE, at_least_once=True)
    world.email.fails = {"e0": [ValueError("odd")] * 100}
    world.outbox.offer(sends("e", 6))
    await world.clock.advance(0)
    assert {told[0] for told in world.told()} == {"e1", "e2", "e3", "e4", "e5"}
    await world.clock.advance(HOUR_MS)
    assert world.told()[-1] == ("e0", "failed", "channel_fault")
    assert world.order().count("e0") == 5
    assert world.outbox.standings()[0].state is BreakerState.CLOSED


async def test_the_order_of_a_customer_holds_across_providers() -> None:
    world = Outgoing(is_hasty=True)
    world.sms.fails = {f"s{n}": [DOWN] for n in range(0, 20, 2)}
    world.other.fails = {f"s{n}": [DOWN] for n in range(0, 20, 4)}
    world.outbox.offer([a_send(f"s{n}", "u1", channel="sms") for n in range(20)])
    await world.outbox.settle()
    assert [told[0] for told in world.told()] == [f"s{n}" for n in range(20)]


async def test_a_restart_tells_of_what_a_provider_had_whose_name_is_kept() -> None:
    world = Outgoing()
    row = a_row(a_send("s0", channel="sms"))._replace(state="dispatching", provider="second")
    world.outbox.recover([row])
    await asyncio.sleep(0)
    await world.clock.advance(0)
    assert world.told() == [("s0", "in_doubt", "restart")]
    assert world.changes[-1].provider == "second"
