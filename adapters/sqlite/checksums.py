"""Checksums of the rows that no journal entry can prove, or not before they must be believed.

Written by `intake` with each row, compared when a snapshot is loaded and by `nextbeat verify`. A
CRC finds every single flipped bit; it is no protection against people, which the hash chain is.
"""

import sqlite3
from zlib import crc32

import msgspec

_encode = msgspec.msgpack.encode

Value = int | str | bytes | None


def row_checksum(*values: Value) -> int:
    """Give the checksum of a row's values; each brings its length and its type along."""
    return crc32(_encode(values))


def register(connection: sqlite3.Connection) -> None:
    """Let SQL on a connection call `row_checksum`: migrations give old rows theirs."""
    connection.create_function("row_checksum", -1, row_checksum, deterministic=True)
