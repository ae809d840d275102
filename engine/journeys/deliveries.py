"""What follows from what became of a message: another channel, a follow-up, or nothing.

Called by `decide` for receipts, for the timers of fallbacks, and for messages that somebody wants
sent again. Whatever follows is proposed, and every rule is asked again.

*Rules*
- A message that failed for good goes to the next channel at once; one that is refused as it is
  written goes nowhere, since it would be refused there too.
- One of which nothing came back in time goes to the next channel. Where it did not leave so far, it
  is held back.
- Once one channel has brought the message to the customer, or another one is under way, a late
  failure leads to nothing more.
- Nothing follows in a journey whose goal is met, or that `exit_on` ended.
- Nobody gets one message on two channels at a time, but for the follow-up a type asks for.
"""

import msgspec

from engine.choice.ways import Proposal, follow, reopen
from engine.events import Failure, Receipt, ReceiptStatus
from engine.gates.verdict import Block
from engine.limits import ABSENCES_MAX, PENDING_MAX, SOFT_BOUNCES_MAX
from engine.measures.reach import soft_bounces
from engine.profile import Profile, Sent
from engine.program.program import Fallback, MessageType
from engine.proposals import give_up, propose, refuse
from engine.reasons import Outcome, Reason
from engine.records import ReachNoted, Truncated, Unmatched, WakeCleared, WakeSet
from engine.traits.reach import reach_key
from engine.traits.sends import ARRIVED, FALLBACK, is_forgotten, sends_of
from engine.turn import Turn

BUDGET_SPENT = "budget_spent"  # by our own outbox: it says nothing of the customer's address
DEFINITIVE = (
    Failure.ADDRESS_DEAD,
    Failure.NOT_THERE,
    Failure.UNREACHABLE,
    Failure.CONSENT,
    Failure.WINDOW,
    Failure.CONTENT,
)
ENGAGED = (ReceiptStatus.OPENED, ReceiptStatus.CLICKED, ReceiptStatus.REPLIED)
_LEFT = (ReceiptStatus.ACCEPTED, ReceiptStatus.MACHINE_OPENED, *ARRIVED)
_MET = {"delivered": (*ARRIVED, ReceiptStatus.MACHINE_OPENED), "engaged": ENGAGED}
_OF_REACH = (Failure.ADDRESS_DEAD, Failure.NOT_THERE, Failure.UNREACHABLE)


def is_definitive(receipt: Receipt) -> bool:
    """Say whether a receipt means that the message will never arrive on its channel."""
    if receipt.status is not ReceiptStatus.FAILED:
        return False
    return receipt.permanent or receipt.failure in DEFINITIVE or receipt.code == BUDGET_SPENT


def note_reach(turn: Turn, sent: Sent, receipt: Receipt) -> None:
    """Remember that an address was not reached, and until when it is given up."""
    failure, channel = receipt.failure, turn.program.channels.get(sent.channel)
    if failure not in _OF_REACH or receipt.code == BUDGET_SPENT or not sent.address:
        return  # who was parted from this customer has their own address
    known = turn.profile.reach.get(reach_key(sent.channel, sent.address))
    until: int | None = None
    if failure == Failure.UNREACHABLE:
        is_hard = len(soft_bounces(known, receipt.at)) >= SOFT_BOUNCES_MAX
        until = None if is_hard else 0
        if known is not None and known.is_given_up(turn.now):
            until = known.until  # it stays as it was
    elif failure == Failure.NOT_THERE and channel is not None:
        absences = 0 if known is None else known.absences
        if absences + 1 < ABSENCES_MAX:
            until = turn.now + (channel.unreachable_ms << absences)
    turn.note(ReachNoted(sent.channel, sent.address, failure, receipt.code, receipt.at, until))


def heed(turn: Turn, sent: Sent, receipt: Receipt, *, is_news: bool) -> None:
    """See to a message of which something was heard: that it failed for good, or that it goes on.

    What was heard is in the profile already.
    """
    if is_news:
        _fail_over(turn, sent, receipt)
    elif receipt.status is not ReceiptStatus.FAILED:
        kind = turn.program.types.get(sent.message_type)
        if kind is not None and (kind.fallbacks or kind.follow_up or turn.profile.pending):
            _go_through(turn, sent, kind)


def _fail_over(turn: Turn, sent: Sent, receipt: Receipt) -> None:
    """See to a message that failed for good: the next channel, where there is still a need."""
    _stop_watch(turn, sent)
    if _has_successor(turn.profile, sent):
        return
    if receipt.failure == Failure.CONTENT:
        rule = f"messages.{sent.message}.content.{sent.channel}"
        seen = f"refused as it is written: {receipt.code or 'no code'}"
        _end(turn, sent, Block("provider", Reason.PROVIDER_FAILED, None, rule, seen))
    elif sent.follows:
        seen = "failed for good, and nothing follows a follow-up"
        _end(turn, sent, Block("provider", Reason.PROVIDER_FAILED, None, "", seen))
    elif _may_follow(turn, sent) and propose(turn, follow(sent)) is Outcome.DROP:
        _follow_up(turn, sent)  # better there alone than nowhere


def _go_through(turn: Turn, sent: Sent, kind: MessageType) -> None:
    """See to a message of which something good was heard."""
    profile = turn.profile
    if sent.watch_timer and all(_is_met(one, sent) for one in kind.fallbacks):
        _stop_watch(turn, sent)
    pending = profile.pending.get(sent.proposal)
    if pending is not None and pending.attempt > sent.attempt and _has_arrived(kind, sent):
        seen = f"{sent.statuses[-1]} on {sent.channel} meanwhile"
        block = Block("fallback", Reason.SAME_MESSAGE, None, _rule_of(kind), seen)
        refuse(turn, reopen(pending, None, profile), block, pending.channel)
    has_just_left = sum(status in _LEFT for status in sent.statuses) == 1
    if has_just_left and not (sent.is_over or sent.is_left):
        _follow_up(turn, sent)


def fall_back(turn: Turn, proposal: int) -> None:
    """Go to the next channel where nothing came back in time."""
    sends = list(sends_of(turn.profile, proposal))
    kind = turn.program.types.get(sends[0].message_type) if sends else None
    if kind is None or proposal in turn.profile.pending or sends[0].watch_timer:
        return  # something else is under way
    if any(_is_ended(one) or _has_arrived(kind, one) for one in sends):
        return
    sent = sends[0]
    since_at, later_at = sent.out_at or sent.at, None
    for fallback in kind.fallbacks:
        if _is_met(fallback, sent):
            continue
        due_at = since_at + fallback.within_ms
        if due_at > turn.now:
            later_at = due_at if later_at is None else min(later_at, due_at)
        elif fallback.condition is None or fallback.condition.test(turn.scope(sent.event)):
            propose(turn, follow(sent))
            return
    if later_at is not None:
        turn.note(WakeSet(turn.profile.timer_count + 1, later_at, FALLBACK, proposal))


def deliver_again(turn: Turn, message_id: str) -> None:
    """Propose a message again that failed for good or is in doubt, as somebody asked for."""
    profile = turn.profile
    sent = profile.sends.get(message_id)
    if sent is None or sent.is_apart or sent.proposal in profile.pending:
        turn.note(Unmatched("redelivery"))
        return
    later = [one for one in sends_of(profile, sent.proposal) if one.attempt > sent.attempt]
    if not all(_is_lost(profile, one) for one in (sent, *later)):
        turn.note(Unmatched("redelivery"))
        return
    for one in (sent, *later):
        _stop_watch(turn, one)
    if not _may_follow(turn, sent):
        return
    message = turn.program.messages.get(sent.message)
    if message is not None and message.tells_event and is_forgotten(profile, sent):
        seen = "what its journey began with is not kept any more"
        rule = f"messages.{sent.message}.content"
        _end(turn, sent, Block("content", Reason.NO_CONTENT, None, rule, seen))
        return
    again = msgspec.structs.replace(
        follow(sent),
        failed=sent.failed,
        attempt=max(one.attempt for one in (sent, *later)) + 1,
        proposed_at=turn.now,  # it is worth sending for as long as if it were new
        expires_at=None,
    )
    propose(turn, again)


def _is_lost(profile: Profile, sent: Sent) -> bool:
    """Say whether a message failed for good, or may have, and did not arrive after all."""
    if _has_arrived(None, sent):
        return False
    if ReceiptStatus.IN_DOUBT in sent.statuses:
        return True
    return ReceiptStatus.FAILED in sent.statuses and not has_slot(profile, sent)


def has_slot(profile: Profile, sent: Sent) -> bool:
    """Say whether a message holds its slot: it did not fail for good so far."""
    return any(slot.message_id == sent.message_id for slot in profile.ledger)


def _is_ended(sent: Sent) -> bool:
    return sent.is_over or sent.is_left or sent.is_apart


def _may_follow(turn: Turn, sent: Sent) -> bool:
    """Say whether there is a need for another channel; where there is none, put down why."""
    profile = turn.profile
    if sent.is_over:
        give_up(turn, follow(sent), Reason.GOAL_MET, sent.channel)
        return False
    if sent.is_left:
        give_up(turn, follow(sent), Reason.JOURNEY_EXITED, sent.channel)
        return False
    kind = turn.program.types.get(sent.message_type)
    for other in sends_of(profile, sent.proposal):
        if other is not sent and _has_arrived(kind, other):
            seen = f"{other.statuses[-1]} on {other.channel} meanwhile"
            _end(turn, sent, Block("fallback", Reason.SAME_MESSAGE, None, _rule_of(kind), seen))
            return False
    return True


def _end(turn: Turn, sent: Sent, block: Block) -> None:
    refuse(turn, follow(sent), block, sent.channel)


def _rule_of(kind: MessageType | None) -> str:
    return f"message_types.{kind.name}.fallback" if kind is not None and kind.fallbacks else ""


def _has_successor(profile: Profile, sent: Sent) -> bool:
    """Say whether its proposal went on to another channel, or waits to."""
    if sent.proposal in profile.pending:
        return True
    return any(other.attempt > sent.attempt for other in sends_of(profile, sent.proposal))


def _is_met(fallback: Fallback, sent: Sent) -> bool:
    return any(status in sent.statuses for status in _MET[fallback.unless])


def _has_arrived(kind: MessageType | None, sent: Sent) -> bool:
    """Say whether a message did what its type waits for: arrive, if it says nothing else."""
    fallbacks = () if kind is None else kind.fallbacks
    if fallbacks:
        return all(_is_met(one, sent) for one in fallbacks)
    return any(status in sent.statuses for status in _MET["delivered"])


def _follow_up(turn: Turn, sent: Sent) -> None:
    """Propose the same message on the channel its type has for after the first, once."""
    profile, kind = turn.profile, turn.program.types.get(sent.message_type)
    if kind is None or not kind.follow_up or sent.follows or sent.channel == kind.follow_up:
        return
    known = [one.follows for one in profile.sends.values()]
    known += [one.follows for one in profile.pending.values()]
    if sent.proposal in known:
        return
    if len(profile.pending) >= PENDING_MAX:
        turn.note(Truncated("pending", sent.message))
        return
    propose(
        turn,
        Proposal(
            number=profile.proposal_count + 1,
            message=sent.message,
            journey=sent.journey,
            instance=sent.instance,
            step=sent.step,
            proposed_at=sent.proposed_at,
            pinned=kind.follow_up,
            attempt=1,  # nobody's step waits for it
            expires_at=sent.expires_at,
            event=sent.event,
            vars=sent.vars,
            follows=sent.proposal,
        ),
    )


def _stop_watch(turn: Turn, sent: Sent) -> None:
    if sent.watch_timer:
        turn.note(WakeCleared(sent.watch_timer, sent.watch_at))
