"""Wishes: what a customer said of when, how often and where to be written to, and their union.

Wishes are traits that gates read. `unite_wishes` is for where two customers turn out to be one.

*Rules*
- The stricter holds where both speak: silence for good, or the later end of it; all the caps of
  both; the quiet hours of both. What can't be read is no wish, but silence that can't is for good.
- Between two channels neither is stricter: the one whose name comes first holds.
- It is commutative, associative and idempotent. What both wrote alike stays as it was written;
  anything else is written anew in one canonical form.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from engine.instants import HOUR_MS, MINUTE_MS, format_instant
from engine.program.dates import read_moment, to_instant
from engine.windows import Window, parse_window

QUIET_HOURS = "quiet_hours"  # hours at which they do not want to hear from us
DO_NOT_DISTURB = "do_not_disturb"  # true, or an instant up to which
FREQUENCY_CAPS = "frequency_caps"  # a cap, several, or a map of purposes to either
CHANNEL_PREFERENCES = "channel_preferences"  # message type -> channel
PREFERRED_CHANNEL = "preferred_channel"  # for every type that offers the channel

NOES = ("", "false", "no", "off", "0")
EVERY_PURPOSE = "*"

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MS = 24 * HOUR_MS
_encode = msgspec.json.Encoder(order="deterministic").encode


def unite_wishes(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Give the wishes of a customer who was two, by trait; traits that are none are left out."""
    united: dict[str, Any] = {}
    for trait, unite in _UNIONS.items():
        mine, yours = one.get(trait), other.get(trait)
        if mine is None or yours is None or _encode(mine) == _encode(yours):
            value = yours if mine is None else mine
        else:
            value = unite(mine, yours)
        if value is not None:
            united[trait] = value
    return united


def _unite_silence(mine: object, yours: object) -> object:
    ends = [_silent_until(mine), _silent_until(yours)]
    if None in ends:
        return True
    last_at = max(end for end in ends if end is not None)
    return format_instant(last_at) if last_at >= 0 else False


def _silent_until(wish: object) -> int | None:
    """Read until when silence is asked for: -1 is not at all, None for good.

    A date without a zone ends at the latest midnight there is on earth (UTC-12).
    """
    if wish is False or (isinstance(wish, str) and wish.strip().lower() in NOES):
        return -1
    moment = read_moment(wish, None, None) if wish is not True else None
    if moment is None:
        return None
    is_date = isinstance(wish, str) and ":" not in wish and "-" in wish
    return max(to_instant(moment) + (12 * HOUR_MS if is_date else 0), 0)


def _unite_caps(mine: object, yours: object) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = {}
    for written in (mine, yours):
        for purpose, texts in read_caps(written).items():
            found.setdefault(purpose, {}).update(dict.fromkeys(texts))
    return {purpose: sorted(found[purpose]) for purpose in sorted(found)}


def read_caps(written: object) -> dict[str, list[str]]:
    """Read caps as customers may have them: a text, several, or a map of purposes to either."""
    if isinstance(written, dict):
        by_purpose = cast("dict[str, object]", written)
        return {purpose: _texts(texts) for purpose, texts in by_purpose.items() if _texts(texts)}
    texts = _texts(written)
    return {EVERY_PURPOSE: texts} if texts else {}


def _texts(written: object) -> list[str]:
    if isinstance(written, list):
        return [text for text in cast("list[object]", written) if isinstance(text, str)]
    return [written] if isinstance(written, str) else []


def _unite_quiet(mine: object, yours: object) -> object:
    windows = [window for window in (_read_quiet(mine), _read_quiet(yours)) if window is not None]
    if not windows:  # neither is a wish; which of them is kept must not depend on the order
        return min(mine, yours, key=_encode)
    return _write_week(windows)


def _read_quiet(written: object) -> Window | None:
    try:
        return parse_window(written, QUIET_HOURS)
    except ValueError:
        return None


def _write_week(windows: list[Window]) -> dict[str, list[str]]:
    """Write hours as a map of days, each cut at midnight; a day without any is not named."""
    by_day: dict[str, list[str]] = {}
    for number, day in enumerate(_DAYS):
        start, end = number * _DAY_MS, (number + 1) * _DAY_MS
        pieces = [
            (max(begin, start) - start, min(finish, end) - start)
            for window in windows
            for begin, finish in zip(window.edges[::2], window.edges[1::2], strict=True)
            if begin < end and finish > start
        ]
        joined = _join(sorted(pieces))
        if joined:
            by_day[day] = [f"{_clock(begin)}-{_clock(finish)}" for begin, finish in joined]
    return by_day


def _join(pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for begin, finish in pieces:
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], finish))
        else:
            joined.append((begin, finish))
    return joined


def _clock(at_ms: int) -> str:
    minutes = at_ms // MINUTE_MS
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _unite_channels(mine: object, yours: object) -> dict[str, str]:
    found: dict[str, str] = {}
    for written in (mine, yours):
        by_type = cast("dict[str, object]", written) if isinstance(written, dict) else {}
        for kind, channel in by_type.items():
            if isinstance(channel, str):
                found[kind] = min(found.get(kind, channel), channel)
    return {kind: found[kind] for kind in sorted(found)}


def _unite_preferred(mine: object, yours: object) -> object:
    return min((one for one in (mine, yours) if isinstance(one, str)), default=None)


_UNIONS: dict[str, Callable[[object, object], object]] = {
    QUIET_HOURS: _unite_quiet,
    DO_NOT_DISTURB: _unite_silence,
    FREQUENCY_CAPS: _unite_caps,
    CHANNEL_PREFERENCES: _unite_channels,
    PREFERRED_CHANNEL: _unite_preferred,
}
