"""Suppression: silence for a while after something the customer did.

`rouse` is called by `decide` when an event arrives, `check_suppression` by `gates.order`.
"""

from engine.gates.verdict import Block
from engine.profile import Profile
from engine.program.program import MessageType, Program
from engine.program.scope import Scope
from engine.reasons import Reason
from engine.records import Suppressed


def rouse(program: Program, scope: Scope, event_name: str, at: int) -> list[Suppressed]:
    """Give the suppressions an event sets off; each holds from when the event happened."""
    return [
        Suppressed(rule.name, at + rule.for_ms)
        for rule in program.suppressions.get(event_name, ())
        if rule.condition is None or rule.condition.test(scope)
    ]


def check_suppression(
    profile: Profile, program: Program, kind: MessageType, at: int
) -> list[Block]:
    """Give the suppressions that hold at an instant for a type of message."""
    if not profile.suppressed or "suppression" in kind.ignores:
        return []
    blocks: list[Block] = []
    for name, until in profile.suppressed.items():
        rule = program.suppression_rules.get(name)
        if rule is None or until <= at:
            continue
        if not rule.purposes or kind.purpose in rule.purposes:
            seen = f"after {rule.event}"
            blocks.append(Block("suppress", Reason.SUPPRESSED, until, rule.rule, seen))
    return blocks
