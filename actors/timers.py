"""The priority queue of what is due next: the near horizon in memory, the rest in the store.

Fed by `actors.runtime` when a commit is durable, and from the store as the horizon moves on. Hands
on due timers, never early, in the order of (at, seq, place): by time, then as they were set.

*Rules*
- The store's table is the truth; the heap holds what is due before `horizon_at`.
- A timer is in the heap once. Forgetting one only takes its name off the list of live ones.
- Instants are whole milliseconds of business time; no event-loop timer carries one.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from heapq import heappop, heappush

from actors.ports import Clock, Store
from actors.rows import TimerRow
from engine.errors import StoreError
from engine.instants import MINUTE_MS

HORIZON_MS = 10 * MINUTE_MS
LOAD_MAX = 50_000  # timers read from the store at once
DUE_MAX = 2_000  # timers handed on at once, so that events are not kept waiting behind them


class Timers:
    """Pending wakes of one shard."""

    def __init__(self, store: Store, horizon_ms: int = HORIZON_MS) -> None:
        self._store = store
        self._horizon_ms = horizon_ms
        self._heap: list[tuple[int, int, int, str, int]] = []
        self._live: set[tuple[str, int]] = set()
        self.horizon_at = 0

    def __len__(self) -> int:
        """Count the wakes in memory."""
        return len(self._live)

    def push(self, row: TimerRow) -> None:
        """Take in a wake that is durable."""
        if row.at > self.horizon_at:
            return
        name = (row.customer, row.timer)
        if name not in self._live:
            self._live.add(name)
            heappush(self._heap, (row.at, row.seq, row.place, row.customer, row.timer))

    def forget(self, customer: str, timer: int) -> None:
        """Drop a wake that is no longer wanted."""
        self._live.discard((customer, timer))

    def due(self, now: int, limit: int = DUE_MAX) -> list[TimerRow]:
        """Take out the wakes due at `now`, in order."""
        rows: list[TimerRow] = []
        while self._heap and self._heap[0][0] <= now and len(rows) < limit:
            at, seq, place, customer, timer = heappop(self._heap)
            if (customer, timer) in self._live:
                self._live.remove((customer, timer))
                rows.append(TimerRow(at, customer, timer, seq, place))
        return rows

    def next_at(self) -> int | None:
        """Tell when the next wake in memory is due, None when there is none."""
        while self._heap and (self._heap[0][3], self._heap[0][4]) not in self._live:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def needs_load(self, now: int) -> bool:
        """Say whether the horizon should move on."""
        return now + self._horizon_ms // 2 > self.horizon_at

    def reread(self, at: int) -> None:
        """Have what is due from `at` on read from the store again: a commit with it was lost."""
        self.horizon_at = min(self.horizon_at, at - 1)

    async def watch(
        self,
        clock: Clock,
        nap_ms: int,
        *,
        room: Callable[[int], int],
        fire: Callable[[Sequence[TimerRow]], None],
    ) -> None:
        """Hand on what comes due, for as long as it runs; `room` says how many may be."""
        while True:
            now = clock.now()
            if self.needs_load(now):
                with suppress(StoreError):  # asked again with the next look
                    await self.load(now)
            rows = self.due(now, room(now))
            fire(rows)
            next_at = self.next_at()
            nap_at = now + nap_ms
            if next_at is not None and rows:
                nap_at = min(nap_at, max(next_at, now + 1))
            await clock.sleep_until(nap_at)

    async def load(self, now: int) -> None:
        """Move the horizon on and read what lies before it.

        The horizon moves first: a wake that becomes durable while the store is read is pushed, and
        what is then read twice is in the heap once. When there are more than `LOAD_MAX`, the
        horizon ends where the reading did.
        """
        after_at = self.horizon_at
        until_at = now + self._horizon_ms
        if until_at <= after_at:
            return
        self.horizon_at = until_at
        try:
            rows, is_part = await self._read(after_at, until_at)
        except BaseException:
            self.horizon_at = min(self.horizon_at, after_at)
            raise
        if is_part:
            self.horizon_at = min(self.horizon_at, rows[-1].at - 1)
        for row in rows:
            self.push(row)

    async def _read(self, after_at: int, until_at: int) -> tuple[list[TimerRow], bool]:
        """Read what lies before the horizon, and say whether there is more."""
        limit = LOAD_MAX
        rows = await self._store.timers(after_at, until_at, limit)
        while len(rows) == limit and rows[0].at == rows[-1].at:
            limit *= 2  # they are all of one instant: it can't be read in part
            rows = await self._store.timers(after_at, until_at, limit)
        return rows, len(rows) == limit
