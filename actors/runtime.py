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
from actors.carrier import Carrier
from actors.commits import Batch, Committer
from actors.counters import Counters
from actors.customer import MAILBOX_MAX, Customer, Halt, Move
from actors.deaths import certify
from actors.directory import Directory
from actors.erasing import Erasing
from actors.identity import Link
from actors.intake import Intake
from actors.lanes import Pace, Pacing
from actors.outbox import Outbox
from actors.partings import Partings
from actors.ports import Channel, Clock, Keeper, OutboxChange, QuarantineRow, Store, TimerRow
from actors.reading import Reading
from actors.recovery import recover
from actors.registries import Scrubber
from actors.settings import Settings
from actors.snapshots import Snapshots
from actors.tickets import Ticket
from actors.timers import Timers
from actors.tombstones import Gate
from actors.withdrawals import Withdrawals, narrows_consent
from engine.errors import OverloadError, StoreError
from engine.events import Event, Input, Receipt, Tick
from engine.profile import Profile
from engine.program.program import Program
from engine.records import Duplicated, Unmatched
from engine.step import step

__all__ = ["Counters", "DecisionListener", "Runtime", "Settings"]

DRAIN_MAX = 2_000  # inputs decided before the event loop gets its turn
DRAIN_ONE_MAX = 200  # inputs of one customer before the others get theirs
STORE_RETRY_MS = 1_000
TICKS_MAX = 5_000  # due timers that may wait in mailboxes at once

_NOBODY: Mapping[str, Pacing] = {}


class Runtime(Erasing, Reading, Acting):
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
        keepers: Sequence[Keeper] = (),
    ) -> None:
        self.store = store
        self.clock = clock
        self.program = program
        self.settings = settings or Settings()
        self.counters = Counters()
        self.scrubber = Scrubber()
        self.timers = Timers(store)
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
        self.partings = Partings(store, self.directory, self._intake, clock, self)
        self.outbox = Outbox(
            channels,
            clock,
            report=self._report,
            changed=self._outbox_changed,
            at_least_once=self._at_least_once,
            pacing=pacing,
            pace=pace,
        )
        self._withdrawals = Withdrawals(self.directory, self.outbox, self)
        self._commits = Committer(
            store, fill=self._add_snapshots, released=self._release, lost=self._roll_back
        )
        self.erasures = self._make_erasures(self, keepers)
        self._channels = channels
        self._ready: deque[Customer] = deque()
        self._draining = False
        self._seq = 0
        self._durable_seq = 0
        self._queued = 0
        self._ticks = 0
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
        gone = await self.erasures.open()
        return await recover(self.store, self.directory, state, gone)

    async def start(self) -> None:
        """Begin to take inputs, fire timers and send messages. The store must be open."""
        self._now = self.clock.now()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._keep_house(), name="housekeeping")]
        if not self.settings.quiet:
            await self.timers.load(self._now)
            for channel in self._channels.values():
                await channel.start()
            await self._withdrawals.recover(await self.store.outbox_open())
            watch = self.timers.watch(
                self.clock, self.settings.nap_ms, room=self._count_ticks, fire=self._fire
            )
            self._tasks.append(loop.create_task(watch, name="timers"))
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
        await self.outbox.drain(0 if self.store.broken else round(timeout_s * 500))
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
        await self.store.close()

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
        if self._queued + len(inputs) > self.settings.queue_max or self.outbox.is_full():
            message = "too much is waiting to be stored or sent"
            raise OverloadError(message)
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

    def post(self, customer: str, given: Halt) -> None:
        """Put something into a mailbox."""
        self._queued += 1
        self._post(customer, given, None)

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
            elif isinstance(given, Move) and not given.is_over:
                self._carrier.fail(given, reason)
            elif isinstance(given, Halt):
                given.fail(reason)
        self._queued -= actor.die(reason)

    # Deciding: from mailboxes into the open batch.

    def _wake_drain(self) -> None:
        if not self._draining:
            self._draining = True
            asyncio.get_running_loop().call_soon(self._drain)

    def _drain(self) -> None:
        """Decide what waits in the mailboxes, then hand the batch over if the store is free."""
        self._draining = False
        self._now = max(self.clock.now(), self._now)
        ready, left = self._ready, DRAIN_MAX
        while ready and left > 0:
            actor = ready.popleft()
            mailbox = actor.mailbox
            taken = min(len(mailbox), DRAIN_ONE_MAX)
            left -= taken
            while taken and (profile := actor.profile) is not None and not actor.is_stopped:
                given, ticket = mailbox.popleft()
                taken -= 1
                if isinstance(given, (Move, Halt)):
                    self._carry(actor, profile, given)
                elif profile.merged_into and given.__class__ is not Tick:
                    self._post(profile.merged_into, given, ticket)
                else:
                    self._take(actor, profile, given, ticket)
            if mailbox and actor.profile is not None and not actor.is_stopped:
                ready.append(actor)
            else:
                actor.scheduled = False
        if ready:
            self._wake_drain()
        self._commits.flush()

    def _take(self, actor: Customer, profile: Profile, given: Input, ticket: Ticket | None) -> None:
        """Decide one input of one customer."""
        self._queued -= 1
        batch = self._commits.open
        try:
            self._decide(batch, actor, profile, given, ticket is not None)
        except Exception as error:  # noqa: BLE001 - an actor that fails dies alone
            self._bury(actor, given, error, counted=ticket is not None)
        if ticket is not None:
            self.counters.received += 1
            batch.finish_one(ticket)
        elif isinstance(given, Tick):
            self._ticks -= 1
            self.counters.note_tick(self._now - given.at)

    def _carry(self, actor: Customer, profile: Profile, move: Move | Halt) -> None:
        """Take a move further that met one of its two customers."""
        self._queued -= 1
        if isinstance(move, Halt):
            move.arrive(actor)
            return
        if move.is_over:
            return
        self._carrier.carry(move, actor, profile, self._now)
        if not (actor.last_seq or actor.mailbox or actor.is_stopped):
            self.directory.discard(actor)  # an anonymous customer there has never been

    def tell(self, actor: Customer, given: Input) -> None:
        """Decide an input that nobody sent."""
        assert actor.profile is not None
        self._decide(self._commits.open, actor, actor.profile, given, counted=False)

    def bury(self, actor: Customer, given: Input, error: Exception) -> None:
        """Keep an input on which a customer failed."""
        self._bury(actor, given, error, counted=False)

    def link(self, links: Sequence[Link]) -> None:
        """Take identities into the open commit."""
        self._commits.open.commit.links += links

    def durable(self) -> asyncio.Future[None]:
        """Give what is done when everything up to here is on disk."""
        return self._accept([])

    def _decide(
        self,
        batch: Batch,
        actor: Customer,
        profile: Profile,
        given: Input,
        counted: bool,  # noqa: FBT001 - the hottest call there is: no keywords
    ) -> None:
        """Take the step, and what it led to into the batch."""
        if self._gate.tombstones and not self._begin(batch, actor, profile, given, counted):
            return
        if self.scrubber and (
            scrubbed := self.scrubber.look_up(profile, given, self.program, self._now)
        ):
            self._decide(batch, actor, profile, scrubbed, counted=False)
        result = step(profile, given, self.program, self._now)
        records = result.records
        kind = records[0].__class__ if records else None
        if kind is Duplicated:
            batch.duplicates += counted
            return
        if kind is Unmatched and isinstance(given, Tick):
            batch.commit.timers_cleared.append((given.at, actor.id, given.timer))
            return
        seq = self._seq + 1
        batch.add(actor, given, result, seq, self._now)
        self._seq = seq
        batch.stored += counted
        self.directory.changed(actor, seq)
        if isinstance(given, Event) and not given.consents:
            return  # nearly all inputs: nothing was said of consent
        if narrows_consent(given, records):
            batch.withdrawals.append(actor.id)

    def _bury(self, actor: Customer, given: Input, error: Exception, *, counted: bool) -> None:
        """Keep the input an actor failed on, with the failure; have the actor read again."""
        self.counters.deaths += 1
        commit = self._commits.open.commit
        if isinstance(given, Tick):
            commit.timers_cleared.append((given.at, actor.id, given.timer))
        commit.quarantined.append(certify(given, error, self._now, is_ours=not counted))
        if not counted:
            self.counters.received += 1
        self.directory.rebuild(actor)

    # Committing: what happens around a batch's way to the store.

    def _add_snapshots(self, batch: Batch) -> None:
        self._snapshots.fill(batch, self._seq, self._commits.failing, self._now)

    def _release(self, batch: Batch) -> None:
        """The batch is durable: answer, then act."""
        commit, counters = batch.commit, self.counters
        counters.commits += 1
        counters.stored += batch.stored
        counters.duplicates += batch.duplicates
        counters.erased += batch.erased
        counters.quarantined += len(commit.quarantined)
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
        if batch.sends and not self.settings.quiet:
            self.outbox.offer(batch.sends)
        for customer in batch.withdrawals:  # after the offer: it may be in the same commit
            self._withdrawals.enforce(customer)
        if batch.decided:
            counters.note_decisions(batch.decided)
            self._audience.tell(batch.decided)

    def _roll_back(self, batches: list[Batch], reason: StoreError) -> None:
        """Throw away everything decided since the last durable commit, and tell who waited."""
        self.counters.commit_failures += 1
        self._retry_at = self.clock.now() + STORE_RETRY_MS
        self._seq = self._durable_seq
        self.directory.lost_snapshots()
        self._carrier.fail_all(reason)
        for batch in batches:
            self.counters.received -= batch.stored + batch.duplicates + batch.erased
            self.counters.received -= len(batch.commit.quarantined)
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

    # The outbox: receipts in, changes out.

    def _report(self, receipt: Receipt) -> asyncio.Future[None]:
        return self._accept([receipt])

    def _outbox_changed(self, change: OutboxChange) -> asyncio.Future[None]:
        self._commits.open.commit.outbox_changes.append(change)
        self._wake_drain()
        return self._commits.promise()

    def _at_least_once(self, message_type: str) -> bool:
        kind = self.program.types.get(message_type)
        return kind is not None and kind.at_least_once
