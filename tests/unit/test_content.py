"""What a message says: in whose language, how much of it, and what is noticed of it."""

from typing import Any

import pytest

from engine.choice.content import find_content, render
from engine.errors import ProgramError
from engine.profile import Profile
from engine.program.cldr import CLDR_VERSION
from engine.program.compile import compile_source
from engine.program.contentcheck import content_stamps
from engine.program.faults import Faults
from engine.program.locales import locale_chain, writing_locale
from engine.program.mjml import MJML_VERSION
from engine.program.program import Program
from engine.program.shape import read_shape
from engine.program.templates import TemplateError
from tests.stories import Story

NOW = 1_772_000_000_000


def shop(
    message: dict[str, Any] | None = None,
    *,
    kind: dict[str, Any] | None = None,
    channel: dict[str, Any] | None = None,
    locale: str = "en-ZA",
    **more: Any,
) -> dict[str, Any]:
    """Write a workspace of one message `a`, on the channels `sms` and `email`."""
    return {
        "workspace": "shop",
        "defaults": {"timezone": "Africa/Johannesburg", "locale": locale, "currency": "ZAR"},
        "consent": {"marketing": "opt_out"},
        "channels": {
            "sms": {"adapter": "log", "identity": "phone", **(channel or {})},
            "email": {"adapter": "log", "identity": "email"},
        },
        "message_types": {
            "promo": {"purpose": "marketing", "channels": ["sms", "email"], **(kind or {})}
        },
        "messages": {
            "a": {"type": "promo", "content": {"default": {"body": "Hello"}}, **(message or {})}
        },
        "journeys": {"j": {"trigger": {"event": "A"}, "steps": [{"send": "a", "id": "s"}]}},
        **more,
    }


def said(
    program: Program, channel: str = "sms", event: dict[str, Any] | None = None, **traits: Any
) -> dict[str, str]:
    """Render message `a`."""
    profile = Profile("u1", traits=traits)
    content = find_content(profile, program, program.messages["a"], channel)
    return render(
        profile, program, content, event=event or {}, message_id="m", timezone="UTC", now=NOW
    )


def faults(workspace: dict[str, Any]) -> list[str]:
    with pytest.raises(ProgramError) as caught:
        compile_source(workspace)
    return [f"{problem.path}: {problem.message}" for problem in caught.value.problems]


# Locales.

SPOKEN = {
    "content": {"sms": {"body": "Hi"}, "email": {"subject": "Hi", "body": "Hi"}},
    "locales": {
        "zu": {"sms": {"body": "Sawubona"}},
        "pt_br": {"default": {"body": "Oi"}},
        "en-ZA": {"sms": {"body": "Howzit"}, "email": {"body": "Howzit mail"}},
        "en": {"sms": {"body": "Hello"}},
    },
}


@pytest.mark.parametrize(
    ("customer", "home", "expected"),
    [
        ("zu-ZA", "en-ZA", ("zu-ZA", "zu", "en-ZA", "en")),
        ("en-ZA", "en-ZA", ("en-ZA", "en")),
        ("", "en-ZA", ("en-ZA", "en")),
        ("zh-Hant-TW", "", ("zh-Hant-TW", "zh-Hant", "zh")),
        ("", "", ()),
    ],
)
def test_locales_are_tried_from_the_customers_own_to_the_workspaces(
    customer: str, home: str, expected: tuple[str, ...]
) -> None:
    assert locale_chain(customer, home) == expected


@pytest.mark.parametrize(
    ("traits", "channel", "expected"),
    [
        ({"locale": "zu-ZA"}, "sms", "Sawubona"),
        ({"locale": "ZU"}, "sms", "Sawubona"),
        ({"language": "zu"}, "sms", "Sawubona"),
        ({"locale": "zu-ZA"}, "email", "Howzit mail"),  # nothing there in Zulu
        ({"locale": "pt_BR.UTF-8"}, "email", "Oi"),
        ({"locale": "pt-PT"}, "sms", "Howzit"),  # not the Portuguese of another country
        ({"locale": "en-GB"}, "sms", "Hello"),
        ({"locale": "fr"}, "sms", "Howzit"),
        ({"locale": "not a locale"}, "sms", "Howzit"),
        ({}, "sms", "Howzit"),
    ],
)
def test_a_customer_reads_their_language_or_the_nearest_there_is(
    traits: dict[str, Any], channel: str, expected: str
) -> None:
    assert said(compile_source(shop(SPOKEN)), channel, **traits)["body"] == expected


def test_the_message_serves_whom_no_locale_does() -> None:
    program = compile_source(shop(SPOKEN, locale="fr-FR"))
    assert said(program, locale="de")["body"] == "Hi"


def test_content_is_taken_whole_so_that_languages_do_not_mix() -> None:
    program = compile_source(shop(SPOKEN))
    assert said(program, "email", locale="en-ZA") == {"body": "Howzit mail"}


@pytest.mark.parametrize(
    ("customer", "text", "expected"),
    [
        ("en-US", "en-ZA", "en-US"),
        ("zu-ZA", "zu", "zu-ZA"),
        ("zu-ZA", "en-ZA", "en-ZA"),
        ("", "en-ZA", "en-ZA"),
        ("fr-FR", "", "fr-FR"),
        ("", "", "en"),
    ],
)
def test_numbers_are_written_in_the_language_of_the_text(
    customer: str, text: str, expected: str
) -> None:
    assert writing_locale(customer, text) == expected


def test_amounts_have_the_currency_of_the_event_else_the_workspaces() -> None:
    program = compile_source(shop({"content": {"default": {"body": "{{ event.total | money }}"}}}))
    assert said(program, "email", {"total": 5}, locale="en-US")["body"] == "ZAR5.00"
    told = said(program, "email", {"total": 5, "currency": "eur"}, locale="en-US")
    assert told["body"] == "€5.00"
    assert said(program, "email", {"total": 5}, locale="zu")["body"] == "R5,00"  # the text's locale


@pytest.mark.parametrize(
    ("body", "expected"),
    [("Hi", False), ("{{ event.x }}", True), ("{{ profile.total | money }}", True)],
)
def test_an_event_is_kept_for_another_channel_whose_text_may_ask_for_its_currency(
    body: str, *, expected: bool
) -> None:
    message = {"content": {"default": {"body": "Hi"}}, "locales": {"zu": {"sms": {"body": body}}}}
    assert compile_source(shop(message)).messages["a"].tells_event is expected


def story(message: dict[str, Any], **changes: Any) -> Story:
    return Story(shop(message, **changes)).identify("07:00", phone="+27821234567", locale="zu-ZA")


def test_the_locale_stands_in_the_trace_where_there_are_several() -> None:
    (decision,) = story(SPOKEN).track("08:00", "A").decisions()
    (line,) = [line for line in decision["trace"] if line["check"] == "locale"]
    assert line == {
        "channel": "sms", "check": "locale", "result": "passed",
        "rule": "messages.a.locales.zu.sms", "seen": "zu, for zu-ZA",
    }  # fmt: skip
    (plain,) = story({}).track("08:00", "A").decisions()
    assert [line["check"] for line in plain["trace"]] == ["all"]


# What can't be said is not sent.


def test_a_value_that_cannot_be_written_drops_the_message_and_says_why() -> None:
    message = {"content": {"sms": {"body": "You owe {{ event.total | money }}."}}}
    (decision,) = story(message).track("08:00", "A", total="a lot").decisions()
    assert (decision["outcome"], decision["reason"]) == ("drop", "template_error")
    assert decision["trace"][-1]["rule"] == "messages.a.content.sms"
    assert "messages.a.content.sms.body: money: this text is not a" in decision["trace"][-1]["seen"]
    (sent,) = story(message).track("08:00", "A", total=120).decisions()
    assert sent["outcome"] == "send"


def test_what_is_too_long_once_it_is_rendered_is_dropped_and_names_the_limit() -> None:
    message = {"content": {"sms": {"body": "Hi {{ event.text }}"}}}
    limited = {"limits": {"segments": 2}}
    (sent,) = story(message, channel=limited).track("08:00", "A", text="x" * 303).decisions()
    assert sent["outcome"] == "send"
    (long,) = story(message, channel=limited).track("08:00", "A", text="x" * 304).decisions()
    assert (long["outcome"], long["reason"]) == ("drop", "template_error")
    seen = "messages.a.content.sms.body: an SMS of 3 parts; 2 are the most here (limits.segments)"
    assert long["trace"][-1]["seen"] == seen
    (foreign,) = story(message, channel=limited).track("08:00", "A", text="✓" * 140).decisions()
    assert "3 parts, as '✓' makes it UCS-2" in foreign["trace"][-1]["seen"]


def test_spaces_of_typography_do_not_make_an_sms_expensive() -> None:
    message = {"content": {"default": {"body": "{{ event.total | money }}\u202f!"}}}
    program = compile_source(shop(message))
    assert said(program, "sms", {"total": 1234.5})["body"] == "R1 234,50 !"
    assert said(program, "email", {"total": 1234.5})["body"] == "R1\u00a0234,50\u202f!"


PUSH = {"adapter": "fcm", "identity": "token"}
WHATSAPP = {"adapter": "whatsapp_cloud", "identity": "phone"}


@pytest.mark.parametrize(
    ("channel", "content", "fault"),
    [
        (PUSH, {"title": "{{ event.x }}", "body": "{{ event.long }}"}, "some 4269 bytes, 4096"),
        ({**PUSH, "limits": {"title": 3}}, {"title": "{{ event.x }}xxx"}, "title of 4 characters"),
        (WHATSAPP, {"template": "t", "variables": '{"1": "{{ event.none }}"}'}, "'1' is empty"),
        (
            WHATSAPP,
            {"template": "t", "variables": '{"1": {{ event.none | json }}}'},
            "'1' is empty",
        ),
        (WHATSAPP, {"template": "t", "variables": '{"1": {{ event.quote | json }}}'}, ""),
        (WHATSAPP, {"template": "t", "variables": '["a", "{{ event.none }}"]'}, "'2' is empty"),
        (WHATSAPP, {"template": "t", "variables": "{{ event.x }}\n{{ event.none }}\n"}, "'2' is"),
        (WHATSAPP, {"template": "t", "variables": '{"2": "{{ event.x }}"}'}, "none numbered 1"),
        (WHATSAPP, {"template": "t", "variables": '{"1": "{{ event.quote }}"}'}, "no JSON mapping"),
        ({"adapter": "log"}, {"body": "{{ event.long }}"}, ""),
    ],
)
def test_a_channel_holds_what_its_medium_holds(
    channel: dict[str, Any], content: dict[str, str], fault: str
) -> None:
    program = compile_source(
        shop(
            {"content": {"it": content}},
            kind={"channels": ["it"]},
            channels={"it": {"identity": "token", **channel}},
        )
    )
    event = {"x": "x", "long": "y" * 3_990, "quote": '"'}
    if fault:
        with pytest.raises(TemplateError, match=r"messages\.a\.content\.it") as caught:
            said(program, "it", event)
        assert fault in caught.value.message
    else:
        assert said(program, "it", event)


# Before anybody is known.


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ({"locales": {"zulu": {"sms": {"body": "x"}}}}, "'zulu' is not a locale"),
        ({"locales": {"xq": {"sms": {"body": "x"}}}}, "'xq' is no language's code"),
        ({"locales": {"en-UK": {"sms": {"body": "x"}}}}, "'UK' is no country's code"),
        (
            {"locales": {"pt-BR": {"sms": {"body": "x"}}, "pt_br": {"sms": {"body": "x"}}}},
            "'pt_br' is the same locale as 'pt-BR'",
        ),
        ({"locales": {"zu": {"smss": {"body": "x"}}}}, "unknown channel 'smss'"),
        ({"locales": {"zu": {}}}, "there is nothing in this locale"),
        (
            {
                "content": {"sms": {"body": "x"}},
                "locales": {"zu": {"email": {"body": "x"}}},
            },
            "`content` has nothing for 'email', and serves every other language",
        ),
        ({"content": {"sms": {"tracking": "x"}}}, "`tracking` is no field of a content"),
        ({"content": {"email": {"mjml": "x", "html": "y"}}}, "`mjml` becomes the `html`"),
        ({"content": {"email": {"mjml": "<mjml>"}}}, "<mjml> is not closed"),
        ({"content": {"email": {"mjml": "<mjml>{{ x"}}}, "expected"),
        (
            {"content": {"sms": {"body": "{% if event.x %}y{% endif %}" + "x" * 1531}}},
            "an SMS of 11 parts; 10 are the most here (limits.segments)",
        ),
        ({"locales": {"zu": {"default": {"body": "✓" * 671}}}}, "11 parts, as '✓' makes it UCS-2"),
    ],
)
def test_what_can_never_be_right_is_refused_when_the_workspace_is_loaded(
    message: dict[str, Any], fault: str
) -> None:
    found = faults(shop(message))
    assert any(fault in one for one in found), found


def test_a_locale_has_a_template_where_the_message_has_one_and_the_window_may_close() -> None:
    window = {"reply_window": "24h"}
    spoken = {"content": {"sms": {"template": "t"}}, "locales": {"zu": {"sms": {"body": "x"}}}}
    (found,) = faults(shop(spoken, channel=window))
    assert (
        found
        == "messages.a.locales.zu.sms: `content` has a template here, and this locale has none"
    )
    assert compile_source(shop(spoken)).messages["a"].locales["zu"]


def test_the_confirmation_has_its_link_in_every_language() -> None:
    message = {
        "type": "ask",
        "content": {"email": {"body": "{{ confirm_url }}"}},
        "locales": {"zu": {"email": {"body": "x"}}},
    }
    found = faults(
        shop(
            message,
            message_types={"ask": {"purpose": "service", "channels": ["email"]}},
            double_opt_in={"message": "a", "channels": ["email"]},
        )
    )
    assert found == [
        "double_opt_in.channels[0]: 'a' has no link to confirm with on this channel in zu"
    ]


def test_a_limit_of_what_a_channel_does_not_have_is_refused() -> None:
    found = faults(shop(channel={"limits": {"segments": 2, "bytes": 900, "body": 3}}))
    assert found[0] == "channels.sms.limits.bytes: bytes are counted of push only, and this is sms"
    assert "messages.a.content.default.body: body of 5 characters, 3 are the most" in found[1]


def test_a_default_locale_that_is_none_is_refused() -> None:
    assert faults(shop(locale="english")) == ["defaults.locale: 'english' is not a locale"]


def test_what_surely_fits_is_not_refused() -> None:
    long = "{{ event.x }}" + "x" * 1530 + "{% if event.x %}" + "y" * 500 + "{% endif %}"
    program = compile_source(shop({"content": {"sms": {"body": long}}}))
    assert said(program)["body"] == "x" * 1530


def test_mjml_is_the_html_of_the_message_and_values_in_it_are_escaped() -> None:
    text = (
        "<mjml><mj-body><mj-section><mj-column><mj-text>Hi {{ profile.name }}</mj-text>"
        "</mj-column></mj-section></mj-body></mjml>"
    )
    program = compile_source(shop({"content": {"email": {"subject": "Hi", "mjml": text}}}))
    told = said(program, "email", name="<Zoë>")
    assert sorted(told) == ["html", "subject"]
    assert "Hi &lt;Zoë&gt;</div>" in told["html"]


def test_a_program_is_named_by_the_versions_of_what_writes_its_content() -> None:
    texts = ("{{ 1 | money }}", "<mjml><mj-body></mj-body></mjml>")
    stamps = [
        content_stamps(read_shape(shop({"content": {"email": {field: text}}}), Faults({})))
        for field, text in zip(("body", "mjml"), texts, strict=True)
    ]
    assert stamps == [[CLDR_VERSION], [MJML_VERSION]]
    assert content_stamps(read_shape(shop(), Faults({}))) == []


# What is noticed.

BOTH = {"clicks": True, "opens": True}


@pytest.mark.parametrize(
    ("channel", "kind", "expected"),
    [
        ({}, {}, None),
        (BOTH, {}, "clicks opens"),
        ({}, {"clicks": True}, "clicks"),
        (BOTH, {"clicks": False}, "opens"),
        (BOTH, {"clicks": False, "opens": False}, None),
        ({**BOTH, "purpose": "analytics"}, {}, None),
        ({**BOTH, "purpose": "analytics"}, {"purpose": ""}, "clicks opens"),
    ],
)
def test_messages_are_tracked_where_channel_or_type_say_so(
    channel: dict[str, Any], kind: dict[str, Any], expected: str | None
) -> None:
    program = compile_source(shop(channel={"tracking": channel}, kind={"tracking": kind}))
    assert said(program).get("tracking") == expected
    assert said(program, "email").get("tracking") == (
        " ".join(name for name in ("clicks", "opens") if kind.get(name)) or None
    )


def test_with_a_purpose_only_those_are_tracked_who_consented() -> None:
    channel = {"tracking": {**BOTH, "purpose": "analytics"}}
    said_yes = story({}, channel=channel).consent("07:10", purpose="analytics", status="granted")
    assert said_yes.track("08:00", "A").sent()[0]["tracking"] == "clicks opens"
    said_no = said_yes.consent("08:10", purpose="analytics", status="withdrawn")
    assert "tracking" not in said_no.track("09:00", "A").sent()[-1]
