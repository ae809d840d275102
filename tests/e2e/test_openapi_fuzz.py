"""The OpenAPI document is true: other tools understand it, and every answer is as it says."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any, Protocol, cast

import hypothesis
import msgspec
import pytest
from hypothesis.strategies import SearchStrategy

from adapters.channels.ussd import UssdChannel, UssdSettings
from adapters.gateway import client, desk, ussd
from adapters.gateway.app import Routes, serve as serve_gateway
from adapters.gateway.openapi import document
from adapters.gateway.settings import GatewaySettings, hash_keys
from adapters.inbox import Inbox
from engine.profile import Profile
from engine.records import Decided
from engine.transcript import decision_object
from tests.e2e.reading_host import ScriptedRuntime, decided, event

schemathesis: Any = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
known_checks: Any = pytest.importorskip("schemathesis.checks")
jsonschema_rs: Any = pytest.importorskip("jsonschema_rs", reason="it comes with schemathesis")


class Case(Protocol):
    """What is used of schemathesis' class of this name; its own types are not complete."""

    def call(self, *, base_url: str, headers: dict[str, str]) -> object: ...
    def validate_response(self, response: object, *, checks: list[object]) -> None: ...


class Operation(Protocol):
    path: str
    label: str

    def as_strategy(self) -> SearchStrategy[Case]: ...


def test_every_schema_is_valid() -> None:
    written = msgspec.json.decode(msgspec.json.encode(document()))
    for name, schema in written["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid(schema), name


@pytest.mark.parametrize(
    "made", [decided(1), decided(2, message_id="m_1", channel="", next_eligible=None)]
)
def test_the_decision_record_is_what_the_document_says(made: Decided) -> None:
    written = document()
    schema = {"$ref": "#/components/schemas/Decision", "components": written["components"]}
    validator = jsonschema_rs.validator_for(schema)
    record = msgspec.json.decode(msgspec.json.encode(decision_object("u1", made)))
    validator.validate(record)
    assert set(record) <= set(written["components"]["schemas"]["Decision"]["properties"])
    assert not validator.is_valid({**record, "outcome": "sent"})


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A whole gateway in a thread of its own, for a client that knows nothing of asyncio."""
    started: list[str] = []
    is_up, is_over = threading.Event(), threading.Event()

    async def run() -> None:
        runtime = ScriptedRuntime()
        for customer in ("0", "a", "u1"):
            runtime.profiles[customer] = Profile(customer)
            runtime.write(customer, event())
        runtime.decide(*(("u1", decided(number)) for number in range(1, 9)))
        keys = hash_keys("write-key, admin-key")
        settings = GatewaySettings(write_keys=keys, admin_keys=hash_keys("admin-key"))
        box = Inbox(None, runtime.clock.now)
        await box.open()
        line = UssdChannel(UssdSettings(key="a key of many characters"))
        mounts: list[Routes] = [
            lambda host: client.routes(host, None),
            lambda host: ussd.routes(host, {"ussd": line}),
            lambda host: desk.routes(host, box, host.admin_ring),
        ]
        gateway = await serve_gateway(runtime, settings, mounts)
        started.append(gateway.url)
        is_up.set()
        await asyncio.to_thread(is_over.wait)
        await gateway.stop()
        await box.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert is_up.wait(10)
    yield started[0]
    is_over.set()
    thread.join(10)


# Answers that do not end are not for a client that reads to the end.
ENDLESS = ("/v1/stream", "/v1/decisions/feed")
NO_FUZZING = (*ENDLESS, "/v1/inbox/", "/v1/unsubscribe/", "/v1/receipts/", "/c/", "/p/")
# These are the same handlers as those of the long names.
SHORT_NAMES = {"/v1/b", "/v1/import", "/beacon/v1/batch", *(f"/v1/{kind}" for kind in "itpsga")}
INSISTED_ON = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


def operations() -> list[Operation]:
    schema = schemathesis.openapi.from_dict(document())
    found = [result.ok() for result in schema.get_all_operations()]
    return [
        one for one in found if not one.path.startswith(NO_FUZZING) and one.path not in SHORT_NAMES
    ]


@pytest.mark.parametrize("operation", operations(), ids=lambda one: one.label)
def test_whatever_comes_the_answer_is_one_the_document_knows(
    url: str, operation: Operation
) -> None:
    checks = cast("list[object]", known_checks.CHECKS.get_by_names(INSISTED_ON))

    @hypothesis.settings(max_examples=8, derandomize=True, database=None, deadline=None)
    @hypothesis.given(case=operation.as_strategy())
    def call(case: Case) -> None:
        response = case.call(base_url=url, headers={"Authorization": "Bearer admin-key"})
        case.validate_response(response, checks=checks)

    call()
