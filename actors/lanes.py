"""Lanes: what waits for one channel, whose turn it is, and how fast it may go.

`actors.outbox` puts messages in, asks for the next one, and says what became of it. A lane knows
nothing of stores and receipts.

*Rules*
- Service messages go before all others at every turn.
- Journeys take turns, one message each, so that a long queue of one does not hold up another's
  single message. What is passed over costs its journey no turn.
- Within a journey the first in is the first out, and the messages of one customer wait for each
  other until they are settled.
- Of all messages of one customer on a channel one is out at a time, from its first attempt until
  it is settled. Others whose turn comes meanwhile keep their place. What was never tried holds up
  no other journey: nearly everybody has a newsletter waiting when there is a backlog of them.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush

import msgspec

from actors.ports import Channel, Clock
from engine.effects import Send
from engine.gates.consent import SERVICE
from engine.instants import DAY_MS, MINUTE_MS, SECOND_MS

ATTEMPTS = 10_000


class Pace(msgspec.Struct, frozen=True):
    """At most so many messages a second; after a pause up to `burst` at once."""

    rate_per_second: float
    burst: int = 1

    def __post_init__(self) -> None:
        assert self.rate_per_second > 0
        assert self.burst > 0

    def span_ms(self, messages: int) -> float:
        """Tell how long so many messages take."""
        return messages * SECOND_MS / self.rate_per_second


class Pacing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How fast and how patiently one channel is used.

    `rate_per_second` None is as fast as `concurrency` allows. `retry_ms` counts from the decision
    and ends all attempts, as the message's own expiry does; an outage shorter than that loses
    nothing, so `attempts` is by itself more than fit into weeks.
    """

    rate_per_second: float | None = None
    burst: int = 1
    concurrency: int = 16
    timeout_ms: int = 30 * SECOND_MS
    attempts: int = ATTEMPTS
    backoff_ms: int = SECOND_MS
    backoff_ms_max: int = 15 * MINUTE_MS
    retry_ms: int = DAY_MS

    def __post_init__(self) -> None:
        assert self.rate_per_second is None or self.rate_per_second > 0
        assert min(self.burst, self.concurrency, self.timeout_ms, self.attempts) > 0
        assert 0 < self.backoff_ms <= self.backoff_ms_max
        assert self.retry_ms >= 0

    def pace(self) -> Pace | None:
        """Give how fast; None is without a bound."""
        rate = self.rate_per_second
        return None if rate is None else Pace(rate, self.burst)


class Meter(msgspec.Struct, eq=False):
    """Holds messages to a pace."""

    pace: Pace | None
    paced_at: float = 0.0  # when the pace is kept exactly again; `burst` lets it run ahead

    def free_at(self) -> int:
        """Tell when the next message may go."""
        if self.pace is None:
            return 0
        return math.ceil(self.paced_at - self.pace.span_ms(self.pace.burst - 1))

    def spend(self, now: int) -> None:
        """Take note of one message that goes."""
        if self.pace is not None:
            self.paced_at = max(self.paced_at, now) + self.pace.span_ms(1)

    def change(self, pace: Pace | None, now: int) -> None:
        """Hold to another pace; what is still owed to a slower one is let off."""
        self.pace = pace
        if pace is not None:
            self.paced_at = min(self.paced_at, now + pace.span_ms(pace.burst))


class Alarm:
    """Calls back at the earliest of the instants it was set for."""

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._task: asyncio.Task[None] | None = None
        self._at = 0

    def set(self, at: int) -> None:
        """Ring at `at`, unless it rings before anyway: whoever is called then sets it again."""
        if self._task is not None:
            if self._at <= at:
                return
            self._task.cancel()
        self._at = at
        self._task = asyncio.create_task(self._wait(at))

    async def stop(self) -> None:
        """Ring no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _wait(self, at: int) -> None:
        await self._clock.sleep_until(at)
        self._task = None
        self._ring()


class Parcel(msgspec.Struct, eq=False):
    """One message on its way. `is_gone` ones are settled; the queues they are still in skip them.

    `recalled` is the code with which a message in the provider's hands ends if it comes back.
    """

    send: Send
    attempts: int = 0
    is_flying: bool = False
    is_gone: bool = False
    recalled: str | None = None

    def is_service(self) -> bool:
        """Say whether it goes before others."""
        return self.send.purpose == SERVICE


class Line(msgspec.Struct, eq=False):
    """One customer's messages on one channel."""

    parcels: deque[Parcel] = msgspec.field(default_factory=deque[Parcel])
    out: Parcel | None = None  # in the provider's hands, or about to be again
    parked: list[Parcel] = []  # had their turn meanwhile

    def first_like(self, parcel: Parcel) -> Parcel | None:
        """Find the first of those that wait for each other with this one; only it may be ready."""
        journey, is_service = parcel.send.journey, parcel.is_service()
        for other in self.parcels:
            if other.send.journey == journey and other.is_service() == is_service:
                return other
        return None


class Turns(msgspec.Struct, eq=False):
    """Messages that are ready, by journey. The first journey in the round has its turn."""

    queues: dict[str, deque[Parcel]] = {}  # none is empty
    round: deque[str] = msgspec.field(default_factory=deque[str])

    def add(self, parcel: Parcel) -> None:
        """Put a message behind those of its journey."""
        self._queue(parcel).append(parcel)

    def put_back(self, parcel: Parcel) -> None:
        """Put a message before those of its journey."""
        self._queue(parcel).appendleft(parcel)

    def first(self) -> Parcel | None:
        """Tell which message has its turn."""
        return self.queues[self.round[0]][0] if self.round else None

    def skip(self) -> None:
        """Remove the first message; its journey keeps the turn as long as it has others."""
        journey = self.round[0]
        queue = self.queues[journey]
        queue.popleft()
        if not queue:
            del self.queues[journey]
            self.round.popleft()

    def take(self) -> None:
        """Remove the first message, and give the turn to the next journey."""
        journey = self.round[0]
        self.skip()
        if journey in self.queues:
            self.round.rotate(-1)

    def _queue(self, parcel: Parcel) -> deque[Parcel]:
        journey = parcel.send.journey
        queue = self.queues.get(journey)
        if queue is None:
            queue = self.queues[journey] = deque()
            self.round.append(journey)
        return queue


class Lane(msgspec.Struct, eq=False):
    """One channel's queues. Lanes share the workspace's pace and nothing else."""

    name: str
    channel: Channel | None
    pacing: Pacing
    meter: Meter
    alarm: Alarm
    lines: dict[str, Line] = {}  # by customer
    service: Turns = msgspec.field(default_factory=Turns)
    others: Turns = msgspec.field(default_factory=Turns)
    retries: list[tuple[int, int, Parcel]] = []  # a heap of (due, order of setting, parcel)
    retry_count: int = 0
    flying: int = 0

    def parcels(self, customer: str) -> tuple[Parcel, ...]:
        """Give a customer's messages that are not settled in the store."""
        line = self.lines.get(customer)
        return () if line is None else tuple(line.parcels)

    def has_room(self) -> bool:
        """Say whether another attempt may be in progress."""
        return self.flying < self.pacing.concurrency

    def add(self, parcel: Parcel) -> None:
        """Take a message in; it is ready if none before it has to be settled first."""
        line = self.lines.setdefault(parcel.send.customer, Line())
        line.parcels.append(parcel)
        if line.first_like(parcel) is parcel:
            self._turns(parcel).add(parcel)

    def first(self) -> Parcel | None:
        """Find the message whose turn it is."""
        for turns in (self.service, self.others):
            while (parcel := turns.first()) is not None:
                if not parcel.is_gone:
                    line = self.lines[parcel.send.customer]
                    if line.out is None or line.out is parcel:
                        return parcel
                    line.parked.append(parcel)
                turns.skip()
        return None

    def depart(self, parcel: Parcel, now: int) -> None:
        """Begin an attempt with the message whose turn it is."""
        self._turns(parcel).take()
        self.lines[parcel.send.customer].out = parcel
        self.meter.spend(now)
        self.flying += 1
        parcel.is_flying = True

    def land(self, parcel: Parcel) -> None:
        """End an attempt."""
        self.flying -= 1
        parcel.is_flying = False

    def postpone(self, parcel: Parcel, due_at: int) -> None:
        """Have a message wait for its next attempt."""
        self.retry_count += 1
        heappush(self.retries, (due_at, self.retry_count, parcel))

    def wake(self, now: int) -> None:
        """Make the messages ready whose next attempt is due."""
        while self.retries and self.retries[0][0] <= now:
            parcel = heappop(self.retries)[2]
            self._turns(parcel).add(parcel)

    def release(self, parcel: Parcel) -> None:
        """Forget a message that is settled; what waited for it is ready."""
        line = self.lines[parcel.send.customer]
        was_first = line.first_like(parcel) is parcel
        line.parcels.remove(parcel)
        following = line.first_like(parcel) if was_first else None
        if following is not None:
            self._turns(following).add(following)
        if line.out is parcel:
            line.out = None
            for parked in line.parked:
                self._turns(parked).put_back(parked)
            line.parked.clear()
        if not line.parcels:
            del self.lines[parcel.send.customer]

    def _turns(self, parcel: Parcel) -> Turns:
        return self.service if parcel.is_service() else self.others
