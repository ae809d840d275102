"""Clients that send until they are answered, and a provider that keeps what it is sent."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

WORKSPACE = """
workspace: kills
defaults: {timezone: UTC, country: GB}
consent: {marketing: opt_out}
channels:
  hook:
    adapter: webhook
    identity: email
    settings: {secret: {env: HOOK_SECRET}, url: "http://127.0.0.1:PORT/", allow_private: true}
message_types:
  offer: {purpose: marketing, channels: [hook]}
  notice: {purpose: service, channels: [hook], delivery: at_least_once}
messages:
  welcome: {type: offer, content: {hook: {body: Welcome}}}
  thanks: {type: notice, content: {hook: {body: Thanks}}}
journeys:
  welcome: {trigger: {event: Signed Up}, steps: [{send: welcome, id: first}]}
  paid: {trigger: {event: Paid}, steps: [{send: thanks, id: first}]}
"""
SECRET = {"HOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"}
PATIENCE_S = 0.15  # how long a client that was refused waits for another server
ANSWER_S = 20.0

Item = dict[str, Any]


class Provider:
    """What stands for the provider of a channel: an endpoint that takes everything at once."""

    def __init__(self) -> None:
        self.port = 0
        self.payloads: dict[str, set[bytes]] = {}  # by message id
        self.calls: Counter[tuple[str, str]] = Counter()  # (customer, message)
        self.taken = 0
        self.hold: asyncio.Event | None = None  # no call is answered before it is set

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        told = msgspec.json.decode(body)["data"]
        assert request.headers["webhook-id"] == told["message_id"]
        self.payloads.setdefault(told["message_id"], set()).add(body)
        self.calls[told["customer"], told["message"]] += 1
        self.taken += 1
        if self.hold is not None:
            await self.hold.wait()
        return web.Response()

    def write_shop(self, folder: Path) -> Path:
        """Write a workspace whose channel ends here; gives its folder."""
        shop = folder / "shop"
        shop.mkdir()
        text = WORKSPACE.replace("PORT", str(self.port))
        (shop / "workspace.yaml").write_text(text, encoding="utf-8")
        return shop


@asynccontextmanager
async def providing() -> AsyncGenerator[Provider]:
    """Have a provider on this machine until the block ends."""
    provider = Provider()
    app = web.Application()
    app.router.add_post("/", provider.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    provider.port = runner.addresses[0][1]
    try:
        yield provider
    finally:
        await runner.cleanup()


class Load:
    """Some clients of one data folder, which find the server wherever it is."""

    def __init__(self, session: aiohttp.ClientSession, name: str, seed: int) -> None:
        self.acked: set[str] = set()
        self.unproven: list[str] = []  # acknowledged since somebody last looked
        self.refusals: Counter[int] = Counter()  # by status; 0: no answer
        self.customers = 0
        self._name = name
        self._rng = random.Random(seed)
        self._session = session
        self._url = ""
        self._moved = asyncio.Condition()
        self._items = 0
        self._is_over = False
        self.clients: list[asyncio.Task[None]] = []

    def start(self, clients: int) -> None:
        """Let clients send: half of them batches, half single events."""
        self.clients = [
            asyncio.create_task(self._send(batched=bool(number % 2))) for number in range(clients)
        ]

    async def move(self, url: str) -> None:
        """Tell the clients where the server is now."""
        async with self._moved:
            self._url = url
            self._moved.notify_all()

    async def finish(self) -> None:
        """Let every client be answered for what it has begun, and end."""
        self._is_over = True
        await asyncio.gather(*self.clients)

    async def _send(self, *, batched: bool) -> None:
        while not self._is_over:
            items = self._visit()
            if batched:
                for _ in range(self._rng.randrange(4)):
                    items += self._visit()
                await self._insist("/v1/batch", {"batch": items}, items)
                if self._rng.random() < 0.1:  # a client that forgot that it was answered
                    await self._insist("/v1/batch", {"batch": items}, items)
            else:
                for item in items:
                    await self._insist(f"/v1/{item['type']}", item, [item])

    def _visit(self) -> list[Item]:
        """Write down what a new customer does, and something of one who is known."""
        self.customers += 1
        who = f"{self._name}-{self.customers}"
        known = f"{self._name}-{self._rng.randint(1, self.customers)}"
        return [
            self._item(who, "identify", traits={"email": f"{who}@example.com"}),
            self._item(who, "track", event="Signed Up"),
            self._item(known, "track", event="Seen", properties={"text": "x" * 200}),
            self._item(who, "track", event="Paid"),
        ]

    def _item(self, who: str, kind: str, **said: object) -> Item:
        self._items += 1
        return {"type": kind, "userId": who, "messageId": f"{self._name}:{self._items}", **said}

    async def _insist(self, path: str, body: Item, items: list[Item]) -> None:
        """Send until it is acknowledged, as client libraries do."""
        while True:
            url = self._url
            status = await self._post(url, path, body) if url else 0
            if status == 200:
                ids = [item["messageId"] for item in items]
                self.acked.update(ids)
                self.unproven += ids
                return
            self.refusals[status] += 1
            async with self._moved:
                with suppress(TimeoutError):  # it is still there: it is asked again
                    async with asyncio.timeout(PATIENCE_S):
                        while self._url == url:
                            await self._moved.wait()

    async def _post(self, url: str, path: str, body: Item) -> int:
        try:
            async with self._session.post(f"{url}{path}", json=body) as answer:
                said = await answer.json()
                assert answer.status in {200, 429, 503}, said
                assert "errors" not in said
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0


@asynccontextmanager
async def calling() -> AsyncGenerator[aiohttp.ClientSession]:
    """Have a session for clients until the block ends."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield session
