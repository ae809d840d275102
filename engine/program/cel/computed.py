"""Which traits are worked out rather than stated, and what kind each gives.

Used by `engine.program.compile` and by `explain`, so that both read a condition alike.
"""

from collections.abc import Mapping

from engine.program.cel.ir import Kind
from engine.traits.live import LiveTrait, TraitKind
from engine.traits.lookup import BUILT_IN

SCORES_SUFFIX = "_scores"  # under which all scores of an affinity are found

_KINDS = {
    TraitKind.COUNT: Kind.INT,
    TraitKind.SUM: Kind.DOUBLE,
    TraitKind.AVERAGE: Kind.DOUBLE,
    TraitKind.INTERVAL: Kind.DURATION,
    TraitKind.MIN: Kind.DOUBLE,
    TraitKind.MAX: Kind.DOUBLE,
    TraitKind.FIRST: Kind.TIMESTAMP,
    TraitKind.LAST: Kind.TIMESTAMP,
    TraitKind.DISTINCT: Kind.INT,
    TraitKind.AFFINITY: Kind.STRING,
}


def kind_of(trait: LiveTrait) -> Kind:
    """Tell what kind a declared trait gives."""
    is_value = trait.of and trait.kind in (TraitKind.FIRST, TraitKind.LAST)
    if is_value or trait.scores:
        return Kind.DYNAMIC
    return _KINDS.get(trait.kind, Kind.DYNAMIC)


def computed_kinds(declared: Mapping[str, LiveTrait]) -> dict[str, Kind]:
    """Give the kind of every trait that is worked out, by name; built-in ones give JSON values."""
    kinds = dict.fromkeys(BUILT_IN, Kind.DYNAMIC)
    kinds.update((name, kind_of(trait)) for name, trait in declared.items())
    return kinds
