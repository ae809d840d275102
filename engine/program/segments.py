"""Segments as written → which of them to look at when something happens.

Called by `compile`. What a segment looks at is known from its text, so an event, a trait or a
receipt leads straight to the segments whose answer it may change, and all else costs nothing.

*Rules*
- A segment is about a customer at any time, so there is no event in it to look at.
- What a segment asks of another segment it looks at itself; it comes after that one.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

import msgspec

from engine.events import ReceiptStatus
from engine.limits import SEGMENTS_MAX
from engine.program.cel.checker import check
from engine.program.cel.compiler import EVERYTHING, calls_of, entries_of
from engine.program.cel.flips import compile_flip, runs_with_time, walk
from engine.program.cel.ir import Kind, Name, Root, Trait, Typed
from engine.program.cel.parser import parse
from engine.program.faults import Faults, quote
from engine.program.feeding import Fed, Feeding
from engine.program.journey import Journey
from engine.program.leaves import Leaves
from engine.program.plain import dict_or_none
from engine.program.program import Membership, Segment
from engine.program.scope import SCORES
from engine.traits.live import LiveTrait
from engine.traits.sends import ARRIVED

_EVENTFUL = ("event", "context")
_EVENT_NAME = "s.event_name"
_VERSION_BYTES = 6
# What the conditions of segments may mean something else by, beside their own texts.
_MEANT = ("traits", "rfm", "session", "lifecycle", "defaults")
_REACHABLE = "reachable"
_OF_REACH = (ReceiptStatus.FAILED.value, *(status.value for status in ARRIVED))
_HISTORY = frozenset({"count", "sum", "last", "since"})


class _Looks(Fed):
    """What a segment looks at, with all that the segments it asks for look at."""

    segments: list[str] = msgspec.field(default_factory=list[str])
    runs_with_time: bool = False


def check_segments(
    segments: Mapping[str, str], leaves: Leaves, faults: Faults, *, besides: int = 0
) -> dict[str, str]:
    """Compile the conditions to find what is wrong with them; gives those that are right.

    `besides` is how many segments there are that nobody wrote.
    """
    if len(segments) + besides > SEGMENTS_MAX:
        message = f"there are {len(segments) + besides} segments, with those that scores need"
        faults.add(("segments",), message, f"at most {SEGMENTS_MAX} can be kept up to date")
    sound: dict[str, str] = {}
    for name, source in segments.items():
        path = ("segments", name)
        leaves.condition(source, path)
        if faults.touches(path):
            continue
        stray = find_eventful(_typed(source, leaves.trait_kinds))
        if stray:
            message = (
                f"a segment can't look at {quote(stray)}: people are in it between events, too"
            )
            hint = 'use what is known of the customer, like count("Order Completed", "30d") > 0'
            faults.add(path, message, hint)
        sound[name] = source
    return sound


def compile_membership(
    segments: Mapping[str, str],
    journeys: Sequence[Journey],
    traits: Mapping[str, LiveTrait],
    leaves: Leaves,
    source: Mapping[str, object],
) -> Membership:
    """Compile segments whose conditions are right, and which rest on nothing but each other."""
    planned = [one for one in journeys if one.trigger.plan is not None]
    if not segments and not planned:
        return Membership()
    conditions = {name: _typed(source, leaves.trait_kinds) for name, source in segments.items()}
    feeds = Feeding(traits, leaves)
    identities = _identities(conditions.values(), source)
    looks = {name: _look(typed, feeds, identities) for name, typed in conditions.items()}
    order = _order(looks)
    for name in order:
        _take_over(looks[name], [looks[used] for used in looks[name].segments if used in looks])
    made = {name: Segment(name, segments[name], compile_flip(conditions[name])) for name in order}
    named = dict.fromkeys(trait for name in order for trait in looks[name].traits)
    named.pop(EVERYTHING, None)
    stated = {
        name: [*named] if EVERYTHING in looks[name].traits else looks[name].traits for name in order
    }
    starts: dict[tuple[str, str], tuple[Journey, ...]] = {}
    for journey in journeys:
        key = journey.trigger.segment, journey.trigger.on
        if key[0]:
            starts[key] = (*starts.get(key, ()), journey)
    return Membership(
        version=_hash(segments, planned, source, identities),
        segments=made,
        by_event=_index(made, {name: looks[name].events for name in order}),
        by_anything=tuple(made[name] for name in order if EVERYTHING in looks[name].events),
        by_trait=_index(made, stated),
        by_any_trait=tuple(made[name] for name in order if EVERYTHING in looks[name].traits),
        by_engagement=_index(made, {name: looks[name].engagements for name in order}),
        by_contact=tuple(made[name] for name in order if EVERYTHING in looks[name].engagements),
        by_time=tuple(made[name] for name in order if looks[name].runs_with_time),
        starts=starts,
        has_traits=any(look.traits for look in looks.values()),
    )


def _typed(source: str, kinds: Mapping[str, Kind]) -> Typed:
    return check(source, parse(source), kinds)


def _hash(
    segments: Mapping[str, str],
    planned: Iterable[Journey],
    source: Mapping[str, object],
    identities: Mapping[str, str],
) -> int:
    """Name what segments mean, and what begins by the calendar.

    By their own texts, and by what live traits and the workspace's clock rest on.
    """
    written = dict_or_none(source.get("journeys")) or {}
    triggers = {one.name: (dict_or_none(written[one.name]) or {}).get("trigger") for one in planned}
    meant = [source.get(key) for key in _MEANT]
    # Without any the number is what it was before there were such journeys.
    told = [dict(segments), meant, triggers] if triggers else [dict(segments), meant]
    if identities:
        told.append(dict(identities))
    text = msgspec.json.encode(told, order="deterministic")
    return int.from_bytes(sha256(text).digest()[:_VERSION_BYTES], "big") or 1


def _identities(conditions: Iterable[Typed], source: Mapping[str, object]) -> dict[str, str]:
    """Give the traits with the addresses of the channels that are asked about."""
    channels = dict_or_none(source.get("channels")) or {}
    asked = [
        str(args[0]) for one in conditions for name, args in calls_of(one) if name == _REACHABLE
    ]
    found = ((name, dict_or_none(channels.get(name)) or {}) for name in asked)
    return {name: str(channel.get("identity") or "") for name, channel in found}


def _look(typed: Typed, feeds: Feeding, identities: Mapping[str, str]) -> _Looks:
    looks = _Looks(traits=list(entries_of(typed, "profile")))
    if any(entries_of(typed, SCORES)):
        looks.traits.append(SCORES)
    for name, args in calls_of(typed):
        texts = [str(arg) for arg in args]
        if name in _HISTORY:
            looks.events.append(texts[0])
        elif name == "engagement":
            looks.engagements.append(f"{texts[0]}/{texts[1]}")
        elif name == _REACHABLE:
            looks.engagements += [f"{texts[0]}/{status}" for status in _OF_REACH]
            looks.traits += filter(None, (identities[texts[0]],))
        else:
            looks.segments.append(texts[0])
    for trait in [node.key for node in walk(typed) if isinstance(node, Trait) and node.is_computed]:
        feeds.add(trait, looks)
    looks.runs_with_time = runs_with_time(typed)
    return looks


def _take_over(looks: _Looks, others: Sequence[_Looks]) -> None:
    for other in others:
        looks.events += other.events
        looks.traits += other.traits
        looks.engagements += other.engagements
        looks.runs_with_time |= other.runs_with_time


def _order(looks: Mapping[str, _Looks]) -> list[str]:
    """Put every segment after those it asks for; where they go in a circle, somewhere."""
    placed: dict[str, None] = {}
    left = list(looks)
    while left:
        ready = [
            name
            for name in left
            if all(used in placed or used not in looks for used in looks[name].segments)
        ]
        placed.update(dict.fromkeys(ready or left))
        left = [name for name in left if name not in placed]
    return list(placed)


def _index(
    made: Mapping[str, Segment], looks: Mapping[str, Sequence[str]]
) -> dict[str, tuple[Segment, ...]]:
    found: dict[str, dict[str, Segment]] = {}
    for name, keys in looks.items():
        for key in keys:
            found.setdefault(key, {})[name] = made[name]
    return {key: tuple(segments.values()) for key, segments in found.items()}


def find_eventful(condition: Typed) -> str:
    """Name what a condition looks at of an event, or nothing."""
    for node in walk(condition):
        if isinstance(node, Root | Trait) and node.root in _EVENTFUL:
            return node.root
        if isinstance(node, Name) and node.code == _EVENT_NAME:
            return "event_name"
    return ""
