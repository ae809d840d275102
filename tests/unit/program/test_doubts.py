"""What a sound workspace can surely not mean; and that nothing else is doubted."""

from pathlib import Path
from typing import Any

import pytest

from adapters.files.workspaces import load_workspace, read_workspace
from adapters.files.yaml12 import read_yaml
from engine.errors import Problem
from engine.program.cel.fixed import fixed_truth
from engine.program.compile import compile_source
from engine.program.doubts import find_doubts

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = sorted(
    path.parent
    for folder in ("docs/snippets", "adapters/demo", "adapters/templates")
    for path in (ROOT / folder).rglob("workspace.yaml")
    if path.parent.name != "broken"
)
SOUND = """
workspace: shop
channels:
  email: {adapter: log, identity: email}
  sms: {adapter: log, identity: phone}
message_types:
  promotional: {purpose: marketing, channels: [email, sms]}
messages:
  hello: {type: promotional, content: {email: {body: hi}}}
journeys:
  greeting:
    trigger: {event: Signed Up}
    steps: [{send: hello}]
"""


def doubt(text: str) -> list[Problem]:
    document = read_yaml(text, "workspace.yaml")
    assert not document.problems
    program = compile_source(document.value, document.places)
    return find_doubts(document.value, document.places, program)


def spoil(*changes: tuple[str, str], more: str = "") -> list[Problem]:
    text = SOUND
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return doubt(text + more)


def test_a_good_workspace_is_not_doubted() -> None:
    assert doubt(SOUND) == []


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_nothing_we_ship_is_doubted(folder: Path) -> None:
    source = read_workspace(folder)
    assert find_doubts(source.raw, source.places, load_workspace(folder)) == []


def journey(steps: str, head: str = "trigger: {event: Signed Up}") -> tuple[str, str]:
    old = "trigger: {event: Signed Up}\n    steps: [{send: hello}]"
    return old, f"{head}\n    steps: {steps}"


TYPE = "promotional: {purpose: marketing, channels: [email, sms]}"
EMAIL = "email: {adapter: log, identity: email}"
CASES: list[tuple[str, list[tuple[str, str]], str, str, str]] = [
    (
        "no content for a fallback that is asked for",
        [(TYPE, TYPE.replace("}", ", on_block: [fallback, defer]}"))],
        "messages.hello.content",
        "no content for 'sms', where 'promotional' falls back",
        "'default'",
    ),
    (
        "one channel and no way on",
        [(TYPE, "promotional: {purpose: marketing, channels: [email], on_block: [substitute]}")],
        "message_types.promotional",
        "a blocked message is always lost",
        "add `defer`",
    ),
    (
        "hours of channel and type that are never open together",
        [
            (EMAIL, 'email: {adapter: log, identity: email, window: "09:00-12:00"}'),
            (TYPE, TYPE.replace("}", ', window: "13:00-15:00"}')),
        ],
        "message_types.promotional.window",
        "can never go by 'email'",
        "09:00-12:00 and 13:00-15:00 have nothing in common",
    ),
    (
        "a goal that is over before the first message",
        [
            journey(
                "[{wait: 2h}, {send: hello}]",
                "trigger: {event: Signed Up}\n    goal: {event: Ordered, within: 1h}",
            )
        ],
        "journeys.greeting.goal.within",
        "over before the first message",
        "2h after entry",
    ),
    (
        "a wait without end",
        [journey("[{wait_for: {event: Ordered}}, {send: hello}]")],
        "journeys.greeting.steps[0].wait_for",
        "may wait for ever",
        "up_to",
    ),
    (
        "a trigger that never holds",
        [journey("[{send: hello}]", 'trigger: {event: Signed Up, if: "event.x > 3 && 1 > 2"}')],
        "journeys.greeting",
        "nobody can ever enter",
        "its trigger never holds",
    ),
    (
        "nobody may enter",
        [journey("[{send: hello}]", 'trigger: {event: Signed Up}\n    enter_if: "false"')],
        "journeys.greeting",
        "nobody can ever enter",
        "its trigger never holds",
    ),
    (
        "an end that always holds",
        [journey("[{send: hello}]", 'trigger: {event: Signed Up}\n    exit_on: [{if: "1 < 2"}]')],
        "journeys.greeting.exit_on[0].if",
        "always true",
        "leave it out",
    ),
    (
        "a condition that always holds",
        [journey('[{if: "true", then: [{send: hello}]}]')],
        "journeys.greeting.steps[0].if",
        "always true",
        "leave it out",
    ),
]


@pytest.mark.parametrize(
    ("changes", "path", "message", "hint"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_what_cannot_be_meant_is_doubted(
    changes: list[tuple[str, str]], path: str, message: str, hint: str
) -> None:
    (found,) = spoil(*changes)
    assert found.path == path
    assert message in found.message
    assert hint in found.hint
    assert (found.file, found.line > 1, found.column > 0) == ("workspace.yaml", True, True)


MORE: list[tuple[str, str, str, str]] = [
    ("a segment nobody is in", "segments: {none: 'false'}", "segments.none", "nobody is ever"),
    ("a segment of everybody", "segments: {all: '1 < 2'}", "segments.all", "everybody is in"),
    (
        "an event that is left out as it comes in",
        "mapping: [{event: Signed Up, drop: true}]",
        "journeys.greeting.trigger.event",
        "never comes: `mapping` leaves it out",
    ),
    (
        "an event that has another name when it has come in",
        "mapping: [{event: Signed Up, rename: Registered}]",
        "journeys.greeting.trigger.event",
        "`mapping` makes it 'Registered'",
    ),
    (
        "a test with an event that is misspelt",
        "tests: {t: {given: [{event: Signd Up}], expect: []}}",
        "tests.t.given[0].event",
        "nothing waits for 'Signd Up'",
    ),
]


@pytest.mark.parametrize(
    ("more", "path", "message"), [case[1:] for case in MORE], ids=[case[0] for case in MORE]
)
def test_what_is_added_in_vain_is_doubted(more: str, path: str, message: str) -> None:
    (found,) = spoil(more=more + "\n")
    assert (found.path, message in found.message) == (path, True)


def test_what_nobody_uses_is_doubted() -> None:
    kinds = "  promotional:"
    unused = "  other: {purpose: marketing, channels: [email]}\n" + kinds
    (found,) = spoil((kinds, unused))
    assert (found.path, found.message) == ("message_types.other", "no message is of this type")
    message = "  hello:"
    unsent = "  bye: {type: promotional, content: {email: {body: hi}}}\n" + message
    (found,) = spoil((message, unsent))
    assert (found.path, found.message) == ("messages.bye", "this message is never sent")


def test_journeys_that_only_start_each_other_are_doubted() -> None:
    more = """
  one: {steps: [{wait: 1h}, {start: two}]}
  two: {steps: [{wait: 1h}, {start: one}]}
  three: {trigger: {segment: never}, steps: [{send: hello}]}
segments: {never: "false"}
"""
    paths = [found.path for found in spoil(more=more)]
    assert paths == ["journeys.one", "journeys.two", "journeys.three", "segments.never"]


def test_the_law_that_leaves_no_hour_is_doubted() -> None:
    found = spoil(
        (EMAIL, EMAIL),
        ("sms: {adapter: log, identity: phone}", SMS_AT_NIGHT),
        more="policies: {regions: [US]}\n",
    )
    assert [one.path for one in found] == ["channels.sms.window"]
    assert "to customers in US" in found[0].message
    assert "nextbeat regions US" in found[0].hint


SMS_AT_NIGHT = 'sms: {adapter: log, identity: phone, window: "22:00-23:00"}'


@pytest.mark.parametrize(
    "changes",
    [
        [(EMAIL, 'email: {adapter: log, identity: email, window: "09:00-12:00"}')],
        [
            (EMAIL, 'email: {adapter: log, identity: email, window: "22:00-02:00"}'),
            (TYPE, TYPE.replace("}", ', window: "01:00-03:00"}')),
        ],
        [
            (EMAIL, 'email: {adapter: log, identity: email, window: "09:00-12:00"}'),
            (TYPE, TYPE.replace("}", ', window: "13:00-15:00", ignores: [window]}')),
        ],
        [
            (EMAIL, 'email: {adapter: log, identity: email, window: {mon: "09:00-10:00"}}'),
            (TYPE, TYPE.replace("}", ', window: {mon-wed: "09:30-10:00"}}')),
        ],
        [(TYPE, "promotional: {purpose: marketing, channels: [email], on_block: [drop]}")],
        [
            ("{email: {body: hi}}", "{sms: {body: hi}}"),
            ("send: hello", "send: hello, channel: sms"),
        ],
        [("{email: {body: hi}}", "{default: {body: hi}}")],
        [
            journey(
                "[{wait_for: {event: Paid, up_to: 2h}}, {send: hello}]",
                "trigger: {event: Signed Up}\n    goal: {event: Ordered, within: 1h}",
            )
        ],
        [
            journey(
                '[{if: "event.x > 3", then: [{wait: 2h}]}, {send: hello}]',
                "trigger: {event: Signed Up}\n    goal: {event: Ordered, within: 1h}",
            )
        ],
        [journey("[{send: hello}]", "trigger: {event: Paid}\n    goal: {event: Paid}")],
    ],
)
def test_what_may_be_meant_is_not_doubted(changes: list[tuple[str, str]]) -> None:
    assert spoil(*changes) == []


@pytest.mark.parametrize(
    "more",
    [
        "mapping: [{event: Signed Up, rename: Registered, source: braze}]",
        "mapping: [{event: Signed Up, rename: Registered}, {event: Joined, rename: Signed Up}]",
        "mapping: [{event: sign_up, drop: true}]",
        "tests: {t: {given: [{event: Something Else}], expect: []}}",
        "segments: {vip: 'profile.tier == \"vip\"'}",
    ],
)
def test_what_may_be_added_is_not_doubted(more: str) -> None:
    assert spoil(more=more + "\n") == []


@pytest.mark.parametrize(
    ("source", "truth"),
    [
        ("true", True),
        ("!true", False),
        ("1 > 2", False),
        ("'a' == 'a'", True),
        ("event.x > 1 && false", False),
        ("event.x > 1 || 1 < 2", True),
        ("event.x > 1", None),
        ("event.x > 1 || false", None),
        ("has(profile.x)", None),
        ("count('A', '1d') > 0", None),
        ("now > timestamp('2026-01-01T00:00:00Z')", None),
        ("(", None),
    ],
)
def test_a_truth_that_is_fixed_is_known(source: str, truth: object) -> None:
    assert fixed_truth(source) is truth


def test_warnings_hold_back_nothing(tmp_path: Path) -> None:
    text = SOUND.replace("[{send: hello}]", "[{wait_for: {event: Paid}}, {send: hello}]")
    (tmp_path / "workspace.yaml").write_text(text, encoding="utf-8")
    source: dict[str, Any] = read_workspace(tmp_path).raw
    assert load_workspace(tmp_path).version == compile_source(source).version


@pytest.mark.parametrize(
    "steps",
    [
        "[{decide: [hello]}]",
        "[{split: {a: 1, b: 1}, cases: {a: [{send: hello}]}}]",
        "[{parallel: {a: [{wait: 1h}, {send: hello}], b: [{wait: 2h}]}}]",
        "[{repeat: 3, steps: [{wait: 1d}, {send: hello}]}]",
        "[{emit: Greeted}, {wait_for: {event: Greeted, up_to: 1h}}, {send: hello}]",
    ],
)
def test_steps_of_every_kind_are_not_doubted(steps: str) -> None:
    goal = "trigger: {event: Signed Up}\n    goal: {event: Ordered, within: 30m}"
    more = "mapping: [{event: Greeted, drop: true}]\n" if "emit" in steps else ""
    head = goal if "decide" in steps or "split" in steps else "trigger: {event: Signed Up}"
    assert spoil(journey(steps, head), more=more) == []


def test_a_repetition_that_never_or_always_goes_on_is_doubted() -> None:
    steps = "[{repeat: 3, while: 'false', steps: [{wait: 1d}, {send: hello}]}]"
    (found,) = spoil(journey(steps))
    assert (found.path, found.message) == (
        "journeys.greeting.steps[0].while",
        "this is always false",
    )


def test_a_schedule_for_everybody_is_not_doubted() -> None:
    head = 'trigger: {schedule: "0 9 * * mon", segment: all}'
    found = spoil(journey("[{send: hello}]", head), more="segments: {all: 'true'}\n")
    assert [one.path for one in found] == ["segments.all"]


SPOKEN = """
    locales:
      zu: {email: {body: Sawubona}, sms: {body: Sawubona}}
      af: {email: {body: Hallo}}
"""


def test_a_locale_with_less_to_say_than_others_is_doubted() -> None:
    (found,) = spoil(
        (
            "hello: {type: promotional, content: {email: {body: hi}}}",
            "hello:\n    type: promotional\n    content: {default: {body: hi}}" + SPOKEN,
        )
    )
    assert (found.path, found.line) == ("messages.hello.locales.af", 14)
    assert found.message == "there is no content for 'sms' in this locale"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("Ola", []),
        (
            "Olá ✓ " + "x" * 80,
            ["'á', '✓' make this UCS-2: 2 segments (in plain letters it would be 1 segment)"],
        ),
        ("Olá", ["'á' makes this UCS-2: 1 segment (it holds 70 characters then, and not 160)"]),
        ("आपका ऑर्डर तैयार है", []),
        ("Sie schön, {{ profile.name }}: 5 €", []),
    ],
)
def test_a_letter_that_makes_an_sms_expensive_is_doubted(body: str, expected: list[str]) -> None:
    found = spoil(("{email: {body: hi}}", f"{{email: {{body: hi}}, sms: {{body: '{body}'}}}}"))
    assert [f"{one.message} ({one.hint})" for one in found] == expected


def test_links_that_are_tracked_in_an_sms_are_doubted() -> None:
    change = ("identity: phone}", "identity: phone, tracking: {clicks: true, opens: true}}")
    assert [one.path for one in spoil(change)] == ["channels.sms.tracking.clicks"]


@pytest.mark.parametrize(
    ("locale", "forms", "expected"),
    [
        ("en", "one: '#', other: '#'", []),
        ("en", "other: '#'", ["'en' has forms that this `plural` has not: one"]),
        ("pl", "one: '#', other: '#'", ["'pl' has forms that this `plural` has not: few, many"]),
        ("fr-FR", "one: '#', other: '#'", []),
        ("ja", "other: '#'", []),
    ],
)
def test_forms_of_a_language_that_a_plural_lacks_are_doubted(
    locale: str, forms: str, expected: list[str]
) -> None:
    change = ("body: hi", f'body: "{{{{ 3 | plural: {forms} }}}}"')
    found = spoil(change, more=f"defaults: {{locale: {locale}}}")
    assert [one.message for one in found] == expected


def test_a_text_that_asks_for_a_locale_nobody_named_is_doubted() -> None:
    change = ("body: hi", "body: '{{ event.total | money: \"EUR\" }}'")
    (found,) = spoil(change)
    assert found.path == "messages.hello.content.email.body"
    assert found.hint == "say its language: set defaults.locale"
    assert spoil(change, more="defaults: {locale: en}") == []
