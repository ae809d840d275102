"""Tamper and rot evidence: every journal row is hashed together with the hash of the row before.

SQLite notices neither a flipped bit in a row nor a damaged write-ahead log, which it silently cuts
off. So the scribe chains the rows, and keeps a marker of the last one in a file of its own; at
start and in `verify_chain` both are compared with what the database holds.
"""

import os
import sqlite3
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import msgspec

from actors.ports import Entry
from adapters.sqlite.schema import query, reader_uri
from engine.errors import StoreError

HEAD_NAME = "head"
GENESIS = bytes(32)  # what the first row is chained to

# seq, customer, prev, at, program, input, records, hash: text as bytes, for damaged text need not
# be text any more.
ChainRow = tuple[int, bytes, int, int, bytes | None, bytes | None, bytes | None, bytes]


class Head(msgspec.Struct, frozen=True):
    """The last journal row that was durable when the marker was written."""

    seq: int
    hash: bytes


def link_hash(before: bytes, entry: Entry) -> bytes:
    """Hash an entry onto the one before."""
    seq, customer, prev, at, program, given, records = entry
    return _hash(before, (seq, customer.encode(), prev, at, program.encode(), given, records))


def _hash(before: bytes, row: tuple[int, bytes, int, int, bytes, bytes, bytes]) -> bytes:
    """Hash the parts of a row; their lengths keep them from flowing into each other."""
    seq, who, prev, at, under, given, records = row
    return sha256(
        b"%b%d %d %d %d %d %d %b%b%b%b"
        % (before, seq, prev, at, len(who), len(under), len(given), who, under, given, records)
    ).digest()


def find_break(rows: Iterable[ChainRow], start: int, before: bytes) -> tuple[int | None, bytes]:
    """Follow the chain from `start`; gives the first seq that does not fit, and the last hash.

    A row whose payload was erased can't be hashed again; the row after it still proves its hash.
    """
    seq = start
    try:
        for seq, who, prev, at, under, given, records, stored in rows:
            if given is not None and records is not None:
                row = (seq, who, prev, at, under or b"", given, records)
                if _hash(before, row) != stored:
                    return seq, before
            before = stored
    except TypeError:
        return seq, before  # a value is not even of its type any more
    except sqlite3.DatabaseError:
        return seq + 1, before  # the pages after this row are not even SQLite's any more
    return None, before


def verify_chain(folder: Path) -> int | None:
    """Check a whole journal, also beside a running writer; gives the first bad seq, or None.

    Rows that are missing at the end count as bad: the marker knows how far the journal went.
    """
    head = read_head(folder)
    connection = sqlite3.connect(reader_uri(folder), uri=True)
    try:
        last_seq, _ = connection.execute(query("state")).fetchone()
        if head is not None and head.seq > last_seq:
            return int(last_seq) + 1
        broken, _ = find_break(connection.execute(query("chain"), (0,)), 0, GENESIS)
        if broken is None and head is not None and head.seq and not _holds(connection, head):
            return head.seq
        return broken
    finally:
        connection.close()


def check_head(connection: sqlite3.Connection, folder: Path) -> Head:
    """Compare a store with its marker when it is opened; gives the true head.

    Raises StoreError with the seq where they part. Hashed again are the rows after the marker, of
    a process that was killed, and those that no snapshot covers, which recovery will fold.
    """
    head = read_head(folder) or Head(0, GENESIS)
    last_seq, covered_seq = connection.execute(query("state")).fetchone()
    if head.seq > last_seq:
        raise StoreError(
            f"the journal in {folder} ends at {last_seq}, but it had reached {head.seq}: entries"
            f" {last_seq + 1} to {head.seq} were lost; restore the data directory from a backup"
        )
    if head.seq and not _holds(connection, head):
        raise StoreError(_damaged(folder, head.seq))
    start = min(head.seq, covered_seq)
    before = connection.execute(query("hash_before"), (start,)).fetchone()
    rows = connection.execute(query("chain"), (start,))
    broken, last = find_break(rows, start, before[0] if before else GENESIS)
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
