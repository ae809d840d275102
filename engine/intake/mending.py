"""What real clients send and no JSON parser should take: mended, and said so.

Called by `engine.intake.item` for one call and by the gateway for a whole body, and only after the
strict decoder refused it (or where it holds a NUL): about two requests in a hundred, at forty
times the cost. Hands on JSON that the strict decoder takes.

Rules
- NaN, Infinity and numbers beyond a double become null; integers beyond 64 bits become doubles.
- Lone surrogates, NUL and bytes that aren't UTF-8 become U+FFFD.
- Values nested deeper than any call may be are emptied, so that the call is refused on its own and
  not with everything around it.
- Each thing mended is named in `oddities`.
"""

import json
import re
from typing import Any

import msgspec

from engine.errors import InputError
from engine.intake.shapes import is_array, is_object
from engine.limits import INT_MAX, INT_MIN

Json = Any  # a decoded value of any shape

_REPLACEMENT = "\ufffd"
_UNSTORABLE = re.compile("[\ud800-\udfff\x00]")
# A string that never ends is one mark too: looked for anew at each of its quotes, 500 KB of them
# would take minutes.
_MARK = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)
_INT_DIGITS = 19  # every integer this long or shorter fits
_DEPTH_KEPT = 100


def mend_json(raw: bytes, oddities: list[str]) -> bytes:
    """Rewrite JSON so that a strict decoder takes it. Raises InputError where it can't be read."""
    text = _read_text(raw, oddities)
    try:
        return _mend_text(text, oddities)
    except RecursionError:
        oddities.append("depth")
    except ValueError:
        raise unreadable() from None
    try:
        return _mend_text(_cut(text), oddities)
    except (RecursionError, ValueError):
        raise unreadable() from None


def mend_value(value: Json, oddities: list[str]) -> Json:
    """Copy a decoded value without integers that can't be stored."""
    if is_object(value):
        return {key: mend_value(each, oddities) for key, each in value.items()}
    if is_array(value):
        return [mend_value(each, oddities) for each in value]
    if isinstance(value, int) and not INT_MIN <= value <= INT_MAX:
        return _shrink(value, oddities)
    return value


def unreadable() -> InputError:
    """Make the error for what isn't JSON at all."""
    return InputError("unreadable_json", "this can't be read: expected JSON in UTF-8")


def _read_text(raw: bytes, oddities: list[str]) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        oddities.append("utf8")
        return raw.decode("utf-8-sig", "replace")


def _mend_text(text: str, oddities: list[str]) -> bytes:
    def read_constant(_name: str) -> None:
        oddities.append("not_a_number")

    def read_int(digits: str) -> int | float | None:
        if len(digits) <= _INT_DIGITS or INT_MIN <= float(digits) < INT_MAX:
            return int(digits)
        return _shrink(digits, oddities)

    def read_float(digits: str) -> float | None:
        return _shrink(digits, oddities, "not_a_number") if _is_endless(digits) else float(digits)

    value = json.loads(
        text,
        strict=False,  # raw control characters inside strings are common, and harmless
        parse_constant=read_constant,
        parse_int=read_int,
        parse_float=read_float,
    )
    return msgspec.json.encode(_mend_strings(value, oddities))


def _is_endless(digits: str) -> bool:
    return float(digits) in (float("inf"), float("-inf"))


def _shrink(number: int | str, oddities: list[str], oddity: str = "big_integer") -> float | None:
    """Bring a number into a double; None where even that is too small for it."""
    oddities.append(oddity)
    try:
        shrunk = float(number)
    except OverflowError:
        return None
    return None if shrunk in (float("inf"), float("-inf")) else shrunk


def _mend_strings(value: Json, oddities: list[str]) -> Json:
    if isinstance(value, str):
        return _mend_string(value, oddities)
    if is_object(value):
        return {
            _mend_string(key, oddities): _mend_strings(each, oddities)
            for key, each in value.items()
        }
    if is_array(value):
        return [_mend_strings(each, oddities) for each in value]
    return value


def _mend_string(text: str, oddities: list[str]) -> str:
    mended, count = _UNSTORABLE.subn(_REPLACEMENT, text)
    if count:
        oddities.append("characters")
    return mended


def _cut(text: str) -> str:
    """Empty what is nested too deep, without recursion."""
    pieces: list[str] = []
    depth = position = 0
    for match in _MARK.finditer(text):
        mark = match[0]
        if mark in "[{":
            depth += 1
            if depth == _DEPTH_KEPT + 1:
                pieces.append(text[position : match.start()] + "null")
        elif mark in "]}":
            if depth == _DEPTH_KEPT + 1:
                position = match.end()
            depth -= 1
    if depth <= _DEPTH_KEPT:
        pieces.append(text[position:])
    return "".join(pieces)
