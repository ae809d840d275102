"""Whether what starts a journey, and what takes people out of it, fits together.

Called by `check` with journeys whose shape is right; texts with a grammar are read by `entry`.
"""

from collections.abc import Mapping

from msgspec import UNSET

from engine.program.entry import NEVER, score_segment
from engine.program.faults import Faults
from engine.program.journeymodel import ExitSpec, JourneySpec, TriggerSpec
from engine.program.names import Names
from engine.program.places import Path
from engine.program.stepcheck import note_stray

_KINDS = ("event", "segment", "schedule", "date", "score")
# What belongs to which kind of trigger.
_OWNERS = {
    "late": "event",
    "on": "segment",
    "zone": "schedule",
    "every": "date",
    "above": "score",
    "below": "score",
}


def check_entries(journeys: Mapping[str, JourneySpec], names: Names, faults: Faults) -> None:
    """Note what is wrong with how each journey begins, and with what ends it early."""
    for name, journey in journeys.items():
        path: Path = ("journeys", name)
        if journey.trigger is not UNSET:
            _check_trigger(name, journey.trigger, names, faults)
        if journey.trigger is UNSET or not faults.touches((*path, "trigger")):
            _check_limits(journey, path, faults)
        for index, rule in enumerate(journey.exit_on):
            _check_exit(rule, (*path, "exit_on", index), names, faults)


def _check_trigger(name: str, trigger: TriggerSpec, names: Names, faults: Faults) -> None:
    path: Path = ("journeys", name, "trigger")
    if trigger.segment:
        names.check("segments", trigger.segment, (*path, "segment"))
    if faults.touches(path):
        return
    stated = [kind for kind in _KINDS if getattr(trigger, kind)]
    if stated == ["segment", "schedule"]:  # a schedule for who is in a segment
        stated = ["schedule"]
    if not stated:
        hint = "name an `event`, a `segment` to enter or leave, a `schedule`, a `date` or a `score`"
        faults.add(path, "this trigger is nothing that happens", hint)
    elif len(stated) > 1:
        article = "an" if stated[0] == "event" else "a"
        message = f"one trigger can't be {article} {stated[0]} and a {stated[1]}"
        faults.add((*path, stated[1]), message, "make it two journeys", at_key=True)
    for key, owner in _OWNERS.items():
        if getattr(trigger, key) is not UNSET and stated and owner not in stated:
            note_stray(key, owner, path, faults)
    if stated == ["score"]:
        _check_score(name, trigger, names, faults)


def _check_score(name: str, trigger: TriggerSpec, names: Names, faults: Faults) -> None:
    path: Path = ("journeys", name, "trigger")
    if (trigger.above is UNSET) == (trigger.below is UNSET):
        message = "a score starts a journey when it comes to be above something, or below"
        faults.add(path, message, "give it `above:` or `below:`, like {score: churn, above: 0.7}")
    if names.has("segments", score_segment(name)):
        message = f"{score_segment(name)!r} is what this score's own segment is called"
        faults.add(("segments", score_segment(name)), message, "choose another name", at_key=True)


def _check_limits(journey: JourneySpec, path: Path, faults: Faults) -> None:
    """Note bounds that contradict each other."""
    if journey.reentry == NEVER and not journey.key:
        if journey.entries is not UNSET:
            message = "nobody enters twice: `reentry: never` says so"
            faults.add((*path, "entries"), message, "leave one of them out", at_key=True)
        if journey.at_once is not UNSET and journey.at_once > 1:
            message = "nobody enters twice: `reentry: never` says so"
            faults.add((*path, "at_once"), message, "leave one of them out", at_key=True)


def _check_exit(rule: ExitSpec, path: Path, names: Names, faults: Faults) -> None:
    if rule.segment:
        names.check("segments", rule.segment, (*path, "segment"))
    if faults.touches(path):
        return
    if rule.event and rule.segment:
        message = "one ending can't be an event and a segment"
        faults.add((*path, "segment"), message, "make it two", at_key=True)
    elif not (rule.event or rule.segment or rule.if_):
        faults.add(path, "this ending never comes", "name an `event`, a `segment` or an `if`")
    if rule.on is not UNSET and not rule.segment:
        note_stray("on", "segment", path, faults)
