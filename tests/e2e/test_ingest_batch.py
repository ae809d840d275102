"""A shop's history, loaded, is what a plain computation over the same file says it is."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.runtime import Runtime
from actors.settings import Settings
from adapters.app import App, open_workspace
from engine.instants import DAY_MS
from engine.measures.series import read
from tests.e2e.command_line import NEXTBEAT, write_shop

SHOP = """
workspace: shop
consent: {marketing: opt_in}
segments:
  regular: sum("Order Completed", "revenue", "400d") > 100
"""
SECONDS = 365 * 86_400
NAMES = {  # as clients write them, and as they are known
    "view_item": "Product Viewed",
    "Viewed Product": "Product Viewed",
    "AddToCart": "Product Added",
    "purchase": "Order Completed",
    "Order Completed": "Order Completed",
    "Lecture Attended": "Lecture Attended",
}
PORTION = 2_000
FAR = 2**60  # an instant after everything


def calls(count: int) -> Iterator[dict[str, Any]]:
    """Make up what customers did in a year, each at an instant of its own, in no order."""
    dice = random.Random(5)
    begun_at = round(time.time()) * 1_000 - 250 * DAY_MS  # what is summed has not expired
    for number, second in enumerate(dice.sample(range(max(SECONDS, 40 * count)), count)):
        whole = {
            "messageId": f"m{number}",
            "userId": f"u{dice.randrange(max(1, count // 25))}",
            "timestamp": begun_at + second * 500,
        }
        kind = dice.random()
        if kind < 0.15:
            traits = {"plan": dice.choice(["free", "pro", None]), "age": dice.randrange(99)}
            yield whole | {"type": "identify", "traits": {"city": "Bern", **traits}}
        elif kind < 0.2:
            yield whole | {"type": "identify", "traits": {"plan": dice.choice(["free", "pro"])}}
        elif kind < 0.23:
            status = dice.choice(["granted", "withdrawn"])
            said = [{"purpose": "marketing", "channel": "email", "status": status}]
            yield whole | {"type": "consent", "context": {"consent": said, "active": False}}
        else:
            name = dice.choice(list(NAMES))
            cents = dice.randrange(100, 200_000)
            written = f"{cents / 100:,.2f}" if cents >= 100_000 else cents / 100
            yield whole | {"type": "track", "event": name, "properties": {"revenue": written}}


class Batch:
    """What one customer is, by going through all of the calls in order of time."""

    def __init__(self) -> None:
        self.traits: dict[str, Any] = {}
        self.counts: Counter[str] = Counter()
        self.first_at: dict[str, int] = {}
        self.last_at: dict[str, int] = {}
        self.revenue_cents = 0
        self.consent = ""

    def take(self, call: dict[str, Any]) -> None:
        kind, at = call["type"], call["timestamp"]
        name = {"identify": "Identified", "consent": "Consent Stated"}.get(kind)
        name = name or NAMES[call["event"]]
        self.counts[name] += 1
        self.first_at.setdefault(name, at)
        self.last_at[name] = at
        if kind == "identify":
            self.traits |= call["traits"]
        elif kind == "consent":
            self.consent = call["context"]["consent"][0]["status"]
        elif name == "Order Completed":
            told = str(call["properties"]["revenue"]).replace(",", "")
            self.revenue_cents += round(float(told) * 100)


def compute(made: Iterable[dict[str, Any]]) -> dict[str, Batch]:
    customers: dict[str, Batch] = {}
    for call in sorted(made, key=lambda call: call["timestamp"]):
        customers.setdefault(call["userId"], Batch()).take(call)
    return customers


async def compare(runtime: Runtime, expected: dict[str, Batch]) -> None:
    names = list(expected)
    for start in range(0, len(names), PORTION):
        recalled = await runtime.directory.recall(names[start : start + PORTION])
        for name, actor in recalled.items():
            profile, batch = actor.profile, expected[name]
            assert profile is not None
            known = {trait: value for trait, value in batch.traits.items() if value is not None}
            assert profile.traits == known
            history = profile.history
            assert {event: one.count for event, one in history.items()} == batch.counts
            assert {event: one.first_at for event, one in history.items()} == batch.first_at
            assert {event: one.last_at for event, one in history.items()} == batch.last_at
            assert [one.status.value for one in profile.consents.values()] == (
                [batch.consent] if batch.consent else []
            )
            bought = history.get("Order Completed")
            recent = None if bought is None else bought.recent
            total = 0 if recent is None else read(recent, None, FAR, name="revenue").total
            assert total == batch.revenue_cents * 10_000  # millionths


async def run(*arguments: str) -> bytes:
    """Run the command to its end; gives what it printed."""
    process = await asyncio.create_subprocess_exec(
        NEXTBEAT, *arguments, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return printed


async def load_and_compare(folder: Path, count: int) -> None:
    made = list(calls(count))
    file, shop, data = folder / "events.ndjson", write_shop(folder, SHOP), folder / "data"
    with file.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(call) + "\n" for call in made)
    done = await run("ingest", str(file), "--workspace", str(shop), "--data", str(data), "--json")
    assert json.loads(done)["events"] == count
    settings = Settings(quiet=True)
    async with App(open_workspace(shop), data, None, settings=settings) as app:
        await compare(app.runtime, compute(made))


@pytest.mark.slow
async def test_a_history_is_what_a_plain_computation_makes_of_it(tmp_path: Path) -> None:
    await load_and_compare(tmp_path, 10_000)


@pytest.mark.long
async def test_so_is_one_of_a_million_events(tmp_path: Path) -> None:
    await load_and_compare(tmp_path, 1_000_000)
