"""What tests of phone channels share: captures of real SDKs, and messages like those in them."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from adapters.channels.provider import Provider, Refusal
from adapters.channels.wire import Reply, Request
from engine.effects import Send

_ROOT = Path(__file__).resolve().parents[1]
CAPTURES = Path(os.environ.get("NEXTBEAT_SHARED", _ROOT.parent / "shared")) / "sdk-captures"

PRESENT = datetime(2026, 3, 2, 5, 12, tzinfo=UTC)
NOW = 1_772_428_320_000  # the same
PUBLIC_URL = "https://cb.example"
HOUR_MS = 3_600_000

SEND = Send(
    message_id="m_0123456789abcdef01234567",
    decision_id="d_1",
    customer="u1",
    channel="sms",
    address="+15558675310",
    message="cart_reminder",
    message_type="promotional",
    purpose="marketing",
    journey="cart_recovery",
    step="first",
    content={"body": "hi"},
    decided_at=NOW,
    expires_at=None,
)


def a_send(content: dict[str, str] | None = None, **fields: str | int | None) -> Send:
    """Make a message that says `hi`, unless told otherwise."""
    send = msgspec.structs.replace(SEND, **fields)
    return send if content is None else msgspec.structs.replace(send, content=content)


def capture(folder: str, number: int) -> dict[str, Any]:
    """Read what a real SDK sent; without the shared cases the test is skipped."""
    path = CAPTURES / f"outbound-{folder}" / f"{number:03d}.json"
    if not path.is_file():
        pytest.skip(f"the shared cases are not at {CAPTURES}")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def form(body: bytes | str) -> dict[str, list[str]]:
    """Read a form strictly, by name."""
    text = body if isinstance(body, str) else body.decode("ascii")
    return parse_qs(text, keep_blank_values=True, strict_parsing=True)


def same_place(request: Request, shown: dict[str, Any], *headers: str) -> None:
    """Check that a request goes where a captured one went, with the headers that matter."""
    url = urlsplit(request.url)
    assert (request.method, url.path, url.query) == (
        shown["method"],
        shown["path"],
        shown["query"],
    )
    sent = {name.lower(): value for name, value in request.headers.items()}
    seen = {name.lower(): value for name, value in shown["headers"]}
    assert {name: sent[name] for name in headers} == {name: seen[name] for name in headers}


def answer(status: int, body: object = b"", **headers: str) -> Reply:
    """Make an answer: bytes as they are, all else as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def refusal(provider: Provider, reply: Reply) -> Refusal:
    """Classify an answer that must be a refusal."""
    read = provider.classify(reply, PRESENT)
    assert isinstance(read, Refusal)
    return read
