"""Webhooks to a real receiver on this machine, and all the addresses they must never reach."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from socket import AF_INET, AF_INET6, AddressFamily

import msgspec
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from standardwebhooks import Webhook, WebhookVerificationError

from actors.ports import Permanent, Temporary
from adapters.channels.egress import EgressError, PublicResolver, check_address, check_url
from adapters.channels.exchange import read_retry_after
from adapters.channels.webhook import WebhookChannel, WebhookSettings
from engine.effects import Send
from engine.events import Failure

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"
PRESENT = datetime(2026, 3, 2, 5, 12, tzinfo=UTC)

SEND = Send(
    message_id="m_0123456789abcdef01234567",
    decision_id="d_1",
    customer="u1",
    channel="webhook",
    address="",
    message="cart_reminder",
    message_type="promotional",
    purpose="marketing",
    journey="cart_recovery",
    step="first",
    content={"title": "Zoë ✓", "body": "Hello"},
    decided_at=1_772_428_320_000,
    expires_at=1_772_428_380_500,
)


class Receiver:
    """An endpoint that keeps what it gets and answers as it is told."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body = b""
        self.hold: asyncio.Event | None = None
        self.hangs_up = False

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((dict(request.headers), await request.read()))
        if self.hold is not None:
            await self.hold.wait()
        if self.hangs_up:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=self.status, headers=self.headers, body=self.body)

    async def pour(self, request: web.Request) -> web.StreamResponse:
        """Answer 200 and never end."""
        await self.take(request)
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65_536)
        except ConnectionResetError:
            self.headers["ended"] = "yes"
        return response

    def channel(self, path: str = "/hook", timeout_s: float = 5.0) -> WebhookChannel:
        url = f"http://127.0.0.1:{self.port}{path}"
        return WebhookChannel(WebhookSettings(SECRET, url, timeout_s, allow_private=True))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/hook", made.take)
    app.router.add_post("/pour", made.pour)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


async def deliver(channel: WebhookChannel, send: Send = SEND) -> str:
    await channel.start()
    try:
        return await channel.deliver(send)
    finally:
        await channel.close()


async def test_a_receiver_can_verify_what_it_got(receiver: Receiver) -> None:
    assert await deliver(receiver.channel()) == SEND.message_id
    [(headers, body)] = receiver.requests
    assert Webhook(SECRET).verify(body, headers) == {
        "type": "message.send",
        "timestamp": "2026-03-02T05:12:00Z",
        "data": {
            "message_id": "m_0123456789abcdef01234567",
            "customer": "u1",
            "channel": "webhook",
            "address": "",
            "message": "cart_reminder",
            "message_type": "promotional",
            "purpose": "marketing",
            "journey": "cart_recovery",
            "step": "first",
            "content": {"title": "Zoë ✓", "body": "Hello"},
            "expires_at": "2026-03-02T05:13:00.500Z",
        },
    }
    assert headers["webhook-id"] == SEND.message_id
    assert headers["Content-Type"] == "application/json"


async def test_a_changed_body_or_another_secret_does_not_verify(receiver: Receiver) -> None:
    await deliver(receiver.channel())
    [(headers, body)] = receiver.requests
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace(b"Hello", b"Hallo"), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 48).verify(body, headers)


async def test_a_repeated_attempt_has_the_same_id_and_body(receiver: Receiver) -> None:
    channel = receiver.channel()
    await deliver(channel)
    await deliver(channel)
    (first, body), (second, again) = receiver.requests
    assert first["webhook-id"] == second["webhook-id"]
    assert body == again


@pytest.mark.parametrize(
    ("answer", "provider_id"),
    [
        (b'{"id": "r-77", "more": 1}', "r-77"),
        (b'{"id": 77}', SEND.message_id),
        (b'["id"]', SEND.message_id),
        (b"<html>", SEND.message_id),
        (b"\xff\xfe", SEND.message_id),
        (b'{"x": ' + b"[" * 60_000, SEND.message_id),
    ],
)
async def test_the_id_of_the_receiver_is_kept_where_it_gives_one(
    receiver: Receiver, answer: bytes, provider_id: str
) -> None:
    receiver.body = answer
    assert await deliver(receiver.channel()) == provider_id


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_any_2xx_means_taken(receiver: Receiver, status: int) -> None:
    receiver.status = status
    assert await deliver(receiver.channel())


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (408, Failure.TRANSIENT),
        (425, Failure.TRANSIENT),
        (429, Failure.RATE),
        *((status, Failure.TRANSIENT) for status in (500, 502, 503, 504, 599)),
        *((status, Failure.CONFIG) for status in (300, 301, 302, 307, 308, 401, 403, 404, 405)),
    ],
)
async def test_an_answer_about_the_moment_or_the_endpoint_is_for_later(
    receiver: Receiver, status: int, failure: Failure
) -> None:
    receiver.status = status
    receiver.headers = {"Location": f"http://127.0.0.1:{receiver.port}/hook"}
    with pytest.raises(Temporary) as caught:
        await deliver(receiver.channel())
    assert not caught.value.maybe_taken
    assert caught.value.retry_after_ms is None
    assert (caught.value.code, caught.value.failure) == (str(status), failure)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("status", "failure"),
    [(400, Failure.CONTENT), (413, Failure.CONTENT), (422, Failure.CONTENT), (410, Failure.CONFIG)],
)
async def test_an_answer_about_the_message_is_for_good(
    receiver: Receiver, status: int, failure: Failure
) -> None:
    receiver.status = status
    with pytest.raises(Permanent) as caught:
        await deliver(receiver.channel())
    assert (caught.value.code, caught.value.failure) == (str(status), failure)


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (410, Failure.ADDRESS_DEAD),
        (404, Failure.UNREACHABLE),
        (403, Failure.UNREACHABLE),
        (301, Failure.UNREACHABLE),
        (422, Failure.CONTENT),
    ],
)
async def test_what_a_customers_own_endpoint_answers_is_about_that_customer(
    receiver: Receiver, status: int, failure: Failure
) -> None:
    receiver.status = status
    send = msgspec.structs.replace(SEND, address=f"http://127.0.0.1:{receiver.port}/hook")
    channel = WebhookChannel(WebhookSettings(SECRET, allow_private=True))
    with pytest.raises(Permanent) as caught:
        await deliver(channel, send)
    assert (caught.value.code, caught.value.failure) == (str(status), failure)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_named_pause_is_passed_on(receiver: Receiver, status: int) -> None:
    receiver.status, receiver.headers = status, {"Retry-After": "17"}
    with pytest.raises(Temporary) as caught:
        await deliver(receiver.channel())
    assert caught.value.retry_after_ms == 17_000


@pytest.mark.parametrize(
    ("text", "pause_ms"),
    [
        (None, None),
        ("0", 0),
        (" 30 ", 30_000),
        ("9" * 1_000, 86_400_000),
        (format_datetime(PRESENT + timedelta(seconds=90), usegmt=True), 90_000),
        (format_datetime(PRESENT - timedelta(days=3), usegmt=True), 0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("²", None),
    ],
)
def test_a_pause_is_read_as_seconds_or_a_date(text: str | None, pause_ms: int | None) -> None:
    assert read_retry_after(text, PRESENT) == pause_ms


async def test_a_receiver_that_hangs_up_or_is_silent_leaves_doubt(receiver: Receiver) -> None:
    receiver.hangs_up = True
    with pytest.raises(Temporary) as caught:
        await deliver(receiver.channel())
    assert caught.value.maybe_taken
    receiver.hangs_up, receiver.hold = False, asyncio.Event()
    with pytest.raises(Temporary) as caught:
        await deliver(receiver.channel(timeout_s=0.1))
    assert caught.value.maybe_taken
    receiver.hold.set()


async def test_a_receiver_that_is_not_there_took_nothing() -> None:
    settings = WebhookSettings(SECRET, "http://127.0.0.1:1/", allow_private=True)
    with pytest.raises(Temporary) as caught:
        await deliver(WebhookChannel(settings))
    assert not caught.value.maybe_taken


async def test_an_answer_without_end_is_cut_and_the_message_counts_as_taken(
    receiver: Receiver,
) -> None:
    assert await deliver(receiver.channel("/pour")) == SEND.message_id


async def test_text_that_is_no_unicode_is_refused_for_good(receiver: Receiver) -> None:
    send = msgspec.structs.replace(SEND, content={"body": "\ud800"})
    with pytest.raises(Permanent) as caught:
        await deliver(receiver.channel(), send)
    assert (caught.value.code, caught.value.failure) == ("bad_content", Failure.CONTENT)


class StubResolver(AbstractResolver):
    """Answers with what the test says, a different answer for each time it is asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=AF_INET6 if ":" in address else AF_INET,
                proto=0,
                flags=0,
            )
            for address in addresses
        ]

    async def close(self) -> None: ...


NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:53aa:64c:0:0:80ff:fffe",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_a_name_that_leads_to_such_an_address_is_not_called(address: str) -> None:
    resolver = StubResolver([address])
    settings = WebhookSettings(SECRET, "https://hooks.example.com/in")
    with pytest.raises(Permanent) as caught:
        await deliver(WebhookChannel(settings, resolver=resolver))
    assert (caught.value.code, caught.value.failure) == ("address_refused", Failure.CONFIG)
    assert resolver.asked == ["hooks.example.com"]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_such_an_address_is_refused_where_it_is_written_out(address: str) -> None:
    host = f"[{address.replace('%', '%25')}]" if ":" in address else address
    with pytest.raises(EgressError):
        check_url(f"https://{host}/hook")
    with pytest.raises(EgressError):
        check_address(address)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.1/",
        "https://127.0.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://017700000001/",
        "https://127.0.0.1./",
        "https://%31%32%37.0.0.1/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://①②⑦.0.0.1/",
        "https://127。0。0。1/",
        "https://[::ffff:7f00:1]/",
        "https://[0:0:0:0:0:ffff:127.0.0.1]/",
        "https://user@example.com/",
        "https://user:secret@example.com/",
        "https://example.com@127.0.0.1/",
        "https://127.0.0.1#@example.com/",
        "https://127.0.0.1\\@example.com/",
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "//example.com/",
        "example.com",
        "",
        "https://",
        "https:///hook",
        "https://example.com:22/",
        "https://example.com:80/",
        "https://example.com:99999/",
        "https://example.com:x/",
        "https://[::1/",
    ],
)
async def test_an_address_that_hides_what_it_is_is_refused(url: str) -> None:
    with pytest.raises(EgressError):
        check_url(url)
    channel = WebhookChannel(WebhookSettings(SECRET), resolver=StubResolver(["127.0.0.1"]))
    with pytest.raises(Permanent) as caught:
        await deliver(channel, msgspec.structs.replace(SEND, address=url))
    assert (caught.value.code, caught.value.failure) == ("address_refused", Failure.ADDRESS_DEAD)


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/in?x=1",
        "https://hooks.example.com:8443/",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]/",
        "https://3com.example/",
    ],
)
def test_a_public_address_passes(url: str) -> None:
    assert str(check_url(url)) == url


async def test_one_address_that_is_not_public_refuses_the_whole_name() -> None:
    resolver = PublicResolver(StubResolver(["8.8.8.8", "10.0.0.1"]))
    with pytest.raises(EgressError):
        await resolver.resolve("hooks.example.com", 443)
    fine = PublicResolver(StubResolver(["8.8.8.8", "2606:4700:4700::1111"]))
    assert len(await fine.resolve("hooks.example.com", 443)) == 2


async def test_a_name_is_resolved_once_for_each_connection() -> None:
    # A name that turns private after the check: there is no second look that could see it.
    resolver = StubResolver(["10.0.0.1"], ["8.8.8.8"])
    settings = WebhookSettings(SECRET, "https://hooks.example.com/in")
    with pytest.raises(Permanent):
        await deliver(WebhookChannel(settings, resolver=resolver))
    assert resolver.asked == ["hooks.example.com"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"secret": ""}, "whsec_"),
        ({"secret": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, "whsec_"),
        ({"secret": "whsec_not base64!"}, "whsec_"),
        ({"secret": "whsec_c2hvcnQ="}, "24"),
        ({"url": "http://example.com/"}, "https"),
        ({"url": "https://10.0.0.1/"}, "public"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": 600}, "timeout_s"),
        ({"uri": "https://example.com/"}, "unknown field"),
    ],
)
def test_settings_that_can_not_work_are_refused(changes: dict[str, object], words: str) -> None:
    good: dict[str, object] = {"secret": SECRET, "url": "https://example.com/"}
    msgspec.convert(good, WebhookSettings)
    with pytest.raises(msgspec.ValidationError, match=words) as caught:
        msgspec.convert(good | changes, WebhookSettings)
    assert "not base64!" not in str(caught.value)
