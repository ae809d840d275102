"""What takes customers out of journeys wherever they are: `exit_on`.

Called by `decide` for an event, for segments that were entered or left, and where a fact changed
that a condition may look at.

*Rules*
- An event that happened before the one an instance began with, by its own time, takes nobody out.
- A condition on its own is asked with every event, and without one where a segment, a trait or a
  variable changed; one that looks at the event, only with an event.
"""

from collections.abc import Collection, Iterator

from engine.journeys.moves import leave
from engine.journeys.scopes import scope_of
from engine.lineage import stays
from engine.profile import Instance
from engine.program.journey import ExitRule
from engine.program.scope import Scope
from engine.records import Assigned, Remembered, SegmentEntered, SegmentLeft
from engine.turn import Turn

_CHANGING = (Assigned, Remembered, SegmentEntered, SegmentLeft)


def leave_by_event(turn: Turn, name: str, at: int, scope: Scope) -> None:
    """Take the customer out where an event says so, or a condition that holds with it."""
    program = turn.program
    for instance, rules in _ruled(turn, program.awaited.get(name, program.watched)):
        if at < instance.since_at:
            continue
        for rule in rules:
            if rule.segment or rule.event not in ("", name):
                continue
            if rule.condition is None or rule.condition.test(scope_of(turn, instance, scope)):
                leave(turn, instance, rule.reason)
                break


def leave_by_segment(turn: Turn, key: tuple[str, str], scope: Scope) -> None:
    """Take the customer out where coming into a segment, or leaving it, says so."""
    for instance, rules in _ruled(turn, turn.program.departed.get(key, ())):
        for rule in rules:
            if (rule.segment, rule.on) != key:
                continue
            if rule.condition is None or rule.condition.test(scope_of(turn, instance, scope)):
                leave(turn, instance, rule.reason)
                break


def leave_by_condition(turn: Turn) -> None:
    """Take the customer out where a condition holds by now, after what this input changed."""
    watched = turn.program.watched
    if not watched or not any(isinstance(record, _CHANGING) for record in turn.records):
        return
    scope = turn.scope()
    for instance, rules in _ruled(turn, watched):
        for rule in rules:
            if rule.event or rule.segment or rule.is_eventful or rule.condition is None:
                continue
            if rule.condition.test(scope_of(turn, instance, scope)):
                leave(turn, instance, rule.reason)
                break


def _ruled(
    turn: Turn, versions: Collection[str]
) -> Iterator[tuple[Instance, tuple[ExitRule, ...]]]:
    """Give the stays in some versions of journeys, with what takes one out of them."""
    if not versions:
        return
    for instance in stays(turn.profile):
        if instance.version not in versions:
            continue
        journey = turn.program.journey(instance.journey, instance.version)
        if journey is not None:
            yield instance, journey.exits
