"""Twilio: what we ask for is what its SDK asks for, and each of its codes means one thing."""

from typing import Any
from urllib.parse import parse_qsl

import pytest
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from actors.ports import Permanent
from adapters.channels.hooks import ForgedError, HookRequest, Notice, Said
from adapters.channels.phone import Kind
from adapters.channels.twilio import TwilioProvider, TwilioSettings
from adapters.channels.twilio_codes import CODES
from adapters.channels.twilio_hooks import HOOK, TwilioHook
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
    form,
    refusal,
    same_place,
)

ACCOUNT = "AC00000000000000000000000000000000"
SERVICE = "MG00000000000000000000000000000000"
TEMPLATE = "HX00000000000000000000000000000000"
HOOKED = TwilioHook(samples.ENVIRONMENT["NEXTBEAT_TWILIO_AUTH_TOKEN"])


def provider(kind: Kind = Kind.SMS, public_url: str = "", **settings: Any) -> TwilioProvider:
    settings = {"from_address": "+15557122661"} | settings
    return TwilioProvider(TwilioSettings(ACCOUNT, "token", **settings), kind, public_url)


def asked(made: TwilioProvider, *args: Any, **fields: Any) -> dict[str, list[str]]:
    return form(made.build(a_send(*args, **fields), PRESENT).body)


def test_a_short_message_is_asked_for_as_the_sdk_asks() -> None:
    shown = capture("twilio", 1)
    made = provider(Kind.SMS, PUBLIC_URL, messaging_service=SERVICE)
    send = a_send({"body": "Olá ✓ STOP to opt out"}, expires_at=NOW + HOUR_MS)
    request = made.build(send, PRESENT)
    same_place(request, shown, "authorization", "content-type", "accept")
    theirs = form(shown["body"])
    theirs["StatusCallback"] = ["https://cb.example/v1/receipts/twilio?m=" + send.message_id]
    assert form(request.body) == theirs


def test_a_picture_is_asked_for_as_the_sdk_asks() -> None:
    shown = form(capture("twilio", 2)["body"])
    ours = asked(provider(), {"body": "pic", "media_url": "https://x.example/a.png"})
    assert ours == {name: shown[name] for name in ("To", "From", "Body", "MediaUrl")}


def test_a_template_on_whatsapp_is_asked_for_as_the_sdk_asks() -> None:
    content = {"template": TEMPLATE, "variables": '{"1": "Ana"}', "body": "for other channels"}
    assert asked(provider(Kind.WHATSAPP), content) == form(capture("twilio", 4)["body"])


def test_rcs_is_asked_for_as_the_sdk_asks_with_the_fallback_left_to_us() -> None:
    shown = form(capture("twilio", 5)["body"])
    del shown["FallbackFrom"]
    made = provider(Kind.RCS, messaging_service=SERVICE)
    assert asked(made, {"template": TEMPLATE}) == shown


def test_a_call_is_asked_for_as_the_sdk_asks() -> None:
    shown = capture("twilio", 6)
    made = provider(Kind.VOICE, PUBLIC_URL, machine_detection=True)
    send = a_send({"body": "Hi"}, expires_at=NOW + HOUR_MS)
    request = made.build(send, PRESENT)
    same_place(request, shown, "authorization", "content-type", "accept")
    theirs = form(shown["body"])
    theirs["StatusCallback"] = ["https://cb.example/v1/receipts/twilio?m=" + send.message_id]
    assert form(request.body) == theirs


def test_what_is_spoken_is_escaped_and_in_its_language() -> None:
    content = {"body": 'Tom & Zoë <b> "hi"', "language": "pt-BR", "voice": 'Polly."Camila"'}
    said = (
        '<Response><Say language="pt-BR" voice="Polly.&quot;Camila&quot;">'
        'Tom &amp; Zoë &lt;b&gt; "hi"</Say></Response>'
    )
    assert asked(provider(Kind.VOICE), content)["Twiml"] == [said]


def test_without_an_address_of_ours_no_receipts_are_asked_for() -> None:
    assert set(asked(provider())) == {"To", "From", "Body"}
    assert set(asked(provider(Kind.VOICE))) == {"To", "From", "Timeout", "Twiml"}


def test_variables_may_be_a_list() -> None:
    ours = asked(provider(), {"template": TEMPLATE, "variables": '["Ana", 3]'})
    assert ours["ContentVariables"] == ['{"1":"Ana","2":"3"}']


@pytest.mark.parametrize(
    ("left_ms", "validity"),
    [(HOUR_MS, "3600"), (500, "1"), (48 * HOUR_MS, "36000"), (90_999, "90")],
)
def test_the_provider_may_try_as_long_as_the_message_is_good(left_ms: int, validity: str) -> None:
    assert asked(provider(), expires_at=NOW + left_ms)["ValidityPeriod"] == [validity]


def test_what_is_left_counts_and_not_what_there_was() -> None:
    send = a_send(decided_at=NOW - HOUR_MS, expires_at=NOW + HOUR_MS)
    assert form(provider().build(send, PRESENT).body)["ValidityPeriod"] == ["3600"]


def test_where_business_time_is_elsewhere_the_whole_time_is_given() -> None:
    send = a_send(decided_at=NOW + 99 * HOUR_MS, expires_at=NOW + 100 * HOUR_MS)
    assert form(provider().build(send, PRESENT).body)["ValidityPeriod"] == ["3600"]


@pytest.mark.parametrize(
    ("kind", "content", "code"),
    [
        (Kind.SMS, {}, "no_body"),
        (Kind.SMS, {"body": "\ud800"}, "bad_content"),
        (Kind.VOICE, {"media_url": "https://x.example/a.png"}, "no_body"),
        (Kind.VOICE, {"body": "a\x00b"}, "bad_content"),
        (Kind.VOICE, {"body": "a" * 4_000}, "content_too_long"),
        (Kind.SMS, {"template": TEMPLATE, "variables": "{'1': 'Ana'}"}, "bad_variables"),
        (Kind.SMS, {"template": TEMPLATE, "variables": '{"1": {}}'}, "bad_variables"),
        (Kind.SMS, {"template": TEMPLATE, "variables": "[" * 9_999}, "bad_variables"),
    ],
)
def test_what_cant_be_said_is_the_authors_to_mend(
    kind: Kind, content: dict[str, str], code: str
) -> None:
    with pytest.raises(Permanent) as caught:
        asked(provider(kind), content)
    assert (caught.value.code, caught.value.failure) == (code, Failure.CONTENT)


@pytest.mark.parametrize("address", ["", "015558675310", "+0555", "zoe@example.com", "+1555x"])
def test_what_is_no_number_is_given_up(address: str) -> None:
    with pytest.raises(Permanent) as caught:
        asked(provider(), address=address)
    assert caught.value.failure is Failure.ADDRESS_DEAD


def test_a_message_that_is_taken_has_its_id() -> None:
    body = capture("twilio", 1)["responded"]["body"].encode()
    assert provider().classify(answer(201, body), PRESENT) == "SM00000000000000000000000000000000"


def test_a_refusal_is_read_from_what_twilio_answers() -> None:
    responded = capture("twilio", 7)["responded"]
    read = refusal(provider(), answer(responded["status"], responded["body"].encode()))
    assert (read.failure, read.code) == (Failure.CONSENT, "21610")


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (21211, Failure.ADDRESS_DEAD),
        (21614, Failure.NOT_THERE),
        (30003, Failure.UNREACHABLE),
        (30004, Failure.UNREACHABLE),
        (30005, Failure.ADDRESS_DEAD),
        (30006, Failure.NOT_THERE),
        (30007, Failure.UNREACHABLE),
        (30008, Failure.TRANSIENT),
        (21610, Failure.CONSENT),
        (63003, Failure.NOT_THERE),
        (63016, Failure.WINDOW),
        (63018, Failure.RATE),
        (63024, Failure.NOT_THERE),
        (63032, Failure.UNREACHABLE),
        (63106, Failure.NOT_THERE),
        (20003, Failure.CONFIG),
        (20429, Failure.RATE),
        (14107, Failure.RATE),
        (21617, Failure.CONTENT),
        (21606, Failure.CONFIG),
        (21659, Failure.CONFIG),
        (63007, Failure.CONFIG),
    ],
)
def test_a_code_means_one_thing(code: int, failure: Failure) -> None:
    read = refusal(provider(), answer(400, {"code": code, "message": "to +15558675310"}))
    assert (read.failure, read.code, read.maybe_taken) == (failure, str(code), False)
    assert "15558675310" not in read.text


def test_every_code_of_the_table_maps_and_stands_in_it_once() -> None:
    for code, failure in CODES.failures.items():
        assert refusal(provider(), answer(400, {"code": int(code)})).failure is failure


def test_a_rate_limit_says_when() -> None:
    read = refusal(provider(), answer(429, {"code": 20429}, retry_after="7"))
    assert (read.failure, read.retry_after_ms) == (Failure.RATE, 7_000)


@pytest.mark.parametrize(
    ("status", "body", "failure", "maybe_taken"),
    [
        (201, b"", Failure.TRANSIENT, True),
        (201, b"<html>", Failure.TRANSIENT, True),
        (201, b"\xff\xfe", Failure.TRANSIENT, True),
        (201, b"[" * 60_000, Failure.TRANSIENT, True),
        (201, b'{"sid": 7}', Failure.TRANSIENT, True),
        (500, b"oops", Failure.TRANSIENT, True),
        (504, b"", Failure.TRANSIENT, True),
        (503, b"", Failure.TRANSIENT, False),
        (429, b"", Failure.RATE, False),
        (401, b"", Failure.CONFIG, False),
        (302, b"", Failure.CONFIG, False),
        (400, b'{"code": 99999}', Failure.CONTENT, False),
        (499, b"", Failure.CONTENT, False),
    ],
)
def test_what_cant_be_read_never_raises(
    status: int, body: bytes, failure: Failure, *, maybe_taken: bool
) -> None:
    read = refusal(provider(), answer(status, body))
    assert (read.failure, read.maybe_taken) == (failure, maybe_taken)


def test_the_samples_are_signed_as_twilios_validator_wants() -> None:
    validator: Any = RequestValidator(samples.ENVIRONMENT["NEXTBEAT_TWILIO_AUTH_TOKEN"])
    for sample in samples.SAMPLES["twilio"]:
        request = sample()
        fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        signature = request.headers["x-twilio-signature"]
        assert validator.validate(request.url, fields, signature)
        HOOKED.verify(request, PRESENT)


def test_a_signature_over_a_url_with_its_port_is_good_too() -> None:
    validator: Any = RequestValidator(samples.ENVIRONMENT["NEXTBEAT_TWILIO_AUTH_TOKEN"])
    url = "https://nextbeat.example.com:443/v1/receipts/twilio"
    signature = validator.compute_signature(url, {"MessageSid": "SM1"})
    request = samples.request_of(
        "POST", "/v1/receipts/twilio", {"x-twilio-signature": signature}, b"MessageSid=SM1"
    )
    HOOKED.verify(request, PRESENT)


def test_a_body_that_is_no_form_is_signed_by_its_hash() -> None:
    validator: Any = RequestValidator(samples.ENVIRONMENT["NEXTBEAT_TWILIO_AUTH_TOKEN"])
    path = "/v1/receipts/twilio?bodySHA256=" + validator.compute_hash('{"a":1}')
    signature = validator.compute_signature(samples.PUBLIC_URL + path, {})
    headers = {"x-twilio-signature": signature}
    HOOKED.verify(samples.request_of("POST", path, headers, b'{"a":1}'), PRESENT)
    with pytest.raises(ForgedError):
        HOOKED.verify(samples.request_of("POST", path, headers, b'{"a":2}'), PRESENT)


@pytest.mark.parametrize(
    "forged",
    [
        samples.twilio([("MessageSid", "SM1")], token="other"),
        samples.request_of("POST", "/v1/receipts/twilio", {}, b"MessageSid=SM1"),
        samples.request_of("POST", "/v1/receipts/twilio", {"x-twilio-signature": "é"}, b"a=1"),
        samples.request_of("POST", "/v1/receipts/twilio", {"x-twilio-signature": "a"}, b"\xff"),
        samples.request_of("POST", "/v1/receipts/twilio", {"x-twilio-signature": "a"}, b"a=%ff"),
    ],
)
def test_what_is_not_twilios_is_refused(forged: HookRequest) -> None:
    with pytest.raises(ForgedError):
        HOOKED.verify(forged, PRESENT)


@pytest.mark.parametrize(
    ("told", "code", "status", "failure"),
    [
        ("sent", "", ReceiptStatus.ACCEPTED, None),
        ("delivered", "", ReceiptStatus.DELIVERED, None),
        ("read", "", ReceiptStatus.OPENED, None),
        ("undelivered", "30003", ReceiptStatus.FAILED, Failure.UNREACHABLE),
        ("failed", "21610", ReceiptStatus.FAILED, Failure.CONSENT),
        ("failed", "99999", ReceiptStatus.FAILED, None),
        ("canceled", "", ReceiptStatus.FAILED, None),
    ],
)
def test_a_status_of_a_message_is_read(
    told: str, code: str, status: ReceiptStatus, failure: Failure | None
) -> None:
    sid = "SM00000000000000000000000000000001"
    is_failed = status is ReceiptStatus.FAILED
    assert HOOKED.read(samples.twilio_status(told, code)) == [
        Notice(
            f"{sid}:{told}",
            status,
            message_id=samples.MESSAGE,
            provider_id=sid,
            code=(code or told) if is_failed else "",
            permanent=is_failed,
            failure=failure,
        )
    ]


@pytest.mark.parametrize("told", ["queued", "accepted", "scheduled", "sending", "new word"])
def test_a_status_that_tells_nothing_is_left_out(told: str) -> None:
    assert HOOKED.read(samples.twilio_status(told)) == []


@pytest.mark.parametrize(
    ("told", "more", "status", "code", "failure"),
    [
        ("initiated", {}, ReceiptStatus.ACCEPTED, "", None),
        ("completed", {}, ReceiptStatus.DELIVERED, "", None),
        ("completed", {"AnsweredBy": "human"}, ReceiptStatus.DELIVERED, "", None),
        (
            "completed",
            {"AnsweredBy": "machine_start"},
            ReceiptStatus.FAILED,
            "answered_by_machine",
            Failure.UNREACHABLE,
        ),
        ("busy", {}, ReceiptStatus.FAILED, "busy", Failure.UNREACHABLE),
        ("no-answer", {}, ReceiptStatus.FAILED, "no-answer", Failure.UNREACHABLE),
        (
            "failed",
            {"SipResponseCode": "404"},
            ReceiptStatus.FAILED,
            "404",
            Failure.ADDRESS_DEAD,
        ),
        ("failed", {"ErrorCode": "21217"}, ReceiptStatus.FAILED, "21217", Failure.ADDRESS_DEAD),
    ],
)
def test_it_is_read_how_a_call_went(
    told: str, more: dict[str, str], status: ReceiptStatus, code: str, failure: Failure | None
) -> None:
    sid = "CA00000000000000000000000000000001"
    assert HOOKED.read(samples.twilio_call(told, **more)) == [
        Notice(
            f"{sid}:{told}",
            status,
            at=1_772_428_318_000,
            message_id=samples.MESSAGE,
            provider_id=sid,
            code=code,
            permanent=failure is not None,
            failure=failure,
        )
    ]


def test_a_call_that_came_in_or_still_rings_is_left_out() -> None:
    assert HOOKED.read(samples.twilio_call("ringing")) == []
    inbound = [("CallSid", "CA1"), ("CallStatus", "completed"), ("Direction", "inbound")]
    assert HOOKED.read(samples.twilio(inbound)) == []


def test_what_somebody_wrote_is_read() -> None:
    sid = "SM00000000000000000000000000000001"
    assert HOOKED.read(samples.twilio_said("stop it", OptOutType="STOP")) == [
        Said(sid, "+15558675310", "stop it", keyword="STOP")
    ]
    whatsapp = samples.twilio_said(
        "Yes!", "whatsapp:+15558675310", ButtonText="Yes", OriginalRepliedMessageSid="SM2"
    )
    assert HOOKED.read(whatsapp) == [Said(sid, "+15558675310", "Yes", answers="SM2")]


@pytest.mark.parametrize("body", [b"\xff", b"a", b"Body=hi"])
def test_what_cant_be_understood_is_said_so(body: bytes) -> None:
    with pytest.raises(InputError):
        HOOKED.read(samples.request_of("POST", "/v1/receipts/twilio", {}, body))


def test_the_hook_is_made_of_the_environment() -> None:
    assert all(name in samples.ENVIRONMENT for name in HOOK.variables)
    hook = HOOK.make(samples.ENVIRONMENT)
    hook.verify(samples.twilio_status("sent"), PRESENT)
    assert hook.greet(samples.twilio_status("sent")) is None
