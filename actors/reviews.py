"""The segments or the journeys changed: every customer is looked at again, beside the traffic.

Owned by `actors.runtime`. Customers who are in memory are looked at where they are; the others are
read in small portions that stay nobody's: only who must come in, leave or be woken is given a
`Review` as an input, and is journaled. The store knows how far it has got, so a restart goes on.

*Rules*
- A portion counts as done with a commit after those of its reviews.
- What is looked at while a commit is lost is looked at again.
- Who has an input meanwhile is looked at with it: the runtime waits for nobody.
"""

import asyncio
import logging
from collections.abc import Sequence

from actors.carrier import Floor
from actors.commits import Committer
from actors.directory import Directory
from actors.ports import Clock, Store
from actors.rows import ReviewRow
from engine.errors import StoreError
from engine.events import Review
from engine.journeys.agenda import is_otherwise
from engine.journeys.migrations import is_outdated
from engine.profile import Profile
from engine.segments import foresee, needs_review

PORTION = 8  # customers looked at before the traffic has its turn: about 1 ms
QUIET_PAUSE_S = 0.001  # between portions while there is no traffic …
PAUSE_S = 0.01  # … while there is some: a tenth of the time at most …
BUSY_PAUSE_S = 0.1  # … and while it piles up
RETRY_S = 1.0
BUSY_ENTRIES = 500  # entries that wait for the store: with more of them the pause is longer

_log = logging.getLogger("nextbeat.reviews")


class Reviews:
    """Where the shard stands with looking at its customers."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        directory: Directory,
        commits: Committer,
        floor: Floor,
    ) -> None:
        self._store = store
        self._clock = clock
        self._directory = directory
        self._commits = commits
        self._floor = floor
        self._wanted = asyncio.Event()
        self._settled = asyncio.Event()
        self._open_count = 0
        self._is_lost = False
        self.row: ReviewRow | None = None  # what is known to be done

    def left(self) -> int:
        """Tell how many customers are still to be looked at, about."""
        row = self.row
        return 0 if row is None or row.ended_at else max(0, row.total - row.looked)

    def begin(self) -> None:
        """Look at everybody, if the segments are others than when that was done last."""
        self._wanted.set()

    def taken(self) -> None:
        """Note that a review has been decided, or will never be."""
        self._open_count -= 1
        if not self._open_count:
            self._settled.set()

    def lost(self) -> None:
        """Note that what was decided since the last durable commit was not kept."""
        self._is_lost = True

    async def run(self) -> None:
        """Look at everybody whenever that is wanted, for ever."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._look()
            except StoreError as error:
                _log.warning("customers can't be looked at for their segments: %s", error)
                self._wanted.set()
                await asyncio.sleep(RETRY_S)

    async def _look(self) -> None:
        self._is_lost = False
        version = self._floor.program.edition
        row = self.row = await self._store.review()
        if row is None and not version:
            return  # there is nothing to look for
        if row is None or row.version != version:
            total = await self._store.customer_count()
            if row is None and not total:
                self._note_nobody(version)
                return
            row = ReviewRow(version, "", total, 0, 0, self._clock.now(), 0)
        elif row.ended_at:
            return
        # Who is in memory may have no snapshot so far, and is then in no list of the store's.
        residents = [actor.id for actor in self._directory.everyone()]
        for start in range(0, len(residents), PORTION):
            await self._look_at(residents[start : start + PORTION], version)
            await self._pause()
        while not row.ended_at and not self._wanted.is_set():
            names = await self._store.customers(row.cursor, PORTION)
            row = await self._advance(row, names)
            await self._pause()

    def _note_nobody(self, version: int) -> None:
        """Write down, with what is written first, that there is nobody who has to be looked at."""
        now = self._clock.now()
        self._commits.open.commit.review = ReviewRow(version, "", 0, 0, 0, now, now)

    async def _advance(self, row: ReviewRow, names: Sequence[str]) -> ReviewRow:
        """Look at a portion and write down that it is done."""
        changed = await self._look_at(names, row.version)
        looked = row.looked + len(names)
        row = row._replace(
            cursor=names[-1] if len(names) == PORTION else "",  # no name stays when it is done
            total=max(row.total, looked),
            looked=looked,
            changed=row.changed + changed,
            ended_at=self._clock.now() if len(names) < PORTION else 0,
        )
        batch = self._commits.open
        batch.commit.review = row
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        batch.waiters.append(done)
        self._commits.flush()
        await done
        self.row = row
        if row.ended_at:
            _log.info("looked at %d customers for their segments, %d changed", looked, row.changed)
        return row

    async def _look_at(self, names: Sequence[str], version: int) -> int:
        """Look at a few customers; gives for how many something changes."""
        changed = [name for name, profile in await self._profiles(names) if self._concerns(profile)]
        if not changed:
            return 0
        self._settled.clear()
        self._open_count += len(changed)
        for name in changed:
            self._floor.post(name, Review(version, self._clock.now()))
        await self._settled.wait()
        if self._is_lost:
            raise StoreError("a commit was lost meanwhile")
        return len(changed)

    async def _profiles(self, names: Sequence[str]) -> list[tuple[str, Profile]]:
        """Find customers in memory, or read them without keeping them there."""
        found: list[tuple[str, Profile]] = []
        absent: list[str] = []
        for name in names:
            actor = self._directory.find(name)
            if actor is not None and actor.profile is not None:
                found.append((name, actor.profile))
            else:
                absent.append(name)
        if absent:
            for name, actor in (await self._directory.recall(absent)).items():
                if actor.profile is not None and actor.last_seq:
                    found.append((name, actor.profile))
        return found

    def _concerns(self, profile: Profile) -> bool:
        program = self._floor.program
        if is_outdated(profile, program):
            return True
        if profile.segments_version == program.membership.version:
            return False
        now = self._clock.now()
        return needs_review(profile, foresee(profile, program, now)) or is_otherwise(
            profile, program, now
        )

    async def _pause(self) -> None:
        """Let the traffic have its turn, the longer the more there is of it."""
        pause_s = QUIET_PAUSE_S if self._commits.is_idle() else PAUSE_S
        waiting = len(self._commits.open.commit.entries)
        await asyncio.sleep(BUSY_PAUSE_S if waiting > BUSY_ENTRIES else pause_s)
