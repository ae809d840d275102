"""A virtual event loop: time jumps, and what is ready runs in an order the seed chooses.

Made by `world` for one simulation. The loop is its own selector: there is nothing outside to wait
for, so when nothing is ready the time of the next timer is now.

*Rules*
- No threads and no sockets: both would bring in an order that no seed decides.
- When nothing is ready and nothing will ever be, somebody waits for ever: that is an error.
- Tasks are remembered in the order they were made: `asyncio.all_tasks` is a set.
"""

import asyncio
from asyncio.base_events import BaseEventLoop
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from typing import Any, NoReturn, TypeVar

from actors.simulate.dice import Dice

_T = TypeVar("_T")

# The process a task or a callback belongs to; 0 is the world outside.
PROCESS: ContextVar[int] = ContextVar("process", default=0)


class DeadlockError(Exception):
    """Nothing is ready and nothing is planned: somebody waits for what can't happen."""


class SimLoop(BaseEventLoop):
    """An event loop without an outside."""

    _ready: deque[asyncio.Handle]

    def __init__(self, dice: Dice) -> None:
        super().__init__()
        self._dice = dice
        self._at = 0.0
        self._selector = self
        self._clock_resolution = 1e-9
        self._tasks: dict[asyncio.Task[Any], int] = {}
        self._killed: dict[int, None] = {}
        self.idle: Callable[[], float | None] = _never  # when somebody who dozes wants to wake
        self.wake: Callable[[], None] = _nothing  # wakes who dozes
        self.troubles: list[str] = []  # what callbacks raised

    def time(self) -> float:
        """Tell how many seconds have passed since the simulation began."""
        return self._at

    def select(self, timeout: float | None) -> list[object]:
        """Wait, as a selector would: time jumps to when the next thing happens."""
        if timeout is not None and timeout <= 0:
            return []
        idle_at = self.idle()
        next_at = None if timeout is None else self._at + timeout
        if idle_at is not None and (next_at is None or idle_at < next_at):
            self._at = max(self._at, idle_at)
            self.wake()
        elif next_at is None:
            raise DeadlockError(f"nothing is ready, and nothing is planned after {self._at:.3f} s")
        else:
            self._at = next_at
        return []

    def create_task(
        self,
        coro: Coroutine[Any, Any, _T] | Generator[Any, None, _T],
        **options: Any,  # noqa: ANN401
    ) -> asyncio.Task[_T]:
        """Make a task, and note whose it is."""
        task = super().create_task(coro, **options)
        owner = self._tasks[task] = PROCESS.get()
        if owner in self._killed:
            task.cancel()  # a callback that was ready when its process died set it off
        return task

    def take_failures(self) -> list[str]:
        """Tell which tasks have ended with an exception nobody expected, and forget ended ones."""
        failures: list[str] = []
        for task in list(self._tasks):
            if task.done():
                del self._tasks[task]
                if not task.cancelled() and (error := task.exception()) is not None:
                    failures.append(f"{task.get_name()}: {type(error).__name__}: {error}")
        return failures

    def kill(self, process: int) -> None:
        """End the tasks of one process, wherever they are."""
        self._killed[process] = None
        for task, owner in list(self._tasks.items()):
            if owner == process:
                task.cancel()

    def kill_all(self) -> None:
        """End every task but the one that runs."""
        current = asyncio.current_task(self)
        for task in list(self._tasks):
            if task is not current:
                task.cancel()

    def run_in_executor(self, executor: object, func: object, *args: object) -> NoReturn:  # noqa: ARG002
        """Refuse: threads run in an order that no seed decides."""
        raise AssertionError("no threads in a simulation")

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what a callback raised; what tasks raised is asked for by `take_failures`."""
        if "handle" in context:
            self.troubles.append(f"{context['message']}: {context.get('exception')!r}")

    # What the base class calls; its own implementation is elsewhere in asyncio.

    def _run_once(self) -> None:
        if len(self._ready) > 1:
            handles = list(self._ready)
            self._dice.shuffle(handles)
            self._ready = deque(handles)
        super()._run_once()  # type: ignore[misc]

    def _process_events(self, events: list[object]) -> None:
        assert not events

    def _write_to_self(self) -> None:
        """Nobody has to be woken: the loop never really waits."""


def _never() -> float | None:
    return None


def _nothing() -> None:
    """Wake nobody."""


def run_in(loop: SimLoop, main: Coroutine[Any, Any, _T]) -> _T:
    """Run a simulation to its end on a loop, and close it."""
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()
