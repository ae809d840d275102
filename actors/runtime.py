"""One shard, running: takes inputs, decides, makes durable, then acts.

Built by `adapters.app`, used by the gateway. This is the whole surface the outside sees.

*Rules*
- The event loop decides; the store writes beside it. Mailboxes are drained in one
  callback, and what gathers while the store is busy becomes one commit.
- A caller is answered, and a message leaves, only after the commit is durable.
- When a commit fails, everything decided since the last durable one is thrown away and rebuilt
  from disk, and everyone who waited is told.
- An actor that fails on an input dies alone: the input goes to quarantine, the actor is rebuilt.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence

from actors.acts import Acting
from actors.audience import Audience, DecisionListener
from actors.budgets import Purse, read_prices
from actors.calls import Calls
from actors.carrier import Carrier
from actors.catalogue import Catalogue
from actors.commits import Batch, Committer
from actors.counters import Counters
from actors.customer import MAILBOX_MAX, Customer, Halt, Move
from actors.deciding import Deciding
from actors.directory import Directory
from actors.intake import Intake
from actors.lanes import Pace, Pacing
from actors.outbox import Outbox
from actors.outgoing import CALLS
from actors.partings import Partings
from actors.ports import Caller, Channel, Clock, Keeper, Store
from actors.reading import Reading
from actors.recovery import recover
from actors.registries import Scrubber
from actors.reviews import Reviews
from actors.rows import OutboxChange, OutboxRow, QuarantineRow, TimerRow
from actors.settings import Settings
from actors.snapshots import Snapshots
from actors.stays import fill_stays
from actors.tickets import Ticket
from actors.timers import Timers
from actors.tombstones import Gate
from actors.withdrawals import Withdrawals
from engine.errors import OverloadError, StoreError
from engine.events import Answered, Event, Input, Receipt, Redeliver, Review, Tick
from engine.identities import conceal
from engine.program.program import Program

__all__ = ["Counters", "DecisionListener", "Runtime", "Settings"]

STORE_RETRY_MS = 1_000
TICKS_MAX = 5_000  # due timers that may wait in mailboxes at once

_NOBODY: Mapping[str, Pacing] = {}
_NAMELESS: Mapping[str, str] = {}


class Runtime(Deciding, Reading, Acting):
    """One shard: actors, timers, group commit and outbox over one store."""

    def __init__(  # noqa: PLR0913 - each is another part of the world around it
        self,
        store: Store,
        clock: Clock,
        program: Program,
        channels: Mapping[str, Channel],
        *,
        settings: Settings | None = None,
        pacing: Mapping[str, Pacing] = _NOBODY,
        pace: Pace | None = None,
        providers: Mapping[str, str] = _NAMELESS,
        keepers: Sequence[Keeper] = (),
        caller: Caller | None = None,
    ) -> None:
        self.store = store
        self.clock = clock
        self.program = program
        self.settings = settings or Settings()
        self.counters = Counters()
        self.scrubber = Scrubber()
        self.timers = Timers(store)
        self.catalogue = Catalogue(store)
        self.directory = Directory(
            store, self.schedule, self._hydration_failed, self.settings.memory_bytes_max
        )
        self._gate = Gate()
        self._intake = Intake(
            store,
            rules=lambda: self.program.identity,
            gate=self._gate,
            post=self._post,
            queued=self._count_queued,
            refused=self._refuse,
        )
        self._carrier = Carrier(self._intake, self)
        self.partings = Partings(store, self.directory, self._intake, self._carrier, clock, self)
        self.outbox = Outbox(
            channels,
            clock,
            report=self._report,
            changed=self._outbox_changed,
            at_least_once=self._at_least_once,
            pacing=pacing,
            pace=pace,
            providers=providers,
            purse=Purse(read_prices(program)),
        )
        self.calls = Calls(caller, clock, report=self._report, changed=self._outbox_changed)
        self._withdrawals = Withdrawals(self.directory, self.outbox, self)
        self._commits = Committer(
            store,
            fill=self._add_snapshots,
            released=self._release,
            lost=self._roll_back,
        )
        self.reviews = Reviews(store, clock, self.directory, self._commits, self)
        self.erasures = self._make_erasures(self, keepers)
        self._channels = channels
        self._caller = caller
        self._ready: deque[Customer] = deque()
        self._draining = False
        self._seq = 0
        self._durable_seq = 0
        self._queued = self._ticks = 0
        self._now = 0
        self._snapshots = Snapshots(self.directory, self.settings)
        self._retry_at = 0  # when due timers are tried again after a commit that failed
        self._audience = Audience()
        self._tasks: list[asyncio.Task[None]] = []
        self._unready = "not started"

    # Life: start, stop, readiness.

    async def open(self) -> int:
        """Open the store and rebuild what was in memory; gives how many entries were folded."""
        self._unready = "recovering"
        state = await self.store.open()
        self._seq = self._durable_seq = state.last_seq
        self._snapshots.covered_seq = state.covered_seq
        await self.catalogue.load()
        gone = await self.erasures.open()
        folded = await recover(self.store, self.directory, state, gone)
        await fill_stays(self.store, self.directory, gone)
        return folded

    async def start(self) -> None:
        """Begin to take inputs, fire timers and send messages. The store must be open."""
        self._now = self.clock.now()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._keep_house(), name="housekeeping")]
        if not self.settings.quiet:
            await self.timers.load(self._now)
            for channel in self._channels.values():
                await channel.start()
            if self._caller is not None:
                await self._caller.start()
            purse = self.outbox.purse
            purse.recall(await self.store.spending(purse.day(self._now)), self._now)
            rows = await self.store.outbox_open()
            await self._withdrawals.recover([row for row in rows if row.channel != CALLS])
            self.calls.recover([row for row in rows if row.channel == CALLS])
            watch = self.timers.watch(
                self.clock, self.settings.nap_ms, room=self._count_ticks, fire=self._fire
            )
            self._tasks.append(loop.create_task(watch, name="timers"))
            self._tasks.append(loop.create_task(self.reviews.run(), name="reviews"))
            self.reviews.begin()
        self._unready = ""
        self.erasures.start()

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Take no more, finish what was taken, write snapshots, close."""
        self._unready = "stopping"
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.erasures.stop()
        # With a broken store nothing that ends now can be written down: it is in doubt anyway.
        await self.drain(0 if self.store.broken else round(timeout_s * 500))
        try:
            async with asyncio.timeout(timeout_s):
                while self._queued or not self._commits.is_idle():
                    self._commits.flush()
                    await asyncio.sleep(0.001)
                await self._save_all()
        except (TimeoutError, StoreError):
            self._fail_waiting(StoreError("the shard stopped before this was durable"))
        for channel in self._channels.values():
            await channel.close()
        if self._caller is not None:
            await self._caller.close()
        await self.store.close()

    async def drain(self, timeout_ms: int) -> None:
        """Have nothing more leave, and let what is on its way arrive."""
        await asyncio.gather(self.outbox.drain(timeout_ms), self.calls.drain(timeout_ms))

    async def _save_all(self) -> None:
        """Write the snapshots that are missing, so that the next start has no tail to fold."""
        failures = self.counters.commit_failures
        while not self._commits.is_idle() or (
            self.directory.unsaved and self.counters.commit_failures == failures
        ):
            self._snapshots.due_at = 0
            self._commits.flush(force=True)
            await asyncio.sleep(0.001)

    def unready(self) -> str:
        """Say why this shard can't take inputs now, or "" when it can."""
        return self._unready or self.store.broken or self._commits.failing

    def use(self, program: Program) -> None:
        """Decide by another program from the next input on."""
        self.program = program
        self.outbox.purse.use(read_prices(program))
        self.reviews.begin()

    # Inputs: from a submission into mailboxes.

    def submit(
        self, inputs: Sequence[Input], quarantined: Sequence[QuarantineRow] = ()
    ) -> asyncio.Future[None]:
        """Take inputs (and items to quarantine); the future is done once all are durable.

        Raises OverloadError at once, having taken nothing, when too much is waiting. The future
        fails with StoreError when the store could not make it durable.
        """
        if self._unready:
            raise OverloadError(f"the shard is {self._unready}", 5)
        is_full = self.outbox.is_full() or self.calls.is_full()
        if self._queued + len(inputs) > self.settings.queue_max or is_full:
            raise OverloadError("too much is waiting to be stored or sent")
        rules = self.program.identity
        if rules.hashed:
            inputs = [conceal(one, rules) if isinstance(one, Event) else one for one in inputs]
        if self.catalogue.count:
            inputs = self.catalogue.enrich(inputs, self.program.joins)
        return self._accept(inputs, quarantined)

    def _accept(
        self, inputs: Sequence[Input], quarantined: Sequence[QuarantineRow] = ()
    ) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ticket = Ticket(done, len(inputs))
        if quarantined and self._gate.tombstones:
            quarantined = self._sift(quarantined)
        if quarantined:
            self.counters.received += len(quarantined)
            self._commits.open.commit.quarantined.extend(quarantined)
            self._commits.open.hold(ticket)
        if not inputs:
            self._commits.open.tickets.append(ticket)
            self._wake_drain()
        self._queued += len(inputs)
        self._intake.take(inputs, ticket)
        return done

    def _count_queued(self, more: int) -> None:
        self._queued += more

    def durable(self) -> asyncio.Future[None]:
        """Give what is done when everything up to here is on disk."""
        return self._accept([])

    def post(self, customer: str, given: Halt | Input) -> None:
        """Put something into a mailbox."""
        self._queued += 1
        self._post(customer, given, None)

    def redeliver(self, row: OutboxRow) -> asyncio.Future[None]:
        """Have a message that ended decided about once more; done once that is durable.

        Raises OverloadError at once where nothing is taken.
        """
        if self._unready or self._queued >= self.settings.queue_max:
            raise OverloadError(self._unready or "too much is waiting to be stored or sent")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queued += 1
        self._post(row.customer, Redeliver(row.message_id, self.clock.now()), Ticket(done, 1))
        return done

    def _post(self, customer: str, given: Input | Move | Halt, ticket: Ticket | None) -> None:
        actor = self.directory.get(customer)
        mailbox = actor.mailbox
        if len(mailbox) >= MAILBOX_MAX and ticket is not None:
            self._queued -= 1
            ticket.fail(OverloadError("too many events of one customer are waiting"))
            return
        mailbox.append((given, ticket))
        if not actor.scheduled:
            self.schedule(actor)

    def schedule(self, actor: Customer) -> None:
        """See to it that what waits in a mailbox is decided, once the profile is there."""
        if actor.profile is None or actor.is_stopped:
            return
        if actor.mailbox and not actor.scheduled:
            actor.scheduled = True
            self._ready.append(actor)
            self._wake_drain()

    def _hydration_failed(self, actor: Customer, error: Exception) -> None:
        self._abandon(actor, StoreError(f"the store could not be read: {error}"))

    def _abandon(self, actor: Customer, reason: StoreError) -> None:
        """Answer everything in a mailbox; timers among it are read from the store again."""
        for given, _ in actor.mailbox:
            if isinstance(given, Tick):
                self._ticks -= 1
                self.timers.reread(given.at)
            elif isinstance(given, Review):
                self.reviews.taken()
            elif isinstance(given, Move) and not given.is_over:
                self._carrier.fail(given, reason)
            elif isinstance(given, Halt):
                given.fail(reason)
        self._queued -= actor.die(reason)

    # Committing: what happens around a batch's way to the store.

    def _add_snapshots(self, batch: Batch) -> None:
        self._snapshots.fill(batch, self._seq, self._commits.failing, self._now)

    def _release(self, batch: Batch) -> None:
        """The batch is durable: answer, then act."""
        commit, counters = batch.commit, self.counters
        batch.count(counters)
        if commit.entries:
            self._durable_seq = commit.entries[-1].seq
        if commit.covered_seq is not None:
            self._snapshots.covered_seq = commit.covered_seq
        batch.settle()
        self.directory.durable(self._durable_seq)
        if batch.cuts:
            self.erasures.settle(batch.cuts)
        for row in batch.wakes:
            self.timers.push(row)
        for customer, timer in batch.unwakes:
            self.timers.forget(customer, timer)
        if not self.settings.quiet:
            self._let_out(batch)
        for customer in batch.withdrawals:  # after the offer: it may be in the same commit
            self._withdrawals.enforce(customer)
        if batch.decided:
            counters.note_decisions(batch.decided)
            self._audience.tell(batch.decided)

    def _let_out(self, batch: Batch) -> None:
        if batch.sends:
            self.outbox.offer(batch.sends)
        if batch.calls:
            self.calls.offer(batch.calls)
        for call_id in batch.recalls:  # after the offer: it may be in the same commit
            self.calls.recall(call_id)
        for effect in batch.withheld:
            self.outbox.withhold(effect.customer, effect.message_id)

    def _roll_back(self, batches: list[Batch], reason: StoreError) -> None:
        """Throw away everything decided since the last durable commit, and tell who waited."""
        self.counters.commit_failures += 1
        self._retry_at = self.clock.now() + STORE_RETRY_MS
        self._seq = self._durable_seq
        self.directory.lost_snapshots()
        self._carrier.fail_all(reason)
        self.reviews.lost()
        for batch in batches:
            self.counters.received -= batch.taken()
            for actor in batch.touched:
                self._abandon(actor, reason)
                actor.profile = None
                self.directory.discard(actor)
            for at, _, _ in batch.commit.timers_cleared:
                self.timers.reread(at)
            batch.fail(reason)
        self.erasures.undo([cut for batch in batches for cut in batch.cuts])
        self.directory.durable(self._durable_seq)

    def _fail_waiting(self, reason: StoreError) -> None:
        """Answer everybody whose inputs did not become durable."""
        for batch in (self._commits.flying, self._commits.open):
            if batch is not None:
                batch.fail(reason)
        for actor in self.directory.everyone():
            self._abandon(actor, reason)
        self._carrier.fail_all(reason)

    # Timers and housekeeping.

    def _count_ticks(self, now: int) -> int:
        """Say how many due timers may be taken; while nothing can be stored, none."""
        if self._commits.failing and now < self._retry_at:
            return 0  # they would only be decided again and again
        return max(0, TICKS_MAX - self._ticks)

    def _fire(self, rows: Sequence[TimerRow]) -> None:
        self._ticks += len(rows)
        self._queued += len(rows)
        for row in rows:
            self._post(row.customer, Tick(row.timer, row.at), None)

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(self.settings.house_ms / 1_000)
            self._now = max(self._now, self.clock.now())
            # A store that failed is tried though nobody sends anything: nobody may, until it is
            # known to be well again.
            wanted = self.directory.unsaved or self._commits.failing
            if wanted and self._now >= self._snapshots.due_at:
                self._commits.flush(force=True)

    # The outbox: receipts and answers in, changes out.

    def _report(self, came: Receipt | Answered) -> asyncio.Future[None]:
        return self._accept([came])

    def _outbox_changed(self, change: OutboxChange) -> asyncio.Future[None]:
        self._commits.open.commit.outbox_changes.append(change)
        self._wake_drain()
        return self._commits.promise()

    def _at_least_once(self, message_type: str) -> bool:
        kind = self.program.types.get(message_type)
        return kind is not None and kind.at_least_once
