"""Bodies of requests, ours and theirs: forms and JSON.

Called by the providers of phone channels and by their hooks.
"""

from collections.abc import Iterable
from urllib.parse import parse_qsl, urlencode

import msgspec

from actors.ports import Permanent
from engine.events import Failure

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
_FIELDS_MAX = 200


def write_form(fields: Iterable[tuple[str, str]]) -> bytes:
    """Write a form, its fields in their order. Raises Permanent for text that is no Unicode."""
    try:
        return urlencode(list(fields)).encode()
    except UnicodeEncodeError:
        raise _no_unicode() from None


def write_json(value: object) -> bytes:
    """Write JSON, always the same bytes. Raises Permanent for text that is no Unicode."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        raise _no_unicode() from None


def read_form(body: bytes) -> list[tuple[str, str]]:
    """Read a form, insisting on `name=value` everywhere. Raises ValueError."""
    if not body:
        return []
    return parse_qsl(
        body.decode("ascii"),
        keep_blank_values=True,
        strict_parsing=True,
        errors="strict",
        max_num_fields=_FIELDS_MAX,
    )


def _no_unicode() -> Permanent:
    message = "the message holds text that is no Unicode"
    return Permanent(message, code="bad_content", failure=Failure.CONTENT)
