"""Push to Apple's devices: requests, the token, and what each reason asks for."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from actors.ports import Permanent
from adapters.channels.adapter import Workshop
from adapters.channels.apns import ADAPTER, REASONS, ApnsProvider, ApnsSettings
from adapters.channels.provider import PASSING
from adapters.channels.wire import Request, Wire
from adapters.inbox import Inbox
from engine.errors import ProgramError
from engine.events import Failure
from tests.outgoing import START
from tests.pushes import HOUR_MS, PRESENT, UNREADABLE, a_push, answer, decoded, raised, refusal

KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
SETTINGS = ApnsSettings(PEM, "KEYID12345", "TEAMID1234", "com.example.app")
PROVIDER = ApnsProvider(SETTINGS)


def request(address: str = "tok1", **content: str | int | None) -> Request:
    return PROVIDER.build(a_push(address, **content), PRESENT)


def test_a_request_is_that_of_a_library_in_use() -> None:
    made = request(
        title="Hi", body="B", badge="1", data_m="msg-1", collapse_key="cart", expires_at=START
    )
    headers = dict(made.headers)
    assert made.method == "POST"
    assert made.url == "https://api.push.apple.com/3/device/tok1"
    assert UUID(headers.pop("apns-id")).version == 5
    assert headers.pop("authorization").startswith("bearer ey")
    assert headers == {
        "apns-topic": "com.example.app",
        "apns-expiration": str(START // 1_000),
        "apns-priority": "5",
        "apns-collapse-id": "cart",
        "apns-push-type": "alert",
    }
    assert decoded(made.body) == {
        "aps": {"alert": {"title": "Hi", "body": "B"}, "badge": 1},
        "m": "msg-1",
        "message_id": "m_0123456789abcdef01234567",
    }


def test_a_message_that_is_sent_again_is_known_again() -> None:
    first, second = request(title="T"), request(title="T")
    assert first == second
    assert first.headers["apns-collapse-id"] == "m_0123456789abcdef01234567"
    assert "apns-expiration" not in first.headers


def test_what_shows_nothing_goes_in_silence_and_is_never_urgent() -> None:
    made = request(data_sync="cart", data_aps="{}", priority="high", sound="default")
    assert made.headers["apns-push-type"] == "background"
    assert made.headers["apns-priority"] == "5"
    assert decoded(made.body)["aps"] == {"content-available": 1}
    assert request(title="T", priority="high").headers["apns-priority"] == "10"


def test_media_is_for_the_app_to_fetch() -> None:
    made: dict[str, Any] = decoded(
        request(title="T", media_url="https://x.example/a.png", thread="cart", category="c").body
    )
    assert made["media_url"] == "https://x.example/a.png"
    assert made["aps"] == {
        "alert": {"title": "T"},
        "thread-id": "cart",
        "category": "c",
        "mutable-content": 1,
    }


def test_the_statement_of_who_we_are_is_signed_and_used_for_a_while() -> None:
    provider = ApnsProvider(SETTINGS)

    def token(minutes: int) -> str:
        at = PRESENT + timedelta(minutes=minutes)
        return provider.build(a_push("tok1", title="T"), at).headers["authorization"]

    first = token(0)
    text = first.removeprefix("bearer ")
    stated = jwt.decode(text, PUBLIC, ["ES256"], options={"verify_iat": False})
    assert stated == {"iss": "TEAMID1234", "iat": START // 1_000}
    assert jwt.get_unverified_header(text) == {"alg": "ES256", "kid": "KEYID12345", "typ": "JWT"}
    assert token(39) == first
    assert token(40) != first
    assert token(-1) != token(40)  # the clock was set back


def test_a_token_that_is_refused_is_renewed_and_not_too_often() -> None:
    provider = ApnsProvider(SETTINGS)
    send = a_push("tok1", title="T")
    expired = answer(403, {"reason": "ExpiredProviderToken"})
    first = provider.build(send, PRESENT).headers["authorization"]
    provider.classify(expired, PRESENT + timedelta(minutes=19))
    assert provider.build(send, PRESENT).headers["authorization"] == first
    provider.classify(expired, PRESENT + timedelta(minutes=20))
    later = PRESENT + timedelta(minutes=20)
    assert provider.build(send, later).headers["authorization"] != first


@pytest.mark.parametrize("address", ["", "tok/1", "tok 1", "../x", "é", "a" * 401])
def test_what_is_no_token_is_given_up(address: str) -> None:
    with pytest.raises(Permanent) as caught:
        request(address, title="T")
    assert caught.value.failure == Failure.ADDRESS_DEAD


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"subject": "x"},
        {"body": "\ud800"},
        {"body": "x" * 4_096},
        {"body": "x", "collapse_key": "é"},
        {"body": "x", "collapse_key": "a\nb"},
        {"body": "x", "collapse_key": "x" * 65},
    ],
)
def test_what_can_not_be_said_is_the_authors_to_mend(content: dict[str, str]) -> None:
    with pytest.raises(Permanent) as caught:
        request(**content)
    assert caught.value.failure == Failure.CONTENT


def test_as_much_is_taken_as_fits() -> None:
    spare = 4_096 - len(request(body="x").body) + 1
    assert len(request(body="x" * spare).body) == 4_096
    with pytest.raises(Permanent):
        request(body="x" * (spare + 1))


def test_what_was_taken_has_the_id_we_gave_it() -> None:
    name = "eabeae54-14a8-11e5-b60b-1697f925ec7b"
    assert PROVIDER.classify(answer(200, b"", apns_id=name), PRESENT) == name


@pytest.mark.parametrize(
    ("status", "reason", "failure"),
    [
        (410, "Unregistered", Failure.ADDRESS_DEAD),
        (410, "ExpiredToken", Failure.ADDRESS_DEAD),
        (400, "BadDeviceToken", Failure.ADDRESS_DEAD),
        (400, "DeviceTokenNotForTopic", Failure.ADDRESS_DEAD),
        (429, "TooManyRequests", Failure.RATE),
        (429, "TooManyProviderTokenUpdates", Failure.RATE),
        (500, "InternalServerError", Failure.TRANSIENT),
        (503, "ServiceUnavailable", Failure.TRANSIENT),
        (503, "Shutdown", Failure.TRANSIENT),
        (403, "InvalidProviderToken", Failure.CONFIG),
        (403, "ExpiredProviderToken", Failure.CONFIG),
        (400, "BadTopic", Failure.CONFIG),
        (400, "TopicDisallowed", Failure.CONFIG),
        (413, "PayloadTooLarge", Failure.CONTENT),
        (400, "BadCollapseId", Failure.CONTENT),
    ],
)
def test_a_reason_asks_for_one_thing(status: int, reason: str, failure: Failure) -> None:
    read = refusal(PROVIDER, status, {"reason": reason, "timestamp": 1454948015990})
    assert (read.failure, read.code, read.maybe_taken) == (failure, reason, False)
    assert raised(read).failure == failure


def test_every_reason_is_listed_once() -> None:
    assert len(REASONS) == 32


@pytest.mark.parametrize("status", [302, 400, 403, 410, 429, 500, 503])
def test_an_answer_that_can_not_be_read_passes(status: int) -> None:
    for body in (*UNREADABLE, b'{"reason": "SomethingNew"}'):
        read = refusal(PROVIDER, status, body)
        assert read.failure in PASSING
        assert read.maybe_taken == (status == 500)


@pytest.mark.parametrize("key", ["", "/nowhere/AuthKey.p8", "-----BEGIN PRIVATE KEY-----\nx"])
def test_a_key_that_is_none_is_said_to(key: str) -> None:
    settings = ApnsSettings(key, "k", "t", "com.example.app")
    workshop = Workshop(Inbox(None, lambda: START), None, Wire())
    with pytest.raises(ProgramError) as caught:
        ADAPTER.build("push", settings, workshop)
    assert caught.value.problems[0].path == "key"


def test_a_push_that_ends_is_not_kept_beyond_that() -> None:
    made = request(title="T", expires_at=START + HOUR_MS)
    assert made.headers["apns-expiration"] == str((START + HOUR_MS) // 1_000)
