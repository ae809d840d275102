"""The agenda: journeys that begin by the calendar, on schedules and on dates of the profile.

Called by `decide` at the end of every input that may concern it; `step` and `actors.reviews` ask
whether another workspace makes another agenda of a customer's.

*Rules*
- One timer for each customer, at the earliest occurrence of all that concern them. When it is due,
  whatever has occurred by then is entered, each journey once, and the timer is set anew.
- What occurred while nobody was there is entered late, once. What an agenda that is just being made
  would have had before does not count: who comes into a segment at ten is not late for nine.
- An entry stands for all occurrences up to it: of two customers who are one, one has entered.
- Time on the customer's clock goes on where they move to another zone: what they skip by it is due
  at once, what comes a second time is passed over.
"""

from collections.abc import Iterable
from typing import NamedTuple
from zoneinfo import ZoneInfo

from engine.events import Event
from engine.instants import INSTANT_MAX, NEVER_AT, format_instant
from engine.journeys.moves import run
from engine.journeys.triggers import admit
from engine.localtime import furthest_wall, wall_instant, zone as find_zone
from engine.place import find_place
from engine.profile import Profile
from engine.program.agenda import Mark, Plan
from engine.program.journey import Agenda, Journey
from engine.program.program import Program
from engine.program.scope import Scope
from engine.records import (
    AgendaKept,
    Assigned,
    Emitted,
    Record,
    SegmentEntered,
    WakeCleared,
    WakeSet,
)
from engine.turn import Turn


class _Due(NamedTuple):
    """An occurrence that is to be entered."""

    journey: Journey
    plan: Plan
    at: int


class _Look(NamedTuple):
    """What an agenda holds: what is due, when it is to be looked at next, and by which clock."""

    due: list[_Due]
    next_at: int
    zone: str
    from_at: int


def is_otherwise(profile: Profile, program: Program, now: int) -> bool:
    """Say whether a program makes another agenda of a customer's than the one they have."""
    if profile.merged_into or not profile.first_at:
        return False
    if not program.agenda.journeys:
        return bool(profile.agenda_zone)
    look = _look(profile, program, now)
    return bool(look.due) or look.next_at != profile.agenda_at


def may_concern(turn: Turn, event: Event | None, since: int) -> bool:
    """Say whether an event, or the records from a place on, may change what is on the agenda."""
    agenda, profile = turn.program.agenda, turn.profile
    if not agenda.journeys:
        return bool(profile.agenda_zone)
    records = turn.records[since:]
    happens = event is not None or any(isinstance(record, Emitted) for record in records)
    if profile.agenda_at <= turn.now or not profile.agenda_zone or (agenda.is_live and happens):
        return True
    written = [record.trait for record in records if isinstance(record, Assigned)]
    if event is not None:
        written += [*event.traits, *(change.trait for change in event.changes)]
    if _touches(agenda, written, records):
        return True
    may_have_moved = written or (event is not None and event.context)
    return bool(may_have_moved) and _zone(profile, turn.program).key != profile.agenda_zone


def _touches(agenda: Agenda, written: Iterable[str], records: Iterable[Record]) -> bool:
    return any(trait in agenda.traits for trait in written) or any(
        isinstance(record, SegmentEntered) and record.segment in agenda.segments
        for record in records
    )


def keep_agenda(turn: Turn) -> None:
    """Enter what is due, and see to it that the next occurrence is not missed."""
    profile = turn.profile
    if profile.merged_into or not profile.first_at:
        return
    look = _look(profile, turn.program, turn.now)
    _set_timer(turn, look)
    for journey, plan, at in look.due:
        scope = turn.scope({"at": format_instant(at)}, plan.event_name)
        condition = journey.trigger.condition
        if condition is None or condition.test(scope):
            number = admit(turn, journey, scope, since_at=turn.now)
            if number is not None:
                run(turn, number)


def _set_timer(turn: Turn, look: _Look) -> None:
    profile = turn.profile
    timer = profile.timers.get(profile.agenda_timer)
    is_set = timer is not None and timer.at == look.next_at
    sets = look.next_at != NEVER_AT and not is_set
    is_known = sets or look.next_at == profile.agenda_at
    if look.zone != profile.agenda_zone or not is_known:
        turn.note(AgendaKept(look.zone, look.from_at, look.next_at))
    if timer is not None and not is_set:
        turn.note(WakeCleared(profile.agenda_timer, timer.at))
    if sets:
        turn.note(WakeSet(profile.timer_count + 1, look.next_at, "agenda", 0))


def _look(profile: Profile, program: Program, now: int) -> _Look:
    """Go through the agenda of a customer; nothing is changed."""
    if not program.agenda.journeys:
        return _Look([], NEVER_AT, "", 0)
    zone = _zone(profile, program)
    mark = _mark(profile, zone, now)
    later = Mark(now, max(now, mark.local_at))
    scope = Scope(profile, now, book=program)
    due: list[_Due] = []
    next_at = NEVER_AT
    for journey in program.agenda.journeys:
        plan = journey.trigger.plan
        if plan is None or (plan.segment and plan.segment not in profile.segments):
            continue
        entered_at = profile.entered.get(journey.name, 0)
        own = Mark(max(mark.at, entered_at), max(mark.local_at, entered_at))
        at = plan.occurs(scope, zone, own)
        if at is not None and at <= now:
            due.append(_Due(journey, plan, at))
            at = plan.occurs(scope, zone, later)
        if at is not None and at < next_at:
            next_at = at
    has_end = next_at <= INSTANT_MAX
    from_at = mark.local_at if mark.local_at > now else 0
    return _Look(due, next_at if has_end else NEVER_AT, zone.key, from_at)


def _mark(profile: Profile, zone: ZoneInfo, now: int) -> Mark:
    """Tell up to where the agenda was looked at: the present, or just before what is due."""
    at = now if profile.agenda_at > now else profile.agenda_at - 1
    local_at = max(at, profile.agenda_from)
    before = find_zone(profile.agenda_zone)
    if before is not None and before is not zone:
        local_at = wall_instant(zone, furthest_wall(before, local_at) + 1) - 1
    return Mark(at, local_at)


def _zone(profile: Profile, program: Program) -> ZoneInfo:
    return find_place(profile, program).zones[0]
