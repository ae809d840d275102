"""One attempt: a message is handed to one provider once, its breaker learns from it, and what next.

`actors.outbox` decides which provider is asked.

*Rules*
- Whatever a channel raises becomes an end or a `Temporary`; nothing else comes out.
- What may have been taken is tried again only where the message may be sent twice.
- A channel that fails on a message as no channel should has so many tries with it, and no more.
"""

import asyncio

from actors.endings import Ending, OutboxState, cancelled, outbox_change
from actors.lanes import Pacing, Parcel, Route, back_off
from actors.ports import Clock, Permanent, Temporary
from actors.rows import OutboxChange, Spent
from engine.effects import Send
from engine.events import Failure
from engine.instants import SECOND_MS
from engine.limits import CHANNEL_FAULTS_MAX, RETRY_AFTER_MS_MAX


class Fault(Temporary):
    """The channel failed as no channel should: its code is wrong, or the message is odd."""


async def attempt(route: Route, send: Send, epoch: int, clock: Clock) -> Ending | Temporary:
    """Give a message to a provider; gives its end, or why it has none yet."""
    try:
        async with asyncio.timeout(route.pacing.timeout_ms / SECOND_MS):
            taken = await route.channel.deliver(send)
    except Permanent as error:
        _judge(route, epoch, error, clock.now())
        failure = error.failure or ""
        return Ending(OutboxState.FAILED, str(error), error.code or "refused", failure)
    except Temporary as error:
        trouble = error
    except TimeoutError:
        trouble = Temporary(f"no answer in {route.pacing.timeout_ms} ms", maybe_taken=True)
    except Exception as error:  # noqa: BLE001 - a faulty channel must not lose the message
        trouble = Fault(f"{type(error).__name__}: {error}", maybe_taken=True)
    else:
        route.breaker.succeed(epoch, clock.now())
        route.count("taken")
        return Ending(OutboxState.SENT, provider_id=taken)
    _judge(route, epoch, trouble, clock.now())
    return trouble


def _judge(route: Route, epoch: int, error: Temporary | Permanent, now: int) -> None:
    """Tell the breaker what a failure says of the provider, and count it."""
    breaker = route.breaker
    if error.failure is Failure.CONFIG:
        breaker.misconfigure(epoch, now)
    elif isinstance(error, Permanent):
        breaker.succeed(epoch, now)  # it answered: only this message is refused
    elif isinstance(error, Fault):
        breaker.withdraw(epoch, now)  # that says nothing of the provider
    elif error.failure is Failure.RATE:
        breaker.limit(epoch, error.retry_after_ms, now)
    else:
        breaker.fail(epoch, now)
    is_refusal = isinstance(error, Permanent) and not error.failure
    route.count("refused" if is_refusal else error.failure or Failure.TRANSIENT)


def follow_up(
    parcel: Parcel, error: Temporary, pacing: Pacing, now: int, *, may_repeat: bool
) -> Ending | int:
    """Choose what follows an attempt that did not succeed but might: an end, or when to try again.

    `may_repeat` where the message may be sent twice rather than not at all.
    """
    if error.maybe_taken and not may_repeat:
        return Ending(OutboxState.IN_DOUBT, str(error), "maybe_taken")
    if parcel.recalled is not None:
        return cancelled(parcel.recalled)
    parcel.faults += isinstance(error, Fault)
    if parcel.faults >= CHANNEL_FAULTS_MAX:
        return Ending(OutboxState.FAILED, str(error), "channel_fault")
    send = parcel.send
    pause_ms = error.retry_after_ms or 0
    if error.failure is not Failure.CONFIG:  # that waits for the breaker, however long
        pause_ms = max(back_off(send.message_id, parcel.attempts, pacing), pause_ms)
    due_at = now + pause_ms
    is_last = (
        parcel.attempts >= pacing.attempts
        or pause_ms > RETRY_AFTER_MS_MAX
        or due_at > send.decided_at + pacing.retry_ms
        or parcel.has_expired(due_at)
    )
    if is_last:
        # Told now and not when the time is over: another channel may still be in time.
        failure = error.failure or ""
        return Ending(OutboxState.FAILED, str(error), "retries_exhausted", failure)
    return due_at


def change_row(
    parcel: Parcel,
    state: OutboxState,
    detail: str = "",
    *,
    code: str = "",
    provider_id: str = "",
    spent: Spent | None = None,
) -> OutboxChange:
    """Give the change of a message's row."""
    return outbox_change(
        parcel.send.message_id,
        state,
        parcel.attempts,
        detail,
        code=code,
        provider=parcel.provider,
        provider_id=provider_id,
        spent=spent,
    )
