"""Messages as signed HTTP requests, for everything that has no channel of its own.

Follows Standard Webhooks: the receiver checks `webhook-signature` over id, timestamp and body,
and drops a `webhook-id` it has seen. The id is the message id, so a repeated attempt is
recognised. The address comes from the workspace (`url`), or is the customer's own address.

*Rules*
- An answer is judged by whose the endpoint is. The workspace's is to be mended, and messages wait
  for it; a customer's is either dead or not there at the moment, and another channel is tried.
- 410 says that the endpoint is to be called no more (Standard Webhooks, "disable endpoint"), so
  nothing waits for it in either case.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from standardwebhooks import Webhook
from yarl import URL

from actors.ports import Permanent, Temporary
from adapters.channels.adapter import Adapter
from adapters.channels.egress import EgressError, check_url
from adapters.channels.exchange import (
    SECRET_BYTES_MIN,
    explain_failure,
    is_secret,
    open_session,
    read_retry_after,
    read_target,
    sign,
)
from adapters.channels.provider import Refusal
from engine.effects import Send
from engine.events import SUCCESS_END, SUCCESS_MIN, Failure
from engine.instants import format_instant

_RESPONSE_BYTES_MAX = 64 * 1024
_GONE, _BUSY, _SERVER_ERROR = 410, 429, 500
_LATER = (408, 425)
_CLIENT_ERROR = 400
_SHUT = "the endpoint lets nothing in"
_CONTENT = (400, 413, 414, 415, 422, 431)  # what was sent is not to the receiver's liking
_ID_LENGTH_MAX = 200

Present = Callable[[], datetime]


class WebhookSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`secret` is `whsec_` and base64. `allow_private` is for development: it lifts every check.

    Without `url` the customer's address on this channel is the URL that is called.
    """

    secret: str
    url: str = ""
    timeout_s: float = 10.0
    allow_private: bool = False

    def __post_init__(self) -> None:
        """Refuse what could never work, while someone is watching."""
        if not 0 < self.timeout_s <= 60:  # noqa: PLR2004 - a minute
            raise ValueError("timeout_s must be more than 0 and at most 60 seconds")
        if not is_secret(self.secret):
            raise ValueError(
                f"secret must be `whsec_` and {SECRET_BYTES_MIN} or more bytes in base64"
            )
        if self.url and not self.allow_private:
            try:
                check_url(self.url)
            except EgressError as error:
                raise ValueError(f"url: {error}") from None


class WebhookMessage(msgspec.Struct, frozen=True):
    """The message, as the receiver reads it."""

    message_id: str
    customer: str
    channel: str
    address: str
    message: str
    message_type: str
    purpose: str
    journey: str
    step: str
    content: dict[str, str]
    expires_at: str | None


class WebhookBody(msgspec.Struct, frozen=True):
    """The body of the request. `timestamp` is when the message was decided."""

    type: str
    timestamp: str
    data: WebhookMessage


class WebhookChannel:
    """Posts each message to an endpoint."""

    def __init__(
        self,
        settings: WebhookSettings,
        *,
        resolver: AbstractResolver | None = None,
        present: Present = lambda: datetime.now(UTC),
    ) -> None:
        """Take settings; tests pass a resolver and the present.

        The present is real time even where business time is not: receivers refuse signatures
        older than five minutes.
        """
        self._settings = settings
        self._signer = Webhook(settings.secret)
        self._resolver = resolver
        self._present = present
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the connection pool; connections are made when they are needed."""
        if self._session is not None:
            return
        settings = self._settings
        self._session = open_session(
            self._resolver, settings.timeout_s, allow_private=settings.allow_private
        )

    async def close(self) -> None:
        """Close the pool."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def deliver(self, send: Send) -> str:
        """Post the message once; any 2xx means it was taken."""
        assert self._session is not None, "start() comes before deliver()"
        url = self._target(send)
        try:
            body = encode_body(send)
        except UnicodeEncodeError:
            raise Permanent(
                "the message holds text that is no Unicode",
                code="bad_content",
                failure=Failure.CONTENT,
            ) from None
        try:
            async with self._session.post(
                url, data=body, headers=self._headers(send, body), allow_redirects=False
            ) as response:
                if SUCCESS_MIN <= response.status < SUCCESS_END:
                    return await _provider_id(response) or send.message_id
                pause = response.headers.get("Retry-After")
                pause_ms = read_retry_after(pause, datetime.now(UTC))
                is_own = not self._settings.url
                raise judge(response.status, pause_ms, is_customers=is_own)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self._place(explain_failure(error)) from error

    def _target(self, send: Send) -> URL:
        text = self._settings.url or send.address
        try:
            return read_target(text, allow_private=self._settings.allow_private)
        except Permanent as error:
            raise self._place(error) from error

    def _place(self, error: Temporary | Permanent) -> Temporary | Permanent:
        """Say of an address that must not be called whose it is to mend."""
        if error.failure is None:
            is_own = not self._settings.url
            error.failure = Failure.ADDRESS_DEAD if is_own else Failure.CONFIG
        return error

    def _headers(self, send: Send, body: bytes) -> dict[str, str]:
        signature = sign(self._signer, send.message_id, body, self._present())
        return {"Content-Type": "application/json", "User-Agent": "Nextbeat", **signature}


def judge(status: int, pause_ms: int | None, *, is_customers: bool) -> Temporary | Permanent:
    """Say what an answer other than 2xx means, by whose the endpoint is."""
    if status == _GONE:
        failure = Failure.ADDRESS_DEAD if is_customers else Failure.CONFIG
        text = "the endpoint is gone for good (410)"
        return Permanent(text, code=str(status), failure=failure)
    failure, text = Failure.CONTENT, "the endpoint refused the message"
    if status >= _SERVER_ERROR or status in _LATER:
        failure, text = Failure.TRANSIENT, "the endpoint is in trouble"
    elif status == _BUSY:
        failure, text = Failure.RATE, "the endpoint has too much to do"
    elif status not in _CONTENT:
        failure = Failure.UNREACHABLE if is_customers else Failure.CONFIG
        redirects = status < _CLIENT_ERROR
        text = "the endpoint redirects, which is not followed" if redirects else _SHUT
    return Refusal(failure, str(status), f"{text} ({status})", retry_after_ms=pause_ms).error()


def encode_body(send: Send) -> bytes:
    """Write the request's body: the same bytes at every attempt."""
    data = WebhookMessage(
        message_id=send.message_id,
        customer=send.customer,
        channel=send.channel,
        address=send.address,
        message=send.message,
        message_type=send.message_type,
        purpose=send.purpose,
        journey=send.journey,
        step=send.step,
        content=send.content,
        expires_at=None if send.expires_at is None else format_instant(send.expires_at),
    )
    return msgspec.json.encode(WebhookBody("message.send", format_instant(send.decided_at), data))


async def _provider_id(response: aiohttp.ClientResponse) -> str:
    """Read the receiver's own id from its answer, if it gave one in JSON and in reason."""
    try:
        text = await response.content.read(_RESPONSE_BYTES_MAX)
        answer = msgspec.json.decode(text, type=_Answer)
    except (
        aiohttp.ClientError,
        TimeoutError,
        asyncio.IncompleteReadError,
        ValueError,
        RecursionError,
    ):
        return ""  # it said 2xx, so it was taken, whatever follows
    return answer.id[:_ID_LENGTH_MAX]


class _Answer(msgspec.Struct, frozen=True):
    """All we look for in what the receiver says."""

    id: str = ""


ADAPTER = Adapter(
    WebhookSettings,
    lambda _name, settings, _workshop: WebhookChannel(settings),
    {"url": "NEXTBEAT_WEBHOOK_URL", "secret": "NEXTBEAT_WEBHOOK_SECRET"},
    secrets=("secret",),
)
