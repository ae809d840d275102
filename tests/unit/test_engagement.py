"""Caps that grow and shrink with how much a customer engages."""

from typing import Any

import pytest

from engine.gates.engagement import cap_factor
from engine.instants import DAY_MS, HOUR_MS, parse_instant
from engine.profile import Profile, Sent
from engine.program.program import Program
from tests.cases import ask, customer, find, slot, workspace

NOON = parse_instant("2026-03-02T12:00:00Z")
LEVELS: dict[str, Any] = {
    "window": "30d",
    "least": 4,
    "high": {"rate": 0.5, "factor": 1.5},
    "low": {"rate": 0.1, "factor": 0.5},
}


def sent(number: int, *statuses: str, at: int = NOON - HOUR_MS) -> Sent:
    return Sent(
        message_id=f"m{number}",
        proposal=number,
        message="a",
        message_type="promo",
        channel="email",
        at=at,
        journey="j",
        instance=number,
        step="s",
        proposed_at=at,
        expires_at=None,
        pinned="",
        failed=(),
        attempt=0,
        statuses=list(statuses),
    )


def engaged(*statuses: str, at: int = NOON - HOUR_MS) -> Profile:
    """Make a customer with one message for each of these statuses; "" is none."""
    profile = customer()
    for number, status in enumerate(statuses):
        profile.sends[f"m{number}"] = sent(number, *([status] if status else []), at=at)
    return profile


def program(**changes: Any) -> Program:
    return workspace(
        channel={"caps": ["4 / 24h"]},
        kind={"caps": ["1 / 7d"]},
        policies={"engagement": {**LEVELS, **changes}},
    )


def factor(profile: Profile, workspace_now: Program | None = None) -> float:
    ours = workspace_now or program()
    return cap_factor(profile, ours, ours.types["promo"], NOON)


@pytest.mark.parametrize(
    ("statuses", "level"),
    [
        (("opened", "clicked", "", ""), 1.5),
        (("opened", "replied", "delivered", "failed"), 1.5),
        (("opened", "", "", ""), 1.0),
        (("", "", "", ""), 0.5),
        (("delivered", "delivered", "failed", "unsubscribed"), 0.5),
        (("opened", *[""] * 9), 0.5),  # a tenth is as low as the level
        (("opened", *[""] * 8), 1.0),
    ],
)
def test_the_level_is_the_share_of_messages_that_were_engaged_with(
    statuses: tuple[str, ...], level: float
) -> None:
    assert factor(engaged(*statuses)) == level


def test_fewer_messages_than_the_least_change_nothing() -> None:
    assert factor(engaged("opened", "opened", "opened")) == 1.0
    assert factor(engaged("", "", "")) == 1.0
    assert factor(customer()) == 1.0


def test_only_messages_of_the_window_are_looked_at() -> None:
    assert factor(engaged("", "", "", "", at=NOON - 30 * DAY_MS)) == 1.0
    assert factor(engaged("", "", "", "", at=NOON - 30 * DAY_MS + 1)) == 0.5


def test_a_level_that_is_not_written_is_none() -> None:
    only_low = workspace(
        policies={"engagement": {"window": "30d", "least": 1, "low": LEVELS["low"]}}
    )
    only_high = workspace(
        policies={"engagement": {"window": "30d", "least": 1, "high": LEVELS["high"]}}
    )
    assert factor(engaged("opened"), only_low) == 1.0
    assert factor(engaged(""), only_low) == 0.5
    assert factor(engaged("opened"), only_high) == 1.5
    assert factor(engaged(""), only_high) == 1.0


def test_caps_of_other_purposes_stay_as_they_are() -> None:
    ours = program()
    profile = engaged("", "", "", "")
    assert cap_factor(profile, ours, ours.types["note"], NOON) == 1.0
    all_of_them = program(purposes=["marketing", "service"])
    assert cap_factor(profile, all_of_them, all_of_them.types["note"], NOON) == 0.5


def fill(profile: Profile, count: int) -> Profile:
    filled = customer(*[slot(NOON - HOUR_MS + number, kind="other") for number in range(count)])
    filled.sends = profile.sends
    return filled


@pytest.mark.parametrize(
    ("statuses", "room"),
    [(("opened",) * 4, 6), (("", "", "", ""), 2), (("opened", "", "", ""), 4)],
)
def test_a_cap_has_room_by_the_level(statuses: tuple[str, ...], room: int) -> None:
    ours = program()
    profile = engaged(*statuses)
    full, less = fill(profile, room), fill(profile, room - 1)
    assert find(ask(ours, less, NOON), NOON, "channel_cap") is None
    assert find(ask(ours, full, NOON), NOON, "channel_cap") is not None


def test_the_trace_says_what_was_written_and_what_engagement_made_of_it() -> None:
    block = find(ask(program(), fill(engaged(*[""] * 4), 2), NOON), NOON, "channel_cap")
    assert block is not None
    assert block.seen == "2 used of 2 / 24h (4 / 24h by engagement)"


def test_a_cap_is_never_less_than_one() -> None:
    ours, profile = program(low={"rate": 0.1, "factor": 0.01}), engaged("", "", "", "")
    assert find(ask(ours, profile, NOON), NOON, "channel_cap", "type_cap") is None
    block = find(ask(ours, fill(profile, 1), NOON), NOON, "channel_cap")
    assert block is not None
    assert block.seen.startswith("1 used of 1 / 24h ")


@pytest.mark.parametrize(
    ("factor_now", "count"), [(1.1, 10), (1.5, 3), (0.3, 10), (0.57, 100), (1.15, 100)]
)
def test_a_factor_is_taken_as_it_is_written(factor_now: float, count: int) -> None:
    """As floats, a tenth more of ten is a little more than 11, and 0.57 of 100 less than 57."""
    wanted = round(factor_now * count * 10) // 10
    ours = workspace(
        channel={"caps": [f"{count} / 24h"]},
        policies={
            "engagement": {"window": "30d", "least": 1, "high": {"rate": 0, "factor": factor_now}}
        },
    )
    profile = engaged("opened")
    assert find(ask(ours, fill(profile, wanted - 1), NOON), NOON, "channel_cap") is None
    assert find(ask(ours, fill(profile, wanted), NOON), NOON, "channel_cap") is not None


def test_the_customers_own_cap_and_that_of_the_law_stay_as_they_are() -> None:
    profile = engaged("opened", "opened", "opened", "opened")
    filled = fill(profile, 1)
    filled.traits["frequency_caps"] = "1 / 7d"
    assert find(ask(program(), filled, NOON), NOON, "customer_cap") is not None
    law = workspace(policies={"engagement": LEVELS, "regions": ["US"]})
    american = customer(
        *[slot(NOON - number, "sms") for number in (1, 2, 3)],
        country="US",
        state="FL",
        timezone="UTC",
        phone="+13055550123",
    )
    american.sends = profile.sends
    block = find(ask(law, american, NOON, channel="sms"), NOON, "region")
    assert block is not None
    assert block.seen == "3 used of 3 / 24h"
