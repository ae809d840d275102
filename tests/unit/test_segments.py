"""Segments: who comes in and leaves, what that starts, and when somebody is woken for it."""

from typing import Any

import msgspec
import pytest

from engine.effects import Wake
from engine.events import (
    ChangeKind,
    Departed,
    Event,
    EventKind,
    Input,
    Merged,
    Restored,
    Review,
    Tick,
    TraitChange,
)
from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS, NEVER_AT
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.program.program import Program
from engine.records import Entered, SegmentEntered, SegmentLeft, SegmentsReviewed, Truncated
from engine.segments import reassess
from engine.step import StepResult, step
from engine.turn import Turn
from tests.stories import Story, at

Segments = dict[str, str]


def workspace(segments: Segments, **journeys: dict[str, Any]) -> dict[str, Any]:
    content = {"email": {"subject": "s", "body": "b"}}
    return {
        "workspace": "segments",
        "defaults": {"timezone": "UTC", "country": "GB"},
        "channels": {"email": {"adapter": "log", "identity": "email"}},
        "message_types": {"note": {"purpose": "service", "channels": ["email"]}},
        "messages": {name: {"type": "note", "content": content} for name in ("a", "b")},
        "segments": segments,
        "journeys": journeys,
    }


def story(segments: Segments, **journeys: dict[str, Any]) -> Story:
    return Story(workspace(segments, **journeys)).identify("07:00", email="a@example.com")


def by_segment(segment: str, message: str, **trigger: str) -> dict[str, Any]:
    return {"trigger": {"segment": segment, **trigger}, "steps": [{"send": message}]}


class Customer:
    """One customer who takes inputs one by one; what was put down is kept."""

    def __init__(self, segments: Segments, **journeys: dict[str, Any]) -> None:
        self.program = self.compiled(segments, **journeys)
        self.profile = Profile("u1")
        self.count = 0

    @staticmethod
    def compiled(segments: Segments, **journeys: dict[str, Any]) -> Program:
        return compile_source(workspace(segments, **journeys))

    def track(self, name: str, when: int, **traits: Any) -> list[str]:
        self.count += 1
        return self.take(
            Event(f"e{self.count}", EventKind.TRACK, name, "u1", None, when, when, traits=traits),
            when,
        )

    def take(self, given: Input, now: int) -> list[str]:
        self.result: StepResult = step(self.profile, given, self.program, now)
        return crossings(self.result)


def crossings(result: StepResult) -> list[str]:
    return [
        f"{'+' if isinstance(one, SegmentEntered) else '-'}{one.segment}"
        + ("?" if one.reviewed else "")
        for one in result.records
        if isinstance(one, SegmentEntered | SegmentLeft)
    ]


def wakes(result: StepResult) -> list[int]:
    return [effect.at for effect in result.effects if isinstance(effect, Wake)]


HOT = {"hot": 'count("Seen", "1h") >= 2'}


def test_coming_into_a_segment_starts_a_journey_and_so_does_leaving_it_by_time_alone() -> None:
    world = story(HOT, come=by_segment("hot", "a"), go=by_segment("hot", "b", on="left"))
    world.track("08:00", "Seen").track("08:10", "Seen").until("12:00")
    assert world.told() == ["08:10 a send sent email", "09:00 b send sent email"]


def test_a_journey_knows_which_segment_it_began_with() -> None:
    steps = [{"set": {"why": {"cel": 'event_name + ": " + event.segment'}}}]
    world = story(HOT, come={"trigger": {"segment": "hot", "on": "entered"}, "steps": steps})
    world.track("08:00", "Seen").track("08:10", "Seen")
    assert world.traits()["why"] == "Segment Entered: hot"


def test_a_trigger_by_a_segment_may_have_a_condition() -> None:
    trigger = {"if": 'profile.plan == "pro"'}
    world = story(HOT, come=by_segment("hot", "a", **trigger))
    world.track("08:00", "Seen").track("08:10", "Seen").identify("09:30", plan="pro")
    world.track("10:00", "Seen").track("10:10", "Seen")
    assert world.told() == ["10:10 a send sent email"]


def test_who_is_new_comes_in_with_the_first_event_and_journeys_start() -> None:
    segments = {"new": 'count("Order Completed", "30d") == 0'}
    assert story(segments, come=by_segment("new", "a")).told() == ["07:00 a send sent email"]


def test_a_purchase_that_ends_membership_is_seen_before_any_journey_looks() -> None:
    steps = [{"if": 'in_segment("new")', "then": [{"send": "a"}], "else": [{"send": "b"}]}]
    world = story(
        {"new": 'count("Order Completed", "30d") == 0'},
        bought={"trigger": {"event": "Order Completed"}, "steps": steps},
    )
    assert world.track("08:00", "Order Completed").told() == ["08:00 b send sent email"]


def test_a_trait_that_a_journey_writes_counts_for_its_next_step() -> None:
    steps: list[dict[str, Any]] = [
        {"set": {"plan": "gold"}},
        {"if": 'in_segment("vip")', "then": [{"send": "a"}], "else": [{"send": "b"}]},
    ]
    world = story(
        {"vip": 'profile.plan == "gold"'}, go={"trigger": {"event": "Go"}, "steps": steps}
    )
    assert world.track("08:00", "Go").told() == ["08:00 a send sent email"]


def test_a_segment_that_asks_for_another_follows_it_at_once_and_in_any_order() -> None:
    segments = {"a_last": 'in_segment("middle") || false', "middle": '!in_segment("z")',
        "z": 'count("Seen", "1h") >= 2'
    }  # fmt: skip
    customer = Customer(segments)
    assert customer.track("Other", 0) == ["+middle", "+a_last"]
    customer.track("Seen", 0)
    assert customer.track("Seen", 5) == ["+z", "-middle", "-a_last"]
    assert wakes(customer.result) == [HOUR_MS]
    assert customer.take(Tick(-1, HOUR_MS), HOUR_MS) == ["-z", "+middle", "+a_last"]


def test_a_wait_for_a_segment_ends_when_time_brings_the_customer_there() -> None:
    steps = [{"wait_for": {"segment": "calm", "up_to": "1d"}, "then": [{"send": "a"}]}]
    world = story(
        {"calm": 'since("Seen") > duration("2h")'}, go={"trigger": {"event": "Go"}, "steps": steps}
    )
    world.track("08:00", "Seen").track("09:00", "Go").until("+1d 12:00")
    assert [one["at"] for one in world.decisions()] == ["2026-03-02T10:00:00.001Z"]


def test_receipts_take_customers_into_segments() -> None:
    segments = {"reader": 'engagement("email", "opened", "1d") >= 1'}
    world = story(
        segments,
        go={"trigger": {"event": "Go"}, "steps": [{"send": "a"}]},
        come=by_segment("reader", "b"),
    )
    world.track("08:00", "Go").receipt("08:30", "a", "opened").until("+2d 08:00")
    assert world.told() == ["08:00 a send sent email", "08:30 b send sent email"]
    assert world.profile().segments == {}


def test_journeys_that_chase_each_other_through_segments_are_stopped() -> None:
    segments = {"on": "profile.is_on == true"}
    turn_off = {"trigger": {"segment": "on"}, "steps": [{"set": {"is_on": False}}]}
    turn_on = {"trigger": {"segment": "on", "on": "left"}, "steps": [{"set": {"is_on": True}}]}
    customer = Customer(segments, off=turn_off, on=turn_on)
    customer.track("Other", 0)
    customer.track("Other", 1, is_on=True)
    truncated = [one for one in customer.result.records if isinstance(one, Truncated)]
    assert truncated == [Truncated("segment_rounds", "on")]
    assert ("on" in customer.profile.segments) is (customer.profile.traits["is_on"] is True)


# Another workspace.


def test_another_definition_takes_customers_in_and_out_without_starting_journeys() -> None:
    journeys = {"come": by_segment("hot", "a"), "go": by_segment("hot", "b", on="left")}
    customer = Customer({"hot": 'count("Seen", "1h") >= 1'}, **journeys)
    assert customer.track("Seen", 0) == ["+hot"]
    customer.program = customer.compiled({"hot": 'count("Seen", "1h") >= 2'}, **journeys)
    review = Review(customer.program.membership.version, 5)
    assert customer.take(review, 5) == ["-hot?"]
    assert not any(isinstance(one, Entered) for one in customer.result.records)
    customer.program = customer.compiled({"hot": 'count("Seen", "2h") >= 1'}, **journeys)
    assert customer.take(Review(customer.program.membership.version, 6), 6) == ["+hot?"]
    assert not any(isinstance(one, Entered) for one in customer.result.records)
    assert customer.profile.segments_at == 2 * HOUR_MS


def test_what_happens_after_another_definition_starts_journeys_as_ever() -> None:
    journeys = {"come": by_segment("hot", "a")}
    customer = Customer({"hot": 'count("Seen", "1h") >= 2'}, **journeys)
    customer.track("Seen", 0)
    customer.program = customer.compiled(
        {"hot": 'count("Seen", "1h") >= 2', "more": 'count("Seen", "2h") >= 1'}, **journeys
    )
    assert customer.track("Seen", 5) == ["+more?", "+hot"]
    assert [one.journey for one in customer.result.records if isinstance(one, Entered)] == ["come"]


def test_another_definition_ends_a_wait_for_the_segment() -> None:
    steps = [{"wait_for": {"segment": "vip", "up_to": "1d"}, "then": [{"exit": "in"}]}]
    journeys: dict[str, Any] = {"go": {"trigger": {"event": "Go"}, "steps": steps}}
    customer = Customer({"vip": 'profile.plan == "gold"'}, **journeys)
    customer.track("Go", 0, plan="silver")
    customer.program = customer.compiled({"vip": 'profile.plan == "silver"'}, **journeys)
    assert customer.take(Review(customer.program.membership.version, 5), 5) == ["+vip?"]
    assert customer.profile.journeys_done == {"go/in": 1}


def test_a_review_that_changes_nothing_leaves_no_trace() -> None:
    customer = Customer(HOT)
    customer.track("Seen", 0)
    customer.program = customer.compiled({**HOT, "gold": 'profile.plan == "gold"'})
    assert customer.take(Review(customer.program.membership.version, 5), 5) == []
    assert customer.result.records == []
    customer.track("Other", 6)
    assert customer.result.records == [SegmentsReviewed(customer.program.membership.version)]


def test_segments_that_are_gone_are_left() -> None:
    customer = Customer({"hot": 'count("Seen", "1h") >= 1'})
    customer.track("Seen", 0)
    customer.program = customer.compiled({})
    assert customer.take(Review(0, 5), 5) == ["-hot?"]
    assert customer.profile.segments == {}
    assert customer.take(Tick(customer.profile.segments_timer, HOUR_MS), HOUR_MS) == []


def test_without_segments_nothing_is_put_down() -> None:
    customer = Customer({})
    customer.track("Seen", 0)
    assert customer.result.records == []


def test_after_a_merge_everything_is_looked_at_again() -> None:
    customer = Customer({"vip": 'profile.plan == "gold"', "hot": 'count("Seen", "1h") >= 1'})
    customer.track("Seen", 0)
    customer.profile.traits["plan"] = "gold"
    turn = Turn(customer.profile, customer.program, "event", "merge", 5)
    reassess(turn)
    assert customer.profile.segments == {"hot": 0, "vip": 5}


# When somebody is woken.


@pytest.mark.parametrize(
    ("condition", "at_first"),
    [
        ('count("Seen", "1h") >= 1', HOUR_MS),
        ('count("Seen", "1h") >= 2', None),
        ('count("Seen", "1h") < 1', HOUR_MS),
        ('count("Seen", "1h") == 1', HOUR_MS),
        ('count("Seen", "1h") == 5', None),
        ('count("Seen", "1h") > 0 && profile.plan == "gold"', None),
        ('count("Seen", "1h") > 0 || profile.plan == "gold"', HOUR_MS),
        ('count("Seen", "1h") > 0 && count("Seen", "2h") > 0', HOUR_MS),
        ('count("Seen", "1h") > 0 || count("Seen", "2h") > 0', 2 * HOUR_MS),
        ('since("Seen") > duration("3h")', 3 * HOUR_MS + 1),
        ('since("Seen") >= duration("3h")', 3 * HOUR_MS),
        ('since("Never") >= duration("3h")', None),
        ('now - last("Seen") < duration("3h")', 3 * HOUR_MS),
        ('now > timestamp("1970-01-01T05:00:00Z")', 5 * HOUR_MS + 1),
        ('now > timestamp("1969-01-01T05:00:00Z")', None),
        ("timestamp(profile.until) > now", None),
        ("now.getHours() >= 9", HOUR_MS),
        ('now.getHours("Asia/Kathmandu") >= 9', 30 * MINUTE_MS),
        ('now.getDate("Asia/Kathmandu") == 9', 18 * HOUR_MS + 30 * MINUTE_MS),
        ("now.getMinutes() >= 9", MINUTE_MS),
        ("int(now) > 5", HOUR_MS),
        ('since("Seen").getHours() >= 2', HOUR_MS),
        ('profile.plan == "gold"', None),
    ],
)
def test_a_customer_is_woken_no_sooner_than_something_can_change(
    condition: str, at_first: int | None
) -> None:
    customer = Customer({"one": condition})
    customer.track("Seen", 0)
    assert wakes(customer.result) == ([] if at_first is None else [at_first])


def test_the_timer_is_left_where_it_is_when_membership_lasts_longer() -> None:
    customer = Customer({"active": 'since("Seen") < duration("1d")'})
    customer.track("Seen", 0)
    for hour in range(1, 12):
        customer.track("Seen", hour * HOUR_MS)
        assert wakes(customer.result) == []
    timer = customer.profile.segments_timer
    assert customer.take(Tick(timer, DAY_MS), DAY_MS) == []
    assert wakes(customer.result) == [11 * HOUR_MS + DAY_MS]


def test_an_input_that_comes_before_a_late_tick_sees_what_time_has_changed() -> None:
    steps = [{"if": 'in_segment("hot")', "then": [{"exit": "hot"}], "else": [{"exit": "cold"}]}]
    customer = Customer(
        {"hot": 'count("Seen", "1h") >= 1'}, go={"trigger": {"event": "Go"}, "steps": steps}
    )
    customer.track("Seen", 0)
    timer = customer.profile.segments_timer
    assert customer.track("Go", HOUR_MS + 40) == ["-hot"]
    assert customer.profile.journeys_done == {"go/cold": 1}
    assert customer.take(Tick(timer, HOUR_MS), HOUR_MS + 50) == []


@pytest.mark.parametrize(
    ("condition", "change"),
    [
        ('now.getHours("Europe/London") == 1', "2026-03-28"),
        ('now.getHours("Australia/Lord_Howe") == 1', "2026-04-04"),
        ('now.getDayOfWeek("America/New_York") == 0', "2026-03-07"),
    ],
)
def test_hours_and_days_change_where_the_clocks_are_even_when_they_are_set(
    condition: str, change: str
) -> None:
    customer = Customer({"one": condition})
    begins_at = at("00:00") + (int(change[8:]) - 2 + (31 if change[5:7] == "04" else 0)) * DAY_MS
    customer.track("Seen", begins_at)
    test = customer.program.membership.segments["one"].flip
    expected: list[tuple[int, bool]] = []
    known = "one" in customer.profile.segments
    for now in range(begins_at, begins_at + 3 * DAY_MS, MINUTE_MS):
        customer.profile.active_at = now
        turn = Turn(customer.profile, customer.program, "timer", "", now)
        holds, _ = test(turn.scope())
        if holds is not known:
            expected.append((now, holds))
            known = holds
    found: list[tuple[int, bool]] = []
    while (now := customer.profile.segments_at) < begins_at + 3 * DAY_MS:
        told = customer.take(Tick(customer.profile.segments_timer, now), now)
        found.extend((now, one == "+one") for one in told)
    assert found == expected
    assert len(found) >= 2


# Two who are one.


def merged(customer: Customer, other: Customer, now: int) -> list[str]:
    other.profile.customer = "anon:a1"
    body = msgspec.msgpack.encode(other.profile)
    given = Merged("anon:a1", 9, body, (("anonymous_id", "a1"),), "anonymous_id", now)
    return customer.take(given, now)


def test_a_merge_carries_membership_over_and_what_is_new_by_it_starts_journeys() -> None:
    segments = {"seen": 'count("Seen", "1h") >= 1', "often": 'count("Seen", "1h") >= 2'}
    journeys = {"come": by_segment("seen", "a"), "more": by_segment("often", "b")}
    one, other = Customer(segments, **journeys), Customer(segments, **journeys)
    one.track("Other", 0)
    other.track("Seen", 1)
    assert merged(one, other, 5) == ["+seen?"]  # as the other one was: nothing to be started by
    assert not any(isinstance(record, Entered) for record in one.result.records)
    two = Customer(segments, **journeys)
    two.track("Seen", 2)
    assert merged(two, other, 5) == ["+often"]
    assert [record.journey for record in two.result.records if isinstance(record, Entered)] == [
        "more"
    ]
    assert wakes(two.result) == [HOUR_MS + 1]


def test_who_turned_out_to_be_another_is_in_no_segment_and_is_not_woken() -> None:
    customer = Customer({"seen": 'count("Seen", "1h") >= 1'})
    customer.track("Seen", 0)
    assert customer.take(Departed("u2", "anonymous_id", 5), 5) == ["-seen?"]
    assert customer.profile.segments_at == NEVER_AT
    assert customer.profile.timers == {}


def test_two_who_are_two_again_are_where_their_own_events_take_them() -> None:
    segments = {"seen": 'count("Seen", "1h") >= 1', "often": 'count("Seen", "1h") >= 2'}
    one, alone = Customer(segments), Customer(segments)
    one.track("Seen", 0)
    alone.track("Seen", 0)
    one.track("Seen", 1)
    body = msgspec.msgpack.encode(alone.profile)
    assert one.take(Restored(body, "anon:a1", 5), 5) == ["-often?"]
    assert one.profile.segments_at == HOUR_MS


def test_a_change_of_a_trait_takes_customers_in_as_a_writing_does() -> None:
    customer = Customer({"often": "profile.visits >= 2"})
    customer.track("Other", 0, visits=1)
    change = TraitChange("visits", ChangeKind.INCREASE, 1)
    event = Event("c", EventKind.TRACK, "Other", "u1", None, 5, 5, changes=(change,))
    assert customer.take(event, 5) == ["+often"]


def test_what_is_loaded_from_the_past_takes_customers_in_and_starts_no_journey() -> None:
    customer = Customer({"hot": 'count("Seen", "1h") >= 1'}, come=by_segment("hot", "a"))
    past = Event("h1", EventKind.TRACK, "Seen", "u1", None, 0, 5, is_history=True)
    assert customer.take(past, 5) == ["+hot?"]
    assert not any(isinstance(one, Entered) for one in customer.result.records)
    assert customer.profile.segments_at == HOUR_MS


# What is worked out rather than stated.


def test_what_follows_from_another_trait_takes_customers_in_when_that_is_written() -> None:
    customer = Customer({"french": 'profile.country == "FR"'})
    customer.track("Other", 0)
    assert customer.track("Other", 1, phone="+33612345678") == ["+french"]
    assert customer.track("Other", 2, country="ZA") == ["-french"]


def test_a_journey_that_writes_what_another_trait_follows_from_is_heeded() -> None:
    steps = [{"set": {"phone": "+33612345678"}}]
    customer = Customer(
        {"french": 'profile.country == "FR"'}, go={"trigger": {"event": "Go"}, "steps": steps}
    )
    customer.track("Other", 0)
    assert customer.track("Go", 1) == ["+french"]


def test_a_session_that_ends_by_itself_is_left_when_it_does() -> None:
    customer = Customer({"here": "has(profile.session) && profile.session.is_open"})
    assert customer.track("Other", at("08:00")) == ["+here"]
    ends_at = customer.profile.segments_at
    assert customer.take(Tick(customer.profile.segments_timer, ends_at), ends_at) == ["-here"]


def test_a_live_trait_takes_customers_in_with_what_feeds_it_and_out_with_its_window() -> None:
    source = workspace({"keen": "profile.views >= 2"})
    views = {"count": "Product Viewed", "window": "1d"}
    customer = Customer({})
    customer.program = compile_source({**source, "traits": {"views": views}})
    customer.track("Product Viewed", 0)
    assert customer.track("Product Viewed", 5) == ["+keen"]
    assert customer.profile.segments_at == DAY_MS
    assert customer.take(Tick(customer.profile.segments_timer, DAY_MS), DAY_MS) == ["-keen"]
    assert customer.profile.segments_at == NEVER_AT or customer.profile.segments_at > DAY_MS
