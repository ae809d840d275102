"""The websocket stream: frames in, acknowledged by number once durable."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError, web

from adapters.gateway import stream
from adapters.gateway.host import Host
from adapters.gateway.stream import StreamLimits
from engine.errors import StoreError
from engine.events import Event, Receipt
from engine.limits import BATCH_ITEMS_MAX, BODY_BYTES_MAX
from tests.e2e.reading_host import ADMIN, NOW, WRITER, Routes, Served, serve

PATH = "/v1/stream"


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serve(stream.routes) as running:
        yield running


@pytest.fixture
async def ws(served: Served) -> AsyncIterator[ClientWebSocketResponse]:
    async with served.session.ws_connect(served.url + PATH, headers=WRITER) as connected:
        assert "hello" in await answer(connected)
        yield connected


def limited(limits: StreamLimits) -> Routes:
    def routes(host: Host) -> list[web.RouteDef]:
        return stream.routes(host, limits)

    return routes


def call(number: int = 1, **changes: object) -> dict[str, Any]:
    made = {
        "type": "track",
        "messageId": f"e-{number}",
        "userId": "u1",
        "event": "Product Added",
        "properties": {"price": 60.5, "tags": ["a", None, True]},
        "timestamp": "2026-03-02T11:00:00Z",
    }
    return {**made, **changes}


async def answer(ws: ClientWebSocketResponse) -> dict[str, Any]:
    message = await ws.receive(timeout=5)
    assert message.type is WSMsgType.TEXT, message
    return dict(msgspec.json.decode(message.data))


def ids(served: Served) -> list[str]:
    return [given.id for given in served.runtime.taken if isinstance(given, Event | Receipt)]


async def test_the_server_says_first_how_far_a_client_may_run_ahead(served: Served) -> None:
    async with served.session.ws_connect(served.url + PATH, headers=WRITER) as ws:
        hello = (await answer(ws))["hello"]
    assert hello["window"] == StreamLimits().window
    assert hello["max_frame_bytes"] == BODY_BYTES_MAX
    assert hello["max_items"] == BATCH_ITEMS_MAX


async def test_a_call_a_list_and_a_batch_are_frames_and_each_is_acknowledged(
    served: Served, ws: ClientWebSocketResponse
) -> None:
    await ws.send_json(call(1))
    assert await answer(ws) == {"ack": 1}
    await ws.send_json([call(2), call(3)])
    assert await answer(ws) == {"ack": 2}
    await ws.send_json({"id": 10, "batch": [call(4)]})
    assert await answer(ws) == {"ack": 10}
    await ws.send_json({"batch": [call(5)]})
    assert await answer(ws) == {"ack": 11}
    assert ids(served) == ["e-1", "e-2", "e-3", "e-4", "e-5"]


async def test_an_empty_frame_is_acknowledged_and_takes_nothing(
    served: Served, ws: ClientWebSocketResponse
) -> None:
    await ws.send_json([])
    assert await answer(ws) == {"ack": 1}
    assert served.runtime.taken == []


@pytest.mark.parametrize("shape", ["call", "list", "batch"])
async def test_msgpack_and_json_give_the_same_events(
    served: Served, ws: ClientWebSocketResponse, shape: str
) -> None:
    frames: dict[str, Any] = {
        "call": call(),
        "list": [call()],
        "batch": {"batch": [call()], "context": {"locale": "en-ZA"}},
    }
    await ws.send_str(msgspec.json.encode(frames[shape]).decode())
    await ws.send_bytes(msgspec.msgpack.encode(frames[shape]))
    while (await answer(ws)) != {"ack": 2}:
        pass
    from_json, from_msgpack = served.runtime.taken
    assert from_json == from_msgpack
    assert isinstance(from_json, Event)
    assert from_json.properties == {"price": 60.5, "tags": ["a", None, True]}
    assert from_json.source == "stream"
    assert from_json.context == ({"locale": "en-ZA"} if shape == "batch" else {})


async def test_the_clock_of_the_sender_is_corrected_by_sent_at(
    served: Served, ws: ClientWebSocketResponse
) -> None:
    # Sent "at 11:00" by a clock that is an hour slow: what it says happened at 11:00 is now.
    await ws.send_json({"batch": [call()], "sentAt": "2026-03-02T11:00:00Z"})
    await answer(ws)
    [given] = served.runtime.taken
    assert isinstance(given, Event)
    assert given.at == NOW


async def test_nothing_is_acknowledged_before_it_is_durable(
    served: Served, ws: ClientWebSocketResponse
) -> None:
    runtime = served.runtime
    runtime.commits_at_once = False
    await ws.send_json(call(1))
    await ws.send_json(call(2))
    await runtime.until_submitted(2)
    answering = asyncio.create_task(answer(ws))
    runtime.unsettled[1].set_result(None)  # the second is durable; the first is not
    await served.session.get(served.url + "/elsewhere")  # the server had its turns
    assert not answering.done()
    runtime.settle()
    assert await answering == {"ack": 2}  # one answer for both: all up to 2 is durable


async def test_bad_items_are_named_and_kept_and_the_others_are_taken(
    served: Served, ws: ClientWebSocketResponse
) -> None:
    await ws.send_json([call(1), call(2, userId=None), {"type": "dance"}, 5, call(3)])
    found = await answer(ws)
    assert found["ack"] == 1
    assert [error["index"] for error in found["errors"]] == [1, 2, 3]
    assert found["errors"][1]["code"] == "unknown_type"
    assert found["errors"][1]["path"] == "type"
    assert ids(served) == ["e-1", "e-3"]
    kept = served.runtime.quarantined
    assert len(kept) == 3
    assert kept[1].payload == b'{"type": "dance"}'
    assert kept[1].source == "stream"


@pytest.mark.parametrize(
    ("frame", "code", "path"),
    [
        ("{", "unreadable_json", "$"),
        ("", "unreadable_json", "$"),
        ("nonsense", "unreadable_json", "$"),
        ("5", "invalid_type", "$"),
        ('"track"', "invalid_type", "$"),
        ('{"batch": {}}', "invalid_type", "batch"),
        ('{"batch": [], "context": []}', "invalid_type", "context"),
        ('{"batch": [], "id": 0}', "bad_frame_id", "id"),
        ('{"batch": [], "id": true}', "bad_frame_id", "id"),
        ('{"batch": [], "id": "7"}', "bad_frame_id", "id"),
        ('{"batch": [], "id": 9007199254740992}', "bad_frame_id", "id"),
        ("[" + ",".join("1" for _ in range(BATCH_ITEMS_MAX + 1)) + "]", "too_many_items", "batch"),
        (b"", "invalid_type", "$"),
        (b"\xc1", "invalid_type", "$"),
        (b"\x05", "invalid_type", "$"),
        (b"\x92\x01", "unreadable_msgpack", "$"),
        (b"\x90\x90", "unreadable_msgpack", "$"),
        (b"\x81\xa5batch\x05", "invalid_type", "batch"),
        (b"\x82\xa5batch\x90\xa2id\x00", "bad_frame_id", "id"),
    ],
)
async def test_a_frame_that_can_not_be_read_is_refused_whole_and_the_stream_goes_on(
    served: Served, ws: ClientWebSocketResponse, frame: str | bytes, code: str, path: str
) -> None:
    await (ws.send_str(frame) if isinstance(frame, str) else ws.send_bytes(frame))
    found = await answer(ws)
    assert (found["nack"], found["code"]) == (1, code)
    assert found["path"] == path
    assert found["message"]
    assert "retry_after_ms" not in found  # it will never do
    await ws.send_json(call(2))
    assert await answer(ws) == {"ack": 2}
    assert ids(served) == ["e-2"]


async def test_a_number_that_does_not_grow_is_refused_by_that_number(
    served: Served, ws: ClientWebSocketResponse
) -> None:
    for number in (5, 5, 3):
        await ws.send_json({"id": number, "batch": [call(number)]})
    await ws.send_json({"id": 6, "batch": [call(6)]})
    answers = [await answer(ws) for _ in range(4)]
    assert [found.get("ack") for found in answers] == [5, None, None, 6]
    assert [found.get("nack") for found in answers] == [None, 5, 3, None]
    assert ids(served) == ["e-5", "e-6"]


async def test_what_json_can_not_say_in_msgpack_concerns_its_item_only(
    served: Served, ws: ClientWebSocketResponse
) -> None:
    extension = msgspec.msgpack.Ext(7, b"x")
    frame = [call(1), call(2, properties={"blob": extension}), call(3, properties={"n": b"\x00"})]
    await ws.send_bytes(msgspec.msgpack.encode(frame))
    found = await answer(ws)
    assert [error["index"] for error in found["errors"]] == [1]
    assert ids(served) == ["e-1", "e-3"]


@pytest.mark.parametrize("value", [msgspec.msgpack.Ext(7, b"x"), {("a",): 1}])
async def test_what_json_can_not_say_in_a_context_refuses_its_frame_only(
    served: Served, ws: ClientWebSocketResponse, value: object
) -> None:
    said = {"batch": [call(1)], "context": {"page": {"title": value}}}
    await ws.send_bytes(msgspec.msgpack.encode(said))
    found = await answer(ws)
    assert (found["nack"], found["code"], found["path"]) == (1, "invalid_type", "context")
    await ws.send_json(call(2))
    assert await answer(ws) == {"ack": 2}
    assert ids(served) == ["e-2"]


async def test_a_context_means_the_same_in_both_encodings(
    served: Served, ws: ClientWebSocketResponse
) -> None:
    for number, pack in enumerate((msgspec.json.encode, msgspec.msgpack.encode), 1):
        frame = pack({"batch": [call(number)], "context": {"page": {"title": "a\0b"}}})
        await (ws.send_str(frame.decode()) if number == 1 else ws.send_bytes(frame))
        assert await answer(ws) == {"ack": number}
    contexts = [given.context for given in served.runtime.taken if isinstance(given, Event)]
    assert contexts == [{"page": {"title": "a\ufffdb"}}] * 2


@pytest.mark.parametrize("pack", [msgspec.json.encode, msgspec.msgpack.encode])
async def test_a_context_is_bounded_by_what_its_copies_take(
    ws: ClientWebSocketResponse, pack: Callable[[object], bytes]
) -> None:
    items: list[dict[str, Any]] = [{}] * 2_000
    frame = pack({"batch": items, "context": {"page": {"title": "x" * 5_000}}})
    await (ws.send_bytes(frame) if frame[:1] != b"{" else ws.send_str(frame.decode()))
    found = await answer(ws)
    assert (found["nack"], found["code"], found["path"]) == (1, "too_large", "context")


@pytest.mark.parametrize(
    ("text", "oddity"),
    [
        ('[{"type":"track","userId":"u1","event":"x","properties":{"n":NaN}}]', "nan"),
        ('[{"type":"track","userId":"u1","event":"x","properties":{"n":"\\ud800"}}]', "surrogate"),
    ],
)
async def test_what_real_clients_send_is_tolerated_and_counted(
    served: Served, ws: ClientWebSocketResponse, text: str, oddity: str
) -> None:
    await ws.send_str(text)
    assert await answer(ws) == {"ack": 1}
    assert len(served.runtime.taken) == 1
    assert sum(served.host.counters.tolerated.values()) == 1


async def test_a_number_that_is_none_is_counted_in_msgpack_too(
    served: Served, ws: ClientWebSocketResponse
) -> None:
    odd = call(1, properties={"a": float("nan"), "b": [float("-inf"), 1.5], "c": "\u0000"})
    frames = (odd, [odd, call(2)], {"batch": [call(3)], "context": {"speed": float("inf")}})
    for number, frame in enumerate(frames, 1):
        await ws.send_bytes(msgspec.msgpack.encode(frame))
        assert await answer(ws) == {"ack": number}
    assert served.host.counters.tolerated["not_a_number"] == 5
    first = served.runtime.taken[0]
    assert isinstance(first, Event)
    assert first.properties["a"] is None
    assert first.properties["b"] == [None, 1.5]


async def test_a_deep_item_with_such_a_number_does_not_spoil_its_frame(
    served: Served, ws: ClientWebSocketResponse
) -> None:
    deep = b"\x91" * 700 + b"\xca\x7f\x80\x00\x00"
    await ws.send_bytes(b"\x92" + deep + msgspec.msgpack.encode(call(2)))
    found = await answer(ws)
    assert (found["ack"], len(found["errors"]), len(served.runtime.taken)) == (1, 1, 1)


async def test_overload_refuses_the_frame_with_a_time_to_try_again(
    served: Served, ws: ClientWebSocketResponse
) -> None:
    served.runtime.overloaded = True
    await ws.send_json(call(1))
    found = await answer(ws)
    assert (found["nack"], found["code"], found["retry_after_ms"]) == (1, "overloaded", 3_000)
    served.runtime.overloaded = False
    await ws.send_json(call(1))
    assert await answer(ws) == {"ack": 2}
    assert ids(served) == ["e-1"]
    assert served.host.counters.refused == {"overloaded": 1}


async def test_a_commit_that_failed_refuses_its_frame_and_no_other(
    served: Served, ws: ClientWebSocketResponse
) -> None:
    served.runtime.commits_at_once = False
    for number in (1, 2, 3):
        await ws.send_json(call(number))
    await served.runtime.until_submitted(3)
    served.runtime.settle()
    served.runtime.settle(StoreError("disk full"))
    served.runtime.settle()
    answers = [await answer(ws) for _ in range(3)]
    assert answers[0] == {"ack": 1}
    assert (answers[1]["nack"], answers[1]["code"]) == (2, "not_stored")
    assert answers[1]["retry_after_ms"] == 1_000
    assert "disk" not in answers[1]["message"]
    assert answers[2] == {"ack": 3}


async def test_no_more_than_the_window_is_read_ahead() -> None:
    async with serve(limited(StreamLimits(window=4))) as served:
        runtime = served.runtime
        runtime.commits_at_once = False
        async with served.session.ws_connect(served.url + PATH, headers=WRITER) as ws:
            await answer(ws)
            for number in range(1, 11):
                await ws.send_json(call(number))
            await runtime.until_submitted(4)
            for _ in range(5):
                await served.session.get(served.url + "/elsewhere")
            assert ids(served) == ["e-1", "e-2", "e-3", "e-4"]
            runtime.settle()
            assert await answer(ws) == {"ack": 1}
            await runtime.until_submitted(4)
            assert ids(served)[-1] == "e-5"
            runtime.commits_at_once = True
            while runtime.unsettled:
                runtime.settle()
            seen = 1
            while seen < 10:
                seen = (await answer(ws))["ack"]
            assert len(ids(served)) == 10


async def test_a_client_that_does_not_wait_is_held_back_by_the_socket() -> None:
    async with serve(limited(StreamLimits(window=2))) as served:
        served.runtime.commits_at_once = False
        async with served.session.ws_connect(served.url + PATH, headers=WRITER) as ws:
            await answer(ws)
            frame = msgspec.json.encode(
                [call(1, context={"userAgent": "x" * 20_000})] * 10
            ).decode()
            sent = 0

            async def send_on() -> None:
                nonlocal sent
                while sent < 1_000:
                    await ws.send_str(frame)
                    sent += 1

            sending = asyncio.create_task(send_on())
            done, _ = await asyncio.wait({sending}, timeout=0.15)
            # 200 MB are not taken by a server that holds two frames of them.
            assert not done
            assert sent < 200
            assert len(served.runtime.unsettled) == 2
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            served.runtime.commits_at_once = True
            served.runtime.settle()
            served.runtime.settle()


async def test_too_large_a_message_closes_with_1009(ws: ClientWebSocketResponse) -> None:
    await ws.send_str("x" * (BODY_BYTES_MAX + 1))
    message = await ws.receive(timeout=5)
    assert message.type is WSMsgType.CLOSE
    assert message.data == 1009


async def test_text_that_is_not_utf8_closes_with_1007(ws: ClientWebSocketResponse) -> None:
    await ws.send_frame(b'["\xff"]', WSMsgType.TEXT)
    message = await ws.receive(timeout=5)
    assert message.type is WSMsgType.CLOSE
    assert message.data == 1007


async def test_a_silent_socket_is_closed_when_its_time_is_up() -> None:
    async with (
        serve(limited(StreamLimits(idle_s=0.05))) as served,
        served.session.ws_connect(served.url + PATH, headers=WRITER) as ws,
    ):
        await answer(ws)
        message = await ws.receive(timeout=5)
        assert message.type is WSMsgType.CLOSE
        assert message.data == 1000


async def test_what_was_taken_is_still_answered_when_the_server_stops() -> None:
    async with serve(stream.routes) as served:
        served.runtime.commits_at_once = False
        ws = await served.session.ws_connect(served.url + PATH, headers=WRITER)
        await answer(ws)
        await ws.send_json(call(1))
        await served.runtime.until_submitted(1)
        stopping = asyncio.create_task(served.stop())
        await asyncio.sleep(0)
        served.runtime.settle()
        assert await answer(ws) == {"ack": 1}
        message = await ws.receive(timeout=5)
        assert message.type is WSMsgType.CLOSE
        assert message.data == 1001
        await stopping


async def test_a_client_that_leaves_takes_nothing_back(served: Served) -> None:
    runtime = served.runtime
    runtime.commits_at_once = False
    ws = await served.session.ws_connect(served.url + PATH, headers=WRITER)
    await answer(ws)
    await ws.send_json(call(1))
    await runtime.until_submitted(1)
    await ws.close()
    [under_way] = runtime.unsettled
    assert not under_way.cancelled()
    runtime.settle(StoreError("disk full"))  # and nobody is left to be told: no warning either
    assert ids(served) == ["e-1"]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (PATH, WRITER),
        (PATH, {"Authorization": "Basic d3JpdGUta2V5Og=="}),
        (f"{PATH}?writeKey=write-key", {"X-Other": "1"}),
    ],
)
async def test_the_write_key_may_stand_in_any_of_three_places(
    served: Served, path: str, headers: dict[str, str]
) -> None:
    async with served.session.ws_connect(served.url + path, headers=headers) as ws:
        assert "hello" in await answer(ws)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (PATH, {"X-Other": "1"}),
        (PATH, ADMIN),
        (f"{PATH}?writeKey=other", {"X-Other": "1"}),
    ],
)
async def test_a_stranger_is_refused_before_the_handshake(
    served: Served, path: str, headers: dict[str, str]
) -> None:
    with pytest.raises(WSServerHandshakeError) as refusal:
        await served.session.ws_connect(served.url + path, headers=headers)
    assert refusal.value.status == 401


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        (WRITER, 426, "websocket_only"),
        ({**WRITER, "Upgrade": "websocket"}, 400, "bad_handshake"),
    ],
)
async def test_what_is_no_websocket_is_told_so(
    served: Served, headers: dict[str, str], status: int, code: str
) -> None:
    assert (await served.get(PATH, status, headers))["code"] == code
