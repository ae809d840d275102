"""Tests of workspaces: what is played, what is compared, and that they change nothing."""

from typing import Any, get_args

import pytest

from actors.trials import Report, play
from adapters.cli.trialtext import describe_report
from engine.errors import ProgramError
from engine.events import ConsentStatus, ReceiptStatus
from engine.program.compile import canonical_bytes, compile_source
from engine.program.trialmodel import ConsentWord, OutcomeWord, ReceiptWord
from engine.program.trials import read_trials
from engine.reasons import Outcome

SHOP: dict[str, Any] = {
    "workspace": "shop",
    "defaults": {"timezone": "Africa/Johannesburg", "country": "ZA"},
    "channels": {
        "email": {"adapter": "log", "identity": "email", "window": "09:00-20:00"},
        "sms": {"adapter": "log", "identity": "phone"},
    },
    "message_types": {"promo": {"purpose": "marketing", "channels": ["email", "sms"]}},
    "messages": {
        name: {
            "type": "promo",
            "content": {
                "email": {"subject": "Hi {{ profile.first_name }}", "body": name},
                "sms": {"body": "R{{ event.price }}"},
            },
        }
        for name in ("reminder", "offer")
    },
    "segments": {"regular": 'count("Order Completed", "90d") >= 2'},
    "journeys": {
        "cart": {
            "trigger": {
                "event": "Product Added",
                "if": 'event.price > 50 || in_segment("regular")',
            },
            "goal": {"event": "Order Completed"},
            "steps": [
                {"wait": "1h"},
                {"send": "reminder", "id": "first"},
                {"wait_for": {"engagement": "first", "up_to": "1d"}, "then": [{"exit": "engaged"}]},
                {"set": {"asked": True}},
                {"send": "offer"},
            ],
        }
    },
}
ANA = {
    "traits": {"email": "ana@x.example", "first_name": "Ana"},
    "consents": {"marketing": "granted"},
}
ADDED = {"event": "Product Added", "properties": {"price": 60}}


def report(**trial: Any) -> Report:
    source = {**SHOP, "tests": {"one": {"customer": ANA, "given": [ADDED], **trial}}}
    (trial_read,) = read_trials(source, {})
    return play(trial_read, compile_source(source))


def passes(**trial: Any) -> bool:
    return report(**trial).is_passed


def test_messages_that_go_out_are_compared_in_their_order() -> None:
    assert passes(expect=["reminder", "offer"])
    assert not passes(expect=["offer", "reminder"])
    assert not passes(expect=["reminder"])
    assert not passes(expect=["reminder", "offer", "offer"])
    assert not passes(expect=[])


def test_nothing_is_expected_where_nothing_goes_out() -> None:
    cheap = {"event": "Product Added", "properties": {"price": 5}}
    assert passes(given=[cheap], expect=[])
    assert not passes(given=[cheap], expect=["reminder"])


@pytest.mark.parametrize(
    ("field", "right", "wrong"),
    [
        ("outcome", "send", "substitute"),
        ("reason", "sent", "cooldown"),
        ("channel", "email", "sms"),
        ("journey", "cart", None),
        ("step", "first", "steps[4]"),
        ("contains", "Ana", "Ben"),
        ("contains", ["Hi", "reminder"], ["Hi", "offer"]),
        ("at", "+1h", "+2h"),
        ("at", "2026-03-02T11:00", "2026-03-02T11:00Z"),
        ("at", "2026-03-02T09:00:00Z", "2026-03-02T11:00:01"),
        ("at", "11:00", "11:01"),
        ("at", "Mon 11:00", "Tue 11:00"),
    ],
)
def test_each_stated_field_is_compared(field: str, right: object, wrong: object) -> None:
    assert passes(expect=[{"message": "reminder", field: right}, "offer"])
    if wrong is not None:
        assert not passes(expect=[{"message": "reminder", field: wrong}, "offer"])


def test_times_are_counted_from_the_entry_before() -> None:
    later = {"event": "Product Added", "properties": {"price": 60}, "at": "+30m"}
    assert passes(
        **{"from": "2026-03-04T17:00:00+02:00"},
        given=[{**ADDED, "at": "+10m"}, later, {"at": "+30m", "event": "Order Completed"}],
        until="+0s",
        expect=[],
        ends={"cart": "goal_met"},
    )


def test_deferrals_and_drops_are_compared_where_they_are_named() -> None:
    late = {"from": "2026-03-02T19:30"}
    morning = {"message": "reminder", "at": "tomorrow 09:00"}
    waits = {"message": "reminder", "outcome": "defer", "reason": "outside_window", "at": "20:30"}
    assert passes(**late, expect=[morning, "offer"])
    assert passes(**late, expect=[waits, {**morning, "at": "+12h30m"}, "offer"])
    assert passes(**late, expect=[{**waits, "next_eligible": "09:00"}, morning, "offer"])
    assert not passes(**late, expect=[{**waits, "next_eligible": "10:00"}, morning, "offer"])
    assert not passes(**late, expect=[{**waits, "reason": "cooldown"}, morning, "offer"])
    bought = [ADDED, {"at": "+2h", "event": "Order Completed"}]
    assert passes(**late, given=bought, expect=[{"outcome": "drop", "reason": "goal_met"}])


def test_a_deferral_is_no_message_that_went_out() -> None:
    assert not passes(**{"from": "2026-03-02T19:30"}, until="+2h", expect=["reminder"])


def test_receipts_consent_and_traits_happen() -> None:
    opened = {"at": "+2h", "receipt": {"message": "reminder", "status": "opened"}}
    assert passes(given=[ADDED, opened], expect=["reminder"], ends={"cart": "engaged"})
    withdrawn = {"at": "+2h", "consent": {"purpose": "marketing", "status": "withdrawn"}}
    dropped = {"message": "offer", "outcome": "drop", "reason": "no_consent"}
    assert passes(given=[ADDED, withdrawn], expect=["reminder", dropped])
    bounced = {
        "at": "+61m",
        "receipt": {"message": "reminder", "status": "failed", "permanent": True},
    }
    told = {"identify": {"phone": "+27820000000"}}
    by_sms = {"message": "reminder", "channel": "sms", "contains": "R60"}
    assert passes(given=[ADDED, told, bounced], expect=["reminder", by_sms, "offer"])


def test_what_was_before_is_counted_and_begins_nothing() -> None:
    cheap = {"event": "Product Added", "properties": {"price": 5}}
    past: list[dict[str, Any]]
    past = [{"event": "Order Completed", "ago": ago} for ago in ("3d", "40d")]
    assert passes(customer={**ANA, "past": past}, given=[cheap], expect=["reminder", "offer"])
    assert passes(customer={**ANA, "past": past[:1]}, given=[cheap], expect=[])
    past = [{"event": "Product Added", "ago": "1h", "properties": {"price": 99}}]
    assert passes(customer={**ANA, "past": past}, given=[{"event": "Seen"}], expect=[])


def test_nothing_comes_due_before_a_test_begins() -> None:
    weekly = {
        "trigger": {"schedule": "0 9 * * mon", "segment": "regular"},
        "steps": [{"send": "offer"}],
    }
    source: dict[str, Any] = {**SHOP, "journeys": {"weekly": weekly}}
    past = [{"event": "Order Completed", "ago": ago} for ago in ("20d", "9d")]
    one = {
        "customer": {**ANA, "past": past},
        "until": "+8d",
        "expect": [{"message": "offer", "at": "2026-03-09T09:00"}],
    }
    (trial,) = read_trials({**source, "tests": {"one": one}}, {})
    assert play(trial, compile_source(source)).is_passed


def test_consent_is_by_purpose_and_channel() -> None:
    reached = {**ANA["traits"], "phone": "+27820000000"}
    by_sms = {"traits": reached, "consents": {"marketing": {"sms": "granted", "email": "denied"}}}
    assert passes(customer=by_sms, expect=[{"channel": "sms"}, {"channel": "sms"}])
    assert passes(
        customer={"traits": reached}, expect=[{"outcome": "drop", "reason": "no_consent"}]
    )


QUOTES: dict[str, Any] = {
    **SHOP,
    "journeys": {
        "quote": {
            "trigger": {"event": "Product Added"},
            "steps": [
                {
                    "id": "price",
                    "webhook": {"url": "https://crm.example/quote", "timeout": "30s"},
                    "into": "quote",
                    "then": [{"set": {"premium": {"cel": "journey.quote.premium"}}}],
                    "else": [{"send": "offer"}],
                }
            ],
        },
        "other": {
            "trigger": {"event": "Seen"},
            "steps": [
                {"id": "price", "send": "reminder"},
                {"webhook": {"url": "https://crm.example/told"}},
            ],
        },
    },
}


def quotes(answers: object, **trial: Any) -> Report:
    one = {"customer": ANA, "given": [ADDED], "expect": [], "answers": answers, **trial}
    source = {**QUOTES, "tests": {"one": one}}
    (trial_read,) = read_trials(source, {})
    return play(trial_read, compile_source(source))


GOOD = {"body": {"premium": 900}}


@pytest.mark.parametrize("name", ["price", "quote/price"])
def test_a_service_answers_as_the_test_says(name: str) -> None:
    assert quotes({name: GOOD}, traits={"premium": 900}).is_passed
    assert not quotes({name: GOOD}, traits={"premium": 901}).is_passed
    assert not quotes({name: GOOD}, expect=["offer"]).is_passed


def test_an_answer_takes_its_time() -> None:
    late = {"price": {**GOOD, "after": "20s"}}
    assert quotes(late, until="+19s", stays_in=["quote"]).is_passed
    assert quotes(late, until="+20s", ends={"quote": "completed"}).is_passed


@pytest.mark.parametrize(
    ("answer", "after"),
    [
        ({"status": 404, "body": {"premium": 900}}, "+0s"),
        ({"status": 302}, "+0s"),
        ({"status": 503, "after": "29s"}, "+29s"),
        ({**GOOD, "after": "30s"}, "+30s"),
        ({**GOOD, "after": "1h"}, "+30s"),
        ("timeout", "+30s"),
    ],
)
def test_what_is_no_success_leads_to_else(answer: object, after: str) -> None:
    wanted = [{"message": "offer", "at": after}]
    assert quotes({"price": answer}, expect=wanted).is_passed


def test_each_call_of_a_step_is_answered() -> None:
    people = {name: {**ANA, "traits": {"email": f"{name}@x.example"}} for name in ("ana", "ben")}
    one = {
        "customers": people,
        "given": [{**ADDED, "customer": name} for name in people],
        "answers": {"price": GOOD},
        "traits": {name: {"premium": 900} for name in people},
    }
    (trial,) = read_trials({**QUOTES, "tests": {"one": one}}, {})
    assert play(trial, compile_source(QUOTES)).is_passed


def test_a_call_nobody_answers_is_told_where_a_test_fails() -> None:
    told = list(describe_report(quotes({}), {}))
    assert told[-1] == "nobody answered quote/price, so it timed out: see `answers:`"
    for answer in (GOOD, "timeout"):
        assert quotes({"price": answer}).unanswered == ()


def test_ends_stays_and_traits_are_compared() -> None:
    assert passes(ends={"cart": "completed"}, traits={"asked": True, "first_name": "Ana"})
    assert not passes(ends={"cart": "engaged"})
    assert not passes(traits={"asked": False})
    assert not passes(traits={"tier": "vip"})
    assert passes(until="+3h", stays_in=["cart"])
    assert not passes(stays_in=["cart"])
    assert not passes(until="+3h", ends={"cart": "completed"})


def test_traits_that_are_worked_out_are_compared() -> None:
    order = {"event": "Order Completed", "properties": {"total": 10}}
    assert passes(given=[order], traits={"lifecycle": "new"})
    assert not passes(given=[order], traits={"lifecycle": "lapsed"})


def test_several_customers_have_names() -> None:
    people = {"ana": ANA, "ben": {**ANA, "traits": {"email": "ben@x.example", "first_name": "Ben"}}}
    source: dict[str, Any] = {
        "customers": people,
        "given": [
            {**ADDED, "customer": "ana"},
            {**ADDED, "customer": "ben", "at": "+1h"},
            {"event": "Order Completed", "customer": "ana", "at": "+1h"},
        ],
        "expect": [
            {"message": "reminder", "customer": "ana", "contains": "Ana"},
            {"message": "reminder", "customer": "ben", "contains": "Ben"},
            {"message": "offer", "customer": "ben"},
        ],
        "ends": {"ana": {"cart": "goal_met"}, "ben": {"cart": "completed"}},
        "traits": {"ben": {"asked": True}},
    }
    trials = read_trials({**SHOP, "tests": {"two": source}}, {})
    assert play(trials[0], compile_source(SHOP)).is_passed
    source["ends"]["ana"]["cart"] = "completed"
    trials = read_trials({**SHOP, "tests": {"two": source}}, {})
    assert not play(trials[0], compile_source(SHOP)).is_passed


def test_a_receipt_about_nothing_is_told() -> None:
    receipt = {"receipt": {"message": "offer", "status": "opened"}}
    found = report(given=[ADDED, receipt], expect=["reminder", "offer"])
    assert [one.path for one in found.shortfalls] == [("tests", "one", "given", 1)]


def test_what_differs_is_told_with_why_and_what_was_nearest() -> None:
    told = list(
        describe_report(
            report(**{"from": "2026-03-02T19:30"}, until="+2h", expect=["reminder"]), {}
        )
    )
    assert told[0].startswith("what was to follow")
    assert any(line.startswith("-  at any time") and "reminder  send" in line for line in told)
    assert any("reminder  defer" in line and "until Tue 2026-03-03 09:00" in line for line in told)
    assert any("outside_window" in line for line in told)
    assert any("channels.email.window" in line for line in told)


def test_what_was_never_decided_about_is_told_with_the_journeys_that_were_entered() -> None:
    cheap = {"event": "Product Added", "properties": {"price": 5}}
    told = list(describe_report(report(given=[cheap], expect=["reminder"]), {}))
    assert told[-1].endswith("nothing at all was decided about reminder: no journey was entered")
    told = list(describe_report(report(until="+30m", expect=["reminder"]), {}))
    assert told[-1].endswith("about reminder: the journeys that were entered: cart")


def test_a_workspace_is_the_same_one_whatever_its_tests() -> None:
    tested = {**SHOP, "tests": {"one": {"customer": ANA, "given": [ADDED], "expect": []}}}
    assert compile_source(tested).version == compile_source(SHOP).version
    assert canonical_bytes(tested) == canonical_bytes(SHOP)


def test_a_test_gives_the_same_every_time() -> None:
    first, second = report(expect=["reminder"]), report(expect=["reminder"])
    assert [line.decided for line in first.lines] == [line.decided for line in second.lines]


def test_a_journey_that_never_rests_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.trials.TRIAL_STEPS_MAX", 2)
    found = report(expect=["reminder", "offer"])
    assert "never rests" in found.shortfalls[0].message
    assert not found.is_passed


def test_the_words_of_tests_are_those_of_the_engine() -> None:
    assert set(get_args(OutcomeWord)) == {one.value for one in Outcome}
    assert set(get_args(ReceiptWord)) < {one.value for one in ReceiptStatus}
    assert set(get_args(ConsentWord)) < {one.value for one in ConsentStatus}


SHARED_OUT: dict[str, Any] = {
    **QUOTES,
    "journeys": {
        "gift": {
            "trigger": {"event": "Product Added"},
            "steps": [
                {
                    "id": "gift_or_not",
                    "split": {"offer": 1, "reminder": 1, "nothing": 98},
                    "cases": {
                        "offer": [{"send": "offer"}],
                        "reminder": [{"send": "reminder"}],
                    },
                },
            ],
        },
    },
}


def shares_out(arms: dict[str, str], **trial: Any) -> Report:
    source = {**SHARED_OUT, "tests": {"one": {"customer": ANA, "given": [ADDED], **trial}}}
    source["tests"]["one"]["arms"] = arms
    (trial_read,) = read_trials(source, {})
    return play(trial_read, compile_source(source))


@pytest.mark.parametrize(
    ("arm", "sent"), [("offer", ["offer"]), ("reminder", ["reminder"]), ("nothing", [])]
)
def test_a_test_chooses_the_arm(arm: str, sent: list[str]) -> None:
    assert shares_out({"gift_or_not": arm}, expect=sent).is_passed
    assert shares_out({"gift/gift_or_not": arm}, expect=sent).is_passed


@pytest.mark.parametrize(
    ("arms", "message", "hint"),
    [
        ({"gift_or_not": "ofer"}, "unknown arm 'ofer'", "did you mean 'offer'?"),
        ({"gift_or_no": "offer"}, "unknown step 'gift_or_no'", "did you mean 'gift_or_not'?"),
        (
            {"gift_or_not": "offer", "gift/gift_or_not": "nothing"},
            "'gift/gift_or_not' has its arm already",
            "leave one of them out",
        ),
    ],
)
def test_an_arm_that_is_not_there_is_told(arms: dict[str, str], message: str, hint: str) -> None:
    with pytest.raises(ProgramError) as caught:
        shares_out(arms, expect=[])
    assert [(one.message, one.hint) for one in caught.value.problems] == [(message, hint)]
