"""Journeys as compiled: triggers, goals, and steps as a flat list of instructions with jumps.

Built by `sections` and `steps`, kept in `Program`, read by `engine.journeys`.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from engine.program.agenda import Plan
from engine.program.condition import Condition
from engine.program.scope import Scope

PATH_PREFIX = "steps["  # what the names of steps without an id of their own begin with


class Op(StrEnum):
    """The instructions a journey's steps are compiled to."""

    SEND = "send"
    WAIT = "wait"  # elapsed time
    WAIT_UNTIL = "wait_until"  # a wall-clock moment in customer time, or an instant
    WAIT_FOR = "wait_for"
    IF = "if"  # go on when true, else jump to `target`
    JUMP = "jump"
    START = "start"
    SET = "set"
    EXIT = "exit"
    CALL = "call"  # go on when answered well, else jump to `target`
    SWITCH = "switch"  # jump to the case of the value's text, or to `target`
    SPLIT = "split"  # jump to the arm of the customer, or to `target`
    PARALLEL = "parallel"  # begin the branches; once they are joined, jump to `target`
    END = "end"  # of a branch
    REPEAT = "repeat"  # go on, so many times; then jump to `target`
    REMEMBER = "remember"  # set a variable
    EMIT = "emit"
    DECIDE = "decide"


Names = Mapping[str, Any]  # what a text can show


class CallPlan(msgspec.Struct, frozen=True):
    """A request to somebody else's service, as it is made for each customer."""

    url: Callable[[Names], str]
    method: str
    headers: tuple[tuple[str, Callable[[Names], str]], ...]
    secrets: dict[str, str]  # header -> environment variable
    body: Callable[[Scope, Names], Any] | None
    traits: tuple[str, ...]  # live traits that its texts show
    timeout_ms: int
    origin: str  # of the address: scheme, host and port
    rule: str  # where it is written
    into: str = ""  # the variable that holds the answer
    signed_with: str = ""
    allow_private: bool = False


class WaitFor(msgspec.Struct, frozen=True):
    """What ends a wait early: an event (where a condition holds), a segment, or engagement."""

    event: str = ""
    condition: Condition | None = None
    segment: str = ""
    engagement: str = ""  # the id of an earlier send step
    kinds: tuple[str, ...] = ()


class Instruction(msgspec.Struct, frozen=True):
    """One move of a journey. `step` is the id people know it by.

    What the other fields mean depends on `op`: `message` and `channel` for SEND, `duration_ms` for
    WAIT and WAIT_FOR (there the longest wait), `until` for WAIT_UNTIL, `target` for IF (when
    false), JUMP and WAIT_FOR (when time ran out), `journey` for START, `trait` and `condition` for
    SET and REMEMBER, `condition` for IF, SWITCH and REPEAT (if it has one), `reason` for EXIT,
    `cases` for SWITCH, SPLIT and PARALLEL, `weights` for SPLIT, `joins_any` for PARALLEL,
    `times` for REPEAT, `event` and `properties` for EMIT, `messages` and `channel` for DECIDE,
    `call` and `target` (when it failed) for CALL.
    """

    op: Op
    step: str
    message: str = ""
    channel: str = ""
    duration_ms: int = 0
    until: Callable[[Scope, ZoneInfo], int | None] | None = None
    wait_for: WaitFor | None = None
    target: int = 0
    journey: str = ""
    trait: str = ""
    condition: Condition | None = None
    reason: str = ""
    cases: Mapping[str, int] = {}  # where the steps of a case, an arm or a branch begin
    weights: tuple[tuple[str, float], ...] = ()
    joins_any: bool = False
    times: int = 0
    event: str = ""
    properties: tuple[tuple[str, Condition], ...] = ()
    messages: tuple[str, ...] = ()
    call: CallPlan | None = None

    @property
    def offered(self) -> tuple[str, ...]:
        """Name the messages it may send."""
        return (self.message,) if self.op is Op.SEND else self.messages


class Goal(msgspec.Struct, frozen=True):
    """What a journey is for: an event within a time of entry."""

    event: str
    condition: Condition | None
    within_ms: int | None


class Trigger(msgspec.Struct, frozen=True):
    """What makes a customer enter, where `condition` holds: an event, a segment, or the calendar.

    With none of them only a `start` step of another journey does. A score is a segment of its own.
    """

    event: str
    condition: Condition | None
    segment: str = ""
    on: str = ""  # entered or left
    late_ms: int | None = None  # an event that comes in later than this begins nothing
    plan: Plan | None = None
    score: str = ""  # that crosses its threshold, in words


class Often(msgspec.Struct, frozen=True):
    """At most `count_max` entries in a window, or in a `period` on the customer's calendar."""

    count_max: int
    window_ms: int
    period: str = ""  # calendar_day, calendar_week or calendar_month


class Admission(msgspec.Struct, frozen=True):
    """How often a customer may enter, and under which condition.

    `key` tells stays in the journey apart; each may be there once at a time.
    """

    condition: Condition | None = None
    key: Condition | None = None
    reentry_ms: int | None = None  # None: any time after the exit
    is_once: bool = False  # and never again
    often: Often | None = None
    at_once: int | None = 1  # None: at will


class ExitRule(msgspec.Struct, frozen=True):
    """What takes a customer out: an event or a segment, or else a condition that holds."""

    reason: str
    event: str = ""
    condition: Condition | None = None
    segment: str = ""
    on: str = ""
    is_eventful: bool = False  # the condition looks at the event at hand


class Journey(msgspec.Struct, frozen=True):
    """A journey as instructions; `version` is the hash of its text, which instances pin."""

    name: str
    version: str
    trigger: Trigger
    admission: Admission
    goal: Goal | None
    code: tuple[Instruction, ...]
    exits: tuple[ExitRule, ...] = ()
    migrate: Mapping[str, str] = {}  # of steps of older versions: a step, or what becomes of people
    offers: Mapping[str, tuple[str, ...]] = {}  # by step, the messages it may send

    def position_of(self, step: str) -> int:
        """Give where a step begins."""
        return next(place for place, one in enumerate(self.code) if one.step == step)

    def may_send(self, step: str, message: str) -> bool:
        """Say whether a step of another version is there still: by its id, or by what it sends.

        A step without an id of its own is named by its place, at which another may be by now.
        """
        if step.startswith(PATH_PREFIX):
            return any(message in messages for messages in self.offers.values())
        return step in self.offers


class Agenda(msgspec.Struct, frozen=True):
    """The journeys that begin by the calendar, what matters most first, and what they rest on."""

    journeys: tuple[Journey, ...] = ()
    traits: frozenset[str] = frozenset()  # that hold dates
    segments: frozenset[str] = frozenset()
    is_live: bool = False  # some date is worked out, so that any event may change it
