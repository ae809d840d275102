"""The way out: hands durable messages to their channels and says what became of them.

The runtime calls `offer` after the commit that holds the messages, `recover` once at start, and
`drain` when it stops. What became of a message is told twice: as an `OutboxChange` for the store
(through `changed`) and as a `Receipt` for the customer (through `report`).

Rules
- A row in state `queued` was never handed to its provider. `dispatching` is durable before the
  provider is called, unless the message may be sent twice (`at_least_once`): then nobody waits.
- One message id is carried once: what is on its way already is not taken again.
- Who goes when is in `actors.lanes`. Lanes take turns at the workspace's pace, one message each,
  those with a service message first; a lane that can't send holds up no other.
- A failure is told to the customer before the store forgets the message, so a crash between the
  two can repeat it but not lose it.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from enum import StrEnum

import msgspec

from actors.lanes import Alarm, Lane, Meter, Pace, Pacing, Parcel
from actors.ports import Channel, Clock, Permanent, Temporary
from actors.rows import OutboxChange, OutboxRow
from engine.effects import Send
from engine.errors import OverloadError, StoreError
from engine.events import Receipt, ReceiptStatus
from engine.ids import stable_hash
from engine.instants import SECOND_MS
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


_PACING = Pacing()
_NO_PACING: Mapping[str, Pacing] = {}


class _Ending(msgspec.Struct, frozen=True):
    """How a message ended: `detail` for the store, `code` for the customer's receipt."""

    state: OutboxState
    detail: str = ""
    code: str = ""
    failure: str = ""


class Outbox:
    """Every message on its way out of one shard, by channel."""

    def __init__(  # noqa: PLR0913 - each is another part of the world around it
        self,
        channels: Mapping[str, Channel],
        clock: Clock,
        *,
        report: Report,
        changed: Changed,
        at_least_once: Callable[[str], bool],
        pacing: Mapping[str, Pacing] = _NO_PACING,
        pace: Pace | None = None,
    ) -> None:
        """Take the channels (started and closed by whoever made them) and the ways to answer.

        `at_least_once` says of a message type whether its messages may be sent twice rather than
        not at all. What `report` and `changed` return is done when the store holds it. `pacing` is
        for each channel by itself, `pace` for all of them together.
        """
        self._channels = channels
        self._clock = clock
        self._report = report
        self._changed = changed
        self._at_least_once = at_least_once
        self._pacing = pacing
        self._meter = Meter(pace)
        self._alarm = Alarm(clock, self._pump)
        self._lanes: dict[str, Lane] = {}
        self._round: dict[str, Lane] = {}  # lanes that wait for `pace` alone; the first is next
        self._open: dict[str, Parcel] = {}
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
        stopped = 0
        for lane in self._lanes.values():
            for parcel in lane.parcels(customer):
                if parcel.is_gone or not matches(parcel.send):
                    continue
                if parcel.is_flying:
                    parcel.recalled = code
                else:
                    self._end(lane, parcel, _cancelled(code))
                    stopped += 1
        return stopped

    def withhold(self, customer: str, message_id: str) -> None:
        """Stop a message, if it did not leave, whose proposal went to another channel."""
        self.cancel(customer, lambda send: send.message_id == message_id, "overtaken")

    def give_up(self, rows: Sequence[OutboxRow], code: str) -> None:
        """End messages of the store that are not carried here, as failed with `code`."""
        for row in rows:
            if row.state in OPEN_STATES and row.message_id not in self._open:
                self._orphan(row, _cancelled(code))

    def waiting(self, customer: str) -> list[str]:
        """Name a customer's messages that are not settled."""
        lanes = self._lanes.values()
        return [parcel.send.message_id for lane in lanes for parcel in lane.parcels(customer)]

    def carries(self, message_id: str) -> bool:
        """Say whether a message is not settled yet."""
        return message_id in self._open

    def repace(self, pace: Pace | None) -> None:
        """Hold all channels together to another pace from now on."""
        self._meter.change(pace, self._clock.now())
        self._pump()

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
        for alarm in (self._alarm, *(lane.alarm for lane in self._lanes.values())):
            await alarm.stop()
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
        parcel = Parcel(send, attempts)
        self._open[send.message_id] = parcel
        self._empty.clear()
        self._find_lane(send.channel).add(parcel)

    def _find_lane(self, name: str) -> Lane:
        lane = self._lanes.get(name)
        if lane is None:
            pacing = self._pacing.get(name, _PACING)
            alarm = Alarm(self._clock, lambda: self._pump(self._lanes[name]))
            lane = Lane(name, self._channels.get(name), pacing, Meter(pacing.pace()), alarm)
            self._lanes[name] = lane
        return lane

    def _pump_all(self, sends: Sequence[Send]) -> None:
        if not self._is_closed:
            self._pump(*(self._lanes[name] for name in dict.fromkeys(s.channel for s in sends)))

    def _pump(self, *lanes: Lane) -> None:
        """Start what may start now in these lanes, and set the alarms for what may later.

        Lanes that waited for the workspace's pace before are served with them.
        """
        if self._is_closed:
            return
        now = self._clock.now()
        for lane in lanes:
            lane.wake(now)
            self._enrol(lane, now)
        while self._round and self._meter.free_at() <= now:
            chosen = self._choose(now)
            if chosen is not None:
                lane, parcel = chosen
                del self._round[lane.name]
                self._meter.spend(now)
                lane.depart(parcel, now)
                self._spawn(self._carry(lane, parcel))
                self._enrol(lane, now)
        if self._round:
            self._alarm.set(self._meter.free_at())

    def _enrol(self, lane: Lane, now: int) -> None:
        """Let a lane take its turn if only the workspace's pace is in its way; see to the rest."""
        if lane.retries:
            lane.alarm.set(lane.retries[0][0])
        if not lane.has_room() or self._find_next(lane, now) is None:
            return
        free_at = lane.meter.free_at()
        if free_at > now:
            lane.alarm.set(free_at)
        else:
            self._round[lane.name] = lane  # one that is there keeps its place

    def _choose(self, now: int) -> tuple[Lane, Parcel] | None:
        """Choose whose turn it is: the first lane with a service message, or else the first."""
        chosen: tuple[Lane, Parcel] | None = None
        for lane in tuple(self._round.values()):
            parcel = self._find_next(lane, now)
            if parcel is None:
                del self._round[lane.name]
            elif parcel.is_service():
                return lane, parcel
            else:
                chosen = chosen or (lane, parcel)
        return chosen

    def _find_next(self, lane: Lane, now: int) -> Parcel | None:
        while (parcel := lane.first()) is not None and self._is_over(lane, parcel, now):
            pass  # it is gone, so the lane passes it over
        return parcel

    def _is_over(self, lane: Lane, parcel: Parcel, now: int) -> bool:
        """End a message that can't be tried at all; it costs its channel nothing."""
        if _has_expired(parcel.send, now):
            self._end(lane, parcel, _EXPIRED)
        elif lane.channel is None:
            self._end(lane, parcel, _Ending(OutboxState.FAILED, "no such channel", "no_channel"))
        return parcel.is_gone

    async def _carry(self, lane: Lane, parcel: Parcel) -> None:
        """Make one attempt, give the place back, and settle the message or set its next try."""
        try:
            result = await self._attempt(lane, parcel)
        finally:
            lane.land(parcel)
        if isinstance(result, int):
            lane.postpone(parcel, result)
            self._pump(lane)
        else:
            parcel.is_gone = True
            self._pump(lane)
            await self._finish(lane, parcel, result)

    async def _attempt(self, lane: Lane, parcel: Parcel) -> _Ending | int:
        """Hand a message to its channel once; gives its end, or when to try again."""
        send = parcel.send
        assert lane.channel is not None
        may_repeat = self._at_least_once(send.message_type)
        parcel.attempts += 1
        if may_repeat:
            self._note(parcel, OutboxState.DISPATCHING)
        else:
            change = outbox_change(send.message_id, OutboxState.DISPATCHING, parcel.attempts)
            await self._insist(lambda: self._changed(change))
        # Making it durable took time, in which it may have expired or been recalled.
        if parcel.recalled is not None:
            return _cancelled(parcel.recalled)
        if _has_expired(send, self._clock.now()):
            return _EXPIRED
        try:
            async with asyncio.timeout(lane.pacing.timeout_ms / SECOND_MS):
                return _Ending(OutboxState.SENT, await lane.channel.deliver(send))
        except Permanent as error:
            failure = error.failure or ""
            return _Ending(OutboxState.FAILED, str(error), error.code or "refused", failure)
        except Temporary as error:
            trouble = error
        except TimeoutError:
            trouble = Temporary(f"no answer in {lane.pacing.timeout_ms} ms", maybe_taken=True)
        except Exception as error:  # noqa: BLE001 - a faulty channel must not lose the message
            trouble = Temporary(f"{type(error).__name__}: {error}", maybe_taken=True)
        return self._postpone(lane, parcel, trouble, may_repeat=may_repeat)

    def _postpone(
        self, lane: Lane, parcel: Parcel, error: Temporary, *, may_repeat: bool
    ) -> _Ending | int:
        """Choose what follows an attempt that did not succeed but might."""
        send, pacing, now = parcel.send, lane.pacing, self._clock.now()
        if error.maybe_taken and not may_repeat:
            return _Ending(OutboxState.IN_DOUBT, str(error), "maybe_taken")
        if parcel.recalled is not None:
            return _cancelled(parcel.recalled)
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
            failure = error.failure or ""
            return _Ending(OutboxState.FAILED, str(error), "retries_exhausted", failure)
        self._count(lane.name, "retried")
        self._note(parcel, OutboxState.QUEUED, str(error))
        return due_at

    def _end(self, lane: Lane, parcel: Parcel, ending: _Ending) -> None:
        assert not parcel.is_gone
        parcel.is_gone = True
        self._spawn(self._finish(lane, parcel, ending))

    async def _finish(self, lane: Lane, parcel: Parcel, ending: _Ending) -> None:
        send = parcel.send
        await self._settle(send.customer, send.message_id, parcel.attempts, ending)
        self._count(lane.name, ending.state.value)
        del self._open[send.message_id]
        lane.release(parcel)
        if not self._open:
            self._empty.set()
        self._pump(lane)

    def _orphan(self, row: OutboxRow, ending: _Ending) -> None:
        """End a message that was found in the store and is not carried again."""
        self._count(row.channel, ending.state.value)
        self._spawn(self._settle(row.customer, row.message_id, row.attempts, ending))

    async def _settle(self, customer: str, message_id: str, attempts: int, ending: _Ending) -> None:
        receipt = _receipt(customer, message_id, ending, self._clock.now())
        change = outbox_change(message_id, ending.state, attempts, ending.detail)
        if ending.state == OutboxState.SENT:
            # Both at once, so that they can share a commit: the sooner the store knows, the
            # fewer sent messages a crash leaves in doubt.
            await self._insist(lambda: self._report(receipt), lambda: self._changed(change))
        else:
            await self._insist(lambda: self._report(receipt))
            await self._insist(lambda: self._changed(change))

    async def _insist(self, *acts: _Act) -> None:
        await insist(self._clock, *acts)

    def _note(self, parcel: Parcel, state: OutboxState, detail: str = "") -> None:
        """Tell the store without waiting; where that fails, the older state is the safer one."""
        change = outbox_change(parcel.send.message_id, state, parcel.attempts, detail)
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


def _cancelled(code: str) -> _Ending:
    return _Ending(OutboxState.FAILED, "cancelled", code)


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
        failure=ending.failure,
    )


def outbox_change(
    message_id: str, state: OutboxState, attempts: int, detail: str = ""
) -> OutboxChange:
    """Give the change of a row."""
    return OutboxChange(message_id, state.value, attempts, detail[:_DETAIL_LENGTH_MAX])


def _has_expired(send: Send, now: int) -> bool:
    return send.expires_at is not None and send.expires_at <= now


def _decode_send(body: bytes) -> Send | None:
    try:
        return msgspec.msgpack.decode(body, type=Send)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


async def insist(clock: Clock, *acts: _Act) -> None:
    """Have things made durable together, asking again while the store can't."""
    waiting: Sequence[_Act] = acts
    while waiting:
        asked = [(act, _ask(act)) for act in waiting]
        waiting = [act for act, done in asked if not await _is_durable(done)]
        if waiting:
            await clock.sleep_until(clock.now() + _STORE_RETRY_MS)


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
