"""The campaign: thousands of short worlds full of faults, and not one broken promise."""

import logging
import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from actors.simulate.hazards import EVERY
from actors.simulate.world import Report, simulate
from tests.reliability.figures import keep
from tests.simulation.doses import again, dose

SEEDS = 5_000
_CHUNK = 50
_ORIGIN = 1_000  # the planted defects have the seeds before


def run_chunk(seeds: Sequence[int]) -> list[Report]:
    logging.disable(logging.CRITICAL)  # the disks of these worlds fail all the time
    return [simulate(dose(seed)) for seed in seeds]


def run_campaign(count: int) -> dict[str, Any]:
    chunks = [range(at, min(at + _CHUNK, count)) for at in range(0, count, _CHUNK)]
    seeds = [[_ORIGIN + seed for seed in chunk] for chunk in chunks]
    began = time.monotonic()
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        reports = [report for chunk in pool.map(run_chunk, seeds) for report in chunk]
    return figures(reports, time.monotonic() - began)


def figures(reports: list[Report], seconds: float) -> dict[str, Any]:
    fired: Counter[str] = Counter()
    for report in reports:
        fired.update(report.fired)
    names = ("events", "entries", "decisions", "sends", "crashes", "recoveries", "operations")
    sums = {name: sum(getattr(report, name) for report in reports) for name in names}
    failures = [
        {"again": again(one.seed), "violation": one.violation} for one in reports if one.violation
    ]
    return {
        "seeds": len(reports),
        "seconds": round(seconds, 1),
        **sums,
        "fired": dict(sorted(fired.items())),
        "failures": failures,
    }


def publish(name: str, found: dict[str, Any]) -> None:
    counts = {key: value for key, value in found.items() if isinstance(value, int | float)}
    kinds = {"kinds of fault that fired": len(found["fired"])}
    keep(name, counts | kinds | {"worlds with a broken promise": len(found["failures"])})


def check(found: dict[str, Any]) -> None:
    assert found["failures"] == []
    assert found["crashes"] > found["seeds"]
    assert set(EVERY) <= set(found["fired"])


@pytest.mark.slow
def test_no_promise_is_broken_in_thousands_of_worlds() -> None:
    found = run_campaign(SEEDS)
    publish("simulation", found)
    check(found)


@pytest.mark.long
def test_no_promise_is_broken_in_ten_times_as_many() -> None:
    found = run_campaign(10 * SEEDS)
    publish("simulation_long", found)
    check(found)
