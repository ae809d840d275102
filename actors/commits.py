"""Group commit: what many customers' steps led to, made durable together, then released.

Filled by `actors.runtime` while it drains mailboxes; the outbox's own changes ride along. At most
one commit is at the store; what happens meanwhile gathers in the next, so the batch grows with the
load by itself.

*Rules*
- Nothing is answered and no effect is released before the commit that holds it is durable.
- Commits are durable in order, so a submission is answered with the commit of its last input.
- A commit that fails is news once, and so is the next that succeeds; between the two `failing` says
  why, and everything goes on being tried.
"""

import asyncio
import logging
from collections.abc import Callable

import msgspec

from actors.counters import Counters
from actors.customer import Customer
from actors.cuts import Cut
from actors.outgoing import CALLS
from actors.ports import Store
from actors.rows import (
    Commit,
    DecisionRow,
    Entry,
    MemberChange,
    OutboxChange,
    OutboxRow,
    TimerRow,
)
from actors.stays import changed_stays, may_change
from actors.tickets import Ticket
from engine.effects import Call, Effect, Recall, Send, Unwake, Wake, Withhold
from engine.errors import StoreError
from engine.events import Input
from engine.records import Decided, SegmentEntered, SegmentLeft
from engine.step import StepResult

_log = logging.getLogger("nextbeat.commits")
_ENCODER = msgspec.msgpack.Encoder()
_NO_RECORDS = _ENCODER.encode([])


def decision_row(customer: str, seq: int, decided: Decided) -> DecisionRow:
    """Give the row by which a decision is found."""
    return DecisionRow(
        decided.decision_id,
        seq,
        customer,
        decided.at,
        decided.journey,
        decided.message,
        decided.outcome.value,
        decided.reason.value,
        decided.channel,
        _ENCODER.encode(decided),
    )


def outbox_row(send: Send | Call) -> OutboxRow:
    """Give the row of a message, or of a call, as it is before anything was tried."""
    body = _ENCODER.encode(send)
    if isinstance(send, Call):
        return OutboxRow(send.call_id, send.customer, CALLS, "queued", 0, body)
    return OutboxRow(send.message_id, send.customer, send.channel, "queued", 0, body)


def member_change(customer: str, record: SegmentEntered | SegmentLeft) -> MemberChange:
    """Give what changes in a segment."""
    is_in = isinstance(record, SegmentEntered)
    return MemberChange(record.segment, customer, record.at, is_in)


class Batch:
    """One group commit in the making: what to write, whom to answer, what to release."""

    __slots__ = (
        "calls",
        "commit",
        "cuts",
        "decided",
        "duplicates",
        "erased",
        "mark",
        "parts",
        "recalls",
        "sends",
        "stored",
        "tickets",
        "touched",
        "unwakes",
        "waiters",
        "wakes",
        "withdrawals",
        "withheld",
    )

    def __init__(self) -> None:
        self.commit = Commit()
        # What tickets know a batch by: the batch itself would make a circle, and keep whole commits
        # in memory until the garbage collector comes round to them.
        self.mark = object()
        self.tickets: list[Ticket] = []  # submissions that are complete with this batch
        self.parts: list[Ticket] = []  # those that have only a part in it
        self.touched: dict[Customer, int] = {}  # with the last entry of each in here
        self.decided: list[tuple[str, Decided]] = []
        self.sends: list[Send] = []
        self.calls: list[Call] = []
        self.recalls: list[str] = []  # calls that nobody waits for any more
        self.withheld: list[Withhold] = []  # messages whose proposal went to another channel
        self.wakes: list[TimerRow] = []
        self.unwakes: list[tuple[str, int]] = []
        self.waiters: list[asyncio.Future[None]] = []  # the outbox, for changes of its own
        self.withdrawals: list[str] = []  # customers whose consent became narrower
        self.cuts: list[Cut] = []  # those who end with it (`actors.erasures`)
        self.stored = 0
        self.erased = 0  # inputs about those who were erased
        self.duplicates = 0

    def is_empty(self) -> bool:
        """Say whether there is nothing to write and nobody to answer."""
        return not (self.tickets or self.waiters) and self.commit.is_empty()

    def hold(self, ticket: Ticket) -> None:
        """Note that a part of a submission is in here: it can't succeed unless this does."""
        if ticket.mark is not self.mark:
            ticket.mark = self.mark
            self.parts.append(ticket)

    def finish_one(self, ticket: Ticket) -> None:
        """Take note that one input of a submission is done with; with the last it is answered."""
        ticket.waiting -= 1
        if not ticket.waiting:
            self.tickets.append(ticket)
        elif ticket.mark is not self.mark:
            self.hold(ticket)

    def add(self, customer: Customer, given: Input, result: StepResult, seq: int, now: int) -> None:
        """Take in one step: its journal entry and all that follows from it.

        Raises, having taken in nothing, where a value can't be written down.
        """
        records = result.records
        entry = Entry(
            seq,
            customer.id,
            customer.last_seq,
            now,
            result.program,
            _ENCODER.encode(given),
            _ENCODER.encode(records) if records else _NO_RECORDS,
        )
        self.commit.entries.append(entry)
        customer.last_seq = seq
        self.touched[customer] = seq
        for record in records:
            if isinstance(record, Decided):
                self._add_decision(customer.id, seq, record)
            elif isinstance(record, SegmentEntered | SegmentLeft):
                self.commit.members.append(member_change(customer.id, record))
        if may_change(given, records):
            assert customer.profile is not None
            self.commit.stays += changed_stays(customer.id, customer.profile, given, records)
        if result.effects:
            for place, effect in enumerate(result.effects):
                self._add_effect(effect, seq, place)

    def _add_decision(self, customer: str, seq: int, decided: Decided) -> None:
        self.decided.append((customer, decided))
        self.commit.decisions.append(decision_row(customer, seq, decided))

    def _add_effect(self, effect: Effect, seq: int, place: int) -> None:
        if isinstance(effect, Send):
            self.sends.append(effect)
            self.commit.outbox.append(outbox_row(effect))
        elif isinstance(effect, Call):
            self.calls.append(effect)
            self.commit.outbox.append(outbox_row(effect))
        elif isinstance(effect, Recall):
            self.recalls.append(effect.call_id)
            # With what led to it: after a crash nobody would know that it isn't waited for.
            self.commit.outbox_changes.append(
                OutboxChange(effect.call_id, "failed", 0, "nobody waits for it")
            )
        elif isinstance(effect, Withhold):
            self.withheld.append(effect)
        elif isinstance(effect, Wake):
            row = TimerRow(effect.at, effect.customer, effect.timer, seq, place)
            self.wakes.append(row)
            self.commit.timers_set.append(row)
        else:
            assert isinstance(effect, Unwake)
            self.unwakes.append((effect.customer, effect.timer))
            self.commit.timers_cleared.append((effect.at, effect.customer, effect.timer))

    def taken(self) -> int:
        """Count the inputs that came in and are in here, whatever became of them."""
        return self.stored + self.duplicates + self.erased + len(self.commit.quarantined)

    def count(self, counters: Counters) -> None:
        """The commit is durable: count it, and what became of inputs."""
        counters.commits += 1
        counters.stored += self.stored
        counters.duplicates += self.duplicates
        counters.erased += self.erased
        counters.quarantined += len(self.commit.quarantined)

    def settle(self) -> None:
        """The commit is durable: mark it so and answer everybody who waited."""
        for customer, seq in self.touched.items():
            customer.durable_seq = seq
        for ticket in self.tickets:
            ticket.settle()
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)

    def fail(self, error: StoreError) -> None:
        """The commit failed: tell everybody who waited."""
        for ticket in (*self.tickets, *self.parts):
            ticket.fail(error)
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_exception(error)


class Committer:
    """The two batches of a shard: the one that is filled and the one at the store."""

    def __init__(
        self,
        store: Store,
        *,
        fill: Callable[[Batch], None],
        released: Callable[[Batch], None],
        lost: Callable[[list[Batch], StoreError], None],
    ) -> None:
        """`fill` may add to a batch just before it goes; the others hear how a batch ended."""
        self._store = store
        self._fill = fill
        self._released = released
        self._lost = lost
        self.open = Batch()
        self.flying: Batch | None = None
        self.failing = ""  # why the last commit failed; "" when it did not

    def is_idle(self) -> bool:
        """Say whether everything decided is durable."""
        return self.flying is None and self.open.is_empty()

    def promise(self) -> "asyncio.Future[None]":
        """Give a future that is done when what is now in the open batch is durable."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.open.waiters.append(done)
        return done

    def flush(self, *, force: bool = False) -> None:
        """Hand the open batch to the store if nothing is there; `force` an empty one too."""
        if self.flying is not None or (self.open.is_empty() and not force):
            return
        batch, self.open = self.open, Batch()
        self.flying = batch
        try:
            self._fill(batch)
            if batch.is_empty():
                self.flying = None
                return
            written = asyncio.ensure_future(self._store.commit(batch.commit))
        except Exception as error:  # noqa: BLE001 - whatever it was, whoever waits hears of it
            self._lose(batch, error)
        else:
            written.add_done_callback(self._ended)

    def _ended(self, future: asyncio.Future[None]) -> None:
        batch = self.flying
        assert batch is not None
        self.flying = None
        error = StoreError("the store was closed") if future.cancelled() else future.exception()
        if error is None:
            if self.failing:
                self.failing = ""
                _log.warning("the store commits again: inputs are taken")
            self._released(batch)
        else:
            self._lose(batch, error)
        self.flush()

    def _lose(self, batch: Batch, error: BaseException) -> None:
        """Tell of a batch that will not be durable; what was decided on top is lost with it."""
        self.flying = None
        if not isinstance(error, StoreError):
            error = StoreError(f"the store failed: {error}")
        if not self.failing:
            _log.error("the store can't commit, nothing is taken until it can: %s", error)
        self.failing = f"the last commit failed: {error}"
        after, self.open = self.open, Batch()
        self._lost([batch, after], error)
