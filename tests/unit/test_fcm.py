"""Push by Firebase: requests, answers, and the token of the account."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from actors.ports import Permanent, Temporary
from adapters.channels.adapter import Workshop
from adapters.channels.fcm import (
    ADAPTER,
    FcmProvider,
    FcmSettings,
    ServiceAccount,
    ask_token,
    read_token,
)
from adapters.channels.provider import PASSING
from adapters.channels.tokens import Token, TokenKeeper, read_key
from adapters.channels.wire import Wire
from adapters.inbox import Inbox
from engine.errors import ProgramError
from engine.events import Failure
from tests.outgoing import START
from tests.pushes import HOUR_MS, PRESENT, UNREADABLE, a_push, answer, decoded, raised, refusal

PROVIDER = FcmProvider("p1", "https://fcm.googleapis.com/")
KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
ACCOUNT = ServiceAccount("n@p1.iam.gserviceaccount.com", PEM, private_key_id="k1", project_id="p1")

# What the library firebase-admin sent, and the content that asks us for the same.
CONTENT = {
    "title": "Olá",
    "body": "B",
    "media_url": "https://x.example/i.png",
    "priority": "high",
    "collapse_key": "c",
    "badge": "1",
    "sound": "default",
    "label": "camp1",
    "data_k": "v",
}
SENT_BY_OTHERS = {
    "android": {"collapse_key": "c", "priority": "high", "ttl": "3600s"},
    "apns": {
        "headers": {"apns-priority": "10"},
        "payload": {"aps": {"badge": 1, "sound": "default"}},
    },
    "data": {"k": "v"},
    "notification": {"body": "B", "title": "Olá", "image": "https://x.example/i.png"},
    "token": "dEvIcEtOkEn",
    "webpush": {"headers": {"TTL": "3600"}},
    "fcm_options": {"analytics_label": "camp1"},
}


def message(**content: str | int | None) -> dict[str, Any]:
    send = a_push("dEvIcEtOkEn", **content)
    request = PROVIDER.build(send, PRESENT, "ya29.fake")
    assert request.method == "POST"
    assert request.url == "https://fcm.googleapis.com/v1/projects/p1/messages:send"
    assert request.headers["Authorization"] == "Bearer ya29.fake"
    assert request.headers["X-GOOG-API-FORMAT-VERSION"] == "2"
    made: dict[str, Any] = decoded(request.body)["message"]
    return made


def holds(made: Any, wanted: object) -> bool:
    """Say whether everything that is wanted is there, whatever else is."""
    if isinstance(wanted, dict):
        parts = cast("dict[str, object]", wanted)
        return all(name in made and holds(made[name], parts[name]) for name in parts)
    return bool(made == wanted)


def test_a_request_has_all_that_a_library_in_use_sends() -> None:
    made = message(expires_at=START + HOUR_MS, **CONTENT)
    assert holds(made, SENT_BY_OTHERS)
    assert made.keys() == SENT_BY_OTHERS.keys()


def test_the_app_learns_which_message_it_got_and_a_repeated_one_replaces_it() -> None:
    made = message(title="T")
    assert made["data"] == {"message_id": "m_0123456789abcdef01234567"}
    assert made["android"] == {
        "priority": "normal",
        "notification": {"tag": "m_0123456789abcdef01234567"},
    }
    assert made["apns"]["headers"]["apns-collapse-id"] == "m_0123456789abcdef01234567"
    assert message(title="T") == made


def test_data_alone_is_delivered_in_silence() -> None:
    made = message(data_sync="cart", link="https://x.example")
    assert "notification" not in made
    assert made["data"]["sync"] == "cart"
    assert made["apns"]["payload"]["aps"] == {"content-available": 1}
    assert made["webpush"] == {"fcm_options": {"link": "https://x.example"}}


@pytest.mark.parametrize(
    ("left_ms", "ttl"), [(1_999, "1s"), (-5, "0s"), (40 * 24 * HOUR_MS, "2419200s")]
)
def test_a_push_is_kept_no_longer_than_it_is_of_use(left_ms: int, ttl: str) -> None:
    assert message(title="T", expires_at=START + left_ms)["android"]["ttl"] == ttl


@pytest.mark.parametrize("content", [{}, {"subject": "x"}, {"body": "\ud800"}])
def test_what_can_not_be_said_is_the_authors_to_mend(content: dict[str, str]) -> None:
    with pytest.raises(Permanent) as caught:
        message(**content)
    assert caught.value.failure == Failure.CONTENT


def test_nobody_without_a_token_is_pushed_to() -> None:
    with pytest.raises(Permanent) as caught:
        PROVIDER.build(a_push("", title="T"), PRESENT)
    assert caught.value.failure == Failure.ADDRESS_DEAD


def test_what_was_taken_has_a_name() -> None:
    name = "projects/p1/messages/0:1500415314455276%31bd1c9631bd1c96"
    assert PROVIDER.classify(answer(200, {"name": name}), PRESENT) == name


def error(status: int, name: str, code: str = "", text: str = "It failed") -> dict[str, Any]:
    kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
    details = [{"@type": kind, "errorCode": code}] if code else []
    return {"error": {"code": status, "message": text, "status": name, "details": details}}


@pytest.mark.parametrize(
    ("status", "name", "code", "failure", "maybe_taken"),
    [
        (404, "NOT_FOUND", "UNREGISTERED", Failure.ADDRESS_DEAD, False),
        (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH", Failure.ADDRESS_DEAD, False),
        (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", Failure.RATE, False),
        (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", Failure.CONTENT, False),
        (400, "INVALID_ARGUMENT", "", Failure.CONTENT, False),
        (401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR", Failure.CONFIG, False),
        (401, "UNAUTHENTICATED", "", Failure.CONFIG, False),
        (403, "PERMISSION_DENIED", "", Failure.CONFIG, False),
        (404, "NOT_FOUND", "", Failure.CONFIG, False),
        (503, "UNAVAILABLE", "UNAVAILABLE", Failure.TRANSIENT, False),
        (500, "INTERNAL", "INTERNAL", Failure.TRANSIENT, True),
        (418, "NEW", "NEW", Failure.TRANSIENT, False),
    ],
)
def test_a_code_asks_for_one_thing(
    status: int, name: str, code: str, failure: Failure, maybe_taken: object
) -> None:
    read = refusal(PROVIDER, status, error(status, name, code))
    assert (read.failure, read.maybe_taken) == (failure, maybe_taken)
    assert raised(read).failure == failure


def test_a_token_that_is_none_is_given_up_though_the_argument_is_blamed() -> None:
    text = "The registration token is not a valid FCM registration token"
    read = refusal(PROVIDER, 400, error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", text))
    assert read.failure == Failure.ADDRESS_DEAD


def test_a_quota_is_waited_for() -> None:
    body = error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
    assert refusal(PROVIDER, 429, body, retry_after="17").retry_after_ms == 17_000
    assert refusal(PROVIDER, 429, body).retry_after_ms == 60_000


@pytest.mark.parametrize("status", [200, 302, 400, 401, 404, 429, 500, 503, 504])
def test_an_answer_that_can_not_be_read_passes(status: int) -> None:
    for body in UNREADABLE:
        read = refusal(PROVIDER, status, body)
        assert read.failure in PASSING
        assert read.maybe_taken == (status in (200, 500, 504))


def test_a_token_is_asked_for_by_a_signed_statement() -> None:
    request = ask_token(ACCOUNT, datetime.now(UTC))
    assert request.url == "https://oauth2.googleapis.com/token"
    form = parse_qs(request.body.decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    [assertion] = form["assertion"]
    stated = jwt.decode(
        assertion, PUBLIC, ["RS256"], audience="https://oauth2.googleapis.com/token"
    )
    assert stated["iss"] == "n@p1.iam.gserviceaccount.com"
    assert stated["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
    assert stated["exp"] - stated["iat"] == 3_600
    assert jwt.get_unverified_header(assertion)["kid"] == "k1"


def test_a_token_is_good_for_as_long_as_it_says() -> None:
    given = {"access_token": "ya29", "expires_in": 3599, "token_type": "Bearer"}
    assert read_token(answer(200, given), PRESENT) == Token("ya29", START + 3_599_000)


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (400, {"error": "invalid_grant", "error_description": "Invalid JWT"}, Failure.CONFIG),
        (401, {"error": "invalid_client"}, Failure.CONFIG),
        (503, b"", Failure.TRANSIENT),
        (500, {"error": {"code": 500}}, Failure.TRANSIENT),
        (429, b"", Failure.RATE),
        *((200, body, Failure.TRANSIENT) for body in UNREADABLE),
    ],
)
def test_without_a_token_nothing_was_sent(status: int, body: object, failure: Failure) -> None:
    with pytest.raises(Temporary) as caught:
        read_token(answer(status, body), PRESENT)
    assert caught.value.failure == failure
    assert not caught.value.maybe_taken


class Office:
    """Gives out tokens one after another, when it is let."""

    def __init__(self) -> None:
        self.given = 0
        self.open = asyncio.Event()
        self.now = PRESENT
        self.fails = False
        self.keeper = TokenKeeper(self.fetch, lambda: self.now)

    async def fetch(self) -> Token:
        await self.open.wait()
        self.given += 1
        if self.fails:
            raise Temporary("closed")
        return Token(f"t{self.given}", int(self.now.timestamp()) * 1_000 + HOUR_MS)


async def test_many_wait_for_one_token_and_giving_up_takes_it_from_nobody() -> None:
    office = Office()
    waiting = [asyncio.create_task(office.keeper.give()) for _ in range(50)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    office.open.set()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(told[0], asyncio.CancelledError)
    assert set(told[1:]) == {"t1"}
    assert office.given == 1


async def test_a_token_is_renewed_before_it_ends_or_when_it_is_refused() -> None:
    office = Office()
    office.open.set()
    assert await office.keeper.give() == "t1"
    office.now = datetime.fromtimestamp(START / 1_000 + 54 * 60, UTC)
    assert await office.keeper.give() == "t1"
    office.now = datetime.fromtimestamp(START / 1_000 + 56 * 60, UTC)
    assert await office.keeper.give() == "t2"
    office.keeper.forget("t1")
    assert await office.keeper.give() == "t2"
    office.keeper.forget("t2")
    assert await office.keeper.give() == "t3"


async def test_a_token_that_could_not_be_had_is_asked_for_again() -> None:
    office = Office()
    office.open.set()
    office.fails = True
    with pytest.raises(Temporary):
        await office.keeper.give()
    office.fails = False
    assert await office.keeper.give() == "t2"
    await office.keeper.close()


def workshop() -> Workshop:
    return Workshop(Inbox(None, lambda: START), None, Wire())


def test_credentials_are_json_or_the_path_of_it(tmp_path: Path) -> None:
    text = msgspec.json.encode(ACCOUNT).decode()
    (tmp_path / "account.json").write_text(text)
    for credentials in (text, str(tmp_path / "account.json")):
        assert ADAPTER.build("push", FcmSettings(credentials), workshop()) is not None


@pytest.mark.parametrize(
    "credentials",
    ["", "/nowhere/account.json", "{}", '{"client_email": "a", "private_key": "b"}', "{" * 9_999],
)
def test_credentials_that_are_none_are_said_to(credentials: str) -> None:
    with pytest.raises(ProgramError) as caught:
        ADAPTER.build("push", FcmSettings(credentials), workshop())
    assert caught.value.problems[0].path == "credentials"


def test_a_key_of_one_line_gets_its_lines_back() -> None:
    assert read_key(PEM.strip().replace("\n", "\\n")) == PEM.strip()
