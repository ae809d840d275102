"""The ledger of consent: which of several statements counts.

Called by `evolve` for what is stated, and by `merge`.

*Rules*
- Of two statements about one purpose and channel the later one counts; of one instant the
  stricter one.
"""

from collections.abc import Mapping

from engine.events import ConsentStatement, ConsentStatus

_STRICTNESS = {
    ConsentStatus.GRANTED: 0,
    ConsentStatus.DENIED: 1,
    ConsentStatus.WITHDRAWN: 2,
}


def note_consent(consents: dict[str, ConsentStatement], statement: ConsentStatement) -> None:
    """Enter a statement, unless one that counts more is there."""
    key = f"{statement.purpose}/{statement.channel}"
    known = consents.get(key)
    if known is None or _rank(statement) > _rank(known):
        consents[key] = statement


def unite_consents(
    ours: dict[str, ConsentStatement], theirs: Mapping[str, ConsentStatement]
) -> None:
    """Enter what another customer stated, who turned out to be this one."""
    for statement in theirs.values():
        note_consent(ours, statement)


def _rank(statement: ConsentStatement) -> tuple[int, int, str]:
    """Order statements; the source only makes the order total, whoever is asked first."""
    return statement.at, _STRICTNESS[statement.status], statement.source
