"""What is too old to be kept, found and taken away: how tables in memory do it.

A part of the tables of `actors.memory`; `adapters.sqlite` says the same in SQL.
"""

from actors.outgoing import decided_at
from actors.rows import Cutoffs, DecisionRow, Entry, OutboxRow, QuarantineRow, Retired

DONE_STATES = ("sent", "failed", "expired", "in_doubt")  # any other is open, as in SQLite


class Aging:
    """Tables whose rows grow old."""

    journal: list[Entry]
    decisions: list[DecisionRow]
    decision_numbers: dict[str, int]
    decision_order: list[tuple[int, int]]
    outbox: dict[str, OutboxRow]
    quarantine: dict[int, QuarantineRow]
    covered_seq: int
    retired_seq: int

    def old(self, cutoffs: Cutoffs, limit: int) -> Retired:
        """Find what is too old, at most so many rows of each kind."""
        decided_at, sent_at, kept_at = (
            -1 if at is None else at  # nothing is from before that
            for at in (cutoffs.decisions_at, cutoffs.outbox_at, cutoffs.quarantine_at)
        )
        done = [row for row in self.outbox.values() if row.state in DONE_STATES][:limit]
        kept = list(self.quarantine.values())[:limit]
        return Retired(
            seq=self._old_seq(cutoffs.events_at or 0, limit),
            events_at=cutoffs.events_at or 0,
            decisions=[number for at, number in self.decision_order[:limit] if at < decided_at],
            decisions_at=cutoffs.decisions_at or 0,
            messages=[row.message_id for row in done if is_sent_before(row.body, sent_at)],
            outbox_at=cutoffs.outbox_at or 0,
            quarantined=[row.number for row in kept if row.received_at < kept_at],
        )

    def _old_seq(self, before_at: int, limit: int) -> int:
        """Find the last entry, of the next so many, that is too old and in snapshots."""
        seq = 0
        for entry in self.journal[:limit]:
            if entry.at >= before_at or entry.seq > self.covered_seq:
                break
            seq = entry.seq
        return seq

    def retire(self, retired: Retired) -> None:
        """Take away what is too old."""
        self.retired_seq = max(self.retired_seq, retired.seq)
        self.journal = [entry for entry in self.journal if entry.seq > retired.seq]
        for number in retired.decisions:
            row = self.decisions[number - 1]
            del self.decision_numbers[row.decision_id]
            self.decision_order.remove((row.at, number))
        for message_id in retired.messages:
            self.outbox.pop(message_id, None)
        for number in retired.quarantined:
            self.quarantine.pop(number, None)


def is_sent_before(body: bytes, before_at: int) -> bool:
    """Say whether a message was decided before an instant; one that can't be read is kept."""
    at = decided_at(body)
    return at is not None and at < before_at
