"""Customer.io's Track API, versions 1 and 2, as its libraries use it.

`routes` is mounted by `adapters.gateway.app`. Translation into Segment's vocabulary is done in
`adapters.gateway.customerio_words`; here are the addresses, which carry half of what is said.
"""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from adapters.gateway.cors import allow_browsers
from adapters.gateway.customerio_words import (
    person,
    translate_delivery,
    translate_entity,
    translate_event,
    translate_merge,
)
from adapters.gateway.host import Host
from adapters.gateway.intake import Handler, Portion, Reader, take_body
from adapters.gateway.wire import read_batch

_SOURCE = "customerio"
_BUSY = 503  # its libraries try again after a 5xx only
_CUSTOMER = "/api/v1/customers/{id:[^/]+}"

Read = Callable[[dict[str, Any], web.BaseRequest], dict[str, Any]]


def routes(host: Host) -> list[web.RouteDef]:
    """List the routes. Ids come percent-encoded, slashes included, and are matched that way."""

    def take(translate: Read) -> Handler:
        return take_body(host, _alone(translate), _SOURCE, busy_status=_BUSY)

    customer = [
        ("PUT", "", _identify),
        ("DELETE", "", _act("delete")),
        ("POST", "/events", _event),
        ("PUT", "/devices", _act("add_device")),
        ("DELETE", "/devices/{device:[^/]+}", _delete_device),
        ("POST", "/suppress", _act("suppress")),
        ("POST", "/unsuppress", _act("unsuppress")),
    ]
    plain = [
        ("/api/v1/events", take(lambda value, _: translate_event(value))),
        ("/api/v1/merge_customers", take(lambda value, _: translate_merge(value))),
        ("/api/v1/push/events", take(lambda value, _: translate_delivery(value))),
        ("/api/v1/metrics", take(lambda value, _: translate_delivery(value))),
        ("/api/v2/entity", take(lambda value, _: translate_entity(value))),
        ("/api/v2/batch", take_body(host, _read_batch, _SOURCE, busy_status=_BUSY)),
    ]
    return [
        *(
            route
            for method, path, translate in customer
            for slash in ("", "/")
            for route in allow_browsers(_CUSTOMER + path + slash, take(translate), method)
        ),
        *(
            route
            for path, handler in plain
            for slash in ("", "/")
            for route in allow_browsers(path + slash, handler)
        ),
    ]


def _alone(translate: Read) -> Reader:
    """Read a body that is one item; where the address says everything there is none."""

    def read(body: bytes, portion: Portion, request: web.BaseRequest) -> None:
        body = body or b"{}"
        portion.take_foreign(body, lambda value: translate(value, request))
        portion.insist_on_json(body)

    return read


def _read_batch(body: bytes, portion: Portion, _request: web.BaseRequest) -> None:
    for index, raw in enumerate(read_batch(body, portion.envelope.oddities).batch):
        portion.take_foreign(bytes(raw), translate_entity, index)


def _id_of(request: web.BaseRequest, name: str = "id") -> str:
    assert isinstance(request, web.Request)
    return request.match_info[name]


def _identify(value: dict[str, Any], request: web.BaseRequest) -> dict[str, Any]:
    return person("identify", {"id": _id_of(request)}, {"attributes": value})


def _event(value: dict[str, Any], request: web.BaseRequest) -> dict[str, Any]:
    return translate_event(value) | {"userId": _id_of(request)}


def _delete_device(value: dict[str, Any], request: web.BaseRequest) -> dict[str, Any]:
    device = {"token": _id_of(request, "device")}
    return person("delete_device", {"id": _id_of(request)}, value | {"device": device})


def _act(action: str) -> Read:
    def translate(value: dict[str, Any], request: web.BaseRequest) -> dict[str, Any]:
        return person(action, {"id": _id_of(request)}, value)

    return translate
