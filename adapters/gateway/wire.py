"""The outer shapes of what clients send: a batch with what is said once for all of it.

Called by the handlers that take batches. The items inside stay bytes until each is decoded on its
own, so that a bad one can't spoil the others.
"""

from typing import Any

import msgspec

from engine.errors import InputError
from engine.intake.mending import mend_json
from engine.intake.shapes import is_object
from engine.limits import BATCH_ITEMS_MAX, BODY_BYTES_MAX, ITEM_BYTES_MAX

# A context is copied into each item: without a bound, one body would become gigabytes of a journal.
_COPIES_BYTES_MAX = 16 * BODY_BYTES_MAX


class Batch(msgspec.Struct, frozen=True, rename="camel"):
    """A body of `/v1/batch`, and of everything that has the same shape."""

    batch: list[msgspec.Raw]
    sent_at: Any = None
    context: dict[str, Any] | None = None
    write_key: Any = None


class Keyed(msgspec.Struct, frozen=True, rename="camel"):
    """Any body, as far as it says whose it is."""

    write_key: Any = None


_decode_keyed = msgspec.json.Decoder(Keyed).decode
_decode_batch = msgspec.json.Decoder(Batch).decode
_decode_any = msgspec.json.Decoder(object).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def read_batch(body: bytes, oddities: list[str]) -> Batch:
    """Take a batch apart into its items. Raises InputError."""
    try:
        try:
            batch = _decode_batch(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            if isinstance(error, msgspec.ValidationError) and "out of range" not in str(error):
                raise
            batch = _decode_batch(mend_json(body, oddities))
    except msgspec.ValidationError:
        message = 'expected {"batch": [...]}, with an object for context if there is one'
        raise InputError("invalid_type", message, "batch") from None
    _check_count(batch.batch)
    if not batch.context:
        return batch
    context = settle_context(batch.context, len(batch.batch), oddities)
    return msgspec.structs.replace(batch, context=context)


def settle_context(context: dict[str, Any], count: int, oddities: list[str]) -> dict[str, Any]:
    """Hold what is said once for `count` items to the bounds of an item. Raises InputError."""
    try:
        written = _encode(context)
    except (TypeError, ValueError, RecursionError):  # msgpack has values that JSON does not
        raise InputError(
            "invalid_type", "expected an object that JSON can hold", "context"
        ) from None
    size = len(written)
    if size > ITEM_BYTES_MAX or size * count > _COPIES_BYTES_MAX:
        message = (
            f"a context may have {ITEM_BYTES_MAX} bytes, "
            f"and {_COPIES_BYTES_MAX} when it is laid under every item"
        )
        raise InputError("too_large", message, "context")
    return read_object(written, oddities)


def is_list(body: bytes) -> bool:
    """Say whether a body that may be one item or a list of them is a list."""
    return body.lstrip(b" \t\r\n")[:1] == b"["


def read_list(body: bytes, oddities: list[str]) -> list[msgspec.Raw]:
    """Take a list apart into its items. Raises InputError."""
    try:
        try:
            items = _decode_list(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
            items = _decode_list(mend_json(body, oddities))
    except msgspec.ValidationError:
        raise InputError("invalid_type", "expected a list") from None
    _check_count(items)
    return items


def read_object(raw: bytes, oddities: list[str]) -> dict[str, Any]:
    """Decode one JSON object of any content. Raises InputError."""
    value = read_value(raw, oddities)
    if not is_object(value):
        raise InputError("invalid_type", "expected a JSON object")
    return value


def read_value(raw: bytes, oddities: list[str]) -> object:
    """Decode any JSON. Raises InputError."""
    if b"\\u0000" not in raw:
        try:
            return _decode_any(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
            pass
    return _decode_any(mend_json(raw, oddities))


def read_key(body: bytes) -> object:
    """Find the write key in a body; None where there is none or the body can't be read."""
    try:
        return _decode_keyed(body).write_key
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        pass
    try:
        return _decode_keyed(mend_json(body, [])).write_key
    except (msgspec.MsgspecError, InputError):
        return None


def _check_count(items: list[msgspec.Raw]) -> None:
    if len(items) > BATCH_ITEMS_MAX:
        message = f"a batch may have {BATCH_ITEMS_MAX} items, this one has {len(items)}"
        raise InputError("too_many_items", message, "batch")
