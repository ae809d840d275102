"""Reach and capability: whether the customer has an address, and the channel can carry it.

Called by `choice.channel` after consent.
"""

from engine.gates.verdict import Block
from engine.profile import Profile
from engine.program.program import Channel, Message
from engine.reasons import Reason

DEFAULT_CONTENT = "default"


def address(profile: Profile, channel: Channel) -> str:
    """Find the customer's address on a channel; "" where there is none.

    A channel without an identity, like an in-app inbox, reaches every customer by their id.
    """
    if not channel.identity or channel.identity == "user_id":
        return profile.customer
    value = profile.traits.get(channel.identity)
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return ""


def check_reach(profile: Profile, message: Message, channel: Channel) -> Block | None:
    """Say why this channel can't carry this message to this customer at all."""
    if not address(profile, channel):
        seen = f"no {channel.identity}"
        rule = f"channels.{channel.name}.identity"
        return Block("reachable", Reason.UNREACHABLE, None, rule, seen)
    for capability in message.type.requires:
        if capability not in channel.supports:
            rule = f"message_types.{message.type.name}.requires"
            return Block("capability", Reason.CAPABILITY, None, rule, capability)
    if channel.name not in message.content and DEFAULT_CONTENT not in message.content:
        return Block("content", Reason.NO_CONTENT, None, f"messages.{message.name}.content")
    return None
