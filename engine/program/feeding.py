"""Which events and receipts a trait that is worked out may change with.

Used by `engine.program.segments`, so that a segment over live traits is looked at when that has to
be.

*Rules*
- Rather too often than too seldom: what a built-in trait of the shop rests on is taken to be every
  event of which anything is kept; what follows from a place or a device may change with any.
"""

from collections.abc import Mapping

import msgspec

from engine.program.cel.compiler import EVERYTHING
from engine.program.leaves import Leaves
from engine.traits.live import LiveTrait, TraitKind
from engine.traits.lookup import BUILT_IN

_OF_CONTACT = frozenset({"engagement", "preferred_channel"})
_OF_SHOP = frozenset({"lifetime_value", "orders", "rfm", "shopping"})


class Fed(msgspec.Struct):
    """The events, stated traits and receipts (`channel/status`) that may change something."""

    events: list[str] = []
    traits: list[str] = []
    engagements: list[str] = []


class Feeding:
    """What each trait is fed by, in one workspace."""

    def __init__(self, traits: Mapping[str, LiveTrait], leaves: Leaves) -> None:
        """Take what was gathered when every condition was compiled."""
        self._traits = traits
        self._kept = leaves.history()
        self._uses = [(path, name) for path, name in leaves.trait_uses if path[0] == "traits"]
        self._events = [(path, name) for path, name in leaves.event_uses if path[0] == "traits"]

    def add(self, name: str, fed: Fed) -> None:
        """Add what may change a trait; `*` is any event, trait or receipt."""
        self._add(name, fed, {})

    def _add(self, name: str, fed: Fed, seen: dict[str, None]) -> None:
        if name in seen:
            return
        seen[name] = None
        trait = self._traits.get(name)
        if trait is None:
            self._add_built_in(name, fed)
        elif trait.kind is TraitKind.EXPR:
            fed.traits.append(EVERYTHING)
            fed.engagements.append(EVERYTHING)  # it may ask for engagement, whatever its channel
            fed.events.extend(event for path, event in self._events if path[1] == name)
            for path, used in self._uses:
                if path[1] == name:
                    self._add(used, fed, seen)
        elif trait.key:
            for event, need in self._kept.items():
                if any(feed.key == trait.key for feed in need.feeds):
                    fed.events.append(event)
        else:
            fed.events.append(trait.event)

    def _add_built_in(self, name: str, fed: Fed) -> None:
        if name in _OF_CONTACT:
            fed.engagements.append(EVERYTHING)
        elif name in _OF_SHOP:
            fed.events.extend(self._kept)
        elif name in BUILT_IN:  # a session, or what follows from a place, a device, a stage
            fed.events.append(EVERYTHING)
            fed.traits.append(EVERYTHING)
