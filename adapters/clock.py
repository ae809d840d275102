"""The present: the machine's clock made safe, and one that runs faster for demonstrations.

Built by `adapters.app` and handed to the runtime as `actors.ports.Clock`.
"""

import asyncio
import time
from collections.abc import Callable

from engine.instants import SECOND_MS

_NAP_MS_MAX = SECOND_MS  # sleeps look at the clock this often, so that a step of it is noticed
_NS_PER_MS = 1_000_000

Nanoseconds = Callable[[], int]


class WallClock:
    """The machine's clock, which never goes backwards and never stands still.

    When the machine's clock is set back, this one runs on at half speed until the two meet. To
    stand still instead would hold every timer back for as long as the step was.
    """

    def __init__(
        self, wall: Nanoseconds = time.time_ns, monotonic: Nanoseconds = time.monotonic_ns
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._now_ns = wall()
        self._seen_ns = monotonic()

    def now(self) -> int:
        """Tell the present in epoch ms."""
        seen_ns = self._monotonic()
        slow_ns = self._now_ns + (seen_ns - self._seen_ns) // 2
        self._seen_ns = seen_ns
        self._now_ns = max(self._wall(), slow_ns)
        return self._now_ns // _NS_PER_MS

    async def sleep_until(self, at: int) -> None:
        """Wait until the present is at least `at`; never less."""
        while (left_ms := at - self.now()) > 0:  # noqa: ASYNC110 - time gives no signal
            await asyncio.sleep(min(left_ms, _NAP_MS_MAX) / SECOND_MS)


class ScaledClock:
    """A clock that starts at `origin_at` and runs `factor` times as fast as the machine's."""

    def __init__(
        self, origin_at: int, factor: float, monotonic: Nanoseconds = time.monotonic_ns
    ) -> None:
        assert factor > 0
        self._origin_at = origin_at
        self._factor = factor
        self._monotonic = monotonic
        self._started_ns = monotonic()

    def now(self) -> int:
        """Tell the present of this clock in epoch ms."""
        elapsed_ns = self._monotonic() - self._started_ns
        return self._origin_at + int(elapsed_ns * self._factor / _NS_PER_MS)

    async def sleep_until(self, at: int) -> None:
        """Wait until the present of this clock is at least `at`; never less."""
        while (left_ms := at - self.now()) > 0:  # noqa: ASYNC110 - time gives no signal
            await asyncio.sleep(min(left_ms / self._factor, _NAP_MS_MAX) / SECOND_MS)
