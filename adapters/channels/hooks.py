"""What providers tell us by themselves: what became of messages, and what people wrote back.

A provider's module has a `Hook` beside its `Provider`: it tells the provider's requests from
forged ones, and brings them into our words. `adapters.gateway.receipts` mounts hooks at
`/v1/receipts/{provider}`, finds whose the messages are, and hands on receipts and events.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol, runtime_checkable

import msgspec

from engine.events import Failure, ReceiptStatus


class ForgedError(Exception):
    """The request is not the provider's, or is too old to be; the message says why."""


class HookRequest(msgspec.Struct, frozen=True):
    """A request as it came in. `url` is as the provider called it, query included.

    The names of `headers` are in small letters; `body` is raw: signatures are over its bytes.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes


class Notice(msgspec.Struct, frozen=True):
    """What a provider says became of a message.

    `id` is the same whenever the same thing is told again. The message is named by our id where
    the provider gives that back, by its own otherwise. `at` is epoch ms; 0: it did not say.
    """

    id: str
    status: ReceiptStatus
    at: int = 0
    message_id: str = ""
    provider_id: str = ""
    code: str = ""
    permanent: bool = False  # of a failure: it will never be delivered
    failure: Failure | None = None


class Said(msgspec.Struct, frozen=True):
    """What a person wrote to us, or did with a message, on a channel.

    `address` is theirs, as the trait of a profile has it (E.164 with `+`, e-mail in small
    letters). `answers` is the provider's id of the message they answered, where it is known.
    """

    id: str
    address: str
    text: str
    at: int = 0
    answers: str = ""
    keyword: str = ""  # the provider took it as this word itself: STOP, START or HELP


class Hook(Protocol):
    """The receiving side of one provider: pure, and made from its secrets alone."""

    def verify(self, request: HookRequest, present: datetime) -> None:
        """Raise ForgedError unless the request is the provider's own, and fresh."""
        ...

    def read(self, request: HookRequest) -> list[Notice | Said]:
        """Read what is told; what we have no use for is left out.

        Raises InputError where the request can't be understood as a whole.
        """
        ...

    def greet(self, request: HookRequest) -> bytes | None:
        """Answer what a provider asks before it tells anything; None: it asks nothing."""
        ...


class HookKind(msgspec.Struct, frozen=True):
    """How a provider's hook is made: from which environment variables, and by what."""

    variables: tuple[str, ...]  # all must be set for the hook to be mounted
    make: Callable[[Mapping[str, str]], Hook]  # from the environment


@runtime_checkable
class AskingHook(Hook, Protocol):
    """A hook that must look something up, or answer at another address.

    The gateway does that for it: hooks open no connections.
    """

    def wants(self, request: HookRequest) -> str:
        """Name the URL of what `verify` needs and has not; "" where nothing is missing."""
        ...

    def learn(self, url: str, content: bytes) -> None:
        """Take what is at a URL. Raises ForgedError where that is nothing to verify by."""
        ...

    def visits(self, request: HookRequest) -> str:
        """Name the URL to be called once because of a request that is verified; "" for none."""
        ...
