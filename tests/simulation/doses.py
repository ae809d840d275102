"""How much of a world each seed of the campaign gets.

A world with twelve people takes seven times as long as one with two, and half of all the time when
each seed chooses. Most of what goes wrong goes wrong with one to three, and is found sooner in more
of those; each tenth is as the seed says, for what only a crowd does.

While a disk is full everybody tries again, and nothing else happens: of the others half have none.
"""

from actors.simulate.hazards import EVERY
from actors.simulate.world import Plan

DAYS = 0.25
_FEW = 3
_CROWD_EACH = 10


def dose(seed: int) -> Plan:
    """Give the plan of a seed."""
    if seed % _CROWD_EACH == 0:
        return Plan(seed, DAYS)
    faults = EVERY - {"enospc"} if seed % 2 else EVERY
    return Plan(seed, DAYS, faults, 1 + seed % _FEW)


def again(seed: int) -> str:
    """Say how to run a seed once more."""
    plan = dose(seed)
    faults = "all" if plan.faults == EVERY else ",".join(sorted(plan.faults))
    return f"nextbeat sim --seed {seed} --days {DAYS} --people {plan.people} --faults {faults}"
