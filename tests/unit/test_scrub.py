"""What SQLite leaves in a file of rows that are deleted, and that it is taken away unharmed."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from adapters.scrub import Scrubber, find_spans

PAGE_BYTES = 4_096
_GROW = "INSERT INTO people VALUES (?, ?) ON CONFLICT DO UPDATE SET body = excluded.body"
_NAMES = [f"somebody-{number:05d}" for number in range(800)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give a file in which rows grow, move and go, at random places."""
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        db.execute("PRAGMA secure_delete = ON")
        db.execute("CREATE TABLE people (name TEXT PRIMARY KEY, body BLOB)")
        db.execute("CREATE TABLE links (name TEXT, value TEXT, PRIMARY KEY (value)) WITHOUT ROWID")
        chance = random.Random(5)
        for size in range(8):
            db.execute("BEGIN")
            for name in chance.sample(_NAMES, 400):
                body = name.encode() * chance.randint(1, 9 + 40 * size)
                db.execute(_GROW, (name, body))
                db.execute("REPLACE INTO links VALUES (?, ?)", (name, name[::-1]))
            db.execute("COMMIT")
        for name in _NAMES[::5]:
            db.execute("DELETE FROM people WHERE name = ?", (name,))
            db.execute("DELETE FROM links WHERE name = ?", (name,))
    return path


def traces(path: Path) -> int:
    data = path.read_bytes()
    return sum(data.count(name.encode()) + data.count(name[::-1].encode()) for name in _NAMES[::5])


def rows(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found = db.execute("SELECT * FROM people ORDER BY name").fetchall()
        return found + db.execute("SELECT * FROM links ORDER BY value").fetchall()


def scrub(path: Path, pages: int) -> int:
    scrubber = Scrubber(path, PAGE_BYTES)
    for first in range(1, scrubber.pages() + 1, pages):
        scrubber.clean(first, pages)
    scrubber.close()
    return scrubber.cleaned


@pytest.mark.parametrize("pages", [1, 7, 10_000])
def test_what_sqlite_leaves_of_deleted_rows_is_gone(file: Path, pages: int) -> None:
    before = rows(file)
    assert traces(file)  # secure_delete alone leaves some
    assert scrub(file, pages)
    assert traces(file) == 0
    assert rows(file) == before
    assert scrub(file, pages) == 0


def test_what_was_deleted_without_care_is_gone_too(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute("PRAGMA secure_delete = OFF")
        for name in _NAMES[1::5]:
            db.execute("DELETE FROM people WHERE name = ?", (name,))
            db.execute("DELETE FROM links WHERE name = ?", (name,))
    before = rows(file)
    scrub(file, 64)
    data = file.read_bytes()
    assert not any(name.encode() in data for name in _NAMES[::5])
    assert sum(data.count(name.encode()) for name in _NAMES[1::5]) == 0
    assert rows(file) == before


def test_a_page_that_is_not_as_sqlite_makes_it_is_left_alone() -> None:
    assert find_spans(bytes(PAGE_BYTES), is_first=False) == []  # of the free list, or an overflow
    broken = bytes((13, 0, 9, 0, 1, 0, 5)) + bytes(PAGE_BYTES - 7)
    assert find_spans(broken, is_first=False) == []
