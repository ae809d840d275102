"""A real server on a disk that fills up: it says so, goes on reading, and goes on when it can."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.reliability.disks import fill, small_disk
from tests.reliability.figures import keep
from tests.reliability.load import SECRET, calling, providing
from tests.reliability.victim import Victim, nursing
from tests.reliability.witness import Witness

KIB = 1024
RECOVERY_S_MAX = 15.0

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 8) as place:
        yield place


@pytest.fixture
async def victim(tmp_path: Path, disk: Path) -> AsyncIterator[Victim]:
    async with (
        providing() as provider,
        nursing(provider.write_shop(tmp_path), **SECRET) as nursed,
    ):
        nursed.data = disk / "data"
        yield nursed


class Client:
    """Somebody who sends events of a size, one after the other."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.acknowledged: list[str] = []
        self.tried = 0
        self._session = session
        self._url = url

    async def send(self, size: int) -> tuple[int, str, Any]:
        """Send one; gives the status, Retry-After, and what was said."""
        self.tried += 1
        name = f"e{self.tried}"
        item = {
            "userId": "ana",
            "event": "Seen",
            "messageId": name,
            "properties": {"x": "x" * size},
        }
        async with self._session.post(f"{self._url}/v1/track", json=item) as answer:
            if answer.status == 200:
                self.acknowledged.append(name)
            return answer.status, answer.headers.get("Retry-After", ""), await answer.json()

    async def read(self, path: str) -> tuple[int, Any]:
        async with self._session.get(f"{self._url}{path}") as answer:
            return answer.status, await answer.json()

    async def until_refused(self) -> None:
        """Send until there is no room, and insist that this is said as it should be."""
        async with asyncio.timeout(60):
            while (told := await self.send(20 * KIB))[0] == 200:
                pass
        status, retry_after, said = told
        assert (status, retry_after, said["code"]) == (503, "1", "not_stored")


async def test_a_full_disk_is_said_survived_and_over_when_there_is_room(
    victim: Victim, disk: Path
) -> None:
    async with calling() as session:
        await victim.begin()
        client = Client(session, await victim.ready())
        assert (await client.send(10))[0] == 200
        filler = fill(disk, 200 * KIB)
        await client.until_refused()
        assert not (victim.data / "ballast").exists()
        assert (await client.send(10))[0] == 503
        status, said = await client.read("/readyz")
        assert (status, "disk is full" in said["reason"]) == (503, True)
        assert (await client.read("/v1/customers/ana"))[0] == 200
        filler.unlink()
        began = time.monotonic()
        async with asyncio.timeout(RECOVERY_S_MAX):
            # Nobody sends: it finds out by itself.
            while (await client.read("/readyz"))[0] != 200:  # noqa: ASYNC110 - it is polled
                await asyncio.sleep(0.05)
        recovered_s = time.monotonic() - began
        assert (victim.data / "ballast").exists()
        assert (await client.send(10))[0] == 200
        fill(disk, 100 * KIB)
        await client.until_refused()
        began = time.monotonic()
        victim.send_signal(signal.SIGTERM)
        assert await victim.ended(30) == 0
        stopped_s = time.monotonic() - began
    assert not (victim.data / "nextbeat.db-wal").exists()
    witness = Witness(victim.data)
    await witness.testify(client.acknowledged)
    assert set(witness.events) == set(client.acknowledged)
    keep(
        "full_disk",
        {
            "events tried": client.tried,
            "events acknowledged": len(client.acknowledged),
            "acknowledged events lost": 0,
            "ready again after there was room, in s": round(recovered_s, 2),
            "stop on a full disk in s": round(stopped_s, 2),
        },
    )
