"""From a submission to mailboxes: whose each input is, and who turns out to be whom on the way.

Owned by `actors.runtime`. A call that carries an identity which the store must be asked for, or
which is another customer's, is held, and its submission with it, until that is settled. Whatever
else comes for the customers it names waits behind it, so that each has its inputs in order.
"""

from collections.abc import Callable, Collection, Sequence

from actors.customer import Customer, Move
from actors.identity import NOBODY, Identity
from actors.merges import Merges
from actors.ports import Store
from actors.tickets import Hold, Ticket
from actors.tombstones import Gate
from engine.errors import StoreError
from engine.events import Answered, Event, EventKind, Input, Key, Receipt
from engine.identities import ANONYMOUS_PREFIX, IdentityRules, judge, keys_of

REFUSED_MAX = 10_000  # merges that were not made, remembered so that they are not tried each time


class Intake:
    """Submissions on their way into mailboxes."""

    def __init__(
        self,
        store: Store,
        *,
        rules: Callable[[], IdentityRules],
        gate: Gate,
        post: Callable[[str, Input | Move, Ticket | None], None],
        queued: Callable[[int], None],
        refused: Callable[[Ticket], None],
    ) -> None:
        """`rules` gives those in force, `post` puts into a mailbox.

        `queued` hears of more, or fewer, that wait to be posted, `refused` of an input that the
        gate does not let in.
        """
        self._gate = gate
        self._refused_by_gate = refused
        self._shut_out: list[Hold] = []  # until an erasure is durable
        self._identity = Identity(store, self._resolved, self._failed)
        self.merges = Merges(self._post_move)
        self._rules = rules
        self._post = post
        self._queued = queued
        self._behind: dict[str, list[Hold]] = {}  # by the customer they wait with
        self._asking: dict[Key, list[Hold]] = {}
        self._holds: dict[Hold, None] = {}
        self._hold_count = 0
        self._refused: dict[tuple[Key, str], None] = {}

    def take(self, inputs: Sequence[Input], ticket: Ticket, start: int = 0) -> None:
        """Post the inputs of a submission, in order; some may have to wait."""
        gate = self._gate
        latest_at = gate.tombstones.latest_at
        for place in range(start, len(inputs)):
            given = inputs[place]
            if gate.closed and gate.is_closed(given):
                self._shut_out.append(self._make_hold(inputs, place, ticket))
                return
            if given.at <= latest_at:
                admitted = gate.admit(given, self._rules())
                if admitted is None:
                    self._refused_by_gate(ticket)
                    continue
                if admitted is not given:
                    inputs = [*inputs[:place], admitted, *inputs[place + 1 :]]
                    given = admitted
            if self._behind and self._wait_behind(inputs, place, ticket):
                return
            if isinstance(given, Event):
                if given.anonymous or given.traits or given.kind is EventKind.ALIAS:
                    customer = self._identify(given, inputs, place, ticket)
                    if customer is None:
                        return
                else:
                    assert given.user is not None
                    customer = given.user
            else:
                assert isinstance(given, (Receipt, Answered))
                customer = given.user
            self._post(customer, given, ticket)

    def _wait_behind(self, inputs: Sequence[Input], place: int, ticket: Ticket) -> bool:
        """Queue up behind a call that is held for the same customer."""
        for name in _names(inputs[place]):
            if name in self._behind:
                self._behind[name].append(self._make_hold(inputs, place, ticket))
                return True
        return False

    def _identify(
        self, event: Event, inputs: Sequence[Input], place: int, ticket: Ticket
    ) -> str | None:
        """Tell whose an event is, or hold it until that is settled.

        What it claims that was nobody's goes before it into the mailbox.
        """
        keys = keys_of(event, self._rules())
        find = self._identity.find
        unknown = [key for key in keys if find(key) is None]
        if unknown:
            self._ask(unknown, self._hold(inputs, place, ticket))
            return None
        customer = event.user
        if customer is None:
            customer = find(keys[0])
            assert customer is not None
        customer = self.merges.whose(customer)
        claimed: list[Key] = []
        for key in keys:
            owner = find(key)
            if owner == NOBODY:
                claimed.append(key)
            elif owner is not None and owner != customer:
                move = self._judge(customer, key, owner)
                if move is not None:
                    self._begin(move, self._hold(inputs, place, ticket))
                    return None
        if claimed:
            self._identity.remember(claimed, customer)
            self.merges.begin(Move(customer, "", tuple(claimed), merges=False))
        return customer

    def _judge(self, customer: str, key: Key, owner: str) -> Move | None:
        """Make the move that settles an identity which is another customer's, if one is due."""
        if (key, customer) in self._refused:
            return None
        step = judge(customer, key, owner, self._rules())
        if step is None or step.winner == step.other:
            return None
        because = f"{key[0]} {key[1]}"
        return Move(step.winner, step.other, (key,), merges=step.merges, because=because)

    def _ask(self, keys: Sequence[Key], hold: Hold) -> None:
        hold.missing = len(keys)
        for key in keys:
            self._asking.setdefault(key, []).append(hold)
        self._identity.ask(keys)
        for later in hold.inputs[hold.place + 1 :]:  # asks for all of them at once
            if isinstance(later, Event) and (later.anonymous or later.traits):
                wanted = keys_of(later, self._rules())
                self._identity.ask(key for key in wanted if self._identity.find(key) is None)

    def _hold(self, inputs: Sequence[Input], place: int, ticket: Ticket) -> Hold:
        """Have a submission wait, and whatever comes for the customers its next input names."""
        hold = self._make_hold(inputs, place, ticket)
        hold.names = _names(inputs[place])
        for name in hold.names:
            self._behind[name] = []
        self._holds[hold] = None
        return hold

    def _make_hold(self, inputs: Sequence[Input], place: int, ticket: Ticket) -> Hold:
        self._hold_count += 1
        return Hold(inputs, place, ticket, self._hold_count)

    def _begin(self, move: Move, hold: Hold) -> None:
        """Send a move on its way; where another one must end first, wait for that."""
        move.hold = hold
        blocking = self.merges.begin(move)
        if blocking is not None:
            blocking.after.append(hold)

    def settled(self, move: Move, keys: Sequence[Key]) -> None:
        """Go on with what waited for a move; `keys` went to its winner."""
        if keys:
            self._identity.remember(keys, move.winner)
        elif move.other and move.hold is not None:
            self._note_refusal(move)
        self.merges.end(move)
        if move.said is not None and not move.said.done():
            move.said.set_result(None)
        for hold in move.waiting():
            if hold in self._holds:
                self._resume(hold)

    def _note_refusal(self, move: Move) -> None:
        if len(self._refused) >= REFUSED_MAX:
            self._refused.clear()
        for key in move.keys:
            for name in (move.winner, move.other):
                self._refused[key, name] = None

    def _resume(self, hold: Hold) -> None:
        behind = self._release(hold)
        self.take(hold.inputs, hold.ticket, hold.place)
        for other in behind:
            self.take(other.inputs, other.ticket, other.place)

    def _release(self, hold: Hold) -> list[Hold]:
        """Let go of a submission; gives those behind it, in the order in which they came."""
        del self._holds[hold]
        behind = [other for name in hold.names for other in self._behind.pop(name)]
        return sorted(behind, key=lambda other: other.number)

    def _resolved(self, keys: Sequence[Key]) -> None:
        for key in keys:
            for hold in self._asking.pop(key, ()):
                hold.missing -= 1
                if not hold.missing and hold in self._holds:
                    self._resume(hold)

    def _failed(self, keys: Sequence[Key], error: Exception) -> None:
        told = StoreError(f"the store could not be read: {error}")
        for key in keys:
            for hold in self._asking.pop(key, ()):
                if hold in self._holds:
                    self._refuse(hold, told)

    def fail_move(self, move: Move, error: StoreError) -> None:
        """End a move that can't be made, and answer everybody who waits for it."""
        move.is_over = True
        self.merges.end(move)
        _fail_said(move, error)
        for hold in move.waiting():
            if hold in self._holds:
                self._refuse(hold, error)

    def fail(self, error: StoreError) -> list[Customer]:
        """Answer every submission that waits: its inputs will not be taken.

        Gives the customers who were stopped. What was noted of identities may be lost, too.
        """
        self._identity.forget()
        self._refused.clear()
        moves = self.merges.end_all()
        for move in moves:
            _fail_said(move, error)
        for hold in list(self._holds):
            if hold in self._holds:
                self._refuse(hold, error)
        self._asking.clear()
        for hold in self._shut_out:
            self._queued(-hold.left())
            hold.ticket.fail(error)
        self._shut_out.clear()
        return [move.source for move in moves if move.source is not None]

    def drop(self, keys: Sequence[Key]) -> None:
        """Have identities be nobody's from here on."""
        self._identity.drop(keys)

    def shut_out(self, given: Input, ticket: Ticket) -> None:
        """Take an input back that was posted: somebody it names is being erased."""
        self._shut_out.append(self._make_hold([given], 0, ticket))

    def let_in(self) -> None:
        """Look anew at everything that waited for an erasure."""
        waiting, self._shut_out = self._shut_out, []
        for hold in waiting:
            self.take(hold.inputs, hold.ticket, hold.place)

    def erased(self, customers: Collection[str], keys: Sequence[Key]) -> None:
        """Note that nobody is left whose these identities are."""
        self._identity.drop(keys)
        self.merges.forget(customers)
        self._refused.clear()

    def noted(self, keys: Sequence[Key], customer: str) -> None:
        """Note whose identities are from here on, as somebody said."""
        self._identity.remember(keys, customer)
        self._refused.clear()

    def _refuse(self, hold: Hold, error: StoreError) -> None:
        for each in (hold, *self._release(hold)):
            self._queued(-each.left())
            each.ticket.fail(error)

    def _post_move(self, customer: str, move: Move) -> None:
        self._queued(1)
        self._post(customer, move, None)


def _fail_said(move: Move, error: StoreError) -> None:
    if move.said is not None and not move.said.done():
        move.said.set_exception(error)


def _names(given: Input) -> tuple[str, ...]:
    """Name the customers an input is of, as far as it says so itself."""
    assert isinstance(given, (Event, Receipt, Answered))
    names = [given.user] if given.user else []
    if isinstance(given, Event) and given.anonymous:
        names.append(ANONYMOUS_PREFIX + given.anonymous)
    return tuple(dict.fromkeys(names))
