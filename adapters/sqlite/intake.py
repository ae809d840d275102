"""A commit as the parameters of one INSERT: what the scribe hands to SQLite.

Every row of every kind becomes eleven values, its kind and ten more, for the `intake` view of
`migrations/0001_tables.sql`.
"""

from collections.abc import Iterator, Sequence

from actors.ports import Commit

Value = int | str | bytes | None

WIDTH = 11
PROGRAM, ENTRY, DECISION, TIMER_SET, TIMER_CLEARED, OUTBOX = 1, 2, 3, 4, 5, 6
OUTBOX_CHANGE, SNAPSHOT, LINK, QUARANTINED, RELEASED, COVERED = 7, 8, 9, 10, 11, 12

ROWS_MAX = 1_024  # in one statement; 11,264 parameters, of the 32,766 SQLite allows by default

# Statements are prepared once for each size and kept, so there are few sizes, two for each power
# of two; a commit is filled up with rows of no kind to the next.
_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, ROWS_MAX)
_ROW = "(" + ", ".join("?" * WIDTH) + ")"
_INSERTS = {
    size: "INSERT INTO intake VALUES " + ", ".join([_ROW] * size)  # noqa: S608 - placeholders only
    for size in _SIZES
}
_NOTHING: tuple[Value, ...] = (None,) * WIDTH
_PADDING = [_NOTHING[:count] for count in range(WIDTH)]


def flatten_rows(flat: list[Value], kind: int, rows: Sequence[Sequence[Value]]) -> None:
    """Append rows of one kind, each filled up to the full width."""
    if not rows:
        return
    padding = _PADDING[WIDTH - 1 - len(rows[0])]
    for row in rows:
        flat += (kind, *row, *padding)


def flatten_effects(flat: list[Value], commit: Commit) -> None:
    """Append everything of a commit but its journal entries, which need their hashes.

    What is made comes before what ends it, so a timer set and cleared in one commit is cleared.
    """
    flatten_rows(flat, DECISION, commit.decisions)
    flatten_rows(flat, TIMER_SET, commit.timers_set)
    flatten_rows(flat, TIMER_CLEARED, commit.timers_cleared)
    flatten_rows(flat, OUTBOX, commit.outbox)
    flatten_rows(flat, OUTBOX_CHANGE, commit.outbox_changes)
    flatten_rows(flat, SNAPSHOT, commit.snapshots)
    flatten_rows(flat, LINK, commit.links)
    flatten_rows(flat, QUARANTINED, [row[1:] for row in commit.quarantined])
    flatten_rows(flat, RELEASED, [(number,) for number in commit.released])
    if commit.covered_seq is not None:
        flatten_rows(flat, COVERED, [(commit.covered_seq,)])


def payload_bytes(commit: Commit) -> int:
    """Add up the parts of a commit that have no fixed size."""
    return (
        sum(len(row.input) + len(row.records) for row in commit.entries)
        + sum(len(row.body) for row in commit.decisions)
        + sum(len(row.body) for row in commit.outbox)
        + sum(len(row.body) for row in commit.snapshots)
        + sum(len(row.payload) for row in commit.quarantined)
    )


def statements(flat: list[Value]) -> Iterator[tuple[str, list[Value]]]:
    """Give the statements that write these rows: one, unless there are very many."""
    span = ROWS_MAX * WIDTH
    start = 0
    while len(flat) - start > span:
        yield _INSERTS[ROWS_MAX], flat[start : start + span]
        start += span
    rest = flat[start:] if start else flat
    count = len(rest) // WIDTH
    size = next(size for size in _SIZES if size >= count)
    for _ in range(size - count):
        rest += _NOTHING
    yield _INSERTS[size], rest
