"""Slow, idle and too many connections: cut off in time, and nobody else notices."""

import asyncio
import resource
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest
import uvloop

from adapters.gateway.connections import Connections
from adapters.gateway.host import GatewayCounters
from adapters.gateway.settings import Deadlines, GatewaySettings
from tests.e2e.gateway_host import Served, call, running

Work = Coroutine[Any, Any, None]

SHORT_S = 0.15
LONG_S = 30.0
HEAD = b"POST /v1/track HTTP/1.1\r\nHost: a\r\n"


def patient(**short: float) -> GatewaySettings:
    """Settings that wait long for everything but what the test is about."""
    waits: dict[str, float] = dict.fromkeys(("headers_s", "body_s", "idle_s"), LONG_S)
    return GatewaySettings(deadlines=Deadlines(**(waits | {"linger_s": 0.05} | short)))


async def until_closed(served: Served, first: bytes, drip: bytes = b"") -> tuple[float, bytes]:
    """Open a connection, keep dripping into it, and tell how long the server put up with it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.gateway.port)
    started = time.monotonic()
    writer.write(first)
    reading = asyncio.ensure_future(reader.read())
    while not reading.done():
        if drip:
            writer.write(drip)
        await asyncio.wait([reading], timeout=SHORT_S / 5)
        assert time.monotonic() - started < 5, "the server never hung up"
    writer.close()
    return time.monotonic() - started, reading.result()


@pytest.mark.parametrize(
    ("first", "drip"),
    [(b"", b""), (b"POST /v1/track HT", b""), (HEAD + b"X-", b"a"), (HEAD, b"X: y\r\n")],
)
async def test_slow_headers_are_cut_off(first: bytes, drip: bytes) -> None:
    async with running(patient(headers_s=SHORT_S)) as served:
        lasted, said = await until_closed(served, first, drip)
        assert lasted >= SHORT_S
        assert said == b""


@pytest.mark.parametrize("drip", [b"", b" "])
@pytest.mark.parametrize("path", [b"/v1/track", b"/v1/batch", b"/v1/consent", b"/api/v2/entity"])
async def test_a_slow_body_is_cut_off_with_an_answer(drip: bytes, path: bytes) -> None:
    async with running(patient(body_s=SHORT_S)) as served:
        head = HEAD.replace(b"/v1/track", path) + b"Content-Length: 1000\r\n\r\n{"
        lasted, said = await until_closed(served, head, drip)
        assert lasted >= SHORT_S
        assert said.startswith(b"HTTP/1.1 408 ")
        assert msgspec.json.decode(said.partition(b"\r\n\r\n")[2])["code"] == "timeout"
        assert served.counters.bodies_timed_out == 1


async def test_an_idle_connection_is_closed_after_its_last_request() -> None:
    async with running(patient(idle_s=SHORT_S)) as served:
        body = msgspec.json.encode(call())
        request = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
        lasted, said = await until_closed(served, request)
        assert said.endswith(b'{"success":true}')
        assert lasted >= SHORT_S


async def test_slow_headers_of_a_second_request_are_cut_off_too() -> None:
    async with running(patient(idle_s=SHORT_S)) as served:
        body = msgspec.json.encode(call())
        request = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
        _, said = await until_closed(served, request + HEAD, b"X: y\r\n")
        assert said.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_client_that_does_not_read_is_cut_off(run: Callable[[Work], None]) -> None:
    run(_never_read())


async def _never_read() -> None:
    loop = asyncio.get_running_loop()
    settings = msgspec.structs.replace(patient(idle_s=SHORT_S), connections_max=1)
    async with running(settings) as served:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", served.gateway.port))
            await loop.sock_sendall(client, b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 200)
            async with asyncio.timeout(5):
                while (await _statuses(served))[:1] != [b"200"]:
                    pass


async def test_a_connection_in_use_outlives_the_deadline_of_its_first_headers() -> None:
    async with running(patient(headers_s=SHORT_S)) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.gateway.port)
        body = msgspec.json.encode(call())
        started, answers = time.monotonic(), 0
        while time.monotonic() - started < 2 * SHORT_S:
            writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            answer = await reader.readuntil(b'{"success":true}')
            assert answer.startswith(b"HTTP/1.1 200 ")
            answers += 1
        assert answers > 1
        writer.close()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_more_connections_than_there_may_be_are_sent_away(run: Callable[[Work], None]) -> None:
    """On uvloop too: it is what serves, and its transports are its own."""
    run(_send_away())


async def _send_away() -> None:
    settings = GatewaySettings(connections_max=3, deadlines=Deadlines(linger_s=0.05))
    async with running(settings) as served:
        held = [await _talk(served) for _ in range(3)]
        said = await served.speak(b"")
        assert said.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"Retry-After: 1\r\n" in said
        assert msgspec.json.decode(said.partition(b"\r\n\r\n")[2])["code"] == "overloaded"
        assert served.counters.connections_refused == 1
        held.pop().close()
        while (await _statuses(served))[:1] != [b"200"]:
            assert served.counters.connections_refused < 1_000
        for writer in held:
            writer.close()


async def _talk(served: Served) -> asyncio.StreamWriter:
    """Open a connection that is known to be counted: it got an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.gateway.port)
    body = msgspec.json.encode(call())
    writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    await reader.readuntil(b'{"success":true}')
    return writer


async def _statuses(served: Served) -> list[bytes]:
    body = msgspec.json.encode(call())
    length = b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    said = await served.speak(HEAD + length + body)
    return [part[:3] for part in said.split(b"HTTP/1.1 ")[1:]]


def test_connections_leave_room_for_other_files() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 0 < Connections(GatewayCounters(), Deadlines()).count_max < soft


async def test_connections_that_end_are_counted_out() -> None:
    async with running(GatewaySettings(connections_max=2)) as served:
        for _ in range(20):
            await served.speak(b"nonsense\r\n\r\n")
        assert served.counters.connections_refused == 0


async def test_a_stop_answers_what_was_taken() -> None:
    async with running() as served:
        slow: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entered = asyncio.Event()

        def submit(*_given: object) -> asyncio.Future[None]:
            entered.set()
            return slow

        served.runtime.submit = submit  # type: ignore[method-assign, assignment]
        answering = asyncio.ensure_future(served.send("/v1/track", call()))
        await entered.wait()
        stopping = asyncio.ensure_future(served.gateway.stop())
        await asyncio.wait([stopping], timeout=SHORT_S)
        assert not answering.done()
        slow.set_result(None)
        (await answering).accepted()
        await stopping
