"""What must hold after every recovery and at the end, whatever went wrong before.

Called by `world`. The journal is read entry by entry, once: each is decided again, folded, and
judged by `rulings`. Then what the runtime has in memory is compared with it, and so are snapshots,
timers and the outbox.
Of customers who were erased nothing may be left, and nothing may come back.

*Rules*
- The checker reads past the faults: it never changes what happens.
"""

import msgspec

from actors.directory import decode_entry
from actors.rows import WHO_IS_WHO, Entry, MemberRow
from actors.runtime import Runtime
from actors.simulate.disk import Seen, SimStore
from actors.simulate.hazards import Hazards
from actors.simulate.scene import Scene
from actors.simulate.unions import Past, Unions
from actors.simulate.witness import Witness
from actors.stays import stays_of
from actors.tombstones import identity_of
from engine.events import Abridged, Departed, Event, Receipt, ReceiptStatus
from engine.evolve import fold
from engine.limits import OUTBOX_DEPTH_MAX
from engine.profile import Profile
from engine.records import Decided, Emitted
from engine.step import step

_ENCODE = msgspec.msgpack.Encoder().encode
_PROFILE = msgspec.msgpack.Decoder(Profile)
_LATEST = 1 << 60
_TICKS_MAX = 5_000


class Auditor:
    """The checker of one simulation; it outlives every process."""

    def __init__(self, scene: Scene, witness: Witness, hazards: Hazards) -> None:
        self._scene = scene
        self._programs = {program.version: program for program in scene.programs}
        self._witness = witness
        self._hazards = hazards
        self._pasts: dict[str, Past] = {}
        self._unions = Unions(self._pasts, witness.accuse)
        self._last: Entry | None = None
        self._journaled: dict[str, int] = {}  # input id -> seq
        self.entry_count = 0
        self.decision_count = 0
        self.check_count = 0

    async def check(self, store: SimStore, runtime: Runtime) -> None:
        """Check what a process found on disk, and what it made of it."""
        self.check_count += 1
        self._hazards.is_paused = True
        self._drop_erased(store)
        await self._read(store)
        self._check_acknowledged(store)
        await self._compare_live(runtime)
        self._unions.check(store.kept.links(), store.seen.cuts)
        self._compare_snapshots(store)
        await self._compare_timers(store)
        await self._compare_members(store)
        await self._compare_stays(store)
        self._check_erased(store)
        self._hazards.is_paused = False
        self._witness.note("checked", self.entry_count)

    async def check_drained(self, store: SimStore, runtime: Runtime, now: int) -> None:
        """Check that everything that was due has happened, in a world without faults."""
        await self.check(store, runtime)
        accuse, gauges, counters = self._witness.accuse, runtime.gauges(), runtime.counters
        for name in ("mailbox_depth", "outbox_depth"):
            if gauges[name]:
                accuse("once faults stop everything due drains", name, gauges[name])
        overdue = [key for key in store.seen.wakes if key[0] <= now]
        if overdue:
            accuse("once faults stop everything due drains", "timer", *overdue[0])
        for row in await store.kept.outbox_open():
            accuse("once faults stop everything due drains", row.message_id, row.state)
        became = counters.stored + counters.duplicates + counters.quarantined + counters.erased
        if gauges["erasures_open"] or store.seen.unfinished:
            accuse("once faults stop everything due drains", "erasures")
        if counters.received != became:
            accuse("what is received is accounted for", counters.received, became)
        if counters.deaths or counters.timers_early:
            accuse("no actor fails, no timer is early", counters.deaths, counters.timers_early)
        self._check_endings()
        await self._check_hearsay(store)

    def check_bounds(self, runtime: Runtime) -> None:
        """Check that queues stay below their bounds."""
        depth, most = runtime.gauges(), runtime.settings.queue_max + _TICKS_MAX
        if depth["outbox_depth"] > OUTBOX_DEPTH_MAX:
            self._witness.accuse("queues stay below their bounds", "outbox")
        if depth["mailbox_depth"] > most + depth["outbox_depth"] or depth["mailbox_depth"] < 0:
            self._witness.accuse("queues stay below their bounds", "mailboxes")

    # The journal.

    async def _read(self, store: SimStore) -> None:
        last = self._last
        async for portion in store.kept.tail(last.seq - 1 if last else 0):
            for entry in portion:
                if entry.seq <= store.seen.cuts.get(entry.customer, 0):
                    continue  # it is being erased
                if last is not None and entry.seq <= last.seq:
                    if entry != last:
                        self._witness.accuse("what was journaled stays", entry.seq)
                    continue
                self._take(entry, store.seen)
                self._last = entry
        if last is not None and self._last is last and not await self._holds(store, last):
            self._witness.accuse("what was journaled stays", last.seq)

    async def _holds(self, store: SimStore, last: Entry) -> bool:
        is_erased = last.seq <= store.seen.cuts.get(last.customer, 0) or (
            last.seq in store.seen.blanked
        )
        return is_erased or await store.kept.entries(last.seq, 1) == [last]

    def _drop_erased(self, store: SimStore) -> None:
        """Know nothing any more of customers who were erased, as far as they were."""
        for customer, last_seq in store.seen.cuts.items():
            past = self._pasts.get(customer)
            if past is not None and past.entries[0].seq <= last_seq:
                del self._pasts[customer]
                if past.entries[-1].seq > last_seq:
                    self._witness.accuse("erased is erased", customer, "goes on as they were")

    def _check_erased(self, store: SimStore) -> None:
        """Check that nothing is stored of customers whose erasure is done."""
        seen = store.seen
        if seen.unfinished or not seen.cuts:
            return
        kept = store.kept.keys()
        for customer, last_seq in seen.cuts.items():
            for what, who, seq in kept:
                if who == customer and seq <= last_seq:
                    self._witness.accuse("erased is erased", customer, what, seq)
        for name in store.kept.message_ids():
            if name in seen.gone_messages:
                self._witness.accuse("erased is erased", seen.gone_messages[name], name)

    async def _check_hearsay(self, store: SimStore) -> None:
        """Check that nobody's journal names somebody erased as somebody else."""
        seen = store.seen
        names = {name: _ENCODE(name) for name in seen.cuts}
        async for portion in store.kept.tail(0):
            for entry in portion:
                if entry.input[2:6] not in WHO_IS_WHO:
                    continue
                whose = self._pasts.get(self._unions.who(entry.customer))
                own = whose.folded.absorbed if whose is not None else {}
                for name, written in names.items():
                    is_before = entry.seq <= seen.grave_seqs.get(identity_of(name), 0)
                    if is_before and written in entry.input and name not in own:
                        self._witness.accuse("erased is erased", name, "is named", entry.seq)

    def _take(self, entry: Entry, seen: Seen) -> None:
        self.entry_count += 1
        given, records = decode_entry(entry)
        self._witness.note("entry", entry.seq, entry.customer, entry.at)
        if isinstance(given, (Event, Receipt)):
            if given.id in self._journaled:
                self._witness.accuse("each event is in the journal once", given.id)
            self._journaled[given.id] = entry.seq
            if self._is_back(given, entry.seq, seen):
                self._witness.accuse("erased is erased", entry.customer, "comes back", given.id)
        past = self._pasts.get(entry.customer)
        if past is None:
            past = self._pasts[entry.customer] = Past(entry.customer, self._witness.accuse)
        is_torn = self._is_torn(past, entry, seen)
        past.entries.append(entry)
        past.body = b""
        if is_torn:
            past.is_torn = True
            if isinstance(given, Abridged):
                past.mend(_PROFILE.decode(given.profile))
            return
        into = given.into if isinstance(given, Departed) else ""
        is_of_erased = entry.seq <= seen.cuts.get(into, 0)
        self._unions.take(past, given, is_of_erased=is_of_erased)
        for record in records:
            if isinstance(record, Emitted):
                past.count(record.name)
        again = step(past.decided, given, self._programs[entry.program], entry.at)
        if _ENCODE(again.records) != entry.records:
            self._witness.accuse("deciding again gives the same", entry.seq)
        fold(past.folded, *decode_entry(entry), entry.at)
        past.rulings.take(given, records, self._scene.rules[entry.program], entry.at)
        self.decision_count += sum(isinstance(record, Decided) for record in records)

    def _is_torn(self, past: Past, entry: Entry, seen: Seen) -> bool:
        """Say whether entries before this one were erased before they were read."""
        last_seq = past.entries[-1].seq if past.entries else 0
        return past.is_torn or (entry.prev != last_seq and entry.prev in seen.blanked)

    def _is_back(self, given: Event | Receipt, seq: int, seen: Seen) -> bool:
        return seen.refuses(given, seq) or given.id in seen.gone_inputs

    def _check_acknowledged(self, store: SimStore) -> None:
        seen = store.seen
        for name in self._witness.acknowledged:
            if name in self._journaled:
                continue
            given = self._witness.inputs[name]
            is_gone = name in seen.gone_inputs or seen.refuses(given)
            if isinstance(given, Receipt) and given.message not in seen.decided:
                is_gone = is_gone or seen.was_cut(given.user or "")
            if isinstance(given, Receipt) and given.message in seen.gone_messages:
                is_gone = True
            if not is_gone:
                self._witness.accuse("each acknowledged event is in the journal", name)

    # What was made of it.

    async def _compare_live(self, runtime: Runtime) -> None:
        for customer, past in self._pasts.items():
            folded = past.body or self._compare_decided(past)
            live = await runtime.profile(customer)
            if live is None or _ENCODE(live) != folded:
                self._witness.accuse("replay of the journal is the live profile", customer)
            held = {slot.message_id for slot in past.folded.ledger}
            if held != set(past.rulings.slots):
                self._witness.accuse("the ledger holds what was sent and did not fail", customer)

    def _compare_decided(self, past: Past) -> bytes:
        """Compare what deciding again led to, once after each entry; gives the profile as bytes."""
        past.body = _ENCODE(past.folded)
        if past.body != _ENCODE(past.decided):
            self._witness.accuse("deciding again gives the same profile", past.folded.customer)
        return past.body

    def _compare_snapshots(self, store: SimStore) -> None:
        for customer, row in store.seen.snapshots.items():
            past = self._pasts[customer]
            if row.seq <= past.checked_seq:
                continue
            past.checked_seq = row.seq
            profile = _PROFILE.decode(row.body)
            for entry in past.entries:
                if entry.seq > row.seq:
                    fold(profile, *decode_entry(entry), entry.at)
            if _ENCODE(profile) != _ENCODE(past.folded):
                self._witness.accuse("snapshot and tail are the whole replay", customer)

    async def _compare_timers(self, store: SimStore) -> None:
        """Check that every deferral has ended or is due, and so has every wait."""
        rows = await store.kept.timers(-1, _LATEST, 1 << 30)
        stored = {(row.at, row.customer, row.timer) for row in rows}
        wanted = {
            (timer.at, customer, number)
            for customer, past in self._pasts.items()
            for number, timer in past.folded.timers.items()
        }
        if stored != wanted:
            self._witness.accuse("timers are what profiles wait for", *sorted(stored ^ wanted)[:3])
        for customer, past in self._pasts.items():
            due = {
                pending.proposal: past.folded.timers[pending.timer].at
                for pending in past.folded.pending.values()
                if pending.timer in past.folded.timers
            }
            if due != past.rulings.waiting:
                self._witness.accuse("every deferral ends or is due", customer)

    async def _compare_members(self, store: SimStore) -> None:
        """Check that the store has everybody in the segments their journal takes them to."""
        wanted: dict[str, list[MemberRow]] = {}
        for customer in sorted(self._pasts):
            for segment, since in self._pasts[customer].folded.segments.items():
                wanted.setdefault(segment, []).append(MemberRow(customer, since))
        sizes = await store.kept.segment_sizes()
        stored = {name: await store.kept.members(name, "", 1 << 30) for name in sizes}
        if stored != wanted:
            names = [name for name in {**stored, **wanted} if stored.get(name) != wanted.get(name)]
            self._witness.accuse("segments have the members their journals say", *names)

    async def _compare_stays(self, store: SimStore) -> None:
        """Check that the store has everybody where their journal takes them in journeys."""
        wanted = [
            row
            for customer in sorted(self._pasts)
            for row in stays_of(customer, self._pasts[customer].folded)
        ]
        stored = [
            row
            for journey in await store.kept.journey_sizes()
            for row in await store.kept.stays(journey, ("", 0), 1 << 30)
        ]
        if sorted(stored) != sorted(wanted):
            names = [row.customer for row in set(stored) ^ set(wanted)]
            self._witness.accuse("people are where their journals say", *sorted(names)[:3])

    def _check_endings(self) -> None:
        """Check that every message that was decided has left, or was told to have failed."""
        witness = self._witness
        ends = {
            name: told for past in self._pasts.values() for name, told in past.rulings.told.items()
        }
        for past in self._pasts.values():
            for name, decided in past.rulings.named.items():
                told = ends.get(name)
                if name not in witness.taken and told in (None, ReceiptStatus.ACCEPTED):
                    witness.accuse("every send leaves or is told to have failed", name)
                repeats = decided.message_type in self._scene.at_least_once
                if told == ReceiptStatus.FAILED and name in witness.taken and not repeats:
                    witness.accuse("what is told to have failed was not taken", name)
