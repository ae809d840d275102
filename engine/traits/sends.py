"""Messages that left, on the profile: what receipts may speak of, and what is watched.

Changed by `engine.evolve`, with facts; `engine.journeys.deliveries` decides what follows.
"""

from bisect import insort
from collections.abc import Iterator
from itertools import islice

from engine.events import ReceiptStatus
from engine.ledger import strike_slot
from engine.limits import ENGAGEMENT_RECENT_MAX, SENDS_EVENT_MAX, SENDS_MAX
from engine.lineage import topmost
from engine.measures.reach import note_reached, note_unreached
from engine.profile import Profile, Sent
from engine.records import Decided, Exited, ReachNoted, ReceiptNoted
from engine.traits.engagement import note_contact
from engine.traits.reach import reach_key

FALLBACK = "fallback"  # the kind of timer that looks at what became of a message
# What shows that a message arrived at the address; that a person saw it is another matter.
ARRIVED = (
    ReceiptStatus.DELIVERED,
    ReceiptStatus.OPENED,
    ReceiptStatus.CLICKED,
    ReceiptStatus.REPLIED,
)


def note_message(profile: Profile, decided: Decided, now: int) -> None:
    """Keep a message among those that receipts may speak of."""
    sends = profile.sends
    instance = profile.instances.get(decided.instance)
    stay = decided.instance if instance is None else topmost(profile, instance).id
    sends[decided.message_id] = Sent(
        # By position: naming the fields takes five times as long, and it is done for each.
        decided.message_id,
        decided.proposal,
        decided.message,
        decided.message_type,
        decided.channel,
        now,
        decided.journey,
        stay,
        decided.step,
        decided.proposed_at,
        decided.expires_at,
        decided.pinned,
        decided.failed,
        decided.attempt,
        [],
        decided.event,
        False,  # noqa: FBT003 - `is_over`
        decided.vars,
        False,  # noqa: FBT003 - `is_apart`
        decided.address,
        decided.follows,
    )
    if len(sends) > SENDS_MAX:
        del sends[next(iter(sends))]
    if len(sends) > SENDS_EVENT_MAX:
        long_ago = next(islice(reversed(sends.values()), SENDS_EVENT_MAX, None))
        long_ago.event, long_ago.vars = {}, {}


def sends_of(profile: Profile, proposal: int) -> Iterator[Sent]:
    """Give what was sent for a proposal, the latest first."""
    return (one for one in reversed(profile.sends.values()) if one.proposal == proposal)


def find_overtaken(profile: Profile) -> list[str]:
    """Name the messages nothing was heard of whose proposals went on to other channels."""
    latest: dict[int, int] = {}
    for one in profile.sends.values():
        latest[one.proposal] = max(latest.get(one.proposal, 0), one.attempt)
    sends = profile.sends.values()
    return [
        one.message_id for one in sends if not one.statuses and one.attempt < latest[one.proposal]
    ]


def is_forgotten(profile: Profile, sent: Sent) -> bool:
    """Say whether what its journey began with is not kept with a message any more."""
    recent = islice(reversed(profile.sends), SENDS_EVENT_MAX)
    return not (sent.event or sent.vars) and sent.message_id not in recent


def note_receipt(profile: Profile, record: ReceiptNoted) -> None:
    """Take in what became of a message."""
    sent = profile.sends.get(record.message_id)
    if sent is None:
        return
    if record.released:
        strike_slot(profile.ledger, profile.tallies, record.message_id)
    if sent.is_apart:
        return
    status = record.status
    if status == ReceiptStatus.ACCEPTED:
        sent.out_at = record.at
    elif profile.reach and status in ARRIVED:
        note_reached(profile.reach, reach_key(sent.channel, sent.address), record.at)
    if status not in sent.statuses:
        sent.statuses.append(status)
        note_contact(profile.measures, sent.channel, status, record.at, hour=record.hour)
    times = profile.engagement.setdefault(f"{sent.channel}/{status}", [])
    insort(times, record.at)
    if len(times) > ENGAGEMENT_RECENT_MAX:
        del times[0]


def note_reach(profile: Profile, record: ReachNoted) -> None:
    """Take in that an address could not be reached."""
    note_unreached(
        profile.reach,
        reach_key(record.channel, record.address),
        failure=record.failure,
        code=record.code,
        at=record.at,
        until=record.until,
    )


def note_ending(profile: Profile, record: Exited) -> None:
    """Have nothing follow what a stay sent, where its goal was met or it was taken out."""
    for sent in profile.sends.values():
        if sent.instance == record.instance:
            sent.is_over |= record.converted
            sent.is_left |= record.taken_out


def watch(profile: Profile, proposal: int, timer: int, at: int) -> None:
    """Put down when the latest send of a proposal is looked at."""
    sent = next(sends_of(profile, proposal), None)
    if sent is not None:
        sent.watch_timer, sent.watch_at = timer, at


def unwatch(profile: Profile, proposal: int, timer: int) -> None:
    """Forget that a send was to be looked at."""
    for sent in sends_of(profile, proposal):
        if sent.watch_timer == timer:
            sent.watch_timer = sent.watch_at = 0
