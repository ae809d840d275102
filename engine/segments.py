"""Who is in which segment, kept up to date while things happen and while time passes.

Called by `decide` for every input that may change it, by whatever writes a trait (`assign`), and
for a customer of whom nothing is known any more but the whole (`reassess`, after a merge). Puts
down who entered and left; `decide` then starts the journeys that wait for that.

*Rules*
- Membership is what the conditions give at this instant, before any journey looks at it.
- One timer for each customer, at the earliest instant at which time alone may change something. It
  is moved only to be earlier; when it is due, all that runs with time is looked at and it is set
  anew. Its numbers go down from -1, so that the others are numbered as without segments.
- Where only the workspace changed, coming in and leaving is `reviewed`: it ends waits, and starts
  no journey.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from engine.events import Event
from engine.instants import INSTANT_MAX, NEVER_AT
from engine.profile import Profile
from engine.program.program import Program, Segment
from engine.program.scope import Scope
from engine.records import (
    Assigned,
    Decided,
    SegmentEntered,
    SegmentLeft,
    SegmentsReviewed,
    WakeCleared,
    WakeSet,
)
from engine.turn import Turn

_PUSH_TOKEN = "push_token"  # noqa: S105 - the name of a trait, which a device's context writes


class Foresight(NamedTuple):
    """What another version of the segments makes of a customer, before anything happens to them."""

    records: list[SegmentEntered | SegmentLeft]
    version: int
    changes_at: int  # when time alone may change something


def foresee(profile: Profile, program: Program, now: int) -> Foresight:
    """Say who entered and left by another version of the segments; nothing is changed.

    A customer of whom nothing is known did neither: with what is learned first they come in.
    """
    membership = program.membership
    known = profile.segments
    records: list[SegmentEntered | SegmentLeft] = [
        SegmentLeft(name, now, reviewed=True) for name in known if name not in membership.segments
    ]
    soonest_at = NEVER_AT
    if not profile.history and not known:
        return Foresight(records, membership.version, soonest_at)
    scope = Scope(profile, now, book=program)
    scope.segments = foreseen = dict(known)
    for name, segment in membership.segments.items():
        holds, changes_at = segment.flip(scope)
        soonest_at = min(soonest_at, changes_at)
        if holds and name not in known:
            foreseen[name] = now
            records.append(SegmentEntered(name, now, reviewed=True))
        elif not holds and name in known:
            del foreseen[name]
            records.append(SegmentLeft(name, now, reviewed=True))
    return Foresight(records, membership.version, soonest_at)


def review(turn: Turn, foresight: Foresight) -> None:
    """Put down what another version of the segments makes of the customer."""
    for record in foresight.records:
        _note(turn, record)
    turn.note(SegmentsReviewed(foresight.version))
    turn.is_reviewed = True


def needs_review(profile: Profile, foresight: Foresight) -> bool:
    """Say whether what was foreseen changes anything that can't wait for the next input."""
    return bool(foresight.records) or foresight.changes_at < profile.segments_at


def follow_event(turn: Turn, event: Event) -> None:
    """Bring membership up to date after an event, which is in the profile already.

    What was loaded from the past did not happen just now: it counts as a review.
    """
    membership, reviewed = turn.program.membership, event.is_history
    if turn.is_reviewed:
        reassess(turn, reviewed=reviewed)
        return
    concerned = {segment.name: segment for segment in membership.by_anything}
    if turn.profile.segments_at <= turn.now:
        _stop_timer(turn)
        _add(concerned, membership.by_time)
    if membership.has_traits:
        for trait in _traits_of(event):
            _add(concerned, membership.by_trait.get(trait, membership.by_any_trait))
    heeding = membership.by_event.get(event.name, ())
    if concerned:
        _add(concerned, heeding)
        _assess(turn, _in_order(turn, concerned), reviewed=reviewed)
    elif heeding:
        _assess(turn, heeding, reviewed=reviewed)


def _traits_of(event: Event) -> list[str]:
    """Name the traits that an event may have written."""
    written = [*event.traits, *(change.trait for change in event.changes)]
    return [*written, _PUSH_TOKEN] if "device" in event.context else written


def catch_up(turn: Turn) -> None:
    """Bring membership up to date where time, or another workspace, has changed it meanwhile."""
    if turn.is_reviewed:
        reassess(turn)
    elif turn.profile.segments_at <= turn.now:
        _stop_timer(turn)
        _assess(turn, turn.program.membership.by_time)


def follow_receipt(turn: Turn, channel: str, status: str) -> None:
    """Bring membership up to date after a receipt that is noted."""
    membership = turn.program.membership
    concerned = {segment.name: segment for segment in membership.by_contact}
    _add(concerned, membership.by_engagement.get(f"{channel}/{status}", ()))
    if concerned:
        _assess(turn, _in_order(turn, concerned))


def follow_sends(turn: Turn) -> None:
    """Bring membership up to date after messages that were sent."""
    by_contact = turn.program.membership.by_contact
    if any(isinstance(one, Decided) and one.message_id for one in turn.records):
        _assess(turn, by_contact)


def follow_tick(turn: Turn) -> None:
    """Look at all that runs with time; the timer that was due is cleared already."""
    _assess(turn, turn.program.membership.by_time)


def assign(turn: Turn, trait: str, value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Write a trait, and bring membership up to date with it."""
    turn.note(Assigned(trait, value))
    membership = turn.program.membership
    if not membership.has_traits:
        return
    concerned: dict[str, Segment] = {}
    _add(concerned, membership.by_trait.get(trait, membership.by_any_trait))
    if concerned:
        _assess(turn, _in_order(turn, concerned))


def reassess(turn: Turn, *, reviewed: bool = False) -> None:
    """Look at all segments, as after a merge, which may have changed anything."""
    membership = turn.program.membership
    _stop_timer(turn)
    _assess(turn, membership.segments.values(), reviewed=reviewed)


def keep_up(turn: Turn, before: Mapping[str, int]) -> None:
    """Put down what became of membership where the whole profile was replaced, or united.

    `before` is what it was. Nothing happened to the customer: it is as after a review.
    """
    known = turn.profile.segments
    came = [name for name in known if name not in before]
    gone = [name for name in before if name not in known]
    for name in came:
        _note(turn, SegmentEntered(name, turn.now, reviewed=True))
    for name, since_at in before.items():  # of their own, not of the two who were one
        if since_at != known.get(name, since_at):
            turn.note(SegmentEntered(name, known[name], reviewed=True))
    for name in gone:
        _note(turn, SegmentLeft(name, turn.now, reviewed=True))


def _assess(turn: Turn, segments: Iterable[Segment], *, reviewed: bool = False) -> None:
    """Put down who entered and left, and see to it that the next change by time is not missed."""
    profile, now = turn.profile, turn.now
    known = profile.segments
    scope = Scope(profile, now, book=turn.program)
    soonest_at = NEVER_AT
    for segment in segments:
        name = segment.name
        holds, changes_at = segment.flip(scope)
        if changes_at < soonest_at:  # noqa: PLR1730 - for each event that matters: no call
            soonest_at = changes_at
        if holds:
            if name not in known:
                _note(turn, SegmentEntered(name, now, reviewed))
        elif name in known:
            _note(turn, SegmentLeft(name, now, reviewed))
    if soonest_at < profile.segments_at and soonest_at <= INSTANT_MAX:
        _stop_timer(turn)
        timer = profile.segments_timer - 1
        turn.note(WakeSet(timer, max(soonest_at, now + 1), "segments", 0))


def _note(turn: Turn, crossing: SegmentEntered | SegmentLeft) -> None:
    turn.note(crossing)
    turn.crossings.append(crossing)


def _stop_timer(turn: Turn) -> None:
    profile = turn.profile
    if profile.segments_at != NEVER_AT:
        turn.note(WakeCleared(profile.segments_timer, profile.segments_at))


def _add(concerned: dict[str, Segment], more: Iterable[Segment]) -> None:
    for segment in more:
        concerned[segment.name] = segment


def _in_order(turn: Turn, concerned: dict[str, Segment]) -> Iterable[Segment]:
    """Put segments in the order of the program, so that each comes after those it asks for."""
    if len(concerned) == 1:
        return concerned.values()
    every = turn.program.membership.segments
    return [segment for name, segment in every.items() if name in concerned]
