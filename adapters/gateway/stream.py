"""The websocket at `/v1/stream`: calls in, by the frame, each acknowledged by number once durable.

`routes` is mounted by `adapters.gateway.app`; a client shows a write key in its header or as
`?writeKey=`. Frames go to the runtime as portions, like HTTP requests do, and share its limits.

Rules
- The first message is ours: `{"hello": {"window", "max_frame_bytes", "max_items", "idle_s"}}`.
- A message of the client is a frame: a call, a list of calls, or `{"id": n, "batch": [...]}`; as
  text it is JSON, as binary msgpack. Frames are numbered from 1; an id given sets the number, and
  must be greater than the one before.
- Frames are answered in their order. `{"ack": n}` says that frame n, and every frame before it that
  was not answered yet, is durable. `{"ack": n, "errors": [...]}` says the same, and names items of
  frame n (by index) that are in quarantine.
- `{"nack": n, "code", "message", "path"}` says that nothing of frame n was taken; with
  `retry_after_ms` it may be sent again, else it never will do. Other frames are not concerned.
- At most `window` frames are read ahead of their answer. Then we stop reading, the socket fills,
  and the client's sends wait: that is all the flow control there is, and all that is needed.
- A client that wants all its answers waits for them before it closes. When the server stops, it
  answers what it has taken and closes with 1001.
- Too large a message closes with 1009, broken UTF-8 with 1007, a socket that says nothing for
  `idle_s` with 1000; pings keep it known whether the other side is there, not the socket open.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator

import msgspec
import structlog
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from adapters.gateway.answers import ItemError, refuse
from adapters.gateway.frames import Frame, read_bytes, read_text
from adapters.gateway.host import Host
from adapters.gateway.intake import Portion
from adapters.gateway.lines import lines_of
from engine.errors import InputError, OverloadError, StoreError
from engine.intake.clocks import Envelope, measure_skew
from engine.limits import BATCH_ITEMS_MAX, BODY_BYTES_MAX

_SOURCE = "stream"
_STORE_RETRY_MS = 1_000
_encode = msgspec.json.Encoder().encode
_log = structlog.stdlib.get_logger("gateway.stream")


class StreamLimits(msgspec.Struct, frozen=True):
    """How far a client may run ahead, and how long it may say nothing."""

    window: int = 16
    heartbeat_s: float = 30.0
    idle_s: float = 600.0
    drain_s: float = 5.0  # for the last answers, once the client or the server wants to end


class Nack(msgspec.Struct, frozen=True, omit_defaults=True):
    """Nothing of a frame was taken, and why."""

    nack: int
    code: str
    message: str
    path: str = ""
    retry_after_ms: int | None = None


class Ack(msgspec.Struct, frozen=True, omit_defaults=True):
    """A frame, and all before it that were not answered yet, is durable."""

    ack: int
    errors: list[ItemError] = []


def routes(host: Host, limits: StreamLimits | None = None) -> list[web.RouteDef]:
    """List the routes of this module."""
    chosen = limits or StreamLimits()

    async def open_stream(request: web.Request) -> web.StreamResponse:
        host.require_writer(request)
        return await _open(host, request, chosen)

    return [web.get("/v1/stream", open_stream)]


async def _open(host: Host, request: web.Request, limits: StreamLimits) -> web.StreamResponse:
    if request.headers.get("Upgrade", "").lower() != "websocket":
        response = refuse(426, "websocket_only", "this address speaks websocket only")
        response.headers["Upgrade"] = "websocket"
        return response
    # Compression is off: it would cost more than everything else here does.
    socket = web.WebSocketResponse(
        heartbeat=limits.heartbeat_s, max_msg_size=BODY_BYTES_MAX, compress=False
    )
    if not socket.can_prepare(request).ok:
        return refuse(400, "bad_handshake", "this is not a complete websocket handshake")
    lines = lines_of(request)
    if lines.is_closing:
        return refuse(503, "stopping", "the server is stopping", retry_after_s=1)
    await socket.prepare(request)
    stream = Stream(host, socket, limits)
    with lines.hold(stream.end):
        await stream.run()
    return socket


class _Taken:
    """A frame on its way: what is to be answered, and when (at once where `done` is None)."""

    __slots__ = ("done", "errors", "nack", "number")

    def __init__(
        self,
        number: int,
        done: asyncio.Future[None] | None = None,
        errors: list[ItemError] | None = None,
        nack: Nack | None = None,
    ) -> None:
        self.number = number
        self.done = done
        self.errors = errors
        self.nack = nack

    def is_settled(self) -> bool:
        return self.done is None or self.done.done()


class Stream:
    """One connection: a task that reads and submits, and one that answers in order."""

    def __init__(self, host: Host, socket: web.WebSocketResponse, limits: StreamLimits) -> None:
        self._host = host
        self._socket = socket
        self._limits = limits
        self._number = 0
        self._taken: deque[_Taken] = deque()
        self._room = asyncio.Semaphore(limits.window)
        self._filled = asyncio.Event()
        self._is_over = False
        self._code = WSCloseCode.OK
        self._reading: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve the connection to its end."""
        await self._socket.send_frame(self._hello(), WSMsgType.TEXT)
        self._reading = asyncio.create_task(self._read())
        answering = asyncio.create_task(self._answer())
        try:
            await asyncio.wait({self._reading, answering}, return_when=asyncio.FIRST_COMPLETED)
            self._reading.cancel()
            self._is_over = True
            self._filled.set()
            await asyncio.wait({answering}, timeout=self._limits.drain_s)
        finally:
            self._reading.cancel()
            answering.cancel()
            ends = await asyncio.gather(self._reading, answering, return_exceptions=True)
            self._forget(ends)
        await self._socket.close(code=self._code)

    def end(self) -> None:
        """Read no more, answer what was taken, close."""
        self._code = WSCloseCode.GOING_AWAY
        if self._reading is not None:
            self._reading.cancel()

    def _forget(self, ends: Iterable[BaseException | None]) -> None:
        for end in ends:
            # That the client left, or that we ended the task, is how it should be.
            if end is not None and not isinstance(end, ConnectionError | asyncio.CancelledError):
                self._code = WSCloseCode.INTERNAL_ERROR
                _log.error("stream failed", exc_info=end)
        for taken in self._taken:
            if taken.done is not None:
                taken.done.add_done_callback(_judge_unheard)

    def _hello(self) -> bytes:
        hello = {
            "window": self._limits.window,
            "max_frame_bytes": BODY_BYTES_MAX,
            "max_items": BATCH_ITEMS_MAX,
            "idle_s": self._limits.idle_s,
        }
        return _encode({"hello": hello})

    async def _read(self) -> None:
        while True:
            await self._room.acquire()
            try:
                message = await self._socket.receive(self._limits.idle_s)
            except TimeoutError:
                return
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            self._taken.append(self._take(message))
            self._filled.set()
            # A full window of frames may lie in the socket's buffer, and reading them waits for
            # nothing: others must have their turn in between.
            await asyncio.sleep(0)

    def _take(self, message: WSMessage) -> _Taken:
        """Read a frame and give it to the runtime; whatever is wrong with it becomes a nack."""
        self._host.counters.requests += 1
        oddities: list[str] = []
        try:
            if message.type is WSMsgType.TEXT:
                frame = read_text(message.data, oddities)
            else:
                frame = read_bytes(message.data, oddities)
            if frame.id is not None and frame.id <= self._number:
                return self._repeated(frame.id)
            self._number = frame.id or self._number + 1
            return self._submit(frame, oddities)
        except InputError as error:
            # One that can't be read counts all the same: the client counted it when it sent it.
            self._number += 1
            nack = Nack(self._number, error.code, error.message, error.path)
        except OverloadError as error:
            text = "too much is waiting to be stored; send this again later"
            nack = Nack(
                self._number, "overloaded", text, retry_after_ms=error.retry_after_s * 1_000
            )
        except StoreError:
            nack = _not_stored(self._number)
        self._host.counters.count_refused(nack.code)
        return _Taken(nack.nack, nack=nack)

    def _repeated(self, number: int) -> _Taken:
        # Answered by the number it came with, and not counted: the one before has been answered
        # or will be, and the next one's number is as good as it was.
        message = f"expected a number greater than {self._number}, that of the frame before"
        self._host.counters.count_refused("bad_frame_id")
        return _Taken(number, nack=Nack(number, "bad_frame_id", message, "id"))

    def _submit(self, frame: Frame, oddities: list[str]) -> _Taken:
        received_at = self._host.runtime.clock.now()
        portion = Portion(
            Envelope(
                received_at=received_at,
                skew_ms=measure_skew(frame.sent_at, received_at),
                source=_SOURCE,
                context=frame.context or {},
                oddities=oddities,
            ),
            self._host.runtime.program.mappings,
        )
        for index, item in enumerate(frame.items):
            portion.take(item, index)
        for oddity in oddities:
            self._host.counters.count_tolerated(oddity)
        if not frame.items:
            return _Taken(self._number)
        done = self._host.runtime.submit(portion.inputs, portion.quarantined)
        return _Taken(self._number, done, portion.errors)

    async def _answer(self) -> None:
        while True:
            await self._filled.wait()
            while self._taken:
                done = self._taken[0].done
                if done is not None and not done.done():
                    # Not awaited itself: it is the runtime's, and our end must not cancel it.
                    await asyncio.wait({done})
                for answer in self._settled():
                    await self._socket.send_frame(_encode(answer), WSMsgType.TEXT)
            self._filled.clear()
            if self._is_over:
                return

    def _settled(self) -> Iterator[Ack | Nack]:
        """Give the answers that are due, with plain acks in a row as one."""
        plain: Ack | None = None
        while self._taken and self._taken[0].is_settled():
            taken = self._taken.popleft()
            self._room.release()
            nack = _judge(taken)
            if nack is None and not taken.errors:
                plain = Ack(taken.number)
                continue
            if plain is not None:
                yield plain
                plain = None
            yield nack or Ack(taken.number, taken.errors or [])
        if plain is not None:
            yield plain


def _judge(taken: _Taken) -> Nack | None:
    """Say whether a frame whose commit has ended was refused after all."""
    if taken.done is None:
        return taken.nack
    if taken.done.cancelled() or taken.done.exception() is not None:
        return _not_stored(taken.number)
    return None


def _judge_unheard(done: asyncio.Future[None]) -> None:
    """Look at how a commit ended though nobody is left to tell, so that asyncio need not warn."""
    if not done.cancelled():
        done.exception()


def _not_stored(number: int) -> Nack:
    text = "this could not be stored; send it again later"
    return Nack(number, "not_stored", text, retry_after_ms=_STORE_RETRY_MS)
