"""In-app messages of customers who turned out to be one person: found in the inbox of that one."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from actors.runtime import Runtime
from adapters.gateway import lines
from adapters.gateway.host import Host
from adapters.gateway.inbox import routes
from adapters.gateway.settings import GatewaySettings, hash_keys
from adapters.inbox import Inbox
from engine.events import Receipt
from engine.profile import Profile
from tests.e2e.test_channel_inbox import SIGNER, Shard, World, a_send


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    shard = Shard()
    inbox = Inbox(tmp_path / "inbox.db", shard.clock.now)
    host = Host.of(cast("Runtime", shard), GatewaySettings(admin_keys=hash_keys("the admin")))
    app = web.Application()
    lines.install(app)
    app.add_routes(routes(host, inbox, SIGNER))
    async with TestClient(TestServer(app)) as client:
        await inbox.open()
        yield World(inbox, shard, client)
        await inbox.close()


async def test_what_came_before_a_merge_is_in_the_inbox_of_who_it_was(world: World) -> None:
    for number, customer in enumerate(("anon:a/1", "u1", "anon:a/1", "u2")):
        await world.channel.deliver(a_send(f"m{number}", customer))
    assert await world.numbers() == ["m1"]
    assert (await world.client.post("/v1/inbox/u1/m2/opened", headers=world.own())).status == 404
    world.shard.profiles["u1"] = Profile("u1", absorbed={"anon:a/1": 7})
    world.shard.profiles["anon:a/1"] = Profile("anon:a/1", merged_into="u1")
    assert await world.numbers() == ["m0", "m1", "m2"]
    assert await world.numbers(customer="anon:a%2F1") == ["m0", "m2"]
    assert (await world.client.post("/v1/inbox/u1/m0/dismissed", headers=world.own())).status == 200
    [receipt] = world.shard.inputs
    assert isinstance(receipt, Receipt)
    assert (receipt.user, receipt.message) == ("u1", "m0")
    assert await world.numbers() == ["m1", "m2"]
    url = f"/v1/inbox/u1/socket?token={SIGNER.inbox_token('u1')}"
    async with world.client.ws_connect(url) as socket:
        told = [(await socket.receive_json(timeout=5))["message_id"] for _ in range(2)]
        await world.channel.deliver(a_send("late", "anon:a/1"))
        await world.channel.deliver(a_send("new"))
        told += [(await socket.receive_json(timeout=5))["message_id"] for _ in range(2)]
    assert told == ["m1", "m2", "late", "new"]
    await world.freed()
    assert world.inbox.listener_count("anon:a/1") == 0
    del world.shard.profiles["u1"]  # two again
    assert await world.numbers() == ["m1", "new"]
