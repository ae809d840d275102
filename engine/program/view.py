"""A profile's traits as people and templates see them: stated ones, and those worked out.

Called by `engine.choice.content` for what a message shows, and by whoever shows a profile.
Instants and durations are written as text, the way events hold them.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from engine.profile import Profile
from engine.program.cel.computed import kind_of
from engine.program.cel.ir import Kind
from engine.program.cel.operations import export_duration, export_instant
from engine.program.program import Program
from engine.program.scope import Scope
from engine.traits.lookup import BUILT_IN

_WRITERS = {Kind.TIMESTAMP: export_instant, Kind.DURATION: export_duration}


def worked_out(
    names: Iterable[str], profile: Profile, program: Program, now: int
) -> dict[str, Any]:
    """Give the traits of these names that are declared or built in, and not absent."""
    scope = Scope(profile, now, book=program)
    found: dict[str, Any] = {}
    for name in names:
        value = scope.trait(name)
        if value is ...:
            continue
        declared = program.traits.get(name)
        writer = _WRITERS.get(kind_of(declared)) if declared is not None else None
        found[name] = value if writer is None else writer(value)
    return found


def shown_traits(
    names: Collection[str], profile: Profile, program: Program, now: int
) -> Mapping[str, Any]:
    """Give what is stated, with the traits of these names that have to be worked out."""
    if not names:
        return profile.traits
    return {**profile.traits, **worked_out(names, profile, program, now)}


def live_traits(profile: Profile, program: Program, now: int) -> dict[str, Any]:
    """Give everything that can be worked out from what is kept."""
    built_in = (name for name in BUILT_IN if name not in profile.traits)
    return worked_out(dict.fromkeys((*built_in, *program.traits)), profile, program, now)
