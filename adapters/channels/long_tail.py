"""All the services that have no adapter of their own here, by way of the library Apprise.

An optional extra: `pip install nextbeat[apprise]`. The adapter's name in a workspace is `apprise`.

*Rules*
- The URL says which service and with whose key, so it is the operator's, and comes from the
  environment. An address is put in where it says `{address}`, escaped, and can't be more of it.
- The library waits in threads, of which there is a fixed number; it says yes or no, and never why.
"""

import asyncio
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import msgspec

from actors.ports import Temporary
from adapters.channels.adapter import Adapter, Workshop
from adapters.channels.answers import refuse_address, refuse_content
from adapters.channels.vendors import load_extra
from engine.effects import BODY_FORMAT, Send
from engine.errors import Problem, ProgramError
from engine.events import Failure

_PLACE = "{address}"
_ADDRESS = re.compile(r"[^\s,;]{1,500}")  # the library takes what has these for several


class AppriseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`url` is a service in Apprise's spelling, like `tgram://TOKEN/{address}/`."""

    url: str
    threads: int = 8

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        if not 1 <= self.threads <= 64:  # noqa: PLR2004 - each holds a connection and a stack
            raise ValueError("threads must be 1 to 64")


class AppriseChannel:
    """Hands each message to one service of Apprise's."""

    def __init__(self, settings: AppriseSettings, library: Any) -> None:  # noqa: ANN401 - loaded late
        self._url = settings.url
        self._library = library
        self._threads = settings.threads
        self._pool: ThreadPoolExecutor | None = None

    async def start(self) -> None:
        """Make the threads, and keep the library from writing messages into the log."""
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "apprise")

    async def close(self) -> None:
        """Let the threads go; what still waits in them is not sent."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    async def deliver(self, send: Send) -> str:
        """Hand a message over once."""
        assert self._pool is not None, "start() comes before deliver()"
        service = self._library.Apprise()
        if not service.add(fill_in(self._url, send.address)):
            raise refuse_address("the service knows no address like this")
        body = send.content.get("body", "")
        title = send.content.get("title") or send.content.get("subject", "")
        if not (body or title):
            raise refuse_content("there is no `title` or `body` in its content")
        form = send.content.get(BODY_FORMAT) or "text"

        def notify() -> bool:
            return bool(service.notify(body=body, title=title, body_format=form))

        loop = asyncio.get_running_loop()
        if not await loop.run_in_executor(self._pool, notify):
            raise Temporary("the service did not take it", failure=Failure.TRANSIENT)
        return send.message_id


def fill_in(url: str, address: str) -> str:
    """Put an address into its place in a service's URL."""
    if _PLACE not in url:
        return url
    if _ADDRESS.fullmatch(address) is None:
        raise refuse_address("there is none, or more than one, or it is beyond all measure")
    try:
        return url.replace(_PLACE, quote(address, safe=""))
    except UnicodeEncodeError:
        raise refuse_address("it is no Unicode") from None


def build_channel(_name: str, settings: AppriseSettings, _workshop: Workshop) -> AppriseChannel:
    """Make the channel. Raises ProgramError where the library or the service is not there."""
    library = load_extra("apprise", "apprise")
    if not library.Apprise().add(fill_in(settings.url, "1234567890")):
        hint = "see the list of services of Apprise, and write {address} where a recipient belongs"
        raise ProgramError([Problem("url", "this is no service that Apprise knows", hint)])
    return AppriseChannel(settings, library)


ADAPTER = Adapter(AppriseSettings, build_channel, {"url": "NEXTBEAT_APPRISE_URL"}, ("url",))
