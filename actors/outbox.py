"""The way out: hands durable messages to their channels and says what became of them.

The runtime calls `offer` after the commit that holds the messages, `recover` once at start, and
`drain` when it stops. What became of a message is told twice: as an `OutboxChange` for the store
(through `changed`) and as a `Receipt` for the customer (through `report`).

Rules
- A row in state `queued` was never handed to its provider. `dispatching` is durable before the
  provider is called, unless the message may be sent twice (`at_least_once`): then nobody waits.
- One message id is carried once: what is on its way already is not taken again.
- A customer's messages leave a channel in order; the next waits until the one before is settled.
- A failure is told to the customer before the store forgets the message, so a crash between the
  two can repeat it but not lose it.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from enum import StrEnum
from heapq import heappop, heappush

import msgspec

from actors.ports import Channel, Clock, OutboxChange, OutboxRow, Permanent, Temporary
from engine.effects import Send
from engine.errors import OverloadError, StoreError
from engine.events import Receipt, ReceiptStatus
from engine.ids import stable_hash
from engine.instants import DAY_MS, MINUTE_MS, SECOND_MS
from engine.limits import OUTBOX_DEPTH_MAX, RETRY_AFTER_MS_MAX

_STORE_RETRY_MS = SECOND_MS
_DETAIL_LENGTH_MAX = 200


class OutboxState(StrEnum):
    """Where a message stands. Stored: add, never rename."""

    QUEUED = "queued"  # durable, not handed to the provider
    DISPATCHING = "dispatching"  # handed to the provider, or about to be
    SENT = "sent"
    FAILED = "failed"
    EXPIRED = "expired"
    IN_DOUBT = "in_doubt"


OPEN_STATES = (OutboxState.QUEUED, OutboxState.DISPATCHING)  # the others are done

Report = Callable[[Receipt], "asyncio.Future[None] | None"]
Changed = Callable[[OutboxChange], "asyncio.Future[None]"]
_Act = Callable[[], "asyncio.Future[None] | None"]


class Pacing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How fast and how patiently one channel is used.

    `rate_per_second` None is as fast as `concurrency` allows. `retry_ms` counts from the decision
    and ends all attempts, as the message's own expiry does.
    """

    rate_per_second: float | None = None
    burst: int = 1
    concurrency: int = 16
    timeout_ms: int = 30 * SECOND_MS
    attempts: int = 8
    backoff_ms: int = SECOND_MS
    backoff_ms_max: int = 10 * MINUTE_MS
    retry_ms: int = DAY_MS

    def __post_init__(self) -> None:
        assert self.rate_per_second is None or self.rate_per_second > 0
        assert min(self.burst, self.concurrency, self.timeout_ms, self.attempts) > 0
        assert 0 < self.backoff_ms <= self.backoff_ms_max
        assert self.retry_ms >= 0


_PACING = Pacing()
_NO_PACING: Mapping[str, Pacing] = {}


class _Ending(msgspec.Struct, frozen=True):
    """How a message ended: `detail` for the store, `code` for the customer's receipt."""

    state: OutboxState
    detail: str = ""
    code: str = ""


class _Parcel(msgspec.Struct, eq=False):
    """One message on its way. `is_gone` ones are settled; the queues they are still in skip them.

    `recalled` is how a message in the provider's hands ends if it comes back.
    """

    send: Send
    attempts: int = 0
    is_flying: bool = False
    is_gone: bool = False
    recalled: _Ending | None = None


class _Lane(msgspec.Struct, eq=False):
    """One channel's queues. Lanes share nothing, so a slow one holds up nobody else."""

    name: str
    channel: Channel | None
    pacing: Pacing
    lines: dict[str, deque[_Parcel]] = {}  # by customer; only the head may fly
    ready: deque[_Parcel] = msgspec.field(default_factory=deque[_Parcel])
    retries: list[tuple[int, int, _Parcel]] = []  # a heap of (due, order of setting, parcel)
    retry_count: int = 0
    flying: int = 0
    paced_at: float = 0.0  # when the pace is kept exactly again; `burst` lets it run ahead
    alarm: asyncio.Task[None] | None = None
    alarm_at: int = 0

    def free_at(self) -> int:
        """Tell when the pacing lets the next message go."""
        rate = self.pacing.rate_per_second
        if rate is None:
            return 0
        return math.ceil(self.paced_at - (self.pacing.burst - 1) * SECOND_MS / rate)

    def spend(self, now: int) -> None:
        """Take one message's worth from the pacing."""
        rate = self.pacing.rate_per_second
        if rate is not None:
            self.paced_at = max(self.paced_at, now) + SECOND_MS / rate


class Outbox:
    """Every message on its way out of one shard, by channel."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        clock: Clock,
        *,
        report: Report,
        changed: Changed,
        at_least_once: Callable[[str], bool],
        pacing: Mapping[str, Pacing] = _NO_PACING,
    ) -> None:
        """Take the channels (started and closed by whoever made them) and the ways to answer.

        `at_least_once` says of a message type whether its messages may be sent twice rather than
        not at all. What `report` and `changed` return is done when the store holds it.
        """
        self._channels = channels
        self._clock = clock
        self._report = report
        self._changed = changed
        self._at_least_once = at_least_once
        self._pacing = pacing
        self._lanes: dict[str, _Lane] = {}
        self._open: dict[str, _Parcel] = {}
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._is_closed = False
        self.counts: dict[tuple[str, str], int] = {}  # (channel, outcome or "retried") -> how many

    def offer(self, sends: Sequence[Send]) -> None:
        """Take messages whose rows are durable in state `queued`. Never waits, never refuses.

        After `drain` they are left to the next start, which finds their rows.
        """
        for send in sends:
            self._take(send, attempts=0)
        self._pump_all(sends)

    def recover(self, rows: Sequence[OutboxRow]) -> None:
        """Take up what a stopped process left, in the order in which it was stored."""
        taken: list[Send] = []
        for row in rows:
            send = _decode_send(row.body)
            if send is None:
                self._orphan(row, _Ending(OutboxState.FAILED, "unreadable row", "unreadable"))
            elif row.state == OutboxState.QUEUED or self._at_least_once(send.message_type):
                self._take(send, row.attempts)
                taken.append(send)
            else:
                detail = "the process stopped while the provider had it"
                self._orphan(row, _Ending(OutboxState.IN_DOUBT, detail, "restart"))
        self._pump_all(taken)

    def cancel(self, customer: str, matches: Callable[[Send], bool], code: str) -> int:
        """Stop a customer's messages that did not leave; tells how many were stopped.

        Each ends as failed with `code`. One in the provider's hands can't be stopped, but is not
        tried again.
        """
        ending = _Ending(OutboxState.FAILED, "cancelled", code)
        stopped = 0
        for lane in self._lanes.values():
            for parcel in tuple(lane.lines.get(customer, ())):
                if parcel.is_gone or not matches(parcel.send):
                    continue
                if parcel.is_flying:
                    parcel.recalled = ending
                else:
                    self._end(lane, parcel, ending)
                    stopped += 1
        return stopped

    def depth(self, channel: str | None = None) -> int:
        """Count the messages that are not settled, of one channel or of all."""
        sends = [parcel.send for parcel in self._open.values()] if channel else ()
        return sum(send.channel == channel for send in sends) if channel else len(self._open)

    def is_full(self) -> bool:
        """Say whether so much waits that no new inputs should be taken until some has left."""
        return len(self._open) >= OUTBOX_DEPTH_MAX

    async def settle(self) -> None:
        """Wait until nothing is on its way, retries included."""
        await self._empty.wait()

    async def drain(self, timeout_ms: int) -> bool:
        """Start nothing new and let calls in progress end; says whether all did in time.

        What did not leave stays `queued` in the store. What is cut off stays `dispatching`, which
        is exactly what is known about it.
        """
        self._is_closed = True
        alarms = [lane.alarm for lane in self._lanes.values() if lane.alarm is not None]
        for alarm in alarms:
            alarm.cancel()
        await asyncio.gather(*alarms, return_exceptions=True)
        try:
            async with asyncio.timeout(timeout_ms / SECOND_MS):
                while self._tasks:
                    await asyncio.wait(list(self._tasks))
        except TimeoutError:
            late = list(self._tasks)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            return False
        return True

    def _take(self, send: Send, attempts: int) -> None:
        if self._is_closed or send.message_id in self._open:
            return
        lane, name = self._lanes.get(send.channel), send.channel
        if lane is None:
            lane = _Lane(name, self._channels.get(name), self._pacing.get(name, _PACING))
            self._lanes[name] = lane
        parcel = _Parcel(send, attempts)
        self._open[send.message_id] = parcel
        self._empty.clear()
        line = lane.lines.setdefault(send.customer, deque())
        line.append(parcel)
        if line[0] is parcel:
            lane.ready.append(parcel)

    def _pump_all(self, sends: Sequence[Send]) -> None:
        if not self._is_closed:
            for name in dict.fromkeys(send.channel for send in sends):
                self._pump(self._lanes[name])

    def _pump(self, lane: _Lane) -> None:
        """Start what may start now, and set the alarm for what may later."""
        if self._is_closed:
            return
        now = self._clock.now()
        while lane.retries and lane.retries[0][0] <= now:
            lane.ready.append(heappop(lane.retries)[2])
        while lane.ready and lane.flying < lane.pacing.concurrency:
            parcel = lane.ready[0]
            if not parcel.is_gone and not self._is_over(lane, parcel, now):
                if lane.free_at() > now:
                    break
                lane.spend(now)
                lane.flying += 1
                parcel.is_flying = True
                self._spawn(self._carry(lane, parcel))
            lane.ready.popleft()
        self._set_alarm(lane)

    def _is_over(self, lane: _Lane, parcel: _Parcel, now: int) -> bool:
        """End a message that can't be tried at all; it costs its channel nothing."""
        if _has_expired(parcel.send, now):
            self._end(lane, parcel, _EXPIRED)
        elif lane.channel is None:
            self._end(lane, parcel, _Ending(OutboxState.FAILED, "no such channel", "no_channel"))
        return parcel.is_gone

    def _set_alarm(self, lane: _Lane) -> None:
        due_at = lane.retries[0][0] if lane.retries else None
        if lane.ready and lane.flying < lane.pacing.concurrency:
            due_at = lane.free_at() if due_at is None else min(due_at, lane.free_at())
        if due_at is None or (lane.alarm is not None and lane.alarm_at <= due_at):
            return
        if lane.alarm is not None:
            lane.alarm.cancel()
        lane.alarm_at = due_at
        lane.alarm = asyncio.create_task(self._ring(lane, due_at))

    async def _ring(self, lane: _Lane, due_at: int) -> None:
        await self._clock.sleep_until(due_at)
        lane.alarm = None
        self._pump(lane)

    async def _carry(self, lane: _Lane, parcel: _Parcel) -> None:
        """Make one attempt, give the place back, and settle the message or set its next try."""
        try:
            result = await self._attempt(lane, parcel)
        finally:
            lane.flying -= 1
            parcel.is_flying = False
        if isinstance(result, int):
            lane.retry_count += 1
            heappush(lane.retries, (result, lane.retry_count, parcel))
            self._pump(lane)
        else:
            parcel.is_gone = True
            self._pump(lane)
            await self._finish(lane, parcel, result)

    async def _attempt(self, lane: _Lane, parcel: _Parcel) -> _Ending | int:
        """Hand a message to its channel once; gives its end, or when to try again."""
        send = parcel.send
        assert lane.channel is not None
        may_repeat = self._at_least_once(send.message_type)
        parcel.attempts += 1
        if may_repeat:
            self._note(parcel, OutboxState.DISPATCHING)
        else:
            change = _change(send.message_id, OutboxState.DISPATCHING, parcel.attempts)
            await self._insist(lambda: self._changed(change))
        # Making it durable took time, in which it may have expired or been recalled.
        if parcel.recalled is not None or _has_expired(send, self._clock.now()):
            return parcel.recalled or _EXPIRED
        try:
            async with asyncio.timeout(lane.pacing.timeout_ms / SECOND_MS):
                return _Ending(OutboxState.SENT, await lane.channel.deliver(send))
        except Permanent as error:
            return _Ending(OutboxState.FAILED, str(error), error.code or "refused")
        except Temporary as error:
            trouble = error
        except TimeoutError:
            trouble = Temporary(f"no answer in {lane.pacing.timeout_ms} ms", maybe_taken=True)
        except Exception as error:  # noqa: BLE001 - a faulty channel must not lose the message
            trouble = Temporary(f"{type(error).__name__}: {error}", maybe_taken=True)
        return self._postpone(lane, parcel, trouble, may_repeat=may_repeat)

    def _postpone(
        self, lane: _Lane, parcel: _Parcel, error: Temporary, *, may_repeat: bool
    ) -> _Ending | int:
        """Choose what follows an attempt that did not succeed but might."""
        send, pacing, now = parcel.send, lane.pacing, self._clock.now()
        if error.maybe_taken and not may_repeat:
            return _Ending(OutboxState.IN_DOUBT, str(error), "maybe_taken")
        if parcel.recalled is not None:
            return parcel.recalled
        pause_ms = max(
            back_off(send.message_id, parcel.attempts, pacing), error.retry_after_ms or 0
        )
        due_at = now + pause_ms
        is_last = (
            parcel.attempts >= pacing.attempts
            or pause_ms > RETRY_AFTER_MS_MAX
            or due_at > send.decided_at + pacing.retry_ms
            or _has_expired(send, due_at)
        )
        if is_last:
            # Told now and not when the time is over: another channel may still be in time.
            return _Ending(OutboxState.FAILED, str(error), "retries_exhausted")
        self._count(lane.name, "retried")
        self._note(parcel, OutboxState.QUEUED, str(error))
        return due_at

    def _end(self, lane: _Lane, parcel: _Parcel, ending: _Ending) -> None:
        assert not parcel.is_gone
        parcel.is_gone = True
        self._spawn(self._finish(lane, parcel, ending))

    async def _finish(self, lane: _Lane, parcel: _Parcel, ending: _Ending) -> None:
        send = parcel.send
        await self._settle(send.customer, send.message_id, parcel.attempts, ending)
        self._count(lane.name, ending.state.value)
        del self._open[send.message_id]
        line = lane.lines[send.customer]
        was_head = line[0] is parcel
        line.remove(parcel)
        if not line:
            del lane.lines[send.customer]
        elif was_head:
            lane.ready.append(line[0])
        if not self._open:
            self._empty.set()
        self._pump(lane)

    def _orphan(self, row: OutboxRow, ending: _Ending) -> None:
        """End a message that was found in the store and is not carried again."""
        self._count(row.channel, ending.state.value)
        self._spawn(self._settle(row.customer, row.message_id, row.attempts, ending))

    async def _settle(self, customer: str, message_id: str, attempts: int, ending: _Ending) -> None:
        receipt = _receipt(customer, message_id, ending, self._clock.now())
        change = _change(message_id, ending.state, attempts, ending.detail)
        if ending.state == OutboxState.SENT:
            # Both at once, so that they can share a commit: the sooner the store knows, the
            # fewer sent messages a crash leaves in doubt.
            await self._insist(lambda: self._report(receipt), lambda: self._changed(change))
        else:
            await self._insist(lambda: self._report(receipt))
            await self._insist(lambda: self._changed(change))

    async def _insist(self, *acts: _Act) -> None:
        """Have things made durable together, asking again while the store can't."""
        waiting: Sequence[_Act] = acts
        while waiting:
            asked = [(act, _ask(act)) for act in waiting]
            waiting = [act for act, done in asked if not await _is_durable(done)]
            if waiting:
                await self._clock.sleep_until(self._clock.now() + _STORE_RETRY_MS)

    def _note(self, parcel: _Parcel, state: OutboxState, detail: str = "") -> None:
        """Tell the store without waiting; where that fails, the older state is the safer one."""
        change = _change(parcel.send.message_id, state, parcel.attempts, detail)
        self._changed(change).add_done_callback(lambda done: done.cancelled() or done.exception())

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    def _count(self, channel: str, outcome: str) -> None:
        key = (channel, outcome)
        self.counts[key] = self.counts.get(key, 0) + 1


def back_off(message_id: str, attempt: int, pacing: Pacing) -> int:
    """Choose the pause after an attempt: anything up to a span that doubles each time.

    The whole span is used ("full jitter"), so that messages that failed together do not come
    back together. The choice is a hash: a replay waits exactly as long.
    """
    span_ms = min(pacing.backoff_ms_max, pacing.backoff_ms << min(attempt - 1, 32))
    chance = int.from_bytes(stable_hash("backoff", message_id, str(attempt)), "big")
    return chance * span_ms >> 64


_EXPIRED = _Ending(OutboxState.EXPIRED, "expired before it could leave", "expired")
_STATUSES = {
    OutboxState.SENT: ReceiptStatus.ACCEPTED,
    OutboxState.FAILED: ReceiptStatus.FAILED,
    OutboxState.EXPIRED: ReceiptStatus.FAILED,
    OutboxState.IN_DOUBT: ReceiptStatus.IN_DOUBT,
}


def _receipt(customer: str, message_id: str, ending: _Ending, now: int) -> Receipt:
    status = _STATUSES[ending.state]
    return Receipt(
        id=f"o:{message_id}:{status}",
        user=customer,
        message=message_id,
        status=status,
        at=now,
        received_at=now,
        code=ending.code,
        permanent=status == ReceiptStatus.FAILED,
        source="outbox",
    )


def _change(message_id: str, state: OutboxState, attempts: int, detail: str = "") -> OutboxChange:
    return OutboxChange(message_id, state.value, attempts, detail[:_DETAIL_LENGTH_MAX])


def _has_expired(send: Send, now: int) -> bool:
    return send.expires_at is not None and send.expires_at <= now


def _decode_send(body: bytes) -> Send | None:
    try:
        return msgspec.msgpack.decode(body, type=Send)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _ask(act: _Act) -> "asyncio.Future[None] | bool":
    try:
        return act() or True
    except (OverloadError, StoreError):
        return False


async def _is_durable(done: "asyncio.Future[None] | bool") -> bool:
    if isinstance(done, bool):
        return done
    try:
        await done
    except (OverloadError, StoreError):
        return False
    return True
