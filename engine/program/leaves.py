"""The leaves of a workspace: texts with a grammar of their own, read into what they mean.

Used by `compile` and `steps`. Every reader takes the text and its path; where the text can't be
read it notes the fault and gives something harmless back, so that one run finds all faults. What
conditions look at (history, segments, channels) is gathered on the way.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Protocol, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET, UnsetType

from engine.instants import parse_duration
from engine.limits import SOLVER_HORIZON_MS
from engine.localtime import day_number
from engine.program.captext import CapError, read_cap
from engine.program.cel.compiler import CelError, Compiled, compile_condition, compile_value
from engine.program.cel.ir import Kind
from engine.program.condition import Condition
from engine.program.contentmodel import HTML_FIELD, MJML
from engine.program.faults import Faults, quote
from engine.program.mjml import MjmlError, compile_mjml
from engine.program.places import Path, format_path
from engine.program.program import Cap, Feed, HistoryNeed, Template
from engine.program.scope import Scope
from engine.program.templates import TemplateError, compile_template, find_misspelt, shown_traits
from engine.program.until import parse_until
from engine.windows import Window, parse_window

Until = Callable[[Scope, ZoneInfo], int | None]

# The parts of a journey that are asked of someone who is in it.
_OF_STAYS = ("steps", "goal", "exit_on")

_Read = TypeVar("_Read")

_LIQUID_FORM = "the text is Liquid: {{ value }} and {% tag %}"
_DURATION_FORM = "write a number and a unit: 30m, 2h, 1d, 1w"
_NEVER = Condition(source="false", test=lambda _: False, evaluate=lambda _: None)
_EMPTY = Template(source="", render=lambda _: "")


class _Compiler(Protocol):
    def __call__(
        self, source: str, traits: Mapping[str, Kind], *, in_journey: bool
    ) -> Compiled: ...


class Leaves:
    """Reads leaf texts, notes what is wrong, and remembers what conditions look at."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.segment_uses: list[tuple[Path, str]] = []
        self.channel_uses: list[tuple[Path, str]] = []
        self.event_uses: list[tuple[Path, str]] = []
        self._windows_ms: dict[str, int] = {}
        self._values: dict[str, dict[str, None]] = {}
        self._feeds: dict[str, dict[str, Feed]] = {}
        self.trait_kinds: Mapping[str, Kind] = {}  # of traits that are worked out
        self.trait_uses: list[tuple[Path, str]] = []

    def duration(self, text: str, path: Path) -> int:
        """Read a duration of more than nothing, in ms."""
        try:
            duration_ms = parse_duration(text)
        except ValueError:
            self.faults.add(path, f"{quote(text)} is not a duration", _DURATION_FORM)
            return 1
        if not 0 < duration_ms <= SOLVER_HORIZON_MS:
            hint = "it must be longer than nothing and at most 400 days"
            self.faults.add(path, f"{quote(text)} is out of range", hint)
            return 1
        return duration_ms

    def duration_or_none(self, text: str | UnsetType, path: Path) -> int | None:
        """Read a duration that may be absent."""
        return None if text is UNSET else self.duration(text, path)

    def cap(self, text: str, path: Path) -> Cap | None:
        """Read a cap: how many, in which time."""
        try:
            cap = read_cap(text, format_path(path))
        except CapError as error:
            self.faults.add(path, str(error), error.hint)
            return None
        if cap.window_ms > SOLVER_HORIZON_MS:
            hint = "it must be longer than nothing and at most 400 days"
            self.faults.add(path, f"{quote(text)} is out of range", hint)
        return cap

    def day(self, text: str, path: Path) -> int:
        """Read a day, as days since 1970-01-01."""
        try:
            return day_number(date.fromisoformat(text))
        except ValueError:
            hint = "write year, month and day, like 2026-12-24"
            self.faults.add(path, f"{quote(text)} is not a day", hint)
            return 0

    def days(self, texts: Sequence[str], path: Path) -> frozenset[int]:
        """Read a list of days."""
        return frozenset(self.day(text, (*path, index)) for index, text in enumerate(texts))

    def window(self, value: object, path: Path) -> Window | None:
        """Read opening hours."""
        try:
            return parse_window(value, format_path(path))
        except ValueError as error:
            self.faults.add(path, *_split_advice(error))
            return None

    def condition(self, source: str, path: Path) -> Condition:
        """Compile a condition."""
        return self._compile(compile_condition, source, path)

    def condition_or_none(self, source: str, path: Path) -> Condition | None:
        """Compile a condition that may be absent."""
        return self.condition(source, path) if source else None

    def value(self, source: str, path: Path) -> Condition:
        """Compile an expression whose value is wanted."""
        return self._compile(compile_value, source, path)

    def until(self, text: str, path: Path) -> Until:
        """Read a wall-clock moment, or one relative to a date of the profile."""
        try:
            return parse_until(text)
        except ValueError as error:
            self.faults.add(path, *_split_advice(error))
            return lambda _scope, _zone: None

    def parsed(self, parse: Callable[[str], _Read], text: str, path: Path) -> _Read | None:
        """Read a text by what raises a ValueError that says what to write instead."""
        try:
            return parse(text)
        except ValueError as error:
            self.faults.add(path, *_split_advice(error))
            return None

    def template(self, source: str, path: Path, *, html: bool) -> Template:
        """Compile a Liquid text."""
        try:
            template = compile_template(source, html=html, rule=format_path(path))
            misspelt = find_misspelt(source)
            if misspelt is not None:
                raise misspelt
            worked_out = tuple(one for one in shown_traits(source) if one in self.trait_kinds)
        except TemplateError as error:
            place = {"line": error.line, "column": error.column}
            self.faults.add_within(path, error.message, _LIQUID_FORM, **place)
            return _EMPTY
        return msgspec.structs.replace(template, traits=worked_out) if worked_out else template

    def markup(self, field: str, source: str, path: Path) -> tuple[str, str]:
        """Make MJML the HTML that is sent, with its Liquid in it; other fields are as they are."""
        if field != MJML:
            return field, source
        try:
            # What is wrong with the Liquid is said of the text as it was written.
            misspelt = find_misspelt(source)
            if misspelt is not None:
                raise misspelt
            return HTML_FIELD, compile_mjml(source)
        except (TemplateError, MjmlError) as error:
            is_liquid = isinstance(error, TemplateError)
            hint = _LIQUID_FORM if is_liquid else "the text is MJML: <mjml><mj-body>…"
            self.faults.add_within(path, error.message, hint, line=error.line, column=error.column)
            return HTML_FIELD, ""

    def history(self) -> dict[str, HistoryNeed]:
        """Tell, by event, how far back is looked, which numbers are added up, and what it feeds."""
        windows_ms = {name: window_ms for name, window_ms in self._windows_ms.items() if window_ms}
        return {
            name: HistoryNeed(
                windows_ms.get(name, 0),
                tuple(sorted(self._values.get(name, ()))),
                tuple(self._feeds.get(name, {}).values()),
            )
            for name in sorted({**windows_ms, **self._feeds})
        }

    def need(self, event: str, window_ms: int, value: str | None = None) -> None:
        """Have an event's instants kept, and a number that is added up."""
        self._windows_ms[event] = max(self._windows_ms.get(event, 0), window_ms)
        values = self._values.setdefault(event, {})
        if value is not None:
            values[value] = None

    def feed(self, event: str, feed: Feed) -> None:
        """Have an event go into a measure; of two windows the longer one is kept."""
        feeds = self._feeds.setdefault(event, {})
        known = feeds.get(feed.key)
        is_longer = known is None or (known.keep_ms and feed.keep_ms > known.keep_ms)
        if is_longer or not feed.keep_ms:  # 0 is for ever
            feeds[feed.key] = feed

    def _compile(self, compiler: _Compiler, source: str, path: Path) -> Condition:
        in_journey = path[0] == "journeys" and path[2] in _OF_STAYS
        try:
            compiled = compiler(source, self.trait_kinds, in_journey=in_journey)
        except CelError as error:
            self.faults.add_within(
                path, error.message, error.hint, line=error.line, column=error.column
            )
            return _NEVER
        for name, window_ms, value in compiled.history:
            self.event_uses.append((path, name))
            self.need(name, window_ms, value)
        self.trait_uses.extend((path, name) for name in compiled.traits)
        self.segment_uses.extend((path, name) for name in compiled.segments)
        self.channel_uses.extend((path, name) for name in compiled.channels)
        return compiled.condition


def _split_advice(error: ValueError) -> tuple[str, str]:
    """Part what is wrong from what to write instead, which a reader of texts says in one breath."""
    message, found, advice = str(error).partition(": write ")
    return message, f"write {advice}" if found else ""
