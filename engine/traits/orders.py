"""What a shop wants to know of a customer without asking: orders, their worth, and what changed.

Called by `engine.traits.lookup`. Read from measures that `Order Completed` and `Product Added` feed
in every workspace (`engine.program.orders`), and from the history of `Order Completed`.
"""

from typing import Any

from engine.instants import DAY_MS, HOUR_MS, format_instant
from engine.measures.distinct import Firsts
from engine.measures.series import MILLION, NOTHING, Series, Stretch, read
from engine.measures.summary import Summary
from engine.profile import History
from engine.traits.declared import mean_interval_ms
from engine.traits.gather import AMOUNT
from engine.traits.live import ABSENT, Look

ORDER = "Order Completed"
ORDERS_KEY, WORTH_KEY = "orders", "orders/worth"
CATEGORIES_KEY, STORES_KEY = "orders/categories", "orders/stores"

NEWS_MS = 30 * DAY_MS  # for how long what is new to a customer is news
DROP_FACTOR = 2.0  # so many times their own interval without an order is a drop
_INTERVALS_LEAST = 2  # fewer tell nothing about what is usual
_PLACES = 4
_NO_ORDERS = History()


def read_rfm(look: Look) -> Any:  # noqa: ANN401 - a map, or ABSENT
    """Give recency, frequency and money, each with its score of 1 to 5; ABSENT without an order."""
    orders = _orders(look)
    if not orders.count:
        return ABSENT
    rules = look.book.rfm
    within = _stretch(look, rules.window_ms)
    since_ms = max(0, look.now - orders.last_at)
    days = since_ms // DAY_MS
    for after_ms in ((days + 1) * DAY_MS, *rules.recency_ms):
        if after_ms >= since_ms:
            look.watch(orders.last_at + after_ms + (after_ms == since_ms))
    monetary = within.total / MILLION
    recency_score = 5 - sum(since_ms > threshold for threshold in rules.recency_ms)
    frequency_score = 1 + sum(within.number >= threshold for threshold in rules.frequency)
    monetary_score = 1 + sum(monetary >= threshold for threshold in rules.monetary)
    return {
        "recency": days,
        "frequency": within.number,
        "monetary": monetary,
        "recency_score": recency_score,
        "frequency_score": frequency_score,
        "monetary_score": monetary_score,
        "score": f"{recency_score}{frequency_score}{monetary_score}",
    }


def read_orders(look: Look) -> Any:  # noqa: ANN401 - a map, or ABSENT
    """Give count, worth and rhythm of all orders; ABSENT without one."""
    orders = _orders(look)
    if not orders.count:
        return ABSENT
    found: dict[str, Any] = {
        "count": orders.count,
        "first_at": format_instant(orders.first_at),
        "last_at": format_instant(orders.last_at),
    }
    worth = _worth(look)
    if worth.count:
        found["total"] = worth.total / MILLION
        found["average"] = worth.total / worth.count / MILLION
    interval_ms = mean_interval_ms(orders.count, orders.first_at, orders.last_at)
    if interval_ms is not ABSENT:
        found["interval_days"] = round(interval_ms / DAY_MS, _PLACES)
    return found


def read_lifetime_value(look: Look) -> Any:  # noqa: ANN401 - a number, or ABSENT
    """Give what all orders so far were worth; ABSENT without one that says."""
    worth = _worth(look)
    return worth.total / MILLION if worth.count else ABSENT


def read_shopping(look: Look) -> Any:  # noqa: ANN401 - a map, or ABSENT
    """Give how the pattern of shopping changed; ABSENT without an order."""
    orders = _orders(look)
    if not orders.count:
        return ABSENT
    found: dict[str, Any] = {"has_dropped": False}
    interval_ms = mean_interval_ms(orders.count, orders.first_at, orders.last_at)
    if orders.count > _INTERVALS_LEAST and interval_ms is not ABSENT and interval_ms > 0:
        drops_at = orders.last_at + int(interval_ms * DROP_FACTOR)
        found["has_dropped"] = look.now > drops_at
        found["overdue"] = round((look.now - orders.last_at) / interval_ms, 2)
        look.watch((look.now // HOUR_MS + 1) * HOUR_MS)
        if drops_at >= look.now:
            look.watch(drops_at + 1)
    for name, key in (("new_category", CATEGORIES_KEY), ("new_store", STORES_KEY)):
        news = _news(look, key)
        if news is not ABSENT:
            found[name] = news
    return found


def _news(look: Look, key: str) -> Any:  # noqa: ANN401 - a name, or ABSENT
    """Give what came last of what is new: others were there before it, and it is not long ago."""
    firsts = look.owner.measures.get(key)
    if not isinstance(firsts, Firsts) or len(firsts.first_at) < 2:  # noqa: PLR2004 - it and another
        return ABSENT
    at, name = max((at, name) for name, at in firsts.first_at.items())
    is_alone = all(first_at == at for first_at in firsts.first_at.values())
    if is_alone or at + NEWS_MS <= look.now:
        return ABSENT
    look.watch(at + NEWS_MS)
    return name


def _orders(look: Look) -> History:
    return look.owner.history.get(ORDER, _NO_ORDERS)


def _worth(look: Look) -> Summary:
    measure = look.owner.measures.get(WORTH_KEY)
    return measure if isinstance(measure, Summary) else Summary()


def _stretch(look: Look, window_ms: int) -> Stretch:
    series = look.owner.measures.get(ORDERS_KEY)
    if not isinstance(series, Series):
        return NOTHING
    within = read(series, window_ms, look.now, name=AMOUNT)
    if within.changes_at is not None:
        look.watch(within.changes_at)
    return within
