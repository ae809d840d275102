"""Signed links, put into messages as they leave.

`adapters.app` puts this around every channel. Templates have stand-ins (`engine.links`), because
the engine holds no secret and what is journaled must not either. A message whose links can't be
written does not leave: one without its way out must not reach anybody.
"""

import re
from collections.abc import Mapping

from msgspec.structs import replace

from actors.ports import Channel, Permanent
from adapters.channels.wrapping import add_picture, wrap_links
from adapters.signing import SECRET_VARIABLE, Click, Confirm, Opening, Signer
from engine.effects import CLICKS, OPENS, TRACKING, Send
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
            for field, text in self._track(send).items()
        }
        if any(_DOMAIN in text for text in content.values()):
            message = "a link in it was changed by a filter, so that it would lead nowhere"
            raise Permanent(message, code="bad_link")
        return replace(send, content=content)

    def _track(self, send: Send) -> dict[str, str]:
        """Do what the engine has marked a message for, and take the mark out."""
        content = dict(send.content)
        marks = content.pop(TRACKING, "").split()
        if CLICKS in marks:
            content = wrap_links(content, lambda url: self._wrap(send, url))
        if OPENS in marks:
            opening = Opening(send.customer, send.message_id, send.decided_at)
            token = self._signer.opening_token(opening)
            content = add_picture(content, f"{self._url}/o/{token}.gif")
        return content

    def _wrap(self, send: Send, url: str) -> str:
        """Have a link lead over here; one of our own, or one too long to sign, stays as it is."""
        if url.startswith((ORIGIN, f"{self._url}/")):
            return url
        token = self._signer.click_token(
            Click(send.customer, send.message_id, send.decided_at, url)
        )
        return url if token is None else f"{self._url}/l/{token}"

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
        has_links = any(_DOMAIN in text for text in send.content.values())
        if self._scribe is None and TRACKING in send.content:
            send = replace(send, content=_unmark(send.content))
        if not has_links and TRACKING not in send.content:
            return await self._channel.deliver(send)
        if self._scribe is None:
            message = f"it has links of ours: set {SECRET_VARIABLE} and {URL_VARIABLE}"
            raise Permanent(message, code="no_links")
        return await self._channel.deliver(self._scribe.write(send))


def _unmark(content: Mapping[str, str]) -> dict[str, str]:
    """Leave out the mark where nothing can be tracked: a replaced workspace may ask for it."""
    return {field: text for field, text in content.items() if field != TRACKING}


def link_channels(
    channels: Mapping[str, Channel], signer: Signer | None, environment: Mapping[str, str]
) -> dict[str, Channel]:
    """Give the same channels, with links written into what goes through them."""
    url = environment.get(URL_VARIABLE, "")
    scribe = Scribe(signer, url) if signer is not None and url else None
    return {name: LinkedChannel(channel, scribe) for name, channel in channels.items()}


def check_links(program: Program, environment: Mapping[str, str]) -> None:
    """Raise ProgramError where a workspace asks for links that could not be written."""
    missing = [name for name in (SECRET_VARIABLE, URL_VARIABLE) if not environment.get(name)]
    if not missing:
        return
    hint, problems = f"set {' and '.join(missing)}", list[Problem]()
    where = "are signed, and lead to where this server is reached"
    if program.double_opt_in is not None:
        problems.append(Problem("double_opt_in", f"links to confirm with {where}", hint))
    tracked = {f"channels.{name}": one.tracking for name, one in program.channels.items()}
    tracked |= {f"message_types.{name}": one.tracking for name, one in program.types.items()}
    for path, rules in tracked.items():
        if rules.clicks or rules.opens:
            problems.append(Problem(f"{path}.tracking", f"links that are tracked {where}", hint))
    if problems:
        raise ProgramError(problems)
