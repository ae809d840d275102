"""Which journeys an input starts, and whether the customer may enter now.

Called by `decide` when an event arrives, by `agenda`, and by `moves` for `start` steps.

*Rules*
- Of a journey with a key, stays are told apart by it, and so is how soon one may enter again; how
  often is counted over all keys. Where there is no value the key is "".
- What holds for entering holds for every way in, also for a `start` step.
"""

from bisect import bisect_right
from typing import Any

from engine.events import Event
from engine.ids import stable_hash
from engine.instants import DAY_MS
from engine.limits import ENTRY_KEY_LENGTH_MAX, INSTANCES_MAX
from engine.localtime import day_start, month_start, week_start
from engine.place import find_place
from engine.profile import Profile
from engine.program.journey import Journey, Often
from engine.program.scope import Scope
from engine.records import Entered, Truncated
from engine.turn import Turn

START_DEPTH_MAX = 10  # journeys that start each other without end stop here
# On the customer's calendar: where a period began, and how long it is at most, with a day to spare
# for whoever moves to another zone.
_PERIODS = {
    "calendar_day": (day_start, 3 * DAY_MS),
    "calendar_week": (week_start, 9 * DAY_MS),
    "calendar_month": (month_start, 33 * DAY_MS),
}


def triggered(turn: Turn, event: Event, scope: Scope) -> list[Journey]:
    """List the journeys whose trigger this event is and that the customer may enter."""
    late_ms = turn.now - event.at
    return [
        journey
        for journey in turn.program.triggers.get(event.name, ())
        if (journey.trigger.late_ms is None or late_ms <= journey.trigger.late_ms)
        and may_enter(turn, journey, find_key(journey, scope))
        and (journey.trigger.condition is None or journey.trigger.condition.test(scope))
    ]


def admit(
    turn: Turn, journey: Journey, scope: Scope, *, since_at: int, depth: int = 0
) -> int | None:
    """Have the customer enter, if they may; gives the instance.

    The scope has the event they enter with; `since_at` is when that happened.
    """
    key, condition = find_key(journey, scope), journey.admission.condition
    if not may_enter(turn, journey, key):
        return None
    if condition is not None and not condition.test(scope):
        return None
    return _enter(turn, journey, scope, key, since_at=since_at, depth=depth)


def find_key(journey: Journey, scope: Scope) -> str:
    """Give what tells a stay that would begin now from others in the same journey."""
    key = journey.admission.key
    return "" if key is None else _write_key(key.evaluate(scope))


def _write_key(value: object) -> str:
    """Write a value as its key; of one that is too long, a hash."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        return ""
    text = str(value)
    return text if len(text) <= ENTRY_KEY_LENGTH_MAX else stable_hash("key", text, size=16).hex()


def may_enter(turn: Turn, journey: Journey, key: str) -> bool:
    """Say whether the customer may enter: not too soon, not too often, not twice at once."""
    profile, admission, now = turn.profile, journey.admission, turn.now
    if journey.name not in profile.entered:
        return True
    last_at = _last_entry_at(profile, journey, key)
    if last_at is not None and admission.is_once:
        return False
    if last_at is not None and now < last_at + (admission.reentry_ms or 0):
        return False
    stays = [
        one.key
        for one in profile.instances.values()
        if one.journey == journey.name and not one.parent
    ]
    if admission.key is not None and key in stays:
        return False
    if admission.at_once is not None and len(stays) >= admission.at_once:
        return False
    return admission.often is None or _has_room(turn, journey.name, admission.often)


def _last_entry_at(profile: Profile, journey: Journey, key: str) -> int | None:
    keyed = None if journey.admission.key is None else profile.keyed.get(journey.name)
    if keyed is not None:
        return keyed.get(key)
    is_meant = journey.admission.key is None or not key  # no entry with a key is known so far
    return profile.entered.get(journey.name) if is_meant else None


def _has_room(turn: Turn, name: str, often: Often) -> bool:
    profile, now = turn.profile, turn.now
    entered_at = profile.entries.get(name) or [profile.entered[name]]
    since_at = now - often.window_ms
    if often.period:
        begin, _ = _PERIODS[often.period]
        since_at = begin(find_place(profile, turn.program).zones[0], now) - 1
    return len(entered_at) - bisect_right(entered_at, since_at) < often.count_max


def _enter(
    turn: Turn, journey: Journey, scope: Scope, key: str, *, since_at: int, depth: int
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
            dict[str, Any](scope.event),
            scope.event_name,
            depth,
            key,
            min(since_at, turn.now),
            _keep_ms(journey.admission.often),
        )
    )
    return number


def _keep_ms(often: Often | None) -> int:
    """Tell for how long the instant of an entry is kept."""
    if often is None:
        return 0
    return _PERIODS[often.period][1] if often.period else often.window_ms
