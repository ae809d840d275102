"""Customer.io's Track API, versions 1 and 2, as its libraries use it.

`routes` is mounted by `adapters.gateway.app`. Translation into Segment's vocabulary is done in
`adapters.gateway.customerio_words`; here are the addresses, which carry half of what is said.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from adapters.gateway.cors import allow_browsers
from adapters.gateway.customerio_words import (
    translate_delivery,
    translate_entity,
    translate_event,
)
from adapters.gateway.host import Host
from adapters.gateway.intake import Handler, Portion, Reader, take_body
from adapters.gateway.wire import read_batch, read_object
from engine.errors import InputError
from engine.intake.item import check_size

_SOURCE = "customerio"
_BUSY = 503  # its libraries try again after a 5xx only
_CUSTOMER = "/api/v1/customers/{id:[^/]+}"

_encode = msgspec.json.Encoder().encode

Read = Callable[[dict[str, Any], web.BaseRequest], dict[str, Any]]


def routes(host: Host) -> list[web.RouteDef]:
    """List the routes. Ids come percent-encoded, slashes included, and are matched that way."""

    def take(entity: Read, translate: Read | None = None) -> Handler:
        return take_body(host, _alone(entity, translate), _SOURCE, busy_status=_BUSY)

    customer: list[tuple[str, str, Read, Read | None]] = [
        ("PUT", "", _identity, None),
        ("DELETE", "", _act("delete"), None),
        ("POST", "/events", _event_entity, _event),
        ("PUT", "/devices", _act("add_device"), None),
        ("DELETE", "/devices/{device:[^/]+}", _old_device, None),
        ("POST", "/suppress", _act("suppress"), None),
        ("POST", "/unsuppress", _act("unsuppress"), None),
    ]
    plain = [
        ("/api/v1/events", take(_event_entity, _event)),
        ("/api/v1/merge_customers", take(_merge_entity)),
        ("/api/v1/push/events", take(_delivery_entity, _delivery)),
        ("/api/v1/metrics", take(_delivery_entity, _delivery)),
        ("/api/v2/entity", take(lambda value, _: value)),
        ("/api/v2/batch", take_body(host, _read_batch, _SOURCE, busy_status=_BUSY)),
    ]
    return [
        *(
            route
            for method, path, entity, translate in customer
            for slash in ("", "/")
            for route in allow_browsers(_CUSTOMER + path + slash, take(entity, translate), method)
        ),
        *(
            route
            for path, handler in plain
            for slash in ("", "/")
            for route in allow_browsers(path + slash, handler)
        ),
    ]


def _alone(entity: Read, translate: Read | None) -> Reader:
    """Read a body that is one item; where the address says everything there is none.

    What can't be translated is kept as an entity of the second API, because the address is not
    kept and half of what was said is in it.
    """

    def read(body: bytes, portion: Portion, request: web.BaseRequest) -> None:
        body = body or b"{}"
        try:
            check_size(len(body))
            value = read_object(body, portion.envelope.oddities)
            call = (
                translate_entity(entity(value, request))
                if translate is None
                else translate(value, request)
            )
        except InputError as error:
            portion.refuse(error, 0, _whole(body, entity, request))
        else:
            portion.take_value(call, 0, body)
        portion.insist_on_json(body)

    return read


def _whole(body: bytes, entity: Read, request: web.BaseRequest) -> bytes:
    """Write into an item what its address said, so that it can be read again alone."""
    try:
        return _encode(entity(read_object(body, []), request))
    except (InputError, msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        return body


def _read_batch(body: bytes, portion: Portion, _request: web.BaseRequest) -> None:
    for index, raw in enumerate(read_batch(body, portion.envelope.oddities).batch):
        portion.take_foreign(bytes(raw), translate_entity, index)


def _id_of(request: web.BaseRequest, name: str = "id") -> str:
    assert isinstance(request, web.Request)
    return request.match_info[name].replace("\0", "\ufffd")


def _known_id(request: web.BaseRequest) -> str | None:
    assert isinstance(request, web.Request)
    return _id_of(request) if "id" in request.match_info else None


def _identity(value: dict[str, Any], request: web.BaseRequest) -> dict[str, Any]:
    return _person("identify", {"attributes": value}, request)


def _old_device(value: dict[str, Any], request: web.BaseRequest) -> dict[str, Any]:
    device = {"token": _id_of(request, "device")}
    return _person("delete_device", value | {"device": device}, request)


def _act(action: str) -> Read:
    def read(value: dict[str, Any], request: web.BaseRequest) -> dict[str, Any]:
        return _person(action, value, request)

    return read


def _person(action: str, value: dict[str, Any], request: web.BaseRequest) -> dict[str, Any]:
    return value | {"type": "person", "action": action, "identifiers": {"id": _id_of(request)}}


def _event_entity(value: dict[str, Any], request: web.BaseRequest) -> dict[str, Any]:
    kind = value.get("type")
    names = {"id": _known_id(request), "anonymous_id": value.get("anonymous_id")}
    said = {
        "type": "person",
        "action": kind if kind in ("page", "screen") else "event",
        "identifiers": {name: each for name, each in names.items() if each is not None},
    }
    return value | said


def _event(value: dict[str, Any], request: web.BaseRequest) -> dict[str, Any]:
    """Read an event; unlike the second API's, it may be sent by the customer's own browser."""
    known = _known_id(request)
    return translate_event(value) | ({} if known is None else {"userId": known})


def _merge_entity(value: dict[str, Any], _request: web.BaseRequest) -> dict[str, Any]:
    return value | {"type": "person", "action": "merge"}


def _delivery_entity(value: dict[str, Any], _request: web.BaseRequest) -> dict[str, Any]:
    return value | {"type": "delivery"}


def _delivery(value: dict[str, Any], _request: web.BaseRequest) -> dict[str, Any]:
    return translate_delivery(value)
