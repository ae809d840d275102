"""What one decision costs in process: `step` on events of the demo shop that propose a message."""

import gc
import time

import msgspec

from bench.figures import Check, report, spread
from bench.server import ORIGIN_AT, bench_workspace
from bench.shop import events, identifies
from engine.events import Event, Receipt
from engine.instants import format_instant
from engine.intake.normalise import normalise_line
from engine.profile import Profile
from engine.program.program import Program
from engine.records import Decided
from engine.step import step

CUSTOMERS = 500
EVENTS = 40_000
SPACING_MS = 300  # between two events of the shop


def run() -> bool:
    """Play the shop's traffic, then take the steps that propose a message again, alone."""
    program = bench_workspace().program
    cases = proposing(program)
    gc.collect()
    gc.freeze()
    gc.disable()
    took: dict[str, list[float]] = {}
    outcomes: dict[str, int] = {}
    for message, profile, given in cases:
        started = time.perf_counter_ns()
        result = step(profile, given, program, given.at)
        took.setdefault(message, []).append((time.perf_counter_ns() - started) / 1_000)
        for record in result.records:
            if isinstance(record, Decided):
                key = f"{record.outcome} {record.reason}"
                outcomes[key] = outcomes.get(key, 0) + 1
    gc.enable()
    every = [each for times in took.values() for each in times]
    limit = Check("step that proposes a message, p50", spread(every)["p50"], 60, "us", at_most=True)
    return report(
        "decision",
        [limit],
        {
            "proposing, us": spread(every),
            "by message, p50 us": {name: spread(times)["p50"] for name, times in took.items()},
            "proposals by message": {name: len(times) for name, times in took.items()},
            "outcomes": outcomes,
        },
    )


def proposing(program: Program) -> list[tuple[str, Profile, Event]]:
    """Find the events that lead to a decision, each with the profile as it was before."""
    profiles = {f"u{number}": Profile(f"u{number}") for number in range(CUSTOMERS)}
    for raw in identifies(range(CUSTOMERS), format_instant(ORIGIN_AT)):
        given = normalise_line(raw)
        step(profiles[_customer(given)], given, program, given.at)
    cases: list[tuple[str, Profile, Event]] = []
    for given in _inputs():
        profile = profiles[_customer(given)]
        before = msgspec.msgpack.encode(profile)
        result = step(profile, given, program, given.at)
        decided = [record for record in result.records if isinstance(record, Decided)]
        if decided:
            case = (decided[0].message, msgspec.msgpack.decode(before, type=Profile), given)
            cases.append(case)
    return cases


def _inputs() -> list[Event]:
    """Make the traffic ahead of time, an event every `SPACING_MS`."""
    source = events(1, CUSTOMERS, format_instant(ORIGIN_AT))
    inputs: list[Event] = []
    for number in range(EVENTS):
        given = normalise_line(next(source))
        assert isinstance(given, Event)
        inputs.append(msgspec.structs.replace(given, at=ORIGIN_AT + number * SPACING_MS))
    return inputs


def _customer(given: Event | Receipt) -> str:
    assert given.user is not None
    return given.user
