"""A customer's history across channels, a page at a time: what happened, about what, and why.

Called by `query` and the command line, each with the history it reads from. A page looks at
`SCAN_MAX` entries at most and then goes on with the next, so a rare filter gives short pages rather
than long waits. What a profile was before a change is found by following the entries before the
page, as far as `LOOKBACK_MAX` of them.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from actors.directory import decode_entry
from actors.history import History
from actors.ports import Store
from actors.rows import Entry
from adapters.gateway.parameters import TimelineParameters, write_places
from adapters.gateway.readable import entry_view, name_input
from adapters.gateway.views import ProfileChange, TimelineEntry, TimelinePage, Topic
from engine.changes import Change, Follower, may_change
from engine.events import (
    Abridged,
    Answered,
    Event,
    Input,
    Rebirth,
    Receipt,
    Redeliver,
    Review,
    Scrubbed,
    Tick,
)
from engine.place import find_place
from engine.profile import Profile
from engine.program.program import Program
from engine.records import (
    Allotted,
    Branched,
    BranchEnded,
    Called,
    CallRecalled,
    ConsentNoted,
    Decided,
    Emitted,
    Entered,
    Exited,
    Migrated,
    Moved,
    ReceiptNoted,
    Record,
    Remembered,
    SegmentEntered,
    SegmentLeft,
    SegmentsReviewed,
)

SCAN_MAX = 2_000  # entries looked at for one page
LOOKBACK_MAX = 2_000  # and those before it, for what a profile was
_BREATH = 200  # entries after which others get their turn

_CALLS = (Called, CallRecalled)
_JOURNEYS = (Entered, Moved, Migrated, Exited, Branched, BranchEnded, Remembered, Allotted)
_SEGMENTS = (SegmentEntered, SegmentLeft, SegmentsReviewed)
_NO_MERGES = (Event, Receipt, Tick, Scrubbed, Review, Rebirth, Abridged, Answered, Redeliver)


class Seen(msgspec.Struct):
    """An entry on its way into a page; `given` is None where it can't be read."""

    entry: Entry
    given: Input | None
    records: list[Record]
    is_wanted: bool = False


class Span(msgspec.Struct, frozen=True):
    """The time a page is about, in epoch ms; both ends belong to it."""

    since_at: int | None = None
    until_at: int | None = None

    def has(self, at: int) -> bool:
        """Say whether an instant lies in it."""
        return (self.since_at is None or at >= self.since_at) and (
            self.until_at is None or at <= self.until_at
        )


async def timeline_page(
    source: tuple[Store, Program],
    customer: tuple[Profile, History],
    wanted: TimelineParameters,
    span: Span,
) -> TimelinePage:
    """Read a page of a customer's history, from where the history stands. Raises StoreError."""
    (store, program), (profile, history) = source, customer
    entries, positions = await Timeline(store, profile, wanted, span).read(history)
    zone = find_place(profile, program).zones[0].key
    return TimelinePage(profile.customer, entries, write_places("timeline", positions), zone)


class Timeline:
    """One page in the making."""

    def __init__(
        self, store: Store, profile: Profile, wanted: TimelineParameters, span: Span
    ) -> None:
        self._store = store
        self._profile = profile
        self._wanted = wanted
        self._span = span
        self._channels: dict[str, str] = {}  # message id -> channel, where it was looked up
        self._seen: list[Seen] = []
        self._before: list[Entry] = []  # what follows the page, newest first
        self._picked = 0

    async def read(self, history: History) -> tuple[list[TimelineEntry], list[int]]:
        """Read a page, and where the next one begins; nowhere at the end. Raises StoreError."""
        is_over = await self._scan(history)
        positions = [] if is_over else history.positions()
        followers = await self._follow(history)
        found: list[TimelineEntry] = []
        for seen in reversed(self._seen):
            changes = self._pass(seen, followers)
            if seen.is_wanted and self._fits_changes(changes):
                found.append(await self._show(seen, changes))
        return found[::-1], positions

    async def _scan(self, history: History) -> bool:
        """Look at entries, newest first, until the page is full; True where there are no more."""
        since_at = self._span.since_at
        while self._picked < self._wanted.limit and len(self._seen) < SCAN_MAX:
            entry = await history.take()
            if entry is None or (since_at is not None and entry.at < since_at):
                self._before += [entry] if entry is not None else []
                return True
            seen = _decode(entry)
            seen.is_wanted = self._span.has(entry.at) and await self._is_wanted(seen)
            self._picked += seen.is_wanted
            self._seen.append(seen)
            if len(self._seen) % _BREATH == 0:
                await asyncio.sleep(0)
        return False

    async def _is_wanted(self, seen: Seen) -> bool:
        wanted = self._wanted
        if wanted.kind and wanted.kind not in (*_topics(seen), name_input(seen.given)[0]):
            return False
        if wanted.kind != "change" and wanted.name and wanted.name not in _names(seen):
            return False
        return not wanted.channel or wanted.channel in await self._channels_of(seen)

    def _fits_changes(self, changes: Sequence[Change]) -> bool:
        """Say whether an entry stays that was picked for what it may have changed."""
        if self._wanted.kind != "change":
            return True
        name = self._wanted.name
        return any(not name or change.name == name for change in changes)

    async def _follow(self, history: History) -> dict[str, Follower]:
        """Bring followers of all names this customer had to where the page begins."""
        followers: dict[str, Follower] = {}
        before = self._before
        if any(one.is_wanted and _may_change(one) for one in self._seen):
            while len(before) < LOOKBACK_MAX and (entry := await history.take()) is not None:
                before.append(entry)
                if len(before) % _BREATH == 0:
                    await asyncio.sleep(0)
        for name in (self._profile.customer, *self._profile.absorbed):
            followers[name] = Follower(name)
            followers[name].is_whole = name in history.begun
        for number, entry in enumerate(reversed(before)):
            self._pass(_decode(entry), followers)
            if number % _BREATH == 0:
                await asyncio.sleep(0)
        return followers

    def _pass(self, seen: Seen, followers: dict[str, Follower]) -> list[Change]:
        follower = followers.get(seen.entry.customer)
        if follower is None or seen.given is None:
            return []
        if seen.is_wanted:
            return follower.tell(seen.given, seen.records, seen.entry.at)
        follower.pass_by(seen.given, seen.records, seen.entry.at)
        return []

    async def _show(self, seen: Seen, changes: Sequence[Change]) -> TimelineEntry:
        about = [topic for topic in _topics(seen) if topic != "change" or changes]
        return msgspec.structs.replace(
            entry_view(seen.entry),
            about=about,
            channels=await self._channels_of(seen),
            cause=_cause(seen.given),
            changes=[msgspec.convert(one, ProfileChange, from_attributes=True) for one in changes],
        )

    async def _channels_of(self, seen: Seen) -> list[str]:
        """Name the channels an entry is about: of decisions, receipts, statements of consent."""
        found: list[str] = []
        for record in seen.records:
            if isinstance(record, Decided):
                found.append(record.channel)
            elif isinstance(record, ReceiptNoted):
                found.append(await self._channel_of(record.message_id))
            elif isinstance(record, ConsentNoted):
                found.append(record.statement.channel)
        if isinstance(seen.given, Event):
            found += [statement.channel for statement in seen.given.consents]
        return [channel for channel in dict.fromkeys(found) if channel]

    async def _channel_of(self, message_id: str) -> str:
        sent = self._profile.sends.get(message_id)
        if sent is not None:
            return sent.channel
        if message_id not in self._channels:
            rows = await self._store.messages([message_id])
            self._channels[message_id] = rows[0].channel if rows else ""
        return self._channels[message_id]


def _decode(entry: Entry) -> Seen:
    # An entry that can't be read is shown as that, and changes nothing that is known of.
    try:
        given, records = decode_entry(entry)
    except (msgspec.MsgspecError, ValueError, TypeError):
        return Seen(entry, None, [])
    return Seen(entry, given, records)


def _may_change(seen: Seen) -> bool:
    return seen.given is not None and may_change(seen.given, seen.records)


def _topics(seen: Seen) -> list[Topic]:
    """Say what an entry is, and what it is about."""
    given, records = seen.given, seen.records
    kinds: dict[Topic, bool] = {
        "event": given is None
        or isinstance(given, Event)
        or any(isinstance(record, Emitted) for record in records),
        "receipt": isinstance(given, Receipt),
        "timer": isinstance(given, Tick),
        "merge": given is not None and not isinstance(given, _NO_MERGES),
        "decision": any(isinstance(record, Decided) for record in records),
        "consent": (isinstance(given, Event) and bool(given.consents))
        or any(isinstance(record, ConsentNoted) for record in records),
        "journey": any(isinstance(record, _JOURNEYS) for record in records),
        "call": isinstance(given, Answered)
        or any(isinstance(record, _CALLS) for record in records),
        "segment": isinstance(given, Review)
        or any(isinstance(record, _SEGMENTS) for record in records),
        "listing": isinstance(given, Scrubbed),
        "rebirth": isinstance(given, Rebirth),
        "abridged": isinstance(given, Abridged),
        "change": _may_change(seen),
    }
    return [topic for topic, holds in kinds.items() if holds]


def _names(seen: Seen) -> list[str]:
    """Give every name an entry can be looked for by."""
    found: list[str] = []
    match seen.given:
        case Event():
            found += [seen.given.name, *seen.given.traits]
            found += [statement.purpose for statement in seen.given.consents]
        case Receipt():
            found += [seen.given.status.value, seen.given.message]
        case Scrubbed():
            found += [listing.registry for listing in seen.given.listings]
        case _:
            found.append(name_input(seen.given)[1])
    found += [record.name for record in seen.records if isinstance(record, Emitted)]
    for record in seen.records:
        # A record's names are in fields of these names, whichever kind it is.
        for field in ("message", "journey", "trait", "segment"):
            value = cast("Any", getattr(record, field, ""))
            if value:
                found.append(str(value))
    return found


def _cause(given: Input | None) -> dict[str, str]:
    """Name the input, as decisions name their cause."""
    match given:
        case Event() | Receipt():
            return {str(given.__struct_config__.tag): given.id}
        case Tick():
            return {"timer": str(given.timer)}
        case Answered():
            return {"answer": given.call_id}
        case Redeliver():
            return {"redelivery": given.message_id}
        case None:
            return {}
        case _:
            kind, name = name_input(given)
            return {kind: name}
