"""One TCP connection: counted, cut off when idle, and answered politely when it speaks nonsense.

Used by `adapters.gateway.app` for every connection it accepts.

aiohttp's own handler lets a connection take a minute over its first headers, has no bound on how
many there are, and answers what it can't parse with the bytes it could not parse.
"""

import asyncio
import resource
from typing import cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from adapters.gateway.answers import Refusal, refuse, spell
from adapters.gateway.host import GatewayCounters
from adapters.gateway.settings import Deadlines

_SHARE_OF_DESCRIPTORS = 0.8  # the rest is for the store, channels and logs
_CONNECTIONS_MAX = 50_000

_FULL = spell(
    503,
    Refusal("overloaded", "too many connections are open"),
    "Retry-After: 1\r\nConnection: close",
)


class Connections:
    """All connections of one server, and how many there may be."""

    def __init__(
        self, counters: GatewayCounters, deadlines: Deadlines, connections_max: int = 0
    ) -> None:
        self.counters = counters
        self.deadlines = deadlines
        self.count_max = connections_max or _allowed_by_descriptors()
        self.count = 0


class Connection(web.RequestHandler):
    """One connection."""

    __slots__ = ("_all", "_deadline", "_is_counted", "_unread")

    def __init__(
        self, server: web.Server, loop: asyncio.AbstractEventLoop, connections: Connections
    ) -> None:
        deadlines = connections.deadlines
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # None is how it is switched off
            auto_decompress=False,  # `adapters.gateway.body` bounds what comes out
            keepalive_timeout=deadlines.idle_s,
            lingering_time=deadlines.linger_s,
        )
        self._all = connections
        self._deadline: asyncio.TimerHandle | None = None
        self._is_counted = False
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or tell it to come back later."""
        if self._all.count >= self._all.count_max:
            self._all.counters.connections_refused += 1
            # uvloop's transports are no subclass of asyncio's, so this can't be asserted.
            writing = cast("asyncio.WriteTransport", transport)
            writing.write(_FULL)
            writing.close()
            return
        self._all.count += 1
        self._is_counted = True
        super().connection_made(transport)
        seconds = self._all.deadlines.headers_s
        self._deadline = self._loop.call_later(seconds, self._expect_request)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give the place back."""
        if self._is_counted:
            self._is_counted = False
            self._all.count -= 1
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._forget_unread()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Give a client that does not read its answers as long as one that says nothing."""
        super().pause_writing()
        self._forget_unread()
        self._unread = self._loop.call_later(self._all.deadlines.idle_s, self._abort)

    def resume_writing(self) -> None:
        """Go on: the client reads."""
        self._forget_unread()
        super().resume_writing()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes what was sent
    ) -> web.StreamResponse:
        """Answer what is not HTTP, and what we failed at, without repeating what was sent."""
        if not isinstance(exc, HttpProcessingError):
            self.log_exception("a handler failed", exc_info=exc)
        if request.writer.output_size > 0:
            text = "part of an answer was sent already"
            raise ConnectionError(text)
        if status < 500:  # noqa: PLR2004 - the border HTTP itself draws
            response = refuse(status, "bad_request", "this is not valid HTTP/1.1")
        else:
            response = refuse(status, "internal_error", "this failed here, not on your side")
        response.force_close()
        return response

    def _forget_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _abort(self) -> None:
        # Not closed: that would wait for the client to read what is written already.
        if self.transport is not None:
            self.transport.abort()

    def _expect_request(self) -> None:
        """Close a connection that has not brought one whole head of a request by now."""
        self._deadline = None
        if self._request_count == 0:
            self.force_close()


def raise_descriptor_limit() -> None:
    """Ask for as many open files as this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _allowed_by_descriptors() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _CONNECTIONS_MAX
    return max(1, min(_CONNECTIONS_MAX, int(soft * _SHARE_OF_DESCRIPTORS)))
