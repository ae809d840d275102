"""A backup is the store as it was at one instant, checked, and made into a store again."""

import asyncio
import shutil
import sqlite3
import stat
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from actors.memory import VirtualClock
from adapters.backups import make_backup, restore_backup
from adapters.sqlite.chain import read_head
from adapters.sqlite.schema import FILE_NAME
from adapters.sqlite.store import SqliteStore, WriterKind
from adapters.verify import Verifier
from engine.errors import StoreError
from engine.instants import DAY_MS
from engine.program.compile import canonical_bytes
from tests.e2e.command_line import nextbeat
from tests.reliability.folders import NAMES, build, copy
from tests.shards import ORIGIN_AT, WORKSPACE, Shard


def say_nothing(_done: int, _total: int) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    asyncio.run(build(folder))
    with closing(sqlite3.connect(folder / "inbox.db")) as inbox:
        inbox.execute("CREATE TABLE inbox (number)")
        inbox.execute("INSERT INTO inbox VALUES (7)")
        inbox.commit()
    return folder


@pytest.mark.parametrize("name", ["copy", "copy.tar", "copy.tar.gz", "copy.tgz"])
async def test_what_is_restored_is_what_was_backed_up(
    sound: Path, tmp_path: Path, name: str
) -> None:
    made = make_backup(sound, tmp_path / name, say_nothing)
    restored = restore_backup(tmp_path / name, tmp_path / "again", say_nothing)
    head = read_head(tmp_path / "again")
    assert head is not None
    assert (made.last_seq, made.hash) == (head.seq, head.hash.hex())
    assert (restored.last_seq, restored.hash) == (made.last_seq, made.hash)
    assert Verifier(tmp_path / "again").run().ok
    with closing(sqlite3.connect(tmp_path / "again" / "inbox.db")) as inbox:
        assert inbox.execute("SELECT * FROM inbox").fetchall() == [(7,)]
    clock = VirtualClock(ORIGIN_AT + DAY_MS)
    shard = await Shard(SqliteStore(tmp_path / "again"), clock=clock).start()
    assert (await shard.profile(NAMES[0])).history["Buy"].count == 1
    await shard.runtime.stop()


def test_only_the_owner_can_read_a_backup(sound: Path, tmp_path: Path) -> None:
    make_backup(sound, tmp_path / "copy", say_nothing)
    make_backup(sound, tmp_path / "copy.tar", say_nothing)
    for path in (tmp_path / "copy", *(tmp_path / "copy").iterdir(), tmp_path / "copy.tar"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path.name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "copy.tar"]
    names = sorted(path.name for path in (tmp_path / "copy").iterdir())
    assert names == ["head", "inbox.db", "nextbeat.db"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(WriterKind))
async def test_a_backup_beside_a_server_under_load_is_one_instant_of_it(
    tmp_path: Path, kind: WriterKind
) -> None:
    store = SqliteStore(tmp_path / "data", writer=kind)
    shard = await Shard(store).start()
    await store.save_program(shard.runtime.program.version, 1, canonical_bytes(WORKSPACE))
    await shard.submit(*(shard.known(name) for name in NAMES))
    last_seqs = [0]
    for number in range(3):
        to = tmp_path / f"copy-{number}"
        copying = asyncio.create_task(
            asyncio.to_thread(make_backup, tmp_path / "data", to, say_nothing)
        )
        for _ in range(40):
            events = ("Buy", "Wait", "Later", "Seen")
            await shard.runtime.submit([shard.track(n, e) for n in NAMES for e in events])
        last_seqs.append((await copying).last_seq)
        assert Verifier(to).run().found == []
    assert last_seqs == sorted(set(last_seqs))
    await shard.runtime.stop()
    assert Verifier(tmp_path / "data").run().found == []


def test_nothing_is_overwritten(sound: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("dear")
    with pytest.raises(StoreError, match="is there already"):
        make_backup(sound, tmp_path / "copy", say_nothing)
    assert (tmp_path / "copy").read_text() == "dear"
    make_backup(sound, tmp_path / "backup", say_nothing)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letters").write_text("dear")
    with pytest.raises(StoreError, match=r"is not empty \('letters'\)"):
        restore_backup(tmp_path / "backup", tmp_path / "full", say_nothing)


async def test_a_folder_in_use_is_not_restored_into(sound: Path, tmp_path: Path) -> None:
    make_backup(sound, tmp_path / "backup", say_nothing)
    store = SqliteStore(tmp_path / "data")
    await store.open()
    with pytest.raises(StoreError, match="in use by process"):
        restore_backup(tmp_path / "backup", tmp_path / "data", say_nothing)
    await store.close()


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("DELETE FROM journal WHERE seq > 90", "not as its marker says, from entry 91"),
        ("UPDATE journal SET at = 1 WHERE seq = 30", r"not sound \(entry 30"),
        ("DROP INDEX decisions_by_time", r"not sound \(index decisions_by_time"),
    ],
)
def test_damage_is_not_copied(sound: Path, tmp_path: Path, sql: str, words: str) -> None:
    harmed = copy(sound, tmp_path / "harmed", (FILE_NAME, "head"))
    with closing(sqlite3.connect(harmed / FILE_NAME)) as connection:
        connection.execute(sql)
        connection.commit()
    with pytest.raises(StoreError, match=words):
        make_backup(harmed, tmp_path / "copy", say_nothing)
    assert [path.name for path in tmp_path.iterdir()] == ["harmed"]


def test_a_damaged_backup_is_not_restored(sound: Path, tmp_path: Path) -> None:
    make_backup(sound, tmp_path / "copy.tar", say_nothing)
    image = bytearray((tmp_path / "copy.tar").read_bytes())
    image[image.index(b"customer-3")] ^= 1
    (tmp_path / "copy.tar").write_bytes(image)
    with pytest.raises(StoreError, match="not sound"):
        restore_backup(tmp_path / "copy.tar", tmp_path / "data", say_nothing)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["lock"]
    (tmp_path / "copy.tar").write_bytes(image[:5_000])
    with pytest.raises(StoreError, match="no whole backup"):
        restore_backup(tmp_path / "copy.tar", tmp_path / "data", say_nothing)


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.add(__file__, arcname="../../evil")
    for name in ("other", "other.tar"):
        with pytest.raises(StoreError, match="holds no Nextbeat store"):
            restore_backup(tmp_path / name, tmp_path / "data", say_nothing)
    with pytest.raises(StoreError, match="holds no Nextbeat store"):
        make_backup(tmp_path / "other", tmp_path / "copy", say_nothing)


@pytest.mark.slow
def test_the_commands_say_what_they_made_and_refuse_in_words(sound: Path, tmp_path: Path) -> None:
    data = shutil.copytree(sound, tmp_path / "data")
    made = nextbeat("backup", "--data", data, "--to", tmp_path / "copy.tar.gz")
    assert made.returncode == 0
    assert f"last entry {last_seq(sound)}, hash " in made.stdout
    again = nextbeat("backup", "--data", data, "--to", tmp_path / "copy.tar.gz")
    assert again.returncode == 1
    assert "is there already, and nothing is overwritten" in again.stderr
    back = nextbeat("restore", "--from", tmp_path / "copy.tar.gz", "--data", tmp_path / "new")
    assert back.returncode == 0
    assert f"last entry {last_seq(sound)}, hash " in back.stdout


def last_seq(folder: Path) -> int:
    head = read_head(folder)
    assert head is not None
    return head.seq
