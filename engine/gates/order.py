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
from engine.gates.days import check_days
from engine.gates.hours import check_hours, open_hours
from engine.gates.presence import check_presence
from engine.gates.suppress import check_suppression
from engine.gates.verdict import Block, release_at
from engine.limits import SOLVER_HORIZON_MS, SOLVER_ROUNDS_MAX

Gate = Callable[[Case, int, list[Block]], None]

# Of each customer's own making: events, sends, wishes. The calendar comes after them.
_PERSONAL: tuple[Gate, ...] = (check_suppression, check_caps, check_cooldown, check_presence)


class Timing(msgspec.Struct, frozen=True, gc=False):
    """When a message may go on a channel: `at` None is never, as far as anyone can know.

    `blocks` stand in the way now; `last` is the rule that releases last, None when nothing blocks.
    """

    at: int | None
    blocks: tuple[Block, ...] = ()
    last: Block | None = None


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
    at, last = now, None
    for _ in range(SOLVER_ROUNDS_MAX):
        if personal:
            last = max(personal, key=release_at)  # the first of equals: gates stand in order
        else:
            opens_at, block = _open_calendar(case, at, now + SOLVER_HORIZON_MS)
            if block is None:
                return Timing(at, blocks, last)
            last = block if opens_at is not None else msgspec.structs.replace(block, until=None)
        if last.until is None or last.until - now > SOLVER_HORIZON_MS:
            return Timing(None, blocks, last)
        assert last.until > at
        at = last.until
        personal = _personal(case, at)
    return Timing(None, blocks, last)


def _open_calendar(case: Case, at: int, end_at: int) -> tuple[int | None, Block | None]:
    """Find when days and hours are next open together, and the rule that releases last."""
    moment, last = at, None
    while moment < end_at:
        closed = max(check_days(case, moment), key=release_at, default=None)
        if closed is not None:  # closed days often come in a row: hours are asked after the last
            last = closed
            moment = end_at if closed.until is None else closed.until
            continue
        opens_at, block = open_hours(case, moment, end_at)
        last = block or last
        if opens_at is None or opens_at == moment or not check_days(case, opens_at):
            return opens_at, last
        moment = opens_at
    return None, last
