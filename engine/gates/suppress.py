"""Suppression: silence for a while after something the customer did.

`rouse` is called by `decide` when an event arrives, `check_suppression` by `gates.order`, which
takes it together with the customer's own wish not to be disturbed.
"""

from zoneinfo import ZoneInfo

from engine.gates.case import Case
from engine.gates.verdict import Block
from engine.program.dates import read_moment, to_instant
from engine.program.program import Program
from engine.program.scope import Scope
from engine.reasons import Reason
from engine.records import Suppressed

DO_NOT_DISTURB = "do_not_disturb"  # trait: true, or an instant up to which
_NOES = ("", "false", "no", "off", "0")


def rouse(
    program: Program, scope: Scope, event_name: str, *, at: int, now: int
) -> list[Suppressed]:
    """Give the suppressions an event sets off that still last.

    Each holds from when the event happened: one that came late may set off nothing.
    """
    return [
        Suppressed(rule.name, at + rule.for_ms)
        for rule in program.suppressions.get(event_name, ())
        if at + rule.for_ms > now and (rule.condition is None or rule.condition.test(scope))
    ]


def check_suppression(case: Case, at: int, found: list[Block]) -> None:
    """Find the suppressions that hold at an instant, and the customer's wish to be left alone."""
    if "suppression" in case.kind.ignores:
        return
    profile, rules = case.profile, case.program.suppression_rules
    for name, until in profile.suppressed.items():
        rule = rules.get(name)
        if rule is not None and until > at and case.concerns(rule.purposes):
            seen = f"after {rule.event}"
            found.append(Block("suppress", Reason.SUPPRESSED, until, rule.rule, seen))
    wish: object = profile.traits.get(DO_NOT_DISTURB)
    if wish is not None and wish is not False:
        _check_wish(case, wish, at, found)


def _check_wish(case: Case, wish: object, at: int, found: list[Block]) -> None:
    """Read a wish to be left alone: for good, or until an instant. Unreadable is for good."""
    if isinstance(wish, str) and wish.strip().lower() in _NOES:
        return
    until = None if wish is True else _read_wish(wish, case.place.zones)
    if until is None or until > at:
        seen = "for good" if until is None else "until then"
        rule = f"profile.{DO_NOT_DISTURB}"
        found.append(Block("do_not_disturb", Reason.DO_NOT_DISTURB, until, rule, seen))


def _read_wish(wish: object, zones: tuple[ZoneInfo, ...]) -> int | None:
    """Read until when a wish holds: a date begins at midnight, the last of the plausible ones."""
    moments = [read_moment(wish, zone, None) for zone in zones]
    return max((to_instant(moment) for moment in moments if moment is not None), default=None)
