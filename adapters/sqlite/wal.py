"""What the write-ahead log must hold, checked before SQLite opens it.

Called by the scribe at start and by `nextbeat verify`. At the first frame that does not fit its
checksum SQLite takes the log to end, without a word: whatever was committed after it is gone. But
a process that was killed leaves the index of the log beside it (`-shm`), written after each
commit was on the disk, and that says how far the log had come.

*Rules*
- Only a commit that was durable counts: the index is written after the log is synced, so that it
  never claims too much. After a power cut it may claim too little, or be of an older log: then it
  proves nothing, and the head marker (`chain`) is what is left.
- A damaged log is not opened. SQLite would write the index anew, and with it the proof.
- Formats: https://www.sqlite.org/walformat.html
"""

import os
import shutil
import sqlite3
import struct
import tempfile
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import msgspec

from adapters.sqlite.schema import FILE_NAME, query, reader_uri
from engine.errors import StoreError

_HEADER = struct.Struct(">4I8s2I")  # magic, version, page size, checkpoint; salts; checksum
_MAGIC, _VERSION = 0x377F0682, 3_007_000  # the lowest bit of the magic: big-endian checksums
_FRAME = struct.Struct(">2I8s2I")  # page, pages after the commit; salts; checksum
# version, -, change; is set up, big-endian, page size; frames, pages; checksum; salts; own checksum
_INDEX = struct.Struct("=3I2BH2I2I8s2I")
_INDEX_SUMMED_BYTES = 40
_WORD = 0xFFFF_FFFF
_ATTEMPTS = 5

Sum = tuple[int, int]


class _Index(msgspec.Struct, frozen=True):
    """How far the log had come with the last commit."""

    frames: int
    salts: bytes
    sum: Sum


def check_log(folder: Path) -> None:
    """Raise StoreError where the log has lost commits that were durable.

    Beside a running writer the log may start over while it is read; then the index has changed,
    and it is read again.
    """
    for attempt in range(_ATTEMPTS):
        index = _read_index(folder)
        if index is None or not index.frames:
            return
        good = _count_frames(folder / f"{FILE_NAME}-wal", index)
        if good is None or good >= index.frames:
            return
        if _read_index(folder) == index or attempt == _ATTEMPTS - 1:
            raise StoreError(
                f"the write-ahead log in {folder} is damaged after {good} of {index.frames} frames:"
                f" commits that were durable are lost{_reach(folder)}; restore the data directory"
                " from a backup"
            )


def _reach(folder: Path) -> str:
    """Say how far the journal can be read: in a copy, for reading makes the index anew."""
    try:
        with tempfile.TemporaryDirectory(prefix=".log.", dir=folder) as name:
            copy = Path(name)
            os.link(folder / FILE_NAME, copy / FILE_NAME)  # it is only read
            shutil.copyfile(folder / f"{FILE_NAME}-wal", copy / f"{FILE_NAME}-wal")
            with closing(sqlite3.connect(reader_uri(copy), uri=True)) as connection:
                last_seq, _ = connection.execute(query("state")).fetchone()
                return f", those after entry {last_seq}"
    except (OSError, sqlite3.Error):
        return ""  # it can't even be read that far


def _read_index(folder: Path) -> _Index | None:
    """Read the index of the log; None where there is none, or none that is whole."""
    try:
        with (folder / f"{FILE_NAME}-shm").open("rb") as file:
            data = file.read(_INDEX.size)
    except FileNotFoundError:
        return None
    if len(data) < _INDEX.size:
        return None
    _, _, _, is_set_up, _, _, frames, _, sum0, sum1, salts, own0, own1 = _INDEX.unpack(data)
    summed = struct.unpack(f"={_INDEX_SUMMED_BYTES // 4}I", data[:_INDEX_SUMMED_BYTES])
    if not is_set_up or _add((0, 0), summed) != (own0, own1):
        return None
    return _Index(frames, salts, (sum0, sum1))


def _count_frames(path: Path, index: _Index) -> int | None:
    """Count the frames that are as they were written; None where the index is of another log."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return 0
    with file:
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size or not _is_whole(head):
            return 0
        magic, _, page_bytes, _, salts, *total = _HEADER.unpack(head)
        if salts != index.salts:
            return None
        words = struct.Struct(f"{_order(magic)}2I{page_bytes // 4}I")
        return _follow(file, words, (total[0], total[1]), index)


def _is_whole(head: bytes) -> bool:
    magic, version, _, _, _, *total = _HEADER.unpack(head)
    words = struct.unpack(f"{_order(magic)}6I", head[:24])
    return magic & ~1 == _MAGIC and version == _VERSION and _add((0, 0), words) == tuple(total)


def _order(magic: int) -> str:
    return ">" if magic & 1 else "<"


def _follow(file: BinaryIO, words: struct.Struct, total: Sum, index: _Index) -> int:
    """Follow the frames' checksums; gives how many are right."""
    size = _FRAME.size + words.size - 8
    for good in range(index.frames):
        frame = file.read(size)
        if len(frame) < size:
            return good
        _, _, salts, sum0, sum1 = _FRAME.unpack_from(frame)
        total = _add(total, words.unpack(frame[:8] + frame[_FRAME.size :]))
        if salts != index.salts or total != (sum0, sum1):
            return good
    return index.frames if total == index.sum else index.frames - 1


def _add(total: Sum, words: tuple[int, ...]) -> Sum:
    """Add words to SQLite's running checksum of a log."""
    first, second = total
    for word, other in zip(words[::2], words[1::2], strict=True):
        first = (first + word + second) & _WORD
        second = (second + other + first) & _WORD
    return first, second
