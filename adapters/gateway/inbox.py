"""A customer's in-app messages for the customer's own app: fetched, received live, answered.

The app shows the customer's inbox token (`Signer.inbox_token`, made by the business's backend), as
Bearer token or, because browsers can't set headers on a websocket, as `?token=`. What a customer
did with a message becomes a receipt like any other channel's. `html/inbox.js` is a client for
browsers, served at `/inbox.js`.

*Rules*
- A customer's inbox has the messages of all who turned out to be this customer, too. Whoever shows
  the token of one of those sees that one's alone: the device it is on may be another's by now.
- Whose names they are is asked with each request, and with each socket when it opens, so that
  customers who are made two again have two inboxes again.
- What waits for whoever serves the customer (`desk`) is not the customer's to see.
- A socket and a stream give the same: what is there beyond a number, then what comes. The id of a
  server-sent event is that number, so that a browser comes back with `Last-Event-ID` by itself.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress

import msgspec
from aiohttp import WSCloseCode, web

from adapters.gateway import client
from adapters.gateway.answers import refuse
from adapters.gateway.cors import allow_browsers, opening
from adapters.gateway.feed import SSE_HEADERS
from adapters.gateway.host import Host
from adapters.gateway.lines import Lines, lines_of
from adapters.inbox import Inbox, InboxMessage, Shelf, app_shelf
from adapters.signing import Signer
from engine.errors import OverloadError, StoreError
from engine.events import Receipt, ReceiptStatus
from engine.instants import format_instant
from engine.limits import INBOX_PAGE_MAX, INBOX_SOCKET_QUEUE_MAX

_HEARTBEAT_S = 30.0
_ALIVE_S = 15.0  # between signs of life on a stream, by which a client that left is noticed
_WRITE_S = 30.0
_RETRY_MS = 3_000
_FRAME_BYTES_MAX = 4 * 1024  # clients have nothing to say here
_NUMBER_DIGITS_MAX = 15

# A message put away was seen, and that is all it tells: it is no engagement.
_STATUSES = {
    "opened": (ReceiptStatus.OPENED, ""),
    "clicked": (ReceiptStatus.CLICKED, ""),
    "dismissed": (ReceiptStatus.DELIVERED, "dismissed"),
}
_encode = msgspec.json.Encoder().encode
_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
_Messages = AsyncGenerator[InboxMessage | None]


class WireMessage(msgspec.Struct, frozen=True):
    """A message as the app reads it; `number` is what `?after=` takes."""

    number: int
    message_id: str
    channel: str
    at: str
    content: dict[str, str]
    expires_at: str | None
    seen_at: str | None


class WirePage(msgspec.Struct, frozen=True):
    """Some messages, oldest first, and where to go on.

    `unseen` counts by channel what is there and was not seen, on this page or not: what a badge
    shows.
    """

    messages: list[WireMessage]
    next: int
    unseen: dict[str, int]


class InboxRoutes:
    """The handlers, with what they need."""

    def __init__(self, host: Host, inbox: Inbox, signer: Signer | None) -> None:
        self._host = host
        self._inbox = inbox
        self._signer = signer

    async def fetch(self, request: web.Request) -> web.StreamResponse:
        """Answer with the messages after a number."""
        after, limit = _number(request, "after", 0), _number(request, "limit", INBOX_PAGE_MAX)
        if after is None or limit is None:
            return refuse(400, "bad_number", "after and limit must be whole numbers", "$query")
        try:
            names = await self._names(request.match_info["customer"])
            shelf = self._shelf()
            found = await self._inbox.page(names, after, limit, shelf)
            unseen = await self._inbox.unseen(names, shelf)
        except StoreError:
            message = "the inbox can't be read at the moment; try again"
            return refuse(503, "unavailable", message, retry_after_s=1)
        following = found[-1].number if found else after
        page = WirePage([_wire(message) for message in found], following, unseen)
        headers = {"Cache-Control": "no-store"}
        return web.Response(body=_encode(page), content_type="application/json", headers=headers)

    async def note(self, request: web.Request) -> web.StreamResponse:
        """Take what a customer did with a message; the answer comes when it is durable."""
        customer, message_id = request.match_info["customer"], request.match_info["message_id"]
        verb = request.match_info["verb"]
        status, code = _STATUSES[verb]
        now = self._host.runtime.clock.now()
        try:
            names = await self._names(customer)
            message = await self._inbox.note(
                names, message_id, is_dismissed=verb == "dismissed", shelf=self._shelf()
            )
            if message is None:
                return refuse(404, "unknown_message", "this customer has no such message")
            receipt = Receipt(
                id=f"inbox:{message_id}:{verb}",
                user=customer,
                message=message_id,
                status=status,
                at=now,
                received_at=now,
                code=code,
                source="inbox",
            )
            await self._host.runtime.submit([receipt])
        except (OverloadError, StoreError):
            return refuse(503, "overloaded", "it can't be stored now; try again", retry_after_s=1)
        return web.json_response({"success": True})

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """Send what is there, then what comes, one message a frame."""
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, max_msg_size=_FRAME_BYTES_MAX)

        async def serve(messages: _Messages) -> web.StreamResponse:
            await socket.prepare(request)
            await _serve_socket(lines_of(request), socket, messages)
            return socket

        return _refuse_opening(request, socket) or await self._open(request, serve)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Send the same as server-sent events."""

        async def serve(messages: _Messages) -> web.StreamResponse:
            response = web.StreamResponse(headers={**SSE_HEADERS, **opening(request)})
            await response.prepare(request)
            await _serve_events(lines_of(request), response, messages)
            return response

        if lines_of(request).is_closing:
            return refuse(503, "stopping", "the server is stopping", retry_after_s=1)
        return await self._open(request, serve)

    async def _open(
        self,
        request: web.Request,
        serve: Callable[[_Messages], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Begin to listen for a customer, and have it served until it is over."""
        after = _number(request, "after", 0)
        seen = request.headers.get("Last-Event-ID")
        if seen is not None and _is_number(seen):
            after = int(seen)
        if after is None:
            return refuse(400, "bad_number", "after must be a whole number", "$query.after")
        try:
            names = await self._names(request.match_info["customer"])
        except StoreError:
            message = "the inbox can't be read at the moment; try again"
            return refuse(503, "unavailable", message, retry_after_s=1)
        news: asyncio.Queue[InboxMessage | None] = asyncio.Queue()
        shelf = self._shelf()

        def listen(message: InboxMessage) -> None:
            # A client that does not read is let go; it comes back and asks from where it was.
            if shelf.holds(message.channel) and news.qsize() <= INBOX_SOCKET_QUEUE_MAX:
                news.put_nowait(message if news.qsize() < INBOX_SOCKET_QUEUE_MAX else None)

        try:
            # Listen before looking, so that nothing falls in between.
            stop = self._inbox.subscribe(names, listen)
        except OverloadError as error:
            return refuse(429, "too_many_sockets", str(error), retry_after_s=error.retry_after_s)
        try:
            return await serve(self._messages(names, after, news))
        finally:
            stop()

    async def _messages(
        self, names: Sequence[str], after: int, news: asyncio.Queue[InboxMessage | None]
    ) -> AsyncGenerator[InboxMessage | None]:
        """Give what is there, then what comes; None where nothing came for long.

        It ends where the client reads too slowly. Raises StoreError.
        """
        while page := await self._inbox.page(names, after, INBOX_PAGE_MAX, self._shelf()):
            for message in page:
                yield message
            after = page[-1].number
        while True:
            try:
                async with asyncio.timeout(_ALIVE_S):
                    latest = await news.get()
            except TimeoutError:
                yield None
                continue
            if latest is None:
                return
            if latest.number > after:
                after = latest.number
                yield latest

    def _shelf(self) -> Shelf:
        return app_shelf(self._host.runtime.program)

    async def _names(self, customer: str) -> tuple[str, ...]:
        """Give the names whose messages are this customer's. Raises StoreError."""
        profile = await self._host.runtime.profile(customer)
        return (customer, *(profile.absorbed if profile is not None else ()))

    def guard(self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> _Handler:
        """Let in the customer's own app, and administrators."""

        async def guarded(request: web.BaseRequest) -> web.StreamResponse:
            assert isinstance(request, web.Request)
            if not self._is_own(request):
                self._host.require_admin(request)
            return await handler(request)

        return guarded

    def _is_own(self, request: web.Request) -> bool:
        token = _token(request)
        if self._signer is None or token is None:
            return False
        return self._signer.opens_inbox(request.match_info["customer"], token)


def routes(host: Host, inbox: Inbox, signer: Signer | None) -> list[web.RouteDef]:
    """List the routes over the inbox the channels fill; without a signer only admins come in."""
    made = InboxRoutes(host, inbox, signer)
    verbs = "|".join(_STATUSES)
    note = f"/v1/inbox/{{customer}}/{{message_id}}/{{verb:{verbs}}}"
    return [
        *client.routes(host, signer),
        *allow_browsers("/v1/inbox/{customer}", made.guard(made.fetch), "GET"),
        *allow_browsers("/v1/inbox/{customer}/stream", made.guard(made.stream), "GET"),
        web.get("/v1/inbox/{customer}/socket", made.guard(made.follow)),
        *allow_browsers(note, made.guard(made.note)),
    ]


async def _serve_socket(lines: Lines, socket: web.WebSocketResponse, messages: _Messages) -> None:
    reader = asyncio.create_task(_read_out(socket))
    writer = asyncio.create_task(_write_frames(socket, messages))
    try:
        with lines.hold(reader.cancel):
            await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
    finally:
        reader.cancel()
        writer.cancel()
        await asyncio.gather(reader, writer, return_exceptions=True)
    await socket.close(code=WSCloseCode.GOING_AWAY if lines.is_closing else WSCloseCode.OK)


async def _write_frames(socket: web.WebSocketResponse, messages: _Messages) -> None:
    try:
        async with aclosing(messages):
            async for message in messages:
                if message is not None:
                    await socket.send_str(_encode(_wire(message)).decode())
    except StoreError:
        await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"it can't be read now")
        return
    await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"read faster")


async def _serve_events(lines: Lines, response: web.StreamResponse, messages: _Messages) -> None:
    writer = asyncio.create_task(_write_events(response, messages))
    with lines.hold(writer.cancel):
        await asyncio.wait((writer,))
    response.force_close()


async def _write_events(response: web.StreamResponse, messages: _Messages) -> None:
    """Write events until somebody has enough; the client comes back with the last number it has."""
    await response.write(b"retry: %d\n\n" % _RETRY_MS)
    with suppress(StoreError, TimeoutError, ConnectionError):
        async with aclosing(messages):
            async for message in messages:
                chunk = b": nothing new\n\n"
                if message is not None:
                    chunk = b"id: %d\ndata: %b\n\n" % (message.number, _encode(_wire(message)))
                async with asyncio.timeout(_WRITE_S):
                    await response.write(chunk)


def _refuse_opening(request: web.Request, socket: web.WebSocketResponse) -> web.Response | None:
    """Say why a socket can't be opened; aiohttp itself would repeat what was sent."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        response = refuse(426, "websocket_only", "this address speaks websocket only")
        response.headers["Upgrade"] = "websocket"
        return response
    if not socket.can_prepare(request).ok:
        return refuse(400, "bad_handshake", "this is not a complete websocket handshake")
    if lines_of(request).is_closing:
        return refuse(503, "stopping", "the server is stopping", retry_after_s=1)
    return None


async def _read_out(socket: web.WebSocketResponse) -> None:
    """Read what the client sends, to notice when it goes; it has nothing to say."""
    async for _ in socket:
        continue


def _token(request: web.Request) -> str | None:
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    return request.query.get("token")


def _number(request: web.Request, name: str, default: int) -> int | None:
    text = request.query.get(name)
    if text is None:
        return default
    return int(text) if _is_number(text) else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _NUMBER_DIGITS_MAX


def _wire(message: InboxMessage) -> WireMessage:
    return WireMessage(
        number=message.number,
        message_id=message.message_id,
        channel=message.channel,
        at=format_instant(message.at),
        content=message.content,
        expires_at=_instant(message.expires_at),
        seen_at=_instant(message.seen_at),
    )


def _instant(at: int | None) -> str | None:
    return None if at is None else format_instant(at)
