"""What a condition can see: the names and functions of WORKSPACE's conditions.

Compiled conditions get one `Scope`; `decide` makes one for each input it handles.
"""

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from engine.profile import Profile

_NOTHING: Mapping[str, Any] = {}


class Scope:
    """The profile, the triggering event and the present, as conditions name them.

    All times are instants (epoch ms); functions over history take the window in ms. Windows are
    half-open like caps: at `now` what happened in `(now - window, now]` counts.

    `changes_at` is the earliest instant at which, by time alone, an answer may change that was
    given since it was last None; None: no answer will. Whoever asks sets it to None first.
    """

    __slots__ = (
        "changes_at",
        "context",
        "event",
        "event_name",
        "now",
        "owner",
        "profile",
        "scores",
        "segments",
    )

    def __init__(
        self,
        owner: Profile,
        now: int,
        *,
        event: Mapping[str, Any] = _NOTHING,
        event_name: str = "",
        context: Mapping[str, Any] = _NOTHING,
        scores: Mapping[str, float] = _NOTHING,
    ) -> None:
        self.owner = owner
        self.profile = owner.traits
        self.event = event
        self.event_name = event_name
        self.context = context
        self.now = now
        self.scores = scores
        self.segments: Mapping[str, int] = owner.segments
        self.changes_at: int | None = None

    def watch(self, at: int) -> None:
        """Note that an answer may be another from `at` on, though nothing happens until then.

        For functions that are not known to `engine.program.cel.flips`, which works it out itself
        for those below: they are called on every event, and it is wanted for segments only.
        """
        if self.changes_at is None or at < self.changes_at:
            self.changes_at = at

    def count(self, name: str, window_ms: int) -> int:
        """Count events of a name in the window."""
        history = self.owner.history.get(name)
        if history is None:
            return 0
        return len(history.recent_at) - bisect_right(history.recent_at, self.now - window_ms)

    def sum(self, name: str, value: str, window_ms: int) -> float:
        """Add up a number over the events of a name in the window."""
        history = self.owner.history.get(name)
        if history is None:
            return 0.0
        first = bisect_right(history.recent_at, self.now - window_ms)
        return sum(values.get(value, 0.0) for values in history.recent_values[first:] if values)

    def last(self, name: str) -> int | None:
        """Tell when an event of a name last happened, or None."""
        history = self.owner.history.get(name)
        return history.last_at if history is not None and history.count else None

    def since(self, name: str) -> int | None:
        """Tell how long ago, in ms, an event of a name last happened, or None."""
        last_at = self.last(name)
        return None if last_at is None else self.now - last_at

    def engagement(self, channel: str, status: str, window_ms: int) -> int:
        """Count receipts of a status on a channel in the window."""
        times = self.owner.engagement.get(f"{channel}/{status}")
        return 0 if times is None else len(times) - bisect_right(times, self.now - window_ms)

    def in_segment(self, name: str) -> bool:
        """Tell whether the customer is in the segment, which is kept up to date."""
        return name in self.segments
