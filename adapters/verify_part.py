"""The customers of one part: their journal walked once, and everything else compared with it.

Called by `adapters.verify`, in several processes at once.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from actors.outgoing import decided_at, decode_outgoing
from actors.retrace import UNKNOWN_SEQ, JournalError, Retrace, Traced, is_profile
from actors.rows import DecisionRow, Entry, OutboxRow, StayRow, TimerRow
from adapters.findings import Findings, Found
from adapters.sqlite.audit import PORTION_ROWS, Audit, Snapshot, Stream
from engine.errors import ProgramError
from engine.events import Tick
from engine.instants import format_instant
from engine.program.compile import compile_source
from engine.program.journey import Journey
from engine.program.program import Program
from engine.records import Decided

_RESTORE = "restore the data directory from a backup"
_REMADE = (
    "the server makes it again from the journal when it next needs it; if it is not the only one,"
    " look at the disk"
)
_OTHERWISE = (
    "the entry itself is what was written: another version of Nextbeat wrote it, or something that"
    " deciding must not depend on has changed; please report it with the entry's number"
)

_UNFILLED = "who is where in journeys was not compared: start the server once, it writes that down"

_decode_decided = msgspec.msgpack.Decoder(Decided).decode
_encode = msgspec.msgpack.encode


class Task(msgspec.Struct, frozen=True):
    """Which customers of which folder to look at."""

    folder: Path
    part: int
    parts: int
    decide: bool
    last_seq: int


class PartReport(msgspec.Struct):
    """What was looked at in one part, and found."""

    COUNTED: ClassVar = (
        "customers", "snapshots", "decisions", "messages", "timers", "members", "stays",
        "decided_again", "not_decided_again",
    )  # fmt: skip

    customers: int = 0
    snapshots: int = 0
    decisions: int = 0
    messages: int = 0
    timers: int = 0
    members: int = 0
    stays: int = 0
    decided_again: int = 0
    not_decided_again: int = 0
    found: list[Found] = []
    notes: list[str] = []


def verify_part(task: Task, advance: Callable[[int], None]) -> PartReport:
    """Look at the customers of one part."""
    with closing(Audit(task.folder, task.part, task.parts)) as audit:
        walk = _Walk(task, audit, partial(_share_out, advance, task.parts))
        walk.run()
        return walk.report


def _share_out(advance: Callable[[int], None], parts: int, entries: int) -> None:
    """Every part walks through the whole journal: it counts for its share of it."""
    advance(-(-entries // parts))


class _Walk:
    """One part's way through the journal."""

    def __init__(self, task: Task, audit: Audit, advance: Callable[[int], None]) -> None:
        self._task = task
        self._audit = audit
        self._advance = advance
        self.report = PartReport()
        self._found = Findings()
        programs = _Programs(audit, self.report.notes) if task.decide else None
        find = programs.find if programs is not None else _find_nothing
        self._retrace = Retrace(find, audit.history, audit.is_erased)
        self._snapshot_seqs = audit.snapshot_seqs()
        self._last_erasure = audit.last_erasure()
        self._compared: dict[str, int] = {}  # customer -> the entry of the snapshot that fits
        self._decisions = _Derived(
            audit.stream(_DECISION, "decisions"), "decisions", _same_decision, _decided_at
        )
        self._outbox = _Derived(audit.stream(_OUTBOX, "outbox"), "outbox", _same_send, _sent_at)
        for derived in (self._decisions, self._outbox):
            derived.is_erased = audit.is_erased

    def run(self) -> None:
        """Walk to the end of the journal as it was, then to where it is now, and compare."""
        reached = 0
        self._audit.state()
        try:
            while reached < self._task.last_seq:
                until = min(reached + PORTION_ROWS, self._task.last_seq)
                self._walk(reached, until)
                self._advance(until - reached)
                reached = until
            with self._audit.freeze():
                last_seq, covered_seq = self._audit.state()
                self._walk(reached, last_seq)
                self._finish(covered_seq or 0)
        except JournalError as error:
            self._found.add("journal", str(error), _RESTORE, seq=error.seq)
        self.report.found = self._found.ordered()

    def _walk(self, after_seq: int, until_seq: int) -> None:
        self._note_retired()
        for entry in self._audit.entries(after_seq, until_seq):
            traced = self._retrace.take(entry)
            self._note(entry, traced)
            if self._snapshot_seqs.get(entry.customer) == entry.seq:
                self._compare_snapshot(entry.customer, entry.seq)

    def _note_retired(self) -> None:
        """Look how far what is too old was taken away by now: nothing is expected of before."""
        retired = self._audit.retired()
        self._retrace.retired_seq = retired.get("retired_seq", 0)
        events_at = retired.get("events_from", 0)
        self._decisions.from_at = max(events_at, retired.get("decisions_from", 0))
        self._outbox.from_at = max(events_at, retired.get("outbox_from", 0))

    def _note(self, entry: Entry, traced: Traced) -> None:
        if traced.is_decided:
            self.report.decided_again += 1
        else:
            self.report.not_decided_again += 1
        if traced.difference:
            message = (
                f"what was decided about {entry.customer!r:.80} at {format_instant(entry.at)}"
                f" is not decided again: {traced.difference}"
            )
            self._found.add("decide again", message, _OTHERWISE, seq=entry.seq)
        for decision in traced.decisions:
            self.report.decisions += 1
            self._decisions.expect(decision, entry.seq, self._found)
        for send in traced.sends:
            self.report.messages += 1
            self._outbox.expect(send, entry.seq, self._found)

    def _compare_snapshot(self, customer: str, seq: int) -> None:
        snapshot = self._audit.snapshot(customer)
        if snapshot is None or snapshot.seq != seq or self._retrace.is_torn(customer):
            return  # written anew meanwhile: looked at in the end
        self._judge(customer, snapshot, fits=self._retrace.fits(customer, snapshot.body))

    def _judge(self, customer: str, snapshot: Snapshot, *, fits: bool) -> None:
        self.report.snapshots += 1
        self._compared[customer] = snapshot.seq
        row = f"customer {customer!r:.80}"
        if not snapshot.is_whole:
            message = "the snapshot is not what was written: its checksum does not fit"
            self._found.add("snapshots", message, _REMADE, seq=snapshot.seq, row=row)
        elif not fits:
            message = "the snapshot is not what the journal up to its entry gives"
            self._found.add("snapshots", message, _RESTORE, seq=snapshot.seq, row=row)

    def _finish(self, covered_seq: int) -> None:
        """Compare what is only known at the end."""
        self._leave_out_erased()
        self.report.customers = len(self._retrace.customers())
        for derived in (self._decisions, self._outbox):
            derived.expect_no_more(self._found)
        self._finish_snapshots(covered_seq)
        self._finish_timers()
        self._finish_members()
        self._finish_stays()

    def _leave_out_erased(self) -> None:
        """Forget customers who were erased while the journal was walked."""
        if self._audit.last_erasure() == self._last_erasure:
            return
        for customer in self._retrace.customers():
            if self._audit.is_erased(self._retrace.last_seq(customer)):
                self._retrace.forget(customer)

    def _finish_snapshots(self, covered_seq: int) -> None:
        seqs = self._audit.snapshot_seqs()
        for customer, seq in seqs.items():
            if self._compared.get(customer) != seq and not self._is_beyond(customer, seq):
                self._compare_late(customer, seq)
        for customer in self._retrace.customers():
            last_seq, seq = self._retrace.last_seq(customer), seqs.get(customer, 0)
            if last_seq > seq and self._first_after(customer, seq) <= covered_seq:
                message = (
                    f"its snapshot goes to entry {seq or 'none'}, and the store believes that"
                    f" everything up to entry {covered_seq} is in snapshots"
                )
                row = f"customer {customer!r:.80}"
                self._found.add("snapshots", message, _RESTORE, seq=last_seq, row=row)

    def _is_beyond(self, customer: str, seq: object) -> bool:
        """Say whether the entries a snapshot was made of are not all there any more."""
        is_retired = isinstance(seq, int) and 0 < seq <= self._retrace.retired_seq
        return is_retired or self._retrace.is_torn(customer)

    def _first_after(self, customer: str, seq: int) -> int:
        """Find a customer's first entry after another."""
        entries = self._audit.history(self._retrace.last_seq(customer))
        return next(entry.seq for entry in entries if entry.seq > seq)

    def _compare_late(self, customer: str, seq: object) -> None:
        """Compare a snapshot that was written while the journal was walked; or one that is none."""
        snapshot = self._audit.snapshot(customer)
        entries = self._audit.history(seq) if isinstance(seq, int) else []
        if snapshot is None or not entries or entries[-1].customer != customer:
            message = f"the snapshot is of entry {seq}, which is not one of this customer's"
            self._found.add("snapshots", message, _RESTORE, row=f"customer {customer!r:.80}")
            return
        fits = is_profile(self._retrace.profile_at(entries[-1].seq), snapshot.body)
        self._judge(customer, snapshot, fits=fits)

    def _finish_timers(self) -> None:
        unseen = {
            (customer, timer): row
            for customer in self._retrace.customers()
            for timer, row in self._retrace.timers(customer).items()
        }
        for row in self._audit.timers():
            self.report.timers += 1
            wanted = unseen.pop((row[1], row[2]), None)
            if not _is_wanted(row, wanted) and row[3] > self._retrace.retired_seq:
                message = "nobody waits for this timer, or not for this instant"
                self._found.add("timers", message, _RESTORE, seq=row[3], row=_name_timer(row))
        failed = self._audit.failed_ticks() if unseen else set[bytes]()
        for wanted in unseen.values():
            if msgspec.json.encode(Tick(wanted.timer, wanted.at)) not in failed:
                message = "its customer waits for this timer, and it is not there"
                self._found.add(
                    "timers", message, _RESTORE, seq=wanted.seq, row=_name_timer(wanted)
                )

    def _finish_members(self) -> None:
        unseen = {
            (segment, customer): since
            for customer in self._retrace.customers()
            for segment, since in self._retrace.segments(customer).items()
        }
        for segment, customer, since in self._audit.members():
            self.report.members += 1
            known = unseen.pop((segment, customer), None)
            if known != since and not self._is_beyond_knowing(customer):
                message = "the journal does not have this customer in this segment since then"
                row = f"{segment!r:.80} of {customer!r:.80}"
                self._found.add("members", message, _RESTORE, row=row)
        for segment, customer in unseen:
            if self._is_beyond_knowing(customer):
                continue
            message = "the journal has this customer in this segment, and the table does not"
            row = f"{segment!r:.80} of {customer!r:.80}"
            self._found.add("members", message, _RESTORE, row=row)

    def _finish_stays(self) -> None:
        if not self._audit.has_stays():
            self.report.notes.append(_UNFILLED)
            return
        unseen = {
            row[:2]: row
            for customer in self._retrace.customers()
            for row in self._retrace.stays(customer)
        }
        for row in self._audit.stays():
            self.report.stays += 1
            if unseen.pop(row[:2], None) != row and not self._is_beyond_knowing(row[0]):
                self._note_stay(row, "the journal does not have this customer at this place")
        for row in unseen.values():
            if not self._is_beyond_knowing(row.customer):
                self._note_stay(row, "the journal has this customer there, and the table does not")

    def _note_stay(self, row: StayRow | tuple[Any, ...], message: str) -> None:
        seq = self._retrace.last_seq(row[0]) or None
        name = f"stay {row[1]} of {row[0]!r:.80} in {row[2]!r:.80}"
        self._found.add("stays", message, _RESTORE, seq=seq, row=name)

    def _is_beyond_knowing(self, customer: str) -> bool:
        """Say whether what is there of a customer's entries is not all there was."""
        is_gone = self._retrace.retired_seq and not self._retrace.last_seq(customer)
        return bool(is_gone) or self._retrace.is_torn(customer)


def _is_wanted(row: tuple[int, str, int, int, int], wanted: TimerRow | None) -> bool:
    """Say whether a timer is the one that is wanted, as far as is known which entry set it."""
    if wanted is None or wanted.seq != UNKNOWN_SEQ:
        return row == wanted
    return row[:3] == wanted[:3]


def _find_nothing(_version: str) -> Program | None:
    return None


def _name_timer(row: TimerRow | tuple[Any, ...]) -> str:
    return f"timer {row[2]} of {row[1]!r:.80}"


_DECISION = "decision_id, seq, customer, at, journey, message, outcome, reason, channel, body"
_OUTBOX = "message_id, customer, channel, body"


class _Derived:
    """A table whose rows must be those the journal gives, in order."""

    def __init__(
        self,
        stream: Stream,
        table: str,
        is_same: Callable[[Any, tuple[Any, ...]], bool],
        at_of: Callable[[Any], int | None],
    ) -> None:
        self.from_at = 0  # what is from before this instant may be gone
        self._at_of = at_of
        self._stream = stream
        self._table = table
        self._is_same = is_same
        self.is_erased: Callable[[int], bool] = _never
        self._is_lost = False  # after a difference: what follows would all be out of step

    def expect(self, expected: DecisionRow | OutboxRow, seq: int, found: Findings) -> None:
        """Compare the next row with what an entry gives."""
        if self._is_lost or self._is_old(expected):
            return
        row = self._take()
        if row is not None and self._is_same(expected, row):
            return
        if self.is_erased(seq):  # since the entry was read
            if row is not None:
                self._stream.put_back(row)
            return
        while row is not None and self._stream.has_lost(row):  # since the row was read
            row = self._take()
            if row is not None and self._is_same(expected, row):
                return
        self._is_lost = True
        there = "there is none" if row is None else f"the row there is {row[0]!r:.80}"
        if row is not None and row[0] == expected[0]:
            there = "the row says something else"
        message = f"the journal gives {expected[0]} at this place of the table, and {there}"
        found.add(self._table, message, _RESTORE, seq=seq, row=expected[0])

    def expect_no_more(self, found: Findings) -> None:
        """Look for rows after all that the journal gives."""
        row = None if self._is_lost else self._take()
        while row is not None and self._stream.has_lost(row):
            row = self._take()
        if row is not None:
            message = "the journal has no entry that gives this row"
            found.add(self._table, message, _RESTORE, row=f"{row[0]!r:.80}")

    def _take(self) -> tuple[Any, ...] | None:
        """Give the next row that must be there."""
        while (row := self._stream.take()) is not None and self._is_old(row):
            pass
        return row

    def _is_old(self, row: Any) -> bool:  # noqa: ANN401 - of a table, or as it is expected
        at = self._at_of(row) if self.from_at else None
        return at is not None and at < self.from_at


def _never(_seq: int) -> bool:
    return False


def _decided_at(row: Any) -> int | None:  # noqa: ANN401 - a damaged row may hold anything
    return row[3] if isinstance(row[3], int) else None


def _sent_at(row: Any) -> int | None:  # noqa: ANN401 - a damaged row may hold anything
    return decided_at(row.body if isinstance(row, OutboxRow) else row[-1])


def _same_decision(expected: DecisionRow, row: tuple[Any, ...]) -> bool:
    if expected == row:
        return True
    return expected[:-1] == row[:-1] and _is_same_body(expected.body, row[-1], _decode_decided)


def _same_send(expected: OutboxRow, row: tuple[Any, ...]) -> bool:
    if expected[:3] != row[:3]:
        return False
    return _is_same_body(expected.body, row[3], decode_outgoing)


def _is_same_body(expected: bytes, body: object, decode: Callable[[bytes], object]) -> bool:
    """Compare bodies; one of an older form is brought to today's."""
    if body == expected:
        return True
    if not isinstance(body, bytes):
        return False
    try:
        return _encode(decode(body)) == expected
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False


class _Programs:
    """The workspaces that were in force, compiled when an entry first names them."""

    def __init__(self, audit: Audit, notes: list[str]) -> None:
        rows = audit.connection.execute(
            "SELECT version, source FROM programs WHERE source IS NOT NULL ORDER BY at, id"
        )
        self._sources: dict[str, bytes] = dict(rows.fetchall())
        self._notes = notes
        self._compiled: dict[str, Program | None] = {}
        self._whole: dict[str, Program | None] = {}

    def find(self, version: str) -> Program | None:
        """Give the program of a version, with the journeys of the others; None without it."""
        if version not in self._whole:
            self._whole[version] = self._complete(version)
        return self._whole[version]

    def _complete(self, version: str) -> Program | None:
        if version not in self._sources:
            self._note(version, "its text was not kept")
            return None
        program = self._compile(version)
        if program is not None and program.version != version:
            self._note(version, "it means something else to this version of Nextbeat")
            return None
        return program and program.with_archive(dict(self._archive(version)))

    def _archive(self, version: str) -> Iterator[tuple[str, Journey]]:
        for other in self._sources:
            program = self._compile(other) if other != version else None
            if program is not None:
                yield from ((journey.version, journey) for journey in program.journeys.values())

    def _compile(self, version: str) -> Program | None:
        if version not in self._compiled:
            try:
                source = msgspec.json.decode(self._sources[version])
                self._compiled[version] = compile_source(source)
            except (msgspec.MsgspecError, ProgramError) as error:
                self._compiled[version] = None
                self._note(version, f"it no longer compiles ({str(error).splitlines()[0]:.200})")
        return self._compiled[version]

    def _note(self, version: str, why: str) -> None:
        self._notes.append(
            f"entries decided by workspace {version[:15]} were not decided again: {why}"
        )
