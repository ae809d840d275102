"""What takes customers out of journeys wherever they are: `exit_on`.

Called by `decide` for an event, for segments that were entered or left, and where a fact changed
that a condition may look at.

*Rules*
- An event that happened before the one an instance began with, by its own time, takes nobody out.
- A condition on its own is asked with every event, and without one where a segment, a trait or a
  variable changed; one that looks at the event, only with an event.
"""

from collections.abc import Callable, Collection

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

    def is_meant(instance: Instance, rule: ExitRule) -> bool:
        return at >= instance.since_at and not rule.segment and rule.event in ("", name)

    _leave(turn, turn.program.awaited.get(name, turn.program.watched), scope, is_meant)


def leave_by_segment(turn: Turn, key: tuple[str, str], scope: Scope) -> None:
    """Take the customer out where coming into a segment, or leaving it, says so."""

    def is_meant(_instance: Instance, rule: ExitRule) -> bool:
        return (rule.segment, rule.on) == key

    _leave(turn, turn.program.departed.get(key, frozenset()), scope, is_meant)


def leave_by_condition(turn: Turn) -> None:
    """Take the customer out where a condition holds by now, after what this input changed."""
    watched = turn.program.watched
    if watched and any(isinstance(record, _CHANGING) for record in turn.records):
        _leave(turn, watched, turn.scope(), _is_about_state)


def _is_about_state(_instance: Instance, rule: ExitRule) -> bool:
    is_alone = rule.condition is not None and not rule.event and not rule.segment
    return is_alone and not rule.is_eventful


def _leave(
    turn: Turn,
    versions: Collection[str],
    scope: Scope,
    is_meant: Callable[[Instance, ExitRule], bool],
) -> None:
    """Have the stays in some versions of journeys end by the first rule that is meant and holds."""
    for instance in stays(turn.profile) if versions else ():
        journey = turn.program.journey(instance.journey, instance.version)
        if instance.version not in versions or journey is None:
            continue
        for rule in journey.exits:
            if is_meant(instance, rule) and (
                rule.condition is None or rule.condition.test(scope_of(turn, instance, scope))
            ):
                leave(turn, instance, rule.reason, taken_out=True)
                break
