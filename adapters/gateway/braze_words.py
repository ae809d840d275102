"""Braze's words in Segment's: what each object of `/users/track` means here.

Called by `adapters.gateway.braze`, and by `quarantine` for objects that are read again. Pure
functions from one decoded object to one call, or `InputError` with the path of what is wrong.

Sources: braze-docs `api/endpoints/user_data/post_user_track.md`, `api/objects_filters/
user_attributes_object.md`, `event_object.md`, `purchase_object.md`.

*Rules*
- Who is meant is said by `external_id`, else `email`, else `phone`, which name a customer; an alias
  or a `braze_id` is what is known of somebody who has no name yet, and so an anonymous id.
- `opted_in` is a grant and `unsubscribed` a withdrawal. `subscribed` is neither: with Braze it is
  what everybody is who never said anything, and nobody can have agreed by that.
- What Braze can do with nested objects (`$add`, `$update`, `_merge_objects`) is refused by name.
"""

import re
from collections.abc import Callable
from typing import Any

from engine.errors import InputError
from engine.events import ChangeKind
from engine.intake.commerce import read_number
from engine.intake.shapes import is_array, is_object

_SOURCE = "braze"
_SERVER_SIDE = {"active": False}  # the customer isn't present when a server speaks of them
_MARKETING = "marketing"
_QUANTITY_MAX = 100

_CHANGES = frozenset(kind.value for kind in ChangeKind)
_NESTED = ("$add", "$remove", "$update")
_HOUSEHOLD = frozenset(
    (
        "external_id",
        "user_alias",
        "braze_id",
        "app_id",
        "push_tokens",
        "push_token_import",
        "subscription_groups",
        "_update_existing_only",
        "_merge_objects",
    )
)
_RENAMED = {"time_zone": "timezone"}
_SUBSCRIPTIONS = {"email_subscribe": "email", "push_subscribe": "push"}
_STATES = {"opted_in": "granted", "unsubscribed": "withdrawn", "subscribed": ""}
_GROUP_STATES = {"subscribed": "granted", "unsubscribed": "withdrawn"}
_NOBODY = "'external_id' or 'braze_id' or 'user_alias' or 'email' or 'phone' is required"
# `2013-07-16T19:20:30:000+0100`, which Braze takes besides ISO 8601.
_COLON_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d):(\d{3})(.*)", re.ASCII)


def translate_object(value: dict[str, Any]) -> dict[str, Any]:
    """Read one object, under the name of the array it is of."""
    for array, translate in _TRANSLATIONS.items():
        found = value.get(array)
        if is_object(found):
            return translate(found)
    message = "expected an object of attributes, events or purchases"
    raise InputError("invalid_type", message)


def _attributes(value: dict[str, Any]) -> dict[str, Any]:
    if value.get("_merge_objects"):
        message = "nested attributes can't be merged here: send the whole object"
        raise InputError("not_available", message, "_merge_objects")
    traits: dict[str, Any] = {}
    changes: dict[str, Any] = {}
    for name, told in value.items():
        if name in _HOUSEHOLD:
            continue
        if is_object(told) and told and _CHANGES.issuperset(told):
            changes[name] = told
        else:
            _check_nested(name, told)
            traits[_RENAMED.get(name, name)] = told
    call: dict[str, Any] = {"type": "identify", "traits": traits}
    if changes:
        call["traitChanges"] = changes
    context = dict[str, Any](_SERVER_SIDE)
    token = _read_token(value.get("push_tokens"))
    if token is not None:
        context["device"] = {"token": token}
    consents = [*_read_subscriptions(value), *_read_groups(value.get("subscription_groups"))]
    if consents:
        context["consent"] = consents
    known = {"anonymousId": f"push:{token}"} if value.get("push_token_import") and token else {}
    return call | {"context": context} | (known or _identify(value))


def _event(value: dict[str, Any]) -> dict[str, Any]:
    name = value.get("name")
    if not isinstance(name, str) or not name:
        raise InputError("no_event_name", "'name' is required", "name")
    return _track(name, _properties(value), value)


def _purchase(value: dict[str, Any]) -> dict[str, Any]:
    """Read a purchase: an order of one product, worth its price times its quantity."""
    product_id, currency = (_required_text(value, name) for name in ("product_id", "currency"))
    price, quantity = read_number(value.get("price")), value.get("quantity")
    if price is None:
        raise InputError("invalid_type", "'price' is required, as a number", "price")
    quantity = 1 if quantity is None else quantity
    if isinstance(quantity, bool) or not isinstance(quantity, int):
        raise InputError("invalid_type", "'quantity' must be a whole number", "quantity")
    if not 1 <= quantity <= _QUANTITY_MAX:
        message = f"'quantity' must be from 1 to {_QUANTITY_MAX}"
        raise InputError("out_of_range", message, "quantity")
    line = {"product_id": product_id, "price": price, "quantity": quantity}
    amount = round(price * quantity, 9)
    properties = _properties(value)
    worth = {"currency": currency, "revenue": amount, "total": amount}
    return _track("Order Completed", {"products": [line]} | properties | line | worth, value)


def _track(name: str, properties: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "track",
        "event": name,
        "properties": properties,
        "timestamp": _read_time(value.get("time")),
        "context": _SERVER_SIDE,
    } | _identify(value)


def _identify(value: dict[str, Any]) -> dict[str, Any]:
    """Name the customer; whom only an alias names is updated, unless asked for, and not made."""
    known: dict[str, Any] = {}
    for name in ("external_id", "email", "phone"):
        if isinstance(value.get(name), str) and value[name]:
            known["userId"] = value[name]
            break
    has_name = bool(value.get("external_id"))
    alias, braze_id = value.get("user_alias"), value.get("braze_id")
    if alias is not None:
        known = _only(known, has_name=has_name) | {"anonymousId": _read_alias(alias)}
    elif isinstance(braze_id, str) and braze_id:
        known = _only(known, has_name=has_name) | {"anonymousId": braze_id}
    if not known:
        raise InputError("no_user_anon_id", _NOBODY, "external_id")
    told = value.get("_update_existing_only")
    by_alias = alias is not None and not has_name
    only_existing = by_alias if told is None else told is True
    return known | {"onlyExisting": True} if only_existing else known


def _only(known: dict[str, Any], *, has_name: bool) -> dict[str, Any]:
    """Take an address for a name only where nothing better is said."""
    return known if has_name else {}


def _read_alias(alias: object) -> str:
    if is_object(alias):
        name, label = alias.get("alias_name"), alias.get("alias_label")
        if isinstance(name, str) and isinstance(label, str) and name and label:
            return f"{label}:{name}"
    message = "'user_alias' must have 'alias_name' and 'alias_label'"
    raise InputError("invalid_type", message, "user_alias")


def _properties(value: dict[str, Any]) -> dict[str, Any]:
    found = value.get("properties")
    if found is None:
        return {}
    if not is_object(found):
        raise InputError("invalid_type", "'properties' must be an object", "properties")
    return found


def _required_text(value: dict[str, Any], name: str) -> str:
    found = value.get(name)
    if not isinstance(found, str) or not found:
        raise InputError("invalid_type", f"'{name}' is required", name)
    return found


def _read_time(time: object) -> object:
    if time is None:
        raise InputError("bad_timestamp", "'time' is required", "time")
    match = _COLON_TIME.fullmatch(time) if isinstance(time, str) else None
    return f"{match[1]}.{match[2]}{match[3]}" if match is not None else time


def _read_token(tokens: object) -> str | None:
    """Take the last of several push tokens: a customer has one here."""
    if tokens is None:
        return None
    last: object = tokens[-1] if is_array(tokens) and tokens else None
    token: object = last.get("token") if is_object(last) else None
    if not isinstance(token, str) or not token:
        message = "'push_tokens' must be a list of objects with a 'token'"
        raise InputError("invalid_type", message, "push_tokens")
    return token


def _read_subscriptions(value: dict[str, Any]) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = []
    for name, channel in _SUBSCRIPTIONS.items():
        told = value.get(name)
        if told is None:
            continue
        if not isinstance(told, str) or told not in _STATES:
            message = f"'{name}' must be opted_in, subscribed or unsubscribed"
            raise InputError("bad_consent", message, name)
        if _STATES[told]:
            statements.append(_state(_MARKETING, channel, _STATES[told]))
    return statements


def _read_groups(groups: object) -> list[dict[str, Any]]:
    if groups is None:
        return []
    statements: list[dict[str, Any]] = []
    for group in groups if is_array(groups) else [groups]:
        name = group.get("subscription_group_id") if is_object(group) else None
        told = group.get("subscription_state") if is_object(group) else None
        status = _GROUP_STATES.get(told) if isinstance(told, str) else None
        if not isinstance(name, str) or status is None:
            message = (
                "'subscription_groups' must have a 'subscription_group_id' each, and a "
                "'subscription_state' of subscribed or unsubscribed"
            )
            raise InputError("bad_consent", message, "subscription_groups")
        statements.append(_state(name, "*", status))
    return statements


def _state(purpose: str, channel: str, status: str) -> dict[str, Any]:
    return {"purpose": purpose, "channel": channel, "status": status, "source": _SOURCE}


def _check_nested(name: str, value: object) -> None:
    if is_object(value) and any(key in value for key in _NESTED):
        message = f"'{name}' can't be changed in parts here: send the whole list"
        raise InputError("not_available", message, name)


_TRANSLATIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "attributes": _attributes,
    "events": _event,
    "purchases": _purchase,
}
ARRAYS = tuple(_TRANSLATIONS)
