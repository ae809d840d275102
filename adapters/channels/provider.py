"""A channel from two pure functions: how a message is asked for, and what an answer means.

Every provider that speaks HTTP is a `Provider` in a file of its own; `HttpChannel` is what they
share, so that none of them opens connections, retries, or reads clocks.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from actors.ports import Permanent, Temporary
from adapters.channels.wire import Reply, Request
from engine.effects import Send
from engine.events import Failure

# What speaks of the moment or of the account: the message may still go. All else is definitive.
PASSING = frozenset({Failure.RATE, Failure.TRANSIENT, Failure.CONFIG})

Present = Callable[[], datetime]


class Refusal(msgspec.Struct, frozen=True):
    """A message that was not taken: `failure` is what that asks for, `code` is the provider's.

    `maybe_taken` only with what is passing: the provider may have taken it all the same.
    """

    failure: Failure
    code: str
    text: str
    retry_after_ms: int | None = None
    maybe_taken: bool = False

    def error(self) -> Temporary | Permanent:
        """Say it as channels do."""
        if self.failure not in PASSING:
            return Permanent(self.text, code=self.code, failure=self.failure)
        return Temporary(
            self.text,
            retry_after_ms=self.retry_after_ms,
            maybe_taken=self.maybe_taken,
            code=self.code,
            failure=self.failure,
        )


class Provider(Protocol):
    """One provider: pure, and made from its settings alone."""

    def build(self, send: Send, present: datetime) -> Request:
        """Write the request that asks for a message, the same at every attempt but for its date.

        Raises Permanent (with `Failure.CONTENT`) where the message can't be said here.
        """
        ...

    def classify(self, reply: Reply, present: datetime) -> str | Refusal:
        """Read an answer: the id the message has there, or why it was not taken."""
        ...


class Exchange(Protocol):
    """What carries requests: the wire that all channels share, or one of a channel's own."""

    async def exchange(self, request: Request) -> Reply:
        """Send a request once. Raises Temporary or Permanent where nothing was answered."""
        ...

    async def close(self) -> None:
        """Close the connections; they are opened again where they are needed again."""
        ...


class HttpChannel:
    """A provider, reached over a wire."""

    def __init__(
        self, provider: Provider, wire: Exchange, present: Present = lambda: datetime.now(UTC)
    ) -> None:
        """Take a provider; `present` is real time even where business time is not."""
        self.provider = provider
        self._wire = wire
        self._present = present

    async def start(self) -> None:
        """Connections are made when they are needed."""

    async def close(self) -> None:
        """Let go of the wire's connections; whoever needs them again opens them again."""
        await self._wire.close()

    async def deliver(self, send: Send) -> str:
        """Ask for a message once, and give the id it has at the provider."""
        reply = await self._wire.exchange(self.provider.build(send, self._present()))
        answer = self.provider.classify(reply, self._present())
        if isinstance(answer, Refusal):
            raise answer.error()
        return answer or send.message_id
