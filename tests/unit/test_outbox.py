"""The outbox on a virtual clock: order, pacing, retries, what is told to whom, and when."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import pairwise

import pytest

from actors.lanes import Pacing, back_off
from actors.outbox import Outbox
from actors.ports import Permanent, Temporary
from actors.rows import OutboxChange
from engine.effects import Send
from engine.errors import OverloadError, StoreError
from engine.events import Receipt, ReceiptStatus
from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

START = 1_772_428_320_000


class SteppedClock:
    """Business time that moves when the test says so, from one sleeper to the next."""

    def __init__(self) -> None:
        self._now = START
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> int:
        return self._now

    async def sleep_until(self, at: int) -> None:
        if at <= self._now:
            await asyncio.sleep(0)
            return
        self._count += 1
        done = asyncio.get_running_loop().create_future()
        heappush(self._sleepers, (at, self._count, done))
        await done

    async def advance(self, ms: int) -> None:
        until = self._now + ms
        await quiet()
        while self._sleepers and self._sleepers[0][0] <= until:
            at, _, done = heappop(self._sleepers)
            self._now = max(self._now, at)
            if not done.done():
                done.set_result(None)
            await quiet()
        self._now = until
        await quiet()


async def quiet() -> None:
    """Let everything run that can run without time passing."""
    for _ in range(50):
        await asyncio.sleep(0)


Act = str | Exception | Callable[[], "asyncio.Future[str]"]


class ScriptedChannel:
    """Answers each message as the test wrote it, and remembers who was called when."""

    def __init__(self, clock: SteppedClock) -> None:
        self.clock = clock
        self.script: Mapping[str, Sequence[Act]] = {}  # by message id, an act for each call
        self.calls: list[tuple[int, str]] = []

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def deliver(self, send: Send) -> str:
        turn = self.order.count(send.message_id)
        self.calls.append((self.clock.now() - START, send.message_id))
        acts = self.script.get(send.message_id, ())
        act = acts[turn] if turn < len(acts) else f"provider-{send.message_id}"
        if isinstance(act, Exception):
            raise act
        return act if isinstance(act, str) else await act()

    @property
    def order(self) -> list[str]:
        return [message_id for _, message_id in self.calls]


class World:
    """An outbox with a store that is always at once durable, unless told otherwise."""

    def __init__(self, pacing: Pacing | None = None, *, at_least_once: bool = False) -> None:
        self.clock = SteppedClock()
        self.receipts: list[Receipt] = []
        self.changes: list[OutboxChange] = []
        self.failures: list[Exception] = []  # what the store answers next
        self.gate: asyncio.Future[None] | None = None
        self.email = ScriptedChannel(self.clock)
        self.sms = ScriptedChannel(self.clock)
        self.outbox = Outbox(
            {"email": self.email, "sms": self.sms},
            self.clock,
            report=self.report,
            changed=self.changed,
            at_least_once=lambda message_type: at_least_once,
            pacing={} if pacing is None else {"email": pacing, "sms": pacing},
        )

    def report(self, receipt: Receipt) -> None:
        self.receipts.append(receipt)

    def changed(self, change: OutboxChange) -> "asyncio.Future[None]":
        done = asyncio.get_running_loop().create_future()
        if self.failures:
            done.set_exception(self.failures.pop(0))
            return done
        self.changes.append(change)
        if self.gate is not None:
            return self.gate
        done.set_result(None)
        return done

    def states(self, message_id: str) -> list[str]:
        return [change.state for change in self.changes if change.message_id == message_id]

    def told(self) -> list[tuple[str, str, str]]:
        return [(r.message, r.status.value, r.code) for r in self.receipts]


def a_send(
    message_id: str, customer: str = "u1", channel: str = "email", expires_at: int | None = None
) -> Send:
    return Send(
        message_id=message_id,
        decision_id="d_1",
        customer=customer,
        channel=channel,
        address="zoe@example.com",
        message="welcome",
        message_type="promotional",
        purpose="marketing",
        journey="onboarding",
        step="first",
        content={"subject": "Hi", "body": "Hello"},
        decided_at=START,
        expires_at=expires_at,
    )


async def test_a_taken_message_is_told_as_accepted_and_stored_as_sent() -> None:
    world = World()
    world.outbox.offer([a_send("m1")])
    await quiet()
    assert world.states("m1") == ["dispatching", "sent"]
    assert world.changes[-1].provider_id == "provider-m1"
    [receipt] = world.receipts
    assert receipt == Receipt(
        id="o:m1:accepted",
        user="u1",
        message="m1",
        status=ReceiptStatus.ACCEPTED,
        at=START,
        received_at=START,
        source="outbox",
    )
    assert world.outbox.depth() == 0
    assert world.outbox.counts == {("email", "sent"): 1}


async def test_the_provider_is_not_called_before_dispatching_is_durable() -> None:
    world = World()
    world.gate = asyncio.get_running_loop().create_future()
    world.outbox.offer([a_send("m1")])
    await quiet()
    assert world.states("m1") == ["dispatching"]
    assert world.email.calls == []
    world.gate.set_result(None)
    await quiet()
    assert world.email.order == ["m1"]


async def test_a_message_that_may_be_sent_twice_does_not_wait_for_the_store() -> None:
    world = World(at_least_once=True)
    world.gate = asyncio.get_running_loop().create_future()
    world.outbox.offer([a_send("m1")])
    await quiet()
    assert world.email.order == ["m1"]
    assert world.states("m1") == ["dispatching", "sent"]
    world.gate.set_result(None)
    await quiet()
    assert world.outbox.depth() == 0


async def test_nothing_leaves_while_the_store_fails_and_all_leaves_when_it_is_back() -> None:
    world = World()
    world.failures = [StoreError("disk full"), OverloadError("busy"), StoreError("disk full")]
    world.outbox.offer([a_send("m1")])
    await world.clock.advance(2 * SECOND_MS)
    assert world.email.calls == []
    await world.clock.advance(5 * SECOND_MS)
    assert world.email.order == ["m1"]
    assert world.told() == [("m1", "accepted", "")]


async def test_the_same_message_id_is_carried_once() -> None:
    world = World(Pacing(rate_per_second=1))
    world.outbox.offer([a_send("m0"), a_send("m1"), a_send("m1")])
    world.outbox.offer([a_send("m1")])
    await world.clock.advance(10 * SECOND_MS)
    assert world.email.order == ["m0", "m1"]


async def test_a_refused_message_fails_for_good_with_the_code_of_the_provider() -> None:
    world = World()
    world.email.script = {"m1": [Permanent("no such user", code="550 5.1.1")]}
    world.outbox.offer([a_send("m1")])
    await quiet()
    assert world.told() == [("m1", "failed", "550 5.1.1")]
    assert world.receipts[0].permanent
    assert world.states("m1") == ["dispatching", "failed"]


async def test_a_failure_is_told_before_the_store_forgets_the_message() -> None:
    world = World()
    told = asyncio.get_running_loop().create_future()
    world.outbox = Outbox(
        {"email": world.email},
        world.clock,
        report=lambda receipt: told,
        changed=world.changed,
        at_least_once=lambda message_type: False,
    )
    world.email.script = {"m1": [Permanent("no")]}
    world.outbox.offer([a_send("m1")])
    await quiet()
    assert world.states("m1") == ["dispatching"]
    told.set_result(None)
    await quiet()
    assert world.states("m1") == ["dispatching", "failed"]


async def test_a_message_for_a_channel_that_is_not_there_fails_at_once() -> None:
    world = World()
    world.outbox.offer([a_send("m1", channel="pigeon")])
    await quiet()
    assert world.told() == [("m1", "failed", "no_channel")]
    assert world.states("m1") == ["failed"]


async def test_a_temporary_refusal_is_tried_again_after_a_pause_and_stored_as_queued() -> None:
    world = World()
    world.email.script = {"m1": [Temporary("later"), Temporary("later")]}
    world.outbox.offer([a_send("m1")])
    await quiet()
    assert world.states("m1") == ["dispatching", "queued"]
    assert world.receipts == []
    await world.clock.advance(MINUTE_MS)
    assert world.email.order == ["m1", "m1", "m1"]
    assert world.changes[-1].attempts == 3
    pauses = [after - before for (before, _), (after, _) in pairwise(world.email.calls)]
    assert pauses == [back_off("m1", 1, Pacing()), back_off("m1", 2, Pacing())]
    assert world.outbox.counts == {("email", "retried"): 2, ("email", "sent"): 1}


async def test_a_provider_that_names_a_pause_gets_it() -> None:
    world = World()
    world.email.script = {"m1": [Temporary("429", retry_after_ms=90 * SECOND_MS)]}
    world.outbox.offer([a_send("m1")])
    await world.clock.advance(90 * SECOND_MS - 1)
    assert len(world.email.calls) == 1
    await world.clock.advance(1)
    assert world.email.calls[-1] == (90 * SECOND_MS, "m1")


async def test_attempts_end_at_their_number() -> None:
    world = World(Pacing(attempts=3))
    world.email.script = {"m1": [Temporary("no")] * 10}
    world.outbox.offer([a_send("m1")])
    await world.clock.advance(HOUR_MS)
    assert len(world.email.calls) == 3
    assert world.told() == [("m1", "failed", "retries_exhausted")]
    assert world.states("m1")[-1] == "failed"


@pytest.mark.parametrize("pause_ms", [HOUR_MS, 2 * DAY_MS])
async def test_a_pause_beyond_the_expiry_fails_now_so_that_another_channel_is_in_time(
    pause_ms: int,
) -> None:
    world = World()
    world.email.script = {"m1": [Temporary("no", retry_after_ms=pause_ms)]}
    world.outbox.offer([a_send("m1", expires_at=START + HOUR_MS)])
    await quiet()
    assert world.told() == [("m1", "failed", "retries_exhausted")]


async def test_attempts_end_when_the_channel_has_tried_long_enough() -> None:
    world = World(Pacing(attempts=100, retry_ms=10 * SECOND_MS))
    world.email.script = {"m1": [Temporary("no", retry_after_ms=4 * SECOND_MS)] * 100}
    world.outbox.offer([a_send("m1")])
    await world.clock.advance(HOUR_MS)
    assert [at for at, _ in world.email.calls] == [0, 4 * SECOND_MS, 8 * SECOND_MS]


@pytest.mark.parametrize("outage_ms", [5 * MINUTE_MS, HOUR_MS, DAY_MS - HOUR_MS])
async def test_an_outage_shorter_than_the_time_to_try_loses_nothing(outage_ms: int) -> None:
    world = World()
    world.email.script = {f"m{n}": [Temporary("connection refused")] * 10_000 for n in range(5)}
    world.outbox.offer([a_send(f"m{n}", f"u{n}") for n in range(5)])
    await world.clock.advance(outage_ms)
    assert world.receipts == []
    world.email.script = {}
    await world.clock.advance(15 * MINUTE_MS)
    assert sorted(world.told()) == [(f"m{n}", "accepted", "") for n in range(5)]


async def test_the_time_to_try_ends_the_attempts_and_pauses_grow_to_a_quarter_hour() -> None:
    world = World()
    world.email.script = {"m1": [Temporary("connection refused")] * 10_000}
    world.outbox.offer([a_send("m1")])
    await world.clock.advance(2 * DAY_MS)
    assert world.told() == [("m1", "failed", "retries_exhausted")]
    tried_at = [at for at, _ in world.email.calls]
    assert DAY_MS - 15 * MINUTE_MS <= tried_at[-1] <= DAY_MS
    pauses = [after - before for before, after in pairwise(tried_at)]
    assert 10 * MINUTE_MS < max(pauses) <= 15 * MINUTE_MS
    assert 90 < len(tried_at) < 400


async def test_a_message_that_expires_in_the_queue_never_leaves() -> None:
    world = World(Pacing(rate_per_second=0.01))
    world.outbox.offer([a_send("m0"), a_send("m1", "u2", expires_at=START + SECOND_MS)])
    await world.clock.advance(HOUR_MS)
    assert world.email.order == ["m0"]
    assert ("m1", "failed", "expired") in world.told()
    assert world.states("m1") == ["expired"]


async def test_a_message_that_expires_while_it_is_made_durable_never_leaves() -> None:
    world = World()
    world.gate = asyncio.get_running_loop().create_future()
    world.outbox.offer([a_send("m1", expires_at=START + SECOND_MS)])
    await world.clock.advance(SECOND_MS)
    world.gate.set_result(None)
    await quiet()
    assert world.email.calls == []
    assert world.states("m1") == ["dispatching", "expired"]


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (Temporary("cut off", maybe_taken=True), "in_doubt"),
        (RuntimeError("a fault in the channel"), "in_doubt"),
        (Temporary("refused"), "accepted"),
    ],
)
async def test_a_message_that_may_have_been_taken_is_not_sent_again(
    act: Exception, told: str
) -> None:
    world = World()
    world.email.script = {"m1": [act]}
    world.outbox.offer([a_send("m1")])
    await world.clock.advance(HOUR_MS)
    assert [status for _, status, _ in world.told()] == [told]
    assert len(world.email.calls) == (1 if told == "in_doubt" else 2)


@pytest.mark.parametrize(
    "act", [Temporary("cut off", maybe_taken=True), RuntimeError("a fault in the channel")]
)
async def test_a_message_that_may_have_been_taken_is_sent_again_where_its_type_says_so(
    act: Exception,
) -> None:
    world = World(at_least_once=True)
    world.email.script = {"m1": [act]}
    world.outbox.offer([a_send("m1")])
    await world.clock.advance(HOUR_MS)
    assert world.email.order == ["m1", "m1"]
    assert world.told() == [("m1", "accepted", "")]


async def test_a_provider_that_never_answers_is_cut_off_and_leaves_doubt() -> None:
    world = World(Pacing(timeout_ms=5))
    hanging = asyncio.get_running_loop().create_future()
    world.email.script = {"m1": [lambda: hanging]}
    world.outbox.offer([a_send("m1")])
    await asyncio.wait_for(world.outbox.settle(), 5)
    assert world.told() == [("m1", "in_doubt", "maybe_taken")]
    assert hanging.cancelled()


async def test_messages_of_one_customer_keep_their_order_and_wait_for_the_one_before() -> None:
    world = World()
    world.email.script = {"m1": [Temporary("later", retry_after_ms=MINUTE_MS)]}
    world.outbox.offer([a_send("m1"), a_send("m2"), a_send("n1", "u2"), a_send("m3")])
    await world.clock.advance(MINUTE_MS - 1)
    assert world.email.order == ["m1", "n1"]
    await world.clock.advance(MINUTE_MS)
    assert world.email.order == ["m1", "n1", "m1", "m2", "m3"]


async def test_the_next_message_waits_until_the_one_before_is_settled_in_the_store() -> None:
    world = World(at_least_once=True)
    world.gate = asyncio.get_running_loop().create_future()
    world.outbox.offer([a_send("m1"), a_send("m2")])
    await quiet()
    assert world.email.order == ["m1"]
    world.gate.set_result(None)
    await quiet()
    assert world.email.order == ["m1", "m2"]


async def test_a_poisoned_message_holds_up_nobody_else() -> None:
    world = World(Pacing(concurrency=1, attempts=50))
    world.email.script = {"bad": [RuntimeError("boom"), Temporary("no")] * 50}
    world.outbox = Outbox(
        {"email": world.email},
        world.clock,
        report=world.report,
        changed=world.changed,
        at_least_once=lambda message_type: True,
        pacing={"email": Pacing(concurrency=1, attempts=50)},
    )
    world.outbox.offer([a_send("bad", "u0")] + [a_send(f"m{n}", f"u{n}") for n in range(1, 20)])
    await world.clock.advance(1)
    assert set(world.email.order) >= {f"m{n}" for n in range(1, 20)}


async def test_a_slow_channel_holds_up_no_other_channel() -> None:
    world = World(Pacing(concurrency=2))
    waiting = [asyncio.get_running_loop().create_future() for _ in range(2)]
    world.email.script = {"m0": [lambda: waiting[0]], "m1": [lambda: waiting[1]]}
    world.outbox.offer([a_send(f"m{n}", f"u{n}") for n in range(10)])
    world.outbox.offer([a_send(f"s{n}", f"u{n}", "sms") for n in range(10)])
    await quiet()
    assert world.email.order == ["m0", "m1"]
    assert world.sms.order == [f"s{n}" for n in range(10)]
    assert world.outbox.depth("email") == 10
    assert world.outbox.depth("sms") == 0
    for future in waiting:
        future.set_result("late")
    await quiet()
    assert world.outbox.depth() == 0


async def test_calls_in_progress_never_exceed_their_number() -> None:
    world = World(Pacing(concurrency=3))
    running, most = 0, 0

    async def deliver(send: Send) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await quiet()
        running -= 1
        return "x"

    world.email.deliver = deliver  # type: ignore[method-assign]
    world.outbox.offer([a_send(f"m{n}", f"u{n}") for n in range(20)])
    await world.outbox.settle()
    assert most == 3
    assert world.outbox.counts == {("email", "sent"): 20}


async def test_messages_leave_no_faster_than_their_channel_is_paced() -> None:
    world = World(Pacing(rate_per_second=10, burst=3))
    world.outbox.offer([a_send(f"m{n}", f"u{n}") for n in range(7)])
    await world.clock.advance(SECOND_MS)
    assert [at for at, _ in world.email.calls] == [0, 0, 0, 100, 200, 300, 400]


async def test_a_pause_refills_the_burst_and_no_more_than_that() -> None:
    world = World(Pacing(rate_per_second=10, burst=2))
    world.outbox.offer([a_send("m0")])
    await world.clock.advance(HOUR_MS)
    world.outbox.offer([a_send(f"m{n}", f"u{n}") for n in range(1, 5)])
    await world.clock.advance(SECOND_MS)
    assert [at - HOUR_MS for at, _ in world.email.calls[1:]] == [0, 0, 100, 200]


async def test_an_expired_message_costs_its_channel_no_pace() -> None:
    world = World(Pacing(rate_per_second=1))
    stale = [a_send(f"x{n}", f"x{n}", expires_at=START) for n in range(5)]
    world.outbox.offer([*stale, a_send("m1")])
    await quiet()
    assert world.email.calls == [(0, "m1")]


def test_pauses_are_spread_over_a_span_that_doubles_up_to_its_limit() -> None:
    pacing = Pacing(backoff_ms=1_000, backoff_ms_max=8_000)
    for attempt, span_ms in ((1, 1_000), (2, 2_000), (3, 4_000), (4, 8_000), (9, 8_000)):
        pauses = [back_off(f"m{n}", attempt, pacing) for n in range(400)]
        assert 0 <= min(pauses) < span_ms * 0.05
        assert span_ms * 0.95 < max(pauses) < span_ms
        assert 0.4 < sum(pauses) / len(pauses) / span_ms < 0.6


def test_a_pause_is_the_same_on_every_machine() -> None:
    assert [back_off("m_1", n, Pacing()) for n in (1, 2, 3, 40)] == [674, 671, 1_252, 533_304]
