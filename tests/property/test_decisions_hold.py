"""What must hold of every decision, whatever the workspace and whatever the customer does."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from actors.memory import VirtualClock, settle
from actors.replay import Decision, Replay
from engine.events import ConsentStatus, Event, Input, Receipt
from engine.evolve import fold
from engine.gates.case import Case
from engine.gates.order import blocks_at
from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS, parse_duration
from engine.place import find_place
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.program.program import Program
from engine.reasons import Outcome
from engine.records import Decided, Record
from engine.step import StepResult, step
from engine.windows import Window, is_open
from tests.property.worlds import CUSTOMER, ORIGIN_AT, copied, histories, workspaces
from tests.shards import Shard

pytestmark = pytest.mark.slow
few = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

Step = tuple[Input, int, StepResult, bytes]


class Watched(Replay):
    """A replay that keeps each step: input, instant, result, and the profile after it."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.kept: list[Step] = []

    def run(self, inputs: Iterable[Event | Receipt], until_at: int | None) -> Iterator[Decision]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("actors.replay.step", self._step)
            yield from super().run(inputs, until_at)

    def _step(self, profile: Profile, given: Input, program: Program, now: int) -> StepResult:
        result = step(profile, given, program, now)
        self.kept.append((given, now, result, written(profile)))
        return result


def written(profile: Profile) -> bytes:
    return msgspec.msgpack.encode(profile)


def live(workspace: dict[str, Any], inputs: list[Event | Receipt]) -> tuple[Program, list[Step]]:
    """Play a history and a week after it."""
    program = compile_source(workspace)
    watched = Watched(program)
    list(watched.run(inputs, inputs[-1].at + 7 * DAY_MS))
    return program, watched.kept


def decisions(steps: list[Step]) -> list[Decided]:
    return [
        record
        for _, _, result, _ in steps
        for record in result.records
        if isinstance(record, Decided)
    ]


def is_sent(one: Decided) -> bool:
    return one.outcome in (Outcome.SEND, Outcome.SUBSTITUTE)


@few
@given(workspaces(), histories())
def test_nothing_is_sent_outside_its_window(
    workspace: dict[str, Any], inputs: list[Event | Receipt]
) -> None:
    program, steps = live(workspace, inputs)
    profile = Profile(CUSTOMER)
    for taken, now, result, _ in steps:
        fold(profile, copied(taken), [copied(record) for record in result.records], now)
        for one in result.records:
            window = sending_window(program, one)
            if window is not None:
                zones = find_place(profile, program).zones
                assert all(is_open(window, zone, now) for zone in zones)


def sending_window(program: Program, record: Record) -> Window | None:
    """Give the hours of the channel that a record says something went out on."""
    if not isinstance(record, Decided) or not is_sent(record):
        return None
    return program.channels[record.channel].window


@few
@given(workspaces(), histories())
def test_no_sliding_window_ever_holds_more_than_its_cap(
    workspace: dict[str, Any], inputs: list[Event | Receipt]
) -> None:
    """A send that failed for good counts until that is known, and never again."""
    program, steps = live(workspace, inputs)
    limits = [
        (int(cap.split()[0]), parse_duration(cap.split()[2]), (name,))
        for name, channel in workspace["channels"].items()
        for cap in channel.get("caps", ())
    ]
    for shared in workspace["policies"].get("caps", ()):
        count, _, window = shared["limit"].split()
        channels = shared.get("channels", tuple(program.channels))
        limits.append((int(count), parse_duration(window), tuple(channels)))
    for count_max, window_ms, channels in limits:
        reserved: list[tuple[int, str]] = []
        for _, now, result, _ in steps:
            for record in result.records:
                reserved = _reserve(reserved, record, now, channels)
                used = [name for at, name in reserved if at > now - window_ms]
                assert len(used) <= count_max


def _reserve(
    reserved: list[tuple[int, str]], record: Record, now: int, channels: tuple[str, ...]
) -> list[tuple[int, str]]:
    if isinstance(record, Decided) and is_sent(record) and record.channel in channels:
        return [*reserved, (now, record.message_id)]
    released = getattr(record, "released", False)
    message_id = getattr(record, "message_id", "")
    return [pair for pair in reserved if not (released and pair[1] == message_id)]


@few
@given(workspaces(), histories())
def test_the_cooldown_is_kept_between_any_two_sends(
    workspace: dict[str, Any], inputs: list[Event | Receipt]
) -> None:
    cooldown = workspace["policies"].get("cooldown")
    if cooldown is None:
        return
    _, steps = live(workspace, inputs)
    gap_ms = parse_duration(cooldown["gap"])
    reserved: list[tuple[int, str]] = []
    for _, now, result, _ in steps:
        for record in result.records:
            if isinstance(record, Decided) and is_sent(record):
                assert not reserved or now >= reserved[-1][0] + gap_ms
            reserved = _reserve(reserved, record, now, ("email", "sms", "push"))


@few
@given(workspaces(), histories())
def test_each_proposal_ends_once_or_waits_with_a_timer(
    workspace: dict[str, Any], inputs: list[Event | Receipt]
) -> None:
    _, steps = live(workspace, inputs)
    every = decisions(steps)
    finals = Counter(
        (one.proposal, one.attempt) for one in every if one.outcome is not Outcome.DEFER
    )
    assert all(count == 1 for count in finals.values())
    profile = msgspec.msgpack.decode(steps[-1][3], type=Profile)
    waiting = {(one.proposal, one.attempt) for one in profile.pending.values()}
    assert {(one.proposal, one.attempt) for one in every} == set(finals) | waiting
    assert not waiting & set(finals)
    for one in profile.pending.values():
        timer = profile.timers[one.timer]
        assert (timer.at, timer.kind, timer.target) == (
            one.next_eligible,
            "proposal",
            one.proposal,
        )
    assert len({one.decision_id for one in every}) == len(every)
    named = [one.message_id for one in every if one.message_id]
    assert len(set(named)) == len(named)


@few
@given(workspaces(), histories())
def test_a_deferral_waits_for_the_very_first_instant_that_is_open(
    workspace: dict[str, Any], inputs: list[Event | Receipt]
) -> None:
    program = compile_source(workspace)
    replay = Watched(program)
    for customer, one in replay.run(inputs, inputs[-1].at + DAY_MS):
        if one.outcome is not Outcome.DEFER:
            continue
        assert one.next_eligible is not None
        profile = replay.profiles[customer]
        message, channel = program.messages[one.message], program.channels[one.channel]
        place = find_place(profile, program)
        case = Case(profile, program, message, channel, place=place, now=one.at)
        # Decisions later in the same step may have taken slots: only a step's last is compared.
        last = [r for r in replay.kept[-1][2].records if isinstance(r, Decided)][-1]
        if last is not one:
            continue

        def blocked(at: int) -> bool:
            return bool(blocks_at(case, at))  # noqa: B023

        assert not blocked(one.next_eligible)
        assert blocked(one.next_eligible - 1)
        for at in _candidates(profile, one.at, one.next_eligible):
            assert blocked(at), f"open at {at}, earlier than {one.next_eligible}"


def _candidates(profile: Profile, now: int, until_at: int) -> list[int]:
    """Give the instants at which any rule may open: whole quarters, and what sends ask for."""
    found = list(range(now - now % (15 * MINUTE_MS), until_at, 15 * MINUTE_MS))
    spans = [10 * MINUTE_MS, 90 * MINUTE_MS, *(n * HOUR_MS for n in (1, 2, 4, 5, 6, 8, 24))]
    for slot in profile.ledger:
        found += [slot.at + span for span in spans]
    found += profile.suppressed.values()
    return [at for at in found if now <= at < until_at]


@few
@given(workspaces(), histories())
def test_nothing_goes_where_consent_was_taken_back(
    workspace: dict[str, Any], inputs: list[Event | Receipt]
) -> None:
    _, steps = live(workspace, inputs)
    latest: dict[str, ConsentStatus] = {}
    at: dict[str, int] = {}
    for taken, _, result, _ in steps:
        if isinstance(taken, Event):
            for said in taken.consents:
                stricter = said.status is not ConsentStatus.GRANTED
                if said.at > at.get(said.channel, 0) or stricter:
                    latest[said.channel], at[said.channel] = said.status, said.at
        for record in result.records:
            if not isinstance(record, Decided) or record.purpose != "marketing":
                continue
            if is_sent(record):
                newest = max(at.get("*", 0), at.get(record.channel, 0))
                said_now = [latest[key] for key in ("*", record.channel) if at.get(key) == newest]
                assert not newest or set(said_now) == {ConsentStatus.GRANTED}


@few
@given(workspaces(), histories())
def test_the_same_input_twice_changes_nothing(
    workspace: dict[str, Any], inputs: list[Event | Receipt]
) -> None:
    program = compile_source(workspace)
    once, twice = Watched(program), Watched(program)
    until_at = inputs[-1].at + DAY_MS
    told = list(once.run(inputs, until_at))
    doubled = [given for one in inputs for given in (one, copied(one))]
    assert list(twice.run(doubled, until_at)) == told
    assert written(twice.profiles[CUSTOMER]) == written(once.profiles[CUSTOMER])


@few
@given(workspaces(), histories())
def test_folding_what_was_journaled_gives_the_live_profile_byte_for_byte(
    workspace: dict[str, Any], inputs: list[Event | Receipt]
) -> None:
    _, steps = live(workspace, inputs)
    folded = Profile(CUSTOMER)
    snapshots = [written(folded)]
    for taken, now, result, after in steps:
        records = [copied(record) for record in result.records]
        fold(folded, copied(taken), records, now)
        assert written(folded) == after
        snapshots.append(after)
    for start in range(0, len(steps), 4):
        again = msgspec.msgpack.decode(snapshots[start], type=Profile)
        for taken, now, result, _ in steps[start:]:
            fold(again, copied(taken), [copied(record) for record in result.records], now)
        assert written(again) == snapshots[-1]


@few
@given(workspaces(), histories())
def test_a_step_is_the_same_however_often_it_is_taken(
    workspace: dict[str, Any], inputs: list[Event | Receipt]
) -> None:
    program, steps = live(workspace, inputs)
    before = written(Profile(CUSTOMER))
    for taken, now, result, after in steps:
        profile = msgspec.msgpack.decode(before, type=Profile)
        again = step(profile, copied(taken), program, now)
        assert msgspec.msgpack.encode(again) == msgspec.msgpack.encode(result)
        assert written(profile) == after
        before = after


@settings(few, max_examples=25)
@given(workspaces(), histories())
def test_a_shard_decides_as_the_replay_does(
    workspace: dict[str, Any], inputs: list[Event | Receipt]
) -> None:
    program = compile_source(workspace)
    replay = Replay(program)
    until_at = inputs[-1].at + DAY_MS
    told = list(replay.run(inputs, until_at))
    shard_told, body = asyncio.run(_run_shard(program, inputs, until_at))
    assert shard_told == told
    assert body == written(replay.profiles[CUSTOMER])


async def _run_shard(
    program: Program, inputs: list[Event | Receipt], until_at: int
) -> tuple[list[tuple[str, Decided]], bytes]:
    shard = Shard(program=program, clock=VirtualClock(ORIGIN_AT))
    shard.runtime.outbox.offer = _keep_back  # type: ignore[method-assign] # no receipts here
    await shard.start()
    for taken in inputs:
        await shard.advance(taken.at - 1 - shard.clock.now())
        shard.clock.jump_to(taken.at)
        await shard.submit(taken)
    await shard.advance(until_at - shard.clock.now())
    body = written(await shard.profile(CUSTOMER))
    assert shard.runtime.counters.timers_early == 0
    assert shard.runtime.counters.timer_lateness[1:] == [0] * 23
    await settle()
    await shard.runtime.stop()
    return shard.decided, body


def _keep_back(sends: object) -> None:
    """Let messages lie: what channels answer is not part of a replay."""
