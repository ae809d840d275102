"""One suite for the store port: over memory, and over SQLite with either host of its writer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from actors.endings import OPEN_STATES, OutboxState
from actors.memory import MemoryStore
from actors.ports import Store
from actors.rows import (
    ActQuery,
    ActRow,
    CatalogueRow,
    Commit,
    Cutoffs,
    DecisionQuery,
    DecisionRow,
    Entry,
    OutboxChange,
    OutboxRow,
    QuarantineRow,
    SnapshotRow,
    StoreState,
    TimerRow,
)
from adapters.sqlite.store import SqliteStore, WriterKind
from engine.effects import Send
from engine.errors import StoreError

KINDS = ["memory", "thread", "process"]
Reopen = Callable[[Store], Store]


def make_store(kind: str, folder: Path) -> Store:
    return MemoryStore() if kind == "memory" else SqliteStore(folder, writer=WriterKind(kind))


@pytest.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store = make_store(request.param, tmp_path / "data")
    await store.open()
    yield store
    await store.close()


def entry(seq: int, customer: str = "u1", prev: int = 0, program: str = "p1") -> Entry:
    return Entry(seq, customer, prev, 1_000 + seq, program, b"in%d" % seq, b"out%d" % seq)


def decision(
    number: int,
    *,
    customer: str = "u1",
    at: int | None = None,
    journey: str = "cart",
    reason: str = "sent",
    outcome: str = "send",
) -> DecisionRow:
    when = 1_000 + number if at is None else at
    return DecisionRow(
        f"d_{number}", number, customer, when, journey, "m", outcome, reason, "email", b"body"
    )


def item(code: str) -> QuarantineRow:
    return QuarantineRow(0, 5, "http", code, "$.x", "not that", b"{}")


async def tail_of(store: Store, after_seq: int = 0) -> list[Entry]:
    return [found async for portion in store.tail(after_seq) for found in portion]


async def test_a_new_store_is_empty(store: Store) -> None:
    assert await tail_of(store) == []
    assert await store.load(["u1"]) == {}
    assert await store.timers(-1, 10**15, 10) == []
    assert await store.outbox_open() == []
    assert await store.entries(1, 10) == []
    assert await store.entries(0, 10) == []
    assert await store.resolve([("email", "a@b")]) == {}
    assert await store.resolve([]) == {}
    assert (await store.decisions(DecisionQuery())).rows == []
    assert await store.decision("d_1") is None
    assert await store.quarantine(None, 10) == []
    assert await store.programs() == []


async def test_what_is_committed_is_read_back_as_it_was(store: Store) -> None:
    entries = [entry(1), entry(2, "ü\x00🙂"), Entry(3, "u1", 1, -5, "p2", b"", b"\x00\xff")]
    await store.commit(Commit(entries=entries))
    assert await tail_of(store) == entries
    assert await tail_of(store, 2) == entries[2:]
    assert await tail_of(store, 3) == []


async def test_a_store_opened_again_knows_where_it_stands(
    tmp_path: Path,
) -> None:
    for kind in KINDS:
        store = make_store(kind, tmp_path / kind)
        assert await store.open() == StoreState(0, 0)
        await store.commit(Commit(entries=[entry(1), entry(2)]))
        await store.commit(Commit(snapshots=[SnapshotRow("u1", 2, b"s")], covered_seq=2))
        await store.commit(Commit(entries=[entry(7)]))
        await store.close()
        assert await store.open() == StoreState(7, 2)
        assert [found.seq for found in await tail_of(store, 2)] == [7]
        await store.close()


async def test_a_commit_without_anything_is_done_at_once(store: Store) -> None:
    await store.commit(Commit())
    assert await tail_of(store) == []


async def test_commits_handed_over_together_are_kept_in_order(store: Store) -> None:
    commits = [Commit(entries=[entry(seq)], covered_seq=seq) for seq in range(1, 41)]
    await asyncio.gather(*[store.commit(commit) for commit in commits])
    assert [found.seq for found in await tail_of(store)] == list(range(1, 41))


async def test_an_entry_that_does_not_follow_the_last_is_refused_with_its_whole_commit(
    store: Store,
) -> None:
    await store.commit(Commit(entries=[entry(1), entry(2)]))
    for wrong in ([entry(2)], [entry(4), entry(3)]):
        with pytest.raises(StoreError, match="does not follow"):
            await store.commit(
                Commit(
                    entries=wrong,
                    timers_set=[TimerRow(5, "u1", 1, 1, 0)],
                    links=[("email", "a@b", "u1")],
                )
            )
    assert [found.seq for found in await tail_of(store)] == [1, 2]
    assert await store.timers(-1, 100, 10) == []
    assert await store.resolve([("email", "a@b")]) == {}
    await store.commit(Commit(entries=[entry(3)]))
    assert [found.seq for found in await tail_of(store)] == [1, 2, 3]


async def test_a_commit_that_fails_half_way_leaves_nothing(store: Store) -> None:
    await store.commit(Commit(entries=[entry(1)], decisions=[decision(1)]))
    clash = Commit(
        entries=[entry(2, program="p9")],
        decisions=[decision(2), decision(1)],
        outbox=[OutboxRow("m1", "u1", "email", "queued", 0, b"")],
    )
    with pytest.raises(StoreError):
        await store.commit(clash)
    assert [found.seq for found in await tail_of(store)] == [1]
    assert await store.decision("d_2") is None
    assert await store.outbox_open() == []
    await store.commit(Commit(entries=[entry(2, program="p9")], decisions=[decision(2)]))
    assert (await tail_of(store))[-1] == entry(2, program="p9")


async def test_a_customers_entries_are_walked_backwards(store: Store) -> None:
    await store.commit(
        Commit(entries=[entry(1), entry(2, "u2"), entry(3, prev=1), entry(4, "u2", prev=2)])
    )
    await store.commit(Commit(entries=[entry(5, prev=3)]))
    assert [found.seq for found in await store.entries(5, 10)] == [5, 3, 1]
    assert [found.seq for found in await store.entries(5, 2)] == [5, 3]
    assert [found.seq for found in await store.entries(4, 1)] == [4]
    assert await store.entries(6, 10) == []


async def test_a_long_tail_comes_in_portions(store: Store) -> None:
    count = 12_345
    await store.commit(Commit(entries=[entry(seq) for seq in range(1, count + 1)]))
    portions = [portion async for portion in store.tail(10)]
    assert len(portions) > 1
    assert [found.seq for portion in portions for found in portion] == list(range(11, count + 1))


async def test_the_latest_snapshot_counts(store: Store) -> None:
    await store.commit(Commit(snapshots=[SnapshotRow("u1", 1, b"a"), SnapshotRow("u2", 2, b"b")]))
    await store.commit(Commit(snapshots=[SnapshotRow("u1", 9, b"\x00c" * 9_000)]))
    found = await store.load(["u2", "nobody", "u1"])
    assert found == {
        "u1": SnapshotRow("u1", 9, b"\x00c" * 9_000),
        "u2": SnapshotRow("u2", 2, b"b"),
    }


async def test_many_snapshots_are_loaded_at_once(store: Store) -> None:
    rows = [SnapshotRow(f"c{number}", number, b"%d" % number) for number in range(1_700)]
    await store.commit(Commit(snapshots=rows))
    assert await store.load([row.customer for row in rows]) == {row.customer: row for row in rows}


async def test_timers_come_in_the_order_in_which_they_are_due_and_were_set(store: Store) -> None:
    rows = [
        TimerRow(20, "b", 1, 4, 0),
        TimerRow(10, "z", 1, 1, 1),
        TimerRow(10, "a", 2, 3, 0),
        TimerRow(10, "z", 2, 1, 0),
        TimerRow(30, "c", 1, 5, 0),
    ]
    await store.commit(Commit(timers_set=rows))
    due = [rows[3], rows[1], rows[2], rows[0]]
    assert await store.timers(-1, 20, 10) == due
    assert await store.timers(-1, 20, 2) == due[:2]
    assert await store.timers(10, 20, 10) == [rows[0]]
    assert await store.timers(-1, 9, 10) == []


async def test_a_timer_that_is_cleared_is_gone_also_within_one_commit(store: Store) -> None:
    kept, early, late = (TimerRow(10, "u1", number, 1, number) for number in (1, 2, 3))
    await store.commit(Commit(timers_set=[kept, early]))
    await store.commit(
        Commit(timers_set=[late], timers_cleared=[(10, "u1", 2), (10, "u1", 3), (99, "u9", 1)])
    )
    assert await store.timers(-1, 100, 10) == [kept]


async def test_the_outbox_lists_what_is_not_done(store: Store) -> None:
    rows = [OutboxRow(f"m{n}", "u1", "email", "queued", 0, b"b%d" % n) for n in (3, 1, 2)]
    await store.commit(Commit(outbox=rows))
    assert await store.outbox_open() == rows
    for state in OutboxState:
        await store.commit(Commit(outbox_changes=[OutboxChange("m1", state.value, 2, "why")]))
        found = {row.message_id: row for row in await store.outbox_open()}
        if state in OPEN_STATES:
            assert found["m1"] == OutboxRow("m1", "u1", "email", state.value, 2, b"b1", "why")
        else:
            assert list(found) == ["m3", "m2"]


async def test_a_message_in_the_outbox_is_never_there_twice(store: Store) -> None:
    await store.commit(Commit(outbox=[OutboxRow("m1", "u1", "email", "queued", 0, b"first")]))
    await store.commit(Commit(outbox_changes=[OutboxChange("m1", "sent", 1, "")]))
    await store.commit(Commit(outbox=[OutboxRow("m1", "u1", "email", "queued", 0, b"again")]))
    assert await store.outbox_open() == []


async def test_identities_are_resolved_and_can_move(store: Store) -> None:
    await store.commit(
        Commit(links=[("email", "a@b", "u1"), ("phone", "a@b", "u2"), ("email", "c@d", "u1")])
    )
    await store.commit(Commit(links=[("email", "c@d", "u3")]))
    keys = [("email", "a@b"), ("phone", "a@b"), ("email", "c@d"), ("email", "nobody")]
    assert await store.resolve(keys) == {
        ("email", "a@b"): "u1",
        ("phone", "a@b"): "u2",
        ("email", "c@d"): "u3",
    }


DECISIONS = [
    decision(1, at=100),
    decision(2, at=200, customer="u2", reason="cooldown", outcome="defer"),
    decision(3, at=200, journey="welcome"),
    decision(4, at=150, reason="cooldown", outcome="defer"),
    decision(5, at=300, customer="u2", journey="welcome", reason="cooldown", outcome="drop"),
]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (DecisionQuery(), [5, 3, 2, 4, 1]),
        (DecisionQuery(customer="u1"), [3, 4, 1]),
        (DecisionQuery(reason="cooldown"), [5, 2, 4]),
        (DecisionQuery(journey="welcome"), [5, 3]),
        (DecisionQuery(outcome="defer"), [2, 4]),
        (DecisionQuery(customer="u2", reason="cooldown", outcome="drop"), [5]),
        (DecisionQuery(customer="u1", journey="welcome", reason="cooldown"), []),
        (DecisionQuery(since_at=150, until_at=300), [3, 2, 4]),
        (DecisionQuery(customer="nobody"), []),
    ],
)
async def test_decisions_are_found_by(store: Store, query: DecisionQuery, found: list[int]) -> None:
    await store.commit(Commit(decisions=DECISIONS))
    page = await store.decisions(query)
    assert [row.seq for row in page.rows] == found
    assert page.next is None


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
async def test_pages_of_decisions_miss_nothing_and_repeat_nothing(store: Store, limit: int) -> None:
    await store.commit(Commit(decisions=DECISIONS))
    seen: list[DecisionRow] = []
    before: int | None = None
    while True:
        page = await store.decisions(DecisionQuery(before=before, limit=limit))
        assert len(page.rows) <= limit
        seen += page.rows
        before = page.next
        if before is None:
            break
    assert [row.seq for row in seen] == [5, 3, 2, 4, 1]


async def test_a_decision_is_found_by_its_id(store: Store) -> None:
    await store.commit(Commit(decisions=DECISIONS))
    assert await store.decision("d_4") == DECISIONS[3]
    assert await store.decision("d_9") is None


async def test_quarantined_items_are_numbered_listed_and_released(store: Store) -> None:
    await store.commit(Commit(quarantined=[item("a"), item("b"), item("c")]))
    listed = await store.quarantine(None, 10)
    assert [(row.number, row.code) for row in listed] == [(3, "c"), (2, "b"), (1, "a")]
    assert listed[0] == item("c")._replace(number=3)
    assert [row.code for row in await store.quarantine(3, 1)] == ["b"]
    await store.commit(Commit(released=[3, 1], quarantined=[item("d")]))
    # Numbers are never given twice, or a replayed item could release another.
    assert [(row.number, row.code) for row in await store.quarantine(None, 10)] == [
        (4, "d"),
        (2, "b"),
    ]


async def test_programs_are_kept_once_each_oldest_first(store: Store) -> None:
    await store.commit(Commit(entries=[entry(1, program="v2")]))
    assert await store.programs() == []
    await store.save_program("v2", 20, b"two")
    await store.save_program("v1", 10, b"one")
    await store.save_program("v2", 30, b"two, differently")
    assert await store.programs() == [("v1", 10, b"one"), ("v2", 20, b"two")]
    assert [found.program for found in await tail_of(store)] == ["v2"]


async def test_a_large_commit_is_all_there(store: Store) -> None:
    count = 3_001
    await store.commit(
        Commit(
            entries=[entry(seq, f"c{seq}") for seq in range(1, count + 1)],
            timers_set=[TimerRow(seq, f"c{seq}", 1, seq, 0) for seq in range(1, count + 1)],
            decisions=[decision(seq) for seq in range(1, count + 1)],
        )
    )
    assert len(await tail_of(store)) == count
    assert len(await store.timers(0, 10**9, 10_000)) == count
    assert await store.decision(f"d_{count}") is not None


async def test_acts_are_numbered_in_order_and_found_by_who_what_and_whom(store: Store) -> None:
    done = [
        ActRow(0, 1_000 + number, who, act, subject, "as asked")
        for number, (who, act, subject) in enumerate(
            [("ops", "exported", "u1"), ("ops", "erased", "u2"), ("key 1", "exported", "u2")]
        )
    ]
    await store.commit(Commit(acts=done[:2]))
    await store.commit(Commit(acts=done[2:]))
    kept = [row._replace(number=number) for number, row in enumerate(done, 1)][::-1]
    assert await store.acts(ActQuery()) == kept
    assert await store.acts(ActQuery(limit=2)) == kept[:2]
    assert await store.acts(ActQuery(before=2)) == kept[2:]
    assert await store.acts(ActQuery(who="ops")) == kept[1:]
    assert await store.acts(ActQuery(act="exported", subject="u2")) == kept[:1]
    assert await store.acts(ActQuery(since_at=1_001, until_at=1_001)) == kept[1:2]
    assert await store.acts(ActQuery(subject="nobody")) == []


def letter(number: int, at: int, state: str) -> OutboxRow:
    send = Send(f"m_{number}", "d", "u1", "email", "a@b", "m", "t", "p", "", "", {}, at, None)
    return OutboxRow(f"m_{number}", "u1", "email", state, 0, msgspec.msgpack.encode(send))


async def test_what_is_old_is_found_in_portions_and_taken_away(store: Store) -> None:
    entries = [entry(seq, prev=seq - 1) for seq in range(1, 9)]  # at 1,001 to 1,008
    states = ("sent", "queued", "failed", "sent")
    await store.commit(
        Commit(
            entries=entries,
            decisions=[decision(number) for number in range(1, 9)],
            outbox=[letter(number, 1_000 + number, states[number]) for number in range(4)],
            quarantined=[item(str(number)) for number in range(3)],
            covered_seq=6,
        )
    )
    assert (await store.old(Cutoffs(), 10)).is_empty()
    cutoffs = Cutoffs(events_at=1_005, decisions_at=1_004, outbox_at=1_003, quarantine_at=6)
    first = await store.old(cutoffs, 2)
    assert (first.seq, first.decisions, first.quarantined) == (2, [1, 2], [1, 2])
    assert first.messages == ["m_0", "m_2"]  # never those that did not leave yet
    await store.commit(Commit(retired=first))
    second = await store.old(cutoffs, 10)
    assert (second.seq, second.decisions, second.quarantined) == (4, [3], [3])
    assert second.messages == []
    await store.commit(Commit(retired=second))
    assert (await store.old(cutoffs, 10)).is_empty()
    everything = await store.old(Cutoffs(events_at=10_000), 10)
    assert everything.seq == 6  # what no snapshot covers is needed
    assert await tail_of(store) == entries[4:]
    assert await store.entries(8, 10) == entries[:3:-1]
    assert await store.entries(3, 10) == []
    assert [row.decision_id for row in (await store.decisions(DecisionQuery())).rows] == [
        f"d_{number}" for number in range(8, 3, -1)
    ]
    assert await store.decision("d_3") is None
    assert [row.message_id for row in await store.outbox_open()] == ["m_1"]
    assert await store.quarantine(None, 10) == []
    await store.commit(Commit(entries=[entry(9, prev=8)], decisions=[decision(9)]))
    assert (await store.entries(9, 1))[0].prev == 8


async def test_a_closed_store_takes_and_gives_nothing(store: Store) -> None:
    await store.commit(Commit(entries=[entry(1)]))
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.commit(Commit(entries=[entry(2)]))
    with pytest.raises(StoreError, match="closed"):
        await store.load(["u1"])
    with pytest.raises(StoreError, match="closed"):
        await store.save_program("v1", 1, b"")
    await store.open()
    assert [found.seq for found in await tail_of(store)] == [1]


async def test_reads_go_on_beside_commits(store: Store) -> None:
    async def write() -> None:
        for seq in range(1, 60):
            await store.commit(Commit(entries=[entry(seq)], links=[("n", f"{seq}", "u1")]))

    async def read() -> None:
        for _ in range(30):
            seen = await tail_of(store)
            assert [found.seq for found in seen] == list(range(1, len(seen) + 1))

    await asyncio.gather(write(), read(), read(), read())
    assert len(await tail_of(store)) == 59


def product(item: str, body: bytes = b"fields", kind: str = "products") -> CatalogueRow:
    return CatalogueRow(kind, item, body)


async def test_items_of_the_catalogue_are_listed_by_kind_and_id(store: Store) -> None:
    rows = [product("b"), product("a"), product("c", b"\x00\xff"), product("z", kind="brands")]
    await store.commit(Commit(catalogue=rows))
    assert await store.catalogue(("", ""), 10) == [rows[3], rows[1], rows[0], rows[2]]
    assert await store.catalogue(("brands", "z"), 2) == [rows[1], rows[0]]
    assert await store.catalogue(("products", "a"), 10, kind="products") == [rows[0], rows[2]]
    assert await store.catalogue(("", ""), 10, kind="brands") == [rows[3]]
    assert await store.catalogue(("products", ""), 10, kind="brands") == []
    assert await store.catalogue(("products", "c"), 10) == []


async def test_an_item_is_replaced_and_removed(store: Store) -> None:
    await store.commit(Commit(catalogue=[product("ü\x00", b"1"), product("b", b"2")]))
    await store.commit(Commit(catalogue=[product("ü\x00", b"3"), product("b", b"")]))
    assert await store.catalogue(("", ""), 10) == [product("ü\x00", b"3")]
    await store.commit(Commit(catalogue=[product("nobody", b"")]))
    assert await store.catalogue(("", ""), 10) == [product("ü\x00", b"3")]


async def test_many_items_are_kept_by_one_commit(store: Store) -> None:
    rows = [product(f"{number:05}", b"%d" % number) for number in range(1_000)]
    await store.commit(Commit(catalogue=rows))
    assert await store.catalogue(("", ""), 2_000) == rows
