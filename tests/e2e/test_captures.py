"""Requests that real libraries sent, replayed byte for byte: everything in them arrives.

They are among the shared cases, which do not ship: without them these tests are skipped.
"""

import gzip
import json
import os
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import msgspec
import pytest

from engine.events import Event
from engine.instants import parse_instant
from engine.limits import ITEM_BYTES_MAX
from tests.e2e.gateway_host import NOW, Served, running

_ROOT = Path(__file__).resolve().parents[2]
CAPTURES = Path(os.environ.get("NEXTBEAT_SHARED", _ROOT.parent / "shared")) / "sdk-captures"
FOLDERS = (
    "cloudevents-python",
    "rudder-sdk-python",
    "segment-analytics-next-browser",
    "segment-analytics-node",
    "segment-analytics-python",
    "segment-analytics-python--400-bodies",
    "segment-analytics-python--odd-values",
)
SET_BY_US = {"host", "content-length", "connection", "accept-encoding"}

pytestmark = pytest.mark.skipif(
    not CAPTURES.is_dir(), reason=f"the shared cases are not at {CAPTURES}"
)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with running() as gateway:
        yield gateway


def captures(folder: str) -> Iterator[dict[str, Any]]:
    for path in sorted((CAPTURES / folder).glob("*.json")):
        yield json.loads(path.read_text())


def body_of(capture: dict[str, Any]) -> bytes:
    """Write the body again as it was on the wire, as far as it was kept."""
    kept, kind = capture["body"], capture["body_kind"]
    if kind == "json":
        raw = json.dumps(kept).encode()
    elif kind == "base64":
        raw = b64decode(kept)
    else:
        raw = (kept or "").encode()
    headers = {name.lower(): value for name, value in capture["headers"]}
    return gzip.compress(raw) if headers.get("content-encoding") == "gzip" else raw


def items_of(capture: dict[str, Any]) -> list[dict[str, Any]]:
    """List the calls a capture holds."""
    body = capture["body"]
    if not body or capture["method"] != "POST":
        return []
    batch: list[dict[str, Any]] = body.get("batch", [body])
    return batch


async def replay(served: Served, capture: dict[str, Any]) -> None:
    """Send a capture and insist on the answer its client takes for success."""
    headers = {name: value for name, value in capture["headers"] if name.lower() not in SET_BY_US}
    path = capture.get("raw_path", capture["path"])
    query = f"?{capture['query']}" if capture["query"] else ""
    answer = await served.send(
        path + query, body_of(capture), method=capture["method"], headers=headers
    )
    if capture["method"] == "OPTIONS":
        assert answer.status == 204
        asked = headers["Access-Control-Request-Headers"]
        assert answer.headers["Access-Control-Allow-Headers"] == asked
    else:
        assert answer.status == 200, answer.body
        assert capture["method"] == "GET" or answer.said["success"] is True


@pytest.mark.parametrize("folder", [name for name in FOLDERS if "cloudevents" not in name])
async def test_everything_in_a_capture_arrives(served: Served, folder: str) -> None:
    expected: dict[str, dict[str, Any]] = {}
    refused: list[tuple[str, str]] = []
    for capture in captures(folder):
        await replay(served, capture)
        for item in items_of(capture):
            if capture["scenario"] == "deep":
                refused.append((item["messageId"], "too_deep"))
            elif len(json.dumps(item)) > ITEM_BYTES_MAX:
                refused.append((item["messageId"], "too_large"))
            else:
                expected[item["messageId"]] = item
    assert list(served.runtime.inputs) == list(expected)
    for event in served.runtime.events:
        _compare(event, expected[event.id])
    assert refused == [
        (msgspec.json.decode(row.payload)["messageId"], row.code)
        for row in served.runtime.quarantined
    ]
    assert served.balanced()


def _compare(event: Event, item: dict[str, Any]) -> None:
    """Insist that nothing a condition could look at was lost."""
    assert event.user == item.get("userId")
    assert event.anonymous == (item.get("anonymousId") or item.get("previousId"))
    if "type" in item:
        assert event.kind.value == item["type"]
    if "event" in item:
        assert event.name == item["event"]
    assert set(item.get("properties") or {}) <= set(event.properties)
    assert set(item.get("traits") or {}) <= set(event.traits)
    if item.get("type") == "identify":
        assert set(item["context"].get("traits") or {}) <= set(event.traits)


async def test_every_cloudevent_arrives(served: Served) -> None:
    expected: list[tuple[str, str | None]] = []
    for capture in captures("cloudevents-python"):
        await replay(served, capture)
        expected.extend(_named(each) for each in _cloudevents(capture))
    arrived = [(event.id, event.user) for event in served.runtime.events]
    nobodys = [(event_id, None) for event_id, subject in expected if subject is None]
    assert set(arrived) == {each for each in expected if each[1] is not None}
    assert [row.code for row in served.runtime.quarantined] == ["no_user_anon_id"] * len(nobodys)
    assert {event.user for event in served.runtime.events} == {"user-1", 'Zo\xeb "x" %'}
    assert served.balanced()


def _cloudevents(capture: dict[str, Any]) -> list[dict[str, Any]]:
    content_type = dict(capture["headers"]).get("content-type", "")
    if "cloudevents" in content_type:
        body = capture["body"]
        return cast("list[dict[str, Any]]", body if isinstance(body, list) else [body])
    return [{name[3:]: unquote(value) for name, value in capture["headers"] if name[:3] == "ce-"}]


def _named(event: dict[str, Any]) -> tuple[str, str | None]:
    return f"{event['source']}#{event['id']}", event.get("subject")


async def test_the_same_calls_through_three_libraries_are_the_same_events(served: Served) -> None:
    told: list[list[tuple[Any, ...]]] = []
    for folder in ("segment-analytics-python", "rudder-sdk-python", "segment-analytics-node"):
        capture = next(captures(folder))
        served.runtime.inputs.clear()
        served.runtime.still.at = parse_instant(capture["body"]["sentAt"])
        await replay(served, capture)
        told.append([_tell(event) for event in served.runtime.events if event.name != "Numeric Id"])
        served.runtime.still.at = NOW
    assert told[0] == told[1] == told[2]
    assert [kind for kind, *_ in told[0]] == [
        *("identify", "identify", "track", "track", "track", "page", "screen", "group", "alias")
    ]


def _tell(event: Event) -> tuple[Any, ...]:
    """Give everything but ids, times, and the number that JavaScript could not have sent."""
    times = ("createdAt", "when")

    def bare(values: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in values.items() if key not in (*times, "big")}

    return (
        event.kind.value,
        event.name,
        event.user,
        event.anonymous,
        bare(event.properties),
        bare(event.traits),
        event.context,
        event.consents,
        event.source,
    )
