"""One customer, from a running server or a data folder: the history, and all there is.

Used by `timeline` and `export`. Both sources give the views of the HTTP API.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import click
import msgspec

from actors.history import History
from actors.ports import Store
from actors.reading import recall_history
from actors.rows import ActRow, Commit, StoreState
from adapters.app import OPERATOR
from adapters.channels.registry import INBOX_FILE
from adapters.cli.remote import Remote, path_of
from adapters.cli.source import program_in_force, reading, write_instant
from adapters.gateway.dossier import Dossier
from adapters.gateway.parameters import PAGE_LIMIT_MAX, TimelineParameters, read_places
from adapters.gateway.timeline import Span, timeline_page
from adapters.gateway.views import TimelineEntry, TimelinePage
from adapters.inbox import Inbox
from adapters.masking import Masker
from adapters.sqlite.store import SqliteStore
from engine.errors import StoreError
from engine.profile import Profile

Write = Callable[[bytes], object]


class Stretch(msgspec.Struct, frozen=True):
    """Which part of a customer's history is asked for; empty means any."""

    customer: str
    kind: str = ""
    name: str = ""
    channel: str = ""
    since_at: int | None = None
    until_at: int | None = None
    limit: int = 50
    is_masked: bool = True


class Told(msgspec.Struct, frozen=True):
    """A part of a history, newest first, and where the customer is taken to be."""

    customer: str
    timezone: str
    entries: list[TimelineEntry]


def read_timeline(data: Path | None, url: str, stretch: Stretch) -> Told:
    """Read a part of a customer's history. Raises NextbeatError."""
    if data is None:
        return _ask_timeline(Remote(url), stretch)
    return asyncio.run(_read_timeline(data, stretch))


def write_export(
    data: Path | None, url: str, customer: str, write: Write, *, is_masked: bool
) -> None:
    """Write all there is about a customer. On NextbeatError what was written is no use."""
    if data is not None:
        asyncio.run(_export(data, customer, write, is_masked=is_masked))
        return
    parameters = {"mask": "1"} if is_masked else {}
    for piece in Remote(url).stream(path_of("v1", "customers", customer, "export"), parameters):
        write(piece)


def _ask_timeline(remote: Remote, stretch: Stretch) -> Told:
    parameters = {
        "kind": stretch.kind,
        "name": stretch.name,
        "channel": stretch.channel,
        "since": write_instant(stretch.since_at),
        "until": write_instant(stretch.until_at),
        "mask": "1" if stretch.is_masked else "",
        "limit": str(min(stretch.limit, PAGE_LIMIT_MAX)),
    }
    path = path_of("v1", "customers", stretch.customer, "timeline")
    found: list[TimelineEntry] = []
    cursor: str | None = ""
    page: TimelinePage | None = None
    while cursor is not None and len(found) < stretch.limit:
        body = remote.get(path, {**parameters, "cursor": cursor})
        page = msgspec.json.decode(body, type=TimelinePage)
        found += page.entries
        cursor = page.next
    assert page is not None
    return Told(page.customer, page.timezone, found[: stretch.limit])


async def _read_timeline(data: Path, stretch: Stretch) -> Told:
    async with reading(data) as (store, state):
        program = await program_in_force(store, state)
        profile, history = await _find(store, state, stretch.customer)
        wanted = TimelineParameters(
            kind=stretch.kind, name=stretch.name, channel=stretch.channel, limit=PAGE_LIMIT_MAX
        )
        span = Span(stretch.since_at, stretch.until_at)
        names = (profile.customer, *profile.absorbed)
        found: list[TimelineEntry] = []
        while True:
            page = await timeline_page((store, program), (profile, history), wanted, span)
            found += page.entries
            if page.next is None or len(found) >= stretch.limit:
                break
            history = History(store, names, read_places("timeline", page.next))
    told = Told(page.customer, page.timezone, found[: stretch.limit])
    return msgspec.convert(Masker(program.pii).mask(told), Told) if stretch.is_masked else told


async def _export(data: Path, customer: str, write: Write, *, is_masked: bool) -> None:
    """Write the document of a folder at rest, having noted in it that this was done."""
    store = SqliteStore(data)
    try:
        state = await store.open()
    except StoreError as error:
        message = f"{error}: a running server is asked with --url, without --data"
        raise StoreError(message) from None
    try:
        program = await program_in_force(store, state)
        found = await _find(store, state, customer)
        now = time.time_ns() // 1_000_000
        detail = "without personal data" if is_masked else ""
        act = ActRow(0, now, OPERATOR, "exported", found[0].customer, detail)
        await store.commit(Commit(acts=[act]))
        box = Inbox(data / INBOX_FILE) if (data / INBOX_FILE).is_file() else None
        if box is not None:
            await box.open()
        masker = Masker(program.pii) if is_masked else None
        dossier = Dossier(store, program, found, now=now, inbox=box, masker=masker)
        async with aclosing(dossier.pieces()) as pieces:
            async for piece in pieces:
                write(piece)
        if box is not None:
            await box.close()
    finally:
        await store.close()


async def _find(store: Store, state: StoreState, customer: str) -> tuple[Profile, History]:
    found = await recall_history(store, state, customer)
    if found is None:
        message = "there is no customer with this id"
        raise click.ClickException(message)
    return found
