"""CloudEvents: binary, structured, batched, as libraries write them."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from engine.events import Event
from engine.instants import parse_instant
from tests.e2e.gateway_host import Served, running

BINARY = {
    "ce-id": "A1",
    "ce-source": "/shop",
    "ce-type": "com.example.order.completed",
    "ce-specversion": "1.0",
    "ce-subject": "u1",
    "ce-time": "2026-11-22T10:11:12.345Z",
    "ce-tenantid": "acme",
}
EVENT = {name.removeprefix("ce-"): value for name, value in BINARY.items()}
STRUCTURED = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
BATCHED = {"Content-Type": "application/cloudevents-batch+json"}


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with running() as gateway:
        yield gateway


def only(served: Served) -> Event:
    (event,) = served.runtime.events
    return event


@pytest.mark.parametrize("path", ["/v1/cloudevents", "/v1/cloudevents/", "/"])
async def test_an_event_in_headers_and_one_in_a_body_are_the_same(
    served: Served, path: str
) -> None:
    headers = BINARY | {"Content-Type": "application/json"}
    (await served.send(path, {"total": 30.5}, headers=headers)).accepted()
    event = only(served)
    (await served.send(path, EVENT | {"data": {"total": 30.5}}, headers=STRUCTURED)).accepted()
    assert served.runtime.counters.duplicates == 1
    assert (event.id, event.name, event.user) == ("/shop#A1", BINARY["ce-type"], "u1")
    assert event.at == parse_instant(BINARY["ce-time"])
    assert event.properties == {"total": 30.5}
    assert event.source == "cloudevents"


async def test_ids_are_unique_within_a_source_only(served: Served) -> None:
    events = [EVENT, EVENT | {"source": "/till"}, EVENT | {"id": "A2"}, EVENT]
    (await served.send("/v1/cloudevents", events, headers=BATCHED)).accepted()
    assert list(served.runtime.inputs) == ["/shop#A1", "/till#A1", "/shop#A2"]


async def test_a_long_name_is_shortened_and_still_its_own(served: Served) -> None:
    events = [EVENT | {"source": "/x" * 200, "id": name} for name in "aab"]
    (await served.send("/v1/cloudevents", events, headers=BATCHED)).accepted()
    assert len(served.runtime.inputs) == 2


@pytest.mark.parametrize(
    ("content_type", "body", "properties"),
    [
        ("application/json", b'{"a":1}', {"a": 1}),
        ("application/vnd.x+json; charset=utf-8", b'{"a":1}', {"a": 1}),
        ("application/json", b"[1,2]", {"data": [1, 2]}),
        ("application/json", b'{"a":NaN}', {"a": None}),
        ("application/json", b'{"a":"x\\u0000"}', {"a": "x\ufffd"}),
        ("text/plain", b"hello", {"data": "hello"}),
        ("text/plain; charset=utf-8", "Zo\xeb".encode(), {"data": "Zo\xeb"}),
        ("application/octet-stream", b"\x00\x01\xff", {"data_base64": "AAH/"}),
        ("", b'{"message":"Hello"}', {"message": "Hello"}),
        ("", b"\xff\xfe", {"data_base64": "//4="}),
        ("application/json", b"", {}),
    ],
)
async def test_data_is_read_by_its_type(
    served: Served, content_type: str, body: bytes, properties: dict[str, Any]
) -> None:
    headers = BINARY | ({"Content-Type": content_type} if content_type else {})
    (await served.send("/v1/cloudevents", body, headers=headers)).accepted()
    assert only(served).properties == properties


@pytest.mark.parametrize(
    ("data", "properties"),
    [
        ({"data": "hello"}, {"data": "hello"}),
        ({"data_base64": "AAH/"}, {"data_base64": "AAH/"}),
        ({"data": None}, {}),
        ({}, {}),
    ],
)
async def test_data_in_a_body_may_be_anything(
    served: Served, data: dict[str, Any], properties: dict[str, Any]
) -> None:
    (await served.send("/v1/cloudevents", EVENT | data, headers=STRUCTURED)).accepted()
    assert only(served).properties == properties


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (b"Zo%C3%AB%20%22x%22%20%25", 'Zo\xeb "x" %'),
        (b"Zo\xeb", "Zo\xeb"),
        ("Zo\xeb \u20ac".encode(), "Zo\xeb \u20ac"),
        (b"Zo%EB", "Zo\xeb"),
    ],
)
async def test_text_in_a_header_is_read_whatever_the_library_did_to_it(
    served: Served, written: bytes, meant: str
) -> None:
    lines = [f"{name}: {value}".encode() for name, value in BINARY.items() if "subject" not in name]
    head = [
        b"POST /v1/cloudevents HTTP/1.1",
        b"Host: a",
        b"Connection: close",
        b"Content-Length: 0",
    ]
    said = await served.speak(b"\r\n".join([*head, *lines, b"CE-Subject: " + written, b"", b""]))
    assert b" 200 OK" in said
    assert only(served).user == meant


@pytest.mark.parametrize("name", ["id", "source", "type", "specversion"])
async def test_what_an_event_must_have_is_named_when_it_is_missing(
    served: Served, name: str
) -> None:
    missing = {key: value for key, value in EVENT.items() if key != name}
    events = [missing, EVENT | {name: 7}, EVENT | {name: ""}, EVENT]
    answer = await served.send("/v1/cloudevents", events, headers=BATCHED)
    assert answer.faults() == [(index, "missing_attribute", name) for index in range(3)]
    assert only(served).id == "/shop#A1"
    assert msgspec.json.decode(served.runtime.quarantined[0].payload) == missing


async def test_an_event_in_headers_is_checked_too(served: Served) -> None:
    headers = {name: value for name, value in BINARY.items() if name != "ce-source"}
    answer = await served.send("/v1/cloudevents", b"{}", headers=headers)
    assert answer.faults() == [(0, "missing_attribute", "source")]


async def test_an_event_of_nobody_is_kept_in_quarantine(served: Served) -> None:
    event = {key: value for key, value in EVENT.items() if key != "subject"}
    answer = await served.send("/v1/cloudevents", event, headers=STRUCTURED)
    assert answer.faults() == [(0, "no_user_anon_id", "userId")]
    assert served.balanced()


async def test_another_version_is_refused(served: Served) -> None:
    answer = await served.send("/v1/cloudevents", EVENT | {"specversion": "9"}, headers=STRUCTURED)
    assert answer.faults() == [(0, "unknown_version", "specversion")]


async def test_an_event_is_held_to_the_limits_of_one(served: Served) -> None:
    big = EVENT | {"data": {"v": "x" * 40_000}}
    for body, headers in ((big, STRUCTURED), ([big], BATCHED)):
        answer = await served.send("/v1/cloudevents", body, headers=headers)
        assert answer.faults() == [(0, "too_large", "$")]
    headers = BINARY | {"Content-Type": "text/plain"}
    answer = await served.send("/v1/cloudevents", b"x" * 40_000, headers=headers)
    assert answer.faults() == [(0, "too_large", "$")]


async def test_what_is_no_cloudevent_is_400(served: Served) -> None:
    answer = await served.send(
        "/v1/cloudevents", EVENT, headers={"Content-Type": "application/json"}
    )
    answer.refused(400, "not_a_cloudevent")


@pytest.mark.parametrize("body", [b"{}", msgspec.json.encode(EVENT), b"null", b'"x"', b"3"])
async def test_a_batch_that_is_no_list_is_400(served: Served, body: bytes) -> None:
    answer = await served.send("/v1/cloudevents", body, headers=BATCHED)
    answer.refused(400, "invalid_type")
    assert served.runtime.submissions == 0
