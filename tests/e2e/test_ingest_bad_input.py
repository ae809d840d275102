"""Input that can't be understood: always 400 or 401 in JSON, never a 5xx, never repeated."""

import gzip
import zlib
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from engine.limits import BATCH_ITEMS_MAX, BODY_BYTES_MAX
from tests.e2e.gateway_host import Served, call, running

MARK = b"XSS-MARK-7"
PATHS = [
    "/v1/track",
    "/v1/batch",
    "/v1/track?a=b",
    "/v1/cloudevents",
    "/v1/receipts",
    "/v1/consent",
    "/api/v2/batch",
    "/api/v2/entity",
    "/api/v1/customers/u1/events",
]
SAID_BY_ADDRESS = ("/api/v2/entity", "/api/v1/customers/u1/events")  # no body is an empty one
STRUCTURED = {"Content-Type": "application/cloudevents+json"}


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with running() as gateway:
        yield gateway


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense " + MARK,
        b'{"batch":[{"type":"track"',
        b'{"batch":[]}' + MARK,
        b'{"type":7,' + MARK,
        b"\xff\xfe" + '{"a":1}'.encode("utf-16-le"),
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"\x00" * 100,
    ],
    ids=range(9),
)
async def test_what_is_no_json_is_400(served: Served, body: bytes) -> None:
    for path in PATHS:
        if body == b"" and path in SAID_BY_ADDRESS:
            continue
        answer = await served.send(path, body, headers=STRUCTURED)
        answer.refused(400, answer.said["code"])
        assert answer.said["code"] in ("unreadable_json", "invalid_type")
        assert MARK not in answer.body
    assert served.runtime.submissions == 0


async def test_a_body_over_500_kb_is_400_before_it_is_read(served: Served) -> None:
    for path in PATHS:
        answer = await served.send(path, b" " * (BODY_BYTES_MAX + 1), headers=STRUCTURED)
        answer.refused(400, "too_large")
    head = b"POST /v1/track HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n"
    said = await served.speak(head + b"Connection: close\r\n\r\n" + b"{")
    assert said.startswith(b"HTTP/1.1 400 ")


async def test_a_client_that_waits_is_told_before_it_sends(served: Served) -> None:
    head = b"POST /v1/track HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\n"
    said = await served.speak(head + b"Content-Length: 600000\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 400 ")
    body = msgspec.json.encode(call(messageId="m1"))
    said = await served.speak(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert b"HTTP/1.1 200 OK" in said
    assert "m1" in served.runtime.inputs


async def test_a_chunked_body_is_taken_and_bounded(served: Served) -> None:
    head = (
        b"POST /v1/track HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        b"Connection: close\r\n\r\n"
    )
    body = msgspec.json.encode(call(messageId="m1"))
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    assert b" 200 OK" in await served.speak(head + chunks)
    assert "m1" in served.runtime.inputs
    chunk = b"%x\r\n%s\r\n" % (60_000, b" " * 60_000)
    assert b" 400 " in (await served.speak(head + chunk * 10 + b"0\r\n\r\n"))[:30]


async def test_a_body_of_just_500_kb_is_read(served: Served) -> None:
    body = msgspec.json.encode({"batch": [call(messageId="m1")]})
    (await served.send("/v1/batch", body + b" " * (BODY_BYTES_MAX - len(body)))).accepted()


@pytest.mark.parametrize(
    "body",
    [
        b'{"batch":[]}',
        b"",
        b"\x1f\x8b\x08nonsense",
        gzip.compress(b'{"batch":[]}' * 100)[:-12],
        gzip.compress(b'{"batch":[]}')[:-4] + b"\xff\xff\xff\xff",
        gzip.compress(b'{"batch":[]}') + b"junk",
        gzip.compress(b'{"batch":[]}') + b"\x00" * 8,
        gzip.compress(b'{"batch":[]}') + gzip.compress(b" " * 100)[:-3],
        gzip.compress(b'{"batch":[]}') + gzip.compress(b"") * 101,
        zlib.compress(b'{"batch":[]}') + zlib.compress(b" "),
    ],
)
async def test_bad_gzip_is_400(served: Served, body: bytes) -> None:
    answer = await served.send("/v1/batch", body, headers={"Content-Encoding": "gzip"})
    answer.refused(400, "bad_gzip")


async def test_gzip_in_several_members_is_read_as_one_body(served: Served) -> None:
    body = msgspec.json.encode({"batch": [call(messageId="m1")]})
    packed = b"".join(gzip.compress(body[at : at + 40]) for at in range(0, len(body), 40))
    answer = await served.send("/v1/batch", packed, headers={"Content-Encoding": "gzip"})
    answer.accepted()
    assert "m1" in served.runtime.inputs


async def test_members_together_are_bounded_like_one(served: Served) -> None:
    packed = gzip.compress(b" " * (BODY_BYTES_MAX // 2)) * 3
    answer = await served.send("/v1/batch", packed, headers={"Content-Encoding": "gzip"})
    answer.refused(400, "too_large")


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
async def test_a_gzip_bomb_is_400(served: Served, pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(b'{"batch":[' + b" " * 20_000_000 + b"]}")
    answer = await served.send("/v1/batch", bomb, headers={"Content-Encoding": "gzip"})
    answer.refused(400, "too_large")


async def test_an_encoding_nobody_speaks_is_400(served: Served) -> None:
    headers = {"Content-Encoding": "br"}
    answer = await served.send("/v1/batch", b"xxx", headers=headers)
    answer.refused(400, "unsupported_encoding")


@pytest.mark.parametrize(
    "body", [b"{}", b'{"batch":7}', b'{"batch":{}}', b'{"batch":[],"context":[]}', b"[]", b"7"]
)
async def test_a_batch_without_items_is_400(served: Served, body: bytes) -> None:
    (await served.send("/v1/batch", body)).refused(400, "invalid_type")


async def test_a_batch_has_a_count(served: Served) -> None:
    body = {"batch": [0] * (BATCH_ITEMS_MAX + 1)}
    (await served.send("/v1/batch", body)).refused(400, "too_many_items")


async def test_an_address_nobody_lives_at_is_404_in_json(served: Served) -> None:
    answer = await served.send("/v1/" + MARK.decode(), b"{}")
    assert MARK not in answer.refused(404, "not_found").body


async def test_a_method_nobody_asked_for_is_405_in_json(served: Served) -> None:
    answer = await served.send("/v1/track", method="GET")
    answer.refused(405, "method_not_allowed")
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /" + MARK + b"\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        MARK + b"\r\n\r\n",
        b"POST /v1/track HTTP/1.1\r\n" + MARK + b"\r\n\r\n",
        b"POST /v1/track HTTP/1.1\r\nHost: a\r\nContent-Length: " + MARK + b"\r\n\r\n",
        b"POST /v1/track HTTP/1.1\r\nHost: a\r\nX: " + MARK * 2_000 + b"\r\n\r\n",
        b"POST /v1/track HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + MARK,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + MARK,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + MARK,
    ],
)
async def test_what_is_no_http_is_400_in_json_and_never_repeated(
    served: Served, raw: bytes
) -> None:
    said = await served.speak(raw)
    head, _, body = said.partition(b"\r\n\r\n")
    assert b" 400 " in head.split(b"\r\n")[0]
    assert msgspec.json.decode(body)["code"] == "bad_request"
    assert MARK not in said


async def test_a_body_that_breaks_its_framing_is_400(served: Served) -> None:
    head = b"POST /v1/track HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    said = await served.speak(head + b"5\r\n{" + b"}}}}}}}}\r\n" + MARK)
    assert b" 400 " in said.split(b"\r\n")[0]
    assert MARK not in said


async def test_bad_input_is_counted(served: Served) -> None:
    await served.send("/v1/track", b"nonsense")
    await served.send("/v1/track", call())
    assert served.counters.requests == 2
    assert served.counters.refused == {"unreadable_json": 1}
    assert served.runtime.counters.received == 1


@pytest.mark.parametrize("path", PATHS)
async def test_depth_never_breaks_the_server(served: Served, path: str) -> None:
    for depth in (20, 200, 450, 480, 900, 940, 980, 1_000, 1_100, 8_000):
        for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
            deep = opening * depth + b"1" + closing * depth
            for body in (
                b'{"batch":[{"type":"track","userId":"u","event":"x","properties":{"v":%s}}]}',
                b'{"type":"person","action":"event","identifiers":{"id":"u"},"name":"x","data":{"v":%s}}',
                b'{"type":"track","userId":"u","event":"x","unknown":%s,"bad":NaN}',
                b'{"specversion":"1.0","id":"i","source":"s","type":"t","subject":"u","data":%s}',
                b"%s",
            ):
                answer = await served.send(path, body % deep, headers=STRUCTURED)
                assert answer.status in (200, 400), (depth, body)
    assert served.balanced()
