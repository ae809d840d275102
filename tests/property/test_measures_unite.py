"""Measures can be united in any order, and take events in any order."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from engine.instants import DAY_MS, HOUR_MS, INSTANT_MIN
from engine.measures import distinct as distinct_module, series as series_module
from engine.measures.affinity import Affinity, lean, ranked, unite_affinities
from engine.measures.distinct import Distinct, Firsts, meet, see, unite_distinct, unite_firsts
from engine.measures.series import Series, add, expire, read, rows_of, unite_series
from engine.measures.summary import Summary, summarise, unite_summaries

ORIGIN_AT = 1_767_225_600_000
EVER = INSTANT_MIN - 1

Happening = tuple[int, dict[str, int]]

few = settings(max_examples=100, deadline=None, derandomize=True)

_instants = st.one_of(
    st.integers(0, 40 * DAY_MS), st.integers(0, 90).map(lambda n: n * (HOUR_MS // 3))
).map(lambda offset: ORIGIN_AT + offset)
_amounts = st.dictionaries(st.sampled_from(["price", "revenue"]), st.integers(-(10**12), 10**18))
_happenings = st.lists(st.tuples(_instants, _amounts), max_size=40)
_values = st.one_of(st.text("ab", max_size=2), st.integers(-3, 3), st.booleans(), st.none())


@contextmanager
def small_bounds() -> Generator[None]:
    """Set the bounds so low that a few events come over each of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series_module, "SERIES_EXACT_MAX", 4)
        patch.setattr(series_module, "SERIES_HOURS_MAX", 3)
        patch.setattr(series_module, "SERIES_DAYS_MAX", 2)
        patch.setattr(distinct_module, "DISTINCT_MAX", 3)
        patch.setattr(distinct_module, "FIRSTS_MAX", 3)
        yield


def series_of(happenings: Sequence[Happening]) -> Series:
    series = Series()
    for at, amounts in happenings:
        add(series, at, amounts, edge_at=EVER)
    return series


def named(series: Series) -> list[tuple[int, int, dict[str, int]]]:
    """Give the rows by name, without amounts of nothing."""
    return [
        (
            row.at,
            row.number,
            {
                name: amount
                for name, amount in zip(series.names, row.amounts, strict=True)
                if amount
            },
        )
        for row in rows_of(series)
    ]


@given(_happenings, st.randoms(use_true_random=False))
@few
def test_rows_do_not_depend_on_the_order_of_arrival(
    happenings: list[Happening], chance: Any
) -> None:
    shuffled = list(happenings)
    chance.shuffle(shuffled)
    with small_bounds():
        assert named(series_of(shuffled)) == named(series_of(happenings))
    assert named(series_of(shuffled)) == named(series_of(happenings))


@given(_happenings, _happenings)
@few
def test_a_series_of_two_is_the_series_of_all_their_events(
    one: list[Happening], two: list[Happening]
) -> None:
    with small_bounds():
        united = unite_series(series_of(one), series_of(two))
        assert named(united) == named(series_of([*one, *two]))


@given(_happenings)
@few
def test_no_event_is_lost_to_a_bound(happenings: list[Happening]) -> None:
    with small_bounds():
        rows = rows_of(series_of(happenings))
    assert sum(row.number for row in rows) == len(happenings)
    assert len(rows) <= 4 + 3 + 2 + 1


@given(_happenings, _instants, st.integers(1, 30 * DAY_MS))
@few
def test_a_window_holds_what_happened_in_it(
    happenings: list[Happening], now: int, window_ms: int
) -> None:
    series = series_of(happenings)
    within = read(series, window_ms, now, name="price")
    meant = [(at, amounts) for at, amounts in happenings if now - window_ms < at <= now]
    assert within.number == len(meant)
    total = sum(amounts.get("price", 0) for _, amounts in meant)
    assert (within.total - total) % 2**64 == 0
    if meant:
        assert (within.first_at, within.last_at) == (
            min(at for at, _ in meant),
            max(at for at, _ in meant),
        )


@given(_happenings, _instants, st.integers(1, 30 * DAY_MS))
@few
def test_beyond_the_newest_a_window_is_out_by_what_shares_a_day_with_its_edge(
    happenings: list[Happening], now: int, window_ms: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series_module, "SERIES_EXACT_MAX", 4)
        patch.setattr(series_module, "SERIES_HOURS_MAX", 3)
        found = read(series_of(happenings), window_ms, now).number
    edge_at = now - window_ms
    instants = [at for at, _ in happenings]
    meant = sum(edge_at < at <= now for at in instants)
    beside = sum(at <= edge_at and at // DAY_MS == edge_at // DAY_MS for at in instants)
    ahead = sum(at > now and at // DAY_MS == now // DAY_MS for at in instants)
    # Where something is told ahead of its time, all that shares its row waits for that.
    waiting = sum(at <= now and at // DAY_MS == now // DAY_MS for at in instants) if ahead else 0
    assert meant - beside - waiting <= found <= meant + beside + ahead


@given(_happenings, _instants, st.integers(1, 30 * DAY_MS))
@few
def test_an_answer_holds_until_it_is_said_to_change(
    happenings: list[Happening], now: int, window_ms: int
) -> None:
    series = series_of(happenings)
    within = read(series, window_ms, now)
    if within.changes_at is None:
        assert read(series, window_ms, now + 400 * DAY_MS).number == within.number
    else:
        assert within.changes_at > now
        assert read(series, window_ms, within.changes_at - 1).number == within.number
        assert read(series, window_ms, within.changes_at) != within


@given(_happenings, _instants)
@few
def test_dropping_what_is_old_leaves_the_rest(happenings: list[Happening], edge_at: int) -> None:
    series = series_of(happenings)
    before = named(series)
    expire(series, edge_at)
    assert named(series) == [row for row in before if row[0] > edge_at]


def summary_of(events: Sequence[tuple[int, Any]]) -> Summary:
    summary = Summary()
    for at, value in events:
        summary = unite_summaries(summary, summarise(at, value))
    return summary


def distinct_of(events: Sequence[tuple[int, Any]]) -> dict[str, int]:
    distinct = Distinct()
    for at, value in events:
        see(distinct, str(value), at, edge_at=EVER)
    return distinct.last_at


def firsts_of(events: Sequence[tuple[int, Any]]) -> dict[str, int]:
    firsts = Firsts()
    for at, value in events:
        meet(firsts, str(value), at)
    return firsts.first_at


_events = st.lists(st.tuples(st.integers(0, 6), _values), max_size=8)
_KINDS: list[tuple[Callable[[Any], Any], Callable[[Any, Any], Any], Any]] = [
    (summary_of, unite_summaries, Summary()),
    (lambda events: Distinct(distinct_of(events)), unite_distinct, Distinct()),
    (lambda events: Firsts(firsts_of(events)), unite_firsts, Firsts()),
]


@pytest.mark.parametrize(("make", "unite", "empty"), _KINDS)
@given(one=_events, two=_events, three=_events)
@few
def test_uniting_is_commutative_associative_and_what_all_events_give(
    make: Callable[[Any], Any],
    unite: Callable[[Any, Any], Any],
    empty: Any,
    one: Any,
    two: Any,
    three: Any,
) -> None:
    with small_bounds():
        a, b, c = make(one), make(two), make(three)
        assert unite(a, b) == unite(b, a)
        assert unite(unite(a, b), c) == unite(a, unite(b, c))
        assert unite(a, empty) == a == unite(empty, a)
        assert unite(a, b) == make([*two, *one])


_leanings = st.lists(
    st.tuples(st.integers(0, 200 * DAY_MS), st.sampled_from("abc"), st.floats(0.1, 10)), max_size=12
)


def affinity_of(events: Sequence[tuple[int, str, float]]) -> Affinity:
    affinity = Affinity(30 * DAY_MS)
    for at, name, weight in events:
        lean(affinity, name, weight, ORIGIN_AT + at)
    return affinity


@given(_leanings, _leanings, _leanings)
@few
def test_affinities_unite_in_any_order_up_to_rounding(one: Any, two: Any, three: Any) -> None:
    a, b, c = affinity_of(one), affinity_of(two), affinity_of(three)
    assert unite_affinities(a, b) == unite_affinities(b, a)
    assert unite_affinities(a, Affinity(30 * DAY_MS)) == a
    now = ORIGIN_AT + 300 * DAY_MS
    left = dict(ranked(unite_affinities(unite_affinities(a, b), c), now))
    right = dict(ranked(unite_affinities(a, unite_affinities(b, c)), now))
    assert left == pytest.approx(right, rel=1e-9)
    assert left == pytest.approx(dict(ranked(affinity_of([*three, *one, *two]), now)), rel=1e-9)
