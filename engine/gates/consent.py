"""Permission: whether a purpose, and a type, may be sent on a channel at all.

Called by `choice.channel` first of all checks. It fails closed: what is missing or unreadable is
never consent.

*Rules*
- The latest statement about the purpose on the channel, or on all channels, counts; between
  statements of one instant the stricter one does.
- Service messages need no grant but obey a withdrawal of the channel (stated for the purpose
  `service` or for every purpose).
- Other purposes need a grant, unless the workspace makes the purpose opt-out where the customer is.
  A grant that is not confirmed yet, or that has ended, is none, and nothing is sent instead of it.
- Who does not want a message type gets none of it, whatever its purpose. Wanting one is not
  consent to its purpose.
"""

from engine.consents import find_statement, find_type_statement, has_ended
from engine.events import ANY, ConsentStatement, ConsentStatus
from engine.gates.verdict import Block
from engine.instants import format_instant
from engine.place import find_place
from engine.profile import Profile
from engine.program.program import Program
from engine.reasons import Reason

SERVICE = "service"
_NOES = (ConsentStatus.DENIED, ConsentStatus.WITHDRAWN)


def check_consent(
    profile: Profile, program: Program, purpose: str, channel: str, message_type: str, now: int
) -> Block | None:
    """Say whether consent stands in the way of a purpose, or of a type (or ""), on a channel."""
    consents = profile.consents
    statement = find_statement(consents, purpose, channel) if consents else None
    if statement is not None:
        if statement.status is ConsentStatus.GRANTED and statement.expires_at is None:
            block = None  # as nearly always
        else:
            block = _check_statement(statement, purpose, now)
    elif purpose == SERVICE or _is_opt_out(profile, program, purpose):
        block = None
    else:
        block = _block("no statement")
    if block is not None or not consents:
        return block
    return _check_type(profile, message_type, channel) if message_type else None


def _check_statement(statement: ConsentStatement, purpose: str, now: int) -> Block | None:
    """Say what a statement about the purpose means for it now."""
    status = statement.status
    if status in _NOES:
        return _block(f"{status} by {statement.source or 'the customer'}")
    if purpose == SERVICE:
        return None  # it needs no grant, so one that is pending or over takes nothing away
    if status is not ConsentStatus.GRANTED:
        return _block("granted, and not confirmed yet")
    if has_ended(statement, now):
        assert statement.expires_at is not None
        return _block(f"granted until {format_instant(statement.expires_at)}")
    return None


def _check_type(profile: Profile, message_type: str, channel: str) -> Block | None:
    statement = find_type_statement(profile.consents, message_type, channel)
    if statement is None or statement.status not in _NOES:
        return None
    seen = f"{statement.status} by {statement.source or 'the customer'}"
    rule = f"consent.types.{message_type}"
    return Block("message_type", Reason.TYPE_OPT_OUT, None, rule, seen)


def _is_opt_out(profile: Profile, program: Program, purpose: str) -> bool:
    countries = program.opt_out.get(purpose)
    if countries is None:
        return False
    return ANY in countries or find_place(profile, program).country in countries


def _block(seen: str) -> Block:
    return Block("consent", Reason.NO_CONSENT, None, "consent", seen)
