"""Looking addresses up in opt-out registries, so that deciding need not.

Called by `actors.runtime` before each input, where a workspace has registries. Gives an input of
its own to be taken first, where something is not known yet: the address is new, or the list is.
"""

from collections.abc import Mapping

from actors.ports import OptOutRegistry
from engine.events import Event, EventKind, Input, Listing, Receipt, Scrubbed, Tick
from engine.phones import e164
from engine.place import find_place
from engine.profile import Profile
from engine.program.program import Program


class Scrubber:
    """The registries of a shard, by name; without any it costs nothing."""

    def __init__(self) -> None:
        self._registries: Mapping[str, OptOutRegistry] = {}

    def __bool__(self) -> bool:
        return bool(self._registries)

    def use(self, registries: Mapping[str, OptOutRegistry]) -> None:
        """Ask these from now on. Each customer's next input looks their addresses up again."""
        self._registries = registries

    def look_up(
        self, profile: Profile, given: Input, program: Program, now: int
    ) -> Scrubbed | None:
        """Say what the registries say of a customer, as far as the profile does not know it."""
        if not isinstance(given, Event | Receipt | Tick) or profile.merged_into:
            return None
        found: list[Listing] = []
        for rule in program.registries:
            registry = self._registries.get(rule.name)
            for identity in rule.identities if registry is not None else ():
                assert registry is not None
                address = _address(profile, given, identity)
                known = profile.listings.get(f"{rule.name}/{identity}")
                if not address or _is_known(known, address, registry.as_of):
                    continue
                normal = normal_address(address, find_place(profile, program).country)
                if normal:
                    listed = registry.lists(normal)
                    found.append(Listing(rule.name, identity, address, listed, registry.as_of))
        return Scrubbed(tuple(found), now) if found else None


def _is_known(known: Listing | None, address: str, as_of: int) -> bool:
    return known is not None and known.address == address and known.as_of == as_of


def _address(profile: Profile, given: Input, identity: str) -> str:
    """Find the address as it will be once this input is taken."""
    value: object = profile.traits.get(identity)
    if isinstance(given, Event) and given.kind is not EventKind.GROUP:
        value = given.traits.get(identity, value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value.strip() if isinstance(value, str) else ""


def normal_address(address: str, country: str) -> str:
    """Write an address as registries hash it: E.164, or e-mail in small letters; "" if neither."""
    if "@" in address:
        return address.strip().lower()
    return e164(address, country)
