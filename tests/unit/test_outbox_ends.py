"""The outbox at its ends: what a start finds, what a withdrawal stops, what a stop leaves."""

import asyncio

import msgspec
import pytest

from actors.endings import OutboxState
from actors.lanes import Pacing
from actors.outbox import Outbox
from actors.ports import Temporary
from actors.rows import OutboxChange, OutboxRow
from engine.effects import Send
from engine.events import Receipt
from engine.limits import OUTBOX_DEPTH_MAX

START = 1_772_428_320_000


class StillClock:
    """A clock that stands still; who sleeps, sleeps until cancelled."""

    def now(self) -> int:
        return START

    async def sleep_until(self, at: int) -> None:
        if at > START:
            await asyncio.get_running_loop().create_future()


class Provider:
    """Takes everything, or fails as told, or holds calls until let go."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fails: list[Exception] = []
        self.held: asyncio.Future[None] | None = None

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def deliver(self, send: Send) -> str:
        self.calls.append(send.message_id)
        if self.fails:
            raise self.fails.pop(0)
        if self.held is not None:
            await self.held
        return "taken"


class World:
    def __init__(self, pacing: Pacing | None = None) -> None:
        self.receipts: list[Receipt] = []
        self.changes: list[OutboxChange] = []
        self.email = Provider()
        self.outbox = Outbox(
            {"email": self.email},
            StillClock(),
            report=self.receipts.append,
            changed=self.changed,
            at_least_once=lambda message_type: message_type == "transactional",
            pacing={} if pacing is None else {"email": pacing},
        )

    def changed(self, change: OutboxChange) -> "asyncio.Future[None]":
        self.changes.append(change)
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def hold(self) -> None:
        self.email.held = asyncio.get_running_loop().create_future()

    def let_go(self) -> None:
        assert self.email.held is not None
        self.email.held.set_result(None)

    def told(self) -> list[tuple[str, str, str]]:
        return [(r.message, r.status.value, r.code) for r in self.receipts]

    def stored(self, message_id: str) -> list[str]:
        return [change.state for change in self.changes if change.message_id == message_id]


async def quiet() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


def a_send(message_id: str, customer: str = "u1", message_type: str = "promotional") -> Send:
    return Send(
        message_id=message_id,
        decision_id="d_1",
        customer=customer,
        channel="email",
        address="zoe@example.com",
        message="welcome",
        message_type=message_type,
        purpose="service" if message_type == "transactional" else "marketing",
        journey="onboarding",
        step="first",
        content={"subject": "Hi", "body": "Hello"},
        decided_at=START,
        expires_at=None,
    )


def a_row(send: Send, state: str, attempts: int = 0) -> OutboxRow:
    body = msgspec.msgpack.encode(send)
    return OutboxRow(send.message_id, send.customer, send.channel, state, attempts, body)


async def test_a_start_sends_what_was_queued_in_the_order_of_storing() -> None:
    world = World()
    world.outbox.recover([a_row(a_send(f"m{n}"), OutboxState.QUEUED) for n in range(5)])
    await world.outbox.settle()
    assert world.email.calls == ["m0", "m1", "m2", "m3", "m4"]


async def test_a_start_does_not_repeat_what_the_provider_may_have() -> None:
    world = World()
    world.outbox.recover([a_row(a_send("m1"), OutboxState.DISPATCHING, 1)])
    await quiet()
    assert world.email.calls == []
    assert world.told() == [("m1", "in_doubt", "restart")]
    assert world.receipts[0].user == "u1"
    assert world.receipts[0].id == "o:m1:in_doubt"
    assert world.stored("m1") == ["in_doubt"]
    assert world.outbox.counts == {("email", "in_doubt"): 1}


async def test_a_start_repeats_it_under_the_same_id_where_its_type_says_at_least_once() -> None:
    world = World()
    row = a_row(a_send("m1", message_type="transactional"), OutboxState.DISPATCHING, 1)
    world.outbox.recover([row])
    await world.outbox.settle()
    assert world.email.calls == ["m1"]
    assert world.told() == [("m1", "accepted", "")]
    assert world.changes[-1].attempts == 2


async def test_attempts_before_a_restart_count() -> None:
    world = World(Pacing(attempts=3))
    world.email.fails = [Temporary("no")]
    world.outbox.recover([a_row(a_send("m1"), OutboxState.QUEUED, attempts=2)])
    await world.outbox.settle()
    assert world.told() == [("m1", "failed", "retries_exhausted")]


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x93\x01\x02\x03", b"\xff" * 100])
async def test_a_row_that_can_not_be_read_fails_and_stops_no_other(body: bytes) -> None:
    world = World()
    bad = a_row(a_send("bad"), OutboxState.QUEUED)._replace(body=body)
    world.outbox.recover([bad, a_row(a_send("m1"), OutboxState.QUEUED)])
    await quiet()
    assert world.email.calls == ["m1"]
    assert ("bad", "failed", "unreadable") in world.told()


async def test_a_state_we_do_not_know_is_taken_for_doubt() -> None:
    world = World()
    world.outbox.recover([a_row(a_send("m1"), "teleporting")])
    await quiet()
    assert world.email.calls == []
    assert [status for _, status, _ in world.told()] == ["in_doubt"]


async def test_a_withdrawal_stops_what_waits_and_nothing_else() -> None:
    world = World(Pacing(rate_per_second=1))
    mine = [a_send("m1"), a_send("m2"), a_send("m3", message_type="transactional")]
    world.outbox.offer([a_send("first", "u0")])
    world.outbox.offer([*mine, a_send("other", "u2")])
    await quiet()
    stopped = world.outbox.cancel("u1", lambda send: send.purpose == "marketing", "withdrawn")
    await quiet()
    assert stopped == 2
    assert world.told()[1:] == [("m1", "failed", "withdrawn"), ("m2", "failed", "withdrawn")]
    assert world.stored("m1") == ["failed"]
    assert world.email.calls == ["first"]
    assert world.outbox.depth() == 2


async def test_a_withdrawn_message_lets_the_next_one_of_its_customer_pass() -> None:
    world = World(Pacing(concurrency=1))
    world.hold()
    world.outbox.offer([a_send("first", "u0"), a_send("m1"), a_send("m2"), a_send("m3")])
    await quiet()
    assert world.outbox.cancel("u1", lambda send: send.message_id != "m3", "withdrawn") == 2
    world.let_go()
    await world.outbox.settle()
    assert world.email.calls == ["first", "m3"]


async def test_a_withdrawal_stops_a_message_that_waits_for_its_next_attempt() -> None:
    world = World()
    world.email.fails = [Temporary("later", retry_after_ms=1_000)]
    world.outbox.offer([a_send("m1")])
    await quiet()
    assert world.outbox.cancel("u1", lambda send: True, "withdrawn") == 1
    await world.outbox.settle()
    assert world.told() == [("m1", "failed", "withdrawn")]
    assert world.email.calls == ["m1"]


async def test_a_withdrawn_message_in_the_hands_of_the_provider_is_not_tried_again() -> None:
    world = World()
    world.hold()
    world.outbox.offer([a_send("m1")])
    await quiet()
    assert world.outbox.cancel("u1", lambda send: True, "withdrawn") == 0
    assert world.email.held is not None
    world.email.held.set_exception(Temporary("later"))
    await world.outbox.settle()
    assert world.told() == [("m1", "failed", "withdrawn")]


async def test_cancelling_twice_stops_nothing_twice() -> None:
    world = World(Pacing(rate_per_second=1))
    world.outbox.offer([a_send("first", "u0"), a_send("m1")])
    await quiet()
    assert world.outbox.cancel("u1", lambda send: True, "withdrawn") == 1
    assert world.outbox.cancel("u1", lambda send: True, "withdrawn") == 0
    await quiet()
    assert world.told()[1:] == [("m1", "failed", "withdrawn")]


async def test_a_stop_lets_calls_in_progress_end_and_starts_no_others() -> None:
    world = World(Pacing(concurrency=2))
    world.hold()
    world.outbox.offer([a_send(f"m{n}", f"u{n}") for n in range(6)])
    await quiet()
    drained = asyncio.create_task(world.outbox.drain(5_000))
    await quiet()
    world.let_go()
    assert await drained
    assert world.email.calls == ["m0", "m1"]
    assert world.told() == [("m0", "accepted", ""), ("m1", "accepted", "")]
    world.outbox.offer([a_send("late")])
    await quiet()
    assert world.stored("late") == []


async def test_a_stop_does_not_wait_for_retries_or_pacing() -> None:
    world = World(Pacing(rate_per_second=0.001))
    world.email.fails = [Temporary("later", retry_after_ms=1_000)]
    world.outbox.offer([a_send("m1"), a_send("n1", "u2")])
    await quiet()
    assert await world.outbox.drain(5_000)
    assert world.stored("m1")[-1] == "queued"
    assert world.stored("n1") == []


async def test_a_stop_cuts_off_what_takes_too_long_and_leaves_it_as_dispatching() -> None:
    world = World()
    world.hold()
    world.outbox.offer([a_send("m1")])
    await quiet()
    assert not await world.outbox.drain(1)
    assert world.stored("m1") == ["dispatching"]
    assert world.receipts == []


async def test_nothing_to_do_is_settled_and_drained_at_once() -> None:
    world = World()
    await world.outbox.settle()
    assert await world.outbox.drain(0)


async def test_an_outbox_says_when_it_holds_too_much() -> None:
    world = World(Pacing(rate_per_second=1))
    send = a_send("m")
    many = [
        msgspec.structs.replace(send, message_id=f"m{n}", customer=f"u{n}")
        for n in range(OUTBOX_DEPTH_MAX)
    ]
    world.outbox.offer(many[:-1])
    assert not world.outbox.is_full()
    world.outbox.offer(many[-1:])
    assert world.outbox.is_full()
    await world.outbox.drain(1_000)
