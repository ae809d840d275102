"""The ledger of consent: which of several statements holds, and what two ledgers make together.

Called by `evolve`, which keeps a ledger in each profile, by the gate of consent, which reads it,
and where two customers turn out to be one.

*Rules*
- A later statement replaces an earlier one. At one instant the stricter holds: withdrawn, then
  denied, then pending, then granted. Where those agree too, what ends first, then the rest of what
  the statement says, so that which of two holds never depends on the order they came in.
- A grant that has ended is no consent, and does not bring back what was said before it.
- Statements about a message type are a ledger of their own in the same mapping.
"""

from collections.abc import Mapping
from functools import cache

from engine.events import ANY, ConsentStatement, ConsentStatus

Ledger = dict[str, ConsentStatement]

# How strict; the strictest wins among statements of one instant.
_STRICTNESS = {
    ConsentStatus.GRANTED: 0,
    ConsentStatus.PENDING: 1,
    ConsentStatus.DENIED: 2,
    ConsentStatus.WITHDRAWN: 3,
}
_NEVER = 1 << 62
_TYPE = "//"  # before statements about a message type


def statement_key(statement: ConsentStatement) -> str:
    """Name what a statement is about, as the ledger is keyed."""
    if statement.message_type:
        return _type_key(statement.message_type, statement.channel)
    return f"{statement.purpose}/{statement.channel}"


def name_statement(key: str) -> str:
    """Write a key of the ledger for people: `marketing/email`, `type promotional`."""
    if not key.startswith(_TYPE):
        return key
    return f"type {key.removeprefix(_TYPE).removesuffix(f'/{ANY}')}"


def note_consent(ledger: Ledger, statement: ConsentStatement) -> None:
    """Take a statement into a ledger, unless what is there outranks it."""
    key = statement_key(statement)
    known = ledger.get(key)
    if known is None or _rank(statement) > _rank(known):
        ledger[key] = statement


def unite_consents(
    one: Mapping[str, ConsentStatement], other: Mapping[str, ConsentStatement]
) -> Ledger:
    """Give the ledger of a customer who was two: commutative, associative and idempotent.

    Keys are in alphabetical order, so that the result is the same whoever comes first.
    """
    united = dict(one)
    for statement in other.values():
        note_consent(united, statement)
    return {key: united[key] for key in sorted(united)}


def find_statement(
    ledger: Mapping[str, ConsentStatement], purpose: str, channel: str
) -> ConsentStatement | None:
    """Find the statement that holds for a purpose on a channel."""
    return _highest(ledger, _keys(purpose, channel))


def find_type_statement(
    ledger: Mapping[str, ConsentStatement], message_type: str, channel: str
) -> ConsentStatement | None:
    """Find the statement that holds for a message type on a channel."""
    return _highest(ledger, _type_keys(message_type, channel))


def is_granted(statement: ConsentStatement | None, now: int) -> bool:
    """Say whether this is consent, now."""
    return (
        statement is not None
        and statement.status is ConsentStatus.GRANTED
        and not has_ended(statement, now)
    )


def has_ended(statement: ConsentStatement, now: int) -> bool:
    """Say whether the time a statement was made for is over."""
    return statement.expires_at is not None and statement.expires_at <= now


def _highest(
    ledger: Mapping[str, ConsentStatement], keys: tuple[str, ...]
) -> ConsentStatement | None:
    highest: ConsentStatement | None = None
    for key in keys:
        if key in ledger:
            statement = ledger[key]
            if highest is None or _outranks(statement, highest):
                highest = statement
    return highest


def _outranks(statement: ConsentStatement, known: ConsentStatement) -> bool:
    """Compare statements of different scope: of one instant and strictness the first asked wins."""
    said, before = _STRICTNESS[statement.status], _STRICTNESS[known.status]
    return (statement.at, said, -_ends_at(statement)) > (known.at, before, -_ends_at(known))


def _rank(statement: ConsentStatement) -> tuple[int, int, int, str, str, str, str]:
    """Order statements about one thing, totally: nothing two of them differ in is left out."""
    return (
        statement.at,
        _STRICTNESS[statement.status],
        -_ends_at(statement),
        statement.source,
        statement.basis.value,
        statement.proof,
        statement.purpose,
    )


def _ends_at(statement: ConsentStatement) -> int:
    return _NEVER if statement.expires_at is None else statement.expires_at


@cache
def _keys(purpose: str, channel: str) -> tuple[str, ...]:
    """Name the statements that speak of a purpose on a channel."""
    return f"{purpose}/{channel}", f"{purpose}/{ANY}", f"{ANY}/{channel}", f"{ANY}/{ANY}"


@cache
def _type_keys(message_type: str, channel: str) -> tuple[str, ...]:
    return _type_key(message_type, channel), _type_key(message_type, ANY)


def _type_key(message_type: str, channel: str) -> str:
    """Write a key that no purpose of a workspace can make: names hold no slash."""
    return f"{_TYPE}{message_type}/{channel}"
