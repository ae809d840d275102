"""Personal data in views: hidden by what it is called, where it stands, and what it looks like."""

from typing import Any

import pytest

from adapters.masking import Masker
from adapters.telemetry.logs import mark, mask
from engine.program.compile import compile_source
from engine.program.privacy import Pii, PiiSpec, compile_pii

MARKED = PiiSpec(
    traits=("loyalty_card",), properties={"Order Completed": ("gift_for",)}, shown=("postcode",)
)


@pytest.fixture
def masker() -> Masker:
    return Masker(compile_pii(MARKED))


@pytest.mark.parametrize("name", ["email", "firstName", "first_name", "Phone", "loyaltyCard", "IP"])
def test_a_trait_that_says_who_somebody_is_is_hidden_however_it_is_spelt(
    masker: Masker, name: str
) -> None:
    assert masker.mask({"traits": {name: "secret", "plan": "gold"}}) == {
        "traits": {name: f"[{name}]", "plan": "gold"}
    }


def test_a_workspace_marks_more_and_takes_others_out(masker: Masker) -> None:
    traits = {"loyalty_card": 17, "postcode": "8001", "vip": True, "email": None}
    assert masker.mask({"traits": traits})["traits"] == {**traits, "loyalty_card": "[loyalty_card]"}


def test_properties_are_marked_for_one_event(masker: Masker) -> None:
    given = {"name": "Order Completed", "properties": {"gift_for": "Zoe", "name": "Blue shirt"}}
    assert masker.mask(given)["properties"] == {"gift_for": "[gift_for]", "name": "Blue shirt"}
    other = masker.mask({**given, "name": "Viewed"})
    assert other["properties"] == given["properties"]


@pytest.mark.parametrize(
    ("view", "shown"),
    [
        (
            {"context": {"ip": "10.0.0.1", "device": {"token": "abc", "type": "ios"}}},
            {"context": {"ip": "[ip]", "device": {"token": "[token]", "type": "ios"}}},
        ),
        (
            {"identities": [{"namespace": "email", "value": "a@b.co", "channels": ["email"]}]},
            {"identities": [{"namespace": "email", "value": "[email]", "channels": ["email"]}]},
        ),
        ({"identities": {"phone": {"+27821234567": 1}}}, {"identities": {"phone": "[phone]"}}),
        ({"type": "assigned", "trait": "name", "value": "Zoe"}, {"value": "[name]"}),
        ({"of": "trait", "name": "email", "was": "x", "now": "y"}, {"was": "[email]"}),
        ({"of": "trait", "name": "plan", "was": "x", "now": "y"}, {"was": "x", "now": "y"}),
        ({"address": "x", "content": {"body": "Hi Zoe"}}, {"address": "[address]"}),
        ({"content": {"body": "Hi Zoe"}}, {"content": "[content]"}),
        ({"statement": {"proof": "Zoe, by phone"}}, {"statement": {"proof": "[proof]"}}),
        ({"consents": [{"proof": ""}]}, {"consents": [{"proof": ""}]}),
        ({"customer": "zoe@example.com"}, {"customer": "[email]"}),
        ({"trace": [{"seen": "sent to +27821234567"}]}, {"trace": [{"seen": "sent to [phone]"}]}),
        ({"at": "2026-03-02T05:12:00Z"}, {"at": "2026-03-02T05:12:00Z"}),
        ({"payload": '{"traits":{"name":"Zoe"}}'}, {"payload": '{"traits":{"name":"[name]"}}'}),
        ({"payload": '{"traits":{"name":"Zoe"'}, {"payload": "[payload]"}),
    ],
)  # fmt: skip
def test_what_is_personal_by_its_place_or_its_form_is_hidden(
    masker: Masker, view: dict[str, Any], shown: dict[str, Any]
) -> None:
    masked = masker.mask(view)
    assert {key: masked[key] for key in shown} == shown


def test_a_mask_changes_nothing_but_its_own_copy(masker: Masker) -> None:
    view = {"traits": {"email": "a@b.co"}}
    masker.mask(view)
    assert view == {"traits": {"email": "a@b.co"}}


def test_logs_hide_what_the_workspace_in_force_marks() -> None:
    source = {"workspace": "shop", "pii": {"traits": ["loyalty_card"]}}
    mark(compile_source(source).pii)
    try:
        line = mask(None, "info", {"event": "x", "loyaltyCard": 17, "email": "odd", "name": "ok"})
        assert line == {
            "event": "x", "loyaltyCard": "[loyaltycard]", "email": "[email]", "name": "ok"
        }  # fmt: skip
    finally:
        mark(Pii())
    assert mask(None, "info", {"loyalty_card": 17}) == {"loyalty_card": 17}


def test_what_journeys_ask_and_are_told_is_hidden_as_a_whole(masker: Masker) -> None:
    called = {"type": "called", "step": "ask", "url": "https://a/ada", "body": "x"}
    assert masker.mask(called) == {**called, "url": "[url]", "body": "[body]"}
    answered = {"type": "answered", "status": 200, "body": {"premium": 1}}
    assert masker.mask(answered) == {**answered, "body": "[body]"}
    remembered = {"type": "remembered", "name": "quote", "value": {"premium": 1}}
    assert masker.mask(remembered) == {**remembered, "value": "[value]"}
    assert masker.mask({"vars": {"quote": 1}}) == {"vars": "[vars]"}
    assert masker.mask({"body": {"premium": 1}}) == {"body": {"premium": 1}}
