"""Journeys and deferrals that came in with, or back to, a customer.

Called by `decide` after customers were found to be one, or two again.
"""

from engine.journeys.moves import leave
from engine.limits import INSTANCES_MAX
from engine.lineage import stays
from engine.program.journey import Admission
from engine.records import WakeSet
from engine.traits.sends import FALLBACK
from engine.turn import Turn


def leave_doubles(turn: Turn) -> None:
    """Leave what is more than one may be in at once, the latest first."""
    kept: dict[str, list[str]] = {}
    ordered = sorted(stays(turn.profile), key=lambda one: (one.entered_at, one.id))
    for instance in ordered:
        journey = turn.program.journey(instance.journey, instance.version)
        admission = Admission() if journey is None else journey.admission
        keys = kept.setdefault(instance.journey, [])
        is_double = admission.key is not None and instance.key in keys
        is_full = admission.at_once is not None and len(keys) >= admission.at_once
        if is_double or is_full or sum(map(len, kept.values())) >= INSTANCES_MAX:
            leave(turn, instance, "merged")
        else:
            keys.append(instance.key)


def set_missing_wakes(turn: Turn) -> None:
    """Set the timers of what came in, or came back, without any."""
    profile = turn.profile
    for pending in list(profile.pending.values()):
        if not pending.timer:
            number = profile.timer_count + 1
            turn.note(WakeSet(number, pending.next_eligible, "proposal", pending.proposal))
    for sent in list(profile.sends.values()):
        if sent.watch_at and not sent.watch_timer:
            number = profile.timer_count + 1
            turn.note(WakeSet(number, sent.watch_at, FALLBACK, sent.proposal))
    for instance in list(profile.instances.values()):
        if not instance.timer and instance.waiting_until is not None:
            number = profile.timer_count + 1
            turn.note(WakeSet(number, instance.waiting_until, "instance", instance.id))
