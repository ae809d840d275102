"""Room that is held back on the disk, and given up when a commit finds none."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.rows import Commit, Entry
from adapters.sqlite.ballast import BALLAST_NAME, Ballast, read_ballast_bytes
from adapters.sqlite.chain import verify_chain
from adapters.sqlite.schema import FILE_NAME
from adapters.sqlite.scribe import Scribe
from engine.errors import StoreError
from tests.reliability.disks import fill, small_disk

KIB = 1024
HELD = 1_024 * KIB


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MiB."""
    with small_disk(tmp_path / "disk", 8) as place:
        yield place


def entry(seq: int, size: int = 10) -> Commit:
    return Commit(entries=[Entry(seq, "u1", 0, 1, "v1", os.urandom(size), b"")])


def open_small(place: Path) -> Scribe:
    """Open a store with one entry, whose log gives back next to nothing."""
    Scribe(place).close()
    scribe = Scribe(place, ballast_bytes=HELD)
    scribe.write([entry(1)])
    return scribe


def test_it_is_there_with_the_store_and_of_the_size_that_was_asked_for(tmp_path: Path) -> None:
    for wanted in (HELD, HELD // 2):
        Scribe(tmp_path, ballast_bytes=wanted).close()
        found = (tmp_path / BALLAST_NAME).stat()
        assert (found.st_size, found.st_blocks * 512) == (wanted, wanted)
    Scribe(tmp_path).close()
    assert not (tmp_path / BALLAST_NAME).exists()


def test_it_takes_no_more_than_a_part_of_a_small_disk(disk: Path) -> None:
    assert Ballast(disk, 100 * KIB * KIB).hold()
    assert (disk / BALLAST_NAME).stat().st_size == KIB * KIB


def test_a_full_disk_costs_the_ballast_and_folds_the_log(disk: Path) -> None:
    scribe = open_small(disk)
    filler = fill(disk, 50 * KIB)
    for _ in range(3):
        with pytest.raises(StoreError, match=r"disk is full.*free some space"):
            scribe.write([entry(2, 200 * KIB)])
        scribe.tend(idle=False)
        assert not (disk / BALLAST_NAME).exists()
    assert (disk / f"{FILE_NAME}-wal").stat().st_size == 0
    assert scribe.broken == ""
    with pytest.raises(StoreError, match="disk is full"):
        scribe.write([entry(2)])  # what was given up is not for more of the same
    filler.unlink()
    scribe.write([entry(2, 200 * KIB)])
    assert (disk / BALLAST_NAME).stat().st_size == HELD
    scribe.close()
    assert verify_chain(disk) is None


def test_a_full_disk_lets_the_store_end_well(disk: Path) -> None:
    scribe = open_small(disk)
    fill(disk, 0)
    with pytest.raises(StoreError, match="disk is full"):
        scribe.write([entry(2, 200 * KIB)])
    scribe.close()
    assert not (disk / f"{FILE_NAME}-wal").exists()
    assert verify_chain(disk) is None


def test_a_store_that_finds_no_room_for_it_does_without(disk: Path) -> None:
    filler = fill(disk, 1_100 * KIB)
    scribe = Scribe(disk, ballast_bytes=HELD)
    assert not (disk / BALLAST_NAME).exists()
    scribe.write([entry(1)])
    filler.unlink()
    scribe.close()
    Scribe(disk, ballast_bytes=HELD).close()
    assert (disk / BALLAST_NAME).exists()


def test_how_much_it_is_is_a_setting() -> None:
    assert read_ballast_bytes({}) == 16 * KIB * KIB
    assert read_ballast_bytes({"NEXTBEAT_BALLAST_MIB": "0"}) == 0
    assert read_ballast_bytes({"NEXTBEAT_BALLAST_MIB": "3"}) == 3 * KIB * KIB
    for wrong in ("a lot", "-1", "1.5"):
        with pytest.raises(StoreError, match="whole number of MiB"):
            read_ballast_bytes({"NEXTBEAT_BALLAST_MIB": wrong})
