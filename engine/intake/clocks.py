"""When a call happened, by a clock that may be wrong.

Called by `engine.intake.normalise` and `engine.intake.consents`. Hands on instants in UTC.
"""

from typing import Any

import msgspec

from engine.errors import InputError
from engine.instants import INSTANT_MAX, INSTANT_MIN, SECOND_MS, parse_instant
from engine.limits import FUTURE_SKEW_MS_MAX

# A number below this counts seconds, from there on milliseconds: as seconds it is the year 5138,
# as milliseconds 3 March 1973.
_EPOCH_MS_FROM = 100_000_000_000
_SKEW_MS_IGNORED = SECOND_MS  # transport alone takes this long; correcting it would add noise

_EXPECTED = "expected an instant between 1900 and 2100, like 2026-03-02T05:12:00Z"


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What is said once for all the calls of a request.

    `skew_ms` is how far the sender's clock is behind ours; None where the request doesn't say, and
    then each call may. `kind` is the kind of all of them where the address says it, and `context`
    what each call's own context is laid over. `oddities` collects what was mended in passing.
    `is_history` says that all of it is told for the record.
    """

    received_at: int
    skew_ms: int | None = None
    source: str = ""
    kind: str = ""
    context: dict[str, Any] = {}
    oddities: list[str] = []
    is_history: bool = False


def measure_skew(sent_at: object, received_at: int) -> int | None:
    """Tell how far the sender's clock is behind ours; None where it can't be told."""
    if sent_at is None:
        return None
    try:
        skew_ms = received_at - read_instant(sent_at, "sentAt")
    except InputError:
        return None  # the event is not at fault
    return skew_ms if abs(skew_ms) > _SKEW_MS_IGNORED else 0


def correct_instant(at: int, skew_ms: int, received_at: int, path: str) -> int:
    """Move an instant by the skew, and at most to now: nothing is told before it happens.

    Else a statement from a clock that is fast would outrank those that are made until then. What
    lies more than a day in the future has a clock beyond repair.
    """
    at += skew_ms
    if INSTANT_MIN <= at <= received_at + FUTURE_SKEW_MS_MAX:
        return min(at, received_at)
    if at < INSTANT_MIN:
        raise InputError("bad_timestamp", _EXPECTED, path)
    message = "this is more than a day after it was received: the sender's clock is wrong"
    raise InputError("bad_timestamp", message, path)


def read_instant(value: object, path: str) -> int:
    """Read an ISO 8601 text (UTC where it has no offset), or seconds or ms since 1970."""
    if isinstance(value, str):
        try:
            return parse_instant(value)
        except ValueError:
            return _read_digits(value, path)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError("bad_timestamp", _EXPECTED, path)
    at = value if abs(value) >= _EPOCH_MS_FROM else value * SECOND_MS
    if not INSTANT_MIN <= at <= INSTANT_MAX:
        raise InputError("bad_timestamp", _EXPECTED, path)
    return int(at)


def _read_digits(text: str, path: str) -> int:
    """Read a number that was sent as text, which epoch times in headers and forms always are."""
    if text.isascii() and text.isdigit() and len(text) in (10, 13):
        return read_instant(int(text), path)
    raise InputError("bad_timestamp", _EXPECTED, path)
