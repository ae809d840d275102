"""Vonage: what we ask for is what its SDK asks for, and each of its codes means one thing."""

from functools import cache
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from actors.ports import Permanent
from adapters.channels.hooks import ForgedError, HookRequest, Notice, Said
from adapters.channels.phone import Codes, Kind
from adapters.channels.vonage import MessagesProvider, SmsProvider, VonageSettings
from adapters.channels.vonage_codes import MESSAGES, RECEIPTS, SMS
from adapters.channels.vonage_hooks import HOOK, VonageHook
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

APPLICATION = "11111111-1111-1111-1111-111111111111"
HOOKED = VonageHook(samples.ENVIRONMENT["NEXTBEAT_VONAGE_SIGNATURE_SECRET"])
UUID = "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab"
AT = 1_772_428_318_000


@cache
def pem() -> str:
    key = generate_private_key(public_exponent=65_537, key_size=2_048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@cache  # reading a key takes its time
def messages(
    kind: Kind = Kind.SMS, public_url: str = "", sender: str = "447700900001"
) -> MessagesProvider:
    settings = VonageSettings(sender, application_id=APPLICATION, private_key=pem())
    return MessagesProvider(settings, kind, public_url)


def short(public_url: str = "") -> SmsProvider:
    settings = msgspec.convert(
        {"from": "Acme", "api": "sms", "api_key": "k", "api_secret": "s"}, VonageSettings
    )
    return SmsProvider(settings, public_url)


def asked(kind: Kind, content: dict[str, str], sender: str = "447700900001") -> dict[str, Any]:
    send = a_send(content, address="+447700900000")
    body: dict[str, Any] = msgspec.json.decode(messages(kind, "", sender).build(send, PRESENT).body)
    assert body.pop("client_ref") == send.message_id
    return body


def test_a_message_is_asked_for_as_the_sdk_asks() -> None:
    shown = capture("vonage", 2)
    send = a_send(address="+447700900000", expires_at=NOW + HOUR_MS)
    request = messages(Kind.SMS, PUBLIC_URL).build(send, PRESENT)
    same_place(request, shown, "content-type", "accept")
    theirs = shown["body"] | {
        "client_ref": send.message_id,
        "webhook_url": "https://cb.example/v1/receipts/vonage",
    }
    assert msgspec.json.decode(request.body) == theirs


def test_the_token_is_as_the_sdk_makes_it_and_good_for_a_while() -> None:
    shown = dict(capture("vonage", 2)["headers"])["Authorization"].partition(" ")[2]
    made = messages()
    first = made.build(a_send(), PRESENT).headers["Authorization"]
    kind, _, token = first.partition(" ")
    theirs = jwt.decode(shown, options={"verify_signature": False})
    ours = jwt.decode(token, options={"verify_signature": False})
    assert kind == "Bearer"
    assert jwt.get_unverified_header(token) == jwt.get_unverified_header(shown)
    assert set(ours) == set(theirs)
    assert ours["exp"] - ours["iat"] == theirs["exp"] - theirs["iat"] == 900
    assert 0 <= PRESENT.timestamp() - ours["iat"] < 300
    assert made.build(a_send(), PRESENT).headers["Authorization"] == first


def test_whatsapp_and_rcs_are_asked_for_as_the_sdk_asks() -> None:
    assert asked(Kind.WHATSAPP, {"body": "hi"}) == capture("vonage", 3)["body"]
    assert asked(Kind.RCS, {"body": "hi"}, "Acme") == capture("vonage", 4)["body"]


def test_a_template_and_a_picture_go_by_whatsapp() -> None:
    content = {"template": "order", "variables": '{"2": "b", "10": "c", "1": "a"}'}
    made = asked(Kind.WHATSAPP, content | {"language": "pt_BR"})
    assert made["template"] == {"name": "order", "parameters": ["a", "b", "c"]}
    assert (made["message_type"], made["whatsapp"]) == ("template", {"locale": "pt_BR"})
    made = asked(Kind.WHATSAPP, {"media_url": "https://x.example/a.png", "body": "look"})
    assert made["image"] == {"url": "https://x.example/a.png", "caption": "look"}


def test_a_short_message_by_the_sms_api_is_asked_for_as_the_sdk_asks() -> None:
    shown = capture("vonage", 1)
    send = a_send({"body": "hi ✓"}, address="+447700900000")
    request = short(PUBLIC_URL).build(send, PRESENT)
    same_place(request, shown, "authorization", "content-type", "accept")
    theirs = form(shown["body"]) | {
        "client-ref": [send.message_id],
        "callback": ["https://cb.example/v1/receipts/vonage"],
    }
    assert form(request.body) == theirs
    body = short().build(a_send({"body": "à 1 €"}, expires_at=NOW + HOUR_MS), PRESENT).body
    assert set(form(body)) == {"to", "from", "text", "client-ref", "ttl"}
    assert form(body)["ttl"] == ["3600000"]


def test_an_account_may_be_known_by_its_secret() -> None:
    settings = VonageSettings("Acme", api_key="k", api_secret="s")
    request = MessagesProvider(settings, Kind.SMS, "").build(a_send(), PRESENT)
    assert request.headers["Authorization"] == "Basic azpz"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"from": ""}, "from"),
        ({"from": "Acme"}, "application_id"),
        ({"from": "Acme", "api": "sms", "application_id": "a", "private_key": "b"}, "api_key"),
        ({"from": "Acme", "application_id": "a", "private_key": "b"}, "private_key"),
        ({"from": "Acme", "api_key": "k", "api_secret": "s", "url": "ftp://x"}, "url"),
    ],
)
def test_settings_that_cant_work_are_refused(settings: dict[str, str], words: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(settings, VonageSettings)


@pytest.mark.parametrize(
    ("kind", "content", "code"),
    [
        (Kind.SMS, {"body": "hi", "media_url": "https://x.example/a.png"}, "no_media"),
        (Kind.WHATSAPP, {"template": "order", "variables": '{"name": "a"}'}, "bad_variables"),
        (Kind.WHATSAPP, {}, "no_body"),
        (Kind.SMS, {"body": "\ud800"}, "bad_content"),
    ],
)
def test_what_cant_be_said_is_the_authors_to_mend(
    kind: Kind, content: dict[str, str], code: str
) -> None:
    with pytest.raises(Permanent) as caught:
        asked(kind, content)
    assert (caught.value.code, caught.value.failure) == (code, Failure.CONTENT)


def test_a_message_that_is_taken_has_its_id() -> None:
    for number, provider in ((2, messages()), (1, short())):
        responded = capture("vonage", number)["responded"]
        reply = answer(responded["status"], responded["body"].encode())
        assert str(provider.classify(reply, PRESENT)).startswith("aaaaaaaa-bbbb-")


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("1000", Failure.RATE),
        ("1022", Failure.CONTENT),
        ("1050", Failure.NOT_THERE),
        ("1070", Failure.CONFIG),
        ("1120", Failure.CONFIG),
        ("1170", Failure.ADDRESS_DEAD),
        ("1180", Failure.UNREACHABLE),
        ("1190", Failure.ADDRESS_DEAD),
        ("1230", Failure.TRANSIENT),
        ("1240", Failure.CONSENT),
        ("1300", Failure.NOT_THERE),
        ("1340", Failure.WINDOW),
        ("unauthorized", Failure.CONFIG),
    ],
)
def test_a_code_means_one_thing(code: str, failure: Failure) -> None:
    problem = {"type": f"https://developer.vonage.com/api-errors/messages#{code}", "title": "T"}
    read = refusal(messages(), answer(422, problem))
    assert (read.failure, read.code, read.maybe_taken) == (failure, code, False)


def test_every_code_of_the_tables_maps() -> None:
    for code, failure in MESSAGES.failures.items():
        assert refusal(messages(), answer(422, {"type": f"#x#{code}"})).failure is failure
    for code, failure in SMS.failures.items():
        body = {"messages": [{"status": code, "error-text": "no"}]}
        read = refusal(short(), answer(200, body))
        assert (read.failure, read.code, read.maybe_taken) == (failure, code, False)


@pytest.mark.parametrize("codes", [MESSAGES, SMS, RECEIPTS])
def test_a_code_is_a_number_or_a_name(codes: Codes) -> None:
    assert all(code.replace("-", "").isalnum() for code in codes.failures)


@pytest.mark.parametrize(
    ("status", "body", "failure", "maybe_taken"),
    [
        (202, b"", Failure.TRANSIENT, True),
        (200, b'{"messages": []}', Failure.TRANSIENT, True),
        (200, b'{"messages": [{"status": "0"}]}', Failure.TRANSIENT, True),
        (200, b'{"messages": [{"status": "77"}]}', Failure.TRANSIENT, True),
        (200, b"[" * 60_000, Failure.TRANSIENT, True),
        (500, b"\xff", Failure.TRANSIENT, True),
        (503, b"", Failure.TRANSIENT, False),
        (429, b"", Failure.RATE, False),
        (401, b"<html>", Failure.CONFIG, False),
        (422, b"{}", Failure.CONTENT, False),
    ],
)
def test_what_cant_be_read_never_raises(
    status: int, body: bytes, failure: Failure, *, maybe_taken: bool
) -> None:
    for provider in (messages(), short()):
        read = refusal(provider, answer(status, body))
        assert (read.failure, read.maybe_taken) == (failure, maybe_taken)


def test_the_samples_are_good() -> None:
    for sample in samples.SAMPLES["vonage"]:
        HOOKED.verify(sample(), PRESENT)
        assert len(HOOKED.read(sample())) == 1


def the_token(**changes: object) -> HookRequest:
    """Make a genuine request, and exchange its token for another."""
    genuine = samples.vonage_status("delivered")
    secret = samples.ENVIRONMENT["NEXTBEAT_VONAGE_SIGNATURE_SECRET"]
    claims = jwt.decode(
        genuine.headers["authorization"].partition(" ")[2], options={"verify_signature": False}
    )
    alg = str(changes.pop("alg", "HS256"))
    claims = {name: value for name, value in (claims | changes).items() if value is not None}
    token = samples.token_of(claims, secret, alg)
    return msgspec.structs.replace(genuine, headers={"authorization": f"Bearer {token}"})


@pytest.mark.parametrize(
    "forged",
    [
        lambda: samples.vonage({"status": "delivered"}, secret="another"),
        lambda: samples.vonage({"status": "delivered"}, age_s=25 * 3_600),
        lambda: samples.vonage({"status": "delivered"}, age_s=-3_600),
        lambda: samples.vonage_short({"status": "delivered"}, age_s=25 * 3_600),
        lambda: the_token(payload_hash="0" * 64),
        lambda: the_token(payload_hash=None),
        lambda: the_token(iat=None),
        lambda: the_token(iat=True),
        lambda: the_token(alg="none"),
        lambda: samples.request_of("POST", "/v1/receipts/vonage", {}, b"\xff"),
        lambda: samples.request_of("POST", "/v1/receipts/vonage", {}, b"sig=1&timestamp=1"),
        lambda: samples.request_of("POST", "/v1/receipts/vonage", {"content-type": "json"}, b"[]"),
        lambda: samples.request_of("GET", "/v1/receipts/vonage", {}),
        lambda: samples.request_of("POST", "/", {"authorization": "Basic azpz"}, b"{}"),
        lambda: samples.request_of("POST", "/", {"authorization": "Bearer a.b"}, b"{}"),
        lambda: samples.request_of("POST", "/", {"authorization": "Bearer é.b.c"}, b"{}"),
    ],
)
def test_what_is_not_vonages_is_refused(forged: Any) -> None:
    with pytest.raises(ForgedError):
        HOOKED.verify(forged(), PRESENT)


@pytest.mark.parametrize(
    ("told", "code", "status", "failure"),
    [
        ("submitted", "", ReceiptStatus.ACCEPTED, None),
        ("delivered", "", ReceiptStatus.DELIVERED, None),
        ("read", "", ReceiptStatus.OPENED, None),
        ("rejected", "1240", ReceiptStatus.FAILED, Failure.CONSENT),
        ("undeliverable", "1260", ReceiptStatus.FAILED, Failure.UNREACHABLE),
        ("rejected", "9999", ReceiptStatus.FAILED, None),
        ("rejected", "", ReceiptStatus.FAILED, None),
    ],
)
def test_a_status_is_read(
    told: str, code: str, status: ReceiptStatus, failure: Failure | None
) -> None:
    is_failed = status is ReceiptStatus.FAILED
    assert HOOKED.read(samples.vonage_status(told, code)) == [
        Notice(
            f"{UUID}:{told}",
            status,
            at=AT,
            message_id=samples.MESSAGE,
            provider_id=UUID,
            code=(code or told) if is_failed else "",
            permanent=is_failed,
            failure=failure,
        )
    ]


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(
    ("told", "code", "status", "failure"),
    [
        ("accepted", "0", ReceiptStatus.ACCEPTED, None),
        ("delivered", "0", ReceiptStatus.DELIVERED, None),
        ("failed", "3", ReceiptStatus.FAILED, Failure.ADDRESS_DEAD),
        ("rejected", "9", ReceiptStatus.FAILED, Failure.CONSENT),
        ("expired", "0", ReceiptStatus.FAILED, Failure.UNREACHABLE),
    ],
)
def test_a_receipt_of_the_sms_api_is_read(
    method: str, told: str, code: str, status: ReceiptStatus, failure: Failure | None
) -> None:
    is_failed = status is ReceiptStatus.FAILED
    assert HOOKED.read(samples.vonage_receipt(told, code, method)) == [
        Notice(
            f"0A0000000123ABCD1:{told}",
            status,
            at=AT,
            message_id=samples.MESSAGE,
            provider_id="0A0000000123ABCD1",
            code=code if is_failed else "",
            permanent=is_failed,
            failure=failure,
        )
    ]


def test_a_token_may_stand_over_a_receipt_of_the_sms_api() -> None:
    fields = {"messageId": "M1", "status": "failed", "err-code": "9", "client-ref": "m_1"}
    request = samples.vonage(fields)
    HOOKED.verify(request, PRESENT)
    [read] = HOOKED.read(msgspec.structs.replace(request, query={"status": "delivered"}))
    assert isinstance(read, Notice)
    assert (read.message_id, read.failure) == ("m_1", Failure.CONSENT)


def test_a_status_that_tells_nothing_is_left_out() -> None:
    assert HOOKED.read(samples.vonage_status("new word")) == []
    assert HOOKED.read(samples.vonage_receipt("buffered", "0")) == []


def test_what_somebody_wrote_is_read() -> None:
    said = Said("aaaaaaaa-bbbb-4ccc-8ddd-0123456789ac", "+447700900000", "Stop", at=AT)
    assert HOOKED.read(samples.vonage_said("Stop")) == [said]
    fields = {"msisdn": "447700900000", "messageId": "M1", "text": "Stop", "keyword": "STOP"}
    assert HOOKED.read(samples.vonage_short(fields)) == [Said("M1", "+447700900000", "Stop")]
    pressed = {
        "message_uuid": "u-1",
        "from": "447700900000",
        "message_type": "button",
        "button": {"payload": "p", "text": "Yes"},
        "context": {"message_uuid": "u-0"},
    }
    assert HOOKED.read(samples.vonage(pressed)) == [
        Said("u-1", "+447700900000", "Yes", answers="u-0")
    ]


@pytest.mark.parametrize(
    "strange", [{}, {"status": "read"}, {"message_uuid": "u"}, {"message_uuid": 7, "from": []}]
)
def test_what_cant_be_understood_is_said_so(strange: dict[str, object]) -> None:
    with pytest.raises(InputError):
        HOOKED.read(samples.vonage(strange))
    with pytest.raises(InputError):
        HOOKED.read(samples.vonage_short({"status": "delivered"}))


def test_the_hook_is_made_of_the_environment() -> None:
    hook = HOOK.make({name: samples.ENVIRONMENT[name] for name in HOOK.variables})
    hook.verify(samples.vonage_status("delivered"), PRESENT)
    assert hook.greet(samples.vonage_status("delivered")) is None
