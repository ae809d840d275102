"""The OpenAPI document: valid, complete, and true."""

import asyncio
import re
import threading
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Protocol, cast

import hypothesis
import jsonschema_rs
import msgspec
import pytest
from hypothesis.strategies import SearchStrategy

from adapters.gateway import openapi
from adapters.gateway.app import build_app, serve as serve_gateway
from adapters.gateway.host import Host
from adapters.gateway.openapi import document
from adapters.gateway.settings import GatewaySettings, hash_keys
from engine.profile import Profile
from engine.records import Decided
from engine.transcript import decision_object
from tests.e2e.reading_host import ScriptedRuntime, decided, event, serve


class Case(Protocol):
    """What is used of schemathesis' class of this name; its own types are not complete."""

    def call(self, *, base_url: str, headers: dict[str, str]) -> object: ...
    def validate_response(self, response: object, *, checks: list[object]) -> None: ...


class Operation(Protocol):
    path: str
    label: str

    def as_strategy(self) -> SearchStrategy[Case]: ...


schemathesis: Any = import_module("schemathesis")
known_checks: Any = import_module("schemathesis.checks")

METHODS = {"get", "put", "post", "delete"}
MOUNTED_BY_THE_APPLICATION = ("/v1/inbox/", "/v1/unsubscribe/")


def described() -> set[tuple[str, str]]:
    return {
        (method, path)
        for path, methods in document()["paths"].items()
        for method in methods
        if method in METHODS
    }


def mounted() -> set[tuple[str, str]]:
    app = build_app(Host.of(ScriptedRuntime(), GatewaySettings()))
    found: set[tuple[str, str]] = set()
    for route in app.router.routes():
        method, resource = route.method.lower(), route.resource
        assert resource is not None
        # A slash at the end is tolerated everywhere and says nothing new.
        path = resource.canonical.rstrip("/") or "/"
        if method in METHODS:
            found.add((method, path))
    return found


def test_what_is_mounted_is_described_and_what_is_described_is_mounted() -> None:
    elsewhere = {one for one in described() if one[1].startswith(MOUNTED_BY_THE_APPLICATION)}
    assert described() - elsewhere == mounted()
    assert len(elsewhere) == 5


def test_every_schema_is_valid_and_every_reference_leads_somewhere() -> None:
    written = msgspec.json.decode(msgspec.json.encode(document()))
    assert written["openapi"] == "3.1.0"
    for name, schema in written["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid(schema), name
    text = msgspec.json.encode(written).decode()
    for section, name in re.findall(r'"#/components/(\w+)/(\w+)"', text):
        assert name in written["components"][section]


def test_operation_ids_are_unique_and_every_variable_of_a_path_is_described() -> None:
    names: list[str] = []
    for path, methods in document()["paths"].items():
        for operation in methods.values():
            names.append(operation["operationId"])
            variables = [
                one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"
            ]
            assert variables == re.findall(r"{(\w+)}", path)
            assert operation["responses"]
    assert len(names) == len(set(names))


def test_every_guarded_operation_says_how_to_get_in_and_what_a_stranger_is_told() -> None:
    schemes = document()["components"]["securitySchemes"]
    for path, methods in document()["paths"].items():
        for operation in methods.values():
            if operation["security"]:
                assert "401" in operation["responses"], path
            for choice in operation["security"]:
                assert set(choice) <= set(schemes)


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


async def test_the_document_is_served_without_a_key() -> None:
    async with serve(openapi.routes) as served:
        found = await served.get("/openapi.json", 200, {"X-Other": "1"})
    assert found["info"]["title"] == "Nextbeat"


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
        gateway = await serve_gateway(runtime, settings)
        started.append(gateway.url)
        is_up.set()
        await asyncio.to_thread(is_over.wait)
        await gateway.stop()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert is_up.wait(10)
    yield started[0]
    is_over.set()
    thread.join(10)


# Answers that do not end are not for a client that reads to the end.
ENDLESS = ("/v1/stream", "/v1/decisions/feed")
NO_FUZZING = (*ENDLESS, *MOUNTED_BY_THE_APPLICATION)
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
