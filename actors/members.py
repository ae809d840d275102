"""Who is in which segment and which journey, in memory: that part of the store's twin.

Owned by `actors.memory`, which applies commits to it and answers from it.
"""

from typing import Protocol

from actors.rows import (
    QUARTER_MS,
    CrossingsRow,
    MemberChange,
    MemberRow,
    ReviewRow,
    SnapshotRow,
    StayCount,
    StayRow,
)


class Members:
    """What the tables on segments hold."""

    def __init__(self) -> None:
        self._inside: dict[str, dict[str, int]] = {}  # segment -> customer -> since
        self._changes: list[MemberChange] = []
        self.review: ReviewRow | None = None

    def apply(self, changes: list[MemberChange], review: ReviewRow | None) -> None:
        """Take in what a commit says of segments."""
        self._changes += changes
        for change in changes:
            inside = self._inside.setdefault(change.segment, {})
            if change.is_in:
                inside[change.customer] = change.at
            else:
                inside.pop(change.customer, None)
        self.review = review or self.review

    def erase(self, customer: str) -> None:
        """Forget a customer; how many came and left stays."""
        for inside in self._inside.values():
            inside.pop(customer, None)
        self._changes = [
            one._replace(customer="") if one.customer == customer else one for one in self._changes
        ]
        if self.review is not None and self.review.cursor == customer:
            self.review = self.review._replace(cursor="")

    def sizes(self) -> dict[str, int]:
        """Count who is in each segment; empty segments are left out."""
        return {name: len(inside) for name, inside in self._inside.items() if inside}

    def page(self, segment: str, after: str, limit: int) -> list[MemberRow]:
        """List who is in a segment, in the order of their ids."""
        inside = self._inside.get(segment, {})
        return [MemberRow(name, inside[name]) for name in sorted(inside) if name > after][:limit]

    def crossings(self, since_at: int) -> list[CrossingsRow]:
        """Count who came and who left, by segment, from the quarter of an hour on."""
        counts: dict[str, list[int]] = {}
        for one in self._changes:
            if one.at - one.at % QUARTER_MS >= since_at:
                counts.setdefault(one.segment, [0, 0])[0 if one.is_in else 1] += 1
        return [CrossingsRow(name, *counts[name]) for name in sorted(counts)]


class Stays:
    """What the table on stays in journeys holds."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, int], StayRow] = {}

    def apply(self, rows: list[StayRow]) -> None:
        """Take in what a commit says of stays, in order."""
        for row in rows:
            if not row.instance:
                self.erase(row.customer)
            elif row.journey:
                self._rows[row.customer, row.instance] = row
            else:
                self._rows.pop((row.customer, row.instance), None)

    def erase(self, customer: str) -> None:
        """Forget a customer."""
        self._rows = {key: row for key, row in self._rows.items() if key[0] != customer}

    def counts(self) -> list[StayCount]:
        """Count who is where, by journey, version and position."""
        found: dict[tuple[str, str, int], list[str]] = {}
        for row in self._rows.values():
            found.setdefault((row.journey, row.version, row.position), []).append(row.customer)
        return [
            StayCount(*place, len(found[place]), len(dict.fromkeys(found[place])))
            for place in sorted(found)
        ]

    def sizes(self) -> dict[str, int]:
        """Count the customers who are in each journey."""
        found: dict[str, dict[str, None]] = {}
        for row in self._rows.values():
            found.setdefault(row.journey, {})[row.customer] = None
        return {journey: len(found[journey]) for journey in sorted(found)}

    def page(self, journey: str, after: tuple[str, int], limit: int) -> list[StayRow]:
        """List who is in a journey, in order."""
        keys = sorted(key for key in self._rows if key > after)
        return [self._rows[key] for key in keys if self._rows[key].journey == journey][:limit]


class SegmentTables(Protocol):
    """The tables that segments, and stays in journeys, are read from."""

    members: Members
    stays: Stays
    snapshots: dict[str, SnapshotRow]


class SegmentReads:
    """The reads of a store that are about segments and those who may be in them."""

    def segment_tables(self) -> SegmentTables:
        """Give the tables; raises StoreError where they are closed."""
        raise NotImplementedError

    async def customers(self, after: str, limit: int) -> list[str]:
        """List customers who have snapshots, in the order of their ids, from behind `after` on."""
        return sorted(name for name in self.segment_tables().snapshots if name > after)[:limit]

    async def customer_count(self) -> int:
        """Count the customers who have snapshots."""
        return len(self.segment_tables().snapshots)

    async def segment_sizes(self) -> dict[str, int]:
        """Count who is in each segment; empty segments are left out."""
        return self.segment_tables().members.sizes()

    async def members(self, segment: str, after: str, limit: int) -> list[MemberRow]:
        """List who is in a segment, in the order of their ids, from behind `after` on."""
        return self.segment_tables().members.page(segment, after, limit)

    async def crossings(self, since_at: int) -> list[CrossingsRow]:
        """Count who came into segments and left them, by segment, from an instant on."""
        return self.segment_tables().members.crossings(since_at)

    async def stays_filled(self) -> bool:
        """Say whether the store has the stays of everybody; one of an older format has not."""
        self.segment_tables()
        return True

    async def stay_counts(self) -> list[StayCount]:
        """Count who is where in which journey, by journey, version and position."""
        return self.segment_tables().stays.counts()

    async def journey_sizes(self) -> dict[str, int]:
        """Count the customers who are in each journey; those with nobody in them are left out."""
        return self.segment_tables().stays.sizes()

    async def stays(self, journey: str, after: tuple[str, int], limit: int) -> list[StayRow]:
        """List who is in a journey from behind (customer, instance) on, in that order."""
        return self.segment_tables().stays.page(journey, after, limit)

    async def review(self) -> ReviewRow | None:
        """Tell how far the customers were looked at since the segments changed, if ever."""
        return self.segment_tables().members.review
