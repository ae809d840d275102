"""What the catalogue knows of the things an event names, put into the event.

Called by `actors.catalogue` for what comes in, and by replay for the events of a file, before an
event is journaled: the journal holds what was known at that moment, so it says the same for ever.

Rules
- What an event says itself wins over the catalogue, always and in every field.
- An event that names nothing of the catalogue is given back as it is, the very same object.
- Each item goes where the workspace says (`event.product`); of some fields (price, category,
  currency) the event itself lacks, it gets the item's. Elements of a list (`products`) get all
  they lack.
- Properties are bounded: what does not fit any more is left out, from the end.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from engine.events import Event
from engine.intake.catalogue import ID, read_fields, read_id
from engine.intake.shapes import is_array, is_object
from engine.limits import ENRICH_BYTES_MAX, ENRICH_LIST_MAX
from engine.program.catalogue import ItemJoin, Joins

# Gives the fields of an item as msgpack, by kind and id.
Find = Callable[[str, str], bytes | None]

_OWN_KEYS = (ID,)


def enrich(event: Event, joins: Joins, find: Find) -> Event:
    """Tell an event what is known of the things it names; the same event where that is nothing."""
    if joins.keys.isdisjoint(event.properties):
        return event
    work = _Work(dict(event.properties), find)
    for join in joins.kinds:
        work.join(join)
    if not work.is_changed:
        return event
    return msgspec.structs.replace(event, properties=work.properties)


class _Work:
    """One event's properties while they grow."""

    __slots__ = ("find", "is_changed", "left_bytes", "properties")

    def __init__(self, properties: dict[str, Any], find: Find) -> None:
        self.properties = properties
        self.find = find
        self.left_bytes = ENRICH_BYTES_MAX
        self.is_changed = False

    def join(self, join: ItemJoin) -> None:
        """Take in what one kind of item knows."""
        properties = self.properties
        own = properties.get(join.name)
        keys = join.keys
        item = self.look_up(join.kind, properties, keys)
        if item is None and is_object(own):
            item = self.look_up(join.kind, own, (*keys, *_OWN_KEYS))
        if item is not None:
            for name in join.fill:
                if name in item and properties.get(name) is None:
                    properties[name] = item[name]
            if own is None:
                properties[join.name] = item
            elif is_object(own):
                properties[join.name] = _under(item, own)
            self.is_changed = True
        elements = properties.get(join.within) if join.within else None
        if is_array(elements):
            properties[join.within] = self.elements(join, elements)

    def elements(self, join: ItemJoin, elements: list[Any]) -> list[Any]:
        """Fill in the elements of a list, as many as there is room for."""
        told = list(elements)
        for place, element in enumerate(elements[:ENRICH_LIST_MAX]):
            if is_object(element):
                item = self.look_up(join.kind, element, join.keys)
                if item is not None:
                    told[place] = _under(item, element)
                    self.is_changed = True
        return told

    def look_up(
        self, kind: str, said: dict[str, Any], keys: tuple[str, ...]
    ) -> dict[str, Any] | None:
        """Find the item that is named by the first key it is known by, while there is room."""
        for key in keys:
            given = said.get(key)
            name = read_id(given) if given is not None else ""
            body = self.find(kind, name) if name else None
            if body is not None:
                if len(body) > self.left_bytes:
                    return None
                self.left_bytes -= len(body)
                return {ID: name, **read_fields(body)}
        return None


def _under(item: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """Lay what is known under what is said; a null says nothing."""
    return {**item, **{name: value for name, value in said.items() if value is not None}}
