"""Deferrals that come due: which of them are decided again, in which order.

Called by `decide` for a timer, and where something changed that deferrals rest on.

*Rules*
- What is due at one instant is decided in order of priority, then of value, then of proposal.
- Of what piled up while hours were closed only the newest, or only the best, goes where the type
  says so; the others are dropped, each with a decision.
- Once a message is sent or dropped, the instance that stood waiting for it goes on.
- Who moves to another time zone, changes their wishes, or gets a slot back, has what is pending
  decided again at once: it may be due earlier, or must wait longer. Where nothing changes nothing
  is put down.
"""

from collections.abc import Sequence

from engine.journeys.moves import current, resume
from engine.profile import Pending, Profile
from engine.program.program import Message, Op
from engine.proposals import propose, reopen, withdraw
from engine.reasons import Outcome, Reason
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
    for pending in _left(turn, due):
        # It may have ended meanwhile, with a journey that went on and left.
        if turn.profile.pending.get(pending.proposal) is pending:
            decide_again(turn, pending)


def contact_facts(profile: Profile) -> list[object]:
    """Give what deferrals rest on that the customer may change."""
    traits = profile.traits
    return [profile.context_timezone, *(traits.get(name) for name in _FACTS)]


def reconsider(turn: Turn) -> None:
    """Decide again everything that is pending, the highest first."""
    for pending in sorted(turn.profile.pending.values(), key=lambda one: _place(turn, one)):
        if turn.profile.pending.get(pending.proposal) is pending:
            decide_again(turn, pending, unless_same=True)


def decide_again(turn: Turn, pending: Pending, *, unless_same: bool = False) -> None:
    """Decide a deferral afresh, and move its journey on if that ends it."""
    instance = turn.profile.instances.get(pending.instance)
    before = pending if unless_same else None
    outcome = propose(turn, reopen(pending, instance.event if instance else pending.event), before)
    if outcome is not Outcome.DEFER:
        go_on(turn, pending)


def go_on(turn: Turn, pending: Pending) -> None:
    """Move on the instance that stood waiting for this message, if it still does."""
    instance = turn.profile.instances.get(pending.instance)
    if instance is None or pending.attempt:
        return
    instruction = current(turn, instance)
    if instruction is not None and instruction.op is Op.SEND and instruction.step == pending.step:
        resume(turn, instance, instance.position + 1)


def _left(turn: Turn, due: Sequence[Pending]) -> list[Pending]:
    """Drop what gives way to others of its kind; give the rest, the highest first."""
    ordered = sorted(due, key=lambda one: _place(turn, one))
    for policy, reason in _FORGOTTEN.items():
        piled = [one for one in ordered if _policy(turn, one) == policy]
        if len(piled) > 1:
            kept = piled[0] if policy == "best" else max(piled, key=_age)
            for pending in piled:
                if pending is not kept:
                    ordered.remove(pending)
                    withdraw(turn, pending, reason)
                    go_on(turn, pending)
    return ordered


def _message(turn: Turn, pending: Pending) -> Message | None:
    return turn.program.messages.get(pending.message)


def _place(turn: Turn, pending: Pending) -> tuple[int, float, int]:
    message = _message(turn, pending)
    priority, value = message.rank if message is not None else (0, 0.0)
    return -priority, -value, pending.proposal


def _policy(turn: Turn, pending: Pending) -> str:
    """Name what holds for a message that waited for hours or days to open."""
    message = _message(turn, pending)
    return message.type.release if message is not None and pending.by_calendar else "all"


def _age(pending: Pending) -> tuple[int, int]:
    return pending.proposed_at, pending.proposal
