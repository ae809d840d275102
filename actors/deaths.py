"""What is kept of an input on which a customer's actor failed.

Called by `actors.runtime`; the row goes to quarantine, where people find it with the reason.
"""

import msgspec

from actors.rows import QuarantineRow
from engine.events import Input
from engine.limits import ITEM_BYTES_MAX

_JSON = msgspec.json.Encoder()
_MESSAGE_LENGTH_MAX = 500


def certify(given: Input, error: Exception, now: int, *, is_ours: bool) -> QuarantineRow:
    """Write down an input and what went wrong with it; `is_ours` is one nobody sent."""
    message = f"{type(error).__name__}: {error}"[:_MESSAGE_LENGTH_MAX]
    message = message.encode(errors="backslashreplace").decode()
    source = "engine/internal" if is_ours else "engine"
    return QuarantineRow(0, now, source, "step_failed", "$", message, _write_down(given))


def _write_down(given: Input) -> bytes:
    try:
        return _JSON.encode(given)
    except (ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        # What can't be written may be the very thing the actor failed on.
        return repr(given).encode(errors="backslashreplace")[:ITEM_BYTES_MAX]
