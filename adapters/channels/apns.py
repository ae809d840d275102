"""Push to Apple's devices by the Apple Push Notification service, with a token of our own.

Source: developer.apple.com, "Sending notification requests to APNs", "Establishing a token-based
connection to APNs" and "Handling notification responses from APNs".

*Rules*
- Nobody tells what became of a push: the app does, by the `message_id` beside `aps`.
- A message that is sent again has the same `apns-id`, and takes the place of the first on the
  device: its collapse id is the message, unless its content names another.
- A token is used for 40 minutes: Apple refuses those over an hour, and new ones within 20 minutes.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from adapters.channels.adapter import Adapter, Workshop
from adapters.channels.answers import (
    find_collapse_key,
    find_data,
    is_urgent,
    judge_status,
    pick,
    read_badge,
    read_json,
    read_pause,
    refuse_address,
    refuse_content,
)
from adapters.channels.bodies import write_json
from adapters.channels.http2 import Http2Wire
from adapters.channels.provider import HttpChannel, Refusal
from adapters.channels.tokens import read_key
from adapters.channels.vendors import load
from adapters.channels.wire import Reply, Request
from engine.effects import Send
from engine.errors import Problem, ProgramError
from engine.events import Failure
from engine.ids import stable_hash
from engine.instants import MINUTE_MS, SECOND_MS

PAYLOAD_BYTES_MAX = 4_096
_TOKEN_MS_MAX, _TOKEN_MS_MIN = 40 * MINUTE_MS, 20 * MINUTE_MS
_DEVICE = re.compile(r"[0-9A-Za-z_-]{1,400}")  # hexadecimal today; its length is not promised

_BY_FAILURE: Mapping[Failure, tuple[str, ...]] = {
    Failure.ADDRESS_DEAD: (
        "BadDeviceToken",
        "DeviceTokenNotForTopic",
        "MissingDeviceToken",
        "Unregistered",
        "ExpiredToken",
    ),
    Failure.CONTENT: (
        "BadCollapseId",
        "BadExpirationDate",
        "BadMessageId",
        "BadPriority",
        "InvalidPushType",
        "PayloadEmpty",
        "PayloadTooLarge",
    ),
    Failure.CONFIG: (
        "BadTopic",
        "MissingTopic",
        "TopicDisallowed",
        "BadCertificate",
        "BadCertificateEnvironment",
        "BadEnvironmentKeyIdInToken",
        "ExpiredProviderToken",
        "Forbidden",
        "InvalidProviderToken",
        "MissingProviderToken",
        "UnrelatedKeyIdInToken",
        "BadPath",
        "MethodNotAllowed",
        "DuplicateHeaders",
    ),
    Failure.RATE: ("TooManyRequests", "TooManyProviderTokenUpdates"),
    Failure.TRANSIENT: ("IdleTimeout", "InternalServerError", "ServiceUnavailable", "Shutdown"),
}
REASONS = {reason: failure for failure, reasons in _BY_FAILURE.items() for reason in reasons}

Part = dict[str, Any]


class ApnsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`key` is what Apple gives as a .p8 file, or its path; `topic` is the app's bundle id."""

    key: str
    key_id: str
    team_id: str
    topic: str
    url: str = "https://api.push.apple.com"


class ProviderToken:
    """Says who we are, in a signed statement that is used for a while."""

    def __init__(self, settings: ApnsSettings) -> None:
        self._key = read_key(settings.key)
        self._key_id = settings.key_id
        self._team_id = settings.team_id
        self._text = ""
        self._made_at = 0

    def give(self, present: datetime) -> str:
        """Give a token that Apple takes now."""
        now = int(present.timestamp() * SECOND_MS)
        if not self._text or not 0 <= now - self._made_at < _TOKEN_MS_MAX:
            stated = {"iss": self._team_id, "iat": now // SECOND_MS}
            named = {"kid": self._key_id}
            self._text = load("jwt").encode(stated, self._key, "ES256", headers=named)
            self._made_at = now
        return self._text

    def doubt(self, present: datetime) -> None:
        """Make another one next time, where that would not be one too many."""
        if int(present.timestamp() * SECOND_MS) - self._made_at >= _TOKEN_MS_MIN:
            self._text = ""


class ApnsProvider:
    """Writes notifications as APNs takes them, and reads what it answers."""

    def __init__(self, settings: ApnsSettings) -> None:
        self._url = f"{settings.url.rstrip('/')}/3/device/"
        self._topic = settings.topic
        self._token = ProviderToken(settings)

    def build(self, send: Send, present: datetime) -> Request:
        """Ask for a notification on one device."""
        if _DEVICE.fullmatch(send.address) is None:
            raise refuse_address("it is no device token")
        payload, is_silent = write_payload(send)
        headers = {
            "apns-id": str(UUID(bytes=stable_hash("apns", send.message_id, size=16), version=5)),
            "apns-topic": self._topic,
            # In silence nothing may be urgent: Apple would refuse it.
            "apns-priority": "10" if is_urgent(send) and not is_silent else "5",
            "apns-push-type": "background" if is_silent else "alert",
            "apns-collapse-id": find_collapse_key(send),
            "authorization": f"bearer {self._token.give(present)}",
        }
        if send.expires_at is not None:
            headers["apns-expiration"] = str(max(send.expires_at // SECOND_MS, 0))
        return Request("POST", self._url + send.address, headers, payload)

    def classify(self, reply: Reply, present: datetime) -> str | Refusal:
        """Read the notification's id, or the reason it was refused for."""
        if reply.is_success:
            return reply.headers.get("apns-id", "")
        answer = read_json(reply.body, _Refused)
        failure = REASONS.get(answer.reason) if answer is not None else None
        if answer is None or failure is None:
            return judge_status(reply, present)
        if answer.reason == "ExpiredProviderToken":
            self._token.doubt(present)
        return Refusal(
            failure,
            answer.reason,
            f"Apple did not take the message ({answer.reason})",
            retry_after_ms=read_pause(reply, present),
        )


def write_payload(send: Send) -> tuple[bytes, bool]:
    """Write what is shown and what the app is told; also says whether nothing is shown."""
    content = send.content
    alert = pick(content, {"title": "title", "subtitle": "subtitle", "body": "body"})
    told = {
        **find_data(send),
        **pick(content, {"link": "link", "media_url": "media_url"}),
        "message_id": send.message_id,
    }
    if not alert and len(told) == 1:
        raise refuse_content("there is no `title`, `body` or `data_…` in its content")
    aps: Part = {"alert": alert} if alert else {"content-available": 1}
    if alert:
        aps |= pick(content, {"sound": "sound", "category": "category", "thread-id": "thread"})
        if content.get("media_url"):
            aps["mutable-content"] = 1  # the app's extension fetches it before it is shown
    payload = write_json({**told, "aps": aps | read_badge(content)})
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise refuse_content(f"it has {len(payload)} bytes, and {PAYLOAD_BYTES_MAX} are taken")
    return payload, not alert


def build_channel(_name: str, settings: ApnsSettings, _workshop: Workshop) -> HttpChannel:
    """Make the channel. Raises ProgramError where the key is none."""
    try:
        provider = ApnsProvider(settings)
        load("jwt").encode({}, read_key(settings.key), "ES256")
    except (ValueError, TypeError, load("jwt").PyJWTError) as error:
        hint = "what Apple gives as AuthKey_….p8, or the path of that file"
        raise ProgramError([Problem("key", f"this is no key: {error}", hint)]) from None
    return HttpChannel(provider, Http2Wire())


class _Refused(msgspec.Struct, frozen=True):
    reason: str


ADAPTER = Adapter(
    ApnsSettings,
    build_channel,
    {
        "key": "NEXTBEAT_APNS_KEY",
        "key_id": "NEXTBEAT_APNS_KEY_ID",
        "team_id": "NEXTBEAT_APNS_TEAM_ID",
        "topic": "NEXTBEAT_APNS_TOPIC",
        "url": "NEXTBEAT_APNS_URL",
    },
    secrets=("key",),
)
