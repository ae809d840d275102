"""The only hand that writes: it owns the writing connection, the hash chain and the checkpoints.

Synchronous. Hosted by `WriterThread` or, in a process of its own, by `WriterProcess`; exactly one
scribe is open on a data directory (`adapters.sqlite.lock`).

*Rules*
- A group of commits is one transaction, durable when `write` returns.
- A failed group has written nothing, and the chain stands where it stood.
- After a failed read, write or sync the state of the page cache is unknowable: the scribe refuses
  everything until it is opened anew, which recovers from disk.
- When the disk is full the ballast goes, the log is folded into the file, which gives back its
  room, and everything is refused until the ballast can be made anew.
- Checkpoints happen here only, between commits: when it is idle, or when the write-ahead log has
  grown to `WAL_BYTES_SOFT`. Beyond `WAL_BYTES_HARD` it waits for readers to let it start over.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from errno import EDQUOT, ENOSPC
from pathlib import Path

import msgspec

from actors.rows import Commit, StoreState
from adapters.scrub import PAGES_MAX, Scrubber
from adapters.sqlite.ballast import Ballast
from adapters.sqlite.chain import GENESIS, Head, check_head, link_hash, write_head
from adapters.sqlite.checksums import Value
from adapters.sqlite.intake import (
    ENTRY,
    PROGRAM,
    ROWS_MAX,
    Statement,
    complete,
    fill,
    payload_bytes,
    program_row,
    statements,
)
from adapters.sqlite.schema import FILE_NAME, PAGE_BYTES, connect_writer, query
from adapters.sqlite.wal import check_log
from engine.errors import StoreError

# Each checkpoint holds up the commit behind it: 4 MiB for up to 20 ms, 16 MiB for up to 80. Small
# groups are people who wait for an answer each: there it is done often and is short. Large groups
# are load: there it is done rarely, which is less work in all.
WAL_BYTES_SOFT = 1024 * 1024
WAL_BYTES_BUSY = 16 * 1024 * 1024
BUSY_ENTRIES = 100  # a group of this many entries is load
WAL_BYTES_HARD = 64 * 1024 * 1024
HEAD_INTERVAL_S = 5.0  # how far the marker outside the log may lag behind
IDLE_S = 0.2  # quiet for this long is idle
_HARD_WAIT_MS = 2_000
CLEANSE_PAGES = 1_024  # cleaned between two commits: a few milliseconds
_CLEANSE_WAIT_MS = 200  # for readers, while commits wait
_ROW_BYTES = 200  # what a row is taken to cost besides its payload, index pages apart
_LOG_FACTOR = 3.0  # log bytes for each byte written: the first guess; measured from then on

assert WAL_BYTES_SOFT < WAL_BYTES_BUSY < WAL_BYTES_HARD

# Primary result codes after which nothing in memory can be trusted: IOERR, CORRUPT, NOTADB.
_FATAL_CODES = (10, 11, 26)
_FULL_CODE = 13
_INDEX_FULL_CODE = 4874  # IOERR_SHMSIZE


class Program(msgspec.Struct, frozen=True, tag="program"):
    """A workspace that comes into force, to be kept."""

    version: str
    at: int
    source: bytes


class Cleanse(msgspec.Struct, frozen=True, tag="cleanse"):
    """Pages of the file from which what erased rows left behind is to be taken away."""

    first: int
    count: int


Job = Commit | Program | Cleanse


class Scribe:
    """The writing end of one data directory."""

    def __init__(
        self, folder: Path, *, size_max: int | None = None, ballast_bytes: int = 0
    ) -> None:
        """Open, migrate and check the file; `size_max` bounds its bytes. Raises StoreError.

        `ballast_bytes` is what is held back for a disk that is full, where there is room for it.
        """
        self.broken = ""
        self._folder = folder
        self._head = Head(0, GENESIS)
        self._marked_seq = 0
        self._marked_s = time.monotonic()
        self._bytes_pending = 0  # written since the log was last checkpointed to its end
        self._log_factor = _LOG_FACTOR
        self._is_busy = False
        self._is_starved = False  # the disk was full, and the ballast is not there again
        self._is_folded = True  # since then the log was folded
        self._scrubber: Scrubber | None = None
        check_log(folder)
        try:
            self._connection = connect_writer(folder)
        except sqlite3.Error as error:
            raise StoreError(f"{folder} can't be opened: {explain_error(error)}") from error
        try:
            self.state = self._open(size_max)
        except sqlite3.Error as error:
            self._connection.close()
            raise StoreError(f"{folder} can't be read: {explain_error(error)}") from error
        except StoreError:
            self._connection.close()
            raise
        self._ballast = Ballast(folder, ballast_bytes)
        self._ballast.hold()

    def _open(self, size_max: int | None) -> StoreState:
        if size_max is not None:
            self._connection.execute(f"PRAGMA max_page_count = {size_max // PAGE_BYTES}")
        self._cursor = self._connection.cursor()
        self._versions: dict[str, int] = dict(self._cursor.execute(query("versions")).fetchall())
        self._head = check_head(self._connection, self._folder)
        last_seq, covered_seq = self._cursor.execute(query("state")).fetchone()
        return StoreState(last_seq, covered_seq)

    def write(self, jobs: Sequence[Commit | Program]) -> None:
        """Make a group durable as one; raises StoreError, having written nothing of it."""
        if self.broken:
            raise StoreError(self.broken)
        if self._is_starved:
            self._insist_on_room()
        parts: list[Statement] = []
        versions = dict(self._versions)
        head = self._head
        try:
            for job in jobs:
                if isinstance(job, Program):
                    parts += self._number_program(versions, job)
                else:
                    head = self._chain(parts, versions, job, head)
                    parts += statements(job)
            self._execute(parts)
        except sqlite3.Error as error:
            self._undo(error)
            raise StoreError(explain_error(error)) from error
        except (OverflowError, TypeError, ValueError) as error:
            self._undo(None)
            raise StoreError(f"the commit holds a value SQLite can't store: {error}") from error
        self._head = head
        self._versions = versions
        self._bytes_pending += sum(_measure(job) for job in jobs)
        entries = sum(len(job.entries) for job in jobs if isinstance(job, Commit))
        self._is_busy = entries >= BUSY_ENTRIES

    def _number_program(self, versions: dict[str, int], program: Program) -> Iterator[Statement]:
        number = versions.setdefault(program.version, len(versions) + 1)
        return fill(PROGRAM, [program_row(number, program.version, program.at, program.source)])

    def _chain(
        self, parts: list[Statement], versions: dict[str, int], commit: Commit, head: Head
    ) -> Head:
        """Add the statements for a commit's entries, each hashed onto the one before."""
        last_seq, last_hash = head.seq, head.hash
        for start in range(0, len(commit.entries), ROWS_MAX):
            portion = commit.entries[start : start + ROWS_MAX]
            flat: list[Value] = []
            for entry in portion:
                seq, customer, prev, at, program, given, records = entry
                if seq <= last_seq:
                    raise StoreError(
                        f"entry {seq} of the commit does not follow entry {last_seq}:"
                        " the journal only grows"
                    )
                number = versions.get(program)
                if number is None:
                    number = versions[program] = len(versions) + 1
                    parts += fill(PROGRAM, [program_row(number, program, None, None)])
                last_hash = link_hash(last_hash, entry)
                last_seq = seq
                flat += (seq, customer, prev, at, number, given, records, last_hash)
            parts.append(complete(ENTRY, flat, len(portion)))
        return Head(last_seq, last_hash) if commit.entries else head

    def _execute(self, parts: list[Statement]) -> None:
        if not parts:
            return
        execute = self._cursor.execute
        if len(parts) > 1:  # a single statement is its own transaction
            execute("BEGIN IMMEDIATE")
        for text, values in parts:
            execute(text, values)
        if len(parts) > 1:
            execute("COMMIT")

    def _undo(self, error: sqlite3.Error | None) -> None:
        """Take back what a failed group began, and refuse to go on where that is not possible."""
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as failure:
            error = failure
        if error is None:
            return
        if _is_full(error):
            self._starve()
        elif _primary_code(error) in _FATAL_CODES:
            self.broken = explain_error(error)

    def _starve(self) -> None:
        """Give up the ballast, if it is there to be given up."""
        if self._ballast.is_held:
            self._ballast.release()
            self._is_starved = True
            self._is_folded = False

    def _insist_on_room(self) -> None:
        """Go on where there is room again, or raise StoreError."""
        if not self._ballast.hold():
            raise StoreError(_FULL)
        self._is_starved = False

    def tend(self, *, idle: bool) -> None:
        """Do what can be done between commits: checkpoint, and mark the head. Never raises."""
        try:
            if not self.broken and not self._is_folded:
                self._fold()
            wal_bytes = self._bytes_pending * self._log_factor
            soft_bytes = WAL_BYTES_BUSY if self._is_busy else WAL_BYTES_SOFT
            if not self.broken and self._bytes_pending and (idle or wal_bytes > soft_bytes):
                self._checkpoint()
            due = time.monotonic() - self._marked_s >= HEAD_INTERVAL_S
            if not self.broken and due:
                self.mark()
        except sqlite3.Error as error:
            # A checkpoint that can't be done loses nothing: the log still has every commit. Only
            # where the disk itself failed is there no going on.
            self._undo(error)
        except OSError as error:
            if error.errno in (ENOSPC, EDQUOT):  # the marker may lag; commits say it is full
                self._marked_s = time.monotonic()
                return
            self.broken = f"the journal's marker can't be written ({error}): {_REOPEN}"

    def _checkpoint(self) -> None:
        _, frames, moved = self._cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if frames > 0:
            self._log_factor = frames * PAGE_BYTES / self._bytes_pending
        if moved < frames and frames * PAGE_BYTES > WAL_BYTES_HARD:
            self._connection.execute(f"PRAGMA busy_timeout = {_HARD_WAIT_MS}")
            self._cursor.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            _, frames, moved = self._cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if moved == frames:
            self._bytes_pending = 0

    def _fold(self) -> None:
        """Move all of the log into the file, with what the ballast left free, and end the log."""
        self._is_folded = True
        is_held_up, _, _ = self._cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not is_held_up:
            self._bytes_pending = 0
        self.mark()

    def cleanse(self, job: Cleanse) -> None:
        """Clean some pages of what erased rows left in them. Raises StoreError.

        All of the log is in the file then, and this connection has forgotten the pages it had read:
        otherwise either could bring back what is wiped out here.
        """
        if self.broken:
            raise StoreError(self.broken)
        try:
            self._connection.execute(f"PRAGMA busy_timeout = {_CLEANSE_WAIT_MS}")
            is_held_up, _, _ = self._cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if is_held_up:
                raise StoreError(
                    "somebody reads the store for long: what is erased stays in its log"
                )
            self._bytes_pending = 0
            self._cursor.execute("PRAGMA shrink_memory").fetchall()
            if self._scrubber is None:
                self._scrubber = Scrubber(self._folder / FILE_NAME, PAGE_BYTES)
            if self._scrubber.pages() >= PAGES_MAX:
                raise StoreError("the file is too large to be cleaned while it is used: VACUUM it")
            self._scrubber.clean(job.first, job.count)
        except sqlite3.Error as error:
            self._undo(error)
            raise StoreError(explain_error(error)) from error
        except OSError as error:
            self.broken = f"the file can't be cleaned ({error}): {_REOPEN}"
            raise StoreError(self.broken) from error

    def mark(self) -> None:
        """Write the marker outside the log, if the journal has grown since. Raises OSError."""
        if self._marked_seq != self._head.seq:
            write_head(self._folder, self._head)
            self._marked_seq = self._head.seq
        self._marked_s = time.monotonic()

    def close(self) -> None:
        """Mark the head and close, which folds the log into the file. Raises StoreError."""
        try:
            if not self.broken:
                self.mark()
            # After a statement that failed the cursor holds on to it, and SQLite would put off
            # closing, with all that belongs to it, until the last statement is gone.
            self._cursor.close()
            self._connection.close()
            if self._scrubber is not None:
                self._scrubber.close()
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"the store could not be closed cleanly: {error}") from error


_FULL = "the disk is full (SQLITE_FULL): free some space and send again"
_REOPEN = "nothing more is taken until the store is opened anew, which recovers from disk"


def _measure(job: Commit | Program) -> int:
    """Estimate how many bytes a job adds to the log."""
    if isinstance(job, Program):
        return len(job.source)
    rows = len(job.entries) + len(job.decisions) + len(job.timers_set) + len(job.outbox)
    # Of what is erased each row is on a page of its own, and so is that of each of its indexes.
    gone = job.erased
    entries = len(gone.entries) + len(gone.blanked)
    erased = entries + len(gone.decisions) + len(gone.messages)
    size = _ROW_BYTES * (rows + len(job.snapshots)) + payload_bytes(job)
    return size + erased * PAGE_BYTES


def explain_error(error: sqlite3.Error) -> str:
    """Say what SQLite's error means and what to do about it."""
    name = getattr(error, "sqlite_errorname", "") or "SQLITE_ERROR"
    code = _primary_code(error)
    if _is_full(error):
        return _FULL
    if code in _FATAL_CODES:
        return f"the disk or the file failed ({name}: {error}): {_REOPEN}"
    return f"the commit was refused ({name}: {error})"


def _is_full(error: sqlite3.Error) -> bool:
    """Say whether there was no room: for the file, the log, or the log's index in memory."""
    code = int(getattr(error, "sqlite_errorcode", 0) or 0)
    return code & 0xFF == _FULL_CODE or code == _INDEX_FULL_CODE


def _primary_code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
