"""A real server, killed over and over under load: nothing acknowledged is lost, nothing doubled."""

import asyncio
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import aiohttp
import pytest

from adapters.sqlite.schema import FILE_NAME
from adapters.sqlite.store import open_reader
from tests.reliability.figures import choose_seed, keep
from tests.reliability.load import SECRET, Load, Provider, calling, providing
from tests.reliability.shim import build_shim
from tests.reliability.victim import Victim, nursing
from tests.reliability.witness import Witness

SERVERS = 3  # at the same time: while one starts another is killed
CLIENTS = 4  # of each server
LIVES = 15  # that one data folder sees
PLAIN_EVERY = 10  # lives of the installed command; the others are forks of the same code
MOMENT_S_MAX = 0.3
WRITES_MAX = 200
DEATH_S = 3.0
SETTLE_S = 30.0
POLL_S = 0.02

pytestmark = pytest.mark.slow


class Ordeal:
    """One server on one data folder after the other, with the ways in which it can die."""

    def __init__(
        self, victim: Victim, provider: Provider, session: aiohttp.ClientSession, shim: Path
    ) -> None:
        self.deaths: Counter[str] = Counter()
        self.acknowledged = 0
        self.durable = 0
        self.refused = 0
        self.slowest_start_s = 0.0
        self._victim = victim
        self._provider = provider
        self._session = session
        self._shim = shim
        self._rng = random.Random()
        self._start_s = 0.0  # how long the last start took
        self._was_ready = False  # a folder may be there without its tables before that

    async def run(self, folder: Path, seed: int, kills: int) -> None:
        """Kill a server on a new folder so many times, look after each, and let it end well."""
        self._rng = random.Random(seed)
        self._was_ready = False
        self._victim.data = folder
        load = Load(self._session, folder.name, seed)
        witness = Witness(folder)
        load.start(CLIENTS)
        try:
            died = 0
            while died < kills:
                died += await self._live(load)
                acknowledged, load.unproven = load.unproven, []
                if self._was_ready:
                    await witness.testify(acknowledged)
            await self._end_well(load, witness)
        finally:
            for client in load.clients:
                client.cancel()
        self.acknowledged += len(load.acked)
        self.durable += witness.events.total()
        self.refused += load.refusals.total()

    async def _live(self, load: Load) -> bool:
        """Start a server and have it die; says whether it was killed in time."""
        way = self._rng.choice(WAYS)
        environment: dict[str, str] = {}
        if way.startswith("write"):
            operation = self._rng.choice(("write", "write", "sync"))
            number = int(WRITES_MAX ** self._rng.random())
            environment = {
                "LD_PRELOAD": str(self._shim),
                "SHIM_DIR": str(self._victim.data),
                "SHIM_KILL": f"{operation}:{number}:{way.partition(' ')[2]}",
            }
        plain = not environment and self._rng.randrange(PLAIN_EVERY) == 0
        began = time.monotonic()
        await self._victim.begin(plain=plain, **environment)
        if way == "start":
            self._later(self._victim.pid, self._rng.random() * self._start_s)
        try:
            url = await self._victim.ready()
        except AssertionError:
            if way != "start" and not environment:
                raise
        else:
            self._start_s = time.monotonic() - began
            self.slowest_start_s = max(self.slowest_start_s, self._start_s)
            self._was_ready = True
            await load.move(url)
            self._doom(way)
        code = await self._victim.ended(DEATH_S)
        if code is None:
            way, code = "late", await self._victim.kill()
        if way == "stop" and code == 0:
            return False  # it was over sooner
        self.deaths[way] += 1
        assert code == -signal.SIGKILL or (code == 1 and way in {"writer", "write self"}), (
            way,
            code,
            *self._victim.said,
        )
        return True

    def _doom(self, way: str) -> None:
        """See to the death of a server that is ready."""
        moment_s = self._rng.random() * MOMENT_S_MAX
        if way in {"server", "both"}:
            self._later(self._victim.pid, moment_s)
        if way in {"writer", "both"}:
            self._later(self._victim.writer(), moment_s)
        if way == "stop":
            self._victim.send_signal(signal.SIGTERM)
            self._later(self._victim.pid, moment_s)

    def _later(self, pid: int, seconds: float) -> None:
        assert pid

        def kill() -> None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

        asyncio.get_running_loop().call_later(seconds, kill)

    async def _end_well(self, load: Load, witness: Witness) -> None:
        """Let the clients come to their end, and everything that was decided to its own."""
        await self._victim.begin()
        await load.move(await self._victim.ready())
        await load.finish()
        await _settle(self._victim.data)
        self._victim.send_signal(signal.SIGTERM)
        assert await self._victim.ended(SETTLE_S) == 0
        await witness.testify(load.unproven)
        assert set(witness.events) == load.acked
        self._judge_messages(load)

    def _judge_messages(self, load: Load) -> None:
        """Insist that every message was decided, left as often as its type says, and is told of."""
        with closing(sqlite3.connect(self._victim.data / FILE_NAME)) as connection:
            rows = connection.execute("SELECT message_id, customer, state, body FROM outbox")
            ids = {message_id: (customer, state) for message_id, customer, state, _ in rows}
        name = self._victim.data.name
        assert Counter(customer for customer, _ in ids.values()) == {
            f"{name}-{number}": 2 for number in range(1, load.customers + 1)
        }
        sent = self._provider.payloads
        assert [one for one, (_, state) in ids.items() if state == "sent" and one not in sent] == []
        assert {state for _, state in ids.values()} <= {"sent", "in_doubt"}
        for (customer, message), calls in self._provider.calls.items():
            if customer.startswith(f"{name}-"):
                assert message == "thanks" or calls == 1, (customer, message, calls)
        assert all(len(payloads) == 1 for payloads in sent.values())


WAYS = ("server", "server", "writer", "both", "start", "stop", "write self", "write parent")


async def _settle(folder: Path) -> None:
    """Wait until no message is on its way any more."""
    reader = await open_reader(folder)
    try:
        async with asyncio.timeout(SETTLE_S):
            while await reader.outbox_open():  # noqa: ASYNC110 - another process empties it
                await asyncio.sleep(POLL_S)
    finally:
        await reader.close()


async def kill_over_and_over(tmp_path: Path, kills: int) -> dict[str, float]:
    seed = choose_seed()
    began = time.monotonic()
    shim = build_shim(tmp_path)
    async with calling() as session, providing() as provider:
        shop = provider.write_shop(tmp_path)

        async def keep_killing(number: int) -> Ordeal:
            async with nursing(shop, **SECRET) as victim:
                ordeal = Ordeal(victim, provider, session, shim)
                share = kills // SERVERS + (number < kills % SERVERS)
                for first in range(0, share, LIVES):
                    name = f"s{number}f{first}"
                    count = min(LIVES, share - first)
                    await ordeal.run(tmp_path / name, seed * 1_000 + number * 100 + first, count)
            return ordeal

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(keep_killing(number)) for number in range(SERVERS)]
    ordeals = [task.result() for task in tasks]
    deaths = sum((ordeal.deaths for ordeal in ordeals), Counter[str]())
    return {
        "kills": deaths.total(),
        **{f"kills: {way}": count for way, count in sorted(deaths.items())},
        "events acknowledged": sum(ordeal.acknowledged for ordeal in ordeals),
        "requests refused or cut off": sum(ordeal.refused for ordeal in ordeals),
        "messages sent": len(provider.payloads),
        "calls repeated with the same id": provider.taken - len(provider.payloads),
        "acknowledged events lost": 0,
        "events stored twice": 0,
        "messages sent twice": 0,
        "slowest start in s": round(max(ordeal.slowest_start_s for ordeal in ordeals), 2),
        "seconds": round(time.monotonic() - began, 1),
        "seed": seed,
    }


async def test_a_server_that_is_killed_loses_and_doubles_nothing(tmp_path: Path) -> None:
    figures = await kill_over_and_over(tmp_path, 204)
    assert figures["kills"] >= 200
    keep("kills", figures)


@pytest.mark.long
async def test_a_server_that_is_killed_2000_times_loses_and_doubles_nothing(tmp_path: Path) -> None:
    figures = await kill_over_and_over(tmp_path, 2_010)
    assert figures["kills"] >= 2_000
    keep("kills_long", figures)
