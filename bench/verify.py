"""How fast a journal is checked: its chain against a bare scan with SHA-256, and decided again."""

import asyncio
import os
import shutil
import sqlite3
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

from actors.rows import Commit, Entry
from actors.runtime import Runtime
from adapters.clock import ScaledClock
from adapters.sqlite.chain import verify_range
from adapters.sqlite.schema import reader_uri
from adapters.sqlite.scribe import Scribe
from adapters.sqlite.store import SqliteStore
from adapters.verify import RANGE_ROWS, Verifier
from bench.figures import Check, median, report
from bench.server import ORIGIN_AT, bench_workspace
from bench.shop import events, identifies
from bench.stage import TIMESTAMP
from engine.intake.normalise import normalise_line

DECIDED = 50_000  # entries that are decided again
ENTRIES = 1_000_000  # entries whose chain is followed
CUSTOMERS = 2_000
ROUNDS = 3
_GROUP = 4_000
_FETCH_ROWS = 500


def run() -> bool:
    """Journal a shop's traffic, multiply it to a million entries, and check both."""
    folder = Path(tempfile.mkdtemp(prefix="nextbeat-bench-", dir=Path.cwd()))
    try:
        decided, long = folder / "decided", folder / "long"
        asyncio.run(_decide(decided))
        _multiply(decided, long)
        return _measure(decided, long)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measure(decided: Path, long: Path) -> bool:
    processes = os.cpu_count() or 1
    chain, limit, work_s = _time_ranges(long, processes)
    began = time.perf_counter()
    found = Verifier(decided).run()
    took_s = time.perf_counter() - began
    assert found.ok
    began = time.perf_counter()
    assert Verifier(long).run(tables=False).ok
    whole_s = time.perf_counter() - began
    return report(
        "verify",
        [
            Check(f"chain over {ENTRIES:,} entries", max(chain), 300_000, "rows/s"),
            Check("the same, by processor time of one core", ENTRIES / work_s, 300_000, "rows/s"),
        ],
        {
            "chain, rows/s": {"median": median(chain), "worst": min(chain)},
            "limit: scan and sha256 of the same bytes, rows/s": {"best": max(limit)},
            "share of the limit": median(chain) / median(limit),
            "processes": processes,
            "bytes an entry": _size(long) / ENTRIES,
            "decided again, rows/s": found.decided_again / took_s,
            "decided again": found.decided_again,
            "file and chain with its structure and the start of processes, s": whole_s,
        },
    )


def _time_ranges(folder: Path, processes: int) -> tuple[list[float], list[float], float]:
    """Follow the chain and do the bare work in turn, so that both meet the same machine.

    Gives both in rows a second, and how long a processor has to work for the chain.
    """
    ranges = [(folder, start, start + RANGE_ROWS) for start in range(0, ENTRIES, RANGE_ROWS)]
    chain: list[float] = []
    limit: list[float] = []
    work_s: list[float] = []
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        list(pool.map(_scan, ranges))  # starts the processes, and warms the page cache
        for _ in range(ROUNDS):
            began = time.perf_counter()
            list(pool.map(_scan, ranges))
            limit.append(ENTRIES / (time.perf_counter() - began))
            began = time.perf_counter()
            work_s.append(sum(pool.map(_follow, ranges)))
            chain.append(ENTRIES / (time.perf_counter() - began))
    return chain, limit, median(work_s)


def _follow(part: tuple[Path, int, int]) -> float:
    """Follow a range of the chain; gives the processor time it took."""
    began = time.process_time()
    assert verify_range(*part) is None
    return time.process_time() - began


def _scan(part: tuple[Path, int, int]) -> None:
    """Read the same columns and hash what makes up their bytes; compare nothing."""
    folder, start, stop = part
    sql = (
        "SELECT seq, CAST(customer AS BLOB), prev, at, program, input, records, hash"
        " FROM journal WHERE seq > ? AND seq <= ? ORDER BY seq"
    )
    with closing(sqlite3.connect(reader_uri(folder), uri=True)) as connection:
        cursor = connection.execute(sql, (start, stop))
        while rows := cursor.fetchmany(_FETCH_ROWS):
            for _, who, _, _, _, given, records, stored in rows:
                sha256(b"%b%b%b%b" % (who, given, records, stored)).digest()


async def _decide(folder: Path) -> None:
    """Decide over a shop's traffic, as a server does."""
    workspace = bench_workspace()
    store = SqliteStore(folder)
    clock = ScaledClock(ORIGIN_AT, 1)
    runtime = Runtime(store, clock, workspace.program, {})
    await runtime.open()
    await store.save_program(workspace.program.version, ORIGIN_AT, workspace.source)
    await runtime.start()
    traffic = events(1, CUSTOMERS, TIMESTAMP)
    items = [*identifies(range(CUSTOMERS), TIMESTAMP)]
    items += [next(traffic) for _ in range(DECIDED - CUSTOMERS)]
    for start in range(0, len(items), 1_000):
        await runtime.submit([normalise_line(item) for item in items[start : start + 1_000]])
    await runtime.stop(60)


def _multiply(decided: Path, to: Path) -> None:
    """Write real entries over and over, each chained to the one before."""
    with closing(sqlite3.connect(reader_uri(decided), uri=True)) as connection:
        rows = connection.execute(
            "SELECT customer, prev, at, input, records FROM journal ORDER BY seq"
        ).fetchall()
    to.mkdir()
    scribe = Scribe(to)
    for start in range(1, ENTRIES + 1, _GROUP):
        picked = [(seq, rows[seq % len(rows)]) for seq in range(start, start + _GROUP)]
        entries = [
            Entry(seq, who, prev, at, "sha256:bench", given, records)
            for seq, (who, prev, at, given, records) in picked
        ]
        scribe.write([Commit(entries=entries)])
        scribe.tend(idle=False)
    scribe.close()


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
