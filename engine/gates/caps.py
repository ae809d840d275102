"""Frequency: how often, and how soon after the last message, a person may hear from us.

Called by `gates.order` with the tallies `evolve` keeps; this file only reads them.

*Rules*
- A rolling cap `n / window` counts sends in `(t - window, t]`: the slot of a send at s is free
  again at exactly s + window.
- A calendar cap counts since local midnight (of Monday, of the first) and frees at the next one;
  where several time zones are plausible, in all of them.
- Backoff: once `ceil(share * n)` of a shared cap is used, the gap after the last counted send is
  `gap * factor ** (used - ceil(share * n))`; used falls as sends leave the window.
- Cooldown looks at every send, also those that do not count toward caps.
- Engagement changes `n` of the workspace's caps, never that of the law or of the customer.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import ceil
from typing import cast
from zoneinfo import ZoneInfo

import msgspec

from engine.gates.case import Case
from engine.gates.verdict import Block
from engine.instants import format_duration
from engine.limits import SOLVER_HORIZON_MS
from engine.localtime import (
    day_instant,
    day_start,
    local_parts,
    month_start,
    next_day_start,
    next_month_start,
    next_week_start,
    week_start,
)
from engine.program.captext import CapError, read_cap
from engine.program.program import SESSION, Backoff, Cap
from engine.program.regions import RegionRule
from engine.reasons import Reason
from engine.wishes import EVERY_PURPOSE, FREQUENCY_CAPS, read_caps

_PERIODS = {
    "calendar_day": (day_start, next_day_start),
    "calendar_week": (week_start, next_week_start),
    "calendar_month": (month_start, next_month_start),
}
_OWN_CAPS_MAX = 4_096

Times = Sequence[Sequence[int]]  # of several tallies, each ascending


class Cause(msgspec.Struct, frozen=True, gc=False):
    """Whose cap it is: what the trace calls it."""

    check: str
    reason: Reason
    version: str = ""


_CHANNEL = Cause("channel_cap", Reason.CHANNEL_CAP)
_TYPE = Cause("type_cap", Reason.TYPE_CAP)
_SHARED = Cause("shared_cap", Reason.SHARED_CAP)
_OWN = Cause("customer_cap", Reason.CUSTOMER_CAP)


class Room(msgspec.Struct, frozen=True, gc=False):
    """A cap that may be full, with the sends that count toward it."""

    cap: Cap
    times: Times
    cause: Cause
    backoff: Backoff | None = None
    law: RegionRule | None = None


def check_caps(case: Case, at: int, found: list[Block]) -> None:
    """Find the caps that have no room at an instant, and the gaps that filling ones ask for."""
    if not case.tallies:
        return
    if case.rooms is None:
        case.rooms = _rooms(case)
    for room in cast("list[Room]", case.rooms):
        if room.law is None or _holds(case, room.law, at):
            _check(case, room, at, found)
        if room.backoff is not None:
            _check_backoff(room.cap, room.backoff, room.times, at, found)


def check_cooldown(case: Case, at: int, found: list[Block]) -> None:
    """Find out when the least time since the last message, on any channel, is over."""
    cooldown = case.program.cooldown
    if cooldown is None or case.last_at is None or "cooldown" in case.kind.ignores:
        return
    until = case.last_at + cooldown.gap_ms
    if until > at and case.concerns(cooldown.purposes):
        seen = f"{format_duration(cooldown.gap_ms)} after the last message"
        found.append(Block("cooldown", Reason.COOLDOWN, until, "policies.cooldown", seen))


def _rooms(case: Case) -> list[Room]:
    """Gather the caps that may ever be full: those with as many sends as they allow."""
    rooms = [] if "caps" in case.kind.ignores else list(_rooms_of_workspace(case))
    rooms += [
        Room(
            msgspec.structs.replace(cap, rule=rule.rule),
            _times_by_law(case, rule),
            Cause("region", Reason.REGION_RULE, rule.stamp),
            law=rule,
        )
        for rule in case.regions
        for cap in rule.caps
    ]
    return [
        room
        for room in rooms
        if room.backoff is not None or sum(map(len, room.times)) >= room.cap.count_max
    ]


def _rooms_of_workspace(case: Case) -> Iterator[Room]:
    channel, kind, program, factor = case.channel, case.kind, case.program, case.factor
    for cap in channel.caps:
        yield Room(_scale(cap, factor), _times(case, (), (channel.name,)), _CHANNEL)
    for cap in kind.caps:
        yield Room(_scale(cap, factor), _times_of_type(case), _TYPE)
    for shared in program.caps:
        if case.concerns(shared.purposes) and (
            not shared.channels or channel.name in shared.channels
        ):
            times = _times(case, shared.purposes, shared.channels)
            # The share of a calendar window says nothing about pace.
            paced = not shared.cap.period and "backoff" not in kind.ignores and bool(times)
            backoff = program.backoff if paced else None
            yield Room(_scale(shared.cap, factor), times, _SHARED, backoff)
    for cap, purposes in own_caps(case):
        yield Room(cap, _times(case, purposes), _OWN)


def _scale(cap: Cap, factor: float) -> Cap:
    """Let engagement change a cap; never to less than one."""
    if factor == 1.0:
        return cap
    count_max = max(1, int(cap.count_max * factor + 1e-9))
    text = f"{count_max} / {cap.text.partition('/')[2].strip()} ({cap.text} by engagement)"
    return msgspec.structs.replace(cap, count_max=count_max, text=text)


def _times(
    case: Case, purposes: tuple[str, ...] = (), channels: tuple[str, ...] = ()
) -> list[list[int]]:
    return [
        tally.sent_at
        for tally in case.tallies
        if tally.counts
        and (not channels or tally.channel in channels)
        and (not purposes or tally.purpose in purposes)
    ]


def _times_of_type(case: Case) -> list[list[int]]:
    name = case.kind.name
    return [one.sent_at for one in case.tallies if one.counts and one.message_type == name]


def _times_by_law(case: Case, rule: RegionRule) -> list[list[int]]:
    """Give the sends a rule of law is about: what we do not count, the law does."""
    channels = case.program.channels
    return [
        tally.sent_at
        for tally in case.tallies
        if tally.channel in channels
        and rule.concerns(tally.purpose, channels[tally.channel].identity)
    ]


def _holds(case: Case, rule: RegionRule, at: int) -> bool:
    """Say whether a rule is in force on the local day, in any zone the customer may be in."""
    return any(rule.is_in_force(local_parts(zone, at)[2]) for zone in case.place.zones)


def _check(case: Case, room: Room, at: int, found: list[Block]) -> None:
    """Find out when a cap next has room."""
    cap, times, cause = room.cap, room.times, room.cause
    if not cap.period:
        until, used = _rolling(cap, times, at)
    elif cap.period == SESSION:
        until, used = None, _count_from(times, case.profile.session_at)
    else:
        until, used = _calendar(cap, times, case.place.zones, at)
    if room.law is not None and room.law.effective_until is not None and until is not None:
        ends_at = max(day_instant(zone, room.law.effective_until) for zone in case.place.zones)
        until = min(until, ends_at)
    if used >= cap.count_max:
        seen = f"{used} used of {cap.text}"
        found.append(Block(cause.check, cause.reason, until, cap.rule, seen, cause.version))


def _rolling(cap: Cap, times: Times, at: int) -> tuple[int | None, int]:
    """Tell when a rolling window has room, and how much is used of it."""
    used = _count_after(times, at - cap.window_ms)
    if used < cap.count_max:
        return None, used
    return _latest(times, cap.count_max)[0] + cap.window_ms, used


def _calendar(
    cap: Cap, times: Times, zones: tuple[ZoneInfo, ...], at: int
) -> tuple[int | None, int]:
    begin, begin_next = _PERIODS[cap.period]
    until, used = at, 0
    for zone in zones:
        count = _count_from(times, begin(zone, at))
        used = max(used, count)
        if count >= cap.count_max:
            until = max(until, begin_next(zone, at))
    return until, used


def _count_after(times: Times, after_at: int) -> int:
    return sum(len(each) - bisect_right(each, after_at) for each in times)


def _count_from(times: Times, since_at: int) -> int:
    return sum(len(each) - bisect_left(each, since_at) for each in times)


def _latest(times: Times, count: int) -> list[int]:
    """Give the latest sends of several tallies, so many at most, ascending."""
    if len(times) == 1:
        return list(times[0][-count:])
    return sorted(at for each in times for at in each[-count:])[-count:]


def _check_backoff(cap: Cap, backoff: Backoff, times: Times, at: int, found: list[Block]) -> None:
    """Find out when the gap that a filling shared cap asks for is over."""
    # Rounded first: as floats 0.07 of 100 is a little more than 7.
    free_count = ceil(round(backoff.share * cap.count_max, 9))
    first_used = used = _count_after(times, at - cap.window_ms)
    if used < free_count or not used:
        return
    sent_at = _latest(times, used)
    moment = at
    while used >= max(1, free_count):
        opens_at = sent_at[-1] + _gap_ms(backoff, used - free_count)
        if opens_at <= moment:
            break
        moment = min(opens_at, sent_at[-used] + cap.window_ms)
        used = len(sent_at) - bisect_right(sent_at, moment - cap.window_ms)
    if moment > at:
        seen = f"{first_used} used of {cap.text}"
        found.append(Block("backoff", Reason.BACKOFF, moment, "policies.backoff", seen))


def _gap_ms(backoff: Backoff, steps: int) -> int:
    """Grow the gap; one as long as the solver looks ahead is as long as any."""
    try:
        return round(min(backoff.gap_ms * backoff.factor**steps, SOLVER_HORIZON_MS))
    except OverflowError:
        return SOLVER_HORIZON_MS


def own_caps(case: Case) -> list[tuple[Cap, tuple[str, ...]]]:
    """Give the caps a customer has chosen, each with the purposes it is about (none is all).

    What can't be read as a cap is no choice: it is passed over.
    """
    chosen: object = case.profile.traits.get(FREQUENCY_CAPS)
    if not chosen:
        return []
    by_purpose, purpose = read_caps(chosen), case.kind.purpose
    general = [(_read_own(text, ""), ()) for text in by_purpose.get(EVERY_PURPOSE, ())]
    special = [(_read_own(text, purpose), (purpose,)) for text in by_purpose.get(purpose, ())]
    return [(cap, purposes) for cap, purposes in (*general, *special) if cap is not None]


@lru_cache(_OWN_CAPS_MAX)
def _read_own(text: str, purpose: str) -> Cap | None:
    rule = f"profile.{FREQUENCY_CAPS}" + (f".{purpose}" if purpose else "")
    try:
        return read_cap(text, rule)
    except CapError:
        return None
