"""A mail server that listens on this machine, and hangs up on everybody when it stops.

Used by `mail`, the stand-in, and by the demonstration's mailroom; what is done with mail is up to
whoever it is opened for, by aiosmtpd's names: `handle_RCPT`, `handle_DATA`.
"""

import asyncio

from aiosmtpd.smtp import SMTP


class MailServer:
    """One listening server."""

    def __init__(self, handler: object, hostname: str) -> None:
        """`hostname` is what it calls itself."""
        self._handler = handler
        self._hostname = hostname
        self._server: asyncio.Server | None = None
        self._guests: list[SMTP] = []

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def start(self, host: str, port: int = 0) -> None:
        """Listen; port 0 is any that is free."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._welcome, host, port)

    async def stop(self) -> None:
        """Send everybody home."""
        if self._server is not None:
            self._server.close()
        for guest in self._guests:
            if isinstance(guest.transport, asyncio.WriteTransport):
                guest.transport.abort()
        await asyncio.sleep(0)  # aborted connections say goodbye in the loop's next round

    def _welcome(self) -> SMTP:
        guest = SMTP(self._handler, hostname=self._hostname, enable_SMTPUTF8=True)
        self._guests.append(guest)
        return guest
