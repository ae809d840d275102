"""A workspace's own rules about what comes in, applied to a call before anything else reads it.

Called by everything that takes calls in, through `take_in`. The names of events are compared as
they are sent, so that a rule can say what `purchase` means here; where no rule names that, as they
are known.

*Rules*
- All rules for an event apply, in the order in which they are written.
- A value that can't be made what a rule asks for stays as it is, and is odd.
- A call that says something of consent is never left out.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from engine.errors import InputError
from engine.events import KIND_NAMES, Event, EventKind, Receipt
from engine.instants import format_instant
from engine.intake.clocks import Envelope, read_instant
from engine.intake.commerce import read_number
from engine.intake.item import Item
from engine.intake.normalise import normalise
from engine.intake.shapes import is_object
from engine.program.mappings import MappingRule, Mappings, PropertyRule
from engine.vocabulary import canonical_name

_CALLS: dict[str, str] = {kind.value: name for kind, name in KIND_NAMES.items()}
_IDENTIFY = EventKind.IDENTIFY.value
_DIGITS = 9  # of a product: 115 times 0.01 is 1.15

_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def take_in(item: Item, envelope: Envelope, mappings: Mappings) -> Event | Receipt | None:
    """Read one call by a workspace's rules; None where it is to be left out. Raises InputError."""
    if not mappings:
        return normalise(item, envelope)
    kind = envelope.kind or item.type
    name = item.event or "" if kind == "track" else _CALLS.get(kind, "")
    rules = mappings.get(name) or mappings.get(canonical_name(name))
    if rules is None:
        return normalise(item, envelope)
    mapped = _map_item(item, kind, [rule for rule in rules if _concerns(rule, envelope)], envelope)
    if mapped is None:
        envelope.oddities.append("dropped")
        return None
    return normalise(mapped, envelope)


def _concerns(rule: MappingRule, envelope: Envelope) -> bool:
    return not rule.sources or envelope.source in rule.sources


def _map_item(
    item: Item, kind: str, rules: Sequence[MappingRule], envelope: Envelope
) -> Item | None:
    if any(rule.drops for rule in rules):
        return item if _speaks_of_consent(item, envelope) else None
    context = item.context
    traits = item.traits or {}
    is_identify = kind == _IDENTIFY
    if is_identify and context and is_object(context.get("traits")):
        # RudderStack puts them there; they are the same traits.
        traits = {**context["traits"], **traits}
        context = {key: value for key, value in context.items() if key != "traits"}
    properties = traits if is_identify else item.properties or {}
    event = item.event
    set_traits: dict[str, Any] = {}
    for rule in rules:
        properties = _map_properties(properties, rule.properties, envelope.oddities)
        set_traits |= {trait: properties[name] for trait, name in rule.traits if name in properties}
        event = rule.rename or event
    if is_identify:
        return msgspec.structs.replace(item, traits={**properties, **set_traits}, context=context)
    return msgspec.structs.replace(
        item, event=event, properties=properties, traits={**traits, **set_traits}
    )


def _speaks_of_consent(item: Item, envelope: Envelope) -> bool:
    return "consent" in (item.context or ()) or "consent" in envelope.context


def _map_properties(
    properties: dict[str, Any], rules: Sequence[PropertyRule], oddities: list[str]
) -> dict[str, Any]:
    mapped = dict(properties)
    for rule in rules:
        if rule.name not in mapped:
            continue
        value: Any = mapped.pop(rule.name)
        if not rule.drops:
            mapped[rule.to] = _convert(value, rule, oddities)
    return mapped


def _convert(value: object, rule: PropertyRule, oddities: list[str]) -> object:
    if value is None:
        return None
    converted: object = value
    if rule.kind:
        converted = _CONVERTERS[rule.kind](value)
    elif rule.times is not None:
        converted = read_number(value)
    if converted is None:
        oddities.append("mapping")
        return value
    if rule.times is not None and isinstance(converted, int | float):
        return round(converted * rule.times, _DIGITS)
    return converted


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None


def _boolean(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    text = _text(value)
    return None if text is None else _TRUTHS.get(text.strip().lower())


def _instant(value: object) -> str | None:
    try:
        return format_instant(read_instant(value, ""))
    except InputError:
        return None


_CONVERTERS: dict[str, Callable[[object], object]] = {
    "number": read_number,
    "text": _text,
    "boolean": _boolean,
    "instant": _instant,
}
