"""What an input leads to: the parent of every decision.

Called by `step` with one input that is not a duplicate and already part of the profile. Reads,
and puts facts down through the turn.

*Rules*
- An event is looked at in this order: session, what it feeds, segments it takes the
  customer into or out of, suppressions it sets off, consent it changes, goals it meets, waits it
  ends, journeys it starts; then the waits and journeys that segments end and start.
- At one instant events come before timers; the runtime sees to that.
- What was loaded from the past is counted, and its consent holds. It begins nothing: no journey, no
  end of a journey or of a wait for an event; and it sets off only suppressions that still last. Who
  comes into a segment by it is in it from now on, as after a review.
"""

from collections.abc import Mapping

from engine.choice.channel import candidates, check_named
from engine.events import (
    ANY,
    Answered,
    ConsentStatement,
    ConsentStatus,
    Event,
    Failure,
    Receipt,
    ReceiptStatus,
    Redeliver,
    Tick,
)
from engine.gates.suppress import rouse
from engine.gathering import gather_event
from engine.instants import HOUR_MS
from engine.journeys.agenda import keep_agenda, may_concern
from engine.journeys.confirmations import Pairs, ask_to_confirm, confirm
from engine.journeys.crossings import end_segment_waits, follow_segments
from engine.journeys.deliveries import (
    deliver_again,
    fall_back,
    has_slot,
    heed,
    is_definitive,
    note_reach,
)
from engine.journeys.exits import leave_by_condition, leave_by_event
from engine.journeys.migrations import is_outdated, migrate
from engine.journeys.moves import (
    has_engaged,
    leave,
    resume,
    run,
    take_answer,
    time_out,
    waiting,
)
from engine.journeys.releases import (
    changes_contact,
    contact_facts,
    decide_again,
    go_on,
    reconsider,
    release,
)
from engine.journeys.reunions import leave_doubles, set_missing_wakes
from engine.journeys.scopes import scope_of
from engine.journeys.triggers import admit, triggered
from engine.limits import AGENDA_ROUNDS_MAX
from engine.lineage import stays
from engine.links import CONFIRMED
from engine.localtime import local_parts
from engine.origins import find_origin
from engine.place import find_place
from engine.profile import Profile, Sent, Timer
from engine.program.scope import Scope
from engine.proposals import withdraw
from engine.reasons import Reason
from engine.records import (
    ConsentNoted,
    Emitted,
    ReceiptNoted,
    SessionBegan,
    Unmatched,
    WakeCleared,
)
from engine.segments import (
    Foresight,
    catch_up,
    follow_event,
    follow_receipt,
    follow_sends,
    follow_tick,
    review,
)
from engine.traits.sends import FALLBACK
from engine.turn import Emission, Turn

_OF_CONSENT = (Reason.NO_CONSENT, Reason.TYPE_OPT_OUT, Reason.OPT_OUT_REGISTRY)
ATTENTION = (ReceiptStatus.OPENED, ReceiptStatus.CLICKED)
ENDINGS = (ReceiptStatus.UNSUBSCRIBED, ReceiptStatus.COMPLAINED)


def decide_event(
    turn: Turn,
    event: Event,
    active_before_at: int,
    facts_before: list[object] | None,
    consents_before: Pairs = (),
) -> None:
    """Decide what follows from an event the customer caused or that we were told of them.

    `facts_before` are the facts of contact from before the event, where deferrals rest on them,
    `consents_before` what was consented to of what has to be confirmed, where it speaks of consent.
    """
    program, profile, name = turn.program, turn.profile, event.name
    if event.at - active_before_at > program.session_ms:
        _note_session(turn, event, active_before_at)
    need = program.history.get(name)
    if need is not None:
        gather_event(turn, need, event)
    membership = program.membership
    if (
        name in membership.by_event
        or profile.segments_at <= turn.now
        or turn.is_reviewed
        or membership.by_anything
        or (membership.has_traits and (event.traits or event.changes or event.context))
    ):
        follow_event(turn, event)
    if facts_before is not None and contact_facts(profile) != facts_before:
        reconsider(turn)
    if not (_is_heard(turn, name) or turn.crossings or turn.emissions or event.consents):
        _follow_agenda(turn, event, looks=turn.is_reviewed)
        return  # nothing waits for this event, and nothing begins with it
    scope = turn.scope(event.properties, name, event.context)
    if name in program.suppressions:
        _suppress(turn, event, scope)
    if _take_consent(turn, event, consents_before) and not event.is_history:
        _go_on(turn, event, scope)
    _settle(turn, event)


def _is_heard(turn: Turn, name: str) -> bool:
    """Say whether anything begins or ends with an event of a name."""
    return name in turn.program.heard or bool(turn.program.watched and turn.profile.instances)


def _go_on(turn: Turn, event: Event, scope: Scope) -> None:
    """Move the journeys that were about this event, and start those that begin with it."""
    program, name = turn.program, event.name
    versions = program.awaited.get(name, program.watched)
    if versions and any(one.version in versions for one in turn.profile.instances.values()):
        _meet_goals(turn, event, scope)
        leave_by_event(turn, name, event.at, scope)
        _end_waits(turn, event, scope)
    if name in program.triggers:
        _start_journeys(turn, event, scope)


def _suppress(turn: Turn, event: Event, scope: Scope) -> None:
    for suppressed in rouse(turn.program, scope, event.name, at=event.at, now=turn.now):
        turn.note(suppressed)


def _start_journeys(turn: Turn, event: Event, scope: Scope) -> None:
    # One of them that is started may start, or keep out, another one: that is asked again.
    for journey in triggered(turn, event, scope):
        number = admit(turn, journey, scope, since_at=event.at)
        if number is not None:
            run(turn, number)


def decide_migration(turn: Turn) -> None:
    """Decide what becomes of stays and deferrals that today's workspace moves, or ends."""
    migrate(turn)
    _settle(turn)


def decide_review(turn: Turn) -> None:
    """Decide what follows from another workspace: segments and journeys are others than before."""
    catch_up(turn)
    migrate(turn)
    _settle(turn)


def decide_tick(turn: Turn, tick: Tick, foresight: Foresight | None) -> None:
    """Decide what a timer that came due was set for.

    `foresight` is what other segments make of the customer, where they are others than before.
    """
    profile = turn.profile
    timer = profile.timers.get(tick.timer)
    if timer is None:
        turn.note(Unmatched("tick"))  # what it was for has ended otherwise
        return
    turn.note(WakeCleared(tick.timer, timer.at))
    if foresight is not None:
        review(turn, foresight)
    if timer.kind == "segments" and not turn.is_reviewed:
        follow_tick(turn)
    else:
        catch_up(turn)
    if is_outdated(profile, turn.program):
        migrate(turn)
    if timer.kind == "proposal":
        release(turn, timer.target)
    elif timer.kind == "instance":
        _end_wait(turn, timer.target, tick.timer)
    elif timer.kind == FALLBACK:
        fall_back(turn, timer.target)
    _settle(turn)


def _end_wait(turn: Turn, number: int, timer: int) -> None:
    """Move on an instance whose time of waiting is over, if it still waits for that."""
    instance = turn.profile.instances.get(number)
    if instance is not None and instance.timer == timer:
        time_out(turn, instance)


def decide_answer(turn: Turn, answered: Answered) -> None:
    """Decide what follows from what was answered to a journey's call, or from its failure."""
    catch_up(turn)
    take_answer(turn, answered)
    _settle(turn)


def decide_redelivery(turn: Turn, given: Redeliver) -> None:
    """Decide what follows where somebody wants a message that failed sent again."""
    catch_up(turn)
    deliver_again(turn, given.message_id)
    _settle(turn)


def decide_receipt(turn: Turn, receipt: Receipt) -> None:
    """Decide what follows from what became of a message."""
    sent = None if receipt.is_history else _find_sent(turn.profile, receipt.message)
    if sent is None:
        turn.note(Unmatched("receipt"))
        if turn.is_reviewed:
            decide_review(turn)
        return
    # The slot is there until the first definitive failure: a temporary one may have come before.
    is_news = is_definitive(receipt) and has_slot(turn.profile, sent)
    turn.note(
        ReceiptNoted(
            sent.message_id,
            receipt.status.value,
            receipt.at,
            receipt.code,
            released=is_news,
            hour=_hour(turn, receipt),
        )
    )
    if is_news:
        note_reach(turn, sent, receipt)
    catch_up(turn)
    if not sent.is_apart:
        follow_receipt(turn, sent.channel, receipt.status.value)
    if receipt.status in ENDINGS:
        _end_consent(turn, sent, receipt, receipt.status.value)
    elif is_news and receipt.failure == Failure.CONSENT:
        _end_consent(turn, sent, receipt, "provider")
    if not sent.is_apart:
        heed(turn, sent, receipt, is_news=is_news)
    if is_news:
        reconsider(turn)  # a slot is free again
    _end_engagement_waits(turn)
    _settle(turn)


def _end_engagement_waits(turn: Turn) -> None:
    for instance, wait in waiting(turn):
        if wait.engagement and has_engaged(turn, instance, wait):
            resume(turn, instance, instance.position + 1)


def _hour(turn: Turn, receipt: Receipt) -> int:
    """Tell the hour of the customer's week at which they opened or clicked, from 0 to 167."""
    if receipt.status not in ATTENTION:
        return -1
    zone = find_place(turn.profile, turn.program).zones[0]
    weekday, day_ms, _ = local_parts(zone, receipt.at)
    return weekday * 24 + day_ms // HOUR_MS


def _note_session(turn: Turn, event: Event, active_before_at: int) -> None:
    if turn.profile.active_at > active_before_at:
        turn.note(SessionBegan(event.at, event.name, find_origin(event)))


def _take_consent(turn: Turn, event: Event, before: Pairs) -> bool:
    """See to what an event says of consent; False where a link came too late to say anything."""
    if event.name == CONFIRMED and not confirm(turn, event):
        return False
    if event.consents:
        ask_to_confirm(turn, before, asks=not event.is_history)
        if turn.profile.pending:
            _recheck_consent(turn)
    return True


def _recheck_consent(turn: Turn) -> None:
    """Drop deferrals that consent no longer allows; decide again those whose channel it closed."""
    for pending in list(turn.profile.pending.values()):
        message = turn.program.messages.get(pending.message)
        if message is None or turn.profile.pending.get(pending.proposal) is not pending:
            continue  # the second: it ended with an instance that went on and left
        names = candidates(
            turn.profile,
            turn.program,
            message,
            pinned=pending.pinned,
            failed=pending.failed,
            now=turn.now,
        )
        blocks = {
            name: check_named(turn.profile, turn.program, message, name, turn.now)
            for name in (*names, pending.channel)
        }
        block = blocks[pending.channel]
        if block is None or block.reason not in _OF_CONSENT:
            continue
        if any(other is None for other in blocks.values()):
            decide_again(turn, pending)
        else:
            withdraw(turn, pending, Reason.CONSENT_WITHDRAWN)
            go_on(turn, pending)


def _meet_goals(turn: Turn, event: Event, scope: Scope) -> None:
    versions = turn.program.awaited.get(event.name, frozenset())
    for instance in stays(turn.profile):
        if instance.version not in versions or event.at < instance.since_at:
            continue
        journey = turn.program.journey(instance.journey, instance.version)
        goal = journey.goal if journey is not None else None
        if goal is None or goal.event != event.name:
            continue
        if goal.within_ms is not None and turn.now - instance.entered_at > goal.within_ms:
            continue
        if goal.condition is None or goal.condition.test(scope_of(turn, instance, scope)):
            leave(turn, instance, "goal_met", Reason.GOAL_MET, converted=True)


def _end_waits(turn: Turn, event: Event, scope: Scope) -> None:
    for instance, wait in waiting(turn, turn.program.awaited.get(event.name, frozenset())):
        if wait.event != event.name or event.at < instance.since_at:
            continue
        if wait.condition is None or wait.condition.test(scope_of(turn, instance, scope)):
            resume(turn, instance, instance.position + 1)


def _settle(turn: Turn, event: Event | None = None, *, looks: bool = False) -> None:
    """See to what this input led to; `looks` where the agenda may be any other."""
    _settle_moves(turn)
    _follow_agenda(turn, event, looks=looks or turn.is_reviewed)


def _follow_agenda(turn: Turn, event: Event | None, *, looks: bool) -> None:
    """Keep the agenda, until nothing that journeys do changes it any more."""
    if not (turn.program.agenda.journeys or turn.profile.agenda_zone):
        return
    since = 0
    for _ in range(AGENDA_ROUNDS_MAX):
        if not looks and not may_concern(turn, event, since):
            return
        since, event, looks = len(turn.records), None, False
        keep_agenda(turn)
        _settle_moves(turn)


def _settle_moves(turn: Turn) -> None:
    """See to what the moves of this input led to, the events that journeys had happen included."""
    _settle_changes(turn)
    while turn.emissions:
        _happen(turn, turn.emissions.pop(0))
        _settle_changes(turn)


def _happen(turn: Turn, emission: Emission) -> None:
    """Have a journey's own event happen, and then move on the instance that emitted it."""
    program, (event, number) = turn.program, emission
    turn.note(Emitted(event.name, event.at, event.properties, number))
    need = program.history.get(event.name)
    if need is not None:
        gather_event(turn, need, event)
    follow_event(turn, event)
    if _is_heard(turn, event.name):
        scope = turn.scope(event.properties, event.name)
        if event.name in program.suppressions:
            _suppress(turn, event, scope)
        _go_on(turn, event, scope)
    follow_segments(turn)
    instance = turn.profile.instances.get(number)
    if instance is not None:
        resume(turn, instance, instance.position + 1)


def _settle_changes(turn: Turn) -> None:
    """See to what moves changed for others: segments, endings, and wishes of contact."""
    if turn.program.membership.by_contact:
        follow_sends(turn)
    if turn.crossings:
        follow_segments(turn)
    if turn.profile.instances:
        leave_by_condition(turn)
    if turn.profile.pending and any(map(changes_contact, turn.records)):
        reconsider(turn)
        follow_segments(turn)


def _find_sent(profile: Profile, message: str) -> Sent | None:
    """Find the send a receipt means: by message id, or the latest send of a message's name."""
    sent = profile.sends.get(message)
    if sent is not None:
        return sent
    return next((s for s in reversed(profile.sends.values()) if s.message == message), None)


def _end_consent(turn: Turn, sent: Sent, receipt: Receipt, source: str) -> None:
    """Take an unsubscribe or a complaint as a withdrawal of marketing on that channel.

    A complaint closes the channel for every purpose: who reports us as spam wants silence there.
    """
    complained = receipt.status is ReceiptStatus.COMPLAINED
    kind = turn.program.types.get(sent.message_type)
    purpose = ANY if complained or kind is None else kind.purpose
    statement = ConsentStatement(purpose, sent.channel, ConsentStatus.WITHDRAWN, receipt.at, source)
    turn.note(ConsentNoted(statement))
    if turn.profile.pending:
        _recheck_consent(turn)


def decide_reunion(turn: Turn) -> None:
    """Decide what follows where journeys and deferrals came in with, or back to, a customer.

    Of two stays in one journey the one that began first goes on. Whatever came in waits from here
    on for what it waited for, and all that is pending is decided again: consent and the ledger are
    others now.
    """
    leave_doubles(turn)
    set_missing_wakes(turn)
    if turn.profile.pending:
        _recheck_consent(turn)
        reconsider(turn)
    end_segment_waits(turn, turn.profile.segments)
    _settle(turn, looks=True)


def decide_farewell(turn: Turn, timers: Mapping[int, Timer]) -> None:
    """Forget the timers of a profile that went, or was replaced."""
    for number, timer in timers.items():
        turn.note(WakeCleared(number, timer.at))
