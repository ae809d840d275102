"""What a declared trait is at an instant, read from the profile's history and measures.

Called by `engine.traits.lookup`. Reads only; `evolve` keeps what is read here.

*Rules*
- A window is half-open like everywhere: what happened in `(now - window, now]` counts.
- Counts, sums and different values of nothing are 0; everything else of nothing is absent.
- Instants and durations are given in ms, as conditions have them.
"""

from collections.abc import Callable
from typing import Any

from engine.measures.affinity import Affinity, ranked, step_ends_at, step_of
from engine.measures.distinct import Distinct
from engine.measures.series import MILLION, NOTHING, Series, Stretch, read
from engine.measures.summary import Summary
from engine.profile import History
from engine.traits.live import ABSENT, LiveTrait, Look, TraitKind

_PLACES = 6  # of a score; further ones are rounding
_NO_HISTORY = History()
_NO_SUMMARY = Summary()


def read_declared(trait: LiveTrait, look: Look) -> Any:  # noqa: ANN401 - any value
    """Give the value of a declared trait, ABSENT where there is none."""
    return _READERS[trait.kind](trait, look)


def _count(trait: LiveTrait, look: Look) -> Any:  # noqa: ANN401
    if trait.window_ms is not None:
        return _stretch(trait, look).number
    return _summary(trait, look).count if trait.key else _history(trait, look).count


def _sum(trait: LiveTrait, look: Look) -> Any:  # noqa: ANN401
    if trait.window_ms is not None:
        return _stretch(trait, look).total / MILLION
    return _summary(trait, look).total / MILLION


def _average(trait: LiveTrait, look: Look) -> Any:  # noqa: ANN401
    if trait.window_ms is not None:
        within = _stretch(trait, look)
        count, total = within.number, within.total
    else:
        summary = _summary(trait, look)
        count, total = summary.count, summary.total
    return total / count / MILLION if count else ABSENT


def _interval(trait: LiveTrait, look: Look) -> Any:  # noqa: ANN401
    if trait.window_ms is not None:
        within = _stretch(trait, look)
        return mean_interval_ms(within.number, within.first_at, within.last_at)
    one = _summary(trait, look) if trait.key else _history(trait, look)
    return mean_interval_ms(one.count, one.first_at, one.last_at)


def mean_interval_ms(count: int, first_at: int, last_at: int) -> Any:  # noqa: ANN401 - or ABSENT
    """Give the mean time between events, in whole ms; ABSENT with less than two."""
    return (last_at - first_at) // (count - 1) if count > 1 else ABSENT


def _min(trait: LiveTrait, look: Look) -> Any:  # noqa: ANN401
    low = _summary(trait, look).low
    return ABSENT if low is None else low / MILLION


def _max(trait: LiveTrait, look: Look) -> Any:  # noqa: ANN401
    high = _summary(trait, look).high
    return ABSENT if high is None else high / MILLION


def _first(trait: LiveTrait, look: Look) -> Any:  # noqa: ANN401
    one = _summary(trait, look) if trait.key else _history(trait, look)
    if not one.count:
        return ABSENT
    return one.first if trait.of and isinstance(one, Summary) else one.first_at


def _last(trait: LiveTrait, look: Look) -> Any:  # noqa: ANN401
    one = _summary(trait, look) if trait.key else _history(trait, look)
    if not one.count:
        return ABSENT
    return one.last if trait.of and isinstance(one, Summary) else one.last_at


def _distinct(trait: LiveTrait, look: Look) -> Any:  # noqa: ANN401
    measure = look.owner.measures.get(trait.key)
    if not isinstance(measure, Distinct):
        return 0
    if trait.window_ms is None:
        return len(measure.last_at)
    edge_at = look.now - trait.window_ms
    within = [at for at in measure.last_at.values() if at > edge_at]
    if within:
        look.watch(min(within) + trait.window_ms)
    return len(within)


def _affinity(trait: LiveTrait, look: Look) -> Any:  # noqa: ANN401
    measure = look.owner.measures.get(trait.key)
    if not isinstance(measure, Affinity) or not measure.scores:
        return ABSENT
    listed = ranked(measure, look.now)
    if not trait.scores:
        return listed[0][0]  # all scores shrink alike: the order never changes by time alone
    half_life_ms = measure.half_life_ms
    look.watch(step_ends_at(step_of(look.now, half_life_ms), half_life_ms))
    return {name: round(score, _PLACES) for name, score in listed}


def _history(trait: LiveTrait, look: Look) -> History:
    return look.owner.history.get(trait.event, _NO_HISTORY)


def _summary(trait: LiveTrait, look: Look) -> Summary:
    measure = look.owner.measures.get(trait.key)
    return measure if isinstance(measure, Summary) else _NO_SUMMARY


def _stretch(trait: LiveTrait, look: Look) -> Stretch:
    series = look.owner.measures.get(trait.key) if trait.key else _history(trait, look).recent
    if not isinstance(series, Series):
        return NOTHING
    within = read(series, trait.window_ms, look.now, name=trait.of)
    if within.changes_at is not None:
        look.watch(within.changes_at)
    return within


_READERS: dict[TraitKind, Callable[[LiveTrait, Look], Any]] = {
    TraitKind.COUNT: _count,
    TraitKind.SUM: _sum,
    TraitKind.AVERAGE: _average,
    TraitKind.INTERVAL: _interval,
    TraitKind.MIN: _min,
    TraitKind.MAX: _max,
    TraitKind.FIRST: _first,
    TraitKind.LAST: _last,
    TraitKind.DISTINCT: _distinct,
    TraitKind.AFFINITY: _affinity,
}
