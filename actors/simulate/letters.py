"""What the simulated disk says of messages after they were handed on: what it keeps.

A part of `actors.simulate.disk`; these reads never wait and never fail.
"""

from collections.abc import Sequence

from actors.memory import MemoryStore
from actors.rows import LetterQuery, OutboxRow


class KeptLetters:
    """The reads of a store that are about messages, as the store in memory answers them."""

    kept: MemoryStore

    async def messages(self, ids: Sequence[str]) -> list[OutboxRow]:
        """Find messages that left, or are to leave, by their ids; unknown ones are left out."""
        return await self.kept.messages(ids)

    async def messages_by_provider(
        self, provider: str, provider_ids: Sequence[str]
    ) -> dict[str, OutboxRow]:
        """Find messages by what a provider calls them; unknown ones are left out."""
        return await self.kept.messages_by_provider(provider, provider_ids)

    async def addressees(self, address: str, channels: Sequence[str]) -> list[str]:
        """Name the customers whom messages went to at an address lately, the latest first."""
        return await self.kept.addressees(address, channels)

    async def dead_letters(self, query: LetterQuery) -> list[OutboxRow]:
        """List messages that did not arrive as far as we know, newest first."""
        return await self.kept.dead_letters(query)

    async def spending(self, day: int) -> dict[str, int]:
        """Tell what was spent on a day, by channel, in millionths."""
        return await self.kept.spending(day)
