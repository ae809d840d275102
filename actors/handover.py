"""When an anonymous id turns out to be a customer: what was seen goes over, then the link.

Owned by `actors.intake`, which begins a move for every link that is news; `actors.runtime` meets
moves in mailboxes, where they stand among the inputs, and asks `carry` what to do.

A client that had no answer sends an event again. If its anonymous id was linked meanwhile, it
arrives at another customer, who would take it for news. So a move waits in the anonymous
customer's mailbox behind all that is there, takes the ids this customer has seen to the mailbox of
the other, and there they become durable in one commit with the link.

*Rules*
- While an id moves, events that carry nothing else are held: they arrive after the link.
- After a crash link and ids are both there or both not; without the link, events sent again arrive
  where they are known.
- The event that makes a link is decided at once; it is answered when its link is durable.
- A commit that fails ends every move: what one carries may be of what was just lost.
"""

from collections.abc import Callable

from actors.identity import ANONYMOUS_PREFIX, Identity, Link
from actors.tickets import Ticket
from engine.errors import StoreError
from engine.events import Handover, SeenIds
from engine.profile import Profile
from engine.seen import hand_out, pick_unknown


class Move:
    """One anonymous id on its way to a customer, and the submissions that wait for it.

    It is posted to the anonymous customer, and again, with what was `seen`, to the other.
    """

    __slots__ = ("customer", "is_carried", "is_over", "is_posted", "link", "seen", "tickets")

    def __init__(self, link: Link, ticket: Ticket) -> None:
        self.link = link
        self.customer = link[2]
        self.tickets = [ticket]
        self.seen: tuple[SeenIds, ...] | None = None  # None until it was at the anonymous customer
        self.is_posted = False
        self.is_carried = False  # its link is in a commit
        self.is_over = False  # it failed: wherever it stands, it is passed over


class Handovers:
    """All moves: for each anonymous id the one under way and at most one that follows."""

    def __init__(
        self,
        identity: Identity,
        *,
        post: Callable[[str, Move, None], None],
        ended: Callable[[str], None],
        failed: Callable[[str, StoreError], None],
        queued: Callable[[int], None],
    ) -> None:
        """`ended` and `failed` hear of ids that no longer move, `queued` of moves that wait."""
        self._identity = identity
        self._post = post
        self._ended = ended
        self._failed = failed
        self._queued = queued
        self._moves: dict[str, list[Move]] = {}

    def begin(self, link: Link, ticket: Ticket) -> None:
        """Have an anonymous id go to a customer; the submission waits for it, too."""
        ticket.waiting += 1
        anonymous = link[1]
        moves = self._moves.setdefault(anonymous, [])
        last = moves[-1] if moves else None
        if last is not None and not last.is_posted and len(moves) > 1:
            # It has not begun: the customer it was to go to would be left at once.
            last.link, last.customer = link, link[2]
            last.tickets.append(ticket)
        elif last is not None and not last.is_carried and last.customer == link[2]:
            last.tickets.append(ticket)
        else:
            moves.append(Move(link, ticket))
            self._queued(1)
            self._identity.moving.add(anonymous)
            if last is None:
                self._start(moves[0])

    def _start(self, move: Move) -> None:
        """Post a move to where it begins, as soon as it is known whose the id is now."""
        anonymous = move.link[1]
        known = self._identity.find(anonymous)
        if known is None:
            self._identity.ask(anonymous)
            return
        move.is_posted = True
        if known == move.customer:
            move.seen = ()  # it was there before: there is nothing to be taken to it
            self._post(known, move, None)
        else:
            self._post(ANONYMOUS_PREFIX + anonymous, move, None)

    def resolved(self, anonymous: str) -> None:
        """Go on with a move that waited for the store to say whose the id is."""
        move = self._moves[anonymous][0]
        if not move.is_posted:
            self._start(move)

    def carry(self, move: Move, profile: Profile, now: int) -> Handover | None:
        """Take a move further, whose turn it is in a mailbox.

        If it `is_carried` then, its link goes into the commit, and what is given, if anything, is
        an input to be decided there.
        """
        if move.seen is None:
            move.seen = hand_out(profile.seen, now)
            if move.seen:
                self._queued(1)
                self._post(move.customer, move, None)
                return None
        move.is_carried = True
        unknown = pick_unknown(profile.seen, move.seen) if move.seen else ()
        return Handover(move.link[1], unknown, now) if unknown else None

    def saved(self, links: list[Link]) -> None:
        """Note that links are durable: what was held for them goes on."""
        for link in links:
            _, anonymous, customer = link
            self._identity.remember(anonymous, customer)
            moves = self._moves.get(anonymous)
            if not moves or moves[0].link is not link:
                continue  # those who waited for it were told otherwise
            del moves[0]
            if moves:
                self._start(moves[0])
            else:
                self._end(anonymous)
                self._ended(anonymous)

    def fail(self, anonymous: str, error: StoreError) -> None:
        """End the moves of an id, and answer everybody who waits for them."""
        for move in self._moves.get(anonymous, ()):
            move.is_over = True
            if not move.is_posted:
                self._queued(-1)
            for ticket in move.tickets:
                ticket.fail(error)
        self._end(anonymous)
        self._failed(anonymous, error)

    def fail_all(self, error: StoreError) -> None:
        """End all moves."""
        for anonymous in list(self._moves):
            self.fail(anonymous, error)

    def _end(self, anonymous: str) -> None:
        self._moves.pop(anonymous, None)
        self._identity.moving.discard(anonymous)
