"""Files of events into a shard: what `nextbeat ingest` does.

Called by `adapters.cli`. Reads NDJSON in Segment's form, plain or gzip, and gives it to a shard
portion by portion, several at a time, so that many lines become durable in one commit.

*Rules*
- What is loaded is history unless it is asked for live: it is known and counted, and nothing begins
  with it. A quiet shard fires no timers and sends nothing while it loads.
- A line that is not understood is kept in quarantine, with its number and the reason.
- How far a file is loaded is written down after it is durable. A run that was cut off goes on from
  there: at most the portions that were in flight come again, and are duplicates.
"""

import asyncio
import gzip
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from hashlib import sha256
from io import BufferedReader
from pathlib import Path
from typing import IO, cast

import msgspec

from actors.rows import QuarantineRow
from actors.runtime import Runtime, Settings
from adapters.app import App, Workspace, tune_interpreter
from adapters.gateway.intake import HISTORY_SOURCE
from engine.errors import InputError, NextbeatError, OverloadError
from engine.events import Event, Receipt
from engine.intake.clocks import Envelope
from engine.intake.item import read_item
from engine.intake.mapping import take_in
from engine.limits import ITEM_BYTES_MAX

STDIN = Path("-")
_LIVE = "file"
_BOOKMARKS = "ingest"
_MEMORY_BYTES = 512 * 1024 * 1024
PORTION_LINES = 1_000
REJECTED_NAMED_MAX = 1_000
FLYING_MAX = 4  # portions; all of them may be of one customer, and fit into one mailbox
_HEAD_BYTES = 64 * 1024  # a file is known again by its beginning
_LINE_BYTES_MAX = 4 * ITEM_BYTES_MAX  # of a longer line the rest is skipped, and its end looked for
_GZIP_MARK = b"\x1f\x8b"
_RETRY_S = 0.2
_SAVE_EVERY_S = 1.0


class IngestError(NextbeatError):
    """A file can't be loaded as asked; the message says why and what to do."""


class Position(msgspec.Struct):
    """How far a file is loaded: bytes and lines of what is in it, unpacked."""

    offset: int = 0
    line: int = 0
    head_bytes: int = 0  # the beginning by which the file is known again
    head: str = ""


class Rejected(msgspec.Struct, frozen=True):
    """A line that was not understood, and why."""

    line: int
    code: str
    path: str
    message: str


class Loaded(msgspec.Struct):
    """What a run did. `rejected` names the first lines only, `rejected_count` counts them all."""

    lines: int = 0
    events: int = 0
    duplicates: int = 0
    rejected_count: int = 0
    rejected: list[Rejected] = []
    skipped_lines: int = 0  # loaded by an earlier run
    seconds: float = 0.0
    is_complete: bool = False

    def reject(self, line: int, code: str, path: str, message: str) -> None:
        """Count a line that was not understood."""
        self.rejected_count += 1
        if len(self.rejected) < REJECTED_NAMED_MAX:
            self.rejected.append(Rejected(line, code, path, message))


# Hears how far the work is: bytes done, bytes in all (0: not known), events stored.
Progress = Callable[[int, int, int], None]


class Portion(msgspec.Struct):
    """Some lines of a file, and where the next ones begin."""

    lines: list[tuple[int, bytes]]
    after: Position
    done_bytes: int


class Source:
    """A file being read, from a position on."""

    def __init__(self, path: Path, stream: IO[bytes], raw: IO[bytes], total_bytes: int) -> None:
        self.path = path
        self.total_bytes = total_bytes  # 0 where it can't be told
        self._stream = stream
        self._raw = raw

    def portions(self, start: Position) -> Iterator[Portion]:
        """Give the lines after a position, in portions."""
        place = msgspec.structs.replace(start)
        lines: list[tuple[int, bytes]] = []
        while line := self._stream.readline(_LINE_BYTES_MAX):
            place.line += 1
            place.offset += len(line)
            if not line.endswith(b"\n"):
                place.offset += self._skip_rest()
            if line.strip():
                lines.append((place.line, line))
            if len(lines) >= PORTION_LINES:
                yield Portion(lines, msgspec.structs.replace(place), self._done_bytes())
                lines = []
        yield Portion(lines, place, self._done_bytes())

    def skip(self, start: Position) -> None:
        """Go to a position. Raises IngestError where the file ends before it."""
        if self._stream is self._raw and self.total_bytes:
            self._stream.seek(start.offset)
            ended = self.total_bytes < start.offset
        else:
            left = start.offset
            while left and (read := self._stream.read(min(left, 1 << 20))):
                left -= len(read)
            ended = left > 0
        if ended:
            message = f"{self.path} is shorter than what was loaded of it: it is not the same file"
            raise IngestError(message)

    def _skip_rest(self) -> int:
        skipped = 0
        while part := self._stream.readline(1 << 20):
            skipped += len(part)
            if part.endswith(b"\n"):
                break
        return skipped

    def _done_bytes(self) -> int:
        return self._raw.tell() if self.total_bytes else 0


@contextmanager
def open_source(path: Path) -> Generator[Source]:
    """Open a file, or standard input where it is `-`; what is gzip is unpacked."""
    if path == STDIN:
        raw: IO[bytes] = sys.stdin.buffer
        total_bytes = 0
    else:
        raw = path.open("rb")
        total_bytes = path.stat().st_size if path.is_file() else 0
    try:
        marked = cast("BufferedReader", raw).peek(2)[:2] == _GZIP_MARK
        if marked:
            with gzip.open(raw) as unpacked:
                yield Source(path, cast("IO[bytes]", unpacked), raw, total_bytes)
        else:
            yield Source(path, raw, raw, total_bytes)
    except (gzip.BadGzipFile, EOFError) as error:
        message = f"{path} is no whole gzip file: {error}"
        raise IngestError(message) from None
    finally:
        if path != STDIN:
            raw.close()


class Bookmark:
    """The place where it is written down how far a file is loaded.

    A file is known again by its path and its beginning, so that one that has grown goes on where it
    ended, and another one under the same name is read from its beginning.
    """

    def __init__(self, folder: Path, path: Path, where: str = "") -> None:
        """`where` says to where the file is loaded, if the folder doesn't."""
        self._path = path
        self._folder = folder
        name = sha256(f"{where}\n{path.resolve()}".encode()).hexdigest()[:32]
        self._file = folder / f"{name}.json"
        self._saved_at_s = -_SAVE_EVERY_S

    def read(self) -> Position:
        """Tell how far an earlier run came."""
        try:
            position = msgspec.json.decode(self._file.read_bytes(), type=Position)
        except FileNotFoundError:
            return self.begin()
        except (msgspec.MsgspecError, UnicodeDecodeError):
            message = f"{self._file} can't be read: remove it to load the file from its beginning"
            raise IngestError(message) from None
        if self._read_head(position.head_bytes) == position.head:
            return position
        return self.begin()

    def begin(self) -> Position:
        """Give the beginning of the file."""
        size = min(self._path.stat().st_size, _HEAD_BYTES)
        return Position(head_bytes=size, head=self._read_head(size))

    def save(self, position: Position, now_s: float, *, is_last: bool = False) -> None:
        """Write down how far the file is loaded: now and then, and at the end."""
        if now_s - self._saved_at_s < _SAVE_EVERY_S and not is_last:
            return
        self._saved_at_s = now_s
        self._folder.mkdir(exist_ok=True, parents=True, mode=0o700)
        draft = self._file.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(position))
        draft.replace(self._file)

    def _read_head(self, size: int) -> str:
        with self._path.open("rb") as file:
            return sha256(file.read(size)).hexdigest()


def find_bookmark(folder: Path, path: Path, where: str = "") -> Bookmark | None:
    """Give the place for a file; what is no file can't be read from the middle."""
    return Bookmark(folder, path, where) if path.is_file() else None


class Loader:
    """Gives portions to a shard, a few at a time, and notes what became of them."""

    def __init__(
        self,
        runtime: Runtime,
        loaded: Loaded,
        *,
        is_history: bool,
        settled: Callable[[Portion], None],
    ) -> None:
        """`settled` hears of each portion that is durable, in the order of the file."""
        self._runtime = runtime
        self._loaded = loaded
        self._is_history = is_history
        self._settled = settled
        self._flying: deque[tuple[Portion, asyncio.Future[None]]] = deque()
        self._stored_before = runtime.counters.stored
        self._duplicates_before = runtime.counters.duplicates

    async def run(self, portions: Iterator[Portion], stop: asyncio.Event) -> bool:
        """Load portions until there are no more or it is to stop; says whether it got through."""
        is_complete = True
        for portion in portions:
            await self._take(portion)
            while len(self._flying) >= FLYING_MAX:
                await self._settle()
            await asyncio.sleep(0)  # reading waits for nothing: a signal would not be heard
            if stop.is_set():
                is_complete = False
                break
        while self._flying:
            await self._settle()
        return is_complete

    async def _take(self, portion: Portion) -> None:
        envelope = Envelope(
            self._runtime.clock.now(),
            skew_ms=0,
            source=HISTORY_SOURCE if self._is_history else _LIVE,
            is_history=self._is_history,
        )
        mappings = self._runtime.program.mappings
        inputs: list[Event | Receipt] = []
        quarantined: list[QuarantineRow] = []
        for number, line in portion.lines:
            try:
                given = take_in(read_item(line, envelope.oddities), envelope, mappings)
            except InputError as error:
                quarantined.append(self._reject(error, number, line, envelope))
            else:
                if given is not None:
                    inputs.append(given)
        self._loaded.lines += len(portion.lines)
        while True:
            try:
                self._flying.append((portion, self._runtime.submit(inputs, quarantined)))
            except OverloadError:
                await asyncio.sleep(_RETRY_S)
            else:
                return

    def _reject(
        self, error: InputError, number: int, line: bytes, envelope: Envelope
    ) -> QuarantineRow:
        self._loaded.reject(number, error.code, error.path, error.message)
        return QuarantineRow(
            number=0,
            received_at=envelope.received_at,
            source=envelope.source,
            code=error.code,
            path=error.path,
            message=f"line {number}: {error.message}",
            payload=line[:ITEM_BYTES_MAX],
        )

    async def _settle(self) -> None:
        """Wait for the oldest portion to be durable."""
        portion, done = self._flying[0]
        await done
        self._flying.popleft()
        counters = self._runtime.counters
        self._loaded.events = counters.stored - self._stored_before
        self._loaded.duplicates = counters.duplicates - self._duplicates_before
        self._settled(portion)


async def load_file(
    workspace: Workspace,
    data: Path,
    path: Path,
    progress: Progress,
    *,
    is_history: bool,
    from_start: bool,
) -> Loaded:
    """Load a file into a data directory, which no server may be using meanwhile.

    A first Ctrl-C ends it with what is durable; it goes on from there when it is run again.
    """
    loaded = Loaded()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    settings = Settings(memory_bytes_max=_MEMORY_BYTES, quiet=is_history)
    async with App(workspace, data, None, settings=settings) as app:
        tune_interpreter()
        with open_source(path) as source:
            bookmark = find_bookmark(data / _BOOKMARKS, path)
            start = Position()
            if bookmark is not None:
                start = bookmark.begin() if from_start else bookmark.read()
                source.skip(start)
            loaded.skipped_lines = start.line
            begun_s = loop.time()

            def settled(portion: Portion, *, is_last: bool = False) -> None:
                loaded.seconds = loop.time() - begun_s
                if bookmark is not None:
                    bookmark.save(portion.after, loop.time(), is_last=is_last)
                last.after = portion.after
                progress(portion.done_bytes, source.total_bytes, loaded.events)

            last = Portion([], start, 0)
            loader = Loader(app.runtime, loaded, is_history=is_history, settled=settled)
            try:
                loaded.is_complete = await loader.run(source.portions(start), stop)
            finally:
                if bookmark is not None:
                    bookmark.save(last.after, loop.time(), is_last=True)
    return loaded
