"""Hosts of the scribe: what stands between the event loop and the one writing connection.

Used by `SqliteStore`. Both hosts take jobs without waiting, let the scribe write everything that
queued up as one group, and answer each job on the event loop.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Protocol, TypeVar

from actors.rows import Commit, StoreState
from adapters.sqlite.scribe import IDLE_S, Cleanse, Job, Scribe
from engine.errors import StoreError

_GROUP_ROWS_MAX = 4_096  # journal entries in one transaction; more wait for the next


class Writer(Protocol):
    """A host of a scribe."""

    @property
    def broken(self) -> str:
        """Say why nothing more is taken, or "" while all is well."""
        ...

    async def open(self) -> StoreState:
        """Start the scribe."""
        ...

    def submit(self, job: Job) -> asyncio.Future[None]:
        """Queue a job; the future is done once it is durable, or fails with StoreError."""
        ...

    async def close(self) -> None:
        """Finish what is queued and stop the scribe."""
        ...


class _Ticket:
    """A job that waits, and whom to answer."""

    __slots__ = ("future", "job", "loop")

    def __init__(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        self.job = job
        self.loop = loop
        self.future: asyncio.Future[None] = loop.create_future()


class WriterThread:
    """A scribe in a thread of its own."""

    def __init__(
        self, folder: Path, *, size_max: int | None = None, ballast_bytes: int = 0
    ) -> None:
        self._folder = folder
        self._size_max = size_max
        self._ballast_bytes = ballast_bytes
        self._queue: queue.SimpleQueue[_Ticket | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._broken = ""

    @property
    def broken(self) -> str:
        """Say why nothing more is taken, or "" while all is well."""
        return self._broken

    async def open(self) -> StoreState:
        """Start the thread, and the scribe in it."""
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[StoreState] = loop.create_future()
        self._thread = threading.Thread(
            target=self._run, args=(loop, opened), name="nextbeat-writer", daemon=True
        )
        self._thread.start()
        return await opened

    def submit(self, job: Job) -> asyncio.Future[None]:
        """Queue a job; the future is done once it is durable, or fails with StoreError."""
        ticket = _Ticket(job, asyncio.get_running_loop())
        if self._thread is None:
            ticket.future.set_exception(StoreError("the store is closed"))
        else:
            self._queue.put(ticket)
        return ticket.future

    async def close(self) -> None:
        """Finish what is queued and stop the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            await asyncio.get_running_loop().run_in_executor(None, thread.join)

    def _run(self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[StoreState]) -> None:
        try:
            scribe = Scribe(
                self._folder, size_max=self._size_max, ballast_bytes=self._ballast_bytes
            )
        except (StoreError, OSError) as error:
            failure = error if isinstance(error, StoreError) else StoreError(str(error))
            loop.call_soon_threadsafe(_answer_opened, opened, failure)
            return
        loop.call_soon_threadsafe(_answer_opened, opened, scribe.state)
        is_open = True
        while is_open:
            group, is_open = self._gather(scribe)
            for part in split(group, lambda ticket: ticket.job):
                outcome = write(scribe, [ticket.job for ticket in part])
                self._broken = scribe.broken
                _answer(part, outcome)
            scribe.tend(idle=False)
            self._broken = scribe.broken
        try:
            scribe.close()
        except StoreError as error:
            self._broken = str(error)

    def _gather(self, scribe: Scribe) -> tuple[list[_Ticket], bool]:
        """Wait for a job, and take with it what else is queued; False once told to stop."""
        ticket = self._wait(scribe)
        group: list[_Ticket] = []
        rows = 0
        while ticket is not None:
            group.append(ticket)
            rows += len(ticket.job.entries) if isinstance(ticket.job, Commit) else 1
            if rows >= _GROUP_ROWS_MAX:
                return group, True
            try:
                ticket = self._queue.get_nowait()
            except queue.Empty:
                return group, True
        return group, False

    def _wait(self, scribe: Scribe) -> _Ticket | None:
        while True:
            try:
                return self._queue.get(timeout=IDLE_S)
            except queue.Empty:
                scribe.tend(idle=True)
                self._broken = scribe.broken


Item = TypeVar("Item")


def split(items: Sequence[Item], job_of: Callable[[Item], Job]) -> Iterator[list[Item]]:
    """Divide jobs into those that are done as one: what writes rows, and each cleaning alone."""
    for is_cleanse, group in groupby(items, lambda item: isinstance(job_of(item), Cleanse)):
        if is_cleanse:
            yield from ([item] for item in group)
        else:
            yield list(group)


def write(scribe: Scribe, jobs: Sequence[Job]) -> StoreError | None:
    """Do what `split` has kept together; gives what went wrong."""
    try:
        if isinstance(jobs[0], Cleanse):
            scribe.cleanse(jobs[0])
        else:
            scribe.write([job for job in jobs if not isinstance(job, Cleanse)])
    except StoreError as error:
        return error
    return None


def _answer_opened(opened: asyncio.Future[StoreState], answer: StoreState | StoreError) -> None:
    if opened.done():
        return
    if isinstance(answer, StoreError):
        opened.set_exception(answer)
    else:
        opened.set_result(answer)


def _answer(group: list[_Ticket], error: StoreError | None) -> None:
    """Tell the event loop how a group ended, in one call for each loop (there is one)."""
    for loop in dict.fromkeys(ticket.loop for ticket in group):
        mine = [ticket.future for ticket in group if ticket.loop is loop]
        try:
            loop.call_soon_threadsafe(settle, mine, error)
        except RuntimeError:
            continue  # that loop is closed: nobody is left to be told


def settle(futures: Sequence[asyncio.Future[None]], error: StoreError | None) -> None:
    """Answer everybody who still waits."""
    for future in futures:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
