"""What an event feeds: the past that conditions count over, and the measures of live traits.

Called by `decide` for events that the program keeps something of; others cost one look-up by name.
Puts down records, which `evolve` folds without the program.
"""

from collections.abc import Mapping
from typing import Any

from engine.events import Event
from engine.measures.distinct import Firsts
from engine.measures.series import amount_of
from engine.measures.summary import Scalar, scalar_of
from engine.program.plain import dict_or_none, list_or_none
from engine.program.program import Feed, HistoryNeed
from engine.program.scope import Scope
from engine.records import Counted, Gathered, Shape
from engine.turn import Turn

_ITEMS_MAX = 50  # of a list that is looked at
_WORDED = (Shape.DISTINCT, Shape.FIRSTS, Shape.AFFINITY)  # measures by name of a value


def gather_event(turn: Turn, need: HistoryNeed, event: Event) -> None:
    """Put down everything that one event feeds."""
    if need.window_ms and event.at > turn.now - need.window_ms:
        values = _numbers(need, event) if need.values else {}
        turn.note(Counted(event.name, event.at, need.window_ms, values))
    scope: Scope | None = None
    for feed in need.feeds:
        values_fed = _pick(feed, event.properties)
        if not values_fed:
            continue
        if feed.condition is not None:
            if scope is None:
                scope = turn.scope(event.properties, event.name, event.context)
            if not feed.condition.test(scope):
                continue
        for value in values_fed:
            _feed(turn, feed, value, event.at)


def _feed(turn: Turn, feed: Feed, value: Scalar, at: int) -> None:
    if not _is_idle(turn, feed, value, at):
        turn.note(Gathered(feed.key, feed.shape, at, value, feed.keep_ms, feed.weight))


def _numbers(need: HistoryNeed, event: Event) -> dict[str, float]:
    """Pick the numbers that conditions add up."""
    found: dict[str, float] = {}
    for name in need.values:
        value = event.properties.get(name)
        if value is not None and amount_of(value) is not None:
            found[name] = float(value)
    return found


def _pick(feed: Feed, properties: Mapping[str, Any]) -> tuple[Scalar, ...]:
    """Give what goes in: one value as a rule, nothing where there is none that fits."""
    value = _pick_one(feed, properties)
    if feed.each:
        items = list_or_none(properties.get(feed.each)) or []
        found = [_pick_one(feed, dict_or_none(item) or {}) for item in items[:_ITEMS_MAX]]
        return tuple(dict.fromkeys(one for one in (value, *found) if one is not None))
    if value is None and feed.of and not feed.is_optional:
        return ()
    return (value,)


def _pick_one(feed: Feed, properties: Mapping[str, Any]) -> Scalar:
    for name in feed.of:
        value = properties.get(name)
        if value is None or (feed.numeric and amount_of(value) is None):
            continue
        scalar = scalar_of(value)
        if scalar is not None and scalar != "":
            return _word(scalar) if feed.shape in _WORDED else scalar
    return None


def _word(value: Scalar) -> str:
    """Write a value as the name it goes by among others."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def _is_idle(turn: Turn, feed: Feed, value: Scalar, at: int) -> bool:
    """Say that an event would change nothing: it is too old, or its value is known already."""
    if feed.shape is Shape.FIRSTS:
        firsts = turn.profile.measures.get(feed.key)
        known_at = firsts.first_at.get(str(value)) if isinstance(firsts, Firsts) else None
        return known_at is not None and known_at <= at
    is_windowed = feed.keep_ms and feed.shape in (Shape.SERIES, Shape.DISTINCT)
    return bool(is_windowed) and at <= turn.now - feed.keep_ms
