"""What a message on the stream holds: its number, its items, what is said once for all of them.

Called by `stream` for each message. Hands on items as JSON bytes, which then take the same way as
the items of an HTTP request. Items in msgpack are rewritten as JSON first: that costs a few
microseconds, and makes sure that a call means the same, and is limited alike, in both encodings.
"""

import re
from math import isfinite
from typing import Any, cast

import msgspec

from adapters.gateway.wire import settle_context
from engine.errors import InputError
from engine.intake.mending import mend_json
from engine.limits import BATCH_ITEMS_MAX

FRAME_ID_MAX = 2**53 - 1  # what a client in JavaScript can count up to
_SPACE = " \t\r\n\ufeff"


class Frame(msgspec.Struct, frozen=True):
    """One message, taken apart. `id` is None where the client left the numbering to us."""

    items: list[bytes]
    id: int | None = None
    sent_at: Any = None
    context: dict[str, Any] | None = None


class _Parts(msgspec.Struct, frozen=True, rename="camel"):
    """The names that make an object a batch; one without `batch` is a single call."""

    batch: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    id: Any = None
    sent_at: Any = None
    context: Any = None


_json_list: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_json_any = msgspec.json.Decoder()
_json_parts = msgspec.json.Decoder(_Parts)
_pack_list: msgspec.msgpack.Decoder[list[msgspec.Raw]] = msgspec.msgpack.Decoder(list[msgspec.Raw])
_pack_parts = msgspec.msgpack.Decoder(_Parts)
_unpack = msgspec.msgpack.Decoder().decode
_encode = msgspec.json.Encoder().encode

# The first byte of a value in msgpack says what it is.
_PACKED_LIST = frozenset(bytes([byte]) for byte in (*range(0x90, 0xA0), 0xDC, 0xDD))
_PACKED_MAP = frozenset(bytes([byte]) for byte in (*range(0x80, 0x90), 0xDE, 0xDF))

# A number that is none, or endless: in eight bytes, in four. Inside a text it means nothing.
_ENDLESS = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]|\xca[\x7f\xff][\x80-\xff]")

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)
_EXPECTED = 'expected a call, a list of calls, or {"id": n, "batch": [...]}'


def read_text(text: str, oddities: list[str]) -> Frame:
    """Take a message in JSON apart. Raises InputError."""
    try:
        return _read_json(text, oddities)
    except InputError:
        raise
    except msgspec.ValidationError as error:
        if "out of range" not in str(error):
            raise _bad_batch() from None
    except _UNREADABLE:
        pass
    try:
        mended = mend_json(text.encode("utf-8", "replace"), oddities).decode()
        return _read_json(mended, oddities)
    except msgspec.ValidationError:
        raise _bad_batch() from None


def read_bytes(packed: bytes, oddities: list[str]) -> Frame:
    """Take a message in msgpack apart. Raises InputError."""
    opening = packed[:1]
    try:
        if opening in _PACKED_LIST:
            return Frame(_rewrite_all(_pack_list.decode(packed), oddities))
        if opening in _PACKED_MAP:
            parts = _pack_parts.decode(packed)
            if parts.batch is msgspec.UNSET:
                return Frame([_rewrite(packed, oddities)])
            items = _rewrite_all(parts.batch, oddities)
            _note_endless(packed, parts.context, oddities)
            return _frame(parts, items, oddities)
    except msgspec.ValidationError:
        raise _bad_batch() from None
    except _UNREADABLE:
        raise InputError("unreadable_msgpack", "this can't be read as one msgpack value") from None
    raise InputError("invalid_type", _EXPECTED)


def _read_json(text: str, oddities: list[str]) -> Frame:
    opening = text.lstrip(_SPACE)[:1] if text[:1] not in ("[", "{") else text[0]
    if opening == "[":
        return Frame(_check_count(_json_list.decode(text)))
    if opening == "{":
        parts = _json_parts.decode(text)
        if parts.batch is msgspec.UNSET:
            return Frame([text.encode("utf-8", "replace")])
        return _frame(parts, _check_count(parts.batch), oddities)
    _json_any.decode(text)  # for another message, where this is no JSON at all
    raise InputError("invalid_type", _EXPECTED)


def _frame(parts: _Parts, items: list[bytes], oddities: list[str]) -> Frame:
    number, context = parts.id, parts.context
    if number is not None and (
        not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= FRAME_ID_MAX
    ):
        message = f"expected a whole number from 1 to {FRAME_ID_MAX}"
        raise InputError("bad_frame_id", message, "id")
    if context is not None and not isinstance(context, dict):
        raise InputError("invalid_type", "expected an object", "context")
    said = cast("dict[str, Any] | None", context)  # in msgpack with any keys: they become texts
    if said:
        said = settle_context(said, len(items), oddities)
    return Frame(items, number, parts.sent_at, said)


def _check_count(items: list[msgspec.Raw]) -> list[bytes]:
    if len(items) > BATCH_ITEMS_MAX:
        message = f"a frame may have {BATCH_ITEMS_MAX} items, this one has {len(items)}"
        raise InputError("too_many_items", message, "batch")
    return [bytes(item) for item in items]


def _rewrite_all(items: list[msgspec.Raw], oddities: list[str]) -> list[bytes]:
    return [_rewrite(item, oddities) for item in _check_count(items)]


def _rewrite(packed: bytes, oddities: list[str]) -> bytes:
    # What JSON has no word for (an extension type, a map with maps as keys) makes this one item
    # unreadable, not its frame: it goes on as what no decoder takes, and so into quarantine.
    try:
        value = _unpack(packed)
        written = _encode(value)
    except (TypeError, msgspec.MsgspecError, *_UNREADABLE):
        return packed
    _note_endless(packed, value, oddities)
    return written


def _note_endless(packed: bytes, value: object, oddities: list[str]) -> None:
    """Name the numbers that JSON has no word for, and that were written as null."""
    if _ENDLESS.search(packed):
        oddities += ["not_a_number"] * _count_endless(value)


def _count_endless(value: object) -> int:
    count, waiting = 0, [value]  # no recursion: values may be nested as deep as they like
    while waiting:
        one = waiting.pop()
        if isinstance(one, float):
            count += not isfinite(one)
        elif isinstance(one, dict):
            waiting.extend(cast("dict[object, object]", one).values())
        elif isinstance(one, list):
            waiting.extend(cast("list[object]", one))
    return count


def _bad_batch() -> InputError:
    return InputError("invalid_type", _EXPECTED, "batch")
