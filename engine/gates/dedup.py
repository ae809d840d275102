"""The same message once within a time, whatever the channel.

Called by `proposals` before any channel is looked at. (The same event once is `evolve`'s part.)
"""

from engine.gates.verdict import Block
from engine.profile import Profile
from engine.program.program import Message
from engine.reasons import Reason


def check_same_message(
    profile: Profile,
    message: Message,
    window_ms: int | None,
    proposals: tuple[int, ...],
    now: int,
) -> Block | None:
    """Say whether this message went out, or is waiting to go out, within the window.

    Half-open like a cap: a send at s stands in the way before s + window, not at it. A proposal
    does not stand in its own way, nor in that of its follow-up: `proposals` are both.
    """
    if window_ms is None or "same_message" in message.type.ignores:
        return None
    for pending in profile.pending.values():  # first: when one that waits goes out nobody knows
        if pending.message == message.name and pending.proposal not in proposals:
            return _block(None, f"is waiting on {pending.channel}")
    for slot in reversed(profile.ledger):
        if slot.at <= now - window_ms:
            break
        if slot.message == message.name:
            sent = profile.sends.get(slot.message_id)
            if sent is not None and sent.proposal in proposals:
                continue
            return _block(slot.at + window_ms, f"went out on {slot.channel}")
    return None


def _block(until: int | None, seen: str) -> Block:
    return Block("same_message", Reason.SAME_MESSAGE, until, "policies.same_message", seen)
