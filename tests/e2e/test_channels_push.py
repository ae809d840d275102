"""Push, WhatsApp and paid media over real connections to servers on this machine."""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from standardwebhooks import Webhook

from actors.ports import Channel, Permanent, Temporary
from adapters.channels.registry import build_channels
from adapters.channels.vendors import load
from engine.events import Failure
from tests.channels import a_program
from tests.pushes import a_push

KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class Providers:
    """Servers over HTTP/1.1 that keep what they get and answer as they are told."""

    def __init__(self) -> None:
        self.port = 0
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: dict[str, tuple[int, object, dict[str, str]]] = {}  # by path
        self.tokens = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.append((request.path, headers, await request.read()))
        status, body, named = self.answers.get(request.path, (200, {}, {}))
        return web.json_response(body, status=status, headers=named)

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        self.tokens += 1
        return web.json_response({"access_token": f"ya29.{self.tokens}", "expires_in": 3599})

    def channel(self, adapter: str, environment: dict[str, str], **settings: object) -> Channel:
        """Make a channel as a workspace asks for it."""
        asked = a_program(adapter, adapter, "", settings)
        return build_channels({adapter: asked}, None, environment)[adapter]


@pytest.fixture
async def providers() -> AsyncIterator[Providers]:
    made = Providers()
    app = web.Application()
    app.router.add_post("/oauth/token", made.token)
    app.router.add_post("/{rest:.*}", made.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


async def test_whatsapp_takes_a_message_and_refuses_another(providers: Providers) -> None:
    path = "/v26.0/106540352242922/messages"
    providers.answers[path] = (200, {"messages": [{"id": "wamid.1"}]}, {})
    channel = providers.channel(
        "whatsapp_cloud",
        {
            "NEXTBEAT_WHATSAPP_TOKEN": "EAAG",
            "NEXTBEAT_WHATSAPP_PHONE_ID": "106540352242922",
            "NEXTBEAT_WHATSAPP_URL": providers.url,
        },
    )
    await channel.start()
    assert await channel.deliver(a_push("+351912345678", body="Olá ✓")) == "wamid.1"
    [(_, headers, body)] = providers.got
    assert headers["authorization"] == "Bearer EAAG"
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["text"]["body"] == "Olá ✓"
    error = {"message": "(#131047) Re-engagement message", "code": 131047}
    providers.answers[path] = (400, {"error": error}, {})
    with pytest.raises(Permanent) as caught:
        await channel.deliver(a_push("+351912345678", body="x"))
    assert (caught.value.failure, caught.value.code) == (Failure.WINDOW, "131047")
    await channel.close()


async def test_firebase_takes_many_messages_with_one_token_and_gets_another(
    providers: Providers,
) -> None:
    path = "/v1/projects/p1/messages:send"
    name = "projects/p1/messages/1"
    key = rsa.generate_private_key(65537, 2048)
    account = {
        "type": "service_account",
        "project_id": "p1",
        "private_key": key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ).decode(),
        "client_email": "n@p1.iam.gserviceaccount.com",
        "token_uri": f"{providers.url}/oauth/token",
    }
    channel = providers.channel(
        "fcm",
        {"NEXTBEAT_FCM_CREDENTIALS": json.dumps(account), "NEXTBEAT_FCM_URL": providers.url},
    )
    await channel.start()
    providers.answers[path] = (200, {"name": name}, {})
    sent = [channel.deliver(a_push("dEvIcE", title="T")) for _ in range(20)]
    assert set(await asyncio.gather(*sent)) == {name}
    assert providers.tokens == 1
    assert {headers["authorization"] for _, headers, _ in providers.got} == {"Bearer ya29.1"}
    error = {"code": 401, "message": "Invalid credentials", "status": "UNAUTHENTICATED"}
    providers.answers[path] = (401, {"error": error}, {})
    with pytest.raises(Temporary) as caught:
        await channel.deliver(a_push("dEvIcE", title="T"))
    assert caught.value.failure == Failure.CONFIG
    providers.answers[path] = (200, {"name": name}, {})
    await channel.deliver(a_push("dEvIcE", title="T"))
    assert providers.got[-1][1]["authorization"] == "Bearer ya29.2"
    await channel.close()


def encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def subscribed(endpoint: str, browser: ec.EllipticCurvePrivateKey) -> str:
    point = browser.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    keys = {"p256dh": encoded(point), "auth": encoded(b"0123456789abcdef")}
    return json.dumps({"endpoint": endpoint, "keys": keys})


async def test_a_browser_reads_what_its_push_service_was_given(providers: Providers) -> None:
    browser = ec.generate_private_key(ec.SECP256R1())
    environment = {
        "NEXTBEAT_WEBPUSH_PRIVATE_KEY": PEM,
        "NEXTBEAT_WEBPUSH_SUBJECT": "mailto:ops@example.com",
    }
    providers.answers["/push/abc"] = (201, {}, {"Location": "https://push.example/m/1"})
    providers.answers["/push/gone"] = (410, {}, {})
    channel = providers.channel("webpush", environment, allow_private=True)
    await channel.start()
    send = a_push(subscribed(f"{providers.url}/push/abc", browser), title="Olá ✓")
    assert await channel.deliver(send) == "https://push.example/m/1"
    [(_, headers, body)] = providers.got
    assert headers["content-encoding"] == "aes128gcm"
    assert headers["authorization"].startswith("vapid t=ey")
    decrypt = load("http_ece").decrypt
    text = decrypt(body, private_key=browser, auth_secret=b"0123456789abcdef", version="aes128gcm")
    assert json.loads(text)["title"] == "Olá ✓"
    with pytest.raises(Permanent) as caught:
        await channel.deliver(a_push(subscribed(f"{providers.url}/push/gone", browser), title="T"))
    assert caught.value.failure == Failure.ADDRESS_DEAD
    await channel.close()


async def test_an_endpoint_that_is_not_public_is_never_called(providers: Providers) -> None:
    browser = ec.generate_private_key(ec.SECP256R1())
    environment = {
        "NEXTBEAT_WEBPUSH_PRIVATE_KEY": PEM,
        "NEXTBEAT_WEBPUSH_SUBJECT": "mailto:ops@example.com",
    }
    channel = providers.channel("webpush", environment)
    await channel.start()
    for endpoint in (
        f"{providers.url}/push/abc",
        f"https://127.0.0.1:{providers.port}/push/abc",
        "https://127.0.0.1/push/abc",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:10.0.0.1]/",
        "https://0x7f.1/",
        "https://user@push.example/",
    ):
        with pytest.raises(Permanent) as caught:
            await channel.deliver(a_push(subscribed(endpoint, browser), title="T"))
        assert caught.value.failure == Failure.ADDRESS_DEAD
    assert providers.got == []
    await channel.close()


async def test_an_audience_is_told_in_lots_that_can_be_verified(providers: Providers) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"
    environment = {
        "NEXTBEAT_AUDIENCE_URL": f"{providers.url}/audiences",
        "NEXTBEAT_AUDIENCE_SECRET": secret,
    }
    channel = providers.channel("audience", environment, rules="google", wait_s=0.01, rows=40)
    await channel.start()
    sends = [
        msgspec.structs.replace(
            a_push(f"u{number}@example.com", audience="buyers"), message_id=f"m_{number}"
        )
        for number in range(100)
    ]
    await asyncio.gather(*map(channel.deliver, sends))
    rows: list[dict[str, str]] = []
    for _, headers, body in providers.got:
        told = Webhook(secret).verify(body, headers)
        assert told["data"]["audience"] == "buyers"
        rows += told["data"]["rows"]
    assert [row["message_id"] for row in rows] == [send.message_id for send in sends]
    assert len(providers.got) == 3
    providers.answers["/audiences"] = (429, {}, {"Retry-After": "30"})
    with pytest.raises(Temporary) as caught:
        await channel.deliver(sends[0])
    assert (caught.value.failure, caught.value.retry_after_ms) == (Failure.RATE, 30_000)
    await channel.close()
