"""What the gates are asked about: one message to one customer on one channel.

Made by `order` once for each question, so that what many gates look at is found once.
"""

from collections.abc import Sequence
from copy import copy
from functools import lru_cache

from engine.gates.engagement import cap_factor
from engine.ledger import Slot, Tally, with_slot
from engine.place import Place
from engine.profile import Profile
from engine.program.program import Channel, Message, MessageType, Program
from engine.program.regions import RegionRule, rules_for

_REGIONS_MAX = 4_096


class Case:
    """A message on its way to a customer on a channel, and where the customer is.

    `tallies` are the sends that count, which may be others than the profile's where it is asked
    what would be after one more. `opening`, `days` and `rooms` are what the gates of hours, days
    and caps found out about this case and want to find again.
    """

    __slots__ = (
        "channel", "days", "factor", "kind", "last_at", "message", "opening", "place", "profile",
        "program", "regions", "rooms", "tallies",
    )  # fmt: skip

    def __init__(
        self,
        profile: Profile,
        program: Program,
        message: Message,
        channel: Channel,
        *,
        place: Place,
        now: int,
    ) -> None:
        self.profile = profile
        self.program = program
        self.message = message
        self.kind: MessageType = message.type
        self.channel = channel
        self.place = place
        self.tallies: Sequence[Tally] = profile.tallies
        self.last_at = profile.ledger[-1].at if profile.ledger else None
        self.opening: object = None
        self.rooms: object = None
        self.days: dict[int, object] = {}
        self.factor = cap_factor(profile, program, message.type, now)
        self.regions = _regions(program, message.type, channel, place) if program.regions else ()

    def after(self, slot: Slot) -> "Case":
        """Give the same case as it would be after one more send."""
        case = copy(self)
        case.tallies = with_slot(self.tallies, slot)
        case.rooms = None
        case.last_at = slot.at if self.last_at is None else max(self.last_at, slot.at)
        return case

    def concerns(self, purposes: tuple[str, ...]) -> bool:
        """Say whether a rule for these purposes (none is all) is about this message."""
        return not purposes or self.kind.purpose in purposes


def _regions(
    program: Program, kind: MessageType, channel: Channel, place: Place
) -> tuple[RegionRule, ...]:
    """Give the rules of law that concern this; a channel without an address reaches out to no one.

    Someone whose country is not known is under no country's law: the workspace's default country
    says whose they are.
    """
    if "regions" in kind.ignores or not channel.identity or not place.country:
        return ()
    return _find_regions(
        place.country, place.subdivision, program.regions, kind.purpose, channel.identity
    )


@lru_cache(_REGIONS_MAX)
def _find_regions(
    country: str, subdivision: str, names: tuple[str, ...], purpose: str, identity: str
) -> tuple[RegionRule, ...]:
    rules = rules_for(country, subdivision, names)
    return tuple(rule for rule in rules if rule.concerns(purpose, identity))
