"""What a sound workspace becomes: the tables of the Program."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS
from engine.localtime import TZDATA_VERSION
from engine.profile import Profile
from engine.program import compile as compiling
from engine.program.compile import canonical_bytes, compile_source
from engine.program.journey import Instruction, Op, WaitFor
from engine.program.program import Cap, Program
from engine.program.scope import Scope

BASE: dict[str, Any] = {
    "workspace": "shop",
    "channels": {
        "email": {"adapter": "smtp", "identity": "email", "substitute": "in_app"},
        "sms": {"adapter": "log", "identity": "phone"},
        "in_app": {"adapter": "inbox", "window": "session", "caps": ["1 / session"]},
    },
    "message_types": {
        "promotional": {"purpose": "marketing", "channels": ["email", "sms"]},
        "receipt": {"purpose": "service", "channels": ["email"]},
    },
    "messages": {
        "hello": {"type": "promotional", "content": {"email": {"subject": "s", "body": "b"}}},
        "bye": {"type": "receipt", "content": {"default": {"body": "bye {{ profile.name }}"}}},
    },
    "journeys": {"greeting": {"trigger": {"event": "Signed Up"}, "steps": [{"send": "hello"}]}},
}


def build(**sections: object) -> Program:
    return compile_source({**BASE, **sections})


def code_of(*steps: dict[str, Any]) -> list[Instruction]:
    journey = {"trigger": {"event": "Signed Up"}, "steps": list(steps)}
    journeys = {"j": journey, "other": {"trigger": {"event": "B"}, "steps": [{"wait": "1h"}]}}
    segments = {"vip": "profile.tier == 'vip'"}
    return list(build(journeys=journeys, segments=segments).journeys["j"].code)


def outline(code: list[Instruction]) -> list[tuple[str, str, int]]:
    return [(one.op.value, one.step, one.target) for one in code]


def scope(**traits: object) -> Scope:
    return Scope(Profile("u1", traits=dict[str, Any](traits)), 0, event={"total": 12.5})


def test_a_channel_keeps_its_words_and_gets_defaults() -> None:
    channels = build().channels
    assert channels["email"].identity == "email"
    assert channels["email"].substitute == "in_app"
    assert channels["email"].window is None
    assert not channels["email"].session_only
    assert channels["in_app"].session_only
    assert channels["in_app"].window is None
    assert channels["in_app"].identity == ""
    assert channels["in_app"].caps == (
        Cap(1, 0, "session", "channels.in_app.caps[0]", "1 / session"),
    )


def test_opening_hours_know_where_they_are_written() -> None:
    channels = {**BASE["channels"], "sms": {"adapter": "log", "window": {"mon": "09:00-17:00"}}}
    window = build(channels=channels).channels["sms"].window
    assert window is not None
    assert window.rule == "channels.sms.window"


def test_a_reference_to_the_environment_is_kept_as_it_is() -> None:
    settings = {"host": {"env": "SMTP_HOST"}, "port": 25}
    channels = {**BASE["channels"], "sms": {"adapter": "log", "settings": settings}}
    assert build(channels=channels).channels["sms"].settings == settings


def test_caps_are_rolling_or_by_calendar() -> None:
    caps = [
        {"limit": "3 / 24h", "purposes": ["marketing"]},
        {"limit": "1/calendar_day", "channels": ["sms"]},
    ]
    rolling, calendar = build(policies={"caps": caps}).caps
    assert rolling.cap == Cap(3, DAY_MS, "", "policies.caps[0]", "3 / 24h")
    assert (rolling.channels, rolling.purposes) == ((), ("marketing",))
    assert calendar.cap == Cap(1, 0, "calendar_day", "policies.caps[1]", "1/calendar_day")
    assert calendar.channels == ("sms",)


def test_the_policies_become_ms() -> None:
    program = build(
        policies={
            "backoff": {"gap": "2h"},
            "cooldown": {"gap": "30m", "purposes": ["marketing"]},
            "same_message": "1d",
            "suppress": [
                {"name": "bought", "after": "Order Completed", "for": "1d"},
                {"name": "paid", "after": "Order Completed", "for": "2h", "if": "event.total > 9"},
            ],
        }
    )
    assert program.backoff is not None
    assert (program.backoff.share, program.backoff.gap_ms, program.backoff.factor) == (
        0.5,
        2 * HOUR_MS,
        2.0,
    )
    assert program.cooldown is not None
    assert program.cooldown.gap_ms == 30 * MINUTE_MS
    assert program.same_message_ms == DAY_MS
    assert [rule.name for rule in program.suppressions["Order Completed"]] == ["bought", "paid"]
    paid = program.suppression_rules["paid"]
    assert (paid.for_ms, paid.rule) == (2 * HOUR_MS, "policies.suppress[1]")
    assert paid.condition is not None
    assert paid.condition.test(scope())


def test_what_a_workspace_leaves_out_is_off() -> None:
    program = build()
    assert (program.backoff, program.cooldown, program.same_message_ms) == (None, None, None)
    assert program.caps == ()
    assert program.suppressions == {}
    assert program.opt_out == {}
    assert program.session_ms == 30 * MINUTE_MS
    assert (program.seed, program.defaults.timezone) == (0, "UTC")


def test_service_is_resent_after_a_crash_and_marketing_is_not_unless_written() -> None:
    kinds = {
        **BASE["message_types"],
        "sure": {"purpose": "marketing", "channels": ["sms"], "delivery": "at_least_once"},
        "once": {"purpose": "service", "channels": ["sms"], "delivery": "at_most_once"},
    }
    types = build(message_types=kinds).types
    assert {name: kind.at_least_once for name, kind in types.items()} == {
        "promotional": False,
        "receipt": True,
        "sure": True,
        "once": False,
    }


def test_on_block_comes_from_the_type_else_the_policies_else_the_default() -> None:
    kinds = {
        **BASE["message_types"],
        "own": {"purpose": "service", "channels": ["sms"], "on_block": ["drop"]},
    }
    assert build().types["promotional"].on_block == ("substitute", "defer")
    types = build(message_types=kinds, policies={"on_block": ["fallback"]}).types
    assert types["promotional"].on_block == ("fallback",)
    assert types["own"].on_block == ("drop",)


@pytest.mark.parametrize(
    ("written", "opt_out"),
    [
        ("opt_in", {}),
        ("opt_out", {"marketing": ("*",)}),
        ({"default": "opt_in", "ZA": "opt_out", "AT": "opt_out"}, {"marketing": ("AT", "ZA")}),
        ({"ZA": "opt_out"}, {"marketing": ("ZA",)}),
        ({"default": "opt_out"}, {"marketing": ("*",)}),
    ],
)
def test_consent_lists_the_countries_that_need_no_grant(
    written: object, opt_out: dict[str, tuple[str, ...]]
) -> None:
    assert build(consent={"marketing": written}).opt_out == opt_out


def test_opt_out_with_exceptions_never_covers_an_unknown_country() -> None:
    program = build(consent={"marketing": {"default": "opt_out", "DE": "opt_in"}})
    countries = program.opt_out["marketing"]
    assert "ZA" in countries
    assert "DE" not in countries
    assert "*" not in countries
    assert "" not in countries


def test_templates_are_compiled_and_html_is_escaped_where_it_is_html() -> None:
    text = "<p>{{ profile.name }}</p>"
    content = {"email": {"subject": "{{ profile.name }}", "html": text, "body": text}}
    messages = {**BASE["messages"], "hello": {"type": "promotional", "content": content}}
    compiled = build(messages=messages).messages["hello"].content["email"]
    names = {"profile": {"name": "<b>Ann</b>"}}
    assert compiled["subject"].render(names) == "<b>Ann</b>"
    assert compiled["html"].render(names) == "<p>&lt;b&gt;Ann&lt;/b&gt;</p>"
    assert compiled["body"].render(names) == compiled["html"].render(names)


def test_a_body_is_marked_as_html_by_its_template_alone() -> None:
    def fields(body: str) -> list[str]:
        content = {"email": {"body": body}}
        messages = {**BASE["messages"], "hello": {"type": "promotional", "content": content}}
        return sorted(build(messages=messages).messages["hello"].content["email"])

    assert fields("<p>Hi</p>") == fields("Hi<br/>there") == ["body", "body_format"]
    assert fields("Hi {{ profile.name }}") == ["body"]
    assert fields("Write to <hello@shop.example>, or i <3 b") == ["body"]


def test_plain_steps_become_one_instruction_each() -> None:
    code = code_of(
        {"send": "hello", "channel": "email", "id": "first"},
        {"wait": "2h"},
        {"wait": {"until": "Mon 09:00"}},
        {"until": "profile.renewal_date - 7d"},
        {"start": "other"},
        {"exit": "done"},
    )
    assert outline(code) == [
        ("send", "first", 0),
        ("wait", "steps[1]", 0),
        ("wait_until", "steps[2]", 0),
        ("wait_until", "steps[3]", 0),
        ("start", "steps[4]", 0),
        ("exit", "steps[5]", 0),
    ]
    assert (code[0].message, code[0].channel) == ("hello", "email")
    assert code[1].duration_ms == 2 * HOUR_MS
    assert code[2].until is not None
    assert (code[4].journey, code[5].reason) == ("other", "done")


def test_set_writes_constants_and_computed_values_in_order_of_name() -> None:
    code = code_of({"set": {"vip": True, "count": 3, "total": {"cel": "event.total"}, "a": "x"}})
    assert [one.op for one in code] == [Op.SET] * 4
    assert [one.trait for one in code] == ["a", "count", "total", "vip"]
    values = [one.condition.evaluate(scope()) for one in code if one.condition is not None]
    assert values == ["x", 3, 12.5, True]
    assert values[3] is True


def test_a_question_jumps_over_what_does_not_hold() -> None:
    code = code_of(
        {"if": "profile.a", "then": [{"send": "hello"}], "else": [{"wait": "1h"}, {"wait": "2h"}]},
        {"exit": "end"},
    )
    assert outline(code) == [
        ("if", "steps[0]", 3),
        ("send", "steps[0].then[0]", 0),
        ("jump", "steps[0]", 5),
        ("wait", "steps[0].else[0]", 0),
        ("wait", "steps[0].else[1]", 0),
        ("exit", "steps[1]", 0),
    ]
    assert code[0].condition is not None
    assert code[0].condition.test(scope(a=True))


def test_a_question_without_else_jumps_behind_its_steps() -> None:
    code = code_of({"if": "profile.a", "then": [{"send": "hello"}]}, {"wait": "1h"})
    assert outline(code)[0] == ("if", "steps[0]", 2)
    assert len(code) == 3


def test_a_question_without_then_goes_on_behind_its_else() -> None:
    code = code_of({"if": "profile.a", "else": [{"send": "hello"}]}, {"wait": "1h"})
    assert outline(code)[:2] == [("if", "steps[0]", 2), ("jump", "steps[0]", 3)]


def test_branches_within_branches_meet_again() -> None:
    inner = {"if": "profile.b", "then": [{"wait": "1h"}], "else": [{"wait": "2h"}]}
    code = code_of({"if": "profile.a", "then": [inner], "else": [inner]}, {"exit": "end"})
    end = len(code) - 1
    assert code[end].op is Op.EXIT
    first, second = code[1], code[6]
    assert (first.step, first.target) == ("steps[0].then[0]", 4)
    assert (second.step, second.target) == ("steps[0].else[0]", 9)
    assert [one.target for one in code if one.op is Op.JUMP] == [5, end, end]


def test_a_wait_for_goes_on_when_it_came_and_jumps_when_time_ran_out() -> None:
    code = code_of(
        {"send": "hello", "id": "first"},
        {
            "wait_for": {"engagement": "first", "kinds": ["clicked"], "up_to": "1d"},
            "then": [{"exit": "engaged"}],
            "else": [{"send": "bye"}],
        },
    )
    assert outline(code)[1:] == [
        ("wait_for", "steps[1]", 4),
        ("exit", "steps[1].then[0]", 0),
        ("jump", "steps[1]", 5),
        ("send", "steps[1].else[0]", 0),
    ]
    assert code[1].duration_ms == DAY_MS
    assert code[1].wait_for == WaitFor(engagement="first", kinds=("clicked",))


def test_engagement_without_kinds_is_any_that_takes_a_person() -> None:
    code = code_of({"send": "hello", "id": "a"}, {"wait_for": {"engagement": "a"}})
    assert code[1].wait_for is not None
    assert code[1].wait_for.kinds == ("opened", "clicked", "replied")
    assert code[1].duration_ms == 0


def test_a_wait_for_an_event_may_ask_for_more() -> None:
    code = code_of({"wait_for": {"event": "Paid", "if": "event.total > 9", "up_to": "1h"}})
    wait = code[0].wait_for
    assert wait is not None
    assert (wait.event, wait.segment, wait.kinds) == ("Paid", "", ())
    assert wait.condition is not None
    assert wait.condition.test(scope())


def test_journeys_are_found_by_their_event_in_order_of_name() -> None:
    steps = [{"wait": "1h"}]
    journeys = {
        "b": {"trigger": {"event": "A"}, "steps": steps, "reentry": "12h"},
        "a": {"trigger": {"event": "A", "if": "event.total > 20"}, "steps": [{"start": "c"}]},
        "c": {"steps": steps, "goal": {"event": "Paid", "within": "3d"}},
    }
    program = build(journeys=journeys)
    assert [journey.name for journey in program.triggers["A"]] == ["a", "b"]
    assert list(program.triggers) == ["A"]
    assert program.journeys["b"].admission.reentry_ms == 12 * HOUR_MS
    assert program.journeys["a"].admission.reentry_ms is None
    goal = program.journeys["c"].goal
    assert goal is not None
    assert (goal.event, goal.within_ms, goal.condition) == ("Paid", 3 * DAY_MS, None)
    condition = program.journeys["a"].trigger.condition
    assert condition is not None
    assert not condition.test(scope())


def test_history_holds_the_longest_look_back_of_all_conditions() -> None:
    program = build(
        segments={"often": 'count("Paid", "30d") > 3'},
        policies={
            "suppress": [{"name": "s", "after": "X", "for": "1h", "if": 'count("Paid", "2d") > 1'}]
        },
        journeys={
            "j": {
                "trigger": {"event": "A", "if": 'sum("Paid", "total", "7d") > 9'},
                "steps": [{"set": {"n": {"cel": 'count("Seen", "1h")'}}}],
            }
        },
    )
    assert program.history["Paid"].window_ms == 30 * DAY_MS
    assert program.history["Paid"].values == ("total",)
    assert program.history["Seen"].window_ms == HOUR_MS
    assert program.history["Seen"].values == ()


def test_the_version_is_of_the_whole_text_whatever_the_order_of_its_keys() -> None:
    backwards = dict(reversed(BASE.items()))
    version = build().version
    assert version.startswith("sha256:")
    assert len(version) == len("sha256:") + 64
    assert compile_source(backwards).version == version
    assert build(seed=1).version != version


def test_the_version_changes_with_zones_and_semantics(monkeypatch: pytest.MonkeyPatch) -> None:
    version = build().version
    monkeypatch.setattr(compiling, "TZDATA_VERSION", TZDATA_VERSION + "x")
    moved = build().version
    monkeypatch.setattr(compiling, "SEMANTICS", compiling.SEMANTICS + 1)
    assert len({version, moved, build().version}) == 3


def test_a_journeys_version_is_of_that_journey_only() -> None:
    before, after = build(), build(seed=9)
    assert before.journeys["greeting"].version == after.journeys["greeting"].version
    slower = {"greeting": {"trigger": {"event": "Signed Up"}, "steps": [{"wait": "1h"}]}}
    assert (
        build(journeys=slower).journeys["greeting"].version != before.journeys["greeting"].version
    )
    twin = {**BASE["journeys"], "twin": BASE["journeys"]["greeting"]}
    versions = {journey.version for journey in build(journeys=twin).journeys.values()}
    assert len(versions) == 2


def test_a_stored_workspace_compiles_to_the_same_program() -> None:
    program = build(journeys={"j": {"trigger": {"event": "A"}, "steps": [
        {"set": {"b": 1, "a": 2.0, "c": "é"}}, {"if": "profile.x", "then": [{"exit": "y"}]},
    ]}})  # fmt: skip
    stored = canonical_bytes({**BASE, "journeys": {"j": {"trigger": {"event": "A"}, "steps": [
        {"set": {"b": 1, "a": 2.0, "c": "é"}}, {"if": "profile.x", "then": [{"exit": "y"}]},
    ]}}})  # fmt: skip
    again = compile_source(msgspec.json.decode(stored))
    assert again.version == program.version
    assert outline(list(again.journeys["j"].code)) == outline(list(program.journeys["j"].code))
    assert [one.trait for one in again.journeys["j"].code] == ["a", "b", "c", "", ""]


_SHARED = Path(os.environ.get("NEXTBEAT_SHARED", Path(__file__).parents[3].parent / "shared"))
_CASES = sorted((_SHARED / "golden").glob("*.yaml"))


@pytest.mark.skipif(not _CASES, reason="the shared cases are not here")
@pytest.mark.parametrize("file", _CASES, ids=lambda file: file.stem)
def test_the_workspaces_of_the_shared_cases_compile(file: Path) -> None:
    case = yaml.safe_load(file.read_text())
    program = compile_source(case["workspace"])
    assert program.name == "golden"
    assert program.journeys.keys() == case["workspace"]["journeys"].keys()
