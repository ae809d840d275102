"""The load generator: its own process, raw sockets, latency from the intended send time.

`python -m bench.client` reads one JSON job a line from its input and answers one a line, so that a
bench can alternate between servers without starting anew.
"""

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, cast

import uvloop
from aiohttp import ClientSession, WSMsgType

from bench.figures import spread
from bench.shop import batch, events

_HEAD = (
    b"POST %b HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    b"Authorization: Basic a2V5Og==\r\nContent-Length: %d\r\n\r\n"
)


class Connection(asyncio.Protocol):
    """One keep-alive connection that carries one request at a time."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self.intended_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._load.idle.append(self)

    def send(self, request: bytes, intended_at: float) -> None:
        """Send a request that should have left at `intended_at`."""
        assert self._transport is not None
        self.intended_at = intended_at
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self._buffer[:head_end].lower()
        start = head.index(b"content-length:") + 15
        stop = head.find(b"\r\n", start)
        length = int(head[start : stop if stop > 0 else None])
        if len(self._buffer) < head_end + 4 + length:
            return
        is_ok = self._buffer.startswith(b"HTTP/1.1 200") and b'"errors"' not in self._buffer
        self._buffer = b""
        self._load.answered(self, is_ok=is_ok)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._load.lost += 1

    def close(self) -> None:
        """Hang up."""
        assert self._transport is not None
        self._transport.close()


class Load:
    """One run against one server: closed loop, or open loop at a rate."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.idle: deque[Connection] = deque()
        self.lost = 0
        self.latencies: list[float] = []
        self.bad = 0
        self.sent = 0
        self._waiting: deque[tuple[bytes, float]] = deque()
        self._requests = requests(job)
        self._stop_at = 0.0

    def answered(self, connection: Connection, *, is_ok: bool) -> None:
        """Take an answer; send what is next on that connection."""
        now = time.perf_counter()
        self.latencies.append(now - connection.intended_at)
        self.bad += not is_ok
        if self._waiting:
            connection.send(*self._waiting.popleft())
        elif "rate" not in self.job and now < self._stop_at:
            self.sent += 1
            connection.send(next(self._requests), now)
        else:
            self.idle.append(connection)

    async def run(self) -> dict[str, Any]:
        """Run the job and give its figures; latencies in ms."""
        loop = asyncio.get_running_loop()
        connections = [
            (await loop.create_connection(lambda: Connection(self), "127.0.0.1", self.job["port"]))[
                1
            ]
            for _ in range(self.job["connections"])
        ]
        started = time.perf_counter()
        self._stop_at = started + self.job["seconds"]
        await (self._open_loop(started) if "rate" in self.job else self._closed_loop())
        while len(self.idle) < len(connections) and not self.lost:  # noqa: ASYNC110 - a bench polls
            await asyncio.sleep(0.001)
        took = time.perf_counter() - started
        lost = self.lost
        for connection in connections:
            connection.close()
        per_request = self.job.get("items", 1)
        return {
            "seconds": took,
            "requests": self.sent,
            "requests_per_s": self.sent / took,
            "events_per_s": self.sent * per_request / took,
            "bad": self.bad,
            "lost": lost,
            "latency_ms": spread([latency * 1_000 for latency in self.latencies]),
        }

    async def _closed_loop(self) -> None:
        while self.idle:
            self.sent += 1
            self.idle.popleft().send(next(self._requests), time.perf_counter())
        await asyncio.sleep(self.job["seconds"])

    async def _open_loop(self, started: float) -> None:
        interval = 1 / self.job["rate"]
        number = 0
        while (now := time.perf_counter()) < self._stop_at:
            while (intended_at := started + number * interval) <= now:
                number += 1
                self.sent += 1
                request = next(self._requests)
                if self.idle:
                    self.idle.popleft().send(request, intended_at)
                else:
                    self._waiting.append((request, intended_at))
            await asyncio.sleep(max(0.0, started + number * interval - time.perf_counter()))


def requests(job: dict[str, Any]) -> Iterator[bytes]:
    """Make whole HTTP requests for a job, each with events never sent before."""
    source = events(job["seed"], job["customers"], job["timestamp"])
    items = job.get("items", 1)
    path = job["path"].encode()
    while True:
        body = next(source) if items == 1 else batch([next(source) for _ in range(items)])
        yield _HEAD % (path, len(body)) + body


async def stream(job: dict[str, Any]) -> dict[str, Any]:
    """Send frames of events over websockets, each with a window of unacknowledged frames."""
    source = events(job["seed"], job["customers"], job["timestamp"])
    sent = acked = nacked = 0
    started = time.perf_counter()
    stop_at = started + job["seconds"]

    async def one(session: ClientSession) -> None:
        nonlocal sent, acked, nacked
        url = f"http://127.0.0.1:{job['port']}/v1/stream?writeKey=key"
        async with session.ws_connect(url, max_msg_size=0) as socket:
            hello = await socket.receive_json()
            window = asyncio.Semaphore(int(hello["hello"]["window"]))
            own = 0

            async def listen() -> None:
                nonlocal acked, nacked
                seen = 0
                async for message in socket:
                    if message.type is not WSMsgType.TEXT:
                        return
                    answer = json.loads(message.data)
                    if "ack" in answer:
                        news = int(answer["ack"]) - seen
                        seen += news
                        acked += news
                    elif "nack" in answer:
                        news = 1
                        seen += 1
                        nacked += 1
                    else:
                        continue
                    for _ in range(news):
                        window.release()

            listening = asyncio.create_task(listen())
            while time.perf_counter() < stop_at:
                await window.acquire()
                frame = b"[" + b",".join([next(source) for _ in range(job["items"])]) + b"]"
                await socket.send_str(frame.decode())
                own += 1
                sent += 1
            while acked + nacked < sent and not listening.done():  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.001)
            await socket.close()
            await listening

    async with ClientSession() as session:
        await asyncio.gather(*(one(session) for _ in range(job["connections"])))
    took = time.perf_counter() - started
    return {
        "seconds": took,
        "frames": sent,
        "acked": acked,
        "nacked": nacked,
        "events_per_s": acked * job["items"] / took,
    }


async def main() -> None:
    """Do jobs until the input ends."""
    for line in sys.stdin:
        job = json.loads(line)
        result = await (stream(job) if job["kind"] == "stream" else Load(job).run())
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
