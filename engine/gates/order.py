"""The ordered table of gates that open with time, and the solver over them.

Called by `proposals` for each channel a message may take, and by `eligibility` for those who ask.

*Rules*
- In order: suppression and do-not-disturb, caps, cooldown, presence, then hours and days.
- The solver jumps from release to release. Nothing can go before the latest release of the rules
  that block, so the first instant at which none blocks is reached exactly, without scanning.
- Sends that have not been made yet do not count, and what the customer may do meanwhile is not
  guessed: when the time comes everything is asked again.
"""

from collections.abc import Callable

import msgspec

from engine.gates.caps import check_caps, check_cooldown
from engine.gates.case import Case
from engine.gates.days import check_days, pass_closed
from engine.gates.hours import check_hours, open_hours
from engine.gates.presence import check_presence
from engine.gates.suppress import check_suppression
from engine.gates.verdict import Block, release_at
from engine.limits import SOLVER_HORIZON_MS, SOLVER_ROUNDS_MAX

LATER_MAX = 8  # rules a trace names besides those that stand in the way now

Gate = Callable[[Case, int, list[Block]], None]

# Of each customer's own making: events, sends, wishes. The calendar comes after them.
_PERSONAL: tuple[Gate, ...] = (check_suppression, check_caps, check_cooldown, check_presence)


class Timing(msgspec.Struct, frozen=True, gc=False):
    """When a message may go on a channel: `at` None is never, as far as anyone can know.

    `blocks` stand in the way now; `last` is the rule that releases last, None when nothing blocks.
    `later` are rules that stand in the way as others release, in order, up to the last.
    """

    at: int | None
    blocks: tuple[Block, ...] = ()
    last: Block | None = None
    later: tuple[Block, ...] = ()


def blocks_at(case: Case, at: int) -> list[Block]:
    """List every rule that stands in the way at an instant."""
    return [*_personal(case, at), *check_hours(case, at), *check_days(case, at)]


def _personal(case: Case, at: int) -> list[Block]:
    found: list[Block] = []
    for gate in _PERSONAL:
        gate(case, at, found)
    return found


def next_eligible(case: Case, now: int) -> Timing:
    """Find the first instant from `now` on at which no rule stands in the way."""
    personal = _personal(case, now)
    blocks = (*personal, *check_hours(case, now), *check_days(case, now))
    if not blocks:
        return Timing(now)
    at, end_at = now, now + SOLVER_HORIZON_MS
    passed: list[Block] = []  # the rules whose releases were jumped to
    for _ in range(SOLVER_ROUNDS_MAX):
        if personal:
            passed.append(max(personal, key=release_at))  # the first of equals: gates are in order
            opens_at = passed[-1].until
        else:
            opens_at = _open_calendar(case, at, end_at, passed)
            if opens_at == at:
                return _timing(at, blocks, passed)
        if opens_at is None or opens_at > end_at:
            return _timing(None, blocks, passed)
        assert opens_at > at
        at = opens_at
        personal = _personal(case, at)
    return _timing(None, blocks, passed)


def _timing(at: int | None, blocks: tuple[Block, ...], passed: list[Block]) -> Timing:
    later = tuple(block for block in passed[-LATER_MAX:] if block not in blocks)
    return Timing(at, blocks, passed[-1], later)


def _open_calendar(case: Case, at: int, end_at: int, passed: list[Block]) -> int | None:
    """Find when days and hours are next open together; puts down the rules that release on it."""
    moment = at
    while moment < end_at:
        closed = pass_closed(case, moment, LATER_MAX)
        if closed:  # hours are asked after the last of them
            passed += closed
            until = closed[-1].until
            reopens_at = end_at if until is None else until
            assert reopens_at > moment
            moment = reopens_at
            continue
        opens_at, block = open_hours(case, moment, end_at)
        if block is not None:
            passed.append(block)
        if opens_at is None or opens_at == moment or not check_days(case, opens_at):
            return opens_at
        moment = opens_at
    return None
