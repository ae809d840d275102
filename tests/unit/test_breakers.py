"""When a provider is not asked any more, and when it is asked again."""

import pytest

from actors.breakers import Breaker, BreakerRules, BreakerState
from engine.instants import DAY_MS, MINUTE_MS, SECOND_MS

RULES = BreakerRules()
NOW = 1_772_428_320_000


def a_breaker() -> Breaker:
    return Breaker("twilio")


def state_of(breaker: Breaker) -> BreakerState:
    """Read it anew: type checkers believe what was asserted before."""
    return breaker.state


def fail(breaker: Breaker, count: int, now: int = NOW) -> None:
    for _ in range(count):
        breaker.fail(breaker.begin(), now)


def opened(now: int = NOW) -> Breaker:
    breaker = a_breaker()
    fail(breaker, RULES.failures, now)
    assert state_of(breaker) == BreakerState.OPEN
    return breaker


def test_it_opens_after_so_many_failures_in_a_row_and_no_sooner() -> None:
    breaker = a_breaker()
    fail(breaker, RULES.failures - 1)
    assert breaker.lets_through(NOW)
    breaker.succeed(breaker.begin(), NOW)
    fail(breaker, RULES.failures - 1)
    assert breaker.lets_through(NOW)
    fail(breaker, 1)
    assert not breaker.lets_through(NOW)
    assert breaker.cause == "transient"


def test_it_opens_where_half_of_the_attempts_of_a_while_failed() -> None:
    breaker = a_breaker()
    for turn in range(RULES.share_of // 2):
        breaker.fail(breaker.begin(), NOW + turn)
        assert breaker.lets_through(NOW + turn)
        breaker.succeed(breaker.begin(), NOW + turn)
    breaker.fail(breaker.begin(), NOW + 20)
    assert state_of(breaker) == BreakerState.OPEN


def test_failures_of_long_ago_are_no_part_of_the_share() -> None:
    breaker = a_breaker()
    for turn in range(200):
        now = NOW + turn * RULES.window_ms // (RULES.share_of - 2)
        (breaker.fail if turn % 2 else breaker.succeed)(breaker.begin(), now)
    assert state_of(breaker) == BreakerState.CLOSED


def test_when_the_pause_is_over_one_message_finds_out() -> None:
    breaker = opened()
    pause_ms = breaker.free_at - NOW
    assert RULES.pause_ms // 2 <= pause_ms <= RULES.pause_ms
    assert breaker.opens_to_all_at() == breaker.free_at
    assert not breaker.lets_through(breaker.free_at - 1)
    assert breaker.lets_through(breaker.free_at)
    probe = breaker.begin()
    assert state_of(breaker) == BreakerState.HALF_OPEN
    assert not breaker.lets_through(breaker.free_at)
    assert breaker.opens_to_all_at() is None
    breaker.succeed(probe, breaker.free_at)
    assert state_of(breaker) == BreakerState.CLOSED
    assert breaker.cause == ""


def test_each_probe_that_fails_doubles_the_pause_up_to_its_longest() -> None:
    breaker = opened()
    longest: list[int] = []
    for _ in range(10):
        now = breaker.free_at
        breaker.fail(breaker.begin(), now)
        longest.append(breaker.free_at - now)
    for turn, pause_ms in enumerate(longest):
        span_ms = min(RULES.pause_ms << (turn + 1), RULES.pause_ms_max)
        assert span_ms // 2 <= pause_ms <= span_ms
    breaker.succeed(breaker.begin(), breaker.free_at)
    fail(breaker, RULES.failures, NOW + DAY_MS)
    assert breaker.free_at - NOW - DAY_MS <= RULES.pause_ms  # it was well in between


def test_what_was_out_before_it_opened_says_nothing_any_more() -> None:
    breaker = a_breaker()
    early = [breaker.begin() for _ in range(RULES.failures + 2)]
    for epoch in early[:-2]:
        breaker.fail(epoch, NOW)
    free_at = breaker.free_at
    breaker.fail(early[-2], NOW + 1)
    breaker.succeed(early[-1], NOW + 1)
    breaker.limit(early[-1], None, NOW + 1)
    breaker.misconfigure(early[-1], NOW + 1)
    assert (state_of(breaker), breaker.free_at) == (BreakerState.OPEN, free_at)
    probe = breaker.begin()
    breaker.succeed(early[0], free_at)
    assert state_of(breaker) == BreakerState.HALF_OPEN
    breaker.succeed(probe, free_at)
    assert state_of(breaker) == BreakerState.CLOSED


def test_a_failure_of_the_account_opens_it_at_once_and_for_longer() -> None:
    breaker = a_breaker()
    breaker.misconfigure(breaker.begin(), NOW)
    assert breaker.cause == "config"
    assert RULES.config_ms // 2 <= breaker.free_at - NOW <= RULES.config_ms
    pauses: list[int] = []
    for _ in range(10):
        now = breaker.free_at
        breaker.misconfigure(breaker.begin(), now)
        pauses.append(breaker.free_at - now)
    assert RULES.pause_ms_max < pauses[-1] <= RULES.config_ms_max


def test_a_provider_that_asks_for_a_pause_gets_it_and_needs_no_probe() -> None:
    breaker = a_breaker()
    breaker.limit(breaker.begin(), 7 * SECOND_MS, NOW)
    assert state_of(breaker) == BreakerState.LIMITED
    assert breaker.free_at == NOW + 7 * SECOND_MS
    breaker.begin()
    assert state_of(breaker) == BreakerState.CLOSED
    assert breaker.lets_through(breaker.free_at)


def test_without_a_named_pause_it_doubles_until_something_goes_through() -> None:
    breaker = a_breaker()
    pauses: list[int] = []
    for _ in range(12):
        now = breaker.free_at or NOW
        breaker.limit(breaker.begin(), None, now)
        pauses.append(breaker.free_at - now)
    assert pauses[:4] == [SECOND_MS, 2 * SECOND_MS, 4 * SECOND_MS, 8 * SECOND_MS]
    assert pauses[-1] == RULES.pause_ms_max
    breaker.succeed(breaker.begin(), breaker.free_at)
    breaker.limit(breaker.begin(), None, NOW)
    assert breaker.free_at == NOW + SECOND_MS


def test_a_pause_is_not_longer_than_anybody_waits() -> None:
    breaker = a_breaker()
    breaker.limit(breaker.begin(), 400 * DAY_MS, NOW)
    assert breaker.free_at == NOW + DAY_MS


def test_a_probe_that_was_not_made_leaves_its_place_to_the_next() -> None:
    breaker = opened()
    probe = breaker.begin()
    breaker.withdraw(probe, breaker.free_at + 5)
    assert breaker.lets_through(breaker.free_at)
    closed = a_breaker()
    closed.withdraw(closed.begin(), NOW)
    assert state_of(closed) == BreakerState.CLOSED


def test_who_watches_is_told_when_it_opens_and_when_it_closes() -> None:
    told: list[str] = []
    breaker = Breaker("twilio", watch=lambda one: told.append(f"{one.state} {one.cause}"))
    breaker.limit(breaker.begin(), None, NOW)
    breaker.misconfigure(breaker.begin(), NOW + MINUTE_MS)
    breaker.succeed(breaker.begin(), breaker.free_at)
    assert told == ["open config", "closed "]


@pytest.mark.parametrize("name", ["twilio", "vonage"])
def test_the_same_history_waits_the_same_time_again(name: str) -> None:
    one, two = Breaker(name), Breaker(name)
    for breaker in (one, two):
        fail(breaker, RULES.failures)
    assert one.free_at == two.free_at
