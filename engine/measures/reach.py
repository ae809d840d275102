"""Whether an address can be reached on a channel, as its provider says.

Kept by `evolve` for each address a provider could not reach; read by `engine.traits.reach`. What a
failure means for how long is decided by `engine.journeys.deliveries` and stands in the record.
"""

from collections.abc import Mapping

import msgspec

from engine.events import Failure
from engine.instants import NEVER_AT
from engine.limits import REACH_MAX, SOFT_BOUNCES_MAX, SOFT_BOUNCES_MS


class Reach(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """What is known of one address on one channel since it was last reached there.

    It is given up until `until`, for good where that is None; 0 is not yet. `soft_at` is when it
    could not be reached for the moment, `absences` how often nobody of that address was there.
    """

    at: int
    failure: str
    code: str
    until: int | None
    soft_at: tuple[int, ...] = ()
    absences: int = 0

    def is_given_up(self, now: int) -> bool:
        """Say whether nothing is to be sent there now."""
        return self.until is None or now < self.until


def soft_bounces(known: Reach | None, at: int) -> tuple[int, ...]:
    """Give when an address could not be reached for the moment, this time included."""
    earlier = () if known is None else known.soft_at
    recent = [one for one in (*earlier, at) if one > at - SOFT_BOUNCES_MS]
    return tuple(sorted(recent))[-SOFT_BOUNCES_MAX:]


def note_unreached(
    reach: dict[str, Reach], key: str, *, failure: str, code: str, at: int, until: int | None
) -> None:
    """Take in that a provider could not reach an address."""
    known = reach.pop(key, None)
    soft_at = soft_bounces(known, at) if failure == Failure.UNREACHABLE else ()
    absences = 0 if known is None else known.absences
    if failure == Failure.NOT_THERE:
        absences += 1
    reach[key] = Reach(at, failure, code, until, soft_at, absences)
    _bound(reach)


def note_reached(reach: dict[str, Reach], key: str, at: int) -> None:
    """Forget what was said of an address before a message arrived there."""
    known = reach.get(key)
    if known is not None and known.at <= at:
        del reach[key]


def unite_reach(ours: Mapping[str, Reach], theirs: Mapping[str, Reach]) -> dict[str, Reach]:
    """Unite what is known of addresses; the later word stays, of one instant the stricter."""
    united = dict(ours)
    for key, other in theirs.items():
        known = united.get(key)
        united[key] = other if known is None else max(known, other, key=_weight)
    ordered = sorted(united.items(), key=lambda item: (item[1].at, item[0]))
    return dict(ordered[-REACH_MAX:])


def _weight(one: Reach) -> tuple[object, ...]:
    until = NEVER_AT if one.until is None else one.until
    return one.at, until, one.absences, one.soft_at, one.failure, one.code


def _bound(reach: dict[str, Reach]) -> None:
    if len(reach) > REACH_MAX:
        del reach[next(iter(reach))]
