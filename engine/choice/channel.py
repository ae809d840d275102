"""Which channels may carry a message to a customer, in the order to be tried.

Called by `proposals`. What can't carry the message at all is passed over here, with the reason;
when the rest may is for `gates.order` to say.
"""

from collections.abc import Iterator
from typing import Any, cast

from engine.choice.score import rank_channels
from engine.gates.consent import check_consent
from engine.gates.reach import check_reach
from engine.gates.registries import check_registries
from engine.gates.verdict import Block
from engine.profile import Profile
from engine.program.program import Channel, Message, MessageType, Program
from engine.reasons import Reason
from engine.wishes import CHANNEL_PREFERENCES, PREFERRED_CHANNEL

_PLACES = 9  # of an amount of money: 0.1 and 0.2 are 0.3


def candidates(
    profile: Profile,
    program: Program,
    message: Message,
    *,
    pinned: str,
    failed: tuple[str, ...],
    now: int,
) -> tuple[str, ...]:
    """Name a message's channels in the order to be tried.

    A pinned channel is the only candidate at first; when it has failed for good the type's other
    channels take its place. Channels that failed with this proposal are not tried again.
    """
    if pinned and not failed:
        return (pinned,)
    names = message.type.channels
    if message.type.chooses_best:
        names = tuple(one.channel for one in rank_channels(profile, program, message, now))
    ordered = _prefer(profile, message.type, names)
    return tuple(name for name in ordered if name not in failed) if failed else ordered


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
    block = block or check_reach(profile, message, channel, now)
    if block is None and kind.max_cost is not None:
        block = check_cost(kind, channel, 0.0)
    if block is None and program.registries:
        return check_registries(profile, program, kind.purpose, channel, now)
    return block


def check_cost(kind: MessageType, channel: Channel, spent: float) -> Block | None:
    """Say whether a channel would make a message cost more than its type allows.

    `spent` is what the channels cost that it took before.
    """
    if kind.max_cost is None or round(spent + channel.cost, _PLACES) <= kind.max_cost:
        return None
    before = f"{spent:g} spent + " if spent else ""
    seen = f"{before}{channel.cost:g} is more than {kind.max_cost:g}"
    return Block("cost", Reason.TOO_COSTLY, None, f"message_types.{kind.name}.max_cost", seen)


def _prefer(profile: Profile, kind: MessageType, names: tuple[str, ...]) -> tuple[str, ...]:
    """Put the customer's own preference for the type first, then the others in order."""
    preference = _preference(profile, kind)
    if preference in names:
        return (preference, *(name for name in names if name != preference))
    return names


def _preference(profile: Profile, kind: MessageType) -> str:
    by_type: Any = profile.traits.get(CHANNEL_PREFERENCES)
    stated = cast("dict[str, Any]", by_type).get(kind.name) if isinstance(by_type, dict) else None
    if isinstance(stated, str):
        return stated
    general = profile.traits.get(PREFERRED_CHANNEL)
    return general if isinstance(general, str) else ""
