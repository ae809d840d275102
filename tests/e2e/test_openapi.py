"""The OpenAPI document: complete, consistent, served."""

import re

import msgspec

from adapters.gateway import openapi
from adapters.gateway.app import build_app
from adapters.gateway.host import Host
from adapters.gateway.openapi import document
from adapters.gateway.settings import GatewaySettings
from tests.e2e.reading_host import ScriptedRuntime, serve

METHODS = {"get", "put", "post", "delete"}
MOUNTED_BY_THE_APPLICATION = (
    *("/v1/inbox/", "/inbox.js", "/v1/ussd/", "/v1/desk/"),
    *("/v1/unsubscribe/", "/v1/receipts/", "/c/", "/p/"),
)


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
    assert len(elsewhere) == 17


def test_every_reference_leads_somewhere() -> None:
    written = msgspec.json.decode(msgspec.json.encode(document()))
    assert written["openapi"] == "3.1.0"
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


async def test_the_document_is_served_without_a_key() -> None:
    async with serve(openapi.routes) as served:
        found = await served.get("/openapi.json", 200, {"X-Other": "1"})
    assert found["info"]["title"] == "Nextbeat"
