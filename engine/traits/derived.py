"""Traits that follow from what is known anyway: where a customer is, which language, which stage.

In the table of `engine.traits.lookup`, which asks only where the customer has stated no trait of
that name. Nothing here is kept: each is worked out where a condition or a template names it.

Rules
- Country and time zone are those contact rules go by (`engine.place`), the workspace's defaults
  with them.
- A locale is the device's (`context.locale`), else the stated language with the country, else the
  workspace's. A language is that of the stated locale, else of the derived one.
- What nobody said and nothing tells is absent, never "".
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from engine.identities import ANONYMOUS_PREFIX
from engine.instants import format_instant
from engine.origins import Origin
from engine.place import HasDefaults, find_place
from engine.profile import Profile
from engine.traits.live import ABSENT, Look

# As BCP 47 and POSIX write it: language, perhaps a script, perhaps a region.
_LOCALE = re.compile(
    r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}|\d{3}))?(?=$|[-_.@])"
)
_ADDRESSES = ("email", "phone")


Derive = Callable[[Look], Any]


def read_locale(value: object) -> str:
    """Read a locale as people and devices write it (`en_ZA.UTF-8`): `en-ZA`, "" if it is none."""
    match = _LOCALE.match(value) if isinstance(value, str) else None
    if match is None:
        return ""
    language, script, region = match.groups()
    parts = (language.lower(), (script or "").title(), (region or "").upper())
    return "-".join(part for part in parts if part)


def _country(look: Look) -> Any:  # noqa: ANN401 - a text, or absent
    return find_place(look.owner, look.book).country or ABSENT


def _timezone(look: Look) -> str:
    return find_place(look.owner, look.book).zones[0].key


def find_locale(profile: Profile, program: HasDefaults) -> str:
    """Tell the locale of a customer: the one that was stated, else the derived one; "" for none."""
    return read_locale(profile.traits.get("locale")) or _derive_locale(profile, program)


def _derive_locale(profile: Profile, program: HasDefaults) -> str:
    device = read_locale(profile.context_locale)
    if device:
        return device
    stated = read_locale(profile.traits.get("language"))
    if stated:
        country = find_place(profile, program).country
        return f"{stated}-{country}" if country and "-" not in stated else stated
    return read_locale(program.defaults.locale)


def _locale(look: Look) -> Any:  # noqa: ANN401 - as above
    return _derive_locale(look.owner, look.book) or ABSENT


def _language(look: Look) -> Any:  # noqa: ANN401 - as above
    return find_locale(look.owner, look.book).partition("-")[0] or ABSENT


def _lifecycle(look: Look) -> str:
    """Tell the stage of life: who buys goes from new to active, at risk and lapsed."""
    profile, stages, now = look.owner, look.book.lifecycle, look.now
    orders = profile.history.get(stages.order)
    if orders is None or not orders.count:
        return "prospect" if _is_known(profile) else "anonymous"
    for after_ms, stage in ((stages.lapsed_ms, "lapsed"), (stages.at_risk_ms, "at_risk")):
        if now >= orders.last_at + after_ms:
            return stage
        look.watch(orders.last_at + after_ms)
    if now < orders.first_at + stages.new_ms:
        look.watch(orders.first_at + stages.new_ms)
        return "new"
    return "active"


def _is_known(profile: Profile) -> bool:
    if not profile.customer.startswith(ANONYMOUS_PREFIX):
        return True
    return any(profile.traits.get(name) for name in _ADDRESSES)


def _first_source(look: Look) -> Any:  # noqa: ANN401 - a map, or absent
    return _show(look.owner.first_source)


def _last_source(look: Look) -> Any:  # noqa: ANN401 - as above
    return _show(look.owner.last_source)


def _show(origin: Origin | None) -> Any:  # noqa: ANN401 - as above
    """Give an origin as conditions and templates read it; what is not known is not there."""
    if origin is None:
        return ABSENT
    told = {
        "channel": origin.channel,
        "source": origin.source,
        "medium": origin.medium,
        "campaign": origin.campaign,
        "platform": origin.platform,
    }
    shown: dict[str, Any] = {name: text for name, text in told.items() if text}
    return {**shown, "at": format_instant(origin.at)}


DERIVED: Mapping[str, Derive] = {
    "country": _country,
    "timezone": _timezone,
    "locale": _locale,
    "language": _language,
    "lifecycle": _lifecycle,
    "first_source": _first_source,
    "last_source": _last_source,
}
