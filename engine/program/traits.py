"""Live traits as written → what is kept of which events, and how each trait is read.

Called by `compile` before anything that may name a trait. What is wrong is noted as a fault, and
that trait left out.

*Rules*
- Traits that look at the same events in the same way share a measure, whatever their windows.
- A measure is known by what it measures. A changed definition is another measure, and starts anew
  with the events that follow; a changed window sees what was kept for the old one.
- Counts, first and last times of an event without a condition need nothing more than is known of
  every event, so they go back to the beginning.
"""

from collections.abc import Mapping
from hashlib import sha256

import msgspec
from msgspec import UNSET, UnsetType

from engine.instants import DAY_MS
from engine.limits import TRAIT_WINDOW_MS_MAX
from engine.program.cel.computed import SCORES_SUFFIX
from engine.program.faults import Faults, enumerate_names, quote, suggest
from engine.program.leaves import Leaves
from engine.program.places import Path
from engine.program.program import Feed
from engine.program.traitmodel import TraitSpec
from engine.records import Shape
from engine.traits.gather import AMOUNT
from engine.traits.live import LiveTrait, TraitKind

_HALF_LIFE_MS = 30 * DAY_MS
_KEY_DIGITS = 12

_NEEDS_OF = frozenset({"sum", "average", "min", "max", "distinct", "affinity"})
_TAKES_OF = _NEEDS_OF | {"first", "last"}
_TAKES_WINDOW = frozenset({"count", "sum", "average", "interval", "distinct"})
_NUMERIC = frozenset({"sum", "average", "min", "max"})
_EACH = "[]."  # as in `products[].category`
_TAKES_EACH = frozenset({"distinct", "affinity"})
_FROM_HISTORY = frozenset({"count", "interval", "first", "last"})


def compile_traits(specs: Mapping[str, TraitSpec], leaves: Leaves) -> dict[str, LiveTrait]:
    """Compile the declared traits, all but those that are expressions over others."""
    traits: dict[str, LiveTrait] = {}
    for name, spec in specs.items():
        kind = _kind_of(name, spec, leaves.faults)
        if kind is None:
            continue
        if kind == TraitKind.EXPR:
            traits[name] = LiveTrait(name, TraitKind.EXPR)
        elif kind == TraitKind.AFFINITY:
            trait = _compile_affinity(name, spec, leaves)
            traits[name] = trait
            scores = name + SCORES_SUFFIX
            if scores in specs:
                message = f"{quote(scores)} is where the scores of {quote(name)} are found"
                leaves.faults.add(("traits", scores), message, "choose another name", at_key=True)
            traits[scores] = msgspec.structs.replace(trait, name=scores, scores=True)
        else:
            traits[name] = _compile_trait(name, kind, spec, leaves)
    return traits


def compile_expressions(
    specs: Mapping[str, TraitSpec], traits: dict[str, LiveTrait], leaves: Leaves
) -> None:
    """Compile the traits that are expressions, once the kinds of all others are known."""
    uses: dict[str, tuple[str, ...]] = {}
    for name, trait in traits.items():
        if trait.kind is TraitKind.EXPR:
            path: Path = ("traits", name, "expr")
            before = len(leaves.trait_uses)
            condition = leaves.value(specs[name].expr, path)
            uses[name] = tuple(used for _, used in leaves.trait_uses[before:])
            traits[name] = msgspec.structs.replace(trait, expression=condition.evaluate)
    reported: dict[str, None] = {}
    for name in uses:
        reached = _reach(name, uses)
        if name in reached and name not in reported:
            reported.update(reached)  # the others of its circle are the same mistake
            message = "this trait rests on itself"
            leaves.faults.add(("traits", name), message, "write out what one of them means")


def _reach(name: str, uses: Mapping[str, tuple[str, ...]]) -> dict[str, None]:
    """Collect the traits that an expression rests on, however far off."""
    reached: dict[str, None] = {}
    waiting = list(uses[name])
    while waiting:
        used = waiting.pop()
        if used not in reached:
            reached[used] = None
            waiting.extend(uses.get(used, ()))
    return reached


def _kind_of(name: str, spec: TraitSpec, faults: Faults) -> TraitKind | None:
    """Tell which kind a trait is of, where it is of exactly one and all that is with it fits."""
    path: Path = ("traits", name)
    if faults.touches(path):
        return None
    kinds = [kind for kind in TraitKind if getattr(spec, kind.value)]
    if len(kinds) != 1:
        found = enumerate_names([kind.value for kind in kinds]) or "nothing"
        hint = f"write one of {', '.join(TraitKind)}, with the name of an event"
        faults.add(path, f"a trait is of one kind, this has {found}", hint)
        return None
    kind = kinds[0].value
    if kind in _NEEDS_OF and not spec.of:
        faults.add(path, f"{kind} needs a property", "name it: `of: revenue`")
    for key, is_given, takers in (
        ("of", spec.of, _TAKES_OF),
        ("window", spec.window is not UNSET, _TAKES_WINDOW),
        ("if", spec.if_, frozenset(TraitKind) - {TraitKind.EXPR}),
        ("half_life", spec.half_life is not UNSET, (TraitKind.AFFINITY,)),
        ("weights", spec.weights, (TraitKind.AFFINITY,)),
    ):
        if is_given and kind not in takers:
            hint = f"leave it out; it goes with {', '.join(sorted(takers))}"
            faults.add((*path, key), f"{kind} knows no {key!r}", hint)
    if _EACH in spec.of and kind not in _TAKES_EACH:
        hint = "name a property of the event itself"
        faults.add((*path, "of"), f"{kind} knows no {quote(spec.of)}", hint)
    return None if faults.touches(path) else kinds[0]


def _compile_trait(name: str, kind: TraitKind, spec: TraitSpec, leaves: Leaves) -> LiveTrait:
    path: Path = ("traits", name)
    event: str = getattr(spec, kind.value)
    window_ms = _window_ms(spec.window, (*path, "window"), leaves)
    condition = leaves.condition_or_none(spec.if_, (*path, "if"))
    trait = LiveTrait(name, kind, event, of=spec.of, window_ms=window_ms)
    is_plain = condition is None and (
        (kind in _FROM_HISTORY and not spec.of) or (kind is TraitKind.SUM and window_ms is not None)
    )
    if is_plain:
        if window_ms is not None:
            leaves.need(event, window_ms, spec.of or None)
        return trait
    shape = Shape.SUMMARY if window_ms is None else Shape.SERIES
    if kind is TraitKind.DISTINCT:
        shape = Shape.DISTINCT
    is_numeric = kind in _NUMERIC
    key = _key(shape, event, spec.of, is_numeric, spec.if_)
    each, of = _split_of(spec.of)
    feed = Feed(key, shape, of, is_numeric, condition, window_ms or 0, each=each)
    leaves.feed(event, feed)
    read_of = AMOUNT if shape is Shape.SERIES and is_numeric else spec.of
    return msgspec.structs.replace(trait, key=key, of=read_of)


def _compile_affinity(name: str, spec: TraitSpec, leaves: Leaves) -> LiveTrait:
    path: Path = ("traits", name)
    events = (spec.affinity,) if isinstance(spec.affinity, str) else spec.affinity
    half_life_ms = leaves.duration_or_none(spec.half_life, (*path, "half_life")) or _HALF_LIFE_MS
    condition = leaves.condition_or_none(spec.if_, (*path, "if"))
    for event in spec.weights:
        if event not in events:
            message = f"{quote(event)} is not one of its events"
            hint = suggest(event, events, "events")
            leaves.faults.add((*path, "weights", event), message, hint, at_key=True)
    key = _key(
        Shape.AFFINITY, *events, spec.of, spec.if_, half_life_ms, sorted(spec.weights.items())
    )
    each, of = _split_of(spec.of)
    for event in dict.fromkeys(events):
        weight = spec.weights.get(event, 1.0)
        feed = Feed(
            key,
            Shape.AFFINITY,
            of,
            condition=condition,
            keep_ms=half_life_ms,
            weight=weight,
            each=each,
        )
        leaves.feed(event, feed)
    return LiveTrait(name, TraitKind.AFFINITY, key=key)


def _split_of(of: str) -> tuple[str, tuple[str, ...]]:
    """Read `category`, or `products[].category`: a property of each element of a list."""
    each, _, name = of.rpartition(_EACH)
    return each, (name,) if name else ()


def _window_ms(text: str | UnsetType, path: Path, leaves: Leaves) -> int | None:
    window_ms = leaves.duration_or_none(text, path)
    if window_ms is not None and window_ms > TRAIT_WINDOW_MS_MAX:
        leaves.faults.add(path, f"{quote(text)} is out of range", "at most 400 days")
    return window_ms


def _key(*parts: object) -> str:
    """Name a measure by what it measures."""
    written = msgspec.json.encode(parts)
    return sha256(written).hexdigest()[:_KEY_DIGITS]
