"""Reading a store to find damage: the file's structure, the checksums, and the tables in order.

Used by `adapters.verify`, through connections that can neither write nor checkpoint. Everything is
read in portions, each a short read of its own, so that a running server's log can start over
meanwhile; only `freeze` holds one view of the store.
"""

import sqlite3
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from actors.cuts import Scope
from actors.retrace import JournalError
from actors.rows import Entry
from adapters.sqlite.checksums import Value, row_checksum
from adapters.sqlite.schema import FILE_NAME, PAGE_BYTES, migrate, query, reader_uri

PORTION_ROWS = 2_000
_WALK_ROWS = 500
_STRUCTURE_FAULTS_MAX = 10

# What the header of a file of ours says, by place; its other fields change, or carry nothing.
_HEADER_BYTES = 100
_HEADER = {
    0: b"SQLite format 3\0",
    16: PAGE_BYTES.to_bytes(2, "big") + bytes((2, 2, 0, 64, 32, 32)),
    48: bytes(8),
    64: bytes(4),
    72: bytes(20),
}
_HEADER_AT_REST = {44: b"\0\0\0\4", 56: b"\0\0\0\1"}

# The tables that prove themselves: what a row is called, and the values its checksum is over.
_SUMMED = {
    "meta": "SELECT 'name', name, checksum, 0, name, value FROM meta",
    "programs": "SELECT 'id', id, checksum, 0, id, version, at, source FROM programs",
    "identities": (
        "SELECT namespace, value, checksum, 0, namespace, value, customer FROM identities"
    ),
    "tombstones": (
        "SELECT 'identity', hex(identity), checksum, 0, identity, erased_at FROM tombstones"
    ),
    "erasures": (
        "SELECT 'number', number, checksum, 0,"
        " number, asked_at, erased_at, state, entries, scope FROM erasures"
    ),
    "outbox": (
        "SELECT 'message', message_id, checksum, 0,"
        " message_id, state, attempts, detail, code, provider, provider_id FROM outbox"
    ),
    "spending": "SELECT channel, day, checksum, 0, channel, day, micros FROM spending",
    "crossings": ("SELECT segment, at, checksum, 0, segment, at, entered, left FROM crossings"),
    "review": (
        "SELECT 'id', id, checksum, 0,"
        " id, version, cursor, total, looked, changed, began_at, ended_at FROM review"
    ),
    "quarantine": (
        "SELECT 'number', number, checksum, number,"
        " received_at, source, code, path, message, payload FROM quarantine"
    ),
    "acts": "SELECT 'number', number, checksum, number, at, who, act, subject, detail FROM acts",
    "catalogue": "SELECT kind, id, checksum, 0, kind, id, body FROM catalogue",
}


_decode_scope = msgspec.msgpack.Decoder(Scope).decode

# What reading a damaged file raises: even SQLite's words on it may not be text.
DAMAGED = (sqlite3.Error, UnicodeDecodeError)


class Fault(NamedTuple):
    """Damage in a table: which, which of its rows, and what is wrong with it."""

    table: str
    row: str
    message: str


class Snapshot(NamedTuple):
    """A row of `customers`, with whether it is as it was written."""

    seq: int
    body: bytes
    is_whole: bool


class Audit:
    """One connection that reads a store, all of it or the customers of one part."""

    def __init__(self, folder: Path, part: int = 0, parts: int = 1) -> None:
        """Customers are spread over `parts` by their names."""
        self.connection = connect(folder)

        def is_mine(who: object) -> bool:
            if not isinstance(who, bytes):
                return True
            return crc32(who) % parts == part and who not in self._erasing

        self.connection.create_function("is_mine", 1, is_mine)
        self._erasing = self._find_erasing()
        is_all = parts == 1 and not self._erasing
        self._mine = "TRUE" if is_all else "is_mine(CAST(customer AS BLOB))"
        self._versions: dict[int, str] = {}

    def _find_erasing(self) -> frozenset[bytes]:
        """Name the customers of whom something is left because their erasure is under way."""
        try:
            rows = self.connection.execute(query("erasures_open")).fetchall()
            scopes = [_decode_scope(row[-1]) for row in rows if row[-1]]
        except (*DAMAGED, msgspec.MsgspecError, TypeError):
            return frozenset()  # an older format has none; damage is found elsewhere
        return frozenset(name.encode() for scope in scopes for name in scope.chains)

    def is_erased(self, seq: int) -> bool:
        """Say whether an entry has been erased by now."""
        row = self.connection.execute(
            "SELECT 1 FROM journal WHERE seq = ? AND input IS NULL AND customer = ''", (seq,)
        ).fetchone()
        return row is not None

    def last_erasure(self) -> int:
        """Tell the number of the last erasure that was asked for."""
        return int(self.connection.execute(query("erasures_last")).fetchone()[0])

    def erased_count(self) -> int:
        """Count the entries that were erased."""
        sql = (
            "SELECT count(*) FROM journal WHERE input IS NULL AND customer = ''"
            " AND seq > coalesce((SELECT value FROM meta WHERE name = 'retired_seq'), 0)"
        )
        return int(self.connection.execute(sql).fetchone()[0])

    def close(self) -> None:
        """Disconnect."""
        self.connection.close()

    @contextmanager
    def freeze(self) -> Generator[None]:
        """Read one and the same view of the store for a while."""
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("COMMIT")

    def state(self) -> tuple[int, int | None]:
        """Give the last entry, and the one up to which all is in snapshots, if known."""
        last_seq, covered_seq = self.connection.execute(query("state")).fetchone()
        self._versions = dict(self.connection.execute("SELECT id, version FROM programs"))
        return last_seq, covered_seq

    def retired(self) -> dict[str, int]:
        """Tell up to which entry, and until which instants, what was too old was taken away."""
        rows = self.connection.execute(query("retired")).fetchall()
        return {name: value for name, value in rows if isinstance(value, int)}

    def entries(self, after_seq: int, until_seq: int) -> Iterator[Entry]:
        """Give the entries of a range; those whose payload was erased are left out."""
        sql = (
            "SELECT seq, customer, prev, at, program, input, records FROM journal"  # noqa: S608
            f" WHERE seq > ? AND seq <= ? AND input IS NOT NULL AND {self._mine} ORDER BY seq"
        )
        rows = self.connection.execute(sql, (after_seq, until_seq)).fetchall()
        for seq, customer, prev, at, program, given, records in rows:
            if type(customer) is not str:  # the chain has its bytes, whatever they are taken for
                raise JournalError(seq, "whose it is is not a text any more")
            yield Entry(seq, customer, prev, at, self._versions.get(program, ""), given, records)

    def history(self, seq: int) -> list[Entry]:
        """Give the entries of one customer up to one of them, oldest first."""
        found: list[Entry] = []
        while seq:
            rows = self.connection.execute(query("entries"), (seq, _WALK_ROWS)).fetchall()
            if not rows:
                break
            found += [Entry(*row) for row in rows]
            seq = found[-1].prev
        return found[::-1]

    def snapshot(self, customer: str) -> Snapshot | None:
        """Read a snapshot."""
        row = self.connection.execute(
            "SELECT seq, body, checksum FROM customers WHERE customer = ?", (customer,)
        ).fetchone()
        if row is None:
            return None
        seq, body, checksum = row
        return Snapshot(seq, body, _is_whole((customer, seq, body), checksum))

    def snapshot_seqs(self) -> dict[str, Any]:
        """Tell which entry each customer's snapshot covers."""
        return dict(self._all("SELECT customer, seq FROM customers"))

    def timers(self) -> Iterator[tuple[int, str, int, int, int]]:
        """Give all timers."""
        return self._all("SELECT at, customer, timer, seq, place FROM timers")

    def members(self) -> Iterator[tuple[str, str, int]]:
        """Give who is in which segment."""
        return self._all("SELECT segment, customer, since FROM members")

    def stays(self) -> Iterator[tuple[str, int, str, str, int, int]]:
        """Give who is where in which journey."""
        columns = "customer, instance, journey, version, position, entered_at"
        return self._all(f"SELECT {columns} FROM stays")  # noqa: S608 - names of ours

    def has_stays(self) -> bool:
        """Say whether the stays of everybody are there; of a store of before they are not."""
        return bool(self.connection.execute(query("stays_filled")).fetchone() == (1,))

    def failed_ticks(self) -> set[bytes]:
        """Give the timers whose customers failed on them: they are kept in quarantine instead."""
        rows = self.connection.execute(
            "SELECT payload FROM quarantine WHERE source = 'engine/internal'"
        )
        return {payload for (payload,) in rows}

    def measure(self) -> tuple[int, int]:
        """Give how many customers have snapshots, and the bytes of all of these."""
        count, size = self.connection.execute(
            "SELECT count(*), total(length(body)) FROM customers"
        ).fetchone()
        return count, int(size)

    def stream(self, columns: str, table: str) -> "Stream":
        """Give the rows of a table that is only appended to, in order, to be taken one by one."""
        sql = (
            f"SELECT number, {columns} FROM {table}"  # noqa: S608 - names of ours
            f" WHERE number > ? AND {self._mine} ORDER BY number LIMIT {PORTION_ROWS}"
        )
        return Stream(self.connection, sql)

    def _all(self, sql: str) -> Iterator[Any]:
        cursor = self.connection.execute(f"{sql} WHERE {self._mine}")
        while rows := cursor.fetchmany(PORTION_ROWS):
            yield from rows


class Stream:
    """Rows in the order of their `number`, read ahead in portions."""

    def __init__(self, connection: sqlite3.Connection, sql: str) -> None:
        self._connection = connection
        self._sql = sql
        self._number = 0
        self._rows: deque[tuple[Any, ...]] = deque()

    def put_back(self, row: tuple[Any, ...]) -> None:
        """Give a row again that was not the one wanted."""
        self._rows.appendleft((self._number, *row))

    def has_lost(self, row: tuple[Any, ...]) -> bool:
        """Say whether the row that was given last is not there any more, as it was then."""
        sql = self._sql.replace("number > ?", "number = ?")
        return tuple(row) not in [
            tuple(found[1:]) for found in self._connection.execute(sql, (self._number,))
        ]

    def take(self) -> tuple[Any, ...] | None:
        """Give the next row, or None where there is none by now."""
        if not self._rows:
            self._rows.extend(self._connection.execute(self._sql, (self._number,)).fetchall())
        if not self._rows:
            return None
        row = self._rows.popleft()
        self._number = row[0]
        return row[1:]


def connect(folder: Path) -> sqlite3.Connection:
    """Open a store for looking for damage: text that is none any more is read all the same."""
    connection = sqlite3.connect(reader_uri(folder), uri=True, isolation_level=None)
    connection.text_factory = _read_text
    return connection


def _read_text(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def find_structure_faults(connection: sqlite3.Connection, folder: Path) -> Iterator[Fault]:
    """Check the file as SQLite's: header, tables as they were made, pages, indexes."""
    try:
        yield from _find_header_faults(folder)
        yield from _find_schema_faults(connection)
        for (text,) in connection.execute(f"PRAGMA integrity_check({_STRUCTURE_FAULTS_MAX})"):
            if text != "ok":
                yield Fault("file", "", " ".join(str(text).split()))
    except DAMAGED as error:
        yield Fault("file", "", f"SQLite can't read it: {error}")


def _find_header_faults(folder: Path) -> Iterator[Fault]:
    with (folder / FILE_NAME).open("rb") as file:
        header = file.read(_HEADER_BYTES)
    log = folder / f"{FILE_NAME}-wal"
    is_at_rest = not log.exists() or not log.stat().st_size  # else page 1 may be in the log
    expected = _HEADER | _HEADER_AT_REST if is_at_rest else _HEADER
    for place, value in expected.items():
        is_right = header[place : place + len(value)] == value
        if not is_right and (header or is_at_rest):
            yield Fault("file", f"byte {place}", "the header is not that of a store of ours")


def _find_schema_faults(connection: sqlite3.Connection) -> Iterator[Fault]:
    """Compare the tables with those the migrations make."""
    told = "SELECT type, name, tbl_name, sql FROM sqlite_master"
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    fresh = sqlite3.connect(":memory:")
    migrate(fresh, version)
    expected = set(fresh.execute(told).fetchall())
    fresh.close()
    for kind, name, _, _ in sorted(expected ^ set(connection.execute(told)), key=str):
        yield Fault("file", f"{kind} {name}", "it is not as this program makes it")


def find_checksum_faults(connection: sqlite3.Connection) -> Iterator[Fault]:
    """Check the rows that prove themselves, but for snapshots, which are read with the journal."""
    for table, sql in _SUMMED.items():
        try:
            cursor = connection.execute(sql)
            while rows := cursor.fetchmany(PORTION_ROWS):
                for kind, key, checksum, added, *values in rows:
                    if not _is_whole(tuple(values), checksum, added):
                        yield Fault(table, f"{kind} {key!r:.80}", "it is not what was written")
        except DAMAGED as error:
            yield Fault(table, "", f"SQLite can't read it: {error}")


def find_numbering_faults(connection: sqlite3.Connection) -> Iterator[Fault]:
    """Check where SQLite has got to with the numbers of quarantined items."""
    told = connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
    (most,) = connection.execute("SELECT coalesce(max(number), 0) FROM quarantine").fetchone()
    expected = [("quarantine", max(most, seq)) for _, seq in told[:1] if isinstance(seq, int)]
    if told != expected or (most and not told):
        yield Fault("quarantine", "numbering", "the next item could get a number that is taken")
    (count,) = connection.execute("SELECT count(*) FROM acts").fetchone()
    (noted,) = connection.execute(query("acts_noted")).fetchone()
    if count != noted:
        yield Fault("acts", "numbering", f"{count} acts are there, and {noted} were noted")


def _is_whole(values: tuple[Value, ...], checksum: object, added: int = 0) -> bool:
    try:
        return row_checksum(*values) + added == checksum
    except (TypeError, ValueError, OverflowError):
        return False  # not even text, or a number, any more
