"""What a gate answers: nothing when it passes, a `Block` when it does not."""

import msgspec

from engine.reasons import Reason


class Block(msgspec.Struct, frozen=True, gc=False):
    """A rule stands in the way until `until`; None means no instant is known.

    `check` is the gate's name, `rule` where the rule is written, `seen` what it looked at,
    `version` that of a rule which is not the workspace's own, like a region's.
    """

    check: str
    reason: Reason
    until: int | None
    rule: str
    seen: str = ""
    version: str = ""
