"""What happened on a shard since its start, as plain numbers.

Counted by `actors.runtime`, exported at scrape time by `adapters.gateway.metrics`.
"""

from collections.abc import Iterable

import msgspec

from engine.records import Decided

LATENESS_BUCKETS = 24  # lateness of timers by powers of two, in ms


class Counters(msgspec.Struct):
    """What happened since the start.

    `received = stored + duplicates + quarantined + erased` holds whenever nothing is in flight:
    received is counted when an input is taken from its mailbox, the others when what became of it
    is durable.
    """

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    quarantined: int = 0
    erased: int = 0  # refused: about people who were erased, and from before that
    decisions: dict[tuple[str, str, str], int] = {}  # (outcome, reason, channel) -> how many
    commits: int = 0
    commit_failures: int = 0
    deaths: int = 0
    merges: int = 0
    merges_refused: int = 0
    timers_fired: int = 0
    timers_early: int = 0  # stays 0: it is counted so that a bench can show it
    timer_lateness: list[int] = msgspec.field(default_factory=lambda: [0] * LATENESS_BUCKETS)

    def note_tick(self, lateness_ms: int) -> None:
        """Count a timer that was handled so long after it was due."""
        self.timers_fired += 1
        self.timers_early += lateness_ms < 0
        bucket = min(max(lateness_ms, 0).bit_length(), LATENESS_BUCKETS - 1)
        self.timer_lateness[bucket] += 1

    def note_decisions(self, decided: Iterable[tuple[str, Decided]]) -> None:
        """Count decisions by how they ended."""
        for _, decision in decided:
            key = (decision.outcome.value, decision.reason.value, decision.channel)
            self.decisions[key] = self.decisions.get(key, 0) + 1
