"""Reach and capability: whether the customer has an address, and the channel can carry it.

Called by `choice.channel` after consent.
"""

from engine.events import Failure
from engine.gates.verdict import Block
from engine.instants import format_instant
from engine.measures.reach import Reach
from engine.profile import Profile
from engine.program.model import DEFAULT_CONTENT
from engine.program.program import Channel, Message
from engine.reasons import Reason
from engine.traits.reach import find_address, given_up


def address(profile: Profile, channel: Channel) -> str:
    """Find the customer's address on a channel; "" where there is none."""
    return find_address(profile, channel.identity)


def check_reach(profile: Profile, message: Message, channel: Channel, now: int) -> Block | None:
    """Say why this channel can't carry this message to this customer at all."""
    found = address(profile, channel)
    if not found:
        seen = f"no {channel.identity}"
        rule = f"channels.{channel.name}.identity"
        return Block("reachable", Reason.UNREACHABLE, None, rule, seen)
    if profile.reach:
        known = given_up(profile, channel.name, found, now)
        if known is not None:
            rule, seen = f"channels.{channel.name}.unreachable", _tell(channel.name, known)
            return Block("reachable", Reason.UNREACHABLE, known.until, rule, seen)
    for capability in message.type.requires:
        if capability not in channel.supports:
            rule = f"message_types.{message.type.name}.requires"
            return Block("capability", Reason.CAPABILITY, None, rule, capability)
    if channel.name not in message.content and DEFAULT_CONTENT not in message.content:
        return Block("content", Reason.NO_CONTENT, None, f"messages.{message.name}.content")
    return None


def _tell(channel: str, known: Reach) -> str:
    told = f"told on {format_instant(known.at)}"
    told += f": {known.code}" if known.code else ""
    if known.failure == Failure.NOT_THERE:
        return f"not on {channel}, {told}"
    if known.failure == Failure.UNREACHABLE:
        return f"not reached {len(known.soft_at)} times in a row, {told}"
    return f"nobody has this address, {told}"
