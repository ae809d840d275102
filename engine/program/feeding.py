"""Which events and receipts a trait that is worked out may change with.

Used by `engine.program.segments`, so that a segment over live traits is looked at when that has to
be.

*Rules*
- Rather too often than too seldom: what a built-in trait of the shop rests on is taken to be every
  event of which anything is kept.
"""

from collections.abc import Mapping

from engine.program.cel.compiler import EVERYTHING
from engine.program.leaves import Leaves
from engine.traits.live import LiveTrait, TraitKind

_OF_CONTACT = frozenset({"engagement", "preferred_channel"})
_OF_SESSION = frozenset({"session"})


class Feeding:
    """What each trait is fed by, in one workspace."""

    def __init__(self, traits: Mapping[str, LiveTrait], leaves: Leaves) -> None:
        """Take what was gathered when every condition was compiled."""
        self._traits = traits
        self._kept = leaves.history()
        self._uses = [(path, name) for path, name in leaves.trait_uses if path[0] == "traits"]
        self._events = [(path, name) for path, name in leaves.event_uses if path[0] == "traits"]

    def add(self, name: str, events: list[str], engagements: list[str]) -> None:
        """Add the events and the receipts that may change a trait; `*` is any of them."""
        self._add(name, events, engagements, {})

    def _add(
        self, name: str, events: list[str], engagements: list[str], seen: dict[str, None]
    ) -> None:
        if name in seen:
            return
        seen[name] = None
        trait = self._traits.get(name)
        if trait is None:
            if name in _OF_CONTACT:
                engagements.append(EVERYTHING)
            elif name in _OF_SESSION:
                events.append(EVERYTHING)
            else:
                events.extend(self._kept)
        elif trait.kind is TraitKind.EXPR:
            engagements.append(EVERYTHING)  # it may ask for engagement, whatever its channel
            events.extend(event for path, event in self._events if path[1] == name)
            for path, used in self._uses:
                if path[1] == name:
                    self._add(used, events, engagements, seen)
        elif trait.key:
            kept = self._kept.items()
            events.extend(
                event for event, need in kept if any(feed.key == trait.key for feed in need.feeds)
            )
        else:
            events.append(trait.event)
