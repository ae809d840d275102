"""A data folder of the first file format: today's program opens it, loses nothing, and goes on.

`data/format-1.tar.gz` was written by the program of commit 6c1699c: eight customers who bought,
wait and were written to, snapshots of them, an item in quarantine; then it was started again, took
one more event of each, and was killed, so that the last entries are in the log alone.
"""

import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from actors.memory import VirtualClock
from adapters.backups import make_backup
from adapters.sqlite.checksums import register
from adapters.sqlite.schema import FILE_NAME, FORMAT
from adapters.sqlite.store import SqliteStore, open_reader
from adapters.verify import Verifier
from engine.errors import StoreError
from engine.instants import DAY_MS
from tests.reliability.folders import until_told
from tests.shards import ORIGIN_AT, Shard

DATA = Path(__file__).parent / "data"
NAMES = [f"customer-{number}" for number in range(8)]

# What must come through as it is, whatever else changes.
KEPT = {
    "journal": "SELECT seq, customer, prev, at, program, input, records, hash FROM journal",
    "decisions": (
        "SELECT decision_id, seq, customer, at, journey, message, outcome, reason, channel, body"
        " FROM decisions ORDER BY number"
    ),
    "timers": "SELECT at, customer, timer, seq, place FROM timers",
    "messages": "SELECT message_id, customer, channel, body FROM outbox ORDER BY number",
    "identities": "SELECT namespace, value, customer FROM identities",
    "quarantine": "SELECT number, received_at, source, code, path, payload FROM quarantine",
    "programs": "SELECT id, version, at, source FROM programs",
}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    folder = tmp_path / "old"
    with tarfile.open(DATA / "format-1.tar.gz") as tar:
        tar.extractall(folder, filter="data")
    return folder


def read_kept(folder: Path) -> dict[str, list[Any]]:
    uri = f"{(folder / FILE_NAME).as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        return {name: connection.execute(sql).fetchall() for name, sql in KEPT.items()}


def format_of(folder: Path) -> int:
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


async def test_a_folder_of_the_first_format_is_brought_up_to_date_and_loses_nothing(
    old: Path,
) -> None:
    before = read_kept(old)
    assert all(before.values())
    assert before["journal"][-1][0] == 81  # from the log alone
    assert format_of(old) == 1
    shard = await Shard(SqliteStore(old), clock=VirtualClock(ORIGIN_AT + DAY_MS)).start()
    profiles = [await shard.profile(name) for name in NAMES]
    await shard.runtime.stop()
    assert format_of(old) == FORMAT
    assert shard.folded == 81  # snapshots of that format are made again
    assert [profile.history["Pay"].count for profile in profiles] == [1] * len(NAMES)
    after = read_kept(old)
    assert after["journal"][:81] == before["journal"]
    assert after["decisions"][: len(before["decisions"])] == before["decisions"]
    assert after["messages"][: len(before["messages"])] == before["messages"]
    for name in ("identities", "quarantine", "programs"):
        assert after[name] == before[name]
    report = Verifier(old).run()
    assert report.found == []
    assert report.snapshots == len(NAMES)


async def test_what_was_waited_for_before_the_upgrade_happens_after_it(old: Path) -> None:
    waiting = {row[1] for row in read_kept(old)["timers"]}
    assert waiting == set(NAMES)
    clock = VirtualClock(ORIGIN_AT + 400_000)
    shard = await Shard(SqliteStore(old), clock=clock).start()
    assert await shard.store.stays_filled()
    assert await shard.store.journey_sizes() == {"later": len(NAMES)}
    shard.event_count = 10_000  # ids that were not used before
    await shard.advance(2 * 60 * 60_000)
    for name in NAMES:
        await until_told(shard, f"{name} paper send sent email")
    await shard.submit(*(shard.track(name, "Pay") for name in NAMES))
    await shard.runtime.stop()
    told = shard.told()
    for name in NAMES:
        assert told.count(f"{name} paper send sent email") == 2  # after two hours, and by event
    assert read_kept(old)["timers"] == []
    assert Verifier(old).run().found == []


async def test_who_was_in_a_journey_before_the_table_of_stays_is_in_it_after_the_upgrade(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data"
    shard = await Shard(SqliteStore(folder)).start()
    await shard.submit(*(shard.track(name, "Later") for name in NAMES))
    await shard.runtime.stop()
    shard = await Shard(SqliteStore(folder), clock=shard.clock).start()
    shard.event_count = 1_000
    await shard.submit(*(shard.track(name, "Later") for name in ("new", NAMES[0])))
    rows = await shard.store.stays("later", ("", 0), 100)
    assert [row.customer for row in rows] == [*NAMES, "new"]
    await shard.abandon()  # so that some are in snapshots, and some in the tail alone
    await shard.store.close()
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        connection.executescript(
            "DROP TABLE stays; DELETE FROM meta WHERE name = 'stays_filled';"
            "DROP TABLE spending; DROP INDEX outbox_by_provider; DROP INDEX outbox_dead;"
            "ALTER TABLE outbox DROP COLUMN code; ALTER TABLE outbox DROP COLUMN provider;"
            "ALTER TABLE outbox DROP COLUMN provider_id; PRAGMA user_version = 8;"
        )
    again = await Shard(SqliteStore(folder), clock=shard.clock).start()
    assert await again.store.stays("later", ("", 0), 100) == rows
    await again.runtime.stop()
    assert Verifier(folder).run().found == []


async def test_a_folder_that_was_left_while_stays_were_written_down_is_filled_at_the_next_start(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data"
    shard = await Shard(SqliteStore(folder)).start()
    await shard.submit(*(shard.track(name, "Later") for name in NAMES))
    await shard.runtime.stop()
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        register(connection)
        connection.executescript(
            f"DELETE FROM stays WHERE customer > '{NAMES[2]}';"
            "UPDATE meta SET value = 0, checksum = row_checksum('stays_filled', 0)"
            " WHERE name = 'stays_filled'"
        )
    report = Verifier(folder).run()
    assert report.found == []
    assert any("start the server once" in note for note in report.notes)
    again = await Shard(SqliteStore(folder), clock=shard.clock).start()
    assert await again.store.journey_sizes() == {"later": len(NAMES)}
    await again.runtime.stop()


def test_a_folder_of_the_first_format_can_be_backed_up_before_the_upgrade(
    old: Path, tmp_path: Path
) -> None:
    before = read_kept(old)
    made = make_backup(old, tmp_path / "backup", lambda _done, _total: None)
    assert made.last_seq == 81
    assert read_kept(tmp_path / "backup") == before
    assert format_of(tmp_path / "backup") == 1


async def test_what_only_looks_says_that_an_older_folder_must_be_started_once(old: Path) -> None:
    with pytest.raises(StoreError, match="older format 1: start the server on it once"):
        await open_reader(old)
    with pytest.raises(StoreError, match="older format 1: start the server on it once"):
        Verifier(old).run()


async def test_a_folder_of_a_newer_format_is_refused_by_all_and_left_alone(old: Path) -> None:
    with closing(sqlite3.connect(old / FILE_NAME)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = (old / FILE_NAME).read_bytes()
    with pytest.raises(StoreError, match="format 99"):
        await SqliteStore(old).open()
    with pytest.raises(StoreError, match="format 99"):
        await open_reader(old)
    with pytest.raises(StoreError, match="format 99"):
        Verifier(old).run()
    with pytest.raises(StoreError, match="format 99"):
        make_backup(old, old.parent / "copy", lambda _done, _total: None)
    assert (old / FILE_NAME).read_bytes() == before
