"""Messages that failed, or may have, and that somebody wants sent again."""

from typing import Any

import msgspec

from engine.effects import Send, Withhold
from engine.events import Event, EventKind, Input, Receipt, ReceiptStatus, Redeliver, Tick
from engine.ids import message_id
from engine.limits import SENDS_EVENT_MAX
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.records import Decided, Duplicated, Unmatched
from engine.step import StepResult, step
from tests.stories import at


class _Desk:
    """A customer, and what is done with their messages."""

    def __init__(self, **kind: Any) -> None:
        self.profile = Profile("u1")
        self.program = compile_source({
            "workspace": "redelivery",
            "channels": {
                "sms": {"adapter": "log", "identity": "phone"},
                "voice": {"adapter": "log", "identity": "phone"},
            },
            "message_types": {"it": {"purpose": "service", "channels": ["sms"], **kind}},
            "messages": {"a": {"type": "it", "content": {"default": {"body": "{{ event.code }}"}}}},
            "journeys": {"j": {
                "trigger": {"event": "A"}, "goal": {"event": "Bought"},
                "steps": [{"send": "a"}, {"wait": "1h"}],
            }},
        })  # fmt: skip
        self._count = 0
        self.track("07:00", "Identified", EventKind.IDENTIFY, traits={"phone": "+447700900123"})

    def track(
        self, hour: str, name: str, kind: EventKind = EventKind.TRACK, **parts: Any
    ) -> StepResult:
        self._count += 1
        moment = at(hour)
        return self.take(
            Event(f"e{self._count}", kind, name, "u1", None, moment, moment, **parts), hour
        )

    def hear(self, hour: str, status: str, *, attempt: int = 0) -> StepResult:
        self._count += 1
        told, moment = ReceiptStatus(status), at(hour)
        message = message_id("u1", 1, attempt)
        return self.take(
            Receipt(f"r{self._count}", "u1", message, told, moment, moment, permanent=True), hour
        )

    def again(self, hour: str, *, attempt: int = 0) -> StepResult:
        return self.take(Redeliver(message_id("u1", 1, attempt), at(hour)), hour)

    def take(self, given: Input, hour: str) -> StepResult:
        return step(self.profile, given, self.program, at(hour))


def _decided(result: StepResult) -> list[Decided]:
    return [record for record in result.records if isinstance(record, Decided)]


def _sent(result: StepResult) -> list[tuple[str, str]]:
    return [(one.channel, one.content["body"]) for one in result.effects if isinstance(one, Send)]


def test_a_message_that_failed_is_sent_again_as_it_was_with_an_id_of_its_own() -> None:
    desk = _Desk()
    first = desk.track("08:00", "A", properties={"code": "1234"})
    assert _sent(first) == [("sms", "1234")]
    desk.hear("08:01", "failed")
    again = desk.again("12:00")
    assert _sent(again) == [("sms", "1234")]
    decided = _decided(again)[0]
    assert (decided.cause_kind, decided.cause) == ("redelivery", _decided(first)[0].message_id)
    assert decided.message_id == message_id("u1", 1, 1)
    assert decided.proposal == 1


def test_asking_twice_sends_once() -> None:
    desk = _Desk()
    desk.track("08:00", "A")
    desk.hear("08:01", "failed")
    assert desk.again("12:00").effects
    assert desk.again("12:00").records == [Duplicated(f"redeliver:{_first()}:{at('12:00')}")]
    assert desk.again("12:01").records == [Unmatched("redelivery")]  # the second is under way


def _first() -> str:
    return message_id("u1", 1, 0)


def test_one_in_doubt_may_be_sent_again_and_one_that_arrived_may_not() -> None:
    desk = _Desk()
    desk.track("08:00", "A")
    assert desk.again("08:01").records == [Unmatched("redelivery")]
    desk.hear("08:02", "in_doubt")
    assert _sent(desk.again("08:03"))
    arrived = _Desk()
    arrived.track("08:00", "A")
    arrived.hear("08:02", "in_doubt")
    arrived.hear("08:03", "delivered")
    assert arrived.again("08:04").records == [Unmatched("redelivery")]
    assert arrived.again("08:05", attempt=7).records == [Unmatched("redelivery")]


def test_expiry_counts_from_the_request() -> None:
    desk = _Desk(expires="10m")
    desk.track("08:00", "A")
    desk.hear("08:01", "failed")
    assert _decided(desk.again("12:00"))[0].expires_at == at("12:10")


def test_the_same_channel_is_tried_first_and_then_the_chain_goes_on() -> None:
    desk = _Desk(channels=["sms", "voice"])
    desk.track("08:00", "A", properties={"code": "1"})
    assert _sent(desk.hear("08:01", "failed")) == [("voice", "1")]
    desk.hear("08:02", "failed", attempt=1)
    assert _sent(desk.again("12:00")) == [("sms", "1")]
    assert _sent(desk.hear("12:01", "failed", attempt=2)) == [("voice", "1")]
    desk.hear("12:02", "failed", attempt=3)
    assert _sent(desk.again("13:00", attempt=1)) == [("voice", "1")]


def test_every_check_is_made_again() -> None:
    desk = _Desk()
    desk.track("08:00", "A")
    desk.hear("08:01", "failed")
    desk.track("08:02", "Bought")
    assert [one.reason for one in _decided(desk.again("08:03"))] == ["goal_met"]
    gone = _Desk()
    gone.track("08:00", "A")
    gone.hear("08:01", "failed")
    gone.track("08:02", "Identified", EventKind.IDENTIFY, traits={"phone": None})
    assert [one.reason for one in _decided(gone.again("08:03"))] == ["unreachable"]


def test_a_message_whose_event_is_not_kept_any_more_is_not_sent_without_it() -> None:
    desk = _Desk()
    desk.track("08:00", "A")
    desk.hear("08:01", "failed")
    first = desk.profile.sends[_first()]
    first.event = {}
    for number in range(SENDS_EVENT_MAX):
        later = msgspec.structs.replace(first, message_id=f"m{number}", proposal=9 + number)
        desk.profile.sends[later.message_id] = later
    assert [one.reason for one in _decided(desk.again("08:03"))] == ["no_content"]


# Messages that did not leave when another took their place.


def test_a_message_that_did_not_leave_in_time_is_held_back() -> None:
    desk = _Desk(channels=["sms", "voice"], fallback={"unless": "delivered", "within": "2m"})
    desk.track("08:00", "A")
    timer = next(number for number, one in desk.profile.timers.items() if one.kind == "fallback")
    result = desk.take(Tick(timer, at("08:02")), "08:02")
    assert [one.channel for one in result.effects if isinstance(one, Send)] == ["voice"]
    assert [one for one in result.effects if isinstance(one, Withhold)] == [
        Withhold("u1", _first())
    ]


def test_one_that_left_can_not_be_held_back() -> None:
    desk = _Desk(channels=["sms", "voice"], fallback={"unless": "delivered", "within": "2m"})
    desk.track("08:00", "A")
    desk.hear("08:00", "accepted")
    timer = next(number for number, one in desk.profile.timers.items() if one.kind == "fallback")
    result = desk.take(Tick(timer, at("08:02")), "08:02")
    assert not [one for one in result.effects if isinstance(one, Withhold)]
