"""How late the event loop is: the first number to look at when latencies rise.

Started by `adapters.app` inside the running loop. The samples go to the default registry of the
Prometheus client, where whoever serves `/metrics` finds them beside the process's own numbers.
"""

import asyncio
from collections import deque
from collections.abc import Iterable

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_EVERY_S = 0.5
_KEPT = 120  # one minute


class LoopLag(Collector):
    """Measures how much later than asked the loop calls back, twice a second.

    The greatest of the last minute is exported as well: a stall of 200 ms between two scrapes is
    what a p99 is made of, and the latest value alone would hide it.
    """

    def __init__(
        self, registry: CollectorRegistry = REGISTRY, *, every_s: float = _EVERY_S
    ) -> None:
        self._registry = registry
        self._every_s = every_s
        self._lags_s: deque[float] = deque(maxlen=_KEPT)
        self._due: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to measure the running loop, and be in the registry."""
        self._registry.register(self)
        self._schedule(asyncio.get_running_loop())

    def stop(self) -> None:
        """End it; may be called once after `start`."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
            self._registry.unregister(self)

    def describe(self) -> Iterable[Metric]:
        """Name nothing beforehand, so that registering reads no numbers."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Give the latest lag, and the greatest of the last minute."""
        latest_s = self._lags_s[-1] if self._lags_s else 0.0
        yield GaugeMetricFamily(
            "nextbeat_loop_lag_seconds", "How late the event loop came back.", value=latest_s
        )
        yield GaugeMetricFamily(
            "nextbeat_loop_lag_max_seconds",
            "How late the event loop came back at worst in the last minute.",
            value=max(self._lags_s, default=0.0),
        )

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        due_s = loop.time() + self._every_s
        self._due = loop.call_at(due_s, self._measure, loop, due_s)

    def _measure(self, loop: asyncio.AbstractEventLoop, due_s: float) -> None:
        self._lags_s.append(max(0.0, loop.time() - due_s))
        self._schedule(loop)
