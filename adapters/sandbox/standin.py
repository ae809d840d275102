"""What a stand-in is: how it reads requests, what it answers, and how it tells of messages.

Each provider's file has one; `adapters.sandbox.office` does for all of them what they share.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import msgspec
from aiohttp import web

from adapters.sandbox.book import Draft, Message
from adapters.sandbox.fates import Fate, Stage

Take = Callable[[web.Request], Awaitable[web.StreamResponse]]
Accounts = Mapping[str, str]  # what the adapters read from the environment, by variable


class Callback(msgspec.Struct, frozen=True):
    """A request a provider makes, ready to be sent."""

    url: str
    headers: Mapping[str, str] = {}
    body: bytes = b""
    method: str = "POST"


class Answer(msgspec.Struct, frozen=True):
    """What a person writes to us."""

    channel: str
    sender: str  # whose address it comes from
    text: str
    latest: Message | None  # what they were sent last on this channel
    id: str


class Teller(Protocol):
    """One provider, as far as it calls by itself."""

    name: str

    def tell(self, message: Message, stage: Stage, now: int) -> Sequence[Callback]:
        """Write what the provider calls back with; nothing where it does not."""
        ...

    def forward(self, answer: Answer, now: int) -> Callback | None:
        """Write what the provider calls with when somebody answers, None where nobody can."""
        ...


class StandIn(Teller, Protocol):
    """One provider that is reached by HTTP."""

    def routes(self, take: Take) -> list[web.RouteDef]:
        """List its routes: `take` wherever messages are asked for."""
        ...

    async def read(self, request: web.Request) -> Draft | web.Response:
        """Read a message, or refuse as the provider refuses what is wrong with the request."""
        ...

    def refuse(self, draft: Draft, fate: Fate) -> web.Response | None:
        """Say what the provider says at once where a message meets such a fate, if it does."""
        ...

    def accept(self, message: Message) -> web.Response:
        """Say that a message was taken."""
        ...


def json_answer(
    body: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer with JSON."""
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        content_type="application/json",
        headers=headers,
    )
