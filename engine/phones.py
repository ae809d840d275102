"""Telephone numbers: the country, time zones and state that a number speaks for.

Called by `engine.place`. Hands on names and codes; nothing here knows a customer.

Rules
- A number is read as people write it: international with a plus, or national of the default
  country. Anything else, letters and control characters among it, tells nothing and never raises.
- An international number that the library's plans do not know, but whose length is possible,
  still tells its calling code: plans grow faster than libraries.
- Every zone in which the number may well be counts. One that nobody can place (toll-free, or
  mobile where a country gives mobile numbers no areas) has all zones of its calling code.
- A state or province is known by its area code or not at all. People keep numbers when they move,
  so whoever knows an address should believe that first.
"""

import re
import tomllib
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import resources

import msgspec
from phonenumbers import (
    NumberParseException,
    PhoneNumber,
    PhoneNumberType,
    __version__,
    is_possible_number,
    is_valid_number,
    is_valid_number_for_region,
    national_significant_number,
    number_type,
    parse,
    region_code_for_number,
)
from phonenumbers.timezone import time_zones_for_geographical_number, time_zones_for_number
from phonenumbers.tzdata import TIMEZONE_DATA

from engine.localtime import zone

PHONES_VERSION: str = __version__  # part of what a decision depends on

_LINES_MAX = 8_192  # numbers remembered; reading one takes about 60 microseconds

# As written: ASCII or any other script's digits, and what people put between them.
_WRITTEN = re.compile(r"\+?[\d ().\-/\u00a0\u2010-\u2015]{3,40}")

_NORTH_AMERICA = 1
_GEOGRAPHIC = (
    PhoneNumberType.FIXED_LINE,
    PhoneNumberType.MOBILE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE,
)

# The library puts Kaliningrad into the zone of Bucharest, which has another summer time.
_MISNAMED = {(7, "Europe/Bucharest"): "Europe/Kaliningrad"}


class _AreaCodes(msgspec.Struct, frozen=True):
    """What `area_codes.toml` says: the state or province, and the clocks, of an area code."""

    subdivisions: Mapping[str, Mapping[str, str]]  # country -> area code -> code
    zones: Mapping[str, tuple[str, ...]]


class _Line(msgspec.Struct, frozen=True, gc=False):
    """What one number tells."""

    country: str = ""
    zones: tuple[str, ...] = ()
    subdivision: str = ""


_UNREADABLE = _Line()


def phone_country(number: str, default_country: str) -> str:
    """Tell a number's country by its two letters, "" where it can't be told.

    A number that several countries share (toll-free in North America, mobile in Finland and Åland)
    is the default country's, where it is one of them.
    """
    return _read(number, default_country).country


def phone_zones(number: str, default_country: str) -> tuple[str, ...]:
    """Name the time zones in which a number may be, () where nothing is known."""
    return _read(number, default_country).zones


def phone_subdivision(number: str, default_country: str) -> str:
    """Tell the state (of the US) or province (of Canada) of a number's area code, else ""."""
    return _read(number, default_country).subdivision


@lru_cache(_LINES_MAX)
def e164(number: str, default_country: str) -> str:
    """Write a number as the world knows it, like `+27821234567`; "" where it can't be one."""
    parsed = _parse(number.strip(), default_country)
    if parsed is None:
        return ""
    return f"+{parsed.country_code}{national_significant_number(parsed)}"


@lru_cache(_LINES_MAX)
def _read(number: str, default_country: str) -> _Line:
    parsed = _parse(number.strip(), default_country)
    if parsed is None:
        return _UNREADABLE
    kind = number_type(parsed)
    country = _country(parsed, default_country)
    area = _area_code(parsed, kind)
    names = _area_codes().zones.get(area) or _library_zones(parsed, kind, area)
    subdivision = _area_codes().subdivisions.get(country, {}).get(area, "")
    return _Line(country, tuple(name for name in names if zone(name) is not None), subdivision)


def _parse(text: str, default_country: str) -> PhoneNumber | None:
    if _WRITTEN.fullmatch(text) is None:
        return None
    try:
        parsed = parse(text, default_country)
    except NumberParseException:
        return None
    if is_valid_number(parsed) or (text.startswith("+") and is_possible_number(parsed)):
        return parsed
    return None


def _country(parsed: PhoneNumber, default_country: str) -> str:
    if is_valid_number_for_region(parsed, default_country):
        return default_country
    country = region_code_for_number(parsed) or ""
    return country if country.isalpha() else ""  # 001 is a network that belongs to no country


def _area_code(parsed: PhoneNumber, kind: int) -> str:
    """Give a North American number's area code, "" for numbers of no area."""
    if parsed.country_code != _NORTH_AMERICA or kind not in _GEOGRAPHIC:
        return ""
    return str(parsed.national_number)[:3]


def _library_zones(parsed: PhoneNumber, kind: int, area: str) -> tuple[str, ...]:
    calling_code = parsed.country_code or 0
    if kind == PhoneNumberType.UNKNOWN:
        names = TIMEZONE_DATA.get(str(calling_code), ())
    elif area:  # mobile numbers have areas there too, which the library does not believe
        names = time_zones_for_geographical_number(parsed)
    else:
        names = time_zones_for_number(parsed)
    return tuple(_MISNAMED.get((calling_code, name), name) for name in names)


@cache
def _area_codes() -> _AreaCodes:
    text = resources.files("engine").joinpath("data", "area_codes.toml").read_text("utf-8")
    table = tomllib.loads(text)
    subdivisions = {
        country: {str(area): code for code, areas in table[country].items() for area in areas}
        for country in ("US", "CA")
    }
    zones = {str(area): tuple(row["zones"]) for row in table["clocks"] for area in row["codes"]}
    return _AreaCodes(subdivisions, zones)
