"""What the store in memory remembers: the tables of `adapters.sqlite`, as dicts and lists.

Kept by `actors.memory`, which adds what a store does; this is only what is in it.
"""

from bisect import bisect_left, bisect_right, insort

from actors.aging import Aging
from actors.members import Members, Stays
from actors.rows import (
    ActRow,
    Commit,
    DecisionRow,
    Entry,
    Erased,
    ErasureRow,
    OutboxRow,
    QuarantineRow,
    SnapshotRow,
    TimerRow,
)
from actors.shelf import Shelf
from engine.errors import StoreError


class Tables(Aging):
    """What a store remembers; it outlives a crash."""

    def __init__(self) -> None:
        self.journal: list[Entry] = []
        self.decisions: list[DecisionRow] = []
        self.decision_numbers: dict[str, int] = {}
        self.decision_order: list[tuple[int, int]] = []  # (at, number), ascending
        self.timers: dict[tuple[int, str, int], TimerRow] = {}
        self.timer_order: list[tuple[int, int, int, str, int]] = []
        self.outbox: dict[str, OutboxRow] = {}
        self.spent: dict[tuple[int, str], int] = {}  # by day and channel
        self.snapshots: dict[str, SnapshotRow] = {}
        self.links: dict[tuple[str, str], str] = {}
        self.quarantine: dict[int, QuarantineRow] = {}
        self.quarantine_count = 0
        self.programs: dict[str, tuple[str, int, bytes]] = {}
        self.covered_seq = 0
        self.members = Members()
        self.stays = Stays()
        self.acts: list[ActRow] = []
        self.retired_seq = 0
        self.shelf = Shelf()
        self.tombstones: dict[bytes, int] = {}
        self.erasures: dict[int, ErasureRow] = {}

    def last_seq(self) -> int:
        """Tell the last entry's seq, or 0."""
        return self.journal[-1].seq if self.journal else self.retired_seq

    def place_of(self, seq: int) -> int:
        """Find where the entries after `seq` begin."""
        return bisect_right(self.journal, seq, key=_seq_of)

    def check(self, commit: Commit) -> None:
        """Refuse what the tables can't take, before anything of it is applied."""
        last_seq = self.last_seq()
        for entry in commit.entries:
            if entry.seq <= last_seq:
                raise StoreError(
                    f"entry {entry.seq} of the commit does not follow entry {last_seq}:"
                    " the journal only grows"
                )
            last_seq = entry.seq
        fresh: set[str] = set()
        for row in commit.decisions:
            if row.decision_id in self.decision_numbers or row.decision_id in fresh:
                raise StoreError(f"decision {row.decision_id} is there already")
            fresh.add(row.decision_id)

    def apply(self, commit: Commit) -> None:
        """Take a commit in; what is made comes before what ends it."""
        self.journal += commit.entries
        for decision in commit.decisions:
            self._add_decision(decision)
        for timer in commit.timers_set:
            self._set_timer(timer)
        for key in commit.timers_cleared:
            self._clear_timer(key)
        self._apply_outbox(commit)
        self._apply_quarantine(commit)
        for snapshot in commit.snapshots:
            self.snapshots[snapshot.customer] = snapshot
        for namespace, value, customer in commit.links:
            self.links[namespace, value] = customer
        if commit.covered_seq is not None:
            self.covered_seq = commit.covered_seq
        self.members.apply(commit.members, commit.review)
        self.stays.apply(commit.stays)
        if commit.retired is not None:
            self.retire(commit.retired)
        for act in commit.acts:
            self.acts.append(act._replace(number=len(self.acts) + 1))
        self.shelf.apply(commit.catalogue)
        self._erase(commit.erased)

    def _erase(self, erased: Erased) -> None:
        for customer in erased.customers:
            self.snapshots.pop(customer, None)
            self.members.erase(customer)
            self.stays.erase(customer)
            for key in self.keys_of(customer):
                del self.links[key]
        for namespace, value, customer in erased.links:
            if self.links.get((namespace, value)) == customer:
                del self.links[namespace, value]
        for seq in erased.entries:
            self._blank(seq, keeps_prev=False)
        for seq in erased.blanked:
            self._blank(seq, keeps_prev=True)
        for decision_id in erased.decisions:
            self._erase_decision(decision_id)
        for message_id in erased.messages:
            self.outbox.pop(message_id, None)
        names = dict(erased.acts)
        self.acts = [
            act._replace(
                subject=names.get(act.subject, act.subject),
                detail=names.get(act.detail, act.detail),
            )
            for act in self.acts
        ]
        self.tombstones |= dict(erased.tombstones)
        for row in erased.rows:
            self.erasures[row.number] = row

    def _blank(self, seq: int, *, keeps_prev: bool) -> None:
        place = self.place_of(seq) - 1
        if place >= 0 and self.journal[place].seq == seq:
            known = self.journal[place]
            prev = known.prev if keeps_prev else 0
            self.journal[place] = Entry(seq, "", prev, known.at, known.program, b"", b"")

    def _erase_decision(self, decision_id: str) -> None:
        number = self.decision_numbers.pop(decision_id, None)
        if number is None:
            return
        at = self.decisions[number - 1].at
        self.decisions[number - 1] = DecisionRow("", 0, "", at, "", "", "", "", "", b"")
        del self.decision_order[bisect_left(self.decision_order, (at, number))]

    def keys(self) -> list[tuple[str, str, int]]:
        """List what is stored of whom: kind of row, customer, the entry it is of."""
        found = [("entry", row.customer, row.seq) for row in self.journal]
        found += [("decision", row.customer, row.seq) for row in self.decisions]
        found += [("timer", row.customer, row.seq) for row in self.timers.values()]
        found += [("snapshot", row.customer, row.seq) for row in self.snapshots.values()]
        return found

    def keys_of(self, customer: str) -> list[tuple[str, str]]:
        """List the identities that are linked to a customer."""
        return [key for key, who in self.links.items() if who == customer]

    def _apply_outbox(self, commit: Commit) -> None:
        for message in commit.outbox:
            self.outbox.setdefault(message.message_id, message)
        for change in commit.outbox_changes:
            known = self.outbox.get(change.message_id)
            if known is not None:
                kept = known[1:3] + change[1:3] + (known.body,) + change[3:7]
                self.outbox[change.message_id] = OutboxRow(known.message_id, *kept)
            if change.spent is not None:
                key = change.spent.day, change.spent.channel
                self.spent[key] = self.spent.get(key, 0) + change.spent.micros

    def _apply_quarantine(self, commit: Commit) -> None:
        for item in commit.quarantined:
            self.quarantine_count += 1
            self.quarantine[self.quarantine_count] = item._replace(number=self.quarantine_count)
        for number in commit.released:
            self.quarantine.pop(number, None)

    def _add_decision(self, row: DecisionRow) -> None:
        number = len(self.decisions) + 1
        self.decisions.append(row)
        self.decision_numbers[row.decision_id] = number
        insort(self.decision_order, (row.at, number))

    def _set_timer(self, row: TimerRow) -> None:
        key = (row.at, row.customer, row.timer)
        self._clear_timer(key)
        self.timers[key] = row
        insort(self.timer_order, _timer_order(row))

    def _clear_timer(self, key: tuple[int, str, int]) -> None:
        row = self.timers.pop(key, None)
        if row is not None:
            del self.timer_order[bisect_left(self.timer_order, _timer_order(row))]


def _seq_of(entry: Entry) -> int:
    return entry.seq


def _timer_order(row: TimerRow) -> tuple[int, int, int, str, int]:
    return (row.at, row.seq, row.place, row.customer, row.timer)
