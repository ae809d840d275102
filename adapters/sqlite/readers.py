"""Reading the store: a few aiosqlite connections that can neither write nor checkpoint.

Used by `SqliteStore`. Beside a busy event loop each row a connection steps to costs a turn of the
interpreter's lock, so the reads on the hot path come as one row of JSON (see `queries.sql`).
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import closing
from pathlib import Path

import aiosqlite
import msgspec

from actors.aging import is_sent_before
from actors.letters import LOOKBACK_MAX, written_to
from actors.rows import (
    ActQuery,
    ActRow,
    CatalogueRow,
    CrossingsRow,
    Cutoffs,
    DecisionQuery,
    DecisionRow,
    Entry,
    ErasureRow,
    Graves,
    LetterQuery,
    MemberRow,
    Mentioning,
    OutboxRow,
    Page,
    QuarantineRow,
    Remembering,
    Retired,
    ReviewRow,
    SnapshotRow,
    StayCount,
    StayRow,
    StoreState,
    TimerRow,
)
from adapters.sqlite.checksums import row_checksum
from adapters.sqlite.schema import FILE_NAME, FORMAT, query, reader_uri, recognise
from engine.errors import StoreError

READERS = 2
TAIL_ROWS = 5_000
LOAD_ROWS = 500  # snapshots in one answer, so that a few large ones do not fill the memory
_INTEGER_MAX = 2**63 - 1

Parameter = int | str | bytes | None

_DECISION_INDEXES = {
    "reason": "decisions_by_reason",
    "journey": "decisions_by_journey",
    "customer": "decisions_by_customer",
}
# The cursor is a row; rows are in order of time. Should the row be gone, its neighbour stands in.
_BEFORE = """(at, number) < (
    (SELECT at FROM decisions WHERE number <= ? ORDER BY number DESC LIMIT 1), ?)"""

_encode = msgspec.json.encode
_decode_snapshots = msgspec.json.Decoder(list[tuple[str, int, str, int]]).decode
_decode_timers = msgspec.json.Decoder(list[TimerRow]).decode
_decode_mentions = msgspec.json.Decoder(dict[str, int]).decode
_decode_names = msgspec.json.Decoder(list[str]).decode
_decode_links = msgspec.json.Decoder(list[tuple[str, str, str]]).decode


def check_format(folder: Path) -> None:
    """Refuse a store that this program can't read, in the words of the one that writes.

    Raises StoreError. A reader would otherwise make what it can of a format it does not know.
    """
    version = read_format(folder)
    if version < FORMAT:
        raise StoreError(
            f"{folder / FILE_NAME} has the older format {version}: start the server on it once,"
            f" which brings it to format {FORMAT}"
        )


def read_format(folder: Path) -> int:
    """Give the version of a store's format. Raises StoreError where it is newer than ours."""
    try:
        with closing(sqlite3.connect(reader_uri(folder), uri=True)) as connection:
            return recognise(connection, folder / FILE_NAME)
    except sqlite3.Error as error:
        raise StoreError(f"{folder / FILE_NAME} can't be read: {error}") from error


class Readers:
    """A small pool of reading connections on one file."""

    def __init__(self, folder: Path) -> None:
        self._uri = reader_uri(folder)
        self._all: list[aiosqlite.Connection] = []
        self._free: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()

    async def open(self) -> None:
        """Connect; raises StoreError where there is nothing to read."""
        try:
            for _ in range(READERS):
                connection = await aiosqlite.connect(self._uri, uri=True, isolation_level=None)
                self._all.append(connection)
                self._free.put_nowait(connection)
                await connection.execute_fetchall("PRAGMA query_only = ON")
                await connection.execute_fetchall("PRAGMA cache_size = -8192")
                await connection.execute_fetchall(query("state"))
        except sqlite3.Error as error:
            await self.close()
            raise StoreError(f"there is no store to read at {self._uri}: {error}") from error

    async def close(self) -> None:
        """Disconnect, once reads in progress and those that wait have ended."""
        everyone, self._all = self._all, []
        for _ in everyone:
            connection = await self._free.get()
            await connection.close()

    async def rows(self, sql: str, parameters: Sequence[Parameter]) -> list[sqlite3.Row]:
        """Run one query on whichever connection is free. Raises StoreError."""
        if not self._all:
            raise StoreError("the store is closed")
        connection = await self._free.get()
        try:
            return list(await connection.execute_fetchall(sql, parameters))
        except (sqlite3.Error, ValueError) as error:
            raise StoreError(f"the store could not be read: {error}") from error
        finally:
            self._free.put_nowait(connection)

    async def state(self) -> StoreState:
        """Tell where the store stands now."""
        rows = await self.rows(query("state"), ())
        return StoreState(rows[0][0], rows[0][1])

    async def load(self, customers: Sequence[str]) -> dict[str, SnapshotRow]:
        """Read snapshots; customers without one are left out."""
        found: dict[str, SnapshotRow] = {}
        for start in range(0, len(customers), LOAD_ROWS):
            wanted = _encode(customers[start : start + LOAD_ROWS]).decode()
            text = (await self.rows(query("load"), (wanted,)))[0][0]
            for customer, seq, hexadecimal, checksum in _decode_snapshots(text):
                body = bytes.fromhex(hexadecimal)
                is_whole = row_checksum(customer, seq, body) == checksum
                found[customer] = SnapshotRow(customer, seq, body if is_whole else b"")
        return found

    async def timers(self, after_at: int, until_at: int, limit: int) -> list[TimerRow]:
        """List timers due after `after_at`, up to and with `until_at`."""
        text = (await self.rows(query("timers"), (after_at, until_at, limit)))[0][0]
        return _decode_timers(text)

    async def resolve(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Find the customers of identities."""
        if not keys:
            return {}
        text = (await self.rows(query("resolve"), (_encode(keys).decode(),)))[0][0]
        return {(namespace, value): who for namespace, value, who in _decode_links(text)}

    async def outbox_open(self) -> list[OutboxRow]:
        """List messages that are not done, in order of storing."""
        return [OutboxRow(*row) for row in await self.rows(query("outbox_open"), ())]

    async def tail(self, after_seq: int) -> AsyncIterator[list[Entry]]:
        """Give the entries after a seq, in portions."""
        while True:
            portion = _entries(await self.rows(query("tail"), (after_seq, TAIL_ROWS)))
            if not portion:
                return
            yield portion
            after_seq = portion[-1].seq

    async def entries(self, last_seq: int, limit: int) -> list[Entry]:
        """Walk one customer's entries backwards."""
        return _entries(await self.rows(query("entries"), (last_seq, limit)))

    async def mentioning(self, names: Collection[str], after_seq: int) -> Mentioning:
        """Look for names in the next entries that are about who is who."""
        wanted = _encode(list(names)).decode()
        rows = await self.rows(query("mentioning"), (after_seq, wanted, TAIL_ROWS))
        return Mentioning(_decode_mentions(rows[0][1]), rows[0][0])

    async def remembering(self, names: Collection[str], after: str) -> Remembering:
        """Look for names in the next snapshots."""
        wanted = _encode(list(names)).decode()
        rows = await self.rows(query("remembering"), (after, wanted, TAIL_ROWS))
        return Remembering(_decode_names(rows[0][1]), rows[0][0])

    async def decision(self, decision_id: str) -> DecisionRow | None:
        """Find a decision by its id."""
        rows = await self.rows(query("decision"), (decision_id,))
        return DecisionRow(*rows[0]) if rows else None

    async def decisions(self, wanted: DecisionQuery) -> Page:
        """List decisions, newest first."""
        rows = await self.rows(*_select_decisions(wanted))
        shown = rows[: wanted.limit]
        more = len(rows) > wanted.limit and bool(shown)
        return Page([DecisionRow(*row[:-1]) for row in shown], shown[-1][-1] if more else None)

    async def quarantine(self, before: int | None, limit: int) -> list[QuarantineRow]:
        """List quarantined items, newest first."""
        below = _INTEGER_MAX if before is None else before
        return [QuarantineRow(*row) for row in await self.rows(query("quarantine"), (below, limit))]

    async def customers(self, after: str, limit: int) -> list[str]:
        """List customers who have snapshots, in the order of their ids."""
        return [row[0] for row in await self.rows(query("customers"), (after, limit))]

    async def customer_count(self) -> int:
        """Count the customers who have snapshots."""
        return int((await self.rows(query("customer_count"), ()))[0][0])

    async def segment_sizes(self) -> dict[str, int]:
        """Count who is in each segment."""
        return {row[0]: row[1] for row in await self.rows(query("segment_sizes"), ())}

    async def members(self, segment: str, after: str, limit: int) -> list[MemberRow]:
        """List who is in a segment, in the order of their ids."""
        rows = await self.rows(query("members"), (segment, after, limit))
        return [MemberRow(*row) for row in rows]

    async def crossings(self, since_at: int) -> list[CrossingsRow]:
        """Count who came into segments and left them, from an instant on."""
        return [CrossingsRow(*row) for row in await self.rows(query("crossings"), (since_at,))]

    async def stays_filled(self) -> bool:
        """Say whether the store has the stays of everybody; one of an older format has not."""
        return (await self.rows(query("stays_filled"), ())) == [(1,)]

    async def stay_counts(self) -> list[StayCount]:
        """Count who is where in which journey, by journey, version and position."""
        return [StayCount(*row) for row in await self.rows(query("stay_counts"), ())]

    async def journey_sizes(self) -> dict[str, int]:
        """Count the customers who are in each journey; those with nobody in them are left out."""
        return {row[0]: row[1] for row in await self.rows(query("journey_sizes"), ())}

    async def stays(self, journey: str, after: tuple[str, int], limit: int) -> list[StayRow]:
        """List who is in a journey from behind (customer, instance) on, in that order."""
        rows = await self.rows(query("stays"), (*after, journey, limit))
        return [StayRow(*row) for row in rows]

    async def review(self) -> ReviewRow | None:
        """Tell how far the customers were looked at since the segments changed."""
        rows = await self.rows(query("review"), ())
        return ReviewRow(*rows[0]) if rows else None

    async def old(self, cutoffs: Cutoffs, limit: int) -> Retired:
        """Find what is too old, at most so many rows of each kind."""
        seq = (await self._old("old_entries", cutoffs.events_at, limit) or [0])[0]
        return Retired(
            seq=seq or 0,
            events_at=cutoffs.events_at or 0,
            decisions=await self._old("old_decisions", cutoffs.decisions_at, limit),
            decisions_at=cutoffs.decisions_at or 0,
            messages=await self._old_messages(cutoffs.outbox_at, limit),
            outbox_at=cutoffs.outbox_at or 0,
            quarantined=await self._old("old_quarantine", cutoffs.quarantine_at, limit),
        )

    async def _old(self, name: str, before_at: int | None, limit: int) -> list[int]:
        if before_at is None:
            return []
        return [row[0] for row in await self.rows(query(name), (before_at, limit))]

    async def _old_messages(self, before_at: int | None, limit: int) -> list[str]:
        if before_at is None:
            return []
        rows = await self.rows(query("old_messages"), (limit,))
        return [row[0] for row in rows if is_sent_before(row[1], before_at)]

    async def messages(self, ids: Sequence[str]) -> list[OutboxRow]:
        """Find messages that left, or are to leave, by their ids."""
        rows = await self.rows(query("messages"), (_encode(ids).decode(),)) if ids else ()
        return [OutboxRow(*row) for row in rows]

    async def messages_by_provider(
        self, provider: str, provider_ids: Sequence[str]
    ) -> dict[str, OutboxRow]:
        """Find messages by what a provider calls them."""
        names = _encode(list(provider_ids)).decode()
        rows = await self.rows(query("messages_by_provider"), (provider, names))
        return {row[-1]: OutboxRow(*row) for row in rows}

    async def addressees(self, address: str, channels: Sequence[str]) -> list[str]:
        """Name the customers whom messages went to at an address lately, the latest first."""
        names = _encode(list(channels)).decode()
        rows = await self.rows(query("addressees"), (address, names, LOOKBACK_MAX))
        return written_to(((row[0], row[1]) for row in rows), address)

    async def dead_letters(self, wanted: LetterQuery) -> list[OutboxRow]:
        """List messages that did not arrive as far as we know, newest first."""
        parameters = (wanted.state, wanted.channel, wanted.customer, wanted.before, wanted.limit)
        return [OutboxRow(*row) for row in await self.rows(query("dead_letters"), parameters)]

    async def spending(self, day: int) -> dict[str, int]:
        """Tell what was spent on a day, by channel, in millionths."""
        return {row[0]: row[1] for row in await self.rows(query("spending"), (day,))}

    async def acts(self, wanted: ActQuery) -> list[ActRow]:
        """List administrative acts, newest first."""
        return [ActRow(*row) for row in await self.rows(*_select_acts(wanted))]

    async def catalogue(
        self, after: tuple[str, str], limit: int, *, kind: str = ""
    ) -> list[CatalogueRow]:
        """List items of the catalogue after a (kind, id); of one kind if named."""
        if not kind:
            rows = await self.rows(query("catalogue"), (*after, limit))
        else:
            since = after[1] if after[0] == kind else ""
            rows = (
                []
                if after[0] > kind
                else (await self.rows(query("catalogue_of"), (kind, since, limit)))
            )
        return [_item(*row) for row in rows]

    async def graves(self) -> Graves:
        """Read who was erased, by hashes, and who is being erased."""
        salt = await self.rows(query("salt"), ())
        stones = await self.rows(query("tombstones"), ())
        last = await self.rows(query("erasures_last"), ())
        unfinished = await self.rows(query("erasures_open"), ())
        return Graves(
            salt[0][0],
            [(row[0], row[1]) for row in stones],
            last[0][0],
            [ErasureRow(*row) for row in unfinished],
        )

    async def erasure(self, number: int) -> ErasureRow | None:
        """Find an erasure by its number."""
        rows = await self.rows(query("erasure"), (number,))
        return ErasureRow(*rows[0]) if rows else None

    async def links_of(self, customer: str) -> list[tuple[str, str]]:
        """List the identities that belong to a customer."""
        return [(row[0], row[1]) for row in await self.rows(query("links_of"), (customer,))]

    async def programs(self) -> list[tuple[str, int, bytes]]:
        """List the workspaces that were in force."""
        return [(row[0], row[1], row[2]) for row in await self.rows(query("programs"), ())]


def _item(kind: bytes, item: bytes, body: object, checksum: object) -> CatalogueRow:
    """Make the row of an item; of one that is damaged neither types nor texts are sure."""
    texts = kind.decode(errors="replace"), item.decode(errors="replace")
    if isinstance(body, bytes) and row_checksum(*texts, body) == checksum:
        return CatalogueRow(*texts, body)
    return CatalogueRow(*texts, b"")


def _entries(rows: Iterable[sqlite3.Row]) -> list[Entry]:
    return [Entry(*row) for row in rows]


def _select_decisions(wanted: DecisionQuery) -> tuple[str, list[Parameter]]:
    """Write the query for a page, on the index that narrows it most; one row more than asked."""
    filters: list[str] = []
    parameters: list[Parameter] = []
    index = "decisions_by_time"
    for column in ("outcome", "reason", "journey", "customer"):
        value: str = getattr(wanted, column)
        if value:
            filters.append(f"{column} = ?")
            parameters.append(value)
            index = _DECISION_INDEXES.get(column, index)
    if wanted.since_at is not None:
        filters.append("at >= ?")
        parameters.append(wanted.since_at)
    if wanted.until_at is not None:
        filters.append("at < ?")
        parameters.append(wanted.until_at)
    if wanted.before is not None:
        filters.append(_BEFORE)
        parameters += [wanted.before, wanted.before]
    parameters.append(wanted.limit + 1)
    where = " AND ".join(filters) or "TRUE"
    return query("decisions").format(index=index, filters=where), parameters


def _select_acts(wanted: ActQuery) -> tuple[str, list[Parameter]]:
    """Write the query for acts. There are few: only those of one subject have an index."""
    filters = ["number < ?"]
    parameters: list[Parameter] = [_INTEGER_MAX if wanted.before is None else wanted.before]
    for column in ("who", "act", "subject"):
        value: str = getattr(wanted, column)
        if value:
            filters.append(f"{column} = ?")
            parameters.append(value)
    if wanted.since_at is not None:
        filters.append("at >= ?")
        parameters.append(wanted.since_at)
    if wanted.until_at is not None:
        filters.append("at <= ?")
        parameters.append(wanted.until_at)
    parameters.append(wanted.limit)
    return query("acts").format(filters=" AND ".join(filters)), parameters
