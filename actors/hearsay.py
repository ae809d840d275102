"""What other customers' journals say of somebody who was erased.

Used by `actors.erasures` when no entry of the erased person's own is left. Whoever was taken for
them, and is not, has copies of them: the profile that came in with a merge, and all that happened
until the two were parted. And there are names: of whom one was parted, of whom a merge was refused,
whose a device is now.

*Rules*
- What happened to two while they were one is of both, and is erased in the journal of either.
- Before anything is erased there, the one whose journal it is begins anew with an `Abridged`, and
  with a snapshot in the same commit: nobody has to be folded from what is gone.
- The journal is searched, not what anybody remembers of it: copies are copied on by merges. That
  takes one reading of it, and is begun again by a process that is started again.
- The ends of a time in which two were one are erased last, together: so it is found again whole.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence

import msgspec

from actors.carrier import Carrier, Floor
from actors.commits import Batch
from actors.customer import Customer
from actors.directory import Directory
from actors.endings import OPEN_STATES
from actors.halting import Halting
from actors.intake import Intake
from actors.outbox import Outbox
from actors.ports import Clock, Keeper, Store
from actors.remains import PORTION, Remains, read_chain, remains_of
from actors.rows import Entry
from engine.belongings import leave_out, strangers_of
from engine.errors import StoreError
from engine.events import (
    Abridged,
    Departed,
    Event,
    EventKind,
    Input,
    Linked,
    Merged,
    Refused,
    Restored,
    Unlinked,
)
from engine.identities import ANONYMOUS_PREFIX
from engine.profile import Profile
from engine.reasons import Reason

_WALK_ROWS = 500
_POLL_MS = 20
_encode = msgspec.msgpack.Encoder().encode
_decode_profile = msgspec.msgpack.Decoder(Profile).decode


class Told:
    """What one customer's journal says of some names; read from its last entry back."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(names)
        self._bytes = [name.encode() for name in names]
        self._open: dict[str, list[Remains]] = {}  # parted from whom -> all since they were one
        self._found: dict[int, Remains] = {}
        self._ends: set[int] = set()  # when two became one, and when they were parted
        self._abridged_seq = 0

    def take(self, entry: Entry) -> None:
        """Look at the entry before the one that was looked at last."""
        remains = remains_of(entry)
        given, left = remains.given, msgspec.structs.replace(remains, given=None)
        for stretch in self._open.values():
            stretch.append(left)
        if isinstance(given, Restored):
            self._open.setdefault(given.apart, []).append(left)
        elif isinstance(given, (Merged, Departed)):
            self._close(given)
        elif isinstance(given, Abridged):
            self._abridged_seq = max(self._abridged_seq, entry.seq)
        if isinstance(given, (Merged, Departed, Restored)):
            self._ends.add(entry.seq)
        if self._speaks(given):
            self._doom([left])

    def _close(self, given: Merged | Departed) -> None:
        """Come to when two became one who were parted again later."""
        name = given.into if isinstance(given, Departed) else given.customer
        stretch = self._open.pop(name, [])
        if name in self._names:
            self._doom(stretch)

    def _speaks(self, given: Input | None) -> bool:
        """Say whether an input names one of them as somebody else."""
        said: set[str] = set()
        match given:
            case Linked():
                said = {value for _, value in given.keys}
            case Unlinked():
                said = {given.to, *(value for _, value in given.keys)}
            case Refused():
                said = {given.customer}
            case Departed():
                said = {given.into}
            case Restored():
                said = {given.apart, *self._copied(given.profile)}
            case Merged() | Abridged():
                said = {*self._copied(given.profile)}
            case Event(kind=EventKind.ALIAS):
                previous = str(given.properties.get("previousId"))
                said = {previous, ANONYMOUS_PREFIX + previous}
            case _:
                pass
        return not self._names.isdisjoint(said)

    def _copied(self, body: bytes) -> set[str]:
        return strangers_of(_decode_profile(body)) if self._may_say(body) else set()

    def _may_say(self, body: bytes) -> bool:
        return any(name in body for name in self._bytes)

    def _doom(self, told: Iterable[Remains]) -> None:
        self._found |= {one.seq: one for one in told}

    def finish(self) -> None:
        """Come to the beginning.

        Of whom nothing says any more when they came in, it is too old: what is left goes.
        """
        for name in self._names & self._open.keys():
            self._doom(self._open[name])

    def portions(self) -> list[list[Remains]]:
        """Give the entries that are to be erased, in the order in which they may be."""
        found = [self._found[seq] for seq in sorted(self._found)]
        inner = [one for one in found if one.seq not in self._ends]
        portions = [inner[at : at + PORTION] for at in range(0, len(inner), PORTION)]
        ends = [one for one in found if one.seq in self._ends]
        return [*portions, ends] if ends else portions

    def is_abridged(self) -> bool:
        """Say whether who folds the journal begins after all that is to be erased."""
        return not self._found or self._abridged_seq > max(self._found)


class Hearsay:
    """Finds what others' journals say, and has them begin anew."""

    def __init__(  # noqa: PLR0913 - as `actors.erasures`
        self,
        store: Store,
        directory: Directory,
        intake: Intake,
        outbox: Outbox,
        clock: Clock,
        *,
        carrier: Carrier,
        floor: Floor,
        batch: Callable[[], Batch],
        now: Callable[[], int],
        alone: asyncio.Lock,
        keepers: Sequence[Keeper],
    ) -> None:
        """Take what `actors.erasures` has."""
        self._store = store
        self._directory = directory
        self._intake = intake
        self._outbox = outbox
        self._clock = clock
        self._carrier = carrier
        self._floor = floor
        self._batch = batch
        self._now = now
        self._alone = alone
        self._keepers = keepers

    async def find(self, names: Collection[str]) -> AsyncIterator[list[Remains]]:
        """Give what is to be erased, in portions. Raises StoreError."""
        looked: dict[str, int] = {}
        async for customer, seq in self._search(names):
            if seq <= looked.get(customer, -1):
                continue
            async with self._alone:
                looked[customer] = await self._last_seq(customer)
                told = await self._read(customer, looked[customer], names)
                await self._abridge(customer, names, told)
            async for portion in self._clear(customer, told):
                yield portion

    async def _search(self, names: Collection[str]) -> AsyncIterator[tuple[str, int]]:
        """Give whose entries, and then whose snapshots, may say one of the names."""
        reached = 0
        while (told := await self._store.mentioning(names, reached)).reached:
            reached = told.reached
            for customer, seq in told.customers.items():
                yield customer, seq
        after = ""
        while (kept := await self._store.remembering(names, after)).reached:
            after = kept.reached
            for customer in kept.customers:
                yield customer, 0

    async def _last_seq(self, customer: str) -> int:
        row = (await self._store.load([customer])).get(customer)
        return max(self._directory.durable_seq(customer), row.seq if row else 0)

    async def _clear(self, customer: str, told: Told) -> AsyncIterator[list[Remains]]:
        """Give what can be erased of a customer who has begun anew."""
        portions = told.portions()
        await self._call_off(
            customer, [name for part in portions for one in part for name in one.messages]
        )
        for portion in portions:
            yield portion

    async def _read(self, customer: str, last_seq: int, names: Collection[str]) -> Told:
        told, seq = Told(names), last_seq
        while seq:
            portion = await read_chain(self._store, customer, seq, _WALK_ROWS)
            for entry in portion:
                told.take(entry)
            seq = portion[-1].prev if portion else 0
        told.finish()
        return told

    async def _abridge(self, customer: str, names: Collection[str], told: Told) -> None:
        """Put all that a customer is into one entry and one snapshot, without the names."""
        halting = Halting(self._floor, self._carrier)
        try:
            actor = await halting.stop(customer)
            is_told = self._tell(actor, names, is_needed=not told.is_abridged())
        finally:
            halting.let_go()
        if is_told:
            await self._floor.durable()

    def _tell(self, actor: Customer, names: Collection[str], *, is_needed: bool) -> bool:
        profile = actor.profile
        if profile is None or self._directory.find(actor.id) is not actor:
            raise StoreError("a commit failed meanwhile")
        if not actor.last_seq or not (is_needed or strangers_of(profile) & set(names)):
            return False
        clean = _decode_profile(actor.snapshot_copy())
        keys = leave_out(clean, names)
        self._intake.drop(keys)
        lost = [(namespace, value, actor.id) for namespace, value in keys]
        self._batch().commit.erased.links += lost
        self._floor.tell(actor, Abridged(_encode(clean), self._now()))
        self._directory.press(actor)
        return True

    async def _call_off(self, customer: str, messages: Sequence[str]) -> None:
        """See to it that messages which say something of both don't leave, and are settled."""
        wanted = frozenset(messages)
        self._outbox.cancel(customer, lambda send: send.message_id in wanted, Reason.ERASED.value)
        self._outbox.give_up(await self._store.messages(messages), Reason.ERASED.value)
        while any(row.state in OPEN_STATES for row in await self._store.messages(messages)):
            await self._clock.sleep_until(self._clock.now() + _POLL_MS)
        if messages:
            for keeper in self._keepers:
                await keeper.erase_messages(messages)
