"""Messages as signed HTTP requests, for everything that has no channel of its own.

Follows Standard Webhooks: the receiver checks `webhook-signature` over id, timestamp and body,
and drops a `webhook-id` it has seen. The id is the message id, so a repeated attempt is
recognised. The address comes from the workspace (`url`), or is the customer's own address.
"""

import asyncio
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from standardwebhooks import Webhook
from yarl import URL

from actors.ports import Permanent, Temporary
from adapters.channels.egress import EgressError, PublicResolver, check_url
from engine.effects import Send
from engine.instants import SECOND_MS, format_instant
from engine.limits import RETRY_AFTER_MS_MAX

_RESPONSE_BYTES_MAX = 64 * 1024
_CONNECTIONS_MAX = 64
_ID_LENGTH_MAX = 200
_SECRET_BYTES_MIN = 24  # as the specification says
_CONNECT_S_MAX = 5.0
_OK, _REDIRECT, _GONE, _SERVER_ERROR = 200, 300, 410, 500
_LATER = (408, 425, 429)  # 4xx that speak of the moment, not of the message

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
        if not _is_secret(self.secret):
            raise ValueError(
                f"secret must be `whsec_` and {_SECRET_BYTES_MIN} or more bytes in base64"
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
        resolver = self._resolver
        if not self._settings.allow_private:
            resolver = PublicResolver(resolver)
        # No DNS cache: each new connection resolves, checks and uses what it checked.
        connector = aiohttp.TCPConnector(
            limit=_CONNECTIONS_MAX, resolver=resolver, use_dns_cache=False
        )
        connect_s = min(self._settings.timeout_s, _CONNECT_S_MAX)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout_s, connect=connect_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # nothing is unpacked, so nothing can swell
            trust_env=False,
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
                "the message holds text that is no Unicode", code="bad_content"
            ) from None
        try:
            async with self._session.post(
                url, data=body, headers=self._headers(send, body), allow_redirects=False
            ) as response:
                if _OK <= response.status < _REDIRECT:
                    return await _provider_id(response) or send.message_id
                raise _refusal(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _translate(error) from error

    def _target(self, send: Send) -> URL:
        text = self._settings.url or send.address
        try:
            return URL(text) if self._settings.allow_private else check_url(text)
        except ValueError:
            raise Permanent("the address is not a URL", code="address_refused") from None
        except EgressError as error:
            raise Permanent(str(error), code="address_refused") from error

    def _headers(self, send: Send, body: bytes) -> dict[str, str]:
        present = self._present()
        return {
            "Content-Type": "application/json",
            "User-Agent": "Nextbeat",
            "webhook-id": send.message_id,
            "webhook-timestamp": str(int(present.timestamp())),
            "webhook-signature": self._signer.sign(send.message_id, present, body.decode()),
        }


def _is_secret(secret: str) -> bool:
    prefix, mark, text = secret.partition("whsec_")
    try:
        raw = b64decode(text, validate=True)
    except ValueError:
        return False
    return bool(mark) and not prefix and len(raw) >= _SECRET_BYTES_MIN


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


def read_retry_after(text: str | None, present: datetime) -> int | None:
    """Read a Retry-After header, seconds or a date, as milliseconds; None where it says nothing."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        # A number of a thousand digits is still a number; anything past a day is the same to us.
        pause_ms = int(text[:9]) * SECOND_MS
    else:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        pause_ms = int((moment - present).total_seconds() * SECOND_MS)
    return min(max(pause_ms, 0), RETRY_AFTER_MS_MAX)


def _refusal(response: aiohttp.ClientResponse) -> Temporary | Permanent:
    """Say what an answer other than 2xx means for the message."""
    status = response.status
    if status >= _SERVER_ERROR or status in _LATER:
        pause_ms = read_retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
        return Temporary(f"the endpoint answered {status}", retry_after_ms=pause_ms)
    if status == _GONE:
        return Permanent("the endpoint is gone for good (410)", code="410")
    if status < _REDIRECT + 100 and status >= _REDIRECT:
        return Permanent(
            f"the endpoint redirects ({status}), which is not followed", code=str(status)
        )
    return Permanent(f"the endpoint refused the message ({status})", code=str(status))


def _translate(error: Exception) -> Temporary | Permanent:
    """Say what a broken exchange means: only where we never connected is it surely not taken."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, EgressError):
        return Permanent(str(cause), code="address_refused")
    if isinstance(error, aiohttp.InvalidURL):
        return Permanent("the address is not a URL", code="address_refused")
    if isinstance(error, ValueError):  # refused by the client before anything was sent
        return Permanent("the message holds text that a request can't carry", code="bad_content")
    never_connected = isinstance(
        error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError
    )
    what = "no connection to" if never_connected else "no clear answer from"
    name = type(error).__name__
    return Temporary(f"{what} the endpoint ({name})", maybe_taken=not never_connected)


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
