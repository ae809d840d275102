"""An outbox over two providers in memory, on a clock that moves when it is told to."""

import asyncio
from collections.abc import Mapping

import msgspec

from actors.budgets import Prices, Purse
from actors.lanes import Pace, Pacing
from actors.memory import VirtualClock
from actors.outbox import BACKUP, Outbox
from actors.ports import Channel
from actors.rows import OutboxChange, OutboxRow
from engine.effects import Send
from engine.events import Receipt

START = 1_772_428_320_000


class Provider:
    """Takes `latency_ms` for each call, fails as told, or holds calls until let go."""

    def __init__(self, name: str, clock: VirtualClock, calls: list[tuple[int, str, str]]) -> None:
        self.name = name
        self.clock = clock
        self.calls = calls  # of all providers: when, which, what
        self.fails: dict[str, list[Exception]] = {}  # by message id
        self.fails_all: Exception | None = None
        self.latency_ms = 0
        self.held: asyncio.Future[None] | None = None

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def deliver(self, send: Send) -> str:
        self.calls.append((self.clock.now() - START, self.name, send.message_id))
        if self.latency_ms:
            await self.clock.sleep_until(self.clock.now() + self.latency_ms)
        if self.held is not None:
            await self.held
        if self.fails.get(send.message_id):
            raise self.fails[send.message_id].pop(0)
        if self.fails_all is not None:
            raise self.fails_all
        return "taken"


class Outgoing:
    """The outbox, with a store that is durable at once."""

    def __init__(  # noqa: PLR0913 - what tests change, each by its name
        self,
        pace: Pace | None = None,
        *,
        email: Pacing | None = None,
        sms: Pacing | None = None,
        is_hasty: bool = False,
        is_backed: bool = True,
        at_least_once: bool = False,
        prices: Prices | None = None,
    ) -> None:
        """`is_hasty` has the clock run by itself. Text messages have a second provider (`other`)
        unless `is_backed` is not so.
        """
        self.clock = VirtualClock(START, auto=is_hasty)
        self.receipts: list[Receipt] = []
        self.changes: list[OutboxChange] = []
        self.calls: list[tuple[int, str, str]] = []
        self.email = Provider("email", self.clock, self.calls)
        self.sms = Provider("sms", self.clock, self.calls)
        self.other = Provider("other", self.clock, self.calls)
        pacing: Mapping[str, Pacing] = {"email": email or Pacing(), "sms": sms or Pacing()}
        self._channels: dict[str, Channel] = {"email": self.email, "sms": self.sms}
        if is_backed:
            self._channels["sms" + BACKUP] = self.other
        self.outbox = Outbox(
            self._channels,
            self.clock,
            report=self.receipts.append,
            changed=self._changed,
            at_least_once=lambda message_type: at_least_once,
            pacing=pacing,
            pace=pace,
            providers={"sms": "first", "sms" + BACKUP: "second"},
            purse=Purse(prices),
        )

    def provide(self, name: str, channel: Channel) -> None:
        """Have another provider, before anything is offered."""
        self._channels[name] = channel

    def order(self) -> list[str]:
        return [message_id for _, _, message_id in self.calls]

    def times(self) -> list[int]:
        return [at for at, _, _ in self.calls]

    def told(self) -> list[tuple[str, str, str]]:
        return [(r.message, r.status.value, r.code) for r in self.receipts]

    def _changed(self, change: OutboxChange) -> "asyncio.Future[None]":
        self.changes.append(change)
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


def a_send(message_id: str, customer: str = "", **fields: str | int | None) -> Send:
    """Make a newsletter by e-mail to a customer of its own, unless told otherwise."""
    send = Send(
        message_id=message_id,
        decision_id="d_1",
        customer=customer or f"for {message_id}",
        channel="email",
        address="zoe@example.com",
        message="letter",
        message_type="promotional",
        purpose="marketing",
        journey="news",
        step="first",
        content={"body": "Hello"},
        decided_at=START,
        expires_at=None,
    )
    return msgspec.structs.replace(send, **fields)


def sends(letter: str, count: int, **fields: str | int | None) -> list[Send]:
    return [a_send(f"{letter}{number}", "", **fields) for number in range(count)]


def a_row(send: Send) -> OutboxRow:
    body = msgspec.msgpack.encode(send)
    return OutboxRow(send.message_id, send.customer, send.channel, "queued", 0, body)
