"""Africa's Talking: we ask as its SDK asks, and each of its codes and reasons means one thing."""

from typing import Any

import msgspec
import pytest

from actors.ports import Permanent
from adapters.channels.africastalking import (
    ANSWERS,
    HOOK,
    REASONS,
    AfricastalkingHook,
    AfricastalkingProvider,
    AfricastalkingSettings,
)
from adapters.channels.hooks import ForgedError, Notice, Said
from engine.errors import InputError
from engine.events import Failure, ReceiptStatus
from tests import hooks_samples_telco as samples
from tests.telco import PRESENT, a_send, answer, capture, form, refusal, same_place

HOOKED = AfricastalkingHook(samples.ENVIRONMENT["NEXTBEAT_AFRICASTALKING_KEY"])
PROVIDER = AfricastalkingProvider(AfricastalkingSettings("user", "key", "ACME"))
ID = "ATPid_SampleTxnId123"


def a_recipient(code: int, message_id: str = "None") -> dict[str, Any]:
    recipient = {"statusCode": code, "number": "+254711000111", "messageId": message_id}
    return {"SMSMessageData": {"Message": "Sent to 0/1", "Recipients": [recipient]}}


def test_a_message_is_asked_for_as_the_sdk_asks() -> None:
    shown = capture("africastalking", 1)
    request = PROVIDER.build(a_send(address="+254711000111"), PRESENT)
    same_place(request, shown, "apikey", "content-type", "accept")
    assert form(request.body) == form(shown["body"])


def test_without_a_sender_none_is_named() -> None:
    provider = AfricastalkingProvider(AfricastalkingSettings("user", "key"))
    assert "from" not in form(provider.build(a_send(), PRESENT).body)


def test_settings_that_cant_work_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="username"):
        msgspec.convert({"username": "", "api_key": "k"}, AfricastalkingSettings)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({}, "no_body"),
        ({"body": "\ud800"}, "bad_content"),
        ({"body": "hi", "media_url": "https://x.example/a.png"}, "no_media"),
    ],
)
def test_what_cant_be_said_is_the_authors_to_mend(content: dict[str, str], code: str) -> None:
    with pytest.raises(Permanent) as caught:
        PROVIDER.build(a_send(content), PRESENT)
    assert (caught.value.code, caught.value.failure) == (code, Failure.CONTENT)


def test_a_message_that_is_taken_has_its_id() -> None:
    body = capture("africastalking", 1)["responded"]["body"].encode()
    assert PROVIDER.classify(answer(201, body), PRESENT) == ID


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (401, Failure.CONFIG),
        (402, Failure.CONFIG),
        (403, Failure.ADDRESS_DEAD),
        (404, Failure.NOT_THERE),
        (405, Failure.CONFIG),
        (406, Failure.CONSENT),
        (407, Failure.NOT_THERE),
        (409, Failure.CONSENT),
        (500, Failure.TRANSIENT),
        (501, Failure.TRANSIENT),
        (502, Failure.UNREACHABLE),
    ],
)
def test_a_code_means_one_thing(code: int, failure: Failure) -> None:
    read = refusal(PROVIDER, answer(201, a_recipient(code)))
    assert (read.failure, read.code, read.maybe_taken) == (failure, str(code), False)


def test_where_nobody_is_told_of_the_sentence_says_why() -> None:
    for word in ("InvalidSenderId", "InsufficientBalance", "InvalidPhoneNumber", "RiskHold"):
        body: dict[str, object] = {"SMSMessageData": {"Message": word, "Recipients": []}}
        read = refusal(PROVIDER, answer(201, body))
        assert (read.failure, read.code) == (ANSWERS.failures[word], word)


@pytest.mark.parametrize(
    ("status", "body", "failure", "maybe_taken"),
    [
        (201, b"", Failure.TRANSIENT, True),
        (201, b"[" * 60_000, Failure.TRANSIENT, True),
        (201, b'{"SMSMessageData": {"Message": "what?", "Recipients": []}}', "transient", True),
        (201, b'{"SMSMessageData": {"Recipients": [{"statusCode": 101}]}}', "transient", True),
        (201, b'{"SMSMessageData": {"Recipients": [{"statusCode": 777}]}}', "transient", True),
        (500, b"\xff", Failure.TRANSIENT, True),
        (503, b"", Failure.TRANSIENT, False),
        (401, b"The supplied authentication is invalid", Failure.CONFIG, False),
        (400, b"Missing required parameter", Failure.CONTENT, False),
    ],
)
def test_what_cant_be_read_never_raises(
    status: int, body: bytes, failure: str, *, maybe_taken: bool
) -> None:
    read = refusal(PROVIDER, answer(status, body))
    assert (read.failure, read.maybe_taken) == (failure, maybe_taken)


def test_the_samples_are_good() -> None:
    for sample in samples.SAMPLES["africastalking"]:
        HOOKED.verify(sample(), PRESENT)
        assert len(HOOKED.read(sample())) == 1


@pytest.mark.parametrize(
    "forged",
    [
        samples.africastalking({"id": "1"}, key="another"),
        samples.africastalking({"id": "1"}, key="é"),
        samples.request_of("POST", "/v1/receipts/africastalking", {}, b"id=1"),
        samples.request_of("POST", "/v1/receipts/africastalking?key=", {}, b"id=1"),
    ],
)
def test_what_does_not_know_the_key_is_refused(forged: Any) -> None:
    with pytest.raises(ForgedError):
        HOOKED.verify(forged, PRESENT)


@pytest.mark.parametrize(
    ("told", "reason", "status", "failure"),
    [
        ("Sent", "", ReceiptStatus.ACCEPTED, None),
        ("Submitted", "", ReceiptStatus.ACCEPTED, None),
        ("Success", "", ReceiptStatus.DELIVERED, None),
        ("Failed", "", ReceiptStatus.FAILED, None),
        ("Expired", "", ReceiptStatus.FAILED, Failure.UNREACHABLE),
        ("AbsentSubscriber", "", ReceiptStatus.FAILED, Failure.UNREACHABLE),
        *[("Failed", reason, ReceiptStatus.FAILED, failure) for reason, failure in REASONS.items()],
        ("Rejected", "SomethingNew", ReceiptStatus.FAILED, None),
    ],
)
def test_a_report_is_read(
    told: str, reason: str, status: ReceiptStatus, failure: Failure | None
) -> None:
    is_failed = status is ReceiptStatus.FAILED
    assert HOOKED.read(samples.africastalking_report(told, reason)) == [
        Notice(
            f"{ID}:{told}",
            status,
            provider_id=ID,
            code=(reason or told) if is_failed else "",
            permanent=is_failed,
            failure=failure,
        )
    ]


def test_a_status_that_tells_nothing_is_left_out() -> None:
    assert HOOKED.read(samples.africastalking_report("Buffered")) == []


def test_what_somebody_wrote_is_read() -> None:
    said = Said(
        "b68d0989-d856-494f-92ee-7c439e96e1d9", "+254711000111", "STOP", at=1_772_428_318_000
    )
    assert HOOKED.read(samples.africastalking_said("STOP")) == [said]


def test_who_opted_out_has_said_stop() -> None:
    told = samples.africastalking({"senderId": "ACME", "phoneNumber": "+254711000111"})
    [said] = HOOKED.read(told)
    assert isinstance(said, Said)
    assert (said.address, said.keyword) == ("+254711000111", "STOP")


@pytest.mark.parametrize("fields", [{}, {"status": "Success"}, {"text": "hi"}, {"senderId": "A"}])
def test_what_cant_be_understood_is_said_so(fields: dict[str, str]) -> None:
    with pytest.raises(InputError):
        HOOKED.read(samples.africastalking(fields))


def test_the_hook_is_made_of_the_environment() -> None:
    hook = HOOK.make({name: samples.ENVIRONMENT[name] for name in HOOK.variables})
    hook.verify(samples.africastalking_report("Success"), PRESENT)
    assert hook.greet(samples.africastalking_report("Success")) is None
    with pytest.raises(ValueError, match="NEXTBEAT_AFRICASTALKING_KEY"):
        HOOK.make({"NEXTBEAT_AFRICASTALKING_KEY": "short"})
