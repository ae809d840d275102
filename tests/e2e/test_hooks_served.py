"""A real server from end to end: what leaves for a provider, and what the provider tells of it."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from aiohttp import ClientSession, web
from aiosmtpd.smtp import SMTP

from adapters.app import App, open_workspace
from adapters.channels.hooks import HookRequest
from adapters.gateway.settings import GatewaySettings
from tests import hooks_samples_mail, hooks_samples_telco
from tests.e2e.command_line import nextbeat
from tests.e2e.test_channel_smtp import Post
from tests.hooks_samples_mail import sendgrid, sendgrid_event
from tests.hooks_samples_telco import PUBLIC_URL, twilio, twilio_status

PHONE = "+15558675310"  # of the telephone samples

WORKSPACE: dict[str, Any] = {
    "workspace": "shop",
    "defaults": {"timezone": "UTC"},
    "consent": {"marketing": "opt_out"},
    "identity": {"namespaces": {"phone": {}}},
    "channels": {
        "email": {"adapter": "smtp", "identity": "email", "settings": {"relay": "sendgrid"}},
        "sms": {"adapter": "twilio", "identity": "phone"},
    },
    "message_types": {
        "receipt": {"purpose": "service", "channels": ["email", "sms"]},
        "promo": {"purpose": "marketing", "channels": ["sms"]},
    },
    "messages": {
        "paid": {
            "type": "receipt",
            "content": {"email": {"subject": "s", "body": "b"}, "sms": {"body": "paid"}},
        },
        "offer": {"type": "promo", "content": {"sms": {"body": "offer"}}},
    },
    "journeys": {
        "pay": {"trigger": {"event": "Pay"}, "steps": [{"send": "paid"}]},
        "look": {
            "trigger": {"event": "Look"},
            "steps": [{"send": "offer"}, {"wait": "1h"}, {"send": "offer"}],
        },
    },
}


class Twilio:
    """A stand-in that takes messages and keeps their forms."""

    def __init__(self) -> None:
        self.url = ""
        self.forms: list[dict[str, str]] = []

    async def take(self, request: web.Request) -> web.Response:
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        sid = f"SM{len(self.forms):032}"
        return web.json_response({"sid": sid, "status": "queued", "error_code": None}, status=201)


class Server:
    """The server, running, with the providers behind it."""

    def __init__(self, app: App, session: ClientSession, post: Post, phones: Twilio) -> None:
        self.app = app
        self.session = session
        self.post = post
        self.phones = phones
        self.url = f"http://127.0.0.1:{app.port}"

    async def call(self, kind: str, **said: object) -> None:
        call = {"type": kind, "userId": "u1", **said}
        async with self.session.post(f"{self.url}/v1/{kind}", json=call) as answer:
            assert answer.status == 200
        await self.app.runtime.outbox.settle()

    async def tell(self, request: HookRequest) -> int:
        """Send what a provider tells, as it is signed; gives the status of the answer."""
        path = urlsplit(request.url)
        url = f"{self.url}{path.path}" + (f"?{path.query}" if path.query else "")
        async with self.session.request(
            request.method, url, data=request.body, headers=dict(request.headers)
        ) as answer:
            assert answer.status != 200 or await answer.read() == b""
            return answer.status

    async def timeline(self) -> str:
        async with self.session.get(f"{self.url}/v1/customers/u1/timeline") as answer:
            return await answer.text()

    async def letter_id(self) -> str:
        """Give our id of the one mail that left."""
        letter = self.post.letter()
        given = json.loads(str(letter["X-SMTPAPI"]))["unique_args"]["message_id"]
        assert letter["Message-ID"] == f"<{given}@example.org>"
        return str(given)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with open_server(tmp_path) as opened:
        yield opened


@asynccontextmanager
async def open_server(folder: Path) -> AsyncGenerator[Server]:
    post, phones = Post(), Twilio()
    mail = await asyncio.get_running_loop().create_server(lambda: SMTP(post), "127.0.0.1", 0)
    stand = web.Application()
    stand.router.add_post("/2010-04-01/Accounts/AC1/Messages.json", phones.take)
    runner = web.AppRunner(stand, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    environment = {
        **hooks_samples_mail.ENVIRONMENT,
        **hooks_samples_telco.ENVIRONMENT,
        "NEXTBEAT_PUBLIC_URL": PUBLIC_URL,
        "NEXTBEAT_SECRET": "a secret of many characters",
        "NEXTBEAT_SMTP_HOST": "127.0.0.1",
        "NEXTBEAT_SMTP_PORT": str(mail.sockets[0].getsockname()[1]),
        "NEXTBEAT_SMTP_FROM": "shop@example.org",
        "NEXTBEAT_TWILIO_URL": f"http://127.0.0.1:{runner.addresses[0][1]}",
        "NEXTBEAT_TWILIO_ACCOUNT_SID": "AC1",
        "NEXTBEAT_TWILIO_FROM": "+15557122661",
    }
    (folder / "shop").mkdir()
    (folder / "shop" / "workspace.yaml").write_text(json.dumps(WORKSPACE), encoding="utf-8")
    app = App(
        open_workspace(folder / "shop"), folder / "data", GatewaySettings(), environ=environment
    )
    async with app, ClientSession() as session:
        yield Server(app, session, post, phones)
    mail.close()
    await runner.cleanup()


async def test_what_becomes_of_a_mail_is_seen_from_sendgrid_to_explain(tmp_path: Path) -> None:
    async with open_server(tmp_path) as server:
        await server.call("identify", traits={"email": "zoe@example.com", "phone": PHONE})
        await server.call("track", event="Pay")
        given = await server.letter_id()
        told = {"message_id": given, "smtp-id": f"<{given}@example.org>"}
        assert await server.tell(sendgrid(sendgrid_event("delivered", **told))) == 200
        opened = sendgrid_event("open", sg_machine_open=True, **told)
        assert await server.tell(sendgrid(opened)) == 200
        bounced = sendgrid_event(
            "bounce", type="bounce", status="5.1.1", reason="550 5.1.1 unknown", **told
        )
        request = sendgrid(bounced)
        assert await server.tell(request) == 200
        assert await server.tell(request) == 200  # a copy
        await server.app.runtime.outbox.settle()
        # The address is dead, so the receipt goes by text at once, and only once.
        assert [form["Body"] for form in server.phones.forms] == ["paid"]
        forged = msgspec.structs.replace(request, body=request.body + b" ")
        assert await server.tell(forged) == 403
        timeline = await server.timeline()
        for word in ("delivered", "machine_opened", "5.1.1"):
            assert word in timeline
    shown = nextbeat("explain", "u1", "--data", tmp_path / "data").stdout
    assert "sms" in shown


async def test_a_complaint_closes_mail_for_good(server: Server) -> None:
    await server.call("identify", traits={"email": "zoe@example.com", "phone": PHONE})
    await server.call("track", event="Pay")
    given = await server.letter_id()
    assert await server.tell(sendgrid(sendgrid_event("spamreport", message_id=given))) == 200
    profile = await server.app.runtime.profile("u1")
    assert profile is not None
    assert profile.consents["*/email"].source == "complained"
    await server.call("track", event="Pay", messageId="again")
    assert len(server.post.envelopes) == 1
    assert [form["Body"] for form in server.phones.forms] == ["paid"]


async def test_a_stop_by_text_ends_what_is_pending(server: Server) -> None:
    await server.call("identify", traits={"phone": PHONE})
    await server.call("track", event="Look")
    assert [form["Body"] for form in server.phones.forms] == ["offer"]
    # The provider gives its own id, and no id of ours.
    status = twilio_status("delivered")
    assert await server.tell(status) == 200
    # The URL that is signed is the public one, whatever a request says of hosts.
    turned = {**status.headers, "Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    assert await server.tell(msgspec.structs.replace(status, headers=turned)) == 200
    assert await server.tell(msgspec.structs.replace(status, url=f"{status.url}&x=1")) == 403
    fields = [
        ("MessageSid", "SM00000000000000000000000000000099"),
        ("SmsStatus", "received"),
        ("From", PHONE),
        ("To", "+15557122661"),
        ("Body", "Stop."),
        ("AccountSid", "AC1"),
    ]
    request = twilio(fields, message="")
    assert await server.tell(request) == 200
    assert await server.tell(request) == 200
    profile = await server.app.runtime.profile("u1")
    assert profile is not None
    assert profile.consents["*/sms"].source == "stop_word"
    assert profile.history["Message Received"].count == 1
    await server.call("track", event="Pay")
    assert len(server.phones.forms) == 1
    assert await server.tell(twilio(fields, token="of somebody else", message="")) == 403
