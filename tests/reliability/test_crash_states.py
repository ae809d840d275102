"""After a power cut at any moment the store opens, is whole, and has all that was acknowledged."""

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from tests.reliability.explorer import Findings
from tests.reliability.figures import choose_seed, keep
from tests.reliability.shim import build_shim, read_log

WRITING = Path(__file__).with_name("writing.py")
WORKERS = 2

pytestmark = pytest.mark.slow


def record(tmp_path: Path, seed: int, commits: int, *how: str) -> tuple[Path, Path]:
    """Have a store written to, with everything that reaches the disk recorded."""
    shim = build_shim(tmp_path)
    folder, log = tmp_path / f"data-{seed}", tmp_path / f"log-{seed}"
    folder.mkdir()
    watched = {"LD_PRELOAD": str(shim), "SHIM_DIR": str(folder), "SHIM_LOG": str(log)}
    done = subprocess.run(
        [sys.executable, WRITING, folder, str(seed), str(commits), *how],
        env={**os.environ, **watched, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "fine\n"
    return log, folder


def explore(log: Path, folder: Path, seed: int, each: int) -> Findings:
    """Open the states after every operation, on all cores there may be."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.explorer", str(log), str(folder)]
            + [str(number) for number in (seed, each, part, WORKERS)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
        )
        for part in range(WORKERS)
    ]
    told = [worker.communicate()[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * WORKERS
    found = [msgspec.json.decode(one, type=Findings) for one in told]
    return Findings(
        sum(one.states for one in found),
        sum(one.operations for one in found),
        sum(one.lost for one in found),
        sum(one.corrupt for one in found),
        [example for one in found for example in one.examples],
    )


def cut_the_power(tmp_path: Path, states_min: int, each: int) -> dict[str, float]:
    seed = choose_seed()
    began = time.monotonic()
    states = operations = acknowledged = 0
    hosts = ("scribe", "store", "scribe")
    while states < states_min:
        log, folder = record(tmp_path, seed, 30, hosts[seed % len(hosts)])
        found = explore(log, folder, seed, each)
        assert (found.lost, found.corrupt) == (0, 0), found.examples[:5]
        states += found.states
        operations += found.operations
        acknowledged += sum(one.path.endswith("acknowledged") for one in read_log(log))
        seed += 1
    return {
        "crash states": states,
        "operations recorded": operations,
        "commits acknowledged": acknowledged,
        "states that lost something acknowledged": 0,
        "states that did not open or were not whole": 0,
        "seconds": round(time.monotonic() - began, 1),
    }


def test_no_power_cut_loses_or_damages_what_was_acknowledged(tmp_path: Path) -> None:
    keep("crash_states", cut_the_power(tmp_path, 20_000, 12))


@pytest.mark.long
def test_no_power_cut_of_200000_loses_or_damages_anything(tmp_path: Path) -> None:
    keep("crash_states_long", cut_the_power(tmp_path, 200_000, 30))


@pytest.mark.parametrize(("synchronous", "fault"), [("NORMAL", "lost"), ("OFF", "corrupt")])
def test_a_store_that_does_not_sync_is_found_out(
    tmp_path: Path, synchronous: str, fault: str
) -> None:
    log, folder = record(tmp_path, 7, 30, "scribe", synchronous)
    assert getattr(explore(log, folder, 7, 1), fault) > 0
