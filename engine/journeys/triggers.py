"""Which journeys an input starts, and whether the customer may enter now.

Called by `decide` when an event arrives and by `journeys.moves` for `start` steps.
"""

from typing import Any

from engine.limits import INSTANCES_MAX
from engine.profile import Profile
from engine.program.journey import Journey
from engine.program.scope import Scope
from engine.records import Entered, Truncated
from engine.turn import Turn

START_DEPTH_MAX = 10  # journeys that start each other without end stop here


def triggered(turn: Turn, event_name: str, scope: Scope) -> list[Journey]:
    """List the journeys whose trigger this event is and that the customer may enter."""
    return [
        journey
        for journey in turn.program.triggers.get(event_name, ())
        if may_enter(turn.profile, journey, turn.now)
        and (journey.trigger.condition is None or journey.trigger.condition.test(scope))
    ]


def may_enter(profile: Profile, journey: Journey, now: int) -> bool:
    """Say whether the customer may enter: not while in it, nor too soon after the last entry."""
    last_at = profile.entered.get(journey.name)
    if last_at is None:
        return True
    if journey.reentry_ms is not None and now < last_at + journey.reentry_ms:
        return False
    return all(instance.journey != journey.name for instance in profile.instances.values())


def enter(
    turn: Turn, journey: Journey, *, event: dict[str, Any], event_name: str, depth: int = 0
) -> int | None:
    """Enter a journey; gives the instance, or None when a bound says no."""
    profile = turn.profile
    if len(profile.instances) >= INSTANCES_MAX or depth > START_DEPTH_MAX:
        turn.note(Truncated("instances" if depth <= START_DEPTH_MAX else "depth", journey.name))
        return None
    number = profile.instance_count + 1
    turn.note(
        Entered(
            # By position: naming the fields takes five times as long, and it is done for each.
            number,
            journey.name,
            journey.version,
            turn.now,
            event,  # never changed once it came in, so it need not be copied
            event_name,
            depth,
        )
    )
    return number
