"""Segment's HTTP API: every address, every way to bring a key, and what is answered."""

import gzip
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from engine.events import EventKind
from engine.limits import ITEM_BYTES_MAX
from tests.e2e.gateway_host import KEY, LOCKED, NOW, Served, call, not_stored, overloaded, running


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with running() as gateway:
        yield gateway


@pytest.fixture
async def locked() -> AsyncIterator[Served]:
    async with running(LOCKED) as gateway:
        yield gateway


def basic(user: str, password: str = "") -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("identify", "identify"),
        ("i", "identify"),
        ("track", "track"),
        ("t", "track"),
        ("page", "page"),
        ("p", "page"),
        ("screen", "screen"),
        ("s", "screen"),
        ("group", "group"),
        ("g", "group"),
        ("alias", "alias"),
        ("a", "alias"),
    ],
)
async def test_every_call_has_an_address(served: Served, path: str, kind: str, slash: str) -> None:
    said = {"userId": "u1", "event": "Clicked", "messageId": "m1"}
    (await served.send(f"/v1/{path}{slash}", said)).accepted()
    event = served.runtime.events[0]
    assert (event.id, event.kind, event.user) == ("m1", EventKind(kind), "u1")
    assert (event.received_at, event.source) == (NOW, "segment")


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch"])
async def test_every_batch_has_an_address(served: Served, path: str, slash: str) -> None:
    said = {"batch": [call(messageId=f"m{n}") for n in range(3)]}
    (await served.send(path + slash, said)).accepted()
    assert [event.id for event in served.runtime.events] == ["m0", "m1", "m2"]


async def test_success_is_exactly_200_with_the_same_bytes_on_every_way_in(served: Served) -> None:
    said = call(messageId="m1")
    short = await served.send("/v1/track", said)
    routed = await served.send("/v1/track?x=1", said)
    for answer in (short, routed):
        assert (answer.status, answer.body) == (200, b'{"success":true}')
        assert answer.headers["Content-Type"].startswith("application/json")
        assert answer.headers["Date"].endswith("GMT")
    assert "Server" not in short.headers


async def test_the_same_call_twice_is_stored_once_and_answered_alike(served: Served) -> None:
    for _ in range(2):
        (await served.send("/v1/track", call(messageId="m1"))).accepted()
    assert served.runtime.counters.duplicates == 1
    assert served.balanced()


async def test_the_content_type_does_not_matter(served: Served) -> None:
    kinds = ["text/plain", "application/x-www-form-urlencoded", "application/json", "nonsense", ""]
    for number, kind in enumerate(kinds):
        headers = {"Content-Type": kind} if kind else {}
        (await served.send("/v1/track", call(messageId=f"m{number}"), headers=headers)).accepted()
    assert len(served.runtime.events) == len(kinds)


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", "deflate", "identity"])
async def test_a_packed_body_is_unpacked_whatever_its_content_type(
    served: Served, encoding: str
) -> None:
    body = msgspec.json.encode(call(messageId="m1"))
    packed = {"deflate": zlib.compress(body), "identity": body}.get(encoding, gzip.compress(body))
    headers = {"Content-Encoding": encoding, "Content-Type": "application/x-www-form-urlencoded"}
    (await served.send("/v1/track", packed, headers=headers)).accepted()
    assert served.runtime.events[0].id == "m1"


async def test_what_is_said_for_a_batch_holds_for_its_items(served: Served) -> None:
    said: dict[str, Any] = {
        "batch": [call(messageId="m1", context={"ip": "1.1.1.1"}), call(messageId="m2")],
        "context": {"ip": "9.9.9.9", "locale": "en"},
        "integrations": {"All": False},
        "sentAt": "2026-11-22T15:00:00Z",
    }
    said["batch"][1]["timestamp"] = "2026-11-22T14:00:00Z"
    (await served.send("/v1/batch", said)).accepted()
    first, second = served.runtime.events
    assert first.context == {"ip": "1.1.1.1", "locale": "en"}
    assert second.context == {"ip": "9.9.9.9", "locale": "en"}
    assert second.at == NOW - 3_600_000


@pytest.mark.parametrize(("count", "size"), [(1, ITEM_BYTES_MAX), (2_000, 5_000)])
async def test_a_context_is_bounded_by_what_its_copies_take(
    served: Served, count: int, size: int
) -> None:
    said = {"batch": [call(messageId=f"m{n}") for n in range(count)]}
    answer = await served.send("/v1/batch", said | {"context": {"page": {"title": "x" * size}}})
    answer.refused(400, "too_large")
    assert answer.said["path"] == "context"
    assert served.runtime.submissions == 0
    (
        await served.send("/v1/batch", said | {"context": {"page": {"title": "x" * 3_000}}})
    ).accepted()


async def test_what_is_said_for_a_batch_is_mended_too(served: Served) -> None:
    said = {"batch": [call()], "context": {"page": {"title": "a\0b"}}}
    (await served.send("/v1/batch", said)).accepted()
    assert served.runtime.events[0].context == {"page": {"title": "a\ufffdb"}}
    assert served.counters.tolerated == {"characters": 1}


async def test_an_empty_batch_is_a_success(served: Served) -> None:
    (await served.send("/v1/batch", {"batch": []})).accepted()


async def test_a_bad_item_does_not_fail_its_batch(served: Served) -> None:
    items: list[Any] = [
        call(messageId="m0"),
        call(userId=None),
        call(messageId="m2"),
        call(properties="x"),
        7,
        call(timestamp="9999-01-01T00:00:00Z"),
        call(properties={"v": "x" * 40_000}),
        call(properties={f"k{n}": n for n in range(1_001)}),
        {"type": "nonsense", "userId": "u1"},
    ]
    answer = await served.send("/v1/batch", {"batch": items})
    assert answer.faults() == [
        (1, "no_user_anon_id", "userId"),
        (3, "invalid_type", "properties"),
        (4, "invalid_type", "$"),
        (5, "bad_timestamp", "timestamp"),
        (6, "too_large", "$"),
        (7, "too_many_keys", "$"),
        (8, "unknown_type", "type"),
    ]
    assert [event.id for event in served.runtime.events] == ["m0", "m2"]
    assert [msgspec.json.decode(row.payload) for row in served.runtime.quarantined] == [
        items[index] for index, *_ in answer.faults()
    ]
    assert {row.source for row in served.runtime.quarantined} == {"segment"}
    assert served.balanced()


async def test_an_item_in_quarantine_can_be_read_again_on_its_own(served: Served) -> None:
    await served.send("/v1/track", {"event": "Clicked"})
    batch = {"batch": [call(userId=None)], "context": {"locale": "en"}}
    await served.send("/v1/batch", batch)
    single, item = (msgspec.json.decode(row.payload) for row in served.runtime.quarantined)
    assert single == {"event": "Clicked", "type": "track"}
    assert item == call(userId=None, context={"locale": "en"})


async def test_a_deep_item_does_not_fail_its_batch(served: Served) -> None:
    for depth in (40, 5_000):
        deep = b'{"type":"track","userId":"u1","event":"x","properties":{"v":%s}}' % (
            b"[" * depth + b"]" * depth
        )
        good = msgspec.json.encode(call(messageId=f"m{depth}"))
        answer = await served.send("/v1/batch", b'{"batch":[' + deep + b"," + good + b"]}")
        assert answer.faults() == [(0, "too_deep", "$")]
    assert [event.id for event in served.runtime.events] == ["m40", "m5000"]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (b"NaN", None),
        (b"Infinity", None),
        (rb'"\ud800x"', "\ufffdx"),
        (rb'"a\u0000b"', "a\ufffdb"),
        (b"1000000000000000000000000000000", 1e30),
    ],
)
async def test_what_clients_really_send_is_mended_and_counted(
    served: Served, value: bytes, kept: object
) -> None:
    bad = b'{"type":"track","userId":"u1","event":"x","messageId":"bad","properties":{"v":%s}}'
    good = msgspec.json.encode(call(messageId="good"))
    (await served.send("/v1/batch", b'{"batch":[%s,%s]}' % (bad % value, good))).accepted()
    (await served.send("/v1/track", bad.replace(b'"bad"', b'"alone"') % value)).accepted()
    assert list(served.runtime.inputs) == ["bad", "good", "alone"]
    assert served.runtime.events[0].properties == {"v": kept} == served.runtime.events[2].properties
    assert sum(served.counters.tolerated.values()) == 2


async def test_a_time_zone_that_is_none_is_ignored_and_counted(served: Served) -> None:
    said = call(messageId="m1", context={"timezone": "GMT+0000"})
    (await served.send("/v1/track", said)).accepted()
    assert served.runtime.events[0].context == {}
    assert served.counters.tolerated == {"timezone": 1}


@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch", "/v1/track?a=b"])
async def test_a_shard_that_is_full_says_when_to_come_back(served: Served, path: str) -> None:
    said = {"batch": [call(messageId="m1")], **call(messageId="m1")}
    served.runtime.troubles.extend([overloaded(), not_stored()])
    for status, code in ((429, "overloaded"), (503, "not_stored")):
        answer = (await served.send(path, said)).refused(status, code)
        assert int(answer.headers["Retry-After"]) >= 1
        assert served.runtime.events == []
    (await served.send(path, said)).accepted()


async def test_a_known_key_opens_by_every_way(locked: Served) -> None:
    said = call()
    ways: list[tuple[str, dict[str, str], dict[str, Any]]] = [
        ("/v1/track", basic(KEY), said),
        ("/v1/track", basic("site", KEY), said),
        ("/v1/track", {"Authorization": f"Bearer {KEY}"}, said),
        ("/v1/track", {}, said | {"writeKey": KEY}),
        ("/v1/batch", {}, {"batch": [said], "writeKey": KEY}),
        (f"/v1/track?writeKey={KEY}", {}, said),
        ("/v1/track", {"Authorization": "Bearer oauth-token"}, said | {"writeKey": KEY}),
        ("/v1/track", basic(""), said | {"writeKey": KEY}),
    ]
    for path, headers, body in ways:
        (await locked.send(path, body, headers=headers)).accepted()
        (await locked.send(path, body, headers=headers)).accepted()


async def test_the_key_is_found_in_a_body_that_needs_mending(locked: Served) -> None:
    body = b'{"writeKey":"write-key","batch":[{"type":"track","userId":"u1","event":"x","v":NaN}]}'
    (await locked.send("/v1/batch", body)).accepted()


async def test_an_unknown_key_opens_nothing(locked: Served) -> None:
    said = call()
    ways: list[tuple[str, dict[str, str], dict[str, Any]]] = [
        ("/v1/track", {}, said),
        ("/v1/track", basic("other"), said),
        ("/v1/track", basic("other"), said | {"writeKey": KEY}),
        ("/v1/track", {"Authorization": "Bearer other"}, said),
        ("/v1/track", {"Authorization": "Basic %%%"}, said),
        ("/v1/track", {"Authorization": "Digest x"}, said),
        ("/v1/track", {}, said | {"writeKey": "other"}),
        ("/v1/track", {}, said | {"writeKey": 7}),
        ("/v1/track?writeKey=other", {}, said),
        ("/v1/batch", {}, {"batch": [said | {"writeKey": KEY}]}),
    ]
    for path, headers, body in ways:
        for _ in range(2):
            answer = await locked.send(path, body, headers=headers)
            assert b"other" not in answer.refused(401, "unauthorized").body
    assert locked.runtime.submissions == 0
    assert locked.counters.refused == {"unauthorized": 2 * len(ways)}


async def test_a_browser_library_is_told_to_send_here(locked: Served) -> None:
    answer = await locked.send(f"/v1/projects/{KEY}/settings", method="GET")
    destination = answer.said["integrations"]["Segment.io"]
    assert destination == {
        "apiKey": KEY,
        "apiHost": f"127.0.0.1:{locked.gateway.port}/v1",
        "protocol": "http",
    }
    (await locked.send("/v1/projects/other/settings", method="GET")).refused(401, "unauthorized")


@pytest.mark.parametrize("slash", ["", "/"])
async def test_rudderstacks_library_gets_its_configuration(locked: Served, slash: str) -> None:
    path = f"/sourceConfig{slash}?p=npm&v=3"
    answer = await locked.send(f"{path}&writeKey={KEY}", method="GET")
    assert answer.status == 200
    assert (answer.said["source"]["enabled"], answer.said["source"]["writeKey"]) == (True, KEY)
    assert (await locked.send(path, method="GET", headers=basic(KEY))).status == 200
    (await locked.send(path, method="GET")).refused(401, "unauthorized")


async def test_without_keys_everybody_on_this_machine_may_send(served: Served) -> None:
    for headers in ({}, basic("anything"), {"Authorization": "nonsense"}):
        (await served.send("/v1/track", call(), headers=headers)).accepted()
    settings = await served.send("/v1/projects/anything/settings", method="GET")
    assert settings.said["integrations"]["Segment.io"]["apiKey"] == "anything"


async def test_requests_on_one_connection_are_answered_in_order(served: Served) -> None:
    def request(body: bytes) -> bytes:
        head = b"POST /v1/track HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
        return head % len(body) + body

    good, bad = msgspec.json.encode(call()), b"nonsense"
    last = request(good).replace(b"Host: a", b"Host: a\r\nConnection: close")
    said = await served.speak(request(good) * 200 + request(bad) + last)
    statuses = [part[:3] for part in said.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200"] * 200 + [b"400", b"200"]


async def test_an_old_client_is_answered_and_let_go(served: Served) -> None:
    body = msgspec.json.encode(call())
    head = b"POST /v1/track HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body)
    said = await served.speak(head + body)
    assert said.startswith(b"HTTP/1.0 200 OK\r\n")
    assert said.endswith(b'{"success":true}')
