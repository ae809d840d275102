"""One HTTP/2 connection as a client has it, and the requests that are under way on it.

Made by `adapters.channels.http2`, which opens another one where this takes no more.

*Rules*
- A request ends in an answer, or in `UnseenError` where the server says it did not look at it,
  or in `LostError` where nobody can know.
- Nothing is sent beyond what the server has room for, neither requests nor bytes.
"""

import asyncio
from typing import cast

import msgspec
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from yarl import URL

from adapters.channels.wire import ANSWER_BYTES_MAX, Reply, Request

_STREAMS_MAX = 1_000  # at once, where the server does not say less


class UnseenError(Exception):
    """The request was not looked at: it may be made again."""


class LostError(Exception):
    """The connection broke before the answer: the request may have been worked on."""


class _Asked(msgspec.Struct, eq=False):
    """A request under way."""

    answer: "asyncio.Future[Reply]"
    headers: dict[str, str] = {}
    body: bytearray = msgspec.field(default_factory=bytearray)


class Http2Line(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._time = loop.time
        self._machine = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._transport: asyncio.Transport | None = None
        self._asked: dict[int, _Asked] = {}  # by stream
        self._is_over = False  # takes no more requests
        self._used_at = self._time()
        self._changed = asyncio.Event()  # room, or the end

    def takes_more(self, idle_s_max: float) -> bool:
        """Say whether another request may be made here."""
        is_fresh = bool(self._asked) or self._time() - self._used_at < idle_s_max
        return not self._is_over and is_fresh

    async def ask(self, request: Request, url: URL) -> Reply:
        """Make a request and wait for its answer."""
        stream = await self._begin(request, url)
        asked = self._asked[stream]
        try:
            await self._pour(stream, request.body)
            return await asked.answer
        except ProtocolError as error:  # the connection was ended while the body was sent
            raise LostError(str(error)) from error
        finally:
            self._asked.pop(stream, None)
            if not asked.answer.done() or asked.answer.cancelled():
                self._reset(stream)
            self._used_at = self._time()
            self._stir()
            if self._is_over and not self._asked:
                self.close()

    def retire(self) -> None:
        """Take no more requests; those under way are waited for."""
        self._is_over = True
        if not self._asked:
            self.close()

    def close(self) -> None:
        """Say goodbye and hang up; what is under way is lost."""
        self._is_over = True
        if self._transport is not None and not self._transport.is_closing():
            try:
                self._machine.close_connection()
                self._flush()
            finally:
                self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)
        self._machine.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Take what came in; called by asyncio."""
        try:
            events = self._machine.receive_data(data)
        except ProtocolError:
            # Among others: what comes on a connection that was ended is no longer read by h2.
            self._flush()
            self._abort()
            return
        for event in events:
            self._take(event)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all who wait; called by asyncio."""
        self._is_over = True
        for asked in self._asked.values():
            _fail(asked, LostError(str(exc or "closed")))
        self._stir()
        if not self.closed.done():
            self.closed.set_result(None)

    async def _begin(self, request: Request, url: URL) -> int:
        """Wait for a place, and send the headers."""
        while not self._is_over and len(self._asked) >= self._places():
            await self._wait()
        if self._is_over:
            raise UnseenError
        named = {
            ":method": request.method,
            ":scheme": url.scheme,
            ":authority": url.raw_authority,
            ":path": url.raw_path_qs,
            **{name.lower(): value for name, value in request.headers.items()},
        }
        # Written out first: the machine must not stop half-way over text that is no Unicode.
        headers = [(name.encode(), value.encode()) for name, value in named.items()]
        try:
            stream = self._machine.get_next_available_stream_id()
        except ProtocolError:  # a thousand million requests were made here
            self.retire()
            raise UnseenError from None
        self._machine.send_headers(stream, headers, end_stream=not request.body)
        self._asked[stream] = _Asked(asyncio.get_running_loop().create_future())
        self._flush()
        return stream

    async def _pour(self, stream: int, body: bytes) -> None:
        """Send a body as the server has room for it; stop where it answers before that."""
        asked = self._asked[stream]
        while body and not asked.answer.done():
            size = min(
                len(body),
                self._machine.local_flow_control_window(stream),
                self._machine.max_outbound_frame_size,
            )
            if size > 0:
                self._machine.send_data(stream, body[:size], end_stream=size == len(body))
                body = body[size:]
                self._flush()
            else:
                await self._wait()
        if body:
            self._reset(stream)

    def _places(self) -> int:
        return min(self._machine.remote_settings.max_concurrent_streams, _STREAMS_MAX)

    def _take(self, event: Event) -> None:
        if isinstance(event, ConnectionTerminated):
            self._end(event.last_stream_id or 0)
        elif isinstance(event, WindowUpdated | RemoteSettingsChanged):
            self._stir()
        elif isinstance(event, ResponseReceived | DataReceived | StreamEnded | StreamReset):
            asked = self._asked.get(event.stream_id or 0)
            if isinstance(event, DataReceived):
                self._machine.acknowledge_received_data(
                    event.flow_controlled_length, event.stream_id
                )
            if asked is not None:
                _read(event, asked)
                self._stir()

    def _end(self, last_stream: int) -> None:
        """Take note that the server takes no more, and what it did not look at."""
        self._is_over = True
        for stream, asked in self._asked.items():
            if stream > last_stream:
                _fail(asked, UnseenError())
        self._stir()

    def _reset(self, stream: int) -> None:
        """Tell the server that nobody waits for an answer any more."""
        try:
            self._machine.reset_stream(stream, ErrorCodes.CANCEL)
        except ProtocolError:
            return  # it has ended by itself
        self._flush()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _stir(self) -> None:
        self._changed.set()

    def _abort(self) -> None:
        self._is_over = True
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        data = self._machine.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


def _read(
    event: ResponseReceived | DataReceived | StreamEnded | StreamReset, asked: _Asked
) -> None:
    if isinstance(event, ResponseReceived):
        for name, value in cast("list[tuple[str, str]]", event.headers):
            asked.headers[name] = value
    elif isinstance(event, DataReceived):
        asked.body += event.data[: ANSWER_BYTES_MAX - len(asked.body)]
    elif isinstance(event, StreamReset):
        is_unseen = event.error_code == ErrorCodes.REFUSED_STREAM
        _fail(asked, UnseenError() if is_unseen else LostError("the request was cut off"))
    elif not asked.answer.done():
        status = asked.headers.pop(":status", "")
        code = int(status) if status.isascii() and status.isdigit() else 0
        asked.answer.set_result(Reply(code, asked.headers, bytes(asked.body)))


def _fail(asked: _Asked, error: Exception) -> None:
    if not asked.answer.done():
        asked.answer.set_exception(error)
