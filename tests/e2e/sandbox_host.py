"""A sandbox for tests: on free ports, with receipts at once, and keys made once."""

import functools
import socket
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.sandbox.accounts import Keys, open_keys
from adapters.sandbox.fates import Script
from adapters.sandbox.server import Sandbox
from adapters.sandbox.settings import SandboxSettings

NOWHERE = "http://127.0.0.1:9"
SPEED = 100.0


def find_port() -> int:
    """Find a free port: providers must be told of it before the gateway listens there."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@functools.cache
def keys() -> Keys:
    with tempfile.TemporaryDirectory() as folder:
        return open_keys(Path(folder))


@asynccontextmanager
async def sandboxed(
    gateway_url: str = NOWHERE,
    script: Script | None = None,
    environ: Mapping[str, str] | None = None,
) -> AsyncGenerator[Sandbox]:
    settings = SandboxSettings(0, 0, 0, gateway_url, script or Script(), SPEED, hold_s=0.0)
    async with Sandbox(settings, keys(), environ) as sandbox:
        yield sandbox
