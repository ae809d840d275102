"""A second try for items that were not understood: `POST /v1/quarantine/{number}/replay`.

`routes` is mounted by `adapters.gateway.app`; `nextbeat quarantine replay` calls it, after an
upgrade or a mended workspace. Listing them is `query`'s part.

*Rules*
- The item is read as it was when it came: its time of receipt, and so its id where the sender gave
  none, stay what they were.
- The event is durable before the item leaves quarantine. A crash in between leaves both, and
  taking the item in once more is then a duplicate, which changes nothing.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from actors.rows import Commit, QuarantineRow
from adapters.gateway import cloudevents, consent
from adapters.gateway.acts import note_act
from adapters.gateway.answers import refuse, succeed
from adapters.gateway.braze_words import translate_object
from adapters.gateway.customerio_words import translate_entity
from adapters.gateway.host import Host
from adapters.gateway.intake import HISTORY_SOURCE
from adapters.gateway.query import UnknownError, guard
from adapters.gateway.wire import read_object
from engine.errors import InputError, OverloadError
from engine.events import Event, EventKind, Input, Receipt
from engine.intake.clocks import Envelope
from engine.intake.item import convert_item, read_item
from engine.intake.mapping import take_in
from engine.program.mappings import Mappings

_NUMBER_MAX = 2**63 - 2
_ENGINE = "engine"  # what an actor failed on is kept as the engine's own struct
_INTERNAL = "engine/internal"
_PROVIDERS = "receipts/"  # before the name of one: its requests, as `adapters.channels` kept them

# Items that failed before they were brought into Segment's shape are kept in their own.
_TRANSLATIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "braze": translate_object,
    "cloudevents": cloudevents.translate_event,
    "consent": consent.translate_statement,
    "customerio": translate_entity,
}
_decode_input = msgspec.json.Decoder(Input).decode
_CALLS = frozenset(kind.value for kind in EventKind) | {"receipt"}


def routes(host: Host) -> list[web.RouteDef]:
    """List the routes of this module."""

    async def replay(request: web.Request) -> web.StreamResponse:
        row = await _find(host, request.match_info["number"])
        given = read_again(row, host.runtime.program.mappings)
        try:
            await host.runtime.submit([] if given is None else [given])
        except OverloadError as error:
            message = "too much is waiting to be stored; ask again later"
            return refuse(503, "overloaded", message, retry_after_s=error.retry_after_s)
        await host.runtime.store.commit(Commit(released=[row.number]))
        await note_act(host, request, "released_quarantine", str(row.number), row.code)
        return succeed(request)

    return [web.post("/v1/quarantine/{number:[0-9]+}/replay", guard(host, replay))]


def read_again(row: QuarantineRow, mappings: Mappings) -> Event | Receipt | None:
    """Read an item as if it had just come; None where a rule leaves it out by now.

    Raises InputError with what is still wrong.
    """
    if row.source == _INTERNAL:
        raise _nobody_sent()
    if row.source == _ENGINE:
        return _read_input(row.payload)
    if row.source.startswith(_PROVIDERS):
        message = (
            "a provider told this, and only what it tells itself is believed: have it sent again"
        )
        raise InputError("nothing_to_replay", message)
    envelope = Envelope(row.received_at, source=row.source, is_history=row.source == HISTORY_SOURCE)
    translate = _TRANSLATIONS.get(row.source)
    if translate is None:
        return take_in(read_item(row.payload, envelope.oddities), envelope, mappings)
    value = read_object(row.payload, envelope.oddities)
    # What could be brought into Segment's shape before it failed is kept in that shape.
    if value.get("type") not in _CALLS:
        value = translate(value)
    return take_in(convert_item(value), envelope, mappings)


def _read_input(payload: bytes) -> Event | Receipt:
    try:
        given = _decode_input(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        message = "this input was kept in a form that can't be read again"
        raise InputError("unreadable_json", message) from None
    if not isinstance(given, Event | Receipt):
        raise _nobody_sent()
    return given


def _nobody_sent() -> InputError:
    return InputError("nothing_to_replay", "this was an input of the engine's own: nobody sent it")


async def _find(host: Host, digits: str) -> QuarantineRow:
    number = min(int(digits[:20]), _NUMBER_MAX)
    rows = await host.runtime.store.quarantine(number + 1, 1)
    if not rows or rows[0].number != number:
        raise UnknownError("there is no such item in quarantine")
    return rows[0]
