"""Measures ← what was gathered: the part of evolving that live traits rest on.

Called by `engine.evolve` with one record. Like all of evolving it never looks at the program.
"""

from collections.abc import Callable

from engine.instants import INSTANT_MIN
from engine.limits import MEASURES_MAX
from engine.measures.affinity import Affinity, lean
from engine.measures.distinct import Distinct, Firsts, meet, see
from engine.measures.series import Series, add, amount_of
from engine.measures.summary import Summary, summarise, unite_summaries
from engine.profile import Measure
from engine.records import Gathered, Shape

AMOUNT = "amount"  # what the one number of a measure's own series is called


def gather(measures: dict[str, Measure], gathered: Gathered, now: int) -> None:
    """Take one event into a measure; the one longest there makes room for a new one."""
    if gathered.key not in measures and len(measures) >= MEASURES_MAX:
        del measures[next(iter(measures))]
    _GATHERERS[gathered.shape](measures, gathered, now)


def _gather_series(measures: dict[str, Measure], gathered: Gathered, now: int) -> None:
    series = measures.get(gathered.key)
    if not isinstance(series, Series):
        series = measures[gathered.key] = Series()
    amount = amount_of(gathered.value)
    amounts = {} if amount is None else {AMOUNT: amount}
    add(series, gathered.at, amounts, edge_at=_edge_at(gathered, now))


def _gather_summary(measures: dict[str, Measure], gathered: Gathered, _now: int) -> None:
    known = measures.get(gathered.key)
    news = summarise(gathered.at, gathered.value)
    measures[gathered.key] = unite_summaries(known, news) if isinstance(known, Summary) else news


def _gather_distinct(measures: dict[str, Measure], gathered: Gathered, now: int) -> None:
    distinct = measures.get(gathered.key)
    if not isinstance(distinct, Distinct):
        distinct = measures[gathered.key] = Distinct()
    see(distinct, str(gathered.value), gathered.at, edge_at=_edge_at(gathered, now))


def _gather_firsts(measures: dict[str, Measure], gathered: Gathered, _now: int) -> None:
    firsts = measures.get(gathered.key)
    if not isinstance(firsts, Firsts):
        firsts = measures[gathered.key] = Firsts()
    meet(firsts, str(gathered.value), gathered.at)


def _gather_affinity(measures: dict[str, Measure], gathered: Gathered, _now: int) -> None:
    affinity = measures.get(gathered.key)
    if not isinstance(affinity, Affinity):
        affinity = measures[gathered.key] = Affinity(gathered.keep_ms)
    lean(affinity, str(gathered.value), gathered.weight, gathered.at)


def _edge_at(gathered: Gathered, now: int) -> int:
    return now - gathered.keep_ms if gathered.keep_ms else INSTANT_MIN - 1


_GATHERERS: dict[Shape, Callable[[dict[str, Measure], Gathered, int], None]] = {
    Shape.SERIES: _gather_series,
    Shape.SUMMARY: _gather_summary,
    Shape.DISTINCT: _gather_distinct,
    Shape.FIRSTS: _gather_firsts,
    Shape.AFFINITY: _gather_affinity,
}
