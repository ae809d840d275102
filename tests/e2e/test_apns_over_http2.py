"""Push to Apple over real HTTP/2, with a library in use beside us on the same server."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest
from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsProductionClientProtocol
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import StreamEnded

from actors.ports import Permanent, Temporary
from adapters.channels.apns import ApnsProvider, ApnsSettings
from adapters.channels.http2 import Http2Wire
from adapters.channels.provider import HttpChannel
from adapters.sandbox.http2 import Http2Request, Http2Response, Http2Server
from engine.effects import Send
from engine.events import Failure
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


async def test_a_message_that_apple_takes_too_long_for_is_in_doubt(apple: Apple) -> None:
    channel = apple.channel()
    apple.held = asyncio.Barrier(2)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await channel.deliver(push("tok1"))
    apple.held = None
    assert await channel.deliver(push("tok2"))
    await channel.close()
