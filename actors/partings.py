"""What people say of who is who: two customers made one, or two again.

`Partings` is the part of `actors.runtime` that the gateway asks. A merge that somebody asks for is
a move like those that identities bring about. To part two, both are stopped, the journal of the one
who stayed is read, and both are told what they are without each other, in one commit.

*Rules*
- Only one parting is under way at a time.
- What comes for either meanwhile waits in its mailbox.
"""

import asyncio

import msgspec

from actors.carrier import Carrier, Floor
from actors.customer import Customer, Move
from actors.directory import Directory, decode_entry
from actors.halting import Halting
from actors.intake import Intake
from actors.ports import Clock, Store
from engine.errors import InputError, OverloadError, StoreError
from engine.events import Abridged, Restored
from engine.identities import identities_of, is_anonymous, name_key
from engine.limits import PARTING_ENTRIES_MAX
from engine.unmerge import Happening, Parted, part

_PORTION = 500
_encode = msgspec.msgpack.Encoder().encode


class Partings:
    """Merges and partings that somebody asks for."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        intake: Intake,
        carrier: Carrier,
        clock: Clock,
        floor: Floor,
    ) -> None:
        self._store = store
        self._directory = directory
        self._intake = intake
        self._carrier = carrier
        self._clock = clock
        self._floor = floor
        self.alone = asyncio.Lock()  # who halts several customers at once

    async def merge(self, customer: str, other: str) -> None:
        """Make two customers one; `customer` stays.

        Raises InputError, OverloadError, StoreError.
        """
        if customer == other:
            raise InputError("same_customer", "expected another customer than this one", "other")
        async with self.alone:
            for path, name in (("customer", customer), ("other", other)):
                await self._check_there(name, path)
            move = Move(customer, other, (name_key(other),), merges=True, because="said so")
            move.said = asyncio.get_running_loop().create_future()
            if self._intake.merges.begin(move) is not None:
                message = "one of the two is just being merged with another"
                raise OverloadError(message)
            await move.said
        await self._floor.durable()

    async def _check_there(self, name: str, path: str) -> None:
        actor = (await self._directory.recall([name]))[name]
        assert actor.profile is not None
        if not actor.last_seq:
            raise InputError("unknown_customer", f"there is no customer {name!r:.80}", path)
        _check_present(actor, path)

    async def unmerge(self, customer: str, other: str) -> None:
        """Make a customer and one that was merged into it two again.

        Raises InputError where they are not one, or where the journal does not reach back to when
        they were two; StoreError.
        """
        async with self.alone:
            halting = Halting(self._floor, self._carrier)
            try:
                ours, theirs = await halting.stop(customer), await halting.stop(other)
                await self._floor.durable()
                _check_present(ours, "customer")
                parted = part(customer, other, await self._read(ours))
                self._tell_both(ours, theirs, parted)
            finally:
                halting.let_go()
        await self._floor.durable()

    async def _read(self, actor: Customer) -> list[Happening]:
        """Read all of a customer's entries, oldest first, from where they can be folded from."""
        told: list[Happening] = []
        seq = actor.last_seq
        while seq and not (told and isinstance(told[-1].given, Abridged)):
            portion = await self._store.entries(seq, _PORTION)
            if not portion or portion[-1].customer != actor.id:
                message = "the journal no longer has all that happened to this customer"
                raise InputError("too_old", message, "customer")
            for entry in portion:
                told.append(Happening(*decode_entry(entry), entry.at))
                if isinstance(told[-1].given, Abridged):
                    break
            if len(told) > PARTING_ENTRIES_MAX:
                message = f"more than {PARTING_ENTRIES_MAX} things happened to this customer"
                raise InputError("too_long", message, "customer")
            seq = portion[-1].prev
        return told[::-1]

    def _tell_both(self, ours: Customer, theirs: Customer, parted: Parted) -> None:
        for actor in (ours, theirs):
            if actor.profile is None or self._directory.find(actor.id) is not actor:
                raise StoreError("a commit failed meanwhile: ask again")
        assert ours.profile is not None
        held = {*identities_of(ours.profile), name_key(theirs.id)}
        if is_anonymous(theirs.id):
            held &= {*identities_of(ours.profile)}  # the device may be somebody else's by now
        now = self._clock.now()
        pairs = ((ours, parted.ours, theirs.id), (theirs, parted.theirs, ours.id))
        for actor, profile, apart in pairs:
            self._floor.tell(actor, Restored(_encode(profile), apart, now))
        keys = [key for key in identities_of(parted.theirs) if key in held]
        self._floor.link([(namespace, value, theirs.id) for namespace, value in keys])
        self._intake.noted(keys, theirs.id)
        self._intake.merges.forget([theirs.id])


def _check_present(actor: Customer, path: str) -> None:
    """Refuse to deal with who became another customer: all there was went there."""
    into = actor.profile.merged_into if actor.profile is not None else ""
    if into:
        raise InputError("merged", f"{actor.id!r:.80} is {into!r:.80} by now", path)
