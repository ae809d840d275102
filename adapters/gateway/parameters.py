"""The query parameters of the reading half: what is allowed, and how a page is continued.

Used by `query` and `feed`; `openapi` describes the same structs, so that the document can't say
something else than the code. A parameter nobody knows is an error: a misspelt filter that is
ignored shows too much and looks right.
"""

import base64
import binascii
import typing
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, cast

import msgspec
from aiohttp import web

from actors.letters import DEAD_STATES
from adapters.gateway.views import InputKind, Topic
from engine.errors import InputError
from engine.instants import DAY_MS, parse_instant
from engine.limits import ID_LENGTH_MAX, NAME_LENGTH_MAX, SOLVER_HORIZON_MS
from engine.reasons import Outcome, Reason

PAGE_LIMIT = 50
ERASURE_WAIT_S_MAX = 60
PAGE_LIMIT_MAX = 200
_WORD_MAX = 80
_CURSOR_LENGTH_MAX = 2_048
_NAME_CURSOR_LENGTH_MAX = 8 * ID_LENGTH_MAX  # four bytes a character, and base64
_NUMBER_MAX = 2**63 - 1
KINDS = tuple(dict.fromkeys((*typing.get_args(Topic), *typing.get_args(InputKind))))

Limit = Annotated[
    int, msgspec.Meta(ge=1, le=PAGE_LIMIT_MAX, description="How many at most on a page.")
]
Name = Annotated[str, msgspec.Meta(max_length=NAME_LENGTH_MAX)]
Since = Annotated[str, msgspec.Meta(description="Only from this instant on, ISO 8601.")]
Until = Annotated[str, msgspec.Meta(description="Only up to this instant, ISO 8601.")]
After = Annotated[str, msgspec.Meta(description="The `next` of the page before.")]


Mask = Annotated[bool, msgspec.Meta(description="Hide personal data, whatever the key allows.")]


class TimelineParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to show of a customer's history."""

    kind: Annotated[
        str,
        msgspec.Meta(
            pattern=f"^({'|'.join(KINDS)})?$",
            description="Only entries of this kind, or about it.",
        ),
    ] = ""
    name: Annotated[
        str,
        msgspec.Meta(
            max_length=NAME_LENGTH_MAX,
            description=(
                "Only what has this name: an event, a receipt's status, a message, a journey, a "
                "trait."
            ),
        ),
    ] = ""
    channel: Annotated[
        str, msgspec.Meta(max_length=NAME_LENGTH_MAX, description="Only what concerns a channel.")
    ] = ""
    since: Since = ""
    until: Until = ""
    cursor: After = ""
    limit: Limit = PAGE_LIMIT
    mask: Mask = False


class DecisionParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which decisions to list."""

    journey: Name = ""
    outcome: Outcome | None = None
    reason: Reason | None = None
    since: Since = ""
    until: Until = ""
    cursor: After = ""
    limit: Limit = PAGE_LIMIT


class EligibilityParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which message is asked about, and for when."""

    message: Annotated[
        str, msgspec.Meta(max_length=NAME_LENGTH_MAX, description="The message. It must be given.")
    ] = ""
    at: Annotated[
        str,
        msgspec.Meta(
            description="For this instant, ISO 8601, at most 400 days from now; absent: for now."
        ),
    ] = ""
    channel: Annotated[
        str,
        msgspec.Meta(max_length=NAME_LENGTH_MAX, description="On this channel only."),
    ] = ""


class FeedParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which live decisions to be told of."""

    customer: Name = ""
    journey: Name = ""
    outcome: Outcome | None = None
    reason: Reason | None = None
    after: Annotated[
        str,
        msgspec.Meta(
            max_length=ID_LENGTH_MAX,
            description="A decision id: begin with what was decided after it.",
        ),
    ] = ""


class ActParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which administrative acts to list."""

    who: Annotated[
        str, msgspec.Meta(max_length=NAME_LENGTH_MAX, description="The name of the key used.")
    ] = ""
    act: Annotated[
        str, msgspec.Meta(max_length=NAME_LENGTH_MAX, description="What was done, like `exported`.")
    ] = ""
    subject: Annotated[
        str, msgspec.Meta(max_length=ID_LENGTH_MAX, description="To whom: a customer's id.")
    ] = ""
    since: Since = ""
    until: Until = ""
    cursor: After = ""
    limit: Limit = PAGE_LIMIT


class PageParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which part of a list to show."""

    cursor: After = ""
    limit: Limit = PAGE_LIMIT


class ItemParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which part of the quarantine to show."""

    cursor: After = ""
    limit: Limit = PAGE_LIMIT
    mask: Mask = False


class LetterParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letters to list."""

    state: Annotated[
        str,
        msgspec.Meta(
            pattern=f"^({'|'.join(DEAD_STATES)})?$",
            description="Only those that ended so; absent: all.",
        ),
    ] = ""
    channel: Name = ""
    customer: Annotated[
        str, msgspec.Meta(max_length=ID_LENGTH_MAX, description="Only those to this customer.")
    ] = ""
    before: Annotated[
        str,
        msgspec.Meta(max_length=ID_LENGTH_MAX, description="The `next` of the page before."),
    ] = ""
    limit: Limit = PAGE_LIMIT
    mask: Mask = False


class CustomerParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to show a customer."""

    mask: Mask = False


class ErasureParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long to wait for an erasure to be done."""

    wait: Annotated[
        int,
        msgspec.Meta(ge=0, le=ERASURE_WAIT_S_MAX, description="Wait so many seconds at most."),
    ] = 10


class NoParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request that takes none."""


Parameters = TypeVar("Parameters", bound=msgspec.Struct)


def read_parameters(
    request: web.Request, expected: type[Parameters], *, ignored: frozenset[str] = frozenset()
) -> Parameters:
    """Read the query of a request as a struct. Raises InputError with the parameter as path."""
    given: dict[str, Any] = {}
    for name, value in request.query.items():
        if name in ignored:
            continue
        if name not in expected.__struct_fields__:
            raise _unknown(name, expected.__struct_fields__)
        if name in given:
            raise InputError("bad_parameter", "is given twice; give it once", f"query.{name}")
        given[name] = value
    for name, value in given.items():
        given[name] = _convert(name, value, expected)
    return expected(**given)


def instant_of(text: str, name: str) -> int | None:
    """Read an instant from a parameter; "" is None."""
    if not text:
        return None
    try:
        # A plus sign that was not percent-encoded arrives as a space.
        return parse_instant(text.replace(" ", "+") if "T" in text else text)
    except (ValueError, OverflowError):
        message = "is not an instant between 1900 and 2100: write it like 2026-03-02T05:12:00Z"
        raise InputError("bad_parameter", message, f"query.{name}") from None


def hypothetical_instant_of(text: str, name: str, now: int) -> int:
    """Read an instant to answer for, one that rules can be known for; "" is now."""
    at = instant_of(text, name)
    if at is None:
        return now
    if abs(at - now) > SOLVER_HORIZON_MS:
        message = f"is more than {SOLVER_HORIZON_MS // DAY_MS} days from now"
        raise InputError("bad_parameter", message, f"query.{name}")
    return at


def write_cursor(kind: str, number: int | None) -> str | None:
    """Make the opaque name of the place where the next page begins."""
    return write_places(kind, [] if number is None else [number])


def write_places(kind: str, numbers: Sequence[int]) -> str | None:
    """Make the opaque name of several places that are gone on from together; None for none."""
    if not numbers:
        return None
    text = f"{kind}:{'.'.join(map(str, numbers))}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(kind: str, text: str) -> int | None:
    """Read what `write_cursor` made for a list of the same kind; "" is None."""
    numbers = read_places(kind, text)
    if len(numbers) > 1:
        raise _bad_cursor()
    return numbers[0] if numbers else None


def read_places(kind: str, text: str) -> list[int]:
    """Read what `write_places` made for a list of the same kind; "" is none."""
    if not text:
        return []
    try:
        padded = text[:_CURSOR_LENGTH_MAX] + "=" * (-len(text) % 4)
        written, _, rest = base64.b64decode(padded, b"-_", validate=True).decode().partition(":")
        parts = rest.split(".")
        if written == kind and all(map(_is_number, parts)):
            return [int(part) for part in parts]
    except (binascii.Error, ValueError):
        pass
    raise _bad_cursor()


def _is_number(text: str) -> bool:
    return text.isdecimal() and text.isascii() and int(text) <= _NUMBER_MAX


def _bad_cursor() -> InputError:
    message = "is not a cursor of this list: give back `next` of the page before, unchanged"
    return InputError("bad_cursor", message, "query.cursor")


def write_name_cursor(kind: str, name: str) -> str:
    """Make the opaque name of the place behind an id, where the next page begins."""
    return base64.urlsafe_b64encode(f"{kind}:{name}".encode()).decode().rstrip("=")


def read_name_cursor(kind: str, text: str) -> str:
    """Read what `write_name_cursor` made for a list of the same kind; "" stays so."""
    if not text:
        return ""
    try:
        if len(text) <= _NAME_CURSOR_LENGTH_MAX:
            padded = text + "=" * (-len(text) % 4)
            written, _, name = (
                base64.b64decode(padded, b"-_", validate=True).decode().partition(":")
            )
            if written == kind and name:
                return name
    except (binascii.Error, ValueError):
        pass
    raise _bad_cursor()


def _convert(name: str, value: str, expected: type[Parameters]) -> object:
    if not value:
        raise InputError("bad_parameter", "is empty; leave it out or fill it in", f"query.{name}")
    try:
        read = getattr(msgspec.convert({name: value}, expected, strict=False), name)
    except msgspec.ValidationError as error:
        message = str(error).partition(" - at ")[0]
    else:
        if read is not None:  # the word `null` would stand for a filter that is not there
            return cast("object", read)
        message = "null is no value"
    raise InputError("bad_parameter", _expectation(name, value, message), f"query.{name}")


def _expectation(name: str, value: str, message: str) -> str:
    choices = {"outcome": Outcome, "reason": Reason, "kind": KINDS}
    if name not in choices:
        return message[:200]
    known = [str(choice) for choice in choices[name]]
    return f"is not one of {', '.join(known)}{suggest(value, known)}"


def _unknown(name: str, known: tuple[str, ...]) -> InputError:
    # The name itself is not repeated: what a client sent never comes back to it.
    message = f"only {', '.join(known)} can be given" if known else "no parameters can be given"
    return InputError("unknown_parameter", f"{message}{suggest(name, list(known))}", "query")


def suggest(word: str, known: list[str]) -> str:
    """Say which name may have been meant, or nothing."""
    close = get_close_matches(word[:_WORD_MAX], known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
