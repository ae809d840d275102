"""Engagement: who opens and clicks may hear from us more often, who does not less.

Called by `gates.case`. The level is that of the instant of the decision: a deferral is decided
again on the level of its time.
"""

from engine.profile import Profile, Sent
from engine.program.program import MessageType, Program

ENGAGED = ("opened", "clicked", "replied")


def cap_factor(profile: Profile, program: Program, kind: MessageType, now: int) -> float:
    """Tell what the workspace's caps are multiplied by for this customer and type of message.

    The rate is engaged messages in all messages of the last `window_ms`; with fewer than `least` of
    them nothing changes.
    """
    policy = program.engagement
    if policy is None or (policy.purposes and kind.purpose not in policy.purposes):
        return 1.0
    since_at = now - policy.window_ms
    sends = [one for one in profile.sends.values() if one.at > since_at and not one.is_apart]
    if len(sends) < policy.least:
        return 1.0
    rate = sum(map(_is_engaged, sends)) / len(sends)
    if policy.high is not None and rate >= policy.high[0]:
        return policy.high[1]
    if policy.low is not None and rate <= policy.low[0]:
        return policy.low[1]
    return 1.0


def _is_engaged(sent: Sent) -> bool:
    return any(status in ENGAGED for status in sent.statuses)
