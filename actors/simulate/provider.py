"""Providers that time out after taking a message, throttle, refuse, and report late or twice.

Made by `world`, one for each channel, behind `actors.ports.Channel`. They outlive the process that
calls them, and know messages by the id they are given: the second of one id is the first again.
"""

import asyncio
from collections.abc import Callable

from actors.ports import Permanent, Temporary
from actors.simulate.dice import Dice
from actors.simulate.disk import Seen
from actors.simulate.hazards import Hazards
from actors.simulate.scene import MARKETING
from actors.simulate.witness import Witness
from engine.effects import Send
from engine.events import Receipt, ReceiptStatus
from engine.instants import HOUR_MS, MINUTE_MS, SECOND_MS

_HANGS_S = 300.0  # longer than anybody waits for an answer
Post = Callable[[Receipt, float], None]  # sends a receipt so many seconds from now, until taken


class SimProvider:
    """One way out, and what comes back from it."""

    def __init__(  # noqa: PLR0913 - the parts of the world it plays in
        self,
        dice: Dice,
        hazards: Hazards,
        witness: Witness,
        seen: Seen,
        *,
        post: Post,
        now: Callable[[], int],
        at_least_once: frozenset[str],
    ) -> None:
        self._dice = dice
        self._hazards = hazards
        self._witness = witness
        self._seen = seen
        self._post = post
        self._now = now
        self._at_least_once = at_least_once
        self._receipt_count = 0

    async def start(self) -> None:
        """Connect."""

    async def close(self) -> None:
        """Disconnect."""

    async def deliver(self, send: Send) -> str:
        """Take a message and name it, or fail in one of the ways providers fail."""
        hazards, dice = self._hazards, self._dice
        self._check(send)
        await hazards.operate()
        await asyncio.sleep(dice.span(0.01, 0.4))
        self._fail_before()
        if hazards.strikes("lost"):
            await asyncio.sleep(_HANGS_S)
        self._take(send)
        await hazards.operate()
        if hazards.strikes("timeout"):
            await asyncio.sleep(_HANGS_S)
        await asyncio.sleep(dice.span(0.001, 0.1))
        return f"p_{send.message_id}"

    def _check(self, send: Send) -> None:
        """See whether this message may be here at all."""
        witness = self._witness
        witness.note_attempt(send, self._seen.decided)
        if send.message_id in witness.ended:
            witness.accuse("nothing leaves after an answered erasure", send.message_id)
        repeats = send.message_type in self._at_least_once
        if not repeats and witness.taken.get(send.message_id):
            witness.accuse("at most one send per id where once is all", send.message_id)
        if send.purpose == MARKETING and self._is_closed(send):
            witness.accuse("nothing leaves after an acknowledged opt-out", send.message_id)

    def _is_closed(self, send: Send) -> bool:
        """Say whether somebody was told that this customer's "no" is known, and it still holds."""
        said = (self._seen.who(send.customer), send.channel)
        known = (
            said in self._witness.closed or (send.customer, send.channel) in self._witness.closed
        )
        return known and self._seen.is_no(*said)

    def _fail_before(self) -> None:
        hazards, dice = self._hazards, self._dice
        if hazards.strikes("throttle"):
            pause_ms = dice.among(1, 30) * (MINUTE_MS if dice.chance(0.2) else SECOND_MS)
            raise Temporary("slow down", retry_after_ms=pause_ms)
        if hazards.strikes("refuse"):
            raise Temporary("out of order", maybe_taken=dice.chance(0.3))
        if hazards.strikes("bounce", 0.5):
            raise Permanent("no such address", code="unknown_address")

    def _take(self, send: Send) -> None:
        name = send.message_id
        taken = self._witness.taken
        taken[name] = taken.get(name, 0) + 1
        self._witness.note("taken", name)
        if taken[name] > 1:
            self._hazards.note("taken twice")
        else:
            self._tell(send)

    def _tell(self, send: Send) -> None:
        """Plan what comes back about a message."""
        hazards, dice = self._hazards, self._dice
        statuses = [ReceiptStatus.DELIVERED]
        if hazards.strikes("bounce"):
            statuses = [ReceiptStatus.FAILED]
            self._witness.refused[send.message_id] = 1
        elif dice.chance(0.4):
            statuses.append(ReceiptStatus.OPENED)
        if hazards.strikes("unsubscribe"):
            ends = (ReceiptStatus.UNSUBSCRIBED, ReceiptStatus.COMPLAINED)
            statuses.append(dice.pick(ends))
        for status in statuses:
            self._plan(send.customer, send.message_id, status)
        if hazards.strikes("forged"):
            forged = dice.pick((ReceiptStatus.FAILED, ReceiptStatus.UNSUBSCRIBED))
            self._plan(send.customer, f"m_forged:{send.channel}:{self._receipt_count}", forged)

    def _plan(self, customer: str, message: str, status: ReceiptStatus) -> None:
        hazards, dice = self._hazards, self._dice
        span_s = 6 * HOUR_MS / SECOND_MS if hazards.strikes("late") else 90.0
        receipt = self._receipt(f"r:{message}:{status}", customer, message, status)
        self._post(receipt, dice.span(0.05, span_s))
        if hazards.strikes("doubled"):
            if dice.chance(0.5):  # some give what they say again a new name
                name = f"{receipt.id}:again"
                receipt = self._receipt(name, customer, message, status)
            self._post(receipt, dice.span(0.05, span_s))

    def _receipt(self, name: str, customer: str, message: str, status: ReceiptStatus) -> Receipt:
        self._receipt_count += 1
        failed = status is ReceiptStatus.FAILED
        at = self._now()
        return Receipt(name, customer, message, status, at, at, permanent=failed, source="provider")
