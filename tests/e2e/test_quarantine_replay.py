"""A second try for what was not understood: it is stored once, and then it is out of quarantine."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from actors.memory import MemoryStore
from actors.rows import Commit, QuarantineRow
from actors.runtime import Runtime
from engine.events import Event, EventKind
from tests.e2e.gateway_host import NOW, Served, call
from tests.e2e.test_ingest_runtime import accounted, whole

Shard = tuple[Served, Runtime, MemoryStore]


@pytest.fixture
async def shard() -> AsyncIterator[Shard]:
    store = MemoryStore()
    async with whole(store) as (served, runtime):
        yield served, runtime, store


async def keep(store: MemoryStore, source: str, payload: object) -> None:
    """Put an item into quarantine that an earlier release did not understand."""
    written = msgspec.json.encode(payload)
    row = QuarantineRow(0, NOW - 60_000, source, "unknown_type", "type", "expected …", written)
    await store.commit(Commit(quarantined=[row]))


@pytest.mark.parametrize(
    ("source", "payload"),
    [
        ("segment", call(messageId="m1")),
        ("stream", call()),
        ("consent", {"userId": "u1", "purpose": "marketing", "status": "granted"}),
        ("customerio", {"type": "person", "identifiers": {"id": "u1"}, "action": "identify"}),
        (
            "cloudevents",
            {"specversion": "1.0", "id": "1", "source": "/s", "type": "X", "subject": "u1"},
        ),
        ("engine", Event("m1", EventKind.TRACK, "Clicked", "u1", None, NOW, NOW)),
    ],
)
async def test_what_is_understood_now_is_stored_and_leaves_quarantine(
    shard: Shard, source: str, payload: object
) -> None:
    served, runtime, store = shard
    await keep(store, source, payload)
    (await served.send("/v1/quarantine/1/replay", b"")).accepted()
    assert accounted(runtime) == (1, 1, 0, 0)
    assert await store.quarantine(None, 10) == []
    assert await runtime.profile("u1") is not None


@pytest.mark.parametrize(
    ("path", "wrong", "right"),
    [
        ("/devices", {"device": 7}, {"device": {"token": "t"}}),
        ("/events", {"name": "Viewed", "data": 7}, {"data": {"sku": 1}}),
    ],
)
async def test_an_item_keeps_the_person_its_address_named(
    shard: Shard, path: str, wrong: dict[str, object], right: dict[str, object]
) -> None:
    served, runtime, store = shard
    method = "PUT" if path == "/devices" else "POST"
    await served.send(f"/api/v1/customers/u%2F1{path}", wrong, method=method)
    [row] = await store.quarantine(None, 10)
    kept = msgspec.json.decode(row.payload)
    assert kept["identifiers"] == {"id": "u/1"}
    mended = row._replace(payload=msgspec.json.encode(kept | right))
    await store.commit(Commit(released=[row.number], quarantined=[mended]))
    [row] = await store.quarantine(None, 10)
    (await served.send(f"/v1/quarantine/{row.number}/replay", b"")).accepted()
    assert await runtime.profile("u/1") is not None


async def test_an_item_without_a_time_happened_when_it_first_came(shard: Shard) -> None:
    served, runtime, store = shard
    await keep(store, "segment", call(messageId="m1"))
    (await served.send("/v1/quarantine/1/replay", b"")).accepted()
    profile = await runtime.profile("u1")
    assert profile is not None
    assert profile.first_at == NOW - 60_000


async def test_what_is_still_wrong_is_said_and_stays(shard: Shard) -> None:
    served, runtime, store = shard
    await served.send("/v1/track", call(userId=None))
    answer = await served.send("/v1/quarantine/1/replay", b"")
    answer.refused(400, "no_user_anon_id")
    assert [row.number for row in await store.quarantine(None, 10)] == [1]
    assert accounted(runtime) == (1, 0, 0, 1)


async def test_a_commit_that_fails_keeps_the_item_for_another_try(shard: Shard) -> None:
    served, runtime, store = shard
    await keep(store, "segment", call(messageId="m1"))
    store.fail_next()
    (await served.send("/v1/quarantine/1/replay", b"")).refused(503, "unavailable")
    assert len(await store.quarantine(None, 10)) == 1
    (await served.send("/v1/quarantine/1/replay", b"")).accepted()
    assert runtime.counters.stored == 1


async def test_an_item_that_is_not_there_is_404(shard: Shard) -> None:
    served, _, _ = shard
    for number in ("7", "0", "9" * 40):
        (await served.send(f"/v1/quarantine/{number}/replay", b"")).refused(404, "not_found")


async def test_a_timer_of_the_engine_is_not_taken_in_again(shard: Shard) -> None:
    served, _, store = shard
    await keep(store, "engine/internal", {})
    answer = await served.send("/v1/quarantine/1/replay", b"")
    answer.refused(400, "nothing_to_replay")
