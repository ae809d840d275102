"""A profile's traits as people and templates see them: stated ones, and those worked out.

Called by `engine.choice.content` for what a message shows, and by whoever shows a profile.
Instants and durations are written as text, the way events hold them.
"""

from collections.abc import Iterable
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
    scope = Scope(profile, now, segments=program.segments, book=program)
    found: dict[str, Any] = {}
    for name in names:
        value = scope.trait(name)
        if value is ...:
            continue
        declared = program.traits.get(name)
        writer = _WRITERS.get(kind_of(declared)) if declared is not None else None
        found[name] = value if writer is None else writer(value)
    return found


def every_trait(profile: Profile, program: Program, now: int) -> dict[str, Any]:
    """Give all traits: those stated, and everything that can be worked out from what is kept."""
    names = dict.fromkeys((*BUILT_IN, *program.traits))
    return {**profile.traits, **worked_out(names, profile, program, now)}
