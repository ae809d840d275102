"""From mailboxes into the open batch: every input of every customer, one after another.

The part of `actors.runtime` that the event loop calls when something waits; what it leaves in the
batch, `actors.commits` makes durable.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from actors.commits import Batch
from actors.customer import Customer, Halt, Move
from actors.deaths import certify
from actors.erasing import Erasing
from actors.identity import Link
from actors.registries import Scrubber
from actors.reviews import Reviews
from actors.tickets import Ticket
from actors.withdrawals import narrows_consent
from engine.events import Event, Input, Review, Tick
from engine.profile import Profile
from engine.records import Duplicated, Unmatched
from engine.step import step

DRAIN_MAX = 2_000  # inputs decided before the event loop gets its turn
DRAIN_ONE_MAX = 200  # inputs of one customer before the others get theirs


class Deciding(Erasing):
    """What is done with inputs that wait."""

    scrubber: Scrubber
    reviews: Reviews
    _ready: deque[Customer]
    _draining: bool

    def _post(self, customer: str, given: Input | Move | Halt, ticket: Ticket | None) -> None:
        """Put something into a mailbox."""
        raise NotImplementedError

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
        elif isinstance(given, Review):
            self.reviews.taken()

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
        if kind is None and isinstance(given, Review):
            return  # an input meanwhile has seen to it
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
