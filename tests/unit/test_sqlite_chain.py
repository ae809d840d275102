"""Damage SQLite does not notice is found, and named by its entry."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from actors.rows import Commit, Entry
from adapters.sqlite.chain import GENESIS, link_hash, read_head, verify_chain
from adapters.sqlite.schema import FILE_NAME
from adapters.sqlite.scribe import Scribe
from adapters.sqlite.store import SqliteStore
from engine.errors import StoreError

COUNT = 200
MARK = 123  # the entry that is damaged


def marked_entry(seq: int) -> Entry:
    return Entry(seq, f"who-{seq:04d}", 0, seq, "v1", b"in-%04d" % seq, b"out-%04d" % seq * 9)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A closed store, all of it in the one file."""
    scribe = Scribe(tmp_path)
    for seq in range(1, COUNT + 1, 10):
        scribe.write([Commit(entries=[marked_entry(s) for s in range(seq, seq + 10)])])
    scribe.write([Commit(covered_seq=COUNT)])
    scribe.close()
    return tmp_path


def change(folder: Path, sql: str) -> None:
    connection = sqlite3.connect(folder / FILE_NAME)
    connection.execute(sql)
    connection.commit()
    connection.close()


def test_an_unharmed_journal_verifies(folder: Path) -> None:
    assert verify_chain(folder) is None
    head = read_head(folder)
    assert head is not None
    assert head.seq == COUNT


@pytest.mark.parametrize("what", [b"who-%04d", b"in-%04d", b"out-%04d"])
@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_bit_is_found_and_named(folder: Path, what: bytes, bit: int) -> None:
    path = folder / FILE_NAME
    image = bytearray(path.read_bytes())
    place = image.index(what % MARK)
    image[place] ^= 1 << bit
    path.write_bytes(image)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    connection.close()
    assert verify_chain(folder) == MARK


@pytest.mark.parametrize(
    ("sql", "bad"),
    [
        (f"UPDATE journal SET at = at + 1 WHERE seq = {MARK}", MARK),
        (f"UPDATE journal SET prev = 1 WHERE seq = {MARK}", MARK),
        (f"UPDATE journal SET hash = zeroblob(32) WHERE seq = {MARK}", MARK),
        ("UPDATE programs SET version = 'v9'", 1),
        ("DELETE FROM programs", 1),
        (f"DELETE FROM journal WHERE seq = {MARK}", MARK + 1),
        (f"DELETE FROM journal WHERE seq >= {MARK}", MARK),
        (f"UPDATE journal SET hash = zeroblob(32) WHERE seq = {COUNT}", COUNT),
        (f"UPDATE journal SET at = 'noon' WHERE seq = {MARK}", MARK),
        (f"UPDATE journal SET input = NULL, hash = zeroblob(32) WHERE seq = {COUNT}", COUNT),
    ],
)
def test_every_kind_of_change_is_found(folder: Path, sql: str, bad: int) -> None:
    change(folder, sql)
    assert verify_chain(folder) == bad


def test_a_torn_page_is_found_at_the_first_entry_it_hides(folder: Path) -> None:
    path = folder / FILE_NAME
    image = bytearray(path.read_bytes())
    page = image.index(b"in-%04d" % MARK) // 4096
    image[page * 4096 : (page + 1) * 4096] = bytes(4096)
    path.write_bytes(image)
    broken = verify_chain(folder)
    assert broken is not None
    assert MARK - 60 < broken <= MARK


def test_a_row_whose_payload_was_erased_leaves_the_chain_whole(folder: Path) -> None:
    change(folder, f"UPDATE journal SET customer='', input=NULL, records=NULL WHERE seq = {MARK}")
    assert verify_chain(folder) is None


def test_parts_of_a_row_can_not_flow_into_each_other() -> None:
    one = Entry(1, "ab", 0, 1, "c", b"de", b"f")
    for other in (
        Entry(1, "a", 0, 1, "bc", b"de", b"f"),
        Entry(1, "ab", 0, 1, "cd", b"e", b"f"),
        Entry(1, "ab", 0, 1, "c", b"d", b"ef"),
        Entry(10, "ab", 0, 1, "c", b"de", b"f"),
    ):
        assert link_hash(GENESIS, one) != link_hash(GENESIS, other)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        (f"DELETE FROM journal WHERE seq > {MARK}", f"entries {MARK + 1} to {COUNT} were lost"),
        ("DELETE FROM journal", f"entries 1 to {COUNT} were lost"),
        (f"UPDATE journal SET hash = zeroblob(32) WHERE seq = {COUNT}", f"at entry {COUNT}"),
    ],
)
async def test_a_store_that_lost_what_was_durable_is_not_opened(
    folder: Path, sql: str, said: str
) -> None:
    change(folder, sql)
    with pytest.raises(StoreError, match=said):
        await SqliteStore(folder).open()


async def test_damage_in_what_recovery_would_fold_is_found_at_start(folder: Path) -> None:
    change(folder, "UPDATE meta SET value = 100")
    change(folder, f"UPDATE journal SET records = x'00' WHERE seq = {MARK}")
    with pytest.raises(StoreError, match=f"damaged at entry {MARK}"):
        await SqliteStore(folder).open()


def cut_log(folder: Path) -> None:
    path = folder / f"{FILE_NAME}-wal"
    os.truncate(path, path.stat().st_size // 2)


def flip_log(folder: Path) -> None:
    path = folder / f"{FILE_NAME}-wal"
    image = bytearray(path.read_bytes())
    image[len(image) // 2] ^= 1
    path.write_bytes(image)


@pytest.mark.parametrize("harm", [cut_log, flip_log])
async def test_a_damaged_log_is_noticed_though_sqlite_drops_its_rows_silently(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    alive = tmp_path / "alive"
    alive.mkdir()
    scribe = Scribe(alive)
    for seq in range(1, 100):
        scribe.write([Commit(entries=[marked_entry(seq)])])
    scribe.mark()
    # What a power cut leaves: the file, its log and the marker as they are now.
    dead = tmp_path / "dead"
    dead.mkdir()
    for name in (FILE_NAME, f"{FILE_NAME}-wal", "head"):
        (dead / name).write_bytes((alive / name).read_bytes())
    scribe.close()
    harm(dead)
    with pytest.raises(StoreError, match="to 99 were lost"):
        await SqliteStore(dead).open()


async def test_a_damaged_marker_is_named_with_what_to_do(folder: Path) -> None:
    (folder / "head").write_text("two hundred")
    with pytest.raises(StoreError, match=r"head is damaged.*remove the file"):
        await SqliteStore(folder).open()
    (folder / "head").unlink()
    store = SqliteStore(folder)
    await store.open()
    await store.close()
    head = read_head(folder)
    assert head is not None
    assert head.seq == COUNT


def test_a_journal_verifies_beside_its_writer(folder: Path) -> None:
    scribe = Scribe(folder)
    scribe.write([Commit(entries=[marked_entry(COUNT + 1)])])
    assert verify_chain(folder) is None
    scribe.close()
