"""Conditions whose answer is known before any customer is seen.

Called by `engine.program.doubts`: `false` and `1 > 2` are never meant, and `x && false` is no
better.
"""

from engine.profile import Profile
from engine.program.cel.checker import check
from engine.program.cel.compiler import build, parts_of
from engine.program.cel.emitter import write_truth
from engine.program.cel.ir import Constant, Operation, Typed
from engine.program.cel.parser import parse
from engine.program.cel.syntax import CelError
from engine.program.scope import Scope

_PLAIN = frozenset({"==", "!=", "<", "<=", ">", ">="})


def fixed_truth(source: str) -> bool | None:
    """Tell what a condition always says; None where that depends, or is not known."""
    try:
        return _truth(check(source, parse(source)))
    except CelError:
        return None


def _truth(node: Typed) -> bool | None:
    if isinstance(node, Operation) and node.name in ("&&", "||"):
        decides = node.name == "||"
        parts = [_truth(part) for part in node.args]
        if decides in parts:
            return decides
        return None if None in parts else not decides
    if isinstance(node, Operation) and node.name == "!":
        inner = _truth(node.args[0])
        return None if inner is None else not inner
    if isinstance(node, Constant) or (
        isinstance(node, Operation)
        and node.name in _PLAIN
        and all(isinstance(part, Constant) for part in parts_of(node))
    ):
        return bool(build(write_truth(node))(Scope(Profile(""), 0)))
    return None
