"""Merging is fair: whoever stays, in whatever order, and as often as you like.

Customers live through histories of their own and then turn out to be one person. What must not
depend on how that was found out is compared: consent, the ledger, and whatever was counted.
"""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from actors.replay import Decision, Replay
from engine.events import Departed, Event, Input, Merged, Receipt
from engine.evolve import fold
from engine.lineage import stays
from engine.measures.engaged import Engaged, scores_at
from engine.measures.series import Series, rows_of
from engine.profile import Measure, Profile
from engine.program.compile import compile_source
from engine.program.program import Program
from engine.records import Decided, WakeCleared, WakeSet
from engine.step import StepResult, step
from engine.unmerge import Happening, part
from tests.property.worlds import EMITTED, ORIGIN_AT, histories, workspaces

pytestmark = pytest.mark.slow
few = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

NAMES = ("u1", "u2", "u3")
Lives = tuple[dict[str, Any], list[list[Event | Receipt]]]
lives = st.tuples(workspaces(), st.lists(histories(), min_size=3, max_size=3))


class Written(Replay):
    """A replay that keeps the journal of everybody."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.told: list[Happening] = []

    def _take(self, customer: str, given: Input) -> Iterator[Decision]:
        profile = self.profiles.setdefault(customer, Profile(customer))
        before = copy(profile)
        yield from super()._take(customer, given)
        self.told.append(
            Happening(given, step(before, given, self._program, self.now).records, self.now)
        )


def live(drawn: Lives) -> tuple[Program, list[Profile], int]:
    """Give customers who lived apart, and the instant after."""
    workspace, told = drawn
    program = compile_source(workspace)
    profiles: list[Profile] = []
    now = ORIGIN_AT
    for name, inputs in zip(NAMES, told, strict=True):
        replay = Replay(program)
        own = [msgspec.structs.replace(one, id=f"{name}.{one.id}", user=name) for one in inputs]
        list(replay.run(own, None))
        profiles.append(replay.profiles[name])
        now = max(now, replay.now)
    return program, profiles, now


def merge(program: Program, into: Profile, other: Profile, now: int) -> StepResult:
    given = Merged(other.customer, 1, msgspec.msgpack.encode(other), (), "test", now)
    return step(into, given, program, now)


def copy(profile: Profile) -> Profile:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(profile), type=Profile)


def bare(program: Program) -> Program:
    """Give a program that decides nothing: what is pending stays as it is."""
    return msgspec.structs.replace(program, messages={}, journeys={}, types={})


def measured(measure: Measure | None) -> Any:
    """Give a measure as it can be compared: a series by its rows, scores without rounding."""
    if isinstance(measure, Series):
        return measure.names, rows_of(measure)
    if isinstance(measure, Engaged):
        now = 1_800_000_000_000
        return measure.hours, [round(score, 9) for score in scores_at(measure, now).values()]
    return measure


def counted(profile: Profile) -> dict[str, Any]:
    """Give what must be the same however customers became one."""
    return {
        "consents": profile.consents,
        "ledger": sorted(slot.message_id for slot in profile.ledger),
        "tallies": sorted(
            (tally.channel, tally.purpose, tally.message_type, tally.counts, tuple(tally.sent_at))
            for tally in profile.tallies
        ),
        "history": {
            name: (one.count, one.first_at, one.last_at, measured(one.recent))
            for name, one in sorted(profile.history.items())
        },
        "measures": {key: measured(one) for key, one in sorted(profile.measures.items())},
        "sessions": (profile.session_count, profile.session_pages, profile.session_products),
        "engagement": {name: tuple(at) for name, at in sorted(profile.engagement.items())},
        "seen": sorted(
            part.keys[place : place + 8]
            for part in profile.seen
            for place in range(0, len(part.keys), 8)
        ),
        "suppressed": profile.suppressed,
        "sends": sorted(profile.sends),
        "active_at": profile.active_at,
        "first_at": profile.first_at,
    }


@given(lives)
@few
def test_it_does_not_matter_who_stays_or_in_which_order(drawn: Lives) -> None:
    program, profiles, now = live(drawn)
    outcomes: list[dict[str, Any]] = []
    for first, second, third in permutations(profiles):
        left = copy(first)  # (first + second) + third
        merge(bare(program), left, copy(second), now)
        merge(bare(program), left, copy(third), now)
        right, middle = copy(first), copy(second)  # first + (second + third)
        merge(bare(program), middle, copy(third), now)
        merge(bare(program), right, middle, now)
        outcomes += [counted(left), counted(right)]
    assert all(outcome == outcomes[0] for outcome in outcomes)


@given(lives)
@few
def test_merging_again_changes_nothing(drawn: Lives) -> None:
    program, (one, other, _), now = live(drawn)
    merge(program, one, copy(other), now)
    before = msgspec.msgpack.encode(one)
    again = merge(program, one, copy(other), now)
    assert not [record for record in again.records if isinstance(record, Decided)]
    assert msgspec.msgpack.encode(one) == before


@given(lives)
@few
def test_whatever_waited_goes_on_waiting_and_nothing_waits_twice(drawn: Lives) -> None:
    program, (one, other, _), now = live(drawn)
    merge(program, one, other, now)
    waiting = [(pending.timer, "proposal", pending.proposal) for pending in one.pending.values()]
    waiting += [
        (instance.timer, "instance", instance.id)
        for instance in one.instances.values()
        if instance.waiting_until is not None
    ]
    if one.agenda_timer:
        waiting.append((one.agenda_timer, "agenda", 0))
        assert one.timers[one.agenda_timer].at == one.agenda_at > now
    timers = [(number, timer.kind, timer.target) for number, timer in one.timers.items()]
    assert sorted(waiting) == sorted(timers)
    journeys = [instance.journey for instance in stays(one)]
    assert len(journeys) == len(set(journeys))
    assert all(instance.parent in (0, *one.instances) for instance in one.instances.values())
    assert all(p.instance in one.instances or p.attempt for p in one.pending.values())


@given(lives)
@few
def test_who_departed_waits_for_nothing(drawn: Lives) -> None:
    program, (one, _, _), now = live(drawn)
    timers = dict(one.timers)
    result = step(one, Departed("u2", "test", now), program, now)
    assert {r.timer for r in result.records if isinstance(r, WakeCleared)} == set(timers)
    left = Profile(
        "u1",
        merged_into="u2",
        timer_count=one.timer_count,
        instance_count=one.instance_count,
        proposal_count=one.proposal_count,
        decision_count=one.decision_count,
    )
    assert one == left


@given(lives)
@few
def test_a_merge_folds_to_what_it_was(drawn: Lives) -> None:
    """Recovery, under no program at all, comes to the same profile."""
    program, (one, other, _), now = live(drawn)
    again = copy(one)
    told: Input = Merged(other.customer, 1, msgspec.msgpack.encode(other), (), "test", now)
    result = step(one, told, program, now)
    fold(again, told, result.records, now)
    assert msgspec.msgpack.encode(again) == msgspec.msgpack.encode(one)
    wakes = [record for record in result.records if isinstance(record, WakeSet)]
    assert all(record.at > 0 for record in wakes)


@given(lives)
@few
def test_parting_gives_back_what_was_merged(drawn: Lives) -> None:
    """And what happened in between goes to whom it names: here, to the one who stayed."""
    program, (_, other, _), _ = live(drawn)
    replay = Written(program)
    own = [msgspec.structs.replace(one, id=f"u1.{one.id}", user="u1") for one in drawn[1][0]]
    list(replay.run(own[:-3], None))
    alone = Written(program)
    list(alone.run(own, None))
    now = max([replay.now, *(one.at for one in drawn[1][1])])
    was = copy(other)
    merge_told = Merged("u2", 1, msgspec.msgpack.encode(other), (), "test", now)
    profile = replay.profiles["u1"]
    result = step(profile, merge_told, program, now)
    replay.told.append(Happening(merge_told, result.records, now))
    for one in own[-3:]:
        records = step(profile, one, program, now).records
        replay.told.append(Happening(one, records, now))
    ours, theirs = part("u1", "u2", replay.told)
    assert ours.traits == alone.profiles["u1"].traits
    assert ours.consents == alone.profiles["u1"].consents
    assert counts(ours) == counts(alone.profiles["u1"])
    assert theirs.traits == was.traits
    assert theirs.consents == was.consents
    assert counts(theirs) == counts(was)
    assert {slot.message_id for slot in was.ledger} <= {s.message_id for s in theirs.ledger} | {
        message_id for message_id, sent in theirs.sends.items() if "failed" in sent.statuses
    }
    assert ours.decision_count == profile.decision_count
    assert not {*ours.absorbed, *theirs.absorbed}


def counts(profile: Profile) -> dict[str, int]:
    """Count what came in; what journeys emit hangs on which of the two was in one first."""
    known = profile.history.items()
    return {name: history.count for name, history in known if name != EMITTED}
