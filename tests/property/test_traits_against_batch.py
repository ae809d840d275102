"""Live traits equal what a plain computation over all events gives, whatever order they came in."""

from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings, strategies as st

from engine.events import Event, EventKind
from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS, format_instant
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.program.program import Program
from engine.program.view import live_traits
from engine.step import step

ORIGIN_AT = 1_767_225_600_000
WINDOWS = {"1h": HOUR_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS, "365d": 365 * DAY_MS}

_TRAITS: dict[str, Any] = {
    "orders": {"count": "Order Completed"},
    "first_order_at": {"first": "Order Completed"},
    "last_order_at": {"last": "Order Completed"},
    "spent": {"sum": "Order Completed", "of": "revenue"},
    "first_store": {"first": "Order Completed", "of": "store"},
    "last_store": {"last": "Order Completed", "of": "store"},
    "stores": {"distinct": "Order Completed", "of": "store"},
    "smallest": {"min": "Order Completed", "of": "revenue"},
    "largest": {"max": "Order Completed", "of": "revenue"},
    "average_order": {"average": "Order Completed", "of": "revenue"},
    "rand_orders": {"count": "Order Completed", "if": 'event.currency == "ZAR"'},
    "orders_each": {"expr": "profile.orders_30d * 2"},
}


def _windowed(window: str) -> dict[str, Any]:
    """Declare a trait of each kind that takes a window."""
    orders = {"of": "revenue", "window": window}
    return {
        f"orders_{window}": {"count": "Order Completed", "window": window},
        f"spent_{window}": {"sum": "Order Completed", **orders},
        f"rand_spent_{window}": {
            "sum": "Order Completed",
            "if": 'event.currency == "ZAR"',
            **orders,
        },
        f"average_{window}": {"average": "Order Completed", **orders},
        f"stores_{window}": {"distinct": "Order Completed", "of": "store", "window": window},
        f"views_{window}": {"count": "Product Viewed", "window": window},
        f"views_of_{window}": {"distinct": "Product Viewed", "of": "category", "window": window},
    }


TRAITS = {**_TRAITS, **{n: t for window in WINDOWS for n, t in _windowed(window).items()}}
PROGRAM = compile_source({"workspace": "shop", "traits": TRAITS})


class Told(NamedTuple):
    """One event as it arrived."""

    id: str
    customer: str
    name: str
    at: int
    arrived_at: int
    properties: dict[str, Any]


def load(told: Sequence[Told], program: Program) -> dict[str, Profile]:
    """Give every event to the engine, in order of arrival.

    The seam: whatever loads events another way must give the same profiles.
    """
    profiles: dict[str, Profile] = {}
    for one in told:
        profile = profiles.setdefault(one.customer, Profile(one.customer))
        event = Event(
            one.id,
            EventKind.TRACK,
            one.name,
            one.customer,
            None,
            one.at,
            one.arrived_at,
            properties=one.properties,
        )
        step(profile, event, program, one.arrived_at)
    return profiles


def batch(told: Sequence[Told], now: int) -> dict[str, Any]:
    """Work out the traits of one customer from the list of what was told of them."""
    once = {one.id: one for one in reversed(told)}.values()
    orders = [one for one in once if one.name == "Order Completed"]
    views = [one for one in once if one.name == "Product Viewed"]
    found: dict[str, Any] = {"orders": len(orders)}
    found["rand_orders"] = len([one for one in orders if one.properties.get("currency") == "ZAR"])
    if orders:
        found["first_order_at"] = format_instant(min(one.at for one in orders))
        found["last_order_at"] = format_instant(max(one.at for one in orders))
    cents = [_cents(one) for one in orders if "revenue" in one.properties]
    found["spent"] = sum(cents) / 100
    if cents:
        found["smallest"], found["largest"] = min(cents) / 100, max(cents) / 100
        found["average_order"] = pytest.approx(sum(cents) / len(cents) / 100, rel=1e-12)
    in_stores = [one for one in orders if "store" in one.properties]
    found["stores"] = len({one.properties["store"] for one in in_stores})
    if in_stores:
        found["first_store"] = min((one.at, one.properties["store"]) for one in in_stores)[1]
        found["last_store"] = max((one.at, one.properties["store"]) for one in in_stores)[1]
    for name, window_ms in WINDOWS.items():
        inside = [one for one in orders if now - window_ms < one.at <= now]
        seen = [one for one in views if now - window_ms < one.at <= now]
        paid = [_cents(one) for one in inside if "revenue" in one.properties]
        found[f"orders_{name}"] = len(inside)
        found[f"spent_{name}"] = sum(paid) / 100
        rands = [one for one in inside if one.properties.get("currency") == "ZAR"]
        found[f"rand_spent_{name}"] = (
            sum(_cents(one) for one in rands if "revenue" in one.properties) / 100
        )
        if paid:
            found[f"average_{name}"] = pytest.approx(sum(paid) / len(paid) / 100, rel=1e-12)
        stores = {one.properties["store"] for one in inside if "store" in one.properties}
        found[f"stores_{name}"] = len(stores)
        found[f"views_{name}"] = len(seen)
        found[f"views_of_{name}"] = len({one.properties["category"] for one in seen})
    found["orders_each"] = found["orders_30d"] * 2
    return found


def _cents(one: Told) -> int:
    revenue: float = one.properties["revenue"]
    return round(revenue * 100)


def declared(profile: Profile, program: Program, now: int) -> dict[str, Any]:
    every = live_traits(profile, program, now)
    return {name: value for name, value in every.items() if name in program.traits}


_offsets = st.one_of(
    st.integers(0, 400 * DAY_MS),
    st.integers(0, 60).map(lambda n: n * MINUTE_MS),
    st.integers(0, 20).map(lambda n: 390 * DAY_MS + n * 20 * MINUTE_MS),
)
_order = st.fixed_dictionaries(
    {},
    optional={
        "revenue": st.integers(-100_00, 10_000_00).map(lambda cents: cents / 100),
        "currency": st.sampled_from(["ZAR", "USD"]),
        "store": st.sampled_from(["Cape Town", "Durban", "Paarl"]),
    },
)
_view = st.fixed_dictionaries({"category": st.sampled_from(["shoes", "hats", "bags", "gifts"])})
_happening = st.one_of(
    st.tuples(st.just("Order Completed"), _offsets, _order),
    st.tuples(st.just("Product Viewed"), _offsets, _view),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Told]:
    """Make what happened; some of it is told late, some twice, and not in order."""
    told: list[Told] = []
    for number, (name, offset, properties) in enumerate(
        draw(st.lists(_happening, min_size=1, max_size=40))
    ):
        at = ORIGIN_AT + offset
        arrived_at = at + draw(st.sampled_from([0, 0, 1, HOUR_MS, 5 * DAY_MS]))
        told.append(Told(f"m{number}", "u1", name, at, arrived_at, properties))
        again_ms = draw(st.sampled_from([None, None, 0, HOUR_MS, DAY_MS]))
        if again_ms is not None:
            told.append(told[-1]._replace(arrived_at=arrived_at + again_ms))
    return sorted(told, key=lambda one: one.arrived_at)


@given(histories(), st.sampled_from([0, 1, 30 * MINUTE_MS, 3 * DAY_MS, 200 * DAY_MS]))
@settings(deadline=None)
def test_live_traits_are_those_of_a_batch_computation(told: list[Told], later_ms: int) -> None:
    now = told[-1].arrived_at + later_ms
    profile = load(told, PROGRAM)["u1"]
    assert declared(profile, PROGRAM, now) == batch(told, now)


def generate(seed: int, *, customers: int, events: int) -> list[Told]:
    """Make the history of a shop over a year, as it arrived: a tenth late, a fiftieth twice."""
    chance = Random(seed)
    spacing_ms = 365 * DAY_MS // events
    told: list[Told] = []
    for number in range(events):
        at = ORIGIN_AT + number * spacing_ms
        # Few come often and many seldom.
        customer = f"u{int(customers * chance.random() ** 3)}"
        properties: dict[str, Any] = {}
        if chance.random() < 0.2:
            name = "Order Completed"
            properties["revenue"] = chance.randrange(100, 500_000) / 100
            properties["currency"] = chance.choice(["ZAR", "ZAR", "USD"])
            properties["store"] = chance.choice(["Cape Town", "Durban", "Paarl"])
        else:
            name = "Product Viewed"
            properties["category"] = f"c{chance.randrange(30)}"
        late_ms = chance.randrange(2 * DAY_MS) if chance.random() < 0.1 else 0
        one = Told(f"m{number}", customer, name, at, at + late_ms, properties)
        told.append(one)
        if chance.random() < 0.02:
            told.append(one._replace(arrived_at=one.arrived_at + chance.randrange(HOUR_MS)))
    told.sort(key=lambda one: one.arrived_at)
    return told


def compare(told: list[Told]) -> None:
    now = told[-1].arrived_at
    profiles = load(told, PROGRAM)
    by_customer: dict[str, list[Told]] = {}
    for one in told:
        by_customer.setdefault(one.customer, []).append(one)
    for customer, own in by_customer.items():
        assert declared(profiles[customer], PROGRAM, now) == batch(own, now), customer


@pytest.mark.slow
def test_a_shop_of_many_customers_has_the_traits_of_a_batch_computation() -> None:
    compare(generate(1, customers=50, events=5_000))


@pytest.mark.long
def test_a_million_events_have_the_traits_of_a_batch_computation() -> None:
    compare(generate(2, customers=50_000, events=1_000_000))
