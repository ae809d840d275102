"""Tamper and rot evidence: every journal row is hashed together with the hash of the row before.

SQLite notices neither a flipped bit in a row nor a damaged write-ahead log, which it silently cuts
off. So the scribe chains the rows, and keeps a marker of the last one in a file of its own; at
start and in `verify_chain` both are compared with what the database holds.
"""

import os
import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import msgspec

from actors.rows import Entry
from adapters.sqlite.schema import query, reader_uri
from engine.errors import StoreError

HEAD_NAME = "head"
GENESIS = bytes(32)  # what the first row is chained to

SEQ_MAX = 2**63 - 1
FETCH_ROWS = 500  # more at once only leave the processor's caches

# seq, customer, prev, at, number of the program, input, records, hash. Text as bytes, for damaged
# text need not be text any more.
ChainRow = tuple[int, bytes, int, int, int, bytes | None, bytes | None, bytes]


class Head(msgspec.Struct, frozen=True):
    """The last journal row that was durable when the marker was written."""

    seq: int
    hash: bytes


def link_hash(before: bytes, entry: Entry) -> bytes:
    """Hash an entry onto the one before; the lengths keep its parts from flowing together."""
    seq, customer, prev, at, program, given, records = entry
    who, under = customer.encode(), program.encode()
    return sha256(
        b"%b%d %d %d %d %d %d %b%b%b%b"
        % (before, seq, prev, at, len(who), len(under), len(given), who, under, given, records)
    ).digest()


def find_break(
    connection: sqlite3.Connection, start: int, before: bytes, stop: int = SEQ_MAX
) -> tuple[int | None, bytes]:
    """Follow the chain after `start`, up to `stop`.

    Gives the first seq that does not fit, and the last hash. A row whose payload was erased can't
    be hashed again; the row after it still proves its hash.
    """
    try:
        versions: dict[int, bytes] = dict(connection.execute(query("version_texts")).fetchall())
    except sqlite3.DatabaseError:
        return start + 1, before
    try:
        return _walk(connection, versions, (start, before), stop, FETCH_ROWS)
    except _PagesError as error:
        # Once more, row by row: of the rows that were fetched together some can be read.
        try:
            return _walk(connection, versions, error.reached, stop, 1)
        except _PagesError as again:
            return again.reached[0] + 1, again.reached[1]


class _PagesError(Exception):
    """The pages after this row are not even SQLite's any more."""

    def __init__(self, reached: tuple[int, bytes]) -> None:
        super().__init__()
        self.reached = reached


def _walk(
    connection: sqlite3.Connection,
    versions: dict[int, bytes],
    reached: tuple[int, bytes],
    stop: int,
    rows_max: int,
) -> tuple[int | None, bytes]:
    """Follow the chain, so many rows at a time. Raises _PagesError."""
    seq, before = reached
    try:
        cursor = connection.execute(query("chain"), (seq, stop))
        while rows := cursor.fetchmany(rows_max):
            broken, before = _follow(rows, versions, before)
            if broken is not None:
                return broken, before
            seq = rows[-1][0]
    except sqlite3.DatabaseError as error:
        raise _PagesError((seq, before)) from error
    return None, before


def _follow(
    rows: list[ChainRow], versions: dict[int, bytes], before: bytes
) -> tuple[int | None, bytes]:
    """Hash rows as `link_hash` does; written out once more because a call costs half as much."""
    seq = 0
    try:
        for seq, who, prev, at, program, given, records, stored in rows:
            if given is not None and records is not None:
                under = versions.get(program, b"")
                size = len(who), len(under), len(given)
                parts = (before, seq, prev, at, *size, who, under, given, records)
                if sha256(b"%b%d %d %d %d %d %d %b%b%b%b" % parts).digest() != stored:
                    return seq, before
            elif who or given is not records:
                return seq, before  # who was erased is erased altogether
            before = stored
    except TypeError:
        return seq, before  # a value is not even of its type any more
    return None, before


def verify_chain(folder: Path) -> int | None:
    """Check a whole journal, also beside a running writer; gives the first bad seq, or None.

    Rows that are missing at the end count as bad: the marker knows how far the journal went.
    """
    head = read_head(folder)
    with closing(sqlite3.connect(reader_uri(folder), uri=True)) as connection:
        broken = check_marker(connection, head)
        if broken is not None:
            return broken
        return find_break(connection, 0, GENESIS)[0]


def verify_range(folder: Path, start: int, stop: int) -> int | None:
    """Check the entries after `start` up to `stop`, as `verify_chain` does.

    The hash of the entry at `start` is believed here; whoever checks the range before proves it.
    """
    with closing(sqlite3.connect(reader_uri(folder), uri=True)) as connection:
        return find_break(connection, start, hash_before(connection, start), stop)[0]


def check_marker(connection: sqlite3.Connection, head: Head | None) -> int | None:
    """Compare a marker with the journal; gives the seq where they part, or None.

    The marker must have been read before anything of the journal.
    """
    if head is None or not head.seq:
        return None
    last_seq, _ = connection.execute(query("state")).fetchone()
    if head.seq > last_seq:
        return int(last_seq) + 1
    return None if _holds(connection, head) else head.seq


def hash_before(connection: sqlite3.Connection, seq: int) -> bytes:
    """Give the hash that the entry after `seq` is chained to."""
    row = connection.execute(query("hash_before"), (seq,)).fetchone()
    return bytes(row[0]) if row else GENESIS


def check_head(connection: sqlite3.Connection, folder: Path) -> Head:
    """Compare a store with its marker when it is opened; gives the true head.

    Raises StoreError with the seq where they part. Hashed again are the rows after the marker, of
    a process that was killed, and those that no snapshot covers, which recovery will fold.
    """
    head = read_head(folder) or Head(0, GENESIS)
    last_seq, covered_seq = connection.execute(query("state")).fetchone()
    if not isinstance(covered_seq, int):
        raise StoreError(
            f"the store in {folder} no longer knows how far its snapshots go (table meta,"
            " covered_seq): restore the data directory from a backup"
        )
    if head.seq > last_seq:
        raise StoreError(
            f"the journal in {folder} ends at {last_seq}, but it had reached {head.seq}: entries"
            f" {last_seq + 1} to {head.seq} were lost; restore the data directory from a backup"
        )
    if head.seq and not _holds(connection, head):
        raise StoreError(_damaged(folder, head.seq))
    start = min(head.seq, covered_seq)
    broken, last = find_break(connection, start, hash_before(connection, start))
    if broken is not None:
        raise StoreError(_damaged(folder, broken))
    return Head(last_seq, last)


def _holds(connection: sqlite3.Connection, head: Head) -> bool:
    stored = connection.execute(query("hash_at"), (head.seq,)).fetchone()
    return stored is not None and stored[0] == head.hash


def _damaged(folder: Path, seq: int) -> str:
    return (
        f"the journal in {folder} is damaged at entry {seq}: it is not what was written;"
        " restore the data directory from a backup"
    )


def read_head(folder: Path) -> Head | None:
    """Read the marker; None where there is none yet. Raises StoreError where it is no marker."""
    path = folder / HEAD_NAME
    try:
        seq, hexadecimal = path.read_text("ascii").split()
        return Head(int(seq), bytes.fromhex(hexadecimal))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StoreError(
            f"{path} is damaged: it should hold a number and a hash; if the journal verifies,"
            " remove the file, and it is written anew"
        ) from error


def write_head(folder: Path, head: Head) -> None:
    """Replace the marker in one step, so that a crash leaves the old one or the new one."""
    fresh = folder / f"{HEAD_NAME}.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, f"{head.seq} {head.hash.hex()}\n".encode("ascii"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(folder / HEAD_NAME)
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
