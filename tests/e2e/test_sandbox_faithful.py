"""The stand-ins are as the providers are: real SDKs, and what real SDKs sent, work with them."""

import asyncio
import json
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from hashlib import sha256
from hmac import digest
from importlib import import_module
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl

import aiohttp
import aiosmtplib
import jwt
import pytest
from aiohttp import web

from adapters.channels.http2 import Http2Wire
from adapters.channels.wire import Request
from adapters.sandbox.server import Sandbox
from tests.e2e.sandbox_host import keys, sandboxed

# They come without types.
CLIENT: Any = import_module("twilio.rest").Client
REFUSED: Any = import_module("twilio.base.exceptions").TwilioRestException
VALIDATOR: Any = import_module("twilio.request_validator").RequestValidator
WEBPUSH: Any = import_module("pywebpush").webpush

_ROOT = Path(__file__).resolve().parents[2]
CAPTURES = Path(os.environ.get("NEXTBEAT_SHARED", _ROOT.parent / "shared")) / "sdk-captures"

# The accounts in the captures.
SENDERS = {
    "NEXTBEAT_TWILIO_AUTH_TOKEN": "token",
    "NEXTBEAT_VONAGE_API_KEY": "k",
    "NEXTBEAT_VONAGE_API_SECRET": "s",
    "NEXTBEAT_VONAGE_APPLICATION_ID": "11111111-1111-1111-1111-111111111111",
    "NEXTBEAT_MESSAGEBIRD_ACCESS_KEY": "key",
    "NEXTBEAT_AFRICASTALKING_USERNAME": "user",
    "NEXTBEAT_AFRICASTALKING_API_KEY": "key",
    "NEXTBEAT_WHATSAPP_TOKEN": "EAAG",
}
PREFIXES = ("twilio", "vonage", "messagebird", "africastalking", "whatsapp", "fcm")
ACCOUNT = "AC00000000000000000000000000000000"


def captures() -> Iterator[Any]:
    for folder in sorted(CAPTURES.glob("outbound-*")):
        provider = folder.name.removeprefix("outbound-").split("-")[0]
        for path in sorted(folder.glob("*.json")):
            if provider in PREFIXES:
                capture = json.loads(path.read_text())
                yield pytest.param(provider, capture, id=f"{folder.name}-{path.stem}")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with sandboxed() as running:
        yield running


class Listener:
    """Whoever is called back."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, str], bytes]] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.calls.append(
            (self.url + request.raw_path, dict(request.headers), await request.read())
        )
        return web.Response()


@asynccontextmanager
async def listening() -> AsyncGenerator[Listener]:
    listener = Listener()
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", listener.take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    listener.url = "http://{}:{}".format(*runner.addresses[0])
    try:
        yield listener
    finally:
        await runner.cleanup()


@pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"the shared cases are not at {CAPTURES}")
@pytest.mark.parametrize(("provider", "capture"), list(captures()))
async def test_what_a_real_sdk_sent_is_taken_as_the_provider_took_it(
    provider: str, capture: dict[str, Any]
) -> None:
    body = capture["body"]
    raw = body if isinstance(body, str) else json.dumps(body)
    raw = _as_refused(raw, capture["responded"])
    headers = {
        name: value
        for name, value in capture["headers"]
        if name.lower() in {"authorization", "apikey", "content-type"}
    }
    if "Bearer ey" in headers.get("Authorization", ""):  # it has long expired
        headers["Authorization"] = f"Bearer {_application_token()}"
    async with sandboxed(environ=SENDERS) as sandbox, aiohttp.ClientSession() as web_session:
        path = capture["raw_path"].replace("/projects/p1/", "/projects/sandbox/")
        url = f"{sandbox.url}/{provider}{path}"
        async with web_session.post(url, data=raw.encode(), headers=headers) as response:
            said = await response.text()
        assert response.status == capture["responded"]["status"], said
        assert _shape(json.loads(said)) >= _shape(json.loads(capture["responded"]["body"]))
        assert len(sandbox.office.book) == 1


def _as_refused(raw: str, responded: dict[str, Any]) -> str:
    """Write to somebody with whom it goes as it went then."""
    for code, old, new in (
        ("21610", "%2B15558675310", "%2B15558670003"),
        ("131047", "351912345678", "351912340024"),
        ("UNREGISTERED", "dEvIcEtOkEn", "dead-token"),
        ("QUOTA_EXCEEDED", "dEvIcEtOkEn", "rate-token"),
    ):
        if code in responded["body"]:
            return raw.replace(old, new)
    return raw


def _shape(value: Any, path: str = "") -> set[str]:
    """Name every place in an answer."""
    found = {path}
    if isinstance(value, dict):
        for name, item in cast("dict[str, Any]", value).items():
            found |= _shape(item, f"{path}.{name}")
    if isinstance(value, list):
        for item in cast("list[object]", value):
            found |= _shape(item, f"{path}[]")
    return found


def _application_token() -> str:
    claims = {"application_id": SENDERS["NEXTBEAT_VONAGE_APPLICATION_ID"]}
    return jwt.encode(claims, keys().rsa, algorithm="RS256")


def client(sandbox: Sandbox) -> Any:
    twilio = CLIENT(ACCOUNT, "sandbox")
    twilio.api.base_url = f"{sandbox.url}/twilio"
    return twilio


async def test_twilios_sdk_sends_and_its_validator_takes_our_callbacks(sandbox: Sandbox) -> None:
    async with listening() as listener:
        message = await asyncio.to_thread(
            client(sandbox).messages.create,
            to="+27821230008",
            from_="+15005550006",
            body="Olá",
            status_callback=f"{listener.url}/status?x=1&y=%20",
        )
        await sandbox.office.settle()
    assert message.sid is not None
    assert message.status == "queued"
    assert [dict(parse_qsl(body.decode()))["MessageStatus"] for _, _, body in listener.calls] == [
        "sent",
        "delivered",
    ]
    for url, headers, body in listener.calls:
        form = dict(parse_qsl(body.decode()))
        assert form["MessageSid"] == message.sid
        assert url == f"{listener.url}/status?x=1&y=%20"
        assert VALIDATOR("sandbox").validate(url, form, headers["X-Twilio-Signature"])
        assert not VALIDATOR("other").validate(url, form, headers["X-Twilio-Signature"])


async def test_twilios_sdk_calls_somebody_who_does_not_answer(sandbox: Sandbox) -> None:
    async with listening() as listener:
        call = await asyncio.to_thread(
            client(sandbox).calls.create,
            to="+27821230001",
            from_="+15005550006",
            twiml="<Response><Say>Hi</Say></Response>",
            status_callback=f"{listener.url}/voice",
            status_callback_event=["initiated", "ringing", "answered", "completed"],
        )
        await sandbox.office.settle()
    forms = [dict(parse_qsl(body.decode())) for _, _, body in listener.calls]
    assert [form["CallStatus"] for form in forms] == ["initiated", "ringing", "no-answer"]
    assert {form["CallSid"] for form in forms} == {call.sid}


@pytest.mark.parametrize(
    ("token", "written", "code"),
    [
        ("wrong", {"to": "+27821230000", "from_": "+15005550006", "body": "x"}, 20003),
        ("sandbox", {"to": "", "from_": "+15005550006", "body": "x"}, 21604),
        ("sandbox", {"to": "0821230000", "from_": "+15005550006", "body": "x"}, 21211),
        ("sandbox", {"to": "+27821230000", "body": "x"}, 21603),
        ("sandbox", {"to": "+27821230000", "from_": "+15005550006"}, 21602),
        ("sandbox", {"to": "+27821230000", "from_": "+15005550006", "body": "x" * 1601}, 21617),
        ("sandbox", {"to": "+27821230003", "from_": "+15005550006", "body": "x"}, 21610),
        ("sandbox", {"to": "+27821230005", "from_": "+15005550006", "body": "x"}, 21211),
    ],
)
async def test_twilios_sdk_is_refused_as_by_twilio(
    sandbox: Sandbox, token: str, written: dict[str, str], code: int
) -> None:
    twilio = CLIENT(ACCOUNT, token)
    twilio.api.base_url = f"{sandbox.url}/twilio"
    with pytest.raises(REFUSED) as refused:
        await asyncio.to_thread(twilio.messages.create, **written)
    assert refused.value.code == code


async def test_pywebpush_sends_what_the_page_then_shows(sandbox: Sandbox) -> None:
    async with aiohttp.ClientSession() as web_session:
        async with web_session.get(f"{sandbox.url}/webpush/anna") as response:
            subscription = await response.json()
        claims = {"sub": "mailto:ops@example.com"}
        key = sandbox.accounts["NEXTBEAT_WEBPUSH_PRIVATE_KEY"]
        sent = await asyncio.to_thread(WEBPUSH, subscription, "Olá ✓", key, claims, ttl=60)
        assert sent.status_code == 201
        assert next(sandbox.office.book.find()).draft.text == "Olá ✓"
        proof = {"Authorization": str(sent.request.headers["authorization"]), "TTL": "60"}
        async with web_session.post(f"{sandbox.url}/webpush/dead-1", headers=proof) as response:
            assert response.status == 410


async def test_a_token_for_firebase_is_given_for_a_signed_claim_only(sandbox: Sandbox) -> None:
    account = json.loads(sandbox.accounts["NEXTBEAT_FCM_CREDENTIALS"])
    claims = {"iss": account["client_email"], "aud": account["token_uri"]}
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}
    async with aiohttp.ClientSession() as web_session:
        good = {**form, "assertion": jwt.encode(claims, account["private_key"], "RS256")}
        async with web_session.post(account["token_uri"], data=good) as response:
            token = (await response.json())["access_token"]
        forged = {**form, "assertion": jwt.encode(claims, keys().ec, "ES256")}
        async with web_session.post(account["token_uri"], data=forged) as response:
            assert response.status == 400
        url = f"{sandbox.url}/fcm/v1/projects/sandbox/messages:send"
        message = {"message": {"token": "t", "notification": {"title": "A", "body": "B"}}}
        headers = {"Authorization": f"Bearer {token}"}
        async with web_session.post(url, json=message, headers=headers) as response:
            assert (await response.json())["name"].startswith("projects/sandbox/messages/")
        async with web_session.post(url, json=message) as response:
            assert response.status == 401


async def test_meta_signs_what_it_tells_and_vonage_and_messagebird_too() -> None:
    async with listening() as listener, sandboxed(listener.url) as sandbox:
        accounts = sandbox.accounts
        async with aiohttp.ClientSession() as web_session:
            await _write_to_all(web_session, sandbox, listener.url)
        await sandbox.office.settle()
        checked = set[str]()
        for url, headers, body in listener.calls:
            if "X-Hub-Signature-256" in headers:
                secret = accounts["NEXTBEAT_WHATSAPP_APP_SECRET"].encode()
                expected = "sha256=" + digest(secret, body, sha256).hex()
                assert headers["X-Hub-Signature-256"] == expected
                checked.add("whatsapp")
            elif "MessageBird-Signature-JWT" in headers:
                key = accounts["NEXTBEAT_MESSAGEBIRD_SIGNING_KEY"]
                claims = jwt.decode(headers["MessageBird-Signature-JWT"], key, ["HS256"])
                assert claims["url_hash"] == sha256(url.encode()).hexdigest()
                checked.add("messagebird")
            elif "Authorization" in headers:
                key = accounts["NEXTBEAT_VONAGE_SIGNATURE_SECRET"]
                claims = jwt.decode(headers["Authorization"].split(" ")[1], key, ["HS256"])
                assert claims["payload_hash"] == sha256(body).hexdigest()
                checked.add("vonage")
            else:
                assert "/v1/receipts/africastalking?key=sandbox-" in url
                checked.add("africastalking")
        assert checked == {"whatsapp", "messagebird", "vonage", "africastalking"}


async def _write_to_all(
    web_session: aiohttp.ClientSession, sandbox: Sandbox, callback: str
) -> None:
    accounts = sandbox.accounts
    token = {"Authorization": f"Bearer {accounts['NEXTBEAT_WHATSAPP_TOKEN']}"}
    text: dict[str, Any] = {"messaging_product": "whatsapp", "to": "27821230000", "type": "text"}
    phone_id = accounts["NEXTBEAT_WHATSAPP_PHONE_ID"]
    claims = {"application_id": accounts["NEXTBEAT_VONAGE_APPLICATION_ID"]}
    application = jwt.encode(claims, keys().rsa, algorithm="RS256")
    sms = {"to": "27821230000", "from": "A", "channel": "sms", "message_type": "text", "text": "x"}
    bird: dict[str, Any] = {"originator": "A", "body": "x", "recipients": ["27821230000"]}
    calls: list[tuple[str, dict[str, Any], dict[str, str]]] = [
        (f"whatsapp/v26.0/{phone_id}/messages", {"json": {**text, "text": {"body": "x"}}}, token),
        ("vonage/v1/messages", {"json": sms}, {"Authorization": f"Bearer {application}"}),
        (
            "messagebird/messages",
            {"json": {**bird, "reportUrl": f"{callback}/bird"}},
            {"Authorization": "AccessKey sandbox"},
        ),
        (
            "africastalking/version1/messaging",
            {"data": {"username": "sandbox", "to": "+27821230000", "message": "x"}},
            {"apiKey": "sandbox"},
        ),
    ]
    for path, body, headers in calls:
        async with web_session.post(f"{sandbox.url}/{path}", headers=headers, **body) as response:
            assert response.status < 300, await response.text()


async def test_mail_is_taken_or_refused_by_its_address(sandbox: Sandbox) -> None:
    port = int(sandbox.accounts["NEXTBEAT_SMTP_PORT"])

    async def send(address: str) -> None:
        letter = EmailMessage()
        letter["From"], letter["To"], letter["Subject"] = "a@example.com", address, "Hello"
        letter.set_content("Olá")
        await aiosmtplib.send(letter, hostname="127.0.0.1", port=port, start_tls=False)

    await send("zoe@example.com")
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refused:
        await send("gone@example.com")
    assert refused.value.recipients[0].code == 550
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
        await send("rate@example.com")
    await send("rate@example.com")
    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await send("timeout@example.com")
    taken = [message.draft for message in sandbox.office.book.find(refused=False)]
    assert [draft.to.split("@")[0] for draft in taken] == ["timeout", "rate", "zoe"]
    assert taken[-1].text == "Hello\n\nOlá"


@pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"the shared cases are not at {CAPTURES}")
@pytest.mark.parametrize("number", range(1, 6))
async def test_apple_answers_what_a_real_sdk_sent_as_it_did(sandbox: Sandbox, number: int) -> None:
    path = CAPTURES / "outbound-apns-aioapns" / f"{number:03}.json"
    capture = json.loads(path.read_text())
    tokens = {"bad": "invalid-1", "gone": "gone-1", "many": "rate-1"}
    token = capture["path"].rpartition("/")[2]
    accounts = sandbox.accounts
    claims = {"iss": accounts["NEXTBEAT_APNS_TEAM_ID"], "iat": int(time.time())}
    head = {"kid": accounts["NEXTBEAT_APNS_KEY_ID"]}
    proof = jwt.encode(claims, accounts["NEXTBEAT_APNS_KEY"], "ES256", head)
    headers = {**dict(capture["headers"]), "authorization": f"bearer {proof}"}
    del headers["host"]  # goes by another name here
    url = f"{accounts['NEXTBEAT_APNS_URL']}/3/device/{tokens.get(token, token)}"
    forged = {**headers, "authorization": f"bearer {proof[:-4]}AAAA"}
    body = json.dumps(capture["body"]).encode()
    wire = Http2Wire()
    said = await wire.exchange(Request("POST", url, headers, body))
    refused = await wire.exchange(Request("POST", url, forged, body))
    await wire.close()
    assert said.status == capture["responded"]["status"]
    expected = capture["responded"]["body"]
    if expected:
        answered = json.loads(said.body)
        assert answered["reason"] == json.loads(expected)["reason"]
        assert _shape(answered) == _shape(json.loads(expected))
    assert said.headers["apns-id"] == headers["apns-id"]
    assert (refused.status, json.loads(refused.body)) == (403, {"reason": "InvalidProviderToken"})


def test_the_captures_hold_what_is_replayed() -> None:
    if CAPTURES.is_dir():
        assert len(list(captures())) > 20
