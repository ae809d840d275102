"""Where a customer is: which zones, from where we have them, and how sure we are."""

from typing import Any

import pytest

from engine.localtime import zone
from engine.place import Place, find_place
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.program.program import Program


def program(**defaults: str) -> Program:
    return compile_source(
        {
            "workspace": "places",
            "defaults": defaults,
            "channels": {"inbox": {"adapter": "inbox"}},
            "message_types": {"promo": {"purpose": "marketing", "channels": ["inbox"]}},
            "messages": {"a": {"type": "promo", "content": {"inbox": {"body": "b"}}}},
            "journeys": {"j": {"trigger": {"event": "A"}, "steps": [{"send": "a", "id": "s"}]}},
        }
    )


SOUTH_AFRICA = program(timezone="Africa/Johannesburg", country="ZA")
UNITED_STATES = program(timezone="America/New_York", country="US")


def located(device: str = "", workspace: Program = SOUTH_AFRICA, **traits: Any) -> Place:
    return find_place(Profile("u1", traits=traits, context_timezone=device), workspace)


def names(place: Place) -> list[str]:
    return [zone.key for zone in place.zones]


def told(place: Place) -> tuple[list[str], str, str, str, str]:
    return names(place), place.source, place.confidence, place.country, place.subdivision


def test_a_stated_zone_is_believed_first() -> None:
    place = located("Asia/Tokyo", timezone="Europe/Paris", phone="+4915112345678")
    assert told(place) == (["Europe/Paris"], "profile", "high", "DE", "")


def test_a_devices_zone_is_believed_before_a_phone_number() -> None:
    place = located("Asia/Tokyo", phone="+4915112345678")
    assert told(place) == (["Asia/Tokyo"], "device", "high", "DE", "")


def test_a_german_number_in_a_south_african_workspace_is_in_berlin() -> None:
    place = located(phone="+4915112345678")
    assert told(place) == (["Europe/Berlin"], "phone", "medium", "DE", "")


def test_a_national_number_is_one_of_the_stated_country_else_of_the_workspaces() -> None:
    place = located(phone="0821234567")
    assert told(place) == (["Africa/Johannesburg"], "phone", "medium", "ZA", "")
    place = located(phone="0151 12345678", country="Germany")
    assert told(place) == (["Europe/Berlin"], "phone", "medium", "DE", "")


def test_a_new_york_number_tells_zone_and_state() -> None:
    place = located(phone="+12125551234")
    assert told(place) == (["America/New_York"], "phone", "medium", "US", "NY")


def test_a_toll_free_number_leaves_every_zone_of_its_country_open() -> None:
    place = located(phone="+18005551234")
    assert {"America/New_York", "America/Los_Angeles", "Pacific/Honolulu"} <= set(names(place))
    assert "Pacific/Guam" not in names(place)
    assert names(place)[0] == "America/New_York"
    assert told(place)[1:] == ("phone", "low", "US", "")


def test_a_mobile_number_without_areas_shows_the_zone_most_people_live_by() -> None:
    place = located(phone="+61412345678")
    assert names(place)[0] == "Australia/Sydney"
    assert "Australia/Perth" in names(place)
    assert "Indian/Christmas" not in names(place)
    assert place.confidence == "low"


def test_an_area_code_with_several_clocks_shows_the_one_most_people_there_live_by() -> None:
    place = located(phone="+12705551234")
    zones = ["America/Chicago", "America/New_York"]
    assert told(place) == (zones, "phone", "low", "US", "KY")


def test_an_address_says_where_in_its_country_a_number_without_areas_is() -> None:
    place = located(phone="+61412345678", address={"country": "AU", "state": "Queensland"})
    assert told(place) == (["Australia/Brisbane"], "address", "medium", "AU", "QLD")


def test_an_address_does_not_overrule_a_number_of_one_zone() -> None:
    place = located(phone="+12125551234", address={"country": "US", "state": "CA"})
    assert told(place) == (["America/New_York"], "phone", "medium", "US", "CA")


def test_a_number_whose_country_we_do_not_know_leaves_all_zones_of_its_code_open() -> None:
    place = located(phone="+15551234567")
    assert len(place.zones) > 30
    assert told(place)[1:] == ("phone", "low", "ZA", "")
    place = located(workspace=UNITED_STATES, phone="+15551234567")
    assert names(place)[:2] == ["America/New_York", "America/Chicago"]
    assert len(place.zones) < 15


@pytest.mark.parametrize(
    ("traits", "zones", "confidence", "country", "subdivision"),
    [
        ({"country": "DE"}, ["Europe/Berlin"], "medium", "DE", ""),
        ({"address": {"country": "germany"}}, ["Europe/Berlin"], "medium", "DE", ""),
        ({"country": "US", "state": "CA"}, ["America/Los_Angeles"], "medium", "US", "CA"),
        ({"country": "USA", "region": "Texas"}, ["America/Chicago", "America/Denver"],
         "low", "US", "TX"),
        ({"country": "AU", "subdivision": "AU-TAS"}, ["Australia/Hobart"], "medium", "AU", "TAS"),
        ({"address": {"country": "CA", "region": "Québec"}},
         ["America/Toronto", "America/Halifax", "America/Blanc-Sablon"], "low", "CA", "QC"),
        ({"country": "FR", "address": {"state": "57"}}, ["Europe/Paris"], "medium", "FR", "57"),
    ],
)  # fmt: skip
def test_an_address_tells_the_zone_where_nothing_better_does(
    traits: dict[str, Any], zones: list[str], confidence: str, country: str, subdivision: str
) -> None:
    expected = (zones, "address", confidence, country, subdivision)
    assert told(located(**traits)) == expected


def test_a_state_alone_is_one_of_the_workspaces_country() -> None:
    place = located(workspace=UNITED_STATES, state="California")
    assert told(place) == (["America/Los_Angeles"], "address", "medium", "US", "CA")
    assert told(located(state="California"))[1:] == ("workspace", "low", "ZA", "")


def test_of_someone_unknown_we_know_the_workspaces_default_only() -> None:
    assert told(located()) == (["Africa/Johannesburg"], "workspace", "low", "ZA", "")


def test_a_zone_tells_the_country_where_neither_address_nor_number_does() -> None:
    assert located(timezone="Asia/Calcutta").country == "IN"
    assert located("Europe/Berlin").country == "DE"
    assert located("UTC").country == "ZA"
    assert located(timezone="Europe/Berlin", country="FR").country == "FR"


def test_a_stated_state_goes_before_the_area_code() -> None:
    place = located(timezone="America/Denver", phone="+12125551234", state="CO")
    assert told(place) == (["America/Denver"], "profile", "high", "US", "CO")
    assert located(phone="+12125551234", country="DE").subdivision == ""


@pytest.mark.parametrize("stated", ["GMT+0000", "EST", "+02:00", "", "europe/berlin", 7, None, []])
def test_a_malformed_zone_is_passed_over(stated: object) -> None:
    place = located("GMT+0000", timezone=stated, phone="+4915112345678")
    assert told(place) == (["Europe/Berlin"], "phone", "medium", "DE", "")


@pytest.mark.parametrize(
    "junk",
    [None, 0, 1.5, True, [], {}, ["DE"], {"a": 1}, "", "\x00", "\ud800", "x" * 9_999, float("nan")],
    ids=lambda junk: ascii(junk)[:16],
)
def test_malformed_traits_are_passed_over(junk: object) -> None:
    keys = ("timezone", "phone", "country", "state", "region", "subdivision", "address")
    traits: dict[str, Any] = dict.fromkeys(keys, junk)
    assert told(located(**traits))[1:] == ("workspace", "low", "ZA", "")
    fields = dict.fromkeys(("country", "state", "region"), junk)
    place = located(address=fields, country=junk, phone=junk)
    assert told(place)[1:] == ("workspace", "low", "ZA", "")


def test_a_malformed_country_gives_way_to_the_addresss() -> None:
    place = located(country="Atlantis", address={"country": "DE"})
    assert told(place) == (["Europe/Berlin"], "address", "medium", "DE", "")


def test_a_workspace_without_a_country_has_customers_without_one() -> None:
    place = located(workspace=program(timezone="UTC"))
    assert told(place) == (["UTC"], "workspace", "low", "", "")


def test_a_place_holds_each_zone_once_as_everybody_else_does() -> None:
    place = located(phone="+18005551234")
    assert len(set(map(id, place.zones))) == len(place.zones)
    assert all(found is zone(found.key) for found in place.zones)


def test_the_same_customer_is_at_the_same_place() -> None:
    assert located(phone="+4915112345678") is located(phone="+4915112345678")
