"""Push to browsers: encrypted for one subscription, and signed with the key of the site.

Source: RFC 8030 (Web Push), RFC 8188 and 8291 (the encryption), RFC 8292 (VAPID).

*Rules*
- An address is the subscription that the browser made, as JSON: an endpoint and two keys. Endpoints
  come from customers, so only public ones are called.
- The browser's push service sees the urgency, the topic and how long a push is of use, and nothing
  else of it. What is shown is up to the site's service worker.
- What waits for a device is replaced by what has the same topic: a message sent twice waits once.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Any

import msgspec
from yarl import URL

from adapters.channels.adapter import Adapter, Workshop
from adapters.channels.answers import (
    find_collapse_key,
    find_data,
    is_urgent,
    judge_status,
    pick,
    read_json,
    read_pause,
    refuse_address,
    refuse_content,
)
from adapters.channels.bodies import write_json
from adapters.channels.egress import EgressError, check_url
from adapters.channels.provider import HttpChannel, Refusal
from adapters.channels.tokens import read_key
from adapters.channels.vendors import load
from adapters.channels.wire import Reply, Request
from engine.effects import Send
from engine.errors import Problem, ProgramError
from engine.events import Failure
from engine.ids import stable_hash
from engine.instants import DAY_MS, SECOND_MS

# A body has 4096 bytes: a header with a key in it (86), the seal (16) and one byte of padding.
PAYLOAD_BYTES_MAX = 4_096 - 86 - 16 - 1
_KEY_BYTES, _AUTH_BYTES, _POINT_BYTES = 32, 16, 65
_SIGNED_S = 12 * 3_600  # at most a day is allowed
_TTL_MS_MAX = 28 * DAY_MS
_TOPIC_LENGTH_MAX = 32
_ID_LENGTH_MAX = 200
_URGENCIES = ("very-low", "low", "normal", "high")
_FAILURES = {
    400: Failure.CONTENT,
    401: Failure.CONFIG,
    403: Failure.CONFIG,  # the subscription was made with another key
    404: Failure.ADDRESS_DEAD,
    410: Failure.ADDRESS_DEAD,
    413: Failure.CONTENT,
}


class WebPushSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`private_key` is the VAPID key: 32 bytes in base64url, or PEM, or the path of that file.

    `subject` is how push services reach the site's owner: `mailto:…` or a page. `allow_private` is
    for development: it lifts the check of where endpoints are.
    """

    private_key: str
    subject: str
    allow_private: bool = False

    def __post_init__(self) -> None:
        """Refuse what push services would refuse."""
        if not self.subject.startswith(("mailto:", "https://")):
            raise ValueError("subject must be like mailto:ops@example.com, or begin with https://")


class Subscription(msgspec.Struct, frozen=True):
    """What a browser gives a site: where to push, and how to encrypt."""

    endpoint: str
    keys: "SubscriptionKeys"


class SubscriptionKeys(msgspec.Struct, frozen=True):
    """The browser's public key and a secret, in base64url."""

    p256dh: str
    auth: str


class Vapid:
    """The key of a site, which browsers were told when they subscribed."""

    def __init__(self, settings: WebPushSettings) -> None:
        """Raises ValueError where the key is none."""
        self._subject = settings.subject
        self._key: Any = _read_vapid(settings.private_key)
        point = self._key.public_key().public_numbers()
        self.public_key = _encode(
            b"\x04" + point.x.to_bytes(_KEY_BYTES, "big") + point.y.to_bytes(_KEY_BYTES, "big")
        )

    def sign(self, endpoint: URL, present: datetime) -> str:
        """Say to one push service who we are."""
        stated = {
            "aud": str(endpoint.origin()),
            "exp": int(present.timestamp()) + _SIGNED_S,
            "sub": self._subject,
        }
        token = load("jwt").encode(stated, self._key, "ES256")
        return f"vapid t={token},k={self.public_key}"


class WebPushProvider:
    """Writes pushes for browsers, and reads what their push services answer."""

    def __init__(self, settings: WebPushSettings) -> None:
        self.vapid = Vapid(settings)
        self._is_guarded = not settings.allow_private

    def build(self, send: Send, present: datetime) -> Request:
        """Ask for a push; what is in it can be read by that browser only."""
        subscription, endpoint = read_subscription(send.address)
        if self._is_guarded:
            _check_place(endpoint)
        body = encrypt(subscription, write_payload(send))
        content = send.content
        urgency = content.get("urgency") or ("high" if is_urgent(send) else "normal")
        if urgency not in _URGENCIES:
            raise refuse_content(f"`urgency` is none of {', '.join(_URGENCIES)}")
        headers = {
            "authorization": self.vapid.sign(endpoint, present),
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(_time_left(send.expires_at, present)),
            "urgency": urgency,
            "topic": _write_topic(find_collapse_key(send)),
        }
        return Request("POST", str(endpoint), headers, body, is_guarded=self._is_guarded)

    def classify(self, reply: Reply, present: datetime) -> str | Refusal:
        """Read where the push is kept, or what its status means."""
        if reply.is_success:
            return reply.headers.get("location", "")[:_ID_LENGTH_MAX]
        failure = _FAILURES.get(reply.status)
        if failure is None:
            return judge_status(reply, present)
        return Refusal(
            failure,
            str(reply.status),
            f"the push service answered {reply.status}",
            retry_after_ms=read_pause(reply, present),
        )


def read_subscription(address: str) -> tuple[Subscription, URL]:
    """Read what a browser gave the site. Raises Permanent where it is no subscription."""
    subscription = read_json(address.encode("utf-8", "replace"), Subscription)
    if subscription is None:
        raise refuse_address("it is no subscription of a browser, as JSON")
    try:
        endpoint = URL(subscription.endpoint)
        is_url = endpoint.scheme in ("https", "http") and bool(endpoint.host)
        point = _decode(subscription.keys.p256dh)
        is_key = len(point) == _POINT_BYTES and len(_decode(subscription.keys.auth)) == _AUTH_BYTES
    except ValueError:
        endpoint, is_url, is_key = URL(), False, False
    if not (is_url and is_key):
        raise refuse_address("its endpoint is no URL, or its keys are none")
    return subscription, endpoint


def _check_place(endpoint: URL) -> None:
    """Give up an endpoint that can't be public; what a name leads to, the wire finds out."""
    try:
        check_url(str(endpoint))
    except EgressError as error:
        raise refuse_address(str(error)) from None


def encrypt(subscription: Subscription, payload: bytes) -> bytes:
    """Seal a payload for a browser. Raises Permanent where its key is no point of the curve."""
    pywebpush = load("pywebpush")
    try:
        pusher = pywebpush.WebPusher(msgspec.to_builtins(subscription))
        return bytes(pusher.encode(payload, "aes128gcm")["body"])
    except (ValueError, pywebpush.WebPushException):
        raise refuse_address("its key is none") from None


def write_payload(send: Send) -> bytes:
    """Write what the site's service worker is given."""
    content = send.content
    names = {"title": "title", "body": "body", "image": "media_url", "icon": "icon", "url": "link"}
    payload: dict[str, Any] = pick(content, names)
    data = find_data(send)
    if not payload and not data:
        raise refuse_content("there is no `title`, `body` or `data_…` in its content")
    payload |= {"tag": find_collapse_key(send), "message_id": send.message_id, "data": data}
    written = write_json(payload)
    if len(written) > PAYLOAD_BYTES_MAX:
        raise refuse_content(f"it has {len(written)} bytes, and {PAYLOAD_BYTES_MAX} are taken")
    return written


def _write_topic(key: str) -> str:
    """Write a topic: at most 32 characters of base64url, so what is none is hashed."""
    if len(key) <= _TOPIC_LENGTH_MAX and key.replace("-", "").replace("_", "").isalnum():
        return key
    return _encode(stable_hash("topic", key, size=24))


def _time_left(expires_at: int | None, present: datetime) -> int:
    """Tell for how many seconds a push is of use."""
    if expires_at is None:
        return _TTL_MS_MAX // SECOND_MS
    left_ms = expires_at - int(present.timestamp() * SECOND_MS)
    return min(max(left_ms, 0), _TTL_MS_MAX) // SECOND_MS


def _read_vapid(text: str) -> Any:  # noqa: ANN401 - a key, of a library that is loaded late
    text = text.strip()
    try:
        raw = _decode(text)
    except ValueError:
        raw = b""
    if len(raw) == _KEY_BYTES:
        ec = load("cryptography.hazmat.primitives.asymmetric.ec")
        return ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1())
    serialization = load("cryptography.hazmat.primitives.serialization")
    key = serialization.load_pem_private_key(read_key(text).encode(), None)
    if getattr(getattr(key, "curve", None), "name", "") != "secp256r1":
        raise ValueError("it is no key of the curve P-256")
    return key


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))


def build_channel(_name: str, settings: WebPushSettings, workshop: Workshop) -> HttpChannel:
    """Make the channel. Raises ProgramError where the key is none."""
    try:
        provider = WebPushProvider(settings)
    except (ValueError, TypeError) as error:
        hint = "32 bytes in base64url, as `web-push generate-vapid-keys` gives, or PEM"
        raise ProgramError([Problem("private_key", f"this is no key: {error}", hint)]) from None
    return HttpChannel(provider, workshop.wire)


ADAPTER = Adapter(
    WebPushSettings,
    build_channel,
    {
        "private_key": "NEXTBEAT_WEBPUSH_PRIVATE_KEY",
        "subject": "NEXTBEAT_WEBPUSH_SUBJECT",
    },
    secrets=("private_key",),
)
