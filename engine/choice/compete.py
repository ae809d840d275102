"""Competition: a message does not take the place that a higher one needs.

Called by `proposals` for a message that nothing else stands in the way of, where the workspace
looks ahead.

*Rules*
- Higher is the one of higher priority, then of higher value. Equals do not wait for each other.
- Planned is what is deferred, or what a journey sends next after its wait, to an instant within
  `look_ahead`. Whether a wait will be cut short nobody knows, and it is not guessed.
- A planned message needs the place if, after this one, a cap would have no room for it when it is
  planned. A gap after this one only moves it a little, and is not waited for.
- Without further sends caps only empty: where one has room at the planned instant, it has later.
"""

from collections.abc import Iterator

from engine.choice.channel import candidates, feasible
from engine.gates.caps import check_caps
from engine.gates.case import Case
from engine.gates.order import Timing, next_eligible
from engine.gates.verdict import Block
from engine.instants import format_instant
from engine.ledger import Slot
from engine.profile import Instance
from engine.program.journey import Instruction, Op
from engine.program.program import Channel, Message
from engine.reasons import Reason
from engine.wishes import FREQUENCY_CAPS

_WAITS = (Op.WAIT, Op.WAIT_UNTIL)

Planned = tuple[Message, Channel, int]


def yield_to(case: Case, proposal: int, now: int) -> Timing | None:
    """Say which planned messages this one has to wait for, or None."""
    kind = case.kind
    if not kind.counts and not any(rule.caps for rule in case.regions):
        return None  # it takes nobody's place
    slot = Slot(now, "", case.message.name, case.channel.name, kind.purpose, kind.name, kind.counts)
    blocks = [
        block
        for planned in _planned(case, proposal, now)
        if (block := _needs_place(case, planned, slot, now)) is not None
    ]
    if not blocks:
        return None
    last = max(blocks, key=_until)
    return Timing(last.until, tuple(blocks), last)


def _until(block: Block) -> int:
    assert block.until is not None
    return block.until


def _planned(case: Case, proposal: int, now: int) -> Iterator[Planned]:
    """Give the higher messages that are planned about now; what was long ago has gone out."""
    since_at, end_at = now - case.program.look_ahead_ms, now + case.program.look_ahead_ms
    profile, program = case.profile, case.program
    for pending in profile.pending.values():
        message, channel = (
            program.messages.get(pending.message),
            program.channels.get(pending.channel),
        )
        if pending.proposal == proposal or not since_at <= pending.next_eligible <= end_at:
            continue
        if message is not None and channel is not None and message.rank > case.message.rank:
            yield message, channel, pending.next_eligible
    for instance in profile.instances.values():
        waits_until = instance.waiting_until
        if waits_until is not None and since_at <= waits_until <= end_at:
            yield from _next_send(case, instance, waits_until)


def _next_send(case: Case, instance: Instance, at: int) -> Iterator[Planned]:
    """Give what an instance sends when its wait is over, on the first channel that can carry it.

    Of several messages it is the highest.
    """
    send = _instruction_after_wait(case, instance)
    if send is None:
        return
    names = send.messages or (send.message,)
    known = [case.program.messages[name] for name in names if name in case.program.messages]
    message = max(known, key=lambda one: one.rank, default=None)
    if message is None or message.rank <= case.message.rank:
        return
    channels = candidates(
        case.profile, case.program, message, pinned=send.channel, failed=(), now=at
    )
    channel = next(feasible(case.profile, case.program, message, channels, [], at), None)
    if channel is not None:
        yield message, channel, at


def _instruction_after_wait(case: Case, instance: Instance) -> Instruction | None:
    journey = case.program.journey(instance.journey, instance.version)
    place = instance.position
    if journey is None or place + 1 >= len(journey.code) or journey.code[place].op not in _WAITS:
        return None
    following = journey.code[place + 1]
    return following if following.op in (Op.SEND, Op.DECIDE) else None


def _needs_place(case: Case, planned: Planned, slot: Slot, now: int) -> Block | None:
    """Say that a planned message would find a cap used up, if so."""
    message, channel, planned_at = planned
    if not _shares_cap(case, message, channel):
        return None
    earliest_at = max(planned_at, now)
    other = Case(case.profile, case.program, message, channel, place=case.place, now=now)
    after = other.after(slot)
    if not _is_used_up(after, earliest_at):
        return None
    goes_at = next_eligible(other, earliest_at).at
    if goes_at is None or not _is_used_up(after, goes_at):
        return None
    seen = f"{message.name} is planned for {format_instant(goes_at)}"
    rule = f"messages.{message.name}.priority"
    return Block("competition", Reason.LOWER_PRIORITY, max(goes_at, now + 1), rule, seen)


def _shares_cap(case: Case, message: Message, channel: Channel) -> bool:
    """Say whether there is a cap that both count toward, and that so many sends may use up."""
    own, kind, program = case.channel.name, case.kind, case.program
    if case.profile.traits.get(FREQUENCY_CAPS) or any(rule.caps for rule in case.regions):
        return True
    counts = [cap.count_max for cap in channel.caps] if channel.name == own else []
    counts += [cap.count_max for cap in message.type.caps] if message.type.name == kind.name else []
    counts += [
        shared.cap.count_max
        for shared in program.caps
        if (not shared.channels or (own in shared.channels and channel.name in shared.channels))
        and (
            not shared.purposes
            or (kind.purpose in shared.purposes and message.type.purpose in shared.purposes)
        )
    ]
    if not counts or not kind.counts:
        return False
    sends = sum(len(tally.sent_at) for tally in case.tallies) + 1
    return program.engagement is not None or sends >= min(counts)


def _is_used_up(case: Case, at: int) -> bool:
    found: list[Block] = []
    check_caps(case, at, found)
    return any(block.reason is not Reason.BACKOFF for block in found)
