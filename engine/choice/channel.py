"""Which channels may carry a message to a customer, in the order to be tried.

Called by `proposals`. What can't carry the message at all is passed over here, with the reason;
when the rest may is for `gates.order` to say.
"""

from collections.abc import Iterator
from typing import Any, cast

from engine.gates.consent import check_consent
from engine.gates.reach import check_reach
from engine.gates.registries import check_registries
from engine.gates.verdict import Block
from engine.profile import Profile
from engine.program.program import Channel, Message, MessageType, Program
from engine.reasons import Reason
from engine.wishes import CHANNEL_PREFERENCES, PREFERRED_CHANNEL


def candidates(
    profile: Profile, message: Message, *, pinned: str, failed: tuple[str, ...]
) -> tuple[str, ...]:
    """Name a message's channels in the order to be tried.

    A pinned channel is the only candidate at first; when it has failed for good the type's other
    channels take its place. Channels that failed with this proposal are not tried again.
    """
    if not failed:
        return (pinned,) if pinned else _ordered(profile, message.type)
    return tuple(name for name in _ordered(profile, message.type) if name not in failed)


def feasible(
    profile: Profile,
    program: Program,
    message: Message,
    names: tuple[str, ...],
    passed_over: list[tuple[str, Block]],
    now: int,
) -> Iterator[Channel]:
    """Give the channels that can carry a message, one by one, and note why others can't.

    Lazy: mostly the first channel will do, and the others need not be looked at.
    """
    for name in names:
        block = check_named(profile, program, message, name, now)
        if block is None:
            yield program.channels[name]
        else:
            passed_over.append((name, block))


def check_named(
    profile: Profile, program: Program, message: Message, name: str, now: int
) -> Block | None:
    """Say why a channel can't carry a message to this customer, whatever the hour.

    A journey of an older workspace may insist on a channel that is no longer there.
    """
    channel = program.channels.get(name)
    if channel is None:
        seen = "no longer in the workspace"
        return Block("reachable", Reason.UNREACHABLE, None, f"channels.{name}", seen)
    kind = message.type
    block = check_consent(profile, program, kind.purpose, name, kind.name, now)
    block = block or check_reach(profile, message, channel)
    if block is None and program.registries:
        return check_registries(profile, program, kind.purpose, channel, now)
    return block


def _ordered(profile: Profile, kind: MessageType) -> tuple[str, ...]:
    """Put the customer's own preference for the type first, then the type's order."""
    preference = _preference(profile, kind)
    if preference in kind.channels:
        return (preference, *(name for name in kind.channels if name != preference))
    return kind.channels


def _preference(profile: Profile, kind: MessageType) -> str:
    by_type: Any = profile.traits.get(CHANNEL_PREFERENCES)
    stated = cast("dict[str, Any]", by_type).get(kind.name) if isinstance(by_type, dict) else None
    if isinstance(stated, str):
        return stated
    general = profile.traits.get(PREFERRED_CHANNEL)
    return general if isinstance(general, str) else ""
