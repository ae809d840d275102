"""What leaves, as it stands in the rows of the outbox: messages, and calls that journeys make.

Used by whoever reads those rows. Calls have the channel `CALLS`, which no workspace can name.
"""

import msgspec

from engine.effects import Call, Send

CALLS = "/calls"

_decode_send = msgspec.msgpack.Decoder(Send).decode
_decode_call = msgspec.msgpack.Decoder(Call).decode
_MARK = b"\xa4call"  # a call's tag, the first element of its array; no message id is like it
_HEAD_BYTES = 8


def decode_outgoing(body: bytes) -> Send | Call:
    """Read what is to leave. Raises what msgspec does."""
    return _decode_call(body) if _MARK in body[:_HEAD_BYTES] else _decode_send(body)


def decided_at(body: bytes) -> int | None:
    """Tell when it was decided; None where it can't be read."""
    try:
        outgoing = decode_outgoing(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError):
        return None
    return outgoing.called_at if isinstance(outgoing, Call) else outgoing.decided_at
