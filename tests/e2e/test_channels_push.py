"""Push, WhatsApp and paid media over real connections to servers on this machine."""

import asyncio
import json
import ssl
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest
from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsProductionClientProtocol
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import StreamEnded
from standardwebhooks import Webhook

from actors.ports import Channel, Permanent, Temporary
from adapters.channels.apns import ApnsProvider, ApnsSettings
from adapters.channels.http2 import Http2Wire
from adapters.channels.provider import HttpChannel
from adapters.channels.registry import build_channels
from adapters.channels.vendors import load
from adapters.sandbox.http2 import Http2Request, Http2Response, Http2Server
from engine.effects import Send
from engine.events import Failure
from engine.program.program import Channel as ChannelProgram
from tests.pushes import a_push

KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


REFUSED = {"bad": (400, "BadDeviceToken"), "gone": (410, "Unregistered")}


class Apple:
    """Takes notifications, and answers by the device's token."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.server = Http2Server(self.take, tls)
        self.port = 0
        self.got: list[Http2Request] = []
        self.held: asyncio.Barrier | None = None

    async def take(self, request: Http2Request) -> Http2Response | None:
        self.got.append(request)
        if self.held is not None:
            await self.held.wait()
        token = request.path.rpartition("/")[2]
        if token == "away":  # this request is worked on, and the answer never comes
            self.server.dismiss()
            return None
        if token == "hangup":
            return None
        name = {"apns-id": request.headers["apns-id"]}
        status, reason = REFUSED.get(token, (200, ""))
        body = json.dumps({"reason": reason}).encode() if reason else b""
        return Http2Response(status, name, b" " * 200_000 if token == "long" else body)

    def channel(self, scheme: str = "http", tls: ssl.SSLContext | None = None) -> HttpChannel:
        url = f"{scheme}://127.0.0.1:{self.port}"
        settings = ApnsSettings(PEM, "KEYID12345", "TEAMID1234", "com.example.app", url)
        return HttpChannel(ApnsProvider(settings), Http2Wire(tls))


@pytest.fixture
async def apple() -> AsyncIterator[Apple]:
    made = Apple()
    made.port = await made.server.start()
    yield made
    await made.server.close()


def push(token: str, number: int = 0) -> Send:
    return msgspec.structs.replace(a_push(token, title="Hi", body="B"), message_id=f"m_{number}")


async def test_a_notification_arrives_over_http_2(apple: Apple) -> None:
    channel = apple.channel()
    name = await channel.deliver(push("tok1"))
    [request] = apple.got
    assert (request.method, request.path) == ("POST", "/3/device/tok1")
    assert request.headers["apns-id"] == name
    assert json.loads(request.body)["aps"] == {"alert": {"title": "Hi", "body": "B"}}
    unasked = {"accept", "accept-encoding", "user-agent", "connection"}
    assert not unasked & request.headers.keys()
    await channel.close()


async def test_many_notifications_share_a_connection(apple: Apple) -> None:
    channel = apple.channel()
    apple.held = asyncio.Barrier(80)  # none is answered before all are there
    names = await asyncio.gather(*(channel.deliver(push("tok1", n)) for n in range(80)))
    assert len(set(names)) == 80
    assert apple.server.connections == 1
    await channel.close()


@pytest.mark.parametrize("token", ["bad", "gone"])
async def test_a_device_that_is_gone_is_given_up(apple: Apple, token: str) -> None:
    channel = apple.channel()
    with pytest.raises(Permanent) as caught:
        await channel.deliver(push(token))
    assert caught.value.failure == Failure.ADDRESS_DEAD
    await channel.close()


async def test_apple_may_hang_up_or_send_us_away_and_we_come_back(apple: Apple) -> None:
    channel = apple.channel()
    with pytest.raises(Temporary) as caught:
        await channel.deliver(push("hangup"))
    assert caught.value.maybe_taken
    await channel.deliver(push("tok1"))
    apple.server.dismiss()
    await channel.deliver(push("tok2"))
    assert [request.path for request in apple.got[1:]] == ["/3/device/tok1", "/3/device/tok2"]
    await channel.close()


async def test_what_was_looked_at_when_the_connection_ended_is_in_doubt(apple: Apple) -> None:
    channel = apple.channel()
    with pytest.raises(Temporary) as caught:
        await channel.deliver(push("away", 1))
    assert caught.value.maybe_taken
    assert await channel.deliver(push("tok1", 2))
    await channel.close()


@pytest.mark.parametrize("way", ["goaway", "refused"])
async def test_what_the_server_says_it_did_not_look_at_is_asked_again(way: str) -> None:
    connections: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(way)
        machine = H2Connection(H2Configuration(client_side=False))
        machine.initiate_connection()
        refused = 0
        while data := await reader.read(65_536):
            for event in machine.receive_data(data):
                if not isinstance(event, StreamEnded):
                    continue
                if way == "refused" and refused < 1:
                    refused += 1
                    machine.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
                elif way == "goaway" and len(connections) == 1:
                    machine.close_connection(last_stream_id=0)
                else:
                    machine.send_headers(event.stream_id, [(":status", "200")], end_stream=True)
            writer.write(machine.data_to_send())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    apple = Apple()
    apple.port = server.sockets[0].getsockname()[1]
    channel = apple.channel()
    assert await channel.deliver(push("tok1")) == "m_0"
    assert len(connections) == (2 if way == "goaway" else 1)
    await channel.close()
    server.close()
    await server.wait_closed()


async def test_who_gives_up_waiting_takes_nothing_from_the_others(apple: Apple) -> None:
    channel = apple.channel()
    apple.held = asyncio.Barrier(3)
    sent = [asyncio.create_task(channel.deliver(push("tok1", n))) for n in range(2)]
    while len(apple.got) < 2:  # noqa: ASYNC110 - both are under way
        await asyncio.sleep(0)
    sent[0].cancel()
    third = asyncio.create_task(channel.deliver(push("tok1", 3)))
    fourth = asyncio.create_task(channel.deliver(push("tok1", 4)))
    told = await asyncio.gather(*sent, third, fourth, return_exceptions=True)
    assert isinstance(told[0], asyncio.CancelledError)
    assert all(isinstance(name, str) for name in told[1:])
    assert apple.server.connections == 1
    await channel.close()


async def test_more_bytes_than_there_is_room_for_wait_their_turn(apple: Apple) -> None:
    channel = apple.channel()
    body = "x" * 3_900
    sends = [msgspec.structs.replace(push("tok1", n), content={"body": body}) for n in range(100)]
    assert len(set(await asyncio.gather(*map(channel.deliver, sends)))) == 100
    assert {len(request.body) > 3_900 for request in apple.got} == {True}
    await channel.close()


async def test_an_answer_beyond_measure_is_cut(apple: Apple) -> None:
    channel = apple.channel()
    assert await channel.deliver(push("long"))
    await channel.close()


async def test_a_server_that_is_not_there_took_nothing() -> None:
    apple = Apple()
    apple.port = 1
    with pytest.raises(Temporary) as caught:
        await apple.channel().deliver(push("tok1"))
    assert not caught.value.maybe_taken


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make a certificate for this machine; gives what the server and its clients need."""
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(named)
        .issuer_name(named)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(KEY, SHA256())
    )
    path: Path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_text(PEM + certificate.public_bytes(Encoding.PEM).decode())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cafile=path)


async def test_it_is_the_same_over_tls_as_it_is_with_apple(
    papers: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server, client = papers
    apple = Apple(server)
    apple.port = await apple.server.start()
    channel = apple.channel("https", client)
    assert await channel.deliver(push("tok1"))
    await channel.close()
    unknown = apple.channel("https")
    with pytest.raises(Temporary) as caught:
        await unknown.deliver(push("tok1"))
    assert not caught.value.maybe_taken
    await unknown.close()
    await apple.server.close()


async def test_a_library_in_use_takes_the_server_for_apples_and_says_the_same_as_we(
    papers: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server, client = papers
    apple = Apple(server)
    apple.port = await apple.server.start()
    ours = apple.channel("https", client)
    await ours.deliver(push("tok1"))
    client.set_alpn_protocols(["h2"])
    theirs = APNs(
        key=PEM,
        key_id="KEYID12345",
        team_id="TEAMID1234",
        topic="com.example.app",
        ssl_context=client,
        err_func=_ignore,
    )
    here = {"APNS_SERVER": "127.0.0.1", "APNS_PORT": apple.port}  # in place of Apple's
    theirs.pool.protocol_class = type("Here", (APNsProductionClientProtocol,), here)
    answers = [
        await theirs.send_notification(
            NotificationRequest(
                token,
                {"aps": {"alert": {"title": "Hi", "body": "B"}}, "message_id": "m_0"},
                notification_id=apple.got[0].headers["apns-id"],
                priority=5,
                collapse_key="m_0",
                push_type=PushType.ALERT,
            )
        )
        for token in ("tok1", "bad", "gone")
    ]
    assert [(told.status, told.description) for told in answers] == [
        ("200", None),
        ("400", "BadDeviceToken"),
        ("410", "Unregistered"),
    ]
    mine, other = apple.got[0], apple.got[1]
    assert mine.path == other.path
    assert json.loads(mine.body) == json.loads(other.body)
    assert _comparable(mine) == _comparable(other)
    for connection in theirs.pool.connections:
        connection.close()
    await ours.close()
    await apple.server.close()


async def _ignore(request: object, told: object) -> None: ...


def _comparable(request: Http2Request) -> dict[str, str]:
    """Take out what differs by nature: signatures, ports, and what follows from the body."""
    headers = {name: value for name, value in request.headers.items() if name != "content-length"}
    return headers | {"host": "", "authorization": headers["authorization"].split(".")[0]}


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
        asked = ChannelProgram(
            name=adapter,
            adapter=adapter,
            identity="",
            window=None,
            session_only=False,
            caps=(),
            substitute="",
            supports=(),
            cost=0.0,
            settings=settings,
        )
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


async def test_a_message_that_apple_takes_too_long_for_is_in_doubt(apple: Apple) -> None:
    channel = apple.channel()
    apple.held = asyncio.Barrier(2)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await channel.deliver(push("tok1"))
    apple.held = None
    assert await channel.deliver(push("tok2"))
    await channel.close()
