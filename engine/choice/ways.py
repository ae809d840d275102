"""The channels one proposed message may take, and what was found on each.

Used by `proposals`, which decides; nothing is decided or put down here.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from engine.choice.channel import candidates, check_cost, feasible
from engine.choice.compete import yield_to
from engine.choice.score import rank_channels
from engine.events import ReceiptStatus
from engine.gates.case import Case
from engine.gates.consent import check_consent
from engine.gates.order import Timing, next_eligible
from engine.gates.verdict import Block
from engine.lineage import variables
from engine.place import find_place
from engine.profile import Instance, Pending, Profile, Sent
from engine.program.program import Channel, Message
from engine.reasons import Reason
from engine.records import Check
from engine.turn import Turn

FAILED = Block("provider", Reason.PROVIDER_FAILED, None, "", "failed for good")
_UNANSWERED = Block("fallback", Reason.PROVIDER_FAILED, None, "", "nothing came back in time")


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
    follows: int = 0  # the proposal whose message it follows up on another channel, or 0


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
        follows=pending.follows,
    )


def follow(sent: Sent) -> Proposal:
    """Make a send that failed for good, or came to nothing, a proposal for its next channel."""
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
        follows=sent.follows,
    )


class Ways:
    """The channels one proposal may take, and the trace of what was found on each."""

    __slots__ = (
        "_names", "_passed_over", "_spent", "_trace", "feasible", "message", "place", "proposal",
        "turn",
    )  # fmt: skip

    def __init__(self, turn: Turn, proposal: Proposal, message: Message) -> None:
        self.turn = turn
        self.proposal = proposal
        self.message = message
        self.place = find_place(turn.profile, turn.program)
        self._trace: list[Check] = []
        self._passed_over: list[tuple[str, Block]] = []
        self._spent = 0.0
        if proposal.attempt:
            self._look_back()
        self._names = candidates(
            turn.profile,
            turn.program,
            message,
            pinned=proposal.pinned,
            failed=proposal.failed,
            now=turn.now,
        )
        if message.type.chooses_best and len(self._names) > 1:
            self._trace += _scores(self)
        self.feasible = self._affordable(self._names)

    def _look_back(self) -> None:
        """Find out what became of the channels this proposal took, and what they cost."""
        turn, proposal = self.turn, self.proposal
        failed: dict[str, bool] = {}
        for sent in turn.profile.sends.values():
            if proposal.number in (sent.proposal, sent.follows) or (
                sent.proposal == proposal.follows
            ):
                channel = turn.program.channels.get(sent.channel)
                self._spent += channel.cost if channel is not None else 0.0
                failed[sent.channel] = ReceiptStatus.FAILED in sent.statuses
        for name in proposal.failed:
            tried = FAILED if failed.get(name, True) else _UNANSWERED
            self._trace.append(check_of(name, tried, "passed_over"))

    def _affordable(self, names: tuple[str, ...]) -> Iterator[Channel]:
        """Give the channels that can carry the message within what its type may cost."""
        turn, message, passed_over = self.turn, self.message, self._passed_over
        found = feasible(turn.profile, turn.program, message, names, passed_over, turn.now)
        if not self._spent or message.type.max_cost is None:
            return found
        return self._within_cost(found)

    def _within_cost(self, found: Iterator[Channel]) -> Iterator[Channel]:
        for channel in found:
            block = check_cost(self.message.type, channel, self._spent)
            if block is None:
                yield channel
            else:
                self._passed_over.append((channel.name, block))

    def unpermitted(self) -> tuple[Check, ...]:
        """Say that consent is missing, where it is on every channel; nothing where it is not.

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
                return ()
            checks.append(check_of(name, block, "passed_over"))
        return tuple(checks)

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
        self._trace += [check_of(name, block, "passed_over") for name, block in self._passed_over]
        self._passed_over.clear()
        self._trace += checks

    def substitute(self, blocked: Channel) -> Iterator[Channel]:
        """Give the channel that may take a blocked one's place, if it can carry the message.

        One that failed for good with this proposal is not tried again, here as elsewhere.
        """
        if blocked.substitute and blocked.substitute not in self.proposal.failed:
            yield from self._affordable((blocked.substitute,))

    def trace(self) -> tuple[Check, ...]:
        """Give everything that was found."""
        self.add()
        return tuple(self._trace)


def _checks(channel: str, timing: Timing) -> list[Check]:
    """Write what the rules of a channel said, the last to release at the end."""
    if not timing.blocks:
        return [Check(channel, "all", "passed")]
    return [check_of(channel, block) for block in (*timing.blocks, *timing.later)]


def _scores(ways: Ways) -> Iterator[Check]:
    """Write why the channels are tried in this order."""
    turn, message = ways.turn, ways.message
    rule = f"message_types.{message.type.name}.choose"
    for score in rank_channels(turn.profile, turn.program, message, turn.now):
        if score.channel not in ways.proposal.failed:
            yield Check(score.channel, "score", "passed", rule, None, str(score))


def check_of(channel: str, block: Block, result: str = "blocked") -> Check:
    """Write what a rule said of a channel, as a line of a trace."""
    return Check(channel, block.check, result, block.rule, block.until, block.seen, block.version)
