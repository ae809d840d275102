"""Whose identities are, and who turned out to be whom: profile ← the inputs that say so.

The part of `engine.evolve` for `Linked`, `Unlinked`, `Merged`, `Departed`, `Refused` and
`Restored`. Each gives False, having changed nothing, where its input says nothing new.

*Rules*
- A customer who departed keeps its name, whom it became, and how far its numbers went: nothing
  made later, should the two be parted, has an id that was used before.
- Identities have a bound for each namespace; the one that was linked first goes first.
"""

import msgspec

from engine.events import Departed, Key, Linked, Merged, Refused, Restored, Unlinked
from engine.limits import IDENTITIES_MAX, REFUSALS_MAX
from engine.merge import absorb
from engine.profile import Profile
from engine.seen import take_over

_decode_profile = msgspec.msgpack.Decoder(Profile).decode


def evolve_linked(profile: Profile, linked: Linked, now: int) -> bool:
    """Note identities as this customer's."""
    _link(profile, linked.keys, linked.at)
    if linked.seen:
        take_over(profile.seen, linked.seen, now)
    return True


def evolve_unlinked(profile: Profile, unlinked: Unlinked, _now: int) -> bool:
    """Forget identities that are another customer's now."""
    for namespace, value in unlinked.keys:
        values = profile.identities.get(namespace, {})
        values.pop(value, None)
        if not values:
            profile.identities.pop(namespace, None)
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


def evolve_restored(profile: Profile, restored: Restored, _now: int) -> bool:
    """Be what one's own events make one."""
    _become(profile, _decode_profile(restored.profile))
    return True


def _link(profile: Profile, keys: tuple[Key, ...], at: int) -> None:
    for namespace, value in keys:
        values = profile.identities.setdefault(namespace, {})
        values.setdefault(value, at)
        if len(values) > IDENTITIES_MAX:
            del values[next(iter(values))]


def _become(profile: Profile, other: Profile) -> None:
    for name in profile.__struct_fields__:
        setattr(profile, name, getattr(other, name))
