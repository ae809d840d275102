"""What is too old goes, and everything that is kept still holds: chain, recovery, verification."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from actors.memory import VirtualClock
from actors.rows import Commit, QuarantineRow
from adapters.app import App, open_workspace
from adapters.gateway.settings import GatewaySettings
from adapters.inbox import Inbox, InboxMessage
from adapters.retention import Sweeper
from adapters.sqlite.chain import verify_chain
from adapters.sqlite.schema import FILE_NAME
from adapters.sqlite.store import SqliteStore
from adapters.verify import Verifier
from engine.errors import StoreError
from engine.instants import DAY_MS, HOUR_MS
from engine.program.privacy import Retention
from tests.e2e.command_line import SHOP, write_shop
from tests.shards import ORIGIN_AT, Shard

SECRET = b"very-private-word"


async def sweep_all(shard: Shard, retention: Retention, inbox: Inbox | None = None) -> int:
    """Sweep until nothing is too old; tells in how many portions."""
    sweeper = Sweeper(shard.store, shard.clock, inbox, rows_max=3)
    sweeper.retention = retention
    portions = 0
    while await sweeper.sweep():
        portions += 1
    return portions


@pytest.fixture
async def shard(tmp_path: Path) -> AsyncIterator[Shard]:
    """A shard on SQLite in which ten days ago and today something happened."""
    store = SqliteStore(tmp_path / "data")
    shard = await Shard(store, clock=VirtualClock(ORIGIN_AT)).start()
    await shard.store.save_program(shard.runtime.program.version, ORIGIN_AT, b"{}")
    for user in ("old", "both"):
        await shard.submit(shard.known(user))
        await shard.submit(shard.track(user, "Pay", word=SECRET.decode()))
    await shard.submit(shard.track("old", "Later"))
    shard = await shard.restart_reading()  # with snapshots of everything
    shard.clock.jump_to(ORIGIN_AT + 10 * DAY_MS)
    await shard.submit(shard.track("both", "Pay"), shard.known("new"))
    shard = await shard.restart_reading()
    yield shard
    if not shard.is_over:
        await shard.runtime.stop()


WEEK = Retention(events_ms=7 * DAY_MS)


async def test_old_payloads_leave_the_file_and_what_is_known_stays(
    shard: Shard, tmp_path: Path
) -> None:
    before = await shard.state("both", "new")
    known = await shard.profile("old")
    assert await sweep_all(shard, WEEK) > 1
    assert await sweep_all(shard, WEEK) == 0
    shard = await shard.restart_reading()
    assert await shard.state("both", "new") == before
    again = await shard.profile("old")
    assert (again.traits, again.history) == (known.traits, known.history)
    for user in ("old", "both"):
        history = await shard.runtime.history(await shard.profile(user))
        while (entry := await history.take()) is not None:
            assert entry.at >= ORIGIN_AT + 10 * DAY_MS
    await shard.submit(shard.track("old", "Pay"))
    await shard.runtime.stop()
    shard.is_over = True
    assert verify_chain(tmp_path / "data") is None
    with closing(sqlite3.connect(tmp_path / "data" / FILE_NAME)) as connection:
        sql = "SELECT count(*) FROM journal WHERE instr(input, ?)"
        assert connection.execute(sql, (SECRET,)).fetchone() == (0,)


@pytest.mark.parametrize(
    "retention",
    [
        WEEK,
        Retention(events_ms=7 * DAY_MS, decisions_ms=HOUR_MS, outbox_ms=HOUR_MS),
        Retention(decisions_ms=7 * DAY_MS, outbox_ms=8 * DAY_MS),
        Retention(events_ms=9 * DAY_MS, decisions_ms=7 * DAY_MS),
    ],
)
async def test_what_is_kept_verifies(shard: Shard, tmp_path: Path, retention: Retention) -> None:
    await sweep_all(shard, retention)
    beside = Verifier(tmp_path / "data").run()
    assert beside.found == []
    await shard.submit(shard.track("both", "Pay"))
    await shard.runtime.stop()
    shard.is_over = True
    report = Verifier(tmp_path / "data").run()
    assert report.found == []
    assert report.entries > 0


async def test_damage_in_what_is_kept_is_still_found(shard: Shard, tmp_path: Path) -> None:
    await sweep_all(shard, Retention(events_ms=7 * DAY_MS, decisions_ms=7 * DAY_MS))
    await shard.runtime.stop()
    shard.is_over = True
    with closing(sqlite3.connect(tmp_path / "data" / FILE_NAME)) as connection:
        latest = "(SELECT max(number) FROM decisions)"
        connection.execute(f"DELETE FROM decisions WHERE number = {latest}")
        connection.commit()
    report = Verifier(tmp_path / "data").run()
    assert [one.part for one in report.found] == ["decisions"]


async def test_a_damaged_snapshot_whose_entries_are_gone_is_said_to_be_lost(
    shard: Shard, tmp_path: Path
) -> None:
    await sweep_all(shard, WEEK)
    await shard.runtime.stop()
    shard.is_over = True
    with closing(sqlite3.connect(tmp_path / "data" / FILE_NAME)) as connection:
        connection.execute("UPDATE customers SET body = x'00' WHERE customer = 'old'")
        connection.commit()
    again = await shard.restart()
    with pytest.raises(StoreError, match="does not have all of their entries"):
        await again.runtime.profile("old")
    await again.runtime.stop()


async def test_in_app_messages_grow_old_too() -> None:
    shard = await Shard().start()
    box = Inbox(None, shard.clock.now)
    await box.open()
    for number in range(5):
        at = ORIGIN_AT - number % 2 * DAY_MS
        await box.put(InboxMessage(0, f"m_{number}", "u1", "in_app", at, {"title": "t"}))
    assert await sweep_all(shard, Retention(inbox_ms=HOUR_MS), box) >= 1
    assert [one.message_id for one in await box.everything("u1")] == ["m_0", "m_2", "m_4"]
    await box.close()
    await shard.runtime.stop()


async def test_a_server_sweeps_by_the_workspace_it_serves(tmp_path: Path) -> None:
    shop, data = write_shop(tmp_path, f"{SHOP}retention: {{quarantine: 30d}}\n"), tmp_path / "data"
    store = SqliteStore(data)
    await store.open()
    old = QuarantineRow(0, ORIGIN_AT - 31 * DAY_MS, "segment", "bad", "$", "no", SECRET)
    fresh = old._replace(received_at=ORIGIN_AT - 29 * DAY_MS)
    await store.commit(Commit(quarantined=[old, old, fresh]))
    await store.close()
    clock = VirtualClock(ORIGIN_AT)
    async with App(open_workspace(shop), data, GatewaySettings(), clock=clock, environ={}) as app:
        kept = await app.store.quarantine(None, 10)
        for _ in range(10_000):  # it looks as soon as it is there
            kept = await app.store.quarantine(None, 10)
            if len(kept) < 3:
                break
    assert [row.number for row in kept] == [3]


async def test_without_a_retention_everything_is_kept(shard: Shard) -> None:
    assert await sweep_all(shard, Retention()) == 0
