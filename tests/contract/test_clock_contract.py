"""One suite for the clock port, and what each clock promises beyond it."""

import asyncio
from collections.abc import Callable

import pytest

from actors.memory import VirtualClock, settle
from actors.ports import Clock
from adapters.clock import ScaledClock, WallClock

MS = 1_000_000
CLOCKS: list[Callable[[], Clock]] = [
    WallClock,
    lambda: ScaledClock(1_772_400_000_000, 60),
    lambda: VirtualClock(1_772_400_000_000, auto=True),
]


class Dial:
    """A source of nanoseconds that stands where it was put."""

    def __init__(self, ms: int) -> None:
        self.ms = ms

    def __call__(self) -> int:
        return self.ms * MS


@pytest.fixture(params=CLOCKS)
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


async def test_the_present_never_goes_backwards(clock: Clock) -> None:
    seen = [clock.now() for _ in range(1_000)]
    assert seen == sorted(seen)


async def test_sleeping_never_ends_early(clock: Clock) -> None:
    for duration_ms in (0, 1, 3, 7):
        at = clock.now() + duration_ms
        await clock.sleep_until(at)
        assert clock.now() >= at


async def test_the_past_is_not_waited_for(clock: Clock) -> None:
    async with asyncio.timeout(1):
        await clock.sleep_until(clock.now() - 10_000)


async def test_a_sleeper_can_be_cancelled(clock: Clock) -> None:
    sleeper = asyncio.create_task(clock.sleep_until(clock.now() + 10**12))
    others = asyncio.create_task(clock.sleep_until(clock.now() + 1))
    await asyncio.sleep(0)
    sleeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeper
    async with asyncio.timeout(1):
        await others


def test_a_wall_clock_that_is_set_back_runs_on_at_half_speed_until_both_meet() -> None:
    wall, monotonic = Dial(100_000), Dial(5)
    clock = WallClock(wall, monotonic)
    wall.ms, monotonic.ms = 99_000, 5  # set back by a second
    assert clock.now() == 100_000
    wall.ms, monotonic.ms = 99_400, 405
    assert clock.now() == 100_200
    wall.ms, monotonic.ms = 101_100, 2_105
    assert clock.now() == 101_100
    wall.ms, monotonic.ms = 101_101, 2_106
    assert clock.now() == 101_101


def test_a_wall_clock_that_is_set_forward_is_followed_at_once() -> None:
    wall, monotonic = Dial(100_000), Dial(5)
    clock = WallClock(wall, monotonic)
    wall.ms, monotonic.ms = 900_000, 6
    assert clock.now() == 900_000


def test_a_scaled_clock_starts_at_its_origin_and_runs_faster() -> None:
    monotonic = Dial(77)
    clock = ScaledClock(1_000_000, 1_440, monotonic)
    assert clock.now() == 1_000_000
    monotonic.ms += 1_000
    assert clock.now() == 1_000_000 + 1_440_000


async def test_a_virtual_clock_stands_until_it_is_advanced_and_stops_for_every_sleeper() -> None:
    clock = VirtualClock(100)
    woken: list[tuple[str, int]] = []

    async def sleep(name: str, at: int) -> None:
        await clock.sleep_until(at)
        woken.append((name, clock.now()))

    async def sleep_twice() -> None:
        await sleep("first", 110)
        await sleep("second", 115)

    tasks = [asyncio.create_task(sleep("late", 130)), asyncio.create_task(sleep_twice())]
    await settle()
    assert woken == []
    await clock.advance(20)
    assert woken == [("first", 110), ("second", 115)]
    assert clock.now() == 120
    await clock.advance_to(130)
    assert woken[2:] == [("late", 130)]
    await asyncio.gather(*tasks)


async def test_a_virtual_clock_never_goes_backwards() -> None:
    clock = VirtualClock(100)
    clock.jump_to(50)
    assert clock.now() == 100


async def test_an_automatic_clock_takes_a_year_in_no_time_and_in_order() -> None:
    clock = VirtualClock(auto=True)
    woken: list[int] = []

    async def sleep(at: int) -> None:
        await clock.sleep_until(at)
        woken.append(clock.now())

    async with asyncio.timeout(2):
        await asyncio.gather(*[sleep(day * 86_400_000) for day in (365, 1, 30)])
    assert woken == [86_400_000, 30 * 86_400_000, 365 * 86_400_000]
