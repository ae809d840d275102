"""One input's turn at a profile: decide a little, evolve, decide the next.

Made by `engine.step` for each input, handed through `decide`, `journeys` and `proposals`. They
read `profile` as they like and change it through `note` alone.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from engine.events import Event
from engine.evolve import CHANGES
from engine.profile import Profile
from engine.program.program import Program
from engine.program.scope import Scope
from engine.records import Record, SegmentEntered, SegmentLeft

_NOTHING: Mapping[str, Any] = {}


class Emission(NamedTuple):
    """An event that a journey has happen, and the instance that waits for it to have happened."""

    event: Event
    instance: int


class Turn:
    """What is being decided: for whom, by which program, when, because of what."""

    __slots__ = (
        "cause",
        "cause_kind",
        "crossings",
        "emissions",
        "emits",
        "is_reviewed",
        "moves",
        "now",
        "profile",
        "program",
        "records",
    )

    def __init__(
        self, profile: Profile, program: Program, cause_kind: str, cause: str, now: int
    ) -> None:
        self.profile = profile
        self.program = program
        self.now = now
        self.cause_kind = cause_kind
        self.cause = cause
        self.records: list[Record] = []
        self.crossings: list[SegmentEntered | SegmentLeft] = []  # that nobody has acted on so far
        self.is_reviewed = False  # the segments are others than those last looked at
        self.emissions: list[Emission] = []  # that did not happen so far
        self.emits = 0  # bounded by limits.EMITS_MAX
        self.moves = 0  # of journeys, bounded by limits.STEP_MOVES_MAX

    def note(self, record: Record) -> None:
        """Put down a fact: it joins the records and changes the profile."""
        self.records.append(record)
        change = CHANGES.get(record.__class__)  # what `evolve` does, for each record there is
        if change is not None:
            change(self.profile, record, self.now)

    def scope(
        self,
        event: Mapping[str, Any] = _NOTHING,
        event_name: str = "",
        context: Mapping[str, Any] = _NOTHING,
    ) -> Scope:
        """Give conditions what they may see."""
        return Scope(
            self.profile,
            self.now,
            event=event,
            event_name=event_name,
            context=context,
            book=self.program,
        )
