"""The gateway over the real runtime: what was received is what was stored, or accounted for."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import msgspec
from aiohttp import ClientSession

from actors.memory import MemoryStore, VirtualClock
from actors.runtime import Runtime, Settings
from adapters.gateway.app import serve
from adapters.gateway.settings import GatewaySettings
from engine.program.compile import compile_source
from tests.e2e.gateway_host import NOW, OPEN, Answer, Served, call

# A workspace without journeys: here it is about what goes in, not about what is decided.
QUIET = {"workspace": "quiet", "channels": {"email": {"adapter": "log", "identity": "email"}}}


@asynccontextmanager
async def whole(
    store: MemoryStore,
    settings: GatewaySettings = OPEN,
    source: Mapping[str, object] | None = None,
    **limits: int,
) -> AsyncGenerator[tuple[Served, Runtime]]:
    """Run gateway and runtime together."""
    program = compile_source({**QUIET, **(source or {})})
    runtime = Runtime(
        store, VirtualClock(NOW), program, {}, settings=msgspec.convert(limits, Settings)
    )
    await runtime.open()
    await runtime.start()
    gateway = await serve(runtime, settings)
    async with ClientSession(auto_decompress=False) as session:
        yield Served(gateway, session), runtime
    await gateway.stop()
    await runtime.stop()


def accounted(runtime: Runtime) -> tuple[int, int, int, int]:
    counters = runtime.counters
    return counters.received, counters.stored, counters.duplicates, counters.quarantined


async def test_received_is_stored_or_a_duplicate_or_in_quarantine() -> None:
    store = MemoryStore()
    async with whole(store) as (served, runtime):
        items = [call(messageId=f"m{number}", userId=f"u{number % 3}") for number in range(10)]
        batch = {"batch": [*items, items[0], call(userId=None), {"type": "nonsense"}]}
        answer = await served.send("/v1/batch", batch)
        assert [fault[:2] for fault in answer.faults()] == [
            (11, "no_user_anon_id"),
            (12, "unknown_type"),
        ]
        assert accounted(runtime) == (13, 10, 1, 2)
        (await served.send("/v1/batch", {"batch": items})).accepted()
        assert accounted(runtime) == (23, 10, 11, 2)
        kept = await store.quarantine(None, 10)
        assert sorted(row.code for row in kept) == ["no_user_anon_id", "unknown_type"]


async def test_many_clients_at_once_lose_nothing() -> None:
    async with whole(MemoryStore()) as (served, runtime):

        async def send(client: int) -> list[Answer]:
            said = [call(messageId=f"{client}-{n}", userId=f"u{n % 5}") for n in range(20)]
            return [await served.send("/v1/track", each) for each in said]

        for answers in await asyncio.gather(*(send(client) for client in range(10))):
            for answer in answers:
                answer.accepted()
        assert accounted(runtime) == (200, 200, 0, 0)


async def test_a_failed_commit_is_503_and_sending_again_stores_once() -> None:
    store = MemoryStore()
    async with whole(store) as (served, runtime):
        store.fail_next()
        answer = await served.send("/v1/track", call(messageId="m1"))
        assert int(answer.refused(503, "not_stored").headers["Retry-After"]) >= 1
        (await served.send("/v1/track", call(messageId="m1"))).accepted()
        assert runtime.counters.stored == 1


async def test_a_full_shard_is_429_and_takes_nothing() -> None:
    async with whole(MemoryStore(), queue_max=3) as (served, runtime):
        batch = {"batch": [call(messageId=f"m{number}") for number in range(4)]}
        answer = await served.send("/v1/batch", batch)
        assert int(answer.refused(429, "overloaded").headers["Retry-After"]) >= 1
        assert accounted(runtime) == (0, 0, 0, 0)


async def test_an_alias_joins_what_was_done_before_it() -> None:
    async with whole(MemoryStore()) as (served, runtime):
        said = {"previousId": "a-1", "userId": "u1", "messageId": "m1"}
        (await served.send("/v1/alias", said)).accepted()
        later = call(userId=None, anonymousId="a-1", messageId="m2")
        (await served.send("/v1/track", later)).accepted()
        profile = await runtime.profile("u1")
        assert profile is not None
        assert set(profile.history) == {"Alias Linked", "Clicked"}


async def test_an_alias_that_names_nobody_is_kept_apart_and_makes_no_customer() -> None:
    store = MemoryStore()
    async with whole(store) as (served, runtime):
        answer = await served.send("/v1/alias", {"previousId": "zz1"})
        assert answer.faults() == [(0, "no_user_id", "userId")]
        [kept] = await store.quarantine(None, 10)
        assert (kept.code, kept.path) == ("no_user_id", "userId")
        assert await runtime.profile("anon:zz1") is None


async def test_a_history_is_known_and_begins_nothing() -> None:
    async with whole(MemoryStore()) as (served, runtime):
        past = call(messageId="m1", event="purchase", timestamp="2025-01-02T03:04:05Z")
        answer = await served.send("/v1/history", {"batch": [past, call(messageId="m2")]})
        assert answer.faults() == [(1, "bad_timestamp", "timestamp")]
        found = (await runtime.directory.recall(["u1"]))["u1"].profile
        assert found is not None
        assert found.history["Order Completed"].count == 1
        kept = await runtime.store.quarantine(None, 10)
        assert [row.source for row in kept] == ["history"]


async def test_a_workspace_maps_what_comes_in_by_http_and_by_websocket() -> None:
    async with whole(MemoryStore()) as (served, runtime):
        rules = [{"event": "Clicked", "rename": "Tapped"}, {"event": "Seen", "drop": True}]
        runtime.use(compile_source(QUIET | {"mapping": rules}))
        batch = {"batch": [call(messageId="m1"), call(messageId="m2", event="Seen")]}
        (await served.send("/v1/batch", batch)).accepted()
        async with served.session.ws_connect(f"{served.url}/v1/stream") as socket:
            await socket.receive_json()
            await socket.send_json({"id": 1, "batch": [call(messageId="m3")]})
            assert (await socket.receive_json())["ack"] == 1
        found = (await runtime.directory.recall(["u1"]))["u1"].profile
        assert found is not None
        assert {name: one.count for name, one in found.history.items()} == {"Tapped": 2}
        assert served.counters.tolerated == {"dropped": 1}
        assert accounted(runtime) == (2, 2, 0, 0)
