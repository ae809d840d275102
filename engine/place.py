"""Where a customer is: the time zones, country and subdivision that contact rules go by.

Called by the gates and by whatever speaks in customer time. Reads a profile, hands on a `Place`.

Rules
- Zones come from the first of these that tells any: the stated `timezone` trait, the device, the
  phone number, the address, the workspace's default. Where a number leaves several open and the
  address names a part of the same country, the address is believed.
- Where several zones are plausible all are kept, and a rule must hold in each of them. The first
  is the one shown to people.
- A country comes from the address, else the phone number, else the stated or the device's zone,
  else the workspace's default. A subdivision comes from the address, else from the area code.
- Traits are untrusted: what is malformed is passed over, and nothing raises.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol, cast
from zoneinfo import ZoneInfo

import msgspec

from engine.geography import country_code, subdivision_code, zone_country, zones_of
from engine.localtime import zone as find_zone
from engine.phones import phone_country, phone_subdivision, phone_zones
from engine.profile import Profile

PROFILE, DEVICE, PHONE, ADDRESS, WORKSPACE = "profile", "device", "phone", "address", "workspace"
HIGH, MEDIUM, LOW = "high", "medium", "low"

_PLACES_MAX = 16_384  # a place is remembered by everything it was told from
_TEXT_LENGTH_MAX = 80  # longer traits are no names of places, and would fill the memory of them


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a customer is, as far as we can tell, and where we have it from.

    `confidence` is `high` for what was stated or what a device reported, `medium` where one zone
    was derived, `low` where several are plausible or nothing but the default is known.
    """

    zones: tuple[ZoneInfo, ...]  # all plausible ones, never none; the first is shown to people
    source: str  # profile, device, phone, address, workspace
    confidence: str
    country: str  # two letters, or ""
    subdivision: str  # without the country's letters, or ""


class Home(Protocol):
    """Where customers are of whom we know no better."""

    @property
    def timezone(self) -> str:
        """The name of a zone there is."""
        ...

    @property
    def country(self) -> str:
        """Two letters, or ""."""
        ...

    @property
    def locale(self) -> str:
        """Like `en-ZA`, or ""."""
        ...


class HasDefaults(Protocol):
    """A program, as far as places need it."""

    @property
    def defaults(self) -> Home:
        """What holds where nothing else is known."""
        ...


class _Clues(NamedTuple):
    """All that a place is told from, as the profile and the program have it."""

    timezone: str
    device: str
    phone: str
    countries: tuple[str, str]
    subdivisions: tuple[str, str, str, str, str]
    default_timezone: str
    default_country: str


class _Line(NamedTuple):
    """What the phone number tells: its country, the zones it leaves open, its state."""

    country: str
    zones: tuple[str, ...]
    subdivision: str


def find_place(profile: Profile, program: HasDefaults) -> Place:
    """Tell where a customer is."""
    traits, defaults = profile.traits, program.defaults
    told = traits.get
    address = told("address")
    # A plain tuple: making a named one would be a fifth of the whole cost. Of most customers most
    # of this is unknown, and not even looked at.
    return _find_place(
        (
            _text(zone) if (zone := told("timezone")) else "",
            _text(profile.context_timezone),
            _text(phone) if (phone := told("phone")) else "",
            (
                _text(country) if (country := told("country")) else "",
                _field(address, "country") if address else "",
            ),
            (
                _text(state) if (state := told("state")) else "",
                _text(region) if (region := told("region")) else "",
                _text(part) if (part := told("subdivision")) else "",
                _field(address, "state") if address else "",
                _field(address, "region") if address else "",
            ),
            defaults.timezone,
            defaults.country,
        )
    )


def _field(address: object, name: str) -> str:
    return _text(cast("dict[str, object]", address).get(name)) if isinstance(address, dict) else ""


def _text(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= _TEXT_LENGTH_MAX else ""


@lru_cache(_PLACES_MAX)
def _find_place(
    told: tuple[str, str, str, tuple[str, str], tuple[str, str, str, str, str], str, str],
) -> Place:
    clues = _Clues(*told)
    stated = _first(country_code(text) for text in clues.countries)
    own_zone, source = _own_zone(clues)
    own_country = zone_country(own_zone.key) if own_zone is not None else ""
    line = _read_phone(clues.phone, stated or clues.default_country)
    country = stated or line.country or own_country or clues.default_country
    part = _first(subdivision_code(country, text) for text in clues.subdivisions)
    subdivision = part or (line.subdivision if line.country == country else "")
    if own_zone is not None:
        return Place((own_zone,), source, HIGH, country, subdivision)
    names, source = _derive_zones(line, country, part, stated=bool(stated))
    if not names:
        names = (clues.default_timezone,)
    confidence = MEDIUM if len(names) == 1 and source != WORKSPACE else LOW
    return Place(_load_zones(names), source, confidence, country, subdivision)


def _own_zone(clues: _Clues) -> tuple[ZoneInfo | None, str]:
    """Find the zone that was stated, else the one the device reported."""
    stated = find_zone(clues.timezone)
    return (stated, PROFILE) if stated is not None else (find_zone(clues.device), DEVICE)


def _read_phone(phone: str, home: str) -> _Line:
    """Read the number; the zones of a whole country come in the order of that country's."""
    country, subdivision = phone_country(phone, home), phone_subdivision(phone, home)
    zones = phone_zones(phone, home)
    if not subdivision:
        order = {name: rank for rank, name in enumerate(zones_of(country or home))}
        zones = tuple(sorted(zones, key=lambda name: order.get(name, len(order))))
    return _Line(country, zones, subdivision)


def _first(codes: Iterable[str]) -> str:
    """Give the first code that something was read as."""
    return next((code for code in codes if code), "")


def _derive_zones(
    line: _Line, country: str, part: str, *, stated: bool
) -> tuple[tuple[str, ...], str]:
    """Name the zones that number or address leave open, and which of the two told them."""
    address = zones_of(country, part) if stated or part else ()
    if len(line.zones) > 1 and part and line.country in ("", country):
        return address, ADDRESS
    if line.zones:
        home = line.country or country  # a calling code may serve several countries
        within = tuple(name for name in line.zones if zone_country(name) == home)
        return within or line.zones, PHONE
    return (address, ADDRESS) if address else ((), WORKSPACE)


def _load_zones(names: Sequence[str]) -> tuple[ZoneInfo, ...]:
    """Load the zones, each once."""
    zones = tuple(dict.fromkeys(zone for zone in map(find_zone, names) if zone is not None))
    assert zones  # the checker refuses a workspace with an unknown default
    return zones
