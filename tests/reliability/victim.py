"""A `nextbeat serve` that is killed and started again, over and over."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

NURSERY = Path(__file__).with_name("nursery.py")
START_S = 60.0
LINES_KEPT = 40


class Victim:
    """One server at a time on one data folder. Use `nursing` to get one."""

    def __init__(self, nursery: Process, shop: Path) -> None:
        self.data = Path()
        self.pid = 0
        self.starts = 0
        self.said: deque[str] = deque(maxlen=LINES_KEPT)
        self._nursery = nursery
        self._shop = shop
        self._ready: asyncio.Future[int] | None = None
        self._ended: asyncio.Task[int] | None = None

    async def begin(self, *, plain: bool = False, **environment: str) -> None:
        """Start a server without waiting until it is ready; `plain` from the installed command."""
        assert self._ended is None or self._ended.done()
        folders = ["--workspace", str(self._shop), "--data", str(self.data)]
        job = {
            "arguments": ["serve", *folders, "--port", "0"],
            "environment": environment,
            "plain": plain,
        }
        self._ready = asyncio.get_running_loop().create_future()
        self.pid = await self._ask(job)
        self.starts += 1
        self._ended = asyncio.create_task(self._ask({}))

    async def ready(self) -> str:
        """Wait until the server takes events; gives its URL."""
        assert self._ready is not None
        assert self._ended is not None
        async with asyncio.timeout(START_S):
            await asyncio.wait((self._ready, self._ended), return_when=asyncio.FIRST_COMPLETED)
        if not self._ready.done():
            raise AssertionError("\n".join(("the server ended before it was ready", *self.said)))
        return f"http://127.0.0.1:{self._ready.result()}"

    def writer(self) -> int:
        """Give the process id of the one that writes; 0 if there is none."""
        lists = Path(f"/proc/{self.pid}/task").glob("*/children")
        with suppress(OSError):
            for file in lists:
                for child in file.read_text().split():
                    return int(child)
        return 0

    def send_signal(self, number: int) -> None:
        """Signal the server, if it still lives."""
        assert self._ended is not None
        if not self._ended.done():
            os.kill(self.pid, number)

    async def ended(self, within_s: float) -> int | None:
        """Wait until the server has ended and give its exit code; None if it goes on."""
        assert self._ended is not None
        await asyncio.wait((self._ended,), timeout=within_s)
        return self._ended.result() if self._ended.done() else None

    async def kill(self) -> int:
        """End the server the hard way, if it still lives; gives its exit code."""
        self.send_signal(signal.SIGKILL)
        code = await self.ended(START_S)
        assert code is not None
        return code

    async def listen(self) -> None:
        """Read what the servers log until the nursery ends."""
        assert self._nursery.stderr is not None
        while line := await self._nursery.stderr.readline():
            self.said.append(line.decode("utf-8", "replace").rstrip())
            if b'"ready"' in line and self._ready is not None and not self._ready.done():
                self._ready.set_result(int(json.loads(line)["port"]))

    async def _ask(self, job: Mapping[str, object]) -> int:
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.write(json.dumps(job).encode() + b"\n")
        return int(await self._nursery.stdout.readline())


@asynccontextmanager
async def nursing(shop: Path, **environment: str) -> AsyncGenerator[Victim]:
    """Have a nursery, and a victim of it, until the block ends."""
    nursery = await asyncio.create_subprocess_exec(
        sys.executable,
        str(NURSERY),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, **environment},
    )
    victim = Victim(nursery, shop)
    listening = asyncio.create_task(victim.listen())
    try:
        yield victim
    finally:
        if victim.starts:
            await victim.kill()
        assert nursery.stdin is not None
        nursery.stdin.close()
        await nursery.wait()
        await listening
