"""Random workspaces, customers and questions for the solver, and what the engine makes of them.

A world is drawn around one question: the workspace has the rules of some topics, and what the
customer did lies where those rules turn: a send exactly a cap's window ago, an instant just before
clocks are changed, a day before a holiday.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib import resources
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.property.solver_question import REPLIED, Said, Send, World
from tests.property.solver_rules import packs
from tests.property.solver_terms import (
    DAY,
    HOUR,
    MINUTE,
    changes,
    duration,
    holidays_of,
    instant,
)

CHANNELS = ("sms", "email", "push", "app")
TOPICS = ("hours", "days", "law", "caps", "gaps", "wishes", "presence", "standing")

_FIRST = instant(datetime(2020, 1, 1, tzinfo=UTC))
_LAST = instant(datetime(2030, 1, 1, tzinfo=UTC))
_NAMES = resources.files("tzdata").joinpath("zones").read_text("ascii").split()
ZONES = ["UTC", *(name for name in _NAMES if "/" in name and not name.startswith("Etc/"))]
_STRANGE = [
    "Africa/Cairo", "Africa/Casablanca", "America/Havana", "America/Nuuk", "America/St_Johns",
    "America/New_York", "Antarctica/Troll", "Asia/Beirut", "Asia/Gaza", "Asia/Kathmandu",
    "Asia/Tehran", "Australia/Lord_Howe", "Europe/Dublin", "Pacific/Apia", "Pacific/Chatham",
]  # fmt: skip
_COUNTRIES = ["ZA", "US", "CA", "FR", "IN", "GB", "MX", "DE", "BR", "AU", "JP", "AQ"]
_STATES = ["", "FL", "TX", "AL", "LA", "RI", "UT", "MD", "OK", "PA", "NY", "MS", "Nowhere"]
_PARTS = {"US": _STATES, "CA": ["", "QC", "ON"], "FR": ["", "57"], "DE": ["", "BY"]}
REGIONS = ["ZA", "US", "CA", "FR", "IN", "GB", "EU", "MX"]

_MAINLAND = (
    "America/New_York", "America/Chicago", "America/Denver", "America/Phoenix",
    "America/Los_Angeles", "America/Anchorage", "America/Adak", "Pacific/Honolulu",
)  # fmt: skip


class Whereabouts(NamedTuple):
    """What tells where a customer is, and where that is."""

    traits: dict[str, Any]
    zones: tuple[str, ...]
    country: str
    subdivision: str = ""
    device: str = ""


_UNLISTED = "unlisted"  # an address to send to, from which nobody can tell where it is

_TOLD: list[Whereabouts] = [
    Whereabouts({"phone": "+27821234567"}, ("Africa/Johannesburg",), "ZA"),
    Whereabouts({"phone": "+12125551234"}, ("America/New_York",), "US", "NY"),
    Whereabouts({"phone": "+13055551234"}, ("America/New_York",), "US", "FL"),
    Whereabouts({"phone": "+12705551234"}, ("America/Chicago", "America/New_York"), "US", "KY"),
    Whereabouts({"phone": "+18005551234"}, _MAINLAND, "US"),
    Whereabouts({"phone": "+919876543210"}, ("Asia/Kolkata",), "IN"),
    Whereabouts({"phone": "+525512345678"}, ("America/Mexico_City",), "MX"),
    Whereabouts({"phone": "+33612345678"}, ("Europe/Paris",), "FR"),
    Whereabouts({"phone": "+447700900123"}, ("Europe/London",), "GB"),
    Whereabouts({"phone": "+14165551234"}, ("America/Toronto",), "CA", "ON"),
    Whereabouts({"phone": "+351912345678"}, ("Europe/Lisbon", "Atlantic/Azores"), "PT"),
    Whereabouts({"country": "US"}, _MAINLAND, "US"),
    Whereabouts(
        {"country": "US", "state": "TX"}, ("America/Chicago", "America/Denver"), "US", "TX"
    ),
    Whereabouts(
        {"address": {"country": "USA", "state": "Tennessee"}},
        ("America/Chicago", "America/New_York"),
        "US",
        "TN",
    ),
    Whereabouts({"country": "US", "state": "RI"}, ("America/New_York",), "US", "RI"),
    Whereabouts({"country": "US", "state": "UT"}, ("America/Denver",), "US", "UT"),
    Whereabouts(
        {"country": "Canada", "region": "QC"},
        ("America/Toronto", "America/Halifax", "America/Blanc-Sablon"),
        "CA",
        "QC",
    ),
    Whereabouts({"country": "ES"}, ("Europe/Madrid", "Atlantic/Canary"), "ES"),
    Whereabouts({"country": "ZA"}, ("Africa/Johannesburg",), "ZA"),
    Whereabouts({"country": "FR", "region": "57"}, ("Europe/Paris",), "FR", "57"),
    Whereabouts({"timezone": "EST", "phone": "+27821234567"}, ("Africa/Johannesburg",), "ZA"),
]


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


_LENGTHS = [1, 15, 30, 60, 150, 480, 720, 780, 1020, 1380, 1439]
_STARTS = [0, 30, 60, 90, 120, 150, 180, 420, 480, 510, 540, 600, 780, 1080, 1200, 1320, 1380, 1439]
_intervals = st.tuples(st.sampled_from(_STARTS), st.sampled_from(_LENGTHS)).map(
    lambda pair: f"{_clock(pair[0])}-{_clock(sum(pair) % 1440 or 1440)}"
)
_hours = st.one_of(
    st.sampled_from(["09:00-20:00", "08:00-21:00", "20:00-02:00", "00:00-24:00", "22:00-06:00"]),
    _intervals,
    st.lists(_intervals, min_size=1, max_size=2),
    st.dictionaries(
        st.sampled_from(["daily", "mon-fri", "sat", "sun", "weekend", "fri-mon", "tue,thu", "wed"]),
        _intervals,
        min_size=1,
        max_size=2,
    ).filter(lambda days: not {"weekend", "tue,thu"} <= days.keys()),
)

_SPANS = ["30m", "2h", "6h", "24h", "36h", "7d"]
_caps = st.one_of(
    st.builds("{} / {}".format, st.sampled_from([1, 1, 2, 3]), st.sampled_from(_SPANS)),
    st.builds(
        "{} / {}".format,
        st.sampled_from([1, 2]),
        st.sampled_from(["calendar_day", "calendar_week", "calendar_month", "session", "60d"]),
    ),
)
_PURPOSES: list[list[str]] = [[], [], ["marketing"], ["marketing", "service"], ["service"]]
_purposes = st.sampled_from(_PURPOSES)
_maybe = st.booleans()
_often = st.sampled_from([True, True, False])
_seldom = st.sampled_from([False, False, False, False, True])


class _Draft:
    """A world on its way, whose topics add their rules and what the customer did about them."""

    def __init__(self, draw: st.DrawFn, topics: Sequence[str]) -> None:
        self.draw = draw
        self.place, defaults = _whereabouts(draw)
        self.now = _instant(draw, self.place, [*_NEAR, *(_NEAR_BY.get(one, "") for one in topics)])
        self.traits: dict[str, Any] = {
            "phone": _UNLISTED,
            "email": "a@example.com",
            "push": "token",
            **self.place.traits,
        }
        self.channel: str = draw(st.sampled_from(["sms", "sms", "sms", "email", "push", "app"]))
        self.message: str = draw(st.sampled_from(["a", "a", "a", "b", "n"]))
        self.policies: dict[str, Any] = {}
        self.channels: dict[str, dict[str, Any]] = {
            "sms": {"adapter": "log", "identity": "phone"},
            "email": {"adapter": "log", "identity": "email"},
            "push": {"adapter": "log", "identity": "push"},
            "app": {"adapter": "inbox"},
        }
        order = [self.channel, *(name for name in CHANNELS if name != self.channel)]
        self.types: dict[str, dict[str, Any]] = {
            "promo": {"purpose": "marketing", "channels": order},
            "note": {"purpose": "service", "channels": order},
        }
        self.workspace: dict[str, Any] = {
            "workspace": "worlds",
            "defaults": defaults,
            "consent": {"marketing": "opt_out"},
            "channels": self.channels,
            "message_types": self.types,
            "policies": self.policies,
            "messages": {
                "a": {"type": "promo", "content": {"default": {"body": "a"}}},
                "b": {"type": "promo", "content": {"default": {"body": "b"}}},
                "n": {"type": "note", "content": {"default": {"body": "n"}}},
            },
            "journeys": {
                name: {"trigger": {"event": name}, "steps": [{"send": name, "id": "s"}]}
                for name in ("a", "b", "n")
            },
        }
        self.more: dict[str, Any] = {}

    @property
    def kind(self) -> dict[str, Any]:
        return self.types["note" if self.message == "n" else "promo"]

    def ago(self, spans: list[str]) -> int:
        """Draw an instant before now, often a whole span ago or a moment from that."""
        past = duration(self.draw(st.sampled_from(spans)))
        return self.now - max(
            0, past + self.draw(st.sampled_from([0, 0, -1, 1, -MINUTE, 41 * HOUR]))
        )

    def world(self) -> World:
        return World(
            self.workspace,
            self.message,
            self.channel,
            self.now,
            self.place.zones,
            self.place.country,
            self.place.subdivision,
            self.traits,
            self.place.device,
            **self.more,
        )


def _whereabouts(draw: st.DrawFn) -> tuple[Whereabouts, dict[str, str]]:
    """Draw how a customer's place is told: as in a list, or by any zone of any country's."""
    defaults = {"timezone": "UTC", "country": "GB"}
    way = draw(st.sampled_from(["told", "told", "trait", "trait", "device", "default"]))
    if way == "told":
        return draw(st.sampled_from(_TOLD)), defaults
    zone = draw(st.one_of(st.sampled_from(ZONES), st.sampled_from(_STRANGE)))
    country = draw(st.sampled_from(_COUNTRIES))
    if way == "default":
        return Whereabouts({}, (zone,), country), {"timezone": zone, "country": country}
    part = draw(st.sampled_from(_PARTS.get(country, [""])))
    traits = {"address": {"country": country, "state": part}}
    if way == "trait":
        traits["timezone"] = zone  # type: ignore[assignment] # a map of strings above, a text here
        return Whereabouts(traits, (zone,), country, part.removeprefix("Nowhere")), defaults
    return Whereabouts(traits, (zone,), country, part.removeprefix("Nowhere"), zone), defaults


_NEAR = ["", "", "change", "holiday", "year", "law"]
_NEAR_BY = {"hours": "change", "days": "holiday", "law": "law", "caps": "change"}


def _instant(draw: st.DrawFn, place: Whereabouts, strange: list[str]) -> int:
    """Draw an instant of ten years, often close to where calendars are strange."""
    at = draw(st.integers(_FIRST, _LAST))
    near = draw(st.sampled_from(strange))
    if near == "change":
        found = _changes_in(place.zones[-1], _year(at))
        at = draw(st.sampled_from(found)) if found else at
    elif near == "holiday":
        days = _holidays_in(place.country, place.subdivision, _year(at))
        at = draw(st.sampled_from(days)) if days else at
    elif near == "year":
        at = instant(datetime(_year(at), 12, 31, tzinfo=UTC))
    elif near == "law":
        days = _effective_days(place.country)
        at = draw(st.sampled_from(days)) if days else at
    if near:
        at += draw(st.sampled_from([-6, 0, 6])) * HOUR + draw(st.integers(-DAY // 2, DAY // 2))
    return at - at % MINUTE if draw(_maybe) else at


def _year(at: int) -> int:
    return datetime.fromtimestamp(at / 1_000, UTC).year


@lru_cache(10_000)
def _changes_in(zone: str, year: int) -> list[int]:
    first = instant(datetime(year, 1, 1, tzinfo=UTC))
    return [at for day in range(366) for at in changes(zone, first + day * DAY)]


@lru_cache(10_000)
def _holidays_in(country: str, part: str, year: int) -> list[int]:
    return [_midnight(day) for day in sorted(holidays_of(country, part, year))]


@lru_cache(1_000)
def _effective_days(country: str) -> list[int]:
    """List the days on which rules of a country's packs come into effect."""
    rules = [
        rule
        for pack in packs().values()
        if country in pack["countries"]
        for rule in pack["rules"]
        if "effective_from" in rule and len(rule.keys() & {"hours", "caps"})
    ]
    return sorted({_midnight(rule["effective_from"]) for rule in rules})


def _midnight(day: date) -> int:
    return instant(datetime(day.year, day.month, day.day, tzinfo=UTC))


def _add_hours(draft: _Draft) -> None:
    draw = draft.draw
    if draw(_often):
        draft.channels[draft.channel]["window"] = draw(_hours)
    if draw(_maybe):
        draft.kind["window"] = draw(_hours)
    if draw(_maybe):
        draft.traits["quiet_hours"] = draw(st.one_of(_hours, st.just("whenever")))
    if draw(_seldom):
        draft.kind["ignores"] = draw(st.sampled_from([["window"], ["holidays", "regions"]]))


def _add_days(draft: _Draft) -> None:
    draw = draft.draw
    today = datetime.fromtimestamp(draft.now / 1_000, UTC).date()
    if draw(_often):
        holidays: dict[str, Any] = {"purposes": draw(_purposes)}
        if draw(_maybe):
            holidays["calendar"] = draw(st.sampled_from(["customer", "ZA", "US", "JP"]))
        if draw(_seldom):
            holidays["except"] = [f"{today.year}-12-25", str(today)]
        draft.policies["holidays"] = holidays
    if draw(_maybe):
        first = today + timedelta(draw(st.integers(-3, 4)))
        length = draw(st.sampled_from([0, 1, 3, 14, 399]))
        blackout: dict[str, Any] = {"name": "closed", "from": str(first)}
        if length:
            blackout["to"] = str(first + timedelta(length))
        if draw(_maybe):
            blackout["except"] = [str(today + timedelta(draw(st.integers(0, 5))))]
        if draw(_seldom):
            blackout["channels"] = ["sms", "email"]
        if draw(_seldom):
            blackout["countries"] = ["US", "ZA"]
        blackout["purposes"] = draw(_purposes)
        draft.policies["blackouts"] = [blackout]


def _add_law(draft: _Draft) -> None:
    draw = draft.draw
    named = draw(st.lists(st.sampled_from(REGIONS), max_size=2, unique=True))
    own = draft.place.country
    if own in REGIONS and own not in named and draw(_often):
        named.append(own)
    draft.policies["regions"] = named


def _add_caps(draft: _Draft) -> None:
    draw = draft.draw
    if draw(_maybe):
        draft.channels[draft.channel]["caps"] = draw(st.lists(_caps, min_size=1, max_size=2))
    if draw(_maybe):
        draft.kind["caps"] = [draw(_caps)]
    if draw(_maybe):
        shared: dict[str, Any] = {"limit": draw(_caps), "purposes": draw(_purposes)}
        if draw(_maybe):
            shared["channels"] = draw(st.sampled_from([["sms", "email"], list(CHANNELS)]))
        draft.policies["caps"] = [shared]
    if draw(_maybe):
        own = draw(_caps)
        draft.traits["frequency_caps"] = draw(
            st.sampled_from([own, {"marketing": own}, {"service": own}, "often", {"marketing": ""}])
        )
    if draw(_seldom):
        draft.policies["engagement"] = {
            "window": "7d",
            "least": 2,
            "high": {"rate": 0.5, "factor": draw(st.sampled_from([1.5, 2, 3.4]))},
            "low": {"rate": 0.1, "factor": draw(st.sampled_from([0.5, 0.1]))},
        }
    _add_sends(draft)
    draft.more["session_at"] = draw(st.sampled_from([0, draft.now - HOUR, draft.now - 2]))


def _add_gaps(draft: _Draft) -> None:
    draw = draft.draw
    if draw(_often):
        draft.policies.setdefault("caps", [{"limit": draw(_caps)}])
        draft.policies["backoff"] = {
            "gap": draw(st.sampled_from(["1h", "30m", "9h"])),
            "from": draw(st.sampled_from([0.1, 0.5, 0.7, 1])),
            "factor": draw(st.sampled_from([1, 2, 3])),
        }
    if draw(_maybe):
        gap = draw(st.sampled_from(["30m", "2h", "3d"]))
        draft.policies["cooldown"] = {"gap": gap, "purposes": draw(_purposes)}
    if draw(_maybe):
        draft.policies["same_message"] = draw(st.sampled_from(["6h", "24h"]))
    if draw(_seldom):
        rules = ["caps", "cooldown", "backoff", "same_message"]
        draft.kind["ignores"] = draw(st.lists(st.sampled_from(rules), max_size=2, unique=True))
    if draw(_seldom):
        draft.more["waiting"] = (draw(st.sampled_from(["a", "b"])),)
    if "sends" not in draft.more:
        _add_sends(draft)


def _add_sends(draft: _Draft) -> None:
    draw = draft.draw
    sends: list[Send] = []
    for _ in range(draw(st.sampled_from([0, 1, 1, 2, 3, 5]))):
        at = draft.ago(["0h", "1ms", "5m", *_SPANS])
        message = draw(st.sampled_from(["a", "a", "b", "n"]))
        channel = draw(st.sampled_from([draft.channel, draft.channel, *CHANNELS]))
        purpose, kind = ("service", "note") if message == "n" else ("marketing", "promo")
        counts, engaged = draw(_often), draw(_maybe)
        sends.append(Send(at, message, channel, purpose, kind, counts, engaged))
    draft.more["sends"] = tuple(sorted(sends))


def _add_wishes(draft: _Draft) -> None:
    draw = draft.draw
    later = draft.now + draw(
        st.one_of(st.integers(-HOUR, 3 * DAY), st.sampled_from([0, 1, HOUR, 30 * DAY, 390 * DAY]))
    )
    if draw(_often):
        draft.policies["suppress"] = [
            {"name": "bought", "after": "Bought", "for": "3d", "purposes": draw(_purposes)}
        ]
        draft.more["suppressed"] = {draw(st.sampled_from(["bought", "bought", "forgotten"])): later}
    if draw(_maybe):
        other = datetime.fromtimestamp(later // 1_000 + draw(st.integers(0, 86_400)), UTC)
        draft.traits["do_not_disturb"] = draw(
            st.sampled_from(
                [True, False, "no", "please", other.isoformat(), str(other.date()),
                 str(other.date()), other.replace(microsecond=0).isoformat(),
                 int(other.timestamp())]
            )
        )  # fmt: skip
    if draw(_seldom):
        draft.kind["ignores"] = ["suppression"]
    if draw(_maybe):
        draft.more["expires_at"] = draft.now + draw(
            st.sampled_from([1, MINUTE, HOUR, DAY, later - draft.now if later > draft.now else DAY])
        )


def _add_presence(draft: _Draft) -> None:
    draw = draft.draw
    channel = draft.channels[draft.channel]
    if draw(_often):
        channel["window"] = "session"
        draft.workspace["session"] = draw(st.sampled_from(["30m", "2h"]))
        draft.more["active_at"] = draw(st.sampled_from([0, 1])) * draft.ago(["1ms", "30m", "2h"])
    if draw(_maybe):
        channel["reply_window"] = draw(st.sampled_from(["2h", "24h"]))
        if draw(_maybe):
            channel["reply_event"] = REPLIED
            draft.more["wrote_at"] = draft.ago(["1ms", "2h", "24h"])
        if draw(_maybe):
            draft.more["replied_at"] = draft.ago(["1ms", "2h", "24h"])
        if draw(_seldom):
            content = draft.workspace["messages"][draft.message]["content"]
            content[draft.channel] = {"body": "b", "template": "approved"}


def _add_standing(draft: _Draft) -> None:
    draw = draft.draw
    draft.workspace["consent"] = draw(
        st.sampled_from(
            [{}, {"marketing": "opt_out"}, {"marketing": {"US": "opt_out", "ZA": "opt_out"}},
             {"marketing": {"default": "opt_out", "DE": "opt_in", "GB": "opt_in"}}]
        )
    )  # fmt: skip
    said: dict[tuple[str, str], Said] = {}
    for _ in range(draw(st.sampled_from([0, 1, 2]))):
        purpose = draw(st.sampled_from(["marketing", "marketing", "service", "*"]))
        channel = draw(st.sampled_from([draft.channel, "*", "email"]))
        status = draw(st.sampled_from(["granted", "granted", "denied", "withdrawn"]))
        at = draft.now - draw(st.sampled_from([0, 0, 1, DAY]))
        said[purpose, channel] = Said(purpose, channel, status, at)
    draft.more["consents"] = tuple(said.values())
    if draw(_seldom):
        draft.traits[draw(st.sampled_from(["email", "push"]))] = None
    if draw(_seldom):
        draft.kind["requires"] = ["rich"]
        draft.channels["sms"]["supports"] = ["rich"]
    if draw(_seldom):
        draft.workspace["messages"][draft.message]["content"] = {"push": {"body": "b"}}


_ADDERS = {
    "hours": _add_hours,
    "days": _add_days,
    "law": _add_law,
    "caps": _add_caps,
    "gaps": _add_gaps,
    "wishes": _add_wishes,
    "presence": _add_presence,
    "standing": _add_standing,
}


_some_topics = st.lists(st.sampled_from(TOPICS), min_size=2, max_size=6, unique=True).map(sorted)


@st.composite
def worlds(draw: st.DrawFn, *topics: str) -> World:
    """Draw a world with the rules of these topics, or of some of all of them."""
    some: Sequence[str] = topics or draw(_some_topics)
    draft = _Draft(draw, some)
    for topic in some:
        _ADDERS[topic](draft)
    return draft.world()
