"""Feeds of items, as shops export them: CSV, NDJSON or a JSON array, read one item at a time.

Used by the gateway for what is loaded into the catalogue, and by the command line for files. Hands
on each item with its line, or what is wrong with that line; one bad line never spoils the others.
"""

import csv
import re
from collections.abc import Iterator
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from actors.rows import CatalogueRow
from engine.errors import InputError
from engine.intake.catalogue import ID, find_id, write_fields
from engine.intake.shapes import is_object
from engine.limits import BODY_BYTES_MAX, CATALOGUE_FIELDS_MAX
from engine.program.catalogue import ItemJoin

_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,14})")
_DECIMAL = re.compile(r"-?(?:0|[1-9]\d{0,14})\.\d{1,15}")
_WORDS = {"true": True, "false": False}
_DELIMITERS = ",;\t"
_NOT_UTF8 = "this line is not UTF-8: save the file as UTF-8"
_BLANK = b"\xef\xbb\xbf \t\r\n"
_START_BYTES = 64
_ARRAY_BYTES_MAX = 8 * BODY_BYTES_MAX  # it is decoded at once, and events wait meanwhile
_LINE_BYTES_MAX = BODY_BYTES_MAX
_decode = msgspec.json.Decoder(object).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Form(StrEnum):
    """How a feed is written."""

    CSV = "csv"
    JSON = "json"  # NDJSON, or one array


class FeedError(msgspec.Struct, frozen=True):
    """One line that was left out, and why; of an array, the number of the element from 1."""

    line: int
    code: str
    path: str
    message: str


class Line(NamedTuple):
    """One item as it was written, with its line; or what is wrong there."""

    number: int
    fields: dict[str, Any]
    fault: InputError | None = None


class Feed:
    """Rows for the catalogue out of a feed; `faults` fills while they are taken."""

    def __init__(self, join: ItemJoin, file: BinaryIO, form: Form) -> None:
        self.faults: list[FeedError] = []
        self._join = join
        self._file = file
        self._form = form

    def rows(self) -> Iterator[CatalogueRow]:
        """Give the items that can be read. Raises InputError where the whole can't be."""
        for number, fields, fault in _READERS[self._form](self._file, self._join.keys):
            error = fault
            if error is None:
                try:
                    item = find_id(fields, self._join.keys)
                    yield CatalogueRow(self._join.kind, item, write_fields(fields))
                    continue
                except InputError as found:
                    error = found
            self.faults.append(FeedError(number, error.code, error.path, error.message))


def _read_csv(file: BinaryIO, keys: tuple[str, ...]) -> Iterator[Line]:
    """Read CSV with a header; cells that are numbers become numbers, empty ones nothing."""
    text = TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
    header, delimiter = _read_header(text)
    texts = [name in (ID, *keys) for name in header]
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + 2  # the header is none of the reader's lines
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # After a quote that does not end there is no telling where the next row begins.
            message = f"from here on this can't be read as CSV: {error}"
            yield Line(number, {}, InputError("bad_csv", message))
            return
        if any(cells):
            yield _read_row(header, texts, cells, number)


def _read_header(text: TextIOWrapper) -> tuple[list[str], str]:
    first = text.readline()
    delimiter = max(_DELIMITERS, key=lambda mark: (first.count(mark), -_DELIMITERS.index(mark)))
    try:
        rows = list(csv.reader([first], delimiter=delimiter, strict=True))
    except csv.Error as error:
        message = f"the header can't be read as CSV: {error}"
        raise InputError("bad_csv", message) from None
    header = [name.strip() for name in rows[0]] if rows else []
    twice = next((name for place, name in enumerate(header) if name in header[:place]), None)
    if not _is_utf8(header):
        raise InputError("bad_csv", _NOT_UTF8)
    if not header or not all(header) or twice is not None:
        message = "the first line names each column, and no name twice"
        raise InputError("bad_csv", message)
    if len(header) > CATALOGUE_FIELDS_MAX:
        message = f"an item may have {CATALOGUE_FIELDS_MAX} fields, here are {len(header)} columns"
        raise InputError("bad_csv", message)
    return header, delimiter


def _read_row(header: list[str], texts: list[bool], cells: list[str], number: int) -> Line:
    if len(cells) != len(header):
        message = f"expected {len(header)} cells, as in the header, found {len(cells)}"
        return Line(number, {}, InputError("bad_csv", message))
    if not _is_utf8(cells):
        return Line(number, {}, InputError("bad_csv", _NOT_UTF8))
    return Line(
        number,
        {
            name: cell if is_text else _read_cell(cell)
            for name, is_text, cell in zip(header, texts, cells, strict=True)
            if cell
        },
    )


def _is_utf8(cells: list[str]) -> bool:
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_cell(cell: str) -> str | int | float | bool:
    """Read a cell as what it looks like; a code with leading zeros stays a text."""
    if _INTEGER.fullmatch(cell) is not None:
        return int(cell)
    if _DECIMAL.fullmatch(cell) is not None:
        return float(cell)
    return _WORDS.get(cell, cell)


def _read_json(file: BinaryIO, _keys: tuple[str, ...]) -> Iterator[Line]:
    """Read one object a line, or one array."""
    start = file.read(_START_BYTES).strip(_BLANK)
    file.seek(0)
    raws = _read_array(file) if start.startswith(b"[") else file
    for number, raw in enumerate(raws, start=1):
        if raw.strip(_BLANK):
            yield _read_object(raw, number)


def _read_array(file: BinaryIO) -> Iterator[bytes]:
    body = file.read(_ARRAY_BYTES_MAX + 1)
    if len(body) > _ARRAY_BYTES_MAX:
        message = f"an array may have {_ARRAY_BYTES_MAX} bytes: write one item a line (NDJSON)"
        raise InputError("too_large", message)
    try:
        items = _decode_list(body.strip(_BLANK))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        message = f"the array can't be read as JSON: {error}"
        raise InputError("unreadable_json", message) from None
    return (bytes(item) for item in items)


def _read_object(raw: bytes, number: int) -> Line:
    if len(raw) > _LINE_BYTES_MAX:
        return Line(number, {}, InputError("too_large", "this line is too long for an item"))
    try:
        value = _decode(raw.strip(_BLANK))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        message = f"this can't be read as JSON: {error}"
        return Line(number, {}, InputError("unreadable_json", message))
    if not is_object(value):
        return Line(number, {}, InputError("invalid_type", "expected a JSON object"))
    return Line(number, value)


def form_of(file: Path) -> Form:
    """Tell by its name how a file is written: `.csv` is CSV, everything else JSON."""
    return Form.CSV if file.suffix.lower() == ".csv" else Form.JSON


_READERS = {Form.CSV: _read_csv, Form.JSON: _read_json}
