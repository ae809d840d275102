"""How soon a journey can come to something, read from its instructions.

Called by `engine.program.doubts`.
"""

from collections.abc import Sequence
from heapq import heappop, heappush

from engine.program.journey import Instruction, Op


def first_send_ms(code: Sequence[Instruction]) -> int | None:
    """Tell how long after entry a message goes out at the earliest; None where none ever does.

    What is waited for may come at once, and a date may be past: only waits for a time are sure.
    """
    heap = [(0, 0)]
    seen: dict[int, None] = {}
    while heap:
        passed_ms, position = heappop(heap)
        if position in seen or position >= len(code):
            continue
        seen[position] = None
        if code[position].op is Op.SEND:
            return passed_ms
        for cost_ms, target in _ways(code[position], position):
            heappush(heap, (passed_ms + cost_ms, target))
    return None


def _ways(one: Instruction, position: int) -> list[tuple[int, int]]:
    """List where an instruction may lead, and how long after at the earliest."""
    if one.op is Op.EXIT:
        return []
    if one.op is Op.JUMP:
        return [(0, one.target)]
    if one.op is Op.WAIT:
        return [(one.duration_ms, position + 1)]
    if one.op in (Op.IF, Op.WAIT_FOR):
        late_ms = one.duration_ms if one.op is Op.WAIT_FOR else 0
        return [(0, position + 1), (late_ms, one.target)]
    return [(0, position + 1)]
