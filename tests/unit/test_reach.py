"""Addresses that were not reached: how long they are given up, and what makes them good again."""

from typing import Any

import pytest

from engine.instants import DAY_MS
from engine.limits import REACH_MAX, SOFT_BOUNCES_MAX
from engine.measures.reach import Reach, note_reached, note_unreached, unite_reach
from engine.traits.reach import reach_key
from tests.stories import Story, at

_KEY = reach_key("whatsapp", "+447700900123")


def _story(**changes: Any) -> Story:
    return Story({
        "workspace": "reach",
        "defaults": {"timezone": "UTC"},
        "channels": {
            "whatsapp": {"adapter": "log", "identity": "phone"},
            "email": {"adapter": "log", "identity": "email"},
        },
        "message_types": {"it": {"purpose": "service", "channels": ["whatsapp", "email"]}},
        "messages": {"a": {"type": "it", "content": {"default": {"body": "Hello"}}}},
        "journeys": {"j": {"trigger": {"event": "A"}, "steps": [{"send": "a"}]}},
        **changes,
    }).identify("07:00", email="a@example.com", phone="+447700900123")  # fmt: skip


def _fail(world: Story, failure: str, *days: int) -> Story:
    """Have a message on WhatsApp fail at eight on each of these days."""
    for day in days:
        world.track(f"+{day}d 08:00", "A")
        world.receipt(f"+{day}d 08:00", "a", "failed", failure=failure, code="1")
    return world


def _channels(world: Story) -> list[str]:
    return [line.split()[-1] for line in world.told() if " send " in line]


def test_a_dead_address_is_given_up_until_there_is_another() -> None:
    world = _fail(_story(), "address_dead", 0).track("+300d 08:00", "A")
    assert _channels(world) == ["whatsapp", "email", "email"]
    assert "nobody has this address, told on 2026-03-02T08:00:00Z: 1" in str(world.decisions()[2])
    world.identify("+301d 07:00", phone="+447700900124").track("+301d 08:00", "A")
    world.identify("+302d 07:00", phone="+447700900123").track("+302d 08:00", "A")
    assert _channels(world)[3:] == ["whatsapp", "email"]


def test_the_same_address_on_another_channel_is_not_given_up() -> None:
    channels = {
        "whatsapp": {"adapter": "log", "identity": "phone"},
        "email": {"adapter": "log", "identity": "phone"},
    }
    world = _fail(_story(channels=channels), "address_dead", 0).track("+1d 08:00", "A")
    assert _channels(world) == ["whatsapp", "email", "email"]


def test_who_is_not_there_is_tried_again_after_a_week_then_two_then_never() -> None:
    world = _fail(_story(), "not_there", 0).track("+6d 08:00", "A")
    assert _channels(world) == ["whatsapp", "email", "email"]
    trace = world.decisions()[2]["trace"]
    assert trace[0]["check"] == "reachable"
    assert trace[0]["until"] == "2026-03-09T08:00:00Z"
    world = _fail(_story(), "not_there", 0, 7).track("+20d 08:00", "A")
    assert _channels(world) == ["whatsapp", "email", "whatsapp", "email", "email"]
    world = _fail(_story(), "not_there", 0, 7, 21).track("+399d 08:00", "A")
    assert _channels(world)[4:] == ["whatsapp", "email", "email"]
    assert world.profile().reach[_KEY].until is None


def test_a_workspace_says_how_long() -> None:
    channels = {
        "whatsapp": {"adapter": "log", "identity": "phone", "unreachable": "1h"},
        "email": {"adapter": "log", "identity": "email"},
    }
    world = _fail(_story(channels=channels), "not_there", 0).track("09:00", "A")
    assert _channels(world) == ["whatsapp", "email", "whatsapp"]


def test_five_times_not_reached_in_a_row_is_as_good_as_dead() -> None:
    world = _fail(_story(), "unreachable", 0, 1, 2, 3).track("+4d 08:00", "A")
    assert _channels(world)[-1] == "whatsapp"
    world.receipt("+4d 08:00", "a", "failed", failure="unreachable").track("+5d 08:00", "A")
    assert _channels(world)[-1] == "email"
    assert "not reached 5 times in a row" in str(world.decisions()[-1])


def test_what_arrives_in_between_begins_the_count_anew() -> None:
    world = _fail(_story(), "unreachable", 0, 1, 2, 3).track("+4d 08:00", "A")
    world.receipt("+4d 08:00", "a", "delivered")
    assert _channels(_fail(world, "unreachable", 5, 6, 7, 8).track("+9d 08:00", "A"))[-1] == (
        "whatsapp"
    )


def test_what_was_long_ago_does_not_count() -> None:
    world = _fail(_story(), "unreachable", 0, 10, 20, 31, 41).track("+42d 08:00", "A")
    assert _channels(world)[-1] == "whatsapp"


def test_a_spent_budget_says_nothing_of_the_address() -> None:
    world = _story().track("08:00", "A")
    world.receipt("08:01", "a", "failed", failure="unreachable", code="budget_spent")
    assert _channels(world) == ["whatsapp", "email"]
    assert world.profile().reach == {}


@pytest.mark.parametrize("status", ["delivered", "opened", "clicked", "replied"])
def test_what_arrives_makes_an_address_good_again(status: str) -> None:
    reach = {_KEY: Reach(at("08:00"), "address_dead", "1", None)}
    note_reached(reach, _KEY, at("07:59"))
    assert reach
    note_reached(reach, _KEY, at("08:00"))
    assert not reach
    world = _story().track("08:00", "A")
    world.receipt("08:00", "a", "failed", failure="unreachable").track("09:00", "A")
    assert world.profile().reach
    assert world.receipt("09:01", "a", status).profile().reach == {}


def test_addresses_are_remembered_up_to_a_bound_and_the_oldest_goes() -> None:
    reach: dict[str, Reach] = {}
    for number in range(REACH_MAX + 1):
        note_unreached(
            reach, f"sms/{number}", failure="address_dead", code="", at=number, until=None
        )
    assert len(reach) == REACH_MAX
    assert "sms/0" not in reach


def test_what_two_know_of_an_address_unites_the_same_way_round() -> None:
    early, late = Reach(1, "not_there", "", 9, (), 1), Reach(2, "unreachable", "", 0, (1, 2))
    strict = Reach(2, "address_dead", "", None)
    for one, two, both in ((early, late, late), (late, strict, strict)):
        assert unite_reach({_KEY: one}, {_KEY: two}) == {_KEY: both}
        assert unite_reach({_KEY: two}, {_KEY: one}) == {_KEY: both}
    assert unite_reach({"a": early}, {"b": late}) == {"a": early, "b": late}
    assert len(late.soft_at) < SOFT_BOUNCES_MAX


# Conditions.


def _asking(condition: str) -> dict[str, Any]:
    steps = [{"if": condition, "then": [{"send": "a", "id": "yes"}]}]
    return {"j": {"trigger": {"event": "A"}, "steps": [{"send": "a"}]},
            "k": {"trigger": {"event": "B"}, "steps": steps}}  # fmt: skip


def test_a_journey_can_ask_whether_somebody_is_reachable() -> None:
    world = _story(journeys=_asking('reachable("whatsapp")')).track("07:30", "B")
    assert len(world.told()) == 1
    gone = _fail(_story(journeys=_asking('reachable("whatsapp")')), "not_there", 0)
    assert len(gone.track("+6d 09:00", "B").told()) == 2
    assert len(gone.track("+7d 09:00", "B").told()) == 3
    nameless = _story(journeys=_asking('reachable("email")')).identify("07:10", email=None)
    assert nameless.track("07:30", "B").told() == []


def test_a_segment_follows_whether_somebody_is_reachable_also_by_time() -> None:
    segments = {"far": '!reachable("whatsapp")'}
    world = _fail(_story(segments=segments), "not_there", 0)
    assert world.profile().segments == {"far": at("08:00")}
    assert world.until("+7d 07:59").profile().segments
    assert world.until("+7d 08:00").profile().segments == {}
    moved = _fail(_story(segments=segments), "not_there", 0)
    assert moved.identify("+1d 09:00", phone="+447700900124").profile().segments == {}
    assert moved.identify("+1d 10:00", phone=None).profile().segments == {
        "far": at("10:00") + DAY_MS
    }
