"""What is kept of two customers for their live traits, united into one.

Called by `engine.merge`. Every function is commutative and associative, and what is empty changes
nothing (affinities up to rounding, see there). Nothing that was given is changed.

*Rules*
- Two customers have no event in common, so counts are added.
- A measure of one key is of one kind. Should it ever not be, the one whose kind comes first stays.
"""

from collections.abc import Callable, Mapping
from typing import Any

from engine.limits import MEASURES_MAX
from engine.measures.affinity import Affinity, unite_affinities
from engine.measures.distinct import Distinct, Firsts, unite_distinct, unite_firsts
from engine.measures.engaged import Engaged, unite_engaged
from engine.measures.series import Series, unite_series
from engine.measures.summary import Summary, unite_summaries
from engine.profile import History, Measure


def unite_histories(one: History, two: History) -> History:
    """Make one history of two of the same event."""
    if not one.count or not two.count:
        return two if not one.count else one
    recents = [each.recent for each in (one, two) if each.recent is not None]
    return History(
        one.count + two.count,
        min(one.first_at, two.first_at),
        max(one.last_at, two.last_at),
        unite_series(recents[0], recents[-1] if recents[1:] else Series()) if recents else None,
    )


def unite_measures(one: Mapping[str, Measure], two: Mapping[str, Measure]) -> dict[str, Measure]:
    """Make one set of measures of two; beyond the bound the last keys go."""
    united = dict(one)
    for key, measure in two.items():
        known = united.get(key)
        united[key] = measure if known is None else _unite(known, measure)
    return {key: united[key] for key in sorted(united)[:MEASURES_MAX]}


def _unite(one: Measure, two: Measure) -> Measure:
    if type(one) is not type(two):
        return min(one, two, key=lambda each: _KINDS.index(type(each)))
    united: Measure = _UNITERS[type(one)](one, two)
    return united


_UNITERS: dict[type[Any], Callable[[Any, Any], Any]] = {
    Series: unite_series,
    Summary: unite_summaries,
    Distinct: unite_distinct,
    Firsts: unite_firsts,
    Affinity: unite_affinities,
    Engaged: unite_engaged,
}
_KINDS: list[type[Any]] = list(_UNITERS)
