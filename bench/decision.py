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
from engine.records import Decided
from engine.step import step

CUSTOMERS = 500
EVENTS = 40_000
SPACING_MS = 300  # between two events of the shop


def run() -> bool:
    """Play the shop's traffic and time each step, those with a decision apart."""
    program = bench_workspace().program
    profiles = {f"u{number}": Profile(f"u{number}") for number in range(CUSTOMERS)}
    for raw in identifies(range(CUSTOMERS), format_instant(ORIGIN_AT)):
        given = normalise_line(raw)
        step(profiles[_customer(given)], given, program, given.at)
    inputs = _inputs()
    gc.collect()
    gc.freeze()
    gc.disable()
    proposing: dict[str, list[float]] = {}
    others: list[float] = []
    outcomes: dict[str, int] = {}
    for given in inputs:
        profile = profiles[_customer(given)]
        started = time.perf_counter_ns()
        result = step(profile, given, program, given.at)
        took_us = (time.perf_counter_ns() - started) / 1_000
        decided = [record for record in result.records if isinstance(record, Decided)]
        if decided:
            proposing.setdefault(decided[0].message, []).append(took_us)
        else:
            others.append(took_us)
        for record in decided:
            key = f"{record.outcome} {record.reason}"
            outcomes[key] = outcomes.get(key, 0) + 1
    gc.enable()
    every = [took for times in proposing.values() for took in times]
    limit = Check("step that proposes a message, p50", spread(every)["p50"], 60, "us", at_most=True)
    return report(
        "decision",
        [limit],
        {
            "proposing, us": spread(every),
            "by message, p50 us": {name: spread(times)["p50"] for name, times in proposing.items()},
            "proposals by message": {name: len(times) for name, times in proposing.items()},
            "others, us": spread(others),
            "outcomes": outcomes,
        },
    )


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
