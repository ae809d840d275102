"""A workload on a real store, for the disk to be watched: commits of known shape, each marked.

A script. `python writing.py FOLDER SEED COMMITS HOST [SYNCHRONOUS]` opens the store in FOLDER and
commits entries 1, 2, 3 and so on; entry n comes with a decision, a message and a snapshot of its
own. Whatever was acknowledged is told in `FOLDER/acknowledged`, which the shim records in its
place among the writes. Where a commit is refused the script says why and goes on trying; it prints
one word more at its end: `broken` or `fine`.

HOST is `scribe` (the one that writes, called directly, with everything it does between commits) or
`store` (a whole store with its writing thread).

Without arguments it does many of these, each in a fork of its own: a line of its input is JSON with
`arguments` and `environment`, and is answered with the exit code once that one has ended. What it
said is in `FOLDER.said`.
"""

import asyncio
import json
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from actors.rows import Commit, DecisionRow, Entry, OutboxRow, SnapshotRow
from adapters.sqlite.scribe import Scribe
from adapters.sqlite.store import SqliteStore
from engine.errors import StoreError

CUSTOMERS = 5


class Notes:
    """The file in which acknowledgements are marked."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def acknowledge(self, seq: int) -> None:
        """Mark that everything up to an entry was promised to somebody."""
        os.write(self._file, b"%d\n" % seq)

    def close(self) -> None:
        os.close(self._file)


def make_commit(first: int, last: int, rng: random.Random) -> Commit:
    """Make a commit of the entries from `first` to `last`."""
    commit = Commit()
    for seq in range(first, last + 1):
        who = f"u{seq % CUSTOMERS}"
        body = rng.randbytes(rng.choice((20, 200, 200, 900)))
        commit.entries.append(Entry(seq, who, 0, seq, "v1", body, b""))
        decision = (f"d{seq}", seq, who, seq, "j", "m", "send", "sent", "c", body)
        commit.decisions.append(DecisionRow(*decision))
        commit.outbox.append(OutboxRow(f"m{seq}", who, "c", "queued", 0, b""))
        commit.snapshots.append(SnapshotRow(who, seq, body))
    if rng.random() < 0.3:
        commit.covered_seq = max(0, last - 4)
    return commit


def commits(start: int, count: int, rng: random.Random) -> Iterator[tuple[int, Commit]]:
    """Give commits that follow entry `start`, each with the last entry it has."""
    seq = start
    for _ in range(count):
        size = rng.choice((1, 1, 2, 7))
        yield seq + size, make_commit(seq + 1, seq + size, rng)
        seq += size


def write_directly(folder: Path, rng: random.Random, count: int, synchronous: str) -> str:
    """Have a scribe write, check point, mark its head, and start anew now and then."""
    notes = Notes(folder)
    left = count
    try:
        while left > 0:
            some = min(left, rng.randint(5, 40))
            left -= some
            write_once(open_scribe(folder, synchronous), notes, some, rng)
    except (StoreError, OSError) as error:
        sys.stdout.write(f"{error}\n")
        return "broken"
    finally:
        notes.close()
    return "fine"


def write_once(scribe: Scribe, notes: Notes, count: int, rng: random.Random) -> None:
    """Have one scribe write so many commits, each tried twice, and close."""
    for seq, commit in commits(scribe.state.last_seq, count, rng):
        if not (attempt(scribe, commit) or attempt(scribe, commit)):
            break
        notes.acknowledge(seq)
        scribe.tend(idle=rng.random() < 0.2)
        if rng.random() < 0.1:
            scribe.mark()
    scribe.close()


def open_scribe(folder: Path, synchronous: str) -> Scribe:
    """Open one; `synchronous` other than FULL plants the fault that is to be found."""
    scribe = Scribe(folder)
    connection = scribe._connection  # pyright: ignore[reportPrivateUsage] - it has no such setting
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    return scribe


def attempt(scribe: Scribe, commit: Commit) -> bool:
    """Write a commit; says whether it was taken."""
    broken = scribe.broken
    try:
        scribe.write([commit])
    except StoreError as error:
        sys.stdout.write(f"{error}\n")
        return False
    assert not broken, "a broken store took a commit"
    return True


async def write_through_store(folder: Path, rng: random.Random, count: int) -> str:
    """Have a store with its thread take several commits at a time, whatever becomes of each."""
    notes = Notes(folder)
    store = SqliteStore(folder)
    try:
        seq = (await store.open()).last_seq
    except StoreError as error:
        sys.stdout.write(f"{error}\n")
        return "broken"
    broken = ""
    for _ in range(count):
        handed = [
            (last, store.commit(commit)) for last, commit in commits(seq, rng.randint(1, 4), rng)
        ]
        taken = await asyncio.gather(*(done for _, done in handed), return_exceptions=True)
        for (last, _), refusal in zip(handed, taken, strict=True):
            if refusal is None:
                assert not broken, "a broken store took a commit"
                notes.acknowledge(last)
                seq = last
            else:
                sys.stdout.write(f"{refusal}\n")
        broken = store.broken
    await store.close()
    notes.close()
    return "broken" if broken else "fine"


def write(folder: Path, seed: int, count: int, host: str, synchronous: str = "FULL") -> str:
    """Write; gives the last word."""
    rng = random.Random(seed)
    if host == "scribe":
        return write_directly(folder, rng, count, synchronous)
    return asyncio.run(write_through_store(folder, rng, count))


def main(folder: str, seed: str, count: str, *how: str) -> None:
    """Write as the command line says."""
    sys.stdout.write(write(Path(folder), int(seed), int(count), *how) + "\n")


def attend() -> None:
    """Do what is asked, each in a fork, until the input ends."""
    for line in iter(sys.stdin.readline, ""):
        job = json.loads(line)
        child = os.fork()
        if not child:
            os.environ.update(job["environment"])
            said = os.open(f"{job['arguments'][0]}.said", os.O_WRONLY | os.O_CREAT, 0o600)
            os.dup2(said, 1)
            os.dup2(said, 2)
            main(*job["arguments"])
            return
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(*sys.argv[1:])
    else:
        attend()
