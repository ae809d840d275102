"""Which value of a trait is the latest, by when it was said rather than by when it came.

Called by `evolve` for every trait that is written. Each trait has the instant of its last writing,
so that an older value that arrives late changes nothing, and a late removal removes nothing newer.

An instant for every trait would take as much memory as the traits do. Most customers are told of
by calls that say all there is, again and again; so a profile keeps the instant of the last writing
that named all of its traits (`traits_at`), and an instant apart (`written`) for those that were
written alone, and for names that were removed. That is exact, and empty for most customers.

*Rules*
- The result does not depend on the order in which writings of different instants arrive.
- At one instant the writing that comes last counts: clients send in the order they speak.
- A change that rests on the present value (`inc`, `add`, `remove`) is made when it arrives, late or
  not, and never makes a trait older. Where the present value is of another kind nothing changes.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any, TypeGuard

from engine.events import ChangeKind, TraitChange
from engine.limits import INT_MAX, INT_MIN, TRAIT_ITEMS_MAX, TRAITS_MAX
from engine.profile import Profile

_NEVER = -(2**62)


def write_traits(profile: Profile, values: Mapping[str, Any], at: int) -> None:
    """Take in what was said of a customer at an instant; None removes a trait."""
    if _names_all(profile, values, at):
        _write_all(profile, values, at)
        return
    for name, value in values.items():
        write_later(profile, name, value, at)


def write_later(profile: Profile, name: str, value: object, at: int) -> None:
    """Write one trait, unless it was written later than that; None removes it."""
    if at >= written_at(profile, name):
        write_trait(profile, name, value, at)


def written_at(profile: Profile, name: str) -> int:
    """Tell when a trait was last written or removed; long ago, where it never was."""
    at = profile.written.get(name)
    if at is not None:
        return at
    return profile.traits_at if name in profile.traits else _NEVER


def write_trait(profile: Profile, name: str, value: object, at: int) -> None:
    """Write one trait, whatever was written before; None removes it."""
    traits, written = profile.traits, profile.written
    if value is None:
        traits.pop(name, None)
    elif name in traits or len(traits) < TRAITS_MAX:
        traits[name] = value
    else:
        return
    if name not in written and len(written) >= TRAITS_MAX:
        _forget_removed(profile)
    written[name] = at


def _names_all(profile: Profile, values: Mapping[str, Any], at: int) -> bool:
    """Say whether a writing names every trait there is, and none was written later."""
    traits = profile.traits
    if at < profile.traits_at or len(values) < len(traits) or not traits.keys() <= values.keys():
        return False
    written = profile.written
    return not written or at >= max(written.values())


def _write_all(profile: Profile, values: Mapping[str, Any], at: int) -> None:
    traits, written = profile.traits, profile.written
    profile.traits_at = at
    for name, value in values.items():
        if value is None:
            write_trait(profile, name, None, at)
        elif name in traits or len(traits) < TRAITS_MAX:
            traits[name] = value
            if written:
                written.pop(name, None)


def _forget_removed(profile: Profile) -> None:
    """Forget that a name was removed, the one longest ago; at least one is, of so many."""
    removed = [name for name in profile.written if name not in profile.traits]
    if removed:
        del profile.written[min(removed, key=profile.written.__getitem__)]


def change_trait(profile: Profile, change: TraitChange, at: int) -> None:
    """Make a change that rests on the value a trait has."""
    name, value = change.trait, change.value
    present: object = profile.traits.get(name)
    changed: object
    if isinstance(value, list):
        changed = _change_list(present, change.kind, value)
    else:
        changed = _increase(present, value)
    if changed is not None:
        write_trait(profile, name, changed, max(at, written_at(profile, name)))


def _increase(present: object, by: float) -> object:
    if present is None:
        return by
    if isinstance(present, bool) or not isinstance(present, int | float):
        return None
    total = present + by
    if isinstance(total, int) and not INT_MIN <= total <= INT_MAX:
        total = float(total)  # larger integers can't be stored
    return total if isfinite(total) else None


def _is_list(value: object) -> TypeGuard[list[Any]]:
    """Say whether a value is a list, in a way type checkers follow."""
    return isinstance(value, list)


def _change_list(present: object, kind: ChangeKind, values: list[Any]) -> object:
    if present is not None and not _is_list(present):
        return None
    kept = [each for each in present or [] if each not in values]
    if kind is ChangeKind.REMOVE:
        return kept if present is not None else None
    for value in values:
        if value not in kept:
            kept.append(value)
    return kept[-TRAIT_ITEMS_MAX:]
