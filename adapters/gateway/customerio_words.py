"""Customer.io's words in Segment's: what each action on a person means here.

Called by `adapters.gateway.customerio`. Pure functions from one decoded object to one call, or
`InputError` with the path of what is wrong.

*Rules*
- Times are seconds since 1970, which `engine.intake` tells from milliseconds.
- Taking back permission (`suppress`, `delete`) withdraws consent for everything. Giving it again
  (`unsuppress`) is no statement of consent: that has to be made by the customer.
- What speaks of objects, or of deliveries without a person, has nobody here and is quarantined.
"""

from collections.abc import Callable
from typing import Any

from engine.errors import InputError
from engine.intake.shapes import is_object

_SOURCE = "customerio"
_HOUSEHOLD = ("_update", "_timestamp", "cio_relationships", "anonymous_id", "cio_id")
_SERVER_SIDE = {"active": False}  # the customer isn't present when a server speaks of them
_WITHDRAWN = {"purpose": "*", "status": "withdrawn", "source": _SOURCE}

# What Customer.io calls the fates of a message; `converted` is no receipt but an event of its own.
_STATUSES = {
    "sent": "accepted",
    "delivered": "delivered",
    "opened": "opened",
    "human_opened": "opened",
    "clicked": "clicked",
    "human_clicked": "clicked",
    "bounced": "failed",
    "dropped": "failed",
    "undeliverable": "failed",
    "spammed": "complained",
    "unsubscribed": "unsubscribed",
}
_PERMANENT = ("bounced", "undeliverable")


def translate_entity(value: dict[str, Any]) -> dict[str, Any]:
    """Read one entity of the second API."""
    kind = value.get("type")
    if kind == "delivery":
        attributes = value.get("attributes")
        said = {**value, **attributes} if is_object(attributes) else value
        return translate_delivery(said | {"identifiers": value.get("identifiers")})
    if kind != "person":
        message = "expected person or delivery: nothing else can be written to here"
        raise InputError("unknown_type", message, "type")
    action = value.get("action")
    if action == "merge":
        return translate_merge(value)
    if not isinstance(action, str) or action not in _PERSON_ACTIONS:
        raise InputError("unknown_action", "expected " + ", ".join(_PERSON_ACTIONS), "action")
    return person(action, value.get("identifiers"), value)


def person(action: str, identifiers: object, value: dict[str, Any]) -> dict[str, Any]:
    """Read an action on a person."""
    call = _PERSON_ACTIONS[action](value)
    timestamp = value.get("timestamp")
    attributes = value.get("attributes")
    if timestamp is None and is_object(attributes):
        timestamp = attributes.get("_timestamp")
    known = _identify(identifiers) if identifiers is not None else {}
    return {"timestamp": timestamp, "context": _SERVER_SIDE} | call | known


def translate_event(value: dict[str, Any]) -> dict[str, Any]:
    """Read an event of the first API, which may be of somebody unknown."""
    call = _event(value)
    if value.get("anonymous_id") is not None:
        call["anonymousId"] = value["anonymous_id"]
    return call | {"timestamp": value.get("timestamp")}


def translate_merge(value: dict[str, Any]) -> dict[str, Any]:
    """Read a merge: the secondary person becomes the primary."""
    primary = _identify(value.get("primary"), "primary")
    secondary = _identify(value.get("secondary"), "secondary")
    if not primary.get("userId") or not secondary.get("userId"):
        raise InputError("no_user_anon_id", "expected id, email or cio_id", "primary")
    return {
        "type": "alias",
        "userId": primary["userId"],
        "previousId": secondary["userId"],
        "timestamp": value.get("timestamp"),
        "context": _SERVER_SIDE,
    }


def translate_delivery(value: dict[str, Any]) -> dict[str, Any]:
    """Read the fate of a message. Whose it was has to be said: the id alone doesn't tell."""
    metric = value.get("metric") or value.get("event") or value.get("action")
    if not isinstance(metric, str) or metric not in _STATUSES:
        raise InputError("bad_receipt", "expected " + ", ".join(_STATUSES), "metric")
    known = _identify(value.get("identifiers") or {})
    return {
        "type": "receipt",
        "userId": known.get("userId") or value.get("customer_id") or value.get("recipient"),
        "message": value.get("delivery_id"),
        "status": _STATUSES[metric],
        "permanent": metric in _PERMANENT,
        "code": value.get("reason"),
        "timestamp": value.get("timestamp"),
    }


def _identify(identifiers: object, path: str = "identifiers") -> dict[str, Any]:
    """Name the person; the id is preferred to the address, and both to Customer.io's own."""
    if not is_object(identifiers):
        raise InputError("invalid_type", "expected an object with id, email or cio_id", path)
    known: dict[str, Any] = {}
    for name in ("id", "email", "cio_id"):
        if identifiers.get(name) not in (None, ""):
            known["userId"] = identifiers[name]
            break
    if identifiers.get("anonymous_id") is not None:
        known["anonymousId"] = identifiers["anonymous_id"]
    return known


def _object(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    if found is None:
        return {}
    if not is_object(found):
        raise InputError("invalid_type", "expected an object", name)
    return found


def _identity(value: dict[str, Any]) -> dict[str, Any]:
    attributes = _object(value, "attributes")
    call: dict[str, Any] = {
        "type": "identify",
        "traits": {key: each for key, each in attributes.items() if key not in _HOUSEHOLD},
    }
    if attributes.get("anonymous_id") is not None:
        call["anonymousId"] = attributes["anonymous_id"]
    return call


def _event(value: dict[str, Any], kind: object = None) -> dict[str, Any]:
    """Read an event; pages and screens are named by where they are."""
    data = value.get("data") if value.get("data") is not None else value.get("attributes")
    if data is not None and not is_object(data):
        raise InputError("invalid_type", "expected an object", "data")
    kind = kind or value.get("type")
    call: dict[str, Any] = {"properties": data, "messageId": value.get("id")}
    if kind in ("page", "screen"):
        return call | {"type": kind, "name": value.get("name")}
    return call | {"type": "track", "event": value.get("name")}


def _page(value: dict[str, Any]) -> dict[str, Any]:
    return _event(value, "page")


def _screen(value: dict[str, Any]) -> dict[str, Any]:
    return _event(value, "screen")


def _track(value: dict[str, Any]) -> dict[str, Any]:
    return _event(value, "track")


def _add_device(value: dict[str, Any]) -> dict[str, Any]:
    device = _object(value, "device")
    token = device.get("token") or device.get("id")
    if not isinstance(token, str) or not token:
        raise InputError("invalid_type", "expected the device's token", "device.token")
    known = {"token": token, "type": device.get("platform")}
    return {"type": "identify", "context": _SERVER_SIDE | {"device": known}}


def _note(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Make an event of an action that changes nothing here but should not be lost."""

    def read(value: dict[str, Any]) -> dict[str, Any]:
        told = {key: value[key] for key in ("device", "cio_relationships") if key in value}
        return {"type": "track", "event": name, "properties": told}

    return read


def _withdraw(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def read(_value: dict[str, Any]) -> dict[str, Any]:
        context = _SERVER_SIDE | {"consent": [_WITHDRAWN]}
        return {"type": "track", "event": name, "context": context}

    return read


_PERSON_ACTIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "identify": _identity,
    "event": _track,
    "page": _page,
    "screen": _screen,
    "add_device": _add_device,
    "delete_device": _note("Device Removed"),
    "add_relationships": _note("Relationships Added"),
    "delete_relationships": _note("Relationships Removed"),
    "delete": _withdraw("Customer Deleted"),
    "suppress": _withdraw("Customer Suppressed"),
    "unsuppress": _note("Customer Unsuppressed"),
}
