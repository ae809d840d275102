"""One customer's decisions, judged by rules said once more.

Used by `checks` with each journal entry, in order. It folds the little it needs by itself: where
the customer is, what they said of marketing, which sends hold a slot. It shares no code with the
engine's gates; what both know is in `scene.RULES`.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from actors.simulate.scene import MARKETING, Rules
from actors.simulate.witness import Wishes
from engine.events import Event, Input, Receipt, ReceiptStatus
from engine.latest import written_at
from engine.profile import Profile
from engine.reasons import Outcome, Reason
from engine.records import ConsentNoted, Decided, ReceiptNoted, Record

Accuse = Callable[..., None]


class Held(NamedTuple):
    """A slot: a send that was decided and has not failed for good."""

    at: int
    channel: str
    purpose: str


class Rulings:
    """What one customer was sent, is still to be sent, and wanted."""

    def __init__(self, customer: str, accuse: Accuse) -> None:
        self._customer = customer
        self._accuse = accuse
        self._zone = ""
        self._zone_at = -1
        self._wishes = Wishes()
        self.slots: dict[str, Held] = {}  # by message id
        self.waiting: dict[int, int] = {}  # proposal -> when it is decided again
        self.told: dict[str, str] = {}  # message id -> how the outbox said it ended
        self.named: dict[str, Decided] = {}  # by message id

    def take(self, given: Input, records: Sequence[Record], rules: Rules, now: int) -> None:
        """Judge one entry of the journal."""
        if isinstance(given, Event):
            self._take_zone(given.traits.get("timezone", ""), given.at)
            for said in given.consents:
                self._wishes.take(said)
        elif isinstance(given, Receipt) and given.source == "outbox":
            self.told[given.message] = given.status.value
        for record in records:
            if isinstance(record, Decided):
                self._take_decided(record, rules, now)
            elif isinstance(record, ConsentNoted):
                self._wishes.take(record.statement)
            elif isinstance(record, ReceiptNoted):
                self._take_receipt(given, record)

    def _take_zone(self, zone: str, at: int) -> None:
        if zone and at >= self._zone_at:
            self._zone, self._zone_at = zone, at

    def unite(self, other: "Rulings", proposal_count: int) -> None:
        """Take in what was ruled of somebody who is the same person, who had it under `other`.

        Their proposals go on under numbers above this customer's own.
        """
        self._wishes.unite(other.wishes())
        self.slots |= other.slots
        self.waiting |= {number + proposal_count: at for number, at in other.waiting.items()}
        if not self._zone:
            self._zone, self._zone_at = other.zone()

    def restore(self, profile: Profile) -> None:
        """Go on as two who were one, from what each is given back; whole is judged elsewhere."""
        self._wishes = Wishes(profile.consents.values())
        self.slots = {
            slot.message_id: Held(slot.at, slot.channel, slot.purpose) for slot in profile.ledger
        }
        self.waiting = {each.proposal: each.next_eligible for each in profile.pending.values()}
        # Who was told how it ended may be erased by now: that it was told is known here, too.
        for sent in profile.sends.values():
            if sent.statuses:
                self.told.setdefault(sent.message_id, ReceiptStatus.IN_DOUBT.value)
        self._zone = profile.traits.get("timezone", "")
        self._zone_at = written_at(profile, "timezone") if self._zone else -1

    def depart(self) -> None:
        """Have nothing left to judge: it went to somebody else."""
        self.restore(Profile(self._customer))

    def zone(self) -> tuple[str, int]:
        """Tell where they are, and when they said so; "" and -1 where they never did."""
        return self._zone, self._zone_at

    def wishes(self) -> Wishes:
        """Tell what was said of marketing."""
        return self._wishes

    def _take_receipt(self, given: Input, noted: ReceiptNoted) -> None:
        if not isinstance(given, Receipt) or given.message != noted.message_id:
            self._blame("a receipt speaks of its own message", noted.message_id)
        if noted.released:
            self.slots.pop(noted.message_id, None)
            if noted.status != ReceiptStatus.FAILED:
                self._blame("a slot is given back by a failure only", noted.message_id)

    def _take_decided(self, decided: Decided, rules: Rules, now: int) -> None:
        if decided.outcome is Outcome.DEFER:
            assert decided.next_eligible is not None
            self.waiting[decided.proposal] = decided.next_eligible
            self._judge_deferral(decided, rules, now)
            return
        self.waiting.pop(decided.proposal, None)
        if not decided.message_id:
            return
        if decided.message_id in self.named:
            self._blame("one decision per message id", decided.message_id)
        self.named[decided.message_id] = decided
        if decided.at != now:
            self._blame("a decision is of the instant it is made", decided.decision_id)
        if decided.purpose == MARKETING:
            self._judge_send(decided, rules, now)
        self.slots[decided.message_id] = Held(now, decided.channel, decided.purpose)

    def _judge_send(self, decided: Decided, rules: Rules, now: int) -> None:
        name = decided.message_id
        if not self._is_open(rules, decided.channel, now):
            self._blame("no marketing is decided in a closed window", name, self._zone)
        if self._wishes.is_no(MARKETING, decided.channel):
            self._blame("nothing is decided after an opt-out", name)
        if not self._has_room(rules, decided.channel, now):
            self._blame("caps are never exceeded", name, decided.channel)
        if any(abs(now - held.at) < rules.cooldown_ms for held in self._marketing()):
            self._blame("no marketing within the cooldown", name)

    def _judge_deferral(self, decided: Decided, rules: Rules, now: int) -> None:
        at = decided.next_eligible
        assert at is not None
        if at <= now:
            self._blame("a deferral is to a later instant", decided.decision_id)
        if decided.purpose != MARKETING or decided.reason is Reason.LOWER_PRIORITY:
            return
        if not self._is_open(rules, decided.channel, at):
            self._blame("a deferral ends where hours are open", decided.decision_id)
        if not self._has_room(rules, decided.channel, at):
            self._blame("a deferral ends where caps have room", decided.decision_id)

    def _is_open(self, rules: Rules, channel: str, at: int) -> bool:
        wall = datetime.fromtimestamp(at / 1_000, UTC).astimezone(ZoneInfo(self._zone or "UTC"))
        minute = wall.hour * 60 + wall.minute
        opens, closes = rules.hours[channel]
        if opens < closes:
            return opens <= minute < closes
        return minute >= opens or minute < closes

    def _has_room(self, rules: Rules, channel: str, at: int) -> bool:
        """Say whether one more send keeps within every sliding window it falls into."""
        for cap in rules.caps:
            if channel not in cap.channels:
                continue
            times = [held.at for held in self._marketing() if held.channel in cap.channels]
            ends = [at, *(time for time in times if at < time < at + cap.window_ms)]
            for end in ends:
                if sum(end - cap.window_ms < time <= end for time in (*times, at)) > cap.count_max:
                    return False
        return True

    def _marketing(self) -> list[Held]:
        return [held for held in self.slots.values() if held.purpose == MARKETING]

    def _blame(self, invariant: str, *details: object) -> None:
        self._accuse(invariant, self._customer, *details)
