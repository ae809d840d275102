"""Phone channels over real sockets: what leaves, what is answered, and what comes of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import msgspec
import pytest
from aiohttp import web
from twilio.http.http_client import TwilioHttpClient  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

from actors.ports import Channel, Permanent, Temporary
from adapters.channels.registry import build_channels
from engine.errors import ProgramError
from engine.events import Failure
from tests.channels import a_program
from tests.telco import a_send

ACCOUNT = "AC00000000000000000000000000000000"
PROVIDERS = ("africastalking", "messagebird", "twilio", "vonage")
ENVIRONMENT = {
    "NEXTBEAT_PUBLIC_URL": "https://cb.example/",
    "NEXTBEAT_TWILIO_ACCOUNT_SID": ACCOUNT,
    "NEXTBEAT_TWILIO_AUTH_TOKEN": "token",
    "NEXTBEAT_TWILIO_FROM": "+15557122661",
    "NEXTBEAT_VONAGE_FROM": "Acme",
    "NEXTBEAT_VONAGE_API_KEY": "k",
    "NEXTBEAT_VONAGE_API_SECRET": "s",
    "NEXTBEAT_MESSAGEBIRD_ACCESS_KEY": "key",
    "NEXTBEAT_MESSAGEBIRD_FROM": "Acme",
    "NEXTBEAT_AFRICASTALKING_USERNAME": "user",
    "NEXTBEAT_AFRICASTALKING_API_KEY": "key",
}


class StandIn:
    """A provider on this machine that keeps what it gets and answers as it is told."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body: object = {}
        self.hangs_up = False

    async def take(self, request: web.Request) -> web.StreamResponse:
        kept = (request.method, request.path_qs, dict(request.headers), await request.read())
        self.requests.append(kept)
        if self.hangs_up:
            assert request.transport is not None
            request.transport.abort()
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return web.Response(status=self.status, headers=self.headers, body=body)


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    made = StandIn()
    app = web.Application()
    app.router.add_post("/{rest:.*}", made.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


def a_channel(adapter: str, stand_in: StandIn, name: str = "sms", **settings: object) -> Channel:
    program = a_program(adapter, name, "phone", settings)
    environment = {**ENVIRONMENT, f"NEXTBEAT_{adapter.upper()}_URL": stand_in.url}
    return build_channels({name: program}, None, environment)[name]


async def deliver(channel: Channel, content: dict[str, str] | None = None) -> str:
    await channel.start()
    try:
        return await channel.deliver(a_send(content))
    finally:
        await channel.close()


@pytest.mark.parametrize(
    ("adapter", "path", "taken"),
    [
        ("twilio", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json", {"sid": "the id"}),
        ("vonage", "/v1/messages", {"message_uuid": "the id"}),
        ("messagebird", "/messages", {"id": "the id"}),
        (
            "africastalking",
            "/version1/messaging",
            {"SMSMessageData": {"Recipients": [{"statusCode": 101, "messageId": "the id"}]}},
        ),
    ],
)
async def test_a_message_leaves_and_has_the_providers_id(
    adapter: str, path: str, taken: object, stand_in: StandIn
) -> None:
    stand_in.status, stand_in.body = 201, taken
    assert await deliver(a_channel(adapter, stand_in), {"body": "Olá ✓"}) == "the id"
    [(method, called, headers, body)] = stand_in.requests
    assert (method, called, headers["User-Agent"]) == ("POST", path, "Nextbeat")
    is_json = headers["Content-Type"].startswith("application/json")
    told: dict[str, Any] = msgspec.json.decode(body) if is_json else dict(parse_qsl(body.decode()))
    assert "Olá ✓" in told.values()


@pytest.mark.parametrize(
    ("adapter", "status", "refused", "failure"),
    [
        ("twilio", 400, {"code": 21610, "status": 400}, Failure.CONSENT),
        ("vonage", 422, {"type": "https://x.example/#1300"}, Failure.NOT_THERE),
        (
            "messagebird",
            422,
            {"errors": [{"code": 9, "parameter": "recipients"}]},
            Failure.ADDRESS_DEAD,
        ),
        (
            "africastalking",
            201,
            {"SMSMessageData": {"Recipients": [{"statusCode": 406, "messageId": "None"}]}},
            Failure.CONSENT,
        ),
    ],
)
async def test_a_refusal_says_what_it_asks_for(
    adapter: str, status: int, refused: object, failure: Failure, stand_in: StandIn
) -> None:
    stand_in.status, stand_in.body = status, refused
    with pytest.raises(Permanent) as caught:
        await deliver(a_channel(adapter, stand_in))
    assert caught.value.failure is failure


@pytest.mark.parametrize("adapter", PROVIDERS)
async def test_a_provider_that_is_busy_says_when_to_come_again(
    adapter: str, stand_in: StandIn
) -> None:
    stand_in.status, stand_in.body, stand_in.headers = 429, b"slow down", {"Retry-After": "3"}
    with pytest.raises(Temporary) as caught:
        await deliver(a_channel(adapter, stand_in))
    told = (caught.value.failure, caught.value.retry_after_ms, caught.value.maybe_taken)
    assert told == (Failure.RATE, 3_000, False)


@pytest.mark.parametrize("adapter", PROVIDERS)
async def test_what_breaks_off_or_makes_no_sense_may_have_been_taken(
    adapter: str, stand_in: StandIn
) -> None:
    channel = a_channel(adapter, stand_in)
    for stand_in.hangs_up in (False, True):
        stand_in.status, stand_in.body = 200, b"<html>"
        with pytest.raises(Temporary) as caught:
            await deliver(channel)
        assert caught.value.maybe_taken


class Rerouted(TwilioHttpClient):  # type: ignore[misc]
    """The SDK's own client, which only its host is changed of."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        moved = url.replace("https://api.twilio.com", self.url)
        reply: Any = super().request(method, moved, *args, **kwargs)
        return reply


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("sms", {"to": "+15558675310", "from_": "+15557122661", "body": "Olá & ✓"}),
        (
            "whatsapp",
            {
                "to": "whatsapp:+15558675310",
                "from_": "whatsapp:+15557122661",
                "body": "Olá & ✓",
            },
        ),
    ],
)
async def test_twilio_gets_on_the_wire_what_its_sdk_sends(
    name: str, theirs: dict[str, str], stand_in: StandIn
) -> None:
    stand_in.status, stand_in.body = 201, {"sid": "SM1", "status": "queued"}
    client: Any = Client(ACCOUNT, "token", http_client=Rerouted(stand_in.url))
    callback = f"https://cb.example/v1/receipts/twilio?m={a_send().message_id}"
    await asyncio.to_thread(client.messages.create, status_callback=callback, **theirs)
    await deliver(a_channel("twilio", stand_in, name), {"body": "Olá & ✓"})
    sdk, ours = stand_in.requests
    for sent in (sdk, ours):
        assert sent[2]["Authorization"].startswith("Basic ")
    assert ours[:2] == sdk[:2]
    assert ours[2]["Authorization"] == sdk[2]["Authorization"]
    assert parse_qs(ours[3].decode()) == parse_qs(sdk[3].decode())


@pytest.mark.parametrize(
    ("adapter", "name", "settings", "words"),
    [
        ("twilio", "texts", {}, "kind"),
        ("twilio", "voice", {"from": "", "messaging_service": "MG1"}, "NEXTBEAT_TWILIO_FROM"),
        ("twilio", "sms", {"auth_token": "in the clear"}, "NEXTBEAT_TWILIO_AUTH_TOKEN"),
        ("vonage", "voice", {}, "kind"),
        ("vonage", "calls", {"kind": "voice"}, "does not carry voice"),
        ("vonage", "whatsapp", {"api": "sms"}, "api: messages"),
        ("africastalking", "sms", {"url": "ftp://x"}, "https://"),
    ],
)
def test_a_channel_that_cant_work_is_told_of_before_anything_leaves(
    adapter: str, name: str, settings: dict[str, object], words: str
) -> None:
    with pytest.raises(ProgramError, match=words):
        a_channel(adapter, StandIn(), name, **settings)
