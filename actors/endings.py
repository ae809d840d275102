"""How messages end: the states of the outbox, what is stored of an end, and what is told of it.

Used by `actors.outbox` for messages and by `actors.calls` for calls, whose rows have the same
states.
"""

import asyncio
from collections.abc import Callable, Sequence
from enum import StrEnum

import msgspec

from actors.ports import Clock
from actors.rows import OutboxChange, Spent
from engine.errors import OverloadError, StoreError
from engine.events import Receipt, ReceiptStatus
from engine.instants import SECOND_MS

_STORE_RETRY_MS = SECOND_MS
_TEXT_LENGTH_MAX = 200

Act = Callable[[], "asyncio.Future[None] | None"]


class OutboxState(StrEnum):
    """Where a message stands. Stored: add, never rename."""

    QUEUED = "queued"  # durable, not handed to the provider
    DISPATCHING = "dispatching"  # handed to the provider, or about to be
    SENT = "sent"
    FAILED = "failed"
    EXPIRED = "expired"
    IN_DOUBT = "in_doubt"


OPEN_STATES = (OutboxState.QUEUED, OutboxState.DISPATCHING)  # the others are done


class Ending(msgspec.Struct, frozen=True):
    """How a message ended: `detail` for the store, `code` for the customer's receipt as well.

    `provider_id` is what the provider calls a message that was taken.
    """

    state: OutboxState
    detail: str = ""
    code: str = ""
    failure: str = ""
    provider_id: str = ""


EXPIRED = Ending(OutboxState.EXPIRED, "expired before it could leave", "expired")
_STATUSES = {
    OutboxState.SENT: ReceiptStatus.ACCEPTED,
    OutboxState.FAILED: ReceiptStatus.FAILED,
    OutboxState.EXPIRED: ReceiptStatus.FAILED,
    OutboxState.IN_DOUBT: ReceiptStatus.IN_DOUBT,
}


def cancelled(code: str) -> Ending:
    """Give the end of a message that was stopped."""
    return Ending(OutboxState.FAILED, "cancelled", code)


def write_receipt(customer: str, message_id: str, ending: Ending, now: int) -> Receipt:
    """Write what the customer's actor is told."""
    status = _STATUSES[ending.state]
    return Receipt(
        id=f"o:{message_id}:{status}",
        user=customer,
        message=message_id,
        status=status,
        at=now,
        received_at=now,
        code=ending.code,
        permanent=status == ReceiptStatus.FAILED,
        source="outbox",
        failure=ending.failure,
    )


def outbox_change(  # noqa: PLR0913 - the columns of a row
    message_id: str,
    state: OutboxState,
    attempts: int,
    detail: str = "",
    *,
    code: str = "",
    provider: str = "",
    provider_id: str = "",
    spent: Spent | None = None,
) -> OutboxChange:
    """Give the change of a row."""
    text, name = detail[:_TEXT_LENGTH_MAX], provider_id[:_TEXT_LENGTH_MAX]
    return OutboxChange(message_id, state.value, attempts, text, code, provider, name, spent)


async def insist(clock: Clock, *acts: Act) -> None:
    """Have things made durable together, asking again while the store can't."""
    waiting: Sequence[Act] = acts
    while waiting:
        asked = [(act, _ask(act)) for act in waiting]
        waiting = [act for act, done in asked if not await _is_durable(done)]
        if waiting:
            await clock.sleep_until(clock.now() + _STORE_RETRY_MS)


def _ask(act: Act) -> "asyncio.Future[None] | bool":
    try:
        return act() or True
    except (OverloadError, StoreError):
        return False


async def _is_durable(done: "asyncio.Future[None] | bool") -> bool:
    if isinstance(done, bool):
        return done
    try:
        await done
    except (OverloadError, StoreError):
        return False
    return True
