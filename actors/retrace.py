"""The journal once more: what was decided, decided again; and what must follow from it.

Used by `adapters.verify`. Takes entries in the order of the journal, keeps each customer's profile
as it was after them, and compares. Nothing is changed.

*Rules*
- Profiles follow what the journal says was decided, whether or not it is decided so again.
- Where the program an entry names is not at hand, its records are folded and nothing is compared.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from actors.commits import decision_row, outbox_row
from actors.customer import Customer
from actors.directory import decode_entry
from actors.rows import DecisionRow, Entry, OutboxRow, StayRow, TimerRow
from actors.stays import stays_of
from engine.effects import Call, Send, Unwake, Wake
from engine.errors import NextbeatError
from engine.events import Abridged, Input, Rebirth
from engine.evolve import fold
from engine.profile import Profile
from engine.program.program import Program
from engine.records import Decided, Record
from engine.step import effects_of, step

UNKNOWN_SEQ = -1  # of a timer that an entry set which is gone
_encode = msgspec.msgpack.encode
_decode_profile = msgspec.msgpack.Decoder(Profile).decode


class JournalError(NextbeatError):
    """An entry of the journal can't be what was written, though its hash may be right."""

    def __init__(self, seq: int, message: str) -> None:
        super().__init__(message)
        self.seq = seq


class Traced(NamedTuple):
    """What one entry led to: rows that must be in the store, and whether it is decided so again."""

    decisions: list[DecisionRow]
    sends: list[OutboxRow]
    difference: str  # "" where it is the same, byte for byte, or was not decided again
    is_decided: bool


class Retrace:
    """Customers on their way through the journal."""

    def __init__(
        self,
        find_program: Callable[[str], Program | None],
        history: Callable[[int], Iterable[Entry]],
        is_erased: Callable[[int], bool],
    ) -> None:
        """`history` gives a customer's entries up to one of them, oldest first.

        `is_erased` says whether there is no more of an entry than that there was one.
        """
        self._find_program = find_program
        self._history = history
        self._is_erased = is_erased
        self.retired_seq = 0  # up to here payloads were taken away for their age
        self._torn: dict[str, None] = {}  # customers of whom entries are gone
        self._actors: dict[str, Customer] = {}
        self._timers: dict[str, dict[int, TimerRow]] = {}

    def customers(self) -> list[str]:
        """Name everybody who had an entry."""
        return list(self._actors)

    def is_torn(self, customer: str) -> bool:
        """Say whether some of a customer's entries are gone, so that nothing can be folded."""
        return customer in self._torn

    def forget(self, customer: str) -> None:
        """Leave a customer out who has been erased meanwhile."""
        del self._actors[customer]
        self._timers.pop(customer, None)

    def last_seq(self, customer: str) -> int:
        """Tell a customer's latest entry so far, or 0."""
        actor = self._actors.get(customer)
        return actor.last_seq if actor is not None else 0

    def timers(self, customer: str) -> dict[int, TimerRow]:
        """Give the timers a customer now waits for."""
        return self._timers.get(customer, {})

    def segments(self, customer: str) -> dict[str, int]:
        """Give the segments a customer is now in, and since when."""
        profile = self._actors[customer].profile
        return profile.segments if profile is not None else {}

    def stays(self, customer: str) -> list[StayRow]:
        """Give where a customer now is in journeys."""
        profile = self._actors[customer].profile
        return stays_of(customer, profile) if profile is not None else []

    def take(self, entry: Entry) -> Traced:
        """Go one entry further. Raises JournalError where it can't follow the ones before."""
        actor = self._actors.get(entry.customer)
        if actor is None:
            actor = self._actors[entry.customer] = Customer(entry.customer)
            actor.hydrate(None, 0)
        if actor.last_seq < entry.prev and self._is_gone(entry.prev):
            self._torn[entry.customer] = None
            actor.last_seq = entry.prev
        if not entry.prev and actor.last_seq and isinstance(_decode(entry)[0], Rebirth):
            # Whoever had the name was erased while we were on our way.
            actor.hydrate(None, 0)
            self._timers.pop(entry.customer, None)
        if entry.prev != actor.last_seq:
            raise JournalError(
                entry.seq,
                f"it says that its customer's entry before is {entry.prev or 'none'}, and that is"
                f" {actor.last_seq or 'none'}",
            )
        given, records = _decode(entry)
        if isinstance(given, Abridged) and entry.customer in self._torn:
            self._mend(entry.customer, given)
        is_torn = entry.customer in self._torn
        program = None if is_torn else self._find_program(entry.program)
        # What a profile was before is not known any more of somebody of whom entries are gone.
        difference = "" if is_torn else self._advance(actor, entry, given, records, program)
        actor.last_seq = entry.seq
        decisions, sends = self._derive(entry, records) if records else ([], [])
        return Traced(decisions, sends, difference, program is not None)

    def _is_gone(self, seq: int) -> bool:
        return seq <= self.retired_seq or self._is_erased(seq)

    def _mend(self, customer: str, given: Abridged) -> None:
        """Know all of a customer again; of their timers only which were set in what is gone."""
        del self._torn[customer]
        profile = _decode_profile(given.profile)
        known = self._timers.get(customer, {})
        self._timers[customer] = {
            number: known.get(number, TimerRow(timer.at, customer, number, UNKNOWN_SEQ, 0))
            for number, timer in profile.timers.items()
        }

    def _advance(
        self,
        actor: Customer,
        entry: Entry,
        given: Input,
        records: list[Record],
        program: Program | None,
    ) -> str:
        """Bring the profile over an entry; says in what the decision differs, if it does."""
        assert actor.profile is not None
        if program is None:
            fold(actor.profile, given, records, entry.at)
            return ""
        try:
            again = step(actor.profile, given, program, entry.at).records
        except Exception as error:  # noqa: BLE001 - whatever it was, it did not fail then
            difference = f"deciding it again failed ({type(error).__name__}: {error})"
        else:
            difference = "" if _is_same(entry.records, records, again) else _differ(records, again)
        if difference:
            actor.profile = self.profile_at(entry.seq)
        return difference

    def profile_at(self, seq: int) -> Profile:
        """Fold the entries of the customer of entry `seq` up to it."""
        told = [(entry, *_decode(entry)) for entry in self._history(seq)]
        if not told:
            raise JournalError(seq, "it is not there")
        first = max(
            (n for n, (_, given, _) in enumerate(told) if isinstance(given, Abridged)), default=0
        )
        profile = Profile(told[0][0].customer)
        for entry, given, records in told[first:]:
            fold(profile, given, records, entry.at)
        return profile

    def fits(self, customer: str, body: bytes) -> bool:
        """Say whether a snapshot holds a customer's profile as it is now."""
        profile = self._actors[customer].profile
        assert profile is not None
        return is_profile(profile, body)

    def _derive(
        self, entry: Entry, records: list[Record]
    ) -> tuple[list[DecisionRow], list[OutboxRow]]:
        customer, seq = entry.customer, entry.seq
        decisions = [
            decision_row(customer, seq, record) for record in records if isinstance(record, Decided)
        ]
        sends: list[OutboxRow] = []
        for place, effect in enumerate(effects_of(customer, records)):
            if isinstance(effect, Send | Call):
                sends.append(outbox_row(effect))
            elif isinstance(effect, Wake):
                row = TimerRow(effect.at, customer, effect.timer, seq, place)
                self._timers.setdefault(customer, {})[effect.timer] = row
            elif isinstance(effect, Unwake):
                self._timers.get(customer, {}).pop(effect.timer, None)
        return decisions, sends


def is_profile(profile: Profile, body: bytes) -> bool:
    """Say whether a snapshot holds a profile; one of an older form is brought to today's."""
    expected = _encode(profile)
    if body == expected:
        return True
    try:
        return _encode(_decode_profile(body)) == expected
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False


def _decode(entry: Entry) -> tuple[Input, list[Record]]:
    try:
        return decode_entry(entry)
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:
        raise JournalError(entry.seq, f"it can't be read: {error}") from error


def _is_same(stored: bytes, records: list[Record], again: list[Record]) -> bool:
    """Compare byte for byte; records of an older form are brought to today's first."""
    decided = _encode(again)
    return decided == stored or decided == _encode(records)


def _differ(records: list[Record], again: list[Record]) -> str:
    for number, (was, now) in enumerate(zip(records, again, strict=False), start=1):
        if was != now:
            return f"record {number} of {len(records)} was {_show(was)} and would be {_show(now)}"
    return f"it has {len(records)} records and would have {len(again)}"


def _show(record: Record) -> str:
    if isinstance(record, Decided):
        return f"{record.message} {record.outcome} because {record.reason}"
    return f"{record!r:.120}"
