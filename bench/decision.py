"""What one decision costs in process: `step` on an event that proposes a message."""

import time

from actors.replay import Replay
from bench.figures import Check, report, spread
from bench.server import ORIGIN_AT, bench_workspace
from engine.events import ConsentStatement, ConsentStatus, Event, EventKind
from engine.profile import Profile
from engine.reasons import Outcome
from engine.records import Decided
from engine.step import step

PROFILES = 4_000


def run() -> bool:
    """Time steps on fresh customers whose event leads to a message at once."""
    program = bench_workspace().program
    rounds: dict[str, list[float]] = {}
    for name, event_name in _proposing(program):
        rounds[name] = []
    proposing: list[float] = []
    quiet: list[float] = []
    outcomes: dict[str, int] = {}
    names = [event_name for _, event_name in _proposing(program)]
    for number in range(PROFILES):
        profile = _customer(number, program)
        for place, event_name in enumerate(["Product Viewed", *names]):
            event = _event(f"{number}-{place}", event_name, number)
            started = time.perf_counter_ns()
            result = step(profile, event, program, ORIGIN_AT + place)
            took_us = (time.perf_counter_ns() - started) / 1_000
            decided = [record for record in result.records if isinstance(record, Decided)]
            (proposing if decided else quiet).append(took_us)
            for record in decided:
                key = f"{record.outcome} {record.reason}"
                outcomes[key] = outcomes.get(key, 0) + 1
    assert any(key.startswith(Outcome.SEND) for key in outcomes), outcomes
    return report(
        "decision",
        [
            Check(
                "step that proposes a message, p50",
                spread(proposing)["p50"],
                60,
                "us",
                at_most=True,
            )
        ],
        {"proposing, us": spread(proposing), "others, us": spread(quiet), "outcomes": outcomes},
    )


def _proposing(program: object) -> list[tuple[str, str]]:
    """Name journeys that begin with a send, and the events that start them."""
    from engine.program.program import Op, Program

    assert isinstance(program, Program)
    return [
        (journey.name, journey.trigger.event)
        for journey in program.journeys.values()
        if journey.trigger.event and journey.code and journey.code[0].op is Op.SEND
    ]


def _customer(number: int, program: object) -> Profile:
    profile = Profile(f"u{number}")
    traits = {
        "email": f"u{number}@example.com",
        "phone": "+27821234567",
        "first_name": "Thandi",
        "push_token": "t",
    }
    consent = ConsentStatement("marketing", "*", ConsentStatus.GRANTED, ORIGIN_AT - 1, "form")
    event = Event(
        f"i{number}",
        EventKind.IDENTIFY,
        "Identified",
        f"u{number}",
        None,
        ORIGIN_AT - 1,
        ORIGIN_AT - 1,
        {},
        traits,
        {},
        (consent,),
    )
    step(profile, event, program, ORIGIN_AT - 1)  # type: ignore[arg-type]
    return profile


def _event(name: str, event_name: str, number: int) -> Event:
    properties = {
        "product_id": "p-1",
        "category": "shoes",
        "price": 79.5,
        "quantity": 1,
        "value": 159,
        "order_id": f"o-{number}",
        "revenue": 159,
        "total": 179,
        "currency": "ZAR",
        "name": "Trail runner",
    }
    return Event(
        name, EventKind.TRACK, event_name, f"u{number}", None, ORIGIN_AT, ORIGIN_AT, properties
    )
