"""A workspace's own rules about what comes in."""

from typing import Any

import msgspec
import pytest

from engine.events import Event, Receipt
from engine.intake.clocks import Envelope
from engine.intake.item import read_item
from engine.intake.mapping import take_in
from engine.program.compile import compile_source

NOW = 1_772_452_800_000
RULES = [
    {
        "event": ["basket_add", "Basket Add"],
        "rename": "Product Added",
        "properties": {
            "sku_code": "product_id",
            "cents": {"to": "price", "times": 0.01},
            "when": {"as": "instant"},
            "gift": {"as": "boolean"},
            "size": {"as": "text"},
            "debug": {"drop": True},
        },
        "set_traits": {"favourite": "category", "never": "absent"},
    },
    {"event": "purchase", "source": "segment", "rename": "Purchase Intended"},
    {"event": "Product Viewed", "properties": {"n": {"as": "number"}}},
    {"event": "Product Viewed", "properties": {"n": "position"}},
    {"event": "Heartbeat", "drop": True},
    {"event": "Identified", "properties": {"mail": "email"}, "set_traits": {"address": "email"}},
    {"event": "Page Viewed", "source": ["stream", "customerio"], "drop": True},
]
MAPPINGS = compile_source({"workspace": "w", "mapping": RULES}).mappings


def take(
    call: dict[str, Any], source: str = "segment", oddities: list[str] | None = None
) -> Event | Receipt | None:
    whole = {"type": "track", "userId": "u", "messageId": "m", "event": "basket_add", **call}
    envelope = Envelope(NOW, source=source, oddities=[] if oddities is None else oddities)
    return take_in(read_item(msgspec.json.encode(whole), []), envelope, MAPPINGS)


def event(call: dict[str, Any], source: str = "segment") -> Event:
    taken = take(call, source)
    assert isinstance(taken, Event)
    return taken


def test_an_event_and_its_properties_are_renamed_converted_and_left_out() -> None:
    given = {
        "sku_code": "p1",
        "cents": 115,
        "when": 1_772_452_800,
        "gift": "yes",
        "size": 42,
        "debug": {"x": 1},
        "category": "shoes",
        "other": None,
    }
    taken = event({"properties": given})
    assert taken.name == "Product Added"
    assert taken.properties == {
        "product_id": "p1",
        "price": 1.15,
        "when": "2026-03-02T12:00:00Z",
        "gift": True,
        "size": "42",
        "category": "shoes",
        "other": None,
    }
    assert taken.traits == {"favourite": "shoes"}


def test_what_cannot_be_converted_stays_and_is_odd() -> None:
    oddities: list[str] = []
    given = {"cents": "many", "when": "soon", "gift": "maybe", "size": [1]}
    taken = take({"properties": given}, oddities=oddities)
    assert isinstance(taken, Event)
    assert taken.properties == {"price": "many", "when": "soon", "gift": "maybe", "size": [1]}
    assert oddities == ["mapping"] * 4 + ["price"]


def test_a_rule_is_found_by_the_name_that_is_sent_and_then_by_the_one_that_is_known() -> None:
    assert event({"event": "purchase"}).name == "Purchase Intended"
    assert event({"event": "Completed Order"}).name == "Order Completed"
    seen = event({"event": "view_item", "properties": {"n": "3"}})
    assert (seen.name, seen.properties) == ("Product Viewed", {"position": 3})


def test_a_rule_may_be_for_some_ways_in_only() -> None:
    assert event({"event": "purchase"}, "customerio").name == "Order Completed"
    assert event({"type": "page"}).name == "Page Viewed"
    assert take({"type": "page"}, "stream") is None


def test_an_event_that_is_left_out_is_counted() -> None:
    oddities: list[str] = []
    assert take({"event": "Heartbeat"}, oddities=oddities) is None
    assert oddities == ["dropped"]


def test_what_a_call_says_of_consent_is_never_left_out() -> None:
    said = [{"purpose": "marketing", "status": "withdrawn"}]
    taken = event({"event": "Heartbeat", "context": {"consent": said}})
    assert [one.status.value for one in taken.consents] == ["withdrawn"]


@pytest.mark.parametrize("place", ["traits", "context"])
def test_the_traits_of_an_identify_call_are_its_properties(place: str) -> None:
    traits = {"mail": "ana@example.com", "plan": "free"}
    told = {"traits": traits} if place == "traits" else {"context": {"traits": traits}}
    taken = event({"type": "identify", **told})
    assert taken.traits == {
        "email": "ana@example.com",
        "plan": "free",
        "address": "ana@example.com",
    }


def test_what_no_rule_names_comes_in_as_it_is() -> None:
    assert event({"event": "Clicked", "properties": {"cents": 1}}).properties == {"cents": 1}
    receipt = {"type": "receipt", "message": "m_1", "status": "opened"}
    assert isinstance(take(receipt), Receipt)
