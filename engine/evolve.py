"""Profile ← facts: the only code that changes a profile.

Called by `engine.turn` while deciding, and by recovery, which folds the same facts again.

*Rules*
- Evolving never decides and never fails: what a fact means does not depend on the program in
  force, so an old journal folds to the same profile under a new workspace.
- An accepted input is itself the first fact; records follow in the order they were made.
- Every collection has a bound in `engine.limits`; the oldest goes first.
"""

from collections.abc import Callable, Iterable
from typing import Any, cast

from engine.belongings import (
    evolve_departed,
    evolve_linked,
    evolve_merged,
    evolve_refused,
    evolve_replaced,
    evolve_unlinked,
)
from engine.consents import note_consent
from engine.entries import note_entry
from engine.events import (
    Abridged,
    Answered,
    Departed,
    Event,
    EventKind,
    Input,
    Linked,
    Merged,
    Rebirth,
    Receipt,
    Redeliver,
    Refused,
    Restored,
    Scrubbed,
    Unlinked,
)
from engine.ids import dedup_key
from engine.instants import NEVER_AT
from engine.latest import change_trait, write_later, write_traits
from engine.ledger import enter_slot, slot_of
from engine.limits import (
    HISTORY_NAMES_MAX,
    LOCALE_LENGTH_MAX,
)
from engine.measures.series import Series, add, amount_of
from engine.profile import History, Instance, Pending, Profile, Timer
from engine.reasons import OF_CALENDAR, Outcome
from engine.records import (
    AgendaKept,
    Assigned,
    Branched,
    BranchEnded,
    Called,
    ConsentNoted,
    Counted,
    Decided,
    Emitted,
    Entered,
    Exited,
    Gathered,
    Migrated,
    Moved,
    ReachNoted,
    ReceiptNoted,
    Record,
    Remembered,
    SegmentEntered,
    SegmentLeft,
    SegmentsReviewed,
    SessionBegan,
    Suppressed,
    WakeCleared,
    WakeSet,
)
from engine.seen import note_seen
from engine.traits.engagement import note_sent
from engine.traits.gather import gather
from engine.traits.sends import (
    FALLBACK,
    note_ending,
    note_message,
    note_reach,
    note_receipt,
    unwatch,
    watch,
)
from engine.traits.sessions import VIEWED, begin_session, note_view

JsonObject = dict[str, Any]


def fold(profile: Profile, given: Input, records: Iterable[Record], now: int) -> None:
    """Bring a profile from before a journal entry to after it."""
    evolve_input(profile, given, now)
    for record in records:
        evolve(profile, record, now)


def evolve_input(profile: Profile, given: Input, now: int) -> bool:
    """Take an input into the profile: what it says, apart from what it leads to.

    Gives False, having changed nothing, where an input of this id was taken before.
    """
    if isinstance(given, Event):
        if not note_seen(profile.seen, dedup_key(given.id), now):
            return False
        if profile.first_at or not given.only_existing:
            _evolve_event(profile, given)
        return True
    if isinstance(given, Receipt | Answered | Redeliver):
        return note_seen(profile.seen, dedup_key(given.id), now)
    if isinstance(given, Rebirth):
        profile.numbered_from = given.number
        profile.decision_count = profile.proposal_count = profile.call_count = given.number
        return True
    belong = _BELONGINGS.get(type(given))
    return belong is None or belong(profile, given, now)


def evolve(profile: Profile, record: Record, now: int) -> None:
    """Take one record into the profile."""
    change = CHANGES.get(type(record))
    if change is not None:
        change(profile, record, now)


def _evolve_event(profile: Profile, event: Event) -> None:
    at = event.at
    _count_event(profile.history, event.name, at)
    if event.name in VIEWED and at >= profile.session_at:
        note_view(profile, event.name)
    if at < profile.first_at or profile.first_at == 0:
        profile.first_at = at
    if event.traits or event.changes:
        _evolve_traits(profile, event)
    if event.context:
        _evolve_context(profile, event)
    elif at > profile.active_at:
        profile.active_at = at
    for statement in event.consents:
        note_consent(profile.consents, statement)


def _count_event(histories: dict[str, History], name: str, at: int) -> None:
    history = histories.get(name)
    if history is None:
        history = _begin_history(histories, name, at)
    history.count += 1
    # Comparisons rather than min and max: this is done for every event there is.
    if at > history.last_at:
        history.last_at = at
    elif at < history.first_at:
        history.first_at = at


def _begin_history(histories: dict[str, History], name: str, at: int) -> History:
    """Begin the history of an event; the one that lies back furthest makes room."""
    if len(histories) >= HISTORY_NAMES_MAX:
        del histories[min(histories, key=lambda name: histories[name].last_at)]
    history = histories[name] = History(first_at=at, last_at=at)
    return history


def _evolve_traits(profile: Profile, event: Event) -> None:
    if event.kind is not EventKind.GROUP:  # its traits describe the group
        write_traits(profile, event.traits, event.at)
    for change in event.changes:
        change_trait(profile, change, event.at)


def _evolve_context(profile: Profile, event: Event) -> None:
    context = event.context
    if event.at > profile.active_at and context.get("active") is not False:
        profile.active_at = event.at
    timezone = context.get("timezone")
    if timezone and timezone.__class__ is str and event.at >= profile.context_at:
        profile.context_timezone = timezone
        profile.context_at = event.at
    locale = context.get("locale")
    is_latest = event.at >= profile.active_at
    if is_latest and isinstance(locale, str) and len(locale) <= LOCALE_LENGTH_MAX:
        profile.context_locale = locale
    device = context.get("device")
    if isinstance(device, dict) and (token := cast("JsonObject", device).get("token")):
        write_traits(profile, {"push_token": token}, event.at)


def _evolve_decided(profile: Profile, decided: Decided, now: int) -> None:
    profile.decision_count += 1
    profile.proposal_count = max(profile.proposal_count, decided.proposal)
    if decided.outcome is Outcome.DEFER:
        profile.pending[decided.proposal] = _pending(decided)
        instance = profile.instances.get(decided.instance)
        if instance is not None and decided.attempt == 0:
            instance.proposal = decided.proposal
        return
    profile.pending.pop(decided.proposal, None)
    instance = profile.instances.get(decided.instance)
    if instance is not None and instance.proposal == decided.proposal:
        instance.proposal = 0
    if decided.message_id:
        _reserve(profile, decided, now)


def _pending(decided: Decided) -> Pending:
    assert decided.next_eligible is not None
    return Pending(
        # By position: naming the fields takes five times as long, and it is done for each.
        decided.proposal,
        decided.message,
        decided.message_type,
        decided.channel,
        decided.journey,
        decided.instance,
        decided.step,
        0,
        decided.next_eligible,
        decided.proposed_at,
        decided.expires_at,
        decided.pinned,
        decided.failed,
        decided.attempt,
        decided.reason in OF_CALENDAR,
        decided.event,
        decided.vars,
        decided.follows,
    )


def _reserve(profile: Profile, decided: Decided, now: int) -> None:
    """Enter a send in the ledger and among the messages that receipts may speak of."""
    enter_slot(profile.ledger, profile.tallies, slot_of(decided, now), now)
    note_sent(profile.measures, decided.channel, now)
    note_message(profile, decided, now)


def _evolve_counted(profile: Profile, counted: Counted, now: int) -> None:
    history = profile.history[counted.name]
    if history.recent is None:
        history.recent = Series()
    amounts: dict[str, int] = {}
    for name, value in counted.values.items():
        amount = amount_of(value)
        if amount is not None:
            amounts[name] = amount
    add(history.recent, counted.at, amounts, edge_at=now - counted.keep_ms)


def _evolve_gathered(profile: Profile, gathered: Gathered, now: int) -> None:
    gather(profile.measures, gathered, now)


def _evolve_suppressed(profile: Profile, record: Suppressed, _now: int) -> None:
    profile.suppressed[record.rule] = max(profile.suppressed.get(record.rule, 0), record.until)


def _evolve_entered(profile: Profile, record: Entered, _now: int) -> None:
    profile.instance_count = max(profile.instance_count, record.instance)
    note_entry(profile, record)
    profile.instances[record.instance] = Instance(
        # By position: naming the fields takes five times as long, and it is done for each.
        record.instance,
        record.journey,
        record.version,
        record.at,
        0,
        0,
        None,
        0,
        record.event,
        record.event_name,
        record.depth,
        record.key,
        record.since_at,
    )


def _evolve_branched(profile: Profile, record: Branched, _now: int) -> None:
    parent = profile.instances[record.parent]
    profile.instance_count = max(profile.instance_count, record.instance)
    profile.instances[record.instance] = Instance(
        id=record.instance,
        journey=parent.journey,
        version=parent.version,
        entered_at=record.at,
        position=record.position,
        event=parent.event,
        event_name=parent.event_name,
        depth=parent.depth,
        key=parent.key,
        since_at=parent.since_at,
        parent=parent.id,
    )


def _evolve_branch_ended(profile: Profile, record: BranchEnded, _now: int) -> None:
    del profile.instances[record.instance]


def _evolve_remembered(profile: Profile, record: Remembered, _now: int) -> None:
    variables = profile.instances[record.instance].vars
    if record.value is None:
        variables.pop(record.name, None)
    else:
        variables[record.name] = record.value


def _evolve_emitted(profile: Profile, record: Emitted, _now: int) -> None:
    """Count an event of our own. It is no sign of life: no session begins or goes on with it."""
    _count_event(profile.history, record.name, record.at)


def _evolve_moved(profile: Profile, record: Moved, _now: int) -> None:
    _put_before(profile.instances[record.instance], record.position)


def _put_before(instance: Instance, position: int) -> None:
    """Have an instance stand before an instruction, waiting for nothing."""
    instance.position = position
    instance.timer = 0
    instance.waiting_until = None
    instance.call = ""


def _evolve_called(profile: Profile, record: Called, _now: int) -> None:
    profile.call_count += 1
    if not record.refused:
        profile.instances[record.instance].call = record.call_id


def _evolve_migrated(profile: Profile, record: Migrated, _now: int) -> None:
    instance = profile.instances[record.instance]
    instance.version = record.version
    _put_before(instance, record.position)


def _evolve_exited(profile: Profile, record: Exited, _now: int) -> None:
    del profile.instances[record.instance]
    profile.exited[record.journey] = record.at
    ending = f"{record.journey}/{record.reason}"
    profile.journeys_done[ending] = profile.journeys_done.get(ending, 0) + 1
    if record.converted or record.taken_out:
        note_ending(profile, record)


def _evolve_assigned(profile: Profile, record: Assigned, now: int) -> None:
    write_later(profile, record.trait, record.value, now)


def _evolve_wake_set(profile: Profile, record: WakeSet, _now: int) -> None:
    profile.timer_count = max(profile.timer_count, record.timer)
    profile.timers[record.timer] = Timer(record.at, record.kind, record.target)
    if record.kind == "proposal":
        profile.pending[record.target].timer = record.timer
    elif record.kind == "segments":
        profile.segments_timer, profile.segments_at = record.timer, record.at
    elif record.kind == FALLBACK:
        watch(profile, record.target, record.timer, record.at)
    elif record.kind == "agenda":
        profile.agenda_timer, profile.agenda_at = record.timer, record.at
    else:
        instance = profile.instances[record.target]
        instance.timer = record.timer
        instance.waiting_until = record.at


def _evolve_wake_cleared(profile: Profile, record: WakeCleared, _now: int) -> None:
    timer = profile.timers.pop(record.timer, None)
    if timer is not None and timer.kind == FALLBACK:
        unwatch(profile, timer.target, record.timer)
    if record.timer == profile.segments_timer:
        profile.segments_at = NEVER_AT
    if record.timer == profile.agenda_timer:
        profile.agenda_timer = 0  # when it was due is known until it is set anew


def _evolve_receipt(profile: Profile, record: ReceiptNoted, _now: int) -> None:
    note_receipt(profile, record)


def _evolve_reach(profile: Profile, record: ReachNoted, _now: int) -> None:
    note_reach(profile, record)


def _evolve_session(profile: Profile, record: SessionBegan, _now: int) -> None:
    begin_session(profile, record.at, record.name)
    if record.origin is not None:
        profile.last_source = record.origin
        if profile.first_source is None:
            profile.first_source = record.origin


def _evolve_noted_consent(profile: Profile, record: ConsentNoted, _now: int) -> None:
    note_consent(profile.consents, record.statement)


def _evolve_segment_entered(profile: Profile, record: SegmentEntered, _now: int) -> None:
    profile.segments[record.segment] = record.at


def _evolve_segment_left(profile: Profile, record: SegmentLeft, _now: int) -> None:
    profile.segments.pop(record.segment, None)


def _evolve_segments_reviewed(profile: Profile, record: SegmentsReviewed, _now: int) -> None:
    profile.segments_version = record.version


def _evolve_agenda_kept(profile: Profile, record: AgendaKept, _now: int) -> None:
    profile.agenda_zone, profile.agenda_from = record.zone, record.from_at
    profile.agenda_at = record.next_at


CHANGES: dict[type[Any], Callable[[Profile, Any, int], None]] = {
    Decided: _evolve_decided,
    Counted: _evolve_counted,
    Gathered: _evolve_gathered,
    Suppressed: _evolve_suppressed,
    Entered: _evolve_entered,
    Moved: _evolve_moved,
    Migrated: _evolve_migrated,
    Called: _evolve_called,
    Exited: _evolve_exited,
    Branched: _evolve_branched,
    BranchEnded: _evolve_branch_ended,
    Remembered: _evolve_remembered,
    Emitted: _evolve_emitted,
    Assigned: _evolve_assigned,
    WakeSet: _evolve_wake_set,
    WakeCleared: _evolve_wake_cleared,
    ReceiptNoted: _evolve_receipt,
    ReachNoted: _evolve_reach,
    SessionBegan: _evolve_session,
    ConsentNoted: _evolve_noted_consent,
    SegmentEntered: _evolve_segment_entered,
    SegmentLeft: _evolve_segment_left,
    SegmentsReviewed: _evolve_segments_reviewed,
    AgendaKept: _evolve_agenda_kept,
}


def _evolve_scrubbed(profile: Profile, scrubbed: Scrubbed, _now: int) -> bool:
    for listing in scrubbed.listings:
        profile.listings[f"{listing.registry}/{listing.identity}"] = listing
    return True


_BELONGINGS: dict[type[Any], Callable[[Profile, Any, int], bool]] = {
    Scrubbed: _evolve_scrubbed,
    Linked: evolve_linked,
    Unlinked: evolve_unlinked,
    Merged: evolve_merged,
    Departed: evolve_departed,
    Refused: evolve_refused,
    Restored: evolve_replaced,
    Abridged: evolve_replaced,
}
