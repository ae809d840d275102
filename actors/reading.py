"""Reading one customer: the profile as it is, and the journal as it is on disk.

Called by `actors.runtime` for the gateway. Nothing is made resident for a reader.
"""

import msgspec

from actors.directory import Directory
from actors.ports import Entry, Store
from engine.profile import Profile

_DECODER = msgspec.msgpack.Decoder(Profile)


class Reading:
    """What can be asked about customers."""

    def __init__(self, store: Store, directory: Directory) -> None:
        self._store = store
        self._directory = directory

    async def profile(self, customer: str) -> Profile | None:
        """Read a customer's profile (a copy), or None if there is none."""
        actor = self._directory.find(customer)
        if actor is None or actor.profile is None:
            actor = (await self._directory.recall([customer]))[customer]
            return actor.profile if actor.last_seq else None
        return _DECODER.decode(actor.snapshot_copy()) if actor.last_seq else None

    async def timeline(self, customer: str, before: int | None, limit: int) -> list[Entry]:
        """List a customer's journal entries, newest first; `before` is the seq seen last."""
        if before is not None:
            seen = await self._store.entries(before, 1)
            last_seq = seen[0].prev if seen and seen[0].customer == customer else 0
        else:
            last_seq = self._directory.durable_seq(customer)
            if not last_seq:
                row = (await self._store.load([customer])).get(customer)
                last_seq = row.seq if row else 0
        return await self._store.entries(last_seq, limit) if last_seq else []
