"""A scribe in a process of its own, and the line to it.

An alternative to `WriterThread` for a busy event loop. The two ends speak over a socket pair:
frames of a length and a msgpack body, jobs one way and answers the other, in order. The child
holds the data directory's lock too, so nobody else gets in while it ends its last commit. It goes
when its parent does: the line is cut, and it closes the store.
"""

import asyncio
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections import deque
from pathlib import Path

import msgspec

from actors.rows import Commit, StoreState
from adapters.sqlite.scribe import IDLE_S, Cleanse, Job, Program, Scribe
from adapters.sqlite.writer import settle, split, write
from engine.errors import StoreError

_LENGTH = struct.Struct("<I")
_BUFFER_BYTES = 1 << 20
_GROUP_MAX = 64  # jobs in one transaction
_START_WAIT_S = 60.0  # until the child has opened, and after a crash checked, the file
_GONE = "the writer's process ended: nothing more is taken until the store is opened anew"


class _Write(msgspec.Struct, tag="commit"):
    """A job on the line: a commit."""

    commit: Commit


class _Opened(msgspec.Struct, tag="opened"):
    """The first answer: the store is open, or why not."""

    state: StoreState | None
    error: str = ""


class _Done(msgspec.Struct, tag="done", array_like=True):
    """How the oldest unanswered jobs ended, so many of them."""

    jobs: int
    error: str = ""
    broken: str = ""


_encoder = msgspec.msgpack.Encoder()
_decode_job = msgspec.msgpack.Decoder(_Write | Program | Cleanse).decode
_decode_done = msgspec.msgpack.Decoder(_Done).decode
_decode_opened = msgspec.msgpack.Decoder(_Opened).decode


def _frame(message: msgspec.Struct) -> bytes:
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


class _Frames:
    """Bytes in, whole message bodies out."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take what arrived; give the messages that are whole."""
        pending = self._pending
        pending += data
        whole: list[bytes] = []
        start = 0
        while len(pending) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(pending, start)
            end = start + _LENGTH.size + length
            if len(pending) < end:
                break
            whole.append(bytes(pending[start + _LENGTH.size : end]))
            start = end
        del pending[:start]
        return whole


class WriterProcess(asyncio.Protocol):
    """The parent's end: a `Writer` whose scribe is another process."""

    def __init__(
        self,
        folder: Path,
        lock_fd: int,
        *,
        size_max: int | None = None,
        ballast_bytes: int = 0,
    ) -> None:
        self._folder = folder
        self._lock_fd = lock_fd
        self._size_max = size_max
        self._ballast_bytes = ballast_bytes
        self._broken = ""
        self._frames = _Frames()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._opened: asyncio.Future[StoreState] | None = None
        self._lost: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def broken(self) -> str:
        """Say why nothing more is taken, or "" while all is well."""
        return self._broken

    @property
    def child_id(self) -> int:
        """Give the process id of the child, or 0."""
        return self._child.pid if self._child is not None else 0

    async def open(self) -> StoreState:
        """Start the child; it opens the store."""
        loop = asyncio.get_running_loop()
        self._opened = loop.create_future()
        self._lost = loop.create_future()
        ours, theirs = socket.socketpair()
        with theirs:
            self._child = await loop.run_in_executor(None, self._spawn, theirs.fileno())
        transport, _ = await loop.create_unix_connection(lambda: self, sock=ours)
        self._transport = transport
        async with asyncio.timeout(_START_WAIT_S):
            return await self._opened

    def _spawn(self, line_fd: int) -> subprocess.Popen[bytes]:
        limits = ["" if self._size_max is None else str(self._size_max), str(self._ballast_bytes)]
        return subprocess.Popen(  # noqa: S603 - our own interpreter, our own module
            [sys.executable, "-m", __spec__.name, str(line_fd), str(self._folder), *limits],
            stdin=subprocess.DEVNULL,
            pass_fds=(line_fd, self._lock_fd),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def submit(self, job: Job) -> asyncio.Future[None]:
        """Send a job down the line; the future is done once it is durable."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._transport is None or self._broken:
            future.set_exception(StoreError(self._broken or "the store is closed"))
            return future
        try:
            frame = _frame(_Write(job) if isinstance(job, Commit) else job)
        except (OverflowError, TypeError, ValueError) as error:
            future.set_exception(StoreError(f"the commit holds an unfit value: {error}"))
            return future
        self._waiting.append(future)
        self._transport.write(frame)
        return future

    async def close(self) -> None:
        """Hang up once the line is empty; the child finishes, closes the store and goes."""
        transport, self._transport = self._transport, None
        if transport is not None:
            assert self._lost is not None
            if not self._lost.done():
                transport.write_eof()
            await self._lost
            transport.close()
        child, self._child = self._child, None
        if child is not None:
            await asyncio.get_running_loop().run_in_executor(None, child.wait)

    def data_received(self, data: bytes) -> None:
        """Answer the jobs the child has ended."""
        for body in self._frames.feed(data):
            assert self._opened is not None
            if not self._opened.done():
                opened = _decode_opened(body)
                if opened.state is None:
                    self._opened.set_exception(StoreError(opened.error))
                else:
                    self._opened.set_result(opened.state)
                continue
            done = _decode_done(body)
            self._broken = done.broken
            ended = [self._waiting.popleft() for _ in range(done.jobs)]
            settle(ended, StoreError(done.error) if done.error else None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The child is gone: what it had not answered may or may not be durable."""
        if self._transport is not None:
            self._broken = _GONE
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(StoreError(_GONE))
        settle(self._waiting, StoreError(self._broken or _GONE))
        self._waiting.clear()
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)


def main(line_fd: int, folder: Path, size_max: int | None, ballast_bytes: int) -> None:
    """The child's end: open the store, write what comes, close when the line is cut."""
    # Signals to the group are for the parent, which ends us by hanging up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.socket(fileno=line_fd) as line:
        try:
            scribe = Scribe(folder, size_max=size_max, ballast_bytes=ballast_bytes)
        except (StoreError, OSError) as error:
            line.sendall(_frame(_Opened(None, str(error))))
            return
        try:
            line.sendall(_frame(_Opened(scribe.state)))
            _serve(line, scribe)
        except ConnectionError:
            pass  # the parent is gone; whoever comes next finds what was committed
        finally:
            scribe.close()


def _serve(line: socket.socket, scribe: Scribe) -> None:
    frames = _Frames()
    while True:
        readable, _, _ = select.select([line], [], [], IDLE_S)
        if not readable:
            scribe.tend(idle=True)
            continue
        data = line.recv(_BUFFER_BYTES)
        if not data:
            return
        bodies = frames.feed(data)
        for start in range(0, len(bodies), _GROUP_MAX):
            jobs = [_decode(body) for body in bodies[start : start + _GROUP_MAX]]
            for part in split(jobs, lambda job: job):
                error = write(scribe, part)
                line.sendall(_frame(_Done(len(part), str(error or ""), scribe.broken)))
        scribe.tend(idle=False)


def _decode(body: bytes) -> Job:
    job = _decode_job(body)
    return job.commit if isinstance(job, _Write) else job


if __name__ == "__main__":
    _, _fd, _folder, _limit, _ballast = sys.argv
    main(int(_fd), Path(_folder), int(_limit) if _limit else None, int(_ballast))
