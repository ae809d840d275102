"""One shard, running: takes inputs, decides, makes durable, then acts.

Built by `adapters.app`, used by the gateway. This is the whole surface the outside sees.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from actors.ports import Clock, Entry, QuarantineRow, Store
from engine.events import Input
from engine.profile import Profile
from engine.program.program import Program
from engine.records import Decided

DecisionListener = Callable[[Sequence[tuple[str, Decided]]], None]


class Counters(msgspec.Struct):
    """What happened since the start, as plain numbers; exported at scrape time.

    `received = stored + duplicates + quarantined` holds whenever nothing is in flight.
    """

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    quarantined: int = 0
    decisions: dict[tuple[str, str, str], int] = {}  # (outcome, reason, channel) -> how many
    commits: int = 0
    commit_failures: int = 0
    hydrated: int = 0
    passivated: int = 0
    timers_fired: int = 0


class Runtime:
    """One shard: actors, timers, group commit and outbox over one store."""

    store: Store
    clock: Clock
    program: Program
    counters: Counters

    async def start(self) -> None:
        """Open the store, recover, and begin to take inputs."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Take no more, finish what was taken, write snapshots, close."""
        raise NotImplementedError

    def submit(
        self, inputs: Sequence[Input], quarantined: Sequence[QuarantineRow] = ()
    ) -> asyncio.Future[None]:
        """Take inputs (and items to quarantine); the future is done once all are durable.

        Raises OverloadError at once, having taken nothing, when too much is waiting. The future
        fails with StoreError when the store could not make it durable.
        """
        raise NotImplementedError

    async def profile(self, customer: str) -> Profile | None:
        """Read a customer's profile (a copy), or None if there is none."""
        raise NotImplementedError

    async def timeline(self, customer: str, before: int | None, limit: int) -> list[Entry]:
        """List a customer's journal entries, newest first; `before` is the seq seen last."""
        raise NotImplementedError

    async def resolve(self, namespace: str, value: str) -> str | None:
        """Find the customer an identity belongs to (`anonymous_id` → customer id)."""
        raise NotImplementedError

    def subscribe(self, listener: DecisionListener) -> Callable[[], None]:
        """Call `listener` with decisions as they become durable; gives the way to stop it."""
        raise NotImplementedError

    def unready(self) -> str:
        """Say why this shard can't take inputs now, or "" when it can."""
        raise NotImplementedError
