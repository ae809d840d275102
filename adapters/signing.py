"""Tokens that let a customer act without logging in: links in messages, and inbox access.

Channels write them into messages, the gateway checks them. The secret comes from the environment
(`NEXTBEAT_SECRET`) and is the only thing both must agree on.

*Rules*
- The way out works for ever: the law wants it to work for months, and mail is kept for years.
- A link to the preference centre opens it for ever, too, but says when it was made: with an old one
  consent can be taken back and not be given. A link that confirms says itself until when it does.
- What a form sends is signed for the page it was shown on and holds for hours.
- No token holds an address, nor anything else a customer told us, but for a link that leads on: it
  holds where to, as the message says it.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from hashlib import sha256
from typing import TypeVar

import msgspec

SECRET_VARIABLE = "NEXTBEAT_SECRET"  # noqa: S105 - the name of the variable, not the secret
_SECRET_BYTES_MIN = 16
_MAC_BYTES = 16  # 128 bits: nobody guesses that by asking over the network
_TOKEN_LENGTH_MAX = 2_000
_FORM_MS = 12 * 3_600_000  # how long a page may stay open before its button is pressed
_INSTANT_DIGITS_MAX = 15


class Unsubscribe(msgspec.Struct, frozen=True, array_like=True):
    """What an unsubscribe link stands for: no more of this purpose on this channel."""

    customer: str
    purpose: str
    channel: str


class Preferences(msgspec.Struct, frozen=True, array_like=True):
    """What a link to the preference centre stands for; `made_at` is when its message was."""

    customer: str
    made_at: int


class Confirm(msgspec.Struct, frozen=True, array_like=True):
    """What a link to confirm stands for: consent on a channel, asked for by a message.

    `address` is a mark of the address it went to.
    """

    customer: str
    channel: str
    message: str
    expires_at: int
    address: str


class Click(msgspec.Struct, frozen=True, array_like=True):
    """What a link of a message stands for that leads on to `url`; decided on at `at`."""

    customer: str
    message: str
    at: int
    url: str


class Opening(msgspec.Struct, frozen=True, array_like=True):
    """What the picture in a message stands for that tells of its opening."""

    customer: str
    message: str
    at: int


_Link = TypeVar("_Link", bound=msgspec.Struct)


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
        self._preferences_key = hmac.digest(raw, b"nextbeat preferences", sha256)
        self._confirm_key = hmac.digest(raw, b"nextbeat confirm", sha256)
        self._click_key = hmac.digest(raw, b"nextbeat click", sha256)
        self._opening_key = hmac.digest(raw, b"nextbeat opening", sha256)
        self._form_key = hmac.digest(raw, b"nextbeat form", sha256)
        self._inbox_key = hmac.digest(raw, b"nextbeat inbox", sha256)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Signer | None":
        """Read the secret, None where there is none. Raises ValueError if it is too short."""
        secret = environment.get(SECRET_VARIABLE, "")
        return cls(secret) if secret else None

    def unsubscribe_token(self, customer: str, *, purpose: str, channel: str) -> str:
        """Make the last part of an unsubscribe link."""
        return _sign(self._unsubscribe_key, Unsubscribe(customer, purpose, channel))

    def read_unsubscribe(self, token: str) -> Unsubscribe | None:
        """Read what a link stands for; None where we did not make it."""
        return _read(self._unsubscribe_key, token, Unsubscribe)

    def preferences_token(self, customer: str, made_at: int) -> str:
        """Make the last part of a link to the preference centre."""
        return _sign(self._preferences_key, Preferences(customer, made_at))

    def read_preferences(self, token: str) -> Preferences | None:
        """Read whose preferences a link leads to; None where we did not make it."""
        return _read(self._preferences_key, token, Preferences)

    def confirm_token(self, link: Confirm) -> str:
        """Make the last part of a link that confirms consent."""
        return _sign(self._confirm_key, link)

    def read_confirm(self, token: str) -> Confirm | None:
        """Read what a link confirms; None where we did not make it. It may be too old."""
        return _read(self._confirm_key, token, Confirm)

    def click_token(self, click: Click) -> str | None:
        """Make the last part of a link that leads on; None where the address is too long."""
        token = _sign(self._click_key, click)
        return token if len(token) <= _TOKEN_LENGTH_MAX else None

    def read_click(self, token: str) -> Click | None:
        """Read where a link leads on to; None where we did not make it."""
        return _read(self._click_key, token, Click)

    def opening_token(self, opening: Opening) -> str:
        """Make the name of the picture that tells of an opening."""
        return _sign(self._opening_key, opening)

    def read_opening(self, token: str) -> Opening | None:
        """Read what a picture tells of; None where we did not make it."""
        return _read(self._opening_key, token, Opening)

    def form_mark(self, token: str, now: int) -> str:
        """Mark a form as shown by us, now, on the page of a link."""
        return f"{now}-{self._form_mac(token, now)}"

    def is_form(self, token: str, mark: str, now: int) -> bool:
        """Say whether a form was shown by us on that page, and not too long ago."""
        shown_at, _, mac = mark.partition("-")
        if not (shown_at.isascii() and shown_at.isdigit()) or len(shown_at) > _INSTANT_DIGITS_MAX:
            return False
        if not 0 <= now - int(shown_at) <= _FORM_MS:
            return False
        expected = self._form_mac(token, int(shown_at))
        return hmac.compare_digest(expected.encode(), mac.encode("utf-8", "replace"))

    def _form_mac(self, token: str, at: int) -> str:
        body = f"{at} {token}".encode("utf-8", "replace")
        return _to_text(hmac.digest(self._form_key, body, sha256)[:_MAC_BYTES])

    def inbox_token(self, customer: str) -> str:
        """Make what a customer's app shows to read that customer's inbox, and no other."""
        return _to_text(hmac.digest(self._inbox_key, customer.encode("utf-8", "replace"), sha256))

    def opens_inbox(self, customer: str, token: str) -> bool:
        """Say whether a token is the customer's own."""
        shown = token.encode("utf-8", "replace")  # header bytes may arrive as lone surrogates
        return hmac.compare_digest(self.inbox_token(customer).encode(), shown)


def _sign(key: bytes, link: msgspec.Struct) -> str:
    body = msgspec.json.encode(link)
    return _to_text(hmac.digest(key, body, sha256)[:_MAC_BYTES] + body)


def _read(key: bytes, token: str, kind: type[_Link]) -> _Link | None:
    raw = _to_bytes(token)
    mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    expected = hmac.digest(key, body, sha256)[:_MAC_BYTES]
    if not hmac.compare_digest(mac, expected):
        return None
    return msgspec.json.decode(body, type=kind)


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
