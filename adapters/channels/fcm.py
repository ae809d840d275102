"""Push to Android, iOS and browsers by Firebase Cloud Messaging, HTTP v1.

Source: firebase.google.com, "FCM HTTP v1 API", `projects.messages` and "FCM error codes";
developers.google.com, "Using OAuth 2.0 for server to server applications" for the token.

*Rules*
- Nobody tells what became of a push: the app does, by the `message_id` among its data.
- A message that is sent twice takes the place of the first on the device (its tag is the same).
- The token of the account is fetched once for an hour, however many messages wait for it.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec

from actors.ports import Temporary
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
from adapters.channels.bodies import FORM, write_json
from adapters.channels.provider import Refusal
from adapters.channels.tokens import Token, TokenKeeper, read_key
from adapters.channels.vendors import load
from adapters.channels.wire import Reply, Request, Wire
from engine.effects import Send
from engine.errors import Problem, ProgramError
from engine.events import Failure
from engine.instants import DAY_MS, MINUTE_MS, SECOND_MS

_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION_S = 3_600
_TTL_MS_MAX = 28 * DAY_MS
_QUOTA_PAUSE_MS = MINUTE_MS  # what Google asks for where it names no time itself
_LABEL = re.compile(r"[a-zA-Z0-9\-_.~%]{1,50}")
_SERVER_ERROR = 500
_UNAVAILABLE = 503
_CODE_LENGTH_MAX = 100

# By `errorCode` of FCM, or else by the `status` of Google's APIs.
_FAILURES: Mapping[str, Failure] = {
    "UNREGISTERED": Failure.ADDRESS_DEAD,
    "SENDER_ID_MISMATCH": Failure.ADDRESS_DEAD,
    "INVALID_ARGUMENT": Failure.CONTENT,
    "FAILED_PRECONDITION": Failure.CONTENT,
    "OUT_OF_RANGE": Failure.CONTENT,
    "QUOTA_EXCEEDED": Failure.RATE,
    "RESOURCE_EXHAUSTED": Failure.RATE,
    "THIRD_PARTY_AUTH_ERROR": Failure.CONFIG,
    "UNAUTHENTICATED": Failure.CONFIG,
    "PERMISSION_DENIED": Failure.CONFIG,
    "NOT_FOUND": Failure.CONFIG,  # without a code of FCM's it is the project that is not there
    "UNAVAILABLE": Failure.TRANSIENT,
    "INTERNAL": Failure.TRANSIENT,
    "UNSPECIFIED_ERROR": Failure.TRANSIENT,
    "DEADLINE_EXCEEDED": Failure.TRANSIENT,
    "ABORTED": Failure.TRANSIENT,
}
_BAD_TOKEN = "registration token"  # noqa: S105 - what an answer speaks of

Part = dict[str, Any]


class FcmSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`credentials` is a service account's JSON, or the path of its file."""

    credentials: str
    project: str = ""  # absent: that of the credentials
    url: str = "https://fcm.googleapis.com"


class ServiceAccount(msgspec.Struct, frozen=True):
    """What is needed of the JSON that Google gives for a service account."""

    client_email: str
    private_key: str
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
    private_key_id: str = ""
    project_id: str = ""


class FcmProvider:
    """Writes messages as FCM takes them, and reads what it answers."""

    def __init__(self, project: str, url: str) -> None:
        self._url = f"{url.rstrip('/')}/v1/projects/{project}/messages:send"

    def build(self, send: Send, present: datetime, token: str = "") -> Request:
        """Ask for a push to one device, with the token of the account."""
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "X-GOOG-API-FORMAT-VERSION": "2",
        }
        message = write_message(send, present)
        return Request("POST", self._url, headers, write_json({"message": message}))

    def classify(self, reply: Reply, present: datetime) -> str | Refusal:
        """Read the message's name, or FCM's error code."""
        if reply.is_success:
            taken = read_json(reply.body, _Taken)
            if taken is not None and taken.name:
                return taken.name
            return judge_status(reply, present)
        answer = read_json(reply.body, _Refused)
        error = answer.error if answer is not None else _Error()
        code = next((part.errorCode for part in error.details if part.errorCode), error.status)
        failure = _FAILURES.get(code)
        if failure is None:
            return judge_status(reply, present)
        if failure == Failure.CONTENT and _BAD_TOKEN in error.message:
            failure = Failure.ADDRESS_DEAD
        pause_ms = read_pause(reply, present)
        if failure == Failure.RATE and pause_ms is None:
            pause_ms = _QUOTA_PAUSE_MS
        return Refusal(
            failure,
            code,
            f"FCM did not take the message ({code})",
            retry_after_ms=pause_ms,
            maybe_taken=reply.status >= _SERVER_ERROR and reply.status != _UNAVAILABLE,
        )


class FcmChannel:
    """FCM over the wire, with the account's token."""

    def __init__(
        self,
        provider: FcmProvider,
        account: ServiceAccount,
        wire: Wire,
        present: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the account that pays; `present` is real time even where business time is not."""
        self.provider = provider
        self._account = account
        self._wire = wire
        self._present = present
        self._tokens = TokenKeeper(self._fetch, present)

    async def start(self) -> None:
        """Connections and the token are made when they are needed."""

    async def close(self) -> None:
        """Let go of connections."""
        await self._tokens.close()
        await self._wire.close()

    async def deliver(self, send: Send) -> str:
        """Ask for a message once, and give its name there."""
        token = await self._tokens.give()
        reply = await self._wire.exchange(self.provider.build(send, self._present(), token))
        answer = self.provider.classify(reply, self._present())
        if isinstance(answer, Refusal):
            if answer.code == "UNAUTHENTICATED":
                self._tokens.forget(token)
            raise answer.error()
        return answer

    async def _fetch(self) -> Token:
        try:
            reply = await self._wire.exchange(ask_token(self._account, self._present()))
        except Temporary as error:  # whatever became of the request, no message was in it
            raise Temporary(f"no token: {error}", failure=Failure.TRANSIENT) from error
        return read_token(reply, self._present())


def write_message(send: Send, present: datetime) -> Part:
    """Write a message: what is shown, what the app is told, and how long it may take."""
    content = send.content
    if not send.address:
        raise refuse_address("there is no registration token")
    shown = pick(content, {"title": "title", "body": "body", "image": "media_url"})
    data = {**find_data(send), **pick(content, {"link": "link"})}
    if not shown and not data:
        raise refuse_content("there is no `title`, `body` or `data_…` in its content")
    tag = find_collapse_key(send)
    urgent = is_urgent(send)
    android: Part = {"priority": "high" if urgent else "normal"}
    headers = {"apns-priority": "10" if urgent else "5", "apns-collapse-id": tag}
    webpush: Part = {}
    if content.get("collapse_key"):
        android["collapse_key"] = content["collapse_key"]
    if send.expires_at is not None:
        ttl_s = _time_left(send.expires_at, present)
        android["ttl"] = f"{ttl_s}s"
        headers["apns-expiration"] = str(send.expires_at // SECOND_MS)
        webpush["headers"] = {"TTL": str(ttl_s)}
    if shown:
        android["notification"] = {"tag": tag} | pick(content, {"channel_id": "android_channel"})
    if content.get("link"):
        webpush["fcm_options"] = {"link": content["link"]}
    aps = _write_aps(content, is_silent=not shown)
    message: Part = {
        "token": send.address,
        "data": {**data, "message_id": send.message_id},
        "android": android,
        "apns": {"headers": headers, "payload": {"aps": aps}},
    }
    label = content.get("label") or send.message
    if _LABEL.fullmatch(label):
        message["fcm_options"] = {"analytics_label": label}
    return (
        message
        | ({"notification": shown} if shown else {})
        | ({"webpush": webpush} if webpush else {})
    )


def _write_aps(content: Mapping[str, str], *, is_silent: bool) -> Part:
    aps: Part = {"content-available": 1} if is_silent else pick(content, {"sound": "sound"})
    return aps | read_badge(content)


def _time_left(expires_at: int, present: datetime) -> int:
    """Tell how many seconds are left: at least none, at most what FCM keeps a message."""
    left_ms = expires_at - int(present.timestamp() * SECOND_MS)
    return min(max(left_ms, 0), _TTL_MS_MAX) // SECOND_MS


def ask_token(account: ServiceAccount, present: datetime) -> Request:
    """Write the request for a token: a statement about ourselves, signed with the account's key."""
    now_s = int(present.timestamp())
    statement = {
        "iss": account.client_email,
        "scope": _SCOPE,
        "aud": account.token_uri,
        "iat": now_s,
        "exp": now_s + _ASSERTION_S,
    }
    named = {"kid": account.private_key_id} if account.private_key_id else None
    assertion = load("jwt").encode(statement, account.private_key, "RS256", headers=named)
    body = urlencode({"grant_type": _GRANT, "assertion": assertion}).encode()
    headers = {"Content-Type": FORM}
    return Request("POST", account.token_uri, headers, body)


def read_token(reply: Reply, present: datetime) -> Token:
    """Read the token. Raises Temporary: no message was sent, and each may still go."""
    given = read_json(reply.body, _Given) if reply.is_success else None
    if given is None or not given.access_token:
        refused = read_json(reply.body, _NotGiven) or _NotGiven()
        judged = judge_status(reply, present)
        # invalid_grant and the like: the account, its key, or this machine's clock
        failure = Failure.CONFIG if refused.error else judged.failure
        code = refused.error[:_CODE_LENGTH_MAX] or str(reply.status)
        raise Temporary(
            f"Google gives no token for this account ({code})",
            retry_after_ms=judged.retry_after_ms,
            code=code,
            failure=failure,
        )
    now = int(present.timestamp() * SECOND_MS)
    return Token(given.access_token, now + given.expires_in * SECOND_MS)


def build_channel(_name: str, settings: FcmSettings, workshop: Workshop) -> FcmChannel:
    """Make the channel. Raises ProgramError where the credentials are none."""
    try:
        account = msgspec.json.decode(read_key(settings.credentials), type=ServiceAccount)
        load("jwt").encode({}, account.private_key, "RS256")
    except (ValueError, TypeError, load("jwt").PyJWTError) as error:
        message = f"this is no service account: {error}"
        hint = "the JSON from Google's console (Service accounts, Keys), or the path of its file"
        raise ProgramError([Problem("credentials", message, hint)]) from None
    project = settings.project or account.project_id
    if not project:
        raise ProgramError([Problem("project", "the credentials name no project")])
    return FcmChannel(FcmProvider(project, settings.url), account, workshop.wire)


class _Taken(msgspec.Struct, frozen=True):
    name: str = ""


class _Detail(msgspec.Struct, frozen=True):
    errorCode: str = ""  # noqa: N815 - as it is written


class _Error(msgspec.Struct, frozen=True):
    status: str = ""
    message: str = ""
    details: list[_Detail] = []


class _Refused(msgspec.Struct, frozen=True):
    error: _Error = _Error()


class _Given(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: int = 3_600


class _NotGiven(msgspec.Struct, frozen=True):
    error: str = ""


ADAPTER = Adapter(
    FcmSettings,
    build_channel,
    {
        "credentials": "NEXTBEAT_FCM_CREDENTIALS",
        "project": "NEXTBEAT_FCM_PROJECT",
        "url": "NEXTBEAT_FCM_URL",
    },
    secrets=("credentials",),
)
