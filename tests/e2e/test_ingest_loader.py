"""Files into a shard, portion by portion: what is durable is told in order, stops are heard."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from actors.memory import MemoryStore
from actors.runtime import Runtime
from adapters.ingest import (
    FLYING_MAX,
    PORTION_LINES,
    Bookmark,
    IngestError,
    Loaded,
    Loader,
    Portion,
    Position,
    open_source,
)
from engine.errors import StoreError
from tests.e2e.gateway_host import call
from tests.e2e.test_ingest_runtime import whole


def lines(count: int) -> bytes:
    calls = (
        call(messageId=f"m{n}", userId=f"u{n % 3}", timestamp="2026-03-02T09:00:00Z")
        for n in range(count)
    )
    return b"".join(msgspec.json.encode(each) + b"\n" for each in calls)


def portions(file: Path, start: Position | None = None) -> Iterator[Portion]:
    with open_source(file) as source:
        source.skip(start or Position())
        yield from source.portions(start or Position())


async def load(
    runtime: Runtime, given: Iterator[Portion], stop: asyncio.Event
) -> tuple[bool, Loaded, list[int]]:
    loaded, settled = Loaded(), list[int]()
    loader = Loader(
        runtime,
        loaded,
        is_history=True,
        settled=lambda portion: settled.append(portion.after.line),
    )
    return await loader.run(given, stop), loaded, settled


async def test_what_is_durable_is_told_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "events"
    file.write_bytes(lines(2 * PORTION_LINES + 7))
    async with whole(MemoryStore()) as (_, runtime):
        done, loaded, settled = await load(runtime, portions(file), asyncio.Event())
    assert (done, loaded.events) == (True, 2 * PORTION_LINES + 7)
    assert settled == [PORTION_LINES, 2 * PORTION_LINES, 2 * PORTION_LINES + 7]


async def test_a_stop_is_heard_and_what_was_on_its_way_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "events"
    file.write_bytes(lines(10 * PORTION_LINES))
    stop = asyncio.Event()

    def stopping() -> Iterator[Portion]:
        for number, portion in enumerate(portions(file)):
            if number == FLYING_MAX + 1:
                stop.set()
            yield portion

    async with whole(MemoryStore()) as (_, runtime):
        done, loaded, settled = await load(runtime, stopping(), stop)
        assert (done, loaded.events) == (False, (FLYING_MAX + 2) * PORTION_LINES)
        assert settled[-1] == loaded.events
        done, again, _ = await load(runtime, portions(file), asyncio.Event())
    assert (done, again.duplicates) == (True, loaded.events)
    assert again.events == 10 * PORTION_LINES - loaded.events


async def test_what_could_not_be_stored_is_not_told_as_loaded(tmp_path: Path) -> None:
    file = tmp_path / "events"
    file.write_bytes(lines(10))
    store = MemoryStore()
    async with whole(store) as (_, runtime):
        store.fail_next()
        settled: list[Portion] = []
        loader = Loader(runtime, Loaded(), is_history=True, settled=settled.append)
        with pytest.raises(StoreError):
            await loader.run(portions(file), asyncio.Event())
        assert settled == []


def test_a_position_is_the_place_of_a_line_whatever_is_in_the_lines(tmp_path: Path) -> None:
    file = tmp_path / "events"
    head = b"\n  \nx\n" + b"y" * 300_000 + b"\nlast"
    file.write_bytes(head)
    (portion,) = portions(file)
    assert [number for number, _ in portion.lines] == [3, 4, 5]
    assert (portion.after.offset, portion.after.line) == (len(head), 5)
    file.write_bytes(head + b"\nmore\n")
    assert [line for _, line in next(portions(file, portion.after)).lines] == [b"more\n"]


def test_a_file_that_became_shorter_is_not_the_same(tmp_path: Path) -> None:
    file = tmp_path / "events"
    file.write_bytes(lines(3))
    bookmark = Bookmark(tmp_path / "marks", file)
    place = bookmark.begin()
    bookmark.save(msgspec.structs.replace(place, offset=10**6, line=9), 1.0)
    with open_source(file) as source, pytest.raises(IngestError, match="not the same file"):
        source.skip(bookmark.read())


def test_a_mark_that_cannot_be_read_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "events"
    file.write_bytes(lines(3))
    bookmark = Bookmark(tmp_path / "marks", file)
    bookmark.save(bookmark.begin(), 1.0)
    (mark,) = (tmp_path / "marks").iterdir()
    mark.write_bytes(b"\xff")
    with pytest.raises(IngestError, match="remove it"):
        bookmark.read()
