"""E-mail through a real SMTP server on this machine: what arrives, and what refusals mean."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast

import msgspec
import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from actors.ports import Permanent, Temporary
from adapters.channels.smtp import SmtpChannel, SmtpSettings, Tls
from adapters.signing import Signer, Unsubscribe
from engine.effects import Send
from engine.events import Failure

SIGNER = Signer("a secret of many characters")
PUBLIC_URL = "https://nextbeat.example.com"

SEND = Send(
    message_id="m_0123456789abcdef01234567",
    decision_id="d_1",
    customer="u1",
    channel="email",
    address="zoe@example.com",
    message="cart_reminder",
    message_type="promotional",
    purpose="marketing",
    journey="cart recovery",
    step="first",
    content={"subject": "Your cart is waiting", "body": "Hello Zoë,\n\nyour cart waits.\n.\nBye"},
    decided_at=1_772_428_320_000,
    expires_at=None,
)


class Post:
    """A mail server's handler: keeps what it takes, answers as it is told."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.sessions: list[Session] = []
        self.replies: dict[str, list[str]] = {"mail": [], "rcpt": [], "data": []}
        self.hold: asyncio.Event | None = None

    async def handle_MAIL(  # noqa: N802 - the server's names
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.sessions.append(session)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.replies["mail"].pop(0) if self.replies["mail"] else "250 OK"

    async def handle_RCPT(  # noqa: N802 - the server's names
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = self.replies["rcpt"].pop(0) if self.replies["rcpt"] else "250 OK"
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(  # noqa: N802 - the server's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        reply = self.replies["data"].pop(0) if self.replies["data"] else "250 2.0.0 queued as 4F2"
        if reply == "hang up":
            hang_up(server)
            return "250 too late"
        if self.hold is not None:
            await self.hold.wait()
        if reply.startswith("250"):
            self.envelopes.append(envelope)
        return reply

    def letter(self) -> EmailMessage:
        [envelope] = self.envelopes
        return parse(cast("bytes", envelope.content))

    def connections(self) -> int:
        return len({id(session) for session in self.sessions})


def parse(raw: bytes) -> EmailMessage:
    return message_from_bytes(raw, policy=policy.default)


def hang_up(server: SMTP) -> None:
    if isinstance(server.transport, asyncio.WriteTransport):
        server.transport.abort()


class Server:
    """A running mail server and the channel that speaks to it."""

    def __init__(self, post: Post, port: int, servers: list[SMTP]) -> None:
        self.post = post
        self.port = port
        self._servers = servers

    def settings(self, **changes: object) -> SmtpSettings:
        settings = SmtpSettings(
            host="127.0.0.1",
            port=self.port,
            from_address="shop@example.org",
            from_name="The Shop",
            reply_to="care@example.org",
            unsubscribe_url=PUBLIC_URL,
            timeout_s=5,
        )
        return msgspec.structs.replace(settings, **changes)

    def channel(self, **changes: object) -> SmtpChannel:
        return SmtpChannel("email", self.settings(**changes), SIGNER)

    def drop_connections(self) -> None:
        for server in self._servers:
            hang_up(server)


Serve = Callable[..., Awaitable[Server]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    listening: list[asyncio.Server] = []
    servers: list[SMTP] = []

    async def start(**options: object) -> Server:
        post = Post()

        def factory() -> SMTP:
            server = SMTP(post, hostname="mail.example.org", **options)  # type: ignore[arg-type]
            servers.append(server)
            return server

        server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
        listening.append(server)
        return Server(post, server.sockets[0].getsockname()[1], servers)

    yield start
    for server in listening:
        server.close()
    for smtp in servers:
        hang_up(smtp)
    for _ in range(20):
        await asyncio.sleep(0)


async def deliver(channel: SmtpChannel, send: Send = SEND) -> str:
    await channel.start()
    try:
        return await channel.deliver(send)
    finally:
        await channel.close()


async def test_a_mail_arrives_as_it_was_written(serve: Serve) -> None:
    server = await serve()
    message_id = await deliver(server.channel())
    letter = server.post.letter()
    assert server.post.envelopes[0].mail_from == "shop@example.org"
    assert server.post.envelopes[0].rcpt_tos == ["zoe@example.com"]
    assert letter["From"] == "The Shop <shop@example.org>"
    assert letter["To"] == "zoe@example.com"
    assert letter["Subject"] == "Your cart is waiting"
    assert letter["Reply-To"] == "care@example.org"
    assert letter["Message-ID"] == message_id == "<m_0123456789abcdef01234567@example.org>"
    assert letter["Date"] == "Mon, 02 Mar 2026 05:12:00 -0000"
    assert letter["Feedback-ID"] == "cart-recovery:cart_reminder:promotional:example.org"
    assert letter.get_content_type() == "text/plain"
    assert letter.get_content().splitlines() == ["Hello Zoë,", "", "your cart waits.", ".", "Bye"]


async def test_marketing_carries_one_click_unsubscribe_and_service_does_not(serve: Serve) -> None:
    server = await serve()
    await deliver(server.channel())
    letter = server.post.letter()
    assert letter["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = letter["List-Unsubscribe"].removeprefix("<").removesuffix(">")
    start, _, token = link.rpartition("/")
    assert start == f"{PUBLIC_URL}/v1/unsubscribe"
    assert SIGNER.read_unsubscribe(token) == Unsubscribe("u1", "marketing", "email")
    server.post.envelopes.clear()
    await deliver(server.channel(), msgspec.structs.replace(SEND, purpose="service"))
    assert server.post.letter()["List-Unsubscribe"] is None


async def test_marketing_never_leaves_without_a_way_out(serve: Serve) -> None:
    server = await serve()
    channel = SmtpChannel("email", server.settings(unsubscribe="none"), None)
    with pytest.raises(Permanent, match="NEXTBEAT_SECRET") as caught:
        await deliver(channel)
    assert caught.value.code == "no_unsubscribe"
    assert server.post.envelopes == []


async def test_a_name_that_looks_like_a_tag_does_not_make_a_plain_mail_html(serve: Serve) -> None:
    server = await serve()
    content = {"subject": "Cart", "body": "Hi <b>Ana, your cart waits."}
    await deliver(server.channel(), msgspec.structs.replace(SEND, content=content))
    assert server.post.letter().get_content_type() == "text/plain"


async def test_html_goes_with_a_text_that_says_the_same(serve: Serve) -> None:
    server = await serve()
    html = (
        "<html><head><title>x</title><style>p{color:red}</style></head><body><h1>Hi Zoë</h1>"
        "<p>Your <b>cart</b> waits.<br>See <a href='https://shop.example/c?a=1&amp;b=2'>it</a></p>"
        "<ul><li>Shoes</li><li>Socks &amp; more</li></ul></body></html>"
    )
    content = {"subject": "Cart", "body": html, "body_format": "html"}
    await deliver(server.channel(), msgspec.structs.replace(SEND, content=content))
    letter = server.post.letter()
    assert letter.get_content_type() == "multipart/alternative"
    text, rich = cast("list[EmailMessage]", list(letter.iter_parts()))
    assert text.get_content_type() == "text/plain"
    assert rich.get_content_type() == "text/html"
    assert rich.get_content().strip() == html
    lines = [line for line in text.get_content().splitlines() if line]
    assert lines == [
        "Hi Zoë",
        "Your cart waits.",
        "See it (https://shop.example/c?a=1&b=2)",
        "- Shoes",
        "- Socks & more",
    ]


@pytest.mark.parametrize(
    "subject",
    [
        "Zoë, jou mandjie wag",
        "買い物かごがお待ちしています" * 8,
        "x" * 300,
        "many words " * 30,
        "=?utf-8?q?looks_encoded?=",
        "🎉" * 60,
        "",
    ],
)
async def test_any_subject_arrives_as_it_is(serve: Serve, subject: str) -> None:
    server = await serve()
    content = {"subject": subject, "body": "x"}
    await deliver(server.channel(), msgspec.structs.replace(SEND, content=content))
    raw = cast("bytes", server.post.envelopes[0].content)
    lines = [line for line in raw.split(b"\r\n") if not line.startswith(b"List-Unsubscribe:")]
    assert max(map(len, lines)) <= 78
    assert (server.post.letter()["Subject"] or "") == subject.strip()


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\x00", "\u2028", "\x85", "\x0b", "\x0c"])
async def test_no_text_can_start_a_header_of_its_own(serve: Serve, end: str) -> None:
    server = await serve()
    hostile = f"Hi{end}Bcc: evil@example.net{end}{end}<script>"
    send = msgspec.structs.replace(
        SEND,
        content={"subject": hostile, "body": hostile},
        journey=hostile,
        message=hostile,
        message_type=hostile,
        message_id=f"m{end}Bcc: evil@example.net",
        customer=hostile,
    )
    await deliver(server.channel(from_name=hostile), send)
    letter = server.post.letter()
    assert letter["Bcc"] is None
    assert server.post.envelopes[0].rcpt_tos == ["zoe@example.com"]
    assert len(letter.keys()) == len(set(letter.keys())) == 12


@pytest.mark.parametrize(
    "address",
    [
        "",
        "zoe",
        "@example.com",
        "zoe@",
        "zoe@example.com, evil@example.net",
        "zoe@example.com\r\nRCPT TO:<evil@example.net>",
        "zoe@example.com\n",
        "<zoe@example.com>",
        "Zoe <zoe@example.com>",
        'zoe"x"@example.com',
        "zoe @example.com",
        "zoe@exa mple.com",
        "zoe@example..com",
        ".zoe@example.com",
        "zoe.@example.com",
        "z..oe@example.com",
        "zoe@-example.com",
        "zoe@example.com>",
        "zoe\x00@example.com",
        "zoe\u2028@example.com",
        f"{'z' * 65}@example.com",
        f"zoe@{'e' * 64}.com",
        f"zoe@{'example.' * 40}com",
        "zoe\ud800@example.com",
    ],
)
async def test_what_is_not_one_address_is_refused_for_good(serve: Serve, address: str) -> None:
    server = await serve()
    with pytest.raises(Permanent) as caught:
        await deliver(server.channel(), msgspec.structs.replace(SEND, address=address))
    assert caught.value.code == "bad_address"
    assert server.post.sessions == []


async def test_an_international_domain_travels_in_ascii(serve: Serve) -> None:
    server = await serve()
    await deliver(server.channel(), msgspec.structs.replace(SEND, address="zoe@straße.example"))
    assert server.post.envelopes[0].rcpt_tos == ["zoe@xn--strae-oqa.example"]


async def test_an_international_name_needs_a_server_that_takes_it(serve: Serve) -> None:
    send = msgspec.structs.replace(SEND, address="zoë@example.com")
    old = await serve(enable_SMTPUTF8=False)
    with pytest.raises(Permanent) as caught:
        await deliver(old.channel(), send)
    assert (caught.value.code, caught.value.failure) == ("553 5.6.7", Failure.NOT_THERE)
    new = await serve(enable_SMTPUTF8=True)
    await deliver(new.channel(), send)
    [envelope] = new.post.envelopes
    assert envelope.rcpt_tos == ["zoë@example.com"]
    assert "SMTPUTF8" in envelope.mail_options
    assert b"To: zo\xc3\xab@example.com\r\n" in cast("bytes", envelope.content)


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data"])
@pytest.mark.parametrize(
    ("reply", "code", "failure"),
    [
        ("550 5.1.1 no such user", "550 5.1.1", Failure.ADDRESS_DEAD),
        ("552 5.3.4 zoe@example.com gets nothing that big", "552 5.3.4", Failure.CONTENT),
        ("452 4.2.2 zoe@example.com is full", "452 4.2.2", Failure.UNREACHABLE),
    ],
)
async def test_a_definitive_reply_carries_its_code_and_what_it_asks_for(
    serve: Serve, stage: str, reply: str, code: str, failure: Failure
) -> None:
    server = await serve()
    server.post.replies[stage] = [reply]
    with pytest.raises(Permanent) as caught:
        await deliver(server.channel())
    assert (caught.value.code, caught.value.failure) == (code, failure)
    assert "zoe@example.com" not in str(caught.value)


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data"])
@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        ("451 4.7.1 greylisted", Failure.RATE),
        ("421 4.7.28 slow down", Failure.RATE),
        ("450 4.1.1 not now", Failure.TRANSIENT),
        ("421 going down", Failure.TRANSIENT),
        ("550 5.7.26 this mail is not signed", Failure.CONFIG),
    ],
)
async def test_a_passing_reply_is_for_later_and_was_not_taken(
    serve: Serve, stage: str, reply: str, failure: Failure
) -> None:
    server = await serve()
    server.post.replies[stage] = [reply]
    with pytest.raises(Temporary) as caught:
        await deliver(server.channel())
    assert not caught.value.maybe_taken
    assert caught.value.failure is failure
    assert reply.startswith(caught.value.code)


async def test_a_connection_that_breaks_after_the_content_leaves_doubt(serve: Serve) -> None:
    server = await serve()
    server.post.replies["data"] = ["hang up"]
    with pytest.raises(Temporary) as caught:
        await deliver(server.channel())
    assert caught.value.maybe_taken


async def test_a_server_that_is_silent_after_the_content_leaves_doubt(serve: Serve) -> None:
    server = await serve()
    server.post.hold = asyncio.Event()
    with pytest.raises(Temporary) as caught:
        await deliver(server.channel(timeout_s=0.2))
    assert caught.value.maybe_taken
    server.post.hold.set()


async def test_a_server_that_is_not_there_is_for_later() -> None:
    settings = SmtpSettings(
        host="127.0.0.1", port=1, from_address="a@example.org", unsubscribe_url=PUBLIC_URL
    )
    with pytest.raises(Temporary) as caught:
        await deliver(SmtpChannel("email", settings, SIGNER))
    assert not caught.value.maybe_taken


async def test_one_connection_carries_many_mails_after_refusals_too(serve: Serve) -> None:
    server = await serve()
    channel = server.channel(connections=1)
    server.post.replies["rcpt"] = ["250 OK", "550 5.1.1 no such user"]
    await channel.deliver(SEND)
    with pytest.raises(Permanent):
        await channel.deliver(SEND)
    await channel.deliver(SEND)
    await channel.close()
    assert len(server.post.envelopes) == 2
    assert server.post.connections() == 1


async def test_connections_are_as_many_as_allowed_and_no_more(serve: Serve) -> None:
    server = await serve()
    channel = server.channel(connections=3)
    await asyncio.gather(*(channel.deliver(SEND) for _ in range(20)))
    await channel.close()
    assert len(server.post.envelopes) == 20
    assert server.post.connections() <= 3


async def test_a_connection_that_went_stale_is_replaced_without_a_failure(serve: Serve) -> None:
    server = await serve()
    channel = server.channel(connections=1)
    await channel.deliver(SEND)
    server.drop_connections()
    await channel.deliver(SEND)
    server.post.replies["mail"] = ["421 idle for too long"]
    await channel.deliver(SEND)
    await channel.close()
    assert len(server.post.envelopes) == 3


async def test_a_call_that_is_cut_off_gives_its_connection_up(serve: Serve) -> None:
    server = await serve()
    server.post.hold = asyncio.Event()
    channel = server.channel(connections=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await channel.deliver(SEND)
    server.post.hold.set()
    server.post.hold = None
    await channel.deliver(SEND)
    await channel.close()
    assert server.post.connections() == 2


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_a_refused_login_is_ours_to_mend_and_fails_no_message(serve: Serve) -> None:
    def judge(
        server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        return AuthResult(success=data.password == b"right", handled=False)

    server = await serve(authenticator=judge, auth_require_tls=False, auth_required=True)
    with pytest.raises(Temporary, match="login"):
        await deliver(server.channel(username="shop", password="wrong"))
    with pytest.raises(Temporary, match="530") as caught:
        await deliver(server.channel())
    assert caught.value.failure is Failure.CONFIG
    assert caught.value.retry_after_ms
    await deliver(server.channel(username="shop", password="right"))
    assert len(server.post.envelopes) == 1


@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.IMPLICIT])
async def test_a_protection_that_is_not_there_is_not_done_without(serve: Serve, tls: Tls) -> None:
    server = await serve()
    with pytest.raises(Temporary):
        await deliver(server.channel(tls=tls, timeout_s=0.5))
    assert server.post.envelopes == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"from": "not an address"}, "from"),
        ({"from": "zoë@example.com"}, "ASCII"),
        ({"reply_to": "a@b@c d"}, "reply_to"),
        ({"unsubscribe_url": ""}, "NEXTBEAT_PUBLIC_URL"),
        ({"unsubscribe": "maybe"}, "link or none"),
        ({"host": "mail.example.com", "tls": "none", "username": "u"}, "in the clear"),
        ({"connections": 0}, "connections"),
        ({"tls": "ssl3"}, "tls"),
        ({"sender": "x@example.com"}, "unknown field"),
    ],
)
def test_settings_that_can_not_work_are_refused(changes: dict[str, object], words: str) -> None:
    good = {"host": "localhost", "from": "a@example.com", "unsubscribe_url": PUBLIC_URL}
    msgspec.convert(good, SmtpSettings)
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(good | changes, SmtpSettings)


def test_protection_follows_from_port_and_place_where_it_is_not_said() -> None:
    settings = SmtpSettings(
        host="mail.example.com", from_address="a@example.com", unsubscribe_url=PUBLIC_URL
    )
    assert settings.protection == Tls.STARTTLS
    assert msgspec.structs.replace(settings, port=465).protection == Tls.IMPLICIT
    assert msgspec.structs.replace(settings, host="localhost").protection == Tls.NONE
