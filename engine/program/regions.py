"""The law of a region, as data: when, and how often, marketing may reach a customer there.

Read by `compile`, by the gates (through `rules_for`) and by `nextbeat regions`. The packs are TOML
files in `packs/`, for people to read; what they mean is `docs/reference/regions.md`.

*Rules*
- A pack that can't be read is our mistake, not a team's: it raises, with file and rule.
- Rules only narrow. All that concern a message hold together, so the strictest wins by itself.
- A subdivision that is not known (absent, misspelt) is held to what every subdivision allows,
  where the pack says `when_unknown = "strictest"`. That is computed from the rules, never written.
- A rule that has neither hours nor holidays nor caps informs, and is never enforced.
- What a decision depended on is named with its version: `stamp`.
"""

from bisect import bisect_right
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import cache, lru_cache
from importlib import resources
from itertools import groupby, pairwise
from types import MappingProxyType
from typing import Literal

import msgspec

from engine.instants import DAY_MS, MINUTE_MS, WEEK_MS
from engine.localtime import day_number
from engine.program.countries import COUNTRIES
from engine.program.faults import Faults
from engine.program.leaves import Leaves
from engine.program.program import Cap, Program
from engine.windows import Window, parse_window

UNKNOWN = "unknown_subdivision"  # the id of the rules that are computed

_PACKAGE = "engine.program"
_PLACES_MAX = 4_096  # kept answers; a subdivision is free text, so it may not grow without end
_SURE = ("low", "medium", "high")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Confidence = Literal["high", "medium", "low"]


class RegionRule(msgspec.Struct, frozen=True):
    """One rule of a region. Empty `subdivisions` means the whole country.

    `reach` are the identities of the channels it concerns; empty means every channel that has one.
    Days are counted from 1970-01-01 on the customer's own calendar; `effective_until` is exclusive.
    """

    region: str
    id: str
    version: str
    title: str
    source: str
    confidence: Confidence
    subdivisions: tuple[str, ...]
    purposes: tuple[str, ...]
    reach: tuple[str, ...]
    window: Window | None
    closed_on_holidays: bool
    caps: tuple[Cap, ...]
    effective_from: int | None
    effective_until: int | None
    rule: str  # like `regions.US.tcpa_hours`
    note: str

    @property
    def stamp(self) -> str:
        """Name the pack with its version, for the trace: `US/2026.11.1`."""
        return f"{self.region}/{self.version}"

    @property
    def is_enforced(self) -> bool:
        """Say whether it can hold a message back; else it only informs."""
        return self.window is not None or self.closed_on_holidays or bool(self.caps)

    def concerns(self, purpose: str, identity: str) -> bool:
        """Say whether it is about messages of a purpose on a channel with that identity."""
        reaches = identity in self.reach if self.reach else bool(identity)
        return reaches and purpose in self.purposes

    def is_in_force(self, day: int) -> bool:
        """Say whether it holds on a local day, counted from 1970-01-01."""
        begun = self.effective_from is None or self.effective_from <= day
        return begun and (self.effective_until is None or day < self.effective_until)


class RegionPack(msgspec.Struct, frozen=True):
    """All rules of a region. `unknown` are those of a customer whose subdivision is not known."""

    region: str
    name: str
    countries: tuple[str, ...]
    subdivisions: tuple[str, ...]
    version: str
    reviewed_on: date
    notes: str
    rules: tuple[RegionRule, ...]
    unknown: tuple[RegionRule, ...]

    @property
    def stamp(self) -> str:
        """Name the pack with its version: `US/2026.11.1`."""
        return f"{self.region}/{self.version}"


class _RuleText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule as a pack writes it."""

    id: str
    title: str
    source: str
    confidence: Confidence
    effective_from: date | None = None
    effective_until: date | None = None
    subdivisions: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ("marketing",)
    reach: tuple[str, ...] = ()
    hours: str | list[str] | dict[str, str | list[str]] | None = None
    holidays: Literal["closed"] | None = None
    caps: tuple[str, ...] = ()
    note: str = ""


class _PackText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pack as its file writes it; rules are read one by one, so that a fault names its rule."""

    region: str
    name: str
    countries: tuple[str, ...]
    version: str
    reviewed_on: date
    rules: list[dict[str, object]]
    notes: str = ""
    subdivisions: tuple[str, ...] = ()
    when_unknown: Literal["strictest"] | None = None


def countries_of(program: Program) -> tuple[str, ...]:
    """Name the countries whose calendars a program looks at, as far as it says."""
    named = [country for name in program.regions for country in load_packs()[name].countries]
    calendar = program.holidays.calendar if program.holidays is not None else ""
    every = (program.defaults.country, calendar, *named)
    return tuple(dict.fromkeys(filter(None, every)))


@lru_cache(_PLACES_MAX)
def rules_for(country: str, subdivision: str, names: tuple[str, ...]) -> tuple[RegionRule, ...]:
    """List the enforced rules for a customer there, of the packs a workspace named.

    In the workspace's order of packs, then in the order of the file. Whether a rule is in force
    on a day, and concerns a message, is for the caller to ask it.
    """
    code = subdivision.strip().upper().removeprefix(f"{country}-")
    return tuple(
        rule
        for pack in packs_for(country, names)
        for rule in _pack_rules(pack, code)
        if rule.is_enforced
    )


def _pack_rules(pack: RegionPack, code: str) -> tuple[RegionRule, ...]:
    """List what a pack says of a subdivision."""
    known = code in pack.subdivisions
    here = (rule for rule in pack.rules if not rule.subdivisions or code in rule.subdivisions)
    return (*here, *(() if known else pack.unknown))


def packs_for(country: str, names: Sequence[str]) -> tuple[RegionPack, ...]:
    """List the packs that cover a country, of those that a workspace named, in its order."""
    packs = load_packs()
    return tuple(packs[name] for name in names if country in packs[name].countries)


@cache
def load_packs() -> Mapping[str, RegionPack]:
    """Read all packs that are shipped, by region, in the order of their names."""
    folder = resources.files(_PACKAGE).joinpath("packs")
    files = sorted(file.name for file in folder.iterdir() if file.name.endswith(".toml"))
    packs = [read_pack(name, folder.joinpath(name).read_bytes()) for name in files]
    return MappingProxyType({pack.region: pack for pack in packs})


def read_pack(file: str, content: bytes) -> RegionPack:
    """Read one pack. Raises ValueError with file and rule."""
    with _name_place(file):
        text = msgspec.toml.decode(content, type=_PackText)
    rules = tuple(_read_rule(file, text, number) for number in range(len(text.rules)))
    with _name_place(file):
        _check_pack(file, text, rules)
    return RegionPack(
        region=text.region,
        name=text.name,
        countries=text.countries,
        subdivisions=text.subdivisions,
        version=text.version,
        reviewed_on=text.reviewed_on,
        notes=" ".join(text.notes.split()),
        rules=rules,
        unknown=combine_strictest(rules) if text.when_unknown else (),
    )


@contextmanager
def _name_place(place: str) -> Generator[None]:
    """Put the place before what a fault has to say."""
    try:
        yield
    except ValueError as error:
        message = f"{place}: {error}"
        raise ValueError(message) from error


def _check_pack(file: str, text: _PackText, rules: tuple[RegionRule, ...]) -> None:
    """Refuse what the types allow but nobody can have meant."""
    _expect(f"{text.region}.toml" == file, f"the region is {text.region!r}")
    strays = [code for code in text.countries if code not in COUNTRIES]
    _expect(bool(text.countries) and not strays, f"not countries: {strays}")
    ids = [rule.id for rule in rules]
    _expect(len(ids) == len(set(ids)) and UNKNOWN not in ids, "two rules have one id")
    states = text.subdivisions
    _expect(len(states) == len(set(states)), "a subdivision is listed twice")


def _expect(condition: bool, message: str) -> None:  # noqa: FBT001 - it is an assertion
    if not condition:
        raise ValueError(message)


def _read_rule(file: str, pack: _PackText, number: int) -> RegionRule:
    """Read a rule of a pack, and say which one it was if that can't be done."""
    written = pack.rules[number]
    with _name_place(f"{file}: rules[{number}] {written.get('id', 'without id')}"):
        return _build_rule(pack, msgspec.convert(written, _RuleText))


def _build_rule(pack: _PackText, text: _RuleText) -> RegionRule:
    rule = f"regions.{pack.region}.{text.id}"
    built = RegionRule(
        region=pack.region,
        id=text.id,
        version=pack.version,
        title=text.title,
        source=text.source,
        confidence=text.confidence,
        subdivisions=text.subdivisions,
        purposes=text.purposes,
        reach=text.reach,
        window=None if text.hours is None else parse_window(text.hours, f"{rule}.hours"),
        closed_on_holidays=text.holidays is not None,
        caps=_read_caps(pack.region, text),
        effective_from=_day_or_none(text.effective_from),
        effective_until=_day_or_none(text.effective_until),
        rule=rule,
        note=text.note,
    )
    _check_rule(pack, built)
    return built


def _check_rule(pack: _PackText, rule: RegionRule) -> None:
    """Refuse a rule that nobody can follow up, or that says nothing."""
    _expect("https://" in rule.source or "http://" in rule.source, "the source has no address")
    _expect(bool(rule.note) or rule.is_enforced, "it has no hours, holidays, caps or note")
    _expect(bool(rule.purposes), "it is about no purpose")
    strays = [code for code in rule.subdivisions if code not in pack.subdivisions]
    _expect(not strays, f"subdivisions that the pack does not list: {strays}")
    begun, ended = rule.effective_from, rule.effective_until
    _expect(begun is None or ended is None or begun < ended, "it ends before it begins")


def _read_caps(region: str, text: _RuleText) -> tuple[Cap, ...]:
    """Read caps the way a workspace writes them."""
    faults = Faults({})
    leaves = Leaves(faults)
    caps = [
        leaves.cap(cap, ("regions", region, text.id, "caps", number))
        for number, cap in enumerate(text.caps)
    ]
    _expect(not faults, "; ".join(str(problem) for problem in faults.problems()))
    return tuple(cap for cap in caps if cap is not None)


def _day_or_none(day: date | None) -> int | None:
    return None if day is None else day_number(day)


def combine_strictest(rules: Iterable[RegionRule]) -> tuple[RegionRule, ...]:
    """Make the rules of an unknown subdivision: what those of all subdivisions allow together.

    Rules are joined where they concern the same messages at the same time, so that a decision
    shows a few rules rather than one for each state.
    """
    bound = [rule for rule in rules if rule.subdivisions and rule.is_enforced]
    groups: dict[tuple[object, ...], list[RegionRule]] = {}
    for rule in bound:
        scope = (rule.purposes, rule.reach, rule.effective_from, rule.effective_until)
        groups.setdefault(scope, []).append(rule)
    return tuple(_combine(group, number) for number, group in enumerate(groups.values()))


def _combine(group: list[RegionRule], number: int) -> RegionRule:
    """Join rules of one scope into one that is open only where all of them are."""
    first = group[0]
    rule = f"regions.{first.region}.{UNKNOWN}[{number}]"
    states = sorted({code for one in group for code in one.subdivisions})
    windows = [one.window for one in group if one.window is not None]
    return msgspec.structs.replace(
        first,
        id=f"{UNKNOWN}[{number}]",
        title="Where the subdivision is not known: what each of them allows",
        source=f"the rules of {', '.join(states)}",
        confidence=min((one.confidence for one in group), key=_SURE.index),
        subdivisions=(),
        window=intersect_windows(windows, f"{rule}.hours") if windows else None,
        closed_on_holidays=any(one.closed_on_holidays for one in group),
        caps=_combine_caps(group, rule),
        rule=rule,
        note="",
    )


def _combine_caps(group: list[RegionRule], rule: str) -> tuple[Cap, ...]:
    """Keep one of each cap; all that are left hold, so the strictest is among them."""
    kept = {(cap.count_max, cap.window_ms, cap.period): cap for one in group for cap in one.caps}
    return tuple(
        msgspec.structs.replace(cap, rule=f"{rule}.caps[{number}]")
        for number, cap in enumerate(kept.values())
    )


def intersect_windows(windows: Sequence[Window], rule: str) -> Window:
    """Give the window that is open only while all of these are."""
    midnights = range(0, WEEK_MS + 1, DAY_MS)
    cuts = sorted({*midnights, *(edge for window in windows for edge in window.edges)})
    days: list[list[tuple[int, int]]] = [[] for _ in _DAYS]
    for start, end in pairwise(cuts):
        if all(bisect_right(window.edges, start) % 2 == 1 for window in windows):
            day = start // DAY_MS
            _extend(days[day], start - day * DAY_MS, end - day * DAY_MS)
    return parse_window(_group_days(days), rule)


def describe_hours(window: Window) -> str:
    """Say when a window is open, for every day of the week."""
    return intersect_windows((window,), window.rule).text


def _extend(stretches: list[tuple[int, int]], start: int, end: int) -> None:
    """Add a stretch to those of a day, or to the last of them where it touches that."""
    if stretches and stretches[-1][1] == start:
        start, _ = stretches.pop()
    stretches.append((start, end))


def _group_days(days: Sequence[Sequence[tuple[int, int]]]) -> dict[str, list[str]]:
    """Write the hours of a week, days in a row that are alike as one: `mon-fri`."""
    grouped: dict[str, list[str]] = {}
    for stretches, run in groupby(range(len(days)), key=days.__getitem__):
        names = [_DAYS[day] for day in run]
        grouped[_name_days(names)] = [f"{_clock(start)}-{_clock(end)}" for start, end in stretches]
    return grouped


def _name_days(names: Sequence[str]) -> str:
    """Name days in a row the way a workspace does."""
    if len(names) == len(_DAYS):
        return "daily"
    return names[0] if len(names) == 1 else f"{names[0]}-{names[-1]}"


def _clock(day_ms: int) -> str:
    """Write a time of day like `09:00`; the end of the day is `24:00`."""
    hours, minutes = divmod(day_ms // MINUTE_MS, 60)
    return f"{hours:02}:{minutes:02}"
