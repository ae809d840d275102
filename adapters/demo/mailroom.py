"""The other end of the shop's e-mail: a real mail server on this machine, and its readers.

Started by `play`. It counts what arrives, refuses addresses that are gone, and lets people open,
click and unsubscribe some minutes later, over HTTP, as a mail program and a provider would.
"""

import asyncio
import random
from collections.abc import Iterator, Mapping
from email import message_from_bytes
from email.message import Message
from typing import Self

import aiohttp
import msgspec
from aiosmtpd.smtp import SMTP, Envelope, Session

from actors.ports import Clock
from adapters.demo.shoppers import GONE, Habit, Shopper
from adapters.sandbox.mailserver import MailServer
from engine.instants import MINUTE_MS

_HOST = "127.0.0.1"
_UNKNOWN = "550 5.1.1 nobody has this address any more"
_TAKEN = "250 2.0.0 taken"
_DELAY_MINUTES = (4, 50)  # until somebody looks into their mail
_ONE_CLICK = {"List-Unsubscribe": "One-Click"}  # RFC 8058 wants exactly this


class MailCounts(msgspec.Struct):
    """What happened in the mailroom."""

    taken: int = 0
    refused: int = 0
    receipts: int = 0
    unsubscribed: int = 0
    unheard: int = 0  # what the gateway did not take


class Letter(msgspec.Struct, frozen=True):
    """What a reader sees of an e-mail."""

    message_id: str
    reader: Shopper
    way_out: str  # the link for unsubscribing, "" in service messages


class Mailroom:
    """A mail server and the people who read what it takes. Use it as a context manager."""

    def __init__(self, shoppers: Mapping[str, Shopper], clock: Clock, gateway_url: str) -> None:
        self.counts = MailCounts()
        self._readers = {
            shopper.traits["email"]: shopper
            for shopper in shoppers.values()
            if "email" in shopper.traits
        }
        self._clock = clock
        self._gateway_url = gateway_url
        self._server = MailServer(self, "mail.example.com")
        self._waiting: dict[asyncio.Task[None], None] = {}
        self._reading: dict[asyncio.Task[None], None] = {}
        self._web: aiohttp.ClientSession | None = None

    @property
    def port(self) -> int:
        """The port the mail server listens on."""
        return self._server.port

    async def __aenter__(self) -> Self:
        """Listen."""
        self._web = aiohttp.ClientSession()
        await self._server.start(_HOST)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Send everybody home."""
        await self.stop_reading()
        await self._server.stop()
        if self._web is not None:
            await self._web.close()

    async def stop_reading(self) -> None:
        """Let nobody begin to read any more; who has begun finishes, and is counted."""
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._waiting, *self._reading, return_exceptions=True)

    async def handle_RCPT(  # noqa: N802 - the server's name and arguments
        self,
        server: SMTP,  # noqa: ARG002 - as above
        session: Session,  # noqa: ARG002 - as above
        envelope: Envelope,
        address: str,
        options: list[str],  # noqa: ARG002 - as above
    ) -> str:
        """Say whether there is somebody at an address."""
        if address.endswith(f"@{GONE}"):
            self.counts.refused += 1
            return _UNKNOWN
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 known"

    async def handle_DATA(  # noqa: N802 - the server's name
        self,
        server: SMTP,  # noqa: ARG002 - the server's arguments
        session: Session,  # noqa: ARG002 - as above
        envelope: Envelope,
    ) -> str:
        """Take an e-mail, and put it before its reader."""
        self.counts.taken += 1
        content = envelope.content
        assert isinstance(content, bytes)
        letter = self._open_envelope(message_from_bytes(content))
        if letter is not None and letter.reader.habit is not Habit.IGNORES:
            task = asyncio.create_task(self._leave_lying(letter))
            self._waiting[task] = None
            task.add_done_callback(self._waiting.pop)
        return _TAKEN

    def _open_envelope(self, message: Message) -> Letter | None:
        reader = self._readers.get(str(message["To"]))
        if reader is None:
            return None
        name = str(message["Message-ID"]).strip("<>").partition("@")[0]
        return Letter(name, reader, str(message["List-Unsubscribe"] or "").strip("<>"))

    async def _leave_lying(self, letter: Letter) -> None:
        """Wait until its reader gets to an e-mail."""
        chance = random.Random(letter.message_id)  # noqa: S311 - when somebody has time
        pause_ms = chance.randint(*_DELAY_MINUTES) * MINUTE_MS
        await self._clock.sleep_until(self._clock.now() + pause_ms)
        task = asyncio.create_task(self._read(letter))
        self._reading[task] = None
        task.add_done_callback(self._reading.pop)

    async def _read(self, letter: Letter) -> None:
        """Do what this reader does with an e-mail."""
        counts, reader = self.counts, letter.reader
        for status in _statuses(reader.habit):
            receipt = {
                "messageId": f"mail:{letter.message_id}:{status}",
                "userId": reader.id,
                "message": letter.message_id,
                "status": status,
            }
            if await self._post(f"{self._gateway_url}/v1/receipts", json=receipt):
                counts.receipts += 1
        if (
            reader.habit is Habit.LEAVES
            and letter.way_out
            and await self._post(letter.way_out, data=_ONE_CLICK)
        ):
            counts.unsubscribed += 1

    async def _post(self, url: str, *, json: object = None, data: object = None) -> bool:
        """Tell the gateway something; what it does not take is counted, and shown at the end."""
        assert self._web is not None
        try:
            async with self._web.post(url, json=json, data=data) as response:
                response.raise_for_status()
        except aiohttp.ClientError:
            self.counts.unheard += 1
            return False
        return True


def _statuses(habit: Habit) -> Iterator[str]:
    yield "opened"
    if habit is Habit.CLICKS:
        yield "clicked"
