"""Permission: whether a purpose may be sent on a channel at all.

Called by `choice.channel` first of all checks. It fails closed: what is missing or unreadable is
never consent.

*Rules*
- The latest statement about the purpose on the channel, or on all channels, counts; between
  statements of one instant the stricter one does.
- Service messages need no grant but obey a withdrawal of the channel (stated for the purpose
  `service` or for every purpose).
- Other purposes need a grant, unless the workspace makes the purpose opt-out where the customer is.
"""

from functools import cache

from engine.events import ANY, ConsentStatement, ConsentStatus
from engine.gates.verdict import Block
from engine.place import find_place
from engine.profile import Profile
from engine.program.program import Program
from engine.reasons import Reason

SERVICE = "service"


def check_consent(profile: Profile, program: Program, purpose: str, channel: str) -> Block | None:
    """Say whether consent stands in the way of a purpose on a channel."""
    statement = _latest(profile, purpose, channel) if profile.consents else None
    if statement is not None:
        if statement.status is ConsentStatus.GRANTED:
            return None
        return _block(f"{statement.status} by {statement.source or 'the customer'}")
    if purpose == SERVICE or _is_opt_out(profile, program, purpose):
        return None
    return _block("no statement")


def _latest(profile: Profile, purpose: str, channel: str) -> ConsentStatement | None:
    latest: ConsentStatement | None = None
    for key in _keys(purpose, channel):
        statement = profile.consents.get(key)
        if statement is None:
            continue
        if latest is None or _rank(statement) > _rank(latest):
            latest = statement
    return latest


@cache
def _keys(purpose: str, channel: str) -> tuple[str, ...]:
    """Name the statements that speak of a purpose on a channel."""
    return f"{purpose}/{channel}", f"{purpose}/{ANY}", f"{ANY}/{channel}", f"{ANY}/{ANY}"


def _rank(statement: ConsentStatement) -> tuple[int, bool]:
    return statement.at, statement.status is not ConsentStatus.GRANTED


def _is_opt_out(profile: Profile, program: Program, purpose: str) -> bool:
    countries = program.opt_out.get(purpose)
    if countries is None:
        return False
    return ANY in countries or find_place(profile, program).country in countries


def _block(seen: str) -> Block:
    return Block("consent", Reason.NO_CONSENT, None, "consent", seen)
