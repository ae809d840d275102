"""The server under load, and beside it the limit: an aiohttp handler that only reads and answers.

`python -m bench.server DATA` runs both on one event loop in one process, writes one line of JSON
with their ports, and stops when its input ends. A line `stats` on its input is answered with what
the shard counts.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import structlog
import uvloop
from aiohttp import web

from actors.runtime import Settings
from adapters.app import App, Workspace, tune_interpreter
from adapters.clock import ScaledClock
from adapters.files.workspaces import read_workspace
from adapters.gateway.settings import GatewaySettings
from engine.instants import parse_instant
from engine.program.compile import canonical_bytes, compile_source

# Ten in the morning where the demo shop is: windows are open, so that messages really go.
ORIGIN_AT = parse_instant("2026-03-03T08:00:00Z")
DEMO_WORKSPACE = Path("adapters/demo/workspace")
ANSWER = b'{"success":true}'


def bench_workspace() -> Workspace:
    """Read the demo workspace with every provider replaced by the log, which is off."""
    raw: dict[str, Any] = msgspec.json.decode(canonical_bytes(read_workspace(DEMO_WORKSPACE).raw))
    for channel in raw["channels"].values():
        if channel["adapter"] != "inbox":
            channel["adapter"] = "log"
            channel.pop("settings", None)
    return Workspace(compile_source(raw), canonical_bytes(raw))


async def noop() -> int:
    """Serve the limit: read the body, answer. Gives the port."""

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=ANSWER, content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/track", handle)
    app.router.add_post("/v1/batch", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return int(runner.addresses[0][1])


async def main(data: Path) -> None:
    """Serve until the input ends."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    clock = ScaledClock(ORIGIN_AT, 1)
    started = asyncio.get_running_loop().time()
    async with App(
        bench_workspace(), data, GatewaySettings(), clock=clock, settings=Settings(), environ={}
    ) as app:
        tune_interpreter()
        ready_s = asyncio.get_running_loop().time() - started
        limit = await noop()
        say({"port": app.port, "noop": limit, "ready_s": ready_s})
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        while await reader.readline():
            say(stats(app))


def stats(app: App) -> dict[str, Any]:
    """Tell what the shard counts, and what the process takes."""
    counters = app.runtime.counters
    decisions: dict[str, int] = {}
    for (outcome, reason, _), count in counters.decisions.items():
        key = f"{outcome} {reason}"
        decisions[key] = decisions.get(key, 0) + count
    return {
        "stored": counters.stored,
        "duplicates": counters.duplicates,
        "quarantined": counters.quarantined,
        "commits": counters.commits,
        "decisions": decisions,
        "timers_fired": counters.timers_fired,
        "timer_lateness": counters.timer_lateness,
        "rss_mib": resident_mib(),
        **app.runtime.gauges(),
    }


def resident_mib() -> float:
    """Tell how much memory this process and its children have in RAM now."""
    own = Path("/proc/self/task").glob("*/children")
    children = [int(pid) for file in own for pid in file.read_text().split()]
    return sum(_resident_mib(pid) for pid in [os.getpid(), *children])


def _resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def say(words: dict[str, Any]) -> None:
    """Answer whoever started this process."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
