"""Which bytes of a SQLite file hold nothing: the space between rows, and pages nobody uses."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

PAGE = 4096
_TABLE_INTERIOR, _INDEX_INTERIOR, _TABLE_LEAF, _INDEX_LEAF = 5, 2, 13, 10
_KINDS = (_TABLE_INTERIOR, _INDEX_INTERIOR, _TABLE_LEAF, _INDEX_LEAF)

# Of the header: how often the file was changed, the schema's version, and who wrote it last.
# SQLite keeps them for itself; nothing that is stored depends on them.
BOOKKEEPING = (range(24, 28), range(40, 44), range(92, 100))


def used_bytes(path: Path) -> bytearray:
    """Give a byte for each of the file's: 1 where something is stored, 0 where nothing is."""
    image = path.read_bytes()
    used = bytearray(len(image))
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    tables = connection.execute("SELECT rootpage, name, sql FROM sqlite_master").fetchall()
    connection.close()
    mark(used, 0, 100)
    for part in BOOKKEEPING:
        used[part.start : part.stop] = bytes(len(part))
    _Tree(image, used).walk(1)
    for root, name, sql in tables:
        if root:
            tree = _Tree(image, used)
            tree.has_key = re.search(r"\(\s*\w+ INTEGER PRIMARY KEY", sql or "") is not None
            tree.is_numbering = name == "sqlite_sequence"
            tree.walk(root)
    _mark_freelist(image, used)
    return used


def mark(used: bytearray, start: int, size: int) -> None:
    used[start : start + size] = b"\1" * size


def number(image: bytes, place: int, size: int) -> int:
    return int.from_bytes(image[place : place + size], "big")


def varint(image: bytes, place: int) -> tuple[int, int]:
    """Give a number of variable length, and where it ends."""
    value = 0
    for length in range(1, 10):
        byte = image[place + length - 1]
        if length == 9:
            return (value << 8) | byte, place + 9
        value = (value << 7) | (byte & 127)
        if byte < 128:
            return value, place + length
    raise AssertionError


class _Tree:
    def __init__(self, image: bytes, used: bytearray) -> None:
        self._image = image
        self._used = used
        # The key of a row is its number in the tree; the place it has among the row's values is
        # never read.
        self.has_key = False
        self.is_numbering = False  # what comes next is not something that was stored

    def walk(self, page: int) -> None:
        start = (page - 1) * PAGE
        head = start + (100 if page == 1 else 0)
        kind = self._image[head]
        assert kind in _KINDS
        is_interior = kind in (_TABLE_INTERIOR, _INDEX_INTERIOR)
        count = number(self._image, head + 3, 2)
        size = 12 if is_interior else 8
        mark(self._used, head, size + 2 * count)
        self._mark_freeblocks(start, number(self._image, head + 1, 2))
        for place in range(count):
            cell = start + number(self._image, head + size + 2 * place, 2)
            self._mark_cell(kind, cell)
            if is_interior:
                self.walk(number(self._image, cell, 4))
        if is_interior:
            self.walk(number(self._image, head + 8, 4))

    def _mark_freeblocks(self, start: int, block: int) -> None:
        while block:
            mark(self._used, start + block, 4)
            block = number(self._image, start + block, 2)

    def _mark_cell(self, kind: int, cell: int) -> None:
        place = cell + 4 if kind in (_TABLE_INTERIOR, _INDEX_INTERIOR) else cell
        if kind == _TABLE_INTERIOR:
            _, end = varint(self._image, place)
            mark(self._used, cell, end - cell)
            return
        payload, place = varint(self._image, place)
        if kind == _TABLE_LEAF:
            _, place = varint(self._image, place)
        local = _local(payload, is_leaf_of_table=kind == _TABLE_LEAF)
        end = place + local
        if local < payload:
            self._mark_overflow(number(self._image, end, 4), payload - local)
            end += 4
        mark(self._used, cell, end - cell)
        if kind == _TABLE_LEAF and self.has_key:
            _, first = varint(self._image, place)
            self._used[first] = 0
        if kind == _TABLE_LEAF and self.is_numbering:
            self._used[end - 1] = 0

    def _mark_overflow(self, page: int, left: int) -> None:
        while left > 0:
            start = (page - 1) * PAGE
            mark(self._used, start, 4 + min(left, PAGE - 4))
            left -= PAGE - 4
            page = number(self._image, start, 4)


def _local(payload: int, *, is_leaf_of_table: bool) -> int:
    """Give how much of a payload is in the cell itself."""
    most = PAGE - 35 if is_leaf_of_table else (PAGE - 12) * 64 // 255 - 23
    if payload <= most:
        return payload
    least = (PAGE - 12) * 32 // 255 - 23
    local = least + (payload - least) % (PAGE - 4)
    return local if local <= most else least


def _mark_freelist(image: bytes, used: bytearray) -> None:
    for trunk in _trunks(image):
        start = (trunk - 1) * PAGE
        mark(used, start, 8 + 4 * number(image, start + 4, 4))


def _trunks(image: bytes) -> Iterator[int]:
    trunk = number(image, 32, 4)
    while trunk:
        yield trunk
        trunk = number(image, (trunk - 1) * PAGE, 4)
