"""Liquid filters that write numbers, money, dates and plurals as the customer's language does.

Put into the language by `dialect`. The locale, the currency and the time zone are the names
`locale`, `currency` and `timezone` that `engine.choice.content` gives a template.

Rules
- What is no number, no date or no currency is an error, and the message is not sent: a text with a
  gap in it must not reach anybody. `| default: 0` before the filter says what is meant instead.
- What they write is plain text: in HTML it is escaped like any other value.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from liquid import RenderContext
from liquid.exceptions import FilterArgumentError
from liquid.filter import liquid_filter, with_context
from liquid.undefined import is_undefined

from engine.localtime import zone as find_zone
from engine.program import cldr
from engine.program.dates import read_moment

PLURAL = "plural"
_DIGITS_MAX = 6
_NAMES = ("locale", "currency")


def _money(value: object, currency: object = None, *, context: RenderContext) -> str:
    """Write an amount in a currency: the one named, else the event's, else the workspace's."""
    code = currency if currency is not None else context.globals.get("currency")
    if not isinstance(code, str) or not cldr.is_currency(code):
        what = f"{_kind(code)} is not a currency" if code else "there is no currency"
        raise _refuse(f"money: {what}: write one like money: 'ZAR', or set defaults.currency")
    return cldr.write_money(_amount("money", value), _locale(context), code)


def _number(value: object, digits: object = None, *, context: RenderContext) -> str:
    """Write a number, with so many decimals."""
    count = None if digits is None else _digits("number", digits)
    return cldr.write_number(_amount("number", value), _locale(context), count)


def _percent(value: object, digits: object = 0, *, context: RenderContext) -> str:
    """Write a share as per cent."""
    count = _digits("percent", digits)
    return cldr.write_percent(_amount("percent", value), _locale(context), count)


def _local_date(
    value: object, style: object = "medium", zone: object = None, *, context: RenderContext
) -> str:
    """Write a date, on the customer's calendar or that of a zone."""
    moment = _moment("local_date", value, zone, context)
    return cldr.write_date(moment, _locale(context), _style("local_date", style))


def _local_time(
    value: object, style: object = "short", zone: object = None, *, context: RenderContext
) -> str:
    """Write a time of day, on the customer's clock or that of a zone."""
    moment = _moment("local_time", value, zone, context)
    return cldr.write_time(moment, _locale(context), _style("local_time", style))


def _plural(  # noqa: PLR0913 - one for each category of CLDR
    value: object,
    *,
    other: object,
    zero: object = None,
    one: object = None,
    two: object = None,
    few: object = None,
    many: object = None,
    context: RenderContext,
) -> str:
    """Write the text of the category a number takes in the language; `#` in it is the number."""
    number, locale = _amount("plural", value), _locale(context)
    texts = {"zero": zero, "one": one, "two": two, "few": few, "many": many}
    text = texts.get(cldr.plural_category(number, locale))
    text = other if text is None else text
    if not isinstance(text, str):
        raise _refuse(f"plural: {_kind(text)} is not a text")
    return text.replace("#", cldr.write_number(number, locale))


FILTERS: Mapping[str, Callable[..., Any]] = {
    "money": with_context(liquid_filter(_money)),
    "number": with_context(liquid_filter(_number)),
    "percent": with_context(liquid_filter(_percent)),
    "local_date": with_context(liquid_filter(_local_date)),
    "local_time": with_context(liquid_filter(_local_time)),
    PLURAL: with_context(liquid_filter(_plural)),
}
_LOCAL = re.compile(rf"\b(?:{'|'.join((*FILTERS, *_NAMES))})\b")


def is_local(source: str) -> bool:
    """Say whether a text may ask in which locale it is read; one too many costs little."""
    return _LOCAL.search(source) is not None


def _locale(context: RenderContext) -> str:
    locale = context.globals.get("locale")
    return locale if isinstance(locale, str) else ""


def _amount(name: str, value: object) -> Decimal:
    number = cldr.read_amount(value)
    if number is None:
        raise _refuse(f"{name}: {_kind(value)} is not a number")
    return number


def _digits(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _DIGITS_MAX:
        raise _refuse(f"{name}: {_kind(value)} is no count of decimals from 0 to 6")
    return value


def _style(name: str, value: object) -> str:
    if not isinstance(value, str) or value not in cldr.STYLES:
        raise _refuse(f"{name}: the style is one of {', '.join(cldr.STYLES)}")
    return str(value)


def _moment(name: str, value: object, zone: object, context: RenderContext) -> datetime:
    named = zone if zone is not None else context.globals.get("timezone")
    clock = find_zone(named)
    if clock is None and zone is not None:
        raise _refuse(f"{name}: {_kind(zone)} is not a time zone, like 'Europe/Paris'")
    now = context.globals.get("now")
    present = datetime.fromisoformat(now) if isinstance(now, str) else None
    moment = read_moment(value, clock, present)
    if moment is None:
        raise _refuse(f"{name}: {_kind(value)} is not a date")
    return moment


def _kind(value: object) -> str:
    """Say what a value is and not which, as it may be a customer's own."""
    if value is None or is_undefined(value):
        return "nothing"
    if isinstance(value, str):
        return "this text"
    return "this number" if isinstance(value, int | float | Decimal) else "this value"


def _refuse(message: str) -> FilterArgumentError:
    return FilterArgumentError(message, token=None)
