"""A server with the reading half of the gateway, on a real socket, over a runtime that is scripted.

The runtime keeps what a test puts into it and answers like the real one; when a commit is done, or
fails, is the test's to say. So each test can hold the moment it is about still.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import msgspec
from aiohttp import ClientSession, web

from actors.breakers import Standing
from actors.budgets import Purse
from actors.calls import Calls
from actors.catalogue import Catalogue
from actors.erasures import Erasures
from actors.history import History
from actors.outbox import Outbox
from actors.partings import Partings
from actors.ports import Clock, Store
from actors.rows import (
    ActQuery,
    ActRow,
    CatalogueRow,
    Commit,
    CrossingsRow,
    DecisionQuery,
    DecisionRow,
    Entry,
    ErasureRow,
    LetterQuery,
    MemberRow,
    OutboxRow,
    Page,
    QuarantineRow,
    ReviewRow,
    StayCount,
)
from actors.runtime import Counters, DecisionListener, Runtime
from adapters.gateway import lines
from adapters.gateway.host import Host
from adapters.gateway.settings import GatewaySettings, hash_keys
from engine.errors import InputError, OverloadError
from engine.events import Event, EventKind, Input
from engine.instants import DAY_MS, HOUR_MS, parse_instant
from engine.profile import Profile
from engine.program.journey import Admission, Instruction, Journey, Op, Trigger
from engine.program.program import Channel, Defaults, Membership, Program
from engine.reasons import Outcome, Reason
from engine.records import Check, Decided, Record

NOW = parse_instant("2026-03-02T12:00:00Z")
ADMIN = {"Authorization": "Bearer admin-key"}
WRITER = {"Authorization": "Bearer write-key"}

Routes = Callable[[Host], list[web.RouteDef]]


class StillClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> int:
        return self.at

    async def sleep_until(self, at: int) -> None:
        self.at = max(self.at, at)


class ScriptedStore:
    """The reading side of a store, over lists."""

    def __init__(self) -> None:
        self.rows: list[DecisionRow] = []
        self.kept: list[QuarantineRow] = []
        self.entries_kept: list[Entry] = []
        self.sent: dict[str, OutboxRow] = {}
        self.noted: list[ActRow] = []
        self.items: dict[tuple[str, str], CatalogueRow] = {}
        self.failure: Exception | None = None
        self.erasures: dict[int, ErasureRow] = {}

    async def erasure(self, number: int) -> ErasureRow | None:
        return self.erasures.get(number)

    async def entries(self, last_seq: int, limit: int) -> list[Entry]:
        walked: list[Entry] = []
        while last_seq and len(walked) < limit:
            walked.append(self.entries_kept[last_seq - 1])
            last_seq = walked[-1].prev
        return walked

    async def acts(self, query: ActQuery) -> list[ActRow]:
        newest = [row for row in reversed(self.noted) if query.who in ("", row.who)]
        return [row for row in newest if query.before is None or row.number < query.before][
            : query.limit
        ]

    async def dead_letters(self, _query: LetterQuery) -> list[OutboxRow]:
        return []

    async def messages(self, ids: Sequence[str]) -> list[OutboxRow]:
        return [self.sent[one] for one in ids if one in self.sent]

    async def decisions(self, query: DecisionQuery) -> Page:
        if self.failure is not None:
            raise self.failure
        numbered = list(enumerate(self.rows, start=1))
        found = [
            (number, row) for number, row in reversed(numbered) if _matches(query, number, row)
        ]
        more = found[query.limit - 1][0] if len(found) > query.limit else None
        return Page([row for _, row in found[: query.limit]], more)

    async def commit(self, commit: Commit) -> None:
        if self.failure is not None:
            raise self.failure
        for row in commit.catalogue:
            self.items.pop((row.kind, row.id), None)
            if row.body:
                self.items[row.kind, row.id] = row

    async def catalogue(
        self, after: tuple[str, str], limit: int, *, kind: str = ""
    ) -> list[CatalogueRow]:
        found = [key for key in sorted(self.items) if key > after and kind in ("", key[0])]
        return [self.items[key] for key in found[:limit]]

    async def decision(self, decision_id: str) -> DecisionRow | None:
        return next((row for row in self.rows if row.decision_id == decision_id), None)

    async def quarantine(self, before: int | None, limit: int) -> list[QuarantineRow]:
        newest = sorted(self.kept, key=lambda row: -row.number)
        return [row for row in newest if before is None or row.number < before][:limit]

    async def segment_sizes(self) -> dict[str, int]:
        return {}

    async def members(self, _segment: str, _after: str, _limit: int) -> list[MemberRow]:
        return []

    async def crossings(self, _since_at: int) -> list[CrossingsRow]:
        return []

    async def stay_counts(self) -> list[StayCount]:
        return []

    async def journey_sizes(self) -> dict[str, int]:
        return {}

    async def review(self) -> ReviewRow | None:
        return None


class ScriptedPartings:
    """Merges and partings that are refused as the real ones are, and else are done at once."""

    def __init__(self, profiles: dict[str, Profile]) -> None:
        self._profiles = profiles

    async def merge(self, customer: str, other: str) -> None:
        for path, name in (("customer", customer), ("other", other)):
            if name not in self._profiles:
                raise InputError("unknown_customer", "there is no such customer", path)
        if customer == other:
            raise InputError("same_customer", "expected another customer than this one", "other")

    unmerge = merge


class ScriptedErasures:
    """Erasures that are done, or, for one that is asked to wait no longer, are not yet."""

    def __init__(self, store: ScriptedStore) -> None:
        self.asked: list[str] = []
        self.failure: Exception | None = None
        self._store = store

    def pseudonym(self, customer: str) -> str:
        return f"erased:{len(customer)}"

    async def erase(self, given: str) -> ErasureRow:
        if self.failure is not None:
            raise self.failure
        self.asked.append(given)
        row = ErasureRow(len(self.asked), NOW, NOW, "erasing", 0, b"who")
        self._store.erasures[row.number] = row
        return row

    async def wait(self, number: int, timeout_s: float) -> ErasureRow | None:
        if timeout_s:
            row = self._store.erasures[number]
            self._store.erasures[number] = row._replace(state="done", entries=7, scope=b"")
        return self._store.erasures[number]


class ScriptedOutbox:
    """The numbers of an outbox, as a test sets them."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}
        self.tried: list[tuple[str, str, str, int]] = []
        self.told: list[Standing] = []
        self.purse = Purse()

    def attempts(self) -> list[tuple[str, str, str, int]]:
        return self.tried

    def standings(self) -> list[Standing]:
        return self.told


class ScriptedRuntime(Runtime):
    """A runtime whose commits happen when the test says so (`commits_at_once`, or `settle`)."""

    def __init__(self) -> None:
        self.scripted = ScriptedStore()
        self.store = cast("Store", self.scripted)
        self.catalogue = Catalogue(self.store)
        self.scripted_erasures = ScriptedErasures(self.scripted)
        self.erasures = cast("Erasures", self.scripted_erasures)
        self.clock = cast("Clock", StillClock())
        self.program = demo_program()
        self.counters = Counters()
        self.calls = cast("Calls", SimpleNamespace(counts={}))
        self.outbox = cast("Outbox", ScriptedOutbox())
        self.profiles: dict[str, Profile] = {}
        self.partings = cast("Partings", ScriptedPartings(self.profiles))
        self.links: dict[tuple[str, str], str] = {}
        self.journal: dict[str, list[Entry]] = {}
        self.taken: list[Input] = []
        self.quarantined: list[QuarantineRow] = []
        self.unsettled: list[asyncio.Future[None]] = []
        self.commits_at_once = True
        self.overloaded = False
        self.not_ready = ""
        self.numbers: dict[str, float] = {}
        self.listeners: list[DecisionListener] = []
        self.noted: list[tuple[str, str, str, str]] = []
        self.submitted = asyncio.Event()

    def submit(
        self, inputs: Sequence[Input], quarantined: Sequence[QuarantineRow] = ()
    ) -> asyncio.Future[None]:
        if self.overloaded:
            raise OverloadError("too much is waiting", 3)
        self.taken.extend(inputs)
        self.quarantined.extend(quarantined)
        self.counters.received += len(inputs) + len(quarantined)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.commits_at_once:
            future.set_result(None)
        else:
            self.unsettled.append(future)
        self.submitted.set()
        return future

    def settle(self, failure: Exception | None = None) -> None:
        """End the oldest commit that is under way."""
        future = self.unsettled.pop(0)
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)

    async def until_submitted(self, count: int) -> None:
        """Wait until as many submissions are under way."""
        while len(self.unsettled) < count:
            self.submitted.clear()
            await self.submitted.wait()

    async def profile(self, customer: str) -> Profile | None:
        return self.profiles.get(customer)

    async def history(self, profile: Profile) -> History:
        written = self.journal.get(profile.customer, [])
        return self.resume(
            profile, [*[one.seq for one in written[-1:]], *profile.absorbed.values()]
        )

    def note_act(self, who: str, act: str, subject: str, detail: str = "") -> asyncio.Future[None]:
        noted = self.scripted.noted
        noted.append(ActRow(len(noted) + 1, self.clock.now(), who, act, subject, detail))
        self.noted.append((who, act, subject, detail))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    async def resolve(self, namespace: str, value: str) -> str | None:
        return self.links.get((namespace, value))

    def subscribe(self, listener: DecisionListener) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def unready(self) -> str:
        return self.not_ready

    def gauges(self) -> dict[str, float]:
        return self.numbers

    def decide(self, *made: tuple[str, Decided]) -> None:
        """Let decisions become durable, and known to those who listen."""
        self.scripted.rows.extend(row_of(customer, decided) for customer, decided in made)
        for listener in list(self.listeners):
            listener(made)

    def write(self, customer: str, given: Input, records: Iterable[Record] = ()) -> None:
        """Put an entry into a customer's journal, an hour after the one before."""
        mine, everybodys = self.journal.setdefault(customer, []), self.scripted.entries_kept
        seq, prev = len(everybodys) + 1, mine[-1].seq if mine else 0
        packed = msgspec.msgpack.encode(given), msgspec.msgpack.encode(list(records))
        at = NOW - DAY_MS + seq * HOUR_MS
        mine.append(Entry(seq, customer, prev, at, "sha256:p1", *packed))
        everybodys.append(mine[-1])


def _matches(query: DecisionQuery, number: int, row: DecisionRow) -> bool:
    return (
        query.customer in ("", row.customer)
        and query.journey in ("", row.journey)
        and query.reason in ("", row.reason)
        and query.outcome in ("", row.outcome)
        and (query.since_at is None or row.at >= query.since_at)
        and (query.until_at is None or row.at <= query.until_at)
        and (query.before is None or number < query.before)
    )


class Served:
    """A running server: its runtime, its host, its address, and a session to talk to it."""

    def __init__(self, host: Host, runner: web.AppRunner, session: ClientSession) -> None:
        self.host = host
        self.stop = runner.cleanup
        self.runtime = cast("ScriptedRuntime", host.runtime)
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self.session = session

    async def get(
        self, path: str, status: int = 200, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Fetch JSON and insist on the status."""
        chosen = ADMIN if headers is None else headers
        async with self.session.get(self.url + path, headers=chosen) as response:
            body = await response.read()
            assert response.status == status, body
            assert response.content_type == "application/json"
            return cast("dict[str, Any]", msgspec.json.decode(body))


@asynccontextmanager
async def serve(*modules: Routes) -> AsyncGenerator[Served]:
    """Serve the routes of some modules on a free port of this machine."""
    settings = GatewaySettings(
        write_keys=hash_keys("write-key"), admin_keys=hash_keys("admin-key, other-key")
    )
    host = Host.of(ScriptedRuntime(), settings)
    app = web.Application()
    lines.install(app)
    for module in modules:
        app.add_routes(module(host))
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with ClientSession() as session:
        yield Served(host, runner, session)
    await runner.cleanup()


def decided(number: int = 1, **changes: object) -> Decided:
    """Make a decision; what is not said is a deferral outside the window."""
    made = Decided(
        decision_id=f"d_{number:016x}",
        at=NOW + number,
        cause_kind="event",
        cause=f"e-{number}",
        journey="cart",
        instance=1,
        step="first",
        message="reminder",
        message_type="promotional",
        outcome=Outcome.DEFER,
        reason=Reason.OUTSIDE_WINDOW,
        channel="email",
        next_eligible=NOW + HOUR_MS,
        trace=(Check("email", "window", "blocked", "channels.email.window", NOW + HOUR_MS),),
        program="sha256:p1",
        proposal=number,
        proposed_at=NOW,
        expires_at=None,
        pinned="",
        failed=(),
    )
    return msgspec.structs.replace(made, **changes)


def row_of(customer: str, made: Decided) -> DecisionRow:
    """Write a decision as the store keeps it."""
    return DecisionRow(
        made.decision_id,
        1,
        customer,
        made.at,
        made.journey,
        made.message,
        made.outcome.value,
        made.reason.value,
        made.channel,
        msgspec.msgpack.encode(made),
    )


def event(number: int = 1, name: str = "Product Added", **changes: object) -> Event:
    """Make a track event."""
    made = Event(
        id=f"e-{number}",
        kind=EventKind.TRACK,
        name=name,
        user="u1",
        anonymous=None,
        at=NOW,
        received_at=NOW,
        properties={"price": 60, "at": 5},
    )
    return msgspec.structs.replace(made, **changes)


def demo_program() -> Program:
    """Compile, by hand, a workspace with one journey and one channel."""
    email = Channel("email", "log", "email", None, False, (), "", (), 0.0, {})
    code = (
        Instruction(Op.SEND, "first", message="reminder"),
        Instruction(Op.WAIT, "pause", duration_ms=HOUR_MS),
    )
    cart = Journey("cart", "sha256:j1", Trigger("Product Added", None), Admission(), None, code)
    return Program(
        name="demo",
        version="sha256:p1",
        seed=7,
        defaults=Defaults(),
        session_ms=HOUR_MS // 2,
        opt_out={},
        channels={"email": email},
        types={},
        messages={},
        caps=(),
        backoff=None,
        cooldown=None,
        suppressions={},
        suppression_rules={},
        same_message_ms=None,
        membership=Membership(),
        journeys={"cart": cart},
        triggers={"Product Added": (cart,)},
        history={},
    )
