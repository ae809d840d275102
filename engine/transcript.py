"""Decisions as other programs read them: the JSON object of the decision record.

Used by replay files, the HTTP API and the live feed, so that all three say the same.
"""

from typing import Any

from engine.instants import format_instant
from engine.reasons import classify_reason
from engine.records import Check, Decided


def decision_object(customer: str, decided: Decided) -> dict[str, Any]:
    """Write a decision as the JSON object of the decision record; instants become text."""
    written: dict[str, Any] = {
        "decision_id": decided.decision_id,
        "at": format_instant(decided.at),
        "customer": customer,
        "cause": {decided.cause_kind: decided.cause},
        "journey": decided.journey,
        "step": decided.step,
        "message": decided.message,
        "message_type": decided.message_type,
        "outcome": decided.outcome.value,
        "reason": decided.reason.value,
        "reason_class": classify_reason(decided.reason).value,
        "channel": decided.channel or None,
        "next_eligible": _instant(decided.next_eligible),
        "proposed_at": format_instant(decided.proposed_at),
        "expires_at": _instant(decided.expires_at),
        "trace": [check_object(check) for check in decided.trace],
        "program": decided.program,
    }
    if decided.message_id:
        written["message_id"] = decided.message_id
    return written


def check_object(check: Check) -> dict[str, Any]:
    """Write one line of a trace, leaving out what it does not say."""
    written: dict[str, Any] = {
        "channel": check.channel,
        "check": check.check,
        "result": check.result,
    }
    if check.rule:
        written["rule"] = check.rule
    if check.until is not None:
        written["until"] = format_instant(check.until)
    if check.seen:
        written["seen"] = check.seen
    if check.version:
        written["version"] = check.version
    return written


def _instant(at: int | None) -> str | None:
    return None if at is None else format_instant(at)
