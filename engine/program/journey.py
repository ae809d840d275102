"""Journeys as compiled: triggers, goals, and steps as a flat list of instructions with jumps.

Built by `sections` and `steps`, kept in `Program`, read by `engine.journeys`.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from engine.program.condition import Condition
from engine.program.scope import Scope


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


class Goal(msgspec.Struct, frozen=True):
    """What a journey is for: an event within a time of entry."""

    event: str
    condition: Condition | None
    within_ms: int | None


class Trigger(msgspec.Struct, frozen=True):
    """What makes a customer enter, where `condition` holds: an event, or a segment.

    With neither only a `start` step of another journey does.
    """

    event: str
    condition: Condition | None
    segment: str = ""
    on: str = ""  # entered or left


class Journey(msgspec.Struct, frozen=True):
    """A journey as instructions; `version` is the hash of its text, which instances pin."""

    name: str
    version: str
    trigger: Trigger
    reentry_ms: int | None  # None: any time after the exit
    goal: Goal | None
    code: tuple[Instruction, ...]
