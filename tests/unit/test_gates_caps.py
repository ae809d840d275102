"""Caps, backoff and cooldown at their edges, and the solver over all gates."""

import msgspec
import pytest

from engine.gates.order import next_eligible
from engine.gates.verdict import Block
from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS, parse_instant
from engine.limits import SOLVER_HORIZON_MS
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.program.program import Backoff, Cap, Cooldown, Program, SharedCap
from tests.cases import ask, customer, find, slot, with_caps, workspace

NOON = parse_instant("2026-03-02T12:00:00Z")
BARE = workspace()


def hourly(count: int, first_at: int = NOON) -> Profile:
    return customer(*[slot(first_at + number * HOUR_MS) for number in range(count)])


def rolling(count: int, window_ms: int = DAY_MS) -> Cap:
    return Cap(count, window_ms, "", "rule", f"{count} / window")


def shared(
    count: int,
    window_ms: int = DAY_MS,
    *,
    channels: tuple[str, ...] = (),
    purposes: tuple[str, ...] = (),
) -> SharedCap:
    return SharedCap(rolling(count, window_ms), channels, purposes)


def check_channel_cap(profile: Profile, cap: Cap, at: int) -> Block | None:
    return find(ask(with_caps(BARE, cap), profile, at), at, "channel_cap")


def check_shared_cap(
    profile: Profile, cap: SharedCap, at: int, *, message: str = "a", channel: str = "email"
) -> Block | None:
    program = msgspec.structs.replace(BARE, caps=(cap,))
    case = ask(program, profile, at, message=message, channel=channel)
    return find(case, at, "shared_cap")


def check_backoff(profile: Profile, cap: SharedCap, backoff: Backoff, at: int) -> Block | None:
    program = msgspec.structs.replace(BARE, caps=(cap,), backoff=backoff)
    return find(ask(program, profile, at), at, "backoff")


# Rolling caps.


def test_a_cap_with_room_does_not_block() -> None:
    assert check_channel_cap(customer(), rolling(1), NOON) is None
    assert check_channel_cap(hourly(1), rolling(2), NOON) is None


def test_a_full_cap_blocks_until_its_oldest_send_leaves_the_window() -> None:
    profile = hourly(3)
    block = check_channel_cap(profile, rolling(3), NOON + 3 * HOUR_MS)
    assert block is not None
    assert block.until == NOON + DAY_MS
    assert block.seen == "3 used of 3 / window"
    assert check_channel_cap(profile, rolling(3), NOON + DAY_MS) is None
    late = check_channel_cap(profile, rolling(3), NOON + DAY_MS - 1)
    assert late is not None


def test_an_overfull_cap_waits_until_there_is_room_and_not_only_for_the_oldest() -> None:
    # messages that ignore caps have filled it beyond its count
    block = check_channel_cap(hourly(5), rolling(2), NOON + 5 * HOUR_MS)
    assert block is not None
    assert block.until == NOON + 3 * HOUR_MS + DAY_MS


def test_several_sends_of_one_instant_use_a_slot_each() -> None:
    profile = customer(slot(NOON), slot(NOON), slot(NOON, "sms"))
    assert check_channel_cap(profile, rolling(3), NOON) is None
    block = check_channel_cap(profile, rolling(2), NOON)
    assert block is not None
    assert block.until == NOON + DAY_MS


def test_only_counted_sends_of_the_channel_and_purpose_count() -> None:
    profile = customer(
        slot(NOON),
        slot(NOON + 1, counts=False),
        slot(NOON + 2, "sms"),
        slot(NOON + 3, purpose="service"),
    )
    assert check_channel_cap(profile, rolling(3), NOON + 9) is None
    assert _used(profile, shared(1)) == "3 used"
    assert _used(profile, shared(1, channels=("sms", "email"))) == "3 used"
    assert _used(profile, shared(1, channels=("email",))) == "2 used"
    assert _used(profile, shared(1, purposes=("marketing",))) == "2 used"
    assert _used(profile, shared(1, purposes=("service",)), message="n") == "1 used"
    assert _used(profile, shared(1, channels=("sms",)), channel="sms") == "1 used"
    assert check_shared_cap(profile, shared(3), NOON + 9) is not None
    assert check_shared_cap(profile, shared(4), NOON + 9) is None


def test_a_shared_cap_is_not_about_other_channels_and_purposes() -> None:
    profile = customer(slot(NOON), slot(NOON, "sms"))
    assert check_shared_cap(profile, shared(1, channels=("sms",)), NOON) is None
    assert check_shared_cap(profile, shared(1, purposes=("service",)), NOON) is None


def _used(profile: Profile, cap: SharedCap, *, message: str = "a", channel: str = "email") -> str:
    block = check_shared_cap(profile, cap, NOON + 9, message=message, channel=channel)
    assert block is not None
    return block.seen.partition(" of ")[0]


# Calendar caps.


@pytest.mark.parametrize(
    ("period", "zone", "at", "until"),
    [
        ("calendar_day", "UTC", "2026-03-02T23:59:59.999Z", "2026-03-03T00:00:00Z"),
        ("calendar_day", "Africa/Johannesburg", "2026-03-02T12:00:00Z", "2026-03-02T22:00:00Z"),
        ("calendar_week", "UTC", "2026-03-04T00:00:00Z", "2026-03-09T00:00:00Z"),
        ("calendar_month", "UTC", "2026-03-31T00:00:00Z", "2026-04-01T00:00:00Z"),
        # the clocks of New York go forward on the 8th: the day has 23 hours
        ("calendar_day", "America/New_York", "2026-03-08T06:00:00Z", "2026-03-09T04:00:00Z"),
    ],
)
def test_a_calendar_cap_frees_at_the_next_local_start(
    period: str, zone: str, at: str, until: str
) -> None:
    cap = Cap(1, 0, period, "rule", "1")
    moment = parse_instant(at)
    profile = customer(slot(moment), timezone=zone)
    block = check_channel_cap(profile, cap, moment)
    assert block is not None
    frees_at = parse_instant(until)
    assert block.until == frees_at
    assert check_channel_cap(profile, cap, frees_at) is None


def test_a_session_cap_counts_since_the_session_began_and_knows_no_end() -> None:
    cap = Cap(1, 0, "session", "rule", "1 / session")
    before, within = customer(slot(NOON)), customer(slot(NOON + 1))
    before.session_at = within.session_at = NOON + 1
    assert check_channel_cap(before, cap, NOON + 2) is None
    block = check_channel_cap(within, cap, NOON + 2)
    assert block is not None
    assert block.until is None


# Backoff.


def test_gaps_grow_from_the_share_on() -> None:
    backoff = Backoff(0.5, 2 * HOUR_MS, 2.0)
    cap = shared(4, 7 * DAY_MS)
    assert check_backoff(hourly(1), cap, backoff, NOON) is None
    for used, gap_ms in ((2, 2 * HOUR_MS), (3, 4 * HOUR_MS), (4, 8 * HOUR_MS)):
        profile = hourly(used)
        last_at = profile.ledger[-1].at
        block = check_backoff(profile, cap, backoff, last_at)
        assert block is not None
        assert block.until == last_at + gap_ms
        assert check_backoff(profile, cap, backoff, last_at + gap_ms) is None
        assert check_backoff(profile, cap, backoff, last_at + gap_ms - 1) is not None


def test_a_gap_shrinks_when_a_send_leaves_the_window() -> None:
    profile = customer(slot(NOON), slot(NOON + HOUR_MS))
    backoff = Backoff(0.5, 10 * HOUR_MS, 3.0)
    block = check_backoff(profile, shared(4, 2 * HOUR_MS), backoff, NOON + HOUR_MS)
    assert block is not None
    assert block.until == NOON + 2 * HOUR_MS  # one is left of the two that ask for a gap


@pytest.mark.parametrize(("share", "count", "free"), [(0.07, 100, 7), (0.55, 100, 55), (0.1, 3, 1)])
def test_a_share_is_counted_as_it_is_written(share: float, count: int, free: int) -> None:
    backoff = Backoff(share, HOUR_MS, 2.0)
    cap = shared(count, DAY_MS)
    full = customer(*[slot(NOON + number) for number in range(free)])
    assert check_backoff(full, cap, backoff, NOON + MINUTE_MS) is not None
    less = customer(*[slot(NOON + number) for number in range(free - 1)])
    assert check_backoff(less, cap, backoff, NOON + MINUTE_MS) is None


def test_a_gap_that_grows_beyond_all_bounds_is_still_a_gap() -> None:
    profile = customer(*[slot(NOON + number) for number in range(400)])
    cap = shared(500, 30 * DAY_MS)
    block = check_backoff(profile, cap, Backoff(0.001, HOUR_MS, 1e9), NOON + 400)
    assert block is not None
    assert block.until == NOON + 398 + 30 * DAY_MS  # when one send alone is left in the window
    assert SOLVER_HORIZON_MS > 30 * DAY_MS


def test_a_calendar_cap_has_no_pace() -> None:
    cap = SharedCap(Cap(2, 0, "calendar_day", "rule", "2"), (), ())
    assert check_backoff(hourly(2), cap, Backoff(0.5, HOUR_MS, 2.0), NOON + HOUR_MS) is None


# Cooldown.


def test_a_cooldown_is_over_exactly_a_gap_after_the_last_send_of_any_kind() -> None:
    profile = customer(slot(NOON), slot(NOON + MINUTE_MS, "sms", purpose="service", counts=False))
    program = msgspec.structs.replace(BARE, cooldown=Cooldown(30 * MINUTE_MS, ()))

    def check(known: Profile, at: int) -> Block | None:
        return find(ask(program, known, at), at, "cooldown")

    block = check(profile, NOON + 2 * MINUTE_MS)
    assert block is not None
    assert block.until == NOON + 31 * MINUTE_MS
    assert check(profile, NOON + 31 * MINUTE_MS) is None
    assert check(customer(), NOON) is None


# The solver.


def program(**policies: object) -> Program:
    return compile_source(
        {
            "workspace": "gates",
            "defaults": {"timezone": "UTC", "country": "GB"},
            "channels": {
                "email": {"adapter": "log", "window": "09:00-10:00", "caps": ["1 / 23h30m"]},
                "shut": {"adapter": "log", "window": "session"},
            },
            "message_types": {"promo": {"purpose": "marketing", "channels": ["email", "shut"]}},
            "messages": {"a": {"type": "promo", "content": {"default": {"body": "a"}}}},
            "journeys": {"j": {"trigger": {"event": "A"}, "steps": [{"send": "a"}]}},
            "policies": policies,
        }
    )


def test_rules_that_open_at_different_times_are_solved_together() -> None:
    world = program(cooldown={"gap": "12h"})
    profile = customer(slot(NOON - 2 * HOUR_MS - MINUTE_MS))  # 09:59, and free again at 09:29
    timing = next_eligible(ask(world, profile, NOON, channel="email"), NOON)
    assert timing.at == parse_instant("2026-03-03T09:29:00Z")
    assert [block.check for block in timing.blocks] == ["channel_cap", "cooldown", "window"]
    assert timing.last is not None
    assert timing.last.check == "channel_cap"


def test_what_nobody_can_know_the_end_of_has_no_instant() -> None:
    world = program()
    timing = next_eligible(ask(world, customer(), NOON, channel="shut"), NOON)
    assert timing.at is None
    assert timing.last is not None
    assert timing.last.until is None


def test_nothing_in_the_way_is_now() -> None:
    world = program()
    at = parse_instant("2026-03-02T09:00:00Z")
    timing = next_eligible(ask(world, customer(), at, channel="email"), at)
    assert (timing.at, timing.blocks, timing.last) == (at, (), None)
