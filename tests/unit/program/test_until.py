"""What a journey's `wait: {until: …}` may say, and which instant it means."""

import pytest

from engine.instants import format_instant, parse_instant
from engine.localtime import zone
from engine.profile import Profile
from engine.program.scope import Scope
from engine.program.until import parse_until

NOW = "2026-03-27T10:00:00Z"  # a Friday, two days before Paris changes its clocks


def until(text: str, trait: object = None, *, place: str = "Europe/Paris") -> str | None:
    found = zone(place)
    assert found is not None
    profile = Profile(customer="u1", traits={"day": trait, "plan": {"ends": trait}})
    scope = Scope(profile, parse_instant(NOW), event={"at": trait}, context={"at": trait})
    at = parse_until(text)(scope, found)
    return None if at is None else format_instant(at)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("11:30", "2026-03-27T10:30:00Z"),
        ("11:00", "2026-03-28T10:00:00Z"),
        ("9:00", "2026-03-28T08:00:00Z"),
        ("Mon 09:00", "2026-03-30T07:00:00Z"),
        ("monday 09:00", "2026-03-30T07:00:00Z"),
        (" fri  11:30 ", "2026-03-27T10:30:00Z"),
        ("tomorrow 09:00", "2026-03-28T08:00:00Z"),
        ("tomorrow 23:59", "2026-03-28T22:59:00Z"),
        ("Sun 02:30", "2026-03-29T01:00:00Z"),
    ],
)
def test_a_time_of_day_is_on_the_customers_clock(text: str, expected: str) -> None:
    assert until(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-06-01T09:00:00Z", "2026-06-01T09:00:00Z"),
        ("2026-06-01T09:00:00+02:00", "2026-06-01T07:00:00Z"),
        ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z"),
        ("2026-06-01", "2026-05-31T22:00:00Z"),
        ("2026-06-01 at 09:00", "2026-06-01T07:00:00Z"),
        ("2026-06-01T09:00:00Z - 90m", "2026-06-01T07:30:00Z"),
    ],
)
def test_an_instant_or_date_may_be_written_out(text: str, expected: str) -> None:
    assert until(text) == expected


@pytest.mark.parametrize(
    ("trait", "expected"),
    [
        ("2026-06-01T09:00:00Z", "2026-06-01T09:00:00Z"),
        ("2026-06-01", "2026-05-31T22:00:00Z"),
        (1_780_304_400, "2026-06-01T09:00:00Z"),
        (1_780_304_400.5, "2026-06-01T09:00:00.500Z"),
        (1_780_304_400_000, "2026-06-01T09:00:00Z"),
    ],
)
def test_a_trait_may_hold_an_instant_a_date_or_an_epoch(trait: object, expected: str) -> None:
    for text in ("profile.day", "profile.plan.ends", "event.at", "context.at"):
        assert until(text, trait) == expected


@pytest.mark.parametrize(
    "trait",
    [
        None,
        "",
        "soon",
        True,
        [],
        {"a": 1},
        float("nan"),
        float("inf"),
        10**400,
        -(10**400),
        1e300,
        "9999-01-01",
        "1800-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "x" * 10_000,
    ],
)
def test_what_is_absent_or_unreadable_is_no_moment(trait: object) -> None:
    assert until("profile.day", trait) is None
    assert until("profile.day - 7d at 09:00", trait) is None


def test_a_path_through_something_that_is_not_a_map_is_no_moment() -> None:
    assert until("profile.day.deeper.still", "2026-06-01") is None
    assert until("profile.nowhere.at.all") is None


@pytest.mark.parametrize(
    ("text", "trait", "expected"),
    [
        # Hours are elapsed time, over a change of clocks too.
        ("event.at - 2h", "2026-03-29T02:00:00Z", "2026-03-29T00:00:00Z"),
        ("event.at + 1h30m", "2026-06-01T09:00:00Z", "2026-06-01T10:30:00Z"),
        ("event.at - 2d", "2026-03-30T09:00:00Z", "2026-03-28T09:00:00Z"),
        # Days before a date are days of the calendar.
        ("profile.day - 7d", "2026-04-01", "2026-03-24T23:00:00Z"),
        ("profile.day - 1w at 09:00", "2026-04-01", "2026-03-25T08:00:00Z"),
        ("profile.day -7d", "2026-04-01", "2026-03-24T23:00:00Z"),
        ("profile.day + 1d at 00:00", "2026-03-28", "2026-03-28T23:00:00Z"),
        ("profile.day + 12h", "2026-04-01", "2026-04-01T10:00:00Z"),
        # An instant half past midnight in Paris: a week before, at nine, is still that weekday.
        ("profile.day - 7d at 09:00", "2026-03-31T22:30:00Z", "2026-03-25T08:00:00Z"),
        ("profile.day at 09:00", "2026-03-31T22:30:00Z", "2026-04-01T07:00:00Z"),
        ("profile.day - 36h at 09:00", "2026-04-02", "2026-03-31T07:00:00Z"),
    ],
)
def test_time_is_added_and_the_hour_set(text: str, trait: object, expected: str) -> None:
    assert until(text, trait) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "tomorrow",
        "Mon",
        "Xyz 09:00",
        "profile",
        "profile.",
        "profile.a-b",
        "traits.day",
        "profile.day - 7",
        "profile.day - 7 days",
        "profile.day - d",
        "profile.day * 2d",
        "profile.day at nine",
        "profile.day - 7d at",
        "2026-13-01",
        "9999-01-01",
        "1767225600",
        "profile.day - " + "9" * 400 + "d",
    ],
)
def test_what_is_not_a_moment_is_refused_with_the_accepted_forms(text: str) -> None:
    with pytest.raises(ValueError, match="is not a moment to wait for") as caught:
        parse_until(text)
    assert '"Mon 09:00"' in str(caught.value)
    assert "profile.renewal_date" in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("text", ["24:00", "Mon 09:60", "profile.day at 25:00"])
def test_an_impossible_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time of day, write 00:00 to 23:59"):
        parse_until(text)


def test_a_shift_of_centuries_is_refused() -> None:
    with pytest.raises(ValueError, match="more than a century away"):
        parse_until("profile.day + 99999999d")
