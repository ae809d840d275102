"""The live feed of decisions at `/v1/decisions/feed`: server-sent events, or a websocket.

Decisions are told after they are durable, as the decision record. `publish` is called by the
runtime inside its loop, so it only appends to queues; everything slow happens in the task of the
subscriber it concerns.

Rules
- A subscriber that reads too slowly loses the oldest decisions and is told how many (`lagged`).
  The engine never waits for one; one that reads nothing for long is disconnected.
- A server-sent event's id is the decision's id. A client that comes back with `Last-Event-ID` (or
  `?after=`) first gets what it missed, from the store, up to a bound.
- On a websocket a message is `{"decision": {…}}` or `{"lagged": {"lost": n}}`; n is null where it
  can't be known.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from actors.rows import DecisionQuery
from adapters.gateway.answers import refuse
from adapters.gateway.host import Host
from adapters.gateway.lines import lines_of
from adapters.gateway.parameters import FeedParameters, read_parameters
from adapters.gateway.query import guard
from adapters.masking import Masker
from engine.records import Decided
from engine.transcript import decision_object

_REPLAY_MAX = 1_000
_REPLAY_PORTION = 200
_RETRY_S = 5
SSE_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # a buffering proxy would hold live events back
}

_encode = msgspec.json.Encoder().encode
_DECIDED: msgspec.msgpack.Decoder[Decided] = msgspec.msgpack.Decoder(Decided)


class FeedLimits(msgspec.Struct, frozen=True):
    """How many may listen, how far behind, and how long a silent socket is kept."""

    subscribers_max: int = 100
    queue_max: int = 1_000
    keep_alive_s: float = 15.0
    write_s: float = 30.0


def routes(host: Host, limits: FeedLimits | None = None) -> list[web.RouteDef]:
    """List the routes of this module."""
    feed = Feed(host, limits or FeedLimits())
    return [web.get("/v1/decisions/feed", guard(host, feed.open))]


class Told:
    """One decision on its way to subscribers; it is written out once, for all of them."""

    __slots__ = ("_written", "customer", "decided")

    def __init__(self, customer: str, decided: Decided) -> None:
        self.customer = customer
        self.decided = decided
        self._written = b""

    @property
    def written(self) -> bytes:
        """The decision record as JSON."""
        if not self._written:
            self._written = _encode(decision_object(self.customer, self.decided))
        return self._written

    def masked(self, masker: Masker) -> "Told":
        """Give the same without personal data, for those who may not see any."""
        told = Told(self.customer, self.decided)
        told._written = _encode(masker.mask(decision_object(self.customer, self.decided)))
        return told


class Subscriber:
    """One listener's queue: bounded, losing the oldest, waking the task that writes."""

    def __init__(
        self, wanted: FeedParameters, queue_max: int, masker: Masker | None = None
    ) -> None:
        self.is_over = False
        self.masker = masker  # of one who may not see personal data
        self.after = wanted.after
        self._wanted = wanted
        self._queue: deque[Told] = deque(maxlen=queue_max)
        self._lost = 0
        self._woken = asyncio.Event()

    def wants(self, customer: str, decided: Decided) -> bool:
        """Say whether this subscriber asked for such a decision."""
        wanted = self._wanted
        return (
            (not wanted.customer or wanted.customer == customer)
            and (not wanted.journey or wanted.journey == decided.journey)
            and (wanted.outcome is None or wanted.outcome is decided.outcome)
            and (wanted.reason is None or wanted.reason is decided.reason)
        )

    def query(self, since_at: int) -> DecisionQuery:
        """Ask the store for the same decisions as `wants`, from an instant on."""
        wanted = self._wanted
        return DecisionQuery(
            customer=wanted.customer,
            journey=wanted.journey,
            outcome=wanted.outcome or "",
            reason=wanted.reason or "",
            since_at=since_at,
            limit=_REPLAY_PORTION,
        )

    def offer(self, told: Told) -> None:
        """Queue a decision; the oldest one goes when there is no room."""
        if len(self._queue) == self._queue.maxlen:
            self._lost += 1
        self._queue.append(told)
        self._woken.set()

    def shown(self, told: list[Told]) -> list[Told]:
        """Give decisions as this subscriber may see them."""
        return told if self.masker is None else [one.masked(self.masker) for one in told]

    def end(self) -> None:
        """Let the writing task come to its end."""
        self.is_over = True
        self._woken.set()

    async def wait(self, for_s: float) -> bool:
        """Wait for something to write; False when nothing came in that time."""
        try:
            async with asyncio.timeout(for_s):
                await self._woken.wait()
        except TimeoutError:
            return False
        return True

    def drain(self) -> tuple[list[Told], int]:
        """Take everything queued, and the number that was lost before it."""
        self._woken.clear()
        told, lost = list(self._queue), self._lost
        self._queue.clear()
        self._lost = 0
        return told, lost


class Feed:
    """All subscribers of one host. It listens to the runtime only while there are any."""

    def __init__(self, host: Host, limits: FeedLimits) -> None:
        self._host = host
        self._runtime = host.runtime
        self._limits = limits
        self._subscribers: list[Subscriber] = []
        self._stop: Callable[[], None] | None = None

    def publish(self, made: Sequence[tuple[str, Decided]]) -> None:
        """Tell decisions to those who want them. Never waits."""
        for customer, decided in made:
            told: Told | None = None
            for subscriber in self._subscribers:
                if subscriber.wants(customer, decided):
                    told = told or Told(customer, decided)
                    subscriber.offer(told)

    async def open(self, request: web.Request) -> web.StreamResponse:
        """Begin a feed, on whichever of the two carriers the client asked for."""
        wanted = read_parameters(request, FeedParameters)
        lines = lines_of(request)
        if lines.is_closing or len(self._subscribers) >= self._limits.subscribers_max:
            message = "as many as can be served are listening already; try again later"
            return refuse(503, "overloaded", message, retry_after_s=_RETRY_S)
        is_websocket = request.headers.get("Upgrade", "").lower() == "websocket"
        socket = web.WebSocketResponse(heartbeat=self._limits.keep_alive_s, max_msg_size=4_096)
        if is_websocket and not socket.can_prepare(request).ok:
            return refuse(400, "bad_handshake", "this is not a complete websocket handshake")
        masker = (
            Masker(self._runtime.program.pii) if self._host.visitor(request).is_masked else None
        )
        subscriber = Subscriber(wanted, self._limits.queue_max, masker)
        self._add(subscriber)
        try:
            with lines.hold(subscriber.end):
                if is_websocket:
                    return await self._serve_socket(request, socket, subscriber)
                return await self._serve_events(request, subscriber)
        finally:
            self._remove(subscriber)

    def _add(self, subscriber: Subscriber) -> None:
        self._subscribers.append(subscriber)
        if self._stop is None:
            self._stop = self._runtime.subscribe(self.publish)

    def _remove(self, subscriber: Subscriber) -> None:
        self._subscribers.remove(subscriber)
        if not self._subscribers and self._stop is not None:
            self._stop()
            self._stop = None

    async def _serve_events(
        self, request: web.Request, subscriber: Subscriber
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers=SSE_HEADERS)
        await response.prepare(request)
        await response.write(f"retry: {_RETRY_S * 1000}\n\n".encode())
        try:
            async with aclosing(self._portions(request, subscriber)) as portions:
                async for told, lost in portions:
                    chunk = b"".join(_write_events(told, lost=lost)) or b": keep-alive\n\n"
                    async with asyncio.timeout(self._limits.write_s):
                        await response.write(chunk)
        except (TimeoutError, ConnectionError):
            response.force_close()
        return response

    async def _serve_socket(
        self, request: web.Request, socket: web.WebSocketResponse, subscriber: Subscriber
    ) -> web.StreamResponse:
        await socket.prepare(request)
        reading = asyncio.create_task(_read_on(socket))
        reading.add_done_callback(lambda _: subscriber.end())
        try:
            async with aclosing(self._portions(request, subscriber)) as portions:
                async for told, lost in portions:
                    async with asyncio.timeout(self._limits.write_s):
                        for message in _write_messages(told, lost=lost):
                            await socket.send_frame(message, WSMsgType.TEXT)
            await socket.close(code=WSCloseCode.GOING_AWAY)
        except (TimeoutError, ConnectionError):
            await socket.close(code=WSCloseCode.POLICY_VIOLATION, drain=False)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        return socket

    async def _portions(
        self, request: web.Request, subscriber: Subscriber
    ) -> AsyncGenerator[tuple[list[Told], int | None]]:
        """Give what is to be written, as it comes; an empty portion is a sign of life."""
        after = request.headers.get("Last-Event-ID") or subscriber.after
        replayed: set[str] = set()
        if after:
            told, is_whole = await self._missed(after, subscriber)
            replayed = {one.decided.decision_id for one in told}
            yield subscriber.shown(told), 0 if is_whole else None
        while not subscriber.is_over:
            await subscriber.wait(self._limits.keep_alive_s)
            told, lost = subscriber.drain()
            # What became durable while the missed ones were read is in both.
            fresh = [one for one in told if one.decided.decision_id not in replayed]
            yield subscriber.shown(fresh), lost

    async def _missed(self, after: str, subscriber: Subscriber) -> tuple[list[Told], bool]:
        """Read what was decided after a decision, oldest first; False if that is not all of it."""
        last_seen = await self._runtime.store.decision(after)
        if last_seen is None:
            return [], False
        query = subscriber.query(last_seen.at)
        found: list[Told] = []
        while len(found) < _REPLAY_MAX:
            page = await self._runtime.store.decisions(query)
            for row in page.rows:
                if row.decision_id == after:
                    return found[::-1], True
                found.append(Told(row.customer, _DECIDED.decode(row.body)))
            if page.next is None:
                return found[::-1], True
            query = msgspec.structs.replace(query, before=page.next)
        return found[::-1], False


async def _read_on(socket: web.WebSocketResponse) -> None:
    # Reading is what answers pings and notices that the client left; what it says is not used.
    async for _ in socket:
        pass


def _write_events(told: Iterable[Told], *, lost: int | None) -> Iterable[bytes]:
    if lost != 0:
        yield b'event: lagged\ndata: {"lost":%s}\n\n' % _encode(lost)
    for one in told:
        yield b"id: %s\nevent: decision\ndata: %s\n\n" % (
            one.decided.decision_id.encode(),
            one.written,
        )


def _write_messages(told: Iterable[Told], *, lost: int | None) -> Iterable[bytes]:
    if lost != 0:
        yield b'{"lagged":{"lost":%s}}' % _encode(lost)
    for one in told:
        yield b'{"decision":%s}' % one.written
