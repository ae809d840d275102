"""One customer's history: the journal entries of every chain that is theirs, newest first.

Read by the timeline and the export. A customer has a chain of entries; who was merged with others
has theirs too, and the history is all of them, in the order of the journal. A chain is walked
backwards by `prev`, so what is read costs what is shown, however long the journal is.

*Rules*
- Where reading stands is a list of entries to be read next, one for each chain that is not over:
  that is what a cursor holds, and a page begins at once where the one before ended.
- A chain is over at its first entry, at one whose payload is gone, and at one of somebody else.
"""

from collections import deque
from collections.abc import Sequence

from actors.ports import Store
from actors.rows import Entry

_PORTION = 200  # entries read at once, over all chains
_PORTION_MIN = 20  # of one chain


class History:
    """A walk through what is in the journal about one customer."""

    def __init__(self, store: Store, names: Sequence[str], positions: Sequence[int]) -> None:
        """`names` are all this customer goes, and went, by; `positions` where to begin."""
        self._store = store
        self._names = frozenset(names)
        self._chains = [_Chain(seq) for seq in dict.fromkeys(positions) if seq > 0]
        self.begun: set[str] = set()  # whose first entry was read

    async def take(self) -> Entry | None:
        """Give the next entry, or None where there is none any more. Raises StoreError."""
        for chain in self._chains:
            if not chain.ahead and chain.seq:
                await self._read_on(chain)
        latest = max(self._chains, key=_Chain.next_seq, default=None)
        if latest is None or not latest.ahead:
            return None
        entry = latest.ahead.popleft()
        if not entry.prev:
            self.begun.add(entry.customer)
        return entry

    def positions(self) -> list[int]:
        """Tell where to go on; empty at the end."""
        return [seq for chain in self._chains if (seq := chain.next_seq())]

    async def _read_on(self, chain: "_Chain") -> None:
        limit = max(_PORTION_MIN, _PORTION // len(self._chains))
        portion = await self._store.entries(chain.seq, limit)
        chain.seq = portion[-1].prev if portion else 0
        for entry in portion:
            if entry.customer not in self._names:
                chain.seq = 0
                break
            chain.ahead.append(entry)


class _Chain:
    """How far one chain was read: what is at hand, and what follows that."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.ahead: deque[Entry] = deque()

    def next_seq(self) -> int:
        """Tell the entry to be given next, or 0."""
        return self.ahead[0].seq if self.ahead else self.seq
