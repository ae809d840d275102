"""Names of things, and identifiers derived from what they identify.

Nothing here is random: the same customer and counter give the same id on every machine, which is
what makes a replay comparable with the live run and an id usable as an idempotency key.
"""

from hashlib import blake2b

_SEPARATOR = b"\x1f"


def stable_hash(*parts: str, size: int = 8) -> bytes:
    """Hash named things into `size` bytes, the same everywhere and for ever."""
    joined = _SEPARATOR.join(part.encode() for part in parts)
    return blake2b(joined, digest_size=size).digest()


def decision_id(customer: str, number: int) -> str:
    """Name the `number`-th decision made for a customer."""
    named = f"decision\x1f{customer}\x1f{number}"
    return "d_" + blake2b(named.encode(), digest_size=8).hexdigest()


def message_id(customer: str, proposal: int, attempt: int) -> str:
    """Name one message to one customer: the idempotency key all the way to the provider."""
    named = f"message\x1f{customer}\x1f{proposal}\x1f{attempt}"
    return "m_" + blake2b(named.encode(), digest_size=12).hexdigest()


def call_id(customer: str, number: int) -> str:
    """Name the `number`-th call made for a customer: the key by which it is known when repeated."""
    named = f"call\x1f{customer}\x1f{number}"
    return "c_" + blake2b(named.encode(), digest_size=12).hexdigest()


def dedup_key(event_id: str) -> bytes:
    """Shorten an event's id for the customer's list of what was seen.

    64 bits: among 10,000 remembered ids of one customer the chance of a collision is under 1e-11.
    """
    return blake2b(event_id.encode(), digest_size=8).digest()
