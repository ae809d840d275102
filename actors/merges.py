"""Identities on their way to a customer, and the customers who turn out to be others.

Owned by `actors.intake`, which begins a move for every identity that is news; `actors.runtime`
meets moves in mailboxes, where they stand among the inputs, and asks `arrive` and `conclude`.

A move that takes something from another customer goes to that one's mailbox first, behind all that
is there, and stops it: nothing more is decided there until the move has come up in the mailbox of
the customer it goes to. Then both are in memory, and what each of them is told becomes durable in
one commit with the identity itself.

*Rules*
- The call that makes a move waits for it, so that it is decided about one customer who knows all.
- No customer is stopped by two moves, and none is moved into one that is itself on its way.
- What is in a departed customer's mailbox goes on to the customer it became.
- A commit that fails ends every move: what one carries may be of what was just lost.
"""

from collections.abc import Callable, Collection
from enum import Enum

import msgspec

from actors.customer import Customer, Move
from engine.events import Belonging, Departed, Key, Linked, Merged, Refused, Unlinked
from engine.identities import (
    ANONYMOUS,
    USER,
    IdentityRules,
    identities_of,
    name_key,
    why_not,
)
from engine.profile import Profile
from engine.seen import hand_out, pick_unknown

BECAME_MAX = 10_000


class Place(Enum):
    """Where a move stands after it was looked at."""

    STOPPED = "stopped"  # at the customer it takes from, who waits
    AWAY = "away"  # it went on to another mailbox
    THERE = "there"  # at the customer it goes to
    NOWHERE = "nowhere"  # the two are one already


class Conclusion(msgspec.Struct, frozen=True):
    """What the two customers of a move are told, in one commit, and whose identities are then."""

    winner: Belonging | None
    other: Belonging | None
    keys: tuple[Key, ...]


class Merges:
    """The moves under way."""

    def __init__(self, post: Callable[[str, Move], None]) -> None:
        """`post` puts a move into a customer's mailbox."""
        self._post = post
        self._leaving: dict[str, Move] = {}
        self._became: dict[str, str] = {}  # known customers who departed, as far as was met

    def begin(self, move: Move) -> Move | None:
        """Send a move on its way; where another one must end first, give that instead."""
        other = move.other
        if not other:
            self._post(move.winner, move)
            return None
        blocking = self._leaving.get(other) or self._leaving.get(move.winner)
        if blocking is None:
            self._leaving[other] = move
            self._post(other, move)
        return blocking

    def arrive(self, move: Move, actor: Customer, profile: Profile) -> Place:
        """Take a move further that came up in a mailbox."""
        if actor.id == move.other and move.source is None and not move.is_passed:
            move.is_passed = True
            if not profile.merged_into and (actor.last_seq or _stands_for_someone(move)):
                move.source = actor
                actor.is_stopped = True
                self._post(move.winner, move)
                return Place.STOPPED
            if profile.merged_into:
                self.note(actor.id, profile.merged_into)
            self._post(move.winner, move)
            return Place.AWAY
        if not profile.merged_into:
            return Place.THERE
        move.winner = profile.merged_into
        self.note(actor.id, move.winner)
        if move.winner == move.other:
            return Place.NOWHERE
        self._post(move.winner, move)
        return Place.AWAY

    def note(self, departed: str, became: str) -> None:
        """Remember who a customer is by now.

        Visitors are, too: somebody known may have become one who then became somebody else.
        """
        if len(self._became) >= BECAME_MAX:
            self._became.clear()
        self._became[departed] = became

    def whose(self, customer: str) -> str:
        """Tell who a customer is by now, as far as moves have met it."""
        while customer in self._became:
            customer = self._became[customer]
        return customer

    def end(self, move: Move) -> None:
        """Let whoever was stopped go on."""
        if self._leaving.get(move.other) is move:
            del self._leaving[move.other]
        if move.source is not None:
            move.source.is_stopped = False

    def going_to(self, customers: Collection[str]) -> list[Move]:
        """List the moves from other customers to some of these."""
        return [move for move in self._leaving.values() if move.winner in customers]

    def forget(self, customers: Collection[str]) -> None:
        """Know no more of who these became, or who became one of them."""
        for name, became in list(self._became.items()):
            if name in customers or became in customers:
                del self._became[name]

    def end_all(self) -> list[Move]:
        """End every move that stopped a customer, or is about to."""
        moves = list(self._leaving.values())
        for move in moves:
            move.is_over = True
            self.end(move)
        self._became.clear()
        return moves


def conclude(move: Move, profile: Profile, rules: IdentityRules, now: int) -> Conclusion:
    """Say what both customers of a move are told, who are in memory now."""
    other = move.source.profile if move.source is not None else None
    if other is None:
        return Conclusion(Linked(move.keys, (), now), None, move.keys)
    assert move.source is not None
    if not move.merges:
        return _hand_over(move, profile, other, now)
    key = move.keys[0] if move.keys else (USER, other.customer)
    reason = why_not(profile, other, key, rules) if move.said is None else ""
    if reason and key[0] == ANONYMOUS:
        return _hand_over(move, profile, other, now)
    if reason:
        return Conclusion(Refused(key, other.customer, reason, now), None, ())
    body = move.source.snapshot_copy()
    names = () if other.is_nameless else (name_key(other.customer),)
    merged = Merged(other.customer, move.source.last_seq, body, names, move.because, now)
    departed = Departed(profile.customer, move.because, now)
    return Conclusion(merged, departed, identities_of(other))


def _stands_for_someone(move: Move) -> bool:
    """Say whether the other customer counts though nothing happened to it yet.

    One that a rule speaks of does: how many become one by rules has a bound. So does a user id that
    an alias gives up: what still comes under it is the other one's.
    """
    return not any(namespace == ANONYMOUS for namespace, _ in move.keys)


def _hand_over(move: Move, profile: Profile, other: Profile, now: int) -> Conclusion:
    """Have identities go from one customer to another, and what was seen under them meanwhile.

    Who was an anonymous visitor before tells all it has seen.
    """
    since_at = min(other.identities.get(name, {}).get(value, 0) for name, value in move.keys)
    seen = hand_out((part for part in other.seen if part.last_at >= since_at), now)
    linked = Linked(move.keys, pick_unknown(profile.seen, seen), now)
    return Conclusion(linked, Unlinked(move.keys, profile.customer, now), move.keys)
