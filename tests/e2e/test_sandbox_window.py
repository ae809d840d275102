"""What a developer sees of the sandbox, does in it, and sets to reach it."""

import asyncio
import os
import shlex
import stat
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiohttp
import aiosmtplib
import pytest
from aiohttp import web
from standardwebhooks import Webhook

from adapters.sandbox.accounts import open_keys
from adapters.sandbox.fates import Fate, Rule, Script
from adapters.sandbox.server import Sandbox
from tests.e2e.command_line import NEXTBEAT, nextbeat
from tests.e2e.sandbox_host import sandboxed

ACCOUNT = "AC00000000000000000000000000000000"


@pytest.fixture
async def web_session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def text(
    session: aiohttp.ClientSession,
    sandbox: Sandbox,
    to: str,
    body: str = "Hello",
    callback: str = "",
) -> int:
    """Send a text message by Twilio."""
    url = f"{sandbox.url}/twilio/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    form = {"To": to, "From": "+15005550006", "Body": body}
    if callback:
        form["StatusCallback"] = callback
    headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, "sandbox")}
    async with session.post(url, data=form, headers=headers) as response:
        return response.status


async def listed(session: aiohttp.ClientSession, sandbox: Sandbox, query: str = "") -> list[Any]:
    async with session.get(f"{sandbox.url}/sandbox/messages{query}") as response:
        messages: list[Any] = (await response.json())["messages"]
        return messages


@asynccontextmanager
async def gateway(statuses: list[int]) -> AsyncGenerator[tuple[str, list[tuple[str, str, str]]]]:
    """Be a server that takes what it is told; `statuses` are answered first."""
    calls: list[tuple[str, str, str]] = []

    async def take(request: web.Request) -> web.Response:
        calls.append((request.method, request.path, await request.text()))
        return web.Response(status=statuses.pop(0) if statuses else 200)

    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield "http://{}:{}".format(*runner.addresses[0]), calls
    finally:
        await runner.cleanup()


async def test_messages_are_listed_chosen_and_forgotten(web_session: aiohttp.ClientSession) -> None:
    async with sandboxed() as sandbox:
        await text(web_session, sandbox, "+27821239999", "<b>one</b>")
        await text(web_session, sandbox, "+27821230003", "two")
        assert [found["text"] for found in await listed(web_session, sandbox)] == [
            "two",
            "<b>one</b>",
        ]
        (found,) = await listed(web_session, sandbox, "?to=%2B27821230003")
        assert (found["fate"], found["refused"]) == ("opted_out", True)
        assert await listed(web_session, sandbox, "?channel=whatsapp") == []
        async with web_session.get(f"{sandbox.url}/") as response:
            page = await response.text()
        assert "&lt;b&gt;one&lt;/b&gt;" in page
        assert page.count("<form") == 1  # who was refused got nothing to answer to
        async with web_session.delete(f"{sandbox.url}/sandbox/messages") as response:
            assert response.status == 204
        assert await listed(web_session, sandbox) == []


async def test_a_page_of_elsewhere_reads_nothing(web_session: aiohttp.ClientSession) -> None:
    async with sandboxed() as sandbox:
        for path in ("/", "/sandbox/messages"):
            headers = {"Host": "sandbox.attacker.example:8990"}
            async with web_session.get(sandbox.url + path, headers=headers) as response:
                assert response.status == 421


async def test_a_person_answers_by_whoever_wrote_to_them(
    web_session: aiohttp.ClientSession,
) -> None:
    async with gateway([]) as (url, calls), sandboxed(url) as sandbox:
        await text(web_session, sandbox, "+27821239999")
        said = {"channel": "sms", "from": "+27821239999", "text": "STOP"}
        reply = f"{sandbox.url}/sandbox/reply"
        async with web_session.post(reply, data=said, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (303, "/")
        (method, path, form) = calls[-1]
        assert (method, path) == ("POST", "/v1/receipts/twilio")
        assert "OptOutType=STOP" in form


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"channel": "sms", "from": "+1", "text": "x"}, "was sent nothing"),
        ({"channel": "sms", "from": "+1", "text": "x", "provider": "x"}, "there is no 'x'"),
        ({"channel": "voice", "from": "+1", "text": "x", "provider": "twilio"}, "nobody can"),
        ({"channel": "sms", "from": "+1", "text": "x", "provider": "twilio"}, "nextbeat serve"),
        ({"channel": "sms"}, "missing required field"),
        ({"channel": "sms", "from": "+1", "text": "x", "to": "y"}, "unknown field"),
    ],
)
async def test_an_answer_that_reaches_nobody_says_why(
    web_session: aiohttp.ClientSession, said: dict[str, str], words: str
) -> None:
    async with (
        sandboxed() as sandbox,
        web_session.post(f"{sandbox.url}/sandbox/reply", json=said) as response,
    ):
        assert response.status == 400
        assert words in (await response.json())["error"]


async def test_a_receipt_that_is_not_taken_comes_again(web_session: aiohttp.ClientSession) -> None:
    async with gateway([503, 503]) as (url, calls), sandboxed(url) as sandbox:
        await text(web_session, sandbox, "+27821239999", callback=f"{url}/cb")
        await sandbox.office.settle()
        statuses = [form.split("MessageStatus=")[1].split("&")[0] for _, _, form in calls]
        assert statuses == ["sent", "sent", "sent", "delivered"]
        assert sandbox.office.unheard == 0


async def test_an_endpoint_knows_a_repeated_webhook_by_its_id(
    web_session: aiohttp.ClientSession,
) -> None:
    async with sandboxed() as sandbox:
        signer = Webhook(sandbox.accounts["NEXTBEAT_WEBHOOK_SECRET"])
        url, body = f"{sandbox.url}/webhook/crm", '{"data": {"content": {"body": "Hello"}}}'

        async def post(name: str, signed: str = body) -> int:
            present = datetime.now(UTC)
            headers = {
                "webhook-id": name,
                "webhook-timestamp": str(int(present.timestamp())),
                "webhook-signature": signer.sign(name, present, signed),
            }
            async with web_session.post(url, data=body, headers=headers) as response:
                return response.status

        assert [await post("m_1"), await post("m_1"), await post("m_2")] == [200, 200, 200]
        assert await post("m_3", "another body") == 401
        assert [found["text"] for found in await listed(web_session, sandbox)] == ["Hello"] * 2


async def test_a_reader_opens_our_pictures_and_leaves_by_one_click() -> None:
    script = Script(rules=[Rule(Fate.READ, channel="email")])
    async with gateway([]) as (url, calls), sandboxed(url, script) as sandbox:
        letter = EmailMessage()
        letter["From"], letter["To"] = "a@example.com", "zoe@example.com"
        letter["List-Unsubscribe"] = f"<{url}/v1/unsubscribe/t>"
        letter.set_content("Hello")
        pictures = f'<img src="{url}/o/1"><img src="https://elsewhere.example/x">'
        letter.add_alternative(pictures, subtype="html")
        port = int(sandbox.accounts["NEXTBEAT_SMTP_PORT"])
        await aiosmtplib.send(letter, hostname="127.0.0.1", port=port, start_tls=False)
        await sandbox.office.settle()
        assert calls == [("GET", "/o/1", "")]
        async with aiohttp.ClientSession() as session:
            said = {"channel": "email", "from": "zoe@example.com", "text": "STOP"}
            async with session.post(f"{sandbox.url}/sandbox/reply", json=said) as response:
                assert response.status == 202
        assert calls[1:] == [("POST", "/v1/unsubscribe/t", "List-Unsubscribe=One-Click")]


def test_keys_are_made_once_and_for_their_owner_only(tmp_path: Path) -> None:
    made = open_keys(tmp_path / "keys")
    assert open_keys(tmp_path / "keys") == made
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()]
    assert modes == [0o600, 0o600]


@pytest.mark.slow
def test_a_shell_takes_what_is_to_be_set(tmp_path: Path) -> None:
    command = f'eval "$({shlex.quote(NEXTBEAT)} sandbox --env --keys {tmp_path})" && env'
    environ = {"PATH": os.environ["PATH"], "NEXTBEAT_TWILIO_AUTH_TOKEN": "my own"}
    told = subprocess.run(
        ["bash", "-c", command], env=environ, capture_output=True, text=True, check=True
    ).stdout
    assert "NEXTBEAT_TWILIO_URL=http://127.0.0.1:8990/twilio\n" in told
    assert "NEXTBEAT_PUBLIC_URL=http://127.0.0.1:8080\n" in told
    assert "NEXTBEAT_TWILIO_AUTH_TOKEN=my own\n" in told
    assert "NEXTBEAT_VONAGE_PRIVATE_KEY=-----BEGIN PRIVATE KEY-----\n" in told


@pytest.mark.slow
def test_a_script_with_faults_is_refused_with_its_place(tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text("rules: [{to: '*', fate: exploded}]\n")
    told = nextbeat("sandbox", "--keys", tmp_path, "--script", script)
    assert told.returncode == 1
    assert "exploded" in told.stderr
    assert "rules[0].fate" in told.stderr
    told = nextbeat("sandbox", "--keys", tmp_path, "--failing", "many")
    assert told.returncode == 2
    assert "write it like 20%" in told.stderr


@pytest.mark.slow
async def test_the_command_says_where_it_is_and_ends_when_told(tmp_path: Path) -> None:
    ports = ("--port", "0", "--apns-port", "0", "--mail-port", "0")
    process = await asyncio.create_subprocess_exec(
        NEXTBEAT,
        "sandbox",
        "--keys",
        tmp_path,
        *ports,
        "--failing",
        "100%",
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"]},
    )
    assert process.stdout is not None
    first = (await process.stdout.readline()).decode()
    url = first.split(" at ")[1].split(";")[0]
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert "Nothing yet" in await response.text()
    process.terminate()
    rest, _ = await process.communicate()
    assert f"export NEXTBEAT_TWILIO_URL={url}/twilio\n" in rest.decode()
    assert process.returncode == 0
