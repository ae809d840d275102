"""What journeys cost: many of them in a workspace, a million people waiting, and a rush of them."""

import asyncio
import gc
import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from actors.memory import MemoryChannel
from actors.runtime import Runtime
from adapters.app import tune_interpreter
from adapters.clock import WallClock
from adapters.sqlite.store import SqliteStore, WriterKind
from bench.figures import Check, median, report
from bench.server import ORIGIN_AT
from engine.events import Event, EventKind
from engine.instants import SECOND_MS, format_instant
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.program.program import Program
from engine.step import step

FEW, MANY = 10, 200  # journeys of a workspace
INSIDE = 10  # of them that a customer is in
TIMED = 3_000
GROWTH_MAX = 2.0

WAITING = 1_000_000
RUSH = 100_000  # of them are due in the same second
RUSH_SECONDS_MAX = 10
PORTION = 1_000  # events of one submission
IDLE_SECONDS = 20
IDLE_SHARE_MAX = 0.01  # of one core, more than where nobody waits

_NOTE: dict[str, Any] = {
    "workspace": "journeys",
    "channels": {"email": {"adapter": "log", "identity": "email"}},
    "message_types": {"note": {"purpose": "service", "channels": ["email"]}},
    "messages": {"note": {"type": "note", "content": {"email": {"subject": "s", "body": "b"}}}},
}


def run() -> bool:
    """Time an event among few journeys and among many, then have a million people wait."""
    few, many = _time(FEW), _time(MANY)
    crowd = uvloop.run(_crowd())
    return report(
        "journeys",
        [
            Check(
                "an event among 200 journeys over one among 10", many / few, 2, "x", at_most=True
            ),
            Check(
                "a million people waiting: share of one core, beside what nobody takes",
                crowd["idle_share"] - crowd["idle_share_with_nobody"],
                IDLE_SHARE_MAX,
                "",
                at_most=True,
            ),
            Check(
                "100,000 of them due in one second: all decided after",
                crowd["rush_seconds"],
                RUSH_SECONDS_MAX,
                "s",
                at_most=True,
            ),
        ],
        {"us an event": {str(FEW): few, str(MANY): many}, "crowd": crowd},
    )


def _time(count: int) -> float:
    """Give the middle of what events cost where there are so many journeys, in us."""
    program = compile_source({**_NOTE, "journeys": {f"j{n}": _journey(n) for n in range(count)}})
    profile = Profile("u1", traits={"email": "u1@example.com"})
    for number in range(INSIDE):
        _take(profile, f"Begun {number}", number, program)
    gc.collect()
    gc.disable()
    took: list[float] = []
    for number in range(TIMED):
        # One that nobody waits for, one that lets a customer in again, one that lets them out.
        name = ("Looked Around", "Begun 0", "Ended 0")[number % 3]
        took.append(_take(profile, name, INSIDE + number, program))
    gc.enable()
    return median(took)


def _journey(number: int) -> dict[str, Any]:
    return {
        "trigger": {"event": f"Begun {number}", "if": "event.number >= 0"},
        "goal": {"event": f"Ended {number}", "if": "event.number >= 0"},
        "steps": [
            {
                "wait_for": {"event": f"Answered {number}", "up_to": "30d"},
                "then": [{"send": "note"}],
            }
        ],
    }


def _take(profile: Profile, name: str, number: int, program: Program) -> float:
    at = ORIGIN_AT + number * SECOND_MS
    given = Event(
        f"m{number}", EventKind.TRACK, name, "u1", None, at, at, properties={"number": number}
    )
    started = time.thread_time_ns()
    step(profile, given, program, at)
    return (time.thread_time_ns() - started) / 1_000


async def _crowd() -> dict[str, float]:
    """Have a million people wait in a journey, then a tenth of them come due at once."""
    data = Path(tempfile.mkdtemp(prefix="nextbeat-bench-", dir=Path.cwd()))
    journeys = {
        "long": {"trigger": {"event": "Long"}, "steps": [{"wait": "30d"}, {"send": "note"}]},
        "rush": {
            "trigger": {"event": "Rush"},
            "steps": [{"until": "event.due"}, {"send": "note"}],
        },
    }
    program = compile_source({**_NOTE, "journeys": journeys})
    clock = WallClock()
    store = SqliteStore(data, writer=WriterKind.PROCESS)  # as `serve` does
    runtime = Runtime(store, clock, program, {"email": MemoryChannel()})
    await runtime.open()
    await runtime.start()
    tune_interpreter()
    try:
        alone_share = await _idle()
        began = time.perf_counter()
        await _enter(runtime, range(RUSH, WAITING), "Long", "", clock)
        entered = time.perf_counter() - began
        idle_share = await _idle()
        # The rest come in last, so that all of them are waiting when the instant comes.
        due_at = clock.now() + int(entered * 1_500 * RUSH / (WAITING - RUSH)) + 20 * SECOND_MS
        await _enter(runtime, range(RUSH), "Rush", format_instant(due_at), clock)
        early_s = (due_at - clock.now()) / 1_000
        await clock.sleep_until(due_at)
        while runtime.counters.timers_fired < RUSH:  # noqa: ASYNC110 - a bench polls
            await asyncio.sleep(0.02)
        rush_s = (clock.now() - due_at) / 1_000
    finally:
        await runtime.stop()
        shutil.rmtree(data, ignore_errors=True)
    return {
        "entered_seconds": entered,
        "idle_share": idle_share,
        "idle_share_with_nobody": alone_share,
        "all_waited_seconds_before": early_s,
        "rush_seconds": rush_s,
        "resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024,
    }


async def _enter(runtime: Runtime, people: range, name: str, due: str, clock: WallClock) -> None:
    """Have people enter a journey, some portions at a time."""
    for start in range(people.start, people.stop, PORTION):
        numbers = range(start, min(start + PORTION, people.stop))
        now = clock.now()
        await runtime.submit([_event(number, name, due, now) for number in numbers])


def _event(number: int, name: str, due: str, now: int) -> Event:
    properties = {"due": due} if due else {}
    return Event(
        f"{name}-{number}",
        EventKind.TRACK,
        name,
        f"u{number}",
        None,
        now,
        now,
        properties=properties,
        traits={"email": f"u{number}@example.com"},
    )


async def _idle() -> float:
    """Measure which share of a core is used while nothing happens but waiting."""
    await asyncio.sleep(3)  # what was begun, like checkpoints, comes to its end
    used, began = time.process_time(), time.perf_counter()
    await asyncio.sleep(IDLE_SECONDS)
    return (time.process_time() - used) / (time.perf_counter() - began)
