"""Preferences as they are sent to us, read beyond doubt: wishes, and opting out of message types.

Called by the gateway for `PUT /v1/customers/{id}/preferences` and for the preference centre. Hands
on one event that says all of it. What can't be read is an error with its path, and nothing of the
rest is taken: half of somebody's wishes are not their wishes.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from engine.errors import InputError
from engine.events import ANY, ConsentStatement, ConsentStatus
from engine.instants import format_instant
from engine.intake.clocks import read_instant
from engine.intake.shapes import is_array, is_object
from engine.limits import NAME_LENGTH_MAX
from engine.localtime import zone
from engine.program.captext import CapError, read_cap
from engine.program.dates import read_iso
from engine.program.faults import quote, suggest
from engine.program.program import Program
from engine.windows import parse_window
from engine.wishes import (
    CHANNEL_PREFERENCES,
    DO_NOT_DISTURB,
    EVERY_PURPOSE,
    FREQUENCY_CAPS,
    PREFERRED_CHANNEL,
    QUIET_HOURS,
)

TYPES = "types"
_STATUSES = {"granted": ConsentStatus.GRANTED, "denied": ConsentStatus.DENIED}
_WISHES_MAX = 100  # purposes, or types, in one map


class Preferences(msgspec.Struct, frozen=True):
    """What was asked for: traits (None takes one back), and statements about message types."""

    traits: dict[str, Any]
    consents: tuple[ConsentStatement, ...]


def read_preferences(
    value: Mapping[str, Any], program: Program, source: str, now: int
) -> Preferences:
    """Read preferences; only what is named changes. Raises InputError."""
    traits: dict[str, Any] = {}
    consents: tuple[ConsentStatement, ...] = ()
    for name, wish in value.items():
        if name == TYPES:
            consents = _read_types(wish, program, source, now)
        elif name in _READERS:
            traits[name] = None if wish is None else _READERS[name](wish, program)
        else:
            hint = suggest(name, (*_READERS, TYPES), "preferences")
            raise _bad(f"unknown preference {quote(name)}, {hint}", name)
    if not traits and not consents:
        raise _bad("expected at least one preference", "$")
    return Preferences(traits, consents)


def _read_types(
    value: object, program: Program, source: str, now: int
) -> tuple[ConsentStatement, ...]:
    if not is_object(value) or len(value) > _WISHES_MAX:
        raise _bad("expected a map of message types to granted or denied", TYPES)
    return tuple(_read_type(name, said, program, source, now) for name, said in value.items())


def _read_type(
    name: str, said: object, program: Program, source: str, now: int
) -> ConsentStatement:
    path = f"{TYPES}.{name[:NAME_LENGTH_MAX]}"
    _check_name(name, program.types, "message types", path)
    status = _STATUSES.get(said) if isinstance(said, str) else None
    if status is None:
        raise _bad("expected granted or denied", path)
    return ConsentStatement(ANY, ANY, status, now, source, message_type=name)


def _read_silence(wish: object, _program: Program) -> object:
    """Read a wish to be left alone: for good, not at all, or until an instant or a day."""
    if isinstance(wish, bool):
        return wish
    if isinstance(wish, str) and ":" not in wish and read_iso(wish.strip()) is not None:
        return wish.strip()
    try:
        return format_instant(read_instant(wish, DO_NOT_DISTURB))
    except InputError:
        message = "expected true, false, a day like 2026-03-02 or an instant"
        raise _bad(message, DO_NOT_DISTURB) from None


def _read_quiet(wish: object, _program: Program) -> object:
    try:
        parse_window(wish, QUIET_HOURS)
    except ValueError as error:
        raise _bad(str(error), QUIET_HOURS) from None
    return wish


def _read_caps(wish: object, program: Program) -> object:
    if not is_object(wish):
        _check_caps(wish, FREQUENCY_CAPS)
        return wish
    if len(wish) > _WISHES_MAX:
        raise _bad(f"expected at most {_WISHES_MAX} purposes", FREQUENCY_CAPS)
    purposes = dict.fromkeys(kind.purpose for kind in program.types.values())
    for purpose, texts in wish.items():
        path = f"{FREQUENCY_CAPS}.{purpose[:NAME_LENGTH_MAX]}"
        if purpose != EVERY_PURPOSE:
            _check_name(purpose, purposes, "purposes", path)
        _check_caps(texts, path)
    return wish


def _check_caps(written: object, path: str) -> None:
    texts = written if is_array(written) else [written]
    if not 0 < len(texts) <= _WISHES_MAX:
        raise _bad("expected a cap like '1 / 7d'", path)
    for text in texts:
        if not isinstance(text, str):
            raise _bad("expected a cap like '1 / 7d'", path)
        try:
            read_cap(text, path)
        except CapError as error:
            raise _bad(f"{error}: {error.hint}", path) from None


def _read_channels(wish: object, program: Program) -> object:
    if not is_object(wish) or len(wish) > _WISHES_MAX:
        raise _bad("expected a map of message types to channels", CHANNEL_PREFERENCES)
    for name, channel in wish.items():
        path = f"{CHANNEL_PREFERENCES}.{name[:NAME_LENGTH_MAX]}"
        kind = program.types.get(name)
        if kind is None:
            _check_name(name, program.types, "message types", path)
            continue
        _check_name(channel, kind.channels, "channels of this type", path)
    return wish


def _read_channel(wish: object, program: Program) -> object:
    _check_name(wish, program.channels, "channels", PREFERRED_CHANNEL)
    return wish


def _read_zone(wish: object, _program: Program) -> object:
    if not isinstance(wish, str) or zone(wish) is None:
        raise _bad("expected a name of the IANA list, like Africa/Johannesburg", "timezone")
    return wish


def _read_locale(wish: object, _program: Program) -> object:
    if not isinstance(wish, str) or not 0 < len(wish) <= NAME_LENGTH_MAX:
        raise _bad("expected a language like en or pt-BR", "locale")
    return wish


def _check_name(
    name: object, known: Mapping[str, Any] | tuple[str, ...], noun: str, path: str
) -> None:
    if not isinstance(name, str):
        raise _bad("expected a name", path)
    if name not in known:
        raise _bad(f"unknown name {quote(name)}, {suggest(name, known, noun)}", path)


def _bad(message: str, path: str) -> InputError:
    return InputError("bad_preference", message, path)


_READERS: dict[str, Callable[[object, Program], object]] = {
    DO_NOT_DISTURB: _read_silence,
    QUIET_HOURS: _read_quiet,
    FREQUENCY_CAPS: _read_caps,
    CHANNEL_PREFERENCES: _read_channels,
    PREFERRED_CHANNEL: _read_channel,
    "timezone": _read_zone,
    "locale": _read_locale,
}
