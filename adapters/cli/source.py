"""Where the answers of `explain`, `quarantine` and `segments` come from: a server, or a folder.

Both give the views of the HTTP API, so that a command shows the same whichever it asked. What a
folder's workspace would decide is decided here, by the workspace that was in force in it last.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click
import msgspec

from actors.ports import Store
from actors.reading import answer, recall
from actors.rows import ActQuery, DecisionQuery, DecisionRow, LetterQuery, StoreState
from adapters.cli.output import INSTANT
from adapters.cli.remote import Remote, path_of
from adapters.gateway.acts import act_view
from adapters.gateway.outbox import letter_view
from adapters.gateway.query import UnknownError
from adapters.gateway.readable import eligibility_view, quarantine_view
from adapters.gateway.segments import check_name, list_segments, member_views
from adapters.gateway.views import (
    Act,
    ActPage,
    DeadLetter,
    DeadLetterPage,
    Decision,
    DecisionPage,
    Eligibility,
    Member,
    MemberPage,
    QuarantinedItem,
    QuarantinePage,
    SegmentList,
)
from adapters.masking import Masker
from adapters.sqlite.store import StoreReader
from engine.errors import StoreError
from engine.instants import format_instant
from engine.program.compile import compile_source
from engine.program.privacy import Pii
from engine.program.program import Program
from engine.records import Decided
from engine.transcript import decision_object

_URL = "http://127.0.0.1:8080"
_DECISION = "d_"
_PAGE_MAX = 200  # the most the API gives at once

_decode_decided = msgspec.msgpack.Decoder(Decided).decode
Function = TypeVar("Function", bound=Callable[..., Any])


class Wanted(msgspec.Struct, frozen=True):
    """Which decisions are asked for; empty means any."""

    customer: str
    message: str = ""
    journey: str = ""
    outcome: str = ""
    reason: str = ""
    since_at: int | None = None
    until_at: int | None = None
    limit: int = 10

    @property
    def is_one(self) -> bool:
        """Say whether one decision is asked for by its id."""
        return self.customer.startswith(_DECISION)


class Question(msgspec.Struct, frozen=True):
    """Whether a message may go to a customer at an instant; None is now."""

    customer: str
    message: str
    at: int | None = None


class ActsWanted(msgspec.Struct, frozen=True):
    """Which administrative acts are asked for; empty means any."""

    who: str = ""
    act: str = ""
    subject: str = ""
    since_at: int | None = None
    until_at: int | None = None
    limit: int = 50


class Source(Protocol):
    """Something that can be asked."""

    def eligibility(self, question: Question) -> Eligibility:
        """Tell whether a message may go, why not, and when."""
        ...

    def decisions(self, wanted: Wanted) -> list[Decision]:
        """List decisions, newest first."""
        ...

    def quarantine(
        self, before: int | None, limit: int, *, is_masked: bool
    ) -> list[QuarantinedItem]:
        """List quarantined items with numbers under `before`, newest first."""
        ...

    def segments(self) -> SegmentList:
        """List the segments of the workspace, and how many are in each."""
        ...

    def members(self, segment: str, limit: int) -> list[Member]:
        """List who is in a segment, in the order of their ids."""
        ...

    def acts(self, wanted: ActsWanted) -> list[Act]:
        """List administrative acts, newest first."""
        ...

    def dead_letters(self, wanted: LetterQuery, *, is_masked: bool) -> list[DeadLetter]:
        """List messages that did not arrive as far as we know, newest first."""
        ...


def url_option(function: Function) -> Function:
    """Add the option that names a server."""
    return click.option(
        "--url",
        default=_URL,
        show_default=True,
        envvar="NEXTBEAT_URL",
        help="Ask the server at this address.",
    )(function)


def source_options(function: Function) -> Function:
    """Add the options that say whom to ask."""
    data = click.option(
        "--data",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        envvar="NEXTBEAT_DATA",
        help="Read this data folder instead of asking a server.",
    )
    return data(url_option(function))


def reveal_option(function: Function) -> Function:
    """Add the option that shows personal data, which is hidden otherwise."""
    return click.option(
        "--reveal", is_flag=True, help="Show personal data, which is hidden otherwise."
    )(function)


def period_options(function: Function) -> Function:
    """Add the options that say between which instants."""
    since = click.option("--since", "since_at", type=INSTANT, help="Only from this instant on.")
    until = click.option("--until", "until_at", type=INSTANT, help="Only up to this instant.")
    return since(until(function))


def limit_option(default: int, most: int, text: str) -> Callable[[Function], Function]:
    """Add the option that says how many to list; `text` is its help."""
    return click.option(
        "--limit",
        default=default,
        show_default=True,
        type=click.IntRange(1, most),
        help=text,
    )


def open_source(data: Path | None, url: str) -> Source:
    """Choose whom to ask."""
    return RemoteSource(Remote(url)) if data is None else StoredSource(data)


class RemoteSource:
    """Decisions of a running server."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def eligibility(self, question: Question) -> Eligibility:
        """Tell whether a message may go, why not, and when."""
        path = path_of("v1", "customers", question.customer, "eligibility")
        at = "" if question.at is None else format_instant(question.at)
        body = self._remote.get(path, {"message": question.message, "at": at})
        return msgspec.json.decode(body, type=Eligibility)

    def decisions(self, wanted: Wanted) -> list[Decision]:
        """List decisions, newest first."""
        if wanted.is_one:
            body = self._remote.get(path_of("v1", "decisions", wanted.customer), {})
            return [msgspec.json.decode(body, type=Decision)]
        path = path_of("v1", "customers", wanted.customer, "decisions")
        found: list[Decision] = []
        cursor: str | None = ""
        while cursor is not None and len(found) < wanted.limit:
            parameters = {**_parameters(wanted), "cursor": cursor}
            page = msgspec.json.decode(self._remote.get(path, parameters), type=DecisionPage)
            found.extend(one for one in page.decisions if wanted.message in {"", one.message})
            cursor = page.next
        return found[: wanted.limit]

    def quarantine(
        self, before: int | None, limit: int, *, is_masked: bool
    ) -> list[QuarantinedItem]:
        """List quarantined items with numbers under `before`, newest first."""
        found: list[QuarantinedItem] = []
        cursor: str | None = ""
        while cursor is not None and len(found) < limit:
            parameters = {"cursor": cursor, "limit": str(_PAGE_MAX)}
            parameters |= {"mask": "1"} if is_masked else {}
            body = self._remote.get("/v1/quarantine", parameters)
            page = msgspec.json.decode(body, type=QuarantinePage)
            found.extend(item for item in page.items if before is None or item.number < before)
            cursor = page.next
        return found[:limit]

    def segments(self) -> SegmentList:
        """List the segments of the workspace, and how many are in each."""
        return msgspec.json.decode(self._remote.get("/v1/segments", {}), type=SegmentList)

    def members(self, segment: str, limit: int) -> list[Member]:
        """List who is in a segment, in the order of their ids."""
        path = path_of("v1", "segments", segment, "members")
        found: list[Member] = []
        cursor: str | None = ""
        while cursor is not None and len(found) < limit:
            parameters = {"cursor": cursor, "limit": str(min(_PAGE_MAX, limit - len(found)))}
            page = msgspec.json.decode(self._remote.get(path, parameters), type=MemberPage)
            found.extend(page.members)
            cursor = page.next
        return found

    def acts(self, wanted: ActsWanted) -> list[Act]:
        """List administrative acts, newest first."""
        parameters = {
            "who": wanted.who,
            "act": wanted.act,
            "subject": wanted.subject,
            "since": write_instant(wanted.since_at),
            "until": write_instant(wanted.until_at),
            "limit": str(min(wanted.limit, _PAGE_MAX)),
        }
        found: list[Act] = []
        cursor: str | None = ""
        while cursor is not None and len(found) < wanted.limit:
            body = self._remote.get("/v1/acts", {**parameters, "cursor": cursor})
            page = msgspec.json.decode(body, type=ActPage)
            found.extend(page.acts)
            cursor = page.next
        return found[: wanted.limit]

    def dead_letters(self, wanted: LetterQuery, *, is_masked: bool) -> list[DeadLetter]:
        """List messages that did not arrive as far as we know, newest first."""
        parameters = {
            "state": wanted.state,
            "channel": wanted.channel,
            "customer": wanted.customer,
            "limit": str(min(wanted.limit, _PAGE_MAX)),
        }
        parameters |= {"mask": "1"} if is_masked else {}
        found: list[DeadLetter] = []
        before: str | None = ""
        while before is not None and len(found) < wanted.limit:
            body = self._remote.get("/v1/outbox", {**parameters, "before": before})
            page = msgspec.json.decode(body, type=DeadLetterPage)
            found.extend(page.letters)
            before = page.next
        return found[: wanted.limit]


class StoredSource:
    """Decisions in a data folder, whether or not a server is running on it."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def eligibility(self, question: Question) -> Eligibility:
        """Tell whether a message may go, why not, and when."""
        return asyncio.run(self._eligibility(question))

    def decisions(self, wanted: Wanted) -> list[Decision]:
        """List decisions, newest first."""
        return asyncio.run(self._decisions(wanted))

    def quarantine(
        self, before: int | None, limit: int, *, is_masked: bool
    ) -> list[QuarantinedItem]:
        """List quarantined items with numbers under `before`, newest first."""
        return asyncio.run(self._quarantine(before, limit, is_masked=is_masked))

    def acts(self, wanted: ActsWanted) -> list[Act]:
        """List administrative acts, newest first."""
        return asyncio.run(self._acts(wanted))

    def dead_letters(self, wanted: LetterQuery, *, is_masked: bool) -> list[DeadLetter]:
        """List messages that did not arrive as far as we know, newest first."""
        return asyncio.run(self._dead_letters(wanted, is_masked=is_masked))

    def segments(self) -> SegmentList:
        """List the segments of the workspace, and how many are in each."""
        return asyncio.run(self._segments())

    def members(self, segment: str, limit: int) -> list[Member]:
        """List who is in a segment, in the order of their ids."""
        return asyncio.run(self._members(segment, limit))

    async def _segments(self) -> SegmentList:
        async with reading(self._data) as (store, state):
            program = await program_in_force(store, state)
            return await list_segments(store, program, _now())

    async def _members(self, segment: str, limit: int) -> list[Member]:
        async with reading(self._data) as (store, state):
            program = await program_in_force(store, state)
            try:
                check_name(segment, program)
            except UnknownError as error:
                raise StoreError(str(error)) from None
            return member_views(await store.members(segment, "", limit))

    async def _eligibility(self, question: Question) -> Eligibility:
        customer, at = question.customer, question.at
        async with reading(self._data) as (store, state):
            program = await program_in_force(store, state)
            profile = await recall(store, state, customer)
        now = _now() if at is None else at
        return eligibility_view(answer(profile, customer, program, question.message, now))

    async def _decisions(self, wanted: Wanted) -> list[Decision]:
        async with reading(self._data) as (store, _):
            if wanted.is_one:
                row = await store.decision(wanted.customer)
                return [] if row is None else [_view(row)]
            return await _collect(store, wanted)

    async def _quarantine(
        self, before: int | None, limit: int, *, is_masked: bool
    ) -> list[QuarantinedItem]:
        async with reading(self._data) as (store, state):
            rows = await store.quarantine(before, limit)
            pii = await _pii_in_force(store, state) if is_masked and rows else None
        items = [quarantine_view(row) for row in rows]
        if pii is None:
            return items
        return msgspec.convert(Masker(pii).mask(items), list[QuarantinedItem])

    async def _dead_letters(self, wanted: LetterQuery, *, is_masked: bool) -> list[DeadLetter]:
        async with reading(self._data) as (store, state):
            rows = await store.dead_letters(wanted)
            pii = await _pii_in_force(store, state) if is_masked and rows else None
        letters = [letter_view(row) for row in rows]
        if pii is None:
            return letters
        return msgspec.convert(Masker(pii).mask(letters), list[DeadLetter])

    async def _acts(self, wanted: ActsWanted) -> list[Act]:
        query = msgspec.convert(wanted, ActQuery, from_attributes=True)
        async with reading(self._data) as (store, _):
            return [act_view(row) for row in await store.acts(query)]


def _now() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def reading(data: Path) -> AsyncGenerator[tuple[Store, StoreState]]:
    """Open a data folder for looking only. Raises StoreError."""
    store = StoreReader(data)
    state = await store.open()
    try:
        yield store, state
    finally:
        await store.close()


async def program_in_force(store: Store, state: StoreState) -> Program:
    """Compile the workspace that was in force last. Raises StoreError where there was none.

    That is the one that came last, unless an earlier one was put back: the last entry knows.
    """
    programs = await store.programs()
    if not programs:
        raise StoreError("no workspace was ever in force in this folder")
    version, since_at, source = programs[-1]
    for entry in await store.entries(state.last_seq, 1):
        if entry.at >= since_at:
            version = entry.program
    source = next((kept for name, _, kept in programs if name == version), source)
    return compile_source(msgspec.json.decode(source))


async def _pii_in_force(store: Store, state: StoreState) -> Pii:
    """Say what is personal: without a workspace, what always is. Raises StoreError."""
    if not await store.programs():
        return Pii()
    return (await program_in_force(store, state)).pii


async def _collect(store: Store, wanted: Wanted) -> list[Decision]:
    linked = await store.resolve([("anonymous_id", wanted.customer)])
    customer = linked.get(("anonymous_id", wanted.customer), wanted.customer)
    found: list[Decision] = []
    before: int | None = None
    while len(found) < wanted.limit:
        page = await store.decisions(
            DecisionQuery(
                customer=customer,
                journey=wanted.journey,
                reason=wanted.reason,
                outcome=wanted.outcome,
                since_at=wanted.since_at,
                until_at=wanted.until_at,
                before=before,
                limit=_PAGE_MAX,
            )
        )
        found.extend(_view(row) for row in page.rows if wanted.message in {"", row.message})
        if page.next is None:
            break
        before = page.next
    return found[: wanted.limit]


def _parameters(wanted: Wanted) -> dict[str, str]:
    return {
        "journey": wanted.journey,
        "outcome": wanted.outcome,
        "reason": wanted.reason,
        "since": write_instant(wanted.since_at),
        "until": write_instant(wanted.until_at),
        "limit": str(_PAGE_MAX if wanted.message else min(wanted.limit, _PAGE_MAX)),
    }


def write_instant(at: int | None) -> str:
    """Write an instant as a parameter; none is left out."""
    return "" if at is None else format_instant(at)


def _view(row: DecisionRow) -> Decision:
    return msgspec.convert(decision_object(row.customer, _decode_decided(row.body)), Decision)
