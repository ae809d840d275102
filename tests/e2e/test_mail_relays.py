"""Mail through a provider's relay: our id goes along, so that it comes back with what is told."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiosmtpd.smtp import SMTP

from actors.memory import settle
from adapters.channels.letter import Relay
from adapters.channels.smtp import SmtpSettings
from tests.e2e.test_channel_smtp import SEND, Post, Server, deliver, hang_up


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    post = Post()
    servers: list[SMTP] = []

    def factory() -> SMTP:
        servers.append(SMTP(post, hostname="mail.example.org"))
        return servers[-1]

    listening = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    yield Server(post, listening.sockets[0].getsockname()[1], servers)
    listening.close()
    for smtp in servers:
        hang_up(smtp)
    await settle()


@pytest.mark.parametrize(
    ("relay", "header", "value"),
    [
        (Relay.SENDGRID, "X-SMTPAPI", f'{{"unique_args": {{"message_id": "{SEND.message_id}"}}}}'),
        (Relay.MAILGUN, "X-Mailgun-Variables", f'{{"message_id": "{SEND.message_id}"}}'),
        (Relay.POSTMARK, "X-PM-Metadata-message_id", SEND.message_id),
        (Relay.SES, "X-SES-MESSAGE-TAGS", f"message_id={SEND.message_id}"),
    ],
)
async def test_our_id_goes_along_as_the_provider_gives_it_back(
    server: Server, relay: Relay, header: str, value: str
) -> None:
    await deliver(server.channel(relay=relay))
    letter = server.post.letter()
    assert letter[header] == value
    assert sum(name.startswith(("X-PM", "X-SMTP", "X-Mail", "X-SES")) for name in letter) == 1


async def test_nothing_is_added_where_no_relay_is_named(server: Server) -> None:
    await deliver(server.channel())
    assert not [name for name in server.post.letter() if name.startswith("X-")]


def test_a_relay_that_is_none_is_refused_at_start() -> None:
    settings = {"host": "127.0.0.1", "from": "shop@example.org", "unsubscribe": "none"}
    msgspec.convert({**settings, "relay": "ses"}, SmtpSettings)
    with pytest.raises(msgspec.ValidationError, match="relay"):
        msgspec.convert({**settings, "relay": "gmail"}, SmtpSettings)
