"""The simulation itself: one number makes a run, anywhere; what failed once is run for ever."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from actors.simulate.hazards import CALM, EVERY
from actors.simulate.world import Plan, simulate

SEEDS = Path(__file__).with_name("seeds.txt")
_TRACE = (
    "import sys; from actors.simulate.world import Plan, simulate;"
    "print(*(simulate(Plan(int(seed), 0.3)).trace for seed in sys.argv[1:]))"
)


def kept_seeds() -> list[tuple[int, float, int]]:
    lines = (line.partition("#")[0].split() for line in SEEDS.read_text().splitlines())
    return [(int(line[0]), float(line[1]), int(line[2])) for line in lines if line]


@pytest.mark.parametrize(("seed", "days", "people"), kept_seeds())
def test_what_failed_once_holds(seed: int, days: float, people: int) -> None:
    assert simulate(Plan(seed, days, EVERY, people)).violation == ""


def test_a_seed_makes_the_same_run_again() -> None:
    for seed in range(5):
        assert simulate(Plan(seed, 0.3)) == simulate(Plan(seed, 0.3))


def test_seeds_differ() -> None:
    assert len({simulate(Plan(seed, 0.2)).trace for seed in range(10)}) == 10


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", ["1", "4711"])
def test_a_seed_makes_the_same_run_in_another_process(hash_seed: str) -> None:
    here = " ".join(simulate(Plan(seed, 0.3)).trace for seed in range(8))
    command = [sys.executable, "-c", _TRACE, *map(str, range(8))]
    environment = os.environ | {
        "PYTHONHASHSEED": hash_seed,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.split() == here.split()


def test_a_world_without_faults_has_none() -> None:
    report = simulate(Plan(1, 0.5, CALM))
    assert report.violation == ""
    assert report.fired == {}
    assert report.sends > 0
    assert report.crashes == 0


@pytest.mark.slow
def test_every_fault_there_is_happens() -> None:
    fired = {name for seed in range(60) for name in simulate(Plan(seed, 0.5)).fired}
    assert set(EVERY) <= fired
    assert {"torn", "whole", "taken twice", "overload"} <= fired


@pytest.mark.slow
def test_a_crash_at_each_operation_of_a_short_run_loses_nothing() -> None:
    faults = frozenset({"crash", "timeout", "doubled"})
    number = crashes = 0
    while crashes == number:  # until the run is over before it comes to that operation
        number += 1
        report = simulate(Plan(5, 0.1, faults, 1, (number,)))
        assert report.violation == "", number
        crashes += report.crashes
    assert crashes > 20


@pytest.mark.slow
def test_a_visitors_event_sent_again_after_they_are_known_is_taken_once() -> None:
    faults = frozenset({"overtake", "disconnect", "crash"})
    reports = [simulate(Plan(seed, 0.25, faults)) for seed in range(80)]
    assert [report.seed for report in reports if report.violation] == []
