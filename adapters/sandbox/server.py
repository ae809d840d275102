"""The sandbox as a whole: most stand-ins on one port, Apple's and the mail server on others.

Started by `nextbeat sandbox`, by tests and by whoever wants to see what would be sent.

*Rules*
- It listens on this machine only, and calls nobody but the addresses that came with messages.
- Addresses under `gateway_url` are ours: accounts' webhooks go there.
"""

import asyncio
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import uvloop
from aiohttp import web

from actors.ports import Clock
from adapters.clock import WallClock
from adapters.sandbox.accounts import HOST, Keys, list_accounts, merge_accounts
from adapters.sandbox.africastalking import AfricasTalkingStandIn
from adapters.sandbox.apns import ApnsStandIn
from adapters.sandbox.fcm import FcmStandIn
from adapters.sandbox.mail import MailStandIn
from adapters.sandbox.messagebird import MessageBirdStandIn
from adapters.sandbox.office import Office
from adapters.sandbox.page import Window
from adapters.sandbox.settings import SandboxSettings
from adapters.sandbox.standin import StandIn, Teller
from adapters.sandbox.twilio import TwilioStandIn
from adapters.sandbox.vonage import VonageStandIn
from adapters.sandbox.webhooks import WebhookStandIn
from adapters.sandbox.webpush import WebPushStandIn
from adapters.sandbox.whatsapp import WhatsAppStandIn

_BODY_BYTES_MAX = 1024 * 1024


class Sandbox:
    """All stand-ins. Use it as an asynchronous context manager."""

    def __init__(
        self,
        settings: SandboxSettings,
        keys: Keys,
        environ: Mapping[str, str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """What `environ` says of accounts is taken; the rest is made up."""
        self.accounts: dict[str, str] = {}
        self.url = ""
        self.office = Office(
            clock or WallClock(), settings.script, speed=settings.speed, hold_s=settings.hold_s
        )
        self._settings = settings
        self._keys = keys
        self._environ = environ or {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Listen. What was opened is closed again when one of it fails."""
        settings, office = self._settings, self.office
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(office)
            listener = socket.create_server((HOST, settings.port))
            stack.callback(listener.close)
            self.url = f"http://{HOST}:{listener.getsockname()[1]}"
            mail = MailStandIn(office, HOST, settings.mail_port, settings.gateway_url)
            await stack.enter_async_context(mail)
            self._list_accounts(settings.apns_port, mail.port)
            apns = await stack.enter_async_context(ApnsStandIn(office, self.accounts))
            self._list_accounts(await apns.start(HOST, settings.apns_port), mail.port)
            runner = web.AppRunner(self._build([apns, mail]), access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.SockSite(runner, listener).start()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening."""
        await self._stack.aclose()

    def _list_accounts(self, apns_port: int, mail_port: int) -> None:
        accounts = list_accounts(self.url, apns_port, mail_port, self._keys)
        self.accounts = merge_accounts(accounts, self._environ)

    def _open_stands(self) -> list[StandIn]:
        accounts, gateway_url = self.accounts, self._settings.gateway_url
        return [
            TwilioStandIn(accounts, gateway_url),
            VonageStandIn(accounts, gateway_url),
            MessageBirdStandIn(accounts, gateway_url),
            AfricasTalkingStandIn(accounts, gateway_url),
            WhatsAppStandIn(accounts, gateway_url),
            FcmStandIn(accounts),
            WebPushStandIn(self.url),
            WebhookStandIn(accounts),
        ]

    def _build(self, others: Sequence[Teller]) -> web.Application:
        stands = self._open_stands()
        application = web.Application(client_max_size=_BODY_BYTES_MAX)
        for stand in stands:
            application.add_routes(stand.routes(self.office.open_counter(stand)))
        window = Window(self.office, {stand.name: stand for stand in (*stands, *others)})
        application.add_routes(window.routes())
        return application


def run_sandbox(
    settings: SandboxSettings,
    keys: Keys,
    environ: Mapping[str, str],
    announce: Callable[[str, Mapping[str, str]], None],
) -> None:
    """Run the sandbox until the process is told to stop; says where it is, and what to set."""
    uvloop.run(_run(Sandbox(settings, keys, environ), announce))


async def _run(sandbox: Sandbox, announce: Callable[[str, Mapping[str, str]], None]) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with sandbox:
        announce(sandbox.url, sandbox.accounts)
        await stop.wait()
