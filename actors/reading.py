"""Reading a shard: a customer's profile and journal, what would be decided, how much there is.

`Reading` is the part of `actors.runtime` that the gateway asks; `recall` reads a store that nobody
has in memory, for the command line. Nothing is made resident for a reader.
"""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import NamedTuple

import msgspec

from actors.audience import Audience, DecisionListener
from actors.calls import Calls
from actors.catalogue import Catalogue
from actors.customer import Customer
from actors.directory import Directory, decode_entry, revive
from actors.erasures import Erasures
from actors.history import History
from actors.outbox import Outbox
from actors.ports import Store
from actors.reviews import Reviews
from actors.rows import Entry, StoreState
from actors.snapshots import Snapshots
from actors.timers import Timers
from engine.eligibility import Eligibility, assess
from engine.errors import NextbeatError
from engine.evolve import fold
from engine.identities import ANONYMOUS, ANONYMOUS_PREFIX
from engine.profile import Profile
from engine.program.faults import suggest
from engine.program.program import Message, Program

_DECODER = msgspec.msgpack.Decoder(Profile)
_NAME_MAX = 80


class UnknownNameError(NextbeatError):
    """The workspace has nothing of this name; the message says what it has instead."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind  # message or channel


class Answer(NamedTuple):
    """What would be decided, and whether anything is known of the customer it is about."""

    eligibility: Eligibility
    is_known: bool


class Reading:
    """What can be asked about customers, and about the shard as a whole."""

    store: Store
    directory: Directory
    program: Program
    timers: Timers
    catalogue: Catalogue
    outbox: Outbox
    calls: Calls
    reviews: Reviews
    erasures: Erasures
    _audience: Audience
    _snapshots: Snapshots
    _queued: int
    _durable_seq: int

    def subscribe(self, listener: DecisionListener) -> Callable[[], None]:
        """Call `listener` with decisions as they become durable; gives the way to stop it."""
        return self._audience.join(listener)

    def gauges(self) -> dict[str, float]:
        """Tell how much there is of what comes and goes, for metrics."""
        return {
            "actor_resident": len(self.directory),
            "catalogue_items": self.catalogue.count,
            "actor_memory_bytes": self.directory.memory_bytes,
            "mailbox_depth": self._queued,
            "deferred_depth": len(self.timers),
            "journal_seq": self._durable_seq,
            "journal_tail": self._durable_seq - self._snapshots.covered_seq,
            "outbox_depth": self.outbox.depth(),
            "calls_depth": self.calls.depth(),
            "segment_review_left": self.reviews.left(),
            "erasures_open": self.erasures.open_count(),
        }

    async def profile(self, customer: str) -> Profile | None:
        """Read a customer's profile (a copy), or None if there is none."""
        actor = self.directory.find(customer)
        if actor is None or actor.profile is None:
            actor = (await self.directory.recall([customer]))[customer]
            return actor.profile if actor.last_seq else None
        return _DECODER.decode(actor.snapshot_copy()) if actor.last_seq else None

    async def seek(self, given: str) -> Profile | None:
        """Read the profile of a customer named by its id, or by an anonymous id.

        Who turned out to be another customer is that one.
        """
        profile = await self.profile(given)
        if profile is None:
            linked = await self.resolve(ANONYMOUS, given)
            profile = await self.profile(linked or ANONYMOUS_PREFIX + given)
        while profile is not None and profile.merged_into:
            profile = await self.profile(profile.merged_into)
        return profile

    async def timeline(self, customer: str, before: int | None, limit: int) -> list[Entry]:
        """List a customer's journal entries, newest first; `before` is the seq seen last."""
        if before is not None:
            seen = await self.store.entries(before, 1)
            last_seq = seen[0].prev if seen and seen[0].customer == customer else 0
        else:
            last_seq = await self._last_seq(customer)
        return await self.store.entries(last_seq, limit) if last_seq else []

    async def history(self, profile: Profile) -> History:
        """Give all there is in the journal about a customer, newest first."""
        last_seq = await self._last_seq(profile.customer)
        return self.resume(profile, [last_seq, *profile.absorbed.values()])

    def resume(self, profile: Profile, positions: Sequence[int]) -> History:
        """Go on where the history of a customer was left."""
        return History(self.store, (profile.customer, *profile.absorbed), positions)

    async def _last_seq(self, customer: str) -> int:
        last_seq = self.directory.durable_seq(customer)
        if last_seq:
            return last_seq
        row = (await self.store.load([customer])).get(customer)
        return row.seq if row else 0

    async def resolve(self, namespace: str, value: str) -> str | None:
        """Find the customer an identity belongs to (`anonymous_id` → customer id)."""
        return (await self.store.resolve([(namespace, value)])).get((namespace, value))

    async def eligibility(
        self, customer: str, message: str, at: int, *, channel: str = ""
    ) -> Answer:
        """Tell whether a message may go to a customer at an instant, on any channel or on one.

        Raises UnknownNameError where the workspace has no such message, or it no such channel.
        """
        profile = await self.seek(customer)
        return answer(profile, customer, self.program, message, at, channel=channel)


def answer(
    profile: Profile | None,
    customer: str,
    program: Program,
    message: str,
    at: int,
    *,
    channel: str = "",
) -> Answer:
    """Answer from a profile; who is not known is a new customer. Raises UnknownNameError."""
    wanted = check_names(program, message, channel)
    asked = profile or Profile(customer)
    return Answer(assess(asked, program, wanted, at, channel=channel), profile is not None)


def check_names(program: Program, message: str, channel: str) -> Message:
    """Find a message of the workspace. Raises UnknownNameError, with the name that was meant."""
    found = program.messages.get(message)
    if found is None:
        near = suggest(message[:_NAME_MAX], program.messages, "messages")
        raise UnknownNameError("message", f"the workspace has no message of this name; {near}")
    channels = found.type.channels
    if channel and channel not in channels:
        near = _suggest(channel, list(channels))
        known = ", ".join(channels)
        raise UnknownNameError("channel", f"{found.name} goes by {known}, not by this{near}")
    return found


def _suggest(word: str, known: list[str]) -> str:
    close = get_close_matches(word[:_NAME_MAX], known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


async def recall(store: Store, state: StoreState, given: str) -> Profile | None:
    """Read a customer, named by its id or an anonymous id, from a store nobody has in memory."""
    found = await recall_history(store, state, given)
    return found[0] if found is not None else None


async def recall_history(
    store: Store, state: StoreState, given: str
) -> tuple[Profile, History] | None:
    """Read a customer as `recall` does, with all there is about them in the journal."""
    linked = (await store.resolve([(ANONYMOUS, given)])).get((ANONYMOUS, given))
    actor = await _recall(store, state, given)
    if actor is None:
        actor = await _recall(store, state, linked or ANONYMOUS_PREFIX + given)
    while actor is not None and actor.profile is not None and actor.profile.merged_into:
        actor = await _recall(store, state, actor.profile.merged_into)
    if actor is None or actor.profile is None:
        return None
    profile = actor.profile
    heads = [actor.last_seq, *profile.absorbed.values()]
    return profile, History(store, (profile.customer, *profile.absorbed), heads)


async def _recall(store: Store, state: StoreState, name: str) -> Customer | None:
    # The snapshot after the state: entries up to `covered_seq` are in it, newer ones may be.
    actor = (await revive(store, [name], await store.load([name])))[name]
    assert actor.profile is not None
    async for portion in store.tail(state.covered_seq):
        for entry in portion:
            if entry.customer == name and entry.seq > actor.last_seq:
                given, records = decode_entry(entry)
                fold(actor.profile, given, records, entry.at)
                actor.last_seq = entry.seq
    return actor if actor.last_seq else None
