"""Checks a data directory: is it what was written, does all follow, is it decided so again.

Called by `nextbeat verify`, and on what `adapters.backups` has made. Works on a folder at rest, on
a copy, and beside a running server, which it does not disturb: it only reads, in short portions.

*Rules*
- The file and the chain come first: where the journal itself is damaged nothing is compared with
  it.
- Memory is bounded: customers are taken in as many parts as are needed for the profiles of those
  that are in memory at once to take at most `MEMORY_BYTES_MAX`. Each part walks the journal once.
"""

import multiprocessing
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import closing
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from actors.customer import MEMORY_BYTES_BASE, MEMORY_FACTOR
from adapters.channels.registry import INBOX_FILE
from adapters.findings import Findings, Found
from adapters.sqlite.audit import (
    DAMAGED,
    Audit,
    Fault,
    find_checksum_faults,
    find_numbering_faults,
    find_structure_faults,
)
from adapters.sqlite.chain import Head, check_marker, hash_before, read_head, verify_range
from adapters.sqlite.readers import check_format, read_format
from adapters.sqlite.schema import FILE_NAME
from adapters.sqlite.wal import check_log
from adapters.verify_part import PartReport, Task, verify_part
from engine.errors import StoreError

MEMORY_BYTES_MAX = 512 * 1024 * 1024  # of profiles, over all processes
RANGE_ROWS = 50_000  # entries whose hashes are checked in one go
ALONE_ROWS = 100_000  # up to so many entries another process is not worth its start
FOUND_MAX = 20

Result = TypeVar("Result")
Progress = Callable[[int, int], object]
_RESTORE = "restore the data directory from a backup"
_HINTS = {
    "acts": "what was noted of an administrative act is not known any more; nothing else is",
    "catalogue": "the item is left out until it is loaded again; everything else is as it was",
    "quarantine": "the item can't be taken in again; everything else is as it was",
    "outbox": f"what became of this message is not known any more: {_RESTORE}",
}


class Report(msgspec.Struct):
    """What was looked at, and what is wrong."""

    ok: bool = True
    entries: int = 0
    erased: int = 0
    last_seq: int = 0
    hash: str = ""
    customers: int = 0
    snapshots: int = 0
    decisions: int = 0
    messages: int = 0
    timers: int = 0
    members: int = 0
    stays: int = 0
    decided_again: int = 0
    not_decided_again: int = 0
    found: list[Found] = []
    found_count: int = 0
    notes: list[str] = []


class Verifier:
    """One check of one data directory."""

    def __init__(
        self, folder: Path, progress: Progress | None = None, *, processes: int | None = None
    ) -> None:
        self._folder = folder
        self._progress: Progress = progress or _say_nothing
        self._processes = processes or os.cpu_count() or 1
        self._found = Findings()
        self._done = 0
        self._total = 0
        self.report = Report()

    def run(self, *, decide: bool = True, tables: bool = True) -> Report:
        """Check everything, and tell. Raises StoreError where there is nothing to look at.

        Without `decide` nothing is decided again, without `tables` nothing is looked at but the
        file and the chain.
        """
        if not (self._folder / FILE_NAME).is_file():
            raise StoreError(f"{self._folder} holds no Nextbeat store")
        try:
            self._check(decide=decide, tables=tables)
        except DAMAGED as error:
            self._found.add("file", f"SQLite can't read it: {error}", _RESTORE)
        report = self.report
        report.found = self._found.ordered()[:FOUND_MAX]
        report.found_count = len(self._found)
        report.ok = not report.found
        return report

    def _check(self, *, decide: bool, tables: bool) -> None:
        head = self._check_files()
        if self._found:
            return
        if tables:
            check_format(self._folder)
        else:
            read_format(self._folder)
        with closing(Audit(self._folder)) as audit:
            self._note_faults(find_structure_faults(audit.connection, self._folder))
            self._check_inbox()
            self._count(audit, tables=tables)
            broken = check_marker(audit.connection, head)
            if broken is not None:
                self._found.add("journal", _not_as_marked(broken), _RESTORE, seq=broken)
            self._check_chain()
            if self._found or not tables:
                return
            self._note_faults(find_checksum_faults(audit.connection))
            self._note_faults(find_numbering_faults(audit.connection))
            tasks = self._plan(audit, decide=decide)
        self._check_tables(tasks)

    def _check_files(self) -> Head | None:
        """Check what lies beside the database; gives the marker."""
        try:
            check_log(self._folder)
        except StoreError as error:
            self._found.add("log", str(error))
        try:
            return read_head(self._folder)
        except StoreError as error:
            self._found.add("marker", str(error))
            return None

    def _check_inbox(self) -> None:
        """Check the file of in-app messages: its structure, for it has neither chain nor sums."""
        path = self._folder / INBOX_FILE
        if path.is_file():
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as inbox:
                (told,) = inbox.execute("PRAGMA integrity_check(1)").fetchone()
            if told != "ok":
                self._found.add("inbox", f"{path}: {told}", _RESTORE)

    def _note_faults(self, faults: Iterator[Fault]) -> None:
        for fault in faults:
            hint = _HINTS.get(fault.table, _RESTORE)
            self._found.add(fault.table, fault.message, hint, row=fault.row)

    def _count(self, audit: Audit, *, tables: bool) -> None:
        report = self.report
        report.last_seq, covered_seq = audit.state()
        if not isinstance(covered_seq, int):
            message = "the store no longer knows how far its snapshots go"
            self._found.add("meta", message, _RESTORE, row="name 'covered_seq'")
        report.entries = audit.connection.execute("SELECT count(*) FROM journal").fetchone()[0]
        report.erased = audit.erased_count()
        report.hash = hash_before(audit.connection, report.last_seq).hex()
        self._total = report.entries * (1 + tables)

    def _check_chain(self) -> None:
        last_seq = self.report.last_seq
        starts = range(0, last_seq, RANGE_ROWS)
        jobs = [(self._folder, start, min(start + RANGE_ROWS, last_seq)) for start in starts]
        for broken in self._run(_verify_range, jobs):
            if broken is not None:
                message = "the entry is not what was written: its hash does not fit"
                self._found.add("journal", message, _RESTORE, seq=broken)

    def _plan(self, audit: Audit, *, decide: bool) -> list[Task]:
        """Divide the customers so that the profiles that are in memory at once are not too many."""
        count, body_bytes = audit.measure()
        last_seq, covered_seq = audit.state()
        memory_bytes = (
            count * MEMORY_BYTES_BASE
            + body_bytes * MEMORY_FACTOR
            + (last_seq - (covered_seq or 0)) * MEMORY_BYTES_BASE
        )
        workers = 1 if self.report.entries <= ALONE_ROWS else self._processes
        parts = max(workers, -(-memory_bytes * workers // MEMORY_BYTES_MAX))
        return [Task(self._folder, part, parts, decide, last_seq) for part in range(parts)]

    def _check_tables(self, tasks: list[Task]) -> None:
        report = self.report
        for part in self._run(verify_part, [(task,) for task in tasks]):
            self._found.take(part.found)
            report.notes += [note for note in part.notes if note not in report.notes]
            for name in PartReport.COUNTED:
                setattr(report, name, getattr(report, name) + getattr(part, name))

    def _run(
        self, job: Callable[..., Result], arguments: Sequence[tuple[Any, ...]]
    ) -> list[Result]:
        """Do the same for several arguments, in several processes where that is worth it."""
        if self.report.entries <= ALONE_ROWS or self._processes == 1:
            return [job(*each, self._advance) for each in arguments]
        context = multiprocessing.get_context("spawn")
        counter = context.Value("q", 0)
        with ProcessPoolExecutor(
            self._processes, context, initializer=_share, initargs=(counter,)
        ) as pool:
            futures = [pool.submit(_in_process, job, each) for each in arguments]
            self._watch(set(futures), counter)
            return [future.result() for future in futures]

    def _watch(self, waiting: set[Future[Any]], counter: "Synchronized[int]") -> None:
        before = self._done
        while waiting:
            _, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            self._done = before
            self._advance(counter.value)

    def _advance(self, entries: int) -> None:
        self._done += entries
        self._progress(min(self._done, self._total), self._total)


def _verify_range(
    folder: Path, start: int, stop: int, advance: Callable[[int], None]
) -> int | None:
    broken = verify_range(folder, start, stop)
    advance(stop - start)
    return broken


# How far all processes together are: each adds to the one counter its parent looks at.
_shared: list["Synchronized[int]"] = []


def _share(counter: "Synchronized[int]") -> None:
    _shared.append(counter)


def _in_process(job: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    return job(*arguments, _add_shared)


def _add_shared(entries: int) -> None:
    counter = _shared[0]
    with counter.get_lock():
        counter.value += entries


def _say_nothing(_done: int, _total: int) -> None:
    """Stand in where nobody wants to know how far it is."""


def _not_as_marked(seq: int) -> str:
    return f"the marker outside the journal knows an entry {seq} that is not there as it was"
