"""What the conditions of a journey see: the event at hand, and what the stay knows.

Used by `moves` and `forks` for steps, and by `decide` for goals and waits.
"""

from engine.lineage import variables
from engine.profile import Instance
from engine.program.scope import Scope
from engine.turn import Turn


def scope_of(turn: Turn, instance: Instance, scope: Scope) -> Scope:
    """Have conditions see what an instance knows besides the event at hand."""
    scope.entry = instance.event
    scope.journey = variables(turn.profile, instance)
    return scope


def step_scope(turn: Turn, instance: Instance) -> Scope:
    """Give a step what it sees: there, the event at hand is the one the journey began with."""
    return scope_of(turn, instance, turn.scope(instance.event, instance.event_name))
