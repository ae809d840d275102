"""Signed links, put into messages as they leave.

`adapters.app` puts this around every channel. Templates have stand-ins (`engine.links`), because
the engine holds no secret and what is journaled must not either. A message whose links can't be
written does not leave: one without its way out must not reach anybody.
"""

import re
from collections.abc import Mapping

from msgspec.structs import replace

from actors.ports import Channel, Permanent
from adapters.signing import SECRET_VARIABLE, Confirm, Signer
from engine.effects import Send
from engine.errors import Problem, ProgramError
from engine.journeys.confirmations import address_mark
from engine.links import ORIGIN
from engine.program.program import Program

URL_VARIABLE = "NEXTBEAT_PUBLIC_URL"
_STAND_IN = re.compile(
    re.escape(ORIGIN) + r"(?:(?P<name>unsubscribe|preferences)|confirm/(?P<expires_at>\d{1,15}))\b"
)
_DOMAIN = ORIGIN.removeprefix("https://").rstrip("/")


class Scribe:
    """Writes the links of messages; `url` is where the gateway is reached from outside."""

    def __init__(self, signer: Signer, url: str) -> None:
        self._signer = signer
        self._url = url.rstrip("/")

    def write(self, send: Send) -> Send:
        """Put the signed links in. Raises Permanent where a stand-in is left over."""
        content = {
            field: _STAND_IN.sub(lambda found: self._link(send, found), text)
            for field, text in send.content.items()
        }
        if any(_DOMAIN in text for text in content.values()):
            message = "a link in it was changed by a filter, so that it would lead nowhere"
            raise Permanent(message, code="bad_link")
        return replace(send, content=content)

    def _link(self, send: Send, found: re.Match[str]) -> str:
        if found["name"] == "unsubscribe":
            token = self._signer.unsubscribe_token(
                send.customer, purpose=send.purpose, channel=send.channel
            )
            return f"{self._url}/v1/unsubscribe/{token}"
        if found["name"] == "preferences":
            return f"{self._url}/p/{self._signer.preferences_token(send.customer, send.decided_at)}"
        link = Confirm(
            customer=send.customer,
            channel=send.channel,
            message=send.message_id,
            expires_at=int(found["expires_at"]),
            address=address_mark(send.address),
        )
        return f"{self._url}/c/{self._signer.confirm_token(link)}"


class LinkedChannel:
    """A channel that gets messages with their links written."""

    def __init__(self, channel: Channel, scribe: Scribe | None) -> None:
        self._channel = channel
        self._scribe = scribe

    async def start(self) -> None:
        """Start the channel."""
        await self._channel.start()

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

    async def deliver(self, send: Send) -> str:
        """Write the links and hand the message on; one without links goes as it is."""
        if not any(_DOMAIN in text for text in send.content.values()):
            return await self._channel.deliver(send)
        if self._scribe is None:
            message = f"it has links of ours: set {SECRET_VARIABLE} and {URL_VARIABLE}"
            raise Permanent(message, code="no_links")
        return await self._channel.deliver(self._scribe.write(send))


def link_channels(
    channels: Mapping[str, Channel], signer: Signer | None, environment: Mapping[str, str]
) -> dict[str, Channel]:
    """Give the same channels, with links written into what goes through them."""
    url = environment.get(URL_VARIABLE, "")
    scribe = Scribe(signer, url) if signer is not None and url else None
    return {name: LinkedChannel(channel, scribe) for name, channel in channels.items()}


def check_links(program: Program, environment: Mapping[str, str]) -> None:
    """Raise ProgramError where a workspace asks for confirmations that could not be given."""
    if program.double_opt_in is None:
        return
    missing = [name for name in (SECRET_VARIABLE, URL_VARIABLE) if not environment.get(name)]
    if missing:
        names = " and ".join(missing)
        message = "links to confirm with are signed, and lead to where this server is reached"
        raise ProgramError([Problem("double_opt_in", message, f"set {names}")])
