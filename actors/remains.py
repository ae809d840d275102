"""What a journal entry leaves elsewhere, and what goes with it when it is erased.

Used by `actors.erasures` for the entries of whoever is erased, and by `actors.hearsay` for those of
others that tell of them.
"""

import msgspec

from actors.directory import decode_entry
from actors.identity import NOBODY, Link
from actors.ports import Store
from actors.rows import Entry
from engine.events import Input, Unlinked
from engine.records import Called, Decided

PORTION = 100  # entries erased in one commit: each is on a page of its own


class Remains(msgspec.Struct, frozen=True):
    """One entry, by its number; `given` is None where it is damaged: it is erased all the same.

    `given_up` are identities somebody had too many of: nobody has them, and they are known.
    """

    seq: int
    given: Input | None
    decisions: list[str] = []
    messages: list[str] = []
    given_up: list[Link] = []


async def read_chain(
    store: Store, customer: str, last_seq: int, rows: int = PORTION
) -> list[Entry]:
    """Read a portion of a customer's entries, the newest first, from `last_seq` back."""
    entries = await store.entries(last_seq, rows)
    return [entry for entry in entries if entry.customer == customer]


def remains_of(entry: Entry) -> Remains:
    """Say what an entry leaves."""
    try:
        given, records = decode_entry(entry)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Remains(entry.seq, None)
    decided = [record for record in records if isinstance(record, Decided)]
    calls = [record.call_id for record in records if isinstance(record, Called)]
    return Remains(
        entry.seq,
        given,
        [one.decision_id for one in decided],
        [*calls, *(one.message_id for one in decided if one.message_id)],
        _given_up(given),
    )


def _given_up(given: Input) -> list[Link]:
    if isinstance(given, Unlinked) and given.to == NOBODY:
        return [(namespace, value, NOBODY) for namespace, value in given.keys]
    return []
