"""What is simulated: a workspace with a rule of every kind, and the same rules for the checker.

Used by `world` and `checks`. The workspace is written as a team would write it; `RULES` says once
more, in plain numbers, what must hold, so that the checker asks nobody but itself.
"""

from functools import cache
from typing import Any

import msgspec

from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS
from engine.program.compile import compile_source
from engine.program.program import Program

MARKETING = "marketing"
CHANNELS = ("email", "sms", "push")
EVENTS = ("Viewed", "Carted", "Bought", "Searched", "Signed", "Asked")
ZONES = (
    "Africa/Johannesburg",
    "Europe/London",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
)
# Days on which something is the matter with the calendar, and one on which nothing is.
ORIGINS = (
    "2026-03-28T22:30:00Z",  # Europe loses an hour
    "2026-10-24T21:00:00Z",  # and gets it back
    "2026-03-08T04:00:00Z",  # North America loses one
    "2026-10-03T12:00:00Z",  # Lord Howe loses half of one
    "2028-02-28T18:00:00Z",  # the day after is the 29th
    "2026-06-10T07:00:00Z",
)


class CapRule(msgspec.Struct, frozen=True):
    """At most `count_max` marketing messages on these channels in any `window_ms`."""

    channels: tuple[str, ...]
    count_max: int
    window_ms: int


class Rules(msgspec.Struct, frozen=True):
    """What holds for marketing under one version of the workspace."""

    hours: dict[str, tuple[int, int]]  # minutes of the day, half-open; may cross midnight
    caps: tuple[CapRule, ...]
    cooldown_ms: int


class Scene(msgspec.Struct, frozen=True):
    """Two versions of a workspace, and what must hold under each."""

    programs: tuple[Program, ...]
    rules: dict[str, Rules]  # by program version
    at_least_once: frozenset[str]  # message types


_HOURS = {"email": (540, 1_200), "sms": (510, 1_275), "push": (1_200, 120)}
_SHARED = CapRule(CHANNELS, 3, DAY_MS)
_RULES = (
    Rules(
        _HOURS,
        (CapRule(("email",), 2, DAY_MS), CapRule(("sms",), 1, 12 * HOUR_MS), _SHARED),
        20 * MINUTE_MS,
    ),
    Rules(
        _HOURS,
        (CapRule(("email",), 1, 6 * HOUR_MS), CapRule(("sms",), 1, 12 * HOUR_MS), _SHARED),
        20 * MINUTE_MS,
    ),
)
_TEXT = "{{ profile.name }} {{ event.price }}"
_CONTENT = {
    "email": {"subject": "hello", "body": _TEXT},
    "sms": {"body": _TEXT},
    "push": {"title": "hello", "body": "look"},
}


def _workspace(email_cap: str, keen: int) -> dict[str, Any]:
    return {
        "workspace": "simulated",
        "seed": 3,
        "defaults": {"timezone": "UTC", "country": "GB"},
        "consent": {MARKETING: "opt_out"},
        "identity": {"rules": [{"same": "email"}], "user_ids": 3},
        "channels": {
            "email": {
                "adapter": "log",
                "identity": "email",
                "window": "09:00-20:00",
                "caps": [email_cap],
            },
            "sms": {
                "adapter": "log",
                "identity": "phone",
                "window": "08:30-21:15",
                "caps": ["1 / 12h"],
            },
            "push": {"adapter": "log", "identity": "push_token", "window": "20:00-02:00"},
        },
        "message_types": {
            "promo": {"purpose": MARKETING, "channels": ["email", "sms"], "expires": "72h"},
            "tease": {"purpose": MARKETING, "channels": ["push"], "expires": "30h"},
            "alert": {
                "purpose": "service",
                "channels": ["sms", "email"],
                "ignores": ["window", "cooldown", "caps"],
                "counts": False,
            },
            "notice": {
                "purpose": "service",
                "channels": ["email"],
                "ignores": ["window", "cooldown", "caps"],
                "counts": False,
                "delivery": "at_most_once",
            },
        },
        "policies": {
            "caps": [{"channels": list(CHANNELS), "purposes": [MARKETING], "limit": "3 / 24h"}],
            "cooldown": {"purposes": [MARKETING], "gap": "20m"},
            "suppress": [
                {"name": "bought", "after": "Bought", "for": "90m", "purposes": [MARKETING]}
            ],
            "on_block": ["fallback", "defer"],
        },
        "messages": {
            name: {"type": kind, "content": _CONTENT}
            for name, kind in {
                "offer": "promo",
                "reminder": "promo",
                "welcome": "promo",
                "teaser": "tease",
                "receipt": "alert",
                "answer": "notice",
            }.items()
        },
        "segments": {
            "keen": f'count("Viewed", "2h") >= {keen}',
            "reader": 'engagement("email", "opened", "1d") > 0',
            "silent": 'since("Viewed") > duration("3h") && !in_segment("reader")',
            "named": "has(profile.name)",
        },
        "journeys": _JOURNEYS,
    }


_JOURNEYS: dict[str, Any] = {
    "viewed": {"trigger": {"event": "Viewed"}, "steps": [{"send": "offer", "id": "s"}]},
    "carted": {
        "trigger": {"event": "Carted"},
        "goal": {"event": "Bought", "within": "2d"},
        "steps": [{"wait": "45m"}, {"send": "reminder", "id": "s"}],
    },
    "bought": {"trigger": {"event": "Bought"}, "steps": [{"send": "receipt", "id": "s"}]},
    "searched": {"trigger": {"event": "Searched"}, "steps": [{"send": "teaser", "id": "s"}]},
    "signed": {
        "trigger": {"event": "Signed"},
        "steps": [
            {"send": "welcome", "id": "first"},
            {
                "wait_for": {"engagement": "first", "kinds": ["opened"], "up_to": "3h"},
                "then": [{"send": "offer", "id": "more"}],
                "else": [{"send": "answer", "id": "help"}],
            },
        ],
    },
    "asked": {"trigger": {"event": "Asked"}, "steps": [{"send": "answer", "id": "s"}]},
    "weighed": {
        "trigger": {"event": "Asked"},
        "goal": {"event": "Bought"},
        "steps": [
            {"set": {"journey.price": {"cel": "entry.price"}}},
            {"split": {"some": 1, "none": 1}, "id": "arms", "cases": {"some": [{"emit": "Told"}]}},
            {
                "parallel": {
                    "best": [{"decide": ["offer", "reminder"], "id": "best"}, {"wait": "2h"}],
                    "late": [{"wait": "70m"}, {"send": "teaser", "id": "s"}],
                },
                "join": "any",
            },
            {"repeat": 2, "steps": [{"wait": "40m"}, {"send": "answer", "id": "again"}]},
        ],
    },
    "told": {"trigger": {"event": "Told"}, "steps": [{"send": "answer", "id": "s"}]},
    "silent": {"trigger": {"segment": "silent"}, "steps": [{"send": "answer", "id": "s"}]},
    "cooled": {
        "trigger": {"segment": "keen", "on": "left"},
        "steps": [{"send": "offer", "id": "s"}],
    },
}


@cache
def load_scene() -> Scene:
    """Compile both versions, once in a process: it takes longer than most simulations."""
    programs = (
        compile_source(_workspace("2 / 24h", keen=2)),
        compile_source(_workspace("1 / 6h", keen=1)),
    )
    rules = {program.version: rule for program, rule in zip(programs, _RULES, strict=True)}
    return Scene(programs, rules, frozenset({"alert"}))
