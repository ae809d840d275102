"""Snapshots ride along with commits: when it is time, when the tail grows, when memory is short.

Owned by `actors.runtime`, which lets it fill every batch before it goes.
"""

from actors.commits import Batch
from actors.directory import Directory
from actors.settings import Settings

SNAPSHOTS_MAX = 200  # snapshots in one commit
SNAPSHOTS_FEW = 4


class Snapshots:
    """When the next ones are due, and up to which entry everything is in them on disk."""

    def __init__(self, directory: Directory, settings: Settings) -> None:
        self._directory = directory
        self._settings = settings
        self.covered_seq = 0
        self.due_at = 0

    def fill(self, batch: Batch, seq: int, failing: str, now: int) -> None:
        """Add to a batch what is due; `seq` is the last entry, `failing` says why commits do."""
        rows = self._directory.sweep() + self._directory.pressed()
        due = now >= self.due_at
        behind = seq - self.covered_seq > self._settings.tail_max
        if due or behind:
            # Somebody waits for a commit that has entries: there a few at a time are enough.
            limit = SNAPSHOTS_MAX if behind or not batch.commit.entries else SNAPSHOTS_FEW
            found = self._directory.snapshots(limit)
            rows += found
            if due and len(found) < limit:
                self.due_at = now + self._settings.snapshot_after_ms
        probes = due and bool(failing)
        if rows or probes:
            batch.commit.snapshots += rows
            covered_seq = self._directory.covered_seq(seq)
            # SQLite would not write the same value again, and that is what is to be found out.
            batch.commit.covered_seq = covered_seq - (probes and covered_seq == self.covered_seq)
