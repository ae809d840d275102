"""Frequency: how often, and how soon after the last message, a person may hear from us.

Called by `gates.order` with the ledger `evolve` keeps; this file only reads it.

*Rules*
- A rolling cap `n / window` counts sends in `(t - window, t]`: the slot of a send at s is free
  again at exactly s + window.
- A calendar cap counts since local midnight (of Monday, of the first) and frees at the next one.
- Backoff: once `ceil(share * n)` of a shared cap is used, the gap after the last counted send is
  `gap * factor ** (used - ceil(share * n))`; used falls as sends leave the window.
- Cooldown looks at every send, also those that do not count toward caps.
"""

from bisect import bisect_right
from math import ceil
from zoneinfo import ZoneInfo

from engine.gates.verdict import Block
from engine.instants import format_duration
from engine.limits import SOLVER_HORIZON_MS
from engine.localtime import (
    day_start,
    month_start,
    next_day_start,
    next_month_start,
    next_week_start,
    week_start,
)
from engine.profile import Profile
from engine.program.program import Backoff, Cap, Cooldown, SharedCap
from engine.reasons import Reason

_PERIODS = {
    "calendar_day": (day_start, next_day_start),
    "calendar_week": (week_start, next_week_start),
    "calendar_month": (month_start, next_month_start),
}


def check_channel_cap(
    profile: Profile, cap: Cap, channel: str, zone: ZoneInfo, at: int
) -> Block | None:
    """Say when a channel's cap next has room."""
    times = [slot.at for slot in profile.ledger if slot.channel == channel and slot.counts]
    return _check_cap(profile, cap, times, zone, at, Reason.CHANNEL_CAP)


def check_shared_cap(profile: Profile, shared: SharedCap, zone: ZoneInfo, at: int) -> Block | None:
    """Say when a cap over several channels next has room."""
    return _check_cap(profile, shared.cap, counted(profile, shared), zone, at, Reason.SHARED_CAP)


def counted(profile: Profile, shared: SharedCap) -> list[int]:
    """List when the sends that a shared cap counts were made, ascending."""
    return [
        slot.at
        for slot in profile.ledger
        if slot.counts
        and (not shared.channels or slot.channel in shared.channels)
        and (not shared.purposes or slot.purpose in shared.purposes)
    ]


def _check_cap(
    profile: Profile, cap: Cap, times: list[int], zone: ZoneInfo, at: int, reason: Reason
) -> Block | None:
    check = reason.value
    assert cap.count_max > 0  # the checker refuses caps of nothing
    if not cap.period:
        if len(times) < cap.count_max:
            return None
        frees_at = times[-cap.count_max] + cap.window_ms
        until: int | None = frees_at
        if frees_at <= at:
            return None
        used = len(times) - bisect_right(times, at - cap.window_ms)
    else:
        since_at = (
            profile.session_at if cap.period == "session" else _PERIODS[cap.period][0](zone, at)
        )
        used = sum(1 for time in times if time >= since_at)
        if used < cap.count_max:
            return None
        until = None if cap.period == "session" else _PERIODS[cap.period][1](zone, at)
    return Block(check, reason, until, cap.rule, f"{used} used of {cap.text}")


def check_backoff(profile: Profile, shared: SharedCap, backoff: Backoff, at: int) -> Block | None:
    """Say when the gap that a filling shared cap asks for is over."""
    cap = shared.cap
    if cap.period:
        return None  # the share of a calendar window says nothing about pace
    times = counted(profile, shared)
    if not times:
        return None
    # Rounded first: as floats 0.07 of 100 is a little more than 7.
    free_count = ceil(round(backoff.share * cap.count_max, 9))
    moment = at
    used = _used(times, cap, moment)
    first_used = used
    while used >= free_count:
        opens_at = times[-1] + _gap_ms(backoff, used - free_count)
        if opens_at <= moment:
            break
        moment = min(opens_at, times[-used] + cap.window_ms)
        used = _used(times, cap, moment)
    if moment == at:
        return None
    seen = f"{first_used} used of {cap.text}"
    return Block("backoff", Reason.BACKOFF, moment, "policies.backoff", seen)


def _gap_ms(backoff: Backoff, steps: int) -> int:
    """Grow the gap; one as long as the solver looks ahead is as long as any."""
    try:
        return round(min(backoff.gap_ms * backoff.factor**steps, SOLVER_HORIZON_MS))
    except OverflowError:
        return SOLVER_HORIZON_MS


def _used(times: list[int], cap: Cap, at: int) -> int:
    return len(times) - bisect_right(times, at - cap.window_ms)


def check_cooldown(profile: Profile, cooldown: Cooldown, at: int) -> Block | None:
    """Say when the least time since the last message, on any channel, is over."""
    if not profile.ledger:
        return None
    until = profile.ledger[-1].at + cooldown.gap_ms
    if until <= at:
        return None
    seen = f"{format_duration(cooldown.gap_ms)} after the last message"
    return Block("cooldown", Reason.COOLDOWN, until, "policies.cooldown", seen)
