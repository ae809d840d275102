"""In-app messages that wait for a customer's app to fetch them: a small SQLite file of its own.

The inbox channel puts messages in, the gateway's inbox routes read them and note what people did
with them; both share one `Inbox`. It has one connection, so nobody else writes or checkpoints.

Rules
- `put` returns when the message is on disk; messages that arrive together share one commit.
- A message id is kept once, however often it is put.
- A customer has at most `INBOX_KEEP_MAX` messages; the oldest make room for new ones.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import aiosqlite
import msgspec

from adapters.scrub import Scrubber
from engine.errors import OverloadError, StoreError
from engine.limits import INBOX_KEEP_MAX, INBOX_PAGE_MAX, INBOX_SOCKETS_MAX
from engine.program.program import Program

_VERSION = 1
_PAGE_BYTES = 4_096
_PRAGMAS = (
    f"PRAGMA page_size = {_PAGE_BYTES}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
)
_SCHEMA = """
CREATE TABLE inbox (
    number       INTEGER PRIMARY KEY AUTOINCREMENT, -- the cursor of readers: never used twice
    message_id   TEXT NOT NULL UNIQUE,
    customer     TEXT NOT NULL,
    channel      TEXT NOT NULL,
    at           INTEGER NOT NULL,
    content      BLOB NOT NULL,
    expires_at   INTEGER,
    seen_at      INTEGER,
    dismissed_at INTEGER
);
CREATE INDEX inbox_by_customer ON inbox (customer, number);
PRAGMA user_version = 1;
"""
_COLUMNS = "number, message_id, customer, channel, at, content, expires_at, seen_at"
_INSERT = """
INSERT INTO inbox (message_id, customer, channel, at, content, expires_at)
VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (message_id) DO NOTHING
"""
_PRUNE = """
DELETE FROM inbox WHERE customer = ? AND number <= (
    SELECT number FROM inbox WHERE customer = ? ORDER BY number DESC LIMIT 1 OFFSET ?
)
"""
_LIST = f"""
SELECT {_COLUMNS} FROM inbox
WHERE customer IN (SELECT value FROM json_each(?)) AND number > ? AND dismissed_at IS NULL
  AND (expires_at IS NULL OR expires_at > ?)
  AND (channel IN (SELECT value FROM json_each(?))) = ?
ORDER BY number LIMIT ?
"""  # noqa: S608 - the column names above
_UNSEEN = """
SELECT channel, count(*) FROM inbox
WHERE customer IN (SELECT value FROM json_each(?)) AND seen_at IS NULL AND dismissed_at IS NULL
  AND (expires_at IS NULL OR expires_at > ?)
  AND (channel IN (SELECT value FROM json_each(?))) = ?
GROUP BY channel ORDER BY channel
"""
_NEW = f"SELECT {_COLUMNS} FROM inbox WHERE number > ? ORDER BY number"  # noqa: S608 - see above
_ALL = f"SELECT {_COLUMNS} FROM inbox WHERE customer = ? ORDER BY number"  # noqa: S608 - see above
_OLD = """
SELECT number FROM (SELECT number, at FROM inbox ORDER BY number LIMIT ?)
WHERE at < ? ORDER BY number
"""
_FORGET = "DELETE FROM inbox WHERE number <= ? AND at < ?"
_ERASE = "DELETE FROM inbox WHERE {} IN (SELECT value FROM json_each(?))"
_COLUMN_PLACES = {"message_id": 0, "customer": 1}  # in `_Values`
_FIND = f"SELECT {_COLUMNS} FROM inbox WHERE message_id = ?"  # noqa: S608 - see above
_SEE = """
UPDATE inbox SET seen_at = coalesce(seen_at, ?), dismissed_at = coalesce(dismissed_at, ?)
WHERE number = ?
"""


class InboxMessage(msgspec.Struct, frozen=True):
    """One message in a customer's inbox. `number` grows with each; 0 until it is stored."""

    number: int
    message_id: str
    customer: str
    channel: str
    at: int
    content: dict[str, str]
    expires_at: int | None = None
    seen_at: int | None = None


class Shelf(msgspec.Struct, frozen=True):
    """Which channels' messages are meant: those of these names, or all but those."""

    names: tuple[str, ...] = ()
    is_listed: bool = False

    def holds(self, channel: str) -> bool:
        """Say whether a channel's messages are meant."""
        return (channel in self.names) is self.is_listed


EVERYTHING = Shelf()
DESK = "desk"  # the adapter of messages that are for whoever serves the customer


def desk_shelf(program: Program) -> Shelf:
    """Name what waits for whoever serves a customer."""
    channels = program.channels.values()
    names = tuple(channel.name for channel in channels if channel.adapter == DESK)
    return Shelf(names, is_listed=True)


def app_shelf(program: Program) -> Shelf:
    """Name what waits for customers themselves: all else."""
    return Shelf(desk_shelf(program).names)


Listener = Callable[[InboxMessage], None]
_Values = tuple[str, str, str, int, bytes, int | None]
_Row = tuple[int, str, str, str, int, bytes, int | None, int | None]


def tell_time() -> int:
    """Tell the present by the machine's clock, in epoch ms."""
    return time.time_ns() // 1_000_000


class Inbox:
    """All customers' in-app messages of one shard."""

    def __init__(self, path: Path | None, present: Callable[[], int] = tell_time) -> None:
        """Take the file, None for memory only, and the present in epoch ms."""
        self._path = path
        self._present = present
        self._db: aiosqlite.Connection | None = None
        self._users = 0
        self._waiting: list[tuple[_Values, asyncio.Future[None]]] = []
        self._flusher: asyncio.Task[None] | None = None
        self._listeners: dict[str, list[Listener]] = {}
        self._storing = asyncio.Lock()
        self._scrubber: Scrubber | None = None

    async def open(self) -> None:
        """Open the file. Several channels share it: each `open` needs its `close`."""
        self._users += 1
        if self._users > 1:
            return
        try:
            if self._path is not None:
                # It holds what people were told, so it is readable by its owner only. SQLite gives
                # the files of its log the mode of the file they belong to.
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = await aiosqlite.connect(":memory:" if self._path is None else self._path)
            for pragma in _PRAGMAS:
                await self._db.execute(pragma)
            await self._db.create_function(  # pyright: ignore[reportUnknownMemberType]
                "scrub", 0, self._scrub
            )
            await self._migrate()
        except (OSError, sqlite3.Error) as error:
            await self.close()
            raise StoreError(f"{self._path} can't be opened: {error}") from error
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the file when the last one who opened it is done; what was put is on disk."""
        self._users -= 1
        if self._users > 0 or self._db is None:
            return
        if self._flusher is not None:
            await self._flusher
        await self._db.close()
        self._db = None
        if self._scrubber is not None:
            self._scrubber.close()
            self._scrubber = None

    async def put(self, message: InboxMessage) -> None:
        """Store a message. Raises StoreError, having stored nothing of it.

        What can't be written at all raises ValueError here, so that it can't spoil the commit it
        would have shared with others.
        """
        values = _values(message)
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((values, done))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        await done

    async def page(
        self, names: Sequence[str], after: int, limit: int, shelf: Shelf = EVERYTHING
    ) -> list[InboxMessage]:
        """Give a customer's messages numbered beyond `after`, oldest first, none expired.

        `names` are all the customer goes, and went, by: a message stays under the one it came for.
        Raises StoreError where the file can't be read.
        """
        limit = max(1, min(limit, INBOX_PAGE_MAX))
        values = (_listed(names), after, self._present(), *_values_of(shelf), limit)
        return [_message(row) for row in await self._select(_LIST, values)]

    async def unseen(self, names: Sequence[str], shelf: Shelf = EVERYTHING) -> dict[str, int]:
        """Count what a customer has not seen, by channel. Raises StoreError."""
        values = (_listed(names), self._present(), *_values_of(shelf))
        counts: list[tuple[str, int]] = await self._fetch(_UNSEEN, values)
        return dict(counts)

    async def everything(self, customer: str) -> list[InboxMessage]:
        """Give all that is kept of a customer's, oldest first, expired and put away alike.

        There are at most `INBOX_KEEP_MAX`. Raises StoreError where the file can't be read.
        """
        return [_message(row) for row in await self._select(_ALL, (customer,))]

    async def forget(self, before_at: int, limit: int) -> int:
        """Remove messages from before an instant, at most so many; tells how many there were.

        Raises StoreError where the file can't be written.
        """
        rows = await self._select(_OLD, (limit, before_at))
        if rows:
            await self._write(_FORGET, (rows[-1][0], before_at))
        return len(rows)

    async def note(
        self,
        names: Sequence[str],
        message_id: str,
        *,
        is_dismissed: bool,
        shelf: Shelf = EVERYTHING,
    ) -> InboxMessage | None:
        """Note that a customer saw a message, or put it away; None if they never got it."""
        found = [_message(row) for row in await self._select(_FIND, (message_id,))]
        if not found or found[0].customer not in names or not shelf.holds(found[0].channel):
            return None
        message, now = found[0], self._present()
        await self._write(_SEE, (now, now if is_dismissed else None, message.number))
        return message

    async def erase(self, customer: str) -> None:
        """Remove everything of a customer, so that no trace is left in the files.

        Raises StoreError; what is said of the traces is that somebody reads the file for long.
        """
        await self._erase("customer", (customer,))

    async def erase_messages(self, message_ids: Collection[str]) -> None:
        """Remove some messages, as `erase` does. Raises StoreError."""
        await self._erase("message_id", tuple(message_ids))

    async def _erase(self, column: str, values: tuple[str, ...]) -> None:
        if self._db is None and (self._path is None or not self._path.exists()):
            return
        await self.open()
        try:
            async with self._storing:
                self._give_up(_COLUMN_PLACES[column], values)
                listed = msgspec.json.encode(values).decode()
                await self._write(_ERASE.format(column), (listed,))
            await self._cleanse()
        finally:
            await self.close()

    def _give_up(self, place: int, values: tuple[str, ...]) -> None:
        """Take back what waits to be stored and has one of these values in a column."""
        for row, done in self._waiting:
            if row[place] in values and not done.done():
                done.set_exception(StoreError("whom it was for has been erased"))
        self._waiting = [waiting for waiting in self._waiting if waiting[0][place] not in values]

    async def _cleanse(self) -> None:
        held_up = (await self._select("PRAGMA wal_checkpoint(TRUNCATE)", ()))[0][0]
        if held_up:
            raise StoreError("somebody reads the inbox for long: what is erased stays in its log")
        if self._path is not None:
            await self._select("PRAGMA shrink_memory", ())
            # A function of SQL, because it runs where nothing else uses the connection meanwhile.
            await self._select("SELECT scrub()", ())

    def _scrub(self) -> int:
        assert self._path is not None
        if self._scrubber is None:
            self._scrubber = Scrubber(self._path, _PAGE_BYTES)
        self._scrubber.clean(1, self._scrubber.pages())
        return self._scrubber.cleaned

    def subscribe(self, names: Sequence[str], listener: Listener) -> Callable[[], None]:
        """Call `listener` with each new message of a customer; gives the way to stop it.

        `names` are those of `page`. Raises OverloadError where the customer has too many open
        already.
        """
        if any(self.listener_count(name) >= INBOX_SOCKETS_MAX for name in names):
            message = f"a customer can listen {INBOX_SOCKETS_MAX} times at once"
            raise OverloadError(message, retry_after_s=10)
        for name in names:
            self._listeners.setdefault(name, []).append(listener)

        def stop() -> None:
            for name in names:
                listeners = self._listeners[name]
                listeners.remove(listener)
                if not listeners:
                    del self._listeners[name]

        return stop

    def listener_count(self, customer: str) -> int:
        """Count who listens for a customer's messages."""
        return len(self._listeners.get(customer, ()))

    async def _migrate(self) -> None:
        version = (await self._select("PRAGMA user_version", ()))[0][0]
        if version > _VERSION:
            message = (
                f"{self._path} is of version {version} and this program knows {_VERSION}: "
                "use the program that wrote it, or a newer one"
            )
            raise StoreError(message)
        if version < _VERSION:
            await self._connection().executescript(_SCHEMA)

    async def _flush(self) -> None:
        """Store all that waits, one commit after the other, until nothing does."""
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                async with self._storing:
                    stored = await self._store([values for values, _ in batch])
            except (aiosqlite.Error, StoreError) as error:
                for _, done in batch:
                    if not done.done():
                        done.set_exception(StoreError(f"the inbox could not be written: {error}"))
                continue
            for _, done in batch:
                if not done.done():
                    done.set_result(None)
            for message in stored:
                for listener in tuple(self._listeners.get(message.customer, ())):
                    listener(message)

    async def _store(self, batch: Sequence[_Values]) -> Sequence[InboxMessage]:
        """Commit messages together; gives those that were new, where anybody listens."""
        db = self._connection()
        before = (await self._select("SELECT coalesce(max(number), 0) FROM inbox", ()))[0][0]
        try:
            await db.executemany(_INSERT, batch)
            customers = dict.fromkeys(values[1] for values in batch)
            await db.executemany(_PRUNE, [(name, name, INBOX_KEEP_MAX) for name in customers])
            await db.commit()
        except aiosqlite.Error:
            await db.rollback()
            raise
        if not self._listeners:
            return ()
        return [_message(row) for row in await self._select(_NEW, (before,))]

    async def _select(self, sql: str, values: Sequence[object]) -> list[_Row]:
        rows: list[_Row] = await self._fetch(sql, values)
        return rows

    async def _fetch(self, sql: str, values: Sequence[object]) -> list[Any]:
        try:
            async with self._connection().execute(sql, values) as cursor:
                return [tuple(row) for row in await cursor.fetchall()]
        except aiosqlite.Error as error:
            raise StoreError(f"the inbox could not be read: {error}") from error

    async def _write(self, sql: str, values: Sequence[object]) -> None:
        db = self._connection()
        try:
            await db.execute(sql, values)
            await db.commit()
        except aiosqlite.Error as error:
            await db.rollback()
            raise StoreError(f"the inbox could not be written: {error}") from error

    def _connection(self) -> aiosqlite.Connection:
        assert self._db is not None, "open() comes before everything else"
        return self._db


def _listed(names: Sequence[str]) -> str:
    return msgspec.json.encode(names).decode()


def _values_of(shelf: Shelf) -> tuple[str, bool]:
    return _listed(shelf.names), shelf.is_listed


def _values(message: InboxMessage) -> _Values:
    content = msgspec.json.encode(message.content)
    for text in (message.message_id, message.customer, message.channel):
        text.encode()  # lone surrogates can't be stored
    return (
        message.message_id,
        message.customer,
        message.channel,
        message.at,
        content,
        message.expires_at,
    )


def _message(row: _Row) -> InboxMessage:
    number, message_id, customer, channel, at, content, expires_at, seen_at = row
    said = msgspec.json.decode(content, type=dict[str, str])
    return InboxMessage(number, message_id, customer, channel, at, said, expires_at, seen_at)
