"""Who came into a segment, or left it: the journeys that end, go on and begin with that.

Called by `decide` once an input has changed who is in what.
"""

from collections.abc import Iterable

from engine.instants import format_instant
from engine.journeys.exits import leave_by_segment
from engine.journeys.moves import resume, run, waiting
from engine.journeys.triggers import admit
from engine.limits import SEGMENT_ROUNDS_MAX
from engine.program.scope import Scope
from engine.records import SegmentEntered, SegmentLeft, Truncated
from engine.turn import Turn

ENTERED, LEFT = "entered", "left"
SEGMENT_EVENTS = {ENTERED: "Segment Entered", LEFT: "Segment Left"}  # what such journeys begin with


def follow_segments(turn: Turn) -> None:
    """Act on who came into segments and left them, until nobody does any more."""
    rounds = 0
    while turn.crossings:
        crossings, turn.crossings = turn.crossings, []
        rounds += 1
        if rounds > SEGMENT_ROUNDS_MAX:
            turn.note(Truncated("segment_rounds", crossings[0].segment))
            break
        for crossing in crossings:
            key = crossing.segment, _side(crossing)
            if key in turn.program.departed:
                leave_by_segment(turn, key, _scope_of_crossing(turn, crossing))
        end_segment_waits(turn, [one.segment for one in crossings])
        for crossing in crossings:
            _start_by_segment(turn, crossing)


def end_segment_waits(turn: Turn, segments: Iterable[str]) -> None:
    """End the waits for some segments, where the customer is in them by now."""
    if not turn.program.awaits_segments:
        return
    entered = [name for name in segments if name in turn.profile.segments]
    for instance, wait in waiting(turn):
        if wait.segment in entered:
            resume(turn, instance, instance.position + 1)


def _start_by_segment(turn: Turn, crossing: SegmentEntered | SegmentLeft) -> None:
    """Start the journeys that coming into a segment, or leaving it, is the trigger of."""
    key = crossing.segment, _side(crossing)
    journeys = () if crossing.reviewed else turn.program.membership.starts.get(key, ())
    if not journeys:
        return
    scope = _scope_of_crossing(turn, crossing)
    for journey in journeys:
        if journey.trigger.condition is None or journey.trigger.condition.test(scope):
            number = admit(turn, journey, scope, since_at=turn.now)
            if number is not None:
                run(turn, number)


def _side(crossing: SegmentEntered | SegmentLeft) -> str:
    return ENTERED if isinstance(crossing, SegmentEntered) else LEFT


def _scope_of_crossing(turn: Turn, crossing: SegmentEntered | SegmentLeft) -> Scope:
    """Show conditions a crossing as the event at hand."""
    event = {"segment": crossing.segment, "at": format_instant(crossing.at)}
    return turn.scope(event, SEGMENT_EVENTS[_side(crossing)])
