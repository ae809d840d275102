"""The ordered table of gates that open with time, and the solver over them.

Called by `proposals` for each channel a message may take. Suppression comes before caps, caps
before windows.
"""

from zoneinfo import ZoneInfo

import msgspec

from engine.gates.caps import check_backoff, check_channel_cap, check_cooldown, check_shared_cap
from engine.gates.quiet import check_window
from engine.gates.suppress import check_suppression
from engine.gates.verdict import Block
from engine.limits import SOLVER_HORIZON_MS, SOLVER_ROUNDS_MAX
from engine.profile import Profile
from engine.program.program import Channel, MessageType, Program


class Timing(msgspec.Struct, frozen=True, gc=False):
    """When a message may go on a channel: `at` None is never, as far as anyone can know.

    `blocks` stand in the way now; `last` is the rule that releases last, None when nothing blocks.
    """

    at: int | None
    blocks: tuple[Block, ...]
    last: Block | None


def blocks_at(
    profile: Profile,
    program: Program,
    kind: MessageType,
    channel: Channel,
    *,
    zone: ZoneInfo,
    at: int,
) -> list[Block]:
    """List every rule that stands in the way of a type of message on a channel at an instant."""
    ignores = kind.ignores
    found: list[Block | None] = list(check_suppression(profile, program, kind, at))
    if profile.ledger:
        if "caps" not in ignores:
            found += [
                check_channel_cap(profile, cap, channel.name, zone, at) for cap in channel.caps
            ]
            found += _shared(profile, program, kind, channel, zone=zone, at=at)
        cooldown = program.cooldown
        if (
            cooldown is not None
            and "cooldown" not in ignores
            and (not cooldown.purposes or kind.purpose in cooldown.purposes)
        ):
            found.append(check_cooldown(profile, cooldown, at))
    if "window" not in ignores:
        found.append(check_window(profile, program, channel, zone, at))
    return [block for block in found if block is not None]


def _shared(
    profile: Profile,
    program: Program,
    kind: MessageType,
    channel: Channel,
    *,
    zone: ZoneInfo,
    at: int,
) -> list[Block | None]:
    found: list[Block | None] = []
    for shared in program.caps:
        if shared.channels and channel.name not in shared.channels:
            continue
        if shared.purposes and kind.purpose not in shared.purposes:
            continue
        found.append(check_shared_cap(profile, shared, zone, at))
        if program.backoff is not None and "backoff" not in kind.ignores:
            found.append(check_backoff(profile, shared, program.backoff, at))
    return found


def next_eligible(
    profile: Profile,
    program: Program,
    kind: MessageType,
    channel: Channel,
    *,
    zone: ZoneInfo,
    now: int,
) -> Timing:
    """Find the first instant from `now` on at which no rule stands in the way.

    Jumps from release to release: nothing can go before the latest release of the rules that
    block, so the first instant at which none blocks is reached exactly, without scanning.
    """
    first = blocks_at(profile, program, kind, channel, zone=zone, at=now)
    blocks, last, at = first, None, now
    for _ in range(SOLVER_ROUNDS_MAX):
        if not blocks:
            return Timing(at, tuple(first), last)
        last = max(blocks, key=_release)  # the first of equals: gates stand in order
        if last.until is None or last.until - now > SOLVER_HORIZON_MS:
            return Timing(None, tuple(first), last)
        assert last.until > at
        at = last.until
        blocks = blocks_at(profile, program, kind, channel, zone=zone, at=at)
    return Timing(None, tuple(first), last)


def _release(block: Block) -> float:
    return float("inf") if block.until is None else block.until
