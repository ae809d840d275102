"""What all stand-ins share: messages are judged, kept and answered, and receipts go out.

Made by `adapters.sandbox.server`. A stand-in reads a request and knows its provider's words; here
is decided what becomes of it, and when what is told.
"""

import asyncio
from collections.abc import Sequence
from typing import Self

import aiohttp
import structlog
from aiohttp import web
from yarl import URL

from actors.ports import Clock
from adapters.sandbox.book import Book, Draft, Message
from adapters.sandbox.fates import Asked, Fate, Script, Step, choose, plan
from adapters.sandbox.standin import Answer, Callback, StandIn, Take, Teller
from engine.errors import InputError
from engine.instants import SECOND_MS

_TRIES = 3  # providers try again where nobody takes what they tell
_PAUSE_MS = 500
_AT_ONCE = 64
_CALL_S_MAX = 10.0
_OK_END = 300

logger = structlog.get_logger("nextbeat.sandbox")


class Office:
    """The shared part of the sandbox. Use it as an asynchronous context manager."""

    def __init__(self, clock: Clock, script: Script, *, speed: float = 1.0, hold_s: float) -> None:
        """`speed` shortens what passes before a receipt; `hold_s` is how long a time-out is."""
        assert speed > 0
        self.book = Book(clock.now())
        self.clock = clock
        self.heard = 0  # calls that somebody took
        self.unheard = 0  # calls that nobody did
        self._script = script
        self._speed = speed
        self._hold_s = hold_s
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._calling = 0
        self._is_hushed = False
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._web: aiohttp.ClientSession | None = None
        self._arrival = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Be ready to call."""
        self._web = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_CALL_S_MAX))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Call nobody any more."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._web is not None:
            await self._web.close()

    def open_counter(self, stand: StandIn) -> Take:
        """Give the handler of a stand-in's messages."""

        async def take(request: web.Request) -> web.StreamResponse:
            draft = await stand.read(request)
            if isinstance(draft, web.Response):
                return draft
            return await self._serve(stand, draft, request)

        return take

    def judge(self, draft: Draft) -> Fate:
        """Decide what becomes of a message."""
        attempt, earlier = self.book.count_attempts(draft)
        asked = Asked(
            draft.provider, draft.channel, draft.to, draft.text, attempt, earlier, draft.is_template
        )
        return choose(self._script, asked)

    def keep(self, stand: Teller, draft: Draft, fate: Fate, *, refused: bool = False) -> Message:
        """Write down a message; what was taken is told of from now on."""
        message = self.book.add(draft, fate, refused=refused, now=self.clock.now())
        self._arrival.set()
        if not refused and (steps := plan(fate, draft.channel)):
            self._start(stand, message, steps)
        return message

    async def wait_for(self, count: int, *, channel: str = "", to: str = "") -> list[Message]:
        """Wait until so many messages were taken, and give them in order."""
        while True:
            self._arrival.clear()
            found = list(self.book.find(channel=channel, to=to, refused=False))
            if len(found) >= count:
                return found[::-1]
            await self._arrival.wait()

    async def reply(self, stand: Teller, channel: str, sender: str, text: str) -> None:
        """Let somebody answer. Raises InputError where the provider can't bring it to us."""
        latest = next(self.book.find(channel=channel, to=sender, refused=False), None)
        answer = Answer(channel, sender, text, latest, self.book.make_id())
        callback = stand.forward(answer, self.clock.now())
        if callback is None:
            raise InputError("channel", f"nobody can answer on {channel!r} by {stand.name}")
        if not await self._call(callback):
            raise InputError("", f"{callback.url} did not take it: is `nextbeat serve` running?")

    async def hold(self) -> None:
        """Let somebody wait for an answer that will not come."""
        await asyncio.sleep(self._hold_s)

    async def settle(self) -> None:
        """Wait until everything that is to be told of what came in has been told."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def hush(self) -> None:
        """Tell nothing more; calls in progress end, and are counted."""
        self._is_hushed = True
        await self._quiet.wait()

    async def _serve(
        self, stand: StandIn, draft: Draft, request: web.Request
    ) -> web.StreamResponse:
        twin = self.book.find_twin(draft)
        if twin is not None:
            return stand.accept(twin)
        fate = self.judge(draft)
        refusal = stand.refuse(draft, fate)
        message = self.keep(stand, draft, fate, refused=refusal is not None)
        if fate is Fate.TIMEOUT and request.transport is not None:
            await self.hold()
            request.transport.abort()
        return refusal if refusal is not None else stand.accept(message)

    def _start(self, stand: Teller, message: Message, steps: Sequence[Step]) -> None:
        task = asyncio.create_task(self._tell(stand, message, steps))
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    async def _tell(self, stand: Teller, message: Message, steps: Sequence[Step]) -> None:
        """Tell of a message, stage by stage."""
        for step in steps:
            await self.clock.sleep_until(message.at + round(step.after_ms / self._speed))
            for callback in stand.tell(message, step.stage, self.clock.now()):
                await self._call(callback)
            message.told.append(step.stage.value)

    async def _call(self, callback: Callback) -> bool:
        if self._is_hushed:
            return False
        self._calling += 1
        self._quiet.clear()
        try:
            return await self._insist(callback)
        finally:
            self._calling -= 1
            if not self._calling:
                self._quiet.set()

    async def _insist(self, callback: Callback) -> bool:
        for attempt in range(_TRIES):
            if attempt and self._is_hushed:
                return False
            if attempt:
                pause_ms = round(_PAUSE_MS * attempt / self._speed)
                await asyncio.sleep(pause_ms / SECOND_MS)
            async with self._gate:
                if await self._try(callback):
                    self.heard += 1
                    return True
        self.unheard += 1
        logger.warning("nobody took what a provider tells", url=callback.url.partition("?")[0])
        return False

    async def _try(self, callback: Callback) -> bool:
        assert self._web is not None
        try:
            async with self._web.request(
                callback.method,
                URL(callback.url, encoded=True),  # as it was signed
                data=callback.body or None,
                headers=callback.headers,
                allow_redirects=False,
            ) as response:
                await response.read()
                return response.status < _OK_END
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
