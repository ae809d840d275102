"""Tests of a workspace, played on the virtual clock of a replay, and compared with what was wanted.

Used by `nextbeat test` and by tests of workspaces. `engine.program.trials` says what is played;
this plays it and tells what differs. The same test gives the same answer, everywhere.

*Rules*
- Messages that go out are to be in `expect`, in their order. What was deferred or dropped is
  compared only where it is named there.
- A moment like `+2h` is counted from the entry before: from its own moment, or, where it has none,
  from that of the decision that stands in its place.
- A call is answered as the test says, each time it is made; one it says nothing of times out.
- Nobody is on an opt-out registry here: what those say is not a workspace's to test.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from actors.replay import Replay
from engine.effects import Call
from engine.errors import InputError
from engine.events import Answered, Event, Input, Receipt
from engine.instants import format_instant
from engine.intake.mapping import take_in
from engine.intake.normalise import read_line
from engine.limits import TRIAL_STEPS_MAX
from engine.profile import Profile
from engine.program.places import Path
from engine.program.program import Program
from engine.program.scope import Scope
from engine.program.trialarms import choose_arms
from engine.program.trials import Happening, Trial, Wanted
from engine.program.trialsteps import Asking
from engine.reasons import Outcome
from engine.records import Decided, Entered, Exited, Record, Unmatched

_GOES_OUT = (Outcome.SEND, Outcome.SUBSTITUTE)
_MISSING, _SURPLUS, _OTHER = 30, 30, 1  # what leaving an entry alone costs, and one wrong field


class Line(msgspec.Struct, frozen=True):
    """One line of the comparison: a wanted decision, one that was made, or both side by side."""

    wanted: Wanted | None
    wanted_at: int | None
    customer: str
    decided: Decided | None
    differs: tuple[tuple[str, str, str], ...] = ()  # field, wanted, found

    @property
    def is_right(self) -> bool:
        """Say whether this is as it was wanted."""
        if self.wanted is None:
            return self.decided is None or self.decided.outcome not in _GOES_OUT
        return self.decided is not None and not self.differs


class Shortfall(msgspec.Struct, frozen=True):
    """Something else that is not as wanted: an end, a trait, an entry that makes no sense."""

    path: Path
    message: str


class Report(msgspec.Struct, frozen=True):
    """What came of one test."""

    trial: Trial
    lines: tuple[Line, ...]
    shortfalls: tuple[Shortfall, ...]
    steps: int
    entered: tuple[str, ...] = ()  # journeys, in the order of their first entry
    unanswered: tuple[Asking, ...] = ()  # what was called, and the test says nothing of

    @property
    def is_passed(self) -> bool:
        """Say whether everything was as wanted."""
        return not self.shortfalls and all(line.is_right for line in self.lines)


class _RestlessError(Exception):
    """A test takes more steps than one may."""


class _Stage(Replay):
    """A replay that answers calls, and notes how journeys begin and end and receipts of nothing."""

    def __init__(self, program: Program, trial: Trial) -> None:
        super().__init__(program, self._answer)
        self._begins_at = trial.begins_at
        self._said = trial.answers
        self.unanswered: dict[Asking, None] = {}
        self.ends: dict[tuple[str, str], str] = {}
        self.unmatched: list[str] = []
        self.entered: dict[str, None] = {}

    def comes_in_at(self, given: Event | Receipt) -> int:
        # The past is loaded right before, as history is: nothing came due while it happened.
        return max(given.at, self._begins_at - 1)

    def note(self, customer: str, given: Input, record: Record) -> None:
        if self.steps > TRIAL_STEPS_MAX:
            raise _RestlessError
        if isinstance(record, Exited):
            self.ends[customer, record.journey] = record.reason
        elif isinstance(record, Entered):
            self.entered[record.journey] = None
        elif isinstance(record, Unmatched) and isinstance(given, Receipt):
            self.unmatched.append(given.id)

    def _answer(self, call: Call) -> Answered | None:
        asking = (call.journey, call.step)
        if asking not in self._said:
            self.unanswered[asking] = None
        said = self._said.get(asking)
        if said is None or call.called_at + said.after_ms >= call.expires_at:
            return None
        at = call.called_at + said.after_ms
        return Answered(call.call_id, call.customer, said.status, at, said.body)


def play(trial: Trial, program: Program) -> Report:
    """Play a test and compare what happened with what was wanted."""
    played = choose_arms(msgspec.structs.replace(program, registries=()), trial.arms)
    stage = _Stage(played, trial)
    shortfalls: list[Shortfall] = []
    inputs = list(_take_in(trial.happenings, program, shortfalls))
    decisions = list(_run(stage, inputs, trial, shortfalls))
    paths = {f"{index}": one.path for index, one in enumerate(trial.happenings)}
    for name in stage.unmatched:
        message = "nothing that this receipt could be about was sent before this instant"
        shortfalls.append(Shortfall(paths[name], message))
    shortfalls += _compare_ends(trial, stage, program)
    lines = [] if trial.wanted is None else _align(trial, decisions)
    if trial.wanted is None:
        lines = [Line(None, None, customer, one) for customer, one in decisions]
        lines = [line for line in lines if line.is_right]  # they are told, and not judged
    return Report(
        trial=trial,
        lines=tuple(lines),
        shortfalls=tuple(shortfalls),
        steps=stage.steps,
        entered=tuple(stage.entered),
        unanswered=tuple(stage.unanswered),
    )


def _take_in(
    happenings: Sequence[Happening], program: Program, shortfalls: list[Shortfall]
) -> Iterator[Event | Receipt]:
    """Make inputs of what happens, as if clients had sent it."""
    for index, one in enumerate(happenings):
        call = {
            "messageId": f"{index}",
            "userId": one.customer,
            "timestamp": format_instant(one.at),
            **one.call,
        }
        try:
            item, envelope = read_line(msgspec.json.encode(call))
            if one.is_past:
                envelope = msgspec.structs.replace(envelope, is_history=True)
            given = take_in(item, envelope, program.mappings)
        except InputError as error:
            shortfalls.append(Shortfall(one.path, f"{error.path}: {error.message}"))
        else:
            if given is not None:
                yield given


def _run(
    stage: _Stage, inputs: Iterable[Event | Receipt], trial: Trial, shortfalls: list[Shortfall]
) -> Iterator[tuple[str, Decided]]:
    try:
        yield from stage.run(inputs, trial.until_at)
    except _RestlessError:
        message = f"more than {TRIAL_STEPS_MAX:,} inputs and timers: some journey never rests"
        shortfalls.append(Shortfall(trial.path, message))


def _compare_ends(trial: Trial, stage: _Stage, program: Program) -> Iterator[Shortfall]:
    several = len(trial.zones) > 1
    for (customer, journey), reason in trial.ends.items():
        found: object = stage.ends.get((customer, journey))
        if found != reason:
            what = "it was never left" if found is None else f"it was left because of {found}"
            if found is None and journey in _stays(stage, customer):
                what = "the customer is still in it"
            path: Path = (*trial.path, "ends", *([customer] if several else []), journey)
            yield Shortfall(path, f"expected {journey} to end with {reason}, and {what}")
    for customer, journey in trial.stays_in:
        if journey not in _stays(stage, customer):
            found = stage.ends.get((customer, journey))
            what = "never entered it" if found is None else f"left it because of {found}"
            path = (*trial.path, "stays_in")
            yield Shortfall(path, f"expected {customer} to be in {journey}, who {what}")
    for (customer, trait), value in trial.traits.items():
        found = _read_trait(stage, customer, trait, program)
        if found != value:
            path = (*trial.path, "traits", *([customer] if several else []), trait)
            shown = "nothing" if found is None else repr(found)
            yield Shortfall(path, f"expected {trait} to be {value!r}, and it is {shown}")


def _stays(stage: _Stage, customer: str) -> list[str]:
    profile = stage.profiles.get(customer, Profile(customer))
    return [instance.journey for instance in profile.instances.values()]


def _read_trait(stage: _Stage, customer: str, trait: str, program: Program) -> object:
    profile = stage.profiles.get(customer, Profile(customer))
    worked_out: object = Scope(profile, stage.now, book=program).trait(trait)
    return profile.traits.get(trait) if worked_out is ... else worked_out


def _align(trial: Trial, decisions: Sequence[tuple[str, Decided]]) -> list[Line]:
    """Put what was wanted beside what was decided, in the way that leaves least over."""
    wanted = trial.wanted or ()
    rows, columns = len(wanted), len(decisions)
    costs = [[0] * (columns + 1) for _ in range(rows + 1)]  # of all that is behind
    best: dict[tuple[int, int], tuple[int, int]] = {}
    for row in range(rows, -1, -1):
        for column in range(columns, -1, -1):
            ways = [
                (cost + costs[row + down][column + right], number, down, right)
                for number, (cost, down, right) in enumerate(_ways(wanted, decisions, row, column))
            ]
            if ways:
                costs[row][column], _, *step = min(ways)
                best[row, column] = (step[0], step[1])
    lines: list[Line] = []
    before, row, column = trial.begins_at, 0, 0
    while (row, column) in best:
        down, right = best[row, column]
        customer, decided = decisions[column] if right else ("", None)
        line = _compare(wanted[row] if down else None, customer, decided, before)
        lines.append(line)
        if line.wanted is not None:
            before = line.wanted_at or (before if decided is None else decided.at)
        row, column = row + down, column + right
    return lines


def _ways(
    wanted: Sequence[Wanted], decisions: Sequence[tuple[str, Decided]], row: int, column: int
) -> list[tuple[int, int, int]]:
    """List what can be done next: cost, how many wanted and how many decisions it uses up."""
    ways: list[tuple[int, int, int]] = []
    if row < len(wanted) and column < len(decisions):
        customer, decided = decisions[column]
        fields = _differences(wanted[row], customer, decided)
        if not any(name in ("message", "customer") for name, _, _ in fields):
            ways.append((min(len(fields) * _OTHER, _MISSING - 1), 1, 1))
    if column < len(decisions):
        ways.append((_SURPLUS if decisions[column][1].outcome in _GOES_OUT else 0, 0, 1))
    if row < len(wanted):
        ways.append((_MISSING, 1, 0))
    return ways


def _compare(wanted: Wanted | None, customer: str, decided: Decided | None, before: int) -> Line:
    if wanted is None:
        return Line(None, None, customer, decided)
    wanted_at = wanted.at(before) if wanted.at is not None else None
    if decided is None:
        return Line(wanted, wanted_at, wanted.customer, None)
    differs = list(_differences(wanted, customer, decided))
    if wanted_at is not None and wanted_at != decided.at:
        differs.append(("at", format_instant(wanted_at), format_instant(decided.at)))
    if wanted.next_at is not None:
        next_at, found = wanted.next_at(decided.at), decided.next_eligible
        if next_at != found:
            shown = "never" if found is None else format_instant(found)
            differs.append(("next_eligible", format_instant(next_at), shown))
    return Line(wanted, wanted_at, customer, decided, tuple(differs))


def _differences(wanted: Wanted, customer: str, decided: Decided) -> list[tuple[str, str, str]]:
    """List the fields that are others than wanted, but for moments."""
    found: list[tuple[str, str, str]] = []
    if wanted.customer and wanted.customer != customer:
        found.append(("customer", wanted.customer, customer))
    for field, value in wanted.fields.items():
        is_at: Any = getattr(decided, field)
        if is_at != value:
            found.append((field, value, str(is_at)))
    if "outcome" not in wanted.fields and decided.outcome not in _GOES_OUT:
        found.append(("outcome", "send", decided.outcome.value))
    texts = "\n".join(decided.content.values())
    if decided.outcome in _GOES_OUT:
        found += [("contains", text, texts) for text in wanted.contains if text not in texts]
    return found
