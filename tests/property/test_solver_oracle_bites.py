"""The oracle can fail: mistakes that a solver may make are planted, and each must be found.

A mistake is planted for one test, in the place of a function of the engine. What the engine
remembers across questions is forgotten before and after.
"""

import sys
from bisect import bisect_left
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from msgspec.structs import replace

from engine.instants import DAY_MS, HOUR_MS, WEEK_MS
from engine.localtime import zone
from tests.property.solver_question import World
from tests.property.solver_worlds import worlds
from tests.property.test_solver_against_oracle import check, some

pytestmark = pytest.mark.slow

CASES_MAX = 800

Function = Callable[..., Any]


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    forget()
    yield
    forget()


def forget() -> None:
    """Empty every cache of the engine."""
    for name in [name for name in sys.modules if name.split(".")[0] == "engine"]:
        for value in vars(sys.modules[name]).values():
            clear: Any = getattr(value, "cache_clear", None)
            if callable(clear):
                clear()


def plant(patch: pytest.MonkeyPatch, name: str, mistake: Callable[[Any], Any]) -> None:
    """Put a mistake in the place of what it is made from."""
    module, _, attribute = name.rpartition(".")
    patch.setattr(name, mistake(getattr(import_module(module), attribute)))


# Each takes the function that is right, and gives one that is wrong.


def the_end_is_open_too(parse_window: Any) -> Function:
    """Take `09:00-20:00` with its last instant."""

    def parse(value: object, rule: str) -> Any:
        window = parse_window(value, rule)
        edges = [
            edge + index % 2 if edge < WEEK_MS else edge for index, edge in enumerate(window.edges)
        ]
        return replace(window, edges=tuple(edges))

    return parse


def clocks_change_an_hour_late(find_change_s: Any) -> Function:
    return lambda *span: find_change_s(*span) + 3_600


def the_weekday_is_that_of_utc(stretch_at: Any) -> Function:
    """Read the time of the day on the local clock, and the weekday in UTC."""

    def stretch(place: Any, at: int) -> tuple[int, int]:
        offset_ms, until = stretch_at(place, at)
        days = at // DAY_MS - (at + offset_ms) // DAY_MS
        utc_midnight = (at // DAY_MS + 1) * DAY_MS
        local_midnight = ((at + offset_ms) // DAY_MS + 1) * DAY_MS - offset_ms
        return offset_ms + days * DAY_MS, min(until, utc_midnight, local_midnight)

    return stretch


def quiet_hours_are_those_to_speak_in(_: Any) -> Function:

    def keep(edges: tuple[int, ...]) -> tuple[int, ...]:
        return edges

    return keep


def the_first_zone_is_enough(find_place: Any) -> Function:
    def find(*known: Any) -> Any:
        place = find_place(*known)
        return replace(place, zones=place.zones[:1])

    return find


def it_waits_for_the_same_time_tomorrow(solve: Any) -> Function:
    """Postpone by whole days, and not to the opening."""

    def solve_by_days(case: Any, now: int) -> Any:
        timing = solve(case, now)
        if timing.at is None:
            return timing
        return replace(timing, at=now - (now - timing.at) // DAY_MS * DAY_MS)

    return solve_by_days


def there_are_no_holidays(_: Any) -> Function:
    return lambda *_: ""


def holidays_are_not_observed(country_holidays: Any) -> Function:
    """Leave out the Monday on which a holiday of a weekend is kept."""
    return lambda *where, **how: country_holidays(
        *where, **({**how, "observed": False} if how else {})
    )


def the_date_is_that_of_utc(read: Any) -> Function:

    def read_in_utc(_: Any, *rest: int) -> Any:
        return read(zone("UTC"), *rest)

    return read_in_utc


def an_unknown_state_has_no_rules(rules_for: Any) -> Function:
    """Hold whoever's state is not known to the rules of a state that has none."""

    def find(country: str, state: str, names: tuple[str, ...]) -> Any:
        return rules_for(country, state or "NY", names)

    return find


def one_more_is_allowed(read_cap: Any) -> Function:
    def read(text: str, rule: str) -> Any:
        cap = read_cap(text, rule)
        return replace(cap, count_max=cap.count_max + 1)

    return read


def slots_come_back_early(read_cap: Any) -> Function:
    def read(text: str, rule: str) -> Any:
        cap = read_cap(text, rule)
        return replace(cap, window_ms=max(0, cap.window_ms - 1))

    return read


def slots_come_back_late(_: Any) -> Function:
    """Count sends in `[t - window, t]`, with its start."""
    return bisect_left


def days_begin_at_one(periods: Any) -> dict[str, Any]:
    """Count calendar days from one o'clock."""
    one_later = [_an_hour_later(begin) for begin in periods["calendar_day"]]
    return {**periods, "calendar_day": tuple(one_later)}


def _an_hour_later(begin: Any) -> Function:
    def begin_late(place: Any, at: int) -> int:
        return int(begin(place, at - HOUR_MS)) + HOUR_MS

    return begin_late


def gaps_grow_a_step_early(gap_ms: Any) -> Function:
    def grow(backoff: Any, steps: int) -> int:
        return int(gap_ms(backoff, steps + 1))

    return grow


def engagement_is_ignored(_: Any) -> Function:
    return lambda *_: 1.0


def the_milder_statement_counts(_outranks: Any) -> Function:
    def turn(said: Any, known: Any) -> bool:
        return (said.at, said.status == "granted") > (known.at, known.status == "granted")

    return turn


def the_same_message_may_go_a_moment_early(check_same: Any) -> Function:
    def check_early(profile: Any, message: Any, window_ms: int | None, *rest: int) -> Any:
        return check_same(profile, message, None if window_ms is None else window_ms - 1, *rest)

    return check_early


_STRETCHES = tuple(f"engine.{name}.stretch_at" for name in ("windows", "hours", "localtime"))
_DATES = tuple(
    f"engine.gates.days.{name}" for name in ("local_parts", "day_instant", "next_day_start")
)

MISTAKES: list[tuple[Callable[[Any], Any], tuple[str, ...], str]] = [
    (the_end_is_open_too, ("engine.program.leaves.parse_window",), "hours"),
    (clocks_change_an_hour_late, ("engine.localtime._find_change_s",), "hours"),
    (the_weekday_is_that_of_utc, _STRETCHES, "hours"),
    (quiet_hours_are_those_to_speak_in, ("engine.gates.hours._complement",), "hours"),
    (the_first_zone_is_enough, ("engine.eligibility.find_place",), "hours"),
    (it_waits_for_the_same_time_tomorrow, ("engine.eligibility.solve",), "hours"),
    (there_are_no_holidays, ("engine.gates.days.holiday_name",), "days"),
    (holidays_are_not_observed, ("engine.calendars.country_holidays",), "days"),
    (the_date_is_that_of_utc, _DATES, "days"),
    (an_unknown_state_has_no_rules, ("engine.gates.case.rules_for",), "law"),
    (one_more_is_allowed, ("engine.program.leaves.read_cap",), "caps"),
    (slots_come_back_early, ("engine.program.leaves.read_cap",), "caps"),
    (slots_come_back_late, ("engine.gates.caps.bisect_right",), "caps"),
    (days_begin_at_one, ("engine.gates.caps._PERIODS",), "caps"),
    (engagement_is_ignored, ("engine.gates.case.cap_factor",), "caps"),
    (gaps_grow_a_step_early, ("engine.gates.caps._gap_ms",), "gaps"),
    (the_same_message_may_go_a_moment_early, ("engine.eligibility.check_same_message",), "gaps"),
    (the_milder_statement_counts, ("engine.consents._outranks",), "standing"),
]


@pytest.mark.parametrize(
    ("mistake", "names", "topic"), MISTAKES, ids=[mistake.__name__ for mistake, _, _ in MISTAKES]
)
def test_a_planted_mistake_is_found(
    mistake: Callable[[Any], Any],
    names: tuple[str, ...],
    topic: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in names:
        plant(monkeypatch, name, mistake)
    with pytest.raises(AssertionError):
        search(topic)
    monkeypatch.undo()


def search(topic: str) -> None:
    """Hold so many worlds against the oracle, and raise what is found first."""

    def hold(world: World) -> None:
        check(world)

    quick = settings(some(CASES_MAX), phases=(Phase.generate,), report_multiple_bugs=False)
    quick(given(worlds(topic))(hold))()
