"""Takes away what is too old, by age and kind, as the workspace in force says.

Started by `adapters.app` in the running loop. It looks every minute, and takes portions of
`ROWS_MAX` rows, with a pause after each, so that a commit of somebody who waits is held up for no
more than the few milliseconds a portion takes the writer.

*Rules*
- Of the journal only entries that snapshots cover lose their payload, from the oldest on: their
  place, time and hash stay, and the chain still verifies.
- What a profile knows is not concerned: counts, consent and caps stay as they are.
- What can't be taken away now is taken away later: a store that fails says so itself.
"""

import asyncio
import logging
from contextlib import suppress

from actors.ports import Clock, Store
from actors.rows import Commit, Cutoffs
from adapters.inbox import Inbox
from engine.errors import StoreError
from engine.program.privacy import Retention

LOOK_S = 60.0
PAUSE_S = 0.1
ROWS_MAX = 200

_log = logging.getLogger("nextbeat.retention")


class Sweeper:
    """The hand that takes away, of one shard."""

    def __init__(
        self, store: Store, clock: Clock, inbox: Inbox | None = None, *, rows_max: int = ROWS_MAX
    ) -> None:
        self.retention = Retention()  # of the workspace in force
        self._store = store
        self._clock = clock
        self._inbox = inbox
        self._rows_max = rows_max
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="retention")

    async def stop(self) -> None:
        """End it; a portion that is being taken away is either gone or there."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def sweep(self) -> bool:
        """Take one portion of each kind; False where nothing is too old. Raises StoreError."""
        now, kept = self._clock.now(), self.retention
        cutoffs = Cutoffs(
            events_at=_before(now, kept.events_ms),
            decisions_at=_before(now, kept.decisions_ms),
            outbox_at=_before(now, kept.outbox_ms),
            quarantine_at=_before(now, kept.quarantine_ms),
        )
        forgotten = 0
        inbox_at = _before(now, kept.inbox_ms)
        if self._inbox is not None and inbox_at is not None:
            forgotten = await self._inbox.forget(inbox_at, self._rows_max)
        if cutoffs == Cutoffs():
            return forgotten > 0
        retired = await self._store.old(cutoffs, self._rows_max)
        if retired.is_empty():
            return forgotten > 0
        await self._store.commit(Commit(retired=retired))
        return True

    async def _run(self) -> None:
        while True:
            try:
                more = await self.sweep()
            except StoreError as error:
                _log.warning("what is too old could not be taken away: %s", error)
                more = False
            await asyncio.sleep(PAUSE_S if more else LOOK_S)


def _before(now: int, kept_ms: int | None) -> int | None:
    return None if kept_ms is None else now - kept_ms
