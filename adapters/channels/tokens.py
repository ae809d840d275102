"""Tokens that must be asked for before anything is sent, and are kept while they are good.

Used by `adapters.channels.fcm`. Keys are read here, too: from a file, or from the text itself.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

import msgspec

from engine.instants import MINUTE_MS, SECOND_MS

_SPARE_MS = 5 * MINUTE_MS  # renewed so long before it ends: a request may wait on its way
_PATH_LENGTH_MAX = 1_000


class Token(msgspec.Struct, frozen=True):
    """What is shown with each request, and until when it is good."""

    text: str
    until: int


Fetch = Callable[[], Awaitable[Token]]


class TokenKeeper:
    """Keeps one token. However many ask for it at once, it is fetched once."""

    def __init__(self, fetch: Fetch, present: Callable[[], datetime]) -> None:
        self._fetch = fetch
        self._present = present
        self._token: Token | None = None
        self._fetching: asyncio.Task[Token] | None = None

    async def give(self) -> str:
        """Give a token that is good for a while. Raises what fetching it raises."""
        now = int(self._present().timestamp() * SECOND_MS)
        if self._token is not None and now < self._token.until - _SPARE_MS:
            return self._token.text
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._renew())
            self._fetching.add_done_callback(self._end)
        # Whoever gives up waiting must not take it from the others.
        return (await asyncio.shield(self._fetching)).text

    def forget(self, text: str) -> None:
        """Drop a token that was refused, unless it was renewed meanwhile."""
        if self._token is not None and self._token.text == text:
            self._token = None

    async def close(self) -> None:
        """Fetch no more."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    async def _renew(self) -> Token:
        self._token = await self._fetch()
        return self._token

    def _end(self, done: "asyncio.Task[Token]") -> None:
        self._fetching = None
        if not done.cancelled():
            done.exception()  # those who waited were told; perhaps nobody does any more


def read_key(text: str) -> str:
    """Read a key that is given itself, or as the path of a file. Raises ValueError."""
    text = text.strip()
    if text.startswith("-----BEGIN"):
        # In a variable of one line the ends of lines are written out.
        return text.replace("\\n", "\n")
    if text.startswith("{") or len(text) > _PATH_LENGTH_MAX:
        return text
    try:
        return Path(text).read_text("utf-8")
    except (OSError, ValueError):
        raise ValueError("there is no file of this name, and it is no key itself") from None
