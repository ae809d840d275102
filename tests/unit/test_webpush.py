"""Push to browsers: what push services see, what only the browser can read, and their answers."""

import json
from base64 import urlsafe_b64encode
from typing import Any

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
from adapters.channels.vendors import load
from adapters.channels.webpush import (
    ADAPTER,
    PAYLOAD_BYTES_MAX,
    WebPushProvider,
    WebPushSettings,
)
from adapters.channels.wire import Request, Wire
from adapters.inbox import Inbox
from engine.errors import ProgramError
from engine.events import Failure
from tests.outgoing import START
from tests.pushes import HOUR_MS, PRESENT, UNREADABLE, a_push, answer, raised, refusal

BROWSER = ec.generate_private_key(ec.SECP256R1())
AUTH = b"0123456789abcdef"
SITE = ec.generate_private_key(ec.SECP256R1())
PEM = SITE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
RAW = SITE.private_numbers().private_value.to_bytes(32, "big")


def encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def subscribed(endpoint: str = "https://push.example/push/abc", **changes: str) -> str:
    keys = {"p256dh": encoded(point(BROWSER)), "auth": encoded(AUTH), **changes}
    return json.dumps({"endpoint": endpoint, "expirationTime": None, "keys": keys})


PROVIDER = WebPushProvider(WebPushSettings(encoded(RAW), "mailto:ops@example.com"))


def request(address: str | None = None, **content: str | int | None) -> Request:
    address = subscribed() if address is None else address
    return PROVIDER.build(a_push(address, **content), PRESENT)


def opened(made: Request) -> dict[str, Any]:
    """Read a push as the browser does."""
    text = load("http_ece").decrypt(
        made.body, private_key=BROWSER, auth_secret=AUTH, version="aes128gcm"
    )
    read: dict[str, Any] = json.loads(text)
    return read


def test_a_request_has_the_headers_of_a_library_in_use() -> None:
    made = request(title="T", collapse_key="cart", expires_at=START + HOUR_MS)
    headers = dict(made.headers)
    assert (made.method, made.url) == ("POST", "https://push.example/push/abc")
    assert made.is_guarded
    scheme, _, signed = headers.pop("authorization").partition(" ")
    token, _, key = signed.removeprefix("t=").partition(",k=")
    assert (scheme, key) == ("vapid", encoded(point(SITE)))
    stated = jwt.decode(
        token, SITE.public_key(), ["ES256"], options={"verify_aud": False, "verify_exp": False}
    )
    assert stated == {
        "aud": "https://push.example",
        "exp": START // 1_000 + 12 * 3_600,
        "sub": "mailto:ops@example.com",
    }
    assert headers == {
        "content-encoding": "aes128gcm",
        "content-type": "application/octet-stream",
        "topic": "cart",
        "ttl": "3600",
        "urgency": "normal",
    }


def test_only_the_browser_reads_what_is_in_it() -> None:
    made = request(
        title="Olá ✓", body="B", link="https://x.example", media_url="https://x.example/i.png",
        data_cart="77",
    )  # fmt: skip
    assert "Olá".encode() not in made.body
    assert opened(made) == {
        "title": "Olá ✓",
        "body": "B",
        "url": "https://x.example",
        "image": "https://x.example/i.png",
        "tag": "m_0123456789abcdef01234567",
        "message_id": "m_0123456789abcdef01234567",
        "data": {"cart": "77"},
    }


def test_a_message_that_is_sent_again_waits_once() -> None:
    topics = {request(title="T").headers["topic"] for _ in range(2)}
    assert topics == {"m_0123456789abcdef01234567"}
    [hashed] = {request(title="T", collapse_key="cart of Zoe!").headers["topic"] for _ in range(2)}
    assert len(hashed) == 32
    assert hashed.replace("-", "").replace("_", "").isalnum()


def test_how_long_and_how_urgent_is_the_authors_word() -> None:
    assert request(title="T").headers["ttl"] == "2419200"
    assert request(title="T", expires_at=START - 1).headers["ttl"] == "0"
    assert request(title="T", priority="high").headers["urgency"] == "high"
    assert request(title="T", urgency="very-low").headers["urgency"] == "very-low"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "https://push.example/push/abc",
        "{}",
        '{"endpoint": "https://push.example/"}',
        subscribed("not a url"),
        subscribed("file:///etc/passwd"),
        subscribed("https://[::bad/"),
        subscribed(p256dh="AAAA"),
        subscribed(p256dh=encoded(b"\x04" + b"\x01" * 64)),  # no point of the curve
        subscribed(p256dh="é"),
        subscribed(auth="AAAA"),
        subscribed(auth=""),
    ],
)
def test_what_is_no_subscription_is_given_up(address: str) -> None:
    with pytest.raises(Permanent) as caught:
        request(address, title="T")
    assert caught.value.failure == Failure.ADDRESS_DEAD


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"subject": "x"},
        {"body": "\ud800"},
        {"body": "x" * PAYLOAD_BYTES_MAX},
        {"body": "x", "urgency": "much"},
        {"body": "x", "collapse_key": "é"},
    ],
)
def test_what_can_not_be_said_is_the_authors_to_mend(content: dict[str, str]) -> None:
    with pytest.raises(Permanent) as caught:
        request(**content)
    assert caught.value.failure == Failure.CONTENT


def test_the_longest_push_fits_into_what_services_must_take() -> None:
    spare = PAYLOAD_BYTES_MAX - (len(request(body="x").body) - 86 - 17) + 1
    longest = request(body="x" * spare)
    assert len(longest.body) == 4_096
    assert len(opened(longest)["body"]) == spare
    with pytest.raises(Permanent):
        request(body="x" * (spare + 1))


def test_what_was_taken_is_known_by_where_it_is_kept() -> None:
    kept = answer(201, b"", location="https://push.example/m/1")
    assert PROVIDER.classify(kept, PRESENT) == "https://push.example/m/1"
    assert PROVIDER.classify(answer(201), PRESENT) == ""


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (404, Failure.ADDRESS_DEAD),
        (410, Failure.ADDRESS_DEAD),
        (413, Failure.CONTENT),
        (400, Failure.CONTENT),
        (401, Failure.CONFIG),
        (403, Failure.CONFIG),
        (302, Failure.CONFIG),
        (429, Failure.RATE),
        (500, Failure.TRANSIENT),
        (503, Failure.TRANSIENT),
    ],
)
def test_a_status_asks_for_one_thing_whatever_is_said_with_it(
    status: int, failure: Failure
) -> None:
    for body in UNREADABLE:
        read = refusal(PROVIDER, status, body, retry_after="7")
        assert read.failure == failure
        assert read.maybe_taken == (status == 500)
        assert read.retry_after_ms == 7_000
        assert raised(read).failure == failure


@pytest.mark.parametrize("key", [encoded(RAW), PEM, PEM.strip().replace("\n", "\\n")])
def test_the_key_of_a_site_is_read_as_it_is_given(key: str) -> None:
    provider = WebPushProvider(WebPushSettings(key, "https://example.com"))
    assert provider.vapid.public_key == encoded(point(SITE))


OTHER_CURVE = (
    ec.generate_private_key(ec.SECP384R1())
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode()
)


@pytest.mark.parametrize("key", ["", "é", "AAAA", encoded(b"\0" * 32), "/nowhere", OTHER_CURVE])
def test_a_key_that_is_none_is_said_to(key: str) -> None:
    workshop = Workshop(Inbox(None, lambda: START), None, Wire())
    with pytest.raises(ProgramError) as caught:
        ADAPTER.build("push", WebPushSettings(key, "mailto:a@example.com"), workshop)
    assert caught.value.problems[0].path == "private_key"
