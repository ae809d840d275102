"""What is known of all the events a live trait looks at, whatever their number.

Kept for live traits without a window. A summary of one event united with what is known is what is
known afterwards, so order and origin of events do not matter.
"""

import msgspec

from engine.limits import TRAIT_TEXT_MAX
from engine.measures.series import amount_of

Scalar = str | int | float | bool | None

_WRAP, _HALF = 2**64, 2**63


class Summary(msgspec.Struct, array_like=True, gc=False, tag=2):
    """Count, total, extremes, and the first and last value; amounts are millionths.

    Of two events at the same instant the one whose value is written as the smaller JSON text is
    the first, and the one with the greater the last.
    """

    count: int = 0
    total: int = 0
    low: int | None = None
    high: int | None = None
    first_at: int = 0
    first: Scalar = None
    last_at: int = 0
    last: Scalar = None


def summarise(at: int, value: Scalar) -> Summary:
    """Make the summary of one event."""
    amount = amount_of(value)
    return Summary(1, amount or 0, amount, amount, at, value, at, value)


def unite_summaries(one: Summary, two: Summary) -> Summary:
    """Make one summary of two: commutative and associative, an empty one changes nothing."""
    if not one.count or not two.count:
        return two if not one.count else one
    first = min(one, two, key=lambda each: (each.first_at, _written(each.first)))
    last = max(one, two, key=lambda each: (each.last_at, _written(each.last)))
    lows = [each for each in (one.low, two.low) if each is not None]
    highs = [each for each in (one.high, two.high) if each is not None]
    return Summary(
        count=one.count + two.count,
        total=(one.total + two.total + _HALF) % _WRAP - _HALF,
        low=min(lows, default=None),
        high=max(highs, default=None),
        first_at=first.first_at,
        first=first.first,
        last_at=last.last_at,
        last=last.last,
    )


def scalar_of(value: object) -> Scalar:
    """Give what a trait may keep of a property: a short text, a number, true or false."""
    if isinstance(value, str):
        return value[:TRAIT_TEXT_MAX]
    if isinstance(value, bool):
        return value
    return value if amount_of(value) is not None and isinstance(value, int | float) else None


def _written(value: Scalar) -> bytes:
    return msgspec.json.encode(value)
