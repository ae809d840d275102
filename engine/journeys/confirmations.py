"""Double opt-in: consent that holds only once whoever has the address confirms it.

Called by `step` before an event changes what is consented to, and by `decide` after.

*Rules*
- A grant that brings consent where there was none is pending for the purposes and channels the
  workspace names, and no consent until then. Who had consent before is not asked again.
- The message that asks goes on the channel that is asked about and on no other, through all the
  ordinary checks; within the gap after it none follows.
- A link confirms what is pending on its channel, while it is valid and the address is the one it
  went to. What was withdrawn meanwhile is not pending any more, so there it confirms nothing.
"""

from msgspec.structs import replace

from engine.choice.ways import Proposal
from engine.consents import find_statement, has_ended, is_granted
from engine.events import ConsentStatement, ConsentStatus, Event, LegalBasis
from engine.gates.reach import address
from engine.gates.verdict import Block
from engine.ids import stable_hash
from engine.instants import format_duration, format_instant
from engine.limits import PENDING_MAX
from engine.links import CONFIRM_SOURCE
from engine.profile import Profile
from engine.program.program import DoubleOptIn, Program
from engine.proposals import propose, refuse
from engine.reasons import Reason
from engine.records import ConsentNoted, Truncated, Unmatched
from engine.turn import Turn

STEP = "double_opt_in"  # what decisions about these messages name in place of a journey's step
_GAP_RULE = "double_opt_in.gap"

Pairs = tuple[tuple[str, str], ...]  # of purpose and channel


def consented(profile: Profile, program: Program, now: int) -> Pairs:
    """List what is consented to of what has to be confirmed."""
    rule = program.double_opt_in
    if rule is None:
        return ()
    return tuple(
        (purpose, channel)
        for channel in rule.channels
        for purpose in rule.purposes
        if is_granted(find_statement(profile.consents, purpose, channel), now)
    )


def ask_to_confirm(turn: Turn, before: Pairs, *, asks: bool) -> None:
    """Make new consent wait for its confirmation; and propose the messages that ask for it.

    Not where it comes from the past (`asks` False): that begins nothing, and is no consent either.
    """
    rule = turn.program.double_opt_in
    if rule is None:
        return
    asked: dict[str, list[str]] = {}
    for purpose, channel in consented(turn.profile, turn.program, turn.now):
        if (purpose, channel) in before:
            continue
        said = find_statement(turn.profile.consents, purpose, channel)
        assert said is not None
        turn.note(ConsentNoted(_pending(said, purpose, channel)))
        asked.setdefault(channel, []).append(purpose)
    for channel, purposes in asked.items() if asks else ():
        _ask(turn, rule, channel, purposes)


def _pending(said: ConsentStatement, purpose: str, channel: str) -> ConsentStatement:
    """Say the same, but pending: at the same instant the stricter of the two holds."""
    return replace(said, purpose=purpose, channel=channel, status=ConsentStatus.PENDING)


def _ask(turn: Turn, rule: DoubleOptIn, channel: str, purposes: list[str]) -> None:
    """Propose the message that asks for a confirmation on a channel."""
    profile, now = turn.profile, turn.now
    if len(profile.pending) >= PENDING_MAX:
        turn.note(Truncated("pending", rule.message))
        return
    proposal = Proposal(
        number=profile.proposal_count + 1,
        message=rule.message,
        journey="",
        instance=0,
        step=STEP,
        proposed_at=now,
        pinned=channel,
        event={"channel": channel, "purposes": purposes},
    )
    block = _find_recent(profile, rule, channel, now)
    if block is None:
        propose(turn, proposal)
    else:
        refuse(turn, proposal, block, channel)


def _find_recent(profile: Profile, rule: DoubleOptIn, channel: str, now: int) -> Block | None:
    """Find the last such message, if a second one would follow it too soon."""
    for pending in profile.pending.values():
        if pending.message == rule.message and pending.pinned == channel:
            return Block("confirmation", Reason.SAME_MESSAGE, None, _GAP_RULE, "one is waiting")
    for sent in reversed(profile.sends.values()):
        until = sent.at + rule.gap_ms
        if sent.message == rule.message and sent.channel == channel and until > now:
            seen = f"one went out less than {format_duration(rule.gap_ms)} ago"
            return Block("confirmation", Reason.SAME_MESSAGE, until, _GAP_RULE, seen)
    return None


def confirm(turn: Turn, event: Event) -> bool:
    """Take a link that was followed; says whether it confirmed anything.

    Clients can send an event of that name too. It has another source, and confirms nothing.
    """
    if event.source != CONFIRM_SOURCE:
        return True
    channel, message = event.properties.get("channel"), event.properties.get("message")
    pending = [
        said
        for said in turn.profile.consents.values()
        if said.status is ConsentStatus.PENDING
        and said.channel == channel
        and not has_ended(said, turn.now)
    ]
    if not pending or not _is_valid(turn, event):
        turn.note(Unmatched("confirmation"))
        return False
    proof = f"link of message {message}, followed {format_instant(turn.now)}"
    for said in pending:
        turn.note(ConsentNoted(_confirmed(said, proof, turn.now)))
    return True


def _confirmed(said: ConsentStatement, proof: str, now: int) -> ConsentStatement:
    """Grant what was pending. An end that the grant had of its own stays."""
    return replace(
        said,
        status=ConsentStatus.GRANTED,
        at=max(now, said.at + 1),  # a pending one of the same instant would outrank it
        source=CONFIRM_SOURCE,
        basis=said.basis or LegalBasis.CONSENT,
        proof=proof,
    )


def _is_valid(turn: Turn, event: Event) -> bool:
    """Say whether a link holds: it is not too old, and went to the address that is there now."""
    expires_at = event.properties.get("expires_at")
    channel = turn.program.channels.get(str(event.properties.get("channel")))
    if not isinstance(expires_at, int) or expires_at <= turn.now or channel is None:
        return False
    return event.properties.get("address") == address_mark(address(turn.profile, channel))


def address_mark(address: str) -> str:
    """Mark an address in a link, so that the link does not hold the address itself."""
    return stable_hash("address", address, size=16).hex()
