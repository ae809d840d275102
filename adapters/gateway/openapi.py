"""The OpenAPI 3.1 document at `/openapi.json`, made from the structs that do the work.

`operations` says what there is, msgspec says what it looks like: nothing is written down twice, so
the document is as right as the code. It holds no secret and needs no key.
"""

import re
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

import msgspec
from aiohttp import web

from adapters.gateway.answers import Refusal
from adapters.gateway.host import Host
from adapters.gateway.operation import Operation
from adapters.gateway.operations import OPERATIONS
from engine.limits import ID_LENGTH_MAX

_REFERENCE = "#/components/schemas/{name}"
_JSON = "application/json"
_VARIABLE = re.compile(r"\{(\w+)\}")
_WITH_RETRY = (429, 503)

# Any one of the places is enough.
_DOORS: dict[str, list[dict[str, list[str]]]] = {
    "write": [{"writeKey": []}, {"writeKeyBearer": []}, {"writeKeyQuery": []}],
    "admin": [{"adminKey": []}],
    "token": [{"inboxToken": []}, {"inboxTokenQuery": []}, {"adminKey": []}],
    "ussd": [{"ussdKey": []}],
    "desk": [{"deskKey": []}, {"adminKey": []}],
    "open": [],
}
_SCHEMES = {
    "writeKey": {"type": "http", "scheme": "basic", "description": "The key as user name."},
    "writeKeyBearer": {"type": "http", "scheme": "bearer"},
    "writeKeyQuery": {"type": "apiKey", "in": "query", "name": "writeKey"},
    "adminKey": {"type": "http", "scheme": "bearer"},
    "inboxToken": {"type": "http", "scheme": "bearer"},
    "deskKey": {"type": "http", "scheme": "bearer"},
    "ussdKey": {"type": "apiKey", "in": "query", "name": "key"},
    "inboxTokenQuery": {"type": "apiKey", "in": "query", "name": "token"},
}


def routes(_host: Host) -> list[web.RouteDef]:
    """List the routes of this module."""
    body = msgspec.json.encode(document())

    async def show(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type=_JSON)

    return [web.get("/openapi.json", show)]


def document() -> dict[str, Any]:
    """Write the whole document."""
    schemas = _Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _describe(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Nextbeat",
            "version": _version(),
            "description": "Customer events in, decisions out, each with its reason.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas.shown(),
            "responses": schemas.refusals,
            "securitySchemes": _SCHEMES,
        },
    }


class _Schemas:
    """The schemas of all types that were asked for; the parts they share are there once."""

    def __init__(self) -> None:
        types: list[Any] = [Refusal, *_types()]
        schemas, self.components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
        self.refusals: dict[str, Any] = {}
        self._schemas = dict(zip(map(repr, types), schemas, strict=True))

    def of(self, described: object) -> dict[str, Any]:
        """Give the schema of a type, mostly a reference."""
        return self._schemas[repr(described)]

    def fields(self, described: type[msgspec.Struct]) -> dict[str, dict[str, Any]]:
        """Give the schemas of a struct's fields by name."""
        return cast("dict[str, dict[str, Any]]", self.components[described.__name__]["properties"])

    def shown(self) -> dict[str, Any]:
        """Give the schemas to be referred to; parameters stand where they are used."""
        hidden = {one.parameters.__name__ for one in OPERATIONS if one.parameters is not None}
        return {name: schema for name, schema in self.components.items() if name not in hidden}

    def refusal(self, status: int) -> dict[str, str]:
        """Give a reference to a refusal, which all operations share."""
        name = f"Refusal{status}"
        self.refusals[name] = _refusal(status, self)
        return {"$ref": f"#/components/responses/{name}"}


def _types() -> list[object]:
    found: list[object] = []
    for operation in OPERATIONS:
        further = [answer for _, answer in operation.also]
        for described in (operation.body, operation.answer, operation.parameters, *further):
            if described is not None and described not in found:
                found.append(described)
    return found


def _describe(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": _name(operation),
        "summary": operation.summary,
        "tags": [operation.tag],
        "security": _DOORS[operation.door],
        "responses": _responses(operation, schemas),
    }
    if operation.text:
        described["description"] = operation.text
    parameters = [*_path_parameters(operation), *_query_parameters(operation, schemas)]
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        content = {_JSON: {"schema": schemas.of(operation.body)}}
        content.update((kind, {"schema": {"type": "string"}}) for kind in operation.body_types)
        described["requestBody"] = {"required": True, "content": content}
    return described


def _name(operation: Operation) -> str:
    words = re.findall(r"\w+", operation.path) or ["root"]
    return "_".join([operation.method, *words])


def _responses(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    answers = [(operation.status, operation.answer), *operation.also]
    responses = {
        str(status): _answer(status, answer, operation.answer_type, schemas)
        for status, answer in answers
    }
    guarded = () if operation.door == "open" else (401,)
    if operation.door == "admin" and operation.method != "get":
        guarded = (*guarded, 403)  # to keys that may only look
    for status in sorted({*operation.statuses, *guarded}):
        responses[str(status)] = schemas.refusal(status)
    return dict(sorted(responses.items()))


def _answer(status: int, answer: object, answer_type: str, schemas: _Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if answer is not None:
        described["content"] = {answer_type: {"schema": schemas.of(answer)}}
    elif status != HTTPStatus.SWITCHING_PROTOCOLS:
        described["content"] = {answer_type: {"schema": {"type": "string"}}}
    return described


def _refusal(status: int, schemas: _Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {_JSON: {"schema": schemas.of(Refusal)}},
    }
    if status in _WITH_RETRY:
        described["headers"] = {
            "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
        }
    return described


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": "Percent-encoded, a slash as %2F.",
            "schema": {"type": "string", "minLength": 1, "maxLength": ID_LENGTH_MAX},
        }
        for name in _VARIABLE.findall(operation.path)
    ]


def _query_parameters(operation: Operation, schemas: _Schemas) -> list[dict[str, Any]]:
    if operation.parameters is None:
        return []
    parameters: list[dict[str, Any]] = []
    for name, schema in schemas.fields(operation.parameters).items():
        shown = _present(schema)
        text = shown.pop("description", "")
        parameter = {"name": name, "in": "query", "required": False, "schema": shown}
        parameters.append({**parameter, "description": text} if text else parameter)
    return parameters


def _present(schema: dict[str, Any]) -> dict[str, Any]:
    """Describe a parameter that is given: absence is said by leaving it out, not by null or ""."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    shown = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    if schema.get("default") not in (None, ""):
        shown["default"] = schema["default"]
    if shown.get("type") == "string":
        shown["minLength"] = 1
    return {**shown, **choices[0]} if len(choices) == 1 else shown


def _version() -> str:
    try:
        return version("nextbeat")
    except PackageNotFoundError:  # run from the repository, not installed
        return "0"
