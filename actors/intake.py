"""From a submission to mailboxes: whose each input is, and links between identities on the way.

Owned by `actors.runtime`. Where the store must be asked who an anonymous id belongs to, the
submission waits from that input on, so that its inputs are posted in the order they were given; so
it does where an anonymous id is just being handed over to a customer.
"""

from collections.abc import Callable, Sequence

from actors.handover import Handovers, Move
from actors.identity import Identity
from actors.ports import Store
from actors.tickets import Ticket
from engine.errors import StoreError
from engine.events import Event, EventKind, Input

_Held = tuple[Sequence[Input], int, Ticket]  # a submission, and the first input not yet posted


class Intake:
    """Submissions on their way into mailboxes."""

    def __init__(
        self,
        store: Store,
        *,
        post: Callable[[str, Input | Move, Ticket | None], None],
        queued: Callable[[int], None],
    ) -> None:
        """`post` puts into a mailbox; `queued` hears of more, or fewer, that wait to be posted."""
        self._identity = Identity(store, self._resolved, self._failed)
        self.handovers = Handovers(
            self._identity, post=post, ended=self._release, failed=self._drop, queued=queued
        )
        self._post = post
        self._queued = queued
        self._held: dict[str, list[_Held]] = {}  # by the anonymous id that is asked for

    def take(self, inputs: Sequence[Input], ticket: Ticket, start: int = 0) -> None:
        """Post the inputs of a submission, in order; some may have to wait."""
        identity = self._identity
        for place in range(start, len(inputs)):
            given = inputs[place]
            customer = identity.customer(given)
            if customer is None:
                self._hold(inputs, place, ticket)
                return
            if isinstance(given, Event) and (given.anonymous or given.kind is EventKind.ALIAS):
                link = identity.link(given)
                if link is not None:
                    self.handovers.begin(link, ticket)
            self._post(customer, given, ticket)

    def fail(self, error: StoreError) -> None:
        """Answer every submission that waits: its inputs will not be taken."""
        self.handovers.fail_all(error)
        for anonymous in list(self._held):
            self._drop(anonymous, error)

    def _hold(self, inputs: Sequence[Input], place: int, ticket: Ticket) -> None:
        given = inputs[place]
        assert isinstance(given, Event)
        assert given.anonymous is not None
        self._held.setdefault(given.anonymous, []).append((inputs, place, ticket))
        for later in inputs[place + 1 :]:
            self._identity.customer(later)  # asks for all of them at once

    def _resolved(self, anonymous: str) -> None:
        if anonymous in self._identity.moving:
            self.handovers.resolved(anonymous)
        else:
            self._release(anonymous)

    def _release(self, anonymous: str) -> None:
        for inputs, place, ticket in self._held.pop(anonymous, ()):
            self.take(inputs, ticket, place)

    def _failed(self, anonymous: str, error: Exception) -> None:
        self.handovers.fail(anonymous, StoreError(f"the store could not be read: {error}"))

    def _drop(self, anonymous: str, error: StoreError) -> None:
        for inputs, place, ticket in self._held.pop(anonymous, ()):
            self._queued(place - len(inputs))
            ticket.fail(error)
