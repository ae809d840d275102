"""A small HTTP/2 server for stand-ins of providers that speak nothing else: Apple's push service.

It serves one function, over TLS or in the clear with prior knowledge (no upgrade). `h2` knows the
protocol; here are the connections and their bytes.

*Rules*
- Requests of one connection are answered side by side, each when its answer is there.
- Nothing is sent beyond what the client said it has room for.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

import msgspec
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError, StreamClosedError

BODY_BYTES_MAX = 1024 * 1024
_ALPN = "h2"


class Http2Request(msgspec.Struct, frozen=True):
    """A request. The names of `headers` are in small letters, as HTTP/2 has them."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Http2Response(msgspec.Struct, frozen=True):
    """An answer; `headers` in small letters."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""


# What a request is answered with; None hangs up without a word.
Answer = Callable[[Http2Request], Awaitable[Http2Response | None]]


class Http2Server:
    """Listens on one port."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        """Take what answers; without `tls` in the clear."""
        self._answer = answer
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._connections: dict[_Connection, None] = {}
        if tls is not None:
            tls.set_alpn_protocols([_ALPN])

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; gives the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connect, host, port, ssl=self._tls)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Hang up on everybody."""
        if self._server is not None:
            self._server.close()
            for connection in tuple(self._connections):
                connection.hang_up()
            await self._server.wait_closed()

    def dismiss(self) -> None:
        """Tell all clients to go and come back, as a server does that shuts down."""
        for connection in tuple(self._connections):
            connection.dismiss()

    @property
    def connections(self) -> int:
        """Count the open connections."""
        return len(self._connections)

    def _connect(self) -> "_Connection":
        connection = _Connection(self._answer, self._forget)
        self._connections[connection] = None
        return connection

    def _forget(self, connection: "_Connection") -> None:
        self._connections.pop(connection, None)


class _Connection(asyncio.Protocol):
    """One client's connection, and the requests that are under way on it."""

    def __init__(self, answer: Answer, lost: Callable[["_Connection"], None]) -> None:
        self._answer = answer
        self._lost = lost
        self._machine = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._transport: asyncio.Transport | None = None
        self._headers: dict[int, dict[str, str]] = {}  # by stream
        self._bodies: dict[int, bytearray] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._room = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._machine.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            events = self._machine.receive_data(data)
        except ProtocolError:
            self._flush()  # the machine has written down why
            self.hang_up()
            return
        for event in events:
            self._take(event)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        for task in self._tasks.values():
            task.cancel()
        self._lost(self)

    def hang_up(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def dismiss(self) -> None:
        """Say that this connection takes no more, and close it."""
        self._machine.close_connection()
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _take(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._headers[event.stream_id] = _read_headers(event)
            self._bodies[event.stream_id] = bytearray()
        elif isinstance(event, DataReceived):
            self._gather(event)
        elif isinstance(event, StreamEnded):
            self._begin(event.stream_id)
        elif isinstance(event, StreamReset):
            self._drop(event.stream_id)
        elif isinstance(event, WindowUpdated):
            self._room.set()
        elif isinstance(event, ConnectionTerminated) and self._transport is not None:
            self._transport.close()

    def _gather(self, event: DataReceived) -> None:
        body = self._bodies.get(event.stream_id)
        if body is not None:
            body += event.data
            if len(body) > BODY_BYTES_MAX:
                self._machine.reset_stream(event.stream_id, ErrorCodes.ENHANCE_YOUR_CALM)
                self._drop(event.stream_id)
        self._machine.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def _begin(self, stream: int) -> None:
        headers, body = self._headers.pop(stream, None), self._bodies.pop(stream, None)
        if headers is None or body is None:
            return
        request = Http2Request(
            headers.pop(":method", ""), headers.pop(":path", ""), headers, bytes(body)
        )
        task = asyncio.create_task(self._respond(stream, request))
        self._tasks[stream] = task
        task.add_done_callback(lambda _: self._tasks.pop(stream, None))

    def _drop(self, stream: int) -> None:
        self._headers.pop(stream, None)
        self._bodies.pop(stream, None)
        task = self._tasks.get(stream)
        if task is not None:
            task.cancel()

    async def _respond(self, stream: int, request: Http2Request) -> None:
        response = await self._answer(request)
        if response is None:
            self.hang_up()
            return
        headers = [(":status", str(response.status)), *response.headers.items()]
        try:
            self._machine.send_headers(stream, headers, end_stream=not response.body)
            await self._pour(stream, response.body)
        except (StreamClosedError, ProtocolError):
            return  # the client went away meanwhile
        finally:
            self._flush()

    async def _pour(self, stream: int, body: bytes) -> None:
        """Send a body as the client has room for it."""
        while body:
            size = min(
                len(body),
                self._machine.local_flow_control_window(stream),
                self._machine.max_outbound_frame_size,
            )
            if size > 0:
                self._machine.send_data(stream, body[:size], end_stream=size == len(body))
                body = body[size:]
            else:
                self._room.clear()
                self._flush()
                await self._room.wait()

    def _flush(self) -> None:
        data = self._machine.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


def _read_headers(event: RequestReceived) -> dict[str, str]:
    headers = {
        str(name): str(value) for name, value in cast("list[tuple[str, str]]", event.headers)
    }
    authority = headers.pop(":authority", "")
    headers.pop(":scheme", None)
    return {"host": authority, **headers} if authority else headers
