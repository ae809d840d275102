"""Consent and receipts on their own: one, or a list."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.events import ConsentStatement, ConsentStatus, EventKind, Receipt, ReceiptStatus
from engine.instants import parse_instant
from tests.e2e.gateway_host import LOCKED, NOW, Served, not_stored, running

SAID = {"userId": "u1", "purpose": "marketing", "status": "granted"}
RECEIPT = {"userId": "u1", "messageId": "r1", "message": "m_1", "status": "delivered"}


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with running() as gateway:
        yield gateway


@pytest.mark.parametrize("path", ["/v1/consent", "/v1/consent/"])
async def test_a_statement_is_recorded(served: Served, path: str) -> None:
    body = SAID | {"channel": "sms", "at": "2026-11-01T00:00:00Z", "source": "hotline"}
    (await served.send(path, body)).accepted()
    (event,) = served.runtime.events
    at = parse_instant("2026-11-01T00:00:00Z")
    assert event.consents == (
        ConsentStatement("marketing", "sms", ConsentStatus.GRANTED, at, "hotline"),
    )
    assert (event.kind, event.user, event.at) == (EventKind.CONSENT, "u1", NOW)
    assert event.context == {"active": False}


async def test_several_statements_and_several_customers_come_together(served: Served) -> None:
    both = [{"purpose": "a", "status": "granted"}, {"purpose": "b", "status": "withdrawn"}]
    body = [{"anonymousId": "a-1", "consents": both}, SAID]
    (await served.send("/v1/consent", body)).accepted()
    first, second = served.runtime.events
    assert [each.purpose for each in first.consents] == ["a", "b"]
    assert (first.anonymous, second.user) == ("a-1", "u1")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (SAID | {"status": "yes"}, "status"),
        (SAID | {"purpose": None}, "purpose"),
        ({"userId": "u1"}, "status"),
        ({"userId": "u1", "consents": [{"purpose": "a"}]}, "status"),
        ({"userId": "u1", "consents": []}, "consents"),
        ({"userId": "u1", "consents": "all"}, "consents"),
    ],
)
async def test_what_is_not_clear_is_never_a_grant(
    served: Served, body: dict[str, Any], path: str
) -> None:
    answer = await served.send("/v1/consent", [body, SAID])
    assert answer.faults() == [(0, "bad_consent", path)]
    assert len(served.runtime.events) == 1
    assert len(served.runtime.quarantined) == 1


async def test_consent_is_somebodys(served: Served) -> None:
    answer = await served.send("/v1/consent", SAID | {"userId": None})
    assert answer.faults() == [(0, "no_user_anon_id", "userId")]


@pytest.mark.parametrize("path", ["/v1/receipts", "/v1/receipts/"])
async def test_receipts_come_alone_or_together(served: Served, path: str) -> None:
    (await served.send(path, RECEIPT)).accepted()
    body = [RECEIPT | {"messageId": "r2", "status": "failed", "permanent": True}, RECEIPT]
    (await served.send(path, body)).accepted()
    first, second = served.runtime.inputs.values()
    assert isinstance(first, Receipt)
    assert isinstance(second, Receipt)
    assert (first.id, first.status, first.source) == ("r1", ReceiptStatus.DELIVERED, "receipts")
    assert (second.id, second.status, second.permanent) == ("r2", ReceiptStatus.FAILED, True)
    assert served.runtime.counters.duplicates == 1


async def test_a_bad_receipt_does_not_spoil_the_others(served: Served) -> None:
    answer = await served.send("/v1/receipts", [RECEIPT | {"status": "lost"}, 7, RECEIPT])
    assert answer.faults() == [(0, "bad_receipt", "status"), (1, "invalid_type", "$")]
    assert list(served.runtime.inputs) == ["r1"]
    assert served.balanced()


@pytest.mark.parametrize("path", ["/v1/receipts", "/v1/consent"])
async def test_both_need_a_key_and_say_when_to_come_back(path: str) -> None:
    async with running(LOCKED) as served:
        (await served.send(path, SAID | RECEIPT)).refused(401, "unauthorized")
        headers = {"Authorization": "Bearer write-key"}
        served.runtime.troubles.append(not_stored())
        answer = await served.send(path, SAID | RECEIPT, headers=headers)
        assert answer.refused(503, "not_stored").headers["Retry-After"] == "1"
