"""Who is in which segment, compared with conditions that are asked again at every millisecond."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from engine.effects import Unwake, Wake
from engine.events import Event, EventKind, Input, Receipt, ReceiptStatus, Tick
from engine.evolve import fold
from engine.instants import format_instant
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.program.program import Program
from engine.records import Record, SegmentEntered, SegmentLeft
from engine.step import step
from tests.property.segments_oracle import (
    LENGTH_MS,
    NAMES,
    ORIGIN_AT,
    Crossing,
    Expression,
    Happening,
    crossings,
    happenings,
    segments,
)

pytestmark = pytest.mark.slow

WORKSPACE: dict[str, Any] = {
    "workspace": "oracle",
    "channels": {"email": {"adapter": "log", "identity": "email"}},
    "message_types": {"note": {"purpose": "service", "channels": ["email"]}},
    "messages": {"hello": {"type": "note", "content": {"email": {"subject": "s", "body": "b"}}}},
    "journeys": {"greet": {"trigger": {"event": "Greet"}, "steps": [{"send": "hello"}]}},
}


def some(count: int) -> settings:
    """Take so many cases, the same ones every time."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


class Watcher:
    """One customer whose timers fire at their very instants."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.profile = Profile("u1")
        self.timers: dict[int, int] = {}
        self.journal: list[tuple[Input, list[Record], int]] = []
        self.crossed: list[Crossing] = []
        self.ticks = 0
        self.ids = 0

    def take(self, one: Input, now: int) -> None:
        result = step(self.profile, one, self.program, now)
        self.journal.append((one, result.records, now))
        for effect in result.effects:
            if isinstance(effect, Wake):
                assert effect.at > now
                self.timers[effect.timer] = effect.at
            elif isinstance(effect, Unwake):
                self.timers.pop(effect.timer, None)
        for record in result.records:
            if isinstance(record, SegmentEntered | SegmentLeft):
                assert not record.reviewed
                self.crossed.append((record.at, record.segment, isinstance(record, SegmentEntered)))

    def fire(self, now: int) -> None:
        while due := sorted((at, timer) for timer, at in self.timers.items() if at <= now):
            at, timer = due[0]
            assert at == now
            del self.timers[timer]
            self.ticks += 1
            self.take(Tick(timer, at), now)

    def live(self, happened: Sequence[Happening]) -> None:
        for now in range(ORIGIN_AT, ORIGIN_AT + LENGTH_MS + 1):
            for one in happened:
                if one.at == now:
                    self.take(self.input_of(one), now)
            self.fire(now)

    def input_of(self, one: Happening) -> Input:
        self.ids += 1
        name, at = f"i{self.ids}", one.happened_at
        if one.kind == "opened":
            return Receipt(name, "u1", "hello", ReceiptStatus.OPENED, at, one.at)
        traits: dict[str, Any] = {"email": "a@example.com"} if one.kind == "Greet" else {}
        if one.kind == "until":
            traits["until"] = None if one.value is None else format_instant(one.value)
        elif one.kind == "plan":
            traits["plan"] = one.value
        properties = {} if one.value is None or one.kind not in NAMES else {"v": one.value}
        return Event(name, EventKind.TRACK, one.kind, "u1", None, at, one.at, properties, traits)


def watch(made: dict[str, Expression], happened: Sequence[Happening]) -> Watcher:
    """Give a customer who has a message that can be opened, and for whom nothing else has been."""
    texts = {name: expression.text for name, expression in made.items()}
    watcher = Watcher(compile_source({**WORKSPACE, "segments": texts}))
    watcher.live(happened)
    return watcher


def greeted(happened: Sequence[Happening]) -> list[Happening]:
    """Begin with an address and a message, so that something can be opened."""
    return [Happening(ORIGIN_AT, "Greet", ORIGIN_AT), *happened]


@given(made=segments(), happened=happenings())
@some(400)
def test_who_comes_into_a_segment_and_leaves_it_does_so_at_the_very_millisecond(
    made: dict[str, Expression], happened: list[Happening]
) -> None:
    watcher = watch(made, greeted(happened))
    expected = crossings(made, greeted(happened))
    assert sorted(watcher.crossed) == sorted(expected)


@given(made=segments(), happened=happenings())
@some(100)
def test_the_journal_folds_to_the_same_memberships_and_is_decided_so_again(
    made: dict[str, Expression], happened: list[Happening]
) -> None:
    watcher = watch(made, greeted(happened))
    again, folded = Profile("u1"), Profile("u1")
    for one, records, now in watcher.journal:
        fold(folded, one, records, now)
        decided = step(again, one, watcher.program, now).records
        assert msgspec.msgpack.encode(decided) == msgspec.msgpack.encode(records)
    assert msgspec.msgpack.encode(folded) == msgspec.msgpack.encode(watcher.profile)
    assert msgspec.msgpack.encode(again) == msgspec.msgpack.encode(watcher.profile)
