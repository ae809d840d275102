"""Everything there is about one customer, as one JSON document that is written piece by piece.

Made for answering people who ask what is known of them (GDPR articles 15 and 20). Used by the
gateway's export route and by `nextbeat export` on a data folder.

*Rules*
- Memory is bounded: the history is walked once for each section that comes of it, and written as
  it is read. All walks begin at the same entries, so the sections agree.
- A document that is whole ends with `"complete": true`; one that was cut off is no JSON.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any, cast

import msgspec

from actors.directory import decode_entry
from actors.history import History
from actors.ports import Store
from actors.rows import DecisionQuery, Entry, OutboxRow
from adapters.gateway.readable import customer_view, entry_view, readable
from adapters.inbox import Inbox, InboxMessage
from adapters.masking import Masker
from engine.events import ConsentStatement, Event
from engine.instants import format_instant
from engine.profile import Profile
from engine.program.program import Program
from engine.records import ConsentNoted, Decided, ReceiptNoted, Record
from engine.transcript import decision_object

FORMAT = 1
_PORTION = 200
_PIECE_BYTES = 64 * 1024
_RECEIPTS_MAX = 10_000  # receipts at hand whose message is further back
# Of a profile what is not about the person: what was seen before, as hashes, and copies for speed.
_INTERNAL = frozenset({"seen", "tallies", "timers"})

_decode_decided = msgspec.msgpack.Decoder(Decided).decode
_encode = msgspec.json.Encoder(enc_hook=str).encode
Json = dict[str, Any]


class Dossier:
    """One customer's document in the making."""

    def __init__(
        self,
        store: Store,
        program: Program,
        customer: tuple[Profile, History],
        *,
        now: int,
        inbox: Inbox | None = None,
        masker: Masker | None = None,
    ) -> None:
        """`customer` is the profile, and the history where it begins."""
        self._store = store
        self._program = program
        self._profile, history = customer
        self._names = (self._profile.customer, *self._profile.absorbed)
        self._positions = history.positions()
        self._now = now
        self._inbox = inbox
        self._show: Callable[[object], object] = masker.mask if masker else _as_it_is

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Give the document, in pieces to be written one after the other. Raises StoreError."""
        piece = bytearray()
        async for part in self._parts():
            piece += part
            if len(piece) >= _PIECE_BYTES:
                yield bytes(piece)
                piece.clear()
                await asyncio.sleep(0)  # whoever waits for a decision goes first
        yield bytes(piece)

    async def _parts(self) -> AsyncGenerator[bytes]:
        yield b'{"export":' + self._write(self._heading())
        yield b',\n"profile":' + self._write(
            customer_view(self._profile, self._program, {}, self._now)
        )
        yield b',\n"state":' + self._write(_state(self._profile))
        for name, section in (
            ("consents", self._consents()),
            ("messages", self._messages()),
            ("decisions", self._decisions()),
            ("history", self._entries()),
            ("inbox", self._in_app()),
        ):
            yield b',\n"%b":[' % name.encode()
            comma = b"\n"
            async for item in section:
                yield comma + self._write(item)
                comma = b",\n"
            yield b"]"
        yield b',\n"complete":true}\n'

    def _write(self, value: object) -> bytes:
        return _encode(self._show(value))

    def _heading(self) -> Json:
        return {
            "format": FORMAT,
            "customer": self._profile.customer,
            "also": list(self._names[1:]),
            "at": format_instant(self._now),
            "workspace": self._program.name,
            "program": self._program.version,
        }

    async def _walk(self) -> AsyncIterator[Entry]:
        history = History(self._store, self._names, self._positions)
        while (entry := await history.take()) is not None:
            yield entry

    async def _entries(self) -> AsyncIterator[object]:
        """Give the history: every input with its time and source, and what it led to."""
        async for entry in self._walk():
            view = entry_view(entry)
            records = [_without_trace(record) for record in view.records]
            yield {
                "seq": view.seq,
                "at": view.at,
                "kind": view.kind,
                "name": view.name,
                "customer": view.customer,
                "program": view.program,
                "input": view.input,
                "records": records,
            }

    async def _consents(self) -> AsyncIterator[object]:
        """Give every statement of consent, with what it came with."""
        async for entry in self._walk():
            given, records = _read(entry)
            for said in _statements(given, records):
                yield {**readable(said), "seq": entry.seq, "taken_at": format_instant(entry.at)}

    async def _messages(self) -> AsyncIterator[object]:
        """Give every message that was sent, with its content and what came back about it.

        Newest first what came back is read before the message it speaks of.
        """
        receipts: dict[str, list[Json]] = {}
        sent: list[Decided] = []
        async for entry in self._walk():
            for record in _read(entry)[1]:
                if isinstance(record, ReceiptNoted):
                    receipts.setdefault(record.message_id, []).append(_receipt(record))
                elif isinstance(record, Decided) and record.message_id:
                    sent.append(record)
            while len(receipts) > _RECEIPTS_MAX:
                del receipts[next(iter(receipts))]
            if len(sent) >= _PORTION:
                for message in await self._with_states(sent, receipts):
                    yield message
                sent.clear()
        for message in await self._with_states(sent, receipts):
            yield message

    async def _with_states(
        self, sent: list[Decided], receipts: dict[str, list[Json]]
    ) -> list[object]:
        rows = await self._store.messages([one.message_id for one in sent])
        states = {row.message_id: row for row in rows}
        return [
            _message(one, states.get(one.message_id), receipts.pop(one.message_id, []))
            for one in sent
        ]

    async def _decisions(self) -> AsyncIterator[object]:
        """Give every decision with its trace."""
        for name in self._names:
            query = DecisionQuery(customer=name, limit=_PORTION)
            while True:
                page = await self._store.decisions(query)
                for row in page.rows:
                    yield decision_object(row.customer, _decode_decided(row.body))
                if page.next is None:
                    break
                query = msgspec.structs.replace(query, before=page.next)

    async def _in_app(self) -> AsyncIterator[object]:
        """Give the messages in the customer's inbox."""
        for name in self._names:
            for message in await self._inbox.everything(name) if self._inbox else ():
                yield _in_app(message)


def _as_it_is(value: object) -> object:
    return value


def _read(entry: Entry) -> tuple[object, list[Record]]:
    try:
        return decode_entry(entry)
    except (msgspec.MsgspecError, ValueError, TypeError):
        return None, []  # the history says that it can't be read


def _state(profile: Profile) -> Json:
    """Write down all of a profile that is about the person."""
    state: Json = {}
    for name in profile.__struct_fields__:
        if name not in _INTERNAL:
            state[name] = _plain(getattr(profile, name))
    return state


def _plain(value: object) -> object:
    if isinstance(value, msgspec.Struct):
        return readable(value)
    if isinstance(value, dict):
        known = cast("dict[object, object]", value)
        return {str(key): _plain(item) for key, item in known.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[object]", value)]
    return value


def _statements(given: object, records: list[Record]) -> Iterator[ConsentStatement]:
    if isinstance(given, Event):
        yield from given.consents
    for record in records:
        if isinstance(record, ConsentNoted):
            yield record.statement


def _without_trace(record: Json) -> Json:
    """Name a decision only: it stands in whole among the decisions."""
    if record.get("type") != "decided":
        return record
    return {"type": "decided", "decision_id": record["decision_id"]}


def _receipt(record: ReceiptNoted) -> Json:
    written: Json = {"status": record.status, "at": format_instant(record.at)}
    return {**written, "code": record.code} if record.code else written


def _message(sent: Decided, row: OutboxRow | None, receipts: list[Json]) -> Json:
    return {
        "message_id": sent.message_id,
        "decision_id": sent.decision_id,
        "message": sent.message,
        "at": format_instant(sent.at),
        "channel": sent.channel,
        "purpose": sent.purpose,
        "address": sent.address,
        "content": sent.content,
        "state": None if row is None else row.state,
        "attempts": None if row is None else row.attempts,
        "receipts": receipts,
    }


def _in_app(message: InboxMessage) -> Json:
    return {
        "message_id": message.message_id,
        "channel": message.channel,
        "at": format_instant(message.at),
        "content": message.content,
        "expires_at": _when(message.expires_at),
        "seen_at": _when(message.seen_at),
    }


def _when(at: int | None) -> str | None:
    return None if at is None else format_instant(at)
