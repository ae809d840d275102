"""From one call as a client wrote it to one `Event` or `Receipt` in our own words.

Called by the gateway for each item of a request, and by replay for each line of an event file.
Hands on inputs whose names, identities, instants and consents mean the same whoever sent them.

Rules
- The same call made through two client libraries gives the same event, but for its id.
- An event never moves by more than its sender's clock is wrong (`sentAt` against our clock), and
  not at all where that is less than a second: imports of old events keep their times.
- What can't be read as consent is an error, never a grant.
- An id that stands for nobody (`null`, `undefined`) is none: else all who have it were one person.
- A call without an id gets one from its content, so that sending it twice counts once.
"""

from typing import Any

import msgspec

from engine.errors import InputError
from engine.events import (
    KIND_NAMES,
    ConsentStatement,
    Event,
    EventKind,
    Failure,
    Receipt,
    ReceiptStatus,
)
from engine.identities import WORTHLESS_IDS
from engine.ids import stable_hash
from engine.instants import MINUTE_MS
from engine.intake.changes import read_changes
from engine.intake.clocks import Envelope, correct_instant, measure_skew, read_instant
from engine.intake.commerce import settle_commerce
from engine.intake.consents import read_consents
from engine.intake.item import Item, Text, read_item, settle_values
from engine.intake.shapes import is_object
from engine.limits import ID_LENGTH_MAX, NAME_LENGTH_MAX
from engine.localtime import zone
from engine.vocabulary import COMMERCE, canonical_name

_KINDS = {kind.value: kind for kind in EventKind}
_RECEIPT = "receipt"
_STATUSES = {
    status.value: status for status in ReceiptStatus if status is not ReceiptStatus.IN_DOUBT
}
_TRACK, _ALIAS, _CONSENT = EventKind.TRACK, EventKind.ALIAS, EventKind.CONSENT
_EXPECTED_ID = "expected a userId or an anonymousId: without either nobody did this"
_EXPECTED_TYPE = "expected " + ", ".join((*_KINDS, _RECEIPT))
_FAILURES = [failure.value for failure in Failure]
_EXPECTED_FAILURE = "expected " + ", ".join(_FAILURES)
_EXPECTED_STATUS = "expected " + ", ".join(_STATUSES)

# What conditions, time zones and devices are read from. The rest of a context describes the
# sender's library and machine, and is several times as large.
_CONTEXT_KEPT = frozenset(
    ("ip", "locale", "timezone", "userAgent", "campaign", "device", "page", "active", "app")
)

_encode = msgspec.json.Encoder(order="sorted").encode


def normalise(item: Item, envelope: Envelope) -> Event | Receipt:
    """Read one call. Raises InputError with the path of what is wrong."""
    kind = _KINDS.get(envelope.kind or item.type)
    if kind is None:
        return _normalise_other(item, envelope)
    user, anonymous = _read_person(item.user_id, "userId", envelope), None
    if item.anonymous_id is not None:
        anonymous = _read_person(item.anonymous_id, "anonymousId", envelope)
    if kind is _TRACK:
        name, properties = _read_track(item, envelope)
    else:
        name, properties = KIND_NAMES[kind], _READERS.get(kind, _read_others)(item, envelope)
        if kind is _ALIAS and anonymous is None:
            anonymous = properties.get("previousId")
    if user is None and anonymous is None:
        raise _refuse_nobody(item, _EXPECTED_ID)
    at = _read_at(item, envelope)
    context = {**envelope.context, **(item.context or {})} if envelope.context else item.context
    traits = item.traits or {}
    consents: tuple[ConsentStatement, ...] = ()
    if context:
        if "traits" in context:
            traits = _merge_traits(kind, context["traits"], traits)
        if "consent" in context:
            # A clock that is ahead must not let what it says outrank a withdrawal of today.
            said_at = min(at, envelope.received_at)
            consents = read_consents(context["consent"], said_at, envelope.source)
        context = _keep_context(context, envelope)
    if kind is _CONSENT and not consents:
        raise InputError("bad_consent", "expected at least one statement", "context.consent")
    return Event(
        _read_message_id(item, envelope),
        kind,
        name,
        user,
        anonymous,
        at,
        envelope.received_at,
        settle_values(properties, envelope.oddities) if properties else properties,
        settle_values(traits, envelope.oddities) if traits else traits,
        context or {},
        consents,
        envelope.source,
        envelope.is_history,
        read_changes(item.trait_changes) if item.trait_changes is not None else (),
        item.only_existing is True,
    )


def normalise_line(raw: bytes) -> Event | Receipt:
    """Read one line of an event file, where a call's own time is the clock. Raises InputError."""
    return normalise(*read_line(raw))


def read_line(raw: bytes) -> tuple[Item, Envelope]:
    """Decode one line of an event file, with its own time as the clock. Raises InputError."""
    oddities: list[str] = []
    item = read_item(raw, oddities)
    said = item.original_timestamp or item.timestamp
    if not said:
        raise InputError("bad_timestamp", "an event in a file needs its time", "timestamp")
    return item, Envelope(read_instant(said, "timestamp"), skew_ms=0, oddities=oddities)


def _read_at(item: Item, envelope: Envelope) -> int:
    said, path = item.original_timestamp, "originalTimestamp"
    if not said:
        said, path = item.timestamp, "timestamp"
        if not said:
            if envelope.is_history:
                raise InputError("bad_timestamp", "an event of the past needs its time", path)
            return envelope.received_at
    at = read_instant(said, path)
    skew_ms = envelope.skew_ms
    if skew_ms is None:
        skew_ms = measure_skew(item.sent_at, envelope.received_at) or 0
    return correct_instant(at, skew_ms, envelope.received_at, path)


def _read_id(value: Text, path: str) -> str | None:
    """Read an identity; empty ones are none, and numbers are what they look like."""
    if isinstance(value, str) and 0 < len(value) <= ID_LENGTH_MAX:
        return value
    if value is None:
        return None
    if not isinstance(value, str):
        value = str(int(value)) if value == int(value) else str(value)
    if len(value) > ID_LENGTH_MAX:
        message = f"an id may have {ID_LENGTH_MAX} characters, this one has {len(value)}"
        raise InputError("id_too_long", message, path)
    return value or None


def _read_person(value: Text, path: str, envelope: Envelope) -> str | None:
    """Read an identity that names a customer; one that stands for nobody is none."""
    said = _read_id(value, path)
    if said in WORTHLESS_IDS:
        envelope.oddities.append("worthless_id")
        return None
    return said


def _refuse_nobody(item: Item, expected: str) -> InputError:
    """Refuse a call that names no customer, with the id that stands for nobody if there is one."""
    for value, path in (
        (item.user_id, "userId"),
        (item.anonymous_id, "anonymousId"),
        (item.previous_id, "previousId"),
    ):
        said = _read_id(value, path)
        if said in WORTHLESS_IDS:
            message = f'"{said}" stands for nobody: {expected}'
            return InputError("no_user_anon_id", message, path)
    return InputError("no_user_anon_id", expected, "userId")


def _read_name(item: Item) -> str:
    name = item.event
    if not name:
        raise InputError("no_event_name", "expected the name of what was done", "event")
    if len(name) > NAME_LENGTH_MAX:
        message = f"a name may have {NAME_LENGTH_MAX} characters, this one has {len(name)}"
        raise InputError("name_too_long", message, "event")
    return canonical_name(name)


def _read_track(item: Item, envelope: Envelope) -> tuple[str, dict[str, Any]]:
    name, properties = _read_name(item), item.properties
    if not properties:
        return name, {}
    if name in COMMERCE:
        return name, settle_commerce(name, properties, envelope.oddities)
    return name, properties


def _read_page(item: Item, _envelope: Envelope) -> dict[str, Any]:
    return _gather(item, name=item.name, category=item.category)


def _read_group(item: Item, _envelope: Envelope) -> dict[str, Any]:
    return _gather(item, groupId=_read_id(item.group_id, "groupId"))


def _read_alias(item: Item, envelope: Envelope) -> dict[str, Any]:
    said = _read_id(item.user_id, "userId")
    if said is None or said in WORTHLESS_IDS:
        raise InputError("no_user_id", "expected the userId that previousId becomes", "userId")
    return _gather(item, previousId=_read_person(item.previous_id, "previousId", envelope))


def _read_others(item: Item, _envelope: Envelope) -> dict[str, Any]:
    return _gather(item)


def _gather(item: Item, **said: object) -> dict[str, Any]:
    told = {key: value for key, value in said.items() if value is not None}
    return {**(item.properties or {}), **told}


# What these calls say outside of `properties`.
_READERS = {
    EventKind.PAGE: _read_page,
    EventKind.SCREEN: _read_page,
    EventKind.GROUP: _read_group,
    EventKind.ALIAS: _read_alias,
}


def _merge_traits(kind: EventKind, told: object, traits: dict[str, Any]) -> dict[str, Any]:
    """Unite the traits at the root with those in the context, where RudderStack puts them.

    In a group call the ones at the root are the group's, and the others are left out.
    """
    if kind is EventKind.GROUP or told is None:
        return traits
    if not is_object(told):
        raise InputError("invalid_type", "expected an object of traits", "context.traits")
    return {**told, **traits}


def _keep_context(context: dict[str, Any], envelope: Envelope) -> dict[str, Any]:
    kept = {
        key: value for key, value in context.items() if key in _CONTEXT_KEPT and value is not None
    }
    if not kept:
        return kept
    if "timezone" in kept and zone(kept["timezone"]) is None:
        del kept["timezone"]
        envelope.oddities.append("timezone")
    return settle_values(kept, envelope.oddities)


def _read_message_id(item: Item, envelope: Envelope) -> str:
    """Take the sender's id, or make one.

    One made from the content alone would take a second click for the first one sent again, so a
    call without a time of its own gets an id that holds for a minute, enough for an immediate
    retry.
    """
    said = _read_id(item.message_id, "messageId")
    if said is not None:
        return said
    bare = msgspec.structs.replace(item, sent_at=None, write_key=None)
    is_timed = bool(item.original_timestamp or item.timestamp)
    minute = "" if is_timed else str(envelope.received_at // MINUTE_MS)
    return (
        "h_" + stable_hash("call", envelope.source, minute, _encode(bare).decode(), size=16).hex()
    )


def _normalise_other(item: Item, envelope: Envelope) -> Receipt:
    """Read what is not one of the calls: a receipt, or nothing known."""
    if (envelope.kind or item.type) != _RECEIPT:
        raise InputError("unknown_type", _EXPECTED_TYPE, "type")
    user = _read_person(item.user_id, "userId", envelope)
    if user is None:
        raise _refuse_nobody(item, "expected the userId of who was written to")
    message, status, code = item.message, item.status, item.code
    if not isinstance(message, str) or not 0 < len(message) <= NAME_LENGTH_MAX:
        raise InputError("bad_receipt", "expected the id or the name of a message", "message")
    known = _STATUSES.get(status) if isinstance(status, str) else None
    if known is None:
        raise InputError("bad_receipt", _EXPECTED_STATUS, "status")
    if item.permanent is not None and not isinstance(item.permanent, bool):
        raise InputError("bad_receipt", "expected true or false", "permanent")
    if item.failure not in (None, "", *_FAILURES):
        raise InputError("bad_receipt", _EXPECTED_FAILURE, "failure")
    if code is not None and (isinstance(code, bool) or not isinstance(code, str | int)):
        raise InputError("bad_receipt", "expected the provider's code as text", "code")
    return Receipt(
        id=_read_message_id(item, envelope),
        user=user,
        message=message,
        status=known,
        at=_read_at(item, envelope),
        received_at=envelope.received_at,
        code="" if code is None else str(code)[:NAME_LENGTH_MAX],
        permanent=bool(item.permanent),
        source=envelope.source,
        is_history=envelope.is_history,
        failure=item.failure or "",
    )
