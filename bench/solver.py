"""What the exact moment costs: on the demo programme, at worst, as rules and history grow."""

import gc
import time
from collections.abc import Callable
from typing import Any

from bench.decision import proposing
from bench.figures import Check, median, report, spread
from bench.server import ORIGIN_AT, bench_workspace
from engine.calendars import warm
from engine.gates.case import Case
from engine.gates.order import next_eligible
from engine.instants import DAY_MS, HOUR_MS, format_instant
from engine.ledger import Slot, enter_slot
from engine.place import find_place
from engine.profile import Profile
from engine.program.compile import compile_source

ROUNDS = 200
HISTORIES = (10, 100, 1_000)  # sends in the ledger
RULES = (1, 10, 100)  # shared caps
GROWTH_MAX = 2.0  # what a hundred times the history may cost

_EVERY_DAY = {"mon-sun": "09:00-17:00"}


def run() -> bool:
    """Time the solver alone, from a profile to an instant."""
    gc.collect()
    gc.freeze()
    gc.disable()
    demo = spread(_demo())
    worst = _worst()
    by_history = {sends: _time(_capped(8, sends)) for sends in HISTORIES}
    by_rules = {rules: _time(_capped(rules, 100)) for rules in RULES}
    gc.enable()
    growth = by_history[HISTORIES[-1]] / by_history[HISTORIES[0]]
    return report(
        "solver",
        [
            Check("demo programme, p50", demo["p50"], 30, "us", at_most=True),
            Check("worst programme over 400 days", max(worst.values()), 2_000, "us", at_most=True),
            Check("1,000 sends against 10", growth, GROWTH_MAX, "x", at_most=True),
        ],
        {
            "demo, us": demo,
            "worst programmes, us": worst,
            "by sends in the ledger, us": by_history,
            "by shared caps, us": by_rules,
        },
    )


def _demo() -> list[float]:
    """Time every first channel of the messages that the shop's traffic proposes."""
    program = bench_workspace().program
    took: list[float] = []
    for name, profile, given in proposing(program):
        message = program.messages[name]
        channel = program.channels[message.type.channels[0]]
        started = time.perf_counter_ns()
        place = find_place(profile, program)
        case = Case(profile, program, message, channel, place=place, now=given.at)
        next_eligible(case, given.at)
        took.append((time.perf_counter_ns() - started) / 1_000)
    return took


def _worst() -> dict[str, float]:
    """Time programmes that make the solver go all the way to its horizon."""
    warm(["US", "ZA"], range(2026, 2029))
    every_day = [{"name": f"day {number}", "from": _day(number)} for number in range(400)]
    mondays = {"mon": "09:00-10:00"}
    closed_mondays = [{"name": f"monday {n}", "from": _day(6 + 7 * n)} for n in range(58)]
    return {
        "every day closed by a rule of its own": _time(
            _story(
                {"email": {**_EMAIL, "window": _EVERY_DAY}},
                {"blackouts": every_day, "regions": ["ZA"]},
                {"timezone": "Africa/Johannesburg", "country": "ZA"},
            )
        ),
        "open on Mondays, and all of them closed": _time(
            _story({"email": {**_EMAIL, "window": mondays}}, {"blackouts": closed_mondays}, {})
        ),
        "somewhere in the United States": _time(
            _story(
                {"sms": {"adapter": "log", "identity": "phone", "window": "18:00-22:00"}},
                {"regions": ["US"], "holidays": {"calendar": "customer"}},
                {"phone": "+18005550123", "country": "US"},
            )
        ),
        "quiet hours that leave nothing": _time(
            _story({"email": _EMAIL}, {}, {"quiet_hours": "00:00-24:00"})
        ),
        "500 sends under a cap of 500, backing off": _time(_backing_off()),
    }


_EMAIL: dict[str, Any] = {"adapter": "log", "identity": "email"}


def _day(number: int) -> str:
    return format_instant(ORIGIN_AT + number * DAY_MS)[:10]


def _story(
    channels: dict[str, Any], policies: dict[str, Any], traits: dict[str, Any]
) -> Callable[[], object]:
    """Give the question of a workspace and a customer, to be asked again and again."""
    (name,) = channels
    program = compile_source(
        {
            "workspace": "bench",
            "consent": {"marketing": "opt_out"},
            "channels": channels,
            "message_types": {"promo": {"purpose": "marketing", "channels": [name]}},
            "policies": policies,
            "messages": {"m": {"type": "promo", "content": {name: {"body": "m"}}}},
        }
    )
    profile = Profile("u1", traits={"email": "u1@example.com", **traits})
    return _question(program, profile, name)


def _question(program: Any, profile: Profile, channel: str) -> Callable[[], object]:
    message = program.messages["m"]

    def ask() -> object:
        place = find_place(profile, program)
        case = Case(
            profile, program, message, program.channels[channel], place=place, now=ORIGIN_AT
        )
        return next_eligible(case, ORIGIN_AT)

    return ask


def _capped(rules: int, sends: int) -> Callable[[], object]:
    """Give a customer with so many sends behind them, under so many shared caps that are full."""
    limits = [{"limit": f"{2 + number % 5} / {1 + number % 30}d"} for number in range(rules)]
    program = compile_source(
        {
            "workspace": "bench",
            "consent": {"marketing": "opt_out"},
            "channels": {"email": {**_EMAIL, "window": _EVERY_DAY, "caps": ["2 / 24h"]}},
            "message_types": {"promo": {"purpose": "marketing", "channels": ["email"]}},
            "policies": {"caps": limits, "cooldown": {"gap": "2h"}},
            "messages": {"m": {"type": "promo", "content": {"email": {"body": "m"}}}},
        }
    )
    profile = Profile("u1", traits={"email": "u1@example.com"})
    for number in range(sends):  # the last a minute ago, then every nine hours
        at = ORIGIN_AT - 60_000 - (sends - 1 - number) * 9 * HOUR_MS
        slot = Slot(at, f"m{number}", "other", "email", "marketing", "promo", counts=True)
        enter_slot(profile.ledger, profile.tallies, slot, at)
    return _question(program, profile, "email")


def _backing_off() -> Callable[[], object]:
    program = compile_source(
        {
            "workspace": "bench",
            "consent": {"marketing": "opt_out"},
            "channels": {"email": {**_EMAIL, "window": _EVERY_DAY}},
            "message_types": {"promo": {"purpose": "marketing", "channels": ["email"]}},
            "policies": {
                "caps": [{"limit": "500 / 30d"}],
                "backoff": {"from": 0.01, "gap": "1h", "factor": 1.5},
            },
            "messages": {"m": {"type": "promo", "content": {"email": {"body": "m"}}}},
        }
    )
    profile = Profile("u1", traits={"email": "u1@example.com"})
    for number in range(500):
        at = ORIGIN_AT - (500 - number) * HOUR_MS
        slot = Slot(at, f"m{number}", "other", "email", "marketing", "promo", counts=True)
        enter_slot(profile.ledger, profile.tallies, slot, at)
    return _question(program, profile, "email")


def _time(ask: Callable[[], object]) -> float:
    """Give the middle of many answers, in us of our own processor time.

    The first, which fills what is kept, is left out.
    """
    ask()
    took: list[float] = []
    for _ in range(ROUNDS):
        started = time.thread_time_ns()
        ask()
        took.append((time.thread_time_ns() - started) / 1_000)
    return median(took)
