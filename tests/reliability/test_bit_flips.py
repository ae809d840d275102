"""Every flipped bit is found, at start or by `verify`, or lies where nothing is stored.

SQLite notices few of them. Flips are tried one at a time over the database, the log that a killed
process left, and the marker. Where one is not found, the test shows that it is in free space, and
that everything that can be read is as it was.
"""

import asyncio
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from adapters.sqlite.chain import Head, read_head
from adapters.sqlite.schema import FILE_NAME
from adapters.sqlite.scribe import Scribe
from adapters.sqlite.store import SqliteStore, open_reader
from adapters.verify import Verifier
from engine.errors import StoreError
from engine.program.compile import compile_source
from tests.reliability.figures import keep
from tests.reliability.folders import NAMES, SHOP, build, copy
from tests.reliability.pages import PAGE, used_bytes
from tests.shards import Shard

ROOT = Path(__file__).parents[2]
SEED = 20261127
MANY = [pytest.param(600), pytest.param(10_000, marks=pytest.mark.long)]
SOME = [pytest.param(120), pytest.param(3_000, marks=pytest.mark.long)]
LOG_HEADER, LOG_FRAME = 32, 24 + PAGE

# Commits of each kind there is, then told to be killed.
WRITE_AND_WAIT = """
import sys
from pathlib import Path
from actors.rows import Commit, Entry, OutboxChange, OutboxRow
from adapters.sqlite.scribe import Scribe

scribe = Scribe(Path(sys.argv[1]))
for seq in range(1, 60):
    entry = Entry(seq, "u1", seq - 1, seq, "v1", b"x" * 300, b"y")
    row = OutboxRow(f"m{seq}", "u1", "email", "queued", 0, b"body")
    scribe.write([Commit(entries=[entry], outbox=[row])])
    scribe.write([Commit(outbox_changes=[OutboxChange(f"m{seq}", "sent", 1, "")])])
    if seq in (10, 45):
        scribe.tend(idle=True)  # a checkpoint: after it the log starts over
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    asyncio.run(build(folder))
    report = Verifier(folder).run()
    assert report.ok
    assert report.decided_again == report.entries
    assert min(report.decisions, report.messages, report.timers, report.snapshots) > 0
    return folder


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a killed process left: the file, its log, and the index of the log."""
    folder = tmp_path_factory.mktemp("killed")
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_AND_WAIT, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        writer.send_signal(signal.SIGKILL)
    assert (folder / f"{FILE_NAME}-wal").stat().st_size > 100_000
    return folder


def flip(path: Path, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(bit // 8)
        (byte,) = file.read(1)
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


def find(folder: Path, *, tables: bool = True) -> str:
    """Say what verify, or else a start, finds wrong with a folder; "" where nothing."""
    try:
        report = Verifier(folder).run(decide=False, tables=tables)
    except StoreError as error:
        return str(error)
    for one in report.found:
        assert one.seq is not None or one.row or one.part in {"file", "log", "marker"}, one
        return f"{one.part} {one.seq} {one.row} {one.message}"
    try:
        Scribe(folder).close()
    except StoreError as error:
        return str(error)
    return ""


def dump(path: Path) -> dict[str, list[object]]:
    """Read everything there is, but for the number that the next quarantined item gets."""
    connection = sqlite3.connect(path)
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    told: dict[str, list[object]] = {
        name: connection.execute(f"SELECT * FROM {name}").fetchall()
        for (name,) in tables
        if name != "sqlite_sequence"
    }
    connection.close()
    return told


def try_flips(sound: Path, scratch: Path, bits: Iterable[int]) -> Iterator[int]:
    """Try each flip in a copy of the database; gives those that nobody finds."""
    for bit in bits:
        folder = copy(sound, scratch, (FILE_NAME, "head"))
        flip(folder / FILE_NAME, bit)
        if not find(folder):
            yield bit


def assert_harmless(sound: Path, scratch: Path, unfound: Iterable[int]) -> None:
    """Show that flips are where nothing is stored, and that nothing that is stored changed."""
    used = used_bytes(sound / FILE_NAME)
    before = dump(sound / FILE_NAME)
    for bit in unfound:
        assert not used[bit // 8], f"page {bit // 8 // PAGE + 1}, byte {bit // 8 % PAGE}"
        folder = copy(sound, scratch, (FILE_NAME, "head"))
        flip(folder / FILE_NAME, bit)
        assert dump(folder / FILE_NAME) == before


_TOLD: dict[str, float | str] = {}


def tell(figures: dict[str, float]) -> None:
    """Add to the figures of this file; a longer run replaces those of a shorter."""
    _TOLD.update(figures)
    keep("bit_flips", _TOLD)


@pytest.mark.slow
@pytest.mark.parametrize("count", MANY)
def test_every_flip_in_what_is_stored_is_found_and_named(
    sound: Path, tmp_path: Path, count: int
) -> None:
    used = used_bytes(sound / FILE_NAME)
    stored = [place for place, is_used in enumerate(used) if is_used]
    assert 0.2 < len(stored) / len(used) < 0.9  # else what is shown here is little
    chance = random.Random(SEED)
    bits = [chance.choice(stored) * 8 + chance.randrange(8) for _ in range(count)]
    assert list(try_flips(sound, tmp_path / "scratch", bits)) == []
    tell({"flips in what is stored": count, "of these found and named": count})


@pytest.mark.slow
@pytest.mark.parametrize("count", MANY)
def test_a_flip_that_is_not_found_is_where_nothing_is_stored(
    sound: Path, tmp_path: Path, count: int
) -> None:
    size = (sound / FILE_NAME).stat().st_size
    chance = random.Random(SEED + 1)
    bits = [chance.randrange(size * 8) for _ in range(count // 2)]
    bits += [chance.randrange(100 * 8) for _ in range(count // 6)]  # the header once more
    unfound = list(try_flips(sound, tmp_path / "scratch", bits))
    assert_harmless(sound, tmp_path / "scratch", unfound)
    assert 0 < len(unfound) < len(bits)
    tell({"flips anywhere": len(bits), "shown to lie where nothing is stored": len(unfound)})


@pytest.mark.slow
@pytest.mark.parametrize("count", SOME)
def test_every_flip_in_the_log_of_a_killed_process_is_found(
    killed: Path, tmp_path: Path, count: int
) -> None:
    names = (FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm", "head")
    assert find(copy(killed, tmp_path / "scratch", names), tables=False) == ""
    log_bytes = LOG_HEADER + LOG_FRAME * log_frames(killed)
    chance = random.Random(SEED)
    bits = [*range(0, LOG_HEADER * 8, 7), *(chance.randrange(log_bytes * 8) for _ in range(count))]
    for bit in bits:
        folder = copy(killed, tmp_path / "scratch", names)
        flip(folder / f"{FILE_NAME}-wal", bit)
        with pytest.raises(StoreError, match=r"log .* is damaged .* those after entry \d+"):
            Scribe(folder)
        with pytest.raises(StoreError, match="log"):  # and it stays refused
            Scribe(folder)
        assert "log" in find(folder, tables=False)
    tell({"flips in a killed process's log": len(bits), "found there": len(bits)})


def test_what_was_in_the_log_before_it_started_over_is_not_missed(
    killed: Path, tmp_path: Path
) -> None:
    size = (killed / f"{FILE_NAME}-wal").stat().st_size
    begin = LOG_HEADER + LOG_FRAME * log_frames(killed)
    assert begin < size
    names = (FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm", "head")
    folder = copy(killed, tmp_path / "scratch", names)
    flip(folder / f"{FILE_NAME}-wal", (begin + size) * 4)
    assert find(folder, tables=False) == ""


def log_frames(folder: Path) -> int:
    """Tell how many frames the log had with the last commit."""
    index = (folder / f"{FILE_NAME}-shm").read_bytes()
    return int.from_bytes(index[16:20], sys.byteorder)


@pytest.mark.slow
def test_every_flip_in_the_marker_is_found(sound: Path, tmp_path: Path) -> None:
    marker = read_head(sound)
    harmless = 0
    for bit in range((sound / "head").stat().st_size * 8):
        folder = copy(sound, tmp_path / "scratch", ("head",))
        flip(folder / "head", bit)
        if says_the_same(folder, marker):
            harmless += 1  # the other case of a letter, or another blank
            continue
        shutil.copyfile(sound / FILE_NAME, folder / FILE_NAME)
        with pytest.raises(StoreError):
            Scribe(folder)
    assert harmless < 60


def says_the_same(folder: Path, marker: Head | None) -> bool:
    try:
        return read_head(folder) == marker
    except StoreError:
        return False


@pytest.mark.slow
async def test_a_flipped_snapshot_is_not_believed_but_made_again_from_the_journal(
    sound: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number, name in enumerate(NAMES[:4]):
        caplog.clear()
        before = await state_of(copy(sound, tmp_path / "scratch", (FILE_NAME, "head")))
        folder = copy(sound, tmp_path / f"of {number}", (FILE_NAME, "head"))
        body = snapshot_body(folder, name)
        image = (folder / FILE_NAME).read_bytes()
        flip(folder / FILE_NAME, (image.index(body) + len(body) * number // 4) * 8 + number)
        assert repr(name) in find(folder)
        reader = await open_reader(folder)
        rows = await reader.load(NAMES)
        await reader.close()
        assert [row.customer for row in rows.values() if not row.body] == [name]
        assert await state_of(folder) == before
        assert f"the snapshot of {name!r} is damaged" in caplog.text
        assert find(folder) == ""  # it was written anew


async def state_of(folder: Path) -> dict[str, bytes]:
    """Start a shard, say what is known of everybody, then have each do something."""
    # Under other segments than the folder's, a review would change everybody meanwhile.
    shard = await Shard(SqliteStore(folder), program=compile_source(SHOP)).start()
    state = await shard.state(*NAMES)
    await shard.submit(*(shard.track(name, event_id="again") for name in NAMES))
    await shard.runtime.stop()
    return state


def snapshot_body(folder: Path, name: str) -> bytes:
    connection = sqlite3.connect(folder / FILE_NAME)
    (body,) = connection.execute(
        "SELECT body FROM customers WHERE customer = ?", (name,)
    ).fetchone()
    connection.close()
    return bytes(body)


@pytest.mark.slow
async def test_who_can_not_be_made_again_from_the_journal_is_refused_by_name(
    sound: Path, tmp_path: Path
) -> None:
    folder = copy(sound, tmp_path / "scratch", (FILE_NAME,))
    connection = sqlite3.connect(folder / FILE_NAME)
    first = "(SELECT min(seq) FROM journal WHERE customer = ?)"
    erased = f"UPDATE journal SET customer = '', input = NULL, records = NULL WHERE seq = {first}"
    connection.execute(erased, (NAMES[3],))
    connection.execute("UPDATE customers SET body = x'00' WHERE customer = ?", (NAMES[3],))
    connection.commit()
    connection.close()
    shard = await Shard(SqliteStore(folder)).start()
    with pytest.raises(StoreError, match=f"{NAMES[3]!r} is damaged, and the journal does not have"):
        await shard.profile(NAMES[3])
    await shard.profile(NAMES[4])
    await shard.runtime.stop()
