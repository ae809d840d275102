"""What becomes of a message in the sandbox: chosen by whom it is for, by a script, or by dice.

Asked by `adapters.sandbox.office` for every message a stand-in takes in. Pure: the same questions
in the same order get the same answers.

*Rules*
- A script's rules come first, then what the address says, then the dice.
- An address says it by its last four digits, or by a word in what stands before its `@`.
- The dice are a hash of seed, message and attempt, so that order and other messages change nothing.
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from hashlib import blake2b

import msgspec

from engine.instants import MINUTE_MS


class Fate(StrEnum):
    """What becomes of a message."""

    DELIVERED = "delivered"
    READ = "read"  # and delivered before, where the channel can tell
    LATE = "late"  # delivered, and told a minute later
    TWICE = "twice"  # delivered, and each receipt comes twice
    DISORDER = "disorder"  # read, and the receipts come in the wrong order
    SILENT = "silent"  # taken, and nothing is ever heard of it
    UNREACHABLE = "unreachable"  # taken; then the phone is off for too long
    ABSENT = "absent"  # taken; then there is no account here: not on WhatsApp, no RCS
    LANDLINE = "landline"  # as absent, and no text message reaches it; calls do
    GONE = "gone"  # the number, mailbox or token is no longer anybody's
    INVALID = "invalid"  # refused at once: that is no address
    OPTED_OUT = "opted_out"  # the provider knows that they do not want this
    WINDOW = "window"  # WhatsApp: more than a day since they wrote, only templates are allowed
    RATE = "rate"  # the first attempt is refused as too fast
    BROKEN = "broken"  # the first attempt meets an error of the provider
    DOWN = "down"  # every attempt does
    TIMEOUT = "timeout"  # the first attempt is taken and delivered, but never answered


# The last four digits of a number that choose a fate.
DIGITS: Mapping[str, Fate] = {
    "0001": Fate.UNREACHABLE,
    "0002": Fate.ABSENT,
    "0003": Fate.OPTED_OUT,
    "0004": Fate.GONE,
    "0005": Fate.INVALID,
    "0006": Fate.LANDLINE,
    "0007": Fate.SILENT,
    "0008": Fate.READ,
    "0010": Fate.LATE,
    "0011": Fate.TWICE,
    "0012": Fate.DISORDER,
    "0024": Fate.WINDOW,
    "0429": Fate.RATE,
    "0500": Fate.BROKEN,
    "0503": Fate.DOWN,
    "0504": Fate.TIMEOUT,
}
WORDS: Mapping[str, Fate] = {"dead": Fate.GONE, **{fate.value: fate for fate in Fate}}

ONCE = frozenset({Fate.RATE, Fate.BROKEN, Fate.TIMEOUT})  # only of a first attempt
_FAILING = (Fate.BROKEN, Fate.RATE, Fate.UNREACHABLE, Fate.GONE)
# An endpoint that is gone is gone for everybody: the dice refuse single messages instead.
_ENDPOINTS = frozenset({"webhook", "apprise"})
_FAILING_THERE = (Fate.BROKEN, Fate.RATE, Fate.INVALID)
_PHONES = frozenset({"sms", "whatsapp", "rcs", "voice"})
# Where a fate is possible at all; the others are everywhere.
_PLACES: Mapping[Fate, frozenset[str]] = {
    Fate.UNREACHABLE: _PHONES,
    Fate.ABSENT: frozenset({"whatsapp", "rcs"}),
    Fate.LANDLINE: frozenset({"sms", "whatsapp", "rcs"}),
    Fate.WINDOW: frozenset({"whatsapp"}),
}
_READERS = frozenset({"whatsapp", "rcs", "email"})  # where it shows that a message was read
_NUMBER = re.compile(r"\+?[\d\s().-]{7,}")
_PHONELESS = "@"


class Stage(StrEnum):
    """How far a message has come."""

    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


class Step(msgspec.Struct, frozen=True):
    """A stage a message comes to, so long after it was taken."""

    after_ms: int
    stage: Stage


_SENT, _DELIVERED = Step(200, Stage.SENT), Step(1_000, Stage.DELIVERED)
_READ, _FAILED = Step(4_000, Stage.READ), Step(1_000, Stage.FAILED)
_GOOD = (_SENT, _DELIVERED)
_STEPS: Mapping[Fate, tuple[Step, ...]] = {
    Fate.READ: (*_GOOD, _READ),
    Fate.LATE: (_SENT, Step(MINUTE_MS, Stage.DELIVERED)),
    Fate.TWICE: (_SENT, _SENT, _DELIVERED, _DELIVERED),
    Fate.DISORDER: (
        Step(200, Stage.READ),
        Step(400, Stage.DELIVERED),
        Step(600, Stage.SENT),
    ),
    Fate.SILENT: (),
    Fate.UNREACHABLE: (_SENT, _FAILED),
    Fate.ABSENT: (_FAILED,),
    Fate.LANDLINE: (_FAILED,),
    Fate.GONE: (_FAILED,),
    Fate.WINDOW: (_FAILED,),
}


def plan(fate: Fate, channel: str) -> tuple[Step, ...]:
    """Lay out what is told of a message that was taken."""
    if fate is Fate.UNREACHABLE and channel == "whatsapp":
        return (_SENT,)  # it waits for the phone, for up to thirty days
    return _STEPS.get(fate, _GOOD)


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of a script: what becomes of messages to an address, a pattern with `*`.

    Of a list of fates each message to one address takes the next; the last one stays.
    """

    fate: Fate | list[Fate]
    to: str = "*"
    channel: str = "*"
    provider: str = "*"


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the sandbox behaves, as `--script` reads it. Shares are from 0 to 1."""

    rules: list[Rule] = []
    seed: int = 7
    failing: float = 0.0
    timing_out: float = 0.0
    reading: float = 0.0

    def __post_init__(self) -> None:
        """Refuse shares that are none."""
        shares = (self.failing, self.timing_out, self.reading, self.failing + self.timing_out)
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError("failing, timing_out and reading are shares from 0 to 1")


class Asked(msgspec.Struct, frozen=True):
    """What a fate is asked for. `attempt` counts from 0 how often this very message was tried.

    `earlier` counts the messages to this address before.
    """

    provider: str
    channel: str
    to: str
    text: str
    attempt: int
    earlier: int
    is_template: bool = False


def choose(script: Script, asked: Asked) -> Fate:
    """Choose what becomes of a message."""
    fate = _by_rule(script.rules, asked) or _by_attempt(read_address(asked.to), asked.attempt)
    fate = fate or _by_dice(script, asked)
    places = _PLACES.get(fate)
    is_possible = places is None or asked.channel in places
    if fate is Fate.WINDOW and asked.is_template:
        is_possible = False
    return fate if is_possible else Fate.DELIVERED


def read_address(address: str) -> Fate | None:
    """Read what fate an address asks for, if it does."""
    if _PHONELESS not in address and _NUMBER.fullmatch(address):
        return DIGITS.get(re.sub(r"\D", "", address)[-4:])
    local = address.rpartition("@")[0] or address
    for word in re.split(r"[^a-z_]+", local.lower()):
        if word in WORDS:
            return WORDS[word]
    return None


def _by_rule(rules: Sequence[Rule], asked: Asked) -> Fate | None:
    for rule in rules:
        if (
            fnmatchcase(asked.to, rule.to)
            and fnmatchcase(asked.channel, rule.channel)
            and fnmatchcase(asked.provider, rule.provider)
        ):
            if isinstance(rule.fate, Fate):
                return _by_attempt(rule.fate, asked.attempt)
            return rule.fate[min(asked.earlier + asked.attempt, len(rule.fate) - 1)]
    return None


def _by_attempt(fate: Fate | None, attempt: int) -> Fate | None:
    return Fate.DELIVERED if fate in ONCE and attempt else fate


def _by_dice(script: Script, asked: Asked) -> Fate:
    thrown = _throw(script.seed, asked.to, asked.text, str(asked.attempt))
    if thrown < script.timing_out:
        return Fate.TIMEOUT
    if thrown < script.timing_out + script.failing:
        share = (thrown - script.timing_out) / script.failing
        failing = _FAILING_THERE if asked.channel in _ENDPOINTS else _FAILING
        return failing[int(share * len(failing))]
    if asked.channel in _READERS and _throw(script.seed, asked.to) < script.reading:
        return Fate.READ
    return Fate.DELIVERED


def _throw(seed: int, *names: str) -> float:
    """Throw a number from 0 to 1, always the same for the same names."""
    text = "\0".join((str(seed), *names))
    return int.from_bytes(blake2b(text.encode(), digest_size=7).digest()) / (1 << 56)
