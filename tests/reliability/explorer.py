"""Every state in which a power cut can leave the disk, made from a record of writes, and opened.

`python -m tests.reliability.explorer` is one worker: see `explore`. What it knows of a disk: what
was synced is there. Of what was not, any part may be there: writes may be missing, in any order,
and torn between sectors of 512 bytes. A file's new name, or its end, may or may not have reached
the folder. The index of the log (`-shm`) is memory and never survives.
"""

import hashlib
import json
import os
import random
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from adapters.sqlite.chain import GENESIS, check_marker, find_break, read_head
from adapters.sqlite.schema import FILE_NAME
from adapters.sqlite.scribe import Scribe
from engine.errors import StoreError
from tests.reliability.shim import Operation, read_log

SECTOR_BYTES = 512
ACKNOWLEDGED = "acknowledged"
_MEMORY = Path("/dev/shm")
_REPEATS_MAX = 4  # states in a row that were seen before: there are hardly any others

Files = dict[str, bytearray]


class Findings(msgspec.Struct):
    """What was found in the states that were opened."""

    states: int = 0
    operations: int = 0
    lost: int = 0  # states in which something acknowledged is missing
    corrupt: int = 0  # states that do not open, or are not whole
    examples: list[str] = []


class Disk:
    """A folder as it is on the disk for sure, and what was done to it since."""

    def __init__(self, folder: str) -> None:
        self.acknowledged = 0
        self.durable: Files = {}
        self.pending: dict[str, list[Operation]] = {}
        self._folder = folder

    def apply(self, operation: Operation) -> None:
        """Take in the next thing that was done."""
        name = self._name(operation.path)
        if name == ACKNOWLEDGED:
            self.acknowledged = int(operation.data)
        elif name.endswith("-shm"):
            return
        elif operation.kind == "S":
            self._sync(name)
        else:
            self.pending.setdefault(name, []).append(operation)

    def survivors(self, rng: random.Random) -> Files:
        """Make up what a power cut now may leave: of each file's fresh writes any part."""
        files = {name: bytearray(held) for name, held in self.durable.items()}
        for name, operations in self.pending.items():
            way = rng.choice(_WAYS)
            for operation in operations:
                if way == "none" or (way != "all" and rng.random() < 0.5):
                    continue
                if way == "torn" and operation.kind == "W":
                    for piece in _tear(operation, rng):
                        self._do(files, name, piece)
                else:
                    self._do(files, name, operation)
        return files

    def _sync(self, name: str) -> None:
        """A file is on the disk; or, where it is the folder itself, all names are."""
        if name:
            for operation in self.pending.pop(name, []):
                self._do(self.durable, name, operation)
            self.durable.setdefault(name, bytearray())
            return
        for each, operations in list(self.pending.items()):
            for operation in operations:
                if operation.kind in "UR":
                    self._do(self.durable, each, operation)
            self.pending[each] = [one for one in operations if one.kind not in "UR"]

    def _do(self, files: Files, name: str, operation: Operation) -> None:
        if operation.kind == "U":
            files.pop(name, None)
        elif operation.kind == "R":
            if name in files:
                files[self._name(operation.data.decode())] = files.pop(name)
        else:
            held = files.setdefault(name, bytearray())
            place = operation.offset
            if len(held) < place:
                held.extend(bytes(place - len(held)))
            if operation.kind == "T":
                del held[place:]
            else:
                held[place : place + len(operation.data)] = operation.data

    def _name(self, path: str) -> str:
        return path.removeprefix(self._folder).lstrip("/")


_WAYS = ("none", "all", "some", "torn", "torn")


def _tear(operation: Operation, rng: random.Random) -> Iterator[Operation]:
    """Give some sectors of a write."""
    start = operation.offset
    end = start + len(operation.data)
    first = start - start % SECTOR_BYTES
    for sector in range(first, end, SECTOR_BYTES):
        if rng.random() < 0.5:
            place = max(sector, start)
            data = operation.data[place - start : sector + SECTOR_BYTES - start]
            yield Operation("W", operation.path, place, data)


def explore(log: Path, folder: str, seed: int, each: int, part: int, parts: int) -> Findings:
    """Open up to `each` different states after every operation that is this worker's."""
    findings = Findings()
    disk = Disk(folder)
    seen: set[bytes] = set()
    home = _MEMORY if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) else None
    place = Path(tempfile.mkdtemp(prefix="nextbeat-states-", dir=home))
    try:
        for number, operation in enumerate(read_log(log)):
            disk.apply(operation)
            if number % parts != part:
                continue
            findings.operations += 1
            rng = random.Random(seed * 1_000_003 + number)
            fresh = repeats = 0
            while fresh < each and repeats < _REPEATS_MAX:
                files = disk.survivors(rng)
                mark = _mark(files)
                if mark in seen:
                    repeats += 1
                    continue
                seen.add(mark)
                fresh += 1
                _judge(findings, files, place, disk.acknowledged, number)
    finally:
        shutil.rmtree(place)
    return findings


def _mark(files: Files) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(files):
        digest.update(b"%d %d %b" % (len(name), len(files[name]), name.encode()))
        digest.update(files[name])
    return digest.digest()


def _judge(findings: Findings, files: Files, place: Path, acknowledged: int, number: int) -> None:
    """Put a state where it can be opened, and open it as a start after the power cut would."""
    for old in place.iterdir():
        old.unlink()
    for name, held in files.items():
        (place / name).write_bytes(held)
    findings.states += 1
    try:
        last = open_whole(place)
    except (StoreError, sqlite3.Error, OSError, AssertionError) as error:
        findings.corrupt += 1
        findings.examples.append(f"after operation {number}: {error!r}"[:300])
        return
    if last < acknowledged:
        findings.lost += 1
        findings.examples.append(f"after operation {number}: {last} of {acknowledged} entries")


def open_whole(place: Path) -> int:
    """Open a store as a start after a crash does, see that it is whole; gives its last entry."""
    scribe = Scribe(place)
    last = scribe.state.last_seq
    scribe.close()
    with closing(sqlite3.connect(place / FILE_NAME)) as connection:
        ask = connection.execute
        assert ask("PRAGMA integrity_check").fetchall() == [("ok",)]
        for table in ("journal", "decisions", "outbox"):
            (count,) = ask(f"SELECT count(*) FROM {table}").fetchone()
            assert count == last, f"{count} rows in {table}, not {last}"
        (latest,) = ask("SELECT max(seq) FROM customers").fetchone()
        assert (latest or 0) == last, f"the latest snapshot is of {latest}, not of {last}"
        # As `verify_chain` does it, on this connection.
        assert check_marker(connection, read_head(place)) is None, "the marker is not of this"
        assert find_break(connection, 0, GENESIS)[0] is None, "the chain is broken"
    return last


if __name__ == "__main__":
    _, _log, _folder, *_numbers = sys.argv
    _seed, _each, _part, _parts = map(int, _numbers)
    found = explore(Path(_log), _folder, _seed, _each, _part, _parts)
    sys.stdout.write(json.dumps(msgspec.to_builtins(found)) + "\n")
