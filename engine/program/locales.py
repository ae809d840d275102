"""Locales of customers and of content: which of several texts a customer is to read.

Used by `sections`, which keeps content by locale, by `contentcheck`, and by
`engine.choice.content`, which looks for a customer's.

Rules
- A locale is written `zu`, `zu-ZA` or `zh-Hant-TW`; `pt_BR` and `pt-br` are `pt-BR`.
- Content is looked for under the customer's locale, the same with less and less of it, and then
  under the workspace's own locale in the same way; `content` serves whoever is left.
- Numbers and dates are written as the customer's locale does if its language is that of the text,
  else as the text's: a date in Zulu does not stand in an English sentence.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TypeVar

from engine.program.cldr import is_language, is_territory
from engine.program.faults import quote
from engine.traits.derived import read_locale

_CHAINS_MAX = 4_096
_LOCALE_LENGTH_MAX = 11  # zh-Hant-TW, and an area of three digits
_LANGUAGE_UNKNOWN = "en"

_Item = TypeVar("_Item")


class LocaleError(ValueError):
    """A text that names no locale; the message says what is wrong with it."""


def canonical_locale(text: str) -> str:
    """Write a locale the one way it is kept. Raises LocaleError for what is none."""
    locale = read_locale(text)
    if not locale or len(text) > _LOCALE_LENGTH_MAX:
        raise LocaleError(f"{quote(text)} is not a locale: write it like en, zu-ZA or pt-BR")
    language, *others = locale.split("-")
    if not is_language(language):
        raise LocaleError(f"{quote(language)} is no language's code: write it like en or zu")
    if others and len(others[-1]) < len("Hant") and not is_territory(others[-1]):
        raise LocaleError(f"{quote(others[-1])} is no country's code: write it like ZA or GB")
    return locale


@lru_cache(_CHAINS_MAX)
def locale_chain(customer: str, home: str) -> tuple[str, ...]:
    """List the locales to look under, from the customer's own to the workspace's language."""
    return tuple(dict.fromkeys((*_narrow(customer), *_narrow(home))))


def _narrow(locale: str) -> Iterator[str]:
    while locale:
        yield locale
        locale = locale.rpartition("-")[0]


def pick_locale(chain: tuple[str, ...], kept: Mapping[str, _Item]) -> str:
    """Find the first locale of a chain there is something for; "" where there is none."""
    return next((locale for locale in chain if locale in kept), "")


def writing_locale(customer: str, text: str) -> str:
    """Tell how numbers and dates are written for a customer in a text of some locale, or of ""."""
    if not text:
        return customer or _LANGUAGE_UNKNOWN
    return customer if _language(customer) == _language(text) else text


def _language(locale: str) -> str:
    return locale.partition("-")[0]
