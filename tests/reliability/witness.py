"""What can be told of a data folder from outside: that everything acknowledged is there, once."""

from collections import Counter
from pathlib import Path

from actors.directory import decode_entry
from adapters.sqlite.chain import verify_chain
from adapters.sqlite.store import open_reader
from engine.events import Event


class Witness:
    """Reads a journal as it grows, and remembers what was in it."""

    def __init__(self, folder: Path) -> None:
        self.events: Counter[str] = Counter()  # by the client's id
        self._folder = folder
        self._seq = 0

    async def testify(self, acknowledged: list[str]) -> None:
        """Insist that the journal is whole and has what was acknowledged, each exactly once."""
        assert verify_chain(self._folder) is None
        reader = await open_reader(self._folder)
        try:
            async for portion in reader.tail(self._seq):
                for entry in portion:
                    assert entry.seq == self._seq + 1
                    self._seq = entry.seq
                    given, _ = decode_entry(entry)
                    if isinstance(given, Event):
                        self.events[given.id] += 1
        finally:
            await reader.close()
        assert [one for one in acknowledged if self.events[one] != 1] == []
        assert [one for one, count in self.events.items() if count > 1] == []
