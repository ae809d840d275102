"""Profiles and journal entries as people read them: views from what the engine keeps.

Called by `query`. Only reads; what a decision looks like is `engine.transcript`'s to say, so that
the API, the feed and replay files show the same object.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Literal, cast

import msgspec

from actors.reading import Answer
from actors.rows import Entry, QuarantineRow
from adapters.gateway.views import (
    ChannelAnswer,
    Consent,
    Customer,
    Eligibility,
    Identity,
    InputKind,
    JourneyStay,
    PendingMessage,
    Place,
    QuarantinedItem,
    RuleBlock,
    SentMessage,
    Session,
    Suppression,
    TimelineEntry,
    TraceLine,
)
from engine.consents import is_granted
from engine.eligibility import ChannelAnswer as ChannelFinding
from engine.events import (
    Abridged,
    Answered,
    Belonging,
    ConsentStatement,
    Departed,
    Event,
    Input,
    Key,
    Linked,
    Merged,
    Rebirth,
    Receipt,
    Redeliver,
    Refused,
    Restored,
    Review,
    Scrubbed,
    Tick,
    Unlinked,
)
from engine.instants import format_instant
from engine.limits import SENDS_MAX
from engine.localtime import zone as find_zone
from engine.place import Place as CustomerPlace, find_place
from engine.profile import Instance, Pending, Profile
from engine.program.journey import Instruction, Op
from engine.program.program import Program
from engine.program.view import live_traits
from engine.reasons import Outcome, classify_reason
from engine.records import Decided, Record
from engine.transcript import check_object, decision_object

PAYLOAD_SHOWN_MAX = 2_000
_INSTANTS = frozenset({"at", "until", "next_eligible"})  # besides the fields that end in `_at`
_INSTANT_LIKELY_MIN = 1_000_000_000  # zero and small numbers in such a field are not instants

_INPUT: msgspec.msgpack.Decoder[Input] = msgspec.msgpack.Decoder(Input)
_RECORDS: msgspec.msgpack.Decoder[list[Record]] = msgspec.msgpack.Decoder(list[Record])


def customer_view(
    profile: Profile, program: Program, deferrals: Mapping[int, Decided], now: int
) -> Customer:
    """Show a whole customer; `deferrals` has the latest decision of each deferred proposal."""
    return Customer(
        customer=profile.customer,
        first_seen_at=_instant(profile.first_at),
        timezone=_timezone(profile),
        place=place_view(find_place(profile, program)),
        traits=profile.traits,
        live=live_traits(profile, program, now),
        identities=_identities(profile, program),
        consents=[_consent(profile.consents[key], now) for key in sorted(profile.consents)],
        session=_session(profile, program, now),
        journeys=[_stay(instance, program) for instance in profile.instances.values()],
        pending=[_pending(one, deferrals.get(one.proposal)) for one in _by_release(profile)],
        sends=_sends(profile),
        suppressions=_suppressions(profile, now),
        journeys_done=profile.journeys_done,
        decisions_made=profile.decision_count - profile.numbered_from,
        merged=list(profile.absorbed),
        apart=profile.apart,
        segments={name: format_instant(at) for name, at in sorted(profile.segments.items())},
    )


def place_view(place: CustomerPlace) -> Place:
    """Show where a customer is."""
    zones = [zone.key for zone in place.zones]
    found = {
        "timezone": zones[0],
        "timezones": zones,
        "source": place.source,
        "confidence": place.confidence,
        "country": place.country or None,
        "subdivision": place.subdivision or None,
    }
    return msgspec.convert(found, Place)


def eligibility_view(answer: Answer) -> Eligibility:
    """Show whether a message may go to a customer, why not, and when."""
    found = answer.eligibility
    return Eligibility(
        customer=found.customer,
        known=answer.is_known,
        message=found.message,
        at=format_instant(found.at),
        eligible=found.outcome in (Outcome.SEND, Outcome.SUBSTITUTE),
        outcome=found.outcome.value,
        reason=found.reason.value,
        reason_class=classify_reason(found.reason).value,
        channel=found.channel or None,
        next_eligible=_when(found.next_eligible),
        place=place_view(found.place),
        channels=[_channel_answer(one) for one in found.channels],
        trace=msgspec.convert([check_object(check) for check in found.trace], list[TraceLine]),
        changes=list(found.changes),
        program=found.program,
    )


def _channel_answer(found: ChannelFinding) -> ChannelAnswer:
    blocks = [
        RuleBlock(
            check=block.check,
            reason=block.reason.value,
            rule=block.rule,
            version=block.version,
            until=_when(block.until),
            seen=block.seen,
        )
        for block in found.blocks
    ]
    return ChannelAnswer(found.channel, found.is_open, _when(found.next_eligible), blocks)


def _when(at: int | None) -> str | None:
    return None if at is None else format_instant(at)


def entry_view(entry: Entry) -> TimelineEntry:
    """Show one row of the journal: the input, and what came of it."""
    given = _read_input(entry.input)
    kind, name = name_input(given)
    return TimelineEntry(
        seq=entry.seq,
        at=format_instant(entry.at),
        kind=kind,
        name=name,
        program=entry.program,
        input={} if given is None else readable(given),
        records=_records(entry),
        customer=entry.customer,
        about=[],
        channels=[],
        cause={},
        changes=[],
    )


def name_input(given: Input | None) -> tuple[InputKind, str]:
    """Say what kind of input this is, and what people call it."""
    match given:
        case Event():
            return "event", given.name
        case Receipt():
            return "receipt", given.status.value
        case Tick():
            return "timer", "wake"
        case None:
            return "event", "unreadable"
        case _:
            return _name_own(given)


def _name_own(
    given: Scrubbed | Review | Rebirth | Abridged | Answered | Redeliver | Belonging,
) -> tuple[InputKind, str]:
    """Say what nobody sent."""
    match given:
        case Scrubbed():
            return "scrubbed", ", ".join(one.registry for one in given.listings)
        case Review():
            return "review", "segments"
        case Rebirth():
            return "rebirth", "after erasure"
        case Abridged():
            return "abridged", "entries that told of somebody erased"
        case Answered() | Redeliver():
            return _name_outside(given)
        case _:
            return _name_belonging(given)


def _name_outside(given: Answered | Redeliver) -> tuple[InputKind, str]:
    """Say what another service answered, or what was asked for here."""
    if isinstance(given, Redeliver):
        return "redeliver", given.message_id
    return "answered", given.code or str(given.status)


def _name_belonging(given: Belonging) -> tuple[InputKind, str]:
    """Say what was found out of who is who, and of whom or of which identities."""
    match given:
        case Linked():
            return "linked", _namespaces(given.keys)
        case Unlinked():
            return "unlinked", _namespaces(given.keys)
        case Merged():
            return "merged", given.customer
        case Refused():
            return "refused", given.customer
        case Departed():
            return "departed", given.into
        case Restored():
            return "restored", given.apart


def _namespaces(keys: Iterable[Key]) -> str:
    return ", ".join(namespace for namespace, _ in keys)


def quarantine_view(row: QuarantineRow) -> QuarantinedItem:
    """Show an item that was not understood; what is no text is shown as replacement characters."""
    shown = row.payload[:PAYLOAD_SHOWN_MAX].decode("utf-8", "replace")
    return QuarantinedItem(
        number=row.number,
        received_at=format_instant(row.received_at),
        source=row.source,
        code=row.code,
        path=row.path,
        message=row.message,
        payload=shown,
        payload_bytes=len(row.payload),
        truncated=len(row.payload) > PAYLOAD_SHOWN_MAX,
    )


def readable(given: msgspec.Struct) -> dict[str, Any]:
    """Write a struct of the engine as a JSON object: instants as text, empty fields left out."""
    written: dict[str, Any] = {}
    tag = given.__struct_config__.tag
    if tag is not None:
        written["type"] = tag
    for name in given.__struct_fields__:
        value = getattr(given, name)
        if value is not None and value not in ("", (), [], {}):
            written[name] = _readable_field(name, value)
    return written


def _readable_field(name: str, value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, msgspec.Struct):
        return readable(value)
    if isinstance(value, tuple | list):
        return [_readable_field("", item) for item in cast("tuple[object, ...]", value)]
    if isinstance(value, bytes):
        return {"bytes": len(value)}
    if isinstance(value, int) and not isinstance(value, bool) and _is_instant(name, value):
        return format_instant(value)
    return value


def _is_instant(name: str, value: int) -> bool:
    return (name in _INSTANTS or name.endswith("_at")) and value >= _INSTANT_LIKELY_MIN


def _read_input(packed: bytes) -> Input | None:
    # An entry that a later or damaged version wrote is shown as unreadable, never left out: a
    # timeline with a silent gap would be worse than one that says where it can't be read.
    try:
        return _INPUT.decode(packed)
    except (msgspec.DecodeError, ValueError):
        return None


def _records(entry: Entry) -> list[dict[str, Any]]:
    try:
        records = _RECORDS.decode(entry.records)
    except (msgspec.DecodeError, ValueError):
        return [{"type": "unreadable", "bytes": len(entry.records)}]
    return [_record(entry.customer, record) for record in records]


def _record(customer: str, record: Record) -> dict[str, Any]:
    if isinstance(record, Decided):
        return {"type": "decided", **decision_object(customer, record)}
    return readable(record)


def _instant(at: int | None) -> str | None:
    """Write an instant that is 0 where there is none."""
    return _when(at or None)


def _timezone(profile: Profile) -> str | None:
    trait = profile.traits.get("timezone")
    for stated in (trait, profile.context_timezone):  # in the order in which decisions take them
        if isinstance(stated, str) and find_zone(stated) is not None:
            return stated
    return None


def _identities(profile: Profile, program: Program) -> list[Identity]:
    channels: dict[str, list[str]] = {}
    for name in sorted(program.channels):
        namespace = program.channels[name].identity
        if namespace:
            channels.setdefault(namespace, []).append(name)
    values = {namespace: profile.traits.get(namespace) for namespace in sorted(channels)}
    addresses = [
        Identity(namespace, str(value), channels[namespace])
        for namespace, value in values.items()
        if value not in (None, "")
    ]
    stated = {(one.namespace, one.value) for one in addresses}
    return addresses + [
        Identity(namespace, value, [], format_instant(since_at))
        for namespace, known in sorted(profile.identities.items())
        for value, since_at in known.items()
        if (namespace, value) not in stated
    ]


def _consent(said: ConsentStatement, now: int) -> Consent:
    return Consent(
        purpose=said.purpose,
        channel=said.channel,
        status=said.status.value,
        at=format_instant(said.at),
        source=said.source,
        basis=said.basis.value,
        proof=said.proof,
        expires_at=_instant(said.expires_at),
        message_type=said.message_type,
        in_force=is_granted(said, now),
    )


def _session(profile: Profile, program: Program, now: int) -> Session:
    is_open = bool(profile.active_at) and now - profile.active_at <= program.session_ms
    since = profile.session_at if is_open else None
    return Session(is_open, _instant(since), _instant(profile.active_at))


def _stay(instance: Instance, program: Program) -> JourneyStay:
    instruction = _instruction(instance, program)
    return JourneyStay(
        journey=instance.journey,
        version=instance.version,
        instance=instance.id,
        step="" if instruction is None else instruction.step,
        entered_at=format_instant(instance.entered_at),
        entered_by=instance.event_name,
        waiting_until=_instant(instance.waiting_until),
        waiting_for=_waiting_for(instance, instruction),
    )


def _instruction(instance: Instance, program: Program) -> Instruction | None:
    journey = program.journey(instance.journey, instance.version)
    if journey is None or not 0 <= instance.position < len(journey.code):
        return None
    return journey.code[instance.position]


def _waiting_for(
    instance: Instance, instruction: Instruction | None
) -> Literal["time", "event", "message", "answer", "nothing"]:
    if instance.proposal:
        return "message"
    if instance.call:
        return "answer"
    if instruction is not None and instruction.op is Op.WAIT_FOR:
        return "event"
    return "time" if instance.waiting_until is not None or instance.timer else "nothing"


def _by_release(profile: Profile) -> list[Pending]:
    return sorted(profile.pending.values(), key=lambda one: (one.next_eligible, one.proposal))


def _pending(one: Pending, decided: Decided | None) -> PendingMessage:
    return PendingMessage(
        message=one.message,
        message_type=one.message_type,
        channel=one.channel,
        journey=one.journey,
        step=one.step,
        next_eligible=format_instant(one.next_eligible),
        reason=None if decided is None else decided.reason.value,
        decision_id=None if decided is None else decided.decision_id,
        proposed_at=format_instant(one.proposed_at),
        expires_at=_instant(one.expires_at),
    )


def _sends(profile: Profile) -> list[SentMessage]:
    latest = list(profile.sends.values())[-SENDS_MAX:]
    return [
        SentMessage(
            message_id=sent.message_id,
            message=sent.message,
            message_type=sent.message_type,
            channel=sent.channel,
            at=format_instant(sent.at),
            journey=sent.journey,
            step=sent.step,
            statuses=sent.statuses,
        )
        for sent in reversed(latest)
    ]


def _suppressions(profile: Profile, now: int) -> list[Suppression]:
    return [
        Suppression(rule, format_instant(until))
        for rule, until in sorted(profile.suppressed.items())
        if until > now
    ]
