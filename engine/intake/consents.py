"""Statements of consent, as far as they can be read beyond doubt.

Called by `engine.intake.normalise`. Consent fails closed: one entry that can't be read makes the
whole call an error, so that a person looks at it; it is never taken for a grant.
"""

from typing import Any

from engine.errors import InputError
from engine.events import ANY, ConsentStatement, ConsentStatus
from engine.intake.clocks import read_instant
from engine.intake.shapes import is_array, is_object
from engine.limits import FUTURE_SKEW_MS_MAX, NAME_LENGTH_MAX

_STATUSES = {status.value: status for status in ConsentStatus}
_EXPECTED_STATUS = "expected granted, denied or withdrawn"
_PLACE = "context.consent"


def read_consents(consent: object, at: int, source: str) -> tuple[ConsentStatement, ...]:
    """Read `context.consent`: a list of statements, or Segment's map of categories."""
    if is_array(consent):
        return tuple(
            _read_statement(entry, f"{_PLACE}[{index}]", at, source)
            for index, entry in enumerate(consent)
        )
    if is_object(consent):
        return _read_preferences(consent, at, source)
    raise _bad("expected a list of statements, or categoryPreferences", _PLACE)


def _read_statement(entry: object, path: str, at: int, source: str) -> ConsentStatement:
    if not is_object(entry):
        raise _bad("expected {purpose, channel, status, source}", path)
    status = _STATUSES.get(entry["status"]) if isinstance(entry.get("status"), str) else None
    if status is None:
        raise _bad(_EXPECTED_STATUS, f"{path}.status")
    said_at = at
    if entry.get("at") is not None:
        said_at = read_instant(entry["at"], f"{path}.at")
        if said_at > at + FUTURE_SKEW_MS_MAX:
            raise _bad("expected an instant that is not in the future", f"{path}.at")
        said_at = min(said_at, at)  # it was said before it was told
    return ConsentStatement(
        purpose=_read_scope(entry.get("purpose"), f"{path}.purpose"),
        channel=_read_scope(_or_any(entry.get("channel")), f"{path}.channel"),
        status=status,
        at=said_at,
        source=_read_source(entry.get("source"), f"{path}.source") or source,
    )


def _read_preferences(
    consent: dict[str, Any], at: int, source: str
) -> tuple[ConsentStatement, ...]:
    path = f"{_PLACE}.categoryPreferences"
    preferences = consent.get("categoryPreferences")
    if not is_object(preferences):
        raise _bad("expected a map of categories to true or false", path)
    return tuple(
        _read_preference(category, value, path, at, source)
        for category, value in preferences.items()
    )


def _read_preference(
    category: str, value: object, path: str, at: int, source: str
) -> ConsentStatement:
    if not isinstance(value, bool):
        raise _bad("expected true or false for every category", path)
    status = ConsentStatus.GRANTED if value else ConsentStatus.DENIED
    return ConsentStatement(_read_name(category, path), ANY, status, at, source)


def _or_any(channel: object) -> object:
    return ANY if channel is None else channel


def _read_scope(value: object, path: str) -> str:
    """Read a purpose or a channel; people write `all` for every one of them."""
    name = _read_name(value, path)
    return ANY if name == "all" else name


def _read_name(value: object, path: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= NAME_LENGTH_MAX:
        raise _bad(f"expected a name of 1 to {NAME_LENGTH_MAX} characters", path)
    return value


def _read_source(value: object, path: str) -> str:
    return "" if value is None else _read_name(value, path)


def _bad(message: str, path: str) -> InputError:
    return InputError("bad_consent", message, path)
