"""The file as such: opening it, bringing it up to date, and the SQL it is asked with.

Used by the scribe, which writes, and by the readers. The tables are in `migrations/`, the queries
in `queries.sql`; both ship beside this module.
"""

import os
import re
import sqlite3
from functools import cache
from importlib import resources
from pathlib import Path

from adapters.sqlite.checksums import register
from adapters.sqlite.intake import STATEMENTS_MAX
from engine.errors import StoreError

FILE_NAME = "nextbeat.db"
APPLICATION_ID = 0x4E58_5442  # "NXTB", so that `file` and we recognise a store
FORMAT = 10  # what this program writes: the number of the last migration
PAGE_BYTES = 4096
_SQLITE_MIN = (3, 35, 0)
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)

_WRITER_PRAGMAS = f"""
PRAGMA page_size = {PAGE_BYTES};
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA wal_autocheckpoint = 0;
PRAGMA temp_store = MEMORY;
PRAGMA foreign_keys = OFF;
PRAGMA secure_delete = ON;
PRAGMA cache_size = -32768;
"""


def query_names() -> tuple[str, ...]:
    """Name every query there is."""
    return tuple(_queries())


@cache
def query(name: str) -> str:
    """Give a query of `queries.sql` by its name."""
    return _queries()[name]


@cache
def _queries() -> dict[str, str]:
    text = resources.files("adapters.sqlite").joinpath("queries.sql").read_text("utf-8")
    parts = _NAME.split(text)
    return {
        name: sql.strip().rstrip(";") for name, sql in zip(parts[1::2], parts[2::2], strict=True)
    }


@cache
def _migrations() -> tuple[str, ...]:
    """Read the migrations in order: number n brings a file from version n-1 to n."""
    folder = resources.files("adapters.sqlite").joinpath("migrations")
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda f: f.name
    )
    for number, file in enumerate(files, start=1):
        assert file.name.startswith(f"{number:04d}_"), f"{file.name} is out of order"
    assert len(files) == FORMAT
    return tuple(file.read_text("utf-8") for file in files)


def connect_writer(folder: Path) -> sqlite3.Connection:
    """Open the one connection that may write, on a file of the newest version.

    The folder and the file are readable by their owner only: they hold what people did. Raises
    StoreError where the file is not ours or newer than this program, sqlite3.Error otherwise.
    """
    if sqlite3.sqlite_version_info < _SQLITE_MIN:
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: 3.35 or newer is needed")
    path = folder / FILE_NAME
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=STATEMENTS_MAX + 20
    )
    try:
        recognise(connection, path)
        connection.executescript(_WRITER_PRAGMAS)
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def reader_uri(folder: Path) -> str:
    """Name the file for a connection that can neither write nor checkpoint."""
    return (folder / FILE_NAME).absolute().as_uri() + "?mode=ro"


def recognise(connection: sqlite3.Connection, path: Path) -> int:
    """Refuse a file that is another program's, or a later version's, before touching it.

    Gives the version of the format it has; 0 where it has none yet.
    """
    version = _pragma(connection, "user_version")
    application = _pragma(connection, "application_id")
    is_new = _pragma(connection, "schema_version") == 0
    if application != APPLICATION_ID and not is_new:
        raise StoreError(f"{path} is not a Nextbeat store: choose another data directory")
    if version > FORMAT:
        raise StoreError(
            f"{path} has format {version}, this program knows up to {FORMAT}:"
            " start the newer Nextbeat that wrote it, or restore a backup of before the upgrade"
        )
    return version


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    row: tuple[int] = connection.execute(f"PRAGMA {name}").fetchone()
    return row[0]


def migrate(connection: sqlite3.Connection, to_version: int = FORMAT) -> None:
    """Bring a file up to a version, each migration in a transaction of its own."""
    register(connection)
    version = _pragma(connection, "user_version")
    for number, sql in enumerate(_migrations()[version:to_version], start=version + 1):
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{sql}\nPRAGMA application_id = {APPLICATION_ID};"
                f"PRAGMA user_version = {number};COMMIT;"
            )
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
