"""Moves as they come up in mailboxes: what is decided about both customers, and who goes on.

Owned by `actors.runtime`, which hands over every move it meets. Where a move stands is known by
`actors.merges`, what waits for it by `actors.intake`.
"""

from collections.abc import Callable, Sequence

from actors.customer import Customer, Move
from actors.identity import Link
from actors.intake import Intake
from actors.merges import Place, conclude
from engine.errors import StoreError
from engine.events import Belonging, Input, Key
from engine.identities import IdentityRules
from engine.profile import Profile


class Carrier:
    """Carries moves between two mailboxes and concludes them."""

    def __init__(
        self,
        intake: Intake,
        *,
        rules: Callable[[], IdentityRules],
        decide: Callable[[Customer, Input], None],
        bury: Callable[[Customer, Input, Exception], None],
        link: Callable[[Sequence[Link]], None],
        schedule: Callable[[Customer], None],
    ) -> None:
        """`decide` takes an input of a customer into the open commit, `link` identities.

        `bury` hears of an input on which a customer failed, `schedule` of who may go on.
        """
        self._intake = intake
        self._rules = rules
        self._decide = decide
        self._bury = bury
        self._link = link
        self._schedule = schedule

    def carry(self, move: Move, actor: Customer, profile: Profile, now: int) -> None:
        """Take a move further that met one of its two customers."""
        place = self._intake.merges.arrive(move, actor, profile)
        if place is Place.THERE:
            self._conclude(move, actor, profile, now)
        elif place is Place.NOWHERE:
            self._settle(move, move.keys)

    def _conclude(self, move: Move, actor: Customer, profile: Profile, now: int) -> None:
        """Have both customers of a move know, in one commit with the identities themselves."""
        found = conclude(move, profile, self._rules(), now)
        told: list[tuple[Customer, Belonging]] = []
        if found.winner is not None:
            told.append((actor, found.winner))
        if found.other is not None and move.source is not None:
            told.append((move.source, found.other))
        for one, given in told:
            try:
                self._decide(one, given)
            except Exception as error:  # noqa: BLE001 - an actor that fails dies alone
                self._bury(one, given, error)
                self.fail(move, StoreError(f"{one.id!r:.80} failed: {error}"))
                return
        self._link([(name, value, actor.id) for name, value in found.keys])
        self._settle(move, found.keys)

    def _settle(self, move: Move, keys: Sequence[Key]) -> None:
        self._intake.settled(move, keys)
        if move.source is not None:
            self._schedule(move.source)

    def fail(self, move: Move, error: StoreError) -> None:
        """End a move, and let whoever was stopped go on."""
        self._intake.fail_move(move, error)
        if move.source is not None:
            self._schedule(move.source)

    def fail_all(self, error: StoreError) -> None:
        """End all moves and every submission that is held."""
        for actor in self._intake.fail(error):
            self._schedule(actor)
