"""What the six calls of the specification become, whoever sent them."""

from typing import Any

import msgspec
import pytest

from engine.errors import InputError
from engine.events import Event, EventKind, Receipt
from engine.instants import parse_instant
from engine.intake.clocks import Envelope
from engine.intake.item import Item, read_item
from engine.intake.normalise import normalise

NOW = parse_instant("2026-03-02T12:00:00Z")


def take(value: dict[str, Any], envelope: Envelope | None = None) -> Event:
    """Normalise a call; what the test doesn't say is a track call of u1."""
    whole = {"type": "track", "event": "Clicked", "userId": "u1", "messageId": "m1", **value}
    event = _read(whole, envelope or Envelope(NOW))
    assert isinstance(event, Event)
    return event


def refused(value: dict[str, Any]) -> tuple[str, str]:
    """Normalise a call that can't be, and give code and path."""
    with pytest.raises(InputError) as caught:
        take(value)
    return caught.value.code, caught.value.path


def _read(whole: dict[str, Any], envelope: Envelope) -> Event | Receipt:
    raw = msgspec.json.encode({k: v for k, v in whole.items() if v != "absent"})
    return normalise(read_item(raw, envelope.oddities), envelope)


def test_a_track_call_keeps_its_name_and_properties() -> None:
    event = take({"event": "Order Completed", "properties": {"revenue": 30.5, "lines": [1]}})
    assert event == Event(
        "m1",
        EventKind.TRACK,
        "Order Completed",
        "u1",
        None,
        NOW,
        NOW,
        properties={"revenue": 30.5, "lines": [1]},
    )


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("identify", "Identified"),
        ("page", "Page Viewed"),
        ("screen", "Screen Viewed"),
        ("group", "Group Joined"),
        ("alias", "Alias Linked"),
    ],
)
def test_a_call_without_a_name_of_its_own_is_called_by_its_kind(kind: str, name: str) -> None:
    event = take({"type": kind})
    assert (event.kind.value, event.name) == (kind, name)


@pytest.mark.parametrize("kind", ["page", "screen"])
def test_the_name_and_category_of_a_page_may_be_outside_its_properties(kind: str) -> None:
    outside = take({"type": kind, "name": "Home", "category": "Docs", "properties": {"v": 1}})
    inside = take({"type": kind, "properties": {"v": 1, "name": "Home", "category": "Docs"}})
    assert outside == inside
    assert inside.properties == {"v": 1, "name": "Home", "category": "Docs"}


def test_a_group_call_says_which_group_and_its_traits_are_not_the_customers() -> None:
    event = take(
        {
            "type": "group",
            "groupId": 7,
            "traits": {"name": "Initech"},
            "context": {"traits": {"email": "a@b.c"}},
        }
    )
    assert event.properties == {"groupId": "7"}
    assert event.traits == {"name": "Initech"}


def test_an_alias_links_the_id_it_had_before() -> None:
    event = take({"type": "alias", "previousId": "anon-9"})
    assert (event.user, event.anonymous) == ("u1", "anon-9")
    assert event.properties == {"previousId": "anon-9"}


@pytest.mark.parametrize("ids", [{}, {"anonymousId": "a-1"}, {"userId": ""}])
def test_an_alias_says_whose_the_id_is_now(ids: dict[str, Any]) -> None:
    said = {"type": "alias", "userId": None, "previousId": "anon-9", **ids}
    assert refused(said) == ("no_user_id", "userId")


def test_traits_may_stand_in_the_context() -> None:
    in_context = take({"type": "identify", "context": {"traits": {"plan": "pro"}}})
    at_root = take({"type": "identify", "traits": {"plan": "pro"}})
    assert in_context == at_root


def test_traits_at_the_root_win_over_those_in_the_context() -> None:
    event = take({"type": "identify", "traits": {"a": 1}, "context": {"traits": {"a": 2, "b": 3}}})
    assert event.traits == {"a": 1, "b": 3}


def test_traits_in_the_context_must_be_an_object() -> None:
    assert refused({"context": {"traits": "x"}}) == ("invalid_type", "context.traits")


@pytest.mark.parametrize(
    ("said", "meant"),
    [("u1", "u1"), (42, "42"), (42.0, "42"), (4.5, "4.5"), (10**30, "1" + "0" * 30)],
)
def test_an_id_may_be_a_number(said: object, meant: str) -> None:
    assert take({"userId": said}).user == meant


def test_an_anonymous_customer_needs_no_user_id() -> None:
    event = take({"userId": None, "anonymousId": "a-1"})
    assert (event.user, event.anonymous) == (None, "a-1")


@pytest.mark.parametrize("empty", [None, "", "absent"])
def test_somebody_must_have_done_it(empty: object) -> None:
    assert refused({"userId": empty, "anonymousId": empty}) == ("no_user_anon_id", "userId")


def test_an_email_alone_does_not_say_who_it_was() -> None:
    assert refused({"userId": None, "email": "a@b.c"}) == ("no_user_anon_id", "userId")


@pytest.mark.parametrize("field", ["userId", "anonymousId", "messageId"])
def test_an_id_has_a_length(field: str) -> None:
    assert take({field: "x" * 256}).kind is EventKind.TRACK
    assert refused({field: "x" * 257}) == ("id_too_long", field)


@pytest.mark.parametrize("name", [None, "", "absent"])
def test_a_track_call_says_what_was_done(name: object) -> None:
    assert refused({"event": name}) == ("no_event_name", "event")


def test_a_name_has_a_length() -> None:
    assert refused({"event": "x" * 257}) == ("name_too_long", "event")


@pytest.mark.parametrize("kind", ["", "Track", "delete", "absent"])
def test_a_call_says_which_it_is(kind: str) -> None:
    assert refused({"type": kind}) == ("unknown_type", "type")


def test_the_address_says_which_call_it_is() -> None:
    assert take({"type": "absent"}, Envelope(NOW, kind="track")).kind is EventKind.TRACK
    assert take({"type": "track"}, Envelope(NOW, kind="page")).kind is EventKind.PAGE


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("properties", "x"),
        ("properties", [1]),
        ("traits", 1),
        ("context", "x"),
        ("event", 7),
        ("type", 7),
        ("userId", True),
        ("userId", {"id": 1}),
        ("anonymousId", ["a"]),
        ("timestamp", {}),
    ],
)
def test_a_wrong_type_is_named_with_its_place(field: str, value: object) -> None:
    assert refused({field: value}) == ("invalid_type", field)


def test_a_wrong_type_is_explained_without_repeating_it() -> None:
    with pytest.raises(InputError) as caught:
        take({"properties": "<script>"})
    assert "object" in caught.value.message
    assert "script" not in caught.value.message


def test_what_describes_the_library_is_dropped() -> None:
    event = take(
        {
            "context": {
                "library": {"name": "x"},
                "ip": "203.0.113.7",
                "locale": "pt-PT",
                "timezone": "Europe/Lisbon",
                "userAgent": "Mozilla",
                "campaign": {"name": "spring"},
                "device": {"token": "t"},
                "page": {"path": "/"},
                "app": {"version": "1"},
                "active": False,
                "os": {"name": "x"},
            },
            "integrations": {"All": False},
            "_metadata": {"bundled": []},
            "channel": "server",
            "writeKey": "k",
        }
    )
    assert event.context == {
        "ip": "203.0.113.7",
        "locale": "pt-PT",
        "timezone": "Europe/Lisbon",
        "userAgent": "Mozilla",
        "campaign": {"name": "spring"},
        "device": {"token": "t"},
        "page": {"path": "/"},
        "app": {"version": "1"},
        "active": False,
    }


@pytest.mark.parametrize("name", ["GMT+0000", "Etc/GMT+5", "Mars/Olympus", "", 7])
def test_a_time_zone_nobody_knows_is_ignored_and_counted(name: object) -> None:
    oddities: list[str] = []
    event = take({"context": {"timezone": name, "locale": "de"}}, Envelope(NOW, oddities=oddities))
    assert event.context == {"locale": "de"}
    assert oddities == ["timezone"]


def test_the_context_of_a_batch_lies_under_each_items_own() -> None:
    event = take(
        {"context": {"ip": "1.1.1.1"}}, Envelope(NOW, context={"ip": "9.9.9.9", "locale": "en"})
    )
    assert event.context == {"ip": "1.1.1.1", "locale": "en"}
    assert take({}, Envelope(NOW, context={"locale": "en"})).context == {"locale": "en"}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Viewed Product", "Product Viewed"),
        ("Added Product", "Product Added"),
        ("Completed Order", "Order Completed"),
        ("Viewed Product Category", "Product List Viewed"),
        ("Anything Else", "Anything Else"),
    ],
)
def test_the_first_e_commerce_names_mean_the_second(first: str, second: str) -> None:
    assert take({"event": first}).name == second


def test_a_call_sent_again_without_an_id_gets_the_same_one() -> None:
    call = {
        "messageId": "absent",
        "timestamp": "2026-03-02T11:00:00Z",
        "properties": {"a": 1, "b": 2},
    }
    swapped = call | {"properties": {"b": 2, "a": 1}}
    first = take(call).id
    assert (
        first == take(swapped | {"sentAt": "2026-03-02T12:00:00Z"}, Envelope(NOW, skew_ms=5_000)).id
    )
    assert first != take(call | {"properties": {"a": 2}}).id
    assert first != take(call | {"userId": "u2"}).id


def test_a_second_click_without_id_and_time_is_not_the_first_one_sent_again() -> None:
    call = {"type": "track", "event": "Clicked", "userId": "u1"}
    ids = {_read(call, Envelope(NOW + ms)).id for ms in (0, 1_000, 60_000)}
    assert len(ids) == 2


def test_an_id_may_be_a_number_in_a_message() -> None:
    assert take({"messageId": 77}).id == "77"


def test_an_item_from_somewhere_else_can_be_read_without_json() -> None:
    item = Item(type="track", user_id="u1", message_id="m1", event="Clicked")
    assert normalise(item, Envelope(NOW)) == take({})
