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
- What a provider surely did not take goes to the lane's other provider at once. What it may have
  taken goes to no other, unless it may be sent twice.
- While no provider of a lane is well (`actors.breakers`), its messages wait. One that is of no use
  any more by the time it could go ends at once: another channel may still be in time.
- A message is paid for (`actors.budgets`) before its provider is called. There is no waiting for
  the next day's budget: another channel may be cheaper.
- A failure is told to the customer before the store forgets the message, so a crash between the
  two can repeat it but not lose it.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence

import msgspec

from actors.attempts import attempt, change_row, follow_up
from actors.breakers import Breaker, Standing, standing_of
from actors.budgets import Purse
from actors.endings import (
    EXPIRED,
    OPEN_STATES,
    Act,
    Ending,
    OutboxState,
    cancelled,
    insist,
    outbox_change,
    write_receipt,
)
from actors.lanes import Alarm, Lane, Meter, Pace, Pacing, Parcel, Route
from actors.ports import Channel, Clock, Temporary
from actors.rows import OutboxChange, OutboxRow, Spent
from engine.effects import Send
from engine.events import Receipt
from engine.instants import SECOND_MS
from engine.limits import OUTBOX_DEPTH_MAX

BACKUP = "/backup"  # ends the name of a channel's other provider; no channel's own can have it

Report = Callable[[Receipt], "asyncio.Future[None] | None"]
Changed = Callable[[OutboxChange], "asyncio.Future[None]"]

_PACING = Pacing()
_NO_PACING: Mapping[str, Pacing] = {}
_NO_NAMES: Mapping[str, str] = {}
_NOT_TAKEN = (OutboxState.FAILED, OutboxState.EXPIRED)
_PAID = Spent("", 0, 0)  # set aside by the process before this one, and written down


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
        providers: Mapping[str, str] = _NO_NAMES,
        purse: Purse | None = None,
    ) -> None:
        """Take the channels (started and closed by whoever made them) and the ways to answer.

        `at_least_once` says of a message type whether its messages may be sent twice rather than
        not at all. What `report` and `changed` return is done when the store holds it. `pacing` and
        `providers` (their names) are for each channel by itself, and for its other provider under
        the channel's name and `BACKUP`, like the channels; `pace` is for all of them together.
        """
        self._channels = channels
        self._clock = clock
        self._report = report
        self._changed = changed
        self._at_least_once = at_least_once
        self._pacing = pacing
        self._providers = providers
        self.purse = purse or Purse()
        self.watch: Callable[[Standing], None] | None = None  # told when a provider is given up on
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
            self._take(Parcel(send))
        self._pump_all(sends)

    def recover(self, rows: Sequence[OutboxRow]) -> None:
        """Take up what a stopped process left, in the order in which it was stored."""
        taken: list[Send] = []
        for row in rows:
            send = _decode_send(row.body)
            if send is None:
                self._orphan(row, Ending(OutboxState.FAILED, "unreadable row", "unreadable"))
            elif row.state == OutboxState.QUEUED or self._at_least_once(send.message_type):
                paid = None if row.state == OutboxState.QUEUED else _PAID
                self._take(Parcel(send, row.attempts, provider=row.provider, paid=paid))
                taken.append(send)
            else:
                detail = "the process stopped while the provider had it"
                self._orphan(row, Ending(OutboxState.IN_DOUBT, detail, "restart"))
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
                    self._end(lane, parcel, cancelled(code))
                    stopped += 1
        return stopped

    def withhold(self, customer: str, message_id: str) -> None:
        """Stop a message, if it did not leave, whose proposal went to another channel."""
        self.cancel(customer, lambda send: send.message_id == message_id, "overtaken")

    def give_up(self, rows: Sequence[OutboxRow], code: str) -> None:
        """End messages of the store that are not carried here, as failed with `code`."""
        for row in rows:
            if row.state in OPEN_STATES and row.message_id not in self._open:
                self._orphan(row, cancelled(code))

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

    def standings(self) -> list[Standing]:
        """Tell how each provider does that was asked for something."""
        return [
            standing_of(lane.name, route.breaker)
            for lane in self._lanes.values()
            for route in lane.routes
        ]

    def attempts(self) -> Iterator[tuple[str, str, str, int]]:
        """Count attempts: channel, provider, what they came to, how many."""
        for lane in self._lanes.values():
            for route in lane.routes:
                for outcome, count in route.counts.items():
                    yield lane.name, route.provider, outcome, count

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

    def _take(self, parcel: Parcel) -> None:
        send = parcel.send
        if self._is_closed or send.message_id in self._open:
            return
        self._open[send.message_id] = parcel
        self._empty.clear()
        lane = self._find_lane(send.channel)
        lane.add(parcel)
        if lane.blocked_until and lane.blocked_until > self._clock.now():
            self._end_late(lane, parcel)

    def _find_lane(self, name: str) -> Lane:
        lane = self._lanes.get(name)
        if lane is None:
            alarm = Alarm(self._clock, lambda: self._pump(self._lanes[name]))
            keys = [key for key in (name, name + BACKUP) if key in self._channels]
            lane = Lane(name, tuple(self._make_route(name, key) for key in keys), alarm)
            self._lanes[name] = lane
        return lane

    def _make_route(self, name: str, key: str) -> Route:
        provider = self._providers.get(key, key)
        pacing = self._pacing.get(key, _PACING)
        breaker = Breaker(provider, pacing.breaker, lambda breaker: self._tell_of(name, breaker))
        return Route(provider, self._channels[key], pacing, Meter(pacing.pace()), breaker)

    def _tell_of(self, name: str, breaker: Breaker) -> None:
        if self.watch is not None:
            self.watch(standing_of(name, breaker))

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
                lane, parcel, route = chosen
                del self._round[lane.name]
                self._meter.spend(now)
                lane.depart(parcel)
                if parcel.paid is None:
                    parcel.paid = self.purse.pay(lane.name, now)
                self._spawn(self._carry(lane, parcel, route, route.depart(now)))
                self._enrol(lane, now)
        if self._round:
            self._alarm.set(self._meter.free_at())

    def _enrol(self, lane: Lane, now: int) -> None:
        """Let a lane take its turn if only the workspace's pace is in its way; see to the rest."""
        if lane.retries:
            lane.alarm.set(lane.retries[0][0])
        route = lane.open_route(now)
        if route is None and lane.routes:
            self._block(lane)
        elif (route is None or route.has_room()) and self._find_next(lane, now) is not None:
            assert route is not None, "what has no route does not come next"
            free_at = route.meter.free_at()
            if free_at > now:
                lane.alarm.set(free_at)
            else:
                self._round[lane.name] = lane  # one that is there keeps its place

    def _block(self, lane: Lane) -> None:
        """Have a lane wait until a provider of it takes something again."""
        until = lane.opens_at()
        if until is None or not lane.lines:
            return  # whoever comes back next, or comes new, asks again
        lane.alarm.set(until)
        if until > lane.blocked_until:
            lane.blocked_until = until
            for parcel in lane.idle():
                self._end_late(lane, parcel)

    def _end_late(self, lane: Lane, parcel: Parcel) -> None:
        """End a message that a blocked lane can't let out while it is of use."""
        send, route = parcel.send, lane.routes[0]
        expires_at = send.expires_at
        use_until = send.decided_at + route.pacing.retry_ms
        if expires_at is not None and expires_at <= use_until:
            use_until = expires_at
        if use_until <= lane.blocked_until:
            cause = route.breaker.cause
            detail = f"{route.provider} can't be used until it is too late: {cause}"
            self._end(lane, parcel, Ending(OutboxState.FAILED, detail, "provider_down", cause))

    def _choose(self, now: int) -> tuple[Lane, Parcel, Route] | None:
        """Choose whose turn it is: the first lane with a service message, or else the first."""
        chosen: tuple[Lane, Parcel, Route] | None = None
        for lane in tuple(self._round.values()):
            route = lane.open_route(now)
            parcel = self._find_next(lane, now)
            if parcel is None or route is None or not route.is_free(now):
                del self._round[lane.name]
                self._enrol(lane, now)
            elif parcel.is_service():
                return lane, parcel, route
            else:
                chosen = chosen or (lane, parcel, route)
        return chosen

    def _find_next(self, lane: Lane, now: int) -> Parcel | None:
        while (parcel := lane.first()) is not None and self._is_over(lane, parcel, now):
            pass  # it is gone, so the lane passes it over
        return parcel

    def _is_over(self, lane: Lane, parcel: Parcel, now: int) -> bool:
        """End a message that can't be tried at all; it costs its channel nothing."""
        if parcel.has_expired(now):
            self._end(lane, parcel, EXPIRED)
        elif not lane.routes:
            self._end(lane, parcel, Ending(OutboxState.FAILED, "no such channel", "no_channel"))
        elif parcel.paid is None and not self.purse.affords(lane.name, now):
            detail = "the day's budget is spent"
            self._end(lane, parcel, Ending(OutboxState.FAILED, detail, "budget_spent"))
        return parcel.is_gone

    async def _carry(self, lane: Lane, parcel: Parcel, route: Route, epoch: int) -> None:
        """Try the lane's providers, and settle the message or set its next try."""
        result: Ending | int | Temporary = await self._attempt(parcel, route, epoch)
        while isinstance(result, Temporary):
            now = self._clock.now()
            other = self._find_other(lane, parcel, route, result, now)
            if other is None:
                result = self._postpone(lane, parcel, result)
            else:
                self._meter.spend(now)
                route = other
                result = await self._attempt(parcel, route, route.depart(now))
        parcel.is_flying = False
        if isinstance(result, int):
            lane.postpone(parcel, result)
            self._pump(lane)
        else:
            parcel.is_gone = True
            self._pump(lane)
            await self._finish(lane, parcel, result)

    def _find_other(
        self, lane: Lane, parcel: Parcel, route: Route, error: Temporary, now: int
    ) -> Route | None:
        """Find who may be asked at once after a provider that surely did not take a message."""
        if error.maybe_taken or parcel.recalled is not None or parcel.has_expired(now):
            return None
        following = lane.routes[lane.routes.index(route) + 1 :]
        return next((other for other in following if other.is_free(now)), None)

    async def _attempt(self, parcel: Parcel, route: Route, epoch: int) -> Ending | Temporary:
        """Write down that a provider is about to have a message, and hand it over."""
        send = parcel.send
        parcel.attempts += 1
        parcel.provider = route.provider
        try:
            await self._announce(parcel)
            # Making it durable took time, in which it may have expired or been recalled.
            if parcel.recalled is not None or parcel.has_expired(self._clock.now()):
                route.breaker.withdraw(epoch, self._clock.now())
                return EXPIRED if parcel.recalled is None else cancelled(parcel.recalled)
            return await attempt(route, send, epoch, self._clock)
        finally:
            route.flying -= 1

    async def _announce(self, parcel: Parcel) -> None:
        send = parcel.send
        is_known = parcel.is_noted or self._at_least_once(send.message_type)
        paid = None if parcel.is_noted else parcel.paid
        change = change_row(parcel, OutboxState.DISPATCHING, spent=paid)
        parcel.is_noted = True
        if is_known:
            self._tell(change)
        else:
            await self._insist(lambda: self._changed(change))

    def _postpone(self, lane: Lane, parcel: Parcel, error: Temporary) -> Ending | int:
        """Choose what follows an attempt that did not succeed but might: an end, or when."""
        may_repeat = self._at_least_once(parcel.send.message_type)
        pacing, now = lane.routes[0].pacing, self._clock.now()
        result = follow_up(parcel, error, pacing, now, may_repeat=may_repeat)
        if isinstance(result, int):
            self._count(lane.name, "retried")
            spent = self._refund(parcel)
            self._tell(change_row(parcel, OutboxState.QUEUED, str(error), spent=spent))
            parcel.is_noted = False
        return result

    def _end(self, lane: Lane, parcel: Parcel, ending: Ending) -> None:
        assert not parcel.is_gone
        parcel.is_gone = True
        self._spawn(self._finish(lane, parcel, ending))

    async def _finish(self, lane: Lane, parcel: Parcel, ending: Ending) -> None:
        send = parcel.send
        is_back = ending.state in _NOT_TAKEN
        change = change_row(
            parcel,
            ending.state,
            ending.detail,
            code=ending.code,
            provider_id=ending.provider_id,
            spent=self._refund(parcel) if is_back else None,
        )
        await self._settle(send.customer, change, ending)
        self._count(lane.name, ending.state.value)
        del self._open[send.message_id]
        lane.release(parcel)
        if not self._open:
            self._empty.set()
        self._pump(lane)

    def _orphan(self, row: OutboxRow, ending: Ending) -> None:
        """End a message that was found in the store and is not carried again."""
        self._count(row.channel, ending.state.value)
        change = outbox_change(
            row.message_id,
            ending.state,
            row.attempts,
            ending.detail,
            code=ending.code,
            provider=row.provider,
        )
        self._spawn(self._settle(row.customer, change, ending))

    async def _settle(self, customer: str, change: OutboxChange, ending: Ending) -> None:
        receipt = write_receipt(customer, change.message_id, ending, self._clock.now())
        if ending.state == OutboxState.SENT:
            # Both at once, so that they can share a commit: the sooner the store knows, the
            # fewer sent messages a crash leaves in doubt.
            await self._insist(lambda: self._report(receipt), lambda: self._changed(change))
        else:
            await self._insist(lambda: self._report(receipt))
            await self._insist(lambda: self._changed(change))

    def _refund(self, parcel: Parcel) -> Spent | None:
        """Take back what was set aside for a message that was surely not taken."""
        paid = parcel.paid
        if paid is None or paid is _PAID:
            return None
        parcel.paid = None
        return self.purse.give_back(paid)

    async def _insist(self, *acts: Act) -> None:
        await insist(self._clock, *acts)

    def _tell(self, change: OutboxChange) -> None:
        """Tell the store without waiting; where that fails, the older state is the safer one."""
        self._changed(change).add_done_callback(lambda done: done.cancelled() or done.exception())

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    def _count(self, channel: str, outcome: str) -> None:
        key = (channel, outcome)
        self.counts[key] = self.counts.get(key, 0) + 1


def _decode_send(body: bytes) -> Send | None:
    try:
        return msgspec.msgpack.decode(body, type=Send)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
