"""Addresses somebody else wrote, and a neighbour on this machine that must never hear of us.

The neighbour listens for real, on a port webhooks may have; what is counted is its connections.
Each way is shown to lead to it first, where it is allowed to.
"""

import asyncio
import socket
from collections.abc import AsyncIterator

import msgspec
import pytest

from actors.ports import Permanent, Temporary
from adapters.channels.webhook import WebhookChannel, WebhookSettings
from adapters.channels.wire import Request, Wire
from tests.e2e.test_channel_webhook import NOT_PUBLIC, SECRET, SEND, StubResolver

PORT = 8_443
NAME = f"https://hooks.example.com:{PORT}/in"

# Spellings of this machine, and of names whose address is another than it seems.
SPELT = [
    f"https://{host}:{PORT}/in"
    for host in (
        "127.0.0.1",
        "127.0.0.2",
        "127.255.255.254",
        "0.0.0.0",
        "0",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0x7F.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "127.0.0.%31",
        "\uff11\uff12\uff17.0.0.1",
        "\u2460\u2461\u2466.0.0.1",
        "127\u30020\u30020\u30021",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "user@127.0.0.1",
        "hooks.example.com@127.0.0.1",
        "hooks.example.com:443@127.0.0.1",
        "127.0.0.1#@hooks.example.com",
        "127.0.0.1\\@hooks.example.com",
        "localhost",
        "LOCALHOST.",
        "loc\u00adalhost",
    )
]
VECTORS = [
    *(pytest.param(NAME, address, id=f"leads to {address}") for address in NOT_PUBLIC),
    *(pytest.param(url, "127.0.0.1", id=url) for url in SPELT),
]


class Neighbour:
    """A server on this machine that only counts who calls."""

    def __init__(self) -> None:
        self.calls = 0

    def take(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls += 1
        writer.close()


@pytest.fixture
async def neighbour() -> AsyncIterator[Neighbour]:
    made = Neighbour()
    servers: list[asyncio.Server] = []
    try:
        for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::1")):
            server = await asyncio.start_server(made.take, host, PORT, family=family)
            servers.append(server)
    except OSError:
        if not servers:
            pytest.skip(f"port {PORT} of this machine is in use")
    yield made
    for server in servers:
        server.close()


async def call(wire: Wire, url: str) -> None:
    with pytest.raises((Permanent, Temporary)) as caught:
        await wire.exchange(Request("POST", url, {}, b"{}", is_guarded=True))
    await wire.close()
    if isinstance(caught.value, Permanent):
        assert caught.value.code == "address_refused"


async def test_the_ways_lead_to_the_neighbour_where_they_may(neighbour: Neighbour) -> None:
    await call(Wire(StubResolver(["127.0.0.1"]), allow_private=True), NAME)
    await call(Wire(allow_private=True), f"https://127.0.0.1:{PORT}/in")
    await call(Wire(allow_private=True), f"https://0.0.0.0:{PORT}/in")
    await call(Wire(allow_private=True), f"https://localhost:{PORT}/in")
    assert neighbour.calls >= 4


def test_there_are_enough_ways() -> None:
    assert len(VECTORS) >= 60


@pytest.mark.parametrize(("url", "address"), VECTORS)
async def test_nobody_reaches_the_neighbour_through_an_address_of_theirs(
    neighbour: Neighbour, url: str, address: str
) -> None:
    await call(Wire(StubResolver([address])), url)
    channel = WebhookChannel(WebhookSettings(SECRET), resolver=StubResolver([address]))
    await channel.start()
    with pytest.raises(Permanent) as caught:
        await channel.deliver(msgspec.structs.replace(SEND, address=url))
    await channel.close()
    assert caught.value.code == "address_refused"
    await asyncio.sleep(0)
    assert neighbour.calls == 0


async def test_proxies_of_the_environment_are_not_asked(
    neighbour: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{PORT}")
    await call(Wire(StubResolver(["10.0.0.1"])), NAME)
    assert neighbour.calls == 0
