"""Whether it is to be noticed that a message is opened, and that its links are followed.

Called by `choice.content`. What it decides is put into the content as a mark, and is done when the
message leaves (`adapters.channels.links`), as links are signed with a secret the engine does not
hold.

Rules
- Nothing is tracked unless the workspace says so, for the channel or for the message type, which
  goes before the channel.
- With a `purpose`, it takes the customer's consent to that purpose on this channel, as the law of
  their country or the workspace's `consent` asks for it. What is not known is no consent.
"""

from engine.effects import CLICKS, OPENS
from engine.gates.consent import check_consent
from engine.profile import Profile
from engine.program.program import Channel, MessageType, Program, Tracking


def find_tracking(
    profile: Profile, program: Program, kind: MessageType, channel: Channel, now: int
) -> str:
    """Tell what of a message is tracked: clicks, opens, both of them, or nothing."""
    rules = unite_tracking(channel.tracking, kind.tracking)
    marks = " ".join(
        mark for mark, is_on in ((CLICKS, rules.clicks), (OPENS, rules.opens)) if is_on
    )
    if marks and rules.purpose:
        block = check_consent(profile, program, rules.purpose, channel.name, "", now)
        return "" if block is not None else marks
    return marks


def unite_tracking(channel: Tracking, kind: Tracking) -> Tracking:
    """Put what a message type says over what its channel says."""
    return Tracking(
        clicks=channel.clicks if kind.clicks is None else kind.clicks,
        opens=channel.opens if kind.opens is None else kind.opens,
        purpose=channel.purpose if kind.purpose is None else kind.purpose,
    )
