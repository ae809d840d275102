"""Replay: a file of events through the engine, with event time as the clock.

Used by `nextbeat replay`, by tests and by bench. No event loop, no store: profiles in a mapping and
one heap of timers. The same inputs give the same decisions, byte for byte.

*Rules*
- Inputs are taken in order of time, ties in the order given; timers fire at their exact instant
  between them. At one instant events come before timers, and timers in the order they were set.
"""

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush

from actors.identity import ANONYMOUS_PREFIX
from engine.effects import Unwake, Wake
from engine.events import Event, EventKind, Handover, Input, Receipt, Tick
from engine.profile import Profile
from engine.program.program import Program
from engine.records import Decided
from engine.seen import hand_out, pick_unknown
from engine.step import step

Decision = tuple[str, Decided]


class Replay:
    """A shard without a world around it."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.profiles: dict[str, Profile] = {}
        self._links: dict[str, str] = {}
        self._heap: list[tuple[int, int, str, int]] = []
        self._live: dict[tuple[str, int], None] = {}
        self._set_count = 0
        self.now = 0
        self.steps = 0

    def run(self, inputs: Iterable[Event | Receipt], until_at: int | None) -> Iterator[Decision]:
        """Take inputs that are in order of time, then let time pass until `until_at`.

        Inputs after `until_at` are left out; without it time ends with the last input.
        """
        for given in inputs:
            if until_at is not None and given.at > until_at:
                break
            yield from self._fire(given.at - 1)
            self.now = given.at
            yield from self._take(self._customer(given), given)
            self._link(given)
        yield from self._fire(until_at if until_at is not None else self.now)

    def _fire(self, until_at: int) -> Iterator[Decision]:
        while self._heap and self._heap[0][0] <= until_at:
            at, _, customer, timer = heappop(self._heap)
            if (customer, timer) in self._live:
                self.now = at
                yield from self._take(customer, Tick(timer, at))

    def _take(self, customer: str, given: Input) -> Iterator[Decision]:
        profile = self.profiles.get(customer)
        if profile is None:
            profile = self.profiles[customer] = Profile(customer)
        result = step(profile, given, self._program, self.now)
        self.steps += 1
        for effect in result.effects:
            if isinstance(effect, Wake):
                self._set_count += 1
                self._live[customer, effect.timer] = None
                heappush(self._heap, (effect.at, self._set_count, customer, effect.timer))
            elif isinstance(effect, Unwake):
                self._live.pop((customer, effect.timer), None)
        for record in result.records:
            if isinstance(record, Decided):
                yield customer, record

    def _customer(self, given: Event | Receipt) -> str:
        if given.user:
            return given.user
        assert isinstance(given, Event)
        assert given.anonymous is not None
        return self._links.get(given.anonymous, ANONYMOUS_PREFIX + given.anonymous)

    def _link(self, given: Event | Receipt) -> None:
        """Have an anonymous id belong to the customer an event names with it."""
        if isinstance(given, Receipt) or not given.user:
            return
        previous = given.anonymous
        if given.kind is EventKind.ALIAS:
            stated = given.properties.get("previousId")
            previous = stated if isinstance(stated, str) else previous
        if previous and self._links.get(previous) != given.user:
            self._links[previous] = given.user
            self._hand_over(previous, given.user)

    def _hand_over(self, anonymous: str, customer: str) -> None:
        """Let a customer know what was seen of an anonymous one, as a shard does."""
        visitor, profile = (
            self.profiles.get(name) for name in (ANONYMOUS_PREFIX + anonymous, customer)
        )
        if visitor is None or profile is None:
            return
        seen = pick_unknown(profile.seen, hand_out(visitor.seen, self.now))
        if seen:
            step(profile, Handover(anonymous, seen, self.now), self._program, self.now)
