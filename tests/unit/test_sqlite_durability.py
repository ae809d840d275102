"""What was answered is there, whatever happens; what can't be written is said clearly."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from actors.rows import Commit, Entry, QuarantineRow, StoreState
from adapters.sqlite.chain import verify_chain
from adapters.sqlite.lock import DataLock
from adapters.sqlite.schema import FILE_NAME
from adapters.sqlite.scribe import WAL_BYTES_HARD, WAL_BYTES_SOFT, Scribe
from adapters.sqlite.store import SqliteStore, WriterKind
from adapters.sqlite.writer_process import WriterProcess
from engine.errors import StoreError

ROOT = Path(__file__).parents[2]
KINDS = list(WriterKind)

# Commits entries of ever new seqs and prints the last one that was answered, until it is killed.
WRITE_UNTIL_KILLED = """
import asyncio, sys
from pathlib import Path
from actors.rows import Commit, Entry
from adapters.sqlite.store import SqliteStore, WriterKind

async def main(folder, kind):
    store = SqliteStore(Path(folder), writer=WriterKind(kind))
    seq = (await store.open()).last_seq
    while True:
        entries = [Entry(seq + n, "u1", 0, 1, "v1", b"x" * 200, b"y") for n in range(1, 8)]
        await store.commit(Commit(entries=entries))
        seq += 7
        print(seq, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""

# Lets no file grow beyond a bound, which SQLite meets as a failing disk, and tells what it heard.
FAIL_THE_DISK = """
import asyncio, resource, sys
from pathlib import Path
from actors.rows import Commit, Entry
from adapters.sqlite.store import SqliteStore, WriterKind
from engine.errors import StoreError

async def main(folder, kind):
    store = SqliteStore(Path(folder), writer=WriterKind(kind))
    await store.open()
    await store.commit(Commit(entries=[Entry(1, "u1", 0, 1, "v1", b"in", b"out")]))
    for body in (b"x" * 4_000_000, b"small"):
        try:
            await store.commit(Commit(entries=[Entry(2, "u1", 1, 1, "v1", body, b"")]))
        except StoreError as error:
            print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    print("broken" if store.broken else "fine")
    await store.close()

resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
asyncio.run(main(*sys.argv[1:]))
"""


def start(script: str, folder: Path, kind: WriterKind) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder), kind.value],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def entry(seq: int, size: int = 10) -> Entry:
    return Entry(seq, "u1", 0, 1, "v1", b"x" * size, b"")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
async def test_what_was_answered_survives_being_killed(tmp_path: Path, kind: WriterKind) -> None:
    answered = 0
    for commits in (3, 17):
        with start(WRITE_UNTIL_KILLED, tmp_path, kind) as writer:
            assert writer.stdout is not None
            for _ in range(commits):
                answered = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            rest = writer.stdout.read().split()
            answered = int(rest[-1]) if rest else answered
        store = SqliteStore(tmp_path)
        state = await store.open()
        assert state.last_seq >= answered
        assert state.last_seq % 7 == 0  # a commit is there as a whole or not at all
        entries = [found.seq async for portion in store.tail(0) for found in portion]
        assert entries == list(range(1, state.last_seq + 1))
        await store.close()
        assert verify_chain(tmp_path) is None


async def test_a_second_opener_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path)
    await first.open()
    with pytest.raises(StoreError, match=f"in use by process {os.getpid()}"):
        await SqliteStore(tmp_path, lock_wait_s=0).open()
    await first.commit(Commit(entries=[entry(1)]))
    await first.close()
    second = SqliteStore(tmp_path, lock_wait_s=0)
    assert await second.open() == StoreState(1, 0)
    await second.close()


async def test_an_opener_waits_a_moment_for_one_that_is_just_ending(tmp_path: Path) -> None:
    first, second = SqliteStore(tmp_path), SqliteStore(tmp_path, lock_wait_s=5)
    await first.open()
    opening = asyncio.create_task(second.open())
    await first.commit(Commit(entries=[entry(1)]))
    await first.close()
    assert await opening == StoreState(1, 0)
    await second.close()


async def test_a_store_that_was_refused_leaves_the_directory_free(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"dear diary" * 1_000)
    with pytest.raises(StoreError):
        await SqliteStore(tmp_path, lock_wait_s=0).open()
    (tmp_path / FILE_NAME).unlink()
    store = SqliteStore(tmp_path, lock_wait_s=0)
    await store.open()
    await store.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_full_disk_fails_the_commit_and_is_over_when_there_is_room(
    tmp_path: Path, kind: WriterKind
) -> None:
    store = SqliteStore(tmp_path, writer=kind, size_max=1_000_000)
    await store.open()
    filler = QuarantineRow(0, 1, "http", "x", "$", "", b"z" * 600_000)
    await store.commit(Commit(entries=[entry(1)], quarantined=[filler]))
    with pytest.raises(StoreError, match=r"disk is full.*free some space"):
        await store.commit(Commit(entries=[entry(2, 900_000)], links=[("n", "v", "u1")]))
    assert store.broken == ""
    assert await store.resolve([("n", "v")]) == {}
    await store.commit(Commit(released=[1]))
    await store.commit(Commit(entries=[entry(2, 500_000)]))
    await store.close()
    again = SqliteStore(tmp_path)
    assert (await again.open()).last_seq == 2
    await again.close()
    assert verify_chain(tmp_path) is None


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
async def test_after_the_disk_failed_nothing_is_taken_until_the_store_is_opened_anew(
    tmp_path: Path, kind: WriterKind
) -> None:
    with start(FAIL_THE_DISK, tmp_path, kind) as writer:
        said, _ = writer.communicate()
    first, second, broken = said.splitlines()
    assert "IOERR" in first
    assert "opened anew" in first
    assert second == first
    assert broken == "broken"
    store = SqliteStore(tmp_path)
    assert (await store.open()).last_seq == 1
    await store.commit(Commit(entries=[entry(2)]))
    await store.close()
    assert verify_chain(tmp_path) is None


async def test_a_writers_process_that_dies_fails_what_waits_and_all_that_follows(
    tmp_path: Path,
) -> None:
    lock = DataLock(tmp_path, wait_s=0)
    writer = WriterProcess(tmp_path, lock.descriptor)
    await writer.open()
    await writer.submit(Commit(entries=[entry(1)]))
    os.kill(writer.child_id, signal.SIGSTOP)
    waiting = [writer.submit(Commit(entries=[entry(seq)])) for seq in (2, 3)]
    os.kill(writer.child_id, signal.SIGKILL)
    for future in waiting:
        with pytest.raises(StoreError, match="process ended"):
            await future
    with pytest.raises(StoreError, match="process ended"):
        await writer.submit(Commit(entries=[entry(4)]))
    assert "process ended" in writer.broken
    await writer.close()
    lock.release()
    store = SqliteStore(tmp_path)
    assert (await store.open()).last_seq == 1
    await store.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_value_sqlite_can_not_hold_fails_its_commit_only(
    tmp_path: Path, kind: WriterKind
) -> None:
    store = SqliteStore(tmp_path, writer=kind)
    await store.open()
    for wrong in (
        Entry(1, "u\ud800", 0, 1, "v1", b"", b""),
        Entry(1, "u", 0, 2**70, "v1", b"", b""),
    ):
        with pytest.raises(StoreError):
            await store.commit(Commit(entries=[wrong]))
    await store.commit(Commit(entries=[entry(1)]))
    await store.close()


async def test_closing_finishes_what_was_handed_over(tmp_path: Path) -> None:
    for kind in KINDS:
        store = SqliteStore(tmp_path / kind.value, writer=kind)
        await store.open()
        handed = [store.commit(Commit(entries=[entry(seq)])) for seq in range(1, 31)]
        await store.close()
        await asyncio.gather(*handed)
        assert (await store.open()).last_seq == 30
        await store.close()


def test_the_log_is_folded_into_the_file_before_it_grows_large(tmp_path: Path) -> None:
    scribe = Scribe(tmp_path)
    log = tmp_path / f"{FILE_NAME}-wal"
    largest = 0
    for seq in range(1, 400):
        scribe.write([Commit(entries=[entry(seq, 60_000)])])
        scribe.tend(idle=False)
        largest = max(largest, log.stat().st_size)
    assert 5 * WAL_BYTES_SOFT < 399 * 60_000  # else nothing was shown
    assert largest < 2 * WAL_BYTES_SOFT < WAL_BYTES_HARD
    scribe.close()
