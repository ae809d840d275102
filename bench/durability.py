"""What it costs that a commit is on the disk when it is answered: FULL against NORMAL.

The real scribe, with its hash chain and its checkpoints, writes the same commits on the real disk
in turns: synced each, as always, or with SQLite's NORMAL, which loses the last commits in a power
cut. The turns alternate, so that whatever else the machine does meets both; each ends with a
checkpoint, for what one leaves to be written would hold up the syncs of the other.

Who waits for the disk gives up the processor, and beside other work gets it back up to 4 ms later:
more than the sync itself takes. So this asks to go before others, where that is allowed.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from actors.rows import Commit, Entry
from adapters.sqlite.scribe import Scribe
from bench.figures import Check, median, report

SIZES = (1, 10, 100, 1_000)  # events a commit
COST_MAX = 20.0  # percent, at 1,000 events a commit
TURNS = 11
SECONDS = 0.4  # of each turn
BODY = os.urandom(300)


def run() -> bool:
    """Measure both, and what lies between them."""
    with _going_first() as priority:
        rates = {size: _compare(size) for size in SIZES}
    cost = _cost(rates[SIZES[-1]])
    return report(
        "durability",
        [
            Check("FULL against NORMAL, 1,000 events a commit", cost, COST_MAX, "%", at_most=True),
        ],
        {
            "priority": priority,
            **{
                f"{size:,} events a commit": {
                    **{f"{mode} rows/s": rate for mode, rate in found.items()},
                    "cost %": _cost(found),
                }
                for size, found in rates.items()
            },
        },
    )


@contextmanager
def _going_first() -> Generator[str]:
    """Take the processor whenever it is wanted, if that may be; says whether it is so."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except (AttributeError, OSError):
        yield "as others: beside other work FULL looks worse than it is"
        return
    try:
        yield "before others"
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _cost(rates: dict[str, float]) -> float:
    """Tell how many percent of NORMAL's rate FULL takes away."""
    return 100 * (1 - rates["FULL"] / rates["NORMAL"])


def _compare(size: int) -> dict[str, float]:
    """Give the rows a second of each mode, in turns on a file each."""
    folder = Path(tempfile.mkdtemp(prefix="nextbeat-bench-", dir=Path.cwd()))
    modes = ("FULL", "NORMAL")
    scribes = {mode: _open(folder / mode, mode) for mode in modes}
    seqs = {mode: count(1) for mode in modes}
    rates: dict[str, list[float]] = {mode: [] for mode in modes}
    try:
        for turn in range(TURNS + 1):
            for mode in modes if turn % 2 else reversed(modes):
                rate = _write(scribes[mode], seqs[mode], size)
                if turn:  # the first fills caches
                    rates[mode].append(rate)
    finally:
        for scribe in scribes.values():
            scribe.close()
        shutil.rmtree(folder)
    return {mode: median(found) for mode, found in rates.items()}


def _open(folder: Path, mode: str) -> Scribe:
    folder.mkdir()
    scribe = Scribe(folder)
    # There is no such setting, on purpose.
    connection = scribe._connection  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    connection.execute(f"PRAGMA synchronous = {mode}")
    return scribe


def _write(scribe: Scribe, seqs: "count[int]", size: int) -> float:
    """Write for the length of a turn, and all the way to the disk; gives rows a second."""
    rows = 0
    started = time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        entries = [Entry(next(seqs), "customer", 0, 1, "v1", BODY, b"") for _ in range(size)]
        scribe.write([Commit(entries=entries)])
        scribe.tend(idle=False)
        rows += size
    scribe.tend(idle=True)
    return rows / (time.perf_counter() - started)
