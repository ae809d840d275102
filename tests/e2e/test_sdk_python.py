"""Segment's and RudderStack's own Python libraries, unmodified, against a real server."""

import asyncio
import importlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
import pytest

from adapters.gateway.settings import hash_keys
from tests.e2e.gateway_host import LOCKED, Served, not_stored, overloaded, running

# Neither library has types.
_SEGMENT: Any = importlib.import_module("segment.analytics.client")
_RUDDER: Any = importlib.import_module("rudderstack.analytics.client")

Client = Any
Maker = Callable[[str], Client]
STRANGE = msgspec.structs.replace(LOCKED, write_keys=hash_keys("another-key"))
COUNT = 250  # more than two batches


def segment_client(url: str, *, gzip: bool = False) -> Client:
    return _SEGMENT.Client("write-key", host=url, upload_interval=0.05, max_retries=10, gzip=gzip)


def segment_gzip_client(url: str) -> Client:
    return segment_client(url, gzip=True)


def rudder_client(url: str) -> Client:
    return _RUDDER.Client("write-key", host=url, upload_interval=0.05)


CLIENTS: Sequence[Maker] = (segment_client, segment_gzip_client, rudder_client)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with running() as gateway:
        yield gateway


def say_everything(client: Client) -> None:
    client.identify("u1", {"email": "a@b.c"})
    client.track("u1", "Order Completed", {"total": 30.5})
    client.page("u1", "Docs", "Python", {"path": "/docs"})
    client.screen("u1", "Main", "Home", {"v": 1})
    client.group("u1", "company-7", {"name": "Initech"})
    client.alias("anon-9", "u1")
    client.shutdown()


def say_much(client: Client) -> None:
    for number in range(COUNT):
        client.track(f"u{number % 7}", "Clicked", {"number": number})
    client.shutdown()


@pytest.mark.parametrize("make", CLIENTS)
async def test_all_six_calls_arrive(served: Served, make: Maker) -> None:
    await asyncio.to_thread(say_everything, make(served.url))
    told = [
        (event.name, event.user, event.properties, event.traits) for event in served.runtime.events
    ]
    assert told == [
        ("Identified", "u1", {}, {"email": "a@b.c"}),
        ("Order Completed", "u1", {"total": 30.5}, {}),
        ("Page Viewed", "u1", {"path": "/docs", "name": "Python", "category": "Docs"}, {}),
        ("Screen Viewed", "u1", {"v": 1, "name": "Home", "category": "Main"}, {}),
        ("Group Joined", "u1", {"groupId": "company-7"}, {"name": "Initech"}),
        ("Alias Linked", "u1", {"previousId": "anon-9"}, {}),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("make", CLIENTS)
@pytest.mark.parametrize("loses_answers", [False, True])
async def test_nothing_is_lost_or_doubled_while_the_server_says_429_and_503(
    served: Served, make: Maker, *, loses_answers: bool
) -> None:
    served.runtime.loses_answers = loses_answers
    served.runtime.troubles.extend([overloaded(), not_stored(), overloaded()])
    logging.getLogger("segment").setLevel(logging.CRITICAL)
    await asyncio.to_thread(say_much, make(served.url))
    numbers = [event.properties["number"] for event in served.runtime.events]
    assert sorted(numbers) == list(range(COUNT))
    assert not served.runtime.troubles
    assert served.counters.refused == {"overloaded": 2, "not_stored": 1}
    assert (served.runtime.counters.duplicates > 0) is loses_answers
    assert served.balanced()


@pytest.mark.parametrize("make", CLIENTS)
async def test_a_refused_batch_is_not_sent_again(make: Maker) -> None:
    """An answer without `code` and `message` would be taken for a broken network."""
    async with running(STRANGE) as served:
        client = make(served.url)
        client.track("u1", "Clicked")
        await asyncio.to_thread(client.shutdown)
        assert served.counters.requests == 1
        assert served.counters.refused == {"unauthorized": 1}
