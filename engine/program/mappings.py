"""Mapping rules, compiled: what is done to an event, found by its name.

Compiled by `engine.program.compile`, applied by `engine.intake.mapping` to every call that comes
in, which for an event no rule names costs one lookup.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET

from engine.program.mappingmodel import MappingSpec, PropertySpec


class PropertyRule(msgspec.Struct, frozen=True):
    """What becomes of one property; `kind` is "" where its value stays as it is."""

    name: str
    to: str
    kind: str = ""
    times: float | None = None
    drops: bool = False


class MappingRule(msgspec.Struct, frozen=True):
    """What is done to an event that came in by one of `sources`; none of them means any."""

    sources: tuple[str, ...] = ()
    rename: str = ""
    drops: bool = False
    properties: tuple[PropertyRule, ...] = ()
    traits: tuple[tuple[str, str], ...] = ()  # (trait, property)


Mappings = Mapping[str, tuple[MappingRule, ...]]  # by the name of the event


def compile_mappings(specs: Sequence[MappingSpec]) -> dict[str, tuple[MappingRule, ...]]:
    """Compile the rules, each event's in the order in which they are written."""
    rules: dict[str, tuple[MappingRule, ...]] = {}
    for spec in specs:
        rule = MappingRule(
            listed(spec.source),
            spec.rename,
            spec.drop,
            tuple(_compile_property(name, one) for name, one in spec.properties.items()),
            tuple(spec.set_traits.items()),
        )
        for name in listed(spec.event):
            rules[name] = (*rules.get(name, ()), rule)
    return rules


def listed(names: str | tuple[str, ...]) -> tuple[str, ...]:
    """Give one name, or several, as several."""
    return (names,) if isinstance(names, str) else names


def _compile_property(name: str, spec: str | PropertySpec) -> PropertyRule:
    if isinstance(spec, str):
        return PropertyRule(name, spec)
    return PropertyRule(
        name,
        spec.to or name,
        "" if spec.as_ is UNSET else spec.as_,
        None if spec.times is UNSET else spec.times,
        spec.drop,
    )
