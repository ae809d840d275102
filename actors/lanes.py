"""Lanes: what waits for one channel, whose turn it is, and how fast it may go.

`actors.outbox` puts messages in, asks for the next one, and says what became of it. A lane knows
nothing of stores and receipts. Each lane has one route or two: a provider, and one that steps in.

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

from actors.breakers import Breaker, BreakerRules
from actors.ports import Channel, Clock
from actors.rows import Spent
from engine.effects import Send
from engine.gates.consent import SERVICE
from engine.ids import stable_hash
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
    breaker: BreakerRules = BreakerRules()

    def __post_init__(self) -> None:
        assert self.rate_per_second is None or self.rate_per_second > 0
        assert min(self.burst, self.concurrency, self.timeout_ms, self.attempts) > 0
        assert 0 < self.backoff_ms <= self.backoff_ms_max
        assert self.retry_ms >= 0

    def pace(self) -> Pace | None:
        """Give how fast; None is without a bound."""
        rate = self.rate_per_second
        return None if rate is None else Pace(rate, self.burst)


def back_off(message_id: str, attempt: int, pacing: Pacing) -> int:
    """Choose the pause after an attempt: anything up to a span that doubles each time.

    The whole span is used ("full jitter"), so that messages that failed together do not come
    back together. The choice is a hash: a replay waits exactly as long.
    """
    span_ms = min(pacing.backoff_ms_max, pacing.backoff_ms << min(attempt - 1, 32))
    chance = int.from_bytes(stable_hash("backoff", message_id, str(attempt)), "big")
    return chance * span_ms >> 64


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
    `paid` is what was set aside for it, `faults` how often a channel failed on it in a way no
    channel should.
    """

    send: Send
    attempts: int = 0
    is_flying: bool = False
    is_gone: bool = False
    recalled: str | None = None
    is_noted: bool = False  # its being in a provider's hands is written down, or is about to be
    provider: str = ""  # who had it last
    paid: Spent | None = None
    faults: int = 0

    def has_expired(self, now: int) -> bool:
        """Say whether it is of no use any more."""
        expires_at = self.send.expires_at
        return expires_at is not None and expires_at <= now

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


class Route(msgspec.Struct, eq=False):
    """One provider of a lane, with a pace and a breaker of its own."""

    provider: str
    channel: Channel
    pacing: Pacing
    meter: Meter
    breaker: Breaker
    flying: int = 0
    counts: dict[str, int] = {}  # what attempts came to -> how many

    def has_room(self) -> bool:
        """Say whether another attempt may be in progress."""
        return self.flying < self.pacing.concurrency

    def is_free(self, now: int) -> bool:
        """Say whether an attempt may begin at once."""
        return self.breaker.lets_through(now) and self.has_room() and self.meter.free_at() <= now

    def depart(self, now: int) -> int:
        """Begin an attempt; gives the breaker's name for the time it belongs to."""
        self.meter.spend(now)
        self.flying += 1
        return self.breaker.begin()

    def count(self, outcome: str) -> None:
        """Count what an attempt came to."""
        self.counts[outcome] = self.counts.get(outcome, 0) + 1


class Lane(msgspec.Struct, eq=False):
    """One channel's queues. Lanes share the workspace's pace and nothing else.

    `routes` are in the order in which they are asked; none where there is no such channel.
    `blocked_until` is the last instant up to which it was found that nothing can go.
    """

    name: str
    routes: tuple[Route, ...]
    alarm: Alarm
    lines: dict[str, Line] = {}  # by customer
    service: Turns = msgspec.field(default_factory=Turns)
    others: Turns = msgspec.field(default_factory=Turns)
    retries: list[tuple[int, int, Parcel]] = []  # a heap of (due, order of setting, parcel)
    retry_count: int = 0
    blocked_until: int = 0

    def parcels(self, customer: str) -> tuple[Parcel, ...]:
        """Give a customer's messages that are not settled in the store."""
        line = self.lines.get(customer)
        return () if line is None else tuple(line.parcels)

    def idle(self) -> list[Parcel]:
        """List the messages that nobody has in hand."""
        return [
            parcel
            for line in self.lines.values()
            for parcel in line.parcels
            if not (parcel.is_flying or parcel.is_gone)
        ]

    def open_route(self, now: int) -> Route | None:
        """Find the provider whose turn it is: the first whose breaker lets something through."""
        for route in self.routes:
            if route.breaker.lets_through(now):
                return route
        return None

    def opens_at(self) -> int | None:
        """Tell when a provider takes something again; None: when a probe is back."""
        instants = [route.breaker.opens_to_all_at() for route in self.routes]
        return min((at for at in instants if at is not None), default=None)

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

    def depart(self, parcel: Parcel) -> None:
        """Begin an attempt with the message whose turn it is."""
        self._turns(parcel).take()
        self.lines[parcel.send.customer].out = parcel
        parcel.is_flying = True

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
