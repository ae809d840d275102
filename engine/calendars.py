"""Public holidays by country and subdivision.

Called by the gates (holidays, region rules) and by journeys that wait for a working day. Hands on
names and days; a day is counted from 1970-01-01, as by `localtime.day_number`.

Rules
- The days are those of the `holidays` library, and so is `HOLIDAYS_VERSION`, which is part of what
  a decision depends on: governments change their calendars, and the library follows.
- Days on which a holiday is observed count. Names are English wherever the library has them, and
  never depend on the machine's language.
- A subdivision the library does not know has the days of its country; an unknown country has none.
- A year is built once (0.2 ms, but 40 ms for the very first, when the library loads) and then
  looked up (1 microsecond). `warm` builds years before they are asked for.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from functools import lru_cache

from holidays import country_holidays
from holidays.registry import COUNTRIES
from holidays.version import __version__

from engine.localtime import day_date, day_number

HOLIDAYS_VERSION: str = __version__

_YEARS_MAX = 4_096  # calendar years kept; one of every country and subdivision there is is 900
_COUNTRIES_MAX = 256  # there are 250
_RUN_MAX = 60  # holidays in a row; the longest there have been are about two weeks

_LANGUAGE = "en_US"
_FIRST_YEAR, _LAST_YEAR = 1950, 2100  # for which the library has days
_CODES = frozenset(code for _, code, *_ in COUNTRIES.values())

# Indian holidays go by moons that the library has tables of for these years only. Outside of them
# it warns about itself on the error output, which is no place for the engine to speak.
_KNOWN_YEARS = {"IN": (2001, 2035)}

_FIRST_DAY = day_number(date(_FIRST_YEAR, 1, 1))
_LAST_DAY = day_number(date(_LAST_YEAR, 12, 31))


def holiday_name(country: str, subdivision: str, day: int) -> str:
    """Name the public holiday of a day, "" when there is none."""
    if not _FIRST_DAY <= day <= _LAST_DAY:
        return ""
    year = day_date(day).year
    return _build_year(country, subdivision, year).get(day, "")


def is_holiday(country: str, subdivision: str, day: int) -> bool:
    """Say whether a day is a public holiday."""
    return holiday_name(country, subdivision, day) != ""


def next_workday(country: str, subdivision: str, day: int) -> int:
    """Find the first day from `day` on that is no holiday; weekends are not looked at."""
    for candidate in range(day, day + _RUN_MAX):
        if not is_holiday(country, subdivision, candidate):
            return candidate
    return day + _RUN_MAX


def warm(countries: Iterable[str], years: Iterable[int]) -> None:
    """Build the calendars of whole countries, with their subdivisions, ahead of their use."""
    wanted = tuple(years)
    for country in countries:
        for subdivision in ("", *_subdivisions(country)):
            for year in wanted:
                _build_year(country, subdivision, year)


@lru_cache(_YEARS_MAX)
def _build_year(country: str, subdivision: str, year: int) -> Mapping[int, str]:
    first, last = _KNOWN_YEARS.get(country, (_FIRST_YEAR, _LAST_YEAR))
    if country not in _CODES or not first <= year <= last:
        return {}
    if subdivision and subdivision not in _subdivisions(country):
        return _build_year(country, "", year)
    calendar = country_holidays(
        country, subdiv=subdivision or None, years=year, observed=True, language=_LANGUAGE
    )
    return {day_number(day): name for day, name in calendar.items()}


@lru_cache(_COUNTRIES_MAX)
def _subdivisions(country: str) -> tuple[str, ...]:
    return tuple(country_holidays(country).subdivisions) if country in _CODES else ()
