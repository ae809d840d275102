"""The step `webhook`, decided: what is asked, what follows from each answer, and from none."""

from typing import Any

import msgspec
import pytest

from actors.replay import Answers
from engine.effects import Call, Recall
from engine.events import Answered, Event, EventKind, Merged, Rebirth, Tick
from engine.evolve import evolve_input
from engine.ids import call_id
from engine.instants import HOUR_MS, SECOND_MS
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.records import Called, CallRecalled, Duplicated, Exited, Remembered, Unmatched
from engine.step import StepResult, effects_of, step
from tests.stories import Story, at

URL = "https://crm.example/quote"


def workspace(call: dict[str, Any] | None = None, **journey: Any) -> dict[str, Any]:
    content = {"email": {"subject": "s", "body": "{{ journey.quote.price }}"}}
    steps = [
        {
            "id": "ask",
            "webhook": {"url": URL, **(call or {})},
            "into": "quote",
            "then": [{"send": "a"}],
            "else": [{"send": "b"}],
        }
    ]
    return {
        "workspace": "calls",
        "defaults": {"timezone": "UTC", "country": "GB"},
        "channels": {"email": {"adapter": "log", "identity": "email"}},
        "message_types": {"note": {"purpose": "service", "channels": ["email"]}},
        "messages": {name: {"type": "note", "content": content} for name in ("a", "b")},
        "journeys": {"main": {"trigger": {"event": "Go"}, "steps": steps, **journey}},
    }


def story(call: dict[str, Any] | None = None, **journey: Any) -> Story:
    return Story(workspace(call, **journey)).identify(
        "07:00", email="a@example.com", name="Ada Lovelace/../x"
    )


def after(ms: int, status: int = 200, body: Any = None, code: str = "") -> Answers:
    """Have every call answered so much later."""
    return lambda call: Answered(
        call.call_id, call.customer, status, call.called_at + ms, body, code
    )


def caught(told: Story) -> list[Call]:
    """Give the calls a history makes, none of which is answered."""
    calls: list[Call] = []
    told.answering(calls.append).decisions()
    return calls


def ask(call: dict[str, Any], **properties: Any) -> Call:
    (made,) = caught(story(call).track("08:00", "Go", **properties))
    return made


# What is asked.


def test_a_call_is_filled_in_for_its_customer() -> None:
    call = ask(
        {
            "method": "PUT",
            "headers": {"X-Team": "growth {{ event.n }}", "Authorization": {"env": "CRM_TOKEN"}},
            "body": {
                "customer": "{{ customer }}",
                "cart": {"cel": "entry.cart_id"},
                "nothing": {"cel": "entry.not_there"},
                "nested": {"list": [1, True, None, {"cel": "entry.n + 1"}, "{{ event.n }}"]},
            },
            "timeout": "20s",
        },
        cart_id="c9",
        n=3,
    )
    assert (call.method, call.url) == ("PUT", URL)
    assert call.headers == {"X-Team": "growth 3"}
    assert call.secrets == {"Authorization": "CRM_TOKEN"}
    assert msgspec.json.decode(call.body) == {
        "customer": "u1",
        "cart": "c9",
        "nothing": None,
        "nested": {"list": [1, True, None, 4, "3"]},
    }
    assert call.expires_at == call.called_at + 20 * SECOND_MS
    assert call.takes_answer


def test_what_is_filled_into_an_address_stays_in_its_place() -> None:
    call = ask({"url": "https://crm.example/by/{{ profile.name }}?q={{ event.q }}"}, q="a&b=c +d")
    assert call.url == ("https://crm.example/by/Ada%20Lovelace%2F..%2Fx?q=a%26b%3Dc%20%2Bd")


def test_what_its_author_has_encoded_is_not_encoded_twice() -> None:
    assert ask({"url": "https://crm.example/{{ event.q | url_encode }}"}, q="a b").url == (
        "https://crm.example/a+b"
    )


def test_a_value_begins_no_header_of_its_own() -> None:
    call = ask({"headers": {"X-Name": "{{ event.q }}"}}, q="a\r\nHost: evil")
    assert call.headers == {"X-Name": "a  Host: evil"}


def test_a_call_without_a_body_has_none() -> None:
    assert ask({"method": "GET"}).body == ""


def test_live_traits_can_be_shown() -> None:
    assert msgspec.json.decode(ask({"body": {"stage": "{{ profile.lifecycle }}"}}).body) == {
        "stage": "prospect"
    }


@pytest.mark.parametrize(
    ("call", "properties"),
    [
        ({"url": "https://crm.example/{{ event.q }}/x"}, {"q": ".."}),
        ({"url": "https://crm.example/{{ event.q }}"}, {"q": "x" * 2_001}),
        ({"headers": {"X-Q": "{{ event.q }}"}}, {"q": "x" * 1_001}),
        ({"body": {"q": {"cel": "entry.q"}}}, {"q": "x" * 33_000}),
        ({"body": {"q": "{{ event.q | divided_by: 0 }}"}}, {"q": 1}),
    ],
)
def test_a_call_that_cannot_be_made_has_failed_at_once(
    call: dict[str, Any], properties: dict[str, Any]
) -> None:
    told = story(call).track("08:00", "Go", **properties)
    assert caught(told) == []
    assert told.told() == ["08:00 b send sent email"]


# What follows.


def test_a_good_answer_is_remembered_and_goes_on_with_then() -> None:
    told = story().track("08:00", "Go").answering(after(1_000, body={"price": 7})).until("09:00")
    (decision,) = told.decisions()
    assert decision["at"] == "2026-03-02T08:00:01Z"
    assert decision["message"] == "a"
    assert list(decision["cause"]) == ["answer"]
    assert told.endings() == {"main/completed": 1}


def test_what_was_answered_can_be_shown_and_asked_for() -> None:
    steps = [
        {
            "webhook": {"url": URL},
            "into": "quote",
            "then": [{"if": "journey.quote.price > 5", "then": [{"send": "a"}]}],
        },
    ]
    told = story(steps=steps).track("08:00", "Go")
    dear = told.answering(after(1, body={"price": 7})).until("09:00")
    assert [one["body"] for one in dear.sent()] == ["7"]
    assert told.answering(after(1, body={"price": 5})).told() == []


@pytest.mark.parametrize(
    "answer",
    [
        after(1_000, 404),
        after(1_000, 302, code="redirect"),
        after(1_000, 200, code="not_json"),
        after(1_000, 0, code="unreachable"),
    ],
)
def test_any_other_answer_goes_on_with_else(answer: Answers) -> None:
    told = story().track("08:00", "Go").answering(answer).until("09:00")
    assert told.told() == ["08:00:01 b send sent email"]


def test_no_answer_goes_on_with_else_when_the_time_is_over() -> None:
    told = story().track("08:00", "Go").until("09:00")
    assert told.told() == ["08:00:10 b send sent email"]
    assert told.endings() == {"main/completed": 1}


def test_an_answer_at_the_last_instant_comes_before_the_end_of_the_time() -> None:
    told = story().track("08:00", "Go").answering(after(10_000)).until("09:00")
    assert told.told() == ["08:00:10 a send sent email"]


def test_a_late_answer_changes_nothing() -> None:
    told = story().track("08:00", "Go").answering(after(10_001)).until("09:00")
    assert told.told() == ["08:00:10 b send sent email"]


def test_without_into_only_success_counts() -> None:
    steps = [{"webhook": {"url": URL}, "then": [{"send": "a"}], "else": [{"send": "b"}]}]
    told = story(steps=steps).track("08:00", "Go").answering(after(5, 204)).until("09:00")
    assert told.told() == ["08:00:00.005 a send sent email"]
    (call,) = caught(told)
    assert not call.takes_answer


def test_an_answer_after_the_goal_was_met_changes_nothing() -> None:
    told = story(goal={"event": "Paid"}).track("08:00", "Go").track("08:00", "Paid")
    assert told.answering(after(1_000)).until("09:00").told() == []
    assert told.endings() == {"main/goal_met": 1}


# Step by step.


class Life:
    """One customer, input by input."""

    def __init__(self, program: dict[str, Any] | None = None, name: str = "u1") -> None:
        self.program = compile_source(program or workspace(goal={"event": "Paid"}))
        self.profile = Profile(name)
        self.now = at("08:00")
        self.take(
            Event("i", EventKind.IDENTIFY, "Identified", name, None, self.now, self.now,
                  traits={"email": "a@example.com"})
        )  # fmt: skip

    def take(self, given: Any, *, later_ms: int = 0) -> StepResult:
        self.now += later_ms
        return step(self.profile, given, self.program, self.now)

    def go(self, name: str = "Go") -> StepResult:
        return self.take(
            Event(name, EventKind.TRACK, name, self.profile.customer, None, self.now, self.now)
        )

    def answer(self, call: str, status: int = 200, body: Any = None) -> StepResult:
        return self.take(Answered(call, self.profile.customer, status, self.now, body))


def find(result: StepResult, kind: type[Any]) -> list[Any]:
    return [record for record in result.records if isinstance(record, kind)]


def test_an_answer_is_taken_once() -> None:
    life = Life()
    (called,) = find(life.go(), Called)
    first = life.answer(called.call_id, body={"price": 1})
    assert find(first, Remembered) == [Remembered(1, "quote", {"price": 1})]
    assert find(first, Exited)
    assert life.answer(called.call_id).records == [Duplicated(f"answer:{called.call_id}")]


def test_ids_of_calls_follow_from_the_customer_and_how_many_there_were() -> None:
    life = Life()
    (first,) = find(life.go(), Called)
    life.answer(first.call_id)
    result = life.take(Event("again", EventKind.TRACK, "Go", "u1", None, life.now, life.now))
    (second,) = find(result, Called)
    assert (first.call_id, second.call_id) == (call_id("u1", 1), call_id("u1", 2))


def test_whoever_leaves_takes_the_call_back() -> None:
    life = Life()
    (called,) = find(life.go(), Called)
    left = life.go("Paid")
    assert find(left, CallRecalled) == [CallRecalled(called.call_id)]
    assert Recall("u1", called.call_id) in left.effects
    assert life.answer(called.call_id).records == [Unmatched("answer")]


def test_after_an_answer_nothing_is_taken_back_and_no_timer_is_left() -> None:
    life = Life()
    (called,) = find(life.go(), Called)
    result = life.answer(called.call_id)
    assert not find(result, CallRecalled)
    assert life.profile.timers == {}


def test_after_the_time_is_over_the_answer_is_only_noted() -> None:
    life = Life()
    (called,) = find(life.go(), Called)
    ((number, timer),) = life.profile.timers.items()
    life.take(Tick(number, timer.at), later_ms=10_000)
    assert life.answer(called.call_id).records == [Unmatched("answer")]


def test_an_answer_to_another_call_is_only_noted() -> None:
    life = Life()
    life.go()
    assert life.answer("c_other").records == [Unmatched("answer")]
    assert life.profile.instances[1].call


def test_no_secret_is_in_what_is_put_down() -> None:
    life = Life(workspace({"headers": {"Authorization": {"env": "CRM_TOKEN"}}}))
    (called,) = find(life.go(), Called)
    assert called.headers == {}
    assert called.secrets == {"Authorization": "CRM_TOKEN"}


def test_a_refused_call_has_no_effect() -> None:
    life = Life(workspace({"body": {"q": "{{ event.q | divided_by: 0 }}"}}))
    (called,) = find(life.go(), Called)
    assert called.refused.startswith("template_error: ")
    assert (called.url, called.body) == ("", "")
    assert effects_of("u1", [called]) == []
    assert not life.profile.instances


def test_an_answer_comes_to_whom_the_customer_turned_out_to_be() -> None:
    """The journey goes on with the one who stays, and waits for no longer than it would have."""
    came = Life(name="u2")
    (called,) = find(came.go(), Called)
    until = came.profile.instances[1].waiting_until
    life = Life()
    packed = msgspec.msgpack.encode(came.profile)
    life.take(Merged("u2", 9, packed, (("email", "a@example.com"),), "email", life.now))
    (instance,) = life.profile.instances.values()
    assert instance.call == called.call_id
    assert [timer.at for timer in life.profile.timers.values()] == [until]
    result = life.take(Answered(called.call_id, "u2", 200, life.now, {"price": 2}))
    assert find(result, Remembered) == [Remembered(instance.id, "quote", {"price": 2})]


def test_calls_of_whoever_had_the_name_before_are_not_named_again() -> None:
    profile = Profile("u1")
    evolve_input(profile, Rebirth(7 << 20, 0), 0)
    assert profile.call_count == 7 << 20


def test_journeys_may_start_each_other_behind_a_call() -> None:
    raw = workspace()
    for name, other in (("main", "next"), ("next", "main")):
        raw["journeys"][name] = {
            "trigger": {"event": f"Go {name}"},
            "steps": [{"webhook": {"url": URL}}, {"start": other}],
        }
    assert list(compile_source(raw).journeys) == ["main", "next"]


def test_a_step_may_take_an_hour_and_no_longer() -> None:
    assert ask({"timeout": "1h"}).expires_at == at("08:00") + HOUR_MS


def test_branches_wait_for_answers_of_their_own_and_share_what_they_learn() -> None:
    steps = [
        {
            "parallel": {
                "a": [{"webhook": {"url": URL}, "into": "one"}],
                "b": [{"webhook": {"url": URL}, "into": "two"}],
            }
        },
        {"if": "journey.one.n + journey.two.n == 2", "then": [{"send": "a"}]},
    ]
    told = story(steps=steps).track("08:00", "Go").answering(after(1_000, body={"n": 1}))
    assert told.until("09:00").told() == ["08:00:01 a send sent email"]


def test_a_branch_that_is_ended_takes_its_call_back() -> None:
    steps = [
        {
            "parallel": {"a": [{"webhook": {"url": URL}}], "b": [{"wait": "1s"}]},
            "join": "any",
        },
        {"send": "a"},
    ]
    life = Life(workspace(steps=steps))
    (called,) = find(life.go(), Called)
    (waiting,) = [one for one in life.profile.timers.items() if one[1].at == life.now + 1_000]
    result = life.take(Tick(waiting[0], waiting[1].at), later_ms=1_000)
    assert find(result, CallRecalled) == [CallRecalled(called.call_id)]
    assert life.answer(called.call_id).records == [Unmatched("answer")]
