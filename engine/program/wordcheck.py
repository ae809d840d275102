"""Whether a workspace speaks of events by the names they have here, and maps them sensibly.

Called by `check` with the whole workspace, and by `compile` for the names in conditions.
"""

from msgspec import UNSET

from engine.events import KIND_NAMES
from engine.program.faults import Faults, quote, suggest
from engine.program.mappingmodel import SOURCES, MappingSpec, PropertySpec
from engine.program.mappings import listed
from engine.program.model import WorkspaceSpec
from engine.program.nesting import walk_steps
from engine.program.places import Path
from engine.vocabulary import canonical_name

_CALLS = frozenset(KIND_NAMES.values())
_CONSENT = "Consent Stated"


def check_words(spec: WorkspaceSpec, faults: Faults) -> None:
    """Note events that are called what they are not called here, and rules that do nothing."""
    for name, channel in spec.channels.items():
        check_event(channel.reply_event, ("channels", name, "reply_event"), faults)
    for index, rule in enumerate(spec.policies.suppress):
        check_event(rule.after, ("policies", "suppress", index, "after"), faults)
    for name, journey in spec.journeys.items():
        path: Path = ("journeys", name)
        if journey.trigger is not UNSET:
            check_event(journey.trigger.event, (*path, "trigger", "event"), faults)
        if journey.goal is not UNSET:
            check_event(journey.goal.event, (*path, "goal", "event"), faults)
        for index, ending in enumerate(journey.exit_on):
            check_event(ending.event, (*path, "exit_on", index, "event"), faults)
        for step in walk_steps(journey.steps, (*path, "steps")):
            wait = step.step.wait_for
            if wait is not UNSET:
                check_event(wait.event, (*step.path, "wait_for", "event"), faults)
            check_event(step.step.emit, (*step.path, "emit"), faults)
    for index, mapping in enumerate(spec.mapping):
        _check_mapping(mapping, ("mapping", index), faults)


def check_event(name: str, path: Path, faults: Faults) -> None:
    """Note an alias: events never have that name once they have come in."""
    known = canonical_name(name)
    if known != name:
        message = f"events named {quote(name)} are known as {quote(known)}"
        faults.add(path, message, f"write {known}")


def _check_mapping(rule: MappingSpec, path: Path, faults: Faults) -> None:
    check_event(rule.rename, (*path, "rename"), faults)
    for source in listed(rule.source):
        if source not in SOURCES:
            hint = suggest(source, SOURCES, "sources")
            faults.add((*path, "source"), f"unknown source {quote(source)}", hint)
    calls = [name for name in listed(rule.event) if name in _CALLS]
    if rule.rename and calls:
        message = f"{quote(calls[0])} is a call of its own, which has no other name"
        faults.add((*path, "rename"), message, "rename track events only")
    if rule.drop and _CONSENT in calls:
        message = "what a customer says of consent can't be left out"
        faults.add((*path, "drop"), message, "leave the rule out")
    acts = (rule.rename, rule.properties, rule.set_traits)
    if rule.drop and any(acts):
        message = "of an event that is left out nothing else can become"
        faults.add((*path, "drop"), message, "leave `drop` or the rest out")
    elif not rule.drop and not any(acts) and not faults.touches(path):
        hint = "write rename, properties, set_traits or drop: true"
        faults.add(path, "this rule does nothing", hint)
    for name, one in rule.properties.items():
        if isinstance(one, PropertySpec):
            _check_property(one, (*path, "properties", name), faults)


def _check_property(spec: PropertySpec, path: Path, faults: Faults) -> None:
    acts = (spec.to, spec.as_ is not UNSET, spec.times is not UNSET)
    if spec.drop and any(acts):
        message = "of a property that is left out nothing else can become"
        faults.add((*path, "drop"), message, "leave `drop` or the rest out")
    elif not spec.drop and not any(acts) and not faults.touches(path):
        faults.add(path, "this changes nothing", "write to, as, times or drop: true")
    if spec.times is not UNSET and spec.as_ is not UNSET and spec.as_ != "number":
        message = f"only numbers can be multiplied, and this is to be {spec.as_}"
        faults.add((*path, "times"), message, "write `as: number`, or leave it out")
