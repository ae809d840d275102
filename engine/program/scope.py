"""What a condition can see: the names and functions of WORKSPACE's conditions.

Compiled conditions get one `Scope`; `decide` makes one for each input it handles.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from engine.profile import Profile

_NOTHING: Mapping[str, Any] = {}


class Testable(Protocol):
    """Anything with a compiled condition, like a segment."""

    @property
    def test(self) -> Callable[["Scope"], bool]:
        """Tell whether it holds; never raises."""
        ...


class Scope:
    """The profile, the triggering event and the present, as conditions name them.

    All times are instants (epoch ms); functions over history take the window in ms. Windows are
    half-open like caps: at `now` what happened in `(now - window, now]` counts.
    """

    __slots__ = ("context", "event", "event_name", "now", "owner", "profile", "scores", "segments")

    def __init__(  # noqa: PLR0913 - one argument for each name a condition can use
        self,
        owner: Profile,
        now: int,
        *,
        event: Mapping[str, Any] = _NOTHING,
        event_name: str = "",
        context: Mapping[str, Any] = _NOTHING,
        segments: Mapping[str, Testable] = _NOTHING,
        scores: Mapping[str, float] = _NOTHING,
    ) -> None:
        self.owner = owner
        self.profile = owner.traits
        self.event = event
        self.event_name = event_name
        self.context = context
        self.now = now
        self.segments = segments
        self.scores = scores

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
        """Tell whether the segment's condition holds now."""
        segment = self.segments.get(name)
        return segment is not None and segment.test(self)
