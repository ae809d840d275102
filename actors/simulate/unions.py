"""Who is who, judged by the journal: what goes from one customer to another, and comes back.

Used by `checks` with each entry that is about that, before it is folded, and with what is stored.

*Rules*
- A merge carries the other one whole, as they were after their last entry, and empties them.
- Each event counts for one customer, ever: merging adds up what was counted, parting divides it.
- Who was parted has, both taken together, the sends and the statements there were.
"""

from collections.abc import Callable, Collection, Mapping

import msgspec

from actors.rows import Entry
from actors.simulate.rulings import Rulings
from actors.simulate.witness import Wishes
from engine.belongings import leave_out, strangers_of
from engine.events import Abridged, Departed, Event, Input, Merged, Restored
from engine.identities import ANONYMOUS
from engine.profile import Profile

_ENCODE = msgspec.msgpack.Encoder().encode
_PROFILE = msgspec.msgpack.Decoder(Profile)

Accuse = Callable[..., None]
Counts = dict[str, int]  # event name -> how often it happened


class Past:
    """One customer as the journal tells of them."""

    def __init__(self, customer: str, accuse: Accuse) -> None:
        self.folded = Profile(customer)  # by what was journaled
        self.decided = Profile(customer)  # by deciding again
        self.entries: list[Entry] = []
        self.rulings = Rulings(customer, accuse)
        self.counts: Counts = {}  # by the events in the journal
        self.body = b""  # `folded` as bytes, once compared
        self.checked_seq = 0  # of the snapshot that was compared last
        self.is_torn = False  # entries were erased before they were read: not all is known

    def mend(self, profile: Profile) -> None:
        """Know all again, as an entry says it."""
        self.is_torn = False
        body = _ENCODE(profile)
        self.folded, self.decided = _PROFILE.decode(body), _PROFILE.decode(body)
        self.rulings.restore(profile)
        self.counts = _counts(profile)

    def count(self, name: str) -> None:
        """Count an event that came in, or that a journey had happen."""
        self.counts[name] = self.counts.get(name, 0) + 1

    def is_as_counted(self) -> bool:
        """Say whether the profile counts the events that are in the journal."""
        return {name: one.count for name, one in self.folded.history.items()} == self.counts


class _Whole:
    """What two customers had while they were one; the first of them was given their part."""

    def __init__(self, past: Past, profile: Profile) -> None:
        self.counts = past.counts
        self.slots = set(past.rulings.slots)
        self.wishes = past.rulings.wishes()
        self.first = profile


class Unions:
    """The merges and partings of one simulation."""

    def __init__(self, pasts: Mapping[str, Past], accuse: Accuse) -> None:
        self._pasts = pasts
        self._accuse = accuse
        self._whole: _Whole | None = None

    def take(self, past: Past, given: Input, *, is_of_erased: bool = False) -> None:
        """Judge an input of a customer that is about who they are.

        Of a customer who was erased since nothing is left to compare with.
        """
        customer = past.folded.customer
        if isinstance(given, Event):
            past.count(given.name)
        if not isinstance(given, Restored):
            self._whole = None
        if past.folded.merged_into and not isinstance(given, (Restored, Abridged)):
            self._accuse("nothing is journaled of who departed", customer, type(given).__name__)
        if isinstance(given, Merged):
            self._unite(past, given)
        elif isinstance(given, Departed):
            self._depart(past, given, is_of_erased=is_of_erased)
        elif isinstance(given, Restored):
            self._restore(past, given)
        elif isinstance(given, Abridged):
            self._abridge(past, given)

    def _abridge(self, past: Past, abridged: Abridged) -> None:
        """Judge an entry that says all there was, but for names of others."""
        said = _PROFILE.decode(abridged.profile)
        was = _PROFILE.decode(_ENCODE(past.folded))
        leave_out(was, strangers_of(was) - strangers_of(said))
        if _ENCODE(was) != _ENCODE(said):
            self._accuse("who begins anew is as they were", past.folded.customer)

    def _unite(self, past: Past, merged: Merged) -> None:
        other = self._pasts.get(merged.customer)
        if merged.seq and (other is None or other.is_torn):
            self._unite_unknown(past, merged)
            return
        if other is None:
            other = Past(merged.customer, self._accuse)
        seq = other.entries[-1].seq if other.entries else 0
        if merged.seq != seq or merged.profile != _ENCODE(other.folded):
            self._accuse("a merge takes who departs as they are", past.folded.customer, seq)
        past.rulings.unite(other.rulings, past.folded.proposal_count)
        past.counts = _add(past.counts, other.counts)

    def _unite_unknown(self, past: Past, merged: Merged) -> None:
        """Take in somebody who was parted again and erased before this was read."""
        other = Past(merged.customer, self._accuse)
        profile = _PROFILE.decode(merged.profile)
        other.rulings.restore(profile)
        past.rulings.unite(other.rulings, past.folded.proposal_count)
        past.counts = _add(past.counts, _counts(profile))

    def _depart(self, past: Past, departed: Departed, *, is_of_erased: bool) -> None:
        winner = self._pasts.get(departed.into)
        is_known = not (is_of_erased or (winner is not None and winner.is_torn))
        is_in = winner is not None and past.folded.customer in winner.folded.absorbed
        if is_known and not is_in:
            self._accuse("who departs was taken in", past.folded.customer, departed.into)
        past.rulings.depart()
        past.counts = {}

    def _restore(self, past: Past, restored: Restored) -> None:
        """Judge the parts of two who were one; their entries are one behind the other."""
        profile = _PROFILE.decode(restored.profile)
        whole, self._whole = self._whole, None
        if whole is None or whole.first.customer != restored.apart:
            self._whole = _Whole(past, profile)
        else:
            self._compare(whole, profile)
        past.rulings.restore(profile)
        past.counts = _counts(profile)

    def _compare(self, whole: _Whole, second: Profile) -> None:
        customer = whole.first.customer
        if _add(_counts(whole.first), _counts(second)) != whole.counts:
            self._accuse("each event counts for one of two who part", customer, second.customer)
        slots = {slot.message_id for one in (whole.first, second) for slot in one.ledger}
        if slots != whole.slots:
            self._accuse("each send is kept by one of two who part", customer, second.customer)
        said = Wishes(whole.first.consents.values())
        said.unite(Wishes(second.consents.values()))
        if said != whole.wishes:
            self._accuse("what was said is kept by one of two who part", customer, second.customer)

    def check(self, links: Mapping[tuple[str, str], str], erased: Collection[str]) -> None:
        """Check that profiles and what is stored agree on whose each identity is."""
        for customer, past in self._pasts.items():
            if not past.is_as_counted():
                self._accuse("each event counts once for whose it is", customer)
            for name in past.folded.absorbed:
                if name not in erased and self.who(name) != self.who(customer):
                    self._accuse("who was taken in departed", customer, name)
            for namespace, values in past.folded.identities.items():
                for value in values:
                    if namespace == ANONYMOUS and links.get((namespace, value)) != customer:
                        self._accuse("identities are whose profiles say", customer, value)
        for (_, value), customer in links.items():
            if customer != self.who(customer):
                self._accuse("no identity leads to who departed", value, customer)

    def who(self, customer: str) -> str:
        """Tell who a customer is by now."""
        past = self._pasts.get(customer)
        while past is not None and past.folded.merged_into:
            customer = past.folded.merged_into
            past = self._pasts.get(customer)
        return customer


def _counts(profile: Profile) -> Counts:
    return {name: history.count for name, history in profile.history.items()}


def _add(one: Counts, other: Counts) -> Counts:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}
