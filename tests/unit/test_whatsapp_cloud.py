"""WhatsApp messages as Meta's API takes them, its answers, and what its webhooks tell."""

from typing import Any

import msgspec
import pytest

from actors.ports import Permanent
from adapters.channels.hooks import ForgedError, HookRequest, Notice, Said
from adapters.channels.provider import PASSING
from adapters.channels.whatsapp_cloud import HOOK, WhatsAppProvider, WhatsAppSettings
from adapters.channels.whatsapp_codes import CODES, judge_code
from engine.errors import InputError
from engine.events import Failure, ReceiptStatus
from tests.hooks_samples_push import (
    ENVIRONMENT,
    WAMID,
    become,
    challenge,
    failed,
    say,
    sign_whatsapp,
    tell,
)
from tests.pushes import PRESENT, UNREADABLE, a_push, answer, decoded, raised, refusal

PROVIDER = WhatsAppProvider(WhatsAppSettings(token="EAAG", phone_id="106540352242922"))
HOOKED = HOOK.make(ENVIRONMENT)
TO = "+351912345678"
TAKEN = {
    "messaging_product": "whatsapp",
    "contacts": [{"input": TO, "wa_id": "351912345678"}],
    "messages": [{"id": "wamid.HBgM", "message_status": "accepted"}],
}
ENVELOPE = {
    "messaging_product": "whatsapp",
    "recipient_type": "individual",
    "biz_opaque_callback_data": "m_0123456789abcdef01234567",
}


def said(address: str = TO, **content: str | int | None) -> dict[str, Any]:
    request = PROVIDER.build(a_push(address, **content), PRESENT)
    assert request.method == "POST"
    assert request.url == "https://graph.facebook.com/v26.0/106540352242922/messages"
    assert request.headers == {
        "Authorization": "Bearer EAAG",
        "Content-Type": "application/json",
    }
    made: dict[str, Any] = decoded(request.body)
    assert {name: made.pop(name) for name in ENVELOPE} == ENVELOPE
    return made


# What the library pywa sent, but for the envelope, for the same content.
SENT_BY_OTHERS: list[tuple[dict[str, str], dict[str, Any]]] = [
    (
        {"body": "Olá ✓", "preview_url": "true"},
        {"type": "text", "text": {"body": "Olá ✓", "preview_url": True}},
    ),
    ({"body": "x"}, {"type": "text", "text": {"body": "x", "preview_url": False}}),
    (
        {"body": "pick", "buttons": "y: Yes"},
        {
            "type": "interactive",
            "interactive": {
                "type": "button",
                "action": {"buttons": [{"type": "reply", "reply": {"id": "y", "title": "Yes"}}]},
                "body": {"text": "pick"},
            },
        },
    ),
    (
        {"body": "c", "media_url": "https://x.example/a.png"},
        {"type": "image", "image": {"link": "https://x.example/a.png", "caption": "c"}},
    ),
    (
        {"template": "order_ready", "language": "en_US"},
        {
            "type": "template",
            "template": {"name": "order_ready", "language": {"code": "en_US"}, "components": []},
        },
    ),
]


@pytest.mark.parametrize(("content", "sent"), SENT_BY_OTHERS)
def test_requests_are_those_of_a_library_in_use(
    content: dict[str, str], sent: dict[str, Any]
) -> None:
    assert said(**content) == {"to": "351912345678", **sent}


def test_a_template_is_filled_in_where_it_has_variables() -> None:
    made = said(
        template="order_ready",
        media_url="https://x.example/a.pdf?x=1",
        variables="Zoë\n\n R 99.00\n",
        button_1="orders/77",
    )
    assert made["template"] == {
        "name": "order_ready",
        "language": {"code": "en"},
        "components": [
            {
                "type": "header",
                "parameters": [
                    {"type": "document", "document": {"link": "https://x.example/a.pdf?x=1"}}
                ],
            },
            {
                "type": "body",
                "parameters": [
                    {"type": "text", "text": "Zoë"},
                    {"type": "text", "text": "R 99.00"},
                ],
            },
            {
                "type": "button",
                "sub_type": "url",
                "index": "0",
                "parameters": [{"type": "text", "text": "orders/77"}],
            },
        ],
    }


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ('["a\\n\\tb", 2]', [{"type": "text", "text": "a b"}, {"type": "text", "text": "2"}]),
        (
            '{"2": "b", "10": "c", "1": "a"}',
            [{"type": "text", "text": text} for text in ("a", "b", "c")],
        ),
        ('{"name": "Zoë"}', [{"type": "text", "text": "Zoë", "parameter_name": "name"}]),
    ],
)
def test_variables_may_be_json(text: str, parameters: list[dict[str, str]]) -> None:
    [component] = said(template="t", variables=text)["template"]["components"]
    assert component == {"type": "body", "parameters": parameters}


def test_buttons_have_what_belongs_above_and_below_them() -> None:
    made = said(body="b", buttons="Yes\nno: No, thanks", header="H", footer="F")["interactive"]
    assert made["header"] == {"type": "text", "text": "H"}
    assert made["footer"] == {"text": "F"}
    assert [button["reply"] for button in made["action"]["buttons"]] == [
        {"id": "Yes", "title": "Yes"},
        {"id": "no", "title": "No, thanks"},
    ]
    pictured = said(body="b", buttons="Yes", media_url="https://x.example/a.mp4")["interactive"]
    assert pictured["header"] == {"type": "video", "video": {"link": "https://x.example/a.mp4"}}


def test_somebody_without_a_phone_number_is_reached_by_the_id_meta_gives_them() -> None:
    made = said("US.13491208655302741918", body="x")
    assert made["recipient"] == "US.13491208655302741918"
    assert "to" not in made


@pytest.mark.parametrize("address", ["", "zoe@example.com", "0821234567", "+27 82", "us.1"])
def test_what_is_no_address_is_given_up(address: str) -> None:
    with pytest.raises(Permanent) as caught:
        said(address, body="x")
    assert caught.value.failure == Failure.ADDRESS_DEAD


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"title": "x"},
        {"body": "\ud800"},
        {"template": "t", "variables": '{"1": "a"'},
        {"template": "t", "variables": '["a", {}]'},
    ],
)
def test_what_can_not_be_said_is_the_authors_to_mend(content: dict[str, str]) -> None:
    with pytest.raises(Permanent) as caught:
        said(**content)
    assert caught.value.failure == Failure.CONTENT


def test_what_was_taken_has_an_id() -> None:
    assert PROVIDER.classify(answer(200, TAKEN), PRESENT) == "wamid.HBgM"


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (131026, Failure.NOT_THERE),
        (131047, Failure.WINDOW),
        (131049, Failure.UNREACHABLE),
        (130472, Failure.UNREACHABLE),
        (131050, Failure.CONSENT),
        *((code, Failure.RATE) for code in (4, 80007, 130429, 131048, 131056)),
        *((code, Failure.CONTENT) for code in (132000, 132001, 132005, 132007, 132012, 132015)),
        *((code, Failure.CONTENT) for code in (100, 131008, 131009, 131051, 139999)),
        *((code, Failure.CONFIG) for code in (0, 10, 190, 200, 299, 368, 131031, 131042)),
        *((code, Failure.TRANSIENT) for code in (2, 131000, 131016, 131057)),
    ],
)
def test_a_code_asks_for_one_thing(code: int, failure: Failure) -> None:
    error = {
        "message": f"(#{code}) Something",
        "type": "OAuthException",
        "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": "Something happened."},
        "fbtrace_id": "A1",
    }
    read = refusal(PROVIDER, 400, {"error": error})
    assert (read.failure, read.code) == (failure, str(code))
    assert not read.maybe_taken
    assert raised(read).failure == failure


def test_every_code_stands_for_one_failure_only() -> None:
    assert len(CODES) > 50
    assert {judge_code(code) for code in CODES} == set(Failure)


def test_who_is_written_to_too_fast_is_left_alone_for_six_seconds() -> None:
    body = {"error": {"code": 131056, "message": "pair rate"}}
    assert refusal(PROVIDER, 400, body).retry_after_ms == 6_000
    assert refusal(PROVIDER, 400, body, retry_after="60").retry_after_ms == 60_000
    assert refusal(PROVIDER, 400, {"error": {"code": 131048}}).retry_after_ms is None


@pytest.mark.parametrize("status", [200, 201, 302, 400, 401, 404, 429, 500, 502, 503, 504])
def test_an_answer_that_can_not_be_read_passes(status: int) -> None:
    for body in UNREADABLE:
        read = refusal(PROVIDER, status, body)
        assert read.failure in PASSING
        assert read.maybe_taken == (status in (200, 201, 500, 502, 504))


def read(request: HookRequest) -> list[Notice | Said]:
    HOOKED.verify(request, PRESENT)
    return HOOKED.read(request)


@pytest.mark.parametrize(
    ("status", "means"),
    [
        ("sent", ReceiptStatus.ACCEPTED),
        ("delivered", ReceiptStatus.DELIVERED),
        ("read", ReceiptStatus.OPENED),
        ("played", ReceiptStatus.OPENED),
    ],
)
def test_what_became_of_a_message_is_told(status: str, means: ReceiptStatus) -> None:
    assert read(become(status)) == [
        Notice(
            id=f"{WAMID}:{status}",
            status=means,
            at=1_772_428_320_000,
            message_id="m_0123456789abcdef01234567",
            provider_id=WAMID,
        )
    ]


def test_a_failure_is_told_with_what_it_asks_for() -> None:
    [notice] = read(failed())
    assert isinstance(notice, Notice)
    assert (notice.status, notice.permanent) == (ReceiptStatus.FAILED, True)
    assert (notice.code, notice.failure) == ("131026", Failure.NOT_THERE)
    [unknown] = read(become("failed", errors=[{"code": 139999}]))
    assert isinstance(unknown, Notice)
    assert unknown.failure == Failure.UNREACHABLE
    [silent] = read(become("failed"))
    assert isinstance(silent, Notice)
    assert (silent.code, silent.failure) == ("", None)


@pytest.mark.parametrize(
    ("message", "text", "answers"),
    [
        ({"type": "text", "text": {"body": "Hi"}}, "Hi", ""),
        (
            {
                "type": "button",
                "button": {"payload": "p", "text": "Stop it"},
                "context": {"id": WAMID},
            },
            "Stop it",
            WAMID,
        ),
        (
            {
                "type": "interactive",
                "interactive": {"type": "button_reply", "button_reply": {"id": "y", "title": "Y"}},
                "context": {"id": WAMID},
            },
            "Y",
            WAMID,
        ),
        (
            {
                "type": "interactive",
                "interactive": {"type": "list_reply", "list_reply": {"id": "l", "title": "L"}},
            },
            "L",
            "",
        ),
        ({"type": "image", "image": {"id": "1", "caption": "Look"}}, "Look", ""),
        ({"type": "reaction", "reaction": {"message_id": WAMID, "emoji": "👍"}}, "👍", ""),
        ({"type": "audio", "audio": {"id": "1"}}, "", ""),
    ],
)
def test_what_people_write_is_told(message: dict[str, Any], text: str, answers: str) -> None:
    assert read(say(**message)) == [
        Said("wamid.IN1", "+351912345678", text, 1_772_428_320_000, answers)
    ]


def test_who_hides_their_number_is_known_by_their_id() -> None:
    hidden = say(type="text", text={"body": "Hi"}, **{"from": ""})
    [told] = read(hidden)
    assert isinstance(told, Said)
    assert told.address == "PT.13491208655302741918"


def test_marketing_that_is_stopped_in_the_app_is_the_word_for_it() -> None:
    wish = {
        "wa_id": "351912345678",
        "category": "marketing_messages",
        "value": "stop",
        "timestamp": 1772428320,
    }
    [told] = read(tell(user_preferences=[wish]))
    assert isinstance(told, Said)
    assert (told.address, told.keyword, told.text) == ("+351912345678", "STOP", "")
    [again] = read(tell(user_preferences=[wish | {"value": "resume"}]))
    assert isinstance(again, Said)
    assert again.keyword == "START"


def test_one_item_that_is_wrong_takes_nothing_from_the_others() -> None:
    good = {"id": WAMID, "status": "read", "timestamp": "x"}
    told = read(
        tell(
            statuses=[{"id": 7}, None, {"id": "w", "status": "warning"}, good],
            messages=[[], {"id": "1", "type": "system", "from": "1"}, {"id": "2", "type": "text"}],
            user_preferences=[{"value": "stop"}],
        )
    )
    assert told == [Notice(f"{WAMID}:read", ReceiptStatus.OPENED, provider_id=WAMID)]


@pytest.mark.parametrize("body", [*UNREADABLE, b"{}", b'{"entry": [1]}'])
def test_what_is_signed_and_makes_no_sense_is_said_to(body: bytes) -> None:
    request = sign_whatsapp(body)
    HOOKED.verify(request, PRESENT)
    with pytest.raises(InputError):
        HOOKED.read(request)


def test_a_request_with_anything_changed_is_forged() -> None:
    genuine = become("read")
    bad = [
        msgspec.structs.replace(genuine, body=genuine.body.replace(b"read", b"sent")),
        msgspec.structs.replace(genuine, body=genuine.body + b" "),
        msgspec.structs.replace(genuine, headers={}),
        msgspec.structs.replace(genuine, headers={"x-hub-signature-256": "sha256=é"}),
        msgspec.structs.replace(
            genuine,
            headers={
                "x-hub-signature-256": genuine.headers["x-hub-signature-256"].removeprefix(
                    "sha256="
                )
            },
        ),
    ]
    for request in bad:
        with pytest.raises(ForgedError):
            HOOKED.verify(request, PRESENT)


def test_the_challenge_is_answered_to_who_knows_the_token() -> None:
    HOOKED.verify(challenge(), PRESENT)
    assert HOOKED.greet(challenge()) == b"1158201444"
    assert HOOKED.greet(become("read")) is None
    for token in ("", "agreed-o", "é"):
        with pytest.raises(ForgedError):
            HOOKED.greet(challenge(token))
        with pytest.raises(ForgedError):
            HOOKED.verify(challenge(token), PRESENT)
