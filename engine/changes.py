"""What an input changed in a customer's profile: what was, and what is now.

Asked by the timeline, which follows a customer through journal entries, oldest first. A journal
entry says what is new; what was before is in the entries before it.

*Rules*
- The profile is changed by `evolve` alone, so that a change is told exactly where one was made.
- Only facts are followed that need nothing of what was before them: so it can begin in the middle
  of a history, and then what was before is not known. Of a trait that is counted up from a value
  nobody read, nothing is told until it is stated again.
"""

from collections.abc import Callable, Iterable
from typing import Any, cast

import msgspec

from engine.consents import name_statement
from engine.events import Answered, Departed, Event, Input, Receipt, Tick
from engine.evolve import evolve, evolve_input
from engine.instants import format_instant
from engine.profile import Profile
from engine.records import (
    Assigned,
    ConsentNoted,
    Entered,
    Exited,
    Record,
    SegmentEntered,
    SegmentLeft,
    SessionBegan,
    Suppressed,
)

UNKNOWN = msgspec.UNSET  # what was before lies beyond what was read


class Change(msgspec.Struct, frozen=True):
    """One thing that is otherwise now. `was` is None where there was nothing before.

    `of` is trait, timezone, locale, consent, session, suppression, listing, journey, segment;
    `name` says which.
    """

    of: str
    name: str
    now: Any
    was: Any = UNKNOWN


class Follower:
    """One customer on the way through a part of its history."""

    def __init__(self, customer: str) -> None:
        self.is_whole = False  # what was before the first entry is known: nothing
        self._profile = Profile(customer)
        self._unsure: set[str] = set()  # traits that were changed from a value nobody read

    def pass_by(self, given: Input, records: Iterable[Record], at: int) -> None:
        """Go over an entry about which nothing is to be told."""
        self._take_in(given, at)
        self._pass_by(records, at)

    def _take_in(self, given: Input, at: int) -> None:
        if isinstance(given, Event):
            self._unsure.difference_update(given.traits)
            if given.changes and not self.is_whole:
                told = (change.trait for change in given.changes)
                self._unsure.update(name for name in told if name not in self._profile.traits)
        evolve_input(self._profile, given, at)

    def _pass_by(self, records: Iterable[Record], at: int) -> None:
        for record in records:
            if isinstance(record, _FOLLOWED):
                evolve(self._profile, record, at)

    def tell(self, given: Input, records: Iterable[Record], at: int) -> list[Change]:
        """Go over an entry; gives what it changed, in the order of the kinds above."""
        told = list(records)
        if isinstance(given, Departed):
            self.pass_by(given, told, at)
            return []  # it is all there, with who this one turned out to be
        before, was_in = _look(self._profile), dict(self._profile.segments)
        self._take_in(given, at)
        taken_in = dict(self._profile.segments)
        self._pass_by(told, at)
        found = list(self._compare(before, _look(self._profile)))
        found += [_TOLD[type(record)](record) for record in told if type(record) in _TOLD]
        found += self._compare_segments(was_in, taken_in, told)
        return found

    def _compare(self, before: "_Look", after: "_Look") -> Iterable[Change]:
        for (of, was), (_, now) in zip(before.items(), after.items(), strict=True):
            for name in dict.fromkeys((*now, *was)):
                is_sure = of != "trait" or name not in self._unsure
                if is_sure and was.get(name) != now.get(name):
                    absent = None if self.is_whole else UNKNOWN
                    shown = name_statement(name) if of == "consent" else name
                    yield Change(of, shown, now.get(name), was.get(name, absent))

    def _compare_segments(
        self, was_in: dict[str, int], taken_in: dict[str, int], records: list[Record]
    ) -> Iterable[Change]:
        """Tell who entered and left, by records or, `taken_in`, with the other one of a merge."""
        crossings = [record for record in records if isinstance(record, _CROSSINGS)]
        now_in, stated = self._profile.segments, {record.segment for record in crossings}
        reviewed = {record.segment for record in crossings if record.reviewed}
        for record in crossings:
            if isinstance(record, SegmentLeft) and record.segment not in taken_in:
                was_in.setdefault(record.segment, 0)  # since before what was read
        for name in dict.fromkeys((*was_in, *taken_in, *now_in)):
            if (name in was_in) != (name in now_in):
                because = ": reviewed" if name in reviewed else ""
                if name in was_in:
                    yield Change("segment", name, f"left{because}", "entered")
                else:
                    is_sure = self.is_whole or name in stated
                    was = None if is_sure else UNKNOWN
                    yield Change("segment", name, f"entered{because}", was)


_Look = dict[str, dict[str, Any]]

_CROSSINGS = (SegmentEntered, SegmentLeft)
_FOLLOWED = (Assigned, ConsentNoted, SessionBegan, Suppressed, *_CROSSINGS)


def may_change(given: Input, records: Iterable[Record]) -> bool:
    """Say whether an entry can have changed anything that is told of, without following it."""
    if isinstance(given, Event):
        if given.traits or given.changes or given.consents or given.context:
            return True
    elif not isinstance(given, Receipt | Tick | Answered):
        return True
    return any(type(record) in _TOLD or isinstance(record, _FOLLOWED) for record in records)


def _look(profile: Profile) -> _Look:
    """Take down what changes are told of, in a form that can be compared."""
    timezone, session_at = profile.context_timezone, profile.session_at
    return {
        "trait": dict(profile.traits),
        "timezone": {"device": timezone} if timezone else {},
        "locale": {"device": profile.context_locale} if profile.context_locale else {},
        "consent": {name: said.status.value for name, said in profile.consents.items()},
        "session": {"began": format_instant(session_at)} if session_at else {},
        "suppression": {
            rule: f"until {format_instant(until)}" for rule, until in profile.suppressed.items()
        },
        "listing": {
            name: "listed" if one.listed else "not listed" for name, one in profile.listings.items()
        },
    }


def _tell_entered(record: Entered) -> Change:
    return Change("journey", record.journey, "entered", None)


def _tell_exited(record: Exited) -> Change:
    return Change("journey", record.journey, f"left: {record.reason}", "entered")


_TOLD: dict[type[Any], Callable[[Any], Change]] = {
    Entered: cast("Callable[[Any], Change]", _tell_entered),
    Exited: cast("Callable[[Any], Change]", _tell_exited),
}
