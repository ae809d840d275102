"""What a customer is drawn to: scores by name that halve as time goes by.

Kept for live traits of affinity. Time goes in steps of a 64th of the half-life: scores change at a
step, and are the same to the last bit on every machine, because a factor is a product of square
roots, which are rounded alike everywhere, and of powers of two, which are exact.
"""

from math import ldexp, sqrt

import msgspec

from engine.limits import AFFINITY_NAMES_MAX

STEPS = 64  # to a half-life


def _factors() -> tuple[float, ...]:
    """Work out what a score is multiplied by in 0 to 63 steps."""
    one_step = 0.5
    for _ in range(STEPS.bit_length() - 1):
        one_step = sqrt(one_step)
    factors = [1.0]
    for _ in range(STEPS - 1):
        factors.append(factors[-1] * one_step)
    return tuple(factors)


_FACTORS = _factors()


class Affinity(msgspec.Struct, array_like=True, gc=False, tag=5):
    """Scores by name as they are at `step`, counted from 1970 in 64ths of the half-life.

    Of more than `AFFINITY_NAMES_MAX` names those with the highest scores are kept.
    """

    half_life_ms: int = 0
    step: int = 0
    scores: dict[str, float] = {}


def step_of(at: int, half_life_ms: int) -> int:
    """Tell the step an instant lies in."""
    return at * STEPS // half_life_ms


def step_ends_at(step: int, half_life_ms: int) -> int:
    """Tell the instant at which the next step begins."""
    return -(-(step + 1) * half_life_ms // STEPS)


def decay(steps: int) -> float:
    """Give what a score is multiplied by after so many steps."""
    return ldexp(_FACTORS[steps % STEPS], -(steps // STEPS))


def lean(affinity: Affinity, name: str, weight: float, at: int) -> None:
    """Add to a score, for something that happened at an instant."""
    step = step_of(at, affinity.half_life_ms)
    if step > affinity.step:
        _advance(affinity, step)
    else:
        weight *= decay(affinity.step - step)
    scores = affinity.scores
    scores[name] = scores.get(name, 0.0) + weight
    if len(scores) > AFFINITY_NAMES_MAX:
        del scores[min(scores, key=lambda each: (scores[each], each))]


def ranked(affinity: Affinity, now: int) -> list[tuple[str, float]]:
    """List names and scores as they are now, the highest first, of equals the first by name."""
    factor = decay(max(0, step_of(now, affinity.half_life_ms) - affinity.step))
    listed = [(name, score * factor) for name, score in affinity.scores.items()]
    return sorted(listed, key=lambda each: (-each[1], each[0]))


def unite_affinities(one: Affinity, two: Affinity) -> Affinity:
    """Make one of two of one half-life: commutative, and associative up to rounding.

    Beyond the bound of names the lowest are gone, so there the order of uniting can matter.
    """
    if not one.scores or not two.scores:
        return two if not one.scores else one
    assert one.half_life_ms == two.half_life_ms
    step = max(one.step, two.step)
    scores: dict[str, float] = {}
    for each in (one, two):
        factor = decay(step - each.step)
        for name, score in each.scores.items():
            scores[name] = scores.get(name, 0.0) + score * factor
    kept = sorted(scores, key=lambda name: (-scores[name], name))[:AFFINITY_NAMES_MAX]
    return Affinity(one.half_life_ms, step, {name: scores[name] for name in kept})


def _advance(affinity: Affinity, step: int) -> None:
    factor = decay(step - affinity.step)
    affinity.scores = {name: score * factor for name, score in affinity.scores.items()}
    affinity.step = step
