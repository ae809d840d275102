"""Answers to "may this be sent now, and if not, why, and when?", without deciding anything.

Called by `actors.reading` for people who ask about a customer, now or at another instant, and by
whoever embeds the engine. Nothing is written down and the profile stays as it is.

*Rules*
- What is answered is what the same proposal would be decided at that instant, on what is known now:
  it is decided, on a copy.
- Every channel is looked at, also those a decision would not come to.
- What would change an answer is said for each rule that stands in the way, in words.
"""

import msgspec

from engine.choice.channel import candidates, check_named
from engine.choice.ways import Proposal
from engine.gates.case import Case
from engine.gates.dedup import check_same_message
from engine.gates.order import Timing, blocks_at, next_eligible as solve
from engine.gates.verdict import Block, release_at
from engine.limits import SOLVER_HORIZON_MS
from engine.place import Place, find_place
from engine.profile import Profile
from engine.program.program import Channel, Message, Program
from engine.proposals import propose
from engine.reasons import Outcome, Reason
from engine.records import Check, Decided
from engine.turn import Turn

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Profile)

# What would make each rule let go, as a sentence's end.
_CHANGES: dict[Reason, str] = {
    Reason.OUTSIDE_WINDOW: "hours in {rule} that are open now",
    Reason.QUIET_HOURS: "the customer's quiet hours not covering this time",
    Reason.HOLIDAY: "the day in `except` of {rule}",
    Reason.BLACKOUT: "the day in `except` of {rule}",
    Reason.REGION_RULE: "nothing of ours: it is the law where the customer is ({rule})",
    Reason.CHANNEL_CAP: "a larger {rule}, or a send that fails and gives its slot back",
    Reason.TYPE_CAP: "a larger {rule}, or a send that fails and gives its slot back",
    Reason.SHARED_CAP: "a larger {rule}, or a send that fails and gives its slot back",
    Reason.CUSTOMER_CAP: "another choice of the customer's ({rule})",
    Reason.BACKOFF: "a shorter gap in {rule}, or a cap that is less full",
    Reason.COOLDOWN: "a shorter {rule}",
    Reason.SUPPRESSED: "{rule} not holding this purpose back",
    Reason.DO_NOT_DISTURB: "the customer's wish to be left alone ({rule}) taken back",
    Reason.REPLY_WINDOW: "the customer writing on this channel, or content with a `template`",
    Reason.NO_CONSENT: "the customer's consent to this purpose on this channel",
    Reason.OPT_OUT_REGISTRY: "the customer's address not being on the list of {rule}",
    Reason.REGISTRY_STALE: "a newer list for {rule}, and an event of the customer's after it",
    Reason.TYPE_OPT_OUT: "the customer wanting this type of message again ({rule})",
    Reason.UNREACHABLE: "an address of the customer's for {rule}",
    Reason.TOO_COSTLY: "a larger {rule}, or a cheaper channel",
    Reason.CAPABILITY: "a channel that supports what {rule} asks for",
    Reason.NO_CONTENT: "content in {rule}",
    Reason.SAME_MESSAGE: "another message, or a shorter {rule}",
    Reason.LOWER_PRIORITY: "a higher priority than that of {rule}",
    Reason.PROVIDER_FAILED: "another address: the provider refused this one for good",
}


class ChannelAnswer(msgspec.Struct, frozen=True):
    """What stands in the way on one channel, and when it is next free; None where nobody knows."""

    channel: str
    is_open: bool
    next_eligible: int | None
    blocks: tuple[Block, ...]


class Eligibility(msgspec.Struct, frozen=True):
    """Whether a message may go to a customer at an instant, why not, when, and what would help.

    `outcome`, `reason`, `channel`, `next_eligible` and `trace` are those of the decision that would
    be made then.
    """

    customer: str
    message: str
    at: int
    outcome: Outcome
    reason: Reason
    channel: str
    next_eligible: int | None
    trace: tuple[Check, ...]
    channels: tuple[ChannelAnswer, ...]
    changes: tuple[str, ...]
    place: Place
    program: str


def assess(
    profile: Profile, program: Program, message: Message, now: int, *, channel: str = ""
) -> Eligibility:
    """Answer for a message, to one customer, at an instant; on one channel where one is named."""
    decided = _decide(profile, program, message, channel, now)
    place = find_place(profile, program)
    names = candidates(profile, program, message, pinned=channel, failed=(), now=now)
    channels = tuple(_answer(profile, program, message, name, now) for name in names)
    return Eligibility(
        customer=profile.customer,
        message=message.name,
        at=now,
        outcome=decided.outcome,
        reason=decided.reason,
        channel=decided.channel,
        next_eligible=now if decided.message_id else decided.next_eligible,
        trace=decided.trace,
        channels=channels,
        changes=tuple(dict.fromkeys(change for one in channels for change in _changes(one))),
        place=place,
        program=program.version,
    )


def next_eligible(
    profile: Profile,
    message: Message,
    channel: Channel,
    program: Program,
    now: int,
    *,
    expires_at: int | None = None,
) -> Timing:
    """Find the earliest instant from `now` on at which a message may go out on a channel.

    Everything counts: consent, reach, content, the same message, suppression, presence, caps,
    cooldown, hours, days and law. `at` is None where there is no such instant before `expires_at`,
    or within 400 days; `last` is the rule that says so.
    """
    block = check_named(profile, program, message, channel.name, now)
    if block is not None and (
        block.until is None or check_named(profile, program, message, channel.name, block.until)
    ):
        return Timing(None, (block,), block)
    case = Case(profile, program, message, channel, place=find_place(profile, program), now=now)
    repeated = check_same_message(profile, message, program.same_message_ms, (), now)
    first = max(filter(None, (block, repeated)), key=release_at, default=None)
    timing = solve(case, now) if first is None else _after(case, first, now)
    horizon_at = now + SOLVER_HORIZON_MS + 1
    end_at = horizon_at if expires_at is None else min(expires_at, horizon_at)
    if timing.at is not None and timing.at >= end_at:
        return Timing(None, timing.blocks, timing.last, timing.later)
    return timing


def _after(case: Case, first: Block, now: int) -> Timing:
    """Find the earliest instant where a rule that is no gate over time has to release before."""
    blocks = (first, *blocks_at(case, now))
    if first.until is None:
        return Timing(None, blocks, first)
    later = solve(case, first.until)
    return Timing(later.at, blocks, later.last or first, later.later)


def _decide(
    profile: Profile, program: Program, message: Message, channel: str, now: int
) -> Decided:
    """Decide the message on a copy of the profile."""
    copied = _DECODER.decode(_ENCODER.encode(profile))
    turn = Turn(copied, program, "question", "", now)
    number = copied.proposal_count + 1
    propose(turn, Proposal(number, message.name, "", 0, "", proposed_at=now, pinned=channel))
    return next(record for record in turn.records if isinstance(record, Decided))


def _answer(
    profile: Profile, program: Program, message: Message, name: str, now: int
) -> ChannelAnswer:
    channel = program.channels.get(name)
    if channel is None:
        block = check_named(profile, program, message, name, now)
        assert block is not None
        return ChannelAnswer(name, is_open=False, next_eligible=None, blocks=(block,))
    timing = next_eligible(profile, message, channel, program, now)
    return ChannelAnswer(name, not timing.blocks, timing.at, (*timing.blocks, *timing.later))


def _changes(answer: ChannelAnswer) -> list[str]:
    return [
        f"{answer.channel}: {_CHANGES[block.reason].format(rule=block.rule)}"
        for block in answer.blocks
        if block.reason in _CHANGES
    ]
