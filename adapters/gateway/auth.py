"""Who may come in: keys from an Authorization header, a body or a query, compared as SHA-256.

Asked by every handler. The verdict for a header is remembered, because a client sends the same one
with each request and looking it up costs a twentieth of taking it apart.
"""

from base64 import b64decode
from binascii import Error as Base64Error

from adapters.gateway.grants import hash_key

_REMEMBERED_MAX = 1_024
_HEADER_LENGTH_MAX = 1_024


class KeyRing:
    """The keys of one door. Without any, the door is open (only this machine reaches it)."""

    def __init__(self, hashes: frozenset[bytes]) -> None:
        self.is_open = not hashes
        self._hashes = hashes
        self._remembered: dict[str, bool | None] = {}

    def __len__(self) -> int:
        return len(self._remembered)

    def admits(self, key: object) -> bool:
        """Say whether this is a key. Anything may be asked about: it comes from the wire."""
        if self.is_open:
            return True
        return isinstance(key, str) and bool(key) and hash_key(_storable(key)) in self._hashes

    def judge(self, header: str | None) -> bool | None:
        """Say whether an Authorization header opens the door; None: it doesn't decide.

        A Bearer token of an OAuth set-up is not a key: then the body or the query has it.
        """
        if self.is_open:
            return True
        if header is None:
            return None
        try:
            return self._remembered[header]
        except KeyError:
            verdict = self._judge_anew(header)
        if len(self._remembered) >= _REMEMBERED_MAX:
            self._remembered.clear()
        if len(header) <= _HEADER_LENGTH_MAX:
            self._remembered[header] = verdict
        return verdict

    def recognise(self, header: str) -> bytes | None:
        """Find which key a header that opens the door holds; None where there are no keys."""
        scheme, _, credentials = header.partition(" ")
        candidates = [credentials.strip()]
        if scheme.lower() == "basic":
            candidates = list(_open_basic(credentials.strip()) or ())
        hashes = [hash_key(_storable(candidate)) for candidate in candidates]
        return next((hashed for hashed in hashes if hashed in self._hashes), None)

    def _judge_anew(self, header: str) -> bool | None:
        scheme, _, credentials = header.partition(" ")
        match scheme.lower():
            case "bearer":
                return self.admits(credentials.strip()) or None
            case "basic":
                return self._judge_basic(credentials.strip())
            case _:
                return None

    def _judge_basic(self, credentials: str) -> bool | None:
        """Take the user as the key, as Segment does, or the password, as Customer.io does."""
        opened = _open_basic(credentials)
        if opened is None:
            return False
        user, password = opened
        if not user and not password:
            return None
        return self.admits(user) or self.admits(password)


def _open_basic(credentials: str) -> tuple[str, str] | None:
    try:
        decoded = b64decode(_storable(credentials), validate=True).decode("utf-8", "replace")
    except (Base64Error, ValueError):
        return None
    user, _, password = decoded.partition(":")
    return user, password


def _storable(text: str) -> str:
    """Replace what can't be encoded: header bytes beyond UTF-8 arrive as lone surrogates."""
    return text.encode("utf-8", "replace").decode()
