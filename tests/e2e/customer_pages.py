"""A shop with a preference centre and double opt-in: gateway, runtime and links, all real.

Only the last step is not: what would go to a provider is kept in a list.
"""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from html import unescape
from typing import Any
from urllib.parse import urlencode

from aiohttp import ClientSession

from actors.memory import MemoryStore, VirtualClock
from actors.runtime import Runtime
from adapters.channels.links import link_channels
from adapters.gateway import centre, confirm, unsubscribe
from adapters.gateway.app import Routes, serve
from adapters.signing import Signer
from engine.effects import Send
from engine.instants import SECOND_MS
from engine.profile import Profile
from engine.program.compile import compile_source
from tests.e2e.gateway_host import NOW, OPEN, Answer, Served

SIGNER = Signer("a secret of many characters")
PUBLIC_URL = "https://nextbeat.example.com"

SHOP: dict[str, Any] = {
    "workspace": "corner shop",
    "defaults": {"timezone": "UTC", "locale": "en"},
    "double_opt_in": {"message": "confirm_address", "channels": ["email"]},
    "preference_centre": {
        "types": ["newsletter", "offers"],
        "texts": {
            "en": {"purpose.marketing": "News & offers", "language_name": "English"},
            "fr": {"title": "Vos choix", "language_name": "Français", "save": "Enregistrer"},
        },
    },
    "channels": {
        "email": {"adapter": "log", "identity": "email"},
        "sms": {"adapter": "log", "identity": "phone"},
    },
    "message_types": {
        "newsletter": {"purpose": "marketing", "channels": ["email", "sms"]},
        "offers": {"purpose": "marketing", "channels": ["sms", "email"]},
        "account": {"purpose": "service", "channels": ["email", "sms"]},
    },
    "messages": {
        "news": {
            "type": "newsletter",
            "content": {
                "default": {"body": "No more: {{ unsubscribe_url }} {{ preferences_url }}"}
            },
        },
        "order": {"type": "account", "content": {"default": {"body": "ordered"}}},
        "confirm_address": {
            "type": "account",
            "content": {"email": {"subject": "?", "body": "Please follow {{ confirm_url }}."}},
        },
    },
    "journeys": {
        "news": {"trigger": {"event": "News"}, "steps": [{"send": "news"}]},
        "order": {"trigger": {"event": "Ordered"}, "steps": [{"send": "order"}]},
    },
}


class Kept:
    """A channel that keeps what is delivered."""

    def __init__(self) -> None:
        self.sends: list[Send] = []

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def deliver(self, send: Send) -> str:
        self.sends.append(send)
        return send.message_id


class Shop:
    """The shop, running."""

    def __init__(self, served: Served, runtime: Runtime, clock: VirtualClock, kept: Kept) -> None:
        self.served = served
        self.runtime = runtime
        self.clock = clock
        self.kept = kept

    async def call(self, kind: str, **said: object) -> None:
        """Send a call of u1, a second after the last."""
        self.clock.jump_to(self.clock.now() + SECOND_MS)
        call = {"messageId": str(self.clock.now()), "type": kind, "userId": "u1", **said}
        (await self.served.send(f"/v1/{kind}", call)).accepted()

    async def sign_up(self, status: str = "granted", **said: object) -> None:
        """Have u1 say something about marketing by e-mail."""
        self.clock.jump_to(self.clock.now() + SECOND_MS)
        body = {
            "messageId": str(self.clock.now()),
            "userId": "u1",
            "purpose": "marketing",
            "channel": "email",
            "status": status,
        }
        (await self.served.send("/v1/consent", {**body, **said})).accepted()

    async def sent(self, message: str) -> list[Send]:
        """Give what was delivered of a message, once nothing is on its way any more."""
        await self.runtime.outbox.settle()
        return [send for send in self.kept.sends if send.message == message]

    async def link(self, message: str, path: str) -> str:
        """Give the latest link of a kind in a message, as a path."""
        body = (await self.sent(message))[-1].content["body"]
        found = re.findall(rf"{re.escape(PUBLIC_URL)}(/{path}/[\w-]+)", body)
        return str(found[-1])

    async def profile(self) -> Profile:
        found = await self.runtime.profile("u1")
        assert found is not None
        return found

    async def get(self, path: str) -> Answer:
        return await self.served.send(path, method="GET")

    async def post(self, path: str, **fields: str) -> Answer:
        """Send a form as a browser does, a second after the last."""
        self.clock.jump_to(self.clock.now() + SECOND_MS)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self.served.send(path, urlencode(fields).encode(), headers=form)

    async def save(self, path: str, **changes: str | None) -> Answer:
        """Open a page and save it with changes; None leaves a box empty."""
        page = (await self.get(path)).body.decode()
        fields = {**filled(page), **changes}
        return await self.post(
            path, **{name: one for name, one in fields.items() if one is not None}
        )


def filled(page: str) -> dict[str, str]:
    """Read what the first form of a page would send as it stands."""
    form = page.partition("<form")[2].partition("</form>")[0]
    fields: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        name, value = _attribute(tag, "name"), _attribute(tag, "value")
        if "checkbox" not in tag or " checked" in tag:
            fields[name] = value
    for name, options in re.findall(r'<select name="([^"]*)">(.*?)</select>', form, re.DOTALL):
        values = re.findall(r'<option value="([^"]*)"[^>]*?( selected)?>', options)
        chosen = [value for value, selected in values if selected] or [values[0][0]]
        fields[unescape(name)] = unescape(chosen[0])
    return fields


def _attribute(tag: str, name: str) -> str:
    found = re.search(rf' {name}="([^"]*)"', tag)
    return unescape(found[1]) if found else ""


@asynccontextmanager
async def open_shop(**changes: Any) -> AsyncGenerator[Shop]:
    """Run the shop on a free port of this machine."""
    program = compile_source({**SHOP, **changes})
    clock, kept = VirtualClock(NOW), Kept()
    channels = link_channels(
        {"email": kept, "sms": kept}, SIGNER, {"NEXTBEAT_PUBLIC_URL": PUBLIC_URL}
    )
    runtime = Runtime(MemoryStore(), clock, program, channels)
    await runtime.open()
    await runtime.start()
    mounts: list[Routes] = [
        lambda host: unsubscribe.routes(host, SIGNER),
        lambda host: confirm.routes(host, SIGNER),
        lambda host: centre.routes(host, SIGNER),
    ]
    gateway = await serve(runtime, OPEN, mounts)
    try:
        async with ClientSession(auto_decompress=False) as session:
            yield Shop(Served(gateway, session), runtime, clock, kept)
    finally:
        await gateway.stop()
        await runtime.stop()
