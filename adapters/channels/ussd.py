"""USSD: a message is the screen that somebody who dialled a code is looking at right now.

`adapters.gateway.ussd` brings a request of the operator in and waits here; the message that is
decided because of it comes out of the outbox like any other, and its text is the answer.

*Rules*
- Who waits is known before the event is stored, so no answer can come too early.
- What was decided before somebody dialled is not what they dialled for: it fails, as does whatever
  comes when nobody waits (any more), so that its fallback is tried.
- The same request again gets the same answer: operators ask again when the network is slow.
- A screen holds 182 characters of the GSM alphabet (3GPP TS 23.038: 160 octets of 7 bits each).
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from hashlib import sha256

import msgspec

from actors.ports import Permanent
from adapters.channels.adapter import Adapter
from engine.effects import Send
from engine.errors import OverloadError, StoreError
from engine.events import Failure
from engine.instants import SECOND_MS, parse_duration

SCREEN_LENGTH_MAX = 182
_KEY_LENGTH_MIN = 16
_WAIT_MS_MAX = 10 * SECOND_MS  # operators end a session that is silent for about that long
_ANSWERS_MAX = 10_000
_MORE, _LAST = "CON ", "END "
_YES = ("true", "yes", "1")

Ask = Callable[[], Awaitable[None]]


class UssdSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`key` is part of the address the operator calls. `fallback` is shown where nothing is said.

    `wait` is how long a request waits for its message.
    """

    key: str
    fallback: str = "END Please try again later."
    wait: str = "1s"

    def __post_init__(self) -> None:
        """Refuse what could never work, while someone is watching."""
        if len(self.key) < _KEY_LENGTH_MIN:
            raise ValueError(f"key must have at least {_KEY_LENGTH_MIN} characters, all of chance")
        if not self.fallback.startswith((_MORE, _LAST)):
            raise ValueError("fallback must begin with `END ` or `CON `")
        if not 0 < parse_duration(self.wait) <= _WAIT_MS_MAX:
            raise ValueError("wait must be longer than nothing and at most 10s")


class UssdChannel:
    """Answers those who wait."""

    def __init__(self, settings: UssdSettings) -> None:
        self._settings = settings
        self._key = _digest(settings.key)
        self._wait_s = parse_duration(settings.wait) / SECOND_MS
        self._waiting: dict[str, _Visit] = {}  # by phone number: a phone has one session at a time
        self._answers: dict[tuple[str, str], asyncio.Task[str]] = {}  # oldest first

    async def start(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Let go of those who wait."""
        for visit in list(self._waiting.values()):
            visit.show(self._settings.fallback)

    def opens(self, key: str) -> bool:
        """Say whether a request with this key is meant for this channel, in constant time."""
        return hmac.compare_digest(self._key, _digest(key))

    async def deliver(self, send: Send) -> str:
        """Show a message to the one who waits for it."""
        visit = self._waiting.get(send.address)
        if visit is None or send.decided_at < visit.at:
            message = "nobody waits for an answer on this line"
            raise Permanent(message, code="no_session", failure=Failure.UNREACHABLE)
        try:
            visit.show(write_screen(send.content))
        except Permanent:
            visit.show(self._settings.fallback)
            raise
        return visit.session

    async def answer(self, phone: str, typed: tuple[str, str], at: int, ask: Ask) -> str:
        """Have a request decided by `ask`, and give what is to be shown.

        `typed` is the session, and all that was typed in it. Where it can't be stored, or nothing
        is said in time, the fallback is shown.
        """
        task = self._answers.get(typed)
        if task is None or _has_failed(task):
            task = asyncio.create_task(self._attend(phone, typed, at, ask))
            self._answers[typed] = task
            if len(self._answers) > _ANSWERS_MAX:
                del self._answers[next(iter(self._answers))]
        # The operator may hang up, and ask again for what is on its way.
        return await asyncio.shield(task)

    async def _attend(self, phone: str, typed: tuple[str, str], at: int, ask: Ask) -> str:
        before = self._waiting.get(phone)
        if before is not None:
            before.show(self._settings.fallback)
        visit = self._waiting[phone] = _Visit(typed[0], at)
        try:
            await ask()
            async with asyncio.timeout(self._wait_s):
                return await visit.screen
        except (OverloadError, StoreError):
            self._answers.pop(typed, None)  # so that asking again helps
        except TimeoutError:
            pass
        finally:
            if self._waiting.get(phone) is visit:
                del self._waiting[phone]
        return self._settings.fallback


class _Visit:
    """Somebody who looks at their screen since an instant."""

    def __init__(self, session: str, at: int) -> None:
        self.session = session
        self.at = at
        self.screen: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def show(self, text: str) -> None:
        """Answer, unless that happened already."""
        if not self.screen.done():
            self.screen.set_result(text)


def _has_failed(task: asyncio.Task[str]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def write_screen(content: dict[str, str]) -> str:
    """Write a message as an operator takes it: `CON` where the session goes on, else `END`.

    Raises Permanent where it does not fit on a screen.
    """
    body = content.get("body", "").strip()
    if not 0 < len(body) <= SCREEN_LENGTH_MAX:
        message = f"a screen holds 1 to {SCREEN_LENGTH_MAX} characters, this has {len(body)}"
        raise Permanent(message, code="too_long" if body else "empty", failure=Failure.CONTENT)
    goes_on = content.get("more", "").strip().lower() in _YES
    return f"{_MORE if goes_on else _LAST}{body}"


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "replace")).digest()


ADAPTER = Adapter(
    UssdSettings,
    lambda _name, settings, _workshop: UssdChannel(settings),
    {"key": "NEXTBEAT_USSD_KEY"},
    secrets=("key",),
)
