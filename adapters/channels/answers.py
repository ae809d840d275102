"""What providers share: answers read; and for push, WhatsApp and audiences: content picked.

*Rules*
- What a provider says in words is not handed on: it may quote a number or a token.
- Nothing here raises for what a provider answers: an answer that can't be read is an answer too.
- What can't be read and yet says that all is well may have been taken, and so may what broke
  while it was worked on. What was turned away was not taken.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from actors.ports import Permanent
from adapters.channels.exchange import read_retry_after
from adapters.channels.provider import Refusal
from adapters.channels.wire import Reply
from engine.effects import Send
from engine.events import Failure
from engine.gates.consent import SERVICE

_REDIRECT, _CLIENT_ERROR, _SERVER_ERROR = 300, 400, 500
_UNAVAILABLE = 503  # said before anything was done
_ACCOUNT = (401, 402, 403, 404, 405)  # a key, a payment, or an address of the API that is wrong
_TOO_MANY = 429
_COLLAPSE_LENGTH_MAX = 64  # what Apple takes, and Google hands on to Apple

_Answer = TypeVar("_Answer")
_Struct = TypeVar("_Struct", bound=msgspec.Struct)


def read_json(body: bytes, kind: type[_Answer]) -> _Answer | None:
    """Read a body; None where it is not what was expected."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return None


def read_answer(body: bytes, kind: type[_Struct]) -> _Struct:
    """Read what a provider answered; what can't be read is an answer that says nothing."""
    return read_json(body, kind) or kind()


def refuse_content(why: str) -> Permanent:
    """Say that a message can't be said on a channel as it is written."""
    return Permanent(
        f"the message can't be sent here: {why}", code="bad_content", failure=Failure.CONTENT
    )


def refuse_address(why: str) -> Permanent:
    """Say that an address is none on this channel, and never will be."""
    return Permanent(
        f"the address is none here: {why}", code="bad_address", failure=Failure.ADDRESS_DEAD
    )


def judge_status(reply: Reply, present: datetime) -> Refusal:
    """Say what an answer means of which no more than the status can be understood."""
    status = reply.status
    failure = Failure.TRANSIENT
    if status in _ACCOUNT or _REDIRECT <= status < _CLIENT_ERROR:
        failure = Failure.CONFIG
    elif status == _TOO_MANY:
        failure = Failure.RATE
    turned_away = _REDIRECT <= status < _SERVER_ERROR or status == _UNAVAILABLE
    return Refusal(
        failure,
        str(status),
        f"the provider answered {status}, and nothing else that could be read",
        retry_after_ms=read_pause(reply, present),
        maybe_taken=not turned_away,
    )


def read_pause(reply: Reply, present: datetime) -> int | None:
    """Read how long the provider asks us to wait."""
    return read_retry_after(reply.headers.get("retry-after"), present)


def find_data(send: Send, prefix: str = "data_") -> dict[str, str]:
    """Gather what the receiving app is given: the content's fields `data_NAME`, by name."""
    return {
        name.removeprefix(prefix): value
        for name, value in send.content.items()
        if name.startswith(prefix) and name != prefix
    }


def find_collapse_key(send: Send) -> str:
    """Find what a push takes the place of on the device: what has the same key.

    Without `collapse_key` that is the message itself, so that one sent twice is seen once.
    """
    key = send.content.get("collapse_key") or send.message_id
    if len(key) > _COLLAPSE_LENGTH_MAX or not (key.isascii() and key.isprintable()):
        raise refuse_content(f"`collapse_key` is not up to {_COLLAPSE_LENGTH_MAX} plain characters")
    return key


def is_urgent(send: Send) -> bool:
    """Say whether a device is to be woken: by `priority: high`, or because it is service."""
    return send.content.get("priority", "high" if send.purpose == SERVICE else "") == "high"


def read_badge(content: Mapping[str, str]) -> dict[str, int]:
    """Read the number at an app's icon, as part of `aps`; nothing where there is none."""
    badge = content.get("badge", "").strip()
    return {"badge": int(badge[:9])} if badge.isascii() and badge.isdigit() else {}


def pick(content: Mapping[str, str], names: Mapping[str, str]) -> dict[str, Any]:
    """Pick fields that are not empty: what the provider calls them, by what we do."""
    return {name: content[field] for name, field in names.items() if content.get(field)}
