"""Many messages by providers that fail and time out: each ends in a state that has a name.

Nobody gets a message twice where requests can be known again or must not be repeated, and everybody
gets theirs in the order in which they were decided. `NEXTBEAT_STORM=16667` makes it 100,000.
"""

import asyncio
import os
import secrets
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from adapters.app import App, open_workspace
from adapters.gateway.settings import GatewaySettings
from adapters.sandbox.book import Message
from adapters.sandbox.fates import Script
from adapters.sqlite.schema import FILE_NAME
from tests.e2e.sandbox_host import find_port, sandboxed

pytestmark = pytest.mark.slow

PEOPLE = int(os.environ.get("NEXTBEAT_STORM", "40"))
EVENTS = ("Told", "Texted")
EACH = 3  # messages of each kind for each of them
BATCH = 300
SHOP = """
workspace: storm
defaults: {timezone: Africa/Johannesburg, country: ZA}
channels:
  sms: {adapter: twilio, identity: phone, settings: {pacing: {concurrency: 64}}}
  crm: {adapter: webhook, settings: {allow_private: true, pacing: {concurrency: 64}}}
message_types:
  told: {purpose: service, channels: [crm], ignores: [same_message], delivery: at_least_once}
  texted: {purpose: service, channels: [sms], ignores: [same_message], delivery: at_most_once}
messages:
  told: {type: told, content: {default: {body: "{{ event.number }}"}}}
  texted: {type: texted, content: {default: {body: "{{ event.number }}"}}}
journeys:
  told: {trigger: {event: Told}, steps: [{send: told}]}
  texted: {trigger: {event: Texted}, steps: [{send: texted}]}
"""
STORM = Script(failing=0.2, timing_out=0.05)


async def test_a_storm_leaves_nothing_without_a_name(tmp_path: Path) -> None:
    port = find_port()
    url = f"http://127.0.0.1:{port}"
    (tmp_path / "workspace.yaml").write_text(SHOP, encoding="utf-8")
    async with sandboxed(url, STORM) as sandbox, aiohttp.ClientSession() as session:
        environ = {
            **sandbox.accounts,
            "NEXTBEAT_PUBLIC_URL": url,
            "NEXTBEAT_SECRET": secrets.token_hex(32),
        }
        settings = GatewaySettings(port=port)
        workspace = open_workspace(tmp_path)
        async with App(workspace, tmp_path / "data", settings, environ=environ) as app:
            await _pour(session, url)
            async with asyncio.timeout(60 + PEOPLE):
                await app.runtime.outbox.settle()
                await sandbox.office.settle()
        taken = list(sandbox.office.book.find(refused=False))[::-1]
    with closing(sqlite3.connect(tmp_path / "data" / FILE_NAME)) as file:
        rows = file.execute("SELECT channel, state FROM outbox").fetchall()
    states = Counter(rows)
    assert sum(states.values()) == PEOPLE * EACH * len(EVENTS)
    assert {state for _, state in states} == {"sent", "failed", "in_doubt"}
    assert states["crm", "in_doubt"] == 0  # whatever is known again can be sent again
    _check_crm([one for one in taken if one.draft.channel == "webhook"])
    _check_texts([one for one in taken if one.draft.channel == "sms"])


async def _pour(session: aiohttp.ClientSession, url: str) -> None:
    """Send everybody's events, in order."""
    items: list[dict[str, Any]] = []
    for person in range(PEOPLE):
        user, traits = f"u{person}", {"phone": f"+27{820_000_000 + person * 10 + 9}"}
        items.append({"type": "identify", "messageId": user, "userId": user, "traits": traits})
        items += [
            {
                "type": "track",
                "messageId": f"{user}-{event}-{number}",
                "userId": user,
                "event": event,
                "properties": {"number": number},
            }
            for number in range(EACH)
            for event in EVENTS
        ]
    for start in range(0, len(items), BATCH):
        batch = {"batch": items[start : start + BATCH]}
        while True:
            async with session.post(f"{url}/v1/batch", json=batch) as response:
                if response.status == 200:
                    break
                assert response.status == 429, await response.text()
                await asyncio.sleep(float(response.headers["Retry-After"]))


def _check_crm(taken: list[Message]) -> None:
    names = [message.draft.reference for message in taken]
    assert len(set(names)) == len(names)
    bodies = [msgspec.json.decode(message.draft.fields["body"])["data"] for message in taken]
    _check_order([(body["customer"], body["content"]["body"]) for body in bodies])


def _check_texts(taken: list[Message]) -> None:
    texts = [(message.draft.to, message.draft.text) for message in taken]
    assert len(set(texts)) == len(texts)
    _check_order(texts)


def _check_order(messages: list[tuple[str, str]]) -> None:
    latest: dict[str, int] = {}
    for customer, number in messages:
        assert int(number) >= latest.get(customer, 0), (customer, number)
        latest[customer] = int(number)
    assert len(latest) > PEOPLE / 2
