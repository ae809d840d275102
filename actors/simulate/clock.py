"""The machine's clock, which people set back and forth, and the clock a process makes of it.

Made by `world`; the runtime gets a `ProcessClock` as its `ports.Clock`.

*Rules*
- A process' clock never goes backwards: when the machine's is set back it runs on at half speed
  until the two meet, as the product's does.
- The runtime's look at its timers, many times a second, is skipped while there is nothing to see:
  it would find nothing, and a day has four million of them.
"""

import asyncio
from collections.abc import Callable

from actors.simulate.loop import SimLoop
from engine.instants import SECOND_MS

TIMERS_TASK = "timers"  # the name of the runtime's task that dozes
_EPSILON = 1e-6


class MachineClock:
    """Wall time: `origin_at` plus what has passed, plus what it was set by."""

    def __init__(self, loop: SimLoop, origin_at: int) -> None:
        self._loop = loop
        self._origin_at = origin_at
        self.process: ProcessClock | None = None  # the one that notices when it is set

    def now(self) -> int:
        """Tell wall time, in epoch ms."""
        return self._origin_at + self.passed_ms()

    def passed_ms(self) -> int:
        """Tell how much time has really passed."""
        return int(self._loop.time() * SECOND_MS + _EPSILON)

    def set_by(self, difference_ms: int) -> None:
        """Set the clock forward or back."""
        self._origin_at += difference_ms
        if self.process is not None:
            self.process.notice()


class ProcessClock:
    """The present as one process knows it."""

    def __init__(self, loop: SimLoop, machine: MachineClock, due: Callable[[], int | None]) -> None:
        """`due` tells when the runtime's timers next have something to do."""
        self._loop = loop
        self._machine = machine
        self._due = due
        self._now = machine.now()
        self._seen_ms = machine.passed_ms()
        self._naps: list[tuple[int, asyncio.Future[None]]] = []
        self._sleepers: dict[asyncio.Future[None], None] = {}
        machine.process = self

    def now(self) -> int:
        """Tell the present instant. Never goes backwards."""
        passed_ms = self._machine.passed_ms()
        slow = self._now + (passed_ms - self._seen_ms) // 2
        now = max(self._machine.now(), slow)
        if now != self._now:
            self._now, self._seen_ms = now, passed_ms
        return now

    async def sleep_until(self, at: int) -> None:
        """Wait until the present is at least `at`; never less."""
        task = asyncio.current_task()
        if task is not None and task.get_name() == TIMERS_TASK:
            await self._doze_until(at)
        while (left_ms := at - self.now()) > 0:
            await self._sleep(left_ms)

    async def _doze_until(self, at: int) -> None:
        woken: asyncio.Future[None] = self._loop.create_future()
        self._naps.append((at, woken))
        await woken

    async def _sleep(self, left_ms: int) -> None:
        woken: asyncio.Future[None] = self._loop.create_future()
        self._sleepers[woken] = None
        handle = self._loop.call_later(left_ms / SECOND_MS, _set, woken)
        try:
            await woken
        finally:
            handle.cancel()
            del self._sleepers[woken]

    def notice(self) -> None:
        """Have everybody who sleeps look again: the machine's clock was set."""
        for woken in list(self._sleepers):
            _set(woken)
        self.wake()

    def idle_at(self) -> float | None:
        """Tell at which time of the loop whoever dozes wants to be woken."""
        due = self._due() if self._naps else None
        if due is None:
            return None
        left_ms = max(due, self._naps[0][0]) - self.now()
        return self._loop.time() + max(0, left_ms) / SECOND_MS

    def wake(self) -> None:
        """Wake whoever dozes."""
        naps, self._naps = self._naps, []
        for _, woken in naps:
            _set(woken)


def _set(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
