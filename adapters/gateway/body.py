"""The body of a request, whole: within its limits, in time, and unpacked.

Called by every handler that takes input. Hands on bytes, or raises `InputError` (answered 400) or
`SlowBodyError` (answered 408). Bodies that were complete when the handler began, nearly all, cost
no task switch and no timer.
"""

import asyncio
import zlib

from aiohttp import ClientPayloadError, web
from aiohttp.web_protocol import RequestPayloadError

from adapters.gateway.answers import refuse
from engine.errors import InputError, NextbeatError
from engine.limits import BODY_BYTES_MAX

_GZIP_OR_ZLIB = 47  # zlib's number for: look at the header
_UNPACKERS = {"gzip": _GZIP_OR_ZLIB, "x-gzip": _GZIP_OR_ZLIB, "deflate": _GZIP_OR_ZLIB}
_GZIP_MARK = b"\x1f\x8b"
_MEMBERS_MAX = 100  # gzip streams one after the other: some libraries write one a chunk


class SlowBodyError(NextbeatError):
    """The body was not sent in time."""


async def read_body(
    request: web.BaseRequest, deadline_s: float, bytes_max: int = BODY_BYTES_MAX
) -> bytes:
    """Read and unpack a body."""
    content = request.content
    try:
        if content.is_eof():
            raw = content.read_nowait()
        else:
            raw = await _receive(request, deadline_s, bytes_max)
    except (RequestPayloadError, ClientPayloadError):
        raise InputError("unreadable_body", "the body broke off or is badly framed") from None
    encoding = request.headers.get("Content-Encoding")
    if encoding is not None:
        raw = _unpack(raw, encoding, bytes_max)
    if len(raw) > bytes_max:
        raise _too_large(bytes_max)
    return raw


async def expect_body(request: web.Request) -> web.StreamResponse | None:
    """Ask a client that waits with its body to send it, or not to begin."""
    try:
        check_length(request)
    except InputError as error:
        return refuse(400, error.code, error.message, error.path)
    if request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return None


def check_length(request: web.BaseRequest, bytes_max: int = BODY_BYTES_MAX) -> None:
    """Refuse a body by its announced length, before any of it is read."""
    length = request.content_length
    if length is not None and length > bytes_max:
        raise _too_large(bytes_max)


async def _receive(request: web.BaseRequest, deadline_s: float, bytes_max: int) -> bytes:
    check_length(request, bytes_max)
    content, received = request.content, bytearray()
    try:
        async with asyncio.timeout(deadline_s):
            while chunk := await content.readany():
                received += chunk
                if len(received) > bytes_max:
                    raise _too_large(bytes_max)
    except TimeoutError:
        raise SlowBodyError from None
    return bytes(received)


def _unpack(raw: bytes, encoding: str, bytes_max: int) -> bytes:
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return raw
    if name not in _UNPACKERS:
        message = "expected Content-Encoding gzip, deflate or none"
        raise InputError("unsupported_encoding", message, "Content-Encoding")
    unpacked, rest = _unpack_member(raw, _UNPACKERS[name], bytes_max, bytes_max)
    if not rest:
        return unpacked
    # What follows the end must be gzip again: a body that is cut or doubled is not guessed at.
    members = bytearray(unpacked)
    for _ in range(_MEMBERS_MAX):
        if not rest.startswith(_GZIP_MARK) or not raw.startswith(_GZIP_MARK):
            raise _bad_gzip()
        unpacked, rest = _unpack_member(rest, _GZIP_OR_ZLIB, bytes_max - len(members), bytes_max)
        members += unpacked
        if not rest:
            return bytes(members)
    raise _bad_gzip()


def _unpack_member(raw: bytes, header: int, room: int, bytes_max: int) -> tuple[bytes, bytes]:
    """Unpack one stream into what room is left; gives what it holds, and the bytes after it."""
    unpacker = zlib.decompressobj(header)
    try:
        unpacked = unpacker.decompress(raw, room + 1)
    except zlib.error:
        raise _bad_gzip() from None
    if len(unpacked) > room:
        raise _too_large(bytes_max)
    if not unpacker.eof:
        raise _bad_gzip()
    return unpacked, unpacker.unused_data


def _bad_gzip() -> InputError:
    message = "the body is not what Content-Encoding says it is"
    return InputError("bad_gzip", message, "Content-Encoding")


def _too_large(bytes_max: int) -> InputError:
    return InputError("too_large", f"a body may have {bytes_max} bytes, unpacked")
