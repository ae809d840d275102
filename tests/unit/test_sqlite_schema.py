"""The file as such: who may read it, which ones are refused, and that every query fits it."""

import sqlite3
import stat
from pathlib import Path

import pytest

from actors.rows import Commit, Entry
from adapters.sqlite.schema import (
    APPLICATION_ID,
    FILE_NAME,
    FORMAT,
    connect_writer,
    query,
    query_names,
)
from adapters.sqlite.store import SqliteStore, open_reader
from engine.errors import StoreError


def pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_a_new_file_is_marked_as_ours_and_set_up_to_lose_nothing(tmp_path: Path) -> None:
    connection = connect_writer(tmp_path)
    assert pragma(connection, "application_id") == APPLICATION_ID
    assert pragma(connection, "user_version") == FORMAT
    assert pragma(connection, "journal_mode") == "wal"
    assert pragma(connection, "synchronous") == 2
    assert pragma(connection, "wal_autocheckpoint") == 0
    connection.close()


def test_every_named_query_fits_the_tables(tmp_path: Path) -> None:
    connection = connect_writer(tmp_path)
    for name in query_names():
        sql = query(name).format(index="decisions_by_time", filters="at > ?")
        if "?1" in sql:
            connection.execute(
                f"EXPLAIN {sql}", [0] * max(n for n in range(1, 9) if f"?{n}" in sql)
            )
        else:
            connection.execute(f"EXPLAIN {sql}", [0] * sql.count("?"))
    connection.close()


@pytest.mark.parametrize(
    "name", ["tail", "timers", "outbox_open", "load", "resolve", "entries", "messages_by_provider"]
)
def test_no_query_on_the_way_of_an_event_reads_a_whole_table(tmp_path: Path, name: str) -> None:
    connection = connect_writer(tmp_path)
    parameters = [0] * sum(f"?{n}" in query(name) for n in range(1, 9))
    plan = connection.execute(f"EXPLAIN QUERY PLAN {query(name)}", parameters).fetchall()
    scans = [row[3] for row in plan if row[3].startswith("SCAN")]
    allowed = ("SCAN wanted", "SCAN walk", "SCAN (subquery", "SCAN outbox USING INDEX outbox_open")
    assert [scan for scan in scans if not scan.startswith(allowed)] == []
    connection.close()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_only_the_owner_can_read_what_people_did(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    store = SqliteStore(folder)
    await store.open()
    await store.commit(Commit(entries=[Entry(1, "u1", 0, 1, "p", b"", b"")]))
    assert names_in(folder) == ["lock", "nextbeat.db", "nextbeat.db-shm", "nextbeat.db-wal"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path.name
    await store.close()
    assert names_in(folder) == ["head", "lock", "nextbeat.db"]
    assert stat.S_IMODE((folder / "head").stat().st_mode) & 0o077 == 0


async def test_a_file_of_a_newer_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    connect_writer(tmp_path).close()
    newer = sqlite3.connect(tmp_path / FILE_NAME)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(StoreError, match=rf"format 99.*knows up to {FORMAT}"):
        await SqliteStore(tmp_path).open()
    assert (tmp_path / FILE_NAME).read_bytes() == before


async def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / FILE_NAME)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(StoreError, match="not a Nextbeat store"):
        await SqliteStore(tmp_path).open()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"dear diary" * 1_000)
    with pytest.raises(StoreError, match="NOTADB"):
        await SqliteStore(tmp_path).open()


async def test_a_data_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    with pytest.raises(StoreError, match="can't be used"):
        await SqliteStore(tmp_path / "data").open()


async def test_a_store_can_be_looked_at_beside_its_writer_but_not_written(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.open()
    reader = await open_reader(tmp_path)
    await store.commit(Commit(entries=[Entry(1, "u1", 0, 1, "p", b"in", b"out")]))
    assert [entry.seq for entry in await reader.entries(1, 5)] == [1]
    with pytest.raises(StoreError, match="reading only"):
        await reader.commit(Commit())
    with pytest.raises(StoreError, match="reading only"):
        await reader.save_program("v", 1, b"")
    await store.close()
    assert [entry.seq for entry in await reader.entries(1, 5)] == [1]
    await reader.close()


async def test_looking_at_nothing_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no Nextbeat store"):
        await open_reader(tmp_path)
    assert names_in(tmp_path) == []


async def test_a_reader_refuses_a_newer_format_in_the_words_of_the_writer(tmp_path: Path) -> None:
    connection = connect_writer(tmp_path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError) as reading:
        await open_reader(tmp_path)
    with pytest.raises(StoreError) as writing:
        connect_writer(tmp_path)
    assert f"has format 99, this program knows up to {FORMAT}" in str(reading.value)
    assert str(reading.value) == str(writing.value)
