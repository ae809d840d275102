"""What every workspace keeps of orders, so that built-in traits have something to tell.

Called by `compile`. The events are those of Segment's e-commerce specification.
"""

from itertools import pairwise

from msgspec import UNSET

from engine.program.leaves import Leaves
from engine.program.places import Path
from engine.program.program import Feed
from engine.program.traitmodel import RfmSpec
from engine.records import Shape
from engine.traits.live import RfmRules
from engine.traits.orders import CATEGORIES_KEY, ORDER, ORDERS_KEY, STORES_KEY, WORTH_KEY

_ADDED = "Product Added"
_WORTH = ("revenue", "total", "value")  # what an order is worth: the first of these
_STORE = ("store", "store_id", "location_id")
_DEFAULTS = RfmRules()


def feed_orders(rules: RfmRules, leaves: Leaves) -> None:
    """Have orders go into the measures that built-in traits are read from."""
    worth = Feed(
        ORDERS_KEY,
        Shape.SERIES,
        _WORTH,
        numeric=True,
        keep_ms=rules.window_ms,
        is_optional=True,
    )
    leaves.feed(ORDER, worth)
    leaves.feed(ORDER, Feed(WORTH_KEY, Shape.SUMMARY, _WORTH, numeric=True))
    leaves.feed(ORDER, Feed(CATEGORIES_KEY, Shape.FIRSTS, ("category",), each="products"))
    leaves.feed(ORDER, Feed(STORES_KEY, Shape.FIRSTS, _STORE))
    leaves.feed(_ADDED, Feed(CATEGORIES_KEY, Shape.FIRSTS, ("category",)))


def compile_rfm(spec: RfmSpec, leaves: Leaves) -> RfmRules:
    """Compile where the scores of recency, frequency and money begin."""
    path: Path = ("rfm",)
    window_ms = leaves.duration_or_none(spec.window, (*path, "window")) or _DEFAULTS.window_ms
    recency_ms = _DEFAULTS.recency_ms
    if spec.recency is not UNSET:
        recency_ms = tuple(
            leaves.duration(text, (*path, "recency", index))
            for index, text in enumerate(spec.recency)
        )
    frequency = _DEFAULTS.frequency if spec.frequency is UNSET else spec.frequency
    monetary = _DEFAULTS.monetary if spec.monetary is UNSET else spec.monetary
    _check_thresholds("recency", recency_ms, leaves)
    _check_thresholds("frequency", frequency, leaves)
    _check_thresholds("monetary", monetary, leaves)
    return RfmRules(window_ms, recency_ms, frequency, monetary)


def _check_thresholds(key: str, thresholds: tuple[float, ...], leaves: Leaves) -> None:
    """Insist on four thresholds, each above the one before."""
    path: Path = ("rfm", key)
    steps = pairwise(thresholds)
    if leaves.faults.touches(path):
        return
    if len(thresholds) != 4 or any(low >= high for low, high in steps):  # noqa: PLR2004 - 1 to 5
        message = "five scores need four thresholds, each above the one before"
        leaves.faults.add(path, message, "like [30d, 60d, 120d, 240d] or [2, 3, 5, 10]")
