"""What events are told of the items they name."""

from typing import Any

import pytest

from engine.events import Event, EventKind
from engine.intake.catalogue import write_fields
from engine.intake.enrich import enrich
from engine.limits import CATALOGUE_ITEM_BYTES_MAX, ENRICH_BYTES_MAX, ENRICH_LIST_MAX
from engine.program.catalogue import CatalogueKindSpec, compile_joins

SHOES = {"title": "Trail shoes", "price": 89.5, "category": "shoes", "currency": "ZAR", "margin": 1}
ITEMS: dict[tuple[str, str], dict[str, Any]] = {
    ("products", "p1"): SHOES,
    ("products", "12"): {"title": "Socks", "price": 5},
    ("stores", "s1"): {"name": "Harbour", "city": "Cape Town"},
    ("content", "c1"): {"title": "How to lace"},
    ("brands", "b1"): {"name": "Fells"},
}
BODIES = {key: write_fields(fields) for key, fields in ITEMS.items()}
JOINS = compile_joins({})


def find(kind: str, item: str) -> bytes | None:
    return BODIES.get((kind, item))


def event(**properties: Any) -> Event:
    return Event("m1", EventKind.TRACK, "Product Added", "u1", None, 1, 1, properties=properties)


def told(**properties: Any) -> dict[str, Any]:
    return enrich(event(**properties), JOINS, find).properties


def test_an_event_gets_the_item_and_the_fields_it_lacks() -> None:
    assert told(product_id="p1", quantity=2) == {
        "product_id": "p1",
        "quantity": 2,
        "price": 89.5,
        "category": "shoes",
        "currency": "ZAR",
        "product": {"id": "p1", **SHOES},
    }


def test_what_an_event_says_itself_wins_in_every_field() -> None:
    said = told(product_id="p1", price=70, category=None, product={"price": 70, "title": None})
    assert said["price"] == 70
    assert said["category"] == "shoes"
    assert said["product"] == {"id": "p1", **SHOES, "price": 70}


def test_the_price_of_the_catalogue_is_there_beside_the_one_that_was_paid() -> None:
    said = told(product_id="p1", price=70)
    assert (said["price"], said["product"]["price"]) == (70, 89.5)


def test_a_property_that_is_no_object_is_left_as_it_is() -> None:
    assert told(product_id="p1", product="shoe")["product"] == "shoe"


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"price": 5},
        {"product_id": "unknown"},
        {"product_id": None},
        {"product_id": ["p1"]},
        {"product_id": True},
        {"product_id": "p" * 1_000},
        {"products": "p1"},
        {"products": [1, "p1", None, {"product_id": "unknown"}]},
        {"product": {"name": "shoe"}},
    ],
)
def test_an_event_that_names_nothing_known_is_the_very_same_event(
    properties: dict[str, Any],
) -> None:
    given = event(**properties)
    assert enrich(given, JOINS, find) is given


def test_the_first_key_that_is_known_counts() -> None:
    assert told(product_id="unknown", sku="p1")["product"]["title"] == "Trail shoes"
    assert told(sku="p1", product_id="12")["product"]["title"] == "Socks"


@pytest.mark.parametrize("given", [12, 12.0, "12"])
def test_an_id_is_what_it_looks_like(given: object) -> None:
    assert told(product_id=given)["product"]["id"] == "12"


def test_an_item_may_be_named_within_the_property_it_goes_to() -> None:
    assert told(product={"id": "p1", "price": 1})["product"] == {**SHOES, "id": "p1", "price": 1}
    assert told(product={"sku": "p1"})["category"] == "shoes"


def test_elements_of_a_list_get_what_they_lack_and_the_event_gets_nothing() -> None:
    said = told(products=[{"product_id": "p1", "price": 80}, "odd", {"sku": 12}], revenue=85)
    assert said == {
        "revenue": 85,
        "products": [
            {"id": "p1", **SHOES, "product_id": "p1", "price": 80},
            "odd",
            {"id": "12", "sku": 12, "title": "Socks", "price": 5},
        ],
    }


def test_stores_and_content_go_to_places_of_their_own() -> None:
    said = told(store_id="s1", content_id="c1")
    assert said["store"] == {"id": "s1", "name": "Harbour", "city": "Cape Town"}
    assert said["content"] == {"id": "c1", "title": "How to lace"}
    assert "city" not in said


def test_the_given_event_is_not_changed() -> None:
    given = event(product_id="p1", products=[{"product_id": "p1"}])
    enrich(given, JOINS, find)
    assert given.properties == {"product_id": "p1", "products": [{"product_id": "p1"}]}


def test_telling_an_event_twice_changes_nothing_more() -> None:
    once = enrich(event(product_id="p1", products=[{"sku": "p1"}], store_id="s1"), JOINS, find)
    assert enrich(once, JOINS, find) == once


def test_a_workspace_says_by_which_properties_items_are_named_and_where_they_go() -> None:
    joins = compile_joins(
        {
            "products": CatalogueKindSpec(key="article", as_="item", fill=("title",), list="lines"),
            "brands": CatalogueKindSpec(),
        }
    )
    given = event(article="p1", lines=[{"article": "12"}], brands_id="b1", product_id="p1")
    said = enrich(given, joins, find).properties
    assert said["item"] == {"id": "p1", **SHOES}
    assert said["title"] == "Trail shoes"
    assert said["lines"] == [{"id": "12", "article": "12", "title": "Socks", "price": 5}]
    assert said["brands"] == {"id": "b1", "name": "Fells"}
    assert "price" not in said


def test_what_an_event_is_told_is_bounded_in_bytes_and_in_elements() -> None:
    big = write_fields({"text": "x" * (CATALOGUE_ITEM_BYTES_MAX - 20)})
    given = event(products=[{"sku": "a"} for _ in range(10)])
    said = enrich(given, JOINS, lambda _kind, _item: big).properties["products"]
    assert sum("text" in one for one in said) == ENRICH_BYTES_MAX // len(big)
    small = write_fields({"title": "x"})
    many = event(products=[{"sku": "a"} for _ in range(ENRICH_LIST_MAX + 5)])
    said = enrich(many, JOINS, lambda _kind, _item: small).properties["products"]
    assert [one.get("title") for one in said] == ["x"] * ENRICH_LIST_MAX + [None] * 5
