"""One step: profile, input, program, now → what happened and what to do.

Called by `actors.customer` online and by replay offline. Pure: the same arguments give the same
records, byte for byte, on any machine. The profile is evolved in place; if the records can't be
made durable, it is thrown away and rebuilt.

*Rules*
- An input whose id was seen before changes nothing and leads to nothing.
- An event that is meant for existing customers leads to nothing for another.
- Effects are derived from records, so they are known again after a crash.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from engine.decide import (
    decide_answer,
    decide_event,
    decide_farewell,
    decide_migration,
    decide_receipt,
    decide_redelivery,
    decide_reunion,
    decide_review,
    decide_tick,
)
from engine.effects import Call, Effect, Recall, Send, Unwake, Wake, Withhold
from engine.events import (
    Abridged,
    Answered,
    Belonging,
    Departed,
    Event,
    Input,
    Merged,
    Rebirth,
    Receipt,
    Redeliver,
    Restored,
    Review,
    Scrubbed,
    Tick,
)
from engine.evolve import evolve_input
from engine.journeys.agenda import is_otherwise
from engine.journeys.confirmations import consented
from engine.journeys.migrations import is_outdated
from engine.journeys.releases import contact_facts
from engine.limits import RECORDS_MAX
from engine.profile import Profile
from engine.program.program import Program
from engine.records import (
    Called,
    CallRecalled,
    Decided,
    Duplicated,
    Overtaken,
    Record,
    Unmatched,
    WakeCleared,
    WakeSet,
)
from engine.segments import Foresight, foresee, keep_up, needs_review, reassess, review
from engine.turn import Turn


class StepResult(msgspec.Struct, frozen=True, gc=False):
    """What a step led to: facts to make durable, then requests to act on.

    `program` is the version of the program it was decided by.
    """

    records: list[Record]
    effects: list[Effect]
    program: str


# What is no event.
_Other = Receipt | Tick | Belonging | Scrubbed | Review | Rebirth | Abridged | Answered | Redeliver


def step(profile: Profile, given: Input, program: Program, now: int) -> StepResult:
    """Take one input: evolve the profile and give the records and effects."""
    foresight = None
    if profile.segments_version != program.membership.version:
        foresight = foresee(profile, program, now)
    if isinstance(given, Event):
        active_before_at = profile.active_at
        waits = profile.pending and (given.traits or given.context)
        facts_before = contact_facts(profile) if waits else None
        consents_before = consented(profile, program, now) if given.consents else ()
        if not evolve_input(profile, given, now):
            return StepResult([Duplicated(given.id)], [], program.version)
        if given.only_existing and not profile.first_at:
            return StepResult([Unmatched("customer")], [], program.version)
        turn = Turn(profile, program, "event", given.id, now)
        if foresight is not None:
            review(turn, foresight)
        if is_outdated(profile, program):
            decide_migration(turn)
        decide_event(turn, given, active_before_at, facts_before, consents_before)
    else:
        found = _take(profile, given, program, foresight, now)
        if not isinstance(found, Turn):
            return StepResult(found, [], program.version)
        turn = found
    records = turn.records
    assert len(records) <= RECORDS_MAX
    effects = effects_of(profile.customer, records) if records else []
    return StepResult(records, effects, program.version)


def _take(
    profile: Profile,
    given: _Other,
    program: Program,
    foresight: Foresight | None,
    now: int,
) -> Turn | list[Record]:
    """Take an input that is no event; where that leads nowhere, gives what is to be said of it."""
    if isinstance(given, Receipt | Answered | Redeliver):
        if not evolve_input(profile, given, now):
            return [Duplicated(given.id)]
        turn = Turn(profile, program, *_name_cause(given), now)
        if foresight is not None:
            review(turn, foresight)
        if is_outdated(profile, program):
            decide_migration(turn)
        if isinstance(given, Receipt):
            decide_receipt(turn, given)
        elif isinstance(given, Answered):
            decide_answer(turn, given)
        else:
            decide_redelivery(turn, given)
        return turn
    if isinstance(given, Tick):
        turn = Turn(profile, program, "timer", str(given.timer), now)
        decide_tick(turn, given, foresight)
        return turn
    if isinstance(given, (Rebirth, Scrubbed, Abridged)):
        evolve_input(profile, given, now)
        return []
    if isinstance(given, Review):
        return _take_review(profile, given, program, foresight, now) or []
    found = _take_belonging(profile, given, program, foresight, now)
    return [Duplicated(given.__class__.__name__.lower())] if found is None else found


def _name_cause(given: Receipt | Answered | Redeliver) -> tuple[str, str]:
    if isinstance(given, Receipt):
        return "receipt", given.id
    if isinstance(given, Answered):
        return "answer", given.call_id
    return "redelivery", given.message_id


def _take_review(
    profile: Profile, given: Review, program: Program, foresight: Foresight | None, now: int
) -> Turn | None:
    """Look at the segments anew; None where that can change nothing."""
    is_other = foresight is not None and needs_review(profile, foresight)
    if not (is_other or is_otherwise(profile, program, now) or is_outdated(profile, program)):
        return None
    turn = Turn(profile, program, "review", str(given.version), now)
    if foresight is not None:
        review(turn, foresight)
    decide_review(turn)
    return turn


def _take_belonging(
    profile: Profile, given: Belonging, program: Program, foresight: Foresight | None, now: int
) -> Turn | None:
    """Take what was found out of who is who; None where it was known."""
    timers, segments = dict(profile.timers), dict(profile.segments)
    if not evolve_input(profile, given, now):
        return None
    if isinstance(given, Merged):
        turn = Turn(profile, program, "merge", given.customer, now)
        if foresight is not None:
            review(turn, foresight)
        keep_up(turn, segments)
        reassess(turn)
        decide_reunion(turn)
    elif isinstance(given, Restored):
        turn = Turn(profile, program, "unmerge", given.apart, now)
        decide_farewell(turn, timers)
        keep_up(turn, segments)
        reassess(turn, reviewed=True)
        decide_reunion(turn)
    else:
        turn = Turn(profile, program, "merge", profile.merged_into, now)
        if isinstance(given, Departed):
            decide_farewell(turn, timers)
            keep_up(turn, segments)
    if is_outdated(profile, program):
        decide_migration(turn)
    return turn


def effects_of(customer: str, records: Sequence[Record]) -> list[Effect]:
    """Derive what is to be done from what happened."""
    effects: list[Effect] = []
    for record in records:
        derive = _EFFECTS.get(record.__class__)
        if derive is not None:
            effect = derive(customer, record)
            if effect is not None:
                effects.append(effect)
    return effects


def _send(customer: str, decided: Decided) -> Send | None:
    if not decided.message_id:
        return None
    return Send(
        # By position: naming the fields takes five times as long, and it is done for each.
        decided.message_id,
        decided.decision_id,
        customer,
        decided.channel,
        decided.address,
        decided.message,
        decided.message_type,
        decided.purpose,
        decided.journey,
        decided.step,
        decided.content,
        decided.at,
        decided.expires_at,
    )


def _call(customer: str, called: Called) -> Call | None:
    if called.refused:
        return None
    return Call(
        call_id=called.call_id,
        customer=customer,
        journey=called.journey,
        step=called.step,
        method=called.method,
        url=called.url,
        headers=called.headers,
        secrets=called.secrets,
        body=called.body,
        called_at=called.at,
        expires_at=called.at + called.timeout_ms,
        signed_with=called.signed_with,
        takes_answer=called.takes_answer,
        allow_private=called.allow_private,
    )


def _recall(customer: str, record: CallRecalled) -> Recall:
    return Recall(customer, record.call_id)


def _withhold(customer: str, record: Overtaken) -> Withhold:
    return Withhold(customer, record.message_id)


def _wake(customer: str, record: WakeSet) -> Wake:
    return Wake(customer, record.timer, record.at)


def _unwake(customer: str, record: WakeCleared) -> Unwake:
    return Unwake(customer, record.timer, record.at)


_EFFECTS: dict[type[Any], Callable[[str, Any], Effect | None]] = {
    Decided: _send,
    WakeSet: _wake,
    WakeCleared: _unwake,
    Called: _call,
    CallRecalled: _recall,
    Overtaken: _withhold,
}
