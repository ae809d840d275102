"""A shard on a clock that stands still, for tests of the runtime: over memory or over any store."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from actors.lanes import Pacing
from actors.memory import MemoryChannel, MemoryStore, VirtualClock, settle
from actors.ports import Caller, Store
from actors.rows import Entry, ErasureRow, OutboxRow, SnapshotRow
from actors.runtime import Runtime, Settings
from engine.errors import StoreError
from engine.events import (
    ConsentStatement,
    ConsentStatus,
    Event,
    EventKind,
    Input,
    Receipt,
    ReceiptStatus,
)
from engine.instants import parse_instant
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.program.program import Program
from engine.records import Decided

ORIGIN_AT = parse_instant("2026-03-02T10:00:00Z")
NAP_MS = 1  # the timer loop looks whenever the clock is moved

_MAIL = {"email": {"subject": "s", "body": "b"}, "sms": {"body": "b"}}

WORKSPACE: dict[str, Any] = {
    "workspace": "shards",
    "defaults": {"timezone": "UTC", "country": "GB"},
    "consent": {"marketing": "opt_out"},
    "channels": {
        "email": {"adapter": "log", "identity": "email"},
        "sms": {"adapter": "log", "identity": "phone"},
    },
    "message_types": {
        "promo": {"purpose": "marketing", "channels": ["email", "sms"]},
        "note": {"purpose": "service", "channels": ["email", "sms"]},
    },
    "messages": {
        "offer": {"type": "promo", "content": _MAIL},
        "paper": {"type": "note", "content": _MAIL},
    },
    "journeys": {
        "buy": {"trigger": {"event": "Buy"}, "steps": [{"send": "offer", "id": "s"}]},
        "pay": {"trigger": {"event": "Pay"}, "steps": [{"send": "paper", "id": "s"}]},
        "wait": {
            "trigger": {"event": "Wait"},
            "steps": [{"wait": "5m"}, {"send": "paper", "id": "s"}],
        },
        "later": {
            "trigger": {"event": "Later"},
            "steps": [{"wait": "2h"}, {"send": "paper", "id": "s"}],
        },
    },
}


class GatedStore(MemoryStore):
    """A store in memory whose reads can be held back, and can be made to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.loads_failing = 0
        self.entries_failing = 0
        self.resolves_failing = 0
        self.resolved: list[str] = []  # what was asked for, one for each key
        self._gate = asyncio.Event()
        self._gate.set()

    def crash(self) -> "GatedStore":
        survivor = GatedStore()
        survivor._tables = super().crash()._tables
        return survivor

    def written(self) -> bytes:
        """Give everything that is remembered, as text."""
        return repr(vars(self._tables)).encode()

    def snapshots(self) -> dict[str, SnapshotRow]:
        """Give every snapshot there is."""
        return self._tables.snapshots

    def outbox(self) -> dict[str, OutboxRow]:
        """Give every message there ever was."""
        return self._tables.outbox

    def hold_reads(self) -> None:
        self._gate.clear()

    def release_reads(self) -> None:
        self._gate.set()

    async def load(self, customers: Sequence[str]) -> dict[str, SnapshotRow]:
        rows = await super().load(customers)
        await self._gate.wait()
        if self.loads_failing:
            self.loads_failing -= 1
            raise StoreError("the disk can't be read")
        return rows

    async def entries(self, last_seq: int, limit: int) -> list[Entry]:
        rows = await super().entries(last_seq, limit)
        await self._gate.wait()
        if self.entries_failing:
            self.entries_failing -= 1
            raise StoreError("the disk can't be read")
        return rows

    async def resolve(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
        self.resolved += [value for _, value in keys]
        found = await super().resolve(keys)
        await self._gate.wait()
        if self.resolves_failing:
            self.resolves_failing -= 1
            raise StoreError("the disk can't be read")
        return found


class Shard:
    """A runtime with its store, clock and two channels."""

    def __init__(
        self,
        store: Store | None = None,
        *,
        program: Program | None = None,
        clock: VirtualClock | None = None,
        pacing: Mapping[str, Pacing] | None = None,
        caller: Caller | None = None,
        **settings: int,
    ) -> None:
        self.store = store if store is not None else MemoryStore()
        self.clock = clock or VirtualClock(ORIGIN_AT)
        self.email = MemoryChannel()
        self.sms = MemoryChannel()
        self.settings: dict[str, int] = {"nap_ms": NAP_MS, **settings}
        self.runtime = Runtime(
            self.store,
            self.clock,
            program or compile_source(WORKSPACE),
            {"email": self.email, "sms": self.sms},
            settings=msgspec.convert(self.settings, Settings),
            pacing=pacing or {},
            caller=caller,
        )
        self.caller = caller
        self.decided: list[tuple[str, Decided]] = []
        self.runtime.subscribe(self.decided.extend)
        self.folded = 0
        self.is_over = False
        self.event_count = 0

    async def start(self) -> "Shard":
        self.folded = await self.runtime.open()
        await self.runtime.start()
        return self

    async def restart(self, **settings: int) -> "Shard":
        """Start another runtime on the same store, which nobody holds any more."""
        changed = {**self.settings, **settings}
        again = Shard(
            self.store,
            program=self.runtime.program,
            clock=self.clock,
            pacing=None,
            caller=self.caller,
            **changed,
        )
        again.event_count = self.event_count
        return await again.start()

    async def crash(self) -> "Shard":
        """End without stopping, and start on what is on disk."""
        assert isinstance(self.store, MemoryStore)
        survivor = self.store.crash()
        await self.abandon()
        self.store = survivor
        return await self.restart()

    async def restart_reading(self) -> "Shard":
        """Stop and start again with nobody in memory."""
        await self.runtime.stop()
        return await self.restart()

    async def abandon(self) -> None:
        """End what runs in the background, as the end of a process does."""
        self.is_over = True
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def track(
        self, user: str, name: str = "Seen", *, event_id: str = "", **properties: object
    ) -> Event:
        return self._event(EventKind.TRACK, name, user, event_id=event_id, properties=properties)

    def identify(self, user: str, *, anonymous: str | None = None, **traits: object) -> Event:
        return self._event(
            EventKind.IDENTIFY, "Identified", user, anonymous=anonymous, traits=traits
        )

    def known(self, user: str) -> Event:
        """State the addresses of a customer."""
        return self.identify(user, email=f"{user}@example.com", phone="+447700900123")

    def anonymous(self, anonymous: str, name: str = "Seen") -> Event:
        return self._event(EventKind.TRACK, name, None, anonymous=anonymous)

    def alias(self, user: str, previous: str) -> Event:
        properties = {"previousId": previous}
        return self._event(EventKind.ALIAS, "Alias Linked", user, properties=properties)

    def consent(self, user: str, status: str, *, channel: str = "*") -> Event:
        now = self.clock.now()
        said = ConsentStatement("marketing", channel, ConsentStatus(status), now, "test")
        return self._event(EventKind.CONSENT, "Consent Stated", user, consents=(said,))

    def receipt(self, user: str, message: str, status: ReceiptStatus) -> Receipt:
        self.event_count += 1
        now = self.clock.now()
        return Receipt(f"r{self.event_count}", user, message, status, now, now)

    def _event(
        self,
        kind: EventKind,
        name: str,
        user: str | None,
        *,
        event_id: str = "",
        anonymous: str | None = None,
        **parts: Any,
    ) -> Event:
        self.event_count += 1
        now = self.clock.now()
        return Event(
            event_id or f"e{self.event_count}", kind, name, user, anonymous, now, now, **parts
        )

    async def submit(self, *inputs: Input) -> None:
        """Take inputs and wait until they are durable and what follows at once has happened."""
        await self.runtime.submit(inputs)
        await settle()

    async def erase(self, name: str) -> ErasureRow:
        """Erase somebody, and wait until nothing is left to be done."""
        row = await self.runtime.erasures.erase(name)
        for _ in range(80):
            await settle()
            self.clock.jump_to(self.clock.now() + 20)
            done = await self.store.erasure(row.number)
            assert done is not None
            if done.state == "done":
                return done
        raise AssertionError("it does not come to an end")

    async def advance(self, duration_ms: int) -> None:
        """Let time pass, stopping for each timer at its instant."""
        until_at = self.clock.now() + duration_ms
        while self.clock.now() < until_at:
            rows = await self.store.timers(self.clock.now(), until_at, 1)
            self.clock.jump_to(rows[0].at if rows else until_at)
            await settle()
            await settle()

    async def profile(self, user: str) -> Profile:
        found = await self.runtime.profile(user)
        assert found is not None
        return found

    async def state(self, *users: str) -> dict[str, bytes]:
        """Give everything known of customers, in a form that can be compared."""
        profiles = {user: await self.runtime.profile(user) for user in users}
        return {user: msgspec.msgpack.encode(profile) for user, profile in profiles.items()}

    def told(self) -> list[str]:
        """Give each durable decision as `customer message outcome reason channel`."""
        return [
            f"{user} {one.message} {one.outcome} {one.reason} {one.channel}"
            for user, one in self.decided
        ]

    def balance(self) -> tuple[int, int]:
        """Give what was received, and what it became."""
        counters = self.runtime.counters
        return counters.received, counters.stored + counters.duplicates + counters.quarantined


def changed(source: Mapping[str, Any], **sections: Mapping[str, Any]) -> dict[str, Any]:
    """Give a workspace with some entries of its sections replaced."""
    return {**source, **{name: {**source.get(name, {}), **new} for name, new in sections.items()}}


async def reviewed(shard: Shard) -> None:
    """Wait until everybody has been looked at, through the pauses there are in between."""
    version = shard.runtime.program.edition
    async with asyncio.timeout(20):
        while True:
            row = await shard.store.review()
            if row is not None and row.version == version and row.ended_at:
                return
            await asyncio.sleep(0)
