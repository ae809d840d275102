"""What came of a workspace's tests, in words: what was to follow beside what did.

Used by `test`. A line that is wrong is shown twice, as it was wanted and as it happened, with why
it happened so.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from actors.trials import Line, Report
from adapters.cli.sentences import describe_reason
from adapters.gateway.views import Decision
from engine.program.places import NOWHERE, Path, Places, nearest_place
from engine.program.trials import Wanted
from engine.records import Decided
from engine.transcript import decision_object

_SHOWN_MAX = 200
_BLOCKED = "blocked"


def describe_report(report: Report, places: Places) -> Iterator[str]:
    """Tell what was to follow and what did, line by line."""
    missing = {
        line.wanted.fields.get("message", "")
        for line in report.lines
        if line.wanted is not None and line.decided is None
    }
    if not all(line.is_right for line in report.lines):
        yield "what was to follow (-), what did (+), and what is as wanted (=):"
        for line in report.lines:
            is_near = line.decided is not None and line.decided.message in missing
            yield from _describe_line(line, report, places, is_near=is_near)
    for shortfall in report.shortfalls:
        yield f"{locate(shortfall.path, places)}: {shortfall.message}"
    for asking in report.unanswered:
        yield f"nobody answered {'/'.join(asking)}, so it timed out: see `answers:`"


def locate(path: Path, places: Places) -> str:
    """Say where something is, as editors read it."""
    place = nearest_place(path, places) or NOWHERE
    return f"{place.file}:{place.key_line or place.line}"


def _describe_line(line: Line, report: Report, places: Places, *, is_near: bool) -> Iterator[str]:
    wanted, decided = line.wanted, line.decided
    zones = report.trial.zones
    zone = zones.get(line.customer) or next(iter(zones.values()))
    whose = f"  {line.customer}" if len(zones) > 1 and line.customer else ""
    if wanted is not None and not line.is_right:
        place = locate(wanted.path, places)
        yield f"-  {_describe_wanted(wanted, line.wanted_at, zone)}{whose}  ({place})"
    if decided is None:
        message = wanted.fields.get("message", "") if wanted is not None else ""
        if message and not _is_decided(message, report):
            yield f"     nothing at all was decided about {message}: {_describe_stays(report)}"
        return
    mark = "=" if wanted is not None and line.is_right else " " if line.is_right else "+"
    yield f"{mark}  {_describe_decided(decided, zone)}{whose}"
    if mark == "+" or is_near:
        for field, was_wanted, found in line.differs:
            yield f"     {field}: wanted {was_wanted[:_SHOWN_MAX]!r}, found {found[:_SHOWN_MAX]!r}"
        yield from _explain(line.customer, decided)


def _is_decided(message: str, report: Report) -> bool:
    decided = [line.decided for line in report.lines if line.decided is not None]
    return any(one.message == message for one in decided)


def _describe_stays(report: Report) -> str:
    """Say which journeys were entered at all: often it is the trigger that was not met."""
    entered = ", ".join(report.entered)
    return f"the journeys that were entered: {entered}" if entered else "no journey was entered"


def _describe_wanted(wanted: Wanted, at: int | None, zone: ZoneInfo) -> str:
    fields = {"outcome": "send", **wanted.fields}
    words = [_moment(at, zone) if at is not None else "at any time         "]
    words += [fields.pop(name) for name in ("message", "outcome") if name in fields]
    words += [f"{name} {value}" for name, value in fields.items()]
    words += [f"contains {text!r}" for text in wanted.contains]
    return "  ".join(words)


def _describe_decided(decided: Decided, zone: ZoneInfo) -> str:
    words = [_moment(decided.at, zone), decided.message, decided.outcome.value]
    if decided.channel:
        words.append(f"channel {decided.channel}")
    words.append(f"reason {decided.reason.value}")
    if decided.next_eligible is not None:
        words.append(f"until {_moment(decided.next_eligible, zone)}")
    return "  ".join([*words, f"step {decided.step}"])


def _explain(customer: str, decided: Decided) -> Iterator[str]:
    """Say why it was decided so, and which rules had something to say."""
    yield f"     {describe_reason(view_of(customer, decided))}"
    for check in decided.trace:
        if check.result == _BLOCKED:
            seen = f": {check.seen[:_SHOWN_MAX]}" if check.seen else ""
            yield f"     {check.channel or '-'}  {check.check}  {check.rule}{seen}"


def view_of(customer: str, decided: Decided) -> Decision:
    """Give a decision as everybody outside reads it."""
    return msgspec.convert(decision_object(customer, decided), Decision)


def _moment(at: int, zone: ZoneInfo) -> str:
    seconds, ms = divmod(at, 1_000)
    local = datetime.fromtimestamp(seconds, UTC).astimezone(zone)
    clock = f"{local:%a %Y-%m-%d %H:%M}"
    if not local.second and not ms:
        return clock
    return f"{clock}:{local:%S}" + (f".{ms:03d}" if ms else "")
