"""Bodies of requests, ours and theirs: forms and JSON.

Called by the providers of phone channels and by their hooks.
"""

from collections.abc import Iterable
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from actors.ports import Permanent
from adapters.channels.hooks import HookRequest
from adapters.channels.proofs import Fields, find_text, read_fields, read_json
from engine.errors import InputError
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


def read_flat(request: HookRequest) -> dict[str, str]:
    """Read the fields that a provider tells: of the body, or of the query where there is none.

    The query is read from the URL, which is what is signed. Raises InputError.
    """
    if request.body and "json" in request.headers.get("content-type", ""):
        fields = read_fields(read_json(request.body))
        return {name: find_text(fields, name) for name in fields}
    try:
        return dict(read_form(request.body or urlsplit(request.url).query.encode()))
    except ValueError:
        raise InputError("unreadable_form", "neither body nor query is a form") from None


def expect_field(fields: Fields, name: str) -> str:
    """Find a field that must be there. Raises InputError."""
    found = find_text(fields, name)
    if not found:
        raise InputError("missing_field", f"expected {name}", f"$.{name}")
    return found


def _no_unicode() -> Permanent:
    message = "the message holds text that is no Unicode"
    return Permanent(message, code="bad_content", failure=Failure.CONTENT)
