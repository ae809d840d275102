"""What became of messages, as a store in memory answers it.

A part of `actors.memory`; `adapters.sqlite` says the same in SQL.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from actors.aging import DONE_STATES
from actors.outgoing import CALLS
from actors.rows import LetterQuery, OutboxRow
from engine.effects import Send

DEAD_STATES = ("failed", "expired", "in_doubt")  # done, and as far as we know not there
LOOKBACK_MAX = 200_000  # messages that are looked through for an address
assert set(DEAD_STATES) < set(DONE_STATES)

_decode = msgspec.msgpack.Decoder(Send).decode


class LetterTables(Protocol):
    """The tables these are read from."""

    outbox: dict[str, OutboxRow]
    spent: dict[tuple[int, str], int]


class LetterReads:
    """The reads of a store that are about messages after they were handed on."""

    def letter_tables(self) -> LetterTables:
        """Give the tables; raises StoreError where they are closed."""
        raise NotImplementedError

    async def messages(self, ids: Sequence[str]) -> list[OutboxRow]:
        """Find messages that left, or are to leave, by their ids; unknown ones are left out."""
        outbox = self.letter_tables().outbox
        return [outbox[one] for one in ids if one in outbox]

    async def messages_by_provider(
        self, provider: str, provider_ids: Sequence[str]
    ) -> dict[str, OutboxRow]:
        """Find messages by what a provider calls them; unknown ones are left out."""
        wanted = dict.fromkeys(provider_ids)
        rows = self.letter_tables().outbox.values()
        known = (row for row in rows if row.provider == provider and row.provider_id)
        return {row.provider_id: row for row in known if row.provider_id in wanted}

    async def addressees(self, address: str, channels: Sequence[str]) -> list[str]:
        """Name the customers whom messages went to at an address lately, the latest first."""
        rows = list(self.letter_tables().outbox.values())[-LOOKBACK_MAX:]
        bodies = ((row.customer, row.body) for row in reversed(rows) if row.channel in channels)
        return written_to(bodies, address)

    async def dead_letters(self, query: LetterQuery) -> list[OutboxRow]:
        """List messages that did not arrive as far as we know, newest first."""
        outbox = self.letter_tables().outbox
        rows = list(outbox.values())
        if query.before:
            known = outbox.get(query.before)
            rows = [] if known is None else rows[: rows.index(known)]
        return [row for row in reversed(rows) if _is_asked_for(row, query)][: query.limit]

    async def spending(self, day: int) -> dict[str, int]:
        """Tell what was spent on a day, by channel, in millionths."""
        spent = self.letter_tables().spent
        return {channel: micros for (on, channel), micros in spent.items() if on == day}


def written_to(bodies: Iterable[tuple[str, bytes]], address: str) -> list[str]:
    """Name the customers, once each, whose messages in these rows went to an address."""
    found: dict[str, None] = {}
    for customer, body in bodies:
        try:
            send = _decode(body)
        except msgspec.MsgspecError:
            continue  # a row of another time is of nobody who could be found by it
        if send.address == address:
            found[customer] = None
    return list(found)


def _is_asked_for(row: OutboxRow, query: LetterQuery) -> bool:
    return (
        row.state in DEAD_STATES
        and row.channel != CALLS
        and query.state in ("", row.state)
        and query.channel in ("", row.channel)
        and query.customer in ("", row.customer)
    )
