"""What a phone number tells: country, zones, and the state of its area code."""

import tomllib
from importlib import resources

import pytest
from phonenumbers import SUPPORTED_REGIONS, PhoneNumberFormat, example_number, format_number

from engine.geography import zone_country, zones_of
from engine.instants import DAY_MS, parse_instant
from engine.localtime import stretch_at, zone
from engine.phones import phone_country, phone_subdivision, phone_zones

JUNK = [
    "",
    " ",
    "+",
    "n/a",
    "call me",
    "+49ABCDEFGH",
    "1-800-FLOWERS",
    "\x00",
    "+4915112345678\x00",
    "+4915112345678\n+4915112345678",
    "+" * 40,
    "0" * 300,
    "9" * 10_000,
    "+491",
    "+999123456789",
    "12",
    "\u202e+4915112345678",
    "\ud800",
]


@pytest.mark.parametrize(
    ("number", "country", "zones"),
    [
        ("+4915112345678", "DE", ("Europe/Berlin",)),
        ("+49 (151) 123-45678", "DE", ("Europe/Berlin",)),
        ("0821234567", "ZA", ("Africa/Johannesburg",)),
        ("27821234567", "ZA", ("Africa/Johannesburg",)),
        ("+442071234567", "GB", ("Europe/London",)),
        ("+12125551234", "US", ("America/New_York",)),
        ("+14165551234", "CA", ("America/Toronto",)),
        ("+18765551234", "JM", ("America/Jamaica",)),
        ("+74012123456", "RU", ("Europe/Kaliningrad",)),
        ("+919876543210", "IN", ("Asia/Calcutta",)),
        ("\u0660\u0668\u0662\u0661\u0662\u0663\u0664\u0665\u0666\u0667", "ZA", None),
    ],
)
def test_a_number_tells_its_country_and_zones(
    number: str, country: str, zones: tuple[str, ...] | None
) -> None:
    assert phone_country(number, "ZA") == country
    assert phone_zones(number, "ZA") == (zones or ("Africa/Johannesburg",))


def test_a_national_number_is_read_as_the_default_countrys() -> None:
    assert phone_country("0151 12345678", "DE") == "DE"
    assert phone_country("0151 12345678", "ZA") == ""
    assert phone_zones("0151 12345678", "") == ()
    assert phone_country("(212) 555-1234", "US") == "US"


@pytest.mark.parametrize("number", JUNK, ids=lambda number: ascii(number)[:24])
@pytest.mark.parametrize("country", ["ZA", "", "??", "x" * 50])
def test_what_is_no_number_tells_nothing(number: str, country: str) -> None:
    assert phone_country(number, country) == ""
    assert phone_zones(number, country) == ()
    assert phone_subdivision(number, country) == ""


def test_a_network_of_no_country_has_neither_country_nor_zone() -> None:
    assert phone_country("+80012345678", "ZA") == ""
    assert phone_zones("+80012345678", "ZA") == ()


def test_a_number_newer_than_the_library_tells_its_calling_code() -> None:
    assert phone_country("+27999999999", "US") == "ZA"
    assert phone_zones("+27999999999", "US") == ("Africa/Johannesburg",)


def test_a_toll_free_number_may_be_in_any_zone_of_its_plan() -> None:
    zones = phone_zones("+18005551234", "ZA")
    assert {"America/New_York", "America/Los_Angeles", "Pacific/Honolulu"} <= set(zones)
    assert phone_subdivision("+18005551234", "ZA") == ""


def test_a_number_several_countries_share_is_the_default_countrys() -> None:
    assert phone_country("+18005551234", "CA") == "CA"
    assert phone_country("+18005551234", "ZA") == "US"
    assert phone_country("+12125551234", "CA") == "US"


def test_a_mobile_number_without_areas_may_be_anywhere_in_the_country() -> None:
    assert {"Australia/Perth", "Australia/Sydney"} <= set(phone_zones("+61412345678", "ZA"))
    assert {"Europe/Moscow", "Asia/Kamchatka"} <= set(phone_zones("+79161234567", "ZA"))


@pytest.mark.parametrize(
    ("number", "subdivision"),
    [
        ("+12125551234", "NY"),
        ("+13105551234", "CA"),
        ("+14155552671", "CA"),
        ("+13055551234", "FL"),
        ("+12025551234", "DC"),
        ("+14165551234", "ON"),
        ("+19025551234", ""),  # Nova Scotia or Prince Edward Island
        ("+17875551234", ""),  # Puerto Rico has no states
        ("+442071234567", ""),
    ],
)
def test_an_area_code_tells_the_state(number: str, subdivision: str) -> None:
    assert phone_subdivision(number, "ZA") == subdivision


def test_an_area_with_several_clocks_keeps_them_all_whatever_the_exchange() -> None:
    assert phone_zones("+18504321234", "US") == ("America/New_York", "America/Chicago")
    assert phone_zones("+14075551234", "US") == ("America/New_York",)
    assert phone_zones("+16895551234", "US") == ("America/New_York",)  # both are Orlando


def test_every_countrys_example_number_is_that_countrys() -> None:
    for region in sorted(SUPPORTED_REGIONS):
        example = example_number(region)
        assert example is not None
        number = format_number(example, PhoneNumberFormat.E164)
        assert phone_country(number, region) == region
        for name in phone_zones(number, region):
            assert zone(name) is not None


def test_area_codes_are_told_once_with_zones_of_their_country() -> None:
    text = resources.files("engine").joinpath("data", "area_codes.toml").read_text("utf-8")
    table = tomllib.loads(text)
    areas = [code for part in ("US", "CA") for codes in table[part].values() for code in codes]
    assert len(areas) == len(set(areas)) > 380
    clocks = [code for row in table["clocks"] for code in row["codes"]]
    assert len(clocks) == len(set(clocks))
    assert set(clocks) - set(areas) == {867}  # three territories
    for row in table["clocks"]:
        for name in row["zones"]:
            assert zone(name) is not None
            assert zone_country(name) in {"US", "CA"}


def test_the_zones_of_an_area_code_are_zones_of_its_state() -> None:
    offsets: dict[str, list[str]] = {}
    text = resources.files("engine").joinpath("data", "area_codes.toml").read_text("utf-8")
    table = tomllib.loads(text)
    for country in ("US", "CA"):
        for part, codes in table[country].items():
            for code in codes:
                for name in phone_zones(f"+1{code}2345678", country):
                    if not any(_alike(name, other) for other in zones_of(country, part)):
                        offsets.setdefault(part, []).append(f"{code} {name}")
    assert offsets == {}


def _alike(name: str, other: str) -> bool:
    from_name, from_other = zone(name), zone(other)
    assert from_name is not None
    assert from_other is not None
    since = parse_instant("2024-01-15T12:00:00Z")
    months = range(since, since + 720 * DAY_MS, 30 * DAY_MS)
    return all(stretch_at(from_name, at)[0] == stretch_at(from_other, at)[0] for at in months)
