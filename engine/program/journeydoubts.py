"""How soon a journey can come to something, read from its instructions.

Called by `engine.program.doubts`.
"""

from collections.abc import Sequence
from heapq import heappop, heappush

from engine.program.journey import Instruction, Op


def first_send_ms(code: Sequence[Instruction]) -> int | None:
    """Tell how long after entry a message goes out at the earliest; None where none ever does.

    What is waited for may come at once, and a date may be past: only waits for a time are sure. A
    step that is not known here may send at once.
    """
    heap = [(0, 0)]
    seen: dict[int, None] = {}
    while heap:
        passed_ms, position = heappop(heap)
        if position in seen or position >= len(code):
            continue
        seen[position] = None
        if code[position].op not in _WAYS:
            return passed_ms
        for cost_ms, target in _ways(code[position], position):
            heappush(heap, (passed_ms + cost_ms, target))
    return None


def _ways(one: Instruction, position: int) -> list[tuple[int, int]]:
    """List where an instruction may lead, and how long after at the earliest."""
    goes_on, jumps = _WAYS[one.op]
    ways = [(one.duration_ms if one.op is Op.WAIT else 0, position + 1)] if goes_on else []
    late_ms = one.duration_ms if one.op is Op.WAIT_FOR else 0
    return [*ways, (late_ms, one.target)] if jumps else ways


# Whether an instruction goes on to the next, and whether it may jump. What is not here may send.
_WAYS: dict[Op, tuple[bool, bool]] = {
    Op.WAIT: (True, False),
    Op.WAIT_UNTIL: (True, False),
    Op.WAIT_FOR: (True, True),
    Op.IF: (True, True),
    Op.JUMP: (False, True),
    Op.START: (True, False),
    Op.SET: (True, False),
    Op.REMEMBER: (True, False),
    Op.EMIT: (True, False),
    Op.EXIT: (False, False),
}
