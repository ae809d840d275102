"""What a key allows, and whose it is: `NEXTBEAT_ADMIN_KEYS` taken apart.

Read by `settings` once, asked by `host` for each request, and by the command line for the key it
shows. An entry is a key, or `name:scope:key`. The name is what the list of administrative acts
calls whoever uses the key; a key without one is called by the beginning of its SHA-256.
"""

from enum import StrEnum
from hashlib import sha256

import msgspec

_NAME_MAX = 80
_SHOWN = 8  # hexadecimal digits of the hash that stand for a key without a name


class Scope(StrEnum):
    """How much a key opens."""

    ADMIN = "admin"  # everything
    READ = "read"  # looks, and changes nothing
    MASKED = "masked"  # looks, and sees no personal data


_SCOPES = frozenset(scope.value for scope in Scope)


class Grant(msgspec.Struct, frozen=True):
    """Whose a key is, and what it allows."""

    name: str
    scope: Scope = Scope.ADMIN

    @property
    def may_act(self) -> bool:
        """Say whether it allows anything but looking."""
        return self.scope is Scope.ADMIN

    @property
    def is_masked(self) -> bool:
        """Say whether personal data is not for these eyes."""
        return self.scope is Scope.MASKED


ANYBODY = Grant("anybody on this machine")  # where no keys are set


def read_grants(text: str) -> dict[bytes, Grant]:
    """Take a comma separated list of keys apart: the SHA-256 of each, and what it allows."""
    grants: dict[bytes, Grant] = {}
    for part in text.split(","):
        name, scope, key = _take_apart(part.strip())
        if key:
            hashed = hash_key(key)
            grants[hashed] = Grant(name[:_NAME_MAX] or name_key(hashed), scope)
    return grants


def first_key(text: str) -> str:
    """Give the key a command shows: the first that allows everything, or else the first."""
    entries = [_take_apart(part.strip()) for part in text.split(",")]
    able = [key for _, scope, key in entries if key and scope is Scope.ADMIN]
    return next(iter([*able, *(key for _, _, key in entries if key)]), "")


def name_key(hashed: bytes) -> str:
    """Name a key that has no name of its own."""
    return f"key {hashed.hex()[:_SHOWN]}"


def hash_key(key: str) -> bytes:
    """Shorten a key to what is compared: SHA-256 is enough for keys that are long and random."""
    return sha256(key.encode()).digest()


def _take_apart(entry: str) -> tuple[str, Scope, str]:
    """Read one entry. What does not have a scope in its middle is a key as a whole."""
    name, _, rest = entry.partition(":")
    word, colon, key = rest.partition(":")
    if colon and word in _SCOPES:
        return name.strip(), Scope(word), key
    return "", Scope.ADMIN, entry
