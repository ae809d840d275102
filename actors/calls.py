"""Calls that journeys make to other services: sent when durable, told when answered.

Beside `actors.outbox`, whose states its rows have: a service that hangs holds up no message. The
runtime calls `offer` after the commit that holds the calls, `recover` once at start, and `drain`
when it stops. What came back is told as an `Answered` for the customer (through `report`).

*Rules*
- A call may be made twice, and each time by the same id: after a crash, or where no clear answer
  came. Who is called can tell by that id.
- Nothing is sent after its time is over, nor when its instance has left before it could leave.
- Hosts are called side by side, each by so many requests at a time.
- A call whose time is over is not told of: the customer's own timer is what ends the wait.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from enum import StrEnum
from heapq import heappop, heappush
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from actors.endings import OutboxState, insist, outbox_change
from actors.lanes import Alarm, Pacing, back_off
from actors.outgoing import decode_outgoing
from actors.ports import Answer, Caller, Clock, Permanent, Temporary
from actors.rows import OutboxChange, OutboxRow
from engine.effects import Call
from engine.events import Answered
from engine.instants import MINUTE_MS, SECOND_MS
from engine.limits import CALLS_DEPTH_MAX, CALLS_OF_HOST_MAX

_ATTEMPT_MS_MAX = MINUTE_MS  # of one request: what hangs longer is asked again
_PACING = Pacing(backoff_ms=SECOND_MS // 2, backoff_ms_max=MINUTE_MS // 2)

Report = Callable[[Answered], "asyncio.Future[None] | None"]
Changed = Callable[[OutboxChange], "asyncio.Future[None]"]


class CallOutcome(StrEnum):
    """How a call ended, as it is counted."""

    ANSWERED = "answered"  # well
    REFUSED = "refused"  # answered, and not well
    FAILED = "failed"  # there was no answer, and none was to be expected any more
    EXPIRED = "expired"  # the time was over
    RECALLED = "recalled"  # its instance had left, or its customer was erased
    RETRIED = "retried"


class _Nobody:
    """Makes no calls."""

    async def call(self, _call: Call) -> Answer:
        raise Permanent("there is nothing to make calls with", code="no_caller")


class _Ending(NamedTuple):
    outcome: CallOutcome
    answer: Answer | None = None  # to be told, or nothing
    detail: str = ""


_STATES = {
    CallOutcome.ANSWERED: OutboxState.SENT,
    CallOutcome.REFUSED: OutboxState.FAILED,
    CallOutcome.FAILED: OutboxState.FAILED,
    CallOutcome.EXPIRED: OutboxState.EXPIRED,
    CallOutcome.RECALLED: OutboxState.FAILED,
}


class _Errand(msgspec.Struct, eq=False):
    """A call on its way, and how often it was tried."""

    call: Call
    attempts: int = 0
    is_flying: bool = False
    is_gone: bool = False
    is_recalled: bool = False


class _Host(msgspec.Struct, eq=False):
    """What waits for one host."""

    waiting: deque[_Errand] = msgspec.field(default_factory=deque[_Errand])
    flying: int = 0


class Calls:
    """Every call on its way out of one shard, by host."""

    def __init__(
        self, caller: Caller | None, clock: Clock, *, report: Report, changed: Changed
    ) -> None:
        """Without a caller every call fails at once."""
        self._caller = caller or _Nobody()
        self._clock = clock
        self._report = report
        self._changed = changed
        self._hosts: dict[str, _Host] = {}
        self._open: dict[str, _Errand] = {}
        self._retries: list[tuple[int, int, _Errand]] = []  # a heap of (due, order, errand)
        self._retry_count = 0
        self._alarm = Alarm(clock, self._wake)
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._is_closed = False
        self.counts: dict[CallOutcome, int] = {}

    def offer(self, calls: Sequence[Call]) -> None:
        """Take calls whose rows are durable. Never waits, never refuses.

        After `drain` they are left to the next start, which finds their rows.
        """
        for call in calls:
            self._take(_Errand(call))

    def recover(self, rows: Sequence[OutboxRow]) -> None:
        """Take up what a stopped process left; what it had sent already is sent again."""
        for row in rows:
            try:
                call = decode_outgoing(row.body)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # its customer's timer ends the wait
            if isinstance(call, Call):
                self._take(_Errand(call, row.attempts))

    def recall(self, call_id: str) -> None:
        """Stop a call that nobody waits for; one that has left is not tried again."""
        errand = self._open.get(call_id)
        if errand is None or errand.is_gone:
            return
        errand.is_recalled = True
        if not errand.is_flying:
            self._end(errand, _Ending(CallOutcome.RECALLED, detail="nobody waits for it"))

    def cancel(self, customer: str) -> None:
        """Stop all calls of a customer."""
        for call_id in self.waiting(customer):
            self.recall(call_id)

    def waiting(self, customer: str) -> list[str]:
        """Name a customer's calls that are not settled."""
        return [name for name, one in self._open.items() if one.call.customer == customer]

    def carries(self, call_id: str) -> bool:
        """Say whether a call is not settled yet."""
        return call_id in self._open

    def depth(self) -> int:
        """Count the calls that are not settled."""
        return len(self._open)

    def is_full(self) -> bool:
        """Say whether so much waits that no new inputs should be taken until some has left."""
        return len(self._open) >= CALLS_DEPTH_MAX

    async def settle(self) -> None:
        """Wait until nothing is on its way, retries included."""
        await self._empty.wait()

    async def drain(self, timeout_ms: int) -> None:
        """Start nothing new and let requests in progress end; what is cut off is made again."""
        self._is_closed = True
        await self._alarm.stop()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=timeout_ms / SECOND_MS)
        late = list(self._tasks)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _take(self, errand: _Errand) -> None:
        call = errand.call
        if self._is_closed or call.call_id in self._open:
            return
        self._open[call.call_id] = errand
        self._empty.clear()
        self._queue(errand)

    def _queue(self, errand: _Errand) -> None:
        name = urlsplit(errand.call.url).netloc
        host = self._hosts.setdefault(name, _Host())
        host.waiting.append(errand)
        self._pump(name, host)

    def _pump(self, name: str, host: _Host) -> None:
        """Make requests to a host as long as it may have more of them."""
        while host.waiting and host.flying < CALLS_OF_HOST_MAX and not self._is_closed:
            errand = host.waiting.popleft()
            if not errand.is_gone:
                host.flying += 1
                errand.is_flying = True
                self._spawn(self._carry(name, host, errand))
        if not host.waiting and not host.flying:
            self._hosts.pop(name, None)

    def _wake(self) -> None:
        now = self._clock.now()
        while self._retries and self._retries[0][0] <= now:
            errand = heappop(self._retries)[2]
            if not errand.is_gone:
                self._queue(errand)
        if self._retries and not self._is_closed:
            self._alarm.set(self._retries[0][0])

    async def _carry(self, name: str, host: _Host, errand: _Errand) -> None:
        """Make one request, give the place back, and settle the call or set its next try."""
        try:
            result = await self._attempt(errand)
        finally:
            host.flying -= 1
            errand.is_flying = False
        if isinstance(result, int):
            self._postpone(errand, result)
            self._pump(name, host)
        else:
            errand.is_gone = True
            self._pump(name, host)
            await self._finish(errand, result)

    def _postpone(self, errand: _Errand, due_at: int) -> None:
        self._retry_count += 1
        heappush(self._retries, (due_at, self._retry_count, errand))
        if not self._is_closed:
            self._alarm.set(due_at)

    async def _attempt(self, errand: _Errand) -> _Ending | int:
        """Make a request once; gives how the call ended, or when to try again."""
        call = errand.call
        limit_ms = min(call.expires_at - self._clock.now(), _ATTEMPT_MS_MAX)
        if limit_ms <= 0:
            return _EXPIRED
        errand.attempts += 1
        self._note(errand, OutboxState.DISPATCHING)
        try:
            async with asyncio.timeout(limit_ms / SECOND_MS):
                return _judge(call, await self._caller.call(call))
        except Permanent as error:
            return _fail(error.code or "refused", str(error))
        except Temporary as error:
            trouble = error
        except TimeoutError:
            trouble = Temporary(f"no answer in {limit_ms} ms")
        except Exception as error:  # noqa: BLE001 - a faulty caller must not lose the call
            trouble = Temporary(f"{type(error).__name__}: {error}")
        return self._again(errand, trouble)

    def _again(self, errand: _Errand, error: Temporary) -> _Ending | int:
        """Choose what follows a request that did not succeed but might."""
        call, now = errand.call, self._clock.now()
        if errand.is_recalled:
            return _Ending(CallOutcome.RECALLED, detail=str(error))
        pause_ms = max(back_off(call.call_id, errand.attempts, _PACING), error.retry_after_ms or 0)
        if now >= call.expires_at:
            return _Ending(CallOutcome.EXPIRED, detail=str(error))
        if now + pause_ms >= call.expires_at:
            # Told now and not when the time is over: the `else` steps need not wait for that.
            return _fail(error.code or "unreachable", str(error))
        self._count(CallOutcome.RETRIED)
        self._note(errand, OutboxState.QUEUED, str(error))
        return now + pause_ms

    def _end(self, errand: _Errand, ending: _Ending) -> None:
        errand.is_gone = True
        self._spawn(self._finish(errand, ending))

    async def _finish(self, errand: _Errand, ending: _Ending) -> None:
        call, told = errand.call, ending.answer
        change = outbox_change(
            call.call_id, _STATES[ending.outcome], errand.attempts, ending.detail
        )
        if told is None:
            await insist(self._clock, lambda: self._changed(change))
        else:
            # Both at once, so that they can share a commit: the sooner the store knows, the fewer
            # calls a crash has made again.
            answered = _answered(call, told, self._clock.now())
            await insist(self._clock, lambda: self._report(answered), lambda: self._changed(change))
        self._count(ending.outcome)
        del self._open[call.call_id]
        if not self._open:
            self._empty.set()

    def _note(self, errand: _Errand, state: OutboxState, detail: str = "") -> None:
        """Tell the store without waiting: a call may be made twice."""
        change = outbox_change(errand.call.call_id, state, errand.attempts, detail)
        self._changed(change).add_done_callback(lambda done: done.cancelled() or done.exception())

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    def _count(self, outcome: CallOutcome) -> None:
        self.counts[outcome] = self.counts.get(outcome, 0) + 1


_EXPIRED = _Ending(CallOutcome.EXPIRED, detail="its time was over")


def _fail(code: str, detail: str) -> _Ending:
    return _Ending(CallOutcome.FAILED, Answer(0, code=code), detail)


def _judge(call: Call, answer: Answer) -> _Ending:
    is_good = _answered(call, answer, 0).is_good
    outcome = CallOutcome.ANSWERED if is_good else CallOutcome.REFUSED
    return _Ending(outcome, answer, answer.code or str(answer.status))


def _answered(call: Call, answer: Answer, now: int) -> Answered:
    return Answered(call.call_id, call.customer, answer.status, now, answer.body, answer.code)
