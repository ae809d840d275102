"""Things better done together: gathered while the last lot is under way, then done at once.

Used by `adapters.channels.audience`.

*Rules*
- Whoever adds something waits until it is done, and is told what went wrong with its lot.
- One lot at a time, in the order in which things came.
- Whoever gives up before its lot began is not in it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

_Item = TypeVar("_Item")


class Batches(Generic[_Item]):
    """Gathers items into lots of at most `items_max`, for at most `wait_s` each."""

    def __init__(
        self, work: Callable[[list[_Item]], Awaitable[None]], *, items_max: int, wait_s: float
    ) -> None:
        assert items_max > 0
        self._work = work
        self._items_max = items_max
        self._wait_s = wait_s
        self._waiting: deque[tuple[_Item, asyncio.Future[None]]] = deque()
        self._is_enough = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def add(self, item: _Item) -> None:
        """Have an item done with others. Raises what the work raises."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if len(self._waiting) >= self._items_max:
            self._is_enough.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        await done

    async def close(self) -> None:
        """Wait until all that was added is done."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                await self._finish(self._take())
        finally:
            self._task = None

    async def _gather(self) -> None:
        """Wait for more, while that is still worth it."""
        self._is_enough.clear()
        if self._wait_s > 0 and len(self._waiting) < self._items_max:
            try:
                async with asyncio.timeout(self._wait_s):
                    await self._is_enough.wait()
            except TimeoutError:
                return

    def _take(self) -> list[tuple[_Item, "asyncio.Future[None]"]]:
        lot: list[tuple[_Item, asyncio.Future[None]]] = []
        while self._waiting and len(lot) < self._items_max:
            item, done = self._waiting.popleft()
            if not done.done():
                lot.append((item, done))
        return lot

    async def _finish(self, lot: list[tuple[_Item, "asyncio.Future[None]"]]) -> None:
        if not lot:
            return
        try:
            await self._work([item for item, _ in lot])
        except Exception as error:  # noqa: BLE001 - told to all who wait for it
            for _, done in lot:
                if not done.done():
                    done.set_exception(error)
        else:
            for _, done in lot:
                if not done.done():
                    done.set_result(None)
