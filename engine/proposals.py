"""A proposed message's way to its decision: send, defer, drop or substitute, with one reason.

Called by `journeys.moves` for a send step and by `decide` for deferrals that come due, channels
that failed and consent that changed.

*Rules*
- In order: whether the step that asks is in the workspace in force, expiry, consent, same message,
  then for each channel reach, capability and content, then the hours and caps of the first feasible
  channel, then what competes with it, then `on_block`.
- A deferral is decided again, afresh, when its time comes; nothing that was true then is kept.
- The reason of a deferral is the rule that releases last.
- What waits for hours or days to open may be spread, customer by customer, over a time of the
  workspace's choosing, but never to an instant at which a rule stands in the way.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from engine.choice.content import Content, find_content, render
from engine.choice.ways import FAILED, Proposal, Ways, check_of, reopen
from engine.gates.case import Case
from engine.gates.dedup import check_same_message
from engine.gates.order import Timing, next_eligible
from engine.gates.reach import address
from engine.gates.verdict import Block
from engine.ids import decision_id, message_id, stable_hash
from engine.profile import Pending
from engine.program.program import Channel, Message, Program
from engine.program.templates import TemplateAbort, TemplateError
from engine.reasons import OF_CALENDAR, Outcome, Reason
from engine.records import Check, Decided, Overtaken, WakeCleared, WakeSet
from engine.segments import assign
from engine.traits.sends import FALLBACK, sends_of
from engine.turn import Turn

# What the first channel in order says where none can carry the message, by the check that said it.
_REASONS = {
    "consent": Reason.NO_CONSENT,
    "message_type": Reason.TYPE_OPT_OUT,
    "registry": Reason.OPT_OUT_REGISTRY,
    "registry_stale": Reason.REGISTRY_STALE,
    "reachable": Reason.UNREACHABLE,
    "cost": Reason.TOO_COSTLY,
    "capability": Reason.CAPABILITY,
    "content": Reason.NO_CONTENT,
}
_GOES = (Outcome.SEND, Outcome.SUBSTITUTE)
_PREFERENCE = (*_GOES, Outcome.DEFER, Outcome.DROP)  # of several messages, the first like this


class Ruling(msgspec.Struct, frozen=True, gc=False):
    """How a proposal ends, before it is written down as a decision."""

    outcome: Outcome
    reason: Reason
    channel: str = ""
    next_eligible: int | None = None
    trace: tuple[Check, ...] = ()
    address: str = ""
    content: dict[str, str] = {}
    message_id: str = ""
    enrich: bool = False  # write into the profile what the message has for that


def propose(turn: Turn, proposal: Proposal, before: Pending | None = None) -> Outcome:
    """Decide a proposal and put the decision down; not where it is the deferral it was before."""
    message = turn.program.messages.get(proposal.message)
    if message is None:  # only a journey of an older workspace can name it
        ruling = Ruling(Outcome.DROP, Reason.NO_CONTENT, trace=(_gone(proposal.message),))
    else:
        ruling = _rule(turn, proposal, message)
    if before is not None and _is_same(ruling, before):
        return ruling.outcome
    _put_down(turn, proposal, message, ruling)
    if ruling.enrich and message is not None:
        _enrich(turn, proposal, message)
    return ruling.outcome


def propose_best(turn: Turn, proposal: Proposal, names: Sequence[str]) -> Outcome:
    """Decide which of several messages goes, and put the decision about that one down.

    The highest that can go now; else the highest that can wait; else none, for the reason of the
    highest. The trace names those that were looked at and passed over.
    """
    messages = turn.program.messages
    known = [messages[name] for name in names if name in messages]
    looked_at: list[tuple[Message, Proposal, Ruling]] = []
    for message in sorted(known, key=_height):
        option = msgspec.structs.replace(proposal, message=message.name)
        looked_at.append((message, option, _rule(turn, option, message)))
        if looked_at[-1][2].outcome in _GOES:
            break
    if not looked_at:
        return propose(turn, proposal)
    best = min(looked_at, key=lambda one: _PREFERENCE.index(one[2].outcome))
    passed_over = tuple(_passed_over(*one) for one in looked_at if one is not best)
    message, option, ruling = best
    _put_down(
        turn, option, message, msgspec.structs.replace(ruling, trace=(*passed_over, *ruling.trace))
    )
    if ruling.enrich:
        _enrich(turn, option, message)
    return ruling.outcome


def _height(message: Message) -> tuple[int, float]:
    priority, value = message.rank
    return -priority, -value


def _passed_over(message: Message, _option: Proposal, ruling: Ruling) -> Check:
    seen = f"{ruling.outcome.value}: {ruling.reason.value}"
    rule, until = f"messages.{message.name}", ruling.next_eligible
    return Check(ruling.channel, "decide", "passed_over", rule, until, seen)


def _is_same(ruling: Ruling, before: Pending) -> bool:
    return (
        ruling.outcome is Outcome.DEFER
        and ruling.channel == before.channel
        and ruling.next_eligible == before.next_eligible
    )


def _enrich(turn: Turn, proposal: Proposal, message: Message) -> None:
    """Write what is to be known in place of what was not sent: the journey reads it later."""
    scope = turn.scope(proposal.event)
    for trait, value in message.enrich:
        assign(turn, trait, value.evaluate(scope))


def withdraw(turn: Turn, pending: Pending, reason: Reason) -> None:
    """Drop a deferral that has become impossible."""
    give_up(turn, reopen(pending, None, turn.profile), reason, pending.channel)


def give_up(turn: Turn, proposal: Proposal, reason: Reason, channel: str) -> None:
    """Drop a proposal without looking at it."""
    message = turn.program.messages.get(proposal.message)
    _put_down(turn, proposal, message, Ruling(Outcome.DROP, reason, channel))


def refuse(turn: Turn, proposal: Proposal, block: Block, channel: str) -> None:
    """Drop a proposal that a rule outside of the gates does not let through."""
    message = turn.program.messages.get(proposal.message)
    trace = (check_of(channel, block),)
    _put_down(turn, proposal, message, Ruling(Outcome.DROP, block.reason, channel, trace=trace))


def find_deleted(program: Program, journey: str, step: str, message: str) -> Reason | None:
    """Say why a step may not send a message any more: it, or its journey, is not there."""
    if not journey:
        return None  # nobody's step asked for it
    current = program.journeys.get(journey)
    if current is None:
        return Reason.JOURNEY_DELETED
    return None if current.may_send(step, message) else Reason.STEP_DELETED


def _missing(proposal: Proposal, reason: Reason) -> Check:
    what = f"the step {proposal.step}" if reason is Reason.STEP_DELETED else "the journey"
    rule = f"journeys.{proposal.journey}"
    return Check("", "step", "blocked", rule, seen=f"{what} is not in the workspace any more")


def _rule(turn: Turn, proposal: Proposal, message: Message) -> Ruling:
    deleted = find_deleted(turn.program, proposal.journey, proposal.step, proposal.message)
    if deleted is not None:
        return Ruling(Outcome.DROP, deleted, trace=(_missing(proposal, deleted),))
    expires_at = _expires_at(proposal, message)
    if expires_at is not None and turn.now >= expires_at:
        return Ruling(Outcome.DROP, Reason.EXPIRED, trace=(_expired(message),))
    ways = Ways(turn, proposal, message)
    repeated = check_same_message(
        turn.profile,
        message,
        turn.program.same_message_ms,
        (proposal.number, proposal.follows),
        turn.now,
    )
    if repeated is not None:
        return _repeat(ways, repeated)
    first = next(ways.feasible, None)
    if first is None:
        return _nowhere(proposal, ways)
    timing = ways.timing(first)
    if not timing.blocks:
        return _carry(ways, first)
    return _ways_out(ways, first, timing)


def _repeat(ways: Ways, repeated: Block) -> Ruling:
    """Drop what was said before, unless consent, which comes before that, is missing anyway."""
    unpermitted = ways.unpermitted()
    if unpermitted:
        return _unpassed(unpermitted[0], unpermitted)
    return Ruling(Outcome.DROP, Reason.SAME_MESSAGE, trace=(check_of("", repeated),))


def _nowhere(proposal: Proposal, ways: Ways) -> Ruling:
    """Say why no channel can carry the message: as the first channel in order says."""
    trace = ways.trace()
    found = next((check for check in trace if check.check in _REASONS), None)
    has_failed = any(check.check == FAILED.check for check in trace)
    if found is None or has_failed:
        channel = proposal.failed[-1] if proposal.failed else ""
        return Ruling(Outcome.DROP, Reason.PROVIDER_FAILED, channel, trace=trace)
    return _unpassed(found, trace)


def _unpassed(check: Check, trace: tuple[Check, ...]) -> Ruling:
    return Ruling(Outcome.DROP, _REASONS[check.check], check.channel, trace=trace)


def _ways_out(ways: Ways, blocked: Channel, timing: Timing) -> Ruling:
    """Try what the type says to do about a block, in order; the first that can succeed wins."""
    assert timing.last is not None
    message, reason = ways.message, timing.last.reason
    expires_at = _expires_at(ways.proposal, message)
    due_at = _due_at(ways, blocked, timing)
    too_late = False
    for way in message.type.on_block:
        if way == "defer" and due_at is not None:
            if expires_at is None or due_at < expires_at:
                return Ruling(Outcome.DEFER, reason, blocked.name, due_at, ways.trace())
            too_late = True
        elif way == "enrich" and message.enrich:
            return Ruling(Outcome.DROP, reason, blocked.name, trace=ways.trace(), enrich=True)
        elif way in ("substitute", "fallback"):
            is_substitute = way == "substitute"
            for channel in ways.substitute(blocked) if is_substitute else ways.feasible:
                if not ways.timing(channel).blocks:
                    return _carry(ways, channel, reason if is_substitute else None)
        elif way == "drop":
            break
    if too_late:
        ways.add(_expired(message))
        reason = Reason.EXPIRED
    return Ruling(Outcome.DROP, reason, blocked.name, trace=ways.trace())


def _due_at(ways: Ways, channel: Channel, timing: Timing) -> int | None:
    """Tell when to decide again: when the rules release, or a little later where that is spread."""
    at, spread_ms = timing.at, ways.turn.program.spread_ms
    if at is None or timing.last is None or timing.last.reason not in OF_CALENDAR:
        return at
    if ways.message.type.release == "drop":
        return None  # nothing waits for hours to open
    if not spread_ms:
        return at
    turn = ways.turn
    drawn = stable_hash("spread", str(turn.program.seed), turn.profile.customer, str(at))
    later_at = at + int.from_bytes(drawn, "big") % spread_ms
    expires_at = _expires_at(ways.proposal, ways.message)
    if expires_at is not None and later_at >= expires_at:
        return at  # who would come too late comes first
    case = Case(turn.profile, turn.program, ways.message, channel, place=ways.place, now=turn.now)
    return later_at if next_eligible(case, later_at).at == later_at else at


def _carry(ways: Ways, channel: Channel, replaced: Reason | None = None) -> Ruling:
    """Render the message and send it; what can't be rendered is dropped, never sent broken."""
    turn, proposal, message = ways.turn, ways.proposal, ways.message
    name = message_id(turn.profile.customer, proposal.number, proposal.attempt)
    content = find_content(turn.profile, turn.program, message, channel.name)
    ways.add(*content.checks())
    try:
        rendered = render(
            turn.profile,
            turn.program,
            content,
            event=proposal.event,
            variables=proposal.vars,
            message_id=name,
            timezone=ways.place.zones[0].key,
            now=turn.now,
        )
    except TemplateAbort as abort:
        return _unrendered(ways, content, Reason.NO_CONTENT, str(abort))
    except TemplateError as error:
        return _unrendered(ways, content, Reason.TEMPLATE_ERROR, str(error))
    return Ruling(
        Outcome.SEND if replaced is None else Outcome.SUBSTITUTE,
        replaced or Reason.SENT,
        channel.name,
        None,
        ways.trace(),
        address(turn.profile, channel),
        rendered,
        name,
    )


def _unrendered(ways: Ways, content: Content, reason: Reason, seen: str) -> Ruling:
    ways.add(Check(content.channel, "content", "blocked", content.rule, None, seen[:200]))
    return Ruling(Outcome.DROP, reason, content.channel, trace=ways.trace())


def _put_down(turn: Turn, proposal: Proposal, message: Message | None, ruling: Ruling) -> None:
    """Write the decision, and the timer of a deferral; clear the timer it had before."""
    profile = turn.profile
    before = profile.pending.get(proposal.number)
    if before is not None and before.timer in profile.timers:
        turn.note(WakeCleared(before.timer, profile.timers[before.timer].at))
    turn.note(
        Decided(
            # By position: naming the fields takes five times as long, and it is done for each.
            decision_id(profile.customer, profile.decision_count + 1),
            turn.now,
            turn.cause_kind,
            turn.cause,
            proposal.journey,
            proposal.instance,
            proposal.step,
            proposal.message,
            message.type.name if message else "",
            ruling.outcome,
            ruling.reason,
            ruling.channel,
            ruling.next_eligible,
            ruling.trace,
            turn.program.version,
            proposal.number,
            proposal.proposed_at,
            _expires_at(proposal, message),
            proposal.pinned,
            proposal.failed,
            proposal.attempt,
            ruling.message_id,
            ruling.address,
            ruling.content,
            message.type.purpose if message else "",
            message.type.counts if message else False,
            *_kept(proposal, message, ruling),
            proposal.follows,
        )
    )
    if ruling.message_id and message is not None:
        if proposal.attempt:
            _overtake(turn, proposal)
        if message.type.fallbacks and not proposal.follows:
            _watch(turn, proposal, message, ruling.channel)
    if ruling.next_eligible is not None:
        timer = profile.timer_count + 1
        turn.note(WakeSet(timer, ruling.next_eligible, "proposal", proposal.number))


def _overtake(turn: Turn, proposal: Proposal) -> None:
    """Hold back what was sent for this proposal on other channels and did not leave so far."""
    sends = [one for one in sends_of(turn.profile, proposal.number) if not one.statuses]
    for sent in sends:
        if sent.attempt < proposal.attempt:
            turn.note(Overtaken(sent.message_id))


def _watch(turn: Turn, proposal: Proposal, message: Message, channel: str) -> None:
    """Have it looked at what becomes of a message, where there is another channel for it."""
    kind = message.type
    if any(name != channel and name not in proposal.failed for name in kind.channels):
        at = turn.now + min(fallback.within_ms for fallback in kind.fallbacks)
        turn.note(WakeSet(turn.profile.timer_count + 1, at, FALLBACK, proposal.number))


def _kept(
    proposal: Proposal, message: Message | None, ruling: Ruling
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keep what its journey knows where another channel may have to say it later."""
    goes_on = ruling.message_id or ruling.outcome is Outcome.DEFER
    has_others = message is not None and (
        len(message.type.channels) > 1
        or proposal.attempt > 0
        or bool(message.type.follow_up)
        or message.tells_event  # somebody may want it sent again
    )
    return (dict(proposal.event), dict(proposal.vars)) if goes_on and has_others else ({}, {})


def _expires_at(proposal: Proposal, message: Message | None) -> int | None:
    if proposal.expires_at is not None or message is None or message.type.expires_ms is None:
        return proposal.expires_at
    return proposal.proposed_at + message.type.expires_ms


def _expired(message: Message) -> Check:
    return Check("", "expiry", "blocked", f"message_types.{message.type.name}.expires")


def _gone(message: str) -> Check:
    return Check(
        "", "content", "blocked", f"messages.{message}", None, "no longer in the workspace"
    )
