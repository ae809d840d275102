"""Calls of journeys on their way: when they leave, again and no more, and what is told of them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from actors.calls import CallOutcome
from actors.memory import settle
from actors.outgoing import CALLS
from actors.ports import Answer, Permanent, Temporary
from actors.rows import Cutoffs, OutboxRow
from engine.effects import Call
from engine.instants import HOUR_MS, MINUTE_MS, SECOND_MS
from engine.limits import CALLS_OF_HOST_MAX
from engine.program.compile import compile_source
from tests.shards import WORKSPACE, GatedStore, Shard, changed

Act = Answer | Exception | None  # None hangs until the test lets go

URL = "https://crm.example/quote"
STEP = {
    "webhook": {"url": URL, "body": {"who": "{{ customer }}"}, "timeout": "1m"},
    "into": "quote",
    "then": [{"send": "paper", "id": "yes"}],
    "else": [{"send": "offer", "id": "no"}],
}
PROGRAM = compile_source(
    changed(
        WORKSPACE,
        journeys={
            "ask": {"trigger": {"event": "Ask"}, "goal": {"event": "Paid"}, "steps": [STEP]},
            "other": {
                "trigger": {"event": "Other"},
                "steps": [{"webhook": {"url": "https://other.example/"}}],
            },
        },
    )
)
GOOD = Answer(200, {"price": 7})


class ScriptedCaller:
    """Answers as the test wrote it, one act for each request, the last one for all others."""

    def __init__(self, *acts: Act) -> None:
        self.acts: Sequence[Act] = acts or (GOOD,)
        self.calls: list[Call] = []
        self.hold = asyncio.Event()
        self.flying = 0

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def call(self, call: Call) -> Answer:
        act = self.acts[min(len(self.calls), len(self.acts) - 1)]
        self.calls.append(call)
        self.flying += 1
        try:
            if act is None:
                await self.hold.wait()
                return GOOD
            if isinstance(act, Exception):
                raise act
            return act
        finally:
            self.flying -= 1

    def ids(self) -> list[str]:
        return [call.call_id for call in self.calls]


@pytest.fixture
async def shards() -> AsyncIterator[list[Shard]]:
    opened: list[Shard] = []
    yield opened
    for shard in opened:
        if not shard.is_over:
            await shard.runtime.stop()


async def open_shard(shards: list[Shard], *acts: Act) -> tuple[Shard, ScriptedCaller]:
    caller = ScriptedCaller(*acts)
    shard = await Shard(GatedStore(), program=PROGRAM, caller=caller).start()
    shards.append(shard)
    await shard.submit(shard.known("u1"))
    return shard, caller


def rows(shard: Shard) -> list[tuple[str, int, str]]:
    """Give the calls in the store: state, attempts, detail is not kept there."""
    assert isinstance(shard.store, GatedStore)
    found = shard.store.outbox().values()
    return [(row.state, row.attempts, row.channel) for row in found if row.channel == CALLS]


def counts(shard: Shard) -> dict[str, int]:
    return {outcome.value: count for outcome, count in shard.runtime.calls.counts.items()}


def told(shard: Shard) -> list[str]:
    """Give which of the two messages a customer got, if any."""
    return [line.split()[1] for line in shard.told()]


async def pass_time(shard: Shard, duration_ms: int) -> None:
    """Let time pass second by second: pauses between attempts are no timers of customers."""
    for _ in range(duration_ms // SECOND_MS):
        await shard.advance(SECOND_MS)


async def test_an_answer_moves_the_customer_on(shards: list[Shard]) -> None:
    shard, caller = await open_shard(shards)
    await shard.submit(shard.track("u1", "Ask"))
    assert told(shard) == ["paper"]
    assert [call.body for call in caller.calls] == ['{"who":"u1"}']
    assert rows(shard) == [("sent", 1, CALLS)]
    assert counts(shard) == {"answered": 1}
    assert (await shard.profile("u1")).timers == {}


async def test_a_refusal_moves_them_on_at_once(shards: list[Shard]) -> None:
    shard, caller = await open_shard(shards, Answer(404))
    await shard.submit(shard.track("u1", "Ask"))
    assert told(shard) == ["offer"]
    assert len(caller.calls) == 1
    assert rows(shard) == [("failed", 1, CALLS)]
    assert counts(shard) == {"refused": 1}


async def test_a_call_that_must_not_be_made_has_failed(shards: list[Shard]) -> None:
    shard, _ = await open_shard(shards, Permanent("private", code="address_refused"))
    await shard.submit(shard.track("u1", "Ask"))
    assert told(shard) == ["offer"]
    assert counts(shard) == {"failed": 1}


async def test_a_failure_that_may_pass_is_tried_again_by_the_same_id(shards: list[Shard]) -> None:
    shard, caller = await open_shard(shards, Temporary("503"), OSError("broken"), GOOD)
    await shard.submit(shard.track("u1", "Ask"))
    assert told(shard) == []
    await pass_time(shard, 10 * SECOND_MS)
    assert told(shard) == ["paper"]
    assert len(set(caller.ids())) == 1
    assert len(caller.calls) == 3
    assert counts(shard) == {"answered": 1, "retried": 2}


async def test_retries_end_with_the_time(shards: list[Shard]) -> None:
    shard, caller = await open_shard(shards, Temporary("503"))
    await shard.submit(shard.track("u1", "Ask"))
    began_at = shard.clock.now()
    await pass_time(shard, 2 * MINUTE_MS)
    assert told(shard) == ["offer"]
    assert all(call.expires_at == began_at + MINUTE_MS for call in caller.calls)
    assert len(caller.calls) > 3
    assert shard.runtime.calls.depth() == 0
    made = len(caller.calls)
    await shard.advance(HOUR_MS)
    assert len(caller.calls) == made


async def test_a_pause_longer_than_the_time_is_not_waited_for(shards: list[Shard]) -> None:
    shard, caller = await open_shard(shards, Temporary("429", retry_after_ms=HOUR_MS, code="429"))
    await shard.submit(shard.track("u1", "Ask"))
    assert told(shard) == ["offer"]
    assert len(caller.calls) == 1


async def test_whoever_hangs_loses_the_customer_when_the_time_is_over(shards: list[Shard]) -> None:
    shard, caller = await open_shard(shards, None)
    await shard.submit(shard.track("u1", "Ask"))
    await shard.advance(MINUTE_MS)
    assert told(shard) == ["offer"]
    caller.hold.set()
    await settle()
    assert told(shard) == ["offer"]
    assert shard.runtime.calls.depth() == 0
    assert [entry.customer for entry in await shard.runtime.timeline("u1", None, 1)] == ["u1"]


async def test_a_host_that_hangs_holds_up_no_message_and_no_other_host(
    shards: list[Shard],
) -> None:
    shard, caller = await open_shard(shards, *[None] * CALLS_OF_HOST_MAX, GOOD)
    for number in range(CALLS_OF_HOST_MAX + 5):
        await shard.submit(shard.track(f"h{number}", "Ask"))
    assert caller.flying == CALLS_OF_HOST_MAX == len(caller.calls)
    await shard.submit(shard.track("u1", "Other"), shard.track("u1", "Pay"))
    assert [call.url for call in caller.calls[CALLS_OF_HOST_MAX:]] == ["https://other.example/"]
    assert told(shard) == ["paper"]
    caller.hold.set()
    await settle()
    assert len(caller.calls) == CALLS_OF_HOST_MAX + 6


# Who has left.


async def test_whoever_left_is_not_asked_about(shards: list[Shard]) -> None:
    """The call waits for its next attempt when the goal is met."""
    shard, caller = await open_shard(shards, Temporary("503"), GOOD)
    await shard.submit(shard.track("u1", "Ask"))
    await shard.submit(shard.track("u1", "Paid"))
    await pass_time(shard, MINUTE_MS)
    assert len(caller.calls) == 1
    assert counts(shard) == {"recalled": 1, "retried": 1}
    assert [state for state, *_ in rows(shard)] == ["failed"]


async def test_an_answer_to_whoever_left_changes_nothing(shards: list[Shard]) -> None:
    shard, caller = await open_shard(shards, None)
    await shard.submit(shard.track("u1", "Ask"))
    await shard.submit(shard.track("u1", "Paid"))
    before = await shard.profile("u1")
    caller.hold.set()
    await settle()
    after = await shard.profile("u1")
    assert (after.instances, after.journeys_done) == ({}, before.journeys_done)
    assert told(shard) == []


async def test_whoever_left_is_not_asked_about_after_a_crash(shards: list[Shard]) -> None:
    shard, caller = await open_shard(shards, Temporary("503"), GOOD)
    await shard.submit(shard.track("u1", "Ask"))
    await shard.submit(shard.track("u1", "Paid"))
    again = await shard.crash()
    shards.append(again)
    await pass_time(again, MINUTE_MS)
    assert len(caller.calls) == 1


# Crashes.


async def test_a_call_that_a_crash_cut_off_is_made_again_by_the_same_id(
    shards: list[Shard],
) -> None:
    shard, caller = await open_shard(shards, None, GOOD)
    await shard.submit(shard.track("u1", "Ask"))
    assert rows(shard) == [("dispatching", 1, CALLS)]
    again = await shard.crash()
    shards.append(again)
    await settle()
    assert caller.ids() == [caller.ids()[0]] * 2
    assert told(again) == ["paper"]
    assert again.runtime.calls.depth() == 0


async def test_a_call_is_durable_before_it_leaves(shards: list[Shard]) -> None:
    shard, caller = await open_shard(shards)
    assert isinstance(shard.store, GatedStore)
    shard.store.hold()
    shard.runtime.submit([shard.track("u1", "Ask")])
    await settle()
    assert caller.calls == []
    shard.store.release()
    await settle()
    assert len(caller.calls) == 1


async def test_a_crash_before_the_answer_is_durable_has_the_customer_go_on_once(
    shards: list[Shard],
) -> None:
    shard, caller = await open_shard(shards, None, GOOD)
    await shard.submit(shard.track("u1", "Ask"))
    assert isinstance(shard.store, GatedStore)
    shard.store.hold()  # what comes back is not written any more
    caller.hold.set()
    await settle()
    again = await shard.crash()
    shards.append(again)
    await settle()
    assert len(caller.calls) == 2
    assert told(again) == ["paper"]
    assert (await again.profile("u1")).journeys_done == {"ask/completed": 1}


async def test_an_answer_that_comes_twice_is_taken_once(shards: list[Shard]) -> None:
    """The answer was durable, and that the call was done was not."""
    shard, caller = await open_shard(shards)
    await shard.submit(shard.track("u1", "Ask"))
    (call,) = caller.calls
    shard.runtime.calls.offer([call])
    await settle()
    assert len(caller.calls) == 2
    assert told(shard) == ["paper"]
    assert shard.runtime.counters.duplicates == 1


async def test_a_call_whose_time_passed_while_nobody_ran_is_not_made(shards: list[Shard]) -> None:
    shard, caller = await open_shard(shards, None)
    await shard.submit(shard.track("u1", "Ask"))
    await shard.abandon()
    assert isinstance(shard.store, GatedStore)
    shard.clock.jump_to(shard.clock.now() + HOUR_MS)
    shard.store = shard.store.crash()
    again = await shard.restart()
    shards.append(again)
    await again.advance(1)
    assert len(caller.calls) == 1
    assert told(again) == ["offer"]
    assert counts(again) == {"expired": 1}
    assert [state for state, *_ in rows(again)] == ["expired"]


async def test_a_stop_leaves_a_call_for_the_next_start(shards: list[Shard]) -> None:
    shard, caller = await open_shard(shards, None, GOOD)
    await shard.submit(shard.track("u1", "Ask"))
    await shard.runtime.stop(0.01)
    again = await shard.restart()
    shards.append(again)
    await settle()
    assert len(caller.calls) == 2
    assert told(again) == ["paper"]


async def test_what_cannot_be_stored_is_asked_to_be_stored_again(shards: list[Shard]) -> None:
    shard, caller = await open_shard(shards, None, GOOD)
    await shard.submit(shard.track("u1", "Ask"))
    assert isinstance(shard.store, GatedStore)
    shard.store.fail_next(2)
    caller.hold.set()
    await settle()
    await pass_time(shard, 5 * SECOND_MS)
    assert told(shard) == ["paper"]
    assert len(caller.calls) == 1


async def test_without_anything_to_call_with_a_call_fails_at_once() -> None:
    shard = await Shard(program=PROGRAM).start()
    await shard.submit(shard.known("u1"), shard.track("u1", "Ask"))
    assert told(shard) == ["offer"]
    assert counts(shard) == {CallOutcome.FAILED.value: 1}
    await shard.runtime.stop()


# Erasure and age.


async def erase(shard: Shard, name: str) -> None:
    row = await shard.runtime.erasures.erase(name)
    for _ in range(50):
        await settle()
        shard.clock.jump_to(shard.clock.now() + 20)
        done: Any = await shard.store.erasure(row.number)
        if done.state == "done":
            return
    raise AssertionError("it does not come to an end")


async def test_nothing_of_a_call_is_left_of_somebody_erased(shards: list[Shard]) -> None:
    shard, caller = await open_shard(shards, Answer(200, {"note": "dear ursula"}))
    await shard.submit(shard.known("ursula"), shard.track("ursula", "Ask"))
    assert isinstance(shard.store, GatedStore)
    assert b"ursula" in shard.store.written()
    await erase(shard, "ursula")
    assert b"ursula" not in shard.store.written()
    assert len(caller.calls) == 1


async def test_a_call_of_somebody_erased_is_not_tried_again(shards: list[Shard]) -> None:
    shard, caller = await open_shard(shards, Temporary("503"), GOOD)
    await shard.submit(shard.known("ursula"), shard.track("ursula", "Ask"))
    await erase(shard, "ursula")
    await pass_time(shard, MINUTE_MS)
    assert len(caller.calls) == 1
    assert isinstance(shard.store, GatedStore)
    assert b"ursula" not in shard.store.written()


async def test_an_answer_about_somebody_erased_is_kept_nowhere(shards: list[Shard]) -> None:
    shard, caller = await open_shard(shards, None)
    await shard.submit(shard.known("ursula"), shard.track("ursula", "Ask"))
    row = await shard.runtime.erasures.erase("ursula")
    await settle()
    shard.clock.jump_to(shard.clock.now() + 1_000)
    caller.hold.set()
    for _ in range(20):
        await settle()
        shard.clock.jump_to(shard.clock.now() + 20)
    done = await shard.store.erasure(row.number)
    assert done is not None
    assert done.state == "done"
    assert isinstance(shard.store, GatedStore)
    assert b"ursula" not in shard.store.written()
    assert await shard.runtime.profile("ursula") is None


async def test_calls_that_are_done_are_taken_away_when_they_are_old(shards: list[Shard]) -> None:
    shard, _ = await open_shard(shards)
    await shard.submit(shard.track("u1", "Ask"))
    (call,) = [row.message_id for row in await messages(shard) if row.channel == CALLS]
    now = shard.clock.now()
    assert (await shard.store.old(Cutoffs(outbox_at=now), 10)).messages == []
    assert call in (await shard.store.old(Cutoffs(outbox_at=now + 1), 10)).messages


async def messages(shard: Shard) -> list[OutboxRow]:
    assert isinstance(shard.store, GatedStore)
    return await shard.store.messages(list(shard.store.outbox()))


async def test_a_call_goes_back_with_whoever_is_parted_again(shards: list[Shard]) -> None:
    """The instance is the other one's again; the answer to it finds it there."""
    shard, caller = await open_shard(shards, None)
    await shard.submit(shard.known("u2"), shard.track("u2", "Ask"))
    await shard.runtime.partings.merge("u1", "u2")
    assert [one.call for one in (await shard.profile("u1")).instances.values()] == caller.ids()
    await shard.runtime.partings.unmerge("u1", "u2")
    await settle()
    assert (await shard.profile("u1")).instances == {}
    assert [one.call for one in (await shard.profile("u2")).instances.values()] == caller.ids()
    caller.hold.set()
    await settle()
    assert shard.told() == ["u2 paper send sent email"]
