"""Requests over HTTP/2, for the one provider that takes nothing else: Apple's push service.

Used by `adapters.channels.apns`. The rest of us speaks HTTP/1.1 through `wire`; this keeps the same
contract. `h2` knows the protocol; here are the connection and its bytes. A client library was tried
first: it did not notice that the server had sent an idle connection away, and could not tell a
request that was never looked at from one whose answer was lost.

*Rules*
- One connection, kept, with many requests on it; one that was idle for long is not trusted.
- What the server says it did not look at was not taken, and is asked again on a new connection.
- No redirects, no proxies of the environment, nothing unpacked, answers cut, as in `wire`.
- In the clear (a sandbox) HTTP/2 is taken for granted.
"""

import asyncio
import ssl
from typing import Any

from yarl import URL

from actors.ports import Permanent, Temporary
from adapters.channels.http2line import Http2Line, LostError, UnseenError
from adapters.channels.wire import Reply, Request
from engine.events import Failure

_TIMEOUT_S, _CONNECT_S, _GOODBYE_S = 30.0, 5.0, 2.0
_IDLE_S_MAX = 5 * 60.0  # beyond it something on the way may have forgotten the connection
_TRIES = 3
_ALPN = "h2"


class Http2Wire:
    """The HTTP/2 connection of one channel, to one server."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """Take what certificates are checked by; None: as this machine does."""
        self._tls = tls
        self._line: Http2Line | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Close the connection; it is opened again where it is needed again."""
        line, self._line = self._line, None
        if line is not None:
            line.close()
            await line.closed

    async def exchange(self, request: Request) -> Reply:
        """Send a request once. Raises Temporary or Permanent where nothing was answered."""
        url = _read_url(request.url)
        for _ in range(_TRIES):
            line = await self._open(url)
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    return await line.ask(request, url)
            except UnseenError:
                continue  # as if it had never been sent
            except (LostError, TimeoutError) as error:
                raise Temporary(
                    f"no clear answer from the provider ({type(error).__name__})",
                    maybe_taken=True,
                    failure=Failure.TRANSIENT,
                ) from error
            except UnicodeError:
                raise Permanent("a header holds what it can't carry", code="bad_content") from None
        raise _not_connected("it sends us away")

    async def _open(self, url: URL) -> Http2Line:
        """Give the connection, or a new one where the old one takes no more."""
        async with self._opening:
            line = self._line
            if line is not None and line.takes_more(_IDLE_S_MAX):
                return line
            if line is not None:
                line.retire()
            self._line = await self._connect(url)
            return self._line

    async def _connect(self, url: URL) -> Http2Line:
        assert url.host is not None
        assert url.port is not None
        is_secure = url.scheme == "https"
        try:
            async with asyncio.timeout(_CONNECT_S):
                transport, line = await asyncio.get_running_loop().create_connection(
                    Http2Line,
                    url.host,
                    url.port,
                    ssl=self._papers() if is_secure else None,
                    # Saying goodbye to a server that is gone must not hold up our own end.
                    ssl_shutdown_timeout=_GOODBYE_S if is_secure else None,
                )
        except (OSError, TimeoutError) as error:
            raise _not_connected(type(error).__name__) from error
        wire: Any = transport.get_extra_info("ssl_object")
        if is_secure and wire.selected_alpn_protocol() != _ALPN:
            line.close()
            raise Temporary("the server does not speak HTTP/2", failure=Failure.CONFIG)
        return line

    def _papers(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        self._tls.set_alpn_protocols([_ALPN])
        return self._tls


def _read_url(text: str) -> URL:
    try:
        url = URL(text)
        is_good = url.scheme in ("http", "https") and bool(url.host) and url.port is not None
    except ValueError:
        url, is_good = URL(), False
    if not is_good:
        raise Permanent("the address is not a URL", code="address_refused")
    return url


def _not_connected(why: str) -> Temporary:
    return Temporary(f"no connection to the provider ({why})", failure=Failure.TRANSIENT)
