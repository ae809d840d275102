"""Circuit breakers: whether a provider is asked at all, after what it did lately.

Each route of a lane (`actors.lanes`) has one. `actors.outbox` asks it before every attempt, and
tells it how the attempt went. Pure: the present comes in, and chance is a hash.

*Rules*
- Closed: everything goes. After `failures` in a row, or where at least `share` of the last
  `window_ms` failed, it opens. A failure is trouble of the provider: no answer, no connection, an
  error of its own. What is wrong with a message or an address is not, and shows it is alive.
- Open: nothing goes until `free_at`. Then one message is the probe; what others came to that were
  out before says nothing any more. If the probe finds the provider alive, the breaker closes;
  otherwise it opens again, for twice as long.
- A failure of the account (a key, a payment, a sender) opens it at once, and for longer: no
  message goes until somebody mends it.
- Limited: the provider asked us to slow down. Nothing goes until it said, or until a pause that
  doubles each time it says so; then everything goes again, without a probe.
"""

from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

import msgspec

from engine.events import Failure
from engine.ids import stable_hash
from engine.instants import MINUTE_MS, SECOND_MS
from engine.limits import RETRY_AFTER_MS_MAX


class BreakerState(StrEnum):
    """Whether a provider is asked."""

    CLOSED = "closed"  # always
    LIMITED = "limited"  # not yet again: it asked for a pause
    OPEN = "open"  # not: it is down
    HALF_OPEN = "half_open"  # one message finds out


class BreakerRules(msgspec.Struct, frozen=True):
    """When a breaker opens, and for how long."""

    failures: int = 10
    share: float = 0.5
    share_of: int = 20  # fewer attempts than this say nothing of a share
    window_ms: int = 30 * SECOND_MS
    pause_ms: int = 5 * SECOND_MS
    pause_ms_max: int = 5 * MINUTE_MS
    config_ms: int = MINUTE_MS
    config_ms_max: int = 15 * MINUTE_MS
    limit_ms: int = SECOND_MS

    def __post_init__(self) -> None:
        assert 0 < self.failures <= self.share_of
        assert 0 < self.share <= 1
        assert 0 < self.pause_ms <= self.pause_ms_max
        assert 0 < self.config_ms <= self.config_ms_max
        assert 0 < self.limit_ms <= self.pause_ms_max


class Standing(NamedTuple):
    """How a provider of a channel does: `until_at` is from when on it is asked again, or 0."""

    channel: str
    provider: str
    state: BreakerState
    cause: str
    until_at: int


_RULES = BreakerRules()
_RECENT_MAX = 200  # attempts that a share is taken of, however many there are in the window


class Breaker(msgspec.Struct, eq=False):
    """What is known of one provider's health.

    `epoch` names the time since the last change; what began in an earlier one is not counted.
    """

    name: str
    rules: BreakerRules = _RULES
    watch: Callable[["Breaker"], None] | None = None  # told when it opens anew, or closes
    state: BreakerState = BreakerState.CLOSED
    epoch: int = 0
    free_at: int = 0  # open or limited: from when on something may go
    cause: str = ""  # why it is not closed, one of `Failure`
    trips: int = 0  # how often it opened since it was last well
    limits: int = 0  # how often it was limited since something last went through
    in_row: int = 0
    recent: deque[tuple[int, bool]] = msgspec.field(
        default_factory=deque[tuple[int, bool]]
    )  # when each attempt ended, and whether it failed
    recent_failed: int = 0

    def lets_through(self, now: int) -> bool:
        """Say whether an attempt may begin."""
        if self.state is BreakerState.CLOSED:
            return True
        return self.state is not BreakerState.HALF_OPEN and self.free_at <= now

    def opens_to_all_at(self) -> int | None:
        """Tell when something may go; None: when the probe that is out is back."""
        return None if self.state is BreakerState.HALF_OPEN else self.free_at

    def begin(self) -> int:
        """Begin an attempt that was let through; gives what to say when it is over."""
        if self.state is BreakerState.OPEN:
            self._enter(BreakerState.HALF_OPEN)
        elif self.state is BreakerState.LIMITED:
            self._enter(BreakerState.CLOSED)
        return self.epoch

    def succeed(self, epoch: int, now: int) -> None:
        """Take note that the provider answered, whatever it thinks of the message."""
        if epoch != self.epoch:
            return
        self.limits = self.in_row = 0
        if self.state is BreakerState.HALF_OPEN:
            self._close()
        else:
            self._remember(now, is_failure=False)

    def fail(self, epoch: int, now: int) -> None:
        """Take note of trouble of the provider's."""
        if epoch != self.epoch:
            return
        self.in_row += 1
        self._remember(now, is_failure=True)
        is_probe = self.state is BreakerState.HALF_OPEN
        if is_probe or self.in_row >= self.rules.failures or self._fails_often():
            self._open(Failure.TRANSIENT, self.rules.pause_ms, self.rules.pause_ms_max, now)

    def misconfigure(self, epoch: int, now: int) -> None:
        """Take note that the account is in no state to send."""
        if epoch == self.epoch:
            self._open(Failure.CONFIG, self.rules.config_ms, self.rules.config_ms_max, now)

    def limit(self, epoch: int, pause_ms: int | None, now: int) -> None:
        """Take note that the provider asks for a pause, of so long if it says."""
        if epoch != self.epoch:
            return
        was_probe = self.state is BreakerState.HALF_OPEN
        if pause_ms is None:
            pause_ms = min(self.rules.pause_ms_max, self.rules.limit_ms << min(self.limits, 32))
        self.limits += 1
        if was_probe:
            self._close()  # it is alive
        self.free_at = now + min(pause_ms, RETRY_AFTER_MS_MAX)
        self.cause = Failure.RATE
        self._enter(BreakerState.LIMITED)

    def withdraw(self, epoch: int, now: int) -> None:
        """Take note that an attempt ended without the provider being asked."""
        if epoch == self.epoch and self.state is BreakerState.HALF_OPEN:
            self.free_at = now
            self._enter(BreakerState.OPEN)

    def _fails_often(self) -> bool:
        count = len(self.recent)
        return count >= self.rules.share_of and self.recent_failed >= self.rules.share * count

    def _remember(self, now: int, *, is_failure: bool) -> None:
        recent, since = self.recent, now - self.rules.window_ms
        recent.append((now, is_failure))
        self.recent_failed += is_failure
        while recent[0][0] <= since or len(recent) > _RECENT_MAX:
            self.recent_failed -= recent.popleft()[1]

    def _open(self, cause: Failure, pause_ms: int, pause_ms_max: int, now: int) -> None:
        """Open for a span that doubles each time, half of it by chance: shards don't probe at once.

        The chance is a hash, so that the same history waits the same time again.
        """
        is_news = not self.trips or cause != self.cause
        span_ms = min(pause_ms_max, pause_ms << min(self.trips, 32))
        self.trips += 1
        chance = int.from_bytes(stable_hash("breaker", self.name, str(now)), "big")
        self.free_at = now + span_ms - (chance * (span_ms // 2) >> 64)
        self.cause = cause
        self._enter(BreakerState.OPEN)
        if is_news and self.watch is not None:
            self.watch(self)

    def _close(self) -> None:
        self.trips, self.cause = 0, ""
        self._enter(BreakerState.CLOSED)
        if self.watch is not None:
            self.watch(self)

    def _enter(self, state: BreakerState) -> None:
        self.state = state
        self.epoch += 1
        self.in_row = self.recent_failed = 0
        self.recent.clear()


def standing_of(channel: str, breaker: Breaker) -> Standing:
    """Say how a provider does, for people."""
    is_waiting = breaker.state in (BreakerState.LIMITED, BreakerState.OPEN)
    until_at = breaker.free_at if is_waiting else 0
    return Standing(channel, breaker.name, breaker.state, breaker.cause, until_at)
