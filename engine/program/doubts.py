"""Doubts about a workspace that is sound: what can surely not be meant, and refuses nothing.

Called by `nextbeat check` with a workspace that compiles. Each doubt is certain from the workspace
alone, whoever its customers are; what only may go wrong is not said here.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import UNSET

from engine.errors import Problem
from engine.hours import opens_together
from engine.instants import WEEK_MS, format_duration
from engine.program.cel.fixed import fixed_truth
from engine.program.contentcheck import doubt_contents
from engine.program.faults import Faults, quote
from engine.program.journeydoubts import first_send_ms
from engine.program.journeymodel import JourneySpec, StepSpec
from engine.program.mappings import listed
from engine.program.model import DEFAULT_CONTENT, WorkspaceSpec
from engine.program.nesting import Placed, walk_journeys
from engine.program.places import Path, Places
from engine.program.program import Channel, MessageType, Program
from engine.program.regions import RegionPack, load_packs
from engine.program.shape import read_shape
from engine.vocabulary import canonical_name
from engine.windows import Window

_NEARLY = 0.85  # how like a known event a misspelt one is
_CLOCK = ZoneInfo("UTC")  # any would do: hours are of a week on whichever clock
_Use = tuple[Path, str]


def find_doubts(raw: Mapping[str, Any], places: Places, program: Program) -> list[Problem]:
    """List what a sound workspace says that can surely not be meant."""
    doubts = Faults(places)
    spec = read_shape(raw, doubts)
    placed = list(walk_journeys(spec.journeys))
    _doubt_contents(spec, program, placed, doubts)
    doubt_contents(spec, doubts)
    _doubt_ways(program, doubts)
    _doubt_hours(spec, program, doubts)
    _doubt_unused(spec, placed, doubts)
    _doubt_constants(spec, placed, doubts)
    _doubt_waits(placed, doubts)
    _doubt_entries(spec, placed, doubts)
    _doubt_goals(spec, program, doubts)
    uses = list(_uses(spec, placed))
    _doubt_mapped(spec, placed, uses, doubts)
    _doubt_tests(spec, program, uses, doubts)
    return doubts.problems()


def _doubt_contents(
    spec: WorkspaceSpec, program: Program, placed: list[Placed], doubts: Faults
) -> None:
    """Doubt a message that has nothing to say on a channel its type asks to fall back to.

    Without `fallback` in `on_block`, content for some of the channels is a way to choose them.
    """
    free = {name: None for one in placed if not one.step.channel for name in _sent_by(one.step)}
    for name, message in spec.messages.items():
        kind = program.types[message.type]
        if DEFAULT_CONTENT in message.content or name not in free:
            continue
        if "fallback" not in kind.on_block:
            continue
        for channel in kind.channels:
            if channel not in message.content:
                text = (
                    f"there is no content for {quote(channel)}, where {quote(kind.name)} falls back"
                )
                hint = f"add {channel!r} or 'default', or leave `fallback` out of its `on_block`"
                doubts.add(("messages", name, "content"), text, hint, at_key=True)


def _doubt_ways(program: Program, doubts: Faults) -> None:
    """Doubt a type whose blocked messages are always lost, though something was to be tried."""
    for name, kind in program.types.items():
        first, *others = kind.channels
        if others or kind.on_block == ("drop",):
            continue
        channel = program.channels[first]
        helps = {"defer": True, "enrich": True, "substitute": bool(channel.substitute)}
        if not any(helps.get(way, False) for way in kind.on_block):
            text = f"a blocked message is always lost: {quote(channel.name)} is the only channel"
            hint = "add `defer` to `on_block`, a second channel, or a substitute of the channel"
            doubts.add(("message_types", name), text, hint, at_key=True)


def _doubt_hours(spec: WorkspaceSpec, program: Program, doubts: Faults) -> None:
    """Doubt hours that have nothing in common: what they are for can never go out."""
    packs = [load_packs()[name] for name in program.regions]
    for name, kind in program.types.items():
        has_own = spec.message_types[name].window is not UNSET
        for channel in (program.channels[one] for one in kind.channels):
            own = _own_hours(kind, channel)
            path: Path = ("message_types", name) if has_own else ("channels", channel.name)
            if own and not _overlap(own):
                text = f"messages of {quote(name)} can never go by {quote(channel.name)}"
                hint = f"{' and '.join(window.text for window in own)} have nothing in common"
                doubts.add((*path, "window"), text, hint)
                continue
            for pack in packs:
                law = list(_law(pack, kind, channel))
                if own and law and not _overlap([*own, *law]):
                    where = f"to customers in {', '.join(pack.countries)}"
                    text = (
                        f"messages of {quote(name)} can never go by {quote(channel.name)} {where}"
                    )
                    hint = f"the law opens {' and '.join(window.text for window in law)}"
                    doubts.add((*path, "window"), text, f"{hint}: nextbeat regions {pack.region}")


def _own_hours(kind: MessageType, channel: Channel) -> list[Window]:
    if "window" in kind.ignores:
        return []
    return [window for window in (channel.window, kind.window) if window is not None]


def _law(pack: RegionPack, kind: MessageType, channel: Channel) -> Iterator[Window]:
    """Give the hours that hold in all of a region, now and always."""
    for rule in pack.rules:
        is_lasting = rule.effective_from is None and rule.effective_until is None
        concerns = rule.concerns(kind.purpose, channel.identity) and "regions" not in kind.ignores
        if rule.window is not None and is_lasting and not rule.subdivisions and concerns:
            yield rule.window


def _overlap(windows: list[Window]) -> bool:
    """Say whether there is a time of the week at which all are open."""
    return opens_together([(window, _CLOCK) for window in windows], 0, until=WEEK_MS) is not None


def _doubt_unused(spec: WorkspaceSpec, placed: list[Placed], doubts: Faults) -> None:
    """Doubt messages nobody sends and types nothing is of; segments may be there to be read."""
    sent = {name: None for one in placed for name in _sent_by(one.step)}
    if spec.double_opt_in is not UNSET:
        sent[spec.double_opt_in.message] = None
    for name in spec.messages:
        if spec.journeys and name not in sent:
            hint = "send it in a journey, or leave it out"
            doubts.add(("messages", name), "this message is never sent", hint, at_key=True)
    kinds = {message.type: None for message in spec.messages.values()}
    kinds.update(dict.fromkeys(spec.preference_centre.types))
    for name in spec.message_types:
        if spec.messages and name not in kinds:
            hint = "give a message this type, or leave it out"
            doubts.add(("message_types", name), "no message is of this type", hint, at_key=True)


def _sent_by(step: StepSpec) -> tuple[str, ...]:
    return (step.send, *step.decide)


def _doubt_constants(spec: WorkspaceSpec, placed: list[Placed], doubts: Faults) -> None:
    for name, source in spec.segments.items():
        truth = fixed_truth(source)
        if truth is not None:
            text = "everybody is in this segment" if truth else "nobody is ever in this segment"
            doubts.add(("segments", name), text, "its condition looks at nothing")
    conditions: list[_Use] = [((*path, "if"), step.if_) for step, path in placed]
    conditions += [((*path, "while"), step.while_) for step, path in placed]
    for name, journey in spec.journeys.items():
        conditions += [
            (("journeys", name, "exit_on", index, "if"), ending.if_)
            for index, ending in enumerate(journey.exit_on)
        ]
    for path, source in conditions:
        truth = fixed_truth(source) if source else None
        if truth is not None:
            text = f"this is always {'true' if truth else 'false'}"
            doubts.add(path, text, "leave it out, or name what it depends on")


def _doubt_waits(placed: list[Placed], doubts: Faults) -> None:
    for step, path in placed:
        if step.wait_for is not UNSET and step.wait_for.up_to is UNSET:
            text = "this may wait for ever"
            doubts.add((*path, "wait_for"), text, "give it an `up_to:`", at_key=True)


def _doubt_entries(spec: WorkspaceSpec, placed: list[Placed], doubts: Faults) -> None:
    """Doubt journeys nobody can enter: by their trigger, or by a journey that somebody can."""
    entered = {
        name: None for name, journey in spec.journeys.items() if _is_triggered(journey, spec)
    }
    starts = [(str(one.path[1]), one.step.start) for one in placed if one.step.start]
    for _ in spec.journeys:
        entered.update(dict.fromkeys(to for by, to in starts if by in entered))
    for name, journey in spec.journeys.items():
        if name not in entered:
            hint = "only journeys that nobody enters start it"
            if journey.trigger is not UNSET:
                hint = "its trigger never holds"
            doubts.add(("journeys", name), "nobody can ever enter this journey", hint, at_key=True)


def _is_triggered(journey: JourneySpec, spec: WorkspaceSpec) -> bool:
    trigger = journey.trigger
    if trigger is UNSET or _never(trigger.if_) or _never(journey.enter_if):
        return False
    segment = spec.segments.get(trigger.segment)
    fixed = fixed_truth(segment) if segment else None
    # Of a segment that never changes nobody comes into it, or leaves it; a schedule may ask who is.
    return fixed is None or (bool(trigger.schedule) and fixed)


def _never(condition: str) -> bool:
    return bool(condition) and fixed_truth(condition) is False


def _doubt_goals(spec: WorkspaceSpec, program: Program, doubts: Faults) -> None:
    for name, journey in program.journeys.items():
        goal = journey.goal
        first_ms = first_send_ms(journey.code)
        if goal is None or goal.within_ms is None or first_ms is None or not first_ms:
            continue
        if first_ms >= goal.within_ms and spec.journeys[name].goal is not UNSET:
            text = "the goal is over before the first message goes out, and stops nothing after it"
            hint = f"the first goes {format_duration(first_ms)} after entry: make it longer"
            doubts.add(("journeys", name, "goal", "within"), text, hint)


def _uses(spec: WorkspaceSpec, placed: list[Placed]) -> Iterator[_Use]:
    """Give the events that something waits for, and where."""
    for name, journey in spec.journeys.items():
        if journey.trigger is not UNSET:
            yield ("journeys", name, "trigger", "event"), journey.trigger.event
        if journey.goal is not UNSET:
            yield ("journeys", name, "goal", "event"), journey.goal.event
        for index, ending in enumerate(journey.exit_on):
            yield ("journeys", name, "exit_on", index, "event"), ending.event
    for step, path in placed:
        if step.wait_for is not UNSET:
            yield (*path, "wait_for", "event"), step.wait_for.event
    for index, rule in enumerate(spec.policies.suppress):
        yield ("policies", "suppress", index, "after"), rule.after


def _doubt_mapped(
    spec: WorkspaceSpec, placed: list[Placed], uses: list[_Use], doubts: Faults
) -> None:
    """Doubt events that are waited for under a name they are robbed of as they come in."""
    gone: dict[str, str] = {}
    kept = {one.step.emit: None for one in placed}
    for rule in spec.mapping:
        for name in listed(rule.event):
            is_moved = (rule.drop or rule.rename not in ("", name)) and not rule.source
            if is_moved and canonical_name(name) == name:
                gone[name] = rule.rename
            else:
                kept[canonical_name(name)] = None
        kept[rule.rename] = None
    for path, name in uses:
        if name and name in gone and name not in kept:
            became = gone[name]
            text = f"{quote(name)} never comes: `mapping` "
            text += f"makes it {quote(became)}" if became else "leaves it out"
            doubts.add(path, text, f"write {became}" if became else "change one of them")


def _doubt_tests(spec: WorkspaceSpec, program: Program, uses: list[_Use], doubts: Faults) -> None:
    """Doubt events in tests that are nearly those something waits for."""
    known = {name: None for _, name in uses if name} | dict.fromkeys(program.history)
    for name, trial in spec.tests.items():
        for index, given in enumerate(trial.given):
            event = given.event
            near = get_close_matches(event, known, n=1, cutoff=_NEARLY) if event else []
            if near and event not in known:
                path = ("tests", name, "given", index, "event")
                doubts.add(path, f"nothing waits for {quote(event)}", f"did you mean {near[0]!r}?")
