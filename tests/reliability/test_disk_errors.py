"""A disk that fails at the Nth write, sync or truncation: nothing acknowledged is lost."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import pytest

from tests.reliability.explorer import ACKNOWLEDGED, open_whole
from tests.reliability.figures import keep
from tests.reliability.shim import build_shim

WRITING = Path(__file__).with_name("writing.py")
COMMITS = 12
# How far the workload's operations of each kind are swept.
OPERATIONS = {"write": 260, "sync": 40, "truncate": 8}
FAILED = "opened anew"  # what every refusal after a failing disk says
FULL = "disk is full"

pytestmark = pytest.mark.slow


class Fault(NamedTuple):
    """The Nth operation of a kind fails, and with `is_sticky` all that follow."""

    operation: str
    number: int
    error: str
    is_sticky: bool


def faults(step: int) -> Iterator[Fault]:
    """Give every fault there is; with a step only some of the most frequent ones."""
    for operation, last in OPERATIONS.items():
        stride = {"write": step, "sync": (step + 2) // 3}.get(operation, 1)
        for number in range(1, last + 1, stride):
            for error in ("EIO", "ENOSPC"):
                yield Fault(operation, number, error, is_sticky=False)
                yield Fault(operation, number, error, is_sticky=True)


class Sweep:
    """Stores that meet a fault each, one after the other."""

    def __init__(self, tmp_path: Path) -> None:
        self.noticed = 0
        self.broken = 0
        self._tmp_path = tmp_path
        self._writers = subprocess.Popen(
            [sys.executable, WRITING],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "LD_PRELOAD": str(build_shim(tmp_path)),
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
        )

    def meet(self, fault: Fault, host: str, case: int) -> None:
        """Have a store meet a fault, and judge what it did and what it left."""
        assert self._writers.stdin is not None
        assert self._writers.stdout is not None
        folder = self._tmp_path / str(case)
        folder.mkdir()
        environment = {
            "SHIM_DIR": f"{folder}/",
            "SHIM_FAIL": f"{fault.operation}:{fault.number}:{fault.error}",
            **({"SHIM_STICKY": "1"} if fault.is_sticky else {}),
        }
        job = {
            "arguments": [str(folder), str(case), str(COMMITS), host],
            "environment": environment,
        }
        self._writers.stdin.write(json.dumps(job) + "\n")
        self._writers.stdin.flush()
        code = int(self._writers.stdout.readline())
        said = Path(f"{folder}.said").read_text()
        assert code == 0, (fault, said)
        self.noticed += said != "fine\n"
        self.broken += FAILED in said
        self._judge(fault, folder, said)

    def _judge(self, fault: Fault, folder: Path, said: str) -> None:
        marks = folder / ACKNOWLEDGED
        acknowledged = int((marks.read_text().split() or ["0"])[-1]) if marks.exists() else 0
        last = open_whole(folder)
        assert last >= acknowledged, (fault, said)
        if fault.operation == "write" and fault.error == "ENOSPC":
            assert FAILED not in said, (fault, said)  # a full disk is no broken store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the writers go."""
        self._writers.communicate()


def sweep(tmp_path: Path, step: int) -> dict[str, float]:
    began = time.monotonic()
    case = 0
    with Sweep(tmp_path) as swept:
        for case, fault in enumerate(faults(step), start=1):
            swept.meet(fault, ("scribe", "store")[case // 4 % 2], case)
    assert swept.noticed > case // 2
    return {
        "faults": case,
        "faults that were noticed": swept.noticed,
        "stores that stopped acknowledging": swept.broken,
        "acknowledged entries lost": 0,
        "stores damaged": 0,
        "seconds": round(time.monotonic() - began, 1),
    }


def test_a_disk_that_fails_once_or_for_good_costs_nothing_acknowledged(tmp_path: Path) -> None:
    keep("disk_errors", sweep(tmp_path, 9))


@pytest.mark.long
def test_a_disk_that_fails_at_any_operation_costs_nothing_acknowledged(tmp_path: Path) -> None:
    keep("disk_errors_long", sweep(tmp_path, 1))
