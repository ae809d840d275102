"""No cap is ever exceeded, however often and in whatever order the world tells us things.

A customer lives through events that come late, twice or out of order, failures that give slots
back, receipts that make them count as engaged, and timers that decide again. Visitors live through
the same and turn out to be that customer: from then on what they were sent counts. A book is kept
of what was sent, from the records alone, and every window that ends with a send is counted in it.
"""

from collections.abc import Callable
from datetime import datetime
from fractions import Fraction
from heapq import heappop, heappush
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings, strategies as st
from msgspec.structs import replace

from engine.effects import Unwake, Wake
from engine.events import Event, EventKind, Input, Merged, Receipt, ReceiptStatus, Tick
from engine.profile import Profile
from engine.program.captext import read_cap
from engine.program.compile import compile_source
from engine.program.program import Cap
from engine.records import Decided, ReceiptNoted
from engine.step import step
from tests.property.solver_rules import PERIODS
from tests.property.solver_terms import DAY, HOUR, MINUTE, duration, instant, wall

pytestmark = pytest.mark.slow

ORIGIN = instant(datetime.fromisoformat("2026-03-02T14:00:00Z"))
HOME = "America/New_York"
FLORIDIAN = {"email": "a@example.com", "phone": "+13055551234", "push": "token",
             "country": "US", "state": "FL", "timezone": HOME}  # fmt: skip
ENGAGED = ("opened", "clicked", "replied")
_RECEIPTS = ("failed", "opened", "delivered")


def some(count: int) -> settings:
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


class Sent(NamedTuple):
    """A line of the book."""

    at: int
    message_id: str
    channel: str
    purpose: str
    kind: str
    counts: bool


class Limit(NamedTuple):
    """A cap as it was drawn, and the sends it is about."""

    text: str
    is_about: Callable[[Sent], bool]
    adjusts: bool = True  # by engagement
    counts_all: bool = False  # also what does not count toward caps


class Book:
    """What was sent, what of it was given back, and what was engaged with."""

    def __init__(self, workspace: dict[str, Any], traits: dict[str, Any]) -> None:
        self.workspace = workspace
        self.limits = _limits(workspace, traits)
        self.sent: list[Sent] = []
        self.released: set[str] = set()
        self.engaged: set[str] = set()

    def enter(self, one: Sent) -> None:
        """Enter a send, and count every window that ends with it."""
        factor = self._factor(one.purpose, one.at)
        self.sent.append(one)
        for limit in self.limits:
            if limit.is_about(one) and (one.counts or limit.counts_all):
                count, _, window = limit.text.split()
                most = max(1, int(int(count) * factor)) if limit.adjusts else int(count)
                used = self._used(limit, window, one.at)
                assert used <= most, f"{used} of {limit.text} ({most}) at {one.at}"

    def _used(self, limit: Limit, window: str, at: int) -> int:
        meant = [
            one.at
            for one in self.sent
            if limit.is_about(one)
            and (one.counts or limit.counts_all)
            and one.message_id not in self.released
        ]
        if window in PERIODS:
            period = PERIODS[window]
            today = period(wall(HOME, at).date())
            return sum(period(wall(HOME, one).date()) == today for one in meant)
        return sum(at - duration(window) < one <= at for one in meant)

    def _factor(self, purpose: str, at: int) -> Fraction:
        policy = self.workspace["policies"].get("engagement")
        if policy is None or purpose != "marketing":
            return Fraction(1)
        recent = [one for one in self.sent if one.at > at - duration(policy["window"])]
        if len(recent) < policy["least"]:
            return Fraction(1)
        rate = Fraction(sum(one.message_id in self.engaged for one in recent), len(recent))
        if rate >= Fraction(str(policy["high"]["rate"])):
            return Fraction(str(policy["high"]["factor"]))
        if rate <= Fraction(str(policy["low"]["rate"])):
            return Fraction(str(policy["low"]["factor"]))
        return Fraction(1)

    def note(self, record: ReceiptNoted) -> None:
        """Note what came back; a slot is given back once."""
        if record.released:
            assert record.message_id not in self.released
            self.released.add(record.message_id)
        if record.status in ENGAGED:
            self.engaged.add(record.message_id)

    def take_over(self, other: "Book") -> None:
        """Enter what somebody else was sent, who turned out to be the same."""
        self.sent = sorted([*self.sent, *other.sent], key=lambda one: one.at)
        self.released |= other.released
        self.engaged |= other.engaged

    def check(self, profile: Profile) -> None:
        """Compare the book with the slots the profile keeps, in both of their forms."""
        kept = [one.message_id for one in self.sent if one.message_id not in self.released]
        assert sorted(slot.message_id for slot in profile.ledger) == sorted(kept)
        tallied = sorted(at for tally in profile.tallies for at in tally.sent_at)
        assert tallied == [slot.at for slot in profile.ledger]


def _limits(workspace: dict[str, Any], traits: dict[str, Any]) -> list[Limit]:
    limits: list[Limit] = []
    for name, spec in workspace["channels"].items():
        limits += [Limit(text, _is(channel=name)) for text in spec.get("caps", ())]
    for name, spec in workspace["message_types"].items():
        limits += [Limit(text, _is(kind=name)) for text in spec.get("caps", ())]
    for spec in workspace["policies"].get("caps", ()):
        channels, purposes = spec.get("channels"), spec.get("purposes")
        limits.append(Limit(spec["limit"], _among(channels, purposes)))
    own = traits.get("frequency_caps")
    if isinstance(own, str):
        limits.append(Limit(own, _among(None, None), adjusts=False))
    elif own:
        limits.append(Limit(own["marketing"], _is(purpose="marketing"), adjusts=False))
    if "US" in workspace["policies"].get("regions", ()):
        by_law = _among(["sms"], ["marketing"])
        limits.append(Limit("3 / 24h", by_law, adjusts=False, counts_all=True))
    return limits


def _is(**wanted: str) -> Callable[[Sent], bool]:
    return lambda one: all(getattr(one, key) == value for key, value in wanted.items())


def _among(channels: list[str] | None, purposes: list[str] | None) -> Callable[[Sent], bool]:
    return lambda one: (
        (not channels or one.channel in channels) and (not purposes or one.purpose in purposes)
    )


class Life:
    """One customer online: inputs when they arrive, timers when they are due."""

    def __init__(
        self,
        workspace: dict[str, Any],
        traits: dict[str, Any],
        customer: str = "u1",
        now: int = ORIGIN,
    ) -> None:
        self.program = compile_source(workspace)
        self.profile = Profile(customer)
        self.book = Book(workspace, traits)
        self.now = now
        self.visitor: Life | None = None
        self._drawn = (workspace, traits)
        self._visits = 0
        self.inputs: list[Event | Receipt] = []
        self._wakes: list[tuple[int, int]] = []
        self._live: set[int] = set()
        self._take(_event("e", EventKind.IDENTIFY, "Identified", now, traits=traits))

    def wait(self, until_at: int) -> None:
        """Let time pass, and timers fire."""
        while self._wakes and self._wakes[0][0] <= until_at:
            at, timer = heappop(self._wakes)
            if timer in self._live:
                self.now = max(self.now, at)
                self._take(Tick(timer, at))
        self.now = until_at
        if self.visitor is not None:
            self.visitor.wait(until_at)

    def do(self, act: "Act") -> None:
        """Live through one thing after a while."""
        self.wait(self.now + act.after_ms)
        if act.kind == "merge":
            self._merge()
            return
        if act.by_visitor:
            if self.visitor is None:
                self._visits += 1
                self.visitor = Life(*self._drawn, f"anon:v{self._visits}", self.now)
            self.visitor.do(act._replace(after_ms=0, by_visitor=False))
            return
        heard = self._hear(act, len(self.inputs))
        if heard is not None:
            self.inputs.append(heard)
            self._take(heard)

    def _merge(self) -> None:
        """The visitor turns out to be this customer: what either was sent now counts for both."""
        visitor, self.visitor = self.visitor, None
        if visitor is None:
            return
        profile = visitor.profile
        self.book.take_over(visitor.book)
        self.inputs += visitor.inputs  # any of them may come again
        body = msgspec.msgpack.encode(profile)
        self._take(Merged(profile.customer, 1, body, (), "test", self.now))

    def _hear(self, act: "Act", number: int) -> Event | Receipt | None:
        if act.kind == "again":
            return self.inputs[-1 - act.place % number] if number else None
        if act.kind not in _RECEIPTS:
            name = f"{self.profile.customer} e{number}"
            return _event(name, EventKind.TRACK, act.kind, self.now, late_ms=act.late_ms)
        if not self.book.sent:
            return None
        sent = self.book.sent[-1 - act.place % len(self.book.sent)]
        status, at = ReceiptStatus(act.kind), self.now - act.late_ms
        is_permanent = act.place % 3 > 0
        return Receipt(
            f"{self.profile.customer} r{number}",
            "u1",
            sent.message_id,
            status,
            at,
            self.now,
            permanent=is_permanent,
        )

    def _take(self, taken: Input) -> None:
        result = step(self.profile, taken, self.program, self.now)
        for record in result.records:
            if isinstance(record, Decided) and record.message_id:
                kind = record.message_type
                self.book.enter(
                    Sent(self.now, record.message_id, record.channel, record.purpose, kind,
                         record.counts)
                )  # fmt: skip
            elif isinstance(record, ReceiptNoted):
                self.book.note(record)
        for effect in result.effects:
            if isinstance(effect, Wake):
                self._live.add(effect.timer)
                heappush(self._wakes, (effect.at, effect.timer))
            elif isinstance(effect, Unwake):
                self._live.discard(effect.timer)
        self.book.check(self.profile)


def _event(
    name: str, kind: EventKind, called: str, now: int, *, late_ms: int = 0, traits: Any = None
) -> Event:
    return Event(name, kind, called, "u1", None, now - late_ms, now, traits=traits or {})


class Act(NamedTuple):
    """One thing that happens, so long after the last; it may have happened long before."""

    kind: str
    after_ms: int
    late_ms: int
    place: int
    by_visitor: bool = False


_caps = st.builds(
    "{} / {}".format,
    st.sampled_from([1, 2, 2, 3]),
    st.sampled_from(["2h", "6h", "24h", "calendar_day", "calendar_week"]),
)
_acts = st.builds(
    Act,
    st.sampled_from(
        ["A", "A", "B", "B", "C", "N", "again", "again", "failed", "failed", "opened", "delivered"]
    ),
    st.sampled_from([0, 0, 1, 10 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, DAY]),
    st.sampled_from([0, 0, 5 * MINUTE, 3 * HOUR, 2 * DAY]),
    st.integers(0, 5),
)
_merging = st.one_of(
    st.builds(lambda act, by: act._replace(by_visitor=by), _acts, st.booleans()),
    st.builds(Act, st.just("merge"), st.sampled_from([0, MINUTE, HOUR]), st.just(0), st.just(0)),
)


@st.composite
def workspaces(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Draw a workspace with caps of every kind, and a customer's traits."""
    content = {"default": {"body": "b"}}
    channels: dict[str, Any] = {
        "sms": {"adapter": "log", "identity": "phone"},
        "email": {"adapter": "log", "identity": "email", "substitute": "push"},
        "push": {"adapter": "log", "identity": "push"},
    }
    for spec in channels.values():
        if draw(st.booleans()):
            spec["caps"] = [draw(_caps)]
    types: dict[str, Any] = {
        "promo": {"purpose": "marketing", "channels": ["sms", "email"]},
        "offer": {"purpose": "marketing", "channels": ["email", "sms"], "counts": False},
        "note": {"purpose": "service", "channels": ["sms", "push"]},
    }
    for spec in types.values():
        if draw(st.booleans()):
            spec["caps"] = [draw(_caps)]
    policies: dict[str, Any] = {
        "on_block": draw(
            st.sampled_from([["defer"], ["substitute", "defer"], ["fallback", "defer"]])
        )
    }
    if draw(st.booleans()):
        shared = st.sampled_from([{}, {"purposes": ["marketing"]}, {"channels": ["sms", "push"]}])
        policies["caps"] = [{"limit": draw(_caps), **draw(shared)}]
    if draw(st.booleans()):
        policies["regions"] = ["US"]
    if draw(st.booleans()):
        policies["engagement"] = {
            "window": "2d",
            "least": 2,
            "high": {"rate": 0.5, "factor": draw(st.sampled_from([1.5, 2]))},
            "low": {"rate": 0.1, "factor": 0.5},
        }
    own = draw(st.sampled_from([None, None, "2 / 6h", {"marketing": "1 / calendar_day"}]))
    workspace = {
        "workspace": "caps",
        "consent": {"marketing": "opt_out"},
        "channels": channels,
        "message_types": types,
        "policies": policies,
        "messages": {
            "a": {"type": "promo", "content": content},
            "b": {"type": "promo", "content": content},
            "c": {"type": "offer", "content": content},
            "n": {"type": "note", "content": content},
        },
        "journeys": {
            name: {"trigger": {"event": name.upper()}, "steps": [{"send": name, "id": "s"}]}
            for name in ("a", "b", "c", "n")
        },
    }
    return workspace, {**FLORIDIAN, "frequency_caps": own}


def live(drawn: tuple[dict[str, Any], dict[str, Any]], acts: list[Act]) -> None:
    """Live through all of it and a week more; the book is kept, and counted, on the way."""
    life = Life(*drawn)
    for act in acts:
        life.do(act)
    life.wait(life.now + 7 * DAY)
    event(f"{min(len(life.profile.absorbed), 2)} merged")
    event(f"{min(len(life.book.sent), 6)} sent, {min(len(life.book.released), 2)} given back")


@given(workspaces(), st.lists(_acts, min_size=4, max_size=30))
@some(800)
def test_no_window_ever_holds_more_than_its_cap(
    drawn: tuple[dict[str, Any], dict[str, Any]], acts: list[Act]
) -> None:
    live(drawn, acts)


@given(workspaces(), st.lists(_merging, min_size=6, max_size=40))
@some(800)
def test_no_window_holds_more_though_customers_turn_out_to_be_one(
    drawn: tuple[dict[str, Any], dict[str, Any]], acts: list[Act]
) -> None:
    live(drawn, acts)


def test_ledgers_that_are_not_united_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.merge._unite_ledgers", lambda *_given: None)
    quick = settings(some(100), phases=(Phase.generate,), report_multiple_bugs=False)

    def hold(drawn: tuple[dict[str, Any], dict[str, Any]], acts: list[Act]) -> None:
        live(drawn, acts)

    with pytest.raises(AssertionError):
        quick(given(workspaces(), st.lists(_merging, min_size=20, max_size=30))(hold))()


@pytest.mark.long
@given(workspaces(), st.lists(_merging, min_size=6, max_size=60))
@settings(some(20_000), derandomize=False)
def test_no_window_holds_more_though_customers_turn_out_to_be_one_at_length(
    drawn: tuple[dict[str, Any], dict[str, Any]], acts: list[Act]
) -> None:
    live(drawn, acts)


@pytest.mark.long
@given(workspaces(), st.lists(_acts, min_size=4, max_size=60))
@settings(some(20_000), derandomize=False)
def test_no_window_ever_holds_more_than_its_cap_at_length(
    drawn: tuple[dict[str, Any], dict[str, Any]], acts: list[Act]
) -> None:
    live(drawn, acts)


def test_one_more_than_a_cap_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(text: str, rule: str) -> Cap:
        cap = read_cap(text, rule)
        return replace(cap, count_max=cap.count_max + 1)

    monkeypatch.setattr("engine.program.leaves.read_cap", read)
    quick = settings(some(100), phases=(Phase.generate,), report_multiple_bugs=False)

    def hold(drawn: tuple[dict[str, Any], dict[str, Any]], acts: list[Act]) -> None:
        live(drawn, acts)

    with pytest.raises(AssertionError, match=r"of \d /"):
        quick(given(workspaces(), st.lists(_acts, min_size=20, max_size=30))(hold))()
