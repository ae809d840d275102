"""Nobody gets one message on two channels at a time, whatever comes back in whatever order.

A customer lives through messages whose receipts come early, late, twice, contradicting each other
or not at all; through goals, exits and withdrawals, and somebody sends again what failed. A book is
kept from the records alone.
"""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from engine.effects import Unwake, Wake
from engine.events import (
    ConsentStatement,
    ConsentStatus,
    Event,
    EventKind,
    Failure,
    Input,
    Receipt,
    ReceiptStatus,
    Redeliver,
    Tick,
)
from engine.evolve import fold
from engine.instants import DAY_MS, MINUTE_MS, parse_duration, parse_instant
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.program.program import Program
from engine.reasons import Outcome
from engine.records import Decided, Exited, ReceiptNoted, Record
from engine.step import step
from tests.property.worlds import copied

pytestmark = pytest.mark.slow

ORIGIN_AT = parse_instant("2026-03-02T08:00:00Z")
_PHONE = {"adapter": "log", "identity": "phone"}
_ARRIVED = ("delivered", "opened", "clicked", "replied", "machine_opened")
_MET = {"delivered": _ARRIVED, "engaged": ("opened", "clicked", "replied")}
_FALLBACKS: list[Any] = [
    None,
    {"unless": "delivered", "within": "10m"},
    {"unless": "engaged", "within": "1h"},
    [{"unless": "delivered", "within": "5m"}, {"unless": "engaged", "within": "2h"}],
]
_KEPT = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@st.composite
def _workspaces(draw: st.DrawFn) -> dict[str, Any]:
    kind: dict[str, Any] = {"purpose": "marketing", "channels": ["sms", "voice", "email"]}
    optional: dict[str, Any] = {
        "fallback": draw(st.sampled_from(_FALLBACKS)),
        "follow_up": draw(st.sampled_from([None, "push"])),
        "max_cost": draw(st.sampled_from([None, 1.5, 2.0])),
        "expires": draw(st.sampled_from([None, "90m"])),
        "choose": draw(st.sampled_from([None, "best"])),
    }
    kind |= {key: value for key, value in optional.items() if value is not None}
    policies: dict[str, Any] = {"caps": [{"limit": draw(st.sampled_from(["2 / 6h", "4 / 6h"]))}]}
    if draw(st.booleans()):
        policies["cooldown"] = {"gap": "10m"}
    if draw(st.booleans()):
        policies["same_message"] = "4h"
    return {
        "workspace": "chains",
        "consent": {"marketing": "opt_out"},
        "channels": {
            "sms": {**_PHONE, "cost": 0.5},
            "voice": {**_PHONE, "cost": 1.0, "window": "08:00-11:30"},
            "email": {"adapter": "log", "identity": "email"},
            "push": {"adapter": "log", "identity": "token"},
        },
        "message_types": {"it": kind},
        "messages": {"a": {"type": "it", "content": {"default": {"body": "{{ event.n }}"}}}},
        "journeys": {
            "j": {
                "trigger": {"event": "A"},
                "reentry": "1m",
                "goal": {"event": "Bought"},
                "exit_on": [{"event": "Left", "reason": "left"}],
                "steps": [{"send": "a"}, {"wait": "3h"}],
            }
        },
        "policies": policies,
    }


_happenings = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 2, 4, 7, 11, 65]),  # minutes since what happened before
        st.sampled_from([*["A"] * 4, *["receipt"] * 16, "Bought", "Left", "withdrawn", "again"]),
        st.sampled_from([*_ARRIVED, "accepted", "in_doubt", *["failed"] * 5]),
        st.sampled_from(["", *Failure]),
        st.sampled_from([0, 0, 1, 1, 2, 3]),  # which of the latest messages a receipt is about
        st.booleans(),
    ),
    min_size=4,
    max_size=18,
)


_Maker = Callable[["_Life"], Input | None]


class _Life:
    """A customer on their way, with what is known from records alone."""

    def __init__(self, program: Program, workspace: dict[str, Any]) -> None:
        self.program = program
        self.kind: dict[str, Any] = workspace["message_types"]["it"]
        self.costs = {name: one.get("cost", 0) for name, one in workspace["channels"].items()}
        self.cap = int(workspace["policies"]["caps"][0]["limit"].split()[0])
        self.profile, self.folded = Profile("u1"), Profile("u1")
        self.timers: dict[int, None] = {}
        self.heap: list[tuple[int, int]] = []
        self.sent: list[Decided] = []
        self.statuses: dict[str, list[str]] = {}
        self.released: set[str] = set()
        self.out_at: dict[str, int] = {}
        self.over: set[int] = set()

    def live(self, inputs: list[tuple[int, _Maker]], until_at: int) -> None:
        for at, make in inputs:
            self._fire(at - 1)
            given = make(self)
            if given is not None:
                self._take(given, at)
        self._fire(until_at)

    def _fire(self, until_at: int) -> None:
        while self.heap and self.heap[0][0] <= until_at:
            at, timer = heappop(self.heap)
            if timer in self.timers:
                self._take(Tick(timer, at), at)

    def _take(self, given: Input, now: int) -> None:
        before: Profile = copied(self.profile)
        result = step(self.profile, given, self.program, now)
        assert step(before, copied(given), self.program, now).records == result.records
        fold(self.folded, copied(given), [copied(one) for one in result.records], now)
        assert msgspec.msgpack.encode(self.folded) == msgspec.msgpack.encode(self.profile)
        for effect in result.effects:
            if isinstance(effect, Wake):
                self.timers[effect.timer] = None
                heappush(self.heap, (effect.at, effect.timer))
            elif isinstance(effect, Unwake):
                self.timers.pop(effect.timer, None)
        for record in result.records:
            self._note(record, now)

    def _note(self, record: Record, now: int) -> None:
        if isinstance(record, ReceiptNoted):
            self.statuses[record.message_id].append(record.status)
            if record.status == "accepted":
                self.out_at[record.message_id] = record.at
            if record.released:
                self.released.add(record.message_id)
        elif isinstance(record, Exited) and (record.converted or record.taken_out):
            self.over.add(record.instance)
        elif isinstance(record, Decided) and record.outcome in (Outcome.SEND, Outcome.SUBSTITUTE):
            self._check(record, now)
            self.sent.append(record)
            self.statuses[record.message_id] = []

    def _check(self, decided: Decided, now: int) -> None:
        """Ask of a send whether there was room for it, and a need."""
        window = [one for one in self.sent if one.at > now - 6 * 60 * MINUTE_MS]
        assert sum(one.message_id not in self.released for one in window) < self.cap
        assert decided.expires_at is None or now < decided.expires_at
        chain = [one for one in self.sent if one.proposal in (decided.proposal, decided.follows)]
        if self.kind.get("max_cost") is not None:
            spent = sum(self.costs[one.channel] for one in (*chain, decided))
            assert spent <= self.kind["max_cost"]
        if chain:
            assert decided.instance not in self.over
        if decided.follows:
            assert decided.channel == self.kind["follow_up"]
            assert all(self._is_lost(one.message_id) for one in chain if one.follows)
            assert any(self._has_left(one.message_id) for one in chain)
            return
        for one in chain:
            assert self._is_lost(one.message_id) or self._is_late(one, now)

    def _is_lost(self, message_id: str) -> bool:
        return message_id in self.released or "in_doubt" in self.statuses[message_id]

    def _has_left(self, message_id: str) -> bool:
        told = self.statuses[message_id]
        return message_id in self.released or any(one in told for one in ("accepted", *_ARRIVED))

    def _is_late(self, sent: Decided, now: int) -> bool:
        """Say that something did not come back of a message within its time."""
        written: Any = self.kind.get("fallback", [])
        rules = cast("list[dict[str, str]]", written if isinstance(written, list) else [written])
        told, since_at = self.statuses[sent.message_id], self.out_at.get(sent.message_id, sent.at)
        return any(
            now >= min(since_at, sent.at) + parse_duration(rule["within"])
            and not any(status in _MET[rule["unless"]] for status in told)
            for rule in rules
        )


def _make(number: int, happening: tuple[Any, ...], at: int) -> _Maker:
    _, what, status, failure, back, permanent = happening

    def make(life: _Life) -> Input | None:
        if what in ("A", "Bought", "Left"):
            properties = {"n": number}
            return Event(f"e{number}", EventKind.TRACK, what, "u1", None, at, at, properties)
        if what == "withdrawn":
            said = ConsentStatement("marketing", "voice", ConsentStatus.WITHDRAWN, at, "test")
            return Event(f"e{number}", EventKind.CONSENT, "Consent Stated", "u1", None, at, at,
                         consents=(said,))  # fmt: skip
        if not life.sent:
            return None
        place: int = -1 - back % len(life.sent)
        message = life.sent[place].message_id
        if what == "again":
            return Redeliver(message, at)
        is_failed = status == "failed"
        return Receipt(f"r{number}", "u1", message, ReceiptStatus(status), at, at,
                       permanent=is_failed and permanent,
                       failure=failure if is_failed else "")  # fmt: skip

    return make


def _inputs(happenings: list[tuple[Any, ...]]) -> Iterator[tuple[int, _Maker]]:
    traits = {"email": "a@example.com", "phone": "+447700900123", "token": "t"}
    yield ORIGIN_AT, lambda _: Event("e", EventKind.IDENTIFY, "Identified", "u1", None, ORIGIN_AT,
                                     ORIGIN_AT, traits=traits)  # fmt: skip
    at = ORIGIN_AT
    for number, happening in enumerate(happenings):
        at += happening[0] * MINUTE_MS
        yield at, _make(number, happening, at)


@_KEPT
@given(_workspaces(), _happenings)
def test_one_message_is_under_way_on_one_channel_but_for_the_follow_up(
    workspace: dict[str, Any], happenings: list[tuple[Any, ...]]
) -> None:
    life = _Life(compile_source(workspace), workspace)
    life.live(list(_inputs(happenings)), ORIGIN_AT + DAY_MS)
    numbers = [one.proposal for one in life.sent if one.follows]
    assert len(numbers) == len(set(numbers)) or any(one.attempt > 1 for one in life.sent)
