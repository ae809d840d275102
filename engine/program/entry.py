"""What makes customers enter journeys, how often they may, and what takes them out: compiled.

Called by `sections` for each journey whose shape is right, and by `compile` for what all of them
together need: the segments that stand for scores, and the agenda.
"""

from collections.abc import Iterable, Mapping
from math import isfinite

from msgspec import UNSET

from engine.limits import ENTRIES_MAX
from engine.localtime import zone
from engine.program.agenda import Plan, plan_date, plan_schedule
from engine.program.cel.checker import check
from engine.program.cel.ir import Kind
from engine.program.cel.parser import parse
from engine.program.cron import parse_cron
from engine.program.faults import quote
from engine.program.journey import Admission, Agenda, ExitRule, Journey, Often, Trigger
from engine.program.journeymodel import EXIT_REASON, ExitSpec, JourneySpec, TriggerSpec
from engine.program.leaves import Leaves
from engine.program.places import Path
from engine.program.program import SESSION
from engine.program.segments import find_eventful
from engine.program.until import parse_dated

NEVER = "never"
_ENTERED = "entered"


def compile_trigger(name: str, spec: JourneySpec, timezone: str, leaves: Leaves) -> Trigger:
    """Compile a trigger; without one only a `start` step enters."""
    given, path = spec.trigger, ("journeys", name, "trigger")
    if given is UNSET:
        return Trigger("", None)
    condition = leaves.condition_or_none(given.if_, (*path, "if"))
    if given.schedule or given.date:
        return Trigger("", condition, plan=_plan(given, path, timezone, leaves))
    if given.score:
        sides = (("above", given.above), ("below", given.below))
        words = [f"{given.score} {side} {value:g}" for side, value in sides if value is not UNSET]
        return Trigger("", condition, score_segment(name), _ENTERED, score=" and ".join(words))
    return Trigger(
        given.event,
        condition,
        given.segment,
        (given.on or _ENTERED) if given.segment else "",
        leaves.duration_or_none(given.late, (*path, "late")),
    )


def _plan(given: TriggerSpec, path: Path, timezone: str, leaves: Leaves) -> Plan | None:
    if given.schedule:
        cron = leaves.parsed(parse_cron, given.schedule, (*path, "schedule"))
        place = zone(timezone) if given.zone == "workspace" else None
        return None if cron is None else plan_schedule(cron, place, given.segment, given.schedule)
    dated = leaves.parsed(parse_dated, given.date, (*path, "date"))
    return None if dated is None else plan_date(dated, given.date, yearly=given.every is not UNSET)


def compile_admission(spec: JourneySpec, path: Path, leaves: Leaves) -> Admission:
    """Compile how often a customer may enter, and under which condition."""
    is_once = spec.reentry == NEVER
    reentry = UNSET if is_once else spec.reentry
    default = None if spec.key else 1
    return Admission(
        condition=leaves.condition_or_none(spec.enter_if, (*path, "enter_if")),
        key=leaves.value(spec.key, (*path, "key")) if spec.key else None,
        reentry_ms=leaves.duration_or_none(reentry, (*path, "reentry")),
        is_once=is_once,
        often=_often(spec, (*path, "entries"), leaves),
        at_once=default if spec.at_once is UNSET else spec.at_once,
    )


def _often(spec: JourneySpec, path: Path, leaves: Leaves) -> Often | None:
    cap = None if spec.entries is UNSET else leaves.cap(spec.entries, path)
    if cap is None:
        return None
    if cap.period == SESSION:
        leaves.faults.add(path, "entries are not counted by session", "like '2 / 30d'")
    if cap.count_max > ENTRIES_MAX:
        message = f"{quote(cap.text)} counts out of range"
        leaves.faults.add(path, message, f"at most {ENTRIES_MAX} entries are counted")
    return Often(cap.count_max, cap.window_ms, cap.period)


def compile_exits(specs: Iterable[ExitSpec], path: Path, leaves: Leaves) -> tuple[ExitRule, ...]:
    """Compile what takes customers out of a journey."""
    return tuple(
        ExitRule(
            spec.reason or EXIT_REASON,
            spec.event,
            leaves.condition_or_none(spec.if_, (*path, index, "if")),
            spec.segment,
            (spec.on or _ENTERED) if spec.segment else "",
            is_eventful=_is_eventful(spec.if_, (*path, index, "if"), leaves),
        )
        for index, spec in enumerate(specs)
    )


def _is_eventful(source: str, path: Path, leaves: Leaves) -> bool:
    if not source or leaves.faults.touches(path):
        return False
    return bool(find_eventful(check(source, parse(source), leaves.trait_kinds, in_journey=True)))


def score_segment(journey: str) -> str:
    """Name the segment that stands for a journey's score being above or below."""
    return f"journeys.{journey}.trigger"


def score_segments(journeys: Mapping[str, JourneySpec], leaves: Leaves) -> dict[str, str]:
    """Write the segments that scores are the triggers by: coming into one is the crossing."""
    found: dict[str, str] = {}
    for name, journey in journeys.items():
        given, path = journey.trigger, ("journeys", name, "trigger", "score")
        if given is UNSET or not given.score:
            continue
        sides = [
            f"scores.{given.score} {sign} {float(value)!r}"
            for sign, value in ((">", given.above), ("<", given.below))
            if value is not UNSET and isfinite(value)
        ]
        if not given.score.isidentifier():
            message = f"{quote(given.score)} is not the name of a score"
            leaves.faults.add(path, message, "use letters, digits and _, like churn")
        elif len(sides) == 1:
            leaves.condition(sides[0], path)  # for the words that names can't be
            if not leaves.faults.touches(path):
                found[score_segment(name)] = sides[0]
    return found


def compile_agenda(journeys: Iterable[Journey], kinds: Mapping[str, Kind]) -> Agenda:
    """Gather the journeys that begin by the calendar; `kinds` are of traits that are worked out."""
    planned = [one for one in journeys if one.trigger.plan is not None]
    plans = [one.trigger.plan for one in planned if one.trigger.plan is not None]
    return Agenda(
        journeys=tuple(planned),
        traits=frozenset(plan.trait for plan in plans if plan.trait),
        segments=frozenset(plan.segment for plan in plans if plan.segment),
        is_live=any(plan.trait in kinds for plan in plans),
    )
