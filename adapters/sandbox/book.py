"""What came in: every message the stand-ins took, and every request they refused.

Kept by `adapters.sandbox.office`, shown by `adapters.sandbox.page`.
"""

from collections.abc import Iterator
from itertools import count

import msgspec

from adapters.sandbox.fates import Fate

KEPT_MAX = 200_000


class Draft(msgspec.Struct, frozen=True):
    """A message as a stand-in has read it from a request.

    `callback` is the address for receipts that came with it. `key` is by what the real provider
    knows a repeated request again, "" where it does not. `reference` is the sender's own id.
    Attempts are of the same text; of the same `mark`, where there is one.
    """

    provider: str
    channel: str
    to: str
    text: str
    sender: str = ""
    callback: str = ""
    reference: str = ""
    key: str = ""
    fields: dict[str, str] = {}
    is_template: bool = False
    mark: str = ""


class Message(msgspec.Struct):
    """A message that was taken or refused. `told` are the receipts that were sent, in order."""

    id: str
    at: int
    draft: Draft
    fate: Fate
    refused: bool = False
    told: list[str] = []


class Book:
    """The messages, oldest first; the oldest are forgotten where there are too many."""

    def __init__(self, now: int) -> None:
        self._opened_at = now  # in all ids, so that those of an earlier book do not come again
        self._messages: dict[str, Message] = {}
        self._by_key: dict[tuple[str, str], Message] = {}
        self._attempts: dict[tuple[str, str, str], int] = {}
        self._earlier: dict[tuple[str, str], int] = {}
        self._numbers = count(1)

    def __len__(self) -> int:
        return len(self._messages)

    def make_id(self) -> str:
        """Make an id: 32 digits of a hexadecimal number, as most providers' ids have."""
        return f"{self._opened_at:016x}{next(self._numbers):016x}"

    def find_twin(self, draft: Draft) -> Message | None:
        """Find the message that a repeated request is about, at providers that do."""
        return self._by_key.get((draft.provider, draft.key)) if draft.key else None

    def count_attempts(self, draft: Draft) -> tuple[int, int]:
        """Tell how often this very message was tried, and how many others its address had."""
        this = self._attempts.get(_name(draft), 0)
        return this, self._earlier.get((draft.channel, draft.to), 0) - this

    def add(self, draft: Draft, fate: Fate, *, refused: bool, now: int) -> Message:
        """Write down a message."""
        message = Message(self.make_id(), now, draft, fate, refused)
        self._messages[message.id] = message
        tried, had = _name(draft), (draft.channel, draft.to)
        self._attempts[tried] = self._attempts.get(tried, 0) + 1
        self._earlier[had] = self._earlier.get(had, 0) + 1
        if draft.key and not refused:
            self._by_key[draft.provider, draft.key] = message
        if len(self._messages) > KEPT_MAX:
            self._forget(self._messages.pop(next(iter(self._messages))).draft)
        return message

    def _forget(self, draft: Draft) -> None:
        self._attempts.pop(_name(draft), None)
        self._earlier.pop((draft.channel, draft.to), None)
        self._by_key.pop((draft.provider, draft.key), None)

    def find(
        self, *, channel: str = "", provider: str = "", to: str = "", refused: bool | None = None
    ) -> Iterator[Message]:
        """Find messages, newest first; what is "" or None is not asked for."""
        for message in reversed(self._messages.values()):
            draft = message.draft
            if (
                channel in {"", draft.channel}
                and provider in {"", draft.provider}
                and to in {"", draft.to}
                and refused in {None, message.refused}
            ):
                yield message

    def clear(self) -> None:
        """Forget everything."""
        for kept in (self._messages, self._by_key, self._attempts, self._earlier):
            kept.clear()


def _name(draft: Draft) -> tuple[str, str, str]:
    """Name what is tried when a draft is: attempts at the same are counted together."""
    return draft.channel, draft.to, draft.mark or draft.text
