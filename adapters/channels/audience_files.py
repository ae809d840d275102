"""Files of an audience's changes, one row a line, each there once and for good.

Used by `adapters.channels.audience`, one object for each file and one call of it at a time.

*Rules*
- Rows are on the disk when `put` returns. A line that a crash left half is cut off before the next.
- A message id that is among the last 100,000 is not written again.
- The file is opened anew each time, so that whoever takes it away just renames it.
"""

import asyncio
import os
from pathlib import Path

import msgspec

from actors.ports import Temporary
from engine.events import Failure

_IDS_MAX = 100_000
_TAIL_BYTES = 32 * 1024 * 1024  # holds more rows than ids are remembered
_LINE_BYTES_MAX = 64 * 1024
_HEADER = b"at,action,email,phone,message_id\n"


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """One change: a person, as hashes, in or out. `email` and `phone` are SHA-256 in hex."""

    at: str
    action: str
    email: str = ""
    phone: str = ""
    message_id: str = ""


class AudienceFile:
    """One audience's changes, as NDJSON or CSV."""

    def __init__(self, path: Path, *, is_csv: bool) -> None:
        self._path = path
        self._is_csv = is_csv
        self._ids: dict[str, None] = {}  # oldest first
        self._is_known = False  # what is in the file

    async def put(self, rows: list[Row]) -> None:
        """Write rows that are not there yet. Raises Temporary."""
        try:
            await asyncio.to_thread(self._put, rows)
        except OSError as error:
            self._is_known = False  # who knows how far it came
            raise Temporary(
                f"the file of the audience can't be written: {error.strerror}",
                failure=Failure.CONFIG,
            ) from error

    def _put(self, rows: list[Row]) -> None:
        if not self._is_known:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._recall()
            self._is_known = True
        new = [row for row in rows if row.message_id not in self._ids]
        with self._path.open("ab") as file:
            is_new = file.tell() == 0
            header = _HEADER if is_new and self._is_csv else b""
            file.write(header + b"".join(self._line(row) for row in new))
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            _sync_directory(self._path.parent)
        for row in new:
            self._remember(row.message_id)

    def _line(self, row: Row) -> bytes:
        if self._is_csv:
            fields = (row.at, row.action, row.email, row.phone, row.message_id)
            return ",".join(fields).encode() + b"\n"
        return msgspec.json.encode(row) + b"\n"

    def _recall(self) -> None:
        """Mend the end of the file, and learn which messages are in it."""
        if not self._path.exists():
            return
        with self._path.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size - _TAIL_BYTES)
            file.seek(start)
            tail = file.read()
            whole = tail.rfind(b"\n") + 1
            if whole < len(tail):
                file.truncate(start + whole)
                os.fsync(file.fileno())
        for line in tail[:whole].splitlines()[-_IDS_MAX:]:
            name = self._read_id(line)
            if name:
                self._remember(name)

    def _read_id(self, line: bytes) -> str:
        if len(line) > _LINE_BYTES_MAX:
            return ""
        if self._is_csv:
            return line.rpartition(b",")[2].decode("utf-8", "replace")
        try:
            return msgspec.json.decode(line, type=Row).message_id
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return ""  # somebody else's line

    def _remember(self, name: str) -> None:
        self._ids[name] = None
        if len(self._ids) > _IDS_MAX:
            del self._ids[next(iter(self._ids))]


def _sync_directory(path: Path) -> None:
    """Make the name of a new file durable, where the system can."""
    if os.name == "posix":
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
