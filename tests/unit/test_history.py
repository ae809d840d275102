"""What was loaded from the past: known and counted, and nothing begins with it."""

from typing import Any

import msgspec

from engine.events import Event, EventKind, Receipt, ReceiptStatus
from engine.instants import DAY_MS, HOUR_MS
from engine.measures.series import rows_of
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.records import Entered, Record, Suppressed, Unmatched
from engine.step import StepResult, step

NOW = 1_772_452_800_000
PROGRAM = compile_source(
    {
        "workspace": "shop",
        "consent": {"marketing": "opt_out"},
        "channels": {"email": {"adapter": "log", "identity": "email"}},
        "message_types": {"promo": {"purpose": "marketing", "channels": ["email"]}},
        "messages": {
            "hello": {"type": "promo", "content": {"email": {"subject": "Hi", "body": "Hi"}}}
        },
        "policies": {
            "suppress": [
                {"name": "bought", "after": "Order Completed", "for": "24h"},
            ]
        },
        "segments": {"regular": 'count("Order Completed", "30d") > 1'},
        "journeys": {
            "greeting": {
                "trigger": {"event": "Signed Up"},
                "goal": {"event": "Order Completed"},
                "steps": [{"send": "hello", "id": "first"}, {"wait": "5d"}],
            }
        },
    }
)


def told(profile: Profile, event: Event) -> StepResult:
    return step(profile, event, PROGRAM, NOW)


def event(name: str, at: int = NOW, *, is_history: bool = True, **more: Any) -> Event:
    made = Event(f"{name}-{at}-{is_history}", EventKind.TRACK, name, "u", None, at, NOW)
    return msgspec.structs.replace(made, is_history=is_history, **more)


def kinds(records: list[Record]) -> list[type[Record]]:
    return [type(record) for record in records]


def test_the_past_starts_no_journey_and_the_present_does() -> None:
    profile = Profile("u", {"email": "u@example.com"})
    assert Entered not in kinds(told(profile, event("Signed Up")).records)
    assert told(profile, event("Signed Up", is_history=False)).effects != []


def test_the_past_meets_no_goal() -> None:
    profile = Profile("u", {"email": "u@example.com"})
    told(profile, event("Signed Up", is_history=False))
    told(profile, event("Order Completed"))
    assert len(profile.instances) == 1
    told(profile, event("Order Completed", is_history=False))
    assert profile.instances == {}


def test_the_past_is_counted_where_it_happened() -> None:
    profile = Profile("u")
    told(profile, event("Order Completed", NOW - 40 * DAY_MS))
    told(profile, event("Order Completed", NOW - 3 * DAY_MS))
    assert profile.history["Order Completed"].count == 2
    recent = profile.history["Order Completed"].recent
    assert recent is not None
    assert [row.at for row in rows_of(recent)] == [NOW - 3 * DAY_MS]


def test_only_suppressions_that_still_last_are_set_off() -> None:
    profile = Profile("u")
    long_ago = told(profile, event("Order Completed", NOW - 25 * HOUR_MS))
    assert Suppressed not in kinds(long_ago.records)
    lately = told(profile, event("Order Completed", NOW - 23 * HOUR_MS))
    assert Suppressed("bought", NOW + HOUR_MS) in lately.records


def test_a_receipt_of_the_past_speaks_of_no_message_of_ours() -> None:
    profile = Profile("u", {"email": "u@example.com"})
    told(profile, event("Signed Up", is_history=False))
    (message_id,) = profile.sends
    receipt = Receipt(
        "r", "u", "hello", ReceiptStatus.FAILED, NOW, NOW, permanent=True, is_history=True
    )
    assert step(profile, receipt, PROGRAM, NOW).records == [Unmatched("receipt")]
    assert profile.sends[message_id].statuses == []


def test_what_is_meant_for_existing_customers_does_nothing_to_others() -> None:
    profile = Profile("u")
    only = event("Signed Up", is_history=False, only_existing=True, traits={"a": 1})
    assert told(profile, only).records == [Unmatched("customer")]
    assert (profile.traits, profile.history) == ({}, {})
    told(profile, event("Seen", is_history=False))
    other = msgspec.structs.replace(only, id="other")
    assert Entered in kinds(told(profile, other).records)
    assert profile.traits == {"a": 1}
