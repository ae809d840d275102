"""A customer's in-app messages for the customer's own app: fetched, received live, answered.

The app shows the customer's inbox token (`Signer.inbox_token`, made by the business's backend), as
Bearer token or, because browsers can't set headers on a websocket, as `?token=`. What a customer
did with a message becomes a receipt like any other channel's.

*Rules*
- A customer's inbox has the messages of all who turned out to be this customer, too. Whoever shows
  the token of one of those sees that one's alone: the device it is on may be another's by now.
- Whose names they are is asked with each request, and with each socket when it opens, so that
  customers who are made two again have two inboxes again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from aiohttp import WSCloseCode, web

from adapters.gateway.answers import refuse
from adapters.gateway.host import Host
from adapters.gateway.lines import Lines, lines_of
from adapters.inbox import Inbox, InboxMessage
from adapters.signing import Signer
from engine.errors import OverloadError, StoreError
from engine.events import Receipt, ReceiptStatus
from engine.instants import format_instant
from engine.limits import INBOX_PAGE_MAX, INBOX_SOCKET_QUEUE_MAX

_HEARTBEAT_S = 30.0
_FRAME_BYTES_MAX = 4 * 1024  # clients have nothing to say here
_NUMBER_DIGITS_MAX = 15

# A message put away was seen, and that is all it tells: it is no engagement.
_STATUSES = {
    "opened": (ReceiptStatus.OPENED, ""),
    "clicked": (ReceiptStatus.CLICKED, ""),
    "dismissed": (ReceiptStatus.DELIVERED, "dismissed"),
}
_encode = msgspec.json.Encoder().encode
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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
    """Some messages, oldest first, and where to go on."""

    messages: list[WireMessage]
    next: int


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
            found = await self._inbox.page(names, after, limit)
        except StoreError:
            message = "the inbox can't be read at the moment; try again"
            return refuse(503, "unavailable", message, retry_after_s=1)
        page = WirePage([_wire(message) for message in found], found[-1].number if found else after)
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
            message = await self._inbox.note(names, message_id, is_dismissed=verb == "dismissed")
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
        customer, after = request.match_info["customer"], _number(request, "after", 0)
        if after is None:
            return refuse(400, "bad_number", "after must be a whole number", "$query.after")
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, max_msg_size=_FRAME_BYTES_MAX)
        refusal = _refuse_opening(request, socket)
        if refusal is not None:
            return refusal
        try:
            names = await self._names(customer)
        except StoreError:
            message = "the inbox can't be read at the moment; try again"
            return refuse(503, "unavailable", message, retry_after_s=1)
        news: asyncio.Queue[InboxMessage | None] = asyncio.Queue()

        def listen(message: InboxMessage) -> None:
            # A client that does not read is let go; it comes back and asks from where it was.
            if news.qsize() <= INBOX_SOCKET_QUEUE_MAX:
                news.put_nowait(message if news.qsize() < INBOX_SOCKET_QUEUE_MAX else None)

        try:
            # Listen before looking, so that nothing falls in between.
            stop = self._inbox.subscribe(names, listen)
        except OverloadError as error:
            return refuse(429, "too_many_sockets", str(error), retry_after_s=error.retry_after_s)
        try:
            await socket.prepare(request)
            await self._send_all(lines_of(request), socket, names, after, news)
        finally:
            stop()
        return socket

    async def _send_all(
        self,
        lines: Lines,
        socket: web.WebSocketResponse,
        names: Sequence[str],
        after: int,
        news: asyncio.Queue[InboxMessage | None],
    ) -> None:
        reader = asyncio.create_task(_read_out(socket))
        writer = asyncio.create_task(self._write_all(socket, names, after, news))
        try:
            with lines.hold(reader.cancel):
                await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            reader.cancel()
            writer.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)
        await socket.close(code=WSCloseCode.GOING_AWAY if lines.is_closing else WSCloseCode.OK)

    async def _write_all(
        self,
        socket: web.WebSocketResponse,
        names: Sequence[str],
        after: int,
        news: asyncio.Queue[InboxMessage | None],
    ) -> None:
        try:
            while page := await self._inbox.page(names, after, INBOX_PAGE_MAX):
                for message in page:
                    await socket.send_str(_encode(_wire(message)).decode())
                after = page[-1].number
        except StoreError:
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"it can't be read now")
            return
        while (latest := await news.get()) is not None:
            if latest.number > after:
                after = latest.number
                await socket.send_str(_encode(_wire(latest)).decode())
        await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"read faster")

    async def _names(self, customer: str) -> tuple[str, ...]:
        """Give the names whose messages are this customer's. Raises StoreError."""
        profile = await self._host.runtime.profile(customer)
        return (customer, *(profile.absorbed if profile is not None else ()))

    def guard(self, handler: _Handler) -> _Handler:
        """Let in the customer's own app, and administrators."""

        async def guarded(request: web.Request) -> web.StreamResponse:
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
    return [
        web.get("/v1/inbox/{customer}", made.guard(made.fetch)),
        web.get("/v1/inbox/{customer}/socket", made.guard(made.follow)),
        web.post(f"/v1/inbox/{{customer}}/{{message_id}}/{{verb:{verbs}}}", made.guard(made.note)),
    ]


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
    is_number = text.isascii() and text.isdigit() and len(text) <= _NUMBER_DIGITS_MAX
    return int(text) if is_number else None


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
