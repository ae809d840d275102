"""Countries and their parts: what they are called, and which clocks are kept there.

Called by `engine.place`. Hands on two-letter country codes, subdivision codes without the
country's letters, and names of time zones.

Rules
- A country's zones are those of zone.tab in the pinned `tzdata`; `data/zones.toml` narrows them by
  state or province, and says where its order or its number of zones is not what we need.
- Names are read as people write them: in any case, with or without accents, `&` or `and`.
- What is not known is "" or (): nothing is guessed, and nothing raises.
"""

import tomllib
import unicodedata
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import resources

import msgspec
import tzdata
from holidays import country_holidays
from holidays.registry import COUNTRIES

_COUNTRIES_MAX = 256  # there are 250
_TEXTS_MAX = 4_096  # spellings remembered
_TEXT_LENGTH_MAX = 80


class _Table(msgspec.Struct, frozen=True):
    """What `zones.toml` says."""

    countries: Mapping[str, tuple[str, ...]]
    subdivisions: Mapping[str, Mapping[str, tuple[str, ...]]]
    names: Mapping[str, Mapping[str, str]]
    former: Mapping[str, tuple[str, ...]]
    called: Mapping[str, str]


def country_code(value: object) -> str:
    """Read a country as people write it (`ZA`, `zaf`, `South Africa`), "" if it is none."""
    if not isinstance(value, str) or len(value) > _TEXT_LENGTH_MAX:
        return ""
    return _find_country(value)


def subdivision_code(country: str, value: object) -> str:
    """Read a state, province or region of a country (`CA`, `US-CA`, `California`), else ""."""
    if not isinstance(value, str) or len(value) > _TEXT_LENGTH_MAX:
        return ""
    return _find_subdivision(country, value)


def zones_of(country: str, subdivision: str = "") -> tuple[str, ...]:
    """Name the time zones of a country, or of its part where that narrows them.

    The first is the one most people there live by. Zones that have kept the same time as another
    of the country since 2020 may be left out.
    """
    table = _table()
    parts = table.subdivisions.get(country, {})
    return parts.get(subdivision) or table.countries.get(country) or _zone_tab().get(country, ())


def zone_country(name: str) -> str:
    """Tell the country a time zone is named for, "" where it is none's (`UTC`)."""
    return _zone_countries().get(name, "")


@lru_cache(_TEXTS_MAX)
def _find_country(text: str) -> str:
    return _country_names().get(_fold(text), "")


@lru_cache(_TEXTS_MAX)
def _find_subdivision(country: str, text: str) -> str:
    bare = text.strip().upper().removeprefix(f"{country}-")
    return _subdivision_names(country).get(_fold(bare), "")


def _fold(text: str) -> str:
    """Spell a name the one way it is looked up by."""
    letters = unicodedata.normalize("NFKD", text.casefold().replace("&", " and "))
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(plain.replace("\u2019", "'").replace(".", "").replace("-", " ").split())


@cache
def _country_names() -> dict[str, str]:
    """Map every spelling of every country to its two letters."""
    names = {_fold(name): code for name, code in _table().called.items()}
    for code, name in _rows("iso3166.tab"):
        names[_fold(name)] = code
    for key, (_, code, long_code, *_) in COUNTRIES.items():
        names.setdefault(_fold(key.replace("_", " ")), code)
        names[_fold(code)] = names[_fold(long_code)] = code
    return names


@lru_cache(_COUNTRIES_MAX)
def _subdivision_names(country: str) -> dict[str, str]:
    """Map every spelling of a country's subdivisions to their codes; codes go before names."""
    table = _table()
    codes = list(table.subdivisions.get(country, {}))
    aliases = dict(table.names.get(country, {}))
    if country and _country_names().get(_fold(country)) == country:
        known = country_holidays(country)
        codes += known.subdivisions
        aliases |= known.subdivisions_aliases
    names = {_fold(name): code for name, code in aliases.items()}
    names.update((_fold(code), code) for code in codes)
    return names


@cache
def _zone_tab() -> dict[str, tuple[str, ...]]:
    zones: dict[str, tuple[str, ...]] = {}
    for country, _, name, *_ in _rows("zone.tab"):
        zones[country] = (*zones.get(country, ()), name)
    return zones


@cache
def _zone_countries() -> dict[str, str]:
    found = {name: country for country, names in _zone_tab().items() for name in names}
    for country, names in _table().former.items():
        found.update(dict.fromkeys(names, country))
    return found


def _rows(file: str) -> list[list[str]]:
    """Read one of the tables that come with tzdata, without its comments."""
    text = resources.files(tzdata).joinpath("zoneinfo", file).read_text("utf-8")
    return [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]


@cache
def _table() -> _Table:
    text = resources.files("engine").joinpath("data", "zones.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), _Table)
