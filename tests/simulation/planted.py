"""Defects as they are really made, each a patch of one function of the product.

Nothing here is in the product: a test plants one, runs the campaign, and takes it out again. The
simulation has to find each within its budget.
"""

# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

import actors.carrier
import actors.merges
import actors.recovery
import engine.choice.ways
import engine.decide
import engine.evolve
import engine.gates.caps
import engine.gates.order
import engine.journeys.releases
import engine.localtime
import engine.merge
import engine.proposals
from actors.commits import Batch, Committer
from actors.customer import Customer, Move
from actors.directory import Directory
from actors.endings import OutboxState
from actors.intake import Intake
from actors.members import Members
from actors.memory import MemoryStore
from actors.merges import Conclusion
from actors.outbox import Outbox
from actors.ports import Store, Temporary
from actors.rows import Commit, Entry, OutboxRow, SnapshotRow, StoreState
from actors.runtime import Runtime
from actors.tickets import Hold
from actors.timers import Timers
from actors.withdrawals import Withdrawals
from engine.effects import Effect, Send, Unwake
from engine.errors import StoreError
from engine.events import Input
from engine.gates.case import Case
from engine.gates.order import Timing
from engine.gates.verdict import Block
from engine.ledger import strike_slot
from engine.profile import Pending, Profile, Sent
from engine.program.program import Cap
from engine.records import ReceiptNoted, Record
from engine.turn import Turn

Patch = pytest.MonkeyPatch
PLANTED: dict[str, Callable[[Patch], None]] = {}


def planted(plant: Callable[[Patch], None]) -> Callable[[Patch], None]:
    PLANTED[plant.__name__] = plant
    return plant


@contextmanager
def plant(name: str) -> Generator[None]:
    """Have one defect in the product for a while."""
    with pytest.MonkeyPatch.context() as patch:
        PLANTED[name](patch)
        _forget_cached()
        yield
    _forget_cached()


def _forget_cached() -> None:
    """Empty the engine's caches: what they hold may have been reckoned with a defect."""
    modules = [m for name, m in sys.modules.items() if name.startswith("engine.")]
    for module in modules:
        for value in vars(module).values():
            if getattr(value, "__module__", "") == module.__name__:
                getattr(value, "cache_clear", _nothing)()


def _real(module: Any, name: str) -> Any:
    """Give what a module has by this name, whoever made it."""
    return getattr(module, name)


def _nothing(*_: object) -> None:
    """Do what a forgotten call does."""


# Durability.


@planted
def answered_before_it_is_durable(patch: Patch) -> None:
    real = Committer.flush

    def flush(self: Committer, *, force: bool = False) -> None:
        if self.flying is None:
            for ticket in self.open.tickets:
                ticket.settle()
        real(self, force=force)

    patch.setattr(Committer, "flush", flush)


@planted
def sent_before_it_is_durable(patch: Patch) -> None:
    real = Runtime._add_snapshots

    def add_snapshots(self: Runtime, batch: Batch) -> None:
        self.outbox.offer(batch.sends)
        real(self, batch)

    patch.setattr(Runtime, "_add_snapshots", add_snapshots)


@planted
def memory_kept_when_a_commit_failed(patch: Patch) -> None:
    def roll_back(self: Runtime, batches: list[Batch], reason: StoreError) -> None:
        self.counters.commit_failures += 1
        for batch in batches:
            batch.fail(reason)

    patch.setattr(Runtime, "_roll_back", roll_back)


@planted
def second_caller_not_answered(patch: Patch) -> None:
    real = Batch.settle

    def settle(self: Batch) -> None:
        del self.tickets[1:2]
        real(self)

    patch.setattr(Batch, "settle", settle)


@planted
def part_of_a_failed_commit_is_not_told(patch: Patch) -> None:
    def fail(self: Batch, error: StoreError) -> None:
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_exception(error)

    patch.setattr(Batch, "fail", fail)


# Recovery.


@planted
def last_entry_of_the_tail_dropped(patch: Patch) -> None:
    real: Callable[..., Awaitable[int]] = _real(actors.recovery, "recover")

    class Short:
        def __init__(self, store: Store) -> None:
            self.load = store.load
            self._store = store

        async def tail(self, after_seq: int) -> AsyncIterator[list[Entry]]:
            async for portion in self._store.tail(after_seq):
                yield portion[:-1]

    async def recover(store: Store, directory: Directory, state: StoreState) -> int:
        short: Any = Short(store)
        return await real(short, directory, state)

    patch.setattr("actors.runtime.recover", recover)


@planted
def seen_ids_forgotten_after_a_crash(patch: Patch) -> None:
    real = _real(engine.evolve, "fold")

    def fold(profile: Profile, given: Input, records: Sequence[Record], now: int) -> None:
        real(profile, given, records, now)
        profile.seen.clear()

    patch.setattr("actors.recovery.fold", fold)


@planted
def snapshot_claims_a_later_entry(patch: Patch) -> None:
    real = Directory._snapshot

    def snapshot(self: Directory, actor: Customer) -> SnapshotRow:
        row = real(self, actor)
        return row._replace(seq=row.seq + 1)

    patch.setattr(Directory, "_snapshot", snapshot)


@planted
def covered_before_it_is_in_a_snapshot(patch: Patch) -> None:
    patch.setattr(Directory, "covered_seq", lambda _self, last_seq: last_seq)


@planted
def lost_snapshots_count_as_saved(patch: Patch) -> None:
    patch.setattr(Directory, "lost_snapshots", lambda self: self._writing.clear())


@planted
def entries_do_not_lead_back(patch: Patch) -> None:
    real = Batch.add

    def add(self: Batch, customer: Customer, given: Input, result: Any, seq: int, now: int) -> None:
        customer.last_seq = 0
        real(self, customer, given, result, seq, now)

    patch.setattr(Batch, "add", add)


@planted
def timers_forgotten_at_the_start(patch: Patch) -> None:
    real = Timers.load

    async def load(self: Timers, now: int) -> None:
        self.horizon_at = self.horizon_at or now
        await real(self, now)

    patch.setattr(Timers, "load", load)


@planted
def timers_of_a_failed_commit_not_read_again(patch: Patch) -> None:
    patch.setattr(Timers, "reread", _nothing)


@planted
def fired_timers_stay_in_the_store(patch: Patch) -> None:
    real = Batch._add_effect

    def add_effect(self: Batch, effect: Effect, seq: int, place: int) -> None:
        if not isinstance(effect, Unwake):
            real(self, effect, seq, place)

    patch.setattr(Batch, "_add_effect", add_effect)


@planted
def links_between_memory_and_snapshot_broken(patch: Patch) -> None:
    real = MemoryStore.load

    async def load(self: MemoryStore, customers: Sequence[str]) -> dict[str, SnapshotRow]:
        rows = await real(self, customers)
        return {name: row for name, row in rows.items() if row.seq % 3}

    patch.setattr(MemoryStore, "load", load)


# The outbox.


@planted
def outbox_row_lost(patch: Patch) -> None:
    real = Batch._add_effect

    def add_effect(self: Batch, effect: Effect, seq: int, place: int) -> None:
        real(self, effect, seq, place)
        if isinstance(effect, Send):
            self.commit.outbox.pop()

    patch.setattr(Batch, "_add_effect", add_effect)


@planted
def in_doubt_resent_though_once_is_all(patch: Patch) -> None:
    real = Outbox.recover

    def recover(self: Outbox, rows: Sequence[OutboxRow]) -> None:
        real(self, [row._replace(state=OutboxState.QUEUED) for row in rows])

    patch.setattr(Outbox, "recover", recover)


@planted
def sent_messages_sent_again_after_a_restart(patch: Patch) -> None:
    async def outbox_open(self: MemoryStore) -> list[OutboxRow]:
        rows = self._tables.outbox.values()
        return [row._replace(state="queued") for row in rows if row.state in ("sent", "queued")]

    patch.setattr(MemoryStore, "outbox_open", outbox_open)


@planted
def tried_again_though_it_may_have_been_taken(patch: Patch) -> None:
    real = Outbox._postpone

    def postpone(self: Outbox, lane: Any, parcel: Any, error: Temporary, **options: Any) -> Any:
        error.maybe_taken = False
        return real(self, lane, parcel, error, **options)

    patch.setattr(Outbox, "_postpone", postpone)


@planted
def dispatch_not_noted_before_it_happens(patch: Patch) -> None:
    real = Outbox._insist

    async def insist(self: Outbox, *acts: Any) -> None:
        if asyncio.current_task() is not None and len(acts) == 1:
            for act in acts:
                act()
        else:
            await real(self, *acts)

    patch.setattr(Outbox, "_insist", insist)


# Consent.


@planted
def withdrawal_spares_what_waits(patch: Patch) -> None:
    patch.setattr(Withdrawals, "enforce", _nothing)


@planted
def withdrawal_spares_what_a_crash_left(patch: Patch) -> None:
    async def recover(self: Withdrawals, rows: Sequence[OutboxRow]) -> None:
        self._outbox.recover(rows)

    patch.setattr(Withdrawals, "recover", recover)


@planted
def deferrals_survive_a_withdrawal(patch: Patch) -> None:
    patch.setattr(engine.decide, "_recheck_consent", _nothing)
    patch.setattr(engine.choice.ways, "check_consent", _nothing)
    patch.setattr("engine.choice.channel.check_consent", _nothing)


@planted
def forged_receipts_taken_for_the_latest_send(patch: Patch) -> None:
    real = _real(engine.decide, "_find_sent")

    def find_sent(profile: Profile, message: str) -> Sent | None:
        return real(profile, message) or next(reversed(profile.sends.values()), None)

    patch.setattr(engine.decide, "_find_sent", find_sent)


# Time and frequency.


@planted
def caps_off_by_one(patch: Patch) -> None:
    real: Callable[[Cap, float], Cap] = _real(engine.gates.caps, "_scale")

    def scale(cap: Cap, factor: float) -> Cap:
        scaled = real(cap, factor)
        return msgspec.structs.replace(scaled, count_max=scaled.count_max + 1)

    patch.setattr(engine.gates.caps, "_scale", scale)


@planted
def slots_given_back_by_each_failure(patch: Patch) -> None:
    real = _real(engine.evolve, "_evolve_receipt")

    def evolve_receipt(profile: Profile, record: ReceiptNoted, now: int) -> None:
        real(profile, record, now)
        if record.status == "failed" and not record.released and profile.ledger:
            latest = profile.ledger[-1].message_id
            strike_slot(profile.ledger, profile.tallies, latest)

    patch.setitem(_real(engine.evolve, "CHANGES"), ReceiptNoted, evolve_receipt)


@planted
def clocks_change_a_day_late(patch: Patch) -> None:
    real: Callable[[ZoneInfo, int], int] = _real(engine.localtime, "_offset_ms")

    def offset_ms(zone: ZoneInfo, at_s: int) -> int:
        return real(zone, at_s - 86_400)

    patch.setattr(engine.localtime, "_offset_ms", offset_ms)


@planted
def window_closed_at_the_wrong_end(patch: Patch) -> None:
    real = _real(engine.gates.order, "check_hours")

    def check_hours(case: Case, at: int) -> list[Block]:
        return real(case, at) if real(case, at - 1) else []

    patch.setattr(engine.gates.order, "check_hours", check_hours)


@planted
def eligible_a_millisecond_early(patch: Patch) -> None:
    real: Callable[[Case, int], Timing] = _real(engine.choice.ways, "next_eligible")

    def next_eligible(case: Case, now: int) -> Timing:
        timing = real(case, now)
        if not timing.blocks or timing.at is None or timing.at <= now + 1:
            return timing
        return msgspec.structs.replace(timing, at=timing.at - 1)

    patch.setattr(engine.choice.ways, "next_eligible", next_eligible)


@planted
def deferrals_sent_without_deciding_again(patch: Patch) -> None:
    real = _real(engine.journeys.releases, "decide_again")

    def decide_again(turn: Turn, pending: Pending, *, unless_same: bool = False) -> None:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(engine.choice.ways, "next_eligible", lambda _case, now: Timing(now))
            real(turn, pending, unless_same=unless_same)

    patch.setattr(engine.journeys.releases, "decide_again", decide_again)


@planted
def timers_fire_early(patch: Patch) -> None:
    real = Timers.due

    def due(self: Timers, now: int, limit: int) -> Any:
        return real(self, now + 2_000, limit)

    patch.setattr(Timers, "due", due)


# Determinism.


@planted
def decisions_named_by_a_counter(patch: Patch) -> None:
    numbers = itertools.count()
    patch.setattr(engine.proposals, "decision_id", lambda _customer, _number: f"d_{next(numbers)}")


@planted
def duplicates_taken_again(patch: Patch) -> None:
    real = _real(engine.evolve, "note_seen")

    def note_seen(*given: Any) -> bool:
        return real(*given) or True

    patch.setattr(engine.evolve, "note_seen", note_seen)


@planted
def seen_of_a_visitor_forgotten(patch: Patch) -> None:
    patch.setattr(engine.merge, "take_over", lambda *_given: None)


@planted
def ledgers_not_united(patch: Patch) -> None:
    patch.setattr(engine.merge, "_unite_ledgers", lambda *_given: None)


@planted
def merge_not_waited_for(patch: Patch) -> None:
    real = Intake._begin

    def begin(self: Intake, move: Move, hold: Hold) -> None:
        real(self, move, hold)
        self._identity.remember(move.keys, move.winner)
        self._resume(hold)

    patch.setattr(Intake, "_begin", begin)


@planted
def links_not_in_the_commit(patch: Patch) -> None:
    real = actors.merges.conclude

    def conclude(*given: Any) -> Conclusion:
        return msgspec.structs.replace(real(*given), keys=())

    patch.setattr(actors.carrier, "conclude", conclude)


@planted
def members_not_written(patch: Patch) -> None:
    patch.setattr(Members, "apply", lambda *_given: None)


@planted
def entries_written_in_another_order(patch: Patch) -> None:
    real = MemoryStore.commit

    def commit(self: MemoryStore, commit: Commit) -> Any:
        if len(commit.entries) > 1:
            first, second, *rest = commit.entries
            swapped = [second._replace(seq=first.seq), first._replace(seq=second.seq), *rest]
            commit = msgspec.structs.replace(commit, entries=swapped)
        return real(self, commit)

    patch.setattr(MemoryStore, "commit", commit)
