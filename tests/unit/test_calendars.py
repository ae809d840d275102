"""Public holidays: which days, by which name, where."""

from datetime import date, timedelta

import pytest
from holidays import list_supported_countries
from holidays.version import __version__

from engine import calendars
from engine.calendars import HOLIDAYS_VERSION, holiday_name, is_holiday, next_workday, warm
from engine.localtime import day_number


def on(text: str) -> int:
    return day_number(date.fromisoformat(text))


@pytest.mark.parametrize(
    ("country", "subdivision", "day", "name"),
    [
        ("ZA", "", "2026-08-10", "National Women's Day (observed)"),
        ("ZA", "", "2026-11-04", "Local Government Elections"),
        ("ZA", "", "2026-08-11", ""),
        ("FR", "", "2026-12-25", "Christmas Day"),
        ("FR", "57", "2026-12-26", "Saint Stephen's Day"),
        ("FR", "57", "2026-04-03", "Good Friday"),
        ("FR", "", "2026-12-26", ""),
        ("FR", "99", "2026-12-26", ""),
        ("FR", "99", "2026-12-25", "Christmas Day"),
        ("DE", "BY", "2026-01-06", "Epiphany"),
        ("DE", "HH", "2026-01-06", ""),
        ("JP", "", "2026-01-01", "New Year's Day"),
        ("US", "", "2026-07-03", "Independence Day (observed)"),
        ("US", "ca", "2026-07-03", "Independence Day (observed)"),
        ("MX", "JAL", "2026-12-25", "Christmas Day"),
        ("IN", "", "2026-01-26", "Republic Day"),
        ("ZZ", "", "2026-12-25", ""),
        ("", "", "2026-12-25", ""),
        ("za", "", "2026-12-25", ""),
    ],
)
def test_a_holiday_has_its_name_where_it_is_kept(
    country: str, subdivision: str, day: str, name: str
) -> None:
    assert holiday_name(country, subdivision, on(day)) == name
    assert is_holiday(country, subdivision, on(day)) is (name != "")


def test_the_next_working_day_is_past_every_holiday_in_a_row() -> None:
    assert next_workday("ZA", "", on("2026-08-08")) == on("2026-08-08")
    assert next_workday("ZA", "", on("2026-08-09")) == on("2026-08-11")
    assert next_workday("DE", "", on("2026-12-25")) == on("2026-12-27")
    assert next_workday("ZZ", "", on("2026-12-25")) == on("2026-12-25")


def test_holidays_in_a_row_run_over_the_end_of_a_year() -> None:
    assert next_workday("RU", "", on("2025-12-31")) == on("2026-01-10")
    assert next_workday("GB", "SCT", on("2027-01-01")) == on("2027-01-03")


@pytest.mark.parametrize("day", [-(10**12), -800_000, 60_000, 10**6, 10**12])
def test_days_beyond_every_calendar_are_no_holidays(day: int) -> None:
    assert holiday_name("ZA", "", day) == ""
    assert next_workday("ZA", "", day) == day


def test_years_a_calendar_does_not_know_have_no_holidays() -> None:
    assert is_holiday("IN", "", on("2035-08-15"))
    assert not is_holiday("IN", "", on("2036-08-15"))
    assert not is_holiday("IN", "MH", on("2000-08-15"))


@pytest.mark.slow
def test_every_country_and_subdivision_has_a_calendar() -> None:
    for country, parts in list_supported_countries(include_aliases=False).items():
        for part in ["", *parts]:
            days = range(on("2026-01-01"), on("2027-01-01"))
            names = [holiday_name(country, part, day) for day in days]
            # Nobody lives on three of these; Ukraine keeps no holidays under martial law.
            assert any(names) or country in {"BV", "HM", "IO", "UA"}, country
            assert all(name.isprintable() for name in names)
            longest = max(next_workday(country, part, day) - day for day in days)
            assert longest < 20, (country, part)


def test_names_do_not_depend_on_the_machines_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "th")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert holiday_name("DE", "SN", on("2031-10-31")) == "Reformation Day"


def test_years_built_ahead_need_no_building_when_asked_for() -> None:
    warm(["ZA", "DE", "ZZ"], [2026, 2027])
    cache_info = calendars._build_year.cache_info  # pyright: ignore[reportPrivateUsage]
    built = cache_info().misses
    start = date(2026, 1, 1)
    for offset in range(730):
        day = day_number(start + timedelta(offset))
        is_holiday("ZA", "", day)
        is_holiday("DE", "BY", day)
    assert cache_info().misses == built


def test_the_version_is_the_librarys() -> None:
    assert __version__ == HOLIDAYS_VERSION
