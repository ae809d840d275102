"""What every channel promises the outbox, whatever it speaks to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

from actors.ports import Channel, Permanent, Temporary
from adapters.channels.inbox import InboxChannel
from adapters.channels.log import LogChannel, LogSettings
from adapters.channels.smtp import SmtpChannel, SmtpSettings
from adapters.channels.webhook import WebhookChannel, WebhookSettings
from adapters.inbox import Inbox
from adapters.signing import Signer
from engine.effects import Send

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"
NOW = 1_772_428_320_000


class Kept:
    """The channel's twin in memory: what the suite holds the real ones against."""

    def __init__(self) -> None:
        self.sends: dict[str, Send] = {}

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def deliver(self, send: Send) -> str:
        self.sends[send.message_id] = send
        return send.message_id


class Post:
    async def handle_DATA(  # noqa: N802 - the server's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        return "250 OK"


@pytest.fixture
async def smtp_port() -> AsyncIterator[int]:
    servers: list[SMTP] = []

    def factory() -> SMTP:
        servers.append(SMTP(Post(), hostname="mail.example.org", enable_SMTPUTF8=True))
        return servers[-1]

    listening = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    yield listening.sockets[0].getsockname()[1]
    listening.close()
    for server in servers:
        if isinstance(server.transport, asyncio.WriteTransport):
            server.transport.abort()
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def http_port() -> AsyncIterator[int]:
    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.fixture(params=["memory", "log", "smtp", "webhook", "inbox", "inbox in a file"])
async def channel(
    request: pytest.FixtureRequest, smtp_port: int, http_port: int, tmp_path: Path
) -> AsyncIterator[Channel]:
    smtp = SmtpSettings(
        host="127.0.0.1",
        port=smtp_port,
        from_address="shop@example.org",
        unsubscribe_url="https://nextbeat.example.com",
    )
    hook = WebhookSettings(SECRET, f"http://127.0.0.1:{http_port}/", allow_private=True)
    made: dict[str, Channel] = {
        "memory": Kept(),
        "log": LogChannel("log", LogSettings(show_content=True)),
        "smtp": SmtpChannel("email", smtp, Signer("a secret of many characters")),
        "webhook": WebhookChannel(hook),
        "inbox": InboxChannel(Inbox(None, lambda: NOW)),
        "inbox in a file": InboxChannel(Inbox(tmp_path / "inbox.db", lambda: NOW)),
    }
    chosen = made[request.param]
    await chosen.start()
    yield chosen
    await chosen.close()


def a_send(message_id: str = "m_1", **changes: object) -> Send:
    send = Send(
        message_id=message_id,
        decision_id="d_1",
        customer="u1",
        channel="email",
        address="zoe@example.com",
        message="welcome",
        message_type="promotional",
        purpose="marketing",
        journey="onboarding",
        step="first",
        content={"subject": "Hi", "title": "Hi", "body": "Hello"},
        decided_at=NOW,
        expires_at=None,
    )
    return msgspec.structs.replace(send, **changes)


async def test_a_taken_message_has_an_id_of_the_provider(channel: Channel) -> None:
    assert await channel.deliver(a_send())


async def test_the_same_message_may_be_handed_over_again(channel: Channel) -> None:
    first = await channel.deliver(a_send())
    assert await channel.deliver(a_send()) == first


async def test_many_messages_may_be_handed_over_at_once(channel: Channel) -> None:
    taken = await asyncio.gather(*(channel.deliver(a_send(f"m_{n}")) for n in range(30)))
    assert len(set(taken)) == 30


async def test_a_channel_can_be_closed_and_started_again(channel: Channel) -> None:
    await channel.deliver(a_send("m_1"))
    await channel.close()
    await channel.start()
    assert await channel.deliver(a_send("m_2"))


async def test_the_message_is_not_changed(channel: Channel) -> None:
    send = a_send()
    before = msgspec.json.encode(send)
    await channel.deliver(send)
    assert msgspec.json.encode(send) == before


@pytest.mark.parametrize(
    "text",
    ["", "\x00", "\r\n.\r\n", "\ud800", "\u202e\u2028", "🎉" * 20_000, "{{ x }}", "'; DROP--"],
)
async def test_any_text_is_taken_or_refused_but_never_breaks(channel: Channel, text: str) -> None:
    content = {"subject": text, "body": text, "title": text, text: text}
    hostile = [
        a_send(content=content),
        a_send(customer=text, purpose=text),
        a_send(message=text, message_type=text, journey=text, step=text),
        a_send(address=text),
        a_send(text),
    ]
    for send in hostile:
        with suppress(Temporary, Permanent):
            await channel.deliver(send)
    assert await channel.deliver(a_send("m_after"))


async def test_a_call_that_is_cut_off_leaves_the_channel_usable(channel: Channel) -> None:
    for steps in range(12):
        call = asyncio.ensure_future(channel.deliver(a_send(f"m_{steps}")))
        for _ in range(steps):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    assert await channel.deliver(a_send("m_after"))
