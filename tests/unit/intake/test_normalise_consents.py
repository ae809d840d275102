"""Consent and receipts: read beyond doubt, or not at all."""

from typing import Any

import msgspec
import pytest

from engine.errors import InputError
from engine.events import (
    ConsentStatement,
    ConsentStatus,
    Event,
    EventKind,
    LegalBasis,
    Receipt,
    ReceiptStatus,
)
from engine.instants import DAY_MS, parse_instant
from engine.intake.clocks import Envelope
from engine.intake.item import read_item
from engine.intake.normalise import normalise

NOW = parse_instant("2026-03-02T12:00:00Z")


def take(call: dict[str, Any]) -> Event | Receipt:
    whole = {"userId": "u1", "messageId": "m1", **call}
    return normalise(read_item(msgspec.json.encode(whole), []), Envelope(NOW, source="segment"))


def stated(consent: object) -> tuple[ConsentStatement, ...]:
    event = take({"type": "identify", "context": {"consent": consent}})
    assert isinstance(event, Event)
    assert "consent" not in event.context
    return event.consents


def refused(call: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(InputError) as caught:
        take(call)
    return caught.value.code, caught.value.path


def test_a_statement_without_a_channel_is_for_all_of_them() -> None:
    statement = {"purpose": "marketing", "status": "granted"}
    expected = ConsentStatement("marketing", "*", ConsentStatus.GRANTED, NOW, "segment")
    assert stated([statement]) == (expected,)
    assert stated([statement | {"channel": None}]) == (expected,)
    assert stated([statement | {"channel": "all"}]) == (expected,)


def test_a_statement_may_say_when_and_where_it_was_made() -> None:
    said = {
        "purpose": "marketing",
        "channel": "sms",
        "status": "withdrawn",
        "source": "hotline",
        "at": "2026-03-01T00:00:00Z",
    }
    at = parse_instant("2026-03-01T00:00:00Z")
    expected = ConsentStatement("marketing", "sms", ConsentStatus.WITHDRAWN, at, "hotline")
    assert stated([said]) == (expected,)


def test_several_statements_keep_their_order() -> None:
    said = [{"purpose": "a", "status": "granted"}, {"purpose": "b", "status": "denied"}]
    assert [each.purpose for each in stated(said)] == ["a", "b"]


def test_segments_categories_are_purposes() -> None:
    consents = stated({"categoryPreferences": {"Advertising": True, "Analytics": False}})
    assert [(each.purpose, each.channel, each.status.value) for each in consents] == [
        ("Advertising", "*", "granted"),
        ("Analytics", "*", "denied"),
    ]


@pytest.mark.parametrize(
    ("consent", "path"),
    [
        ([{"purpose": "m", "status": "yes"}], "context.consent[0].status"),
        ([{"purpose": "m", "status": True}], "context.consent[0].status"),
        ([{"purpose": "m", "status": ["granted"]}], "context.consent[0].status"),
        ([{"purpose": "m", "status": "GRANTED"}], "context.consent[0].status"),
        ([{"purpose": "m"}], "context.consent[0].status"),
        ([{"status": "granted"}], "context.consent[0].purpose"),
        ([{"purpose": "", "status": "granted"}], "context.consent[0].purpose"),
        ([{"purpose": "m", "channel": 7, "status": "granted"}], "context.consent[0].channel"),
        ([{"purpose": "m", "status": "granted", "source": 1}], "context.consent[0].source"),
        ([{"purpose": "m", "status": "granted"}, "granted"], "context.consent[1]"),
        ("granted", "context.consent"),
        (True, "context.consent"),
        (None, "context.consent"),
        ({}, "context.consent.categoryPreferences"),
        ({"categoryPreferences": {"A": "true"}}, "context.consent.categoryPreferences"),
        ({"categoryPreferences": {"A": 1}}, "context.consent.categoryPreferences"),
    ],
)
def test_what_can_not_be_read_as_consent_is_never_a_grant(consent: object, path: str) -> None:
    call = {"type": "identify", "context": {"consent": consent}}
    assert refused(call) == ("bad_consent", path)


def test_a_statement_from_the_future_would_outrank_every_later_one() -> None:
    said = {"purpose": "m", "status": "granted", "at": NOW + DAY_MS + 1}
    call = {"type": "identify", "context": {"consent": [said]}}
    assert refused(call) == ("bad_consent", "context.consent[0].at")


def test_consent_on_its_own_needs_a_statement() -> None:
    said = [{"purpose": "m", "status": "denied"}]
    event = take({"type": "consent", "context": {"consent": said}})
    assert isinstance(event, Event)
    assert (event.kind, event.name) == (EventKind.CONSENT, "Consent Stated")
    assert refused({"type": "consent"}) == ("bad_consent", "context.consent")
    assert refused({"type": "consent", "context": {"consent": []}})[0] == "bad_consent"


RECEIPT = {"type": "receipt", "message": "m_1", "status": "failed"}


def test_a_receipt_says_what_became_of_a_message() -> None:
    said = RECEIPT | {
        "code": 30005,
        "permanent": True,
        "failure": "content",
        "timestamp": "2026-03-02T11:00:00Z",
    }
    assert take(said) == Receipt(
        "m1",
        "u1",
        "m_1",
        ReceiptStatus.FAILED,
        parse_instant("2026-03-02T11:00:00Z"),
        NOW,
        code="30005",
        permanent=True,
        source="segment",
        failure="content",
    )


def test_a_receipt_without_an_id_gets_one_from_its_content() -> None:
    said = RECEIPT | {"messageId": None, "timestamp": "2026-03-02T11:00:00Z"}
    assert take(said).id == take(said).id != take(said | {"status": "opened"}).id


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"userId": None}, ("no_user_anon_id", "userId")),
        ({"message": None}, ("bad_receipt", "message")),
        ({"message": ""}, ("bad_receipt", "message")),
        ({"message": {"id": 1}}, ("bad_receipt", "message")),
        ({"message": "x" * 257}, ("bad_receipt", "message")),
        ({"status": "lost"}, ("bad_receipt", "status")),
        ({"status": ["failed"]}, ("bad_receipt", "status")),
        ({"status": "in_doubt"}, ("bad_receipt", "status")),
        ({"permanent": "yes"}, ("bad_receipt", "permanent")),
        ({"code": {"a": 1}}, ("bad_receipt", "code")),
        ({"failure": "broken"}, ("bad_receipt", "failure")),
        ({"failure": ["content"]}, ("bad_receipt", "failure")),
        ({"timestamp": "soon"}, ("bad_timestamp", "timestamp")),
    ],
)
def test_a_receipt_that_is_not_clear_is_refused(
    change: dict[str, Any], fault: tuple[str, str]
) -> None:
    assert refused(RECEIPT | change) == fault


_GRANT = {"purpose": "marketing", "status": "granted"}


def test_a_statement_says_on_what_it_rests_what_proves_it_and_when_it_ends() -> None:
    end = "2028-03-02T12:00:00Z"
    (said,) = stated([_GRANT | {"basis": "implied", "proof": "order 17", "expires_at": end}])
    assert (said.basis, said.proof) == (LegalBasis.IMPLIED, "order 17")
    assert said.expires_at == parse_instant(end)


def test_a_statement_may_be_about_a_message_type() -> None:
    (said,) = stated([{"message_type": "newsletter", "status": "denied"}])
    assert (said.purpose, said.channel, said.message_type) == ("*", "*", "newsletter")


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"status": "pending"}, "status"),
        ({"basis": "because"}, "basis"),
        ({"basis": ""}, "basis"),
        ({"basis": ["consent"]}, "basis"),
        ({"basis": "implied"}, "expires_at"),
        ({"proof": 17}, "proof"),
        ({"proof": "p" * 1_001}, "proof"),
        ({"expires_at": "2026-03-02T12:00:00Z"}, "expires_at"),
        ({"status": "denied", "expires_at": "2027-03-02T12:00:00Z"}, "expires_at"),
        ({"message_type": "newsletter"}, "message_type"),
        ({"purpose": None, "message_type": "a/b"}, "message_type"),
        ({"purpose": None, "message_type": 7}, "message_type"),
    ],
)
def test_what_cannot_be_read_of_a_statement_refuses_the_call(
    wrong: dict[str, Any], path: str
) -> None:
    call = {"type": "identify", "context": {"consent": [_GRANT | wrong]}}
    assert refused(call) == ("bad_consent", f"context.consent[0].{path}")


def test_no_statement_is_made_in_the_future() -> None:
    ahead = {"at": "2026-03-03T08:00:00Z"}
    assert stated([_GRANT | ahead])[0].at == NOW
    call = {"type": "identify", "timestamp": ahead["at"], "context": {"consent": [_GRANT]}}
    event = take(call)
    assert isinstance(event, Event)
    assert event.consents[0].at == NOW
