"""How fast messages leave over HTTP, and what a provider that is dead does to the others.

Everything is real but the provider, a small server in a process of its own: events come in, a
journey decides, SQLite makes it durable, a webhook is signed and posted, what became of it is
durable again. The limit beside it is aiohttp's client posting such bodies with nothing around it.
What one core could do is counted in the time this process was at work; the store's writer and the
provider have processes of their own.
"""

import asyncio
import gc
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import ClientSession, TCPConnector

from actors.ports import Channel
from actors.runtime import Runtime
from adapters.channels.registry import build_channels, build_pacing, name_providers
from adapters.channels.webhook import encode_body
from adapters.clock import WallClock
from adapters.sqlite.store import SqliteStore, WriterKind
from bench.figures import Check, median, report, spread
from bench.stage import Process
from engine.effects import Send
from engine.events import Event, EventKind, Input
from engine.program.compile import compile_source

MESSAGES = 10_000
RATE = 100  # a second, on the channel that is watched and on both others
SECONDS = 8
ROUNDS = 3
_CONCURRENCY = 64
_BATCH = 10
_CHANNELS = ("well", "refusing", "hanging")
_ENVIRONMENT = {"SECRET": "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
_BODY = "Your order is on its way: it left the warehouse today and will be with you on Thursday."
_EXAMPLE = Send(
    message_id="m_0123456789abcdef",
    decision_id="d_0123456789abcdef",
    customer="customer-1",
    channel="well",
    address="customer-1",
    message="news_well",
    message_type="news_well",
    purpose="service",
    journey="tell_well",
    step="0",
    content={"body": _BODY},
    decided_at=0,
    expires_at=None,
)


def run() -> bool:
    """Measure the rate, then the time to deliver with and without dead providers beside."""
    sink = Process("bench.sink")
    try:
        ports = sink.read()
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # and never listens
            ports["refusing"] = nobody.getsockname()[1]
            figures = uvloop.run(_measure(ports))
        assert sink.ask("count")["taken"] >= 2 * ROUNDS * MESSAGES
    finally:
        sink.kill()
    ratios = [
        dead["p99"] / well["p99"]
        for well, dead in zip(figures["well"], figures["dead"], strict=True)
    ]
    return report(
        "delivery",
        [
            Check("messages a second of one core", median(figures["busy"]), 1_000, "/s"),
            Check(
                "p99 beside two dead providers / two that are well",
                median(ratios),
                1.5,
                "x",
                at_most=True,
            ),
        ],
        {
            "from event to outcome, by the clock, messages/s": figures["rates"],
            "of one core, messages/s": figures["busy"],
            "aiohttp's client alone, of one core, requests/s": figures["limits"],
            "share of it": median(figures["busy"]) / median(figures["limits"]),
            "time to deliver beside providers that are well, ms": figures["well"],
            "beside providers that are dead, ms": figures["dead"],
        },
    )


async def _measure(ports: dict[str, int]) -> dict[str, Any]:
    figures: dict[str, Any] = {"rates": [], "busy": [], "limits": [], "well": [], "dead": []}
    for turn in range(ROUNDS):
        figures["limits"].append(await _limit(ports["taking"]))
        async with _shard(ports) as (runtime, _):
            busy_s = time.process_time()
            figures["rates"].append(await _rate(runtime))
            figures["busy"].append(MESSAGES / (time.process_time() - busy_s))
        for kind in ("well", "dead")[:: -1 if turn % 2 else 1]:
            others = ports if kind == "dead" else dict.fromkeys(ports, ports["taking"])
            async with _shard(others) as (runtime, watched):
                figures[kind].append(await _pace(runtime, watched))
    return figures


async def _limit(port: int) -> float:
    """Post bodies like ours as fast as one client can, with as many at once."""
    body = encode_body(_EXAMPLE)
    left = MESSAGES

    async def post(session: ClientSession) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            headers = {"Content-Type": "application/json"}
            url = f"http://127.0.0.1:{port}/"
            async with session.post(url, data=body, headers=headers) as answer:
                await answer.read()

    async with ClientSession(connector=TCPConnector(limit=0)) as session:
        busy_s = time.process_time()
        await asyncio.gather(*(post(session) for _ in range(_CONCURRENCY)))
        return MESSAGES / (time.process_time() - busy_s)


def _workspace(ports: dict[str, int]) -> dict[str, Any]:
    """Write a journey for each channel, which sends when the channel's event comes."""
    urls = dict(zip(_CHANNELS, (ports["taking"], ports["refusing"], ports["hanging"]), strict=True))
    return {
        "workspace": "delivery",
        "channels": {
            name: {
                "adapter": "webhook",
                "settings": {
                    "url": f"http://127.0.0.1:{port}/",
                    "secret": {"env": "SECRET"},
                    "allow_private": True,
                    "pacing": {"concurrency": _CONCURRENCY, "timeout": "2s"},
                },
            }
            for name, port in urls.items()
        },
        "message_types": {
            f"news_{name}": {
                "purpose": "service",
                "channels": [name],
                "delivery": "at_most_once",
                "ignores": ["same_message"],
            }
            for name in _CHANNELS
        },
        "messages": {
            f"news_{name}": {"type": f"news_{name}", "content": {name: {"body": _BODY}}}
            for name in _CHANNELS
        },
        "journeys": {
            f"tell_{name}": {"trigger": {"event": name}, "steps": [{"send": f"news_{name}"}]}
            for name in _CHANNELS
        },
    }


class Watched:
    """A channel, and when each customer's message had been taken by its provider."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.taken_at: dict[str, float] = {}

    async def start(self) -> None:
        await self._channel.start()

    async def close(self) -> None:
        await self._channel.close()

    async def deliver(self, send: Send) -> str:
        taken = await self._channel.deliver(send)
        self.taken_at[send.customer] = time.perf_counter()
        return taken


@asynccontextmanager
async def _shard(ports: dict[str, int]) -> AsyncGenerator[tuple[Runtime, Watched]]:
    program = compile_source(_workspace(ports))
    data = Path(tempfile.mkdtemp(prefix="nextbeat-bench-", dir=Path.cwd()))
    channels = build_channels(program.channels, None, _ENVIRONMENT)
    watched = Watched(channels["well"])
    runtime = Runtime(
        SqliteStore(data, writer=WriterKind.PROCESS),
        WallClock(),
        program,
        {**channels, "well": watched},
        pacing=build_pacing(program.channels),
        providers=name_providers(program.channels),
    )
    await runtime.open()
    await runtime.start()
    gc.collect()
    gc.freeze()
    try:
        yield runtime, watched
    finally:
        await runtime.stop(0.5)
        shutil.rmtree(data)


async def _rate(runtime: Runtime) -> float:
    """Give events as fast as they are taken, and see until every outcome is known."""
    began = time.perf_counter()
    for start in range(0, MESSAGES, 500):
        names = [f"customer-{number}" for number in range(start, start + 500)]
        await runtime.submit([_event(name, "well") for name in names])
    await runtime.outbox.settle()
    spent_s = time.perf_counter() - began
    assert runtime.outbox.counts == {("well", "sent"): MESSAGES}, runtime.outbox.counts
    return MESSAGES / spent_s


async def _pace(runtime: Runtime, watched: Watched) -> dict[str, float]:
    """Give events at a fixed rate on each channel; time counts from when each was to come."""
    came_at: dict[str, float] = {}
    began = time.perf_counter()
    every_s = _BATCH / RATE
    for turn in range(RATE * SECONDS // _BATCH):
        due_at = began + turn * every_s
        await asyncio.sleep(max(0.0, due_at - time.perf_counter()))
        names = [f"customer-{turn * _BATCH + place}" for place in range(_BATCH)]
        came_at |= dict.fromkeys(names, due_at)
        runtime.submit([_event(name, channel) for channel in _CHANNELS for name in names])
    async with asyncio.timeout(30):
        while len(watched.taken_at) < len(came_at):  # noqa: ASYNC110 - a bench may look
            await asyncio.sleep(0.02)
    return spread([(watched.taken_at[name] - at) * 1_000 for name, at in came_at.items()])


def _event(customer: str, name: str) -> Input:
    now = time.time_ns() // 1_000_000
    return Event(
        id=f"{name}-{customer}",
        kind=EventKind.TRACK,
        name=name,
        user=customer,
        anonymous=None,
        at=now,
        received_at=now,
    )
