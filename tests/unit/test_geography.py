"""Countries and their parts: what people call them, and which clocks are kept there."""

from importlib import resources

import pytest
import tzdata
from holidays import list_supported_countries

from engine.geography import country_code, subdivision_code, zone_country, zones_of
from engine.instants import HOUR_MS, parse_instant
from engine.localtime import stretch_at, zone

NONSENSE: list[object] = [
    None,
    7,
    1.5,
    True,
    [],
    {},
    "",
    " ",
    "ZZ",
    "Atlantis",
    "x" * 10_000,
    "\x00",
    "\ud800",
]


def tab(file: str) -> list[list[str]]:
    text = resources.files(tzdata).joinpath("zoneinfo", file).read_text("utf-8")
    return [line.split("\t") for line in text.splitlines() if not line.startswith("#")]


COUNTRIES = [code for code, _ in tab("iso3166.tab")]


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("ZA", "ZA"),
        ("za", "ZA"),
        (" ZAF ", "ZA"),
        ("South Africa", "ZA"),
        ("germany", "DE"),
        ("Côte d\u2019Ivoire", "CI"),
        ("cote d'ivoire", "CI"),
        ("USA", "US"),
        ("U.S.A.", "US"),
        ("United States of America", "US"),
        ("UK", "GB"),
        ("United Kingdom", "GB"),
        ("South Korea", "KR"),
        ("Bosnia and Herzegovina", "BA"),
        ("Türkiye", "TR"),
        ("Kosovo", "XK"),
    ],
)
def test_a_country_is_read_as_people_write_it(written: str, code: str) -> None:
    assert country_code(written) == code


@pytest.mark.parametrize("value", NONSENSE, ids=lambda value: ascii(value)[:20])
def test_what_names_no_place_is_unknown(value: object) -> None:
    assert country_code(value) == ""
    assert subdivision_code("US", value) == ""
    assert subdivision_code("", value) == ""
    assert subdivision_code("ZZ", value) == ""


def test_every_country_there_is_is_known_by_code_and_name() -> None:
    for code, name in tab("iso3166.tab"):
        assert country_code(code) == country_code(name) == code
    for code in list_supported_countries(include_aliases=False):
        assert country_code(code.lower()) == code


@pytest.mark.parametrize(
    ("country", "written", "code"),
    [
        ("US", "CA", "CA"),
        ("US", "us-ca", "CA"),
        ("US", "california", "CA"),
        ("US", "NEW YORK", "NY"),
        ("US", "District of Columbia", "DC"),
        ("CA", "Québec", "QC"),
        ("CA", "quebec", "QC"),
        ("CA", "CA-ON", "ON"),
        ("AU", "New South Wales", "NSW"),
        ("AU", "vic", "VIC"),
        ("BR", "Sao Paulo", "SP"),
        ("MX", "Jalisco", "JAL"),
        ("RU", "kgd", "KGD"),
        ("FR", "57", "57"),
        ("FR", "FR-57", "57"),
        ("FR", "Bas-Rhin", "6AE"),
        ("DE", "by", "BY"),
        ("DE", "CA", ""),
        ("ZA", "WC", ""),
        ("", "CA", ""),
    ],
)
def test_a_subdivision_is_read_as_people_write_it(country: str, written: str, code: str) -> None:
    assert subdivision_code(country, written) == code


def test_every_subdivision_the_holidays_know_is_known() -> None:
    for country, codes in list_supported_countries(include_aliases=False).items():
        for code in codes:
            assert subdivision_code(country, code) == code


@pytest.mark.parametrize(
    ("country", "subdivision", "zones"),
    [
        ("ZA", "", ("Africa/Johannesburg",)),
        ("DE", "", ("Europe/Berlin",)),
        ("DE", "BY", ("Europe/Berlin",)),
        ("US", "CA", ("America/Los_Angeles",)),
        ("US", "TN", ("America/Chicago", "America/New_York")),
        ("CA", "QC", ("America/Toronto", "America/Halifax", "America/Blanc-Sablon")),
        ("AU", "QLD", ("Australia/Brisbane",)),
        ("BR", "AM", ("America/Manaus", "America/Eirunepe")),
        ("ES", "CN", ("Atlantic/Canary",)),
        ("RU", "KGD", ("Europe/Kaliningrad",)),
        ("ZZ", "", ()),
        ("", "", ()),
        ("", "CA", ()),
    ],
)
def test_a_place_has_its_zones(country: str, subdivision: str, zones: tuple[str, ...]) -> None:
    assert zones_of(country, subdivision) == zones


@pytest.mark.parametrize(
    ("country", "main"),
    [
        ("US", "America/New_York"),
        ("CA", "America/Toronto"),
        ("AU", "Australia/Sydney"),
        ("BR", "America/Sao_Paulo"),
        ("RU", "Europe/Moscow"),
        ("MX", "America/Mexico_City"),
        ("ID", "Asia/Jakarta"),
        ("KZ", "Asia/Almaty"),
    ],
)
def test_the_zone_most_people_live_by_is_the_first(country: str, main: str) -> None:
    assert zones_of(country)[0] == main


def test_every_zone_is_one_of_its_country_and_known() -> None:
    for country in [*COUNTRIES, "XK"]:
        for part in ["", *parts(country)]:
            for name in zones_of(country, part):
                assert zone(name) is not None
                territory = country == "US" and part in {"AS", "GU", "MP", "PR", "UM", "VI"}
                assert zone_country(name) == (
                    part if territory else "RS" if country == "XK" else country
                )


def parts(country: str) -> list[str]:
    """Name subdivisions of a country, all of them where the library has them."""
    known = list_supported_countries(include_aliases=False).get(country, [])
    russia = ["AL", "AMU", "KGD", "SA", "SAK", "CHU", "ZAB", "KIR"]
    mexico = ["BCN", "CHH", "COA", "NAY", "ROO", "SON", "YUC"]
    return [*known, *(russia if country == "RU" else mexico if country == "MX" else [])]


@pytest.mark.slow
def test_a_zone_that_is_left_out_keeps_the_time_of_one_that_is_listed() -> None:
    instants = range(parse_instant("2020-01-01T00:00:00Z"), parse_instant("2038-01-01T00:00:00Z"))
    probes = instants[:: 24 * HOUR_MS]

    def offsets(name: str) -> tuple[int, ...]:
        found = zone(name)
        assert found is not None
        return tuple(stretch_at(found, at)[0] for at in probes)

    for country, _, name, *_ in tab("zone.tab"):
        if name not in zones_of(country) and name != "Antarctica/Macquarie":
            assert offsets(name) in [offsets(listed) for listed in zones_of(country)], name


def test_every_zone_but_utc_belongs_to_one_country() -> None:
    names = resources.files(tzdata).joinpath("zones").read_text("ascii").split()
    without = [name for name in names if zone(name) is not None and not zone_country(name)]
    assert without == ["Etc/UTC", "UTC"]
    assert zone_country("Asia/Calcutta") == "IN"
    assert zone_country("Africa/Timbuktu") == "ML"
    assert zone_country("GMT+0000") == ""
