"""One item of the catalogue as somebody wrote it → its id, and its fields as they are kept.

Called by the gateway for each item that is loaded, and by `nextbeat replay` for the files it is
given. Hands on msgpack: that is what the store keeps, what is held in memory, and what
`engine.intake.enrich` reads when an event names the item.

Rules
- The fields are free. Those that conditions are known to compare must be what they say: a price
  that is a text would be absent from every comparison, and nobody would see why.
- A field without a value is no field. The order of fields is that in which they were given.
"""

from typing import Any

import msgspec

from engine.errors import InputError
from engine.intake.item import settle_values
from engine.limits import (
    CATALOGUE_FIELDS_MAX,
    CATALOGUE_ITEM_BYTES_MAX,
    ID_LENGTH_MAX,
    NAME_LENGTH_MAX,
)
from engine.localtime import zone

ID = "id"
_NUMBERS = ("price", "margin", "stock", "latitude", "longitude")
_TEXTS = ("currency", "title", "name", "url", "image", "city", "country")
_RANGES = {"latitude": 90, "longitude": 180}

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode


def read_id(value: object) -> str:
    """Read what names an item, in a feed or in an event; "" where it names none.

    Numbers are what they look like, so that 12, 12.0 and "12" name one item.
    """
    if value.__class__ is str:
        assert isinstance(value, str)
        return value if len(value) <= ID_LENGTH_MAX else ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value)
    return text if len(text) <= ID_LENGTH_MAX else ""


def find_id(fields: dict[str, Any], keys: tuple[str, ...]) -> str:
    """Find the id in an item: `id`, or the first of the keys events name it by.

    Raises InputError where there is none.
    """
    for key in (ID, *keys):
        given = fields.get(key)
        if given is not None and given != "":
            found = read_id(given)
            if found:
                return found
            message = f"an id is a text of at most {ID_LENGTH_MAX} characters, or a number"
            raise InputError("bad_id", message, key)
    wanted = " or ".join(dict.fromkeys((ID, *keys)))
    raise InputError("no_id", f"expected {wanted}, which names the item", ID)


def write_fields(fields: dict[str, Any]) -> bytes:
    """Check the fields of an item and write them down. Raises InputError with the field as path."""
    kept = {name: value for name, value in fields.items() if value is not None and name != ID}
    if len(kept) > CATALOGUE_FIELDS_MAX:
        message = f"an item may have {CATALOGUE_FIELDS_MAX} fields, this one has {len(kept)}"
        raise InputError("too_many_fields", message)
    for name in kept:
        if not 0 < len(name) <= NAME_LENGTH_MAX:
            message = f"the name of a field has 1 to {NAME_LENGTH_MAX} characters"
            raise InputError("bad_field", message)
    _check_known(kept)
    body = _encode(settle_values(kept, []))
    if len(body) > CATALOGUE_ITEM_BYTES_MAX:
        message = f"an item may have {CATALOGUE_ITEM_BYTES_MAX} bytes, this one has {len(body)}"
        raise InputError("too_large", message)
    return body


def read_fields(body: bytes) -> dict[str, Any]:
    """Read the fields of an item that was written down; each call gives a mapping of its own."""
    return _decode(body)


def _check_known(fields: dict[str, Any]) -> None:
    for name in _NUMBERS:
        value = fields.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError("bad_field", "expected a number, like 12.5", name)
        most = _RANGES.get(name)
        if most is not None and not -most <= value <= most:
            raise InputError("bad_field", f"expected degrees from -{most} to {most}", name)
    for name in _TEXTS:
        if not isinstance(fields.get(name, ""), str):
            raise InputError("bad_field", "expected a text", name)
    if "timezone" in fields and zone(fields["timezone"]) is None:
        message = "expected a name of the IANA list, like Africa/Johannesburg"
        raise InputError("bad_field", message, "timezone")
