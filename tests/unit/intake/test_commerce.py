"""The properties of e-commerce events: one name and one type each."""

from typing import Any

import msgspec
import pytest

from engine.events import Event
from engine.intake.clocks import Envelope
from engine.intake.commerce import read_currency, read_number, settle_commerce
from engine.intake.item import read_item
from engine.intake.normalise import normalise

NOW = 1_772_452_800_000


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (7, 7),
        (7.5, 7.5),
        ("1299", 1299),
        ("-3.5", -3.5),
        ("1.299", 1.299),
        ("1,299.00", 1299.0),
        ("1.299,00", 1299.0),
        ("1,234,567", 1_234_567),
        ("1.234.567", 1_234_567),
        ("1 299,00", 1299.0),
        ("1\u00a0299", 1299),
        ("1'299.50", 1299.5),
        ("12,50", 12.5),
        ("0,299", 0.299),
        ("€ 12.50", 12.5),
        ("12,50 €", 12.5),
        ("$1,299.00", 1299.0),
    ],
)
def test_an_amount_that_can_mean_one_thing_is_a_number(written: object, meant: float) -> None:
    assert read_number(written) == meant


@pytest.mark.parametrize(
    "written",
    [
        "1,299",
        "12 34",
        "1,2,3",
        "--3",
        "- 5",
        "5e3",
        "abc",
        "",
        "R12",
        "0x10",
        "Infinity",
        True,
        [],
    ],
)
def test_what_can_mean_two_things_or_none_is_no_number(written: object) -> None:
    assert read_number(written) is None


@pytest.mark.parametrize(
    ("written", "code"),
    [("ZAR", "ZAR"), ("zar", "ZAR"), (" eur ", "EUR"), ("XYZ", None), ("$", None), (710, None)],
)
def test_currencies_are_those_of_iso_4217(written: object, code: str | None) -> None:
    assert read_currency(written) == code


def settle(properties: dict[str, Any], name: str = "Order Completed") -> tuple[object, list[str]]:
    oddities: list[str] = []
    before = msgspec.json.encode(properties)
    settled = settle_commerce(name, properties, oddities)
    assert msgspec.json.encode(properties) == before  # what was given is left alone
    return settled, oddities


def test_amounts_currency_and_products_get_one_type() -> None:
    given = {
        "total": "1,299.00",
        "currency": "zar",
        "coupon": "1,5",
        "products": [{"product_id": "a", "price": "649,50", "quantity": "2"}, "odd"],
    }
    assert settle(given) == (
        {
            "total": 1299.0,
            "currency": "ZAR",
            "coupon": "1,5",
            "products": [{"product_id": "a", "price": 649.5, "quantity": 2}, "odd"],
        },
        [],
    )


def test_what_cannot_be_read_stays_as_written_and_is_odd() -> None:
    given = {
        "total": "1,299",
        "currency": "bitcoin",
        "tax": None,
        "products": [{"price": "cheap"}],
    }
    assert settle(given) == (given, ["total", "currency", "price"])
    assert settle({"products": "a,b"}) == ({"products": "a,b"}, ["products"])


def test_where_nothing_needs_to_change_nothing_is_copied() -> None:
    given = {"total": 5, "currency": "EUR", "products": [{"price": 5.0}], "note": "x"}
    assert settle_commerce("Order Completed", given, []) is given


def test_names_of_ga4_become_those_of_segment() -> None:
    given = {
        "transaction_id": "t1",
        "value": 20,
        "items": [{"item_id": "a", "item_name": "A", "index": 0, "price": "10"}],
    }
    assert settle(given) == (
        {
            "order_id": "t1",
            "value": 20,
            "products": [{"product_id": "a", "name": "A", "position": 0, "price": 10}],
        },
        [],
    )


def test_a_property_under_both_names_keeps_both() -> None:
    given = {"order_id": "o", "transaction_id": "t", "item_id": "i", "productId": "p"}
    assert settle(given) == (
        {"order_id": "o", "transaction_id": "t", "product_id": "i", "productId": "p"},
        [],
    )


def test_an_event_of_one_product_names_the_one_ga4_lists() -> None:
    settled, _ = settle({"items": [{"item_id": "a", "price": "9,90"}]}, "Product Added")
    assert settled == {
        "product_id": "a",
        "price": 9.9,
        "products": [{"product_id": "a", "price": 9.9}],
    }
    several = {"items": [{"item_id": "a"}, {"item_id": "b"}]}
    assert settle(several, "Product Added")[0] == {
        "products": [{"product_id": "a"}, {"product_id": "b"}]
    }


def take(event: str, oddities: list[str]) -> Event:
    call = {"type": "track", "userId": "u", "messageId": "m", "event": event}
    raw = msgspec.json.encode(call | {"properties": {"price": "12,50", "items": 3}})
    given = normalise(read_item(raw, []), Envelope(NOW, oddities=oddities))
    assert isinstance(given, Event)
    return given


def test_only_events_of_a_shop_are_looked_at() -> None:
    oddities: list[str] = []
    assert take("Lecture Attended", oddities).properties == {"price": "12,50", "items": 3}
    assert oddities == []
    shopped = take("add_to_cart", oddities)
    assert (shopped.name, shopped.properties["price"]) == ("Product Added", 12.5)
    assert oddities == ["products"]
