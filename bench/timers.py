"""How late timers fire while a hundred thousand are pending, and whether one ever is early."""

import asyncio
import shutil
import tempfile
from pathlib import Path

import uvloop

from actors.memory import MemoryChannel
from actors.runtime import Runtime
from adapters.clock import WallClock
from adapters.sqlite.store import SqliteStore
from bench.figures import Check, report
from engine.events import Event, EventKind
from engine.program.compile import compile_source

PENDING = 100_000
RATE = 1_000  # timers due each second while it is measured
SECONDS = 10
WORKSPACE = {
    "workspace": "timers",
    "channels": {"email": {"adapter": "log", "identity": "email"}},
    "message_types": {"note": {"purpose": "service", "channels": ["email"]}},
    "messages": {"note": {"type": "note", "content": {"email": {"subject": "s", "body": "b"}}}},
    "journeys": {
        "long": {"trigger": {"event": "Long"}, "steps": [{"wait": "1d"}, {"send": "note"}]},
        "short": {"trigger": {"event": "Short"}, "steps": [{"wait": "3s"}, {"send": "note"}]},
    },
}


def run() -> bool:
    """Set a hundred thousand timers, then let a thousand a second come due."""
    return uvloop.run(_run())


async def _run() -> bool:
    data = Path(tempfile.mkdtemp(prefix="nextbeat-bench-", dir=Path.cwd()))
    channels = {"email": MemoryChannel()}
    clock = WallClock()
    runtime = Runtime(SqliteStore(data), clock, compile_source(WORKSPACE), channels)
    await runtime.open()
    await runtime.start()
    try:
        for start in range(0, PENDING, 1_000):
            numbers = range(start, start + 1_000)
            await runtime.submit([_event(n, "Long", clock.now()) for n in numbers])
        started = clock.now()
        for portion in range(RATE * SECONDS // 50):
            await clock.sleep_until(started + portion * 50_000 // RATE)
            numbers = range(portion * 50, portion * 50 + 50)
            await runtime.submit([_event(n, "Short", clock.now()) for n in numbers])
        while runtime.counters.timers_fired < RATE * SECONDS:  # noqa: ASYNC110 - a bench polls
            await asyncio.sleep(0.1)
        counters = runtime.counters
        lateness = counters.timer_lateness
        p99 = _percentile(lateness, 0.99)
        early = counters.timers_early
        fired = counters.timers_fired
    finally:
        await runtime.stop()
        shutil.rmtree(data, ignore_errors=True)
    return report(
        "timers",
        [
            Check("lateness of a timer with 100,000 pending, p99", p99, 250, "ms", at_most=True),
            Check("timers that fired early", early, 0, "", at_most=True),
        ],
        {"fired": fired, "lateness by powers of two, ms": lateness},
    )


def _event(number: int, name: str, now: int) -> Event:
    return Event(f"{name}-{number}", EventKind.TRACK, name, f"u{number}", None, now, now)


def _percentile(buckets: list[int], share: float) -> float:
    """Give the upper edge of the bucket in which the percentile lies, in ms."""
    left = share * sum(buckets)
    for place, count in enumerate(buckets):
        left -= count
        if left <= 0:
            return float(2**place - 1)
    return float("inf")
