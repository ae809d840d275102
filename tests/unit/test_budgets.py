"""A day's money: spent to the last message, given back, and counted by the workspace's calendar."""

import msgspec
import pytest

from actors.budgets import MICROS, Prices, Purse, read_prices
from actors.lanes import Pacing
from actors.ports import Permanent, Temporary
from actors.rows import Spent
from engine.instants import DAY_MS, HOUR_MS
from engine.program.compile import compile_source
from tests.outgoing import START, Outgoing, a_row, a_send, sends

PRICE = 350_000
SMS = Prices({"sms": PRICE}, {"sms": 2 * MICROS}, timezone="Africa/Johannesburg")
TODAY = START // DAY_MS


def booked(world: Outgoing) -> int:
    return sum(one.spent.micros for one in world.changes if one.spent is not None)


async def test_messages_go_while_there_is_money_and_then_end_so_that_others_take_over() -> None:
    world = Outgoing(prices=SMS)
    world.outbox.offer(sends("s", 8, channel="sms"))
    await world.outbox.settle()
    told = world.told()
    assert sum(status == "accepted" for _, status, _ in told) == 5
    assert sum(code == "budget_spent" for _, _, code in told) == 3
    assert all(one.permanent for one in world.receipts if one.code)
    assert booked(world) == world.outbox.purse.spent["sms"] == 5 * PRICE


async def test_nothing_is_overspent_while_many_are_out_at_once() -> None:
    world = Outgoing(prices=SMS, sms=Pacing(concurrency=50))
    world.sms.latency_ms = 1_000
    world.outbox.offer(sends("s", 50, channel="sms"))
    await world.clock.advance(0)
    assert len(world.calls) == 5
    await world.clock.advance(2_000)
    assert booked(world) == 5 * PRICE


async def test_what_was_surely_not_taken_is_given_back() -> None:
    world = Outgoing(prices=SMS, sms=Pacing(concurrency=1))
    world.sms.fails = {f"s{n}": [Permanent("no such number")] for n in range(4)}
    world.outbox.offer(sends("s", 9, channel="sms"))
    await world.outbox.settle()
    assert sum(status == "accepted" for _, status, _ in world.told()) == 5
    assert booked(world) == 5 * PRICE


async def test_what_is_tried_again_is_paid_for_once() -> None:
    world = Outgoing(prices=SMS, is_hasty=True)
    world.sms.fails = {"s0": [Temporary("busy")] * 3}
    world.other.fails = {"s0": [Temporary("busy")] * 2}
    world.outbox.offer(sends("s", 1, channel="sms"))
    await world.outbox.settle()
    assert world.told() == [("s0", "accepted", "")]
    assert booked(world) == world.outbox.purse.spent["sms"] == PRICE


async def test_what_may_have_been_taken_stays_paid_for() -> None:
    world = Outgoing(prices=SMS)
    world.sms.fails = {"s0": [Temporary("hung up", maybe_taken=True)]}
    world.outbox.offer(sends("s", 1, channel="sms"))
    await world.outbox.settle()
    assert booked(world) == PRICE


async def test_channels_share_the_budget_of_the_workspace() -> None:
    prices = Prices({"sms": PRICE, "email": 400}, {}, MICROS, "UTC")
    world = Outgoing(prices=prices)
    world.outbox.offer(sends("s", 5, channel="sms"))
    await world.outbox.settle()
    assert world.outbox.purse.total == 2 * PRICE
    world.outbox.offer(sends("e", 1_000))
    await world.outbox.settle()
    assert world.outbox.purse.total == 2 * PRICE + 750 * 400


async def test_a_message_a_stopped_process_paid_for_is_not_paid_again() -> None:
    world = Outgoing(prices=SMS, at_least_once=True)
    world.outbox.purse.recall({"sms": 2 * MICROS}, START)
    row = a_row(a_send("s0", channel="sms"))
    world.outbox.recover([row._replace(state="dispatching"), a_row(a_send("s1", channel="sms"))])
    await world.outbox.settle()
    assert sorted(world.told()) == [("s0", "accepted", ""), ("s1", "failed", "budget_spent")]
    assert booked(world) == 0


def test_a_new_day_begins_at_midnight_of_the_workspace() -> None:
    purse = Purse(SMS)
    midnight = TODAY * DAY_MS + 22 * HOUR_MS  # in Johannesburg
    paid = purse.pay("sms", START)
    while purse.affords("sms", START):
        purse.pay("sms", START)
    assert not purse.affords("sms", midnight - 1)
    assert purse.affords("sms", midnight)
    assert paid is not None
    assert purse.give_back(paid) == Spent("sms", TODAY, -PRICE)
    assert purse.spent == {}  # that was yesterday's


def test_what_costs_nothing_is_never_too_much() -> None:
    purse = Purse(msgspec.structs.replace(SMS, budget=0))
    assert purse.affords("email", START)
    assert purse.pay("email", START) is None
    assert not purse.affords("sms", START)


@pytest.mark.parametrize("budget", [500, 0.5])
def test_prices_are_read_from_the_workspace(budget: float) -> None:
    source = {
        "workspace": "shop",
        "defaults": {"timezone": "Asia/Kolkata"},
        "channels": {
            "sms": {"adapter": "log", "cost": 0.0004, "budget": budget},
            "email": {"adapter": "log"},
        },
        "policies": {"budget": 900},
    }
    prices = read_prices(compile_source(source))
    assert prices == Prices(
        {"sms": 400}, {"sms": round(budget * MICROS)}, 900 * MICROS, "Asia/Kolkata"
    )
