"""How languages write numbers, money, dates and plurals, as the Unicode CLDR says.

Called by `localised`, which makes Liquid filters of it, and by `locales`. The data is Babel's, and
so is `CLDR_VERSION`, which is part of what a decision depends on.

Rules
- Everything is told: the locale and the moment's zone. The machine's own language and zone, which
  the library would ask for, never count.
- A locale without data is its language, and a language without data is English.
- Numbers are exact: a float is the decimal it is written as. A half is rounded to the even digit.
"""

import re
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from math import isfinite

from babel import Locale, UnknownLocaleError, __version__
from babel.dates import DateTimePattern
from babel.numbers import NumberPattern, format_currency, format_decimal, format_percent

CLDR_VERSION = f"cldr-{__version__}"
CATEGORIES = ("zero", "one", "two", "few", "many", "other")
STYLES = ("short", "medium", "long", "full")

_LOCALES_MAX = 1_024  # CLDR has about that many
_WRITTEN_MAX = 16_384  # prices come again and again, and take 40 microseconds to write
_ROOT = Locale("en")
_DECIMALS = re.compile(r"(?<=0)(?:\.[0#]+)?(?![0#.,])")
_AMOUNT = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")
_AMOUNT_MAX = Decimal(10**15)  # beyond it no price or count is meant


def is_language(code: str) -> bool:
    """Say whether this is the code of a language that has a name."""
    return code in _ROOT.languages


def is_territory(code: str) -> bool:
    """Say whether this is the code of a country or region that has a name."""
    return code in _ROOT.territories


def is_currency(code: str) -> bool:
    """Say whether this is the code of a currency, in capitals."""
    return code in _ROOT.currencies


def read_amount(value: object) -> Decimal | None:
    """Read a number, or a text that is exactly one; None where it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        number = Decimal(value)
    elif isinstance(value, float) and isfinite(value):
        number = Decimal(int(value)) if value.is_integer() else Decimal(repr(value))
    elif isinstance(value, str) and _AMOUNT.fullmatch(value.strip()):
        number = Decimal(value.strip())
    else:
        return None
    return number if number.is_finite() and abs(number) < _AMOUNT_MAX else None


@lru_cache(_WRITTEN_MAX)
def write_number(number: Decimal, locale: str, digits: int | None = None) -> str:
    """Write a number, with so many decimals or as many as it has, three at most."""
    found = find_data(locale)
    if digits is None:
        return format_decimal(number, locale=found)
    return format_decimal(number, _fix_digits(found.decimal_formats[None], digits), found)


def write_percent(number: Decimal, locale: str, digits: int = 0) -> str:
    """Write a share as per cent: 0.25 is 25 %."""
    found = find_data(locale)
    return format_percent(number, _fix_digits(found.percent_formats[None], digits), found)


def _fix_digits(pattern: NumberPattern, digits: int) -> str:
    """Give a pattern like `#,##0.###` as many decimals as are wanted."""
    return _DECIMALS.sub("." + "0" * digits if digits else "", pattern.pattern, count=1)


@lru_cache(_WRITTEN_MAX)
def write_money(number: Decimal, locale: str, currency: str) -> str:
    """Write an amount, with the decimals its currency has."""
    return format_currency(number, currency, locale=find_data(locale))


def write_date(moment: datetime, locale: str, style: str) -> str:
    """Write the date of a moment, as it is on the moment's own clock."""
    found = find_data(locale)
    pattern: DateTimePattern = found.date_formats[style]
    return pattern.apply(moment, found)


def write_time(moment: datetime, locale: str, style: str) -> str:
    """Write the time of day of a moment, as it is on the moment's own clock."""
    found = find_data(locale)
    pattern: DateTimePattern = found.time_formats[style]
    return pattern.apply(moment, found)


def plural_category(number: Decimal, locale: str) -> str:
    """Tell which of `CATEGORIES` a counted thing takes."""
    return str(find_data(locale).plural_form(number))


def plural_categories(locale: str) -> tuple[str, ...]:
    """List the categories that things to be counted take in a language, `other` among them.

    Without `many` where that is only for whole millions, as in French, Spanish and Italian.
    """
    tags = (*find_data(locale).plural_form.tags, "other")
    found = tuple(one for one in CATEGORIES if one in tags)
    return ("one", "other") if found == ("one", "many", "other") else found


@lru_cache(_LOCALES_MAX)
def find_data(locale: str) -> Locale:
    """Find what there is for a locale, or the nearest to it."""
    while locale:
        try:
            return Locale.parse(locale, sep="-")
        except (UnknownLocaleError, ValueError):
            locale = locale.rpartition("-")[0]
    return _ROOT
