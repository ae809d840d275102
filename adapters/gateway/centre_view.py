"""The preference centre's page as data: what a customer may choose, and what holds now.

Called by `centre`, which has the link and the form. Addresses are shown masked only.
"""

from collections.abc import Iterator
from typing import Any, cast

from adapters.gateway.pages import Words, mask_address
from engine.consents import find_statement, find_type_statement
from engine.events import ConsentStatus
from engine.gates.consent import check_consent
from engine.gates.reach import address
from engine.profile import Profile
from engine.program.program import Program
from engine.wishes import (
    CHANNEL_PREFERENCES,
    DO_NOT_DISTURB,
    EVERY_PURPOSE,
    FREQUENCY_CAPS,
    QUIET_HOURS,
    read_caps,
)

FREQUENCIES = {"any": "", "day": "1 / 1d", "week": "1 / 7d", "month": "1 / 30d"}
OTHER = "other"  # a choice that the page has no words for, and leaves as it is
_NOES = (ConsentStatus.DENIED, ConsentStatus.WITHDRAWN)
_DATE_LENGTH = 10


def purpose_field(purpose: str, channel: str) -> str:
    """Name a form's field; names of a workspace hold no slash."""
    return f"consent/{purpose}/{channel}"


def type_field(message_type: str) -> str:
    """Name a form's field for wanting a message type."""
    return f"type/{message_type}"


def channel_field(message_type: str) -> str:
    """Name a form's field for the channel of a message type."""
    return f"channel/{message_type}"


def choices(profile: Profile, program: Program) -> Iterator[tuple[str, str]]:
    """Give the purposes and channels there is something to choose about: those that reach them."""
    for purpose in program.centre.purposes:
        kinds = [kind for kind in program.types.values() if kind.purpose == purpose]
        for name in dict.fromkeys(channel for kind in kinds for channel in kind.channels):
            if address(profile, program.channels[name]):
                yield purpose, name


def is_allowed(profile: Profile, program: Program, purpose: str, channel: str, now: int) -> bool:
    """Say whether a purpose may be sent on a channel now, as far as consent goes."""
    return check_consent(profile, program, purpose, channel, "", now) is None


def is_wanted(profile: Profile, message_type: str) -> bool:
    """Say whether a message type is wanted on any channel."""
    statement = find_type_statement(profile.consents, message_type, "")
    return statement is None or statement.status not in _NOES


def show_purposes(
    profile: Profile, program: Program, words: Words, now: int, *, may_grant: bool
) -> list[dict[str, Any]]:
    """Describe the boxes for each purpose, channel by channel."""
    shown: dict[str, list[dict[str, Any]]] = {}
    for purpose, name in choices(profile, program):
        channel = program.channels[name]
        checked = is_allowed(profile, program, purpose, name, now)
        statement = find_statement(profile.consents, purpose, name)
        is_pending = statement is not None and statement.status is ConsentStatus.PENDING
        shown.setdefault(purpose, []).append({
            "name": purpose_field(purpose, name),
            "label": words.name("channel", name),
            "address": mask_address(address(profile, channel)) if channel.identity else "",
            "checked": checked,
            "pending": is_pending,
            "disabled": not (checked or may_grant),
        })  # fmt: skip
    return [
        {"label": words.name("purpose", purpose), "boxes": boxes}
        for purpose, boxes in shown.items()
    ]


def show_types(
    profile: Profile, program: Program, words: Words, *, may_grant: bool
) -> list[dict[str, Any]]:
    """Describe the boxes for each message type, and the channels to choose from."""
    preferred: Any = profile.traits.get(CHANNEL_PREFERENCES)
    by_type = cast("dict[str, Any]", preferred) if isinstance(preferred, dict) else {}
    return [
        {
            "label": words.name("type", name),
            "name": type_field(name),
            "checked": is_wanted(profile, name),
            "disabled": not (is_wanted(profile, name) or may_grant),
            "channel_name": channel_field(name),
            "channels": [
                {
                    "value": channel,
                    "label": words.name("channel", channel),
                    "selected": by_type.get(name) == channel,
                }
                for channel in program.types[name].channels
                if address(profile, program.channels[channel])
            ],
        }
        for name in program.centre.types
    ]


def frequency_of(profile: Profile, program: Program) -> str:
    """Name the choice of frequency that holds: one of `FREQUENCIES`, or `OTHER`."""
    caps = read_caps(profile.traits.get(FREQUENCY_CAPS))
    if not caps:
        return "any"
    chosen = {purpose: caps.get(purpose, []) for purpose in program.centre.purposes}
    for name, text in FREQUENCIES.items():
        same = all(texts == [text] for texts in chosen.values())
        if text and same and set(caps) == set(chosen):
            return name
        if text and caps == {EVERY_PURPOSE: [text]}:
            return name
    return OTHER


def show_frequencies(profile: Profile, program: Program, words: Words) -> list[dict[str, Any]]:
    """Describe the choices of frequency; one of another kind is there while it is chosen."""
    now = frequency_of(profile, program)
    names = [*FREQUENCIES, *([OTHER] if now == OTHER else [])]
    return [
        {"value": name, "label": words[f"frequency.{name}"], "selected": name == now}
        for name in names
    ]


def quiet_of(profile: Profile) -> tuple[str, str] | None:
    """Give quiet hours that are one stretch every day; None where they are of another kind."""
    written = profile.traits.get(QUIET_HOURS)
    if not written:
        return "", ""
    if not isinstance(written, str):
        return None
    begin, _, end = written.partition("-")
    return begin.strip(), end.strip()


def silence_of(profile: Profile) -> tuple[str, bool]:
    """Give until which day they want to be left alone, and whether for good."""
    wish = profile.traits.get(DO_NOT_DISTURB)
    if wish is True:
        return "", True
    return (wish[:_DATE_LENGTH] if isinstance(wish, str) and "-" in wish else ""), False


def show_languages(program: Program, words: Words) -> list[dict[str, Any]]:
    """Describe the languages there are texts in."""
    return [
        {
            "value": name,
            "label": texts.get("language_name", name),
            "selected": name == words.language,
        }
        for name, texts in program.centre.texts.items()
    ]
