"""The sends of one customer, as the rules on frequency look at them.

Kept by `evolve`: a send is entered when it is decided and struck out when it fails for good. Read
by the gates.

*Rules*
- Slots are in order of time. A tally holds the same instants by what caps tell apart, so that a cap
  looks at its own sends by bisection, however long the history.
- Every slot stands in exactly one tally.
"""

from bisect import insort
from collections.abc import Iterable

import msgspec

from engine.instants import DAY_MS
from engine.limits import LEDGER_MAX
from engine.records import Decided

LEDGER_KEEP_MS = 400 * DAY_MS


class Slot(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """One send: what caps, cooldown and same-message look at."""

    at: int
    message_id: str
    message: str
    channel: str
    purpose: str
    message_type: str
    counts: bool


class Tally(msgspec.Struct, array_like=True, gc=False):
    """When messages of one kind went out on one channel, ascending."""

    channel: str
    purpose: str
    message_type: str
    counts: bool
    sent_at: list[int] = []


def slot_of(decided: Decided, now: int) -> Slot:
    """Give the slot that a send takes."""
    return Slot(
        # By position: naming the fields takes five times as long, and it is done for each.
        now,
        decided.message_id,
        decided.message,
        decided.channel,
        decided.purpose,
        decided.message_type,
        decided.counts,
    )


def enter_slot(slots: list[Slot], tallies: list[Tally], slot: Slot, now: int) -> None:
    """Enter a send; what is older than any cap looks back goes."""
    insort(slots, slot, key=_slot_at)
    insort(_find_tally(tallies, slot).sent_at, slot.at)
    while slots and (len(slots) > LEDGER_MAX or slots[0].at <= now - LEDGER_KEEP_MS):
        _forget(tallies, slots.pop(0))


def strike_slot(slots: list[Slot], tallies: list[Tally], message_id: str) -> None:
    """Give back the slot of a send that failed for good; nothing where it was given back before."""
    for place, slot in enumerate(slots):
        if slot.message_id == message_id:
            del slots[place]
            _forget(tallies, slot)
            return


def with_slot(tallies: Iterable[Tally], slot: Slot) -> list[Tally]:
    """Give tallies as they would be after a send; the ones given stay as they are."""
    kept = [
        Tally(one.channel, one.purpose, one.message_type, one.counts, list(one.sent_at))
        for one in tallies
    ]
    insort(_find_tally(kept, slot).sent_at, slot.at)
    return kept


def _find_tally(tallies: list[Tally], slot: Slot) -> Tally:
    for tally in tallies:
        if (
            tally.channel == slot.channel
            and tally.message_type == slot.message_type
            and tally.purpose == slot.purpose
            and tally.counts == slot.counts
        ):
            return tally
    tallies.append(Tally(slot.channel, slot.purpose, slot.message_type, slot.counts))
    return tallies[-1]


def _forget(tallies: list[Tally], slot: Slot) -> None:
    tally = _find_tally(tallies, slot)
    tally.sent_at.remove(slot.at)
    if not tally.sent_at:
        tallies.remove(tally)


def _slot_at(slot: Slot) -> int:
    return slot.at
