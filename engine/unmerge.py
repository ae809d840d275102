"""Two customers who were taken for one, made two again from what happened to them.

Used by `actors.partings`, which reads the journal of the customer who stayed. Nothing is decided
here: both profiles are folded from inputs and records, each of which goes to the one it is of.

*Rules*
- Before the merge everything is as it was, of both.
- After it an event is the other one's only where it carries none but the other one's identities.
  Journeys and deferrals that came with the other one go back with it, with what they led to.
- A send after the merge keeps its slot with both: caps may be too strict for a while, never too
  loose. What was said of consent goes with the event that said it.
- Receipts come under the name a message was sent under. The one who stays knows what was sent for
  the other one meanwhile, so that a "no" in answer to it is heard.
- Both know every event they could be sent again.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import msgspec

from engine.errors import InputError
from engine.events import (
    Abridged,
    Answered,
    Departed,
    Event,
    Input,
    Merged,
    Receipt,
    Restored,
    Tick,
    Unlinked,
)
from engine.evolve import evolve, evolve_input
from engine.identities import ANONYMOUS, ANONYMOUS_PREFIX, is_anonymous
from engine.ids import dedup_key
from engine.instants import NEVER_AT
from engine.ledger import enter_slot, slot_of, strike_slot
from engine.merge import Offsets
from engine.profile import Profile
from engine.records import (
    AgendaKept,
    Allotted,
    Branched,
    BranchEnded,
    Called,
    Decided,
    Entered,
    Exited,
    Migrated,
    Moved,
    ReachNoted,
    ReceiptNoted,
    Record,
    Remembered,
    WakeCleared,
    WakeSet,
)
from engine.seen import note_seen
from engine.traits.sends import FALLBACK, note_message

# Records about an instance or a proposal, which go to whose that is.
_Move = (
    Decided
    | Moved
    | Migrated
    | Called
    | Exited
    | WakeSet
    | Branched
    | BranchEnded
    | Remembered
    | Allotted
)

_decode_profile = msgspec.msgpack.Decoder(Profile).decode


class Happening(NamedTuple):
    """One journal entry of the customer who stayed."""

    given: Input
    records: Sequence[Record]
    at: int


class Parted(NamedTuple):
    """The two as they are without each other."""

    ours: Profile
    theirs: Profile


def part(customer: str, other: str, told: Sequence[Happening]) -> Parted:
    """Make two of one; `told` is all that was journaled of `customer`, oldest first.

    Where a part of that was erased it begins with the last `Abridged`. Raises InputError where they
    are not one.
    """
    places = _find_merges(other, told)
    names = {_came(told[place].given) for place in places}
    came = max(place for place in places if _came(told[place].given) == other)
    if any(_is_entangled(each.given, names) for each in told[came:]):
        message = "this customer was a part of another one itself since then: it is too late"
        raise InputError("entangled", message)
    parting = _Parting(Profile(customer))
    for place, happening in enumerate(told):
        if place in places:
            parting.come(happening)
        else:
            parting.take(happening)
    return parting.finish(other)


def _find_merges(other: str, told: Sequence[Happening]) -> set[int]:
    """Find the merges that do not count: with the other one, and those undone since."""
    undone, places = Counter([other]), set[int]()
    for place in range(len(told) - 1, -1, -1):
        given = told[place].given
        if isinstance(given, Restored):
            undone[given.apart] += 1
        elif isinstance(given, Departed):
            undone[given.into] -= 1  # it is this customer who was given back there
        elif isinstance(given, Merged) and undone[given.customer] > 0:
            undone[given.customer] -= 1
            places.add(place)
    if undone[other] > 0:
        if told and isinstance(told[0].given, Abridged):
            message = "a part of what happened to this customer was erased since they were two"
            raise InputError("too_old", message)
        raise InputError(
            "not_merged", f"{other!r:.80} was not merged into this customer, or not any more"
        )
    return places


def _is_entangled(given: Input, names: Collection[str]) -> bool:
    """Say whether an input made a profile of the customer that has more in it than its own.

    Somebody else than `names` was given back who came before what is known of the journal.
    """
    return isinstance(given, Departed) or (isinstance(given, Restored) and given.apart not in names)


def _came(given: Input) -> str:
    return given.customer if isinstance(given, Merged) else ""


class _Other:
    """Somebody who came in and is to go, with the numbers of what came with it."""

    def __init__(self, merged: Merged, offsets: Offsets) -> None:
        self.profile = _decode_profile(merged.profile)
        _forget_timers(self.profile)  # those it has from here on have numbers of the other one
        self.profile.agenda_at = NEVER_AT  # until they part, the one who stays enters for both
        self.keys = merged.keys
        self._offsets = {"instance": offsets.instance, "proposal": offsets.proposal}
        self._came = {
            "instance": self.profile.instance_count,
            "proposal": self.profile.proposal_count,
        }
        self._later: dict[str, set[int]] = {"instance": set(), "proposal": set()}
        names = set(self.profile.identities.get(ANONYMOUS, {}))
        if is_anonymous(merged.customer):
            names.add(merged.customer.removeprefix(ANONYMOUS_PREFIX))
        self._anonymous = names
        self._users = {
            name for name in (merged.customer, *self.profile.absorbed) if not is_anonymous(name)
        }

    def did(self, given: Input) -> bool:
        """Say whether an input is this one's and nobody else's."""
        if isinstance(given, Tick):
            return given.timer in self.profile.timers
        if isinstance(given, Answered):
            return any(one.call == given.call_id for one in self.profile.instances.values())
        if not isinstance(given, Event):
            return False
        return given.user in self._users if given.user else given.anonymous in self._anonymous

    def has(self, kind: str, number: int) -> bool:
        """Say whether an instance or a proposal is this one's."""
        was = number - self._offsets.get(kind, 0)
        return number in self._later.get(kind, ()) or 0 < was <= self._came.get(kind, 0)

    def number(self, kind: str, number: int) -> int:
        """Give the number something had before it came; what began later keeps its own."""
        was = number - self._offsets[kind]
        return was if 0 < was <= self._came[kind] else number

    def add(self, kind: str, number: int) -> None:
        """Note that something new is this one's."""
        self._later[kind].add(number)

    def evolve(self, record: _Move, now: int) -> None:
        """Take in a record under the numbers of before."""
        if isinstance(record, WakeSet):
            target = self.number(_numbered(record), record.target)
            evolve(self.profile, msgspec.structs.replace(record, target=target), now)
            return
        instance = self.number("instance", record.instance)
        if isinstance(record, Decided):
            proposal = self.number("proposal", record.proposal)
            follows = self.number("proposal", record.follows)
            own = msgspec.structs.replace(
                record, instance=instance, proposal=proposal, follows=follows
            )
            evolve(self.profile, own, now)
        elif isinstance(record, Branched):
            parent = self.number("instance", record.parent)
            own_branch = msgspec.structs.replace(record, instance=instance, parent=parent)
            evolve(self.profile, own_branch, now)
        else:
            evolve(self.profile, msgspec.structs.replace(record, instance=instance), now)


class _Parting:
    """The one who stays and those who are to go, on their way through what happened."""

    def __init__(self, ours: Profile) -> None:
        self._ours = ours
        self._others: dict[str, _Other] = {}

    def _everyone(self) -> list[Profile]:
        return [self._ours, *(other.profile for other in self._others.values())]

    def come(self, happening: Happening) -> None:
        """Have somebody come in who is to go: nothing is united, only the numbers are used up."""
        merged, records, now = happening
        assert isinstance(merged, Merged)
        ours = self._ours
        offsets = Offsets(ours.instance_count, ours.proposal_count, ours.timer_count)
        other = self._others[merged.customer] = _Other(merged, offsets)
        ours.instance_count += other.profile.instance_count
        ours.proposal_count += other.profile.proposal_count
        ours.timer_count += other.profile.timer_count
        self._take_records(None, records, now)

    def take(self, happening: Happening) -> None:
        """Give an input, and what it led to, to the one it is of."""
        given, records, now = happening
        if isinstance(given, Restored):
            if given.apart not in self._others:  # it had gone there itself, or that one came before
                evolve_input(self._ours, given, now)
            self._others.pop(given.apart, None)
            _forget_timers(self._ours)
            self._take_records(None, records, now)
            return
        if isinstance(given, Unlinked):
            for profile in self._everyone():  # it may have come with any of them
                evolve_input(profile, given, now)
            self._take_records(None, records, now)
            return
        owner = next((other for other in self._others.values() if other.did(given)), None)
        evolve_input(self._ours if owner is None else owner.profile, given, now)
        if isinstance(given, (Event, Receipt, Answered)) and self._others:
            for profile in self._everyone():
                note_seen(profile.seen, dedup_key(given.id), now)
        self._take_records(owner, records, now)

    def _take_records(self, owner: _Other | None, records: Iterable[Record], now: int) -> None:
        for record in records:
            if isinstance(record, (ReceiptNoted, ReachNoted, WakeCleared)):
                self._take_everywhere(record, now)
            elif isinstance(record, _Move):
                self._take_move(record, now)
            elif isinstance(record, AgendaKept):
                evolve(self._ours, record, now)  # there is one agenda, of the one who stays
            else:
                if owner is not None and isinstance(record, Entered):
                    owner.add("instance", record.instance)
                    self._count(record)
                evolve(self._ours if owner is None else owner.profile, record, now)

    def _take_everywhere(self, record: ReceiptNoted | ReachNoted | WakeCleared, now: int) -> None:
        """Give a record to everybody it may be about."""
        for profile in self._everyone():
            if isinstance(record, ReachNoted) and not _wrote_to(profile, record):
                continue
            evolve(profile, record, now)
            if isinstance(record, ReceiptNoted) and record.released:
                # Each of them holds the slot, whoever it was sent to.
                strike_slot(profile.ledger, profile.tallies, record.message_id)

    def _take_move(self, record: _Move, now: int) -> None:
        """Give a record about an instance or a proposal to whose that is."""
        owner = self._whose(record)
        if owner is None:
            evolve(self._ours, record, now)
        else:
            owner.evolve(record, now)
            self._ours.decision_count += isinstance(record, Decided)  # no id is given twice
            self._ours.call_count += isinstance(record, Called)
            self._count(record)
        if isinstance(record, Decided) and record.message_id:
            for profile in self._everyone():
                if profile is not (self._ours if owner is None else owner.profile):
                    enter_slot(profile.ledger, profile.tallies, slot_of(record, now), now)
            if owner is not None:
                note_message(self._ours, record, now)
                sent = self._ours.sends[record.message_id]
                sent.is_apart, sent.event, sent.vars = True, {}, {}  # what it was about is theirs
            if self._others:
                for profile in self._everyone():  # nobody knows whose address it went to
                    if record.message_id in profile.sends:
                        profile.sends[record.message_id].address = ""

    def _count(self, record: Record) -> None:
        """Use up a number that was the other's: who comes later is numbered above it."""
        ours = self._ours
        if isinstance(record, (Entered, Branched)):
            ours.instance_count = max(ours.instance_count, record.instance)
        elif isinstance(record, Decided):
            ours.proposal_count = max(ours.proposal_count, record.proposal)
        elif isinstance(record, WakeSet):
            ours.timer_count = max(ours.timer_count, record.timer)

    def _whose(self, record: _Move) -> _Other | None:
        for other in self._others.values():
            if isinstance(record, WakeSet):
                if other.has(_numbered(record), record.target):
                    return other
            elif isinstance(record, Decided):
                if other.has("proposal", record.proposal):
                    return other
                if (record.instance and other.has("instance", record.instance)) or (
                    record.follows and other.has("proposal", record.follows)
                ):
                    other.add("proposal", record.proposal)
                    return other
            elif isinstance(record, Branched):
                if other.has("instance", record.parent):
                    other.add("instance", record.instance)
                    return other
            elif other.has("instance", record.instance):
                return other
        return None

    def finish(self, name: str) -> Parted:
        """Have nothing of either be the other's."""
        ours, leaving = self._ours, self._others[name]
        theirs = leaving.profile
        for namespace, value in leaving.keys:
            ours.identities.get(namespace, {}).pop(value, None)
        ours.identities = {key: values for key, values in ours.identities.items() if values}
        for profile, other in ((ours, theirs), (theirs, ours)):
            profile.apart = list(dict.fromkeys([*profile.apart, other.customer]))
            profile.timer_count = max(profile.timer_count, other.timer_count)
            profile.segments_timer = min(profile.segments_timer, other.segments_timer)
            profile.instance_count = max(profile.instance_count, other.instance_count)
            profile.proposal_count = max(profile.proposal_count, other.proposal_count)
            _forget_timers(profile)
        return Parted(ours, theirs)


def _wrote_to(profile: Profile, record: ReachNoted) -> bool:
    """Say whether an address is of somebody's own messages."""
    told = record.channel, record.address
    return any(told == (sent.channel, sent.address) for sent in profile.sends.values())


def _numbered(record: WakeSet) -> str:
    """Say what the target of a timer is the number of."""
    return "proposal" if record.kind == FALLBACK else record.kind


def _forget_timers(profile: Profile) -> None:
    """Leave timers to be set anew by who decides."""
    profile.timers = {}
    profile.segments_at = NEVER_AT
    profile.agenda_timer = 0
    for sent in profile.sends.values():
        sent.watch_timer = 0
    for pending in profile.pending.values():
        pending.timer = 0
    for instance in profile.instances.values():
        instance.timer = 0
