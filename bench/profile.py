"""What an event costs against how long a customer's history is, and what such a customer takes.

One customer of a shop with live traits of every kind: after 100, 1,000, 10,000 and 100,000 events
the next ones are timed, each with a segment that reads windows, and the profile is weighed.
"""

import gc
import time
import tracemalloc
from collections.abc import Iterator

import msgspec

from bench.figures import Check, report, spread
from bench.shop import MIX
from engine.events import Event, EventKind
from engine.instants import DAY_MS, parse_instant
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.program.program import Program
from engine.program.scope import Scope
from engine.step import step

ORIGIN_AT = parse_instant("2026-03-03T08:00:00Z")
LENGTHS = (100, 1_000, 10_000, 100_000)
TIMED = 1_000
YEAR_MS = 365 * DAY_MS
COPIES = 20

WORKSPACE = {
    "workspace": "shop",
    "traits": {
        "views_1h": {"count": "Product Viewed", "window": "1h"},
        "views_365d": {"count": "Product Viewed", "window": "365d"},
        "spent_90d": {"sum": "Order Completed", "of": "revenue", "window": "90d"},
        "spent": {"sum": "Order Completed", "of": "revenue"},
        "rand_orders_365d": {
            "count": "Order Completed",
            "window": "365d",
            "if": 'event.currency == "ZAR"',
        },
        "categories_30d": {"distinct": "Product Viewed", "of": "category", "window": "30d"},
        "likes": {"affinity": ["Product Viewed", "Product Added"], "of": "category"},
        "first_query": {"first": "Products Searched", "of": "query"},
        "list_interval": {"interval": "Product List Viewed"},
    },
    "segments": {
        "keen": (
            'profile.views_1h >= 3 && profile.views_365d > 5 && count("Cart Viewed", "30d") >= 0'
            ' && sum("Product Added", "price", "7d") >= 0'
        )
    },
}


def run() -> bool:
    """Time and weigh customers of growing histories."""
    program = compile_source(WORKSPACE)
    found = {length: _measure(length, program) for length in LENGTHS}
    short, long = found[LENGTHS[0]], found[LENGTHS[-1]]
    return report(
        "profile",
        [
            Check(
                "step and segment: after 100,000 events over after 100",
                long["step_us"] / short["step_us"],
                2,
                "x",
                at_most=True,
            ),
            Check(
                "a customer of 100,000 events on disk",
                long["disk_bytes"],
                128_000,
                "B",
                at_most=True,
            ),
            Check(
                "a customer of 100 events in memory",
                short["memory_bytes"],
                16_000,
                "B",
                at_most=True,
            ),
        ],
        {f"after {length:,} events": figures for length, figures in found.items()},
    )


def _measure(length: int, program: Program) -> dict[str, float]:
    """Load a year of one customer's events, then time the ones that follow."""
    profile = Profile("u1")
    spacing_ms = YEAR_MS // length
    given = _events(spacing_ms)
    for _ in range(length):
        event = next(given)
        step(profile, event, program, event.at)
    gc.collect()
    gc.disable()
    took: list[float] = []
    for _ in range(TIMED):
        event = next(given)
        started = time.perf_counter_ns()
        step(profile, event, program, event.at)
        program.membership.segments["keen"].flip(Scope(profile, event.at, book=program))
        took.append((time.perf_counter_ns() - started) / 1_000)
    gc.enable()
    kept = msgspec.msgpack.encode(profile)
    return {
        "step_us": spread(took)["p50"],
        "step_p99_us": spread(took)["p99"],
        "disk_bytes": float(len(kept)),
        "disk_traits_bytes": float(_traits_bytes(profile)),
        "memory_bytes": _memory_bytes(kept),
    }


def _events(spacing_ms: int) -> Iterator[Event]:
    """Give one customer's events without end, in the proportions of the shop."""
    names = [(name, properties) for share, name, properties in MIX for _ in range(share)]
    number = 0
    while True:
        # A stride that is prime to the length of the list visits every kind in proportion.
        name, properties = names[number * 389 % len(names)]
        found = msgspec.json.decode((properties % (number % 977)).encode(), type=dict[str, object])
        if "category" in found:
            found["category"] = f"c{number % 37}"
        at = ORIGIN_AT + number * spacing_ms
        yield Event(f"m{number}", EventKind.TRACK, name, "u1", None, at, at, properties=found)
        number += 1


def _traits_bytes(profile: Profile) -> int:
    """Weigh what is kept for windows and traits; the rest is mostly ids of inputs taken before."""
    recents = [history.recent for history in profile.history.values()]
    return len(msgspec.msgpack.encode([profile.measures, recents]))


def _memory_bytes(kept: bytes) -> float:
    """Weigh profiles as they are after they were loaded."""
    decoder = msgspec.msgpack.Decoder(Profile)
    decoder.decode(kept)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    profiles = [decoder.decode(kept) for _ in range(COPIES)]
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / len(profiles)
