"""Whose turn it is: journeys on a channel, channels at the workspace's pace, service before all."""

import asyncio

import msgspec
import pytest

from actors.lanes import Meter, Pace, Pacing
from actors.memory import settle
from actors.ports import Temporary
from engine.instants import HOUR_MS, MINUTE_MS, SECOND_MS
from tests.outgoing import START, Outgoing, a_row, a_send, sends

ONE = Pacing(rate_per_second=1)
TEN = Pace(10)


async def test_a_single_reminder_does_not_wait_for_a_journey_with_many_newsletters() -> None:
    world = Outgoing(email=ONE)
    world.outbox.offer(sends("n", 5_000))
    world.outbox.offer([a_send("reminder", journey="cart")])
    await world.clock.advance(3 * SECOND_MS)
    assert world.order() == ["n0", "n1", "reminder", "n2"]
    await world.outbox.drain(1_000)


async def test_journeys_take_turns_one_message_each() -> None:
    world = Outgoing(email=ONE)
    world.outbox.offer(
        sends("n", 5) + sends("c", 2, journey="cart") + sends("w", 3, journey="welcome")
    )
    await world.clock.advance(MINUTE_MS)
    assert world.order() == ["n0", "c0", "w0", "n1", "c1", "w1", "n2", "w2", "n3", "n4"]


async def test_a_journey_that_comes_back_with_more_waits_for_its_turn() -> None:
    world = Outgoing(email=ONE)
    world.outbox.offer([*sends("n", 4), a_send("c0", journey="cart")])
    await world.clock.advance(SECOND_MS)
    world.outbox.offer([a_send("c1", journey="cart")])
    await world.clock.advance(MINUTE_MS)
    assert world.order() == ["n0", "c0", "n1", "c1", "n2", "n3"]


async def test_a_newsletter_that_waits_does_not_hold_up_a_reminder_for_the_same_customer() -> None:
    world = Outgoing(email=ONE)
    world.outbox.offer([*sends("n", 50), a_send("n for u1", "u1")])
    world.outbox.offer([a_send("reminder", "u1", journey="cart")])
    await world.clock.advance(2 * SECOND_MS)
    assert world.order() == ["n0", "n1", "reminder"]
    await world.outbox.drain(1_000)


async def test_what_one_journey_says_leaves_in_the_order_in_which_it_was_said() -> None:
    world = Outgoing(email=ONE)
    world.outbox.offer([a_send(f"n{number}", f"u{number % 3}") for number in range(9)])
    await world.clock.advance(MINUTE_MS)
    assert world.order() == [f"n{number}" for number in range(9)]


async def test_service_messages_go_before_others_at_every_turn() -> None:
    world = Outgoing(email=ONE)
    world.outbox.offer(sends("n", 3) + sends("c", 2, journey="cart"))
    world.outbox.offer([*sends("s", 3, purpose="service"), a_send("n9")])
    world.outbox.offer(sends("p", 2, purpose="service", journey="password"))
    await world.clock.advance(2 * SECOND_MS)
    world.outbox.offer([a_send("late", "for n1", purpose="service", journey="refund")])
    await world.clock.advance(MINUTE_MS)
    first, rest = world.order()[:7], world.order()[7:]
    assert first == ["n0", "s0", "p0", "s1", "p1", "late", "s2"]
    assert rest == ["c0", "n1", "c1", "n2", "n9"]


async def test_one_message_of_a_customer_is_out_at_a_time_and_the_others_keep_their_place() -> None:
    world = Outgoing(email=Pacing(rate_per_second=1, concurrency=9))
    world.email.fails = {"n for u1": [Temporary("later", retry_after_ms=10 * SECOND_MS)]}
    world.outbox.offer([a_send("n for u1", "u1"), *sends("n", 4)])
    world.outbox.offer([a_send("c for u1", "u1", journey="cart"), *sends("c", 20, journey="cart")])
    await world.clock.advance(MINUTE_MS)
    order = world.order()
    again = order.index("n for u1", 1)
    assert world.times()[again] == 11 * SECOND_MS  # due at ten, when the other journey had its turn
    assert order.index("c for u1") == again + 1
    assert order.index("c0") == 2
    assert len(order) == len(set(order)) + 1


async def test_who_is_withdrawn_while_another_is_out_holds_up_nobody() -> None:
    world = Outgoing()
    world.email.held = asyncio.get_running_loop().create_future()
    world.outbox.offer([a_send(journey, "u1", journey=journey) for journey in ("a", "b", "c")])
    await settle()
    assert world.outbox.cancel("u1", lambda send: send.journey == "b", "withdrawn") == 1
    await settle()
    world.email.held.set_result(None)
    await world.outbox.settle()
    assert world.order() == ["a", "c"]
    assert sorted(message for message, _, _ in world.told()) == ["a", "b", "c"]


async def test_what_is_passed_over_costs_its_journey_no_turn() -> None:
    world = Outgoing(email=ONE)
    world.outbox.offer([a_send("first", journey="cart")])
    world.outbox.offer([a_send("stale", expires_at=START + 1), *sends("n", 2)])
    world.outbox.offer(sends("c", 2, journey="cart"))
    assert world.outbox.cancel("for n0", lambda send: True, "withdrawn") == 1
    await world.clock.advance(MINUTE_MS)
    assert world.order() == ["first", "n1", "c0", "c1"]
    assert ("stale", "failed", "expired") in world.told()


async def test_a_start_takes_turns_over_what_was_left() -> None:
    world = Outgoing(TEN, email=ONE, sms=ONE)
    left = sends("n", 3) + sends("c", 2, journey="cart") + sends("s", 1, purpose="service")
    texts = [
        msgspec.structs.replace(send, channel="sms", message_id=f"sms {send.message_id}")
        for send in left
    ]
    world.outbox.recover([a_row(send) for send in left + texts])
    await world.clock.advance(MINUTE_MS)
    order = ["s0", "n0", "c0", "n1", "c1", "n2"]
    assert [name for _, channel, name in world.calls if channel == "email"] == order
    assert [name for name in world.order() if name.startswith("sms")] == [
        f"sms {name}" for name in order
    ]


async def test_all_channels_together_keep_the_pace_of_the_workspace_and_share_it() -> None:
    world = Outgoing(TEN)
    world.outbox.offer(sends("e", 5) + sends("s", 3, channel="sms"))
    await world.clock.advance(MINUTE_MS)
    assert world.order() == ["e0", "s0", "e1", "s1", "e2", "s2", "e3", "e4"]
    assert world.times() == [100 * number for number in range(8)]


async def test_channels_share_what_may_go_at_once() -> None:
    world = Outgoing(Pace(10, burst=4))
    world.outbox.offer(sends("e", 5) + sends("s", 2, channel="sms"))
    await world.clock.advance(MINUTE_MS)
    assert world.order() == ["e0", "s0", "e1", "s1", "e2", "e3", "e4"]
    assert world.times() == [0, 0, 0, 0, 100, 200, 300]


async def test_a_channel_keeps_its_own_pace_too_and_takes_no_turn_until_then() -> None:
    world = Outgoing(TEN, email=ONE)
    world.outbox.offer(sends("e", 3) + sends("s", 25, channel="sms"))
    await world.clock.advance(MINUTE_MS)
    assert [at for at, channel, _ in world.calls if channel == "email"] == [0, 1_100, 2_200]
    assert world.times() == [100 * number for number in range(28)]


async def test_a_provider_that_does_not_answer_starves_no_other_channel() -> None:
    world = Outgoing(TEN, email=Pacing(concurrency=1))
    world.email.held = asyncio.get_running_loop().create_future()
    world.outbox.offer(sends("e", 9) + sends("s", 9, channel="sms"))
    await world.clock.advance(SECOND_MS)
    assert world.order() == ["e0", *(f"s{number}" for number in range(9))]
    assert world.times() == [100 * number for number in range(10)]
    world.email.held.set_result(None)
    await world.clock.advance(MINUTE_MS)
    assert len(world.calls) == 18


async def test_a_channel_that_waits_long_for_its_turn_is_served_before_the_one_that_had_it() -> (
    None
):
    world = Outgoing(TEN)
    world.outbox.offer(sends("e", 50))
    await world.clock.advance(150)
    world.outbox.offer(sends("s", 2, channel="sms"))
    await world.clock.advance(400)
    assert world.order() == ["e0", "e1", "e2", "s0", "e3", "s1"]
    await world.outbox.drain(1_000)


async def test_a_service_message_goes_before_what_other_channels_have() -> None:
    world = Outgoing(Pace(1))
    world.outbox.offer(sends("e", 3) + sends("s", 3, channel="sms", purpose="service"))
    await world.clock.advance(MINUTE_MS)
    assert world.order() == ["s0", "s1", "s2", "e0", "e1", "e2"]


async def test_each_attempt_counts_on_the_pace_of_the_workspace() -> None:
    world = Outgoing(Pace(1), sms=Pacing(attempts=2), is_backed=False)
    world.sms.fails = {"s0": [Temporary("no", retry_after_ms=500)]}
    world.outbox.offer([a_send("s0", channel="sms"), *sends("e", 2)])
    await world.clock.advance(MINUTE_MS)
    assert world.calls == [
        (0, "sms", "s0"),
        (1_000, "email", "e0"),
        (2_000, "sms", "s0"),
        (3_000, "email", "e1"),
    ]


async def test_what_can_not_leave_at_all_waits_for_no_pace() -> None:
    world = Outgoing(Pace(0.001))
    world.outbox.offer([a_send("e0")])
    await settle()
    world.outbox.offer([a_send("dove", channel="pigeon"), a_send("stale", expires_at=START)])
    await settle()
    assert [code for _, _, code in world.told()[1:]] == ["no_channel", "expired"]


async def test_a_withdrawal_stops_what_waits_for_the_pace_of_the_workspace() -> None:
    world = Outgoing(Pace(1))
    world.outbox.offer(sends("e", 1) + sends("s", 2, channel="sms"))
    await settle()
    assert world.outbox.cancel("for s0", lambda send: True, "withdrawn") == 1
    assert world.outbox.cancel("for s1", lambda send: True, "withdrawn") == 1
    world.outbox.offer([a_send("e1")])
    await world.clock.advance(MINUTE_MS)
    assert world.calls == [(0, "email", "e0"), (1_000, "email", "e1")]


async def test_another_pace_holds_from_now_on() -> None:
    world = Outgoing(Pace(0.01))
    world.outbox.offer(sends("e", 6))
    await world.clock.advance(SECOND_MS)
    world.outbox.repace(TEN)
    await world.clock.advance(250)
    world.outbox.repace(Pace(1))
    await world.clock.advance(2 * SECOND_MS)
    world.outbox.repace(None)
    await settle()
    assert world.times() == [0, 1_100, 1_200, 1_300, 2_300, 3_250]


async def test_a_stop_does_not_wait_for_the_pace_of_the_workspace() -> None:
    world = Outgoing(Pace(0.001))
    world.outbox.offer(sends("e", 2))
    await settle()
    assert await world.outbox.drain(5_000)
    await world.clock.advance(HOUR_MS)
    assert world.order() == ["e0"]
    world.outbox.repace(None)
    await settle()
    assert world.order() == ["e0"]


def test_changing_the_pace_again_and_again_lets_nothing_go_early() -> None:
    meter = Meter(Pace(1, burst=3))
    for _ in range(3):
        meter.spend(START)
    for rate in (1, 1, 1):
        meter.change(Pace(rate, burst=3), START)
    assert meter.free_at() == START + SECOND_MS


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, 0)])
def test_a_pace_that_can_not_be_is_a_fault(rate: float, burst: int) -> None:
    with pytest.raises(AssertionError):
        Pace(rate, burst)
