"""Erasing a customer: out of memory, out of the store, out of what the store leaves behind.

Owned by `actors.runtime`. It finds out whom a name means and what they are known by, cuts them off
in one commit, erases row by row what remains, and has the store and other keepers clean up.

*Rules*
- The cut is one commit: what is known of the customer, what they wait for, what waits to leave, and
  the tombstones. When it is durable there is no such customer any more. What names them waits
  until then, and is looked at anew.
- What is to be done is durable with the cut, and is done in portions, so that others get their
  turns; a process that stops in the middle goes on when it is started again.
- A message in a provider's hands is let end, and is waited for.
- An erasure is done when nothing is left; then not even it says whom it was about.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec

from actors.ahead import find_ahead
from actors.calls import Calls
from actors.carrier import Carrier, Floor
from actors.commits import Batch
from actors.customer import Customer, Halt, Move
from actors.cuts import Cut, ErasureState, Scope
from actors.directory import Directory
from actors.halting import Halting
from actors.hearsay import Hearsay
from actors.intake import Intake
from actors.mentions import Mentions
from actors.outbox import Outbox
from actors.ports import Clock, Keeper, Store
from actors.remains import Remains, read_chain, remains_of
from actors.rows import Erased, ErasureRow
from actors.tombstones import EVENT, Gate, identity_of
from engine.errors import StoreError
from engine.events import Event, Key, Tick
from engine.identities import ANONYMOUS, ANONYMOUS_PREFIX
from engine.instants import SECOND_MS
from engine.profile import Profile
from engine.reasons import Reason

QUARANTINE_PORTION = 200
_RETRY_MS = SECOND_MS
_POLL_MS = 20
_ASK_AGAIN = "somebody it names is being erased: send it again"
_TELLING = ("email", "phone")
_ENCODE = msgspec.msgpack.Encoder().encode
_log = logging.getLogger("nextbeat.erasures")


_decode_scope = msgspec.msgpack.Decoder(Scope).decode
_NO_KEEPERS: Sequence[Keeper] = ()


class Erasures:
    """All erasures of one shard that are not done."""

    def __init__(  # noqa: PLR0913 - each is another part of what knows a customer
        self,
        store: Store,
        clock: Clock,
        gate: Gate,
        directory: Directory,
        intake: Intake,
        outbox: Outbox,
        *,
        calls: Calls,
        carrier: Carrier,
        batch: Callable[[], Batch],
        flying: Callable[[], Batch | None],
        now: Callable[[], int],
        dropped: Callable[[Tick | None], None],
        telling: Callable[[], Iterable[str]],
        floor: Floor,
        alone: asyncio.Lock,
        keepers: Sequence[Keeper] = _NO_KEEPERS,
    ) -> None:
        """`batch` gives the commit that is being filled, and sees to it that it goes.

        `now` is the present, not before any input was decided; `dropped` hears of what is taken
        from a mailbox and comes back no more; `telling` names the traits that tell who somebody is.
        `alone` keeps others from halting several customers at the same time.
        """
        self._store = store
        self._clock = clock
        self._gate = gate
        self._directory = directory
        self._intake = intake
        self._outbox = outbox
        self._calls = calls
        self._carrier = carrier
        self._batch = batch
        self._flying = flying
        self._now = now
        self._dropped = dropped
        self._telling = telling
        self._floor = floor
        self._keepers = keepers
        self._number = 0
        self._tasks: dict[int, asyncio.Task[ErasureRow]] = {}
        self._alone = alone
        self._left: dict[int, ErasureRow] = {}  # found at the start
        self._flights: dict[int, list[str]] = {}  # messages that were on their way at the cut
        self._hearsay = Hearsay(
            store,
            directory,
            intake,
            outbox,
            clock,
            carrier=carrier,
            floor=floor,
            batch=batch,
            now=now,
            alone=alone,
            keepers=keepers,
        )
        self._cleaning = asyncio.Lock()
        self._passes = 0  # over all files, that were begun
        self._clean_pass = 0  # the last that came to its end

    # From start to stop.

    async def open(self) -> dict[str, int]:
        """Read who was erased. Gives the entries that are still to be: of whom, up to which."""
        graves = await self._store.graves()
        self._gate.tombstones.open(graves)
        self._number = graves.last_number
        self._left = {row.number: row for row in graves.open}
        gone: dict[str, int] = {}
        for row in graves.open:
            if row.scope:
                for customer, seq in _decode_scope(row.scope).chains.items():
                    gone[customer] = max(seq, gone.get(customer, 0))
        return gone

    def start(self) -> None:
        """Go on with what a stopped process left."""
        left, self._left = self._left, {}
        for row in left.values():
            self._go_on(row)

    async def stop(self) -> None:
        """Leave the rest to the next start."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def open_count(self) -> int:
        """Count the erasures that are not done."""
        return len(self._tasks)

    # One erasure.

    async def erase(self, given: str) -> ErasureRow:
        """Erase the customer of an id or an anonymous id; gives what is durable of it.

        Raises StoreError, having erased nothing, where that can't be made durable.
        """
        async with self._alone:
            cut = await self._prepare(given)
        self._go_on(cut.row)
        return cut.row

    def pseudonym(self, customer: str) -> str:
        """Give what stands for a customer where an act names whom it was about."""
        return f"erased:{self._gate.tombstones.hash(identity_of(customer)).hex()}"

    async def wait(self, number: int, timeout_s: float) -> ErasureRow | None:
        """Wait for an erasure to be done, but not for ever; gives how far it is."""
        task = self._tasks.get(number)
        if task is not None:
            await asyncio.wait([task], timeout=timeout_s)
        return await self._store.erasure(number)

    async def _prepare(self, given: str) -> Cut:
        """Stop everybody it is about, and then cut in one turn of the event loop."""
        scope = await self._discover(given)
        halting = Halting(self._floor, self._carrier)
        halted = halting.actors
        meant = next(iter(scope.chains))
        try:
            while waiting := [name for name in scope.chains if name not in halted]:
                for name in waiting:
                    await halting.stop(name)
                for actor in halted.values():
                    self._widen(scope, actor)
                while into := _departed_into(halted.get(meant)):
                    # They were just being merged when this began: everything went there.
                    meant = into
                    scope.add(identity_of(into))
            actors = list(halted.values())
            others = await self._messages_of_others(scope, actors)
            if any(actor.durable_seq < actor.last_seq for actor in actors):
                await self._floor.durable()
            ahead = await find_ahead(self._store, actors, self._now())
            if any(self._directory.find(actor.id) is not actor for actor in actors):
                raise StoreError("a commit failed meanwhile: ask again")
            return await self._cut(scope, actors, others, ahead)
        finally:
            halting.let_go(self._gate.closed)

    async def _discover(self, given: str) -> Scope:
        """Find whom a name means, and what else they are known by."""
        customer = await self._find(given)
        identities = [identity_of(customer)] if customer else _any_identity(given)
        if customer:
            identities += await self._store.links_of(customer)
        scope = Scope({})
        for identity in identities:
            scope.add(identity)
        return scope

    def _widen(self, scope: Scope, actor: Customer) -> None:
        """Take in what a profile knows of who somebody is, and was."""
        profile = actor.profile
        if profile is None:
            raise StoreError("a commit failed meanwhile: ask again")
        for name in profile.absorbed:
            scope.add(identity_of(name))
        for namespace, values in profile.identities.items():
            for value in values:
                scope.add((namespace, value))
        for identity in self._traits_of(profile):
            scope.add(identity)

    async def _find(self, given: str) -> str:
        """Find the customer of an id or an anonymous id, who may be another by now; or ""."""
        bare = given.removeprefix(ANONYMOUS_PREFIX)
        linked = (await self._store.resolve([(ANONYMOUS, bare)])).get((ANONYMOUS, bare), "")
        own = given if given == bare else ""
        for name in (own, linked, ANONYMOUS_PREFIX + bare):
            found = await self._follow(name) if name else ""
            if found or (name and name == linked):
                return found or name
        return ""

    async def _follow(self, name: str) -> str:
        """Give who a customer is by now, "" where there is none."""
        actor = (await self._directory.recall([name]))[name]
        while actor.profile is not None and actor.profile.merged_into:
            name = actor.profile.merged_into
            actor = (await self._directory.recall([name]))[name]
        return name if actor.last_seq else ""

    async def _messages_of_others(self, scope: Scope, actors: Sequence[Customer]) -> set[str]:
        """Name what was sent in another one's name, while they were taken for one.

        The journal of that one gives it: `actors.hearsay` erases both together.
        """
        sent = [
            name for actor in actors if actor.profile is not None for name in actor.profile.sends
        ]
        rows = await self._store.messages(sent)
        return {row.message_id for row in rows if row.customer not in scope.chains}

    async def _cut(
        self,
        scope: Scope,
        actors: Sequence[Customer],
        others: Collection[str],
        ahead: Sequence[Event],
    ) -> Cut:
        """Have one commit end everything there is of a customer, and wait for it."""
        self._carrier.end_moves_to(scope.chains)
        self._gate.closed |= dict.fromkeys(scope.chains)
        batch = self._batch()
        erased, commit = batch.commit.erased, batch.commit
        for actor in actors:
            profile = actor.profile
            assert profile is not None
            scope.chains[actor.id] = actor.last_seq
            for number, timer in profile.timers.items():
                commit.timers_cleared.append((timer.at, actor.id, number))
                batch.unwakes.append((actor.id, number))
            # Also those the outbox does not have, because it takes nothing more: at the next start
            # it would find them.
            erased.messages += [name for name in profile.sends if name not in others]
            erased.messages += [one.call for one in profile.instances.values() if one.call]
            self._empty(actor)
        batch.sends = [send for send in batch.sends if send.customer not in scope.chains]
        batch.calls = [call for call in batch.calls if call.customer not in scope.chains]
        erased.customers += scope.chains
        erased.messages += self._open_messages(scope)
        erased_at = max(self._now(), *map(self._gate.tombstones.erased_at, scope.identities))
        hash_of = self._gate.tombstones.hash
        stones = [(hash_of(identity), erased_at) for identity in scope.identities]
        stones += [(hash_of((EVENT, one.id)), one.at) for one in ahead if one.at > erased_at]
        erased.tombstones += stones
        erased.acts += [(name, self.pseudonym(name)) for name in scope.chains]
        self._number += 1
        row = ErasureRow(
            self._number, self._clock.now(), erased_at, ErasureState.ERASING, 0, _ENCODE(scope)
        )
        erased.rows.append(row)
        cut = Cut(row, scope, stones, list(actors))
        batch.cuts.append(cut)
        await _durable(batch)
        return cut

    def _traits_of(self, profile: Profile) -> list[Key]:
        """List what else somebody is known by: no two people have the same."""
        names = dict.fromkeys((*_TELLING, *self._telling()))
        found = ((name, profile.traits.get(name)) for name in names)
        return [(name, value) for name, value in found if isinstance(value, str) and value]

    def _empty(self, actor: Customer) -> None:
        """Take everything out of a mailbox: what somebody sent is looked at again afterwards."""
        waiting, actor.mailbox = actor.mailbox, deque()
        for given, ticket in waiting:
            if isinstance(given, Move):
                self._dropped(None)
                if not given.is_over:
                    self._carrier.fail(given, StoreError(_ASK_AGAIN))
            elif isinstance(given, Halt):
                self._dropped(None)
                given.fail(StoreError(_ASK_AGAIN))
            elif isinstance(given, Tick):
                self._batch().commit.timers_cleared.append((given.at, actor.id, given.timer))
                self._dropped(given)
            else:
                assert ticket is not None
                self._intake.shut_out(given, ticket)

    def _open_messages(self, scope: Scope) -> list[str]:
        """Name the messages that could still leave, also those of commits under way."""
        found = self._waiting(scope)
        for batch in (self._flying(), self._batch()):
            if batch is not None:
                rows = batch.commit.outbox
                found += [row.message_id for row in rows if row.customer in scope.chains]
        return found

    def _waiting(self, scope: Scope) -> list[str]:
        ways = (self._outbox, self._calls)
        return [name for customer in scope.chains for way in ways for name in way.waiting(customer)]

    def settle(self, cuts: Sequence[Cut]) -> None:
        """Forget in memory who was cut off, for that is durable; what waited for it goes on."""
        for cut in cuts:
            for actor in cut.actors:
                self._empty(actor)  # of what came in meanwhile
                actor.is_stopped = False
                self._directory.forget(actor.id)
                self._outbox.cancel(actor.id, _every, Reason.ERASED.value)
                self._calls.cancel(actor.id)
                self._gate.closed.pop(actor.id, None)
            self._flights[cut.row.number] = self._waiting(cut.scope)
            self._intake.erased(cut.scope.chains, cut.scope.identities)
            for hashed, erased_at in cut.tombstones:
                self._gate.tombstones.add(hashed, erased_at)
        self._intake.let_in()

    def undo(self, cuts: Sequence[Cut]) -> None:
        """Let everybody in again: what was cut off is not durable, and so nothing happened."""
        for cut in cuts:
            for actor in cut.actors:
                self._gate.closed.pop(actor.id, None)
                actor.is_stopped = False
                self._floor.schedule(actor)
        self._intake.let_in()

    # What remains, in portions.

    def _go_on(self, row: ErasureRow) -> None:
        task = asyncio.get_running_loop().create_task(self._finish(row), name="erasure")
        self._tasks[row.number] = task
        task.add_done_callback(lambda _: self._ended(row.number, task))

    def _ended(self, number: int, task: asyncio.Task[ErasureRow]) -> None:
        del self._tasks[number]
        if not task.cancelled() and (error := task.exception()) is not None:
            # What is to be done stays in the store.
            _log.error("erasure %d goes on with the next start: %r", number, error)

    async def _finish(self, row: ErasureRow) -> ErasureRow:
        """Do whatever is left to be done, asking again while the store can't."""
        while row.state != ErasureState.DONE:
            try:
                if row.state == ErasureState.ERASING:
                    row = await self._erase_rows(row)
                else:
                    await self._cleanse()
                    row = await self._save(row._replace(state=ErasureState.DONE))
            except StoreError as error:
                _log.warning("erasure %d goes on later: %s", row.number, error)
                await self._clock.sleep_until(self._clock.now() + _RETRY_MS)
                row = await self._reread(row)
        return row

    async def _cleanse(self) -> None:
        """Have traces taken away; those who ask while that is under way share the next pass."""
        asked = self._passes
        async with self._cleaning:
            if self._clean_pass <= asked:
                self._passes += 1
                begun = self._passes
                await self._store.cleanse()
                self._clean_pass = begun

    async def _reread(self, row: ErasureRow) -> ErasureRow:
        try:
            return await self._store.erasure(row.number) or row
        except StoreError:
            return row

    async def _erase_rows(self, row: ErasureRow) -> ErasureRow:
        """Erase the entries of each chain, and what follows from them; then what is elsewhere."""
        scope = _decode_scope(row.scope)
        for customer in scope.chains:
            while scope.chains[customer]:
                row = await self._erase_portion(row, scope, customer)
        async for remains in self._hearsay.find(scope.chains):
            row = await self._erase_hearsay(row, remains)
        await self._erase_quarantined(scope)
        while any(map(self._carries, self._flights.get(row.number, ()))):
            await self._clock.sleep_until(self._clock.now() + _POLL_MS)
        self._flights.pop(row.number, None)
        for keeper in self._keepers:
            for customer in scope.chains:
                await keeper.erase(customer)
        return await self._save(row._replace(state=ErasureState.CLEANING, scope=b""))

    def _carries(self, name: str) -> bool:
        return self._outbox.carries(name) or self._calls.carries(name)

    async def _erase_portion(self, row: ErasureRow, scope: Scope, customer: str) -> ErasureRow:
        entries = await read_chain(self._store, customer, scope.chains[customer])
        scope.chains[customer] = entries[-1].prev if entries else 0
        remains = [remains_of(entry) for entry in entries]
        erased = self._batch().commit.erased
        erased.entries += [one.seq for one in remains]
        _take_along(erased, remains)
        count = row.entries + len(entries)
        return await self._save(row._replace(entries=count, scope=_ENCODE(scope)))

    async def _erase_hearsay(self, row: ErasureRow, remains: Sequence[Remains]) -> ErasureRow:
        erased = self._batch().commit.erased
        erased.blanked += [one.seq for one in remains]
        _take_along(erased, remains)
        return await self._save(row._replace(entries=row.entries + len(remains)))

    async def _erase_quarantined(self, scope: Scope) -> None:
        """Take items out of quarantine that mention somebody erased."""
        mentions = Mentions([value for _, value in scope.identities])
        before: int | None = None
        while rows := await self._store.quarantine(before, QUARANTINE_PORTION):
            before = rows[-1].number
            found = [row.number for row in rows if mentions.are_in(row)]
            if found:
                batch = self._batch()
                batch.commit.released += found
                await _durable(batch)
            await asyncio.sleep(0)

    async def _save(self, row: ErasureRow) -> ErasureRow:
        batch = self._batch()
        batch.commit.erased.rows.append(row)
        await _durable(batch)
        return row


async def _durable(batch: Batch) -> None:
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    batch.waiters.append(done)
    await done


def _take_along(erased: Erased, remains: Sequence[Remains]) -> None:
    """Erase what entries left elsewhere."""
    for one in remains:
        erased.decisions += one.decisions
        erased.messages += one.messages
        erased.links += one.given_up


def _any_identity(given: str) -> list[Key]:
    """Name what somebody nobody knows may turn out to be."""
    return [identity_of(given), identity_of(ANONYMOUS_PREFIX + given)]


def _every(_send: object) -> bool:
    return True


def _departed_into(actor: Customer | None) -> str:
    return actor.profile.merged_into if actor is not None and actor.profile is not None else ""
