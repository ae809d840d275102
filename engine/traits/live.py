"""Live traits as a workspace declares them, compiled: what each reads, and how.

Made by `engine.program.traits`, part of a `Program`, read by `engine.traits.lookup`.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from engine.instants import DAY_MS
from engine.place import HasDefaults
from engine.profile import Profile

ABSENT = ...  # as in conditions: nothing is known


class TraitKind(StrEnum):
    """What a live trait says about the events it looks at."""

    COUNT = "count"
    SUM = "sum"
    AVERAGE = "average"
    INTERVAL = "interval"
    MIN = "min"
    MAX = "max"
    FIRST = "first"
    LAST = "last"
    DISTINCT = "distinct"
    AFFINITY = "affinity"
    EXPR = "expr"


class LiveTrait(msgspec.Struct, frozen=True):
    """One declared trait.

    `key` names the measure it is read from; "" is the history of `event` itself. `window_ms` None
    is all of time. `expression` is of `expr` traits, and takes a scope.
    """

    name: str
    kind: TraitKind
    event: str = ""
    key: str = ""
    of: str = ""
    window_ms: int | None = None
    expression: Callable[[Any], Any] | None = None
    scores: bool = False  # of an affinity: all scores rather than the top name


class RfmRules(msgspec.Struct, frozen=True):
    """Where the scores of recency, frequency and money begin: four thresholds each, ascending."""

    window_ms: int = 365 * DAY_MS
    recency_ms: tuple[int, ...] = (30 * DAY_MS, 60 * DAY_MS, 120 * DAY_MS, 240 * DAY_MS)
    frequency: tuple[int, ...] = (2, 3, 5, 10)
    monetary: tuple[float, ...] = (50.0, 150.0, 400.0, 1000.0)


RFM_DEFAULT = RfmRules()


class Stages(Protocol):
    """From when on a customer is in which stage of life, as a program has it."""

    @property
    def order(self) -> str:
        """The event that counts as an order."""
        ...

    @property
    def new_ms(self) -> int:
        """How long after the first order a customer is new."""
        ...

    @property
    def at_risk_ms(self) -> int:
        """How long after the last order they are at risk."""
        ...

    @property
    def lapsed_ms(self) -> int:
        """How long after the last order they have lapsed."""
        ...


class Way(Protocol):
    """A channel, as far as it concerns whether somebody is reached there."""

    @property
    def identity(self) -> str:
        """The trait that holds the address."""
        ...


class Book(HasDefaults, Protocol):
    """What live traits need to know of a program."""

    @property
    def channels(self) -> Mapping[str, Way]:
        """The channels, by name."""
        ...

    @property
    def lifecycle(self) -> Stages:
        """The thresholds of the stages of life."""
        ...

    @property
    def traits(self) -> Mapping[str, LiveTrait]:
        """The declared ones, by name."""
        ...

    @property
    def rfm(self) -> RfmRules:
        """Where scores begin."""
        ...

    @property
    def session_ms(self) -> int:
        """How long after their last own event a customer is still there."""
        ...


class Look(Protocol):
    """One look at a customer at an instant: what live traits are read with. A `Scope` is one."""

    @property
    def owner(self) -> Profile:
        """The customer."""
        ...

    @property
    def book(self) -> Book:
        """The program, as far as it concerns traits."""
        ...

    @property
    def now(self) -> int:
        """The present."""
        ...

    def watch(self, at: int) -> None:
        """Take note that an answer may change at an instant, though nothing happens."""
        ...
