"""Delivery over real sockets: a second provider steps in, and a day's budget survives a restart."""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from actors.runtime import Runtime
from adapters.channels.registry import build_channels, build_pacing, name_providers
from adapters.clock import WallClock
from adapters.sqlite.store import SqliteStore
from engine.events import Event, EventKind
from engine.program.compile import compile_source

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Endpoint:
    """A provider on this machine that answers as it is told."""

    def __init__(self) -> None:
        self.status = 200
        self.came: list[str] = []
        self.port = 0

    async def take(self, request: web.Request) -> web.Response:
        self.came.append(request.headers["webhook-id"])
        return web.json_response({"id": f"p-{len(self.came)}"}, status=self.status)


@pytest.fixture
async def endpoint() -> AsyncGenerator[Endpoint]:
    found = Endpoint()
    app = web.Application()
    app.router.add_post("/", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.port = runner.addresses[0][1]
    yield found
    await runner.cleanup()


def closed_port() -> int:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        return int(nobody.getsockname()[1])


def reach(port: int) -> dict[str, Any]:
    url = f"http://127.0.0.1:{port}/"
    return {"url": url, "secret": {"env": "SECRET"}, "allow_private": True}


def shop(channels: dict[str, Any]) -> dict[str, Any]:
    return {
        "workspace": "shop",
        "channels": channels,
        "message_types": {"code": {"purpose": "service", "channels": list(channels)}},
        "messages": {"login": {"type": "code", "content": {"default": {"body": "1234"}}}},
        "journeys": {
            "in": {"trigger": {"event": "Log In"}, "reentry": "1s", "steps": [{"send": "login"}]}
        },
    }


@asynccontextmanager
async def running(source: dict[str, Any], data: Path) -> AsyncGenerator[Runtime]:
    program = compile_source(source)
    runtime = Runtime(
        SqliteStore(data),
        WallClock(),
        program,
        build_channels(program.channels, None, {"SECRET": SECRET}),
        pacing=build_pacing(program.channels),
        providers=name_providers(program.channels),
    )
    await runtime.open()
    await runtime.start()
    yield runtime
    await runtime.stop()


async def log_in(runtime: Runtime, *users: str) -> None:
    now = runtime.clock.now()
    await runtime.submit(
        [
            Event(f"e-{user}-{now}", EventKind.TRACK, "Log In", user, None, now, now)
            for user in users
        ]
    )
    await runtime.outbox.settle()


async def test_the_second_provider_steps_in_for_one_nobody_answers_at(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    backup = {"adapter": "webhook", "settings": reach(endpoint.port)}
    sms = {"adapter": "webhook", "settings": reach(closed_port()), "backup": backup}
    async with running(shop({"sms": sms}), tmp_path) as runtime:
        await log_in(runtime, *(f"u{number}" for number in range(30)))
        assert runtime.outbox.counts == {("sms", "sent"): 30}
        assert len(set(endpoint.came)) == len(endpoint.came) == 30
        found = await runtime.store.messages_by_provider("webhook", ["p-1"])
        assert found["p-1"].message_id == endpoint.came[0]
        first, second = runtime.outbox.standings()
        assert (first.state, second.state) == ("open", "closed")


async def test_what_was_spent_today_is_known_after_a_restart_and_the_next_channel_follows(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    channels = {
        "sms": {"adapter": "webhook", "settings": reach(endpoint.port), "cost": 0.35, "budget": 1},
        "mail": {"adapter": "webhook", "settings": reach(endpoint.port), "cost": 0.0004},
    }
    async with running(shop(channels), tmp_path) as runtime:
        await log_in(runtime, "u1")
        assert runtime.outbox.purse.spent == {"sms": 350_000}
    async with running(shop(channels), tmp_path) as runtime:
        assert runtime.outbox.purse.spent == {"sms": 350_000}
        await log_in(runtime, "u2", "u3", "u4")
        await runtime.durable()
        await runtime.outbox.settle()
        assert runtime.outbox.purse.spent == {"sms": 700_000, "mail": 800}
        counts = runtime.outbox.counts
        assert counts == {("sms", "sent"): 1, ("sms", "failed"): 2, ("mail", "sent"): 2}
    assert len(endpoint.came) == 4
