"""Several customers stopped at once, for whoever must have them to themselves.

Made by `actors.erasures` and `actors.partings` for each thing they do, which is one at a time.

*Rules*
- Who was stopped is let go again, also where stopping the next one failed or nobody waits any more.
- A move from the next to one who is stopped already would never end: it is ended.
"""

import asyncio
from collections.abc import Collection

from actors.carrier import Carrier, Floor
from actors.customer import Customer, Halt

_PAUSE_S = 0.01


class Halting:
    """Who was stopped, and who is about to be."""

    def __init__(self, floor: Floor, carrier: Carrier) -> None:
        self._floor = floor
        self._carrier = carrier
        self._halts: list[Halt] = []
        self.actors: dict[str, Customer] = {}  # by name, in the order in which they stopped

    async def stop(self, customer: str) -> Customer:
        """Stop a customer behind all that waits in their mailbox. Raises StoreError."""
        halt = Halt()
        self._halts.append(halt)
        self._floor.post(customer, halt)
        while not halt.there.done():
            self._carrier.end_moves_to(self.actors)
            await asyncio.wait([halt.there], timeout=_PAUSE_S)
        actor = self.actors[customer] = halt.there.result()
        return actor

    def let_go(self, kept: Collection[str] = ()) -> None:
        """Have everybody go on, but for those who are kept."""
        for halt in self._halts:
            actor = halt.end()
            if actor is not None and actor.id not in kept:
                actor.is_stopped = False
                self._floor.schedule(actor)
