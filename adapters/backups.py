"""Copies of a data directory, made beside a running server, and the way back.

Called by `nextbeat backup` and `nextbeat restore`. A backup is itself a data directory, or a tar
archive of one: the database, the marker that belongs to it, and the in-app messages.

*Rules*
- The copy is read through a connection that can neither write nor checkpoint, in one view of the
  store: SQLite before 3.51.3 can corrupt its log where a second connection checkpoints.
- What can't be the whole journal gets no marker: a new one would hide what is lost.
- A copy gets its name when it is checked and on the disk. Nothing is ever overwritten.
"""

import os
import shutil
import sqlite3
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from adapters.channels.registry import INBOX_FILE
from adapters.sqlite.chain import HEAD_NAME, Head, check_marker, hash_before, read_head, write_head
from adapters.sqlite.lock import LOCK_NAME, DataLock
from adapters.sqlite.readers import read_format
from adapters.sqlite.schema import FILE_NAME, FORMAT, query
from adapters.sqlite.wal import check_log
from adapters.verify import Verifier
from engine.errors import StoreError

_ARCHIVES = (".tar", ".tar.gz", ".tgz")
_MEMBERS = (FILE_NAME, HEAD_NAME, INBOX_FILE)
_STEP_PAGES = 4_096  # copied between two looks at how far it is

Progress = Callable[[int, int], object]


class Backup(msgspec.Struct, frozen=True):
    """A copy that was checked."""

    path: str
    bytes: int
    last_seq: int
    hash: str


def make_backup(folder: Path, to: Path, progress: Progress) -> Backup:
    """Copy a data directory to a folder or an archive that is not there yet. Raises StoreError."""
    _refuse_to_overwrite(to)
    with _staging(to) as staging:
        head = _copy(folder, staging, progress)
        _check(staging, whole=False)
        made = _pack(staging, to) if to.name.endswith(_ARCHIVES) else staging
        size = sum(file.stat().st_size for file in made.rglob("*")) or made.stat().st_size
        _refuse_to_overwrite(to)
        made.rename(to)
    _sync(to.parent)
    return Backup(str(to), size, head.seq, head.hash.hex())


def restore_backup(backup: Path, folder: Path, progress: Progress) -> Backup:
    """Make a data directory of a backup, in a folder with nothing in it. Raises StoreError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = DataLock(folder, wait_s=0)
    try:
        others = [path.name for path in folder.iterdir() if path.name != LOCK_NAME]
        if others:
            raise StoreError(
                f"{folder} is not empty ({min(others)!r:.80}): choose a new folder, or move"
                " away what is there"
            )
        with _staging(folder) as staging, _unpacked(backup, folder) as source:
            head = _copy(source, staging, progress)
            _check(staging, whole=True)
            # The marker first: without its database it keeps a server from starting afresh.
            names = [name for name in reversed(_MEMBERS) if (staging / name).exists()]
            size = sum((staging / name).stat().st_size for name in names)
            for name in names:
                (staging / name).rename(folder / name)
        _sync(folder)
    finally:
        lock.release()
    return Backup(str(folder), size, head.seq, head.hash.hex())


def _refuse_to_overwrite(to: Path) -> None:
    if to.exists():
        raise StoreError(f"{to} is there already, and nothing is overwritten: choose another name")


@contextmanager
def _staging(to: Path) -> Generator[Path]:
    """Give a folder beside `to`, for its owner only, that goes away if it is not moved."""
    to.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{to.name}.", dir=to.parent))
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _copy(folder: Path, staging: Path, progress: Progress) -> Head:
    """Copy a store as it is at one instant, with its marker. Raises StoreError."""
    if not (folder / FILE_NAME).is_file():
        raise StoreError(f"{folder} holds no Nextbeat store")
    check_log(folder)
    read_format(folder)
    marked = read_head(folder)
    try:
        with closing(_open(folder / FILE_NAME)) as source:
            source.execute("BEGIN")
            last_seq, _ = source.execute(query("state")).fetchone()
            broken = check_marker(source, marked)
            if broken is not None:
                raise StoreError(
                    f"the journal in {folder} is not as its marker says, from entry {broken} on:"
                    " it is not copied; see what `nextbeat verify` says"
                )
            head = Head(last_seq, hash_before(source, last_seq))
            _copy_database(source, staging / FILE_NAME, progress)
        if (folder / INBOX_FILE).is_file():
            with closing(_open(folder / INBOX_FILE)) as source:
                _copy_database(source, staging / INBOX_FILE, lambda _done, _total: None)
    except sqlite3.Error as error:
        raise StoreError(f"{folder} could not be copied: {error}") from error
    if head.seq:
        write_head(staging, head)
    return head


def _open(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, isolation_level=None)


def _copy_database(source: sqlite3.Connection, to: Path, progress: Progress) -> None:
    os.close(os.open(to, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(to)) as target:
        target.execute("PRAGMA synchronous = OFF")  # synced as a whole, below

        def tell(_status: int, remaining: int, total: int) -> None:
            progress(total - remaining, total)

        source.backup(target, pages=_STEP_PAGES, progress=tell)
    _sync(to)


def _check(staging: Path, *, whole: bool) -> None:
    """Check a copy; afterwards nothing but the copy is there."""
    is_current = whole and read_format(staging) == FORMAT
    report = Verifier(staging).run(decide=False, tables=is_current)
    for path in staging.iterdir():
        if path.name not in _MEMBERS:
            path.unlink()
    if not report.ok:
        first = report.found[0]
        place = f"entry {first.seq}" if first.seq is not None else first.row or first.part
        raise StoreError(
            f"the copy is not sound ({place}: {first.message}), and nothing was kept of it: see"
            " what `nextbeat verify` says of the original"
        )
    _sync(staging)


def _pack(staging: Path, to: Path) -> Path:
    """Make an archive of a copy, within its folder."""
    archive = staging / to.name
    with archive.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        if to.suffix == ".tar":
            with tarfile.open(fileobj=file, mode="w") as tar:
                _pack_into(staging, tar)
        else:
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as tar:
                _pack_into(staging, tar)
        file.flush()
        os.fsync(file.fileno())
    return archive


def _pack_into(staging: Path, tar: tarfile.TarFile) -> None:
    for name in _MEMBERS:
        if (staging / name).exists():
            tar.add(staging / name, arcname=name)


@contextmanager
def _unpacked(backup: Path, folder: Path) -> Generator[Path]:
    """Give the folder that a backup is, or unpack it beside `folder`. Raises StoreError."""
    if backup.is_dir():
        yield backup
        return
    with _staging(folder) as unpacked:
        try:
            with tarfile.open(backup) as tar:
                for name in _MEMBERS:
                    _extract(tar, name, unpacked)
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise StoreError(f"{backup} is no whole backup: {error}") from error
        yield unpacked


def _extract(tar: tarfile.TarFile, name: str, to: Path) -> None:
    """Take one file out of an archive, if it is there; whatever else is in it stays there."""
    try:
        file = tar.extractfile(name)
    except KeyError:
        return
    if file is not None:
        with file, (to / name).open("xb") as target:
            shutil.copyfileobj(file, target)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
