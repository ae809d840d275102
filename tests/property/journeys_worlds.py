"""Random journeys of every kind of step, and random things that happen to who is in them."""

from typing import Any

from hypothesis import strategies as st

from engine.events import Event, EventKind, Receipt, ReceiptStatus
from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS, parse_instant

ORIGIN_AT = parse_instant("2026-03-27T22:00:00Z")  # a weekend on which clocks change follows
CUSTOMER = "u1"
JOURNEYS = ("j0", "j1", "j2")
EVENTS = ("Added", "Ordered", "Asked", "Pinged", "Left")
DEPTH_MAX = 3

_CONDITIONS = st.sampled_from([
    "event.n > 3",
    "entry.n % 2 == 0",
    "journey.count > 1",
    "profile.tier == 'gold'",
    'in_segment("keen")',
    'count("Ordered", "2d") > 1',
])  # fmt: skip
_ON_EVENT = st.sampled_from(["event.n > 3", "event.key == entry.key", "event.n > entry.n"])
_DURATIONS = st.sampled_from(["10m", "1h", "7h", "1d", "3d"])
_MESSAGES = st.sampled_from(["promo", "note"])


@st.composite
def workspaces(draw: st.DrawFn) -> dict[str, Any]:
    """Give a workspace of a few journeys that start each other, emit, branch and wait."""
    return {
        "workspace": "journeys",
        "defaults": {"timezone": draw(st.sampled_from(["UTC", "Europe/London", "Asia/Kathmandu"]))},
        "consent": {"marketing": "opt_out"},
        "channels": {
            "email": {"adapter": "log", "identity": "email", "caps": ["3 / 24h"]},
            "sms": {"adapter": "log", "identity": "phone", "window": "08:00-20:00"},
        },
        "message_types": {
            "promotional": {
                "purpose": "marketing",
                "channels": ["email", "sms"],
                "expires": "30h",
                "on_block": draw(st.sampled_from([["defer"], ["fallback", "defer"], ["drop"]])),
            },
            "service": {"purpose": "service", "channels": ["sms", "email"]},
        },
        "messages": {
            "promo": {
                "type": "promotional",
                "content": {"default": {"body": "{{ journey.count }}"}},
            },
            "note": {"type": "service", "content": {"default": {"body": "{{ entry.n }}"}}},
        },
        "segments": {"keen": 'count("Added", "6h") >= 2'},
        "journeys": {name: draw(_journeys(place)) for place, name in enumerate(JOURNEYS)},
    }


@st.composite
def _journeys(draw: st.DrawFn, place: int) -> dict[str, Any]:
    trigger = draw(
        st.sampled_from([
            {"event": "Added"},
            {"event": "Asked", "if": "event.n > 1"},
            {"segment": "keen"},
            {"segment": "keen", "on": "left"},
            {"schedule": "30 1 * * *"},
            {"date": "profile.renewal_date - 1d at 02:00", "every": "year"},
        ])
    )  # fmt: skip
    journey: dict[str, Any] = {"trigger": trigger, "steps": draw(_lists(place, 0))}
    optional = {
        "reentry": st.sampled_from(["1h", "2d"]),
        "goal": st.sampled_from([
            {"event": "Ordered"},
            {"event": "Ordered", "within": "1d", "if": "event.key == entry.key"},
        ]),
        "entries": st.sampled_from(["2 / 24h", "5 / 7d"]),
        "key": st.just("event.key"),
        "enter_if": st.just("profile.tier != 'none'"),
        "exit_on": st.sampled_from([
            [{"event": "Left", "reason": "gone"}],
            [{"segment": "keen", "on": "left"}, {"if": "profile.tier == 'none'", "reason": "none"}],
        ]),
    }  # fmt: skip
    for key, values in optional.items():
        if draw(st.integers(0, 3)) == 0:
            journey[key] = draw(values)
    if "key" in journey and draw(st.booleans()):
        journey["at_once"] = draw(st.integers(1, 3))
    return journey


@st.composite
def _lists(draw: st.DrawFn, place: int, depth: int) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(1, 3 - depth // 2))):
        steps.append(draw(_steps(place, depth)))
        if "exit" in steps[-1]:
            break
    return steps


@st.composite
def _steps(draw: st.DrawFn, place: int, depth: int) -> dict[str, Any]:
    plain = ["send", "send", "wait", "until", "set", "emit", "decide", "exit", "start"]
    branching = ["if", "wait_for", "switch", "split", "parallel", "repeat"]
    kind = draw(st.sampled_from(plain if depth >= DEPTH_MAX else [*plain, *branching, *branching]))
    if kind == "exit" and depth == 0:
        kind = "send"
    if kind == "start" and place + 1 >= len(JOURNEYS):
        kind = "wait"
    return draw(_STEPS[kind](place, depth + 1))


def _send(_place: int, _depth: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"send": _MESSAGES}, optional={"channel": st.just("sms")})


def _wait(_place: int, _depth: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"wait": _DURATIONS})


def _until(_place: int, _depth: int) -> st.SearchStrategy[dict[str, Any]]:
    moments = ["01:30", "Mon 09:00", "profile.renewal_date - 1d", "event.missing"]
    return st.fixed_dictionaries({"until": st.sampled_from(moments)})


def _set(_place: int, _depth: int) -> st.SearchStrategy[dict[str, Any]]:
    values: list[dict[str, Any]] = [
        {"journey.count": {"cel": "journey.count + 1"}},
        {"journey.count": 1},
        {"tier": "gold"},
        {"tier": {"cel": "event.key"}, "journey.key": "k"},
    ]
    return st.fixed_dictionaries({"set": st.sampled_from(values)})


def _emit(_place: int, _depth: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"emit": st.just("Pinged")}, optional={"properties": st.just({"n": 7, "key": "a"})}
    )


def _decide(_place: int, _depth: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"decide": st.just(["promo", "note"])})


def _exit(_place: int, _depth: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"exit": st.just("enough")})


def _start(place: int, _depth: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"start": st.sampled_from(JOURNEYS[place + 1 :] or JOURNEYS[-1:])})


def _if(place: int, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"if": _CONDITIONS, "then": _lists(place, depth)}, optional={"else": _lists(place, depth)}
    )


def _wait_for(place: int, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    event = st.fixed_dictionaries(
        {"event": st.sampled_from(["Ordered", "Pinged", "Asked"]), "up_to": _DURATIONS},
        optional={"if": _ON_EVENT},
    )
    segment = st.fixed_dictionaries({"segment": st.just("keen"), "up_to": _DURATIONS})
    return st.fixed_dictionaries(
        {"wait_for": st.one_of(event, segment)},
        optional={"then": _lists(place, depth), "else": _lists(place, depth)},
    )


def _switch(place: int, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    cases = st.fixed_dictionaries(
        {"gold": _lists(place, depth)}, optional={"a": _lists(place, depth)}
    )
    return st.fixed_dictionaries(
        {"switch": st.sampled_from(["profile.tier", "entry.key"]), "cases": cases},
        optional={"else": _lists(place, depth)},
    )


def _split(place: int, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    cases = st.fixed_dictionaries({"offer": _lists(place, depth)})
    return st.fixed_dictionaries({"split": st.just({"control": 1, "offer": 3}), "cases": cases})


def _parallel(place: int, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    branches = st.fixed_dictionaries(
        {"left": _lists(place, depth), "right": _lists(place, depth)},
        optional={"third": _lists(place, depth)},
    )
    return st.fixed_dictionaries(
        {"parallel": branches}, optional={"join": st.sampled_from(["all", "any"])}
    )


def _repeat(place: int, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"repeat": st.integers(1, 4), "steps": _lists(place, depth)},
        optional={"while": _CONDITIONS},
    )


_STEPS: dict[str, Any] = {
    "send": _send, "wait": _wait, "until": _until, "set": _set, "emit": _emit, "decide": _decide,
    "exit": _exit, "start": _start, "if": _if, "wait_for": _wait_for, "switch": _switch,
    "split": _split, "parallel": _parallel, "repeat": _repeat,
}  # fmt: skip

_gaps = st.one_of(
    st.just(0), st.integers(1, 90 * MINUTE_MS), st.integers(1, 30).map(lambda n: n * HOUR_MS)
)


@st.composite
def histories(draw: st.DrawFn) -> list[Event | Receipt]:
    """Give what one customer does, in order of time; it begins with their addresses."""
    at = ORIGIN_AT
    traits: dict[str, Any] = {
        "email": "a@example.com",
        "phone": "+447700900123",
        "renewal_date": "2026-04-02",
        "tier": draw(st.sampled_from(["gold", "a", "none"])),
    }
    inputs: list[Event | Receipt] = [_event("e0", EventKind.IDENTIFY, "Identified", at, traits)]
    for number in range(1, draw(st.integers(4, 18))):
        at += draw(_gaps)
        kind = draw(st.sampled_from([*EVENTS, "Added", "Added", "receipt", "tier"]))
        name = f"e{number}"
        if kind == "receipt":
            status = draw(st.sampled_from(["failed", "opened", "clicked"]))
            message = draw(_MESSAGES)
            inputs.append(
                Receipt(name, CUSTOMER, message, ReceiptStatus(status), at, at, permanent=True)
            )
        elif kind == "tier":
            told = {"tier": draw(st.sampled_from(["gold", "a", "none"]))}
            inputs.append(_event(name, EventKind.IDENTIFY, "Identified", at, told))
        else:
            happened_at = at - draw(st.sampled_from([0, 0, 0, HOUR_MS, 2 * DAY_MS]))
            properties = {"n": draw(st.integers(0, 6)), "key": draw(st.sampled_from("ab"))}
            inputs.append(_event(name, EventKind.TRACK, kind, at, {}, properties, happened_at))
    return inputs


def _event(  # noqa: PLR0913, PLR0917 - as an event has it
    name: str,
    kind: EventKind,
    event: str,
    at: int,
    traits: dict[str, Any],
    properties: dict[str, Any] | None = None,
    happened_at: int | None = None,
) -> Event:
    own_at = at if happened_at is None else happened_at
    return Event(
        name, kind, event, CUSTOMER, None, own_at, at, traits=traits, properties=properties or {}
    )
