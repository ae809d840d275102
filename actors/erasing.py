"""What the runtime does about people who were erased, or are just being erased.

`Erasing` is a part of `actors.runtime`: it refuses what comes too late, begins customers anew of
whose name there was one before, and gives `actors.erasures` what that works with.
"""

from collections.abc import Sequence

from actors.calls import Calls
from actors.carrier import Carrier, Floor
from actors.commits import Batch, Committer
from actors.counters import Counters
from actors.customer import Customer
from actors.directory import Directory
from actors.erasures import Erasures
from actors.intake import Intake
from actors.outbox import Outbox
from actors.partings import Partings
from actors.ports import Clock, Keeper, Store
from actors.rows import QuarantineRow
from actors.tickets import Ticket
from actors.tombstones import Gate, Verdict
from engine.events import Answered, Input, Rebirth, Receipt, Tick
from engine.profile import Profile
from engine.program.program import Program

_NUMBERS_BITS = 20  # a customer has fewer decisions, and fewer proposals, than these count


class Erasing:
    """The part of a shard that deals with erasure."""

    store: Store
    clock: Clock
    program: Program
    counters: Counters
    directory: Directory
    outbox: Outbox
    calls: Calls
    _gate: Gate
    _intake: Intake
    _commits: Committer
    _carrier: Carrier
    partings: Partings
    _seq: int
    _queued: int
    _ticks: int
    _now: int

    def _wake_drain(self) -> None:
        raise NotImplementedError

    def _decide(
        self,
        batch: Batch,
        actor: Customer,
        profile: Profile,
        given: Input,
        counted: bool,  # noqa: FBT001 - as the runtime has it
    ) -> None:
        raise NotImplementedError

    def _make_erasures(self, floor: Floor, keepers: Sequence[Keeper]) -> Erasures:
        return Erasures(
            self.store,
            self.clock,
            self._gate,
            self.directory,
            self._intake,
            self.outbox,
            calls=self.calls,
            carrier=self._carrier,
            batch=self._open_batch,
            flying=lambda: self._commits.flying,
            now=self._tell_time,
            dropped=self._drop,
            telling=lambda: (channel.identity for channel in self.program.channels.values()),
            floor=floor,
            alone=self.partings.alone,
            keepers=keepers,
        )

    def _refuse(self, ticket: Ticket) -> None:
        """Let an input go unstored that is about somebody erased; its sender is answered."""
        self._queued -= 1
        self.counters.received += 1
        self._commits.open.erased += 1
        self._commits.open.finish_one(ticket)
        self._wake_drain()

    def _drop(self, given: Tick | None) -> None:
        """Take note of what an erasure took from a mailbox for good."""
        self._queued -= 1
        self._ticks -= given is not None

    def _open_batch(self) -> Batch:
        self._wake_drain()
        return self._commits.open

    def _tell_time(self) -> int:
        self._now = max(self.clock.now(), self._now)
        return self._now

    def _sift(self, quarantined: Sequence[QuarantineRow]) -> Sequence[QuarantineRow]:
        """Leave out what is about somebody erased, and count it."""
        kept = self._gate.keep(quarantined)
        count = len(quarantined) - len(kept)
        self._commits.open.erased += count
        self.counters.received += count
        return kept

    def _begin(
        self,
        batch: Batch,
        actor: Customer,
        profile: Profile,
        given: Input,
        counted: bool,  # noqa: FBT001 - as in `_decide`
    ) -> bool:
        """See to whom an input leads that names somebody erased; False: to nobody."""
        if actor.last_seq and not isinstance(given, Receipt | Answered):
            return True
        verdict = self._gate.judge(actor.id, given, profile, actor.last_seq)
        if verdict is Verdict.GONE:
            batch.erased += counted
            if not (actor.last_seq or actor.mailbox):
                self.directory.discard(actor)
            return False
        if verdict is Verdict.ANEW:
            # Far beyond any number of one who had the name before, and the same whoever asks.
            number = (self._seq + 1) << _NUMBERS_BITS
            self._decide(batch, actor, profile, Rebirth(number, self._now), counted=False)
        return True
