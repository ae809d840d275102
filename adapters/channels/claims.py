"""Tokens that providers sign their requests with: JWT by HMAC and SHA-256 (RFC 7515, RFC 7519).

Read here and not by the library, which judges their time by a clock of its own, and takes a
signature that is written in other ways than the one.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

from adapters.channels.hooks import ForgedError, HookRequest
from adapters.channels.proofs import Fields, find_text, is_same, read_fields, read_json
from engine.errors import InputError
from engine.instants import SECOND_MS

_PARTS = 3
_ALGORITHM = "HS256"


def read_token(token: str, secret: str) -> Fields:
    """Read the claims of a token. Raises ForgedError unless it is signed with the secret."""
    parts = token.split(".")
    if len(parts) != _PARTS:
        raise ForgedError("the token is not one")
    head, claims, signature = parts
    mac = hmac.digest(secret.encode(), f"{head}.{claims}".encode(), sha256)
    if not is_same(signature, urlsafe_b64encode(mac).rstrip(b"=").decode()):
        raise ForgedError("the token is not signed with this secret")
    if find_text(_read_part(head), "alg") != _ALGORITHM:
        raise ForgedError(f"the token is not signed by {_ALGORITHM}")
    return _read_part(claims)


def find_moment(claims: Fields, name: str) -> int:
    """Find a time among claims, as epoch ms. Raises ForgedError where there is none."""
    found: object = claims.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found < 1 << 40:
        raise ForgedError(f"the token does not say {name}")
    return round(found * SECOND_MS)


def check_hash(claims: Fields, name: str, content: bytes) -> None:
    """Check that a token is about what came with it. Raises ForgedError."""
    if not is_same(find_text(claims, name), sha256(content).hexdigest()):
        raise ForgedError(f"{name} is that of something else")


def check_body(claims: Fields, request: HookRequest) -> None:
    """Check `payload_hash`, which only a request without a body may leave out."""
    if request.body or "payload_hash" in claims:
        check_hash(claims, "payload_hash", request.body)


def _read_part(part: str) -> Fields:
    try:
        return read_fields(read_json(urlsafe_b64decode(part + "=" * (-len(part) % 4))))
    except (ValueError, InputError):
        raise ForgedError("the token can't be read") from None
