"""What the gateway says back: one success, and refusals that always carry `code` and `message`.

Used by every handler. Old clients take only status 200 for success (202 and 204 make them send
again) and treat an error without `code` and `message` as a broken network, so both are fixed here
and nowhere else. What a client sent is never repeated to it.
"""

import time
from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus

import msgspec
from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

_JSON = "application/json"
_UNREAD_BYTES_MAX = 64 * 1024  # with more answers unread than this, the client has to read first
_encode = msgspec.json.Encoder().encode


class ItemError(msgspec.Struct, frozen=True):
    """One item of a request that was not understood: it is in quarantine, the others are stored."""

    index: int
    code: str
    path: str
    message: str


class Refusal(msgspec.Struct, frozen=True):
    """The body of every answer that is not a success."""

    code: str
    message: str
    path: str = "$"
    success: bool = False


class Success(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a success; `errors` only where some items went to quarantine."""

    success: bool
    errors: Sequence[ItemError] = ()


_SUCCESS = Success(success=True)


def spell(status: int, body: object, header: str) -> bytes:
    """Write a whole answer as the bytes that go out."""
    written = _encode(body)
    lines = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Content-Type: {_JSON}",
        f"Content-Length: {len(written)}",
        header,
        "",
        "",
    )
    return "\r\n".join(lines).encode() + written


class PlainSuccess(web.StreamResponse):
    """The answer to nearly every request, written as one ready-made piece of bytes.

    It keeps nothing about a request, so one instance serves them all. An ordinary `Response` goes
    through headers, encoder and payload writer to say the same 16 bytes, which is most of what a
    handler that does nothing costs.
    """

    def __init__(self) -> None:
        super().__init__()
        self._second = 0
        self._whole = b""

    @property
    def keep_alive(self) -> bool:
        """Keep the connection: `succeed` picks this answer only where the client keeps it too."""
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write everything at once."""
        second = int(time.time())
        if second != self._second:
            date = f"Date: {formatdate(second, usegmt=True)}"
            self._second, self._whole = second, spell(200, _SUCCESS, date)
        transport = request.transport
        if transport is not None:
            transport.write(self._whole)
            if transport.get_write_buffer_size() > _UNREAD_BYTES_MAX:
                await request.writer.drain()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Add nothing: it has been written."""


_PLAIN_SUCCESS = PlainSuccess()


def succeed(request: web.BaseRequest, errors: Sequence[ItemError] = ()) -> web.StreamResponse:
    """Answer 200, with the items that are in quarantine if there are any."""
    if not errors and request.keep_alive and request.version == HttpVersion11:
        return _PLAIN_SUCCESS
    return spell_success(errors)


def spell_success(errors: Sequence[ItemError] = ()) -> web.Response:
    """Make an answer of success that headers can be added to."""
    return answer_json(Success(success=True, errors=errors) if errors else _SUCCESS)


def answer_json(body: object, status: int = 200) -> web.Response:
    """Answer with anything msgspec can write."""
    return web.Response(body=_encode(body), status=status, content_type=_JSON)


def refuse(
    status: int, code: str, message: str, path: str = "$", *, retry_after_s: int | None = None
) -> web.Response:
    """Make an answer that says what was wrong, where, and what would be right."""
    response = answer_json(Refusal(code, message, path), status)
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    return response


class Refused(web.HTTPException):
    """A refusal to be raised from deep inside a handler; aiohttp sends it as it is."""

    status_code = 400

    def __init__(self, status: int, body: bytes) -> None:
        self.status_code = status
        super().__init__(text=body.decode(), content_type=_JSON)


def refuse_loudly(status: int, code: str, message: str, path: str = "$") -> Refused:
    """Make a refusal that can be raised."""
    return Refused(status, _encode(Refusal(code, message, path)))
