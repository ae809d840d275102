"""How a proposed message ended and why. The values are stored for audit: add, never rename."""

from enum import StrEnum


class Outcome(StrEnum):
    """Each proposed message ends as exactly one of these."""

    SEND = "send"
    DEFER = "defer"
    DROP = "drop"
    SUBSTITUTE = "substitute"  # sent on another channel, with that channel's content


class Reason(StrEnum):
    """One line of the audit trail, in a form that reports can group by."""

    SENT = "sent"
    OUTSIDE_WINDOW = "outside_window"
    CHANNEL_CAP = "channel_cap"
    SHARED_CAP = "shared_cap"
    BACKOFF = "backoff"
    COOLDOWN = "cooldown"
    SUPPRESSED = "suppressed"
    SAME_MESSAGE = "same_message"
    HOLIDAY = "holiday"
    REGION_RULE = "region_rule"
    DO_NOT_DISTURB = "do_not_disturb"
    NO_CONSENT = "no_consent"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    UNREACHABLE = "unreachable"
    CAPABILITY = "capability"
    DUPLICATE = "duplicate"
    GOAL_MET = "goal_met"
    HOLDOUT = "holdout"
    LOWER_PRIORITY = "lower_priority"
    EXPIRED = "expired"
    NO_CONTENT = "no_content"
    TEMPLATE_ERROR = "template_error"
    JOURNEY_EXITED = "journey_exited"
    ERASED = "erased"
    PROVIDER_FAILED = "provider_failed"
    IN_DOUBT = "in_doubt"
    TYPE_CAP = "type_cap"
    CUSTOMER_CAP = "customer_cap"
    QUIET_HOURS = "quiet_hours"
    BLACKOUT = "blackout"
    REPLY_WINDOW = "reply_window"
    OPT_OUT_REGISTRY = "opt_out_registry"  # the address is on a list of those to be left alone
    REGISTRY_STALE = "registry_stale"  # such a list is too old, or was not asked
    TYPE_OPT_OUT = "type_opt_out"  # the customer wants no messages of this type
    SUPERSEDED = "superseded"  # a newer message took its place when hours opened
    STEP_DELETED = "step_deleted"  # the workspace in force has no such step any more
    JOURNEY_DELETED = "journey_deleted"  # nor this journey
    MIGRATED = "migrated"  # `migrate` has put the customer elsewhere in the journey, or out of it

    BRANCH_ENDED = "branch_ended"  # another branch of its `parallel` step was first
    TOO_COSTLY = "too_costly"  # more than its type may cost, with the channels it took before


# What releases for many people at once: hours and days.
OF_CALENDAR = (
    Reason.OUTSIDE_WINDOW,
    Reason.QUIET_HOURS,
    Reason.HOLIDAY,
    Reason.BLACKOUT,
    Reason.REGION_RULE,
)


class ReasonClass(StrEnum):
    """What a reason asks of the people who run the workspace."""

    HEALTHY = "healthy"  # the policy worked as written
    BLOCKING = "blocking"  # something is missing or broken: an address, consent, content
    ERROR = "error"  # a provider failed us


_BLOCKING = (
    Reason.REGISTRY_STALE,
    Reason.NO_CONSENT,
    Reason.UNREACHABLE,
    Reason.CAPABILITY,
    Reason.NO_CONTENT,
    Reason.TEMPLATE_ERROR,
)
_ERROR = (Reason.PROVIDER_FAILED, Reason.IN_DOUBT)


def classify_reason(reason: Reason) -> ReasonClass:
    """Say whether a reason is the policy at work, a gap to close, or a failure."""
    if reason in _BLOCKING:
        return ReasonClass.BLOCKING
    if reason in _ERROR:
        return ReasonClass.ERROR
    return ReasonClass.HEALTHY
