"""Which different values a property had, and when each came last or first.

Kept for live traits that count different values, and for those that say what is new to a customer.
"""

from operator import itemgetter

import msgspec

from engine.limits import DISTINCT_MAX, FIRSTS_MAX


class Distinct(msgspec.Struct, array_like=True, gc=False, tag=3):
    """The values that came last, each with when: exact up to `DISTINCT_MAX` of them."""

    last_at: dict[str, int] = {}


class Firsts(msgspec.Struct, array_like=True, gc=False, tag=4):
    """The values that came first, each with when: exact up to `FIRSTS_MAX` of them."""

    first_at: dict[str, int] = {}


def see(distinct: Distinct, value: str, at: int, *, edge_at: int) -> None:
    """Take in a value; drop those that did not come after `edge_at`."""
    values = distinct.last_at
    if at > values.get(value, edge_at):
        values[value] = at
    if len(values) > DISTINCT_MAX or (at > edge_at and _is_old(values, edge_at)):
        distinct.last_at = _newest({name: when for name, when in values.items() if when > edge_at})


def _is_old(values: dict[str, int], edge_at: int) -> bool:
    """Look at one value only: the one that came in first is often the one to leave first."""
    return values[next(iter(values))] <= edge_at


def unite_distinct(one: Distinct, two: Distinct) -> Distinct:
    """Make one of two: commutative and associative, an empty one changes nothing."""
    values = dict(one.last_at)
    for value, at in two.last_at.items():
        if at > values.get(value, at - 1):
            values[value] = at
    return Distinct(_newest(values))


def meet(firsts: Firsts, value: str, at: int) -> None:
    """Take in a value that may have come before."""
    values = firsts.first_at
    if at < values.get(value, at + 1):
        values[value] = at
        if len(values) > FIRSTS_MAX:
            firsts.first_at = _oldest(values)


def unite_firsts(one: Firsts, two: Firsts) -> Firsts:
    """Make one of two: commutative and associative, an empty one changes nothing."""
    values = dict(one.first_at)
    for value, at in two.first_at.items():
        if at < values.get(value, at + 1):
            values[value] = at
    return Firsts(_oldest(values))


def _newest(values: dict[str, int]) -> dict[str, int]:
    if len(values) <= DISTINCT_MAX:
        return values
    kept = sorted(values.items(), key=itemgetter(1, 0))[-DISTINCT_MAX:]
    return dict(kept)


def _oldest(values: dict[str, int]) -> dict[str, int]:
    if len(values) <= FIRSTS_MAX:
        return values
    kept = sorted(values.items(), key=itemgetter(1, 0))[:FIRSTS_MAX]
    return dict(kept)
