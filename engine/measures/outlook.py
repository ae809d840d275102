"""What time alone will make of what is in a window: when a question about it has another answer.

Used by `engine.program.cel.flips`. Reads the rows of a series, or a list of instants, in place.

*Rules*
- At the instant that is given the answer may be another, and before it is none other.
- At most `OUTLOOK_MAX` changes are looked at: beyond them the instant of the last one is given.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence

from engine.instants import NEVER_AT
from engine.limits import OUTLOOK_MAX
from engine.measures.series import Series

_COUNT, _TOTALS = 1, 2  # where things are in a row, as in `series`
_BYTES = 8

Question = Callable[[int, int], bool]  # about a number, and a total in millionths


def foretell(
    series: Series | None, window_ms: int, ask: Question, now: int, *, name: str = ""
) -> tuple[bool, int]:
    """Answer a question about what happened in `(now - window_ms, now]`, and say until when."""
    if series is None or not series.rows:
        return ask(0, 0), NEVER_AT
    width = len(series.names) + _TOTALS
    place = _TOTALS + series.names.index(name) if name in series.names else 0
    with memoryview(series.rows).cast("q") as view, view[width::width] as instants:
        last = len(instants)
        below, above = bisect_right(instants, now - window_ms), bisect_right(instants, now)
        answer: bool | None = None
        at = now
        for _ in range(OUTLOOK_MAX):
            low, high = below * width, above * width  # the state before, and the last one within
            total = view[high + place] - view[low + place] if place else 0
            found = ask(view[high + _COUNT] - view[low + _COUNT], total)
            if answer is None:
                answer = found
            elif found is not answer:
                return answer, at
            if below == last:
                return answer, NEVER_AT
            at = instants[below] + window_ms
            if above < last and instants[above] < at:  # told ahead of its time: it comes first
                at = instants[above]
                above += 1
            else:
                below += 1
                if above < last and instants[above] == at:
                    above += 1
    return bool(answer), at


def enough_until(series: Series, window_ms: int, least: int, now: int) -> tuple[bool, int]:
    """Say whether at least so many (1 or more) happened in the window, and until when that is so.

    What `foretell` would say, without going from change to change: the answer to most questions.
    """
    rows = series.rows
    width = len(series.names) + _TOTALS
    if len(rows) <= width * _BYTES:
        return False, NEVER_AT
    view = memoryview(rows).cast("q")
    instants, counts = view[width::width], view[_COUNT::width]
    last = above = len(instants)
    if instants[last - 1] > now:
        above = bisect_right(instants, now)
    most = counts[above] - least  # of what has left the window, while enough are in it
    if most >= counts[bisect_right(instants, now - window_ms)]:
        return True, instants[bisect_right(counts, most) - 1] + window_ms
    return False, instants[above] if above < last else NEVER_AT


def foretell_times(
    times: Sequence[int], window_ms: int, ask: Question, now: int
) -> tuple[bool, int]:
    """Answer a question about how many instants are after `now - window_ms`, and until when."""
    below = bisect_right(times, now - window_ms)
    answer = ask(len(times) - below, 0)
    for gone in range(below, min(len(times), below + OUTLOOK_MAX)):
        at = times[gone] + window_ms
        if ask(len(times) - gone - 1, 0) is not answer:
            return answer, at
    is_known = len(times) - below <= OUTLOOK_MAX
    return answer, NEVER_AT if is_known else times[below + OUTLOOK_MAX - 1] + window_ms
