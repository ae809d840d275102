"""One exchange over HTTP with an endpoint somebody else chose: how it is opened, and how it fails.

Shared by the channel `webhook` and by the calls of journeys, so that both keep to the same rules.

*Rules*
- Redirects are not followed, cookies not kept, proxies of the environment not asked, nothing is
  unpacked.
- Names are looked up for each connection (`egress`), and only public addresses are connected to,
  unless private ones are allowed.
"""

from base64 import b64decode
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
from aiohttp.abc import AbstractResolver
from standardwebhooks import Webhook
from yarl import URL

from actors.ports import Permanent, Temporary
from adapters.channels.egress import EgressError, PublicResolver, check_url
from engine.events import Failure
from engine.instants import SECOND_MS
from engine.limits import RETRY_AFTER_MS_MAX

SECRET_BYTES_MIN = 24  # as Standard Webhooks say
_CONNECTIONS_MAX = 64
_CONNECT_S_MAX = 5.0


def open_session(
    resolver: AbstractResolver | None,
    timeout_s: float,
    *,
    allow_private: bool,
    connections_max: int = _CONNECTIONS_MAX,
) -> aiohttp.ClientSession:
    """Open a connection pool; connections are made when they are needed. 0 is without a bound."""
    # No DNS cache: each new connection resolves, checks and uses what it checked.
    connector = aiohttp.TCPConnector(
        limit=connections_max,
        resolver=resolver if allow_private else PublicResolver(resolver),
        use_dns_cache=False,
    )
    connect_s = min(timeout_s, _CONNECT_S_MAX)
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=timeout_s, connect=connect_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,  # nothing is unpacked, so nothing can swell
        trust_env=False,
    )


def read_target(text: str, *, allow_private: bool) -> URL:
    """Read the address to call. Raises Permanent where it must not be called."""
    try:
        return URL(text) if allow_private else check_url(text)
    except ValueError:
        raise Permanent("the address is not a URL", code="address_refused") from None
    except EgressError as error:
        raise Permanent(str(error), code="address_refused") from error


def is_secret(text: str) -> bool:
    """Say whether a text can be a secret of Standard Webhooks: `whsec_` and base64."""
    prefix, mark, encoded = text.partition("whsec_")
    try:
        raw = b64decode(encoded, validate=True)
    except ValueError:
        return False
    return bool(mark) and not prefix and len(raw) >= SECRET_BYTES_MIN


def sign(signer: Webhook, name: str, body: bytes, present: datetime) -> dict[str, str]:
    """Give the headers by which the receiver knows who sent this, and what was sent before."""
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(present.timestamp())),
        "webhook-signature": signer.sign(name, present, body.decode()),
    }


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


def explain_failure(error: Exception) -> Temporary | Permanent:
    """Say what a broken exchange means: only where we never connected is it surely not taken."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, EgressError):
        return Permanent(str(cause), code="address_refused")
    if isinstance(error, aiohttp.InvalidURL):
        return Permanent("the address is not a URL", code="address_refused")
    if isinstance(error, ValueError):  # refused by the client before anything was sent
        message = "the message holds text that a request can't carry"
        return Permanent(message, code="bad_content", failure=Failure.CONTENT)
    never_connected = isinstance(
        error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError
    )
    what = "no connection to" if never_connected else "no clear answer from"
    name = type(error).__name__
    message = f"{what} the endpoint ({name})"
    return Temporary(message, maybe_taken=not never_connected, failure=Failure.TRANSIENT)
