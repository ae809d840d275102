"""Who is whose in a stay: the instance that entered a journey, and the branches it runs in.

Asked by `evolve`, `journeys` and `decide`. A `parallel` step makes an instance of each branch, with
the one that reached the step as its parent; branches may branch again.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from engine.profile import Instance, Profile


def topmost(profile: Profile, instance: Instance) -> Instance:
    """Give the instance that entered the journey, of which this one is a branch, or is itself."""
    parent = profile.instances.get(instance.parent)
    while parent is not None:
        instance, parent = parent, profile.instances.get(parent.parent)
    return instance


def family(profile: Profile, instance: Instance) -> list[Instance]:
    """List an instance and its branches, and theirs; parents come before children."""
    if len(profile.instances) == 1:
        return [instance]
    found = {instance.id: instance}
    # Numbers only go up, and a branch is made after its parent: one look at each is enough.
    for number, one in sorted(profile.instances.items()):
        if one.parent in found:
            found[number] = one
    return list(found.values())


def stays(profile: Profile) -> Iterable[Instance]:
    """List the instances that entered their journey, without the branches of any."""
    return [one for one in profile.instances.values() if not one.parent]


def variables(profile: Profile, instance: Instance) -> Mapping[str, Any]:
    """Give the variables of a stay: every branch reads and writes the same ones."""
    return topmost(profile, instance).vars
