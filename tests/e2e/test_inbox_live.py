"""The inbox as browsers meet it: streamed, counted, and by the client we give them."""

import asyncio
import gzip
import json
import os
import runpy
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession

from adapters.app import App, open_workspace
from adapters.gateway import client
from adapters.gateway.settings import GatewaySettings, hash_keys
from adapters.signing import Signer
from engine.profile import Profile
from tests.e2e.chromium import browsing, with_chromium
from tests.e2e.command_line import write_shop

ROOT = Path(__file__).resolve().parents[2]
SHOWN = (ROOT / "docs" / "snippets" / "in_app" / "workspace.yaml").read_text("utf-8")
WORKSPACE = SHOWN.replace("expires: 10m", "expires: 1s")  # nobody waits that long here
SECRET = "a secret of many characters"
SIGNER = Signer(SECRET)
SCRIPT = Path(__file__).with_name("inbox_client.mjs")
CLIENT_BYTES_MAX = 3 * 1024


class Served:
    def __init__(self, app: App, session: ClientSession) -> None:
        self.app = app
        self.session = session
        self.url = f"http://127.0.0.1:{app.port}"

    async def happen(self, event: str, customer: str = "u1", **properties: object) -> None:
        call = {"userId": customer, "event": event, "properties": properties}
        async with self.session.post(f"{self.url}/v1/track", json=call) as answer:
            assert answer.status == 200

    def place(self, path: str = "", customer: str = "u1", more: str = "") -> str:
        token = SIGNER.inbox_token(customer)
        return f"{self.url}/v1/inbox/{customer}{path}?token={token}{more}"

    async def page(self, customer: str = "u1") -> dict[str, Any]:
        async with self.session.get(self.place(customer=customer)) as answer:
            assert answer.status == 200
            return dict(await answer.json())

    async def find(self, customer: str) -> Profile:
        profile = await self.app.runtime.seek(customer)
        assert profile is not None
        return profile

    async def arrived(self, count: int) -> dict[str, Any]:
        """Wait until so many messages are there."""
        async with asyncio.timeout(10):
            while len((page := await self.page())["messages"]) < count:
                pass
        return page


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    workspace = open_workspace(write_shop(tmp_path, WORKSPACE))
    environ = {"NEXTBEAT_SECRET": SECRET}
    async with (
        App(workspace, tmp_path / "data", GatewaySettings(), environ=environ) as app,
        ClientSession() as session,
    ):
        yield Served(app, session)


async def read_event(answer: ClientResponse) -> tuple[int, dict[str, Any]]:
    """Read the next event of a stream, past everything that is none."""
    number, data = 0, b""
    async with asyncio.timeout(10):
        while line := (await answer.content.readline()).strip():
            name, _, value = line.partition(b": ")
            number = int(value) if name == b"id" else number
            data = value if name == b"data" else data
    return (number, json.loads(data)) if data else await read_event(answer)


async def test_a_stream_gives_what_is_there_then_what_comes_and_goes_on_where_it_was(
    served: Served,
) -> None:
    await served.happen("Signed Up")
    await served.arrived(1)
    async with served.session.get(served.place("/stream")) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        number, message = await read_event(answer)
        assert (number, message["content"]["title"]) == (message["number"], "Welcome, you")
        await served.happen("Order Shipped", order_id=7)
        later, message = await read_event(answer)
        assert message["content"]["body"] == "Order 7 has left us."
    for more, headers in (("", {"Last-Event-ID": str(number)}), (f"&after={number}", {})):
        place = served.place("/stream", more=more)
        async with served.session.get(place, headers=headers) as answer:
            assert (await read_event(answer))[0] == later


async def test_a_stream_is_for_the_customer_and_pages_of_any_origin(served: Served) -> None:
    async with served.session.get(f"{served.place('/stream')}x") as answer:
        assert answer.status == 200  # without admin keys this machine may look at everything
    origin = {"Origin": "https://shop.example"}
    for path in ("", "/stream"):
        async with served.session.get(served.place(path), headers=origin) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    async with served.session.get(served.place("/stream", more="&after=x")) as answer:
        assert answer.status == 400


async def test_a_badge_counts_what_is_not_seen_by_channel(served: Served) -> None:
    await served.happen("Signed Up")
    await served.happen("Order Shipped", order_id=7)
    page = await served.arrived(2)
    assert page["unseen"] == {"in_app": 1, "inbox": 1}
    first = page["messages"][0]
    async with served.session.post(served.place(f"/{first['message_id']}/opened")) as answer:
        assert answer.status == 200
    page = await served.page()
    assert sum(page["unseen"].values()) == 1
    assert first["channel"] not in page["unseen"]


async def test_a_stream_ends_when_the_server_stops(tmp_path: Path) -> None:
    workspace = open_workspace(write_shop(tmp_path, WORKSPACE))
    environ = {"NEXTBEAT_SECRET": SECRET}
    async with ClientSession() as session:
        async with App(workspace, tmp_path / "data", GatewaySettings(), environ=environ) as app:
            served = Served(app, session)
            answer = await session.get(served.place("/stream"))
            assert await answer.content.readline() == b"retry: 3000\n"
        async with asyncio.timeout(10):
            assert await answer.content.read() == b"\n"


def test_the_token_a_backend_makes_is_the_one_that_opens() -> None:
    shown = runpy.run_path(str(ROOT / "docs" / "snippets" / "in_app" / "inbox_token.py"))
    assert shown["inbox_token"](SECRET, "Zoë/1") == SIGNER.inbox_token("Zoë/1")


def test_the_client_is_small() -> None:
    source = Path(client.__file__).parent / "html" / "inbox.js"
    assert len(gzip.compress(source.read_bytes(), mtime=0)) < CLIENT_BYTES_MAX


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which("node") and not os.environ.get("CI"), reason="node is not installed"
)
@pytest.mark.parametrize("way", ["socket", "outage", "fallback", "stream", "poll"])
async def test_the_client_tells_of_messages_whichever_way_they_come(
    served: Served, way: str
) -> None:
    flags = ("--experimental-websocket", "--experimental-eventsource", "--no-warnings")
    process = await asyncio.create_subprocess_exec(
        *("node", *flags, str(SCRIPT), served.url, SIGNER.inbox_token("u 1"), way),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()
    assert json.loads(said) == {
        "told": ["Welcome, you", "On its way", "Now"],
        "counts": [
            {"total": 1, "in_app": 1},
            {"total": 2, "in_app": 1, "inbox": 1},
            {"total": 1, "inbox": 1},
        ],
        "left": ["Order 7 has left us."],
    }


@pytest.mark.slow
@with_chromium
async def test_a_browser_shows_banner_message_centre_and_badge(
    served: Served, tmp_path: Path
) -> None:
    async with browsing(f"{served.url}{client.SAMPLE_PATH}?customer=u1", tmp_path / "b") as page:
        await page.wait_for("document.querySelector('#centre') !== null")
        await page.run("document.querySelector('#event').requestSubmit()")
        await page.wait_for("banner.innerText === 'Welcome, you: Have a look around.'")
        await page.wait_for("badge.innerText === '1'")
        await served.happen("Order Shipped", order_id="<b>7</b>")
        await page.wait_for("centre.children.length === 2 && badge.innerText === '2'")
        assert "Order <b>7</b> has left us." in await page.run("centre.innerText")
        await page.run("centre.querySelector('button').click()")
        await page.wait_for("badge.innerText === '1'")
        await page.run("[...centre.querySelectorAll('button')].at(-1).click()")
        await page.wait_for("centre.children.length === 1 && badge.innerText === ''")
    sends = (await served.find("u1")).sends.values()
    assert {(sent.message, *sent.statuses) for sent in sends} == {
        ("welcome", "accepted", "opened"),
        ("shipped", "accepted", "delivered"),
    }


async def test_the_sample_is_for_development_only(tmp_path: Path) -> None:
    workspace = open_workspace(write_shop(tmp_path, WORKSPACE))
    settings = GatewaySettings(admin_keys=hash_keys("the admin"))
    environ = {"NEXTBEAT_SECRET": SECRET}
    async with (
        App(workspace, tmp_path / "data", settings, environ=environ) as app,
        ClientSession(f"http://127.0.0.1:{app.port}") as session,
    ):
        admin = {"Authorization": "Bearer the admin"}
        async with session.get(client.SAMPLE_PATH, headers=admin) as answer:
            assert answer.status == 404
        async with session.get(client.SCRIPT_PATH) as answer:
            assert answer.content_type == "text/javascript"
        async with session.get("/v1/inbox/u1/stream") as answer:
            assert answer.status == 401
