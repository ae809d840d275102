"""Moves as they come up in mailboxes: what is decided about both customers, and who goes on.

Owned by `actors.runtime`, which hands over every move it meets. Where a move stands is known by
`actors.merges`, what waits for it by `actors.intake`.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Protocol

from actors.counters import Counters
from actors.customer import Customer, Halt, Move
from actors.identity import NOBODY, Link
from actors.intake import Intake
from actors.merges import Place, conclude
from engine.errors import StoreError
from engine.events import Belonging, Departed, Input, Key, Merged, Refused, Unlinked
from engine.identities import excess_keys
from engine.profile import Profile
from engine.program.program import Program


class Floor(Protocol):
    """What the runtime lets its parts do to customers and to the open commit."""

    program: Program
    counters: Counters

    def post(self, customer: str, given: Halt | Input) -> None:
        """Put something into a mailbox."""
        ...

    def tell(self, actor: Customer, given: Input) -> None:
        """Decide an input that nobody sent; what it leads to goes into the open commit."""
        ...

    def bury(self, actor: Customer, given: Input, error: Exception) -> None:
        """Keep an input on which a customer failed."""
        ...

    def link(self, links: Sequence[Link]) -> None:
        """Take identities into the open commit."""
        ...

    def schedule(self, actor: Customer) -> None:
        """Let a customer go on that was stopped."""
        ...

    def durable(self) -> asyncio.Future[None]:
        """Give what is done when everything up to here is on disk."""
        ...


class Carrier:
    """Carries moves between two mailboxes and concludes them."""

    def __init__(self, intake: Intake, floor: Floor) -> None:
        self._intake = intake
        self._floor = floor

    def carry(self, move: Move, actor: Customer, profile: Profile, now: int) -> None:
        """Take a move further that met one of its two customers."""
        place = self._intake.merges.arrive(move, actor, profile)
        if place is Place.THERE:
            self._conclude(move, actor, profile, now)
        elif place is Place.NOWHERE:
            self._settle(move, move.keys)

    def _conclude(self, move: Move, actor: Customer, profile: Profile, now: int) -> None:
        """Have both customers of a move know, in one commit with the identities themselves."""
        found = conclude(move, profile, self._floor.program.identity, now)
        told: list[tuple[Customer, Belonging]] = []
        if found.winner is not None:
            told.append((actor, found.winner))
        if found.other is not None and move.source is not None:
            told.append((move.source, found.other))
        for one, given in told:
            try:
                self._floor.tell(one, given)
            except Exception as error:  # noqa: BLE001 - an actor that fails dies alone
                self._floor.bury(one, given, error)
                self.fail(move, StoreError(f"{one.id!r:.80} failed: {error}"))
                return
        if isinstance(found.other, Departed):
            self._intake.merges.note(move.other, actor.id)
        self._floor.counters.merges += isinstance(found.winner, Merged)
        self._floor.counters.merges_refused += isinstance(found.winner, Refused)
        self._floor.link([(name, value, actor.id) for name, value in found.keys])
        self._settle(move, found.keys)
        if found.keys:
            self._shed(actor, profile, now)

    def _shed(self, actor: Customer, profile: Profile, now: int) -> None:
        """Have identities be nobody's again that a customer has too many of."""
        keys = excess_keys(profile, self._floor.program.identity)
        if keys:
            self._floor.tell(actor, Unlinked(keys, NOBODY, now))
            self._floor.link([(name, value, NOBODY) for name, value in keys])
            self._intake.drop(keys)

    def _settle(self, move: Move, keys: Sequence[Key]) -> None:
        self._intake.settled(move, keys)
        if move.source is not None:
            self._floor.schedule(move.source)

    def fail(self, move: Move, error: StoreError) -> None:
        """End a move, and let whoever was stopped go on."""
        self._intake.fail_move(move, error)
        if move.source is not None:
            self._floor.schedule(move.source)

    def end_moves_to(self, customers: Collection[str]) -> None:
        """End the moves from others to these: who is to be stopped never lets one through."""
        for move in self._intake.merges.going_to(customers):
            self.fail(move, StoreError("somebody it names is being erased or parted: ask again"))

    def fail_all(self, error: StoreError) -> None:
        """End all moves and every submission that is held."""
        for actor in self._intake.fail(error):
            self._floor.schedule(actor)
