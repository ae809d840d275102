"""A schedule in customer time, by brute force: a customer's clock is watched, wherever they are.

Its hands only ever count forward: a time of day is due when they come to it or past it for the
first time. Timers are late as they like, and events come whenever they like.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings, strategies as st

from engine.events import Event, EventKind, Tick
from engine.instants import HOUR_MS, MINUTE_MS
from engine.localtime import zone
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.records import Entered
from engine.step import step

BEGIN = datetime(2026, 3, 27, tzinfo=UTC)  # two days before Europe changes its clocks
BEGIN_AT = int(BEGIN.timestamp() * 1_000)
LENGTH = 5 * 24 * 60
PLACES = ("UTC", "Europe/Paris", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe")
MINUTES = (90, 540, 1_410)  # 01:30, 09:00 and 23:30
PROGRAM = compile_source(
    {
        "workspace": "agenda",
        "segments": {"none": "profile.none"},
        "journeys": {
            str(minute): {
                "trigger": {"schedule": f"{minute % 60} {minute // 60} * * *"},
                "steps": [{"set": {"n": 1}}],
            }
            for minute in MINUTES
        },
    }
)

moves = st.lists(
    st.tuples(st.integers(1, LENGTH // 15).map(lambda n: n * 15), st.sampled_from(PLACES)),
    max_size=6,
    unique_by=lambda one: one[0],
).map(sorted)


def place(name: str) -> ZoneInfo:
    found = zone(name)
    assert found is not None
    return found


def watch(first: str, moved: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Give when which journey is due, in minutes from the beginning."""
    where = dict(moved)
    here = place(first)
    shown = BEGIN.astimezone(here).replace(tzinfo=None)
    due: list[tuple[int, str]] = []
    for minute in range(1, LENGTH + 1):
        here = place(where[minute]) if minute in where else here
        clock = (BEGIN + timedelta(minutes=minute)).astimezone(here).replace(tzinfo=None)
        passed: dict[str, None] = {}
        while shown < clock:
            shown += timedelta(minutes=1)
            if shown.hour * 60 + shown.minute in MINUTES:
                passed[str(shown.hour * 60 + shown.minute)] = None
        due += [(minute, name) for name in sorted(passed)]
    return due


class Customer:
    """One customer with the timers that are set."""

    def __init__(self) -> None:
        self.profile = Profile("u1")
        self.count = 0
        self.entered: list[tuple[int, str]] = []

    def identify(self, minute: int, **traits: Any) -> None:
        self.count += 1
        at = BEGIN_AT + minute * MINUTE_MS
        kind = EventKind.IDENTIFY
        event = Event(f"e{self.count}", kind, "Identified", "u1", None, at, at, {}, traits)
        self.take(event, minute)

    def take(self, given: Event | Tick, minute: int) -> None:
        result = step(self.profile, given, PROGRAM, BEGIN_AT + minute * MINUTE_MS)
        names = [one.journey for one in result.records if isinstance(one, Entered)]
        self.entered += [(minute, name) for name in sorted(names)]

    def wait(self, minute: int) -> None:
        """Fire what is due up to a minute, each on time."""
        until_at = BEGIN_AT + minute * MINUTE_MS
        while self.profile.agenda_timer and self.profile.agenda_at <= until_at:
            at = self.profile.agenda_at
            self.take(Tick(self.profile.agenda_timer, at), (at - BEGIN_AT) // MINUTE_MS)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.sampled_from(PLACES), moves)
def test_each_time_is_due_once_wherever_a_customer_goes(
    first: str, moved: list[tuple[int, str]]
) -> None:
    one = Customer()
    one.identify(0, timezone=first)
    for minute, name in moved:
        one.wait(minute - 1)
        one.identify(minute, timezone=name)
    one.wait(LENGTH)
    assert one.entered == watch(first, moved)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(PLACES),
    st.lists(st.integers(1, LENGTH), max_size=8, unique=True).map(sorted),
    st.sampled_from(["an event", "the timer"]),
)
def test_what_nobody_was_there_for_is_entered_once_and_late(
    first: str, minutes: list[int], comes: str
) -> None:
    one = Customer()
    one.identify(0, timezone=first)
    expected: list[tuple[int, str]] = []
    due, since = watch(first, []), 0
    for minute in minutes:
        names = dict.fromkeys(name for at, name in due if since < at <= minute)
        expected += [(minute, name) for name in sorted(names)]
        since = minute
        if comes == "an event":
            one.identify(minute)
        elif one.profile.agenda_at <= BEGIN_AT + minute * MINUTE_MS:
            one.take(Tick(one.profile.agenda_timer, one.profile.agenda_at), minute)
    assert one.entered == expected
    assert one.profile.agenda_at - (BEGIN_AT + since * MINUTE_MS) <= 24 * HOUR_MS
