"""Decisions in words: what a person reads instead of a reason code.

Used by `explain`. The trace says the same with all its detail; this is its first line.
"""

from adapters.gateway.views import Decision
from engine.reasons import Reason, ReasonClass

_WHY = {
    Reason.SENT: "nothing stood in the way",
    Reason.OUTSIDE_WINDOW: "it is outside the hours of the channel, in the customer's local time",
    Reason.CHANNEL_CAP: "the customer has had as many messages on this channel as they may",
    Reason.SHARED_CAP: "the customer has had as many messages over all these channels as they may",
    Reason.BACKOFF: "a cap is filling up, and the gap between messages grows with it",
    Reason.COOLDOWN: "the last message went out too short a time ago",
    Reason.SUPPRESSED: "something the customer did keeps messages of this kind back for a while",
    Reason.SAME_MESSAGE: "the customer was sent this very message a short time ago",
    Reason.HOLIDAY: "it is a holiday where the customer is",
    Reason.REGION_RULE: "a rule of the customer's country forbids it at this time",
    Reason.DO_NOT_DISTURB: "the customer asked not to be disturbed at this time",
    Reason.NO_CONSENT: "the customer has not agreed to messages of this kind",
    Reason.OPT_OUT_REGISTRY: "the address is on a list of those to be left alone",
    Reason.REGISTRY_STALE: "a list of those to be left alone is too old, or was not asked",
    Reason.TYPE_OPT_OUT: "the customer wants no messages of this type",
    Reason.CONSENT_WITHDRAWN: "the customer withdrew their agreement",
    Reason.UNREACHABLE: "no channel has an address where the customer can be reached",
    Reason.CAPABILITY: "no channel of the customer can carry this message",
    Reason.DUPLICATE: "this had been decided before",
    Reason.GOAL_MET: "the customer did what the journey is for",
    Reason.HOLDOUT: "the customer is in the group that is left alone, for comparison",
    Reason.LOWER_PRIORITY: "another message was worth more at this moment",
    Reason.EXPIRED: "it would have come too late to be of use",
    Reason.NO_CONTENT: "the message has nothing to say on this channel",
    Reason.TEMPLATE_ERROR: "the text of the message could not be filled in",
    Reason.JOURNEY_EXITED: "the customer left the journey",
    Reason.STEP_DELETED: "the workspace has no such step any more",
    Reason.JOURNEY_DELETED: "the workspace has no such journey any more",
    Reason.MIGRATED: "the customer was put elsewhere in the journey, or out of it",
    Reason.BRANCH_ENDED: "another branch of the journey was first",
    Reason.ERASED: "the customer was erased",
    Reason.PROVIDER_FAILED: "the provider could not deliver it",
    Reason.IN_DOUBT: "it is not known whether the provider took it before a failure",
    Reason.TYPE_CAP: "the customer has had as many messages of this type as they may",
    Reason.CUSTOMER_CAP: "the customer has had as many messages as they want",
    Reason.QUIET_HOURS: "it is in the customer's own quiet hours",
    Reason.BLACKOUT: "it is a day on which the workspace sends nothing of this kind",
    Reason.REPLY_WINDOW: "the customer has not written on this channel lately",
    Reason.SUPERSEDED: "a newer message took its place while it waited",
    Reason.TOO_COSTLY: "it would cost more than messages of this type may",
}

_ELSEWHERE = "of what the trace says"

_TO_DO = {
    ReasonClass.BLOCKING: "Something is missing here, and somebody can supply it.",
    ReasonClass.ERROR: "This is a failure, not a policy.",
}


def describe_outcome(decision: Decision) -> str:
    """Say in one line what was decided."""
    channel = f" by {decision.channel}" if decision.channel else ""
    match decision.outcome:
        case "send":
            return f"{decision.message}: sent{channel}"
        case "substitute":
            return f"{decision.message}: sent{channel} instead"
        case "drop":
            return f"{decision.message}: not sent"
        case "defer":
            until = (
                f" until {read_instant(decision.next_eligible)}" if decision.next_eligible else ""
            )
            return f"{decision.message}: waits{until}, to go{channel}"


def describe_reason(decision: Decision) -> str:
    """Say why, in a sentence that ends with the code reports group by."""
    known = decision.reason in Reason.__members__.values()
    why = _WHY.get(Reason(decision.reason), _ELSEWHERE) if known else _ELSEWHERE
    advice = _TO_DO.get(ReasonClass(decision.reason_class), "")
    return f"Because {why} ({decision.reason}). {advice}".rstrip()


def describe_rules(decision: Decision) -> str:
    """Name the rules that blocked, the one that decided first.

    That is the expiry if it had come, else the rule that releases last on the channel that was
    wanted. The other channels were looked at afterwards, for a way out.
    """
    blocked = [line for line in decision.trace if line.result == "blocked" and line.rule]
    wanted: str = next((line.channel for line in blocked if line.check != "expiry"), "")
    if decision.outcome == "defer":
        wanted = decision.channel or ""
    # ISO 8601 texts in UTC sort as the instants do; a rule that never releases comes first.
    blocked.sort(key=lambda line: line.until or "9999", reverse=True)
    blocked.sort(key=lambda line: (line.check != "expiry", line.channel != wanted))
    rules = list(dict.fromkeys(line.rule for line in blocked))
    return f"Rule: {', '.join(rules)}." if rules else ""


def describe_cause(decision: Decision) -> str:
    """Say what asked for the message."""
    kind, name = next(iter(decision.cause.items()), ("", ""))
    cause = f"{kind} {name}".strip()
    if not decision.journey:
        return f"Asked for by {cause}." if cause else ""
    because = f", moved by {cause}" if cause else ""
    return f"Asked for by journey {decision.journey}, step {decision.step}{because}."


def read_instant(text: str | None) -> str:
    """Write an instant the way people read it."""
    return (text or "").replace("T", " ").replace("Z", " UTC")
