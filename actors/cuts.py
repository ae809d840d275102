"""What an erasure is about, and how far it has come.

Made by `actors.erasures`; a cut rides in the batch that makes it durable (`actors.commits`).
"""

from enum import StrEnum

import msgspec

from actors.customer import Customer
from actors.rows import ErasureRow
from actors.tombstones import identity_of
from engine.events import Key
from engine.identities import ANONYMOUS, ANONYMOUS_PREFIX


class ErasureState(StrEnum):
    """How far an erasure has come. Stored: add, never rename."""

    ERASING = "erasing"  # there is no such customer any more; rows of theirs are left
    CLEANING = "cleaning"  # no row is left, but traces in the files may be
    DONE = "done"


class Scope(msgspec.Struct, array_like=True):
    """Whom an erasure is about. `chains` gives each customer's latest entry that is not erased."""

    chains: dict[str, int]
    identities: list[Key] = []

    def add(self, identity: Key) -> None:
        """Take in another thing they are known by, and the customer it leads to by itself."""
        if identity not in self.identities:
            self.identities.append(identity)
            customer = _customer_of(identity)
            if customer:
                self.chains.setdefault(customer, 0)

    def anonymous_ids(self) -> list[str]:
        """List the anonymous ids among the identities."""
        return [value for namespace, value in self.identities if namespace == ANONYMOUS]


class Cut(msgspec.Struct, eq=False):
    """One erasure whose first commit is not durable yet."""

    row: ErasureRow
    scope: Scope
    tombstones: list[tuple[bytes, int]]
    actors: list[Customer] = []  # halted until it is durable


def _customer_of(identity: Key) -> str:
    """Name the customer an identity leads to by itself, or ""."""
    namespace, value = identity
    if namespace == ANONYMOUS:
        return ANONYMOUS_PREFIX + value
    return value if identity_of(value) == identity else ""
