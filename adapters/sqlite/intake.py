"""A commit as SQL statements: what the scribe hands to SQLite.

One statement for each kind of row there is, however many rows: beside a busy event loop every
statement waits for the interpreter's lock, and within one SQLite works without it. (Tried: one
statement for everything, through a view with triggers; SQLite then takes twice the time for a row.)
"""

from collections.abc import Iterator, Sequence

import msgspec

from actors.rows import (
    QUARTER_MS,
    Commit,
    Erased,
    MemberChange,
    OutboxChange,
    OutboxRow,
    Retired,
    StayRow,
)
from adapters.sqlite.checksums import Value, row_checksum

Statement = tuple[str, list[Value]]

# Statements are prepared once for each size and kept, so there are few sizes; a statement is filled
# up to the next with rows of nothing, which it leaves out.
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
ROWS_MAX = _SIZES[-1]  # in one statement: up to 2,560 parameters of the 32,766 SQLite allows


class Form(msgspec.Struct, frozen=True):
    """One kind of row: how many values it has, and a statement around `{rows}` of them."""

    width: int
    text: str


_ROWS = "SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"

ENTRY = Form(
    8, f"INSERT INTO journal (seq, customer, prev, at, program, input, records, hash) {_ROWS}"
)
PROGRAM = Form(
    5,
    f"INSERT INTO programs (id, version, at, source, checksum) {_ROWS}"
    " ON CONFLICT (id) DO UPDATE SET"
    " at = excluded.at, source = excluded.source, checksum = excluded.checksum"
    " WHERE source IS NULL",
)
_DECISION = Form(
    10,
    "INSERT INTO decisions (decision_id, seq, customer, at, journey, message, outcome, reason,"
    f" channel, body) {_ROWS}",
)
_TIMER_SET = Form(5, f"INSERT OR REPLACE INTO timers (at, customer, timer, seq, place) {_ROWS}")
_TIMER_CLEARED = Form(3, "DELETE FROM timers WHERE (at, customer, timer) IN (VALUES {rows})")
# A message that is there already stays as it is: one id never leaves twice.
_OUTBOX = Form(
    7,
    "INSERT INTO outbox (message_id, customer, channel, state, attempts, body, checksum, detail)"
    " SELECT *, '' FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
    " ON CONFLICT (message_id) DO NOTHING",
)
_OUTBOX_CHANGE = Form(
    8,
    "UPDATE outbox SET state = new.column2, attempts = new.column3, detail = new.column4,"
    " code = new.column5, provider = new.column6, provider_id = new.column7,"
    " checksum = new.column8"
    " FROM (VALUES {rows}) AS new WHERE outbox.message_id = new.column1",
)
_SPENT = Form(
    3,
    "INSERT INTO spending (channel, day, micros, checksum) SELECT column1, column2, column3,"
    " row_checksum(column1, column2, column3) FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
    " ON CONFLICT (day, channel) DO UPDATE SET micros = micros + excluded.micros,"
    " checksum = row_checksum(channel, day, micros + excluded.micros)",
)
_SNAPSHOT = Form(
    4,
    f"INSERT INTO customers (customer, seq, body, checksum) {_ROWS}"
    " ON CONFLICT (customer) DO UPDATE SET"
    " seq = excluded.seq, body = excluded.body, checksum = excluded.checksum",
)
_LINK = Form(
    4,
    f"INSERT INTO identities (namespace, value, customer, checksum) {_ROWS}"
    " ON CONFLICT (namespace, value) DO UPDATE SET"
    " customer = excluded.customer, checksum = excluded.checksum",
)
_QUARANTINED = Form(
    7,
    f"INSERT INTO quarantine (received_at, source, code, path, message, payload, checksum) {_ROWS}",
)
_RELEASED = Form(1, "DELETE FROM quarantine WHERE number IN (VALUES {rows})")
_COVERED = Form(
    2,
    "UPDATE meta SET value = new.column1, checksum = new.column2"
    " FROM (VALUES {rows}) AS new WHERE name = 'covered_seq'",
)
_ACT = Form(6, f"INSERT INTO acts (at, who, act, subject, detail, checksum) {_ROWS}")
# What is too old. Of the journal the rows stay, so that the chain still verifies (`chain`).
_RETIRED_ENTRIES = Form(
    1,
    "UPDATE journal SET customer = '', input = NULL, records = NULL WHERE input IS NOT NULL"
    " AND seq > (SELECT value FROM meta WHERE name = 'retired_seq')"
    " AND seq <= (SELECT max(column1) FROM (VALUES {rows}))",
)
_RETIRED_DECISION = Form(1, "DELETE FROM decisions WHERE number IN (VALUES {rows})")
_RETIRED_MESSAGE = Form(1, "DELETE FROM outbox WHERE message_id IN (VALUES {rows})")
_ITEM = Form(
    4,
    f"INSERT INTO catalogue (kind, id, body, checksum) {_ROWS}"
    " ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body, checksum = excluded.checksum",
)
_ITEM_REMOVED = Form(2, "DELETE FROM catalogue WHERE (kind, id) IN (VALUES {rows})")
_META = Form(
    3,
    "UPDATE meta SET value = new.column2, checksum = new.column3"
    " FROM (VALUES {rows}) AS new WHERE name = new.column1",
)

_MEMBER_IN = Form(3, f"INSERT OR REPLACE INTO members (segment, customer, since) {_ROWS}")
_MEMBER_OUT = Form(2, "DELETE FROM members WHERE (segment, customer) IN (VALUES {rows})")
_STAY = Form(
    6,
    "INSERT OR REPLACE INTO stays (customer, instance, journey, version, position, entered_at)"
    f" {_ROWS}",
)
_STAY_OVER = Form(2, "DELETE FROM stays WHERE (customer, instance) IN (VALUES {rows})")
_STAYS_OVER = Form(1, "DELETE FROM stays WHERE customer IN (VALUES {rows})")
_CROSSED = Form(
    4,
    "INSERT INTO crossings (segment, at, entered, left, checksum) SELECT column1, column2, column3,"
    " column4, row_checksum(column1, column2, column3, column4)"
    " FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
    " ON CONFLICT (segment, at) DO UPDATE SET"
    " entered = entered + excluded.entered, left = left + excluded.left, checksum ="
    " row_checksum(segment, at, entered + excluded.entered, left + excluded.left)",
)
_REVIEWED = Form(
    9,
    "INSERT OR REPLACE INTO review"
    f" (id, version, cursor, total, looked, changed, began_at, ended_at, checksum) {_ROWS}",
)

# What is erased. The journal's row stays, so that the chain still verifies (`chain`).
_ERASED_SNAPSHOT = Form(1, "DELETE FROM customers WHERE customer IN (VALUES {rows})")
_ERASED_LINK = Form(1, "DELETE FROM identities WHERE customer IN (VALUES {rows})")
_ERASED_ONE_LINK = Form(
    3, "DELETE FROM identities WHERE (namespace, value, customer) IN (VALUES {rows})"
)
_ERASED_MEMBER = Form(1, "DELETE FROM members WHERE customer IN (VALUES {rows})")
_ERASED_CURSOR = Form(
    1,
    "UPDATE review SET cursor = '', checksum ="
    " row_checksum(id, version, '', total, looked, changed, began_at, ended_at)"
    " WHERE cursor IN (VALUES {rows})",
)
_ERASED_ENTRY = Form(
    1,
    "UPDATE journal SET customer = '', prev = 0, input = NULL, records = NULL"
    " WHERE seq IN (VALUES {rows})",
)
# In the middle of a chain, which can still be walked over it.
_BLANKED_ENTRY = Form(
    1,
    "UPDATE journal SET customer = '', input = NULL, records = NULL WHERE seq IN (VALUES {rows})",
)
_ERASED_DECISION = Form(1, "DELETE FROM decisions WHERE decision_id IN (VALUES {rows})")
_ERASED_MESSAGE = Form(1, "DELETE FROM outbox WHERE message_id IN (VALUES {rows})")
_NAMED = "CASE acts.{0} WHEN new.column1 THEN new.column2 ELSE acts.{0} END"
_SUBJECT, _DETAIL = _NAMED.format("subject"), _NAMED.format("detail")
_ERASED_ACT = Form(
    2,
    "UPDATE acts SET "  # noqa: S608 - names of ours
    f"subject = {_SUBJECT}, detail = {_DETAIL},"
    f" checksum = row_checksum(acts.at, acts.who, acts.act, {_SUBJECT}, {_DETAIL}) + acts.number"
    " FROM (VALUES {rows}) AS new"
    " WHERE acts.subject = new.column1 OR acts.detail = new.column1",
)
_TOMBSTONE = Form(
    3,
    f"INSERT INTO tombstones (identity, erased_at, checksum) {_ROWS}"
    " ON CONFLICT (identity) DO UPDATE SET"
    " erased_at = excluded.erased_at, checksum = excluded.checksum",
)
_ERASURE = Form(
    7,
    "INSERT INTO erasures (number, asked_at, erased_at, state, entries, scope, checksum)"
    f" {_ROWS} ON CONFLICT (number) DO UPDATE SET erased_at = excluded.erased_at,"
    " state = excluded.state, entries = excluded.entries, scope = excluded.scope,"
    " checksum = excluded.checksum",
)

_FORMS = (
    ENTRY,
    PROGRAM,
    _DECISION,
    _TIMER_SET,
    _TIMER_CLEARED,
    _OUTBOX,
    _OUTBOX_CHANGE,
    _SPENT,
    _SNAPSHOT,
    _LINK,
    _QUARANTINED,
    _RELEASED,
    _COVERED,
    _MEMBER_IN,
    _MEMBER_OUT,
    _CROSSED,
    _STAY,
    _STAY_OVER,
    _STAYS_OVER,
    _REVIEWED,
    _ACT,
    _RETIRED_ENTRIES,
    _RETIRED_DECISION,
    _RETIRED_MESSAGE,
    _META,
    _ITEM,
    _ITEM_REMOVED,
    _ERASED_SNAPSHOT,
    _ERASED_LINK,
    _ERASED_ONE_LINK,
    _ERASED_MEMBER,
    _ERASED_CURSOR,
    _ERASED_ENTRY,
    _BLANKED_ENTRY,
    _ERASED_DECISION,
    _ERASED_MESSAGE,
    _ERASED_ACT,
    _TOMBSTONE,
    _ERASURE,
)
STATEMENTS_MAX = len(_FORMS) * len(_SIZES)
_TEXTS = {
    (form.text, size): form.text.format(
        rows=", ".join(["(" + ", ".join("?" * form.width) + ")"] * size)
    )
    for form in _FORMS
    for size in _SIZES
}


def fill(form: Form, rows: Sequence[Sequence[Value]]) -> Iterator[Statement]:
    """Give the statements that write rows of one kind: one, unless there are very many."""
    for start in range(0, len(rows), ROWS_MAX):
        portion = rows[start : start + ROWS_MAX]
        flat: list[Value] = []
        for row in portion:
            flat += row
        yield complete(form, flat, len(portion))


def complete(form: Form, flat: list[Value], count: int) -> Statement:
    """Fill `count` rows up to the next size there is a statement for."""
    size = next(size for size in _SIZES if size >= count)
    flat += (None,) * (form.width * (size - count))
    return _TEXTS[form.text, size], flat


def statements(commit: Commit) -> Iterator[Statement]:
    """Give the statements for everything of a commit but its entries, which need their hashes.

    What is made comes before what ends it, so a timer set and cleared in one commit is cleared. Of
    several changes of one message the last counts.
    """
    yield from fill(_DECISION, commit.decisions)
    yield from fill(_TIMER_SET, commit.timers_set)
    yield from fill(_TIMER_CLEARED, commit.timers_cleared)
    yield from fill(_OUTBOX, [_fresh(row) for row in commit.outbox])
    if commit.outbox_changes:
        yield from _outbox_statements(commit.outbox_changes)
    yield from fill(_SNAPSHOT, [_sum_up(row) for row in commit.snapshots])
    yield from fill(_LINK, [_sum_up(link) for link in commit.links])
    yield from fill(_QUARANTINED, [_sum_up(row[1:]) for row in commit.quarantined])
    yield from fill(_RELEASED, [(number,) for number in commit.released])
    yield from fill(_ACT, [_sum_up(row[1:]) for row in commit.acts])
    if commit.covered_seq is not None:
        yield from fill(
            _COVERED, [(commit.covered_seq, row_checksum("covered_seq", commit.covered_seq))]
        )
    if commit.retired is not None:
        yield from _retire(commit.retired)
    yield from fill(_ITEM, [_sum_up(row) for row in commit.catalogue if row.body])
    yield from fill(_ITEM_REMOVED, [row[:2] for row in commit.catalogue if not row.body])
    if commit.members:
        yield from _member_statements(commit.members)
    if commit.stays:
        yield from _stay_statements(commit.stays)
    if commit.stays_filled:
        yield from fill(_META, [_sum_up(("stays_filled", 1))])
    if commit.review is not None:
        yield from fill(_REVIEWED, [_sum_up((1, *commit.review))])
    if not commit.erased.is_empty():
        yield from _erase(commit.erased)


def _fresh(row: OutboxRow) -> list[Value]:
    """Give the values of a message nothing has become of yet."""
    return [*row[:6], row_checksum(row.message_id, row.state, row.attempts, "", "", "", "")]


def _outbox_statements(changes: Sequence[OutboxChange]) -> Iterator[Statement]:
    """Write what became of messages: the last of each counts, and everything that was spent."""
    last = {change.message_id: change for change in changes}
    yield from fill(_OUTBOX_CHANGE, [_sum_up(change[:7]) for change in last.values()])
    totals: dict[tuple[str, int], int] = {}
    for change in changes:
        if change.spent is not None:
            key = change.spent.channel, change.spent.day
            totals[key] = totals.get(key, 0) + change.spent.micros
    yield from fill(_SPENT, [(*key, micros) for key, micros in totals.items()])


def _retire(retired: Retired) -> Iterator[Statement]:
    """Take away what is too old, and note up to where that was done."""
    reached: list[tuple[str, int]] = []
    if retired.seq:
        yield from fill(_RETIRED_ENTRIES, [(retired.seq,)])
        reached += [("retired_seq", retired.seq), ("events_from", retired.events_at)]
    if retired.decisions:
        yield from fill(_RETIRED_DECISION, [(number,) for number in retired.decisions])
        reached.append(("decisions_from", retired.decisions_at))
    if retired.messages:
        yield from fill(_RETIRED_MESSAGE, [(one,) for one in retired.messages])
        reached.append(("outbox_from", retired.outbox_at))
    yield from fill(_RELEASED, [(number,) for number in retired.quarantined])
    yield from fill(_META, [_sum_up(one) for one in reached])


def _member_statements(changes: Sequence[MemberChange]) -> Iterator[Statement]:
    """Write who is in which segment: what was changed last counts, and every change is counted."""
    last = {(one.segment, one.customer): one for one in changes}
    inside = [(one.segment, one.customer, one.at) for one in last.values() if one.is_in]
    yield from fill(_MEMBER_IN, inside)
    yield from fill(_MEMBER_OUT, [key for key, one in last.items() if not one.is_in])
    counts: dict[tuple[str, int], list[int]] = {}
    for one in changes:
        entered_left = counts.setdefault((one.segment, one.at - one.at % QUARTER_MS), [0, 0])
        entered_left[0 if one.is_in else 1] += 1
    yield from fill(_CROSSED, [(*key, *count) for key, count in counts.items()])


def _stay_statements(rows: Sequence[StayRow]) -> Iterator[Statement]:
    """Write who is where: of several rows of one stay the last counts."""
    gone: dict[str, None] = {}
    last: dict[tuple[str, int], StayRow] = {}
    for row in rows:
        if row.instance:
            last[row.customer, row.instance] = row
            continue
        gone[row.customer] = None
        last = {key: one for key, one in last.items() if one.customer != row.customer}
    yield from fill(_STAYS_OVER, [(customer,) for customer in gone])
    yield from fill(_STAY_OVER, [key for key, one in last.items() if not one.journey])
    yield from fill(_STAY, [one for one in last.values() if one.journey])


def _erase(erased: Erased) -> Iterator[Statement]:
    customers = [(customer,) for customer in erased.customers]
    yield from fill(_ERASED_SNAPSHOT, customers)
    yield from fill(_ERASED_LINK, customers)
    yield from fill(_ERASED_ONE_LINK, erased.links)
    yield from fill(_ERASED_MEMBER, customers)
    yield from fill(_STAYS_OVER, customers)
    yield from fill(_ERASED_CURSOR, customers)
    yield from fill(_ERASED_ENTRY, [(seq,) for seq in erased.entries])
    yield from fill(_BLANKED_ENTRY, [(seq,) for seq in erased.blanked])
    yield from fill(_ERASED_DECISION, [(name,) for name in erased.decisions])
    yield from fill(_ERASED_MESSAGE, [(name,) for name in erased.messages])
    yield from fill(_ERASED_ACT, erased.acts)
    yield from fill(_TOMBSTONE, [_sum_up(stone) for stone in erased.tombstones])
    yield from fill(_ERASURE, [_sum_up(row) for row in erased.rows])


def program_row(number: int, version: str, at: int | None, source: bytes | None) -> list[Value]:
    """Give the row of a workspace, for `PROGRAM`."""
    return _sum_up((number, version, at, source))


def _sum_up(row: Sequence[Value]) -> list[Value]:
    return [*row, row_checksum(*row)]


def payload_bytes(commit: Commit) -> int:
    """Add up the parts of a commit that have no fixed size."""
    return (
        sum(len(row.input) + len(row.records) for row in commit.entries)
        + sum(len(row.body) for row in commit.decisions)
        + sum(len(row.body) for row in commit.outbox)
        + sum(len(row.body) for row in commit.snapshots)
        + sum(len(row.payload) for row in commit.quarantined)
        + sum(len(row.body) for row in commit.catalogue)
    )
