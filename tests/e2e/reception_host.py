"""A shop whose provider tells what becomes of messages: gateway, runtime and reception, all real.

The provider is a plain one: it proves itself by an HMAC, and speaks our own words.
"""

import hmac
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec
from aiohttp import ClientSession

from actors.lanes import Pacing
from actors.memory import MemoryChannel, VirtualClock, settle
from actors.rows import Commit, OutboxChange
from actors.runtime import Runtime
from adapters.channels.hooks import ForgedError, Hook, HookRequest, Notice, Said
from adapters.channels.reception import LOOKS_S, Fetch, Reception
from adapters.gateway import hooks
from adapters.gateway.app import serve
from engine.effects import Send
from engine.errors import InputError
from engine.events import ReceiptStatus
from engine.instants import SECOND_MS
from engine.profile import Profile
from engine.program.compile import compile_source
from tests.e2e.gateway_host import NOW, OPEN, Answer, Served
from tests.shards import GatedStore

PROVIDER = "log"  # the adapter of the shop's channels
PHONE, OTHER_PHONE = "+27821234567", "+27829999999"
KEY = b"the provider's secret"

SHOP: dict[str, Any] = {
    "workspace": "corner shop",
    "defaults": {"timezone": "UTC", "country": "ZA"},
    "identity": {"namespaces": {"phone": {}}},
    "channels": {
        "sms": {"adapter": "log", "identity": "phone"},
        "whatsapp": {
            "adapter": "log",
            "identity": "phone",
            "reply_window": "24h",
            "reply_event": "Wrote",
        },
        "email": {"adapter": "smtp", "identity": "email"},
    },
    "message_types": {
        "promo": {"purpose": "marketing", "channels": ["sms", "whatsapp"]},
        "note": {"purpose": "service", "channels": ["sms", "email"]},
        "chat": {"purpose": "service", "channels": ["whatsapp"]},
    },
    "messages": {
        "offer": {"type": "promo", "content": {"default": {"body": "offer", "template": "o"}}},
        "paper": {"type": "note", "content": {"default": {"body": "paper", "subject": "s"}}},
        "hello": {"type": "chat", "content": {"default": {"body": "hello", "template": "h"}}},
    },
    "journeys": {
        "buy": {"trigger": {"event": "Buy"}, "reentry": "1s", "steps": [{"send": "offer"}]},
        "pay": {"trigger": {"event": "Pay"}, "reentry": "1s", "steps": [{"send": "paper"}]},
        "chat": {
            "trigger": {"event": "Chat"},
            "steps": [
                {"send": "hello", "id": "first"},
                {
                    "wait_for": {"engagement": "first", "kinds": ["replied"], "up_to": "1d"},
                    "then": [{"emit": "Answered"}],
                },
            ],
        },
    },
}


class PlainHook:
    """A provider that says what it means."""

    def verify(self, request: HookRequest, present: datetime) -> None:
        del present
        if request.headers.get("x-proof") != proof(request.body):
            raise ForgedError("the proof is not the provider's")

    def read(self, request: HookRequest) -> list[Notice | Said]:
        try:
            told = msgspec.json.decode(request.body, type=dict[str, list[dict[str, Any]]])
        except msgspec.MsgspecError:
            raise InputError("unreadable_json", "the body is not JSON") from None
        if "breaks" in told:
            raise ZeroDivisionError
        notices = [msgspec.convert(one, Notice) for one in told.get("notices", ())]
        said = [msgspec.convert(one, Said) for one in told.get("said", ())]
        return [*notices, *said]

    def greet(self, request: HookRequest) -> bytes | None:
        challenge = request.query.get("challenge", "")
        return challenge.encode() if request.method == "GET" else None


def proof(body: bytes) -> str:
    return hmac.new(KEY, body, sha256).hexdigest()


class Shop:
    """The shop, running."""

    def __init__(self, served: Served, runtime: Runtime, clock: VirtualClock) -> None:
        self.served = served
        self.runtime = runtime
        self.clock = clock
        self.sms, self.whatsapp, self.email = MemoryChannel(), MemoryChannel(), MemoryChannel()
        self.store: GatedStore
        self.said_count = 0

    async def call(self, kind: str, user: str = "u1", **said: object) -> None:
        """Send a call, a second after the last."""
        self.clock.jump_to(self.clock.now() + SECOND_MS)
        call = {"messageId": f"c{self.clock.now()}", "type": kind, "userId": user, **said}
        (await self.served.send(f"/v1/{kind}", call)).accepted()
        await settle()

    async def know(self, user: str = "u1", phone: str = PHONE, **traits: object) -> None:
        """Tell of a customer who wants marketing by text."""
        await self.call("identify", user, traits={"phone": phone, **traits})
        await self.consent("granted", user)

    async def consent(self, status: str, user: str = "u1", **said: object) -> None:
        self.clock.jump_to(self.clock.now() + SECOND_MS)
        body = {"userId": user, "purpose": "marketing", "channel": "sms", "status": status}
        (await self.served.send("/v1/consent", {**body, **said})).accepted()
        await settle()

    async def sent(self, channel: MemoryChannel) -> list[Send]:
        await self.runtime.outbox.settle()
        return channel.taken

    async def name(self, send: Send, provider_id: str) -> None:
        """Have the store know what the provider calls a message."""
        await self.runtime.outbox.settle()
        change = OutboxChange(
            send.message_id, "sent", 1, "", provider=PROVIDER, provider_id=provider_id
        )
        await self.store.commit(Commit(outbox_changes=[change]))

    async def post(self, body: object, *, signature: str = "", path: str = PROVIDER) -> Answer:
        """Send what the provider tells."""
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        headers = {"X-Proof": signature or proof(raw)}
        answer = await self.served.send(f"/v1/receipts/{path}", raw, headers=headers)
        await settle()
        return answer

    async def tell(self, status: str, **said: object) -> None:
        """Have the provider tell what became of a message; it must be taken."""
        self.clock.jump_to(self.clock.now() + SECOND_MS)
        notice = {"id": f"n{self.clock.now()}", "status": ReceiptStatus(status), **said}
        taken(await self.post({"notices": [notice]}))

    async def write(self, text: str, phone: str = PHONE, **said: object) -> None:
        """Have somebody write to the provider's number."""
        self.clock.jump_to(self.clock.now() + SECOND_MS)
        self.said_count += 1
        told = {"id": f"s{self.said_count}", "address": phone, "text": text, **said}
        taken(await self.post({"said": [told]}))

    async def profile(self, user: str = "u1") -> Profile:
        found = await self.runtime.seek(user)
        assert found is not None
        return found

    async def engagement(self, key: str, user: str = "u1") -> int:
        """Count what came back: `sms/delivered`."""
        return len((await self.profile(user)).engagement.get(key, ()))


def taken(answer: Answer) -> None:
    """Insist on the answer of success: providers take what is in a body for a reply."""
    assert (answer.status, answer.body) == (200, b"")


async def fetch_nothing(url: str) -> bytes:
    raise AssertionError(url)


@asynccontextmanager
async def open_shop(
    *,
    store: GatedStore | None = None,
    pacing: Mapping[str, Pacing] | None = None,
    looks_s: Sequence[float] = LOOKS_S,
    others: Mapping[str, Hook] = {},
    fetch: Fetch = fetch_nothing,
    **changes: Any,
) -> AsyncGenerator[Shop]:
    """Run the shop on a free port of this machine."""
    program = compile_source({**SHOP, **changes})
    clock = VirtualClock(NOW)
    kept = store or GatedStore()
    sms, whatsapp, email = MemoryChannel(), MemoryChannel(), MemoryChannel()
    channels = {"sms": sms, "whatsapp": whatsapp, "email": email}
    runtime = Runtime(kept, clock, program, channels, pacing=pacing or {})
    await runtime.open()
    await runtime.start()
    variables = {PROVIDER: ("PROVIDER_KEY",), "other": ("OTHER_KEY", "OTHER_URL")}

    known = {PROVIDER: PlainHook(), **others}
    reception = Reception(known, variables, fetch=fetch, looks_s=looks_s)
    gateway = await serve(runtime, OPEN, [lambda host: hooks.routes(host, reception)])
    try:
        async with ClientSession(auto_decompress=False) as session:
            shop = Shop(Served(gateway, session), runtime, clock)
            shop.sms, shop.whatsapp, shop.email, shop.store = sms, whatsapp, email, kept
            yield shop
    finally:
        await gateway.stop()
        await runtime.stop()
