"""Replay: a file of events through the engine, with event time as the clock.

Used by `nextbeat replay`, by tests and by bench. No event loop, no store: profiles in a mapping and
one heap of timers. The same inputs give the same decisions, byte for byte.

*Rules*
- Inputs are taken in order of time, ties in the order given; timers fire at their exact instant
  between them. At one instant events come before timers, and timers in the order they were set.
- Nothing is called. Whoever replays may say what a service answers; else every call times out.
"""

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush

from actors.customer import Customer, Move
from actors.identity import default_owner
from actors.merges import conclude
from engine.effects import Call, Unwake, Wake
from engine.events import Answered, Event, Input, Key, Linked, Receipt, Tick
from engine.identities import ANONYMOUS, Step, conceal, judge, keys_of
from engine.profile import Profile
from engine.program.program import Program
from engine.records import Decided, Record
from engine.step import step

Decision = tuple[str, Decided]
Answers = Callable[[Call], Answered | None]  # what a service says, and when; None: nothing


class Replay:
    """A shard without a world around it."""

    def __init__(self, program: Program, answers: Answers | None = None) -> None:
        """`answers` stands for the services that journeys call; without it none answers."""
        self._program = program
        self._answers = answers
        self.profiles: dict[str, Profile] = {}
        self._owners: dict[Key, str] = {}
        self._whose = ""  # the input's that is taken now
        self._heap: list[tuple[int, int, int, str, Tick | Answered]] = []
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
            now = self.comes_in_at(given)
            yield from self._fire(now - 1)
            self.now = now
            if isinstance(given, Event) and self._program.identity.hashed:
                given = conceal(given, self._program.identity)  # noqa: PLW2901 - as it came in
            yield from self._identify(given)
            yield from self._take(self._whose, given)
        yield from self._fire(until_at if until_at is not None else self.now)

    def _fire(self, until_at: int) -> Iterator[Decision]:
        while self._heap and self._heap[0][0] <= until_at:
            at, _, _, customer, given = heappop(self._heap)
            if isinstance(given, Answered):
                self.now = at
                yield from self._take(self._current(customer), given)
            elif (customer, given.timer) in self._live:
                self.now = at
                yield from self._take(customer, given)

    def _take(self, customer: str, given: Input) -> Iterator[Decision]:
        profile = self.profiles.get(customer)
        if profile is None:
            profile = self.profiles[customer] = Profile(customer)
        result = step(profile, given, self._program, self.now)
        self.steps += 1
        for effect in result.effects:
            if isinstance(effect, Wake):
                self._live[customer, effect.timer] = None
                self._push(customer, Tick(effect.timer, effect.at))
            elif isinstance(effect, Unwake):
                self._live.pop((customer, effect.timer), None)
            elif isinstance(effect, Call) and self._answers is not None:
                answered = self._answers(effect)
                if answered is not None:
                    self._push(customer, answered)
        for record in result.records:
            self.note(customer, given, record)
            if isinstance(record, Decided):
                yield customer, record

    def comes_in_at(self, given: Event | Receipt) -> int:
        """Tell when an input is taken: when it happened; for whoever plays some of them later."""
        return given.at

    def note(self, customer: str, given: Input, record: Record) -> None:
        """Hear of each record; for whoever looks at more than decisions."""

    def _push(self, customer: str, given: Tick | Answered) -> None:
        self._set_count += 1
        rank = isinstance(given, Tick)  # at one instant what came in is before timers
        heappush(self._heap, (given.at, rank, self._set_count, customer, given))

    def _identify(self, given: Event | Receipt) -> Iterator[Decision]:
        """Find out whose an input is; what that leads to is decided on the way."""
        self._whose = given.user or ""
        if isinstance(given, Receipt):
            return
        rules = self._program.identity
        keys = keys_of(given, rules)
        if not self._whose:
            self._whose = self._owner(keys[0])
        self._whose = self._current(self._whose)
        for key in keys:
            owner = self._owner(key)
            if owner == self._whose:
                continue
            step_due = judge(self._whose, key, owner, rules) if owner else None
            if step_due is not None and step_due.winner != step_due.other:
                yield from self._settle(step_due)
                self._whose = self._current(self._whose)
            elif not owner:
                self._owners[key] = self._whose
                yield from self._take(self._whose, Linked((key,), (), self.now))

    def _owner(self, key: Key) -> str:
        return self._current(self._owners.get(key) or default_owner(key))

    def _current(self, customer: str) -> str:
        """Tell who a customer is by now."""
        profile = self.profiles.get(customer)
        while profile is not None and profile.merged_into:
            customer = profile.merged_into
            profile = self.profiles.get(customer)
        return customer

    def _settle(self, due: Step) -> Iterator[Decision]:
        """Do what `actors.merges` does, on profiles at hand."""
        source = Customer(due.other)
        if due.key[0] != ANONYMOUS:
            self.profiles.setdefault(due.other, Profile(due.other))
        source.profile = self.profiles.get(due.other)
        source.last_seq = self.steps
        move = Move(due.winner, due.other, (due.key,), merges=due.merges, because=due.key[0])
        move.source = source if source.profile is not None else None
        profile = self.profiles.setdefault(due.winner, Profile(due.winner))
        found = conclude(move, profile, self._program.identity, self.now)
        if found.winner is not None:
            yield from self._take(due.winner, found.winner)
        if found.other is not None:
            yield from self._take(due.other, found.other)
        for key in found.keys:
            self._owners[key] = due.winner
