"""One call as clients write it: the shape of Segment's specification, plus receipts and consent.

Decoded straight from JSON by the gateway and from event files, read by `engine.intake.normalise`.
Fields that clients are known to fill with anything are `Any` and looked at there; what is not
named here (`integrations`, `_metadata`, `channel` …) is skipped while decoding.
"""

import re
from typing import Any

import msgspec

from engine.errors import InputError
from engine.intake.mending import mend_json, mend_value
from engine.intake.shapes import is_array, is_object
from engine.limits import INT_MAX, INT_MIN, ITEM_BYTES_MAX, ITEM_DEPTH_MAX, ITEM_KEYS_MAX

Text = str | int | float | None  # ids and instants: numbers in some clients, null in most


class Item(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """What one client said in one call."""

    type: str = ""
    user_id: Text = None
    anonymous_id: Text = None
    message_id: Text = None
    event: str | None = None
    properties: dict[str, Any] | None = None
    traits: dict[str, Any] | None = None
    context: dict[str, Any] | None = None
    timestamp: Text = None
    original_timestamp: Text = None
    sent_at: Any = None
    write_key: Any = None
    name: Any = None
    category: Any = None
    group_id: Any = None
    previous_id: Any = None
    message: Any = None
    status: Any = None
    code: Any = None
    permanent: Any = None
    failure: Any = None
    trait_changes: Any = None
    only_existing: Any = None


_decode = msgspec.json.Decoder(Item).decode
_decode_any = msgspec.json.Decoder().decode
_PLACE = re.compile(r"(.*?)(?: - at `\$?\.?(.*)`)?", re.DOTALL)
_KEY_BYTES_MIN = 4  # `"":1`
_NUL = b"\\u0000"


def read_item(raw: bytes, oddities: list[str]) -> Item:
    """Decode one call from JSON within the limits for one. Raises InputError.

    Keys are counted only where there is room for too many, and then by their colons first: all but
    one call in a thousand are measured by their length alone.
    """
    size = len(raw)
    if size > ITEM_BYTES_MAX:
        check_size(size)
    if size > ITEM_KEYS_MAX * _KEY_BYTES_MIN and raw.count(b":") > ITEM_KEYS_MAX:
        _check_keys(raw)
    if b"\\" in raw and _NUL in raw:
        return _read_mended(raw, oddities)
    try:
        return _decode(raw)
    except msgspec.ValidationError as error:
        if "out of range" not in str(error):
            raise _explain(error) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        pass
    return _read_mended(raw, oddities)


def check_size(size: int) -> None:
    """Refuse what is larger than one call may be. Raises InputError."""
    if size > ITEM_BYTES_MAX:
        message = f"a call may have {ITEM_BYTES_MAX} bytes, this one has {size}"
        raise InputError("too_large", message)


def convert_item(value: object) -> Item:
    """Take one call that was decoded already, as from msgpack. Raises InputError."""
    if _count_keys(value) > ITEM_KEYS_MAX:
        raise _too_many_keys()
    try:
        return msgspec.convert(value, Item)
    except msgspec.ValidationError as error:
        raise _explain(error) from None


def settle_values(values: dict[str, Any], oddities: list[str]) -> dict[str, Any]:
    """Make sure that values can be stored: not too deep, no integers that don't fit anywhere."""
    for value in values.values():
        kind = value.__class__
        if kind is str or kind is float or kind is bool or value is None:
            continue
        if kind is int and INT_MIN <= value <= INT_MAX:
            continue
        return _settle_nested(values, oddities)
    return values


def _settle_nested(values: dict[str, Any], oddities: list[str]) -> dict[str, Any]:
    """Walk level by level, so that depth needs no recursion."""
    is_storable = True
    level: list[Any] = [values]
    for _ in range(1, ITEM_DEPTH_MAX):  # the call itself is the first level
        below: list[Any] = []
        for each in level:
            for value in each.values() if each.__class__ is dict else each:
                kind = value.__class__
                if kind is dict or kind is list:
                    below.append(value)
                elif kind is int and not INT_MIN <= value <= INT_MAX:
                    is_storable = False
        if not below:
            return values if is_storable else mend_value(values, oddities)
        level = below
    raise InputError("too_deep", f"a call may be nested {ITEM_DEPTH_MAX} levels deep")


def _read_mended(raw: bytes, oddities: list[str]) -> Item:
    mended = mend_json(raw, oddities)
    try:
        return _decode(mended)
    except msgspec.ValidationError as error:
        raise _explain(error) from None


def _check_keys(raw: bytes) -> None:
    """Count exactly; what can't be decoded here is left to be mended."""
    try:
        value = _decode_any(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        value = _decode_any(mend_json(raw, []))
    if _count_keys(value) > ITEM_KEYS_MAX:
        raise _too_many_keys()


def _count_keys(value: object) -> int:
    keys, rest = 0, [value]
    while rest and keys <= ITEM_KEYS_MAX:
        each = rest.pop()
        if is_object(each):
            keys += len(each)
            rest.extend(each.values())
        elif is_array(each):
            rest.extend(each)
    return keys


def _too_many_keys() -> InputError:
    return InputError("too_many_keys", f"a call may have {ITEM_KEYS_MAX} keys in all")


def _explain(error: msgspec.ValidationError) -> InputError:
    """Split msgspec's message into what was expected and where."""
    match = _PLACE.fullmatch(str(error))
    assert match is not None
    return InputError("invalid_type", match[1], match[2] or "$")
