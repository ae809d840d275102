"""Messages to providers, and their answers, for the tests of the modules that speak to them."""

import json
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
import pytest

from actors.ports import Permanent, Temporary
from adapters.channels.provider import Refusal
from adapters.channels.wire import Reply
from engine.effects import Send
from tests.outgoing import START, a_send

PRESENT = datetime.fromtimestamp(START / 1000, UTC)
HOUR_MS = 3_600_000


class Reads(Protocol):
    def classify(self, reply: Reply, present: datetime) -> str | Refusal: ...


def a_push(address: str, **content: str | int | None) -> Send:
    """Make a message with this content to an address; `expires_at` is not part of what it says."""
    expires_at = content.pop("expires_at", None)
    send = a_send("m_0123456789abcdef01234567", "u1", address=address, expires_at=expires_at)
    return msgspec.structs.replace(send, content=content)


def answer(status: int, body: object = b"", **headers: str) -> Reply:
    """Make an answer; what is not bytes is JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, named, raw)


def refusal(provider: Reads, status: int, body: object = b"", **headers: str) -> Refusal:
    """Have an answer read that says no."""
    read = provider.classify(answer(status, body, **headers), PRESENT)
    assert isinstance(read, Refusal)
    return read


def raised(read: Refusal) -> Permanent | Temporary:
    """Raise a refusal as channels do."""
    error = read.error()
    with pytest.raises(type(error)):
        raise error
    return error


def decoded(body: bytes) -> Any:
    """Decode JSON."""
    return json.loads(body)


# Whatever a provider, or something in between, may answer instead of what is expected.
UNREADABLE: list[bytes] = [
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"<html>Bad gateway</html>",
    b"\xff\xfe\x00",
    b'{"error": 7}',
    b'{"error": {"code": "many", "status": 5, "details": "none"}}',
    b'{"name": 1, "messages": [[]], "reason": {}, "id": []}',
    b'{"error": ' * 2_000,
    b"[" * 60_000,
    b"1e999",
]
