"""CloudEvents 1.0 over HTTP: binary, structured and batched.

`routes` is mounted by `adapters.gateway.app`. A CloudEvent becomes a track event: `type` is its
name, `subject` the customer, `source` and `id` together its id, `data` its properties.
"""

from base64 import b64encode
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec
from aiohttp import web

from adapters.gateway.cors import allow_browsers
from adapters.gateway.host import Host
from adapters.gateway.intake import Portion, take_body
from adapters.gateway.wire import is_list, read_list, read_value
from engine.errors import InputError
from engine.ids import stable_hash
from engine.intake.item import check_size
from engine.intake.shapes import is_object
from engine.limits import ID_LENGTH_MAX

_SOURCE = "cloudevents"
_STRUCTURED = "application/cloudevents+json"
_BATCHED = "application/cloudevents-batch+json"
_VERSIONS = ("1.0", "0.3")  # the same four required attributes
_PREFIX = "ce-"
_encode = msgspec.json.Encoder().encode


def routes(host: Host) -> list[web.RouteDef]:
    """List the routes; libraries post to the address they are given, often just `/`."""
    handler = take_body(host, _read_events, _SOURCE)
    return [
        route
        for path in ("/v1/cloudevents", "/v1/cloudevents/", "/")
        for route in allow_browsers(path, handler)
    ]


def _read_events(body: bytes, portion: Portion, request: web.BaseRequest) -> None:
    content_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if content_type == _BATCHED or (content_type == _STRUCTURED and is_list(body)):
        for index, raw in enumerate(read_list(body, portion.envelope.oddities)):
            portion.take_foreign(bytes(raw), translate_event, index)
    elif content_type == _STRUCTURED:
        portion.take_foreign(body, translate_event)
        portion.insist_on_json(body)
    elif f"{_PREFIX}id" in request.headers or f"{_PREFIX}type" in request.headers:
        _read_binary(body, content_type, portion, request)
    else:
        message = f"expected ce- headers, or Content-Type {_STRUCTURED} or {_BATCHED}"
        raise InputError("not_a_cloudevent", message, "Content-Type")


def _read_binary(
    body: bytes, content_type: str, portion: Portion, request: web.BaseRequest
) -> None:
    event: dict[str, Any] = {
        name[len(_PREFIX) :].lower(): read_header(value)
        for name, value in request.headers.items()
        if name.lower().startswith(_PREFIX)
    }
    if body:
        event |= _read_data(body, content_type, portion.envelope.oddities)
    raw = _encode(event)
    try:
        check_size(len(raw))
        value = translate_event(event)
    except InputError as error:
        portion.refuse(error, 0, raw)
    else:
        portion.take_value(value)


def _read_data(body: bytes, content_type: str, oddities: list[str]) -> dict[str, Any]:
    """Read data by its type; without one it is JSON if it can be, as in older libraries."""
    if content_type == "application/json" or content_type.endswith("+json"):
        return {"data": read_value(body, oddities)}
    if not content_type:
        try:
            return {"data": read_value(body, oddities)}
        except InputError:
            pass
    if content_type.startswith("text/"):
        return {"data": body.decode("utf-8", "replace").replace("\0", "\ufffd")}
    return {"data_base64": b64encode(body).decode()}


def read_header(value: str) -> str:
    """Undo what libraries do to text in a header: percent signs, UTF-8, or bare Latin-1."""
    raw = unquote_to_bytes(value.encode("utf-8", "surrogateescape"))
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text.replace("\0", "\ufffd")


def translate_event(event: dict[str, Any]) -> dict[str, Any]:
    """Bring a CloudEvent into the shape of a track call."""
    for name in ("id", "source", "type", "specversion"):
        if not isinstance(event.get(name), str) or not event[name]:
            raise InputError("missing_attribute", "expected a text", name)
    if event["specversion"] not in _VERSIONS:
        raise InputError("unknown_version", "expected 1.0", "specversion")
    data = event.get("data")
    if data is None and event.get("data_base64") is not None:
        data = {"data_base64": event["data_base64"]}
    if data is not None and not is_object(data):
        data = {"data": data}
    return {
        "type": "track",
        "event": event["type"],
        "userId": event.get("subject"),
        "messageId": _name(event["source"], event["id"]),
        "timestamp": event.get("time"),
        "properties": data,
    }


def _name(source: str, event_id: str) -> str:
    """Join what is unique only together."""
    joined = f"{source}#{event_id}"
    if len(joined) <= ID_LENGTH_MAX:
        return joined
    return "h_" + stable_hash("cloudevent", source, event_id, size=16).hex()
