"""How often customers may enter a journey, under which condition, and what takes them out of it."""

from time import perf_counter
from typing import Any

import msgspec
import pytest

from engine.entries import note_entry, unite_entries
from engine.events import Event, EventKind, Merged
from engine.instants import DAY_MS, HOUR_MS
from engine.limits import ENTRIES_MAX, ENTRY_KEY_LENGTH_MAX, ENTRY_KEYS_MAX, INSTANCES_MAX
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.program.program import Program
from engine.records import Entered, Exited
from engine.step import step
from tests.stories import Story, at

AT = at("00:00")


def workspace(**journeys: Any) -> dict[str, Any]:
    content = {"email": {"subject": "s", "body": "b"}}
    return {
        "workspace": "entries",
        "defaults": {"timezone": "UTC", "country": "GB"},
        "channels": {"email": {"adapter": "log", "identity": "email"}},
        "message_types": {"note": {"purpose": "service", "channels": ["email"]}},
        "messages": {name: {"type": "note", "content": content} for name in ("a", "b", "c")},
        "segments": {"vip": 'profile.plan == "gold"'},
        "journeys": journeys,
    }


def story(steps: list[Any] | None = None, **journey: Any) -> Story:
    """Begin a history with one journey, whose steps take no time unless they are given."""
    main = {"trigger": {"event": "Go"}, "steps": steps or [{"send": "a"}], **journey}
    text = workspace(main=main)
    text["policies"] = {"same_message": "1ms"}
    return Story(text).identify("07:00", email="a@example.com")


def sent(world: Story) -> list[str]:
    return [line.split(" a send")[0] for line in world.told()]


class Customer:
    """One customer who takes events one by one."""

    def __init__(self, name: str = "u1", **journeys: Any) -> None:
        self.program: Program = compile_source(workspace(**journeys))
        self.profile = Profile(name)
        self.count = 0

    def track(
        self, hour: str, name: str, *, happened: str = "", traits: Any = None, **properties: Any
    ) -> list[str]:
        """Take an event; gives who entered and left."""
        self.count += 1
        event_id, when = f"{self.profile.customer}-{self.count}", at(happened or hour)
        user = self.profile.customer
        event = Event(
            event_id, EventKind.TRACK, name, user, None, when, at(hour), properties, traits or {}
        )
        return self.take(event, hour)

    def take(self, given: Event | Merged, hour: str) -> list[str]:
        told: list[str] = []
        for record in step(self.profile, given, self.program, at(hour)).records:
            if isinstance(record, Entered):
                told.append(f"+{record.journey}" + (f":{record.key}" if record.key else ""))
            elif isinstance(record, Exited):
                told.append(f"-{record.journey}: {record.reason}")
        return told

    def keys(self) -> list[str]:
        return [one.key for one in self.profile.instances.values()]


WAITING = [{"wait": "30d"}]


def waiting(**journey: Any) -> dict[str, Any]:
    return {"trigger": {"event": "Go"}, "steps": WAITING, **journey}


def test_never_again_is_never() -> None:
    world = story(reentry="never").track("08:00", "Go").track("+300d 08:00", "Go")
    assert sent(world) == ["08:00"]


def test_an_event_that_comes_in_too_late_starts_nothing() -> None:
    one = Customer(main=waiting(trigger={"event": "Go", "late": "1h"}, at_once=9))
    assert one.track("08:00", "Go", happened="06:59") == []
    assert one.track("08:00", "Go", happened="07:00") == ["+main"]
    two = Customer(main=waiting())
    assert two.track("+90d 08:00", "Go", happened="08:00") == ["+main"]


def test_each_key_is_a_stay_of_its_own() -> None:
    one = Customer(main=waiting(key="event.cart"))
    assert one.track("08:00", "Go", cart="x") == ["+main:x"]
    assert one.track("08:01", "Go", cart="x") == []
    assert one.track("08:02", "Go", cart=7) == ["+main:7"]
    assert one.track("08:03", "Go", cart="7") == []
    assert one.track("08:04", "Go") == ["+main"]
    assert one.track("08:05", "Go", cart=["x"]) == []  # no value either: the key is "" again
    assert one.track("08:06", "Go", cart=True) == ["+main:true"]
    assert one.keys() == ["x", "7", "", "true"]


def test_a_key_that_is_too_long_is_told_apart_all_the_same() -> None:
    one = Customer(main=waiting(key="event.cart"))
    one.track("08:00", "Go", cart="x" * ENTRY_KEY_LENGTH_MAX)
    one.track("08:01", "Go", cart="x" * (ENTRY_KEY_LENGTH_MAX + 1))
    one.track("08:02", "Go", cart="x" * (ENTRY_KEY_LENGTH_MAX + 2))
    assert len(dict.fromkeys(one.keys())) == 3
    assert max(map(len, one.keys())) == ENTRY_KEY_LENGTH_MAX


def test_a_stay_of_its_own_waits_for_its_own() -> None:
    wait = {"event": "Paid", "if": "event.cart == entry.cart", "up_to": "9h"}
    steps = [{"wait_for": wait, "then": [{"exit": "paid"}], "else": [{"exit": "left"}]}]
    one = Customer(main={"trigger": {"event": "Go"}, "steps": steps, "key": "event.cart"})
    one.track("08:00", "Go", cart="x")
    one.track("08:00", "Go", cart="y")
    assert one.track("08:30", "Paid", cart="y") == ["-main: paid"]
    assert one.keys() == ["x"]


def test_reentry_counts_for_each_key_on_its_own() -> None:
    for reentry, again in ("2h", ["+main:x", "-main: completed"]), ("never", []):
        one = Customer(main=waiting(steps=[{"set": {"n": 1}}], key="event.cart", reentry=reentry))
        one.track("08:00", "Go", cart="x")
        assert one.track("09:00", "Go", cart="y") == ["+main:y", "-main: completed"]
        assert one.track("09:30", "Go", cart="x") == []
        assert one.track("10:00", "Go", cart="x") == again


def test_entries_count_over_a_rolling_time() -> None:
    world = story(entries="2 / 24h").track("08:00", "Go").track("09:00", "Go").track("10:00", "Go")
    world.track("+1d 07:59", "Go").track("+1d 08:00", "Go").track("+1d 08:59", "Go")
    assert sent(world) == ["08:00", "09:00", "+1d 08:00"]


def test_entries_count_over_a_month_of_the_customers() -> None:
    world = story(entries="1 / calendar_month").identify("07:30", timezone="Africa/Johannesburg")
    world.track("08:00", "Go").track("+29d 21:59", "Go").track("+29d 22:00", "Go")
    assert sent(world) == ["08:00", "+29d 22:00"]


def test_entries_of_all_keys_count_together() -> None:
    one = Customer(main=waiting(key="event.cart", entries="2 / 30d"))
    told = [one.track("08:00", "Go", cart=cart) for cart in ("x", "y", "z")]
    assert told == [["+main:x"], ["+main:y"], []]


def test_entries_that_are_limited_later_on_count_the_last_one_before() -> None:
    one = Customer(main=waiting(steps=[{"set": {"n": 1}}]))
    one.track("08:00", "Go")
    limited = waiting(steps=[{"set": {"n": 1}}], entries="2 / 24h")
    one.program = compile_source(workspace(main=limited))
    assert one.track("09:00", "Go") == ["+main", "-main: completed"]
    assert one.track("10:00", "Go") == []


@pytest.mark.parametrize(("extra", "count"), [({}, 1), ({"at_once": 3}, 3)])
def test_several_stays_at_once_where_that_is_said(extra: dict[str, Any], count: int) -> None:
    one = Customer(main=waiting(**extra))
    for _ in range(5):
        one.track("08:00", "Go")
    assert len(one.profile.instances) == count


def test_with_a_key_there_is_a_limit_where_one_is_said_and_one_in_any_case() -> None:
    one = Customer(main=waiting(key="event.cart", at_once=2))
    for cart in range(5):
        one.track("08:00", "Go", cart=cart)
    assert one.keys() == ["0", "1"]
    two = Customer(main=waiting(key="event.cart"))
    for cart in range(INSTANCES_MAX + 5):
        two.track("08:00", "Go", cart=cart)
    assert len(two.profile.instances) == INSTANCES_MAX


def test_a_branch_is_no_stay() -> None:
    fork = [{"parallel": {"one": WAITING, "two": WAITING}}]
    one = Customer(main=waiting(steps=fork, at_once=2))
    assert [one.track("08:00", "Go") for _ in range(3)] == [["+main"], ["+main"], []]


def test_a_condition_for_entering_holds_for_every_way_in() -> None:
    gold = waiting(enter_if='profile.plan == "gold"')
    starts = {"trigger": {"event": "Start"}, "steps": [{"start": "main"}]}
    one = Customer(main=gold, starts=starts)
    assert one.track("08:00", "Go") == []
    assert one.track("08:01", "Start") == ["+starts", "-starts: completed"]
    assert one.track("08:02", "Start", traits={"plan": "gold"}) == [
        "+starts",
        "+main",
        "-starts: completed",
    ]


def test_an_event_takes_one_out_and_drops_what_is_pending() -> None:
    text = workspace(
        main={
            "trigger": {"event": "Go"},
            "steps": [{"send": "a"}, *WAITING],
            "exit_on": [{"event": "Cancelled", "if": "event.n == entry.n", "reason": "off"}],
        }
    )
    text["channels"]["email"]["window"] = "09:00-10:00"
    world = Story(text).identify("07:00", email="a@example.com").track("08:00", "Go", n=1)
    world.track("08:10", "Cancelled", n=2).track("08:20", "Cancelled", n=1)
    assert world.until("+1d 00:00").told() == [
        "08:00 a defer outside_window email -> 09:00",
        "08:20 a drop journey_exited email",
    ]
    assert world.endings() == {"main/off": 1}


def test_a_segment_takes_one_out_by_coming_into_it_or_leaving_it() -> None:
    rules = [{"segment": "vip", "reason": "up"}]
    one = Customer(main=waiting(exit_on=rules))
    one.track("08:00", "Go")
    assert one.track("09:00", "Seen", traits={"plan": "gold"}) == ["-main: up"]
    assert one.track("10:00", "Go") == ["+main"]  # it is the coming that counts
    two = Customer(main=waiting(exit_on=[{"segment": "vip", "on": "left"}]))
    two.track("08:00", "Go", traits={"plan": "gold"})
    assert two.track("09:00", "Seen", traits={"plan": "none"}) == ["-main: exit_on"]


def test_a_condition_takes_one_out_with_any_event() -> None:
    one = Customer(main=waiting(exit_on=[{"if": 'event.page == "bye" || profile.gone'}]))
    one.track("08:00", "Go")
    assert one.track("09:00", "Seen", page="hello") == []
    assert one.track("09:10", "Never Heard Of", page="bye") == ["-main: exit_on"]
    one.track("10:00", "Go")
    assert one.track("10:10", "Seen", traits={"gone": True}) == ["-main: exit_on"]


def test_a_condition_takes_one_out_where_another_journey_changes_something() -> None:
    main = waiting(exit_on=[{"if": "profile.level > 2"}])
    steps = [{"wait": "1h"}, {"set": {"level": 3}}]
    text = workspace(main=main, other={"trigger": {"event": "Go"}, "steps": steps})
    world = Story(text).track("08:00", "Go").until("09:00")
    assert world.endings() == {"main/exit_on": 1, "other/completed": 1}


def test_a_condition_that_looks_at_the_event_is_not_asked_without_one() -> None:
    main = waiting(exit_on=[{"if": "!(event.page == 1)"}])
    steps = [{"wait": "1h"}, {"set": {"level": 3}}]
    text = workspace(main=main, other={"trigger": {"event": "Go"}, "steps": steps})
    assert Story(text).track("08:00", "Go", page=1).until("09:30").endings() == {
        "other/completed": 1
    }


def test_meeting_the_goal_comes_before_being_taken_out() -> None:
    one = Customer(main=waiting(goal={"event": "Paid"}, exit_on=[{"event": "Paid"}]))
    one.track("08:00", "Go")
    assert one.track("09:00", "Paid") == ["-main: goal_met"]


@pytest.mark.parametrize(
    "journey",
    [
        {"goal": {"event": "Paid"}},
        {"exit_on": [{"event": "Paid"}]},
        {"exit_on": [{"if": 'event_name == "Paid"'}]},
        {"steps": [{"wait_for": {"event": "Paid"}}]},
    ],
)
def test_what_happened_before_a_stay_began_ends_nothing_of_it(journey: dict[str, Any]) -> None:
    one = Customer(main=waiting(**journey))
    one.track("08:00", "Go", happened="07:00")
    assert one.track("08:10", "Paid", happened="06:59") == []
    assert one.track("08:20", "Paid", happened="07:00") != []


def test_a_journey_that_is_started_is_about_what_came_after_the_first_event() -> None:
    starts = {"trigger": {"event": "Go"}, "steps": [{"wait": "1h"}, {"start": "main"}]}
    text = workspace(main={"steps": WAITING, "goal": {"event": "Paid"}}, starts=starts)
    world = Story(text).track("08:00", "Go").until("09:30")
    assert [one.since_at for one in world.profile().instances.values()] == [at("08:00")]


def test_of_two_who_are_one_each_key_stays_once() -> None:
    one, two = (Customer(name, main=waiting(key="event.cart")) for name in ("u1", "u2"))
    for who, carts in ((one, "xy"), (two, "yz")):
        for cart in carts:
            who.track("08:00", "Go", cart=cart)
    body = msgspec.msgpack.encode(two.profile)
    assert one.take(Merged("u2", 1, body, (), "test", at("09:00")), "09:00") == ["-main: merged"]
    assert one.keys() == ["x", "y", "z"]
    assert one.profile.keyed == {"main": dict.fromkeys("xyz", at("08:00"))}


def test_what_is_known_of_entries_has_a_bound() -> None:
    profile = Profile("u1")
    for number in range(300):
        note_entry(
            profile,
            Entered(
                number, "main", "v", AT + number, key=str(number), since_at=0, keep_ms=9 * DAY_MS
            ),
        )
    assert len(profile.entries["main"]) == ENTRIES_MAX
    assert profile.entries["main"][-1] == AT + 299
    assert list(profile.keyed["main"]) == [str(n) for n in range(300 - ENTRY_KEYS_MAX, 300)]


def test_entries_unite_the_same_whoever_stays_and_once() -> None:
    def entered(name: str, *entries: tuple[str, int]) -> Profile:
        profile = Profile(name)
        for key, hour in entries:
            moment = AT + hour * HOUR_MS
            note_entry(profile, Entered(1, "main", "v", moment, key=key, keep_ms=DAY_MS))
        return profile

    def united(ours: Profile, theirs: Profile) -> tuple[Any, Any]:
        ours = msgspec.convert(msgspec.to_builtins(ours), Profile)
        for _ in range(2):
            unite_entries(ours, theirs)
        return ours.entries, ours.keyed

    one = entered("u1", ("x", 1), ("y", 5))
    two = entered("u2", ("x", 3), ("", 4))
    assert united(one, two) == united(two, one)
    entries, keyed = united(one, two)
    assert entries == {"main": [AT + hour * HOUR_MS for hour in (1, 3, 4, 5)]}
    assert keyed == {"main": {"x": AT + 3 * HOUR_MS, "": AT + 4 * HOUR_MS, "y": AT + 5 * HOUR_MS}}


@pytest.mark.slow
def test_many_journeys_in_a_workspace_cost_an_event_little_more_than_few() -> None:
    few, many = (crowded(count) for count in (10, 200))
    assert len(many.program.journeys) == 201
    times = {name: [measure(each, name) for each in (few, many)] for name in ("Paid", "Other")}
    assert all(slow < 2 * fast for fast, slow in times.values()), times


def crowded(count: int) -> Customer:
    """A customer who is in ten journeys, of a workspace with so many."""
    journeys = {
        f"main{number}": waiting(
            trigger={"event": f"Go {number}"},
            goal={"event": f"Met {number}"},
            exit_on=[{"event": f"Off {number}"}],
        )
        for number in range(count)
    }
    one = Customer("u1", **journeys, pay=waiting(trigger={"event": "Paid"}, goal={"event": "Paid"}))
    for number in range(10):
        one.track("08:00", f"Go {number}")
    return one


def measure(one: Customer, name: str) -> float:
    """Give the time an event takes at best."""
    best = 1.0
    for _ in range(30):
        one.profile.seen.clear()
        began = perf_counter()
        for _ in range(100):
            one.track("09:00", name)
        best = min(best, perf_counter() - began)
    return best
