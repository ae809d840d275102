"""In-app messages: stored by the channel, fetched, received live and answered over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast
from urllib.parse import unquote

import aiosqlite
import pytest
from aiohttp import ClientSession, WSCloseCode, WSMsgType, WSServerHandshakeError, web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from actors.runtime import Runtime
from adapters.channels.inbox import InboxChannel
from adapters.gateway import lines
from adapters.gateway.host import Host
from adapters.gateway.inbox import routes as inbox_routes
from adapters.gateway.settings import GatewaySettings, hash_keys
from adapters.gateway.unsubscribe import routes as unsubscribe_routes
from adapters.inbox import Inbox, InboxMessage
from adapters.signing import Signer
from engine.effects import Send
from engine.errors import OverloadError, StoreError
from engine.events import ConsentStatus, Event, EventKind, Input, Receipt, ReceiptStatus
from engine.limits import INBOX_KEEP_MAX, INBOX_SOCKETS_MAX
from engine.profile import Profile
from engine.program.compile import compile_source

NOW = 1_772_428_320_000
SIGNER = Signer("a secret of many characters")


class Clock:
    def __init__(self) -> None:
        self.present = NOW

    def now(self) -> int:
        return self.present


class Shard:
    """As much of a runtime as the routes see: takes inputs, or can't."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.inputs: list[Input] = []
        self.refuses: Exception | None = None
        self.fails: Exception | None = None
        self.unreadable: Exception | None = None
        self.profiles: dict[str, Profile] = {}
        self.program = compile_source({"workspace": "shop"})

    async def profile(self, customer: str) -> Profile | None:
        return self.profiles.get(customer)

    async def seek(self, given: str) -> Profile | None:
        if self.unreadable is not None:
            raise self.unreadable
        return Profile(given)

    def submit(self, inputs: Sequence[Input]) -> "asyncio.Future[None]":
        if self.refuses is not None:
            raise self.refuses
        done = asyncio.get_running_loop().create_future()
        if self.fails is None:
            self.inputs.extend(inputs)
            done.set_result(None)
        else:
            done.set_exception(self.fails)
        return done


Client = TestClient[web.Request, web.Application]


class World:
    def __init__(self, inbox: Inbox, shard: Shard, client: Client) -> None:
        self.inbox = inbox
        self.shard = shard
        self.client = client
        self.channel = InboxChannel(inbox)

    def own(self, customer: str = "u1") -> dict[str, str]:
        return {"Authorization": f"Bearer {SIGNER.inbox_token(customer)}"}

    async def freed(self) -> None:
        """Wait until the server has noticed that all sockets are gone."""
        async with asyncio.timeout(5):
            while self.inbox.listener_count("u1"):
                await self.numbers()

    async def numbers(self, query: str = "", customer: str = "u1") -> list[str]:
        headers = self.own(unquote(customer))
        answer = await self.client.get(
            URL(f"/v1/inbox/{customer}{query}", encoded=True), headers=headers
        )
        assert answer.status == 200
        return [message["message_id"] for message in (await answer.json())["messages"]]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    shard = Shard()
    inbox = Inbox(tmp_path / "inbox.db", shard.clock.now)
    settings = GatewaySettings(admin_keys=hash_keys("the admin"))
    host = Host.of(cast("Runtime", shard), settings)
    app = web.Application()
    lines.install(app)
    app.add_routes(inbox_routes(host, inbox, SIGNER))
    app.add_routes(unsubscribe_routes(host, SIGNER))
    async with TestClient(TestServer(app)) as client:
        await inbox.open()
        yield World(inbox, shard, client)
        await inbox.close()


def a_send(message_id: str, customer: str = "u1", expires_at: int | None = None) -> Send:
    return Send(
        message_id=message_id,
        decision_id="d_1",
        customer=customer,
        channel="in_app",
        address=customer,
        message="welcome",
        message_type="promotional",
        purpose="marketing",
        journey="onboarding",
        step="first",
        content={"title": "Zoë", "body": "Hello"},
        decided_at=NOW,
        expires_at=expires_at,
    )


async def test_a_delivered_message_is_there_to_fetch(world: World) -> None:
    await world.channel.deliver(a_send("m1", expires_at=NOW + 1_500))
    answer = await world.client.get("/v1/inbox/u1", headers=world.own())
    assert await answer.json() == {
        "messages": [
            {
                "number": 1,
                "message_id": "m1",
                "channel": "in_app",
                "at": "2026-03-02T05:12:00Z",
                "content": {"title": "Zoë", "body": "Hello"},
                "expires_at": "2026-03-02T05:12:01.500Z",
                "seen_at": None,
            }
        ],
        "next": 1,
        "unseen": {"in_app": 1},
    }
    assert answer.headers["Cache-Control"] == "no-store"


async def test_messages_come_in_pages_and_only_the_customers_own(world: World) -> None:
    for n in range(5):
        await world.channel.deliver(a_send(f"m{n}"))
        await world.channel.deliver(a_send(f"n{n}", "u2"))
    assert await world.numbers("?limit=2") == ["m0", "m1"]
    assert await world.numbers("?after=3&limit=2") == ["m2", "m3"]
    assert await world.numbers("?after=9") == []
    assert await world.numbers(customer="u3") == []


@pytest.mark.parametrize("query", ["?after=-1", "?after=x", "?limit=1.5", "?after=" + "9" * 30])
async def test_a_number_that_is_none_is_refused(world: World, query: str) -> None:
    answer = await world.client.get(f"/v1/inbox/u1{query}", headers=world.own())
    assert answer.status == 400
    assert (await answer.json())["code"] == "bad_number"


@pytest.mark.parametrize("path", ["/v1/inbox/u1", "/v1/inbox/u1/socket"])
async def test_nobody_reads_the_inbox_of_another(world: World, path: str) -> None:
    for headers in ({}, world.own("u2"), {"Authorization": "Bearer x\udcff"}):
        assert (await world.client.get(path, headers=headers)).status == 401
    assert (await world.client.get(f"{path}?token={SIGNER.inbox_token('u2')}")).status == 401


async def test_the_token_may_stand_in_the_query_and_administrators_may_look(world: World) -> None:
    token = SIGNER.inbox_token("u1")
    assert (await world.client.get(f"/v1/inbox/u1?token={token}")).status == 200
    headers = {"Authorization": "Bearer the admin"}
    assert (await world.client.get("/v1/inbox/u1", headers=headers)).status == 200


async def test_an_expired_message_is_gone(world: World) -> None:
    await world.channel.deliver(a_send("m1", expires_at=NOW + 1_000))
    world.shard.clock.present = NOW + 999
    assert await world.numbers() == ["m1"]
    world.shard.clock.present = NOW + 1_000
    assert await world.numbers() == []


@pytest.mark.parametrize(
    ("verb", "status", "code"),
    [
        ("opened", ReceiptStatus.OPENED, ""),
        ("clicked", ReceiptStatus.CLICKED, ""),
        ("dismissed", ReceiptStatus.DELIVERED, "dismissed"),
    ],
)
async def test_what_a_customer_does_becomes_a_receipt(
    world: World, verb: str, status: ReceiptStatus, code: str
) -> None:
    await world.channel.deliver(a_send("m1"))
    answer = await world.client.post(f"/v1/inbox/u1/m1/{verb}", headers=world.own())
    assert answer.status == 200
    [receipt] = world.shard.inputs
    assert receipt == Receipt(
        f"inbox:m1:{verb}", "u1", "m1", status, NOW, NOW, code=code, source="inbox"
    )
    assert await world.numbers() == ([] if verb == "dismissed" else ["m1"])
    assert [message.seen_at for message in await world.inbox.page(["u1"], 0, 10)] in ([], [NOW])


async def test_what_is_not_there_can_not_be_opened(world: World) -> None:
    await world.channel.deliver(a_send("m1"))
    for path in ("/v1/inbox/u1/m9/opened", "/v1/inbox/u2/m1/opened"):
        customer = path.split("/")[3]
        answer = await world.client.post(path, headers=world.own(customer))
        assert answer.status == 404
    answer = await world.client.post("/v1/inbox/u1/m1/eaten", headers=world.own())
    assert answer.status == 404
    assert world.shard.inputs == []


async def test_a_receipt_that_can_not_be_stored_is_answered_with_503(world: World) -> None:
    await world.channel.deliver(a_send("m1"))
    world.shard.refuses = OverloadError("busy")
    answer = await world.client.post("/v1/inbox/u1/m1/opened", headers=world.own())
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    world.shard.refuses, world.shard.fails = None, StoreError("disk full")
    answer = await world.client.post("/v1/inbox/u1/m1/opened", headers=world.own())
    assert answer.status == 503
    world.shard.fails = None
    answer = await world.client.post("/v1/inbox/u1/m1/opened", headers=world.own())
    assert answer.status == 200


async def test_a_socket_gets_what_is_there_and_then_what_comes(world: World) -> None:
    await world.channel.deliver(a_send("m1"))
    await world.channel.deliver(a_send("m2"))
    token = SIGNER.inbox_token("u1")
    async with world.client.ws_connect(f"/v1/inbox/u1/socket?after=1&token={token}") as socket:
        assert (await socket.receive_json(timeout=5))["message_id"] == "m2"
        await world.channel.deliver(a_send("other", "u2"))
        await world.channel.deliver(a_send("m3"))
        await world.channel.deliver(a_send("m3"))
        await world.channel.deliver(a_send("m4"))
        assert (await socket.receive_json(timeout=5))["message_id"] == "m3"
        assert (await socket.receive_json(timeout=5))["message_id"] == "m4"


async def test_a_customer_can_have_only_so_many_sockets_and_gets_them_back(world: World) -> None:
    url = f"/v1/inbox/u1/socket?token={SIGNER.inbox_token('u1')}"
    sockets = [await world.client.ws_connect(url) for _ in range(INBOX_SOCKETS_MAX)]
    with pytest.raises(WSServerHandshakeError) as refused:
        await world.client.ws_connect(url)
    assert refused.value.status == 429
    assert refused.value.headers is not None
    assert refused.value.headers["Retry-After"]
    for socket in sockets:
        await socket.close()
    await world.freed()
    async with world.client.ws_connect(url) as socket:
        await world.channel.deliver(a_send("m1"))
        assert (await socket.receive(timeout=5)).type == WSMsgType.TEXT


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 426, "websocket_only"),
        ({"Upgrade": "XSS-MARK-7", "Connection": "Upgrade"}, 426, "websocket_only"),
        (
            {
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Key": "XSS-MARK-7",
                "Sec-WebSocket-Version": "XSS-MARK-7",
            },
            400,
            "bad_handshake",
        ),
    ],
)
async def test_what_is_no_websocket_is_told_so_and_not_repeated(
    world: World, headers: dict[str, str], status: int, code: str
) -> None:
    answer = await world.client.get("/v1/inbox/u1/socket", headers=world.own() | headers)
    assert answer.status == status
    assert (await answer.json())["code"] == code
    assert "XSS-MARK-7" not in await answer.text()


async def test_a_server_that_stops_says_goodbye_on_open_sockets(world: World) -> None:
    url = f"/v1/inbox/u1/socket?token={SIGNER.inbox_token('u1')}"
    async with world.client.ws_connect(url) as socket:
        await world.channel.deliver(a_send("m1"))
        await socket.receive_json(timeout=5)
        world.client.app[lines.LINES].end_all()
        message = await socket.receive(timeout=5)
        assert (message.type, message.data) == (WSMsgType.CLOSE, WSCloseCode.GOING_AWAY)
        with pytest.raises(WSServerHandshakeError) as refused:
            await world.client.ws_connect(url)
        assert refused.value.status == 503


async def test_messages_survive_a_restart_and_a_repeated_one_stays_one(tmp_path: Path) -> None:
    for _ in range(2):
        channel = InboxChannel(Inbox(tmp_path / "inbox.db", lambda: NOW))
        await channel.start()
        await channel.deliver(a_send("m1"))
        assert [m.message_id for m in await channel.inbox.page(["u1"], 0, 10)] == ["m1"]
        await channel.close()


def modes_in(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


async def test_only_the_owner_can_read_what_people_were_told(tmp_path: Path) -> None:
    channel = InboxChannel(Inbox(tmp_path / "inbox.db", lambda: NOW))
    await channel.start()
    await channel.deliver(a_send("m1"))
    modes = modes_in(tmp_path)
    await channel.close()
    assert modes == {"inbox.db": 0o600, "inbox.db-wal": 0o600, "inbox.db-shm": 0o600}


async def test_channels_that_share_an_inbox_close_it_together(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox.db", lambda: NOW)
    first, second = InboxChannel(inbox), InboxChannel(inbox)
    await first.start()
    await second.start()
    await first.close()
    await second.deliver(a_send("m1"))
    await second.close()


async def test_a_customer_keeps_the_latest_messages_only() -> None:
    inbox = Inbox(None, lambda: NOW)
    await inbox.open()
    messages = [
        InboxMessage(0, f"m{n}", "u1", "in_app", NOW, {}) for n in range(INBOX_KEEP_MAX + 5)
    ]
    await asyncio.gather(*(inbox.put(message) for message in messages))
    kept = await inbox.page(["u1"], 0, 1)
    assert kept[0].message_id == "m5"
    await inbox.close()


async def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "inbox.db"
    async with aiosqlite.connect(path) as db:
        await db.execute("PRAGMA user_version = 9")
    with pytest.raises(StoreError, match="version 9"):
        await Inbox(path).open()


async def test_a_file_that_can_not_be_written_fails_that_message_only(tmp_path: Path) -> None:
    path = tmp_path / "inbox.db"
    inbox = Inbox(path, lambda: NOW)
    await inbox.open()
    async with aiosqlite.connect(path) as other:
        await other.execute("DROP TABLE inbox")
        await other.commit()
    with pytest.raises(StoreError):
        await inbox.put(InboxMessage(0, "m1", "u1", "in_app", NOW, {}))
    await inbox.close()


async def test_an_inbox_that_can_not_be_read_is_answered_with_503(
    world: World, tmp_path: Path
) -> None:
    async with aiosqlite.connect(tmp_path / "inbox.db") as other:
        await other.execute("DROP TABLE inbox")
        await other.commit()
    answer = await world.client.get("/v1/inbox/u1", headers=world.own())
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert (await answer.json())["code"] == "unavailable"
    answer = await world.client.post("/v1/inbox/u1/m1/opened", headers=world.own())
    assert answer.status == 503
    async with world.client.ws_connect("/v1/inbox/u1/socket", headers=world.own()) as socket:
        assert (await socket.receive()).data == WSCloseCode.TRY_AGAIN_LATER


async def test_an_erased_customer_leaves_no_bytes_in_the_files(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox.db", lambda: NOW)
    await inbox.open()
    await inbox.put(InboxMessage(0, "m1", "zoe-the-customer", "in_app", NOW, {"body": "s3cr3t"}))
    await inbox.erase("zoe-the-customer")
    await asyncio.to_thread(assert_absent, tmp_path, b"zoe-the-customer", b"s3cr3t")
    await inbox.close()


async def test_erased_messages_leave_no_bytes_in_the_files(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox.db", lambda: NOW)
    await inbox.open()
    for number in range(3):
        content = {"body": f"s3cr3t-{number}"}
        await inbox.put(InboxMessage(0, f"m{number}", "u1", "in_app", NOW, content))
    await inbox.erase_messages(["m0", "m2", "unknown"])
    await asyncio.to_thread(assert_absent, tmp_path, b"s3cr3t-0", b"s3cr3t-2")
    assert [one.message_id for one in await inbox.everything("u1")] == ["m1"]
    await inbox.close()


def assert_absent(folder: Path, *words: bytes) -> None:
    for path in folder.iterdir():
        found = [word for word in words if word in path.read_bytes()]
        assert found == []


def unsubscribe_path() -> str:
    token = SIGNER.unsubscribe_token("u1", purpose="marketing", channel="email")
    return f"/v1/unsubscribe/{token}"


async def test_opening_an_unsubscribe_link_shows_a_button_and_does_nothing(world: World) -> None:
    for method in ("GET", "HEAD"):
        answer = await world.client.request(method, unsubscribe_path())
        assert answer.status == 200
    page = await (await world.client.get(unsubscribe_path())).text()
    assert '<form method="post">' in page
    assert "no more marketing messages by email?" in page
    assert world.shard.inputs == []


@pytest.mark.parametrize("body", [b"List-Unsubscribe=One-Click", b"", b"\xff" * 2_000])
async def test_posting_to_it_withdraws_consent_at_once(world: World, body: bytes) -> None:
    async with ClientSession() as stranger:
        url = world.client.make_url(unsubscribe_path())
        async with stranger.post(url, data=body, allow_redirects=False) as answer:
            assert answer.status == 200
            assert "Set-Cookie" not in answer.headers
    [event] = world.shard.inputs
    assert isinstance(event, Event)
    assert (event.kind, event.user, event.at) == (EventKind.CONSENT, "u1", NOW)
    [statement] = event.consents
    assert (statement.purpose, statement.channel) == ("marketing", "email")
    assert statement.status == ConsentStatus.WITHDRAWN
    assert statement.at == NOW


async def test_the_same_link_works_again_after_a_new_grant(world: World) -> None:
    await world.client.post(unsubscribe_path())
    world.shard.clock.present += 1
    await world.client.post(unsubscribe_path())
    first, second = cast("list[Event]", world.shard.inputs)
    assert first.id != second.id


@pytest.mark.parametrize("fault", ["cut", "changed", "other secret", "nonsense", "not ascii"])
async def test_a_link_that_is_not_ours_does_nothing(world: World, fault: str) -> None:
    good = unsubscribe_path().rpartition("/")[2]
    other = Signer("another secret of many characters")
    token = {
        "cut": good[:-3],
        "changed": good[:30] + ("A" if good[30] != "A" else "B") + good[31:],
        "other secret": other.unsubscribe_token("u1", purpose="marketing", channel="email"),
        "nonsense": "x" * 3_000,
        "not ascii": "zo%C3%AB",
    }[fault]
    for method in ("GET", "POST"):
        answer = await world.client.request(method, f"/v1/unsubscribe/{token}")
        assert answer.status == 404
    assert world.shard.inputs == []


async def test_an_unsubscribe_that_can_not_be_stored_says_so(world: World) -> None:
    world.shard.fails = StoreError("disk full")
    answer = await world.client.post(unsubscribe_path())
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "5"


async def test_who_can_not_be_read_is_unsubscribed_all_the_same(world: World) -> None:
    world.shard.unreadable = StoreError("disk failure")
    answer = await world.client.post(unsubscribe_path())
    assert answer.status == 200
    assert [cast("Event", one).user for one in world.shard.inputs] == ["u1"]


async def test_names_in_a_link_are_shown_as_text(world: World) -> None:
    token = SIGNER.unsubscribe_token("u1", purpose="<script>", channel="<b>")
    page = await (await world.client.get(f"/v1/unsubscribe/{token}")).text()
    assert "&lt;script&gt;" in page
    assert "<script>" not in page


def test_a_secret_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="NEXTBEAT_SECRET has 5 bytes"):
        Signer("short")
    assert Signer.from_environment({}) is None
