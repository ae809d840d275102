"""Requests to providers over HTTP, and their answers: one pool of connections for all channels.

Made by the composition root through `adapters.channels.registry`; `adapters.channels.provider`
puts messages through it.

*Rules*
- As in `exchange`: no redirects, no cookies, no proxies of the environment, nothing unpacked.
- A provider's address is the operator's choice and may be anywhere. An address that came from a
  customer (`is_guarded`) is only called where it is public, whatever its name resolves to.
- Of an answer no more than `ANSWER_BYTES_MAX` is read.
"""

from collections.abc import Mapping

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver

from adapters.channels.exchange import explain_failure, open_session, read_target
from engine.events import SUCCESS_END, SUCCESS_MIN

ANSWER_BYTES_MAX = 64 * 1024
_TIMEOUT_S = 30.0


class Request(msgspec.Struct, frozen=True):
    """One request, ready to be sent. The same message gives the same request at every attempt.

    `is_guarded` where the address is not the operator's but came from outside.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    is_guarded: bool = False


class Reply(msgspec.Struct, frozen=True):
    """What was answered. The names of `headers` are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """Say whether the status says that the request went well."""
        return SUCCESS_MIN <= self.status < SUCCESS_END


class Wire:
    """The connections of all channels that speak HTTP."""

    def __init__(
        self, resolver: AbstractResolver | None = None, *, allow_private: bool = False
    ) -> None:
        """Tests pass a resolver; `allow_private` is for development, and lifts the guard."""
        self._resolver = resolver
        self._allow_private = allow_private
        self._sessions: dict[bool, aiohttp.ClientSession] = {}  # by whether it is guarded

    async def close(self) -> None:
        """Close the connections; they are opened again where they are needed again."""
        sessions = list(self._sessions.values())
        self._sessions.clear()
        for session in sessions:
            await session.close()

    async def exchange(self, request: Request) -> Reply:
        """Send a request once. Raises Temporary or Permanent where nothing was answered."""
        is_guarded = request.is_guarded and not self._allow_private
        url = read_target(request.url, allow_private=not is_guarded)
        try:
            async with self._session(is_guarded=is_guarded).request(
                request.method,
                url,
                data=request.body or None,
                headers=request.headers,
                allow_redirects=False,
            ) as response:
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Reply(response.status, headers, await _read(response))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise explain_failure(error) from error

    def _session(self, *, is_guarded: bool) -> aiohttp.ClientSession:
        session = self._sessions.get(is_guarded)
        if session is None:
            # Each lane bounds its own: with a bound for all of them, one provider that hangs would
            # sooner or later hold every connection.
            session = open_session(
                self._resolver, _TIMEOUT_S, allow_private=not is_guarded, connections_max=0
            )
            self._sessions[is_guarded] = session
        return session


async def _read(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    left = ANSWER_BYTES_MAX
    while left > 0 and (part := await response.content.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
