"""What a condition can see: the names and functions of WORKSPACE's conditions.

Compiled conditions get one `Scope`; `decide` makes one for each input it handles.
"""

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any, cast

from engine.instants import HOUR_MS
from engine.limits import SESSION_MS_DEFAULT
from engine.measures.series import MILLION, NOTHING, Stretch, read
from engine.profile import Profile
from engine.traits.live import RFM_DEFAULT, Book, LiveTrait, Way
from engine.traits.lookup import computed
from engine.traits.reach import find_address, given_up

SCORES = "scores"  # the trait that a model of the team's own writes
_NOTHING: Mapping[str, Any] = {}


class _NoDefaults:
    timezone = "UTC"
    country = locale = ""


class _NoStages:
    order = ""
    new_ms = at_risk_ms = lapsed_ms = 0


class _NoBook:
    """No program: what is known is what was stated."""

    defaults = _NoDefaults()
    lifecycle = _NoStages()

    channels: Mapping[str, Way] = {}
    traits: Mapping[str, LiveTrait] = {}
    rfm = RFM_DEFAULT
    session_ms = SESSION_MS_DEFAULT


_NO_BOOK = _NoBook()
_STEP_MS = HOUR_MS  # how often an answer is looked at that changes with every moment


class Scope:
    """The profile, the triggering event and the present, as conditions name them.

    `entry` and `journey` are for conditions of a journey alone: what its stay began with, and the
    variables its steps have set.

    All times are instants (epoch ms); functions over history take the window in ms. Windows are
    half-open like caps: at `now` what happened in `(now - window, now]` counts.

    After a condition was evaluated, `changes_at` is the earliest instant at which its answer may
    be another by the passage of time alone, None where there is no such instant. Whoever asks sets
    it to None first.
    """

    __slots__ = (
        "book",
        "changes_at",
        "context",
        "entry",
        "event",
        "event_name",
        "journey",
        "now",
        "owner",
        "profile",
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
        book: Book = _NO_BOOK,
    ) -> None:
        self.owner = owner
        self.profile = owner.traits
        self.event = event
        self.event_name = event_name
        self.context = context
        self.entry = _NOTHING
        self.journey = _NOTHING
        self.now = now
        self.segments: Mapping[str, int] = owner.segments
        self.book = book
        self.changes_at: int | None = None

    @property
    def scores(self) -> Mapping[str, float]:
        """Give the numbers that the trait `scores` holds."""
        told = self.owner.traits.get(SCORES)
        if not isinstance(told, dict):
            return _NOTHING
        scores = cast("dict[str, object]", told)
        return {
            name: score
            for name, score in scores.items()
            if isinstance(score, int | float) and not isinstance(score, bool)
        }

    def watch(self, at: int) -> None:
        """Take note that an answer may change at an instant, though nothing happens."""
        if self.changes_at is None or at < self.changes_at:
            self.changes_at = at

    def present(self) -> int:
        """Give the present to whoever compares it: the answer is looked at again every hour."""
        self.watch((self.now // _STEP_MS + 1) * _STEP_MS)
        return self.now

    def trait(self, name: str) -> Any:  # noqa: ANN401 - any value
        """Give a trait that may be declared or built in; `...` where there is none."""
        declared = self.book.traits.get(name)
        if declared is not None and declared.expression is not None:
            value = declared.expression(self)
            return ... if value is None else value
        return computed(name, self)

    def count(self, name: str, window_ms: int) -> int:
        """Count events of a name in the window."""
        return self._stretch(name, window_ms, "").number

    def sum(self, name: str, value: str, window_ms: int) -> float:
        """Add up a number over the events of a name in the window."""
        return self._stretch(name, window_ms, value).total / MILLION

    def _stretch(self, name: str, window_ms: int, value: str) -> Stretch:
        history = self.owner.history.get(name)
        if history is None or history.recent is None:
            return NOTHING
        within = read(history.recent, window_ms, self.now, name=value)
        if within.changes_at is not None:
            self.watch(within.changes_at)
        return within

    def last(self, name: str) -> int | None:
        """Tell when an event of a name last happened, or None."""
        history = self.owner.history.get(name)
        return history.last_at if history is not None and history.count else None

    def since(self, name: str, than_ms: int | None = None) -> int | None:
        """Tell how long ago, in ms, an event of a name last happened, or None.

        `than_ms` is what it is compared with, where that is known in advance: then the answer
        changes once, else it is looked at again every hour.
        """
        last_at = self.last(name)
        if last_at is None:
            return None
        since_ms = self.now - last_at
        if than_ms is None:
            self.present()
        elif since_ms <= than_ms:  # equal: one more ms, and it is more
            self.watch(max(last_at + than_ms, self.now + 1))
        return since_ms

    def engagement(self, channel: str, status: str, window_ms: int) -> int:
        """Count receipts of a status on a channel in the window."""
        times = self.owner.engagement.get(f"{channel}/{status}")
        first = 0 if times is None else bisect_right(times, self.now - window_ms)
        if times is None or first == len(times):
            return 0
        self.watch(times[first] + window_ms)
        return len(times) - first

    def reachable(self, channel: str) -> bool:
        """Tell whether the customer has an address on a channel that is not given up."""
        return self.reach(channel)[0]

    def reach(self, channel: str) -> tuple[bool, int | None]:
        """Tell whether the customer is reachable on a channel, and from when on, if not now."""
        known = self.book.channels.get(channel)
        address = "" if known is None else find_address(self.owner, known.identity)
        if not address:
            return False, None
        reach = given_up(self.owner, channel, address, self.now)
        if reach is not None and reach.until is not None:
            self.watch(reach.until)
        return reach is None, None if reach is None else reach.until

    def in_segment(self, name: str) -> bool:
        """Tell whether the customer is in the segment, which is kept up to date."""
        return name in self.segments
