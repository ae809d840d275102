"""Tests of a workspace as written → what is played and compared, with every instant worked out.

`check_trials` is called by `compile`, so that a test that can't be played is a fault like any
other; `read_trials` by whoever plays them. They are no part of a `Program`.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET

from engine.errors import ProgramError
from engine.instants import DAY_MS, MINUTE_MS, format_instant, parse_duration
from engine.limits import TRIAL_MS_MAX
from engine.localtime import zone as find_zone
from engine.place import find_place
from engine.profile import Profile
from engine.program.faults import Faults, enumerate_names, quote, suggest
from engine.program.model import WorkspaceSpec
from engine.program.moments import Moment, parse_moment, read_wall
from engine.program.names import Names
from engine.program.nesting import walk_journeys
from engine.program.places import Path, Places
from engine.program.plain import dict_or_none
from engine.program.shape import read_shape
from engine.program.stepcheck import note_stray
from engine.program.trialanswers import Saying, read_answers
from engine.program.trialarms import read_arms
from engine.program.trialmodel import ExpectSpec, GivenSpec, PastSpec, PersonSpec, TrialSpec
from engine.program.trialsteps import Asking
from engine.program.wordcheck import check_event
from engine.reasons import Reason

TESTS = "tests"
ONLY = "customer"  # what the customer of a test with one customer is called

_FROM = "2026-03-02T10:00"  # a Monday
_UNTIL_MS = 30 * DAY_MS
_WHAT_HAPPENS = ("event", "identify", "receipt", "consent")


class Happening(msgspec.Struct, frozen=True):
    """One thing that happens: a call as clients write it. What is past begins nothing."""

    at: int
    customer: str
    call: Mapping[str, Any]
    path: Path
    is_past: bool = False


class Wanted(msgspec.Struct, frozen=True):
    """A decision that is to follow; what is empty is not compared."""

    path: Path
    customer: str
    fields: Mapping[str, str]  # of the decision record; without `outcome`: it goes out
    at: Moment | None = None
    next_at: Moment | None = None
    contains: tuple[str, ...] = ()
    written: str = ""  # the moment, for people


class Trial(msgspec.Struct, frozen=True):
    """A test, ready to be played."""

    name: str
    begins_at: int
    until_at: int
    zones: Mapping[str, ZoneInfo]  # by customer
    happenings: tuple[Happening, ...]  # in order of time
    wanted: tuple[Wanted, ...] | None  # None: decisions are not compared
    ends: Mapping[tuple[str, str], str]  # by customer and journey
    stays_in: tuple[tuple[str, str], ...]
    traits: Mapping[tuple[str, str], Any]
    answers: Mapping[Asking, Saying | None] = {}  # of services; what is absent times out
    arms: Mapping[Asking, str] = {}  # of splits; what is absent shares people out

    @property
    def path(self) -> Path:
        """Tell where it is written."""
        return (TESTS, self.name)


def read_trials(raw: Mapping[str, Any], places: Places) -> list[Trial]:
    """Read the tests of a workspace that compiles. Raises ProgramError."""
    faults = Faults(places)
    spec = read_shape(raw, faults)
    trials = [_Reading(name, one, spec, faults).read() for name, one in spec.tests.items()]
    if faults:
        raise ProgramError(faults.problems())
    return trials


def check_trials(spec: WorkspaceSpec, names: Names, faults: Faults) -> None:
    """Note tests that can't be played, and what they name that there is not."""
    if find_zone(spec.defaults.timezone) is None:
        return  # which is a fault of its own, and without a zone there is no time
    steps = {one.name: None for one in walk_journeys(spec.journeys)}
    for name, trial in spec.tests.items():
        path: Path = (TESTS, name)
        _Reading(name, trial, spec, faults).read()
        for index, given in enumerate(trial.given):
            where = (*path, "given", index)
            check_event(given.event, (*where, "event"), faults)
            if given.receipt is not UNSET:
                names.check("messages", given.receipt.message, (*where, "receipt", "message"))
        for index, wanted in enumerate(trial.expect or ()):
            _check_wanted(wanted, (*path, "expect", index), names, steps, faults)
        _check_journeys(trial, path, names)


def _check_wanted(
    wanted: str | ExpectSpec, path: Path, names: Names, steps: Mapping[str, None], faults: Faults
) -> None:
    if isinstance(wanted, str):
        names.check("messages", wanted, path)
        return
    for section, name in (
        ("messages", wanted.message),
        ("channels", wanted.channel),
        ("journeys", wanted.journey),
    ):
        if name:
            names.check(section, name, (*path, section.removesuffix("s")))
    if wanted.step and wanted.step not in steps:
        hint = suggest(wanted.step, steps, "steps")
        faults.add((*path, "step"), f"unknown step {quote(wanted.step)}", hint)
    reasons = [reason.value for reason in Reason]
    if wanted.reason and wanted.reason not in reasons:
        hint = suggest(wanted.reason, reasons, "reasons")
        faults.add((*path, "reason"), f"unknown reason {quote(wanted.reason)}", hint)
    if wanted.contains and wanted.outcome not in (UNSET, "send", "substitute"):
        message = f"of a message that ends in {wanted.outcome!r} there is no content"
        faults.add((*path, "contains"), message, "leave it out", at_key=True)
    if wanted.next_eligible is not UNSET and wanted.outcome != "defer":
        hint = "write `outcome: defer`, or leave it out"
        message = "only a message that is deferred is decided again"
        faults.add((*path, "next_eligible"), message, hint, at_key=True)


def _check_journeys(trial: TrialSpec, path: Path, names: Names) -> None:
    for name, ends in _by_person(trial, trial.ends):
        for journey in ends:
            where = (*path, "ends", *([name] if trial.customers else []), journey)
            names.check("journeys", journey, where, at_key=True)
    stays: list[tuple[tuple[str, ...], Any]] = [((), trial.stays_in)]
    if isinstance(trial.stays_in, dict):
        stays = [((name,), journeys) for name, journeys in trial.stays_in.items()]
    for within, journeys in stays:
        for index, journey in enumerate(journeys):
            names.check("journeys", journey, (*path, "stays_in", *within, index))


def _by_person(trial: TrialSpec, values: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Part what is written by customer, where there are several; of what is right only."""
    if not trial.customers:
        yield ONLY, dict(values)
        return
    for name, own in values.items():
        mapping = dict_or_none(own)
        if mapping is not None:
            yield name, mapping


class _Reading:
    """The reading of one test: who is in it, and the instant it has come to."""

    def __init__(
        self, name: str, spec: TrialSpec, workspace: WorkspaceSpec, faults: Faults
    ) -> None:
        self._path: Path = (TESTS, name)
        self._name = name
        self._spec = spec
        self._faults = faults
        self._workspace = workspace
        self._people = dict(spec.customers)
        if not self._people:
            self._people[ONLY] = PersonSpec() if spec.customer is UNSET else spec.customer
        self._zones = {
            person: find_place(Profile(person, traits=told.traits), workspace).zones[0]
            for person, told in self._people.items()
        }
        self._home = find_zone(workspace.defaults.timezone) or next(iter(self._zones.values()))

    def read(self) -> Trial:
        """Work out when everything happens, noting what is wrong."""
        self._check_people()
        begins_at = self._begin()
        happenings = [*self._read_people(begins_at), *self._read_given(begins_at)]
        happenings.sort(key=lambda one: one.at)  # stable
        last_at = max([begins_at, *(one.at for one in happenings)])
        expects = None if self._spec.expect is UNSET else self._spec.expect
        ends = self._spread(self._spec.ends, "ends")
        traits = self._spread(self._spec.traits, "traits")
        stays_in = self._read_stays()
        if expects is None and not ends and not traits and not stays_in:
            hint = "write `expect:`, `ends:`, `stays_in:` or `traits:`"
            if not self._faults.touches(self._path):
                self._faults.add(self._path, "this test expects nothing", hint, at_key=True)
        return Trial(
            name=self._name,
            begins_at=begins_at,
            until_at=self._read_until(last_at),
            zones=self._zones,
            happenings=tuple(happenings),
            wanted=None if expects is None else tuple(self._read_wanted(expects)),
            ends=ends,
            stays_in=stays_in,
            traits=traits,
            answers=read_answers(self._spec, self._workspace, self._path, self._faults),
            arms=read_arms(self._spec, self._workspace, self._path, self._faults),
        )

    def _check_people(self) -> None:
        if self._spec.customers and self._spec.customer is not UNSET:
            message = "one test can't have `customer` and `customers`"
            self._faults.add((*self._path, "customer"), message, "name them all", at_key=True)

    def _begin(self) -> int:
        text = _FROM if self._spec.from_ is UNSET else self._spec.from_
        zone = self._home if len(self._zones) > 1 else next(iter(self._zones.values()))
        try:
            return read_wall(text.strip(), zone)
        except ValueError:
            hint = 'write an instant, like "2026-03-02T10:00"'
            self._faults.add((*self._path, "from"), f"{quote(text)} is not an instant", hint)
            return read_wall(_FROM, zone)

    def _read_people(self, begins_at: int) -> Iterator[Happening]:
        for name, person in self._people.items():
            path = (
                (*self._path, "customers", name)
                if self._spec.customers
                else (*self._path, "customer")
            )
            past = list(self._read_past(name, person.past, path, begins_at))
            # A day before, so that nobody is thought to be there when the test begins.
            known_at = min([begins_at - DAY_MS, *(one.at - MINUTE_MS for one in past)])
            context = {"consent": list(_list_consents(person))} if person.consents else {}
            call = {"type": "identify", "traits": person.traits, "context": context}
            yield Happening(known_at, name, call, path, is_past=True)
            yield from past

    def _read_past(
        self, name: str, past: tuple[PastSpec, ...], path: Path, begins_at: int
    ) -> Iterator[Happening]:
        for index, one in enumerate(past):
            where = (*path, "past", index)
            check_event(one.event, (*where, "event"), self._faults)
            try:
                ago_ms = parse_duration(one.ago)
            except ValueError:
                hint = "write a number and a unit: 30m, 2h, 1d, 1w"
                self._faults.add((*where, "ago"), f"{quote(one.ago)} is not a duration", hint)
                continue
            call = {"type": "track", "event": one.event, "properties": one.properties}
            yield Happening(begins_at - min(ago_ms, TRIAL_MS_MAX), name, call, where, is_past=True)

    def _read_given(self, begins_at: int) -> Iterator[Happening]:
        before = begins_at
        for index, given in enumerate(self._spec.given):
            path = (*self._path, "given", index)
            customer = self._whose(given.customer, (*path, "customer"), path)
            before = self._read_at(given, customer, path, before)
            stated = [key for key in _WHAT_HAPPENS if getattr(given, key)]
            if given.identify is not UNSET and "identify" not in stated:
                stated.append("identify")
            if len(stated) != 1:
                self._refuse_given(stated, path)
                continue
            for key in ("properties", "context"):
                if getattr(given, key) and stated != ["event"]:
                    note_stray(key, "event", path, self._faults)
            yield Happening(before, customer, _CALLS[stated[0]](given), path)

    def _refuse_given(self, stated: list[str], path: Path) -> None:
        if len(stated) > 1:
            message = f"one entry can't be {stated[0]} and {stated[1]}"
            self._faults.add((*path, stated[1]), message, "make it two entries", at_key=True)
        elif not self._faults.touches(path):
            hint = f"name one of {', '.join(_WHAT_HAPPENS)}"
            self._faults.add(path, "nothing happens here", hint)

    def _read_at(self, given: GivenSpec, customer: str, path: Path, before: int) -> int:
        if given.at is UNSET:
            return before
        moment = self._moment(given.at, customer, (*path, "at"))
        at = before if moment is None else moment(before)
        if at < before:
            message = f"this is before the entry above it, which is at {format_instant(before)}"
            self._faults.add((*path, "at"), message, "put the entries in order of time")
            return before
        return at

    def _read_until(self, last_at: int) -> int:
        if self._spec.until is UNSET:
            return last_at + _UNTIL_MS
        path = (*self._path, "until")
        moment = self._moment(self._spec.until, "", path)
        until_at = last_at if moment is None else moment(last_at)
        if until_at < last_at:
            self._faults.add(path, "this is before the last of `given`", "let time go on longer")
        if until_at - last_at > TRIAL_MS_MAX:
            self._faults.add(
                path, "this is too long", f"{TRIAL_MS_MAX // DAY_MS} days are the most"
            )
        return until_at

    def _read_wanted(self, expects: tuple[str | ExpectSpec, ...]) -> Iterator[Wanted]:
        for index, one in enumerate(expects):
            path = (*self._path, "expect", index)
            if isinstance(one, str):
                yield Wanted(path, "" if len(self._people) > 1 else ONLY, {"message": one})
                continue
            customer = one.customer
            if customer or len(self._people) == 1:
                customer = self._whose(customer, (*path, "customer"), path)
            fields = {
                "message": one.message,
                "outcome": one.outcome or "",
                "reason": one.reason,
                "channel": one.channel,
                "journey": one.journey,
                "step": one.step,
            }
            yield Wanted(
                path,
                customer,
                {key: value for key, value in fields.items() if value},
                self._moment(one.at or "", customer, (*path, "at")),
                self._moment(one.next_eligible or "", customer, (*path, "next_eligible")),
                (one.contains,) if isinstance(one.contains, str) else one.contains,
                one.at or "",
            )

    def _moment(self, text: str, customer: str, path: Path) -> Moment | None:
        if not text:
            return None
        zone = self._zones.get(customer, self._home)
        if not customer and len(self._zones) == 1:
            zone = next(iter(self._zones.values()))
        try:
            return parse_moment(text, zone)
        except ValueError as error:
            message, _, hint = str(error).partition(": write ")
            self._faults.add(path, message, f"write {hint}" if hint else "")
            return None

    def _whose(self, name: str, path: Path, parent: Path) -> str:
        """Tell whose an entry is; in a test with one customer nobody has to be named."""
        if name in self._people:
            return name
        known = enumerate_names(self._people)
        if name:
            hint = suggest(name, self._people) or f"the customers of this test are {known}"
            self._faults.add(path, f"unknown customer {quote(name)}", hint)
        elif len(self._people) > 1:
            self._faults.add(parent, "whose is this?", f"write `customer:` with one of {known}")
        return next(iter(self._people))

    def _spread(self, values: Mapping[str, Any], key: str) -> dict[tuple[str, str], Any]:
        """Lay out what is written by customer, or for the one there is."""
        path = (*self._path, key)
        if self._spec.customers:
            for name, own in values.items():
                self._whose(name, (*path, name), path)
                if dict_or_none(own) is None:
                    hint = f"with several customers write `{key}: {{NAME: {{…}}}}`"
                    self._faults.add((*path, name), "whose is this?", hint, at_key=True)
        elif key == "ends":
            for name, own in values.items():
                if not isinstance(own, str):
                    message = "expected the reason for which the journey was left"
                    self._faults.add((*path, name), message, "like goal_met or completed")
        return {
            (name, one): value
            for name, own in _by_person(self._spec, values)
            for one, value in own.items()
        }

    def _read_stays(self) -> tuple[tuple[str, str], ...]:
        stays, path = self._spec.stays_in, (*self._path, "stays_in")
        if isinstance(stays, dict):
            for name in stays:
                self._whose(name, (*path, name), path)
            return tuple((name, one) for name, own in stays.items() for one in own)
        if stays and self._spec.customers:
            hint = "with several customers write `stays_in: {NAME: [JOURNEY]}`"
            self._faults.add(path, "whose is this?", hint, at_key=True)
        return tuple((ONLY, one) for one in stays)


def _list_consents(person: PersonSpec) -> Iterator[dict[str, str]]:
    for purpose, said in person.consents.items():
        if isinstance(said, str):
            yield {"purpose": purpose, "status": said}
        else:
            for channel, status in said.items():
                yield {"purpose": purpose, "channel": channel, "status": status}


def _event(given: GivenSpec) -> dict[str, Any]:
    return {
        "type": "track",
        "event": given.event,
        "properties": given.properties,
        "context": given.context,
    }


def _identify(given: GivenSpec) -> dict[str, Any]:
    return {"type": "identify", "traits": given.identify or {}}


def _receipt(given: GivenSpec) -> dict[str, Any]:
    assert given.receipt is not UNSET
    told = msgspec.structs.asdict(given.receipt).items()
    return {"type": "receipt", **{key: value for key, value in told if value is not UNSET}}


def _consent(given: GivenSpec) -> dict[str, Any]:
    assert given.consent is not UNSET
    said = {key: value for key, value in msgspec.structs.asdict(given.consent).items() if value}
    return {"type": "consent", "context": {"consent": [said]}}


_CALLS = {"event": _event, "identify": _identify, "receipt": _receipt, "consent": _consent}
