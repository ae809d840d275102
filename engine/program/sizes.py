"""How much one message may be on a channel, counted as its medium counts.

`compile_limits` is called by `sections` for each channel; `find_excess` by `engine.choice.content`
for everything that is rendered, and by `contentcheck` for what is known before.

Rules
- Where a channel sets no limit, it is what every provider of such a channel refuses beyond, so that
  nothing is held back that would have arrived.
- Subject: RFC 5322 (2.1.1) allows lines of 998 characters, which no mail client shows.
- SMS: Twilio takes 1,600 characters, ten parts (error 21617); others take as much or less.
- Push: 4,096 bytes of payload, as Apple, Google and RFC 8030 (7.2) have it, with what stands
  around the content.
- WhatsApp: 4,096 characters of text; the variables of a template are numbered from 1 without gaps,
  and none is empty. RCS: 3,072 characters of text, 200 of a title. Voice: 4,000 of TwiML.
"""

import re
from collections.abc import Callable, Mapping

import msgspec
from msgspec import UnsetType

from engine.program.contentmodel import LimitsSpec
from engine.program.medium import Medium
from engine.program.smstext import UCS_2, measure_sms

_Value = str | int | float | None
_Variables = dict[str, _Value] | list[_Value]

_VARIABLES = "variables"
_ENVELOPE_BYTES = 256  # of a push payload: what providers' formats add to the content
_NUMBERED = re.compile(r"[1-9][0-9]{0,2}")


class Limits(msgspec.Struct, frozen=True):
    """How much one message may be on one channel.

    `segments` are of an SMS, `bytes` of a push message, `characters` by field.
    """

    medium: Medium = Medium.OTHER
    segments: int = 0
    bytes: int = 0
    characters: tuple[tuple[str, int], ...] = ()


class Excess(msgspec.Struct, frozen=True):
    """What is too much: in which field ("" is all of them), and by which limit."""

    field: str
    text: str


NO_LIMITS = Limits()
_DEFAULTS = {
    Medium.EMAIL: Limits(Medium.EMAIL, characters=(("subject", 998),)),
    Medium.SMS: Limits(Medium.SMS, segments=10),
    Medium.WHATSAPP: Limits(Medium.WHATSAPP, characters=(("body", 4_096),)),
    Medium.RCS: Limits(Medium.RCS, characters=(("body", 3_072), ("title", 200))),
    Medium.VOICE: Limits(Medium.VOICE, characters=(("body", 4_000),)),
    Medium.PUSH: Limits(Medium.PUSH, bytes=4_096),
}


def compile_limits(medium: Medium, written: LimitsSpec) -> Limits:
    """Put together what a channel says and what holds for its medium."""
    own = {
        name: limit
        for name, limit in msgspec.structs.asdict(written).items()
        if not isinstance(limit, UnsetType)
    }
    limits = _DEFAULTS.get(medium, NO_LIMITS)
    if not own:
        return limits
    return Limits(
        medium,
        segments=own.pop("segments", limits.segments),
        bytes=own.pop("bytes", limits.bytes),
        characters=tuple({**dict(limits.characters), **own}.items()),
    )


def find_excess(limits: Limits, content: Mapping[str, str]) -> Excess | None:
    """Find what is too much in a rendered content; None where all of it fits."""
    for name, most in limits.characters:
        if (count := len(content.get(name, ""))) > most:
            text = f"{name} of {count} characters, {most} are the most here (limits.{name})"
            return Excess(name, text)
    finder = _FINDERS.get(limits.medium)
    return finder(limits, content) if finder is not None else None


def _find_segments(limits: Limits, content: Mapping[str, str]) -> Excess | None:
    text = content.get("body", "")
    if len(text.encode()) <= _SHORT_BYTES:
        return None
    size = measure_sms(text)
    if size.segments <= limits.segments:
        return None
    because = f", as {size.foreign[0]!r} makes it {UCS_2}" if size.foreign else ""
    most = f"{limits.segments} are the most here (limits.segments)"
    return Excess("body", f"an SMS of {size.segments} parts{because}; {most}")


def _find_bytes(limits: Limits, content: Mapping[str, str]) -> Excess | None:
    count = len(msgspec.json.encode(content)) + _ENVELOPE_BYTES
    if count <= limits.bytes:
        return None
    most = f"{limits.bytes} are the most here (limits.bytes)"
    return Excess("", f"a push message of some {count} bytes, {most}")


def _find_gaps(_limits: Limits, content: Mapping[str, str]) -> Excess | None:
    """Find variables of a template that WhatsApp would miss."""
    written = content.get(_VARIABLES, "")
    if not written:
        return None
    try:
        variables = _read_variables(written)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return Excess(_VARIABLES, 'variables are no JSON mapping of texts, like {"1": "Thandi"}')
    for number, name in enumerate(sorted(filter(_NUMBERED.fullmatch, variables), key=int), 1):
        if int(name) != number:
            return Excess(_VARIABLES, f"there is a variable {name}, and none numbered {number}")
    empty = next(
        (name for name, value in variables.items() if value is None or not str(value).strip()), None
    )
    return None if empty is None else Excess(_VARIABLES, f"the variable {empty!r} is empty")


def _read_variables(written: str) -> Mapping[str, _Value]:
    """Read variables as JSON, a mapping or a list, or else one a line; they count from 1."""
    if not written.lstrip().startswith(("{", "[")):
        lines = written.removesuffix("\n").split("\n")
        return {str(number): line for number, line in enumerate(lines, 1)}
    given: _Variables = msgspec.json.decode(written.encode(), type=_Variables)
    if isinstance(given, list):
        return {str(number): value for number, value in enumerate(given, 1)}
    return given


_SHORT_BYTES = 70  # no text of so few bytes is sent in two parts, whichever its alphabet
_FINDERS: dict[Medium, Callable[[Limits, Mapping[str, str]], Excess | None]] = {
    Medium.SMS: _find_segments,
    Medium.PUSH: _find_bytes,
    Medium.WHATSAPP: _find_gaps,
}
