"""The gateway on a real socket, over a runtime that keeps what it is given.

The runtime deduplicates and counts like the real one; what goes wrong, and when, is the test's to
say: each submission takes the next of `troubles`.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
from aiohttp import ClientSession

from actors.ports import Clock, Store
from actors.rows import QuarantineRow
from actors.runtime import Counters, Runtime
from adapters.gateway.app import Gateway, serve
from adapters.gateway.settings import Deadlines, GatewaySettings, hash_keys
from engine.errors import OverloadError, StoreError
from engine.events import Event, Input, Receipt
from engine.instants import parse_instant
from engine.program.compile import compile_source

NOW = parse_instant("2026-11-22T16:00:00Z")
KEY = "write-key"
ADMIN_KEY = "admin-key"
SOON = Deadlines(linger_s=0.05)
OPEN = GatewaySettings(deadlines=SOON)
LOCKED = GatewaySettings(write_keys=hash_keys(KEY), admin_keys=hash_keys(ADMIN_KEY), deadlines=SOON)


class StillClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> int:
        return self.at

    async def sleep_until(self, at: int) -> None:
        self.at = max(self.at, at)


class KeepingRuntime(Runtime):
    """A runtime that stores at once, in lists."""

    def __init__(self) -> None:
        self.store = cast("Store", None)
        self.still = StillClock()
        self.clock = cast("Clock", self.still)
        self.program = compile_source({"workspace": "kept"})
        self.counters = Counters()
        self.inputs: dict[str, Event | Receipt] = {}
        self.quarantined: list[QuarantineRow] = []
        self.troubles: deque[Exception] = deque()
        self.loses_answers = False  # a store that fails has stored all the same
        self.submissions = 0

    def submit(
        self, inputs: Sequence[Input], quarantined: Sequence[QuarantineRow] = ()
    ) -> asyncio.Future[None]:
        self.submissions += 1
        trouble = self.troubles.popleft() if self.troubles else None
        if isinstance(trouble, OverloadError):
            raise trouble
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if trouble is None or self.loses_answers:
            self._keep(inputs, quarantined)
        if trouble is None:
            future.set_result(None)
        else:
            future.set_exception(trouble)
        return future

    def _keep(self, inputs: Sequence[Input], quarantined: Sequence[QuarantineRow]) -> None:
        self.counters.received += len(inputs) + len(quarantined)
        self.counters.quarantined += len(quarantined)
        self.quarantined.extend(quarantined)
        for given in inputs:
            assert isinstance(given, Event | Receipt)
            if given.id in self.inputs:
                self.counters.duplicates += 1
            else:
                self.counters.stored += 1
                self.inputs[given.id] = given

    @property
    def events(self) -> list[Event]:
        """The events, in the order in which they came."""
        return [given for given in self.inputs.values() if isinstance(given, Event)]

    def unready(self) -> str:
        return ""


class Answer:
    """What the server said."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def said(self) -> dict[str, Any]:
        return cast("dict[str, Any]", msgspec.json.decode(self.body))

    def accepted(self) -> "Answer":
        """Insist that everything was taken."""
        assert (self.status, self.said) == (200, {"success": True})
        return self

    def refused(self, status: int, code: str) -> "Answer":
        """Insist on a refusal that a client can read."""
        assert self.status == status, self.body
        assert self.headers["Content-Type"].startswith("application/json")
        assert set(self.said) == {"success", "code", "message", "path"}
        assert (self.said["success"], self.said["code"]) == (False, code)
        assert self.said["message"]
        return self

    def faults(self) -> list[tuple[int, str, str]]:
        """Give what was wrong with single items: index, code, path."""
        assert self.status == 200
        assert self.said["success"] is True
        return [(each["index"], each["code"], each["path"]) for each in self.said["errors"]]


class Served:
    """A running gateway and the means to talk to it."""

    def __init__(self, gateway: Gateway, session: ClientSession) -> None:
        self.gateway = gateway
        self.session = session
        self.runtime = cast("KeepingRuntime", gateway.host.runtime)
        self.counters = gateway.host.counters
        self.url = gateway.url

    async def send(
        self,
        path: str,
        body: object = b"",
        *,
        method: str = "POST",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send a request; what is not bytes is sent as JSON."""
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        async with self.session.request(
            method, f"{self.url}{path}", data=data, headers=headers
        ) as response:
            read = await response.read()
            return Answer(response.status, dict(response.headers), read)

    async def speak(self, raw: bytes) -> bytes:
        """Send bytes as they are and read until the server hangs up."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
        writer.write(raw)
        said = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return said

    def balanced(self) -> bool:
        """Say whether everything that came is accounted for."""
        counters = self.runtime.counters
        return counters.received == counters.stored + counters.duplicates + counters.quarantined


@asynccontextmanager
async def running(settings: GatewaySettings = OPEN) -> AsyncGenerator[Served]:
    """Run a gateway on a free port of this machine; without settings it is open."""
    gateway = await serve(KeepingRuntime(), settings)
    try:
        async with ClientSession(
            auto_decompress=False, skip_auto_headers=["Content-Type"]
        ) as session:
            yield Served(gateway, session)
    finally:
        await gateway.stop()


def call(**said: object) -> dict[str, Any]:
    """Write a track call of u1."""
    return {"type": "track", "event": "Clicked", "userId": "u1", **said}


def overloaded() -> OverloadError:
    return OverloadError("too much is waiting", 1)


def not_stored() -> StoreError:
    return StoreError("the disk is full")
