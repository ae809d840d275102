"""Tokens that let a customer act without logging in: unsubscribe links and inbox access.

Channels write them into messages, the gateway checks them. The secret comes from the environment
(`NEXTBEAT_SECRET`) and is the only thing both must agree on; tokens never expire, because the law
wants unsubscribe links to work for months.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from hashlib import sha256

import msgspec

SECRET_VARIABLE = "NEXTBEAT_SECRET"  # noqa: S105 - the name of the variable, not the secret
_SECRET_BYTES_MIN = 16
_MAC_BYTES = 16  # 128 bits: nobody guesses that by asking over the network
_TOKEN_LENGTH_MAX = 2_000


class Unsubscribe(msgspec.Struct, frozen=True, array_like=True):
    """What an unsubscribe link stands for: no more of this purpose on this channel."""

    customer: str
    purpose: str
    channel: str


class Signer:
    """Makes and checks tokens with one secret; each kind of token has a key of its own."""

    def __init__(self, secret: str) -> None:
        raw = secret.encode()
        if len(raw) < _SECRET_BYTES_MIN:
            message = (
                f"{SECRET_VARIABLE} has {len(raw)} bytes: set it to at least {_SECRET_BYTES_MIN} "
                "random ones, like the output of `openssl rand -hex 32`"
            )
            raise ValueError(message)
        self._unsubscribe_key = hmac.digest(raw, b"nextbeat unsubscribe", sha256)
        self._inbox_key = hmac.digest(raw, b"nextbeat inbox", sha256)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Signer | None":
        """Read the secret, None where there is none. Raises ValueError if it is too short."""
        secret = environment.get(SECRET_VARIABLE, "")
        return cls(secret) if secret else None

    def unsubscribe_token(self, customer: str, *, purpose: str, channel: str) -> str:
        """Make the last part of an unsubscribe link."""
        body = msgspec.json.encode(Unsubscribe(customer, purpose, channel))
        mac = hmac.digest(self._unsubscribe_key, body, sha256)[:_MAC_BYTES]
        return _to_text(mac + body)

    def read_unsubscribe(self, token: str) -> Unsubscribe | None:
        """Read what a link stands for; None where we did not make it."""
        raw = _to_bytes(token)
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        expected = hmac.digest(self._unsubscribe_key, body, sha256)[:_MAC_BYTES]
        if not hmac.compare_digest(mac, expected):
            return None
        return msgspec.json.decode(body, type=Unsubscribe)

    def inbox_token(self, customer: str) -> str:
        """Make what a customer's app shows to read that customer's inbox, and no other."""
        return _to_text(hmac.digest(self._inbox_key, customer.encode("utf-8", "replace"), sha256))

    def opens_inbox(self, customer: str, token: str) -> bool:
        """Say whether a token is the customer's own."""
        shown = token.encode("utf-8", "replace")  # header bytes may arrive as lone surrogates
        return hmac.compare_digest(self.inbox_token(customer).encode(), shown)


def _to_text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _to_bytes(token: str) -> bytes:
    """Read base64, tolerantly; what is none becomes nothing, which no signature fits."""
    if len(token) > _TOKEN_LENGTH_MAX or not token.isascii():
        return b""
    try:
        return urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (Base64Error, ValueError):
        return b""
