"""Which channel goes first where a type leaves that to what a message is likely to bring there."""

from typing import Any

import pytest

from tests.stories import Story

_CHANNELS: dict[str, dict[str, Any]] = {
    "email": {"adapter": "log", "identity": "email", "cost": 0.01, "engagement": 0.1},
    "sms": {
        "adapter": "log", "identity": "phone", "cost": 0.35, "engagement": 0.3, "latency": "10s",
    },
    "voice": {
        "adapter": "log", "identity": "phone", "cost": 1.2, "engagement": 0.3, "latency": "1m",
    },
}  # fmt: skip


def _story(*, value: float = 0, content: dict[str, Any] | None = None, **kind: Any) -> Story:
    return Story({
        "workspace": "choice",
        "defaults": {"timezone": "UTC"},
        "channels": _CHANNELS,
        "message_types": {
            "it": {
                "purpose": "service", "channels": ["voice", "sms", "email"], "choose": "best",
                **kind,
            },
            "plain": {"purpose": "service", "channels": ["email"]},
        },
        "messages": {
            "a": {"type": "it", "value": value, "content": content or {"default": {"body": "a"}}},
            "n": {"type": "plain", "content": {"default": {"body": "n"}}},
        },
        "journeys": {
            "j": {"trigger": {"event": "A"}, "steps": [{"send": "a"}]},
            "k": {"trigger": {"event": "N"}, "steps": [{"send": "n"}]},
        },
    }).identify("07:00", email="a@example.com", phone="+447700900123")  # fmt: skip


def _first(world: Story) -> str:
    return world.track("08:00", "A").told()[-1].split()[-1]


def test_where_nothing_is_to_be_won_the_cheapest_channel_that_can_carry_it_goes() -> None:
    assert _first(_story()) == "email"
    assert _first(_story().identify("07:10", email=None)) == "sms"
    only = {"voice": {"body": "a"}, "sms": {"body": "a"}}
    assert _first(_story(content=only)) == "sms"


def test_a_message_worth_something_goes_where_it_is_likely_to_be_seen() -> None:
    assert _first(_story(value=10)) == "sms"  # 10 x 0.3 - 0.35 = 2.65, against 10 x 0.1 - 0.01
    assert _first(_story(value=1)) == "email"  # 0.3 - 0.35 < 0, against 0.09


def test_what_is_known_of_a_customer_outweighs_the_prior_by_and_by() -> None:
    world = _story(value=2)
    assert _first(world) == "sms"  # 0.6 - 0.35 = 0.25, against 0.2 - 0.01 = 0.19
    keen = _story(value=2)
    for minute in range(10, 30):
        keen.track(f"07:{minute}", "N").receipt(f"07:{minute}:30", "n", "opened")
    assert _first(keen) == "email"


def test_the_trace_has_the_score_and_its_terms() -> None:
    trace = _story(value=10).track("08:00", "A").decisions()[0]["trace"]
    scores = [(one["channel"], one["seen"]) for one in trace if one["check"] == "score"]
    assert scores == [
        ("sms", "2.6500: p=0.3000 value=10 cost=0.35"),
        ("voice", "1.8000: p=0.3000 value=10 cost=1.2"),
        ("email", "0.9900: p=0.1000 value=10 cost=0.01"),
    ]


def test_what_the_customer_prefers_goes_first_whatever_the_score() -> None:
    world = _story(value=10).identify("07:30", channel_preferences={"it": "email"})
    assert _first(world) == "email"


def test_what_is_urgent_takes_the_quickest_channel() -> None:
    assert _first(_story(urgent=True)) == "sms"
    only = {"voice": {"body": "a"}, "email": {"body": "a"}}
    assert _first(_story(urgent=True, content=only)) == "voice"
    trace = _story(urgent=True).track("08:00", "A").decisions()[0]["trace"]
    assert trace[0]["seen"] == "-0.3500: p=0.3000 value=0 cost=0.35 latency=10s"
    assert trace[2]["seen"].endswith("latency=-")


@pytest.mark.parametrize("channels", [["sms", "voice"], ["voice", "sms"]])
def test_what_is_even_goes_in_the_order_of_the_type(channels: list[str]) -> None:
    world = _story(channels=channels)
    world.workspace["channels"] = {
        name: {**channel, "cost": 0, "latency": "10s"} for name, channel in _CHANNELS.items()
    }
    assert _first(world) == channels[0]


def test_the_next_best_follows_one_that_failed() -> None:
    world = _story(value=10).track("08:00", "A").receipt("08:01", "a", "failed", permanent=True)
    assert [line.split()[-1] for line in world.told()] == ["sms", "voice"]
