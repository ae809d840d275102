"""Clicks and opens over real HTTP: from the link in a message to the receipt, nowhere else."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession

from actors.memory import MemoryStore, VirtualClock
from actors.runtime import Runtime
from adapters.channels.links import check_links, link_channels
from adapters.gateway import tracking, unsubscribe
from adapters.gateway.app import Routes, serve
from adapters.signing import Click, Signer
from engine.errors import OverloadError, ProgramError
from engine.events import Receipt
from engine.instants import MINUTE_MS, SECOND_MS
from engine.program.compile import compile_source
from tests.e2e.customer_pages import PUBLIC_URL, SIGNER, Kept
from tests.e2e.gateway_host import NOW, OPEN, KeepingRuntime, Served

PERSON = {"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148"}
GMAIL = {"User-Agent": "Mozilla/5.0 (Windows NT 5.1) Firefox/11.0 (via ggpht.com GoogleImageProxy)"}
APPLE = {"User-Agent": "Mozilla/5.0"}
SHOP_PAGE = "https://shop.example/cart?a=1&b=ü#top"

SHOP: dict[str, Any] = {
    "workspace": "shop",
    "channels": {
        "email": {
            "adapter": "log",
            "identity": "email",
            "tracking": {"clicks": True, "opens": True},
        },
    },
    "message_types": {"note": {"purpose": "service", "channels": ["email"]}},
    "messages": {
        "a": {
            "type": "note",
            "content": {
                "email": {
                    "subject": "Hi",
                    "html": '<a href="{{ event.url }}">Go</a> <a href="{{unsubscribe_url}}">No</a>',
                    "text": "Go {{ event.url }} or {{ unsubscribe_url }} {{ preferences_url }}.",
                }
            },
        }
    },
    "journeys": {"j": {"trigger": {"event": "A"}, "steps": [{"send": "a"}]}},
}


class Tracked:
    """A running shop and the one message it sent."""

    def __init__(self, served: Served, runtime: Runtime, clock: VirtualClock) -> None:
        self.served = served
        self.runtime = runtime
        self.clock = clock
        self.content: dict[str, str] = {}
        self.message = ""

    def path(self, kind: str, field: str = "html") -> str:
        found = re.search(rf"{re.escape(PUBLIC_URL)}(/{kind}/[^\"\s]+)", self.content[field])
        assert found is not None
        return found[1]

    async def visit(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        """Ask for a path without following, a minute after the last; give status and Location."""
        url = f"{self.served.gateway.url}{path}"
        async with self.served.session.request(
            method, url, allow_redirects=False, headers=headers
        ) as answer:
            await answer.read()
            return answer.status, answer.headers.get("Location", "")

    async def seen(self) -> dict[str, int]:
        """Tell which receipts the customer's profile has noted, and how many of each."""
        profile = await self.runtime.profile("u1")
        assert profile is not None
        return {
            name: len(instants)
            for name, instants in profile.engagement.items()
            if name in ("email/clicked", "email/opened")
        }


@asynccontextmanager
async def open_shop() -> AsyncGenerator[Tracked]:
    clock, kept = VirtualClock(NOW), Kept()
    channels = link_channels({"email": kept}, SIGNER, {"NEXTBEAT_PUBLIC_URL": PUBLIC_URL})
    runtime = Runtime(MemoryStore(), clock, compile_source(SHOP), channels)
    await runtime.open()
    await runtime.start()
    mounts: list[Routes] = [
        lambda host: tracking.routes(host, SIGNER),
        lambda host: unsubscribe.routes(host, SIGNER),
    ]
    gateway = await serve(runtime, OPEN, mounts)
    try:
        async with ClientSession(auto_decompress=False) as session:
            shop = Tracked(Served(gateway, session), runtime, clock)
            for body in (
                {"type": "identify", "traits": {"email": "zoe@example.com"}},
                {"type": "track", "event": "A", "properties": {"url": SHOP_PAGE}},
            ):
                call = {"messageId": body["type"], "userId": "u1", **body}
                (await shop.served.send(f"/v1/{body['type']}", call)).accepted()
            await runtime.outbox.settle()
            (send,) = kept.sends
            shop.content, shop.message = send.content, send.message_id
            yield shop
    finally:
        await gateway.stop()
        await runtime.stop()


async def test_a_click_leads_where_it_was_meant_to_and_is_noted_once() -> None:
    async with open_shop() as shop:
        assert "tracking" not in shop.content
        for path in (shop.path("l"), shop.path("l", "text")):
            shop.clock.jump_to(shop.clock.now() + 5 * SECOND_MS)
            status, location = await shop.visit(path, **PERSON)
            assert (status, location) == (302, "https://shop.example/cart?a=1&b=%C3%BC#top")
        assert await shop.seen() == {"email/clicked": 1}
        shop.clock.jump_to(shop.clock.now() + 2 * MINUTE_MS)
        await shop.visit(shop.path("l"), **PERSON)
        assert await shop.seen() == {"email/clicked": 2}


async def test_the_way_out_is_never_wrapped() -> None:
    async with open_shop() as shop:
        for field in ("html", "text"):
            assert (await shop.visit(shop.path("v1/unsubscribe", field), **PERSON))[0] == 200
        assert f"{PUBLIC_URL}/p/" in shop.content["text"]
        assert shop.content["text"].endswith(".")


@pytest.mark.parametrize(
    "headers",
    [
        {"User-Agent": "facebookexternalhit/1.1"},
        {"User-Agent": "Mozilla/5.0 (compatible; bingbot/2.0)"},
        {"User-Agent": "curl/8.5.0"},
        {**PERSON, "Sec-Purpose": "prefetch;prerender"},
        {**PERSON, "Purpose": "preview"},
    ],
)
async def test_programs_are_sent_on_and_not_counted(headers: dict[str, str]) -> None:
    async with open_shop() as shop:
        shop.clock.jump_to(shop.clock.now() + MINUTE_MS)
        assert (await shop.visit(shop.path("l"), **headers))[0] == 302
        assert (await shop.visit(shop.path("l"), "HEAD", **PERSON))[0] == 302
        assert await shop.seen() == {}


async def test_who_clicks_before_anybody_could_is_no_person() -> None:
    async with open_shop() as shop:
        assert (await shop.visit(shop.path("l"), **PERSON))[0] == 302
        assert await shop.seen() == {}


@pytest.mark.parametrize(
    ("headers", "after_ms", "expected"),
    [
        (PERSON, MINUTE_MS, {"email/opened": 1}),
        (GMAIL, MINUTE_MS, {"email/opened": 1}),
        (PERSON, 4 * SECOND_MS, {}),
        (APPLE, MINUTE_MS, {}),
        ({"User-Agent": "Barracuda Sentinel"}, MINUTE_MS, {}),
    ],
)
async def test_an_open_by_a_person_is_told_from_one_by_a_machine(
    headers: dict[str, str], after_ms: int, expected: dict[str, int]
) -> None:
    async with open_shop() as shop:
        shop.clock.jump_to(shop.clock.now() + after_ms)
        answer = await shop.served.send(shop.path("o"), method="GET", headers=headers)
        assert answer.status == 200
        assert answer.body.startswith(b"GIF89a")
        assert await shop.seen() == expected


async def test_a_link_changed_in_any_letter_leads_nowhere() -> None:
    """No open redirect: 400 tokens that are nearly ours, and none is followed."""
    async with open_shop() as shop:
        token = shop.path("l").removeprefix("/l/")
        forged = {
            token[:place] + sign + token[place + 1 :]
            for place in range(len(token) - 1)
            for sign in ("A", "B", "-", "9")
        } - {token}
        other = Click("u1", shop.message, 0, "https://evil.example/")
        forged |= {
            token[:-1], token + "A", "", "%00", "https://evil.example",
            Signer("another secret of many characters").click_token(other) or "",
            SIGNER.unsubscribe_token("u1", purpose="service", channel="email"),
        }  # fmt: skip
        assert len(forged) > 400
        shop.clock.jump_to(shop.clock.now() + MINUTE_MS)
        for one in sorted(forged):
            status, location = await shop.visit(f"/l/{one}", **PERSON)
            assert (status, location) == (404, ""), one
            assert (await shop.visit(f"/o/{one}.gif", **PERSON))[0] == 404
        assert await shop.seen() == {}


async def test_people_get_to_their_page_when_nothing_can_be_stored() -> None:
    runtime = KeepingRuntime()
    gateway = await serve(runtime, OPEN, [lambda host: tracking.routes(host, SIGNER)])
    try:
        async with ClientSession() as session:
            token = SIGNER.click_token(Click("u1", "m_1", NOW - MINUTE_MS, "https://a.example/"))
            shop = Tracked(Served(gateway, session), runtime, VirtualClock(NOW))
            runtime.troubles.append(OverloadError("full"))
            assert await shop.visit(f"/l/{token}", **PERSON) == (302, "https://a.example/")
            assert runtime.inputs == {}
            assert await shop.visit(f"/l/{token}", **PERSON) == (302, "https://a.example/")
            (receipt,) = runtime.inputs.values()
            assert isinstance(receipt, Receipt)
            assert (receipt.user, receipt.message, receipt.source) == ("u1", "m_1", "tracking")
    finally:
        await gateway.stop()


def test_tracking_without_a_secret_or_an_address_is_refused_at_start() -> None:
    program = compile_source(SHOP)
    with pytest.raises(ProgramError) as caught:
        check_links(program, {"NEXTBEAT_SECRET": "x" * 32})
    (problem,) = caught.value.problems
    assert (problem.path, problem.hint) == (
        "channels.email.tracking",
        "set NEXTBEAT_PUBLIC_URL",
    )
    check_links(program, {"NEXTBEAT_SECRET": "x" * 32, "NEXTBEAT_PUBLIC_URL": PUBLIC_URL})
