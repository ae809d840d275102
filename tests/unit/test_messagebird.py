"""MessageBird: what we ask for is what its SDK asks for, and each of its codes means one thing."""

from typing import Any

import msgspec
import pytest

from actors.ports import Permanent
from adapters.channels.hooks import ForgedError, Notice, Said
from adapters.channels.messagebird import (
    HOOK,
    NETWORK_FAILURES,
    MessagebirdHook,
    MessagebirdProvider,
    MessagebirdSettings,
)
from engine.errors import InputError
from engine.events import Failure, ReceiptStatus
from tests import hooks_samples_telco as samples
from tests.telco import (
    HOUR_MS,
    NOW,
    PRESENT,
    PUBLIC_URL,
    a_send,
    answer,
    capture,
    refusal,
    same_place,
)

HOOKED = MessagebirdHook(samples.ENVIRONMENT["NEXTBEAT_MESSAGEBIRD_SIGNING_KEY"])
PROVIDER = MessagebirdProvider(MessagebirdSettings("key", "Acme"), "")
ID = "e8077d803532c0b5937c639b60216938"
AT = 1_772_428_318_000


def asked(content: dict[str, str], **fields: Any) -> dict[str, Any]:
    send = a_send(content, address="+31612345678", **fields)
    body: dict[str, Any] = msgspec.json.decode(PROVIDER.build(send, PRESENT).body)
    return body


def test_a_message_is_asked_for_as_the_sdk_asks() -> None:
    shown = capture("messagebird", 1)
    provider = MessagebirdProvider(MessagebirdSettings("key", "Acme"), PUBLIC_URL)
    send = a_send({"body": "hi ✓"}, address="+31612345678")
    request = provider.build(send, PRESENT)
    same_place(request, shown, "authorization", "content-type", "accept")
    theirs = shown["body"] | {
        "reference": send.message_id,
        "reportUrl": "https://cb.example/v1/receipts/messagebird",
    }
    assert msgspec.json.decode(request.body) == theirs


def test_a_plain_text_costs_no_more_than_it_must_and_ends_in_time() -> None:
    made = asked({"body": "à 1 €"}, expires_at=NOW + HOUR_MS)
    assert (made["datacoding"], made["validity"]) == ("plain", 3_600)
    assert "reportUrl" not in made


@pytest.mark.parametrize("settings", [{"access_key": "k", "from": ""}, {"access_key": "k"}])
def test_settings_that_cant_work_are_refused(settings: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError, match="from"):
        msgspec.convert(settings, MessagebirdSettings)


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
        asked(content)
    assert (caught.value.code, caught.value.failure) == (code, Failure.CONTENT)


def test_a_message_that_is_taken_has_its_id() -> None:
    body = capture("messagebird", 1)["responded"]["body"].encode()
    assert PROVIDER.classify(answer(201, body), PRESENT) == ID


@pytest.mark.parametrize(
    ("status", "code", "parameter", "failure", "told"),
    [
        (401, 2, "access_key", Failure.CONFIG, "2"),
        (422, 9, "recipients", Failure.ADDRESS_DEAD, "9 recipient"),
        (422, 10, "recipient", Failure.ADDRESS_DEAD, "10 recipient"),
        (422, 10, "originator", Failure.CONFIG, "10 originator"),
        (422, 10, "body", Failure.CONTENT, "10"),
        (404, 20, None, Failure.CONFIG, "20"),
        (422, 21, None, Failure.CONTENT, "21"),
        (402, 25, None, Failure.CONFIG, "25"),
        (404, 98, None, Failure.CONFIG, "98"),
        (500, 99, None, Failure.TRANSIENT, "99"),
    ],
)
def test_a_code_means_one_thing(
    status: int, code: int, parameter: str | None, failure: Failure, told: str
) -> None:
    body = {"errors": [{"code": code, "description": "31612345678?", "parameter": parameter}]}
    read = refusal(PROVIDER, answer(status, body))
    assert (read.failure, read.code, read.maybe_taken) == (failure, told, False)
    assert "31612345678" not in read.text


@pytest.mark.parametrize(
    ("status", "body", "failure", "maybe_taken"),
    [
        (201, b"", Failure.TRANSIENT, True),
        (201, b'{"id": null}', Failure.TRANSIENT, True),
        (201, b"[" * 60_000, Failure.TRANSIENT, True),
        (500, b"\xff", Failure.TRANSIENT, True),
        (503, b"", Failure.TRANSIENT, False),
        (429, b"{}", Failure.RATE, False),
        (401, b"", Failure.CONFIG, False),
        (422, b'{"errors": [{"code": 77}]}', Failure.CONTENT, False),
    ],
)
def test_what_cant_be_read_never_raises(
    status: int, body: bytes, failure: Failure, *, maybe_taken: bool
) -> None:
    read = refusal(PROVIDER, answer(status, body))
    assert (read.failure, read.maybe_taken) == (failure, maybe_taken)


def test_the_samples_are_good() -> None:
    for sample in samples.SAMPLES["messagebird"]:
        HOOKED.verify(sample(), PRESENT)
        assert len(HOOKED.read(sample())) == 1


PAST, FUTURE = int(PRESENT.timestamp()) - 120, int(PRESENT.timestamp()) + 600


@pytest.mark.parametrize(
    "forged",
    [
        samples.messagebird({"id": "1"}, secret="another"),
        samples.messagebird({"id": "1"}, iss="Somebody"),
        samples.messagebird({"id": "1"}, exp=PAST),
        samples.messagebird({"id": "1"}, exp=None),
        samples.messagebird({"id": "1"}, nbf=FUTURE),
        samples.messagebird({"id": "1"}, url_hash=None),
        samples.messagebird({"id": "1"}, url_hash="0" * 64),
        samples.messagebird(body=b"id=1", payload_hash=None),
        samples.messagebird(body=b"id=1", payload_hash="0" * 64),
        samples.request_of("GET", "/v1/receipts/messagebird", {}),
    ],
)
def test_what_is_not_messagebirds_is_refused(forged: Any) -> None:
    with pytest.raises(ForgedError):
        HOOKED.verify(forged, PRESENT)


@pytest.mark.parametrize(
    ("told", "reason", "code", "status", "failure"),
    [
        ("sent", "pending DLR", "", ReceiptStatus.ACCEPTED, None),
        ("delivered", "successfully delivered", "", ReceiptStatus.DELIVERED, None),
        ("expired", "expired", "", ReceiptStatus.FAILED, Failure.UNREACHABLE),
        ("delivery_failed", "incorrect number", "", ReceiptStatus.FAILED, Failure.ADDRESS_DEAD),
        ("delivery_failed", "unknown subscriber", "1", ReceiptStatus.FAILED, Failure.ADDRESS_DEAD),
        (
            "delivery_failed",
            "unavailable subscriber",
            "",
            ReceiptStatus.FAILED,
            Failure.UNREACHABLE,
        ),
        ("delivery_failed", "carrier rejected", "103", ReceiptStatus.FAILED, Failure.CONSENT),
        ("delivery_failed", "opted out", "", ReceiptStatus.FAILED, Failure.CONSENT),
        ("delivery_failed", "insufficient balance", "", ReceiptStatus.FAILED, Failure.CONFIG),
        ("delivery_failed", "something new", "999", ReceiptStatus.FAILED, None),
    ],
)
def test_a_status_is_read(
    told: str, reason: str, code: str, status: ReceiptStatus, failure: Failure | None
) -> None:
    is_failed = status is ReceiptStatus.FAILED
    assert HOOKED.read(samples.messagebird_status(told, reason, code)) == [
        Notice(
            f"{ID}:{told}",
            status,
            at=AT,
            message_id=samples.MESSAGE,
            provider_id=ID,
            code=(code or reason) if is_failed else "",
            permanent=is_failed,
            failure=failure,
        )
    ]


def test_every_code_of_a_network_maps() -> None:
    for code, failure in NETWORK_FAILURES.items():
        [read] = HOOKED.read(samples.messagebird_status("delivery_failed", "", code))
        assert isinstance(read, Notice)
        assert read.failure is failure


@pytest.mark.parametrize("told", ["scheduled", "buffered", "new word"])
def test_a_status_that_tells_nothing_is_left_out(told: str) -> None:
    assert HOOKED.read(samples.messagebird_status(told)) == []


@pytest.mark.parametrize("is_json", [False, True])
def test_what_somebody_wrote_is_read(*, is_json: bool) -> None:
    said = Said("58beb3a5b34b4f8a8a1f3b1e6f7a7a11", "+31612345678", "Olá ✓", at=AT)
    assert HOOKED.read(samples.messagebird_said("Olá ✓", is_json=is_json)) == [said]


@pytest.mark.parametrize(
    "strange",
    [
        samples.messagebird({"status": "delivered"}),
        samples.messagebird({"id": "1"}),
        samples.messagebird(body=b"{}"),
        samples.messagebird(body=b"{"),
        samples.messagebird(body=b"\xff"),
    ],
)
def test_what_cant_be_understood_is_said_so(strange: Any) -> None:
    with pytest.raises(InputError):
        HOOKED.read(strange)


def test_the_hook_is_made_of_the_environment() -> None:
    hook = HOOK.make({name: samples.ENVIRONMENT[name] for name in HOOK.variables})
    hook.verify(samples.messagebird_status("delivered"), PRESENT)
    assert hook.greet(samples.messagebird_status("delivered")) is None
