"""The whole way of a frame: in by websocket, decided by a real runtime, followed, read back."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession, WSMsgType

from actors.memory import MemoryChannel, MemoryStore, VirtualClock
from actors.runtime import Runtime
from adapters.gateway.app import Gateway, serve
from adapters.gateway.settings import GatewaySettings
from engine.instants import format_instant
from engine.program.compile import compile_source
from tests.e2e.reading_host import NOW

WORKSPACE = {
    "workspace": "live",
    "channels": {"email": {"adapter": "log", "identity": "email", "window": "13:00-20:00"}},
    "message_types": {"promotional": {"purpose": "service", "channels": ["email"]}},
    "messages": {
        "reminder": {
            "type": "promotional",
            "content": {"email": {"subject": "Your cart", "body": "It waits."}},
        }
    },
    "journeys": {
        "cart": {
            "trigger": {"event": "Product Added"},
            "steps": [{"send": "reminder", "id": "first"}, {"wait": "2h"}],
        }
    },
}


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    program = compile_source(WORKSPACE)
    channels = {"email": MemoryChannel()}
    runtime = Runtime(MemoryStore(), VirtualClock(NOW), program, channels)
    await runtime.open()
    await runtime.start()
    running = await serve(runtime, GatewaySettings())
    yield running
    await running.stop()
    await runtime.stop()


async def fetch(session: ClientSession, url: str) -> dict[str, Any]:
    async with session.get(url) as response:
        assert response.status == 200, await response.text()
        return dict(await response.json())


async def test_what_goes_in_by_the_stream_is_decided_followed_and_found(gateway: Gateway) -> None:
    identify = {
        "type": "identify",
        "messageId": "i-1",
        "userId": "u/1",
        "anonymousId": "a-1",
        "traits": {"email": "zoe@example.com"},
    }
    added = {"type": "track", "messageId": "e-1", "userId": "u/1", "event": "Product Added"}
    async with ClientSession() as session:
        stream = await session.ws_connect(f"{gateway.url}/v1/stream")
        feed = await session.ws_connect(f"{gateway.url}/v1/decisions/feed?customer=u/1")
        assert (await stream.receive(timeout=5)).type is WSMsgType.TEXT
        await stream.send_json([identify, added, {"type": "dance"}])
        ack = msgspec.json.decode((await stream.receive(timeout=5)).data)
        assert ack["ack"] == 1
        assert [error["index"] for error in ack["errors"]] == [2]
        told = msgspec.json.decode((await feed.receive(timeout=5)).data)["decision"]

        customer = await fetch(session, f"{gateway.url}/v1/customers/u%2F1")
        assert customer["traits"] == {"email": "zoe@example.com"}
        assert customer["identities"][0]["channels"] == ["email"]
        assert customer["journeys"][0]["journey"] == "cart"
        assert customer["journeys"][0]["step"] == "first"
        assert customer["journeys"][0]["waiting_for"] == "message"
        [pending] = customer["pending"]
        assert pending["reason"] == "outside_window"
        assert pending["next_eligible"] == "2026-03-02T13:00:00Z"
        assert pending["decision_id"] == told["decision_id"]
        assert await fetch(session, f"{gateway.url}/v1/customers/a-1") == customer

        timeline = await fetch(session, f"{gateway.url}/v1/customers/u%2F1/timeline")
        names = [entry["name"] for entry in timeline["entries"]]
        assert names == ["Product Added", "Identified", "anonymous_id"]
        assert timeline["entries"][2]["kind"] == "linked"
        kinds = {record["type"] for record in timeline["entries"][0]["records"]}
        assert {"entered", "decided", "wake_set"} <= kinds
        page = await fetch(session, f"{gateway.url}/v1/customers/u%2F1/timeline?limit=1")
        rest = f"/v1/customers/u%2F1/timeline?limit=2&cursor={page['next']}"
        assert (await fetch(session, gateway.url + rest))["entries"] == timeline["entries"][1:]

        listed = await fetch(session, f"{gateway.url}/v1/decisions?journey=cart&outcome=defer")
        assert listed["decisions"] == [told]
        since = f"/v1/decisions?since={format_instant(NOW + 1)}"
        assert (await fetch(session, gateway.url + since))["decisions"] == []
        shown = await fetch(session, f"{gateway.url}/v1/decisions/{told['decision_id']}")
        assert shown == told

        kept = await fetch(session, f"{gateway.url}/v1/quarantine")
        assert [item["code"] for item in kept["items"]] == ["unknown_type"]
        assert kept["items"][0]["payload"] == '{"type": "dance"}'
        async with session.get(f"{gateway.url}/metrics") as response:
            text = await response.text()
        assert 'nextbeat_events_total{result="stored"} 2.0' in text
        assert "nextbeat_actor_resident 1.0" in text
        await stream.close()
        await feed.close()


async def test_someone_not_known_by_name_is_found_by_the_anonymous_id(gateway: Gateway) -> None:
    viewed = {"type": "track", "messageId": "e-1", "anonymousId": "a/7", "event": "Viewed"}
    async with ClientSession() as session:
        stream = await session.ws_connect(f"{gateway.url}/v1/stream")
        await stream.receive(timeout=5)
        await stream.send_json(viewed)
        await stream.receive(timeout=5)
        customer = await fetch(session, f"{gateway.url}/v1/customers/a%2F7")
        timeline = await fetch(session, f"{gateway.url}/v1/customers/a%2F7/timeline")
        await stream.close()
    assert customer["customer"].endswith("a/7")
    assert [entry["input"]["id"] for entry in timeline["entries"]] == ["e-1"]


async def test_a_frame_sent_twice_is_stored_once(gateway: Gateway) -> None:
    added = {"type": "track", "messageId": "e-1", "userId": "u1", "event": "Product Added"}
    async with ClientSession() as session:
        stream = await session.ws_connect(f"{gateway.url}/v1/stream")
        await stream.receive(timeout=5)
        for _ in range(2):
            await stream.send_bytes(msgspec.msgpack.encode([added]))
        seen = 0
        while seen < 2:
            seen = msgspec.json.decode((await stream.receive(timeout=5)).data)["ack"]
        timeline = await fetch(
            session, f"{gateway.url}/v1/customers/u1/timeline?name=Product+Added"
        )
        await stream.close()
    counters = gateway.host.runtime.counters
    assert (counters.received, counters.stored, counters.duplicates) == (2, 1, 1)
    assert len(timeline["entries"]) >= 1
