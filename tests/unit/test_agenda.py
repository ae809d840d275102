"""Journeys that begin by the calendar: each occurrence once, whatever happens to the customer."""

from typing import Any

import msgspec
import pytest

from actors.replay import Replay
from engine.effects import Unwake, Wake
from engine.events import (
    Departed,
    Event,
    EventKind,
    Input,
    Merged,
    Receipt,
    ReceiptStatus,
    Restored,
    Review,
    Tick,
)
from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS, NEVER_AT, format_instant, parse_instant
from engine.journeys.agenda import is_otherwise
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.program.program import Program
from engine.records import AgendaKept, Entered
from engine.step import StepResult, step
from tests.stories import Story, at

DAILY = {"schedule": "0 9 * * *"}


def workspace(segments: dict[str, str] | None = None, **journeys: Any) -> dict[str, Any]:
    content = {"email": {"subject": "s", "body": "{{ event.at }}"}}
    return {
        "workspace": "agenda",
        "defaults": {"timezone": "UTC", "country": "GB"},
        "channels": {"email": {"adapter": "log", "identity": "email"}},
        "message_types": {"note": {"purpose": "service", "channels": ["email"]}},
        "messages": {name: {"type": "note", "content": content} for name in ("a", "b")},
        "segments": segments or {},
        "journeys": journeys,
    }


def by(message: str = "a", **trigger: Any) -> dict[str, Any]:
    return {"trigger": trigger, "steps": [{"send": message}]}


def story(**journeys: Any) -> Story:
    return Story(workspace({"vip": 'profile.plan == "gold"'}, **journeys))


def known(**journeys: Any) -> Story:
    return story(**journeys).identify("07:00", email="a@example.com")


class Customer:
    """One customer whose timers are fired, or not, by hand."""

    def __init__(self, name: str = "u1", **journeys: Any) -> None:
        self.program = self.compiled(**journeys)
        self.profile = Profile(name)
        self.count = 0

    @staticmethod
    def compiled(**journeys: Any) -> Program:
        return compile_source(workspace({"vip": 'profile.plan == "gold"'}, **journeys))

    def identify(self, hour: str, **traits: Any) -> list[str]:
        self.count += 1
        moment, name = at(hour), f"{self.profile.customer}-{self.count}"
        kind = EventKind.IDENTIFY
        return self.take(
            Event(
                name, kind, "Identified", self.profile.customer, None, moment, moment, {}, traits
            ),
            hour,
        )

    def take(self, given: Input, hour: str) -> list[str]:
        """Take an input; gives the journeys that were entered."""
        self.result: StepResult = step(self.profile, given, self.program, at(hour))
        return [one.journey for one in self.result.records if isinstance(one, Entered)]

    def tick(self, hour: str) -> list[str]:
        """Fire the agenda's timer, which may be late."""
        timer = self.profile.agenda_timer
        assert self.profile.timers[timer].at <= at(hour)
        return self.take(Tick(timer, self.profile.timers[timer].at), hour)

    def next_at(self) -> str:
        timers = [one for one in self.profile.timers.values() if one.kind == "agenda"]
        assert len(timers) <= 1
        assert [one.at for one in timers] == [self.profile.agenda_at] * len(timers)
        return format_instant(timers[0].at) if timers else "never"

    def merge(self, other: "Customer", hour: str) -> list[str]:
        body = msgspec.msgpack.encode(other.profile)
        other.take(Departed(self.profile.customer, "test", at(hour)), hour)
        name = other.profile.customer
        return self.take(Merged(name, 1, body, (), "test", at(hour)), hour)


def test_a_schedule_starts_a_journey_each_time_it_is_due() -> None:
    world = known(daily=by(schedule="30 8 * * mon-tue")).until("+9d 00:00")
    assert world.told() == [
        "08:30 a send sent email",
        "+1d 08:30 a send sent email",
        "+7d 08:30 a send sent email",
        "+8d 08:30 a send sent email",
    ]


def test_a_schedule_goes_by_the_customers_clock_unless_it_says_otherwise() -> None:
    own, shop = by(**DAILY), by("b", **DAILY, zone="workspace")
    world = story(own=own, shop=shop)
    world.identify("07:00", email="a@example.com", timezone="Africa/Johannesburg")
    assert world.until("+1d 07:30").told() == [
        "09:00 b send sent email",
        "+1d 07:00 a send sent email",
    ]


def test_offline_a_schedule_follows_the_clock_over_its_changes() -> None:
    daily = by(schedule="30 1 * * *")
    program = compile_source(workspace(daily=daily))
    begin_at = parse_instant("2026-10-23T12:00:00Z")
    traits = {"email": "a@example.com", "timezone": "Europe/London"}
    kind = EventKind.IDENTIFY
    seen = Event("e", kind, "Identified", "u1", None, begin_at, begin_at, {}, traits)
    for until, expected in (
        ("2026-10-27T12:00:00Z", ["24T00:30", "25T00:30", "26T01:30", "27T01:30"]),
        ("2026-10-25T02:00:00Z", ["24T00:30", "25T00:30"]),
    ):
        replay = Replay(program)
        told = [decided.at for _, decided in replay.run([seen], parse_instant(until))]
        assert [format_instant(one) for one in told] == [f"2026-10-{one}:00Z" for one in expected]


def test_offline_a_time_that_is_skipped_is_due_right_after() -> None:
    program = compile_source(workspace(daily=by(schedule="30 1 * * *")))
    begin_at = parse_instant("2026-03-28T12:00:00Z")
    traits = {"email": "a@example.com", "timezone": "Europe/London"}
    kind = EventKind.IDENTIFY
    seen = Event("e", kind, "Identified", "u1", None, begin_at, begin_at, {}, traits)
    told = Replay(program).run([seen], parse_instant("2026-03-30T12:00:00Z"))
    assert [format_instant(decided.at) for _, decided in told] == [
        "2026-03-29T01:00:00Z",  # 02:00 on the clock, which went past 01:30
        "2026-03-30T00:30:00Z",
    ]


def test_a_schedule_for_a_segment_is_for_who_is_in_it_then() -> None:
    world = known(daily=by(**DAILY, segment="vip")).identify("10:00", plan="gold")
    world.identify("+2d 08:00", plan="none").identify("+3d 10:00", plan="gold")
    assert world.until("+4d 12:00").told() == [
        "+1d 09:00 a send sent email",
        "+4d 09:00 a send sent email",
    ]


def test_who_is_in_no_such_segment_is_not_woken() -> None:
    one = Customer(daily=by(**DAILY, segment="vip"))
    one.identify("07:00", plan="none")
    assert one.next_at() == "never"
    one.identify("08:00", plan="gold")
    assert one.next_at() == "2026-03-02T09:00:00Z"


def test_a_schedule_may_have_a_condition_and_the_steps_know_when_it_was() -> None:
    world = known(daily=by(**DAILY, **{"if": 'profile.plan == "gold" && event.at != ""'}))
    world.identify("+1d 08:00", plan="gold")
    (sent,) = world.until("+1d 12:00").decisions()
    assert (sent["at"], sent["outcome"]) == ("2026-03-03T09:00:00Z", "send")


def test_a_date_of_the_profile_starts_a_journey_once() -> None:
    world = known(renew=by(date="profile.renews - 7d at 09:00")).identify(
        "07:30", renews="2026-03-12"
    )
    assert world.until("+30d 00:00").told() == ["+3d 09:00 a send sent email"]


def test_a_date_that_changes_before_it_comes_counts_as_it_is_then() -> None:
    world = known(renew=by(date="profile.renews at 09:00")).identify("07:30", renews="2026-03-05")
    world.identify("+1d 12:00", renews="2026-03-04").identify("+2d 12:00", renews="2026-03-06")
    world.identify("+6d 00:00", renews="2026-03-07")
    assert world.until("+30d 00:00").told() == [
        "+2d 09:00 a send sent email",
        "+4d 09:00 a send sent email",
    ]


def test_a_date_that_is_taken_back_or_is_none_wakes_nobody() -> None:
    one = Customer(renew=by(date="profile.renews at 09:00"))
    one.identify("07:00", renews="2026-03-05")
    assert one.next_at() == "2026-03-05T09:00:00Z"
    one.identify("08:00", renews=None)
    assert one.next_at() == "never"
    assert AgendaKept("UTC", 0, NEVER_AT) in one.result.records
    one.identify("08:10", renews="soon")
    assert one.next_at() == "never"
    one.identify("08:20", renews=["2026-03-05"])
    assert one.next_at() == "never"


def test_a_date_comes_every_year_and_the_leap_day_too() -> None:
    one = Customer(birthday=by(date="profile.born at 09:00", every="year"))
    one.identify("07:00", born="2024-02-29")
    due: list[str] = []
    for _ in range(3):
        due.append(one.next_at())
        one.take(Tick(one.profile.agenda_timer, one.profile.agenda_at), f"+{_days(due[-1])}d 09:00")
    assert due == ["2027-02-28T09:00:00Z", "2028-02-29T09:00:00Z", "2029-02-28T09:00:00Z"]


def _days(instant: str) -> int:
    return (parse_instant(instant) - at("09:00")) // DAY_MS


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("profile.d", "1990-03-03", "2026-03-03T00:00:00Z"),
        ("profile.d", "1990-03-02", "2027-03-02T00:00:00Z"),
        ("profile.d - 7d at 09:00", "1990-01-05", "2026-12-29T09:00:00Z"),
        ("profile.d + 7d", "1990-12-28", "2027-01-04T00:00:00Z"),
        ("profile.d + 400d", "2025-06-01", "2026-07-06T00:00:00Z"),
        ("profile.d", "2030-06-01", "2030-06-01T00:00:00Z"),
        ("profile.d", "1990-03-02T18:45:00Z", "2026-03-02T18:45:00Z"),
        ("profile.d + 2h", "1990-03-02T06:00:00Z", "2026-03-02T08:00:00Z"),
        ("profile.of.d", {"d": "1990-03-03"}, "2026-03-03T00:00:00Z"),
    ],
)
def test_the_next_time_of_a_yearly_date(text: str, value: Any, expected: str) -> None:
    one = Customer(yearly=by(date=text, every="year"))
    one.identify("07:00", **({"of": value} if isinstance(value, dict) else {"d": value}))
    assert one.next_at() == expected


def test_a_date_may_be_a_live_trait() -> None:
    live = workspace(back=by(date="profile.ordered + 2d at 09:00"))
    live["traits"] = {"ordered": {"last": "Order Completed"}}
    world = Story(live).identify("07:00", email="a@example.com").track("08:00", "Order Completed")
    world.track("+1d 12:00", "Order Completed")
    assert world.until("+9d 00:00").told() == ["+3d 09:00 a send sent email"]


def test_a_journey_that_writes_the_date_is_heeded() -> None:
    wave = {"trigger": {"event": "Go"}, "steps": [{"set": {"renews": "2026-03-04"}}]}
    world = known(wave=wave, renew=by(date="profile.renews at 09:00")).track("08:00", "Go")
    assert world.until("+9d 00:00").told() == ["+2d 09:00 a send sent email"]


def test_a_score_starts_a_journey_when_it_comes_to_be_above_and_not_while_it_is() -> None:
    world = known(save=by(score="churn", above=0.7))
    for hour, churn in ("08:00", 0.7), ("09:00", 0.8), ("10:00", 0.9), ("11:00", 0.1), ("12:00", 1):
        world.identify(hour, scores={"churn": churn, "spend": "high"})
    assert world.told() == ["09:00 a send sent email", "12:00 a send sent email"]


def test_a_score_may_have_to_be_below_and_one_that_is_no_number_is_neither() -> None:
    world = known(save=by(score="spend", below=-1.5))
    world.identify("08:00", scores={"spend": "low"}).identify("09:00", scores=[-9])
    world.identify("10:00", scores={"spend": True}).identify("11:00", scores={"spend": -2})
    assert world.told() == ["11:00 a send sent email"]


def test_conditions_read_scores() -> None:
    steps = [{"if": "scores.churn > 0.5", "then": [{"send": "a"}], "else": [{"send": "b"}]}]
    world = known(go={"trigger": {"event": "Go"}, "steps": steps}).track("07:30", "Go")
    world.identify("08:00", scores={"churn": 0.6}).track("08:30", "Go")
    assert [line.split()[1] for line in world.told()] == ["b", "a"]


# Being late, being two, being elsewhere.


def test_what_was_due_while_nobody_was_there_is_entered_once_and_late() -> None:
    one = Customer(daily=by(**DAILY))
    one.identify("07:00")
    assert one.tick("+3d 15:00") == ["daily"]
    assert one.next_at() == "2026-03-06T09:00:00Z"


def test_an_event_that_comes_before_the_late_timer_enters_in_its_place() -> None:
    one = Customer(daily=by(**DAILY))
    one.identify("07:00")
    timer = one.profile.agenda_timer
    assert one.identify("+1d 08:00") == ["daily"]
    assert [type(each) for each in one.result.effects] == [Unwake, Wake]
    assert one.take(Tick(timer, at("09:00")), "+1d 08:00") == []
    assert one.tick("+1d 09:00") == ["daily"]


def test_a_customer_of_whom_nothing_happened_has_no_agenda() -> None:
    one = Customer(daily=by(**DAILY))
    receipt = Receipt("r", "u1", "m", ReceiptStatus.DELIVERED, at("07:00"), at("07:00"))
    assert one.take(receipt, "07:00") == []
    assert one.next_at() == "never"
    one.identify("08:00")
    assert one.next_at() == "2026-03-02T09:00:00Z"


def test_another_workspace_makes_another_agenda_of_who_is_known() -> None:
    one = Customer(daily=by(**DAILY))
    one.identify("07:00")
    one.program = Customer.compiled(daily=by(schedule="0 8 * * *"), late=by(schedule="30 7 * * *"))
    assert is_otherwise(one.profile, one.program, at("07:45"))
    version = one.program.membership.version
    assert one.take(Review(version, at("07:45")), "07:45") == []  # it was no time for it before
    assert one.next_at() == "2026-03-02T08:00:00Z"
    assert not is_otherwise(one.profile, one.program, at("07:50"))
    one.program = Customer.compiled()
    assert is_otherwise(one.profile, one.program, at("07:50"))
    one.take(Review(one.program.membership.version, at("07:50")), "07:50")
    assert (one.next_at(), one.profile.agenda_zone) == ("never", "")


def test_what_was_due_before_the_workspace_changed_is_entered_by_the_new_one() -> None:
    one = Customer(daily=by(**DAILY))
    one.identify("07:00")
    one.program = Customer.compiled(
        daily={**by(**DAILY), "reentry": "1h"}, eight=by(schedule="0 8 * * *")
    )
    version = one.program.membership.version
    one.profile.segments_version += 1  # as where anything else had changed
    assert one.take(Review(version, at("09:30")), "09:30") == ["daily"]
    assert one.next_at() == "2026-03-03T08:00:00Z"


def test_a_workspace_without_segments_has_a_version_that_tells_agendas_apart() -> None:
    plain = compile_source({**workspace(), "segments": {}})
    one = compile_source({**workspace(daily=by(**DAILY)), "segments": {}})
    two = compile_source({**workspace(daily=by(schedule="1 9 * * *")), "segments": {}})
    same = compile_source({**workspace(daily=by("b", **DAILY)), "segments": {}})
    versions = [each.membership.version for each in (plain, one, two)]
    assert versions[0] == 0
    assert len(set(versions)) == 3
    assert same.membership.version == versions[1]


def test_who_moves_west_does_not_come_by_the_same_time_twice() -> None:
    one = Customer(daily=by(**DAILY))
    one.identify("07:00", timezone="Europe/Paris")
    assert one.tick("08:00") == ["daily"]
    assert one.identify("10:00", timezone="America/New_York") == []
    assert one.next_at() == "2026-03-03T14:00:00Z"
    assert one.tick("+1d 14:00") == ["daily"]


def test_who_moves_west_comes_by_later_what_is_still_to_come() -> None:
    one = Customer(daily=by(**DAILY))
    one.identify("07:00", timezone="Europe/Paris")
    assert one.identify("07:30", timezone="America/New_York") == []
    assert one.next_at() == "2026-03-02T14:00:00Z"


def test_who_moves_east_past_a_time_has_it_at_once() -> None:
    one = Customer(daily=by(**DAILY))
    one.identify("07:00", timezone="America/New_York")  # 02:00 there
    assert one.identify("10:00", timezone="Europe/Paris") == ["daily"]
    assert one.next_at() == "2026-03-03T08:00:00Z"


def test_who_goes_there_and_back_has_each_day_once() -> None:
    one = Customer(daily=by(**DAILY))
    one.identify("07:00", timezone="Europe/Paris")
    entered = one.tick("08:00")
    for hour in range(10, 22, 2):
        place = "America/New_York" if hour % 4 else "Europe/Paris"
        entered += one.identify(f"{hour}:00", timezone=place)
    assert entered == ["daily"]
    assert one.next_at() == "2026-03-03T08:00:00Z"


def test_an_instant_in_a_trait_is_the_same_everywhere() -> None:
    one = Customer(renew=by(date="profile.renews - 1h"))
    one.identify("07:00", timezone="Europe/Paris", renews="2026-03-02T12:00:00Z")
    one.identify("08:00", timezone="America/New_York")
    assert one.next_at() == "2026-03-02T11:00:00Z"


def test_two_who_are_one_have_one_agenda() -> None:
    one, two = Customer("u1", daily=by(**DAILY)), Customer("u2", daily=by(**DAILY))
    one.identify("07:00")
    two.identify("07:30")
    assert one.merge(two, "08:00") == []
    assert two.next_at() == "never"
    assert one.tick("09:00") == ["daily"]
    assert one.next_at() == "2026-03-03T09:00:00Z"


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_who_are_one_only_one_enters_though_one_of_them_was_late(first: int) -> None:
    pair = Customer("u1", daily=by(**DAILY)), Customer("u2", daily=by(**DAILY))
    for each in pair:
        each.identify("07:00")
    assert pair[first].tick("09:00") == ["daily"]
    winner, other = pair
    assert winner.merge(other, "09:00") == []
    assert winner.next_at() == "2026-03-03T09:00:00Z"


def test_what_only_the_other_one_missed_is_not_lost_with_them() -> None:
    one, two = (
        Customer("u1", renew=by(date="profile.d at 09:00")),
        Customer("u2", renew=by(date="profile.d at 09:00")),
    )
    one.identify("07:00")
    two.identify("07:00", d="2026-03-02")
    assert one.merge(two, "10:00") == ["renew"]
    assert one.next_at() == "never"


def test_who_is_parted_again_goes_on_from_there() -> None:
    one = Customer(daily=by(**DAILY))
    one.identify("07:00")
    body = msgspec.structs.replace(one.profile, timers={}, agenda_timer=0)
    given = Restored(msgspec.msgpack.encode(body), "u2", at("08:00"))
    assert one.take(given, "08:00") == []
    assert one.next_at() == "2026-03-02T09:00:00Z"
    assert one.tick("09:00") == ["daily"]


def test_the_agenda_costs_an_event_nothing_that_does_not_concern_it() -> None:
    one = Customer(daily=by(**DAILY))
    one.identify("07:00")
    one.identify("07:10", name="Ann")
    assert one.result.records == []
    assert one.profile.agenda_at == at("09:00")


def test_journeys_of_one_instant_begin_with_the_one_that_matters_most() -> None:
    text = workspace(low=by("a", **DAILY), high=by("b", **DAILY))
    text["messages"]["a"]["priority"] = 10
    one = Customer()
    one.program = compile_source(text)
    one.identify("07:00", email="a@example.com")
    assert one.tick("09:00") == ["high", "low"]
    assert one.profile.agenda_at - at("09:00") == 24 * HOUR_MS > MINUTE_MS
