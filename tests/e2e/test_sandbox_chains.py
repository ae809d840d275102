"""Whole chains with real sockets: events in, messages to the sandbox, receipts back, what follows.

The server is the one of `nextbeat serve`, the providers are those of `nextbeat sandbox`.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.app import App, open_workspace
from adapters.gateway.settings import GatewaySettings
from adapters.sandbox.server import Sandbox
from tests.e2e.sandbox_host import find_port, sandboxed

pytestmark = pytest.mark.slow

WAIT_S = 15.0
SHOP = """
workspace: chains
defaults: {timezone: Africa/Johannesburg, country: ZA}
consent: {marketing: opt_out}
channels:
  sms: {adapter: twilio, identity: phone}
  voice: {adapter: twilio, identity: phone}
  rcs: {adapter: twilio, identity: phone, supports: [rich]}
  whatsapp: {adapter: whatsapp_cloud, identity: phone, supports: [rich], caps: ["1 / 24h"]}
  email: {adapter: smtp, identity: email}
  push: {adapter: fcm, identity: push_token}
message_types:
  transactional: {purpose: service, channels: [sms, voice], delivery: at_least_once}
  service: {purpose: service, channels: [whatsapp, sms]}
  rich: {purpose: service, channels: [rcs, sms]}
  urgent: {purpose: service, channels: [voice], follow_up: sms}
  pushed: {purpose: service, channels: [push, sms]}
  news: {purpose: marketing, channels: [whatsapp]}
  promotional:
    purpose: marketing
    channels: [email, whatsapp]
    fallback: {unless: engaged, within: 1s}
messages:
  code: {type: transactional, content: {default: {body: "Your code is {{ event.code }}"}}}
  ready: {type: service, content: {default: {body: "Your order is ready"}}}
  card: {type: rich, content: {rcs: {body: "A rich card"}, sms: {body: "A plain text"}}}
  alarm: {type: urgent, content: {default: {body: "Your card was blocked"}}}
  ping: {type: pushed, content: {push: {title: Ping, body: Pong}, sms: {body: "Pong by SMS"}}}
  news: {type: news, content: {default: {body: "News"}}}
  offer:
    type: promotional
    content:
      email: {subject: "An offer", body: "Ten percent"}
      whatsapp: {body: "Ten percent on WhatsApp"}
journeys:
  code: {trigger: {event: Code Asked}, steps: [{send: code}]}
  ready: {trigger: {event: Order Ready}, steps: [{send: ready}]}
  card: {trigger: {event: Card Asked}, steps: [{send: card}]}
  alarm: {trigger: {event: Card Blocked}, steps: [{send: alarm}]}
  ping: {trigger: {event: Ping Asked}, steps: [{send: ping}]}
  news: {trigger: {event: News Asked}, steps: [{send: news}]}
  offer: {trigger: {event: Offer Asked}, steps: [{send: offer}]}
"""


class Chain:
    """A server and the sandbox it sends to."""

    def __init__(self, app: App, sandbox: Sandbox, web: aiohttp.ClientSession, url: str) -> None:
        self.app = app
        self.sandbox = sandbox
        self._web = web
        self._url = url

    async def track(self, event: str, *, user: str = "u1", **traits: str) -> None:
        """Let somebody with these traits do something."""
        batch: list[dict[str, Any]] = [
            {"type": "identify", "messageId": f"i-{user}", "userId": user, "traits": traits},
            {
                "type": "track",
                "messageId": f"t-{secrets.token_hex(4)}",
                "userId": user,
                "event": event,
                "properties": {"code": "4711"},
            },
        ]
        async with self._web.post(f"{self._url}/v1/batch", json={"batch": batch}) as response:
            assert response.status == 200, await response.text()

    async def arrivals(self, count: int) -> list[tuple[str, str]]:
        """Wait for so many messages, then until everything is told; give channels and texts."""
        async with asyncio.timeout(WAIT_S):
            await self.sandbox.office.wait_for(count)
            await self.sandbox.office.settle()
        taken = list(self.sandbox.office.book.find(refused=False))[::-1]
        return [(message.draft.channel, message.draft.text) for message in taken]

    async def get(self, url: str) -> str:
        """Fetch a text."""
        async with self._web.get(url) as response:
            return await response.text()

    async def decisions(self, user: str = "u1") -> list[tuple[str, str, str]]:
        """Give channel, outcome and reason of what was decided, oldest first."""
        url = f"{self._url}/v1/customers/{user}/decisions"
        async with self._web.get(url) as response:
            found = (await response.json())["decisions"]
        return [(one["channel"], one["outcome"], one["reason"]) for one in reversed(found)]

    async def reply(self, channel: str, sender: str, text: str) -> None:
        """Let somebody answer."""
        said = {"channel": channel, "from": sender, "text": text}
        async with self._web.post(f"{self.sandbox.url}/sandbox/reply", json=said) as response:
            assert response.status == 202, await response.text()


@asynccontextmanager
async def chained(folder: Path, shop: str = SHOP) -> AsyncGenerator[Chain]:
    port = find_port()
    url = f"http://127.0.0.1:{port}"
    (folder / "workspace.yaml").write_text(shop, encoding="utf-8")
    async with sandboxed(url) as sandbox, aiohttp.ClientSession() as web:
        environ = {
            **sandbox.accounts,
            "NEXTBEAT_PUBLIC_URL": url,
            "NEXTBEAT_SECRET": secrets.token_hex(32),
        }
        settings = GatewaySettings(port=port)
        async with App(open_workspace(folder), folder / "data", settings, environ=environ) as app:
            yield Chain(app, sandbox, web, url)


async def test_a_transactional_sms_that_reaches_nobody_becomes_a_call(tmp_path: Path) -> None:
    async with chained(tmp_path) as chain:
        await chain.track("Code Asked", phone="+27821230006")
        (first, text), (second, spoken) = await chain.arrivals(2)
    assert (first, second) == ("sms", "voice")
    assert text == "Your code is 4711"
    assert "<Say>Your code is 4711</Say>" in spoken


async def test_a_service_message_goes_by_sms_to_who_is_not_on_whatsapp(tmp_path: Path) -> None:
    async with chained(tmp_path) as chain:
        await chain.track("Order Ready", phone="+27821230002")
        assert [channel for channel, _ in await chain.arrivals(2)] == ["whatsapp", "sms"]


async def test_a_handset_without_rcs_gets_other_words_by_sms(tmp_path: Path) -> None:
    async with chained(tmp_path) as chain:
        await chain.track("Card Asked", phone="+27821230002")
        assert await chain.arrivals(2) == [("rcs", "A rich card"), ("sms", "A plain text")]


async def test_an_urgent_call_is_followed_by_sms(tmp_path: Path) -> None:
    async with chained(tmp_path) as chain:
        await chain.track("Card Blocked", phone="+27821239999")
        assert [channel for channel, _ in await chain.arrivals(2)] == ["voice", "sms"]


@pytest.mark.parametrize("adapter", ["fcm", "apns", "webpush"])
async def test_a_device_gets_its_push_and_one_that_is_gone_a_text(
    tmp_path: Path, adapter: str
) -> None:
    settings = "settings: {allow_private: true}, " if adapter == "webpush" else ""
    shop = SHOP.replace("push: {adapter: fcm,", f"push: {{adapter: {adapter}, {settings}")
    async with chained(tmp_path, shop=shop) as chain:
        for user, name in (("u1", "phone-1"), ("u2", "dead-1")):
            token = name
            if adapter == "webpush":
                token = await chain.get(f"{chain.sandbox.url}/webpush/{name}")
            await chain.track("Ping Asked", user=user, phone="+27821239999", push_token=token)
        (_, shown), other = sorted(await chain.arrivals(2))
        assert "Ping" in shown
        assert "Pong" in shown
        assert other == ("sms", "Pong by SMS")


@pytest.mark.filterwarnings("ignore:.*imghdr:DeprecationWarning")  # what apprise still uses
async def test_a_webhook_and_apprise_reach_their_endpoints(tmp_path: Path) -> None:
    shop = SHOP.replace("push: {adapter: fcm,", "push: {adapter: apprise,").replace(
        "sms: {adapter: twilio,", "sms: {adapter: webhook, settings: {allow_private: true},"
    )
    async with chained(tmp_path, shop=shop) as chain:
        await chain.track("Ping Asked", push_token="sandbox")
        await chain.track("Code Asked", user="u2", phone="+27821239999")
        found = dict(await chain.arrivals(2))
        assert "Your code is 4711" in found["webhook"]
        assert "Pong" in found["apprise"]


async def test_an_offer_nobody_reads_comes_again_on_whatsapp(tmp_path: Path) -> None:
    async with chained(tmp_path) as chain:
        await chain.track("Offer Asked", phone="+27821239999", email="zoe@example.com")
        assert [channel for channel, _ in await chain.arrivals(2)] == ["email", "whatsapp"]


async def test_stop_ends_what_is_pending(tmp_path: Path) -> None:
    async with chained(tmp_path) as chain:
        await chain.track("Order Ready", phone="+27821239999")
        await chain.arrivals(1)
        await chain.track("News Asked", phone="+27821239999")
        assert await chain.decisions() == [
            ("whatsapp", "send", "sent"),
            ("whatsapp", "defer", "channel_cap"),
        ]
        await chain.reply("whatsapp", "+27821239999", "STOP")
        assert (await chain.decisions())[-1] == ("whatsapp", "drop", "consent_withdrawn")


async def test_what_is_told_twice_or_in_disorder_happened_once(tmp_path: Path) -> None:
    async with chained(tmp_path) as chain:
        await chain.track("Code Asked", phone="+27821230011")
        await chain.track("Order Ready", user="u2", phone="+27821230012")
        assert [channel for channel, _ in await chain.arrivals(2)] == ["sms", "whatsapp"]
        assert chain.app.runtime.counters.duplicates == 2
        assert await chain.decisions() == [("sms", "send", "sent")]
        assert await chain.decisions("u2") == [("whatsapp", "send", "sent")]
        assert chain.sandbox.office.unheard == 0


async def test_a_limit_is_waited_out_and_what_was_not_answered_is_sent_again(
    tmp_path: Path,
) -> None:
    async with chained(tmp_path) as chain:
        await chain.track("Code Asked", phone="+27821230429")
        await chain.track("Code Asked", user="u2", phone="+27821230504")
        await chain.arrivals(3)
        sent = [message.draft.to for message in chain.sandbox.office.book.find(refused=False)]
        assert sorted(sent) == ["+27821230429", "+27821230504", "+27821230504"]


@pytest.mark.parametrize("adapter", ["vonage", "messagebird", "africastalking"])
async def test_other_ways_of_text_messages_are_as_good(tmp_path: Path, adapter: str) -> None:
    shop = SHOP.replace("sms: {adapter: twilio,", f"sms: {{adapter: {adapter},")
    async with chained(tmp_path, shop=shop) as chain:
        await chain.track("Code Asked", phone="+27821230001")
        await chain.track("Code Asked", user="u2", phone="+27821239999")
        found = await chain.arrivals(3)
        assert sorted(channel for channel, _ in found) == ["sms", "sms", "voice"]
        await chain.reply("sms", "+27821239999", "STOP")
        await chain.track("Code Asked", user="u2", phone="+27821239999")
        channel, outcome, _ = (await chain.decisions("u2"))[-1]
        assert (channel, outcome) == ("voice", "send")
