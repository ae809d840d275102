"""What must hold of every journey, whatever its steps and whatever its people do.

- Nobody is stuck: who is in a journey waits for an instant, for a message or for their branches.
- Every stay ends in a named way, once everything that may be waited for has had its time.
- The figures agree: who entered has left or is there, and so for branches.
- The same inputs lead to the same facts, and folding the facts gives the same customer.
"""

from collections import Counter
from heapq import heappop, heappush
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, reject, settings

from engine.effects import Unwake, Wake
from engine.errors import ProgramError
from engine.events import Event, Input, Receipt, Tick
from engine.evolve import fold
from engine.instants import DAY_MS
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.program.program import Program
from engine.records import (
    Branched,
    BranchEnded,
    Decided,
    Entered,
    Exited,
    Record,
    Truncated,
)
from engine.step import step
from tests.property.journeys_worlds import CUSTOMER, histories, workspaces

pytestmark = pytest.mark.slow
many = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

UNREACHABLE = "this step can't be reached"
LONG_MS = 200 * DAY_MS  # longer than any wait and any loop of a story
ENDINGS = {"completed", "enough", "goal_met", "gone", "none", "exit_on", "loop", "merged"}


class Life:
    """One customer, to whom things happen and for whom time passes."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.profile = Profile(CUSTOMER)
        self.folded = Profile(CUSTOMER)
        self.records: list[Record] = []
        self.now = 0
        self._wakes: list[tuple[int, int, int]] = []
        self._live: dict[int, int] = {}
        self._set = 0

    def play(self, inputs: list[Event | Receipt]) -> None:
        for one in inputs:
            self.pass_time(one.received_at - 1)
            self.now = one.received_at
            self._take(one)

    def pass_time(self, until_at: int) -> None:
        while self._wakes and self._wakes[0][0] <= until_at:
            at, _, timer = heappop(self._wakes)
            if self._live.get(timer) == at:
                self.now = at
                self._take(Tick(timer, at))

    def _take(self, taken: Input) -> None:
        result = step(self.profile, taken, self.program, self.now)
        fold(self.folded, taken, result.records, self.now)
        self.records += result.records
        for effect in result.effects:
            if isinstance(effect, Wake):
                self._set += 1
                self._live[effect.timer] = effect.at
                heappush(self._wakes, (effect.at, self._set, effect.timer))
            elif isinstance(effect, Unwake):
                self._live.pop(effect.timer, None)
        check_nobody_is_stuck(self.profile, self._live)


def check_nobody_is_stuck(profile: Profile, wakes: dict[int, int]) -> None:
    parents = Counter(one.parent for one in profile.instances.values())
    for number, instance in profile.instances.items():
        waits = instance.timer in profile.timers and wakes.get(instance.timer) is not None
        held = instance.proposal in profile.pending
        assert waits or held or parents[number], f"{instance} waits for nothing"
        assert not instance.parent or instance.parent in profile.instances
    for pending in profile.pending.values():
        assert wakes.get(pending.timer) == pending.next_eligible


def compiled(workspace: dict[str, Any]) -> Program:
    """Compile a workspace that was drawn; one with steps nobody comes to is left out."""
    try:
        return compile_source(workspace)
    except ProgramError as error:
        if any(problem.message != UNREACHABLE for problem in error.problems):
            raise
        reject()


def live(workspace: dict[str, Any], inputs: list[Event | Receipt]) -> Life:
    life = Life(compiled(workspace))
    life.play(inputs)
    return life


def written(profile: Profile) -> bytes:
    return msgspec.msgpack.encode(profile)


@many
@given(workspaces(), histories())
def test_every_stay_ends_in_a_named_way(
    workspace: dict[str, Any], inputs: list[Event | Receipt]
) -> None:
    # A schedule brings people in for ever; whoever is in at the end came in by one, lately.
    life = live(workspace, inputs)
    quiet_from = life.now
    life.pass_time(quiet_from + LONG_MS)
    for instance in life.profile.instances.values():
        assert instance.entered_at > quiet_from + LONG_MS - 60 * DAY_MS
    endings = [record.reason for record in life.records if isinstance(record, Exited)]
    assert {*endings} <= ENDINGS
    for record in life.records:
        if isinstance(record, Exited):
            assert record.converted == (record.reason == "goal_met")


@many
@given(workspaces(), histories())
def test_the_figures_agree(workspace: dict[str, Any], inputs: list[Event | Receipt]) -> None:
    life = live(workspace, inputs)
    life.pass_time(life.now + 3 * DAY_MS)
    profile = life.profile
    entered = Counter(one.journey for one in life.records if isinstance(one, Entered))
    left = Counter(one.journey for one in life.records if isinstance(one, Exited))
    inside = Counter(one.journey for one in profile.instances.values() if not one.parent)
    assert entered == left + inside
    done: Counter[str] = Counter()
    for ending, count in profile.journeys_done.items():
        done[ending.split("/")[0]] += count
    assert done == left
    branched = {one.instance for one in life.records if isinstance(one, Branched)}
    ended = [one.instance for one in life.records if isinstance(one, BranchEnded)]
    running = {number for number, one in profile.instances.items() if one.parent}
    assert len(ended) == len({*ended})
    assert {*ended} | running <= branched
    for decided in life.records:
        if isinstance(decided, Decided) and decided.message_id:
            assert decided.journey in workspace["journeys"]


@many
@given(workspaces(), histories())
def test_the_same_inputs_give_the_same_facts(
    workspace: dict[str, Any], inputs: list[Event | Receipt]
) -> None:
    first, again = live(workspace, inputs), live(workspace, inputs)
    for life in (first, again):
        life.pass_time(life.now + 2 * DAY_MS)
    assert msgspec.msgpack.encode(first.records) == msgspec.msgpack.encode(again.records)
    assert written(first.profile) == written(first.folded) == written(again.profile)


@many
@given(workspaces(), histories())
def test_bounds_are_met_by_nobody_ordinary(
    workspace: dict[str, Any], inputs: list[Event | Receipt]
) -> None:
    life = live(workspace, inputs)
    assert not [one for one in life.records if isinstance(one, Truncated) and one.bound == "depth"]
