"""Random workspaces and random histories of one customer in them."""

from typing import Any, TypeVar

import msgspec
from hypothesis import strategies as st

from engine.events import (
    ConsentStatement,
    ConsentStatus,
    Event,
    EventKind,
    Receipt,
    ReceiptStatus,
)
from engine.instants import HOUR_MS, MINUTE_MS, parse_instant

ORIGIN_AT = parse_instant("2026-03-02T06:00:00Z")
CUSTOMER = "u1"

_Stored = TypeVar("_Stored", bound=msgspec.Struct)
MESSAGES = ("a", "b", "c", "n")
CHANNELS = ("email", "sms", "push")
EMITTED = "Left"  # an event that only journeys have happen

_WAYS = [["defer"], ["substitute", "defer"], ["fallback", "defer"], ["defer", "fallback"]]

_CONTENT: dict[str, Any] = {name: {"body": name} for name in CHANNELS}

_caps = st.builds("{} / {}".format, st.integers(1, 3), st.sampled_from(["2h", "6h", "24h"]))
_windows = st.sampled_from(["", "", "", "09:00-20:00", "07:30-11:00", "20:00-02:00", "12:00-12:30"])
_ZONES = ["UTC", "Africa/Johannesburg", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"]


@st.composite
def _channels(draw: st.DrawFn) -> dict[str, Any]:
    channels: dict[str, Any] = {}
    for name in CHANNELS:
        channel: dict[str, Any] = {"adapter": "log", "identity": name}
        if window := draw(_windows):
            channel["window"] = window
        if draw(st.booleans()):
            channel["caps"] = [draw(_caps)]
        channels[name] = channel
    channels["email"]["substitute"] = "push"
    return channels


@st.composite
def _policies(draw: st.DrawFn) -> dict[str, Any]:
    policies: dict[str, Any] = {}
    if draw(st.booleans()):
        shared: dict[str, Any] = {"limit": draw(_caps)}
        if draw(st.booleans()):
            shared["channels"] = ["email", "sms"]
        policies["caps"] = [shared]
        if draw(st.booleans()):
            share = draw(st.sampled_from([0.1, 0.5, 1.0]))
            policies["backoff"] = {"from": share, "gap": "1h", "factor": 2}
    if draw(st.booleans()):
        policies["cooldown"] = {"gap": draw(st.sampled_from(["10m", "90m"]))}
    if draw(st.booleans()):
        policies["suppress"] = [
            {"name": "bought", "after": "Bought", "for": "5h", "purposes": ["marketing"]}
        ]
    if draw(st.booleans()):
        policies["same_message"] = "8h"
    policies["on_block"] = draw(st.sampled_from(_WAYS))
    return policies


_JOURNEYS: dict[str, Any] = {
    "ja": {
        "trigger": {"event": "A"},
        "goal": {"event": "Bought", "within": "2d"},
        "steps": [
            {"send": "a", "id": "first"},
            {
                "wait_for": {"engagement": "first", "kinds": ["opened"], "up_to": "3h"},
                "then": [{"send": "n"}],
                "else": [{"send": "b"}],
            },
        ],
    },
    "jb": {"trigger": {"event": "B"}, "steps": [{"wait": "30m"}, {"send": "b", "id": "s"}]},
    "jc": {"trigger": {"event": "C"}, "steps": [{"send": "c", "id": "s"}]},
    "jd": {"trigger": {"event": "D"}, "steps": [{"send": "a", "id": "s"}]},
    "jn": {
        "trigger": {"event": "N"},
        "steps": [{"send": "n", "id": "s"}, {"start": "jb"}],
    },
    "jt": {
        "trigger": {"schedule": "0 */7 * * *"},
        "exit_on": [{"event": "Bought"}],
        "entries": "3 / 24h",
        "steps": [{"send": "c", "id": "st"}],
    },
    "je": {"trigger": {"event": EMITTED}, "steps": [{"send": "c", "id": "s"}]},
    "jp": {
        "trigger": {"event": "P"},
        "goal": {"event": "Bought"},
        "steps": [
            {"set": {"journey.n": 1}},
            {"split": {"x": 1, "y": 1}, "id": "test", "cases": {"x": [{"emit": EMITTED}]}},
            {
                "parallel": {
                    "mail": [{"send": "a", "id": "pa"}, {"wait": "1h"}],
                    "text": [{"wait": "20m"}, {"decide": ["b", "c"], "id": "pd"}],
                },
                "join": "any",
            },
            {
                "repeat": 2,
                "while": "journey.n == 1",
                "steps": [{"send": "n", "id": "pn"}, {"wait": "40m"}],
            },
        ],
    },
}


@st.composite
def workspaces(draw: st.DrawFn) -> dict[str, Any]:
    """Give a workspace of three channels with rules of every kind."""
    return {
        "workspace": "worlds",
        "defaults": {"timezone": draw(st.sampled_from(_ZONES)), "country": "GB"},
        "consent": {"marketing": "opt_out"},
        "channels": draw(_channels()),
        "message_types": {
            "promo": {
                "purpose": "marketing",
                "channels": ["email", "sms"],
                "expires": draw(st.sampled_from(["4h", "48h"])),
            },
            "note": {"purpose": "service", "channels": ["sms", "push"]},
        },
        "policies": draw(_policies()),
        "messages": {
            "a": {"type": "promo", "content": _CONTENT},
            "b": {"type": "promo", "content": _CONTENT},
            "c": {"type": "promo", "content": _CONTENT},
            "n": {"type": "note", "content": _CONTENT},
        },
        "journeys": _JOURNEYS,
    }


# Where a customer is: by zone, by phone number (one zone, or several), or nothing but the default.
_whereabouts: st.SearchStrategy[dict[str, Any]] = st.sampled_from([
    *({"timezone": name} for name in _ZONES),
    {"timezone": None, "phone": "+447700900123"},
    {"timezone": None, "phone": "+61400123456"},
    {"timezone": None, "phone": None},
    {},
])  # fmt: skip
_wishes: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "quiet_hours": st.sampled_from([None, "22:00-07:00", "12:00-14:30", "unreadable"]),
        "do_not_disturb": st.sampled_from([None, "2026-03-02T18:00:00Z", "2026-03-03"]),
        "frequency_caps": st.sampled_from([None, "1 / 6h", {"marketing": "2 / 24h"}]),
    },
)

_kinds = st.sampled_from(
    [
        "A",
        "B",
        "C",
        "C",
        "C",
        "D",
        "N",
        "P",
        "P",
        "Bought",
        "receipt",
        "receipt",
        "consent",
        "identify",
    ]
)
_gaps = st.one_of(
    st.just(0), st.integers(1, 40 * MINUTE_MS), st.integers(0, 6).map(lambda n: n * HOUR_MS)
)


@st.composite
def histories(draw: st.DrawFn) -> list[Event | Receipt]:
    """Give what one customer does, in order of time; it begins with their addresses."""
    traits: dict[str, Any] = {"email": "a@example.com", "sms": "+447700900123"}
    if draw(st.booleans()):
        traits["push"] = "token"
    traits |= draw(_whereabouts)
    inputs: list[Event | Receipt] = [
        Event(
            "e0",
            EventKind.IDENTIFY,
            "Identified",
            CUSTOMER,
            None,
            ORIGIN_AT,
            ORIGIN_AT,
            traits=traits,
        )
    ]
    at = ORIGIN_AT
    for number in range(1, draw(st.integers(6, 16))):
        at += draw(_gaps)
        inputs.append(_input(draw, number, at))
    return inputs


def _input(draw: st.DrawFn, number: int, at: int) -> Event | Receipt:
    kind = draw(_kinds)
    name = f"e{number}"
    if kind == "receipt":
        status = draw(st.sampled_from(["failed", "failed", "failed", "opened", "delivered"]))
        return Receipt(
            name,
            CUSTOMER,
            draw(st.sampled_from(MESSAGES)),
            ReceiptStatus(status),
            at,
            at,
            permanent=draw(st.sampled_from([True, True, False])),
        )
    if kind == "consent":
        channel = draw(st.sampled_from(["*", "email", "sms", "sms"]))
        status = draw(st.sampled_from(list(ConsentStatus)))
        said = (ConsentStatement("marketing", channel, status, at, "test"),)
        return Event(
            name, EventKind.CONSENT, "Consent Stated", CUSTOMER, None, at, at, consents=said
        )
    if kind == "identify":
        traits: dict[str, Any] = {"push": draw(st.sampled_from(["token", None]))}
        traits |= draw(_whereabouts) | draw(_wishes)
        return Event(name, EventKind.IDENTIFY, "Identified", CUSTOMER, None, at, at, traits=traits)
    return Event(name, EventKind.TRACK, kind, CUSTOMER, None, at, at)


def copied(given: _Stored) -> _Stored:
    """Give what an input or record is after it was written down and read again."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(given), type=type(given))
