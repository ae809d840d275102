"""Customer.io's Track API, both versions: what each request becomes."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.events import ConsentStatus, Event, EventKind, Receipt, ReceiptStatus
from engine.instants import parse_instant
from tests.e2e.gateway_host import LOCKED, NOW, Served, overloaded, running

AT_S = 1_795_342_272  # 2026-11-22T10:11:12Z
AT = parse_instant("2026-11-22T10:11:12Z")


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with running() as gateway:
        yield gateway


async def take(served: Served, method: str, path: str, body: object = b"") -> Event:
    """Send one request and give the event it became."""
    (await served.send(path, body, method=method)).accepted()
    event = list(served.runtime.inputs.values())[-1]
    assert isinstance(event, Event)
    assert event.source == "customerio"
    return event


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_person_is_identified_by_the_address(served: Served, slash: str) -> None:
    body = {"email": "a@b.c", "plan": "pro", "created_at": AT_S, "_update": True}
    event = await take(served, "PUT", f"/api/v1/customers/u1{slash}", body)
    assert (event.kind, event.user) == (EventKind.IDENTIFY, "u1")
    assert event.traits == {"email": "a@b.c", "plan": "pro", "created_at": AT_S}
    assert event.context == {"active": False}


@pytest.mark.parametrize(
    ("escaped", "meant"),
    [
        ("a%2Fb", "a/b"),
        ("a%20b%25", "a b%"),
        ("zo%C3%AB", "zo\xeb"),
        ("a%3Fb%23c", "a?b#c"),
        ("anna%40example.com", "anna@example.com"),
        ("..", ".."),
        ("a%00b", "a\ufffdb"),
    ],
)
async def test_an_id_in_an_address_is_escaped(served: Served, escaped: str, meant: str) -> None:
    head = b"PUT /api/v1/customers/%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    body = b'{"plan":"pro"}'
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    said = await served.speak(head % escaped.encode() + length + body)
    assert b" 200 OK" in said
    assert served.runtime.events[0].user == meant


async def test_an_event_has_its_data_and_its_time_in_seconds(served: Served) -> None:
    body = {
        "name": "subscribed_to_plan",
        "data": {"price": 23.45},
        "timestamp": AT_S,
        "id": "01HB4HBD",
    }
    event = await take(served, "POST", "/api/v1/customers/u%2F1/events", body)
    assert (event.id, event.name, event.user, event.at) == (
        "01HB4HBD",
        "subscribed_to_plan",
        "u/1",
        AT,
    )
    assert event.properties == {"price": 23.45}


async def test_a_page_and_a_screen_are_named_by_where_they_are(served: Served) -> None:
    for kind in ("page", "screen"):
        body = {"name": f"http://x/{kind}", "type": kind, "data": {"v": 1}}
        event = await take(served, "POST", "/api/v1/customers/u1/events", body)
        assert event.kind.value == kind
        assert event.properties == {"name": f"http://x/{kind}", "v": 1}


async def test_an_event_of_somebody_unknown(served: Served) -> None:
    body = {"name": "looked", "anonymous_id": "a-1"}
    event = await take(served, "POST", "/api/v1/events", body)
    assert (event.user, event.anonymous, event.name) == (None, "a-1", "looked")
    answer = await served.send("/api/v1/events", {"name": "looked"})
    assert answer.faults() == [(0, "no_user_anon_id", "userId")]


async def test_a_device_brings_its_token(served: Served) -> None:
    body = {"device": {"id": "tok-1", "platform": "ios", "last_used": AT_S}}
    event = await take(served, "PUT", "/api/v1/customers/u1/devices", body)
    assert event.context["device"] == {"token": "tok-1", "type": "ios"}
    answer = await served.send("/api/v1/customers/u1/devices", {"device": {}}, method="PUT")
    assert answer.faults() == [(0, "invalid_type", "device.token")]


async def test_a_device_that_is_removed_is_noted(served: Served) -> None:
    event = await take(served, "DELETE", "/api/v1/customers/u1/devices/tok%2F1")
    assert (event.name, event.properties) == ("Device Removed", {"device": {"token": "tok/1"}})


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/suppress", "Customer Suppressed"),
        ("DELETE", "", "Customer Deleted"),
    ],
)
async def test_taking_somebody_out_withdraws_all_consent(
    served: Served, method: str, path: str, name: str
) -> None:
    event = await take(served, method, f"/api/v1/customers/u1{path}")
    assert event.name == name
    said = event.consents[0]
    assert (said.purpose, said.channel, said.status) == ("*", "*", ConsentStatus.WITHDRAWN)
    assert said.at == NOW


async def test_letting_somebody_in_again_is_no_consent(served: Served) -> None:
    event = await take(served, "POST", "/api/v1/customers/u1/unsuppress")
    assert (event.name, event.consents) == ("Customer Unsuppressed", ())


async def test_a_merge_links_the_second_person_to_the_first(served: Served) -> None:
    body = {"primary": {"email": "a@b.c"}, "secondary": {"id": "old"}}
    event = await take(served, "POST", "/api/v1/merge_customers", body)
    assert (event.kind, event.user) == (EventKind.ALIAS, "a@b.c")
    assert event.properties == {"previousId": "old"}


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({}, ("invalid_type", "primary")),
        ({"primary": {"id": "a"}}, ("invalid_type", "secondary")),
        ({"primary": {}, "secondary": {"id": "b"}}, ("no_user_anon_id", "primary")),
    ],
)
async def test_a_merge_needs_two_people(
    served: Served, body: object, fault: tuple[str, str]
) -> None:
    answer = await served.send("/api/v1/merge_customers", body)
    assert answer.faults() == [(0, *fault)]


@pytest.mark.parametrize("path", ["/api/v1/push/events", "/api/v1/metrics"])
async def test_the_fate_of_a_message_needs_somebody_it_was_for(served: Served, path: str) -> None:
    body = {"delivery_id": "m_1", "event": "opened", "metric": "opened", "timestamp": AT_S}
    answer = await served.send(path, body)
    assert answer.faults() == [(0, "no_user_anon_id", "userId")]
    (await served.send(path, body | {"customer_id": "u1"})).accepted()
    receipt = next(iter(served.runtime.inputs.values()))
    assert isinstance(receipt, Receipt)
    assert (receipt.user, receipt.message, receipt.at) == ("u1", "m_1", AT)
    assert receipt.status is ReceiptStatus.OPENED


async def test_a_bounce_is_a_failure_for_good(served: Served) -> None:
    body = {
        "delivery_id": "m_1",
        "metric": "bounced",
        "recipient": "a@b.c",
        "reason": "no such user",
    }
    (await served.send("/api/v1/metrics", body)).accepted()
    receipt = next(iter(served.runtime.inputs.values()))
    assert isinstance(receipt, Receipt)
    assert (receipt.status, receipt.permanent) == (ReceiptStatus.FAILED, True)
    assert (receipt.user, receipt.code) == ("a@b.c", "no such user")


NOTHING: dict[str, Any] = {}


def person(action: str, **said: object) -> dict[str, Any]:
    return {"type": "person", "action": action, "identifiers": {"id": "u1"}, **said}


async def test_the_second_api_says_the_same_in_other_words(served: Served) -> None:
    batch = [
        person("identify", attributes={"plan": "pro"}),
        person(
            "event", name="subscribed_to_plan", attributes={"price": 1}, id="01H", timestamp=AT_S
        ),
        person("page", name="http://x/"),
        person("screen", name="Home"),
        person("add_device", device={"token": "tok-1", "platform": "android"}),
        person("delete_device", device={"token": "tok-1"}),
        person("suppress"),
        person("unsuppress"),
        person("add_relationships", cio_relationships=[{"identifiers": {"object_id": "o"}}]),
        {"type": "person", "action": "merge", "primary": {"id": "u1"}, "secondary": {"id": "u2"}},
        person("delete"),
        {
            "type": "person",
            "action": "event",
            "identifiers": {"anonymous_id": "a-1"},
            "name": "looked",
        },
    ]
    (await served.send("/api/v2/batch", {"batch": batch})).accepted()
    kinds = [(event.kind.value, event.name) for event in served.runtime.events]
    assert kinds == [
        ("identify", "Identified"),
        ("track", "subscribed_to_plan"),
        ("page", "Page Viewed"),
        ("screen", "Screen Viewed"),
        ("identify", "Identified"),
        ("track", "Device Removed"),
        ("track", "Customer Suppressed"),
        ("track", "Customer Unsuppressed"),
        ("track", "Relationships Added"),
        ("alias", "Alias Linked"),
        ("track", "Customer Deleted"),
        ("track", "looked"),
    ]
    assert served.runtime.events[0].traits == {"plan": "pro"}
    assert (served.runtime.events[1].id, served.runtime.events[1].at) == ("01H", AT)
    assert served.runtime.events[-1].anonymous == "a-1"


async def test_one_entity_comes_alone(served: Served) -> None:
    event = await take(served, "POST", "/api/v2/entity", person("event", name="subscribed_to_plan"))
    assert event.name == "subscribed_to_plan"


@pytest.mark.parametrize(
    ("entity", "fault"),
    [
        ({"type": "object", "action": "identify"}, ("unknown_type", "type")),
        (NOTHING, ("unknown_type", "type")),
        (person("explode"), ("unknown_action", "action")),
        (person("identify") | {"action": NOTHING}, ("unknown_action", "action")),
        (person("event"), ("no_event_name", "event")),
        (person("event", name="x", attributes=[1]), ("invalid_type", "data")),
        (person("identify", attributes=7), ("invalid_type", "attributes")),
        (person("event", name="x") | {"identifiers": NOTHING}, ("no_user_anon_id", "userId")),
        (person("event", name="x") | {"identifiers": "u1"}, ("invalid_type", "identifiers")),
        (person("event", name="x", timestamp="soon"), ("bad_timestamp", "timestamp")),
        ({"type": "delivery", "metric": "lost"}, ("bad_receipt", "metric")),
        (7, ("invalid_type", "$")),
    ],
)
async def test_a_bad_entity_does_not_fail_its_batch(
    served: Served, entity: object, fault: tuple[str, str]
) -> None:
    batch = {"batch": [entity, person("event", name="good")]}
    answer = await served.send("/api/v2/batch", batch)
    assert answer.faults() == [(0, *fault)]
    assert [event.name for event in served.runtime.events] == ["good"]
    assert len(served.runtime.quarantined) == 1
    assert served.balanced()


async def test_a_shard_that_is_full_answers_what_its_libraries_wait_for(served: Served) -> None:
    served.runtime.troubles.append(overloaded())
    answer = await served.send("/api/v2/batch", {"batch": [person("identify")]})
    assert answer.refused(503, "overloaded").headers["Retry-After"] == "1"


async def test_the_key_may_be_user_or_password() -> None:
    async with running(LOCKED) as served:
        for credentials in ("c2l0ZTp3cml0ZS1rZXk=", "d3JpdGUta2V5OnNlY3JldA=="):
            headers = {"Authorization": f"Basic {credentials}"}
            body = {"plan": "pro"}
            answer = await served.send("/api/v1/customers/u1", body, method="PUT", headers=headers)
            answer.accepted()
        answer = await served.send("/api/v1/customers/u1", {}, method="PUT")
        answer.refused(401, "unauthorized")
