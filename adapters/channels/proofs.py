"""What hooks of providers share to tell a genuine request from a forged one, and to read it.

*Rules*
- What is compared with a secret is compared in constant time.
- How old a request may be is the provider's own patience: it signs a request once and repeats it
  while it is not answered, so a shorter time would lose what was told while we were away. What is
  told twice within it has the same id, and no second effect.
"""

import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from adapters.channels.hooks import ForgedError, HookRequest
from engine.errors import InputError
from engine.instants import MINUTE_MS, SECOND_MS, parse_instant
from engine.intake.shapes import is_object

AHEAD_MS_MAX = 5 * MINUTE_MS  # how far a provider's clock may be before ours

_SECONDS_END = 1 << 40

Fields = Mapping[str, Any]


def expect_header(request: HookRequest, name: str) -> str:
    """Read a header, named in small letters. Raises ForgedError where it is not there."""
    value = request.headers.get(name, "")
    if not value:
        raise ForgedError(f"the header {name} is missing")
    return value


def is_same(given: str, expected: str) -> bool:
    """Compare a secret, or what is made of one, in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def check_age(said_at: int, patience_ms: int, present: datetime) -> None:
    """Refuse what was signed too long ago, or in the future. Raises ForgedError."""
    now = round(present.timestamp() * SECOND_MS)
    if said_at < now - patience_ms:
        raise ForgedError("the request is too old; it may be a copy of one that came before")
    if said_at > now + AHEAD_MS_MAX:
        raise ForgedError("the request is signed in the future; check the clock of this machine")


def read_digits(text: str) -> int:
    """Read seconds since 1970 as epoch ms. Raises ForgedError for anything else."""
    if not (text.isascii() and text.isdigit() and int(text[:20]) < _SECONDS_END):
        raise ForgedError("the time of the signature is not a number of seconds")
    return int(text) * SECOND_MS


def read_json(body: bytes) -> object:
    """Decode a body. Raises InputError where it is no JSON."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        raise InputError("unreadable_json", "the body is not JSON") from None


def read_fields(value: object, path: str = "$") -> Fields:
    """Insist on a JSON object. Raises InputError."""
    if not is_object(value):
        raise InputError("invalid_type", "expected an object", path)
    return value


def find_fields(fields: Fields, *names: str) -> Fields:
    """Follow names into an object; what is no object there is an empty one."""
    for name in names:
        found: object = fields.get(name)
        fields = found if is_object(found) else {}
    return fields


def find_text(fields: Fields, name: str) -> str:
    """Find a text; numbers are written as one, and what is neither is ""."""
    found: object = fields.get(name)
    if isinstance(found, str):
        return found
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    return str(found) if is_number else ""


def find_seconds(fields: Fields, name: str) -> int:
    """Find seconds since 1970, with or without a fraction, as epoch ms; 0 where there are none."""
    found: object = fields.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return 0
    return round(found * SECOND_MS) if 0 < found < _SECONDS_END else 0


def find_instant(fields: Fields, name: str) -> int:
    """Find an instant in ISO 8601, as epoch ms; 0 where there is none."""
    try:
        return parse_instant(find_text(fields, name))
    except ValueError:
        return 0
