"""How much a customer has to do with what they get on a channel, and at which hours of the week.

Kept for each channel on which anything was sent. Scores halve every 30 days, in the steps of
`affinity`; hours are counted as they are.
"""

import msgspec

from engine.instants import DAY_MS
from engine.measures.affinity import decay, step_of

HALF_LIFE_MS = 30 * DAY_MS
HOURS = 7 * 24
STATUSES = ("sent", "delivered", "opened", "clicked", "replied")

_HOUR_MAX = 255


class Engaged(msgspec.Struct, array_like=True, gc=False, tag=6):
    """Scores as they are at `step`, and openings and clicks by hour of the local week.

    `hours` has a byte for each hour from Monday at midnight, which stays at 255; or none at all.
    """

    step: int = 0
    sent: float = 0.0
    delivered: float = 0.0
    opened: float = 0.0
    clicked: float = 0.0
    replied: float = 0.0
    hours: bytes = b""


def note_engaged(engaged: Engaged, status: str, at: int, hour: int = -1) -> None:
    """Count one message more of a status; `hour` of the week, -1 where it does not matter."""
    step = step_of(at, HALF_LIFE_MS)
    weight = 1.0
    if step > engaged.step:
        _advance(engaged, step)
    elif step < engaged.step:
        weight = decay(engaged.step - step)
    setattr(engaged, status, getattr(engaged, status) + weight)
    if hour >= 0:
        hours = bytearray(engaged.hours or HOURS)
        hours[hour] = min(_HOUR_MAX, hours[hour] + 1)
        engaged.hours = bytes(hours)


def scores_at(engaged: Engaged, now: int) -> dict[str, float]:
    """Give the score of each status as it is now."""
    factor = decay(max(0, step_of(now, HALF_LIFE_MS) - engaged.step))
    return {status: getattr(engaged, status) * factor for status in STATUSES}


def unite_engaged(one: Engaged, two: Engaged) -> Engaged:
    """Make one of two: commutative, associative up to rounding; an empty one changes nothing."""
    step = max(one.step, two.step)
    hours = one.hours or two.hours
    if one.hours and two.hours:
        both = zip(one.hours, two.hours, strict=True)
        hours = bytes(min(_HOUR_MAX, a + b) for a, b in both)
    united = Engaged(step, hours=hours)
    for each in (one, two):
        factor = decay(step - each.step)
        for status in STATUSES:
            score = getattr(united, status) + getattr(each, status) * factor
            setattr(united, status, score)
    return united


def _advance(engaged: Engaged, step: int) -> None:
    factor = decay(step - engaged.step)
    engaged.sent *= factor
    engaged.delivered *= factor
    engaged.opened *= factor
    engaged.clicked *= factor
    engaged.replied *= factor
    engaged.step = step
