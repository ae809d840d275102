"""Which channels may carry a message to a customer, in the order to be tried.

Called by `proposals`. What can't carry the message at all is passed over here, with the reason;
when the rest may is for `gates.order` to say.
"""

import msgspec

from engine.gates.consent import check_consent
from engine.gates.reach import check_reach
from engine.gates.verdict import Block
from engine.profile import Profile
from engine.program.program import Channel, Message, MessageType, Program

PREFERENCES = "channel_preferences"  # trait: message type -> channel
PREFERRED = "preferred_channel"  # trait: for every type that offers the channel


class Choice(msgspec.Struct, frozen=True, gc=False):
    """Feasible channels in order, and why the others are not."""

    feasible: tuple[Channel, ...]
    passed_over: tuple[tuple[str, Block], ...]


def choose_channels(
    profile: Profile, program: Program, message: Message, *, pinned: str, failed: tuple[str, ...]
) -> Choice:
    """Sort a message's channels into those that can carry it and those that can't.

    A pinned channel is the only candidate at first; when it has failed for good the type's other
    channels take its place. Channels that failed with this proposal are not tried again.
    """
    names = (pinned,) if pinned and not failed else _ordered(profile, message.type)
    feasible: list[Channel] = []
    passed_over: list[tuple[str, Block]] = []
    for name in names:
        if name in failed:
            continue
        channel = program.channels[name]
        block = check_channel(profile, program, message, channel)
        if block is None:
            feasible.append(channel)
        else:
            passed_over.append((name, block))
    return Choice(tuple(feasible), tuple(passed_over))


def check_channel(
    profile: Profile, program: Program, message: Message, channel: Channel
) -> Block | None:
    """Say why a channel can't carry a message to this customer, whatever the hour."""
    block = check_consent(profile, program, message.type.purpose, channel.name)
    return block or check_reach(profile, message, channel)


def _ordered(profile: Profile, kind: MessageType) -> tuple[str, ...]:
    """Put the customer's own preference for the type first, then the type's order."""
    preference = _preference(profile, kind)
    if preference in kind.channels:
        return (preference, *(name for name in kind.channels if name != preference))
    return kind.channels


def _preference(profile: Profile, kind: MessageType) -> str:
    by_type = profile.traits.get(PREFERENCES)
    if isinstance(by_type, dict) and isinstance(stated := by_type.get(kind.name), str):
        return stated
    general = profile.traits.get(PREFERRED)
    return general if isinstance(general, str) else ""
