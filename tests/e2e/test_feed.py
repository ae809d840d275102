"""The live feed of decisions: over server-sent events and over a websocket."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import ClientResponse, ClientWebSocketResponse, WSMsgType, web

from adapters.gateway import feed
from adapters.gateway.feed import FeedLimits, Subscriber, Told
from adapters.gateway.host import Host
from adapters.gateway.parameters import FeedParameters
from adapters.gateway.views import Decision
from engine.reasons import Outcome, Reason
from tests.e2e.reading_host import ADMIN, Routes, Served, decided, serve

PATH = "/v1/decisions/feed"
SENT = {"outcome": Outcome.SEND, "reason": Reason.SENT}


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serve(feed.routes) as running:
        yield running


def limited(limits: FeedLimits) -> Routes:
    def routes(host: Host) -> list[web.RouteDef]:
        return feed.routes(host, limits)

    return routes


async def next_event(response: ClientResponse) -> dict[str, str]:
    """Read one server-sent event; comments and the retry field alone are skipped."""
    fields: dict[str, str] = {}
    async with asyncio.timeout(5):
        while True:
            line = (await response.content.readline()).decode().rstrip("\n")
            if not line:
                if "data" in fields:
                    return fields
                fields = {}
                continue
            name, _, value = line.partition(": ")
            fields[name] = value


async def next_message(ws: ClientWebSocketResponse) -> dict[str, Any]:
    message = await ws.receive(timeout=5)
    assert message.type is WSMsgType.TEXT, message
    return dict(msgspec.json.decode(message.data))


async def test_decisions_arrive_as_server_sent_events_with_their_ids(served: Served) -> None:
    async with served.session.get(served.url + PATH, headers=ADMIN) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        served.runtime.decide(("u1", decided(1)), ("u2", decided(2)))
        first, second = await next_event(response), await next_event(response)
    assert (first["event"], first["id"]) == ("decision", "d_0000000000000001")
    view = msgspec.json.decode(first["data"], type=Decision)
    assert (view.customer, view.reason) == ("u1", "outside_window")
    assert second["id"] == "d_0000000000000002"


async def test_decisions_arrive_over_a_websocket_when_the_client_upgrades(served: Served) -> None:
    async with served.session.ws_connect(served.url + PATH, headers=ADMIN) as ws:
        served.runtime.decide(("u1", decided(1)))
        message = await next_message(ws)
    assert message["decision"]["decision_id"] == "d_0000000000000001"


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("customer=u1", ["e-1", "e-3"]),
        ("journey=welcome", ["e-2", "e-4"]),
        ("outcome=send", ["e-3", "e-4"]),
        ("reason=sent&customer=u2", ["e-4"]),
    ],
)
async def test_only_what_was_asked_for_is_told(
    served: Served, filters: str, expected: list[str]
) -> None:
    async with served.session.ws_connect(f"{served.url}{PATH}?{filters}", headers=ADMIN) as ws:
        served.runtime.decide(
            ("u1", decided(1)),
            ("u2", decided(2, journey="welcome")),
            ("u1", decided(3, **SENT)),
            ("u2", decided(4, journey="welcome", **SENT)),
        )
        told = [(await next_message(ws))["decision"]["cause"]["event"] for _ in expected]
    assert told == expected


async def test_the_runtime_is_listened_to_only_while_someone_listens(served: Served) -> None:
    assert served.runtime.listeners == []
    async with served.session.ws_connect(served.url + PATH, headers=ADMIN):
        assert len(served.runtime.listeners) == 1
        async with served.session.ws_connect(served.url + PATH, headers=ADMIN):
            assert len(served.runtime.listeners) == 1
    async with asyncio.timeout(5):
        while served.runtime.listeners:  # the server notices the close in its own time
            await served.session.get(served.url + "/nothing")


def test_a_full_queue_loses_the_oldest_and_counts_them() -> None:
    subscriber = Subscriber(FeedParameters(), queue_max=3)
    for number in range(1, 6):
        subscriber.offer(Told("u1", decided(number)))
    told, lost = subscriber.drain()
    assert [one.decided.cause for one in told] == ["e-3", "e-4", "e-5"]
    assert lost == 2
    assert subscriber.drain() == ([], 0)


async def test_one_who_reads_too_slowly_is_told_how_many_were_lost() -> None:
    async with (
        serve(limited(FeedLimits(queue_max=10))) as served,
        served.session.get(served.url + PATH, headers=ADMIN) as response,
    ):
        # All in one turn of the loop: the writing task gets no chance in between.
        served.runtime.decide(*(("u1", decided(number)) for number in range(1, 101)))
        lagged, first = await next_event(response), await next_event(response)
    assert lagged["event"] == "lagged"
    assert msgspec.json.decode(lagged["data"]) == {"lost": 90}
    assert "id" not in lagged  # a client that comes back must not begin after a notice
    assert first["id"] == "d_000000000000005b"


async def test_one_who_does_not_read_at_all_neither_slows_nor_stays() -> None:
    limits = FeedLimits(queue_max=50, write_s=0.2)
    async with serve(limited(limits)) as served:
        loop, port = asyncio.get_running_loop(), int(served.url.rpartition(":")[2])
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            deaf.settimeout(0)
            await loop.sock_connect(deaf, ("127.0.0.1", port))
            request = f"GET {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin-key\r\n\r\n"
            await loop.sock_sendall(deaf, request.encode())
            number = 0
            async with asyncio.timeout(20):
                while number == 0 or served.runtime.listeners:
                    if served.runtime.listeners:
                        number += 1
                        served.runtime.decide(("u1", decided(number, step="s" * 20_000)))
                    await asyncio.sleep(0)
            assert number > 1


async def test_a_client_that_comes_back_gets_what_it_missed_and_nothing_twice(
    served: Served,
) -> None:
    served.runtime.decide(*(("u1", decided(number)) for number in range(1, 452)))
    headers = {**ADMIN, "Last-Event-ID": "d_0000000000000001"}
    async with served.session.get(served.url + PATH, headers=headers) as response:
        told = [await next_event(response) for _ in range(450)]
        served.runtime.decide(("u1", decided(452)))
        told.append(await next_event(response))
    assert [one["id"] for one in told] == [f"d_{number:016x}" for number in range(2, 453)]


async def test_what_was_missed_is_filtered_too(served: Served) -> None:
    served.runtime.decide(("u1", decided(1)), ("u2", decided(2)), ("u1", decided(3)))
    url = f"{served.url}{PATH}?customer=u1&after=d_0000000000000001"
    async with served.session.ws_connect(url, headers=ADMIN) as ws:
        assert (await next_message(ws))["decision"]["cause"] == {"event": "e-3"}


@pytest.mark.parametrize("after", ["d_unknown", "d_0000000000000001"])
async def test_a_gap_that_can_not_be_filled_is_said(served: Served, after: str) -> None:
    served.runtime.decide(*(("u1", decided(number)) for number in range(1, 1_500)))
    url = f"{served.url}{PATH}?after={after}"
    async with served.session.ws_connect(url, headers=ADMIN) as ws:
        assert await next_message(ws) == {"lagged": {"lost": None}}


async def test_a_quiet_feed_shows_that_it_lives() -> None:
    async with (
        serve(limited(FeedLimits(keep_alive_s=0.02))) as served,
        served.session.get(served.url + PATH, headers=ADMIN) as response,
        asyncio.timeout(5),
    ):
        seen = b""
        while b": keep-alive\n\n" not in seen:
            seen += await response.content.readany()


async def test_too_many_listeners_are_refused_with_retry_after() -> None:
    async with (
        serve(limited(FeedLimits(subscribers_max=1))) as served,
        served.session.ws_connect(served.url + PATH, headers=ADMIN),
        served.session.get(served.url + PATH, headers=ADMIN) as response,
    ):
        assert response.status == 503
        assert response.headers["Retry-After"] == "5"
        assert (await response.json())["code"] == "overloaded"


@pytest.mark.parametrize(
    ("parameters", "headers", "status", "code"),
    [
        ("", {"X-Other": "1"}, 401, "unauthorized"),
        ("?outcome=sent", ADMIN, 400, "bad_parameter"),
        ("?step=x", ADMIN, 400, "unknown_parameter"),
        ("", {**ADMIN, "Upgrade": "websocket"}, 400, "bad_handshake"),
    ],
)
async def test_a_feed_that_can_not_begin_says_why(
    served: Served, parameters: str, headers: dict[str, str], status: int, code: str
) -> None:
    assert (await served.get(PATH + parameters, status, headers))["code"] == code


async def test_open_feeds_end_when_the_server_stops() -> None:
    async with serve(feed.routes) as served:
        ws = await served.session.ws_connect(served.url + PATH, headers=ADMIN)
        response = await served.session.get(served.url + PATH, headers=ADMIN)
        closing = asyncio.create_task(ws.receive(timeout=5))
        await served.stop()
        assert (await closing).type is WSMsgType.CLOSE
        assert b"retry" in await response.content.read()
