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

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from engine.choice.channel import candidates, feasible
from engine.choice.compete import yield_to
from engine.choice.content import Content, find_content, render
from engine.gates.case import Case
from engine.gates.consent import check_consent
from engine.gates.dedup import check_same_message
from engine.gates.order import Timing, next_eligible
from engine.gates.reach import address
from engine.gates.verdict import Block
from engine.ids import decision_id, message_id, stable_hash
from engine.lineage import variables
from engine.place import find_place
from engine.profile import Instance, Pending, Profile, Sent
from engine.program.program import Channel, Message, Program
from engine.program.templates import TemplateAbort, TemplateError
from engine.reasons import OF_CALENDAR, Outcome, Reason
from engine.records import Check, Decided, WakeCleared, WakeSet
from engine.segments import assign
from engine.turn import Turn

# What the first channel in order says where none can carry the message, by the check that said it.
_REASONS = {
    "consent": Reason.NO_CONSENT,
    "message_type": Reason.TYPE_OPT_OUT,
    "registry": Reason.OPT_OUT_REGISTRY,
    "registry_stale": Reason.REGISTRY_STALE,
    "reachable": Reason.UNREACHABLE,
    "capability": Reason.CAPABILITY,
    "content": Reason.NO_CONTENT,
}
_GOES = (Outcome.SEND, Outcome.SUBSTITUTE)
_PREFERENCE = (*_GOES, Outcome.DEFER, Outcome.DROP)  # of several messages, the first like this
_FAILED = Block("provider", Reason.PROVIDER_FAILED, None, "", "failed for good")


class Proposal(msgspec.Struct, frozen=True, gc=False):
    """Something a journey step wants said to the customer."""

    number: int
    message: str
    journey: str
    instance: int
    step: str
    proposed_at: int
    pinned: str = ""
    failed: tuple[str, ...] = ()
    attempt: int = 0
    expires_at: int | None = None
    event: Mapping[str, Any] = {}
    vars: Mapping[str, Any] = {}


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


def reopen(pending: Pending, instance: Instance | None, profile: Profile) -> Proposal:
    """Make a deferral a proposal again, with what its journey knows by now."""
    return Proposal(
        number=pending.proposal,
        message=pending.message,
        journey=pending.journey,
        instance=pending.instance,
        step=pending.step,
        proposed_at=pending.proposed_at,
        pinned=pending.pinned,
        failed=pending.failed,
        attempt=pending.attempt,
        expires_at=pending.expires_at,
        event=pending.event if instance is None else instance.event,
        vars=pending.vars if instance is None else variables(profile, instance),
    )


def follow(sent: Sent) -> Proposal:
    """Make a send that failed for good a proposal for its next channel."""
    return Proposal(
        number=sent.proposal,
        message=sent.message,
        journey=sent.journey,
        instance=sent.instance,
        step=sent.step,
        proposed_at=sent.proposed_at,
        pinned=sent.pinned,
        failed=(*sent.failed, sent.channel),
        attempt=sent.attempt + 1,
        expires_at=sent.expires_at,
        event=sent.event,
        vars=sent.vars,
    )


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
    trace = (_check(channel, block),)
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
    repeated = check_same_message(
        turn.profile, message, turn.program.same_message_ms, proposal.number, turn.now
    )
    ways = Ways(turn, proposal, message)
    if repeated is not None:
        return ways.unpermitted() or Ruling(
            Outcome.DROP, Reason.SAME_MESSAGE, trace=(_check("", repeated),)
        )
    first = next(ways.feasible, None)
    if first is None:
        return _nowhere(proposal, ways)
    timing = ways.timing(first)
    if not timing.blocks:
        return _carry(ways, first)
    return _ways_out(ways, first, timing)


class Ways:
    """The channels one proposal may take, and the trace of what was found on each."""

    __slots__ = (
        "_names", "_passed_over", "_trace", "feasible", "message", "place", "proposal", "turn",
    )  # fmt: skip

    def __init__(self, turn: Turn, proposal: Proposal, message: Message) -> None:
        self.turn = turn
        self.proposal = proposal
        self.message = message
        self.place = find_place(turn.profile, turn.program)
        self._trace: list[Check] = []
        self._passed_over: list[tuple[str, Block]] = []
        self._trace += [_check(name, _FAILED, "passed_over") for name in proposal.failed]
        self._names = candidates(
            turn.profile, message, pinned=proposal.pinned, failed=proposal.failed
        )
        self.feasible = feasible(
            turn.profile, turn.program, message, self._names, self._passed_over, turn.now
        )

    def unpermitted(self) -> Ruling | None:
        """Say that consent is missing, where it is on every channel; None where it is not.

        Asked only where another rule drops the message: consent comes before it, so consent is the
        reason to name.
        """
        kind, turn = self.message.type, self.turn
        checks: list[Check] = []
        for name in self._names:
            block = check_consent(
                turn.profile, turn.program, kind.purpose, name, kind.name, turn.now
            )
            if block is None:
                return None
            checks.append(_check(name, block, "passed_over"))
        if not checks:
            return None
        first = checks[0]
        return Ruling(Outcome.DROP, _REASONS[first.check], first.channel, trace=tuple(checks))

    def timing(self, channel: Channel) -> Timing:
        """Find out when a channel may be used, and put down what stands in the way."""
        turn = self.turn
        case = Case(
            turn.profile, turn.program, self.message, channel, place=self.place, now=turn.now
        )
        timing = next_eligible(case, turn.now)
        if not timing.blocks and turn.program.look_ahead_ms:
            timing = yield_to(case, self.proposal.number, turn.now) or timing
        self.add(*_checks(channel.name, timing))
        return timing

    def add(self, *checks: Check) -> None:
        """Put down what was found, after the channels that were passed over before it."""
        self._trace += [_check(name, block, "passed_over") for name, block in self._passed_over]
        self._passed_over.clear()
        self._trace += checks

    def substitute(self, blocked: Channel) -> Iterator[Channel]:
        """Give the channel that may take a blocked one's place, if it can carry the message.

        One that failed for good with this proposal is not tried again, here as elsewhere.
        """
        if blocked.substitute and blocked.substitute not in self.proposal.failed:
            turn, names = self.turn, (blocked.substitute,)
            passed_over = self._passed_over
            yield from feasible(
                turn.profile, turn.program, self.message, names, passed_over, turn.now
            )

    def trace(self) -> tuple[Check, ...]:
        """Give everything that was found."""
        self.add()
        return tuple(self._trace)


def _nowhere(proposal: Proposal, ways: Ways) -> Ruling:
    """Say why no channel can carry the message: as the first channel in order says."""
    trace = ways.trace()
    if proposal.failed:
        return Ruling(Outcome.DROP, Reason.PROVIDER_FAILED, proposal.failed[-1], trace=trace)
    return Ruling(Outcome.DROP, _REASONS[trace[0].check], trace[0].channel, trace=trace)


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
        )
    )
    if ruling.next_eligible is not None:
        timer = profile.timer_count + 1
        turn.note(WakeSet(timer, ruling.next_eligible, "proposal", proposal.number))


def _kept(
    proposal: Proposal, message: Message | None, ruling: Ruling
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keep what its journey knows where another channel may have to say it later."""
    goes_on = ruling.message_id or ruling.outcome is Outcome.DEFER
    has_others = message is not None and (len(message.type.channels) > 1 or proposal.attempt > 0)
    return (dict(proposal.event), dict(proposal.vars)) if goes_on and has_others else ({}, {})


def _expires_at(proposal: Proposal, message: Message | None) -> int | None:
    if proposal.expires_at is not None or message is None or message.type.expires_ms is None:
        return proposal.expires_at
    return proposal.proposed_at + message.type.expires_ms


def _checks(channel: str, timing: Timing) -> list[Check]:
    """Write what the rules of a channel said, the last to release at the end."""
    if not timing.blocks:
        return [Check(channel, "all", "passed")]
    return [_check(channel, block) for block in (*timing.blocks, *timing.later)]


def _check(channel: str, block: Block, result: str = "blocked") -> Check:
    return Check(channel, block.check, result, block.rule, block.until, block.seen, block.version)


def _expired(message: Message) -> Check:
    return Check("", "expiry", "blocked", f"message_types.{message.type.name}.expires")


def _gone(message: str) -> Check:
    return Check(
        "", "content", "blocked", f"messages.{message}", None, "no longer in the workspace"
    )
