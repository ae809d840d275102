"""Whose identities are, and who turned out to be whom: profile ← the inputs that say so.

The part of `engine.evolve` for `Linked`, `Unlinked`, `Merged`, `Departed`, `Refused`, `Restored`
and `Abridged`. Each gives False, having changed nothing, where its input says nothing new.

*Rules*
- A customer who departed keeps its name, whom it became, and how far its numbers went: nothing
  made later, should the two be parted, has an id that was used before.
- Identities have a bound for each namespace; the one that was linked first goes first.
"""

from collections.abc import Collection

import msgspec

from engine.events import (
    Abridged,
    Departed,
    Key,
    Linked,
    Merged,
    Refused,
    Restored,
    Unlinked,
)
from engine.identities import ANONYMOUS, USER, name_key
from engine.limits import IDENTITIES_MAX, REFUSALS_MAX
from engine.merge import absorb
from engine.profile import Profile
from engine.seen import take_over

_IDS = (ANONYMOUS, USER)
_decode_profile = msgspec.msgpack.Decoder(Profile).decode


def evolve_linked(profile: Profile, linked: Linked, now: int) -> bool:
    """Note identities as this customer's."""
    _link(profile, linked.keys, linked.at)
    if linked.seen:
        take_over(profile.seen, linked.seen, now)
    return True


def evolve_unlinked(profile: Profile, unlinked: Unlinked, _now: int) -> bool:
    """Forget identities that are another customer's now; an anonymous one's own name may be."""
    if name_key(profile.customer) in unlinked.keys:
        profile.is_nameless = True
    _unlink(profile, unlinked.keys)
    return True


def evolve_merged(profile: Profile, merged: Merged, now: int) -> bool:
    """Take in another customer's profile, unless that was done before."""
    if profile.absorbed.get(merged.customer, -1) >= merged.seq:
        return False
    absorb(profile, _decode_profile(merged.profile), now)
    _link(profile, merged.keys, merged.at)
    profile.absorbed[merged.customer] = merged.seq
    if merged.customer in profile.apart:
        profile.apart.remove(merged.customer)
    return True


def evolve_departed(profile: Profile, departed: Departed, _now: int) -> bool:
    """Leave nothing behind but where everything went."""
    _become(
        profile,
        Profile(
            profile.customer,
            merged_into=departed.into,
            timer_count=profile.timer_count,
            instance_count=profile.instance_count,
            proposal_count=profile.proposal_count,
            decision_count=profile.decision_count,
            segments_timer=profile.segments_timer,
        ),
    )
    return True


def evolve_refused(profile: Profile, refused: Refused, _now: int) -> bool:
    """Remember that a merge was refused, so that it is said once."""
    name = refusal(refused.key, refused.customer)
    if name in profile.refused:
        return False
    profile.refused = [*profile.refused, name][-REFUSALS_MAX:]
    return True


def refusal(key: Key, customer: str) -> str:
    """Name a merge that was not made."""
    return f"{key[0]}/{customer}"


def evolve_replaced(profile: Profile, given: Restored | Abridged, _now: int) -> bool:
    """Be what an input says in whole: one's own events, or what was before some were erased."""
    _become(profile, _decode_profile(given.profile))
    return True


def strangers_of(profile: Profile) -> set[str]:
    """Name the customers a profile speaks of as somebody else.

    Of an id that an alias gave up nobody knows at first whether it was a visitor's or a customer's:
    so any id this one has may be a customer's name.
    """
    ids = (value for namespace in _IDS for value in profile.identities.get(namespace, {}))
    return {*profile.apart, *map(_refused_one, profile.refused), *ids}


def leave_out(profile: Profile, customers: Collection[str]) -> tuple[Key, ...]:
    """Forget that there were others of these names; gives the identities that are lost by it."""
    profile.apart = [name for name in profile.apart if name not in customers]
    profile.refused = [one for one in profile.refused if _refused_one(one) not in customers]
    keys = tuple(
        (namespace, value)
        for namespace in _IDS
        for value in profile.identities.get(namespace, {})
        if value in customers
    )
    _unlink(profile, keys)
    return keys


def _refused_one(refused: str) -> str:
    return refused.partition("/")[2]


def _link(profile: Profile, keys: tuple[Key, ...], at: int) -> None:
    if profile.is_nameless and name_key(profile.customer) in keys:
        profile.is_nameless = False
    for namespace, value in keys:
        values = profile.identities.setdefault(namespace, {})
        values.setdefault(value, at)
        if len(values) > IDENTITIES_MAX:
            del values[next(iter(values))]


def _unlink(profile: Profile, keys: tuple[Key, ...]) -> None:
    for namespace, value in keys:
        values = profile.identities.get(namespace, {})
        values.pop(value, None)
        if not values:
            profile.identities.pop(namespace, None)


def _become(profile: Profile, other: Profile) -> None:
    for name in profile.__struct_fields__:
        setattr(profile, name, getattr(other, name))
