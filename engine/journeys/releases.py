"""Deferrals that come due: which of them are decided again, in which order.

Called by `decide` for a timer, and where something changed that deferrals rest on.

*Rules*
- What is due at one instant is decided in order of priority, then of value, then of proposal.
- Of what piled up while hours were closed only the newest, or only the best, goes where the type
  says so; the others are dropped, each with a decision. Messages of different purposes are
  different piles: no newsletter takes the place of an order's confirmation.
- Once a message is sent or dropped, the instance that stood waiting for it goes on.
- Who moves to another time zone, changes their wishes, or gets a slot back, has what is pending
  decided again at once: it may be due earlier, or must wait longer. Where nothing changes nothing
  is put down.
"""

from collections.abc import Sequence

from engine.choice.ways import reopen
from engine.journeys.moves import current, resume
from engine.profile import Pending, Profile
from engine.program.journey import Op
from engine.program.program import Message
from engine.proposals import propose, withdraw
from engine.reasons import Outcome, Reason
from engine.records import Assigned, Record
from engine.turn import Turn

# The traits that say when and how a customer may be reached.
_FACTS = (
    "timezone",
    "phone",
    "country",
    "state",
    "region",
    "subdivision",
    "address",
    "quiet_hours",
    "do_not_disturb",
    "frequency_caps",
    "channel_preferences",
    "preferred_channel",
)
_FORGOTTEN = {"newest": Reason.SUPERSEDED, "best": Reason.LOWER_PRIORITY}


def release(turn: Turn, proposal: int) -> None:
    """Decide again what is due now, if the proposal whose timer fired is among it."""
    if proposal not in turn.profile.pending:
        return
    due = [one for one in turn.profile.pending.values() if one.next_eligible <= turn.now]
    ordered = sorted(due, key=lambda one: _place(turn, one))
    forgotten = _forgotten(turn, ordered)
    for pending, reason in forgotten:
        withdraw(turn, pending, reason)
    for pending in ordered:
        # It may have ended just now, or with a journey that went on and left.
        if turn.profile.pending.get(pending.proposal) is pending:
            decide_again(turn, pending)
    for pending, _ in forgotten:  # last, since a journey that ends drops what it has pending
        go_on(turn, pending)


def contact_facts(profile: Profile) -> list[object]:
    """Give what deferrals rest on that the customer may change."""
    traits = profile.traits
    return [profile.context_timezone, *(traits.get(name) for name in _FACTS)]


def changes_contact(record: Record) -> bool:
    """Say whether a fact is that a journey wrote such a trait."""
    return isinstance(record, Assigned) and record.trait in _FACTS


def reconsider(turn: Turn) -> None:
    """Decide again everything that is pending, the highest first."""
    for pending in sorted(turn.profile.pending.values(), key=lambda one: _place(turn, one)):
        if turn.profile.pending.get(pending.proposal) is pending:
            decide_again(turn, pending, unless_same=True)


def decide_again(turn: Turn, pending: Pending, *, unless_same: bool = False) -> None:
    """Decide a deferral afresh, and move its journey on if that ends it."""
    instance = turn.profile.instances.get(pending.instance)
    before = pending if unless_same else None
    outcome = propose(turn, reopen(pending, instance, turn.profile), before)
    if outcome is not Outcome.DEFER:
        go_on(turn, pending)


def go_on(turn: Turn, pending: Pending) -> None:
    """Move on the instance that stood waiting for this message, if it still does."""
    instance = turn.profile.instances.get(pending.instance)
    if instance is None or pending.attempt:
        return
    instruction = current(turn, instance)
    if instruction is None or instruction.step != pending.step:
        return
    if instruction.op in (Op.SEND, Op.DECIDE):
        resume(turn, instance, instance.position + 1)


def _forgotten(turn: Turn, ordered: Sequence[Pending]) -> list[tuple[Pending, Reason]]:
    """Give what gives way to others of its pile, which are ordered from the highest down."""
    piles: dict[tuple[str, str], list[Pending]] = {}
    for pending in ordered:
        piles.setdefault(_pile(turn, pending), []).append(pending)
    found: list[tuple[Pending, Reason]] = []
    for (policy, _), piled in piles.items():
        if policy in _FORGOTTEN:
            kept = piled[0] if policy == "best" else max(piled, key=_age)
            found += [(one, _FORGOTTEN[policy]) for one in piled if one is not kept]
    return found


def _message(turn: Turn, pending: Pending) -> Message | None:
    return turn.program.messages.get(pending.message)


def _place(turn: Turn, pending: Pending) -> tuple[int, float, int]:
    message = _message(turn, pending)
    priority, value = message.rank if message is not None else (0, 0.0)
    return -priority, -value, pending.proposal


def _pile(turn: Turn, pending: Pending) -> tuple[str, str]:
    """Name what holds for a message that waited for hours or days to open, and its purpose."""
    message = _message(turn, pending)
    if message is None or not pending.by_calendar:
        return "all", ""
    return message.type.release, message.type.purpose


def _age(pending: Pending) -> tuple[int, int]:
    return pending.proposed_at, pending.proposal
