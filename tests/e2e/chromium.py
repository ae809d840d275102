"""A real browser, told what to do over its own protocol; shared by the tests that need one."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
with_chromium = pytest.mark.skipif(
    not CHROMIUM, reason="chromium is not installed: apt-get install chromium"
)
_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run")
_LISTENING = re.compile(rb"DevTools listening on (ws://\S+)")


class Page:
    """One open page."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._last = 0
        self._is_loaded = False

    async def tell(self, method: str, **parameters: object) -> dict[str, Any]:
        """Ask the browser for something, and wait for its answer."""
        self._last += 1
        await self._socket.send_json({"id": self._last, "method": method, "params": parameters})
        async with asyncio.timeout(30):
            while (said := await self._hear()).get("id") != self._last:
                pass
        assert "error" not in said, said
        return dict(said["result"])

    async def open(self, url: str) -> None:
        """Go to an address, and wait until everything of it is there."""
        await self.tell("Page.enable")
        await self.tell("Page.navigate", url=url)
        async with asyncio.timeout(30):
            while not self._is_loaded:
                await self._hear()

    async def _hear(self) -> dict[str, Any]:
        said = dict(await self._socket.receive_json())
        self._is_loaded |= said.get("method") == "Page.loadEventFired"
        return said

    async def run(self, script: str) -> Any:
        """Run a script in the page, and give the value it comes to."""
        said = await self.tell(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    async def wait_for(self, condition: str) -> None:
        """Wait until a condition about the page holds; it is looked at with each frame."""
        await self.run(
            "new Promise((done, fail) => { const started = Date.now(); const look = () => "
            f"{{ if ({condition}) done(); else if (Date.now() - started > 15000) "
            f"fail(new Error(document.body.innerText)); else setTimeout(look, 20); }}; look(); }})"
        )


@asynccontextmanager
async def browsing(url: str, folder: Path) -> AsyncGenerator[Page]:
    """Open a page in a browser of its own."""
    process = await asyncio.create_subprocess_exec(
        *(CHROMIUM, *_FLAGS, "--remote-debugging-port=0", f"--user-data-dir={folder}"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "HOME": str(folder)},
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            while (found := _LISTENING.search(line := await process.stderr.readline())) is None:
                assert line, "the browser ended before it was ready"
        browser = found[1].decode()
        port = browser.split(":")[2].partition("/")[0]
        async with ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                listed = await answer.json()
            page = next(one for one in listed if one["type"] == "page")
            async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                opened = Page(socket)
                await opened.open(url)
                yield opened
    finally:
        process.terminate()
        await process.wait()
