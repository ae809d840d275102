"""What SQLite leaves behind in a file, overwritten with zeros.

Called by the scribe, and by the inbox for its own file, after people were erased. With
`secure_delete` SQLite overwrites what it deletes, but not the copies it leaves in a page whose rows
it moved to make room (measured: 98 of 69,947 traces stay). `VACUUM` would take them away and hold
up every commit for as long as it takes to write the whole file; this reads the file in portions.

*Rules*
- Only bytes that mean nothing to SQLite are written: the gap between a page's row pointers and its
  rows, the insides of its free blocks, and pages of the free list. So a write that is torn by a
  power cut leaves a page that reads the same.
- Nothing may be in the write-ahead log, nobody else may write, and the writing connection must have
  let go of its page cache: it could write a page again as it was. `open` to `close` spans all use
  of the file in this process, since closing a file gives up every lock the process has on it.
- Formats: https://www.sqlite.org/fileformat2.html
"""

import os
import struct
from pathlib import Path

_HEADER_BYTES = 100
_TREE_KINDS = {2: 12, 5: 12, 10: 8, 13: 8}  # kind of page -> bytes before its row pointers
# A page of another kind begins with the number of a page, which from here on looks like a tree's.
PAGES_MAX = 0x0200_0000
_PAGE = struct.Struct(">BHHH")  # kind; first free block; rows; where the rows begin
_BLOCK = struct.Struct(">HH")  # next free block; bytes
_TRUNK = struct.Struct(">II")  # next trunk; leaves
_BLOCK_BYTES_MIN = 4
_FREE_LIST_AT = 32  # in the file's header: the first trunk, and how many pages are free

Span = tuple[int, int]


class Scrubber:
    """One file that is cleaned in portions."""

    def __init__(self, path: Path, page_bytes: int) -> None:
        self._file = os.open(path, os.O_RDWR)
        self._page_bytes = page_bytes
        self._zeros = bytes(page_bytes)
        self.cleaned = 0  # pages in which something was left

    def close(self) -> None:
        """Let go of the file; only when nobody in this process uses it any more."""
        os.close(self._file)

    def pages(self) -> int:
        """Count the pages of the file."""
        return os.fstat(self._file).st_size // self._page_bytes

    def clean(self, first: int, count: int) -> None:
        """Clean so many pages from `first` (the file's is 1) on, and bring them to the disk.

        Raises OSError.
        """
        size, before = self._page_bytes, self.cleaned
        portion = os.pread(self._file, count * size, (first - 1) * size)
        free = self._free_pages(first, first + count)
        for number in range(first, first + len(portion) // size):
            at = (number - first) * size
            page = portion[at : at + size]
            spans = [(0, size)] if number in free else find_spans(page, is_first=number == 1)
            self._zero(number, page, spans)
        if self.cleaned > before:
            os.fsync(self._file)

    def _free_pages(self, first: int, stop: int) -> set[int]:
        """Find the pages of a range that are free; the lists of them lose what is not a list."""
        size = self._page_bytes
        found: set[int] = set()
        trunk, total = _TRUNK.unpack(os.pread(self._file, _TRUNK.size, _FREE_LIST_AT))
        for _ in range(total):
            if not trunk:
                break
            page = os.pread(self._file, size, (trunk - 1) * size)
            following, leaves = _TRUNK.unpack_from(page)
            if leaves > size // 4 - 2:
                break
            numbers = struct.unpack_from(f">{leaves}I", page, _TRUNK.size)
            found.update(number for number in numbers if first <= number < stop)
            if first <= trunk < stop:
                self._zero(trunk, page, [(_TRUNK.size + 4 * leaves, size)])
            trunk = following
        return found

    def _zero(self, number: int, page: bytes, spans: list[Span]) -> None:
        is_clean = True
        for start, end in spans:
            if page.count(0, start, end) != end - start:
                is_clean = False
                at = (number - 1) * self._page_bytes + start
                os.pwrite(self._file, self._zeros[: end - start], at)
        self.cleaned += not is_clean


def find_spans(page: bytes, *, is_first: bool) -> list[Span]:
    """Find the bytes of a page that carry nothing; of a page that is no tree's there are none."""
    start = _HEADER_BYTES if is_first else 0
    kind, block, rows, content = _PAGE.unpack_from(page, start)
    header_bytes = _TREE_KINDS.get(kind)
    if header_bytes is None:
        return []
    gap, content = start + header_bytes + 2 * rows, content or 65_536
    if not gap <= content <= len(page):
        return []  # whatever it is, it is not as SQLite makes it: it is left alone
    spans = [(gap, content)]
    while block:
        if not content <= block <= len(page) - _BLOCK_BYTES_MIN:
            return []
        following, size = _BLOCK.unpack_from(page, block)
        if size < _BLOCK_BYTES_MIN or block + size > len(page) or 0 < following <= block:
            return []
        spans.append((block + _BLOCK_BYTES_MIN, block + size))
        block = following
    return spans
